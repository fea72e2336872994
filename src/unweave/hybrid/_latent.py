r"""Equations as the dynamics of a latent space, and latent dynamics as equations."""

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._latents import Latents, latents, normal
from ..data import Dataset
from ..equations import CallableSystem, parse, system
from ..equations._system import AbstractSystem
from ..equations.solving._choose import suited
from ..equations.solving._solve import Grid
from ..networks.series import AbstractDynamics, LatentODE, NeuralDynamics
from ._net import in_precision

# substeps where no fixed grid is exact enough
_MOST_SUBSTEPS = 8


class SystemDynamics(AbstractDynamics):
    r"""An equation in latent space: its parameters and its initial state are the latents, with the
    names, units and priors that they have there, and what it observes is read."""

    system: AbstractSystem

    def __check_init__(self):
        for what, found in (("inputs", len(self.system.inputs)), ("noises", self.system.noises)):
            if found:
                raise ValueError(
                    f"the equation has {found} {what}, and one in a latent space can have none; "
                    "leave them out of its text."
                )

    @property
    def latents(self) -> Latents:
        """The equation's."""
        return self.system.latents

    def start(self, z: Float[Array, " latent"]) -> Float[Array, " state"]:
        """The initial state."""
        return self.system.start(z)

    def rates(
        self, t: Float[Array, ""], s: Float[Array, " state"], z: Float[Array, " latent"]
    ) -> Float[Array, " state"]:
        """The right-hand side."""
        return self.system.rates(t, s, z, jnp.zeros(0, s.dtype))

    def observe(
        self, t: Float[Array, ""], s: Float[Array, " state"], z: Float[Array, " latent"]
    ) -> Float[Array, " feature"]:
        """The equation's reading."""
        return self.system.observe(t, s, z, jnp.zeros(0, s.dtype))


@dataclass(frozen=True)
class Chosen:
    """The dynamics of an equation for some data; whether what it observes `is_observation`, name
    by name; and how many steps it takes from one time to the next."""

    dynamics: SystemDynamics
    is_observation: bool
    steps: int


def system_dynamics(source: str, data: Dataset) -> Chosen:
    """The equation of a text as dynamics for a `LatentODE` of `data`.

    **Raises:** `EquationError` for a wrong text, `ValueError` for an equation with inputs or
    noise of its own.
    """
    made = parse(source)
    dynamics = SystemDynamics(made)
    times = np.asarray(data.schema.times) if data.times is None else data.times[0]
    method = suited(made, made.latents, np.unique(times)).method
    substeps = method.substeps if isinstance(method, Grid) else _MOST_SUBSTEPS
    steps = substeps * (data.schema.shape[0] - 1)
    itself = tuple(v.name for v in made.observables) == data.schema.channels
    return Chosen(dynamics, itself, steps)


class LatentRates(eqx.Module):
    """The rates of neural dynamics in the precision in which they are asked."""

    dynamics: NeuralDynamics

    def __call__(
        self, t: Float[Array, ""], x: Float[Array, " state"], z: Float[Array, " latent"]
    ) -> Float[Array, " state"]:
        """The network's."""
        return in_precision(self.dynamics, x).rates(t, x, z)


def latent_system(model: LatentODE) -> AbstractSystem | CallableSystem:
    """The differential equation that a latent ODE solves, for `analyse`: the equation that it was
    given, or the system of the states z1, z2, … that its network moves."""
    dynamics = model.dynamics
    if isinstance(dynamics, SystemDynamics):
        return dynamics.system
    assert isinstance(dynamics, NeuralDynamics)
    names = dynamics.latents.names
    starts = latents([f"{name}(0)" for name in names], [normal()] * len(names))
    return system(LatentRates(dynamics), states=names, latents=starts)
