"""Equations discovered from data: the public functions."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..._course import Course
from ...data import Dataset
from ..fitting._prepare import FitError
from ._ensemble import inclusion
from ._final import Finalist, finalists
from ._library import families
from ._records import prepared
from ._search import Search, search
from ._write import FoundTerm, in_numbers, state_names, table_of, written

Say = Callable[[str], None]
_FEWEST, _MOST_STATES = 20, 6
# a criterion this much larger is as likely as not by chance
_CLOSE = 6.0
_GOOD = 0.9


@dataclass(frozen=True, eq=False)
class Discovery:
    """An equation found from data.

    `text` is in our language, every number a latent; `lines` are its right sides with numbers;
    `terms` the table of coefficients with 90 % intervals and inclusion probabilities; `r2` says
    for each channel how much of the readings' variance the courses from the fitted starts
    explain, minus infinity where they cannot be solved; `courses` are these, one a record, at
    its times; `sentences` say it in words; `runners_up` are others, each its right sides and by
    how much its criterion is worse.
    """

    text: str
    lines: tuple[str, ...]
    terms: tuple[FoundTerm, ...]
    r2: dict[str, float]
    courses: tuple[np.ndarray | None, ...]
    sentences: tuple[str, ...]
    runners_up: tuple[tuple[tuple[str, ...], float], ...]
    seconds: float

    def __str__(self) -> str:
        return "\n".join([*self.lines, "", *self.sentences])


def discover(
    data: Dataset,
    *,
    degree: int = 3,
    bags: int = 20,
    say: Say = lambda sentence: None,
    seed: int = 0,
) -> Discovery:
    r"""Finds ordinary differential equations that the courses of `data` follow.

    $\dot x_i = \sum_k c_{ik}\,\theta_k(x)$ with few terms. The courses are smoothed; sparse
    regression in strong, weak and integral form proposes right sides out of several libraries
    (`families`); the best are fitted to the courses by multiple shooting and compared by a
    Bayesian information criterion with the price of choosing, and by how they behave from other
    starts than the data's. Every channel is a state.

    **Arguments:** `data`, one observation a record from `trajectories` or `series`, at any times,
    NaN where nothing was read; `degree` of the polynomials, 1 to 5; `bags`, how many
    resamplings the inclusion probabilities are from (0: none); `say` hears of progress.

    **Raises:** `FitError` for data that are no courses, are driven by inputs, have fewer than 20
    readings of a state, or a state that never changes, and where nothing can be fitted.
    """
    began = time.monotonic()
    times, readings = _courses(data)
    if not 1 <= degree <= 5:
        raise FitError(f"polynomials of degree {degree} are not offered; give 1 to 5.")
    names = state_names(data.schema.channels)
    records, noise = prepared(times, readings)
    x = np.concatenate([record.x for record in records])
    work = Search(records, noise, families(x, degree=degree), say)
    ranked = search(work)
    if not ranked:
        raise FitError(
            "no candidate could be fitted to these courses; give more readings, fewer channels, or "
            "a shorter stretch of time."
        )
    say(f"{work.tried} candidates fitted; the last choice")
    found = finalists(work, ranked)
    best = found[0]
    shares = inclusion(work.records, best.shot.candidate, work.libraries, bags=bags, seed=seed)
    first = work.first_starts(best.shot)
    spread = np.nanmax(x, axis=0) - np.nanmin(x, axis=0)
    text = written(
        best.shot, names, first[0], spread, units=data.schema.units,
        time_unit=data.schema.time_unit,
    )  # fmt: skip
    r2 = {name: float(v) for name, v in zip(names, best.r2, strict=True)}
    others = tuple(
        (tuple(in_numbers(one.shot, names)), float(one.score - best.score)) for one in found[1:]
    )
    terms = table_of(best.shot, names, shares)
    return Discovery(
        text, tuple(in_numbers(best.shot, names)), terms, r2, best.courses,
        _sentences(best, found, names, terms, noise.grows), others, time.monotonic() - began,
    )  # fmt: skip


def _courses(data: Dataset) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Times and readings of every record, checked."""
    if not data.schema.is_series:
        raise FitError(
            f"an equation is discovered from courses in time, and these observations are "
            f"{data.schema.kind}; read them with --kind trajectories."
        )
    if data.inputs is not None:
        raise FitError(
            "discovery knows no inputs yet; leave --inputs out and name only states with --columns."
        )
    channels = data.schema.channels
    if len(channels) > _MOST_STATES:
        raise FitError(
            f"{len(channels)} channels are more states than can be searched ({_MOST_STATES}); "
            "choose some with --columns."
        )
    x = np.asarray(data.observations, np.float64)
    condition = data.conditions
    own = condition.times if isinstance(condition, Course) else None
    grid = own if own is not None else np.tile(data.schema.times, (len(x), 1))
    times, readings = [], []
    for t, one in zip(np.asarray(grid, np.float64), x, strict=True):
        rows = np.flatnonzero(np.isfinite(one).any(axis=1))
        if rows.size < 2:
            continue
        kept = slice(rows[0], rows[-1] + 1)
        t, one = t[kept], one[kept]
        rising = np.concatenate([[True], np.diff(t) > 0]) & np.isfinite(one).any(axis=1)
        times.append(t[rising])
        readings.append(one[rising])
    for i, channel in enumerate(channels):
        counts = [int(np.isfinite(one[:, i]).sum()) for one in readings]
        if not counts or min(counts) < _FEWEST:
            raise FitError(
                f"{channel} was read {min(counts, default=0)} times in a record, and discovery "
                f"needs {_FEWEST} readings of every state; give denser records, or write the "
                "equation yourself and fit it."
            )
        values = np.concatenate([one[:, i] for one in readings])
        if np.nanmax(values) == np.nanmin(values):
            raise FitError(
                f"{channel} is {np.nanmin(values):g} throughout and follows no equation; leave it "
                "out of --columns."
            )
    return times, readings


def _sentences(
    best: Finalist, found: Sequence[Finalist], names: Sequence[str], terms: Sequence[FoundTerm],
    grows: np.ndarray,
) -> tuple[str, ...]:  # fmt: skip
    words = []
    parts = [f"{100 * max(v, 0):.4g} % of {n}" for n, v in zip(names, best.r2, strict=True)]
    if not np.isfinite(best.r2).all():
        words.append("The equation cannot be solved over the whole record from its fitted start.")
    else:
        words.append(f"Solved from the fitted start it explains {', '.join(parts)}.")
        if min(best.r2) < _GOOD:
            words.append(
                "It follows the data from window to window and not over the whole record: the "
                "course is chaotic, or a term is missing."
            )
    near = [one for one in found[1:] if one.score - best.score < _CLOSE]
    if near:
        words.append(
            f"{len(near)} other{'s' if len(near) > 1 else ''} would explain the data about as "
            "well: the data alone do not tell them apart."
        )
    else:
        words.append("No other candidate comes near.")
    doubtful = [t for t in terms if t.inclusion < 0.5]
    if doubtful:
        listed = ", ".join(f"{t.term} in {t.channel}'" for t in doubtful)
        words.append(f"Chosen in fewer than half of the resampled data: {listed}.")
    if best.price > 1:
        words.append("From some other starts it explodes or turns negative: do not extrapolate it.")
    growing = [n for n, g in zip(names, grows, strict=True) if g]
    if growing:
        words.append(f"The noise of {', '.join(growing)} grows with the signal.")
    return tuple(words)
