r"""How a model's observation depends on its latents: exact sensitivities, all at once."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._many import precision
from .._model import AbstractDecoder, Condition, Latent, require


@dataclass(frozen=True, eq=False)
class Sensitivity:
    r"""$\partial x / \partial z$ at one set of latents.

    `slopes` `(latent, *observation)` in the observation's unit for one unit of the latent;
    `scaled`, the same for one standard deviation of the latent's prior (of a fitted model: of what
    the fit left open), $\partial x / \partial e$ at standard normal scores $e$, so that latents of
    different units compare. `names` and `units` are the latents', `output` `(*observation)` what
    is decoded at `z` `(latent,)`.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    z: np.ndarray
    output: np.ndarray
    slopes: np.ndarray
    scaled: np.ndarray

    @property
    def ranking(self) -> tuple[tuple[str, float], ...]:
        """The latents by the root mean square of their scaled sensitivity, the largest first."""
        flat = self.scaled.reshape(len(self.names), -1)
        size = np.sqrt(np.mean(flat**2, axis=1)).tolist()
        return tuple(sorted(zip(self.names, size, strict=True), key=lambda pair: -pair[1]))


def sensitivity(
    model: eqx.Module,
    z: np.ndarray | Array | None = None,
    *,
    condition: Any = None,
) -> Sensitivity:
    r"""The exact derivative of every entry of what `z` stands for by every latent, by forward mode:
    of an equation the solution of its variational equation, at all times and channels at once.

    **Arguments:** `z` `(latent,)`, the medians of the priors where None.

    Raises `TypeError` if the model cannot decode, `ValueError` for latents that do not fit.
    """
    require(model, "decoder", tool="sensitivity")
    assert isinstance(model, AbstractDecoder)
    with precision(model) as double:
        kind = jnp.float64 if double else jnp.float32
        size = model.latents.size
        point = model.latents.from_white(jnp.zeros(size, kind)) if z is None else z
        point = jnp.asarray(point, kind)
        if point.shape != (size,):
            raise ValueError(
                f"latents of shape {point.shape} were given, and the model has {size}: "
                f"{', '.join(model.latents.names)}."
            )
        output, slopes, spread = _derivative(model, point, condition)
        slopes = np.moveaxis(np.asarray(slopes), -1, 0)
        spread = np.asarray(spread).reshape(-1, *(1,) * (slopes.ndim - 1))
    latents = model.latents
    return Sensitivity(
        latents.names, latents.units, np.asarray(point), np.asarray(output), slopes, slopes * spread
    )


@eqx.filter_jit
def _derivative(
    model: AbstractDecoder, z: Latent, condition: Condition
) -> tuple[Array, Array, Array]:
    """What is decoded, its derivative with the latents last, and that of each latent by its
    standard normal score."""
    slopes = jax.jacfwd(lambda z: model.decode(z, condition))(z)
    scores = model.latents.to_normal(z)
    spread = jax.jvp(model.latents.from_normal, (scores,), (jnp.ones_like(scores),))[1]
    return model.decode(z, condition), slopes, spread
