r"""Fitting an equation to recordings: many starts, many records, and how sure the answer is."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..._noise import AbstractCurveNoise
from ...data import Dataset
from .._system import AbstractSystem
from ..solving._choose import (
    starting_points,
)
from ..solving._equation import CURVE_NOISES, Equation, interpolations, noise_word
from ..solving._solve import AbstractMethod, Grid
from ._certainty import Certainty, certainty
from ._grid import (
    EquationCurve,
    Standing,
    finer,
    first_method,
    longest,
    method_name,
    solver_error,
    stand,
)
from ._levenberg import Lane, coordinates_of, lanes_at, minimise
from ._match import (
    coordinates,
    initial_latents,
    matched,
    readings_of,
    smoothed,
)
from ._prepare import FitError as FitError
from ._prepare import courses, prepared
from ._problem import Problem

#: Two starts agree where their log-likelihoods differ by less than this, in nats.
AGREE = 0.01

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
        problem = problem_of(system, x, times, inputs, pinned, kind, Grid(1))
        points = starting_points(system.latents, starts, seed=seed)
        say(f"{starts} starts, {int((~np.isnan(x)).sum())} numbers in {len(x)} record(s)")
        readings, curves = readings_of(system, points[0]), []
        if readings is not None:
            curves = smoothed(times, x, readings, log=kind.is_log)
            u = matched(problem, system, times, inputs, points, curves, place)
        else:
            u = coordinates(system.latents, points, len(x))
        method = first_method(problem, system, u, times, curves)
        while True:
            curve = EquationCurve(system, method, interpolations(system))
            problem = replace(problem, curve=curve)
            found = _descended(problem, u, points, progressive=readings is None)
            if not np.isfinite(found.objective):
                raise FitError(_nowhere(starts))
            at = found.best
            standing = Standing(*jax.device_get(stand(problem, jax.device_put(at))))
            error = solver_error(problem, system, at, times, standing)
            better = finer(method, error)
            if better is None:
                break
            # where the grid was too coarse the starts were led astray: all go again from there
            say(f"a finer solve is needed ({error:.2g} noise deviations): {method_name(better)}")
            method, u = better, found.u
    noise_found = kind.with_scale(tuple(standing.scale.tolist()))
    model = Equation(
        system=system, latents=system.latents, noise=noise_found,
        times=tuple(np.unique(times[longest(times)]).tolist()), method=method,
    )  # fmt: skip
    return Best(
        problem, model, at, standing.z, np.isnan(pinned), found.objective, found.objectives,
        found.agree, standing.scale, error, time.monotonic() - began, readings is not None,
        tuple(notes),
    )  # fmt: skip


def problem_of(
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
    # where every start failed there is nothing to be behind
    behind = reached - np.nan_to_num(reached.min(axis=0), posinf=0.0)
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


def _nowhere(starts: int) -> str:
    return (
        f"none of {starts} starts leads to a finite solution of the equation: within these ranges "
        "it explodes before the data end. Narrow the ranges towards what is plausible, begin with "
        "a shorter record, or check the equation's signs with: unweave simulate FILE.ode."
    )
