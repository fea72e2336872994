"""Records cut into pieces, from which a field is learned before whole courses are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from .._noise import Gaussian
from .._programs import program
from ..equations.fitting._levenberg import coordinates_of, lanes_at, minimise
from ..equations.fitting._match import Smooth, inside, support
from ..equations.fitting._problem import Problem
from ..equations.solving._solve import Grid
from ._joint import JointSystem, free_starts, joined
from ._recipes import Hold
from ._sensitive import SensitiveSlopes

# a step of Levenberg and Marquardt more is rarely worth it, and held-out times judge
_MOST = 40
_NODES = 120
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, eq=False)
class Courses:
    """Records as arrays: `x` `(record, time, channel)`, NaN where nothing was observed; `times`
    `(record, time)`, level where a record has ended; `inputs` `(record, time, input)`."""

    x: np.ndarray
    times: np.ndarray
    inputs: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """How many times of its own each record has."""
        return 1 + (np.diff(self.times, axis=1) > 0).sum(axis=1)

    def span(self, begin: np.ndarray, end: np.ndarray, size: int) -> "Courses":
        """Of each record the times from `begin` up to and with `end`, padded to `size`."""
        rows = np.minimum(begin[:, None] + np.arange(size), end[:, None])
        over = begin[:, None] + np.arange(size) > end[:, None]
        x = np.take_along_axis(self.x, rows[..., None], axis=1)
        return Courses(
            np.where(over[..., None], np.nan, x),
            np.take_along_axis(self.times, rows, axis=1),
            np.take_along_axis(self.inputs, rows[..., None], axis=1),
        )

    def take(self, records: np.ndarray) -> "Courses":
        """Some records, or some of them several times."""
        return Courses(self.x[records], self.times[records], self.inputs[records])

    def pieces(self, parts: int, size: int) -> tuple["Courses", np.ndarray, np.ndarray]:
        """Every record in so many pieces that share their ends, of `size` times, and for each
        piece its record and where it begins there."""
        record = np.repeat(np.arange(len(self.x)), parts)
        last = self.lengths[record] - 1
        number = np.tile(np.arange(parts), len(self.x))
        begin, end = number * last // parts, (number + 1) * last // parts
        return self.take(record).span(begin, end, size), record, begin

    def without(self, share: float, hold: Hold) -> tuple["Courses", np.ndarray]:
        """All but a `share` of each record, in arrays of the same shape, and `(record, time)`,
        what was held out: the end of each, or a stretch that lies elsewhere in every record."""
        at = np.arange(self.x.shape[1])[None]
        if hold == "ends":
            cut = np.maximum(((1 - share) * self.lengths).astype(int), 3)
            return self.span(np.zeros_like(cut), cut - 1, at.size), at >= cut[:, None]
        size = np.maximum((share * self.lengths).astype(int), 1)
        # the golden ratio spreads any number of stretches evenly, and its end is an end, too
        place = np.arange(1, 1 + len(self.x)) * _GOLDEN % 1.0
        first = (place * (self.lengths - size + 1)).astype(int)[:, None]
        held = (at >= first) & (at < first + size[:, None])
        return replace(self, x=np.where(held[..., None], np.nan, self.x)), held


@dataclass(frozen=True, eq=False)
class Learned:
    """Where a stage ended: of every lane the shared coordinates and the state at which each
    piece begins, in the latents' own values; `objective` `(lane,)`."""

    u: np.ndarray
    z: np.ndarray
    objective: np.ndarray
    begin: np.ndarray


