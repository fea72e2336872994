r"""Fitting an equation to recordings: many starts, many records, and how sure the answer is."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..._noise import AbstractCurveNoise
from ...data import Dataset
from .._system import AbstractSystem
from ..solving._choose import (
    HostSystem,
    enough_substeps,
    reference,
    starting_points,
    suited,
)
from ..solving._defect import grid_error
from ..solving._drive import drive
from ..solving._equation import CURVE_NOISES, Equation, interpolations, noise_word
from ..solving._solve import AbstractMethod, Adaptive, Grid
from ._certainty import Certainty, certainty
from ._levenberg import Lane, Problem, coordinates_of, lanes_at, minimise
from ._match import (
    Smooth,
    constrained,
    coordinates,
    initial_latents,
    matched,
    readings_of,
    smoothed,
)
from ._prepare import FitError as FitError
from ._prepare import courses, prepared

#: Two starts agree where their log-likelihoods differ by less than this, in nats.
AGREE = 0.01
# the largest difference from an adaptive solve that is let pass, in the noise's deviations
_SOLVER_ERROR = 0.005
_MOST_SUBSTEPS = 64
# within so many times what is allowed, the order of the method tells how many substeps do
_NEAR = 100.0
# and the most substeps that are taken to begin with
_FIRST = 16
# records at which the grid is held against an adaptive solve
_CHECKED = 4

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Best:
    """What the search found, before anything is said of it.

    `u` `(record, latent)` are the best coordinates, `z` the latents, `free` which of them were
    fitted; `objectives` `(start,)` the minus log-likelihoods that every start reached, infinite
    where it failed, and `agree` how many are the best one (of records that share nothing each is
    asked for itself: the mean over them); `scale` the noise of each channel; `solver_error` the
    largest difference of the fixed grid from an exact solve, in the noise's standard deviations;
    `matched` whether the slopes of the data brought every start near beforehand.
    """

    problem: Problem
    equation: Equation
    u: np.ndarray
    z: np.ndarray
    free: np.ndarray
    objective: float
    objectives: np.ndarray
    agree: float
    scale: np.ndarray
    solver_error: float
    seconds: float
    matched: bool
    notes: tuple[str, ...] = field(default=())

    @property
    def failed(self) -> int:
        """How many starts ended where the equation cannot be solved."""
        return int((~np.isfinite(self.objectives)).sum())

    def certainty(self) -> Certainty:
        """What the data say of the estimates."""
        with jax.enable_x64(True):
            return certainty(self.problem, self.u, self.free)


def search(
    system: AbstractSystem,
    data: Dataset,
    *,
    starts: int = 32,
    noise: str | None = None,
    fixed: Mapping[str, float] | None = None,
    say: Say = lambda sentence: None,
    seed: int = 0,
) -> Best:
    """The maximum of the likelihood over the free latents, from `starts` starts.

    **Arguments:** `data`, one observation a record; `noise`, a word of `CURVE_NOISES`, without
    it the one that the text names; `fixed`, latents that are known; `say` hears of progress.

    **Raises:** `FitError` where the data do not fit the equation, and where no start leads
    anywhere.
    """
    began = time.monotonic()
    word = noise or noise_word(system)
    if word not in CURVE_NOISES:
        raise FitError(f"'{word}' is no noise of an equation; it is {', '.join(CURVE_NOISES)}.")
    if starts < 1:
        raise FitError(f"{starts} starts were asked for; give at least 1.")
    kind = CURVE_NOISES[word]
    times, inputs = courses(system, data)
    with jax.enable_x64(True):
        place = initial_latents(system, system.latents)
        x, pinned, notes = prepared(system, data, times, kind, fixed or {}, place)
        problem = _problem(system, x, times, inputs, pinned, kind, Grid(1))
        points = starting_points(system.latents, starts, seed=seed)
        say(f"{starts} starts, {int((~np.isnan(x)).sum())} numbers in {len(x)} record(s)")
        readings, curves = readings_of(system, points[0]), []
        if readings is not None:
            curves = smoothed(times, x, readings, log=kind.is_log)
            u = matched(problem, system, times, inputs, points, curves, place)
        else:
            u = coordinates(system.latents, points, len(x))
        method = _method(problem, system, u, times, curves)
        while True:
            curve = EquationCurve(system, method, interpolations(system))
            problem = replace(problem, curve=curve)
            found = _descended(problem, u, points, progressive=readings is None)
            if not np.isfinite(found.objective):
                raise FitError(_nowhere(starts))
            at = found.best
            standing = Standing(*jax.device_get(_standing(problem, jax.device_put(at))))
            error = solver_error(problem, system, at, times, standing)
            better = _finer(method, error)
            if better is None:
                break
            # where the grid was too coarse the starts were led astray: all go again from there
            say(f"a finer solve is needed ({error:.2g} noise deviations): {_name(better)}")
            method, u = better, found.u
    noise_found = kind.with_scale(tuple(standing.scale.tolist()))
    model = Equation(
        system=system, latents=system.latents, noise=noise_found,
        times=tuple(np.unique(times[_longest(times)]).tolist()), method=method,
    )  # fmt: skip
    return Best(
        problem, model, at, standing.z, np.isnan(pinned), found.objective, found.objectives,
        found.agree, standing.scale, error, time.monotonic() - began, readings is not None,
        tuple(notes),
    )  # fmt: skip


class EquationCurve(eqx.Module):
    """The noiseless reading of one record, as the search needs it."""

    system: AbstractSystem
    method: AbstractMethod
    kinds: tuple[str, ...] = eqx.field(static=True)

    def states(self, z, condition):
        """The states at every time of the record."""
        times, u = self._driven(condition)
        return self.method.path(self.system, times, z, u)

    def __call__(self, z, condition):
        times, u = self._driven(condition)
        path = self.method.path(self.system, times, z, u)
        return jax.vmap(lambda t, x: self.system.observe(t, x, z, u(t)))(times, path)

    def _driven(self, condition):
        times, inputs = condition
        return times, drive(times, inputs if self.kinds else None, self.kinds)


def _problem(
    system: AbstractSystem,
    x: np.ndarray,
    times: np.ndarray,
    inputs: np.ndarray,
    pinned: np.ndarray,
    kind: AbstractCurveNoise,
    method: AbstractMethod,
) -> Problem:
    with np.errstate(invalid="ignore", divide="ignore"):
        known = np.log(x) if kind.is_log and kind.has_scale else x
    spread = np.nanstd(known.reshape(-1, x.shape[-1]), axis=0)
    floor = 1e-7 * np.where(spread > 0, spread, np.nanmax(np.abs(known)) + 1e-300)
    # a single record has nothing to share with another: all of its latents are one block
    own = system.is_own if len(x) > 1 else (False,) * system.latents.size
    held, conditions, fixed, least = jax.device_put((x, (times, inputs), pinned, floor))
    return Problem(
        EquationCurve(system, method, interpolations(system)),
        kind, system.latents, held, conditions, fixed, least, own,
    )  # fmt: skip


def _method(
    problem: Problem,
    system: AbstractSystem,
    u: np.ndarray,
    times: np.ndarray,
    curves: Sequence[Smooth],
) -> AbstractMethod:
    """The grid that is right where the starts are, or automatic steps where none is."""
    if len(system.inputs):
        return Grid(4)
    host, record = HostSystem(system), _longest(times)
    at = np.unique(times[record])
    # matched starts are often one and the same: those of which there are most are asked
    _, apart, counts = np.unique(
        np.round(u[:, record], 2), axis=0, return_index=True, return_counts=True
    )
    some = u[apart[np.argsort(-counts, kind="stable")[:4]], record]
    z = constrained(system.latents, some, np.asarray(problem.pinned)[record])
    if curves:
        substeps = _coarsest(problem, host, record, z[0], times, curves[record])
        return _stiff() if substeps > _FIRST else Grid(substeps)
    solved = [(one, path) for one in z if (path := reference(host, one, at)) is not None]
    if not solved:
        return suited(system, system.latents, at).method
    substeps = enough_substeps(host, solved, at, most=_FIRST)
    return _stiff() if substeps is None else Grid(substeps)


def _coarsest(
    problem: Problem,
    host: HostSystem,
    record: int,
    z: np.ndarray,
    times: np.ndarray,
    curve: Smooth,
) -> int:
    """The fewest substeps whose error along the smoothed record is lost in its noise or, where
    there is little, small beside its range; more than `_FIRST` where as many do not do."""
    at = _live(times[record])
    path = curve.states(times[record][at])
    y = _read(problem, host, times[record][at], path, z)
    off = _linked(problem, np.asarray(problem.x)[record][at]) - y
    count = np.maximum((~np.isnan(off)).sum(axis=0), 1)
    noise = np.sqrt(np.nansum(off**2, axis=0) / count)
    most = np.maximum(1e-4 * np.ptp(y, axis=0), 0.5 * _SOLVER_ERROR * noise)
    substeps = 1
    while substeps <= _FIRST:
        gap = _gap(problem, host, record, z, times, path, substeps)
        gap = np.nan_to_num(gap, nan=np.inf)
        over = float(np.divide(gap, most, out=np.where(gap > 0, np.inf, 0.0), where=most > 0).max())
        if over <= _NEAR:
            # near enough for order four to tell how many more it takes
            return substeps * 2 ** max(0, int(np.ceil(0.25 * np.log2(max(over, 1e-300)))))
        substeps *= 2
    return substeps


def _stiff() -> Adaptive:
    return Adaptive(stiff=True, relative=1e-6)


def _longest(times: np.ndarray) -> int:
    """The record with most times of its own: a shorter one repeats its last."""
    return int(np.argmax([np.unique(row).size for row in times]))


@dataclass(frozen=True)
class _Found:
    """The coordinates of every start `(start, record, latent)`, the best `(record, latent)`."""

    u: np.ndarray
    best: np.ndarray
    objective: float
    objectives: np.ndarray
    agree: float


def _descended(problem: Problem, u: np.ndarray, points: np.ndarray, *, progressive: bool) -> _Found:
    """Every start to its minimum, and the best of them; of records that share nothing each has a
    best start of its own."""
    starts, records, _ = u.shape
    if not problem.shares_nothing:
        lanes = _descend(problem, u, points, progressive=progressive)
        objectives = np.asarray(lanes.objective)
        u = coordinates_of(problem, lanes)
        lowest = float(objectives.min())
        agree = float((objectives < lowest + AGREE).sum())
        return _Found(u, u[int(np.argmin(objectives))], lowest, objectives, agree)
    apart = problem.apart(starts)
    every = _descend(
        apart, u.reshape(-1, 1, u.shape[2]), np.repeat(points, records, axis=0),
        progressive=progressive,
    )  # fmt: skip
    u = coordinates_of(apart, every).reshape(u.shape)
    reached = np.asarray(every.objective).reshape(starts, records)
    best = u[reached.argmin(axis=0), np.arange(records)]
    # the noise's scale is one for all of them again
    joint = minimise(problem, lanes_at(problem, best[None]))
    lowest = float(joint.objective[0])
    behind = reached - np.where(np.isfinite(reached.min(axis=0)), reached.min(axis=0), 0.0)
    good = np.isfinite(behind)
    mean = np.where(good, behind, 0.0).sum(axis=1) / np.maximum(good.sum(axis=1), 1)
    objectives = np.where(good.any(axis=1), lowest + mean, np.inf)
    agree = float((behind < AGREE).sum(axis=0).mean())
    return _Found(u, coordinates_of(problem, joint)[0], lowest, objectives, agree)


def _descend(problem: Problem, u: np.ndarray, points: np.ndarray, *, progressive: bool) -> Lane:
    """All starts to their minima. Where nothing brought them near it beforehand, each goes twice,
    as it is and by growing parts of the records, and the better end counts; of the others those
    that cannot be solved where they are go so from their own `points`."""
    lanes = minimise(problem, lanes_at(problem, u))
    lost = ~np.isfinite(np.asarray(lanes.objective))
    if not progressive and not lost.any():
        return lanes
    # every lane goes along, for the program has its width
    if not progressive:
        u = coordinates_of(problem, lanes)
        u[lost] = coordinates(problem.latents, points[lost], u.shape[1])
    again = minimise(problem, lanes_at(problem, _grown(problem, u)))
    better = np.asarray(again.objective) < np.asarray(lanes.objective)
    keep = better if progressive else better & lost
    return jax.tree.map(
        lambda old, new: np.where(keep.reshape(-1, *[1] * (old.ndim - 1)), new, old), lanes, again
    )


def _grown(problem: Problem, u: np.ndarray) -> np.ndarray:
    """Fits growing first parts of the records, from which a far start finds its way where the
    whole record would lead it astray."""
    for share in (0.15, 0.4):
        keep = max(int(share * problem.x.shape[-2]), 4)
        part = problem.x.at[..., keep:, :].set(jnp.nan)
        early = minimise(eqx.tree_at(lambda p: p.x, problem, part), lanes_at(problem, u), most=30)
        good = np.isfinite(np.asarray(early.objective))
        u = np.where(good[:, None, None], coordinates_of(problem, early), u)
    return u


def solver_error(
    problem: Problem,
    system: AbstractSystem,
    u: np.ndarray,
    times: np.ndarray,
    standing: "Standing",
) -> float:
    """How far the grid is from the exact solution at the estimates, in deviations of the noise:
    the worst of the first record and of those with the widest gaps between their times."""
    curve = problem.curve
    assert isinstance(curve, EquationCurve)
    method = curve.method
    if not isinstance(method, Grid):
        return 0.0
    if len(system.inputs):
        return _halved(problem, u, method)
    gaps = np.diff(times, axis=1).max(axis=1)
    some = dict.fromkeys([0, *np.argsort(-gaps)[:_CHECKED].tolist()])
    z, host = standing.z, HostSystem(system)

    def worst(r: int) -> float:
        path = standing.paths[r][_live(times[r])]
        gap = _gap(problem, host, r, z[r], times, path, method.substeps) / standing.scale
        return float(np.nan_to_num(gap, nan=np.inf).max(initial=0.0))

    return max(map(worst, some))


def _gap(
    problem: Problem,
    host: HostSystem,
    record: int,
    z: np.ndarray,
    times: np.ndarray,
    path: np.ndarray,
    substeps: int,
) -> np.ndarray:
    """How far the readings of a grid along this path are from exact ones `(time, channel)`, 0
    where nothing was observed."""
    live = _live(times[record])
    at = times[record][live]
    exact = path + grid_error(host, z, at, path, substeps)
    gap = np.abs(_read(problem, host, at, exact, z) - _read(problem, host, at, path, z))
    return np.where(np.isnan(np.asarray(problem.x)[record])[live], 0.0, gap)


def _live(times: np.ndarray) -> np.ndarray:
    """Which times are a record's own: one that is shorter than others repeats its last."""
    return np.concatenate([[True], np.diff(times) > 0])


