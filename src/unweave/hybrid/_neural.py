r"""A neural ordinary differential equation: every rate is a network's.

$\dot x = \mathrm{net}(x, u)$ (Chen et al. 2018, arXiv:1806.07366). It is a system like any
other, whose latents are the initial state.
"""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._latents import Prior, latents
from ..equations import CallableSystem, Variable, system
from ._net import ScaledNet


class NeuralField(eqx.Module):
    """The rates of a state, from a network of the state and the inputs."""

    net: ScaledNet

    def __call__(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"] | None = None,
    ) -> Float[Array, " state"]:
        """$f(x, u)$; neither time nor latents matter."""
        return self.net(x if u is None else jnp.concatenate([x, u]))


def neural_system(
    net: ScaledNet,
    states: Sequence[Variable],
    priors: Sequence[Prior],
    *,
    inputs: Sequence[Variable] = (),
    time_unit: str = "",
) -> CallableSystem:
    """The system whose rates `net` gives, from the state and the inputs to a rate for each state.

    **Arguments:** `states`, all of which are observed, and the `priors` of where they start.

    **Raises:** `ValueError` where the net gives another number of rates than there are states.
    """
    starts = latents(
        [f"{state.name}(0)" for state in states], priors, units=[state.unit for state in states]
    )
    return system(
        NeuralField(net), states=states, latents=starts, inputs=inputs, time_unit=time_unit
    )
