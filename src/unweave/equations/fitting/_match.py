r"""Starts from the data's own slopes, before anything is solved.

Each record is smoothed by a spline as rough as the data say; then the latents are sought for which
the rates agree with the spline's slopes,
$\min_z \sum_j |\hat x'(t_j) - f(t_j, \hat x(t_j), z)|^2$ (Varah 1982, SIAM J. Sci. Stat.
Comput. 3:28). No equation is solved, so no start can explode, and what is left to least squares
begins near its minimum. It needs every state: observed as it is or as its logarithm, or the slope
of one that is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import PchipInterpolator

from ..._latents import Latents
from ..._noise import Gaussian
from ..._programs import program
from .._system import AbstractSystem
from ..solving._choose import HostSystem, medians
from ._levenberg import coordinates_of, lanes_at, minimise
from ._problem import Problem
from ._smooth import Smoother

_NODES = 120
_REACH = 5.0


@dataclass(frozen=True)
class Reading:
    """How a state is read off the data: the `channel`, whether it is its logarithm, and whether
    the state is the slope of what is observed."""

    channel: int
    log: bool = False
    slope: bool = False


@dataclass(frozen=True)
class Smooth:
    """A smoothed record: its states, and their slopes, `(time, state)` as functions of time."""

    states: Callable[[np.ndarray], np.ndarray]
    slopes: Callable[[np.ndarray], np.ndarray]


class _Slopes(eqx.Module):
    """The rates at the nodes of a record, as a curve of the latents."""

    system: AbstractSystem

    def __call__(self, z: Array, condition: Any) -> Array:
        times, states, inputs = condition
        return jax.vmap(lambda t, x, u: self.system.rates(t, x, z, u))(times, states, inputs)


def matched(
    problem: Problem,
    system: AbstractSystem,
    times: Float[np.ndarray, "record time"],
    inputs: Float[np.ndarray, "record time input"],
    starts: Float[np.ndarray, "start latent"],
    smooth: Sequence[Smooth],
    place: Mapping[int, int],
) -> Float[np.ndarray, "start record latent"]:
    """Coordinates for every start, its rates matched to the slopes of the data and its initial
    state (`place` says which latent that is) set to the smoothed record's."""
    nodes = [_nodes(t) for t in times]
    states = np.stack([one.states(at) for one, at in zip(smooth, nodes, strict=True)])
    slopes = np.stack([one.slopes(at) for one, at in zip(smooth, nodes, strict=True)])
    driven = np.stack([_at(t, u, at) for t, u, at in zip(times, inputs, nodes, strict=True)])
    size = np.maximum(slopes.std(axis=(0, 1)), 1e-9 * np.abs(slopes).max() + 1e-300)
    match = Problem(
        _Slopes(system),
        Gaussian.fixed(1.0),
        problem.latents,
        jnp.asarray(slopes),
        jax.device_put((np.stack(nodes), states, driven)),
        problem.pinned,
        jnp.asarray(1e-2 * size),
        problem.is_own,
    )
    u = coordinates(problem.latents, starts, len(times))
    match = match.apart(len(starts)) if match.shares_nothing else match
    every = u.reshape(-1, match.x.shape[-3], u.shape[2])
    lanes = minimise(match, lanes_at(match, every), most=40)
    u = coordinates_of(match, lanes).reshape(u.shape)
    begin = np.stack([one.states(t[:1])[0] for one, t in zip(smooth, times, strict=True)])
    return _begin(problem.latents, place, inside(problem.latents, u), begin)


def coordinates(
    latents: Latents, starts: Float[np.ndarray, "start latent"], records: int
) -> Float[np.ndarray, "start record latent"]:
    """Every start's coordinates, the same for all records."""
    u = np.asarray(_unconstrained(latents, jnp.asarray(starts)))
    return np.repeat(inside(latents, u)[:, None], records, axis=1)


@program
def _unconstrained(latents: Latents, z: Array) -> Array:
    return jax.vmap(latents.unconstrain)(z)


@program
def _constrained(latents: Latents, u: Array) -> Array:
    return jax.vmap(latents.constrain)(u)


def constrained(
    latents: Latents, u: Float[np.ndarray, "point latent"], pinned: Float[np.ndarray, " latent"]
) -> Float[np.ndarray, "point latent"]:
    """Latents at coordinates, those that are pinned at their values."""
    return np.where(np.isnan(pinned), np.asarray(_constrained(latents, jnp.asarray(u))), pinned)


def inside(latents: Latents, u: np.ndarray) -> np.ndarray:
    """Coordinates of bounded latents kept off the ends of their intervals, where they are flat."""
    bounded = [p.family in ("uniform", "log-uniform", "truncated-normal") for p in latents.priors]
    return np.where(np.asarray(bounded), np.clip(u, -_REACH, _REACH), u)


