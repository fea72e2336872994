r"""The search for latents and weights: slopes first, then pieces of the records, then all of them.

Every step is a least-squares problem under the prior of the weights, solved by Levenberg and
Marquardt's method over latents and weights together. How far the weights may go, whether whole
records or pieces of them were followed last, and which start is kept, a part of every record
decides, which was held out: its end, or a stretch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._programs import program
from ..data import Dataset
from ..equations import CURVE_NOISES, FitError
from ..equations._system import AbstractSystem
from ..equations.fitting._grid import EquationCurve, first_method
from ..equations.fitting._identify import problem_of
from ..equations.fitting._match import Smooth, initial_latents, readings_of, smoothed
from ..equations.fitting._prepare import courses, prepared
from ..equations.fitting._problem import Problem
from ..equations.solving._choose import medians, starting_points
from ..equations.solving._equation import interpolations, noise_word
from ..equations.solving._solve import Grid
from ._joint import JointSystem, joined, joint
from ._recipes import Hold
from ._sensitive import SensitiveCurve
from ._stages import Courses, Learned, of_records, slopes_matched, stage, unconstrained

#: How much room weights are given, the shares of each record's end held out to choose by, and
#: into how many pieces a record is cut.
DECAYS = (0.3, 1.0, 3.0)
HELD_OUT = 0.2
PARTS = (6, 1)
# forecasts are about as good as another where their errors are within so much
_TIE = 1.1
# whole records can be followed where that is no more than so many times worse than pieces
_FOLLOWS = 2.0
# fewer times a piece than this say nothing
_FEWEST = 6
_MOST_SUBSTEPS = 16
# as large an error of the solver as is let pass, in the noise's deviations
_SOLVER_ERROR = 0.02

Say = Callable[[str], None]


class Candidate(NamedTuple):
    """What was tried: the room for weights, the pieces followed last, and the error of the
    forecast of each lane, in standard deviations of each channel."""

    decay: float
    parts: int
    errors: np.ndarray


@dataclass(frozen=True, eq=False)
class Search:
    """What was found: the joint `problem` of whole records at coordinates `u` `(record,
    latent)`, latents and weights alike, and `bare`, that of the latents alone; `forecasts` by the
    word for what made them, in standard deviations; `objectives` `(lane,)`; `solver_error` in the
    noise's standard deviations; `hold`, what of the records was held out."""

    system: JointSystem
    method: Grid
    bare: Problem
    problem: Problem
    u: np.ndarray
    z: np.ndarray
    objectives: np.ndarray
    candidates: tuple[Candidate, ...]
    chosen: Candidate
    forecasts: Mapping[str, float]
    notes: tuple[str, ...]
    matched: bool
    solver_error: float
    hold: Hold


class _Case(NamedTuple):
    """A system with its data, ready to be fitted."""

    system: AbstractSystem
    problem: Problem
    whole: Courses
    place: dict[int, int]
    notes: tuple[str, ...]


