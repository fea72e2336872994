r"""A stochastic equation as a model: it is simulated, and where its states are observed it says
how likely a path is.

$dx = f\,dt + g\,dW$ in Itô's sense, with jumps where the text has them. Chance is in the course
itself, not in the instrument: an observation is a path at the observation's times.
"""

from collections.abc import Sequence
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from ..._latents import Latents
from ..._model import (
    AbstractDecoder,
    AbstractDensity,
    AbstractLikelihood,
    Condition,
    DensityKind,
    Key,
    Latent,
    Observation,
    Scalar,
)
from .._system import AbstractSystem
from ..language._text import TextSystem, parse
from ..solving._drive import Drive, course, drive
from ..solving._equation import interpolations
from ._paths import Dynamics, expected, jumps_of, simulate, states_under_a_root
from ._pseudo import euler_log_density, euler_moments, halved_log_density
from ._recognise import LAWS, recognise, transition


class AbstractStochastic(AbstractDecoder):
    """What both kinds of stochastic model have in common: a path, with and without chance."""

    system: eqx.AbstractVar[AbstractSystem]
    times: eqx.AbstractVar[tuple[float, ...]]
    substeps: eqx.AbstractVar[int]
    exact: eqx.AbstractVar[bool]
    known: eqx.AbstractVar[Latents | None]

    @property
    def latents(self) -> Latents:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The system's, or what a fit has left of them."""
        return self.system.latents if self.known is None else self.known

    @property
    def is_exact(self) -> bool:
        """Whether the transition density is known and used."""
        return self.exact and recognise(self.system) is not None

    # compiled here, so that a call outside any jit does not compile the steps anew
    @eqx.filter_jit
    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        r"""Without a key the expected path: the mean itself where the transition is known or
        where $f + \lambda \mathbb{E}[\ell]$ is linear in the state; elsewhere the path without
        noise, which is not the mean. With a key a random path: by the exact transition where it
        is known, elsewhere in `substeps` steps (`simulate`)."""
        times, inputs = course(self.times, condition, z)
        u = drive(times, inputs, interpolations(self.system))
        x = self._states(z, times, u, key)
        return jax.vmap(lambda t, x: self.system.observe(t, x, z, u(t)))(times, x)

    def _states(
        self, z: Latent, times: Float[Array, " time"], u: Drive, key: Key | None
    ) -> Float[Array, "time state"]:
        if not self.is_exact:
            if key is None:
                return expected(self.dynamics(z), times, u, self.substeps)
            return simulate(self.dynamics(z), times, u, self.substeps, key=key)
        law, start = transition(self.system, z), self.system.start(z)
        if key is None:
            return jax.vmap(lambda t: law.mean(start[0], t - times[0])[None])(times)

        def step(x: Scalar, at: tuple[Array, Array]) -> tuple[Scalar, Scalar]:
            h, i = at
            # padding repeats the last time, and there the path stands still
            moved = law.draw(x, jnp.where(h > 0, h, 1.0), key=jax.random.fold_in(key, i))
            x = jnp.where(h > 0, moved, x)
            return x, x

        h = jnp.diff(times)
        _, later = jax.lax.scan(step, start[0], (h, jnp.arange(h.size)))
        return jnp.concatenate([start, later])[:, None]

    def dynamics(self, z: Latent) -> Dynamics:
        """The system at the latents `z`, roots kept real."""
        return Dynamics(self.system, z, states_under_a_root(self.system))


class StochasticSimulator(AbstractStochastic):
    """A stochastic equation that is drawn from, its states observed or not; see
    `stochastic_equation`.

    **Arguments:** `system`; `times`, where an observation is sampled unless its condition says
    otherwise; `substeps` of the simulation between two of them; `exact`, whether a known
    transition is used; `known`, the latents as a fit narrowed them.
    """

    system: AbstractSystem
    times: tuple[float, ...] = eqx.field(static=True)
    substeps: int = eqx.field(static=True, default=16)
    exact: bool = eqx.field(static=True, default=True)
    known: Latents | None = None

    def __check_init__(self):
        _check(self)


