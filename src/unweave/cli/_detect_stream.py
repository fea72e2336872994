"""`unweave detect` of data larger than memory: scores piece by piece, and a table written so."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._rows import evenly
from ..data import Dataset, Stored
from ..detect import Calibrated, Detector, Score
from ._detect_data import Watched
from ._pieces import ahead, counted, piece_rows

if TYPE_CHECKING:
    import pandas as pd

# parts of the data that are scored by what was learned from the others
_FOLDS = 5
# rows scored at once: detectors compare each with thousands
_ROWS = 1024
# rows of a piece of the table, and of what is drawn before and behind the strangest
_TABLE, _AROUND = 16_384, 200

#: What gives the columns of places of some observations.
Places = Callable[[Dataset], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Judge:
    """Scores for the pieces of the data: `parts[k]` judges the rows from `bounds[k]` on."""

    parts: tuple[Score, ...]
    bounds: np.ndarray

    def __call__(self, rows: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The score of each of consecutive rows; NaN where nothing was observed."""
        of = np.searchsorted(self.bounds, rows, side="right") - 1
        seen = ~np.isnan(x).reshape(len(x), -1).all(axis=1)
        found = np.full(len(rows), np.nan)
        for part in np.unique(of[seen]):
            here = seen & (of == part)
            found[here] = self.parts[part](x[here], None)
        return found


def by_the_others(detector: Detector, sample: Dataset, n: int, *, seed: int) -> tuple[Score, Judge]:
    """A detector where nothing is known to be normal: each fifth of the `n` observations is judged
    by what a `sample` of the others taught. Also the score by all of the sample, which says
    where."""
    x, rows = sample.observations, evenly(n, len(sample))
    parts = min(_FOLDS, len(rows))
    held = np.array_split(np.arange(len(rows)), parts)
    bounds = np.asarray([0, *(rows[part[0]] for part in held[1:])])
    scores = tuple(detector.fit(np.delete(x, part, axis=0), seed=seed) for part in held)
    return detector.fit(x, seed=seed), Judge(scores, bounds)


def by_one(score: Score) -> Judge:
    """One score for all rows."""
    return Judge((score,), np.asarray([0]))


def scores_of(judges: Mapping[str, Judge], data: Stored) -> dict[str, np.ndarray]:
    """The scores of all observations by each judge, 8 bytes each; the data are read once."""
    each = min(_ROWS, piece_rows(data.schema.size))
    found = {word: np.empty(len(data)) for word in judges}
    done = 0
    for part in counted(ahead(data.parts(each)), len(data), "judging"):
        rows = np.arange(done, done + len(part))
        for word, judge in judges.items():
            found[word][rows] = judge(rows, part.observations)
        done += len(part)
    return found


def tables(
    data: Stored,
    scores: Mapping[str, np.ndarray],
    calibrated: Mapping[str, Calibrated | None],
    places: Mapping[str, Places],
    rate: float,
) -> Iterator["pd.DataFrame"]:
    """The table in pieces. Only observations that were flagged are read again, to say where they
    are strange."""
    import pandas as pd

    each = max(1, min(_TABLE, 4 * piece_rows(data.schema.size)))
    for first in range(0, len(data), each):
        rows = np.arange(first, min(first + each, len(data)))
        spans = data.spans(rows)
        columns: dict[str, Any] = {
            "record": data.names(rows), "start": spans[:, 0], "end": spans[:, 1]
        }  # fmt: skip
        for word, every in scores.items():
            mine, by = every[rows], calibrated[word]
            columns[f"{word} score"] = mine
            if by is None:
                continue
            known = np.isfinite(mine)
            flags = known & by.flags(mine, rate)
            p = np.where(known, by.p_values(mine), np.nan)
            columns |= {f"{word} p": p, f"{word} flagged": flags}
            columns |= _places_of(data, rows, flags, places[word])
        yield pd.DataFrame(columns)


def _places_of(
    data: Stored, rows: np.ndarray, flags: np.ndarray, places: Places
) -> dict[str, np.ndarray]:
    """The columns of places, empty but for what was flagged."""
    some = np.flatnonzero(flags)
    # one row says which columns there are where none was flagged
    read = places(data.read(rows[some] if len(some) else rows[:1]))
    columns = {}
    for name, values in read.items():
        text = not np.issubdtype(np.asarray(values).dtype, np.number)
        column = np.full(len(rows), "", object) if text else np.full(len(rows), np.nan)
        if len(some):
            column[some] = values
        columns[name] = column
    return columns


def drawn_of(data: Stored, scores: np.ndarray, watched: Watched) -> tuple[Watched, np.ndarray]:
    """What is drawn: the observations around the strangest, of its recording, and their scores."""
    most = int(np.nanargmax(scores))
    rows = np.arange(max(0, most - _AROUND), min(len(data), most + _AROUND))
    rows = rows[data.names(rows) == data.names(np.asarray([most]))[0]]
    return replace(watched, data=data.read(rows)), scores[rows]