def learn(
    system: AbstractSystem,
    data: Dataset,
    *,
    near: np.ndarray | None = None,
    starts: int = 4,
    noise: str | None = None,
    fixed: Mapping[str, float] | None = None,
    decays: Sequence[float] = DECAYS,
    held_out: float = HELD_OUT,
    hold: Hold = "ends",
    say: Say = lambda sentence: None,
    seed: int = 0,
) -> Search:
    """Latents and weights of a system, of which a part of each record chooses the decay.

    **Arguments:** `near` `(record, latent)`, latents to begin at, as the formula alone gave;
    `starts`, how many draws of the weights; `held_out`, the share of each record that is held
    out; `hold`, whether that is its end.

    **Raises:** `FitError` where no start has a finite course.
    """
    with jax.enable_x64(True):
        case = _case(system, data, noise, fixed or {})
        early, held = case.whole.without(held_out, hold)
        # a piece forecasts nothing but the end
        parts = PARTS if hold == "ends" else (1,)
        tried, method = _tried(case, early, held, parts, near, starts, decays, say, seed)
        chosen, got, both, lane = _chosen(tried)
        if not np.isfinite(chosen.errors[lane]):
            raise FitError(
                "no start of the networks leads to a finite course: narrow the ranges of the "
                "latents, or begin with a shorter record."
            )
        say(f"all of the records, from the best: room {chosen.decay:g}, {chosen.parts} piece(s)")
        z = _carried(got, chosen.parts)[lane : lane + 1]
        follow = _may_follow(chosen, [candidate for candidate, _, _ in tried])
        while True:
            problem, u, z, objective = _refitted(case, both, method, z, chosen, follow)
            error = _solver_error(problem, u, both, method)
            if error <= _SOLVER_ERROR or method.substeps >= _MOST_SUBSTEPS:
                break
            method, z = Grid(2 * method.substeps), z[None]
            say(f"a finer solve is needed: {method.substeps} steps a sample")
        bare = replace(case.problem, curve=EquationCurve(system, method, interpolations(system)))
    reached = got.objective - np.min(got.objective) + objective
    return Search(
        both, method, bare, problem, u, z, reached, tuple(c for c, _, _ in tried), chosen,
        {"this": float(chosen.errors[lane]), **_plain(case, held)}, case.notes,
        _smooth(case, early) is not None, error, hold,
    )  # fmt: skip


def _tried(
    case: _Case,
    early: Courses,
    held: np.ndarray,
    cuts: tuple[int, ...],
    near: np.ndarray | None,
    starts: int,
    decays: Sequence[float],
    say: Say,
    seed: int,
) -> tuple[list[tuple[Candidate, Learned, JointSystem]], Grid]:
    """Every decay and every cut of the records, one after the other, on all but what is held."""
    tried: list[tuple[Candidate, Learned, JointSystem]] = []
    curves = _smooth(case, early)
    states = None if curves is None else _states(curves, early)
    method = Grid(4)
    for decay in decays:
        both = joint(case.system, decay)
        z = _drawn(case, both, near, starts, seed)
        if curves is not None:
            z = slopes_matched(case.problem, both, early, curves, z, case.place)
            if not tried:
                method = _method(case, both, z, curves)
        for parts in _parts(case, early, curves, cuts):
            got = stage(case.problem, both, method, early, np.array(z), parts, case.place, states)
            errors = _forecast_errors(case, both, method, got, parts, held)
            tried.append((Candidate(decay, parts, errors), got, both))
            say(
                f"room {decay:g}, records in {parts} piece(s): what is held out is missed by "
                f"{np.min(errors):.3g} standard deviations"
            )
            if np.isfinite(got.objective).any():
                z = _carried(got, parts)
    return tried, method


def _case(
    system: AbstractSystem, data: Dataset, noise: str | None, fixed: Mapping[str, float]
) -> _Case:
    word = noise or noise_word(system)
    if word not in CURVE_NOISES:
        raise FitError(f"'{word}' is no noise of an equation; it is {', '.join(CURVE_NOISES)}.")
    kind = CURVE_NOISES[word]
    times, inputs = courses(system, data)
    place = initial_latents(system, system.latents)
    x, pinned, notes = prepared(system, data, times, kind, fixed, place)
    problem = problem_of(system, x, times, inputs, pinned, kind, Grid(1))
    return _Case(system, problem, Courses(x, times, inputs), place, tuple(notes))


def _smooth(case: _Case, early: Courses) -> list[Smooth] | None:
    readings = readings_of(case.system, medians(case.system.latents))
    if readings is None:
        return None
    return smoothed(early.times, early.x, readings, log=case.problem.noise.is_log)


def _states(curves: Sequence[Smooth], courses: Courses) -> np.ndarray:
    return np.stack([one.states(t) for one, t in zip(curves, courses.times, strict=True)])


