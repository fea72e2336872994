r"""The latent ODE: a series is a course of a differential equation in latent space, read off."""

import abc
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._latents import Latents
from ..._model import (
    AbstractDensity,
    AbstractPosterior,
    Condition,
    DensityKind,
    Key,
    Latent,
    Observation,
    Scalar,
)
from ..._noise import AbstractNoise
from ...data import Scale
from .._mlp import MLP
from .._observe import bounded, emit, evidence_bound, observation_log_likelihood
from .._real import real
from ..schemes._scheme import RK4, AbstractScheme
from ._times import times_of

State = Float[Array, " state"]
Time = Float[Array, ""]


class AbstractDynamics(eqx.Module):
    r"""What latents mean: where a course begins and how it goes on, $\dot s = f(t, s, z)$ with $t$
    in the user's unit of time."""

    @property
    @abc.abstractmethod
    def latents(self) -> Latents:
        """The latents and their priors."""

    @abc.abstractmethod
    def start(self, z: Latent) -> State:
        """The state at the first time."""

    @abc.abstractmethod
    def rates(self, t: Time, s: State, z: Latent) -> State:
        """$f$."""

    @abc.abstractmethod
    def observe(self, t: Time, s: State, z: Latent) -> Float[Array, " feature"]:
        """What of a state is read."""


class NeuralDynamics(AbstractDynamics):
    r"""The state begins as the latents themselves, all standard normal, and moves by a network:
    $\dot s = \mathrm{net}(s) / \tau$, where $\tau$ is `unit`."""

    net: MLP
    size: int = eqx.field(static=True)
    unit: float = eqx.field(static=True)

    @property
    def latents(self) -> Latents:
        """z1, z2, …"""
        return Latents.standard(self.size)

    def start(self, z: Latent) -> State:
        """The latents."""
        return z

    def rates(self, t: Time, s: State, z: Latent) -> State:
        """The network's."""
        return self.net(s) / self.unit

    def observe(self, t: Time, s: State, z: Latent) -> Float[Array, " feature"]:
        """All of the state."""
        return s


class LatentODE(AbstractPosterior, AbstractDensity):
    r"""A variational autoencoder whose decoder solves a differential equation (Chen et al. 2018,
    section 5; Rubanova et al. 2019):

    $$z \sim p(z), \quad s(t_0) = s_0(z), \quad \dot s = f(t, s, z), \quad
    x_i \sim p(x \mid \text{readout}(s(t_i))).$$

    So it can be asked at any times, its observations may have gaps and uneven times of their own,
    and where $f$ is an equation its latents keep their names and units. The solver takes `steps`
    equal steps of `scheme` from the first time to the last, and the states between them are those
    of Hermite's cubic.

    **Arguments:** `latents`, those of the dynamics; `encoder`, from scaled observation and times
    to mean and log standard deviation of the latents' standard scores; `dynamics`; `readout`, from
    what is observed of a state to the natural parameter of `noise`, or None where that is the
    observation in the user's units; `scale`; `times`, where an observation has none of its own;
    `draws`, how many estimate the bound.
    """

    density_kind: ClassVar[DensityKind] = "bound"

    latents: Latents
    encoder: Callable
    dynamics: AbstractDynamics
    readout: Callable | None
    noise: AbstractNoise
    scale: Scale
    times: tuple[float, ...] = eqx.field(static=True)
    steps: int = eqx.field(static=True, default=64)
    draws: int = eqx.field(static=True, default=8)
    scheme: AbstractScheme = eqx.field(default_factory=lambda: RK4)

    def posterior(self, x: Observation, condition: Condition = None) -> tuple[Latent, Latent]:
        r"""Mean and log standard deviation of $q(z \mid x)$, of the latents' standard scores."""
        scaled = self.scale.apply(real(x))
        mean, log_std = jnp.split(self.encoder(scaled, times_of(condition, self.times, scaled)), 2)
        return mean, bounded(log_std)

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        r"""The latents at the mean of $q(z \mid x)$, or with a key at a draw from it."""
        mean, log_std = self.posterior(x, condition)
        if key is not None:
            mean = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape, mean.dtype)
        return self.latents.from_white(mean)

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        r"""$\mathbb{E}[x \mid z]$ at the times of the condition, or with a key a draw."""
        return emit(self._parameters(z, condition), self.noise, self.scale, key)

    def log_likelihood(self, x: Observation, z: Latent, condition: Condition = None) -> Scalar:
        r"""$\log p(x \mid z)$ in nats."""
        eta = self._parameters(z, condition)
        return observation_log_likelihood(x, eta, self.noise, self.scale)

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        """The evidence lower bound."""
        return evidence_bound(self, x, condition, draws=self.draws, key=key)

    def path(self, z: Latent, times: Float[Array, " time"]) -> Float[Array, "time state"]:
        """The states at `times`, from the start at the first of them."""
        begin = times[0]
        width = (times[-1] - begin) / self.steps

        def rates(t: Time, s: State) -> State:
            return self.dynamics.rates(t, s, z)

        def step(state: State, n: Array) -> tuple[State, tuple[State, State]]:
            t = begin + n * width
            later = self.scheme.step(rates, t, width, self.scheme.begin(state))
            return self.scheme.end(later), (state, rates(t, state))

        count = jnp.arange(self.steps, dtype=times.dtype)
        last, (states, slopes) = jax.lax.scan(step, self.dynamics.start(z), count)
        states = jnp.concatenate([states, last[None]])
        slopes = jnp.concatenate([slopes, rates(times[-1], last)[None]])
        # all times are one where an observation has but one sample
        place = (times - begin) / jnp.where(width > 0, width, 1)
        return _between(states, width * slopes, place)

    def refined(self, factor: int) -> "LatentODE":
        """The same model on steps `factor` times as fine."""
        return LatentODE(
            self.latents, self.encoder, self.dynamics, self.readout, self.noise, self.scale,
            self.times, factor * self.steps, self.draws, self.scheme,
        )  # fmt: skip

    def _parameters(self, z: Latent, condition: Condition) -> Observation:
        times = times_of(condition, self.times, z)
        states = self.path(z, times)
        seen = jax.vmap(lambda t, s: self.dynamics.observe(t, s, z))(times, states)
        return self.scale.apply(seen) if self.readout is None else jax.vmap(self.readout)(seen)


def _between(
    states: Float[Array, "point state"], slopes: Float[Array, "point state"], place: Array
) -> Float[Array, "time state"]:
    """Hermite's cubic through values and slopes at the places 0, 1, 2, …, at other places."""
    n = jnp.clip(jnp.floor(place), 0, len(states) - 2).astype(jnp.int32)
    s = (place - n.astype(place.dtype))[:, None]
    a, b, p, q = states[n], states[n + 1], slopes[n], slopes[n + 1]
    rest = (1 - s) * ((1 - 2 * s) * (b - a) + (s - 1) * p + s * q)
    return (1 - s) * a + s * b - s * rest
