"""The last choice: finalists fitted to the end, solved as a whole, and asked from other starts."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from ._candidate import Candidate
from ._search import Scored, Search
from ._shooting import Shot

# evaluations of the rates after which a course is given up
_MOST_CALLS = 20_000
_FINALISTS = 8
_WITHIN = 12.0
_STRAYS = 20.0


@dataclass(frozen=True, eq=False)
class Finalist:
    """A candidate fitted to the end: its `score`, the share of variance `r2` `(state,)` of every
    reading that its courses from the fitted starts explain, the courses themselves, and the
    shares of other starts from which it explodes or turns what was positive negative."""

    shot: Shot
    score: float
    r2: np.ndarray
    courses: tuple[np.ndarray | None, ...]
    criterion: float
    price: float


def solved(
    candidate: Candidate, theta: np.ndarray, start: np.ndarray, times: np.ndarray
) -> np.ndarray | None:
    """The course `(time, state)` by LSODA, or None where it cannot be solved."""
    calls, field = 0, candidate.field(theta[None])

    def rates(_: float, x: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > _MOST_CALLS:
            raise _TooStiff
        return field(x[None, :, None])[0, :, 0]

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            done = solve_ivp(
                rates, (times[0], times[-1]), start, method="LSODA", t_eval=times, rtol=1e-8,
                atol=1e-10 * max(float(np.abs(start).max()), 1e-3),
            )  # fmt: skip
        except _TooStiff:
            return None
    whole = done.status == 0 and np.isfinite(done.y).all()
    return done.y.T if whole else None


class _TooStiff(Exception):
    pass


def finalists(work: Search, ranked: Sequence[Scored]) -> list[Finalist]:
    """The best candidates after a last fit, the one to believe first."""
    best = ranked[0].score
    some = [one for one in ranked if one.score < best + _WITHIN][:_FINALISTS]
    done = []
    for one in some:
        shot = work.shooter.fit(
            one.shot.candidate, one.shot.theta, starts=one.shot.starts, weights=(100.0, 1000.0),
            steps=15,
        )  # fmt: skip
        shot = one.shot if shot is None else shot
        done.append(_judged(work, shot, work.criterion(shot)))
    return sorted(done, key=lambda one: one.score)


def _judged(work: Search, shot: Shot, criterion: float) -> Finalist:
    courses = tuple(
        solved(shot.candidate, shot.theta, start, record.times)
        for start, record in zip(work.first_starts(shot), work.records, strict=True)
    )
    r2 = explained([record.y for record in work.records], courses)
    price = work.elsewhere.price(shot.candidate, shot.theta, shot.substeps)
    score = criterion + price + _STRAYS * float((r2 < 0.8).any())
    return Finalist(shot, score, r2, courses, criterion, price)


def explained(readings: Sequence[np.ndarray], courses: Sequence[np.ndarray | None]) -> np.ndarray:
    """$R^2$ `(state,)` of courses against readings; minus infinity where a course failed."""
    if any(course is None for course in courses):
        return np.full(readings[0].shape[1], -np.inf)
    y = np.concatenate(list(readings))
    left = y - np.concatenate([course for course in courses if course is not None])
    around = y - np.nanmean(y, axis=0)
    return 1 - np.nansum(left**2, axis=0) / np.maximum(np.nansum(around**2, axis=0), 1e-300)