def _drawn(
    case: _Case, both: JointSystem, near: np.ndarray | None, starts: int, seed: int
) -> np.ndarray:
    """Where every start begins `(start, record, latent)`: spread over the latents' ranges, every
    other one at `near`, with weights drawn."""
    records = len(case.whole.x)
    random = np.random.default_rng(seed)
    weights = random.normal(0.0, 0.6, (starts, both.widths.size))
    z = starting_points(both.known, max(starts, 2), seed=seed)[:starts]
    z = np.repeat(z[:, None], records, axis=1)
    if near is not None:
        # where the formula alone says little, its estimates are a trap for some starts only
        z[::2] = near
    pinned = np.asarray(case.problem.pinned)
    z = np.where(np.isnan(pinned), z, pinned)
    return np.concatenate([z, np.repeat(weights[:, None], records, axis=1)], axis=-1)


def _chosen(
    tried: Sequence[tuple[Candidate, Learned, JointSystem]],
) -> tuple[Candidate, Learned, JointSystem, int]:
    """The best forecast; of those that are about as good, whole records before pieces, the least
    room for weights, and the start that explains most with the smallest weights: a network must
    not take what the formula can say."""
    best = min(float(np.min(candidate.errors)) for candidate, _, _ in tried)
    near = [
        (candidate.parts, candidate.decay, float(got.objective[lane]), i, lane)
        for i, (candidate, got, _) in enumerate(tried)
        for lane in np.flatnonzero(candidate.errors <= _TIE * best)
    ]
    _, _, _, i, lane = min(near)
    return (*tried[i], int(lane))


