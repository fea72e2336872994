"""Long tables: several recordings in one file, told apart by columns, and channels in a column."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ._guard import DataError, check_size, quoted
from ._read_text import Table

# columns that are tried when a file seems to hold several recordings
_MOST_TRIED = 6


def recordings(path: Path, table: Table, by: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    """The name and the row numbers of each recording, in the order of first appearance.

    A name is the values of the columns `by`, with a number behind it where two are alike.

    **Raises:** `DataError` for a row that has no value in one of them.
    """
    codes = np.stack([codes_of(path, table, name) for name in by], axis=1)
    group = _groups(codes)
    rows = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    names: list[str] = []
    for part in rows:
        name = " ".join(word(table.column(column).iloc[part[0]]) for column in by)
        alike = sum(other == name or other.startswith(f"{name}-") for other in names)
        names.append(f"{name}-{alike + 1}" if alike else name)
    return list(zip(names, rows, strict=True))


def channel_codes(path: Path, table: Table, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The channel of each row as an index into the channels' names, in order of appearance."""
    codes = codes_of(path, table, name)
    _, first = np.unique(codes, return_index=True)
    return codes, tuple(word(table.column(name).iloc[row]) for row in first)


def pivoted(
    path: Path, table: Table, times: np.ndarray, codes: np.ndarray, values: np.ndarray,
    *, channels: int, rows: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The rows of one recording with the channels side by side: times that increase, and values
    `(time, channel)`, NaN where a channel has no row. Each channel has all columns of `values`.

    **Raises:** `DataError` where a channel has two rows of one time.
    """
    grid, place = np.unique(times[rows], return_inverse=True)
    width = channels * values.shape[1]
    check_size(path, 8 * len(grid) * width, path.stat().st_size, what="channels side by side")
    key = place * channels + codes[rows]
    order = np.argsort(key, kind="stable")
    again = order[1:][np.diff(key[order]) == 0]
    if len(again):
        row = rows[again.min()]
        raise DataError(
            f"row {table.first_row + row} of {quoted(path)} has a second value of one channel at "
            f"the time {times[row]:g} of its recording; keep one of them, or tell recordings "
            "apart by another column (--by)."
        )
    out = np.full((len(grid), channels, values.shape[1]), np.nan)
    out[place, codes[rows]] = values[rows]
    return grid, out.reshape(len(grid), width)


def parting_columns(
    table: Table, times: np.ndarray, by: Sequence[str], taken: Sequence[str]
) -> tuple[str, ...]:
    """The columns, one or two beside `by`, that part a table into recordings whose times
    increase; none where there are none.

    Text is tried before numbers, and these only where equal ones stand together: a channel of
    few values would otherwise do by chance.
    """
    free = [str(name) for name in table.frame.columns if name not in (*by, *taken)]
    is_text = {name: not pd.api.types.is_numeric_dtype(table.column(name)) for name in free}
    tried = sorted((n for n in free if _may_part(table.column(n))), key=lambda n: not is_text[n])
    codes = {name: pd.factorize(table.column(name))[0] for name in (*by, *tried[:_MOST_TRIED])}
    for size in (1, 2):
        for names in itertools.combinations(tried[:_MOST_TRIED], size):
            group = _groups(np.stack([codes[name] for name in (*by, *names)], axis=1))
            together = int(np.count_nonzero(np.diff(group))) == group.max()
            several = 0 < group.max() < len(group) / 2
            if several and (together or is_text[names[0]]) and _increase(times, group):
                return names
    return ()


def word(value: object) -> str:
    """A value of a table as a name: a whole number without its decimal point."""
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if whole else str(value)  # pyright: ignore[reportArgumentType]


def codes_of(path: Path, table: Table, name: str) -> np.ndarray:
    """The values of a column as numbers in order of appearance; a missing one is a `DataError`."""
    codes, _ = pd.factorize(table.column(name))
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        raise DataError(
            f"row {table.first_row + missing[0]} of {quoted(path)} has nothing in column "
            f"{quoted(name)}, which says what a row belongs to; fill it in."
        )
    return codes.astype(np.int64)


def _groups(codes: np.ndarray) -> np.ndarray:
    """The number of each row's combination of `codes` `(row, column)`, by first appearance."""
    _, first, inverse = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse.ravel()]


def _may_part(column: pd.Series) -> bool:
    """Whether a column may name recordings: none missing, and each of some rows."""
    return not column.isna().any() and column.nunique() <= len(column) / 2


def _increase(times: np.ndarray, group: np.ndarray) -> bool:
    order = np.argsort(group, kind="stable")
    return bool(np.all((np.diff(times[order]) > 0) | (np.diff(group[order]) > 0)))
