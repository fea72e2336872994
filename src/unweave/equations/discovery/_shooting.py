r"""Coefficients refitted on the courses themselves, by multiple shooting.

The records are cut into windows, each with a start of its own; all are solved at once by Runge and
Kutta's method, with their derivatives as further lanes. Levenberg and Marquardt's method lowers
$\sum (y - x)^2 / \sigma^2 + w^2 \sum_j |x_j(\mathrm{end}) - s_{j+1}|^2 / \sigma^2$, of which the
weight $w$ of the gaps grows until the windows are one course (Bock 1983; Peifer and Timmer 2007,
IET Syst. Biol. 1:78). No window is long enough to explode or to be chaotic, so that a bad start
does not matter, and a chaotic course is fitted whole.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from ._candidate import Candidate, nudges
from ._records import Noise, Record

WEIGHTS = (1.0, 10.0, 100.0)
# steps that gain less than this share are the last
_GAIN = 1e-3
_WINDOWS = 64
_SHORTEST = 8
_NUDGE = 1e-6
# a solve on a grid is fine enough where halving its steps moves it less than this, in sigmas
_FINE = 0.2
_MOST_SUBSTEPS = 8


@dataclass(frozen=True, eq=False)
class Windows:
    """Every window's steps `dt` `(window, step)`, its readings `y` and `weight` `(window, step +
    1, state)` (0 where nothing was read or where the next window reads it), the smoothed `start`
    `(window, state)`, whether the `next` window goes on from it, and the noise at its `end`."""

    dt: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    start: np.ndarray
    next: np.ndarray
    end_weight: np.ndarray
    places: tuple[tuple[int, int, int], ...]


def windows(records: Sequence[Record], noise: Noise, *, many: int = _WINDOWS) -> Windows:
    """The records cut into about `many` windows altogether."""
    total = sum(len(r.times) - 1 for r in records)
    length = max(_SHORTEST, int(np.ceil(total / many)))
    places = []
    for r, record in enumerate(records):
        steps = len(record.times) - 1
        parts = max(1, round(steps / length))
        cuts = np.linspace(0, steps, parts + 1).round().astype(int)
        places += [(r, a, b) for a, b in itertools.pairwise(cuts.tolist())]
    longest = max(b - a for _, a, b in places)
    d = records[0].y.shape[1]
    s = len(places)
    dt, y = np.zeros((s, longest)), np.zeros((s, longest + 1, d))
    weight, start, end = np.zeros_like(y), np.zeros((s, d)), np.ones((s, d))
    goes_on = np.zeros(s, dtype=bool)
    for j, (r, a, b) in enumerate(places):
        record = records[r]
        dt[j, : b - a] = np.diff(record.times[a : b + 1])
        last = b == len(record.times) - 1
        goes_on[j] = not last
        kept = slice(a, b + 1 if last else b)
        read = record.y[kept]
        n = len(read)
        y[j, :n] = np.where(np.isfinite(read), read, 0.0)
        weight[j, :n] = np.isfinite(read) / (noise.scale * record.profile[kept])
        end[j] = 1 / (noise.scale * record.profile[b])
        start[j] = record.x[a]
    return Windows(dt, y, weight, start, goes_on, end, tuple(places))


@dataclass(frozen=True, eq=False)
class Shot:
    """A fitted candidate: its numbers `theta`, the starts `(window, state)`, the weighted sum of
    squares `misfit` `(state,)` of readings and gaps, the information on `theta`, what was read
    `(state,)` and the `paths` `(window, step + 1, state)`."""

    candidate: Candidate
    theta: np.ndarray
    starts: np.ndarray
    misfit: np.ndarray
    information: np.ndarray
    count: np.ndarray
    paths: np.ndarray
    substeps: int

    @property
    def chi(self) -> float:
        """The whole weighted sum of squares."""
        return float(self.misfit.sum())


def step(
    rates: Callable[[np.ndarray], np.ndarray], x: np.ndarray, h: float | np.ndarray
) -> np.ndarray:
    """One step of the classical Runge-Kutta method."""
    a = rates(x)
    b = rates(x + 0.5 * h * a)
    c = rates(x + 0.5 * h * b)
    e = rates(x + h * c)
    return x + h / 6 * (a + 2 * (b + c) + e)


def _solve(
    candidate: Candidate, x: np.ndarray, theta: np.ndarray, dt: np.ndarray, m: int
) -> np.ndarray:
    """Paths `(lane, window, step + 1, state)` from `x` `(lane, window, state)`."""
    x = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    rates = candidate.field(theta)
    paths = np.empty((dt.shape[1] + 1, *x.shape))
    paths[0] = x
    for k in range(dt.shape[1]):
        h = dt[:, k] / m
        for _ in range(m):
            x = step(rates, x, h)
        paths[k + 1] = x
    return paths.transpose(1, 3, 0, 2)


@dataclass(frozen=True, eq=False)
class _Point:
    """Where the search is: the objective with its gradient and curvature in all unknowns."""

    theta: np.ndarray
    starts: np.ndarray
    paths: np.ndarray
    value: float
    misfit: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray


class Shooter:
    """Fits candidates to the same windows."""

    def __init__(self, cut: Windows, spread: Float[np.ndarray, " state"]):
        self.cut, self.spread = cut, spread
        self.last = np.array([b - a for _, a, b in cut.places])
        self.count = (cut.weight > 0).sum(axis=(0, 1))

    def fit(
        self,
        candidate: Candidate,
        theta: np.ndarray,
        *,
        starts: np.ndarray | None = None,
        weights: Sequence[float] = WEIGHTS,
        steps: int = 8,
        hopeless: Callable[[np.ndarray], bool] = lambda misfit: False,
    ) -> Shot | None:
        """The candidate's best numbers from a start, or None where it cannot be solved there or
        where the misfit of a small weight, which larger ones only add to, is `hopeless`."""
        begin = self.cut.start if starts is None else starts
        size = 1e-3 * np.abs(theta) + 1e-12
        with np.errstate(all="ignore"):
            m = self._substeps(candidate, theta, begin)
            point = self._at(candidate, theta, begin, size, weights[0], m)
            if point is None:
                return None
            for weight in weights:
                point = self._at(candidate, point.theta, point.starts, size, weight, m)
                if point is None:
                    return None
                point = self._descend(candidate, point, size, weight, m, steps)
                if hopeless(point.misfit):
                    return None
        d, s, p = len(self.spread), len(self.last), len(theta)
        inner = point.hessian[: s * d, : s * d]
        cross = point.hessian[: s * d, s * d :]
        information = point.hessian[s * d :, s * d :] - cross.T @ np.linalg.lstsq(
            inner, cross, rcond=1e-13
        )[0] if p else np.zeros((0, 0))  # fmt: skip
        return Shot(
            candidate, point.theta, point.starts, point.misfit, information, self.count,
            point.paths, m,
        )  # fmt: skip

    def _substeps(self, candidate: Candidate, theta: np.ndarray, x: np.ndarray) -> int:
        """So many steps between two readings that halving them changes next to nothing."""
        m = 1
        coarse = self._ends(candidate, theta, x, m)
        while m < _MOST_SUBSTEPS:
            fine = self._ends(candidate, theta, x, 2 * m)
            change = np.abs(fine - coarse) * self.cut.end_weight
            # not a number is not smaller
            if change.max() < _FINE:
                return m
            m, coarse = 2 * m, fine
        return m

    def _ends(self, candidate: Candidate, theta: np.ndarray, x: np.ndarray, m: int) -> np.ndarray:
        return _solve(candidate, x[None], theta[None], self.cut.dt, m)[0, :, -1]

    def _descend(
        self, candidate: Candidate, point: _Point, size: np.ndarray, weight: float, m: int,
        steps: int,
    ) -> _Point:  # fmt: skip
        damping = 1e-3
        for _ in range(steps):
            step = self._step(point, damping)
            trial = None
            if step is not None:
                s = point.starts + step[: point.starts.size].reshape(point.starts.shape)
                theta = self._inside(candidate, point.theta, step[point.starts.size :])
                trial = self._at(candidate, theta, s, size, weight, m)
            if trial is None or trial.value >= point.value:
                damping *= 10
                if damping > 1e7:
                    break
                continue
            gain = (point.value - trial.value) / point.value
            point, damping = trial, max(damping / 10, 1e-9)
            if gain < _GAIN:
                break
        return point

    def _inside(self, candidate: Candidate, theta: np.ndarray, step: np.ndarray) -> np.ndarray:
        """A step of the numbers, with positive inner ones kept positive."""
        moved = theta + step
        k = candidate.coefficients
        low = np.where(candidate.positive(), 0.2 * theta[k:], -np.inf)
        moved[k:] = np.maximum(moved[k:], low)
        return moved

    def _step(self, point: _Point, damping: float) -> np.ndarray | None:
        diagonal = np.diag(point.hessian)
        scale = 1 / np.sqrt(np.maximum(diagonal, 1e-300))
        matrix = point.hessian * scale[:, None] * scale[None, :]
        matrix[np.diag_indices_from(matrix)] += damping
        try:
            return -scale * np.linalg.solve(matrix, scale * point.gradient)
        except np.linalg.LinAlgError:
            return None

    def _at(
        self, candidate: Candidate, theta: np.ndarray, starts: np.ndarray, size: np.ndarray,
        weight: float, m: int,
    ) -> _Point | None:  # fmt: skip
        """The objective and its derivatives, by lanes with one unknown moved in each."""
        cut, d, s, p = self.cut, len(self.spread), len(starts), len(theta)
        move_x, move_z = _NUDGE * self.spread, nudges(theta, size)
        lanes_x = np.repeat(starts[None], 1 + d + p, axis=0)
        lanes_z = np.repeat(theta[None], 1 + d + p, axis=0)
        for i in range(d):
            lanes_x[1 + i, :, i] += move_x[i]
        lanes_z[1 + d + np.arange(p), np.arange(p)] += move_z
        paths = _solve(candidate, lanes_x, lanes_z, cut.dt, m)
        if not np.isfinite(paths).all() or np.abs(paths[0]).max() > 1e6 * self.spread.max() + 1e6:
            return None
        change = (paths[1:] - paths[:1]) / np.concatenate([move_x, move_z])[:, None, None, None]
        left = (paths[0] - cut.y) * cut.weight
        slopes = change * cut.weight
        h = np.einsum("astd,bstd->sab", slopes, slopes, optimize=True)
        g = np.einsum("astd,std->sa", slopes, left)
        misfit = (left**2).sum(axis=(0, 1))
        joined = np.flatnonzero(cut.next)
        pull = np.zeros((s, d, 2 * d + p))
        gap = np.zeros((s, d))
        w = weight * cut.end_weight[joined]
        at_end = paths[0, joined, self.last[joined]]
        gap[joined] = (at_end - starts[joined + 1]) * w
        moved = change[:, joined, self.last[joined]].transpose(1, 2, 0) * w[:, :, None]
        pull[joined, :, :d], pull[joined, :, 2 * d :] = moved[:, :, :d], moved[:, :, d:]
        # the next window's start is pulled the other way
        pull[joined[:, None], np.arange(d), d + np.arange(d)] = -w
        own, cross = np.arange(d), 2 * d + np.arange(p)
        blocks = pull.transpose(0, 2, 1) @ pull
        blocks[:, own[:, None], own] += h[:, :d, :d]
        blocks[:, own[:, None], cross] += h[:, :d, d:]
        blocks[:, cross[:, None], own] += h[:, d:, :d]
        blocks[:, cross[:, None], cross] += h[:, d:, d:]
        sides = np.einsum("sdk,sd->sk", pull, gap)
        sides[:, own] += g[:, :d]
        sides[:, cross] += g[:, d:]
        gradient, hessian = self._assembled(blocks, sides, d, p)
        misfit = misfit + (gap**2).sum(axis=0)
        value = float(misfit.sum())
        if not np.isfinite(value) or not np.isfinite(hessian).all():
            return None
        return _Point(theta, starts, paths[0], value, misfit, gradient, hessian)

    def _assembled(
        self, blocks: np.ndarray, sides: np.ndarray, d: int, p: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and curvature in all unknowns, from those of every window in its start, the
        next one's start and the numbers."""
        s = len(blocks)
        gradient, hessian = np.zeros((s + 1) * d + p), np.zeros(2 * [(s + 1) * d + p])
        for j in range(s):
            both = slice(j * d, (j + 2) * d)
            hessian[both, both] += blocks[j, : 2 * d, : 2 * d]
            hessian[both, (s + 1) * d :] += blocks[j, : 2 * d, 2 * d :]
            gradient[both] += sides[j, : 2 * d]
        hessian[(s + 1) * d :, : (s + 1) * d] = hessian[: (s + 1) * d, (s + 1) * d :].T
        hessian[(s + 1) * d :, (s + 1) * d :] = blocks[:, 2 * d :, 2 * d :].sum(axis=0)
        gradient[(s + 1) * d :] = sides[:, 2 * d :].sum(axis=0)
        # nothing follows the last window
        kept = np.r_[: s * d, (s + 1) * d : (s + 1) * d + p]
        return gradient[kept], hessian[np.ix_(kept, kept)]


def course_records(records: Sequence[Record], cut: Windows, shot: Shot) -> list[Record]:
    """The records with the smoothed states replaced by those of a fitted candidate."""
    states = [np.array(r.x) for r in records]
    slopes = [np.array(r.slopes) for r in records]
    flat = shot.paths.reshape(-1, shot.paths.shape[-1]).T[None]
    rates = shot.candidate.field(shot.theta[None])(flat)[0].T.reshape(shot.paths.shape)
    for j, (r, a, b) in enumerate(cut.places):
        states[r][a : b + 1] = shot.paths[j, : b - a + 1]
        slopes[r][a : b + 1] = rates[j, : b - a + 1]
    return [replace(r, x=x, slopes=v) for r, x, v in zip(records, states, slopes, strict=True)]
