"""What every equation is to the solver, the fit and the analysis: rates, a start, an output."""

import abc
from dataclasses import dataclass

import equinox as eqx
from jaxtyping import Array, Float

from .._latents import Latents


@dataclass(frozen=True)
class Variable:
    """A named quantity with its unit, "" for none."""

    name: str
    unit: str = ""


class AbstractSystem(eqx.Module):
    r"""$\dot x = f(t, x, z, u)$, $x(t_0) = x_0(z)$, observed as $y = h(t, x, z, u)$.

    `z` `(latent,)` are all latents in the order of `latents`, parameters and initial state
    alike; `x` `(state,)`; `u` `(input,)` the inputs at time `t`, which counts in `time_unit`.
    `is_own` says for each latent whether every record has its own (an initial state, most
    often) or all records share it.
    """

    @property
    @abc.abstractmethod
    def latents(self) -> Latents:
        """The latents with their units and priors."""

    @property
    @abc.abstractmethod
    def is_own(self) -> tuple[bool, ...]:
        """For each latent, whether every record has its own."""

    @property
    @abc.abstractmethod
    def states(self) -> tuple[Variable, ...]:
        """The state's components."""

    @property
    @abc.abstractmethod
    def inputs(self) -> tuple[Variable, ...]:
        """What drives the equation from outside."""

    @property
    @abc.abstractmethod
    def observables(self) -> tuple[Variable, ...]:
        """What is observed, the channels of an observation."""

    @property
    @abc.abstractmethod
    def time_unit(self) -> str:
        """The unit of time."""

    @property
    @abc.abstractmethod
    def noises(self) -> int:
        """How many Wiener processes drive the state; 0 for an ordinary equation."""

    @abc.abstractmethod
    def rates(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, " state"]:
        r"""$f(t, x, z, u)$, for a stochastic equation its drift."""

    @abc.abstractmethod
    def diffuse(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, "state noise"]:
        r"""The matrix $g$ in $dx = f\,dt + g\,dW$; `(state, 0)` for an ordinary equation."""

    @abc.abstractmethod
    def start(self, z: Float[Array, " latent"]) -> Float[Array, " state"]:
        """The state at the first time."""

    @abc.abstractmethod
    def observe(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, " observable"]:
        """What an instrument without noise would read."""