def readings_of(system: AbstractSystem, z: np.ndarray) -> tuple[Reading, ...] | None:
    """How each state is read off the data, found by trying; None where one is not."""
    host, random = HostSystem(system), np.random.default_rng(0)
    n = len(system.states)
    x = random.uniform(0.5, 2.0, (3, n))
    y = np.stack([host.observe(0.0, one, z) for one in x])
    found: dict[int, Reading] = {}
    for i in range(n):
        for log, column in ((False, x[:, i]), (True, np.log(x[:, i]))):
            same = np.flatnonzero(np.all(np.abs(y - column[:, None]) < 1e-12, axis=0))
            if same.size and i not in found:
                found[i] = Reading(int(same[0]), log=log)
    rates = np.stack([host.rates(z)(0.0, one) for one in x])
    for i in range(n):
        for j, reading in tuple(found.items()):
            is_slope = np.allclose(rates[:, j], x[:, i], rtol=1e-12, atol=0)
            if i not in found and is_slope and not reading.log and not reading.slope:
                found[i] = Reading(reading.channel, slope=True)
    return tuple(found[i] for i in range(n)) if len(found) == n else None


def initial_latents(system: AbstractSystem, latents: Latents) -> dict[int, int]:
    """Which latent is the initial value of which state."""
    z = medians(latents)
    base = HostSystem(system).start(z)
    place = {}
    for j in range(latents.size):
        moved = z.copy()
        moved[j] += 0.5
        change = HostSystem(system).start(moved) - base
        touched = np.flatnonzero(change)
        if touched.size == 1 and np.isclose(change[touched[0]], 0.5):
            place[int(touched[0])] = j
    return place


def _begin(
    latents: Latents, place: Mapping[int, int], u: np.ndarray, begin: np.ndarray
) -> np.ndarray:
    """The coordinates of initial states set to where the records begin `(record, state)`."""
    if not place:
        return u
    z = np.array(_constrained(latents, jnp.asarray(u[0])))
    for state, j in place.items():
        low, high = support(latents, j)
        margin = 1e-3 * (high - low) if np.isfinite(high - low) else 1e-6
        z[:, j] = np.clip(begin[:, state], low + margin, high - margin)
    columns = list(place.values())
    u[:, :, columns] = np.asarray(_unconstrained(latents, jnp.asarray(z)))[:, columns]
    return inside(latents, u)


def support(latents: Latents, j: int) -> tuple[float, float]:
    """The ends of a latent's support."""
    prior = latents.priors[j]
    if prior.family == "normal":
        return -np.inf, np.inf
    if prior.family == "log-normal":
        return 0.0, np.inf
    low, high = prior.parameters[-2:]
    return low, high


def smoothed(
    times: Float[np.ndarray, "record time"],
    x: Float[np.ndarray, "record time channel"],
    readings: tuple[Reading, ...],
    *,
    log: bool,
) -> list[Smooth]:
    """Every record smoothed, with `log` as logarithms where it is positive."""
    smoothers: dict[bytes, Smoother] = {}
    return [_smooth(t, one, readings, log, smoothers) for t, one in zip(times, x, strict=True)]


def _smooth(
    times: np.ndarray,
    x: np.ndarray,
    readings: tuple[Reading, ...],
    log: bool,
    smoothers: dict[bytes, Smoother],
) -> Smooth:
    curves = {}
    for c in {reading.channel for reading in readings}:
        seen = ~np.isnan(x[:, c])
        positive = log and bool((x[seen, c] > 0).all())
        known = np.log(x[seen, c]) if positive else x[seen, c]
        curves[c] = _spline(times[seen], known, smoothers), positive

    def value(reading: Reading, t: np.ndarray, order: int) -> np.ndarray:
        spline, exponential = curves[reading.channel]
        order += reading.slope
        if not exponential and not reading.log:
            return spline(t, nu=order)
        # a state that was smoothed as, or is read as, a logarithm: x = e^s, x' = e^s s'
        size = np.exp(spline(t))
        if order < 2:
            return size if order == 0 else size * spline(t, nu=1)
        return size * (spline(t, nu=1) ** 2 + spline(t, nu=2))

    def column(t: np.ndarray, order: int) -> np.ndarray:
        return np.stack([value(reading, t, order) for reading in readings], axis=-1)

    return Smooth(lambda t: column(t, 0), lambda t: column(t, 1))


def _spline(
    times: np.ndarray, values: np.ndarray, smoothers: dict[bytes, Smoother]
) -> Callable[..., np.ndarray]:
    times, first = np.unique(times, return_index=True)
    values = values[first]
    if times.size >= 6:
        # records and channels with the same times share what depends on these alone
        key = times.tobytes()
        if key not in smoothers:
            smoothers[key] = Smoother(times)
        return smoothers[key](values[:, None])[0]
    if times.size >= 2:
        return PchipInterpolator(times, values)
    constant = float(values[0]) if values.size else 0.0
    return lambda t, nu=0: np.full(np.shape(t), constant if nu == 0 else 0.0)


def _nodes(times: np.ndarray) -> np.ndarray:
    """At most so many of the times, evenly spread, the very ends left out: a spline's slope is
    least certain there."""
    n = times.size
    inner = np.linspace(min(1, n - 1), max(n - 2, 0), _NODES)
    return np.interp(inner, np.arange(n), times)


def _at(times: np.ndarray, inputs: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    columns = [np.interp(nodes, times, column) for column in inputs.T]
    return np.stack(columns, axis=-1) if columns else np.zeros((nodes.size, 0))
