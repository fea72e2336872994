r"""A discrete flow: layers that each move one half of the numbers by what the other half says.

$b \mapsto b \odot e^{s(a)} + m(a)$ leaves $a$ as it is, so it is undone exactly whatever the nets
$s$ and $m$ are, and its log-determinant is $\sum s(a)$ (Dinh et al. 2017, equations 7 and 8).
"""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._latents import Latents
from ..._model import (
    AbstractDecoder,
    AbstractDensity,
    AbstractEncoder,
    Condition,
    DensityKind,
    Key,
    Latent,
    Observation,
    Scalar,
)
from ...data import Scale
from .._mlp import MLP
from .._pca import PCA
from .._real import real
from ._gaps import fill, log_density_with_gaps

# a layer stretches by at most e^2: what float32 undoes to the last digits
_MOST_STRETCH = 2.0


class Coupling(eqx.Module):
    r"""One layer: of the numbers in `order`, the first half moves the second half.

    `net` gives $s$ and $m$; $s$ is kept within $\pm 2$ by a hyperbolic tangent.
    """

    net: MLP
    order: tuple[int, ...] = eqx.field(static=True)

    def forward(self, y: Latent) -> tuple[Latent, Scalar]:
        """The moved numbers and the log-determinant."""
        still, moving = self._parts()
        stretch, shift = self._stretch_and_shift(y[still])
        return y.at[moving].set(y[moving] * jnp.exp(stretch) + shift), stretch.sum()

    def backward(self, y: Latent) -> tuple[Latent, Scalar]:
        """The inverse of `forward`, and the inverse's log-determinant."""
        still, moving = self._parts()
        stretch, shift = self._stretch_and_shift(y[still])
        return y.at[moving].set((y[moving] - shift) * jnp.exp(-stretch)), -stretch.sum()

    def _parts(self) -> tuple[np.ndarray, np.ndarray]:
        half = len(self.order) // 2
        return np.asarray(self.order[:half]), np.asarray(self.order[half:])

    def _stretch_and_shift(self, still: Float[Array, " still"]) -> tuple[Array, Array]:
        stretch, shift = jnp.split(self.net(still), 2)
        return _MOST_STRETCH * jnp.tanh(stretch / _MOST_STRETCH), shift


class CouplingFlow(AbstractDecoder, AbstractEncoder, AbstractDensity):
    r"""A flow of coupling layers, exactly invertible and of exact density.

    **Arguments:** `latents`, standard normal, as many as an observation has numbers; `layers`,
    from latents to flat scaled observations; `scale`, from the user's units and back;
    `reference`, the Gaussian that stands in for what was not observed; `shape` of an
    observation; `draws`, how many estimate a density with gaps.
    """

    density_kind: ClassVar[DensityKind] = "exact"

    latents: Latents
    layers: tuple[Coupling, ...]
    scale: Scale
    reference: PCA
    shape: tuple[int, ...] = eqx.field(static=True)
    draws: int = eqx.field(static=True, default=32)

    def __check_init__(self):
        if not self.latents.are_standard or self.latents.size != math.prod(self.shape):
            raise ValueError(
                f"a flow of observations of shape {self.shape} needs Latents.standard("
                f"{math.prod(self.shape)}), as many as an observation has numbers."
            )

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """The observation of `z`; a flow has no noise to add to it."""
        for layer in self.layers:
            z, _ = layer.forward(z)
        return self.scale.undo(z.reshape(self.shape))

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """The latents of `x`; what was not observed is filled in by the reference, with a key
        by a draw."""
        return self._back(fill(self.reference, real(x), key))[0]

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""$\log \mathcal{N}(z) + \log |\partial z / \partial x|$; where something was not
        observed, an estimate by importance sampling."""

        def density(x: Observation) -> Scalar:
            z, log_det = self._back(x)
            normal = -0.5 * (z**2 + math.log(2 * math.pi)).sum()
            return normal + log_det - self.scale.log_volume(x)

        key = jax.random.key(0) if key is None else key
        return log_density_with_gaps(density, self.reference, real(x), self.draws, key)

    def _back(self, x: Observation) -> tuple[Latent, Scalar]:
        """The latents of a whole observation, and the log-determinant in scaled units."""
        y = self.scale.apply(x).reshape(-1)
        log_det = jnp.zeros((), y.dtype)
        for layer in reversed(self.layers):
            y, more = layer.backward(y)
            log_det = log_det + more
        return y, log_det