def _method(case: _Case, both: JointSystem, z: np.ndarray, curves: Sequence[Smooth] | None) -> Grid:
    """Steps fine enough along the smoothed records."""
    if curves is None:
        return Grid(4)
    problem = joined(case.problem, both, Grid(1))
    u = np.asarray(unconstrained(both.latents, jnp.asarray(z)))
    found = first_method(problem, both, u, case.whole.times, curves)
    substeps = found.substeps if isinstance(found, Grid) else _MOST_SUBSTEPS
    return Grid(min(substeps, _MOST_SUBSTEPS // 2))


def _parts(
    case: _Case, early: Courses, curves: Sequence[Smooth] | None, cuts: tuple[int, ...]
) -> tuple[int, ...]:
    """Into how many pieces records are cut, one after the other: in one where a piece could not
    begin anywhere, or would be too short."""
    own = {j for j, is_own in enumerate(case.system.is_own) if is_own}
    anywhere = set(case.place) == set(range(len(case.system.states)))
    alone = len(case.whole.x) == 1 or own <= set(case.place.values())
    if curves is None or not anywhere or not alone:
        return (1,)
    shortest = int(early.lengths.min())
    return tuple(dict.fromkeys(max(1, min(p, (shortest - 1) // _FEWEST)) for p in cuts))


def _carried(got: Learned, parts: int) -> np.ndarray:
    """The shared latents and weights of a stage, for whole records again."""
    return np.array(of_records(got.z, parts))


def _forecast_errors(
    case: _Case,
    both: JointSystem,
    method: Grid,
    got: Learned,
    parts: int,
    held: np.ndarray,
) -> np.ndarray:
    """How far each lane's course, from where its last piece begins, misses what was held out."""
    whole = case.whole
    begin = got.begin[parts - 1 :: parts]
    ahead = whole.span(begin, whole.lengths - 1, whole.x.shape[1])
    z = of_records(got.z, parts, last=True)
    curve = SensitiveCurve(both, method.substeps, interpolations(both))
    y = np.asarray(_curves(curve, *jax.device_put((z, (ahead.times, ahead.inputs)))))
    rows = np.minimum(np.arange(whole.x.shape[1])[None] + begin[:, None], whole.x.shape[1] - 1)
    late = np.take_along_axis(held, rows, axis=1)
    wrong = np.where(late[..., None], ahead.x, np.nan) - y
    errors = scaled_error(wrong, whole.x)
    return np.where(np.isfinite(got.objective) & np.isfinite(errors), errors, np.inf)


def scaled_error(wrong: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The root of the mean square over what was observed, each channel in its own standard
    deviations; `wrong` `(..., record, time, channel)`."""
    spread = np.nanstd(x.reshape(-1, x.shape[-1]), axis=0)
    seen = ~np.isnan(x) if wrong.shape == x.shape else None
    scaled = wrong / np.where(spread > 0, spread, 1.0)
    if seen is not None:
        scaled = np.where(seen, scaled, np.nan)
    square = np.where(np.isinf(scaled), 1e100, np.clip(scaled, -1e100, 1e100)) ** 2
    count = np.maximum((~np.isnan(square)).sum(axis=(-3, -2, -1)), 1)
    return np.asarray(np.sqrt(np.nansum(square, axis=(-3, -2, -1)) / count))


@program
def _curves(curve: SensitiveCurve, z, conditions):
    return jax.vmap(jax.vmap(curve), in_axes=(0, None))(z, conditions)


def _may_follow(chosen: Candidate, tried: Sequence[Candidate]) -> bool:
    """Whether whole records can be followed, as those in one piece showed: chaos forbids it."""
    best = float(np.min(chosen.errors))
    whole = [c for c in tried if c.parts == 1 and c.decay == chosen.decay]
    return any(float(np.min(c.errors)) <= _FOLLOWS * best for c in whole)


def _refitted(
    case: _Case,
    both: JointSystem,
    method: Grid,
    z: np.ndarray,
    chosen: Candidate,
    follow: bool,
) -> tuple[Problem, np.ndarray, np.ndarray, float]:
    """The chosen start, fitted to all of the records: in pieces first where pieces were chosen,
    then whole, where only each record's begin moves if they cannot be followed."""
    free = None
    if chosen.parts > 1:
        curves = _smooth(case, case.whole)
        assert curves is not None
        states = _states(curves, case.whole)
        got = stage(case.problem, both, method, case.whole, z, chosen.parts, case.place, states)
        z = _carried(got, chosen.parts)
        if not follow:
            free = np.zeros(both.latents.size, bool)
            free[list(case.place.values())] = True
    got = stage(case.problem, both, method, case.whole, z, 1, case.place, None, free=free)
    whole = case.whole
    held = jax.device_put((whole.x, (whole.times, whole.inputs)))
    problem = joined(replace(case.problem, x=held[0], conditions=held[1]), both, method)
    return problem, got.u[0], got.z[0], float(got.objective[0])


def _solver_error(problem: Problem, u: np.ndarray, both: JointSystem, method: Grid) -> float:
    """The largest difference from steps of half the width, in standard deviations of the noise."""
    curve = SensitiveCurve(both, 2 * method.substeps, interpolations(both))
    eta, scale, finer = _at_half(problem, replace(problem, curve=curve), jnp.asarray(u))
    gap = np.abs(np.asarray(eta - finer)) / np.asarray(scale)
    return float(np.nan_to_num(gap, nan=np.inf).max())


@program
def _at_half(problem: Problem, other: Problem, u):
    eta = problem.readings(u)
    return eta, problem.scale(eta)[None, None], other.readings(u)


def _plain(case: _Case, held: np.ndarray) -> dict[str, float]:
    """What the last value, carried on, and the mean miss of what was held out."""
    x = case.whole.x
    before = np.where(held[..., None], np.nan, x)
    mean = np.nanmean(before.reshape(-1, x.shape[-1]), axis=0)
    at = np.arange(x.shape[1])[None, :, None]
    known = np.maximum.accumulate(np.where(np.isnan(before), -1, at), axis=1)
    last = np.where(known >= 0, np.take_along_axis(before, np.maximum(known, 0), axis=1), mean)
    ahead = np.where(held[..., None], x, np.nan)
    return {
        "last value": float(scaled_error(ahead - last, x)),
        "mean": float(scaled_error(ahead - mean, x)),
    }


def found_count(found: Search) -> int:
    """How many numbers were observed."""
    return int((~np.isnan(np.asarray(found.problem.x))).sum())