def _read(
    problem: Problem, host: HostSystem, times: np.ndarray, path: np.ndarray, z: np.ndarray
) -> np.ndarray:
    return _linked(problem, host.readings(times, path, z))


def _linked(problem: Problem, y: np.ndarray) -> np.ndarray:
    """What the noise is spread about: a reading or its logarithm."""
    return np.log(np.maximum(y, 1e-150)) if problem.noise.is_log else y


class Standing(NamedTuple):
    """The noise's `scale` at some coordinates, the latents `z` `(record, latent)` and the states
    `(record, time, state)` that the grid gives."""

    scale: np.ndarray
    z: np.ndarray
    paths: np.ndarray


@eqx.filter_jit
def _standing(problem: Problem, u):
    curve = problem.curve
    assert isinstance(curve, EquationCurve)
    z = jax.vmap(problem.constrain)(u, problem.pinned)
    paths = jax.vmap(curve.states)(z, problem.conditions)
    return problem.scale(problem.readings(u)), z, paths


def _halved(problem: Problem, u: np.ndarray, method: Grid) -> float:
    """The same against a grid of half the step, where inputs drive the equation."""
    curve = problem.curve
    assert isinstance(curve, EquationCurve)
    finer = eqx.tree_at(
        lambda p: p.curve, problem, replace(curve, method=Grid(2 * method.substeps))
    )
    at = jnp.asarray(u)
    eta = problem.readings(at)
    return float(jnp.nanmax(jnp.abs(eta - finer.readings(at)) / problem.scale(eta)))


def _finer(method: AbstractMethod, error: float) -> AbstractMethod | None:
    """The next finer method where the error is too large, None where it is not."""
    if error <= _SOLVER_ERROR or not isinstance(method, Grid):
        return None
    if method.substeps * 2 > _MOST_SUBSTEPS:
        return _stiff()
    # order four: the error falls with the fourth power of the step
    factor = 2 ** int(np.clip(np.ceil(np.log2((error / _SOLVER_ERROR) ** 0.25)), 1, 3))
    return Grid(min(method.substeps * factor, _MOST_SUBSTEPS))


def _name(method: AbstractMethod) -> str:
    return f"{method.substeps} steps a sample" if isinstance(method, Grid) else "automatic steps"


def _nowhere(starts: int) -> str:
    return (
        f"none of {starts} starts leads to a finite solution of the equation: within these ranges "
        "it explodes before the data end. Narrow the ranges towards what is plausible, begin with "
        "a shorter record, or check the equation's signs with: unweave simulate FILE.ode."
    )