def slopes_matched(
    problem: Problem,
    system: JointSystem,
    courses: Courses,
    curves: Sequence[Smooth],
    z: np.ndarray,
    place: dict[int, int],
) -> np.ndarray:
    """Starts `(start, record, latent)` brought near by the slopes of the smoothed records, and
    begun where these begin; as they were where that leads nowhere."""
    count = np.arange(courses.x.shape[1])
    # the very ends left out: a spline's slope is least certain there
    inner = [np.linspace(min(1, n - 1), max(n - 2, 0), _NODES) for n in courses.lengths]
    pairs = zip(inner, courses.times, strict=True)
    times = np.stack([np.interp(at, count, t) for at, t in pairs])
    states = np.stack([one.states(at) for one, at in zip(curves, times, strict=True)])
    slopes = np.stack([one.slopes(at) for one, at in zip(curves, times, strict=True)])
    inputs = np.zeros((*times.shape, courses.inputs.shape[-1]))
    for r, c in np.ndindex(len(times), inputs.shape[-1]):
        inputs[r, :, c] = np.interp(times[r], courses.times[r], courses.inputs[r, :, c])
    size = np.maximum(slopes.std(axis=(0, 1)), 1e-9 * np.abs(slopes).max() + 1e-300)
    match = replace(
        joined(problem, system, Grid(1)),
        curve=SensitiveSlopes(system),
        noise=Gaussian.fixed(1.0),
        x=jnp.asarray(slopes),
        conditions=jax.device_put((times, states, inputs)),
        floor=jnp.asarray(1e-2 * size),
    )
    latents = system.latents
    u = inside(latents, np.asarray(unconstrained(latents, jnp.asarray(z))))
    lanes = minimise(match, lanes_at(match, u), most=_MOST)
    u = inside(latents, coordinates_of(match, lanes))
    moved = np.array(constrained(latents, jnp.asarray(u)))
    for state, j in place.items():
        low, high = support(latents, j)
        margin = 1e-3 * (high - low) if np.isfinite(high - low) else 1e-6
        begin = [one.states(t[:1])[0, state] for one, t in zip(curves, courses.times, strict=True)]
        pinned = np.asarray(problem.pinned)[:, j]
        begin = np.clip(begin, low + margin, high - margin)
        moved[..., j] = np.where(np.isnan(pinned), begin, pinned)
    good = np.asarray(np.isfinite(moved).all(axis=(1, 2)))
    return np.where(good[:, None, None], moved, z)


def stage(
    problem: Problem,
    system: JointSystem,
    method: Grid,
    courses: Courses,
    z: np.ndarray,
    parts: int,
    place: dict[int, int],
    states: np.ndarray | None,
    *,
    most: int = _MOST,
    free: np.ndarray | None = None,
) -> Learned:
    """Fits all lanes to records cut into `parts`.

    **Arguments:** `z` `(lane, record, latent)`, where each begins; `states` `(record, time,
    state)`, where pieces begin that are not a record's first; `free` `(latent,)`, what moves.
    """
    size = -(-(courses.x.shape[1] - 1) // parts) + 1
    cut, record, begin = courses.pieces(parts, size)
    known = system.known
    z, pinned = z[:, record], np.asarray(problem.pinned)[record]
    if parts > 1:
        assert states is not None
        known = free_starts(known, place, states)
        for state, j in place.items():
            z[:, begin > 0, j] = states[record, begin, state][begin > 0]
            pinned[begin > 0, j] = np.nan
    system = replace(system, known=known)
    own = list(problem.is_own)
    for j in place.values():
        own[j] = own[j] or len(record) > 1
    held = jax.device_put((cut.x, (cut.times, cut.inputs), pinned))
    cut_problem = replace(
        joined(replace(problem, x=held[0], conditions=held[1], pinned=held[2]), system, method),
        is_own=(*own, *(False,) * system.widths.size),
    )
    latents = system.latents
    u = inside(latents, np.asarray(unconstrained(latents, jnp.asarray(z))))
    moving = None if free is None else np.broadcast_to(free, u.shape)
    lanes = minimise(cut_problem, lanes_at(cut_problem, u, moving), most=most)
    u = coordinates_of(cut_problem, lanes)
    z = np.array(constrained(latents, jnp.asarray(u)))
    return Learned(u, z, np.asarray(lanes.objective), begin)


def of_records(z: np.ndarray, parts: int, *, last: bool = False) -> np.ndarray:
    """Of pieces `(lane, piece, latent)` each record's first, or its last."""
    return z[:, parts - 1 :: parts] if last else z[:, ::parts]


@program
def unconstrained(latents, z):
    return jax.vmap(jax.vmap(latents.unconstrain))(z)


@program
def constrained(latents, u):
    return jax.vmap(jax.vmap(latents.constrain))(u)
