"""How finely an equation is solved while it is fitted: chosen at the starts without a solve,
checked at the estimates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..._programs import program
from .._system import AbstractSystem
from ..solving._choose import HostSystem, enough_substeps, reference, suited
from ..solving._defect import grid_error
from ..solving._drive import drive
from ..solving._solve import AbstractMethod, Adaptive, Grid
from ._match import Smooth, constrained
from ._problem import Problem

# the largest error of the grid that is let pass, in the noise's deviations
_SOLVER_ERROR = 0.005
_MOST_SUBSTEPS = 64
# records in which it is asked for
_CHECKED = 4
# within so many times what is allowed, the order of the method tells how many substeps do
_NEAR = 100.0
# and the most substeps that are taken to begin with
_FIRST = 16


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


def first_method(
    problem: Problem,
    system: AbstractSystem,
    u: np.ndarray,
    times: np.ndarray,
    curves: Sequence[Smooth],
) -> AbstractMethod:
    """The grid that is right where the starts are, or automatic steps where none is."""
    if len(system.inputs):
        return Grid(4)
    host, record = HostSystem(system), longest(times)
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
        with np.errstate(over="ignore"):  # more than can be counted is far too much
            times_over = np.divide(gap, most, out=np.where(gap > 0, np.inf, 0.0), where=most > 0)
        over = float(times_over.max())
        if over <= _NEAR:
            # near enough for order four to tell how many more it takes
            return substeps * 2 ** max(0, int(np.ceil(0.25 * np.log2(max(over, 1e-300)))))
        substeps *= 2
    return substeps


def _stiff() -> Adaptive:
    return Adaptive(stiff=True, relative=1e-6)


def longest(times: np.ndarray) -> int:
    """The record with most times of its own: a shorter one repeats its last."""
    return int(np.argmax([np.unique(row).size for row in times]))


class Standing(NamedTuple):
    """The noise's `scale` at some coordinates, the latents `z` `(record, latent)` and the states
    `(record, time, state)` that the grid gives."""

    scale: np.ndarray
    z: np.ndarray
    paths: np.ndarray


@program
def stand(problem: Problem, u):
    curve = problem.curve
    assert isinstance(curve, EquationCurve)
    z = jax.vmap(problem.constrain)(u, problem.pinned)
    paths = jax.vmap(curve.states)(z, problem.conditions)
    return problem.scale(problem.readings(u)), z, paths


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


def finer(method: AbstractMethod, error: float) -> AbstractMethod | None:
    """The next finer method where the error is too large, None where it is not."""
    if error <= _SOLVER_ERROR or not isinstance(method, Grid):
        return None
    if method.substeps * 2 > _MOST_SUBSTEPS:
        return _stiff()
    # order four: the error falls with the fourth power of the step
    factor = 2 ** int(np.clip(np.ceil(np.log2((error / _SOLVER_ERROR) ** 0.25)), 1, 3))
    return Grid(min(method.substeps * factor, _MOST_SUBSTEPS))


def method_name(method: AbstractMethod) -> str:
    return f"{method.substeps} steps a sample" if isinstance(method, Grid) else "automatic steps"