class StochasticEquation(AbstractStochastic, AbstractLikelihood, AbstractDensity):
    r"""A stochastic equation whose states are observed without error; see `stochastic_equation`.

    $\log p(x \mid z) = \sum_i \log p(x_i \mid x_{i-1}, z)$ over the rows that were observed, each
    given the one observed before it. A row counts where all its states were observed. The first
    row, where it was observed, is given, because `z` leaves no chance in it; where it was not,
    the course begins at the start that `z` says.

    **Arguments:** as of `StochasticSimulator`; `draws` of the prior that `log_density` takes;
    `halved`, whether Euler's likelihood takes two half steps from row to row, which is how its
    bias is found (`halved_log_density`).

    **Raises:** `ValueError` where there is no noise, where a state is not observed, where states
    share too few noises for a density, and where the likelihood that was asked for is not known.
    """

    density_kind: ClassVar[DensityKind] = "estimate"

    system: AbstractSystem
    times: tuple[float, ...] = eqx.field(static=True)
    substeps: int = eqx.field(static=True, default=16)
    exact: bool = eqx.field(static=True, default=True)
    draws: int = eqx.field(static=True, default=256)
    halved: bool = eqx.field(static=True, default=False)
    known: Latents | None = None

    def __check_init__(self):
        _check(self)
        reason = why_no_likelihood(self.system)
        if reason:
            raise ValueError(f"{reason} StochasticSimulator(system, times) simulates it.")
        if self.draws < 1:
            raise ValueError(f"{self.draws} draws were asked for; log_density needs at least 1.")
        if self.halved and (self.is_exact or jumps_of(self.system) or len(self.system.states) > 2):
            raise ValueError(
                "half steps are for Euler's likelihood of one or two states without jumps; leave "
                "halved=False."
            )

    @property
    def likelihood_kind(self) -> str:
        """What the likelihood is, in words."""
        if self.is_exact:
            return "exact"
        return "Euler pseudo-likelihood, bias O(h)" + (" of half steps" if self.halved else "")

    @property
    def law(self) -> str:
        """The name of the law that the equation obeys, or "" where its transition is unknown."""
        kind = recognise(self.system)
        return LAWS[kind] if kind else ""

    @eqx.filter_jit
    def log_likelihoods(
        self, x: Observation, z: Latent, condition: Condition = None
    ) -> Float[Array, " time"]:
        """What each row of `x` `(time, state)` adds to the log-likelihood, in nats; 0 for a row
        that is given or was not observed."""
        rows = self._rows(x, z, condition)
        if self.is_exact:
            law = transition(self.system, z)
            each = jax.vmap(lambda r: law.log_density(r.later[0], r.x[0], r.h))(rows)
        else:
            of = self.dynamics(z)
            density = halved_log_density if self.halved else euler_log_density
            each = jax.vmap(lambda r: density(of, r.t, r.x, r.u, r.h, r.later))(rows)
        return jnp.where(rows.counts, each, 0.0)

    def log_likelihood(self, x: Observation, z: Latent, condition: Condition = None) -> Scalar:
        r"""$\sum_i \log p(x_i \mid x_{i-1}, z)$ in nats; `likelihood_kind` says how it is known."""
        return self.log_likelihoods(x, z, condition).sum()

    @eqx.filter_jit
    def one_step(
        self, x: Observation, z: Latent, condition: Condition = None
    ) -> tuple[Float[Array, "time state"], Float[Array, "time state"]]:
        """Mean and standard deviation of each row given the one observed before it; NaN for a
        row that is given or was not observed."""
        rows = self._rows(x, z, condition)
        if self.is_exact:
            law = transition(self.system, z)
            mean = jax.vmap(lambda r: law.mean(r.x[0], r.h)[None])(rows)
            variance = jax.vmap(lambda r: law.variance(r.x[0], r.h)[None])(rows)
        else:
            of = self.dynamics(z)
            mean, covariance = jax.vmap(lambda r: euler_moments(of, r.t, r.x, r.u, r.h))(rows)
            variance = jnp.diagonal(covariance, axis1=1, axis2=2)
        counts = rows.counts[:, None]
        return jnp.where(counts, mean, jnp.nan), jnp.where(counts, jnp.sqrt(variance), jnp.nan)

    @eqx.filter_jit
    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""$\log p(x_0) + \log \tfrac1n \sum_j p(x \mid z_j)$ with $z_j$ drawn from the prior.

        $p(x_0)$ is the prior of the start, where the first row was observed and its states are
        latents. A long record determines $z$ far better than a wide prior does; then few draws
        come near, and the estimate is too low on average and scatters.
        """
        key = jax.random.key(0) if key is None else key
        zs = jax.vmap(self.latents.sample)(jax.random.split(key, self.draws))
        values = jax.lax.map(
            lambda z: self.log_likelihood(x, z, condition), zs, batch_size=min(self.draws, 32)
        )
        values = jnp.where(jnp.isnan(values), -jnp.inf, values)
        mean = logsumexp(values) - jnp.log(jnp.asarray(self.draws, values.dtype))
        return mean + self._log_start(jnp.asarray(x[0], values.dtype))

    def _log_start(self, first: Float[Array, " state"]) -> Scalar:
        names = [f"{state.name}(0)" for state in self.system.states]
        known = [i for i, name in enumerate(names) if name in self.latents.names]
        seen = ~jnp.isnan(first).any()
        if not known or not isinstance(self.system, TextSystem):
            return jnp.zeros((), first.dtype)
        place = [self.latents.index(names[i]) for i in known]
        start = Latents(
            tuple(self.latents.names[j] for j in place),
            tuple(self.latents.units[j] for j in place),
            tuple(self.latents.priors[j] for j in place),
        )
        # an entry that was not observed is replaced, so that no gradient comes back as NaN
        point = start.from_normal(jnp.zeros(len(place), first.dtype))
        point = jnp.where(seen, first[jnp.asarray(known)], point)
        return jnp.where(seen, start.log_prior(point), 0.0)

    def _rows(self, x: Observation, z: Latent, condition: Condition) -> "_Rows":
        times, inputs = course(self.times, condition, z)
        u = drive(times, inputs, interpolations(self.system))
        x = jnp.asarray(x, z.dtype)
        seen = ~jnp.isnan(x).any(axis=1)
        row = jnp.arange(times.size)
        last = jax.lax.cummax(jnp.where(seen, row, -1))
        before = jnp.concatenate([jnp.full(1, -1), last[:-1]])
        start = self.system.start(z)
        # what was not observed is filled in before it is computed with: a NaN would come back
        # through the gradient
        filled = jnp.where(seen[:, None], x, start[None, :])
        begun, index = before >= 0, jnp.maximum(before, 0)
        t = times[index]
        h = times - t
        return _Rows(
            t=t,
            h=jnp.where(h > 0, h, 1.0),
            x=jnp.where(begun[:, None], filled[index], start[None, :]),
            later=filled,
            u=jax.vmap(u)(t),
            counts=seen & (h > 0),
        )


class _Rows(eqx.Module):
    """From where, and how long after, each row of an observation came about."""

    t: Float[Array, " *time"]
    h: Float[Array, " *time"]
    x: Float[Array, "*time state"]
    later: Float[Array, "*time state"]
    u: Float[Array, "*time input"]
    counts: Array


def stochastic_equation(
    source: str | AbstractSystem,
    *,
    until: float | None = None,
    samples: int = 201,
    times: Sequence[float] | np.ndarray | None = None,
    substeps: int = 16,
) -> StochasticEquation | StochasticSimulator:
    """A stochastic equation as a model: with a likelihood where its states are all observed and
    their transition, exact or Euler's, has a density; else one that only simulates.

    **Arguments:** `source`, its text (see `parse`) or a system; the observation's `times`, or
    `samples` even ones from 0 to `until` (10 where nothing is said); `substeps` of a simulation
    between two times, where the transition is not known.

    **Raises:** `EquationError` where the text is wrong; `ValueError` for times that do not rise
    and for an equation without noise.
    """
    system = parse(source) if isinstance(source, str) else source
    if times is None:
        times = np.linspace(0.0, 10.0 if until is None else until, samples)
    grid = tuple(np.asarray(times, dtype=np.float64).tolist())
    kind = StochasticSimulator if why_no_likelihood(system) else StochasticEquation
    return kind(system=system, times=grid, substeps=substeps)  # pyright: ignore[reportCallIssue]


def why_no_likelihood(system: AbstractSystem) -> str:
    """In a sentence why a path of the system has no likelihood here, or ""."""
    hidden = _hidden(system)
    if hidden:
        return (
            f"{' and '.join(hidden)} {'is' if len(hidden) == 1 else 'are'} not observed as such, "
            "and a likelihood of the rest would have to integrate over every path: this equation "
            "has none."
        )
    states = len(system.states)
    if recognise(system) is None and system.noises < states:
        return (
            f"{states} state(s) are driven by {system.noises} noise(s), so that a step has no "
            "density: this equation has no likelihood."
        )
    if recognise(system) is None and len(jumps_of(system)) > 1:
        return "the likelihood of more than one jump process is not known here."
    return ""


def _hidden(system: AbstractSystem) -> list[str]:
    """The states that are not observables in their own place and form."""
    shown = [variable.name for variable in system.observables]
    names = [state.name for state in system.states]
    if isinstance(system, TextSystem):
        formulas = system.expressions
        same = formulas.observed == formulas.states
        shown = [str(f) for f in formulas.observed if f in formulas.states]
    else:
        same = shown == names
    return [] if same else [name for name in names if name not in shown] or names


def _check(model: AbstractStochastic) -> None:
    system = model.system
    if not system.noises and not jumps_of(system):
        raise ValueError(
            "this equation has no noise (no dW and no dN): make it with equation(...)."
        )
    if isinstance(system, TextSystem) and system.events:
        raise ValueError(
            f"a stochastic equation is simulated without events: take away the line "
            f"'{system.events[0].words}'."
        )
    if len(model.times) < 2 or not all(np.diff(np.asarray(model.times)) > 0):
        raise ValueError("a stochastic equation needs at least two times, in rising order.")
    if model.substeps < 1:
        raise ValueError(f"{model.substeps} substeps were asked for; give at least 1.")
