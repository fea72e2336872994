"""Tables over time, from text or Parquet, into signals."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import numpy as np
import pandas as pd

from ._dataset import Signal
from ._guard import (
    DataError,
    check_size,
    closest,
    ending,
    existing,
    listed,
    parsing,
    quoted,
    stem,
)
from ._read_long import channel_codes, parting_columns, pivoted, recordings
from ._read_text import Table, read_text_table

#: Unix times that are too large to be seconds, and what they then are in one second.
_UNIX = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (1e8, 1.0))


@final
@dataclass(frozen=True)
class TableOptions:
    """Which columns of a table are read: the time's, the channels', or a rate in rows a second
    where there is no time; those that tell recordings apart, and the one that names channels."""

    time: str | None
    columns: tuple[str, ...] | None
    rate: float | None
    by: tuple[str, ...] = ()
    channel: str | None = None

    @property
    def about(self) -> tuple[str, ...]:
        """The columns that are no channels."""
        return tuple(name for name in (self.time, *self.by, self.channel) if name is not None)


def read_tables(paths: Sequence[Path], options: TableOptions) -> tuple[Signal, ...]:
    """One signal for each recording of each file, or one for all files where these continue each
    other in time and hold one recording each."""
    parts = [_signals(path, options) for path in paths]
    if options.by and len(paths) > 1:
        # two files may give their recordings the same names
        parts = [
            [_named(signal, f"{stem(path)} {signal.record}") for signal in part]
            for path, part in zip(paths, parts, strict=True)
        ]
    signals = tuple(signal for part in parts for signal in part)
    return signals if options.time is None or options.by else _joined(signals)


def read_table(path: Path) -> Table:
    """A table from Parquet or text, as the file's name says."""
    return _parquet(path) if ending(path) in (".parquet", ".pq") else read_text_table(path)


def numbers(path: Path, table: Table, name: str) -> np.ndarray:
    """A column as float64, an empty field as NaN; text or infinity in it is a `DataError`."""
    column = table.column(name)
    if pd.api.types.is_numeric_dtype(column.dtype):
        result = np.asarray(column, np.float64)
    else:
        result = _coerced(column)
        wrong = np.flatnonzero(np.isnan(result) & np.asarray(column.notna()))
        if len(wrong):
            raise DataError(
                f"row {table.first_row + wrong[0]} of {quoted(path)} has "
                f"{quoted(column.iloc[wrong[0]])} in column {quoted(name)}, which is not a "
                "number; mend or empty that field, or choose other columns."
            )
    infinite = np.flatnonzero(np.isinf(result))
    if len(infinite):
        raise DataError(
            f"row {table.first_row + infinite[0]} of {quoted(path)} has an infinite number in "
            f"column {quoted(name)}; mend or empty that field."
        )
    return result


def _signals(path: Path, options: TableOptions) -> list[Signal]:
    table = read_table(path)
    columns = _channels(path, table, options)
    values = np.stack([numbers(path, table, name) for name in columns], axis=1)
    if np.isnan(values).all():
        raise DataError(f"{quoted(path)} has no number in {listed(columns)}; every field is empty.")
    every = np.arange(len(table.frame))
    parts = recordings(path, table, options.by) if options.by else [(stem(path), every)]
    times, unit = _times(path, table, options, parts)
    names, codes, found = columns, every * 0, ("",)
    if options.channel is not None:
        codes, found = channel_codes(path, table, options.channel)
        several = len(columns) > 1
        names = tuple(f"{name} {c}" if several else name for name in found for c in columns)
    signals = []
    for record, rows in parts:
        at, x = times[rows], values[rows]
        if options.channel is not None:
            at, x = pivoted(path, table, times, codes, values, channels=len(found), rows=rows)
        if np.isnan(x).all():
            raise DataError(
                f"the recording {quoted(record)} in {quoted(path)} has no number in "
                f"{listed(columns)}; leave its rows out."
            )
        signals.append(Signal(record, record, x, at, names, ("",) * len(names), unit))
    return signals


def _named(signal: Signal, name: str) -> Signal:
    return replace(signal, record=name, group=name)


def _channels(path: Path, table: Table, options: TableOptions) -> tuple[str, ...]:
    every = [str(name) for name in table.frame.columns]
    for wanted in (*options.about, *(options.columns or ())):
        if wanted not in every:
            raise DataError(
                f"{quoted(path)} has no column {quoted(wanted)} (it has {listed(every)})"
                f"{closest(wanted, every) or '.'}"
            )
    if options.columns is not None:
        return options.columns
    found = tuple(
        name for name in every if name not in options.about and _is_numeric(table.column(name))
    )
    if not found:
        raise DataError(
            f"{quoted(path)} has no column of numbers beside the time (it has {listed(every)}"
            "); check its separator and its header."
        )
    return found


def _coerced(column: pd.Series) -> np.ndarray:
    return np.asarray(pd.to_numeric(column, errors="coerce"), np.float64)


def _is_numeric(column: pd.Series) -> bool:
    """Whether a column is one of numbers: more than half of its non-empty fields are."""
    present = column.dropna()
    if present.empty or pd.api.types.is_bool_dtype(column.dtype):
        return False
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return False
    if pd.api.types.is_numeric_dtype(column.dtype):
        return True
    return bool(np.mean(~np.isnan(_coerced(present))) > 0.5)


def _times(
    path: Path, table: Table, options: TableOptions, parts: Sequence[tuple[str, np.ndarray]]
) -> tuple[np.ndarray, str]:
    """The time of each row and the unit; without times, rows count from the recording's first."""
    if options.time is None:
        rows = np.empty(len(table.frame))
        for _, place in parts:
            rows[place] = np.arange(len(place))
        return (rows, "") if options.rate is None else (rows / options.rate, "s")
    column = table.column(options.time)
    if _is_numeric(column) or column.dropna().empty:
        times = numbers(path, table, options.time)
        unit = ""
    else:
        times = clock_times(path, table, options.time)
        unit = "s"
    _check_times(path, table, options, times, parts)
    factor = None if unit else unix_factor(times)
    return (times, unit) if factor is None else (times / factor, "s")


def unix_factor(times: np.ndarray) -> float | None:
    """How many of whole Unix times are one second; None for other times."""
    if np.all(times == np.round(times)):
        for least, each in _UNIX:
            if times[0] >= least:
                return each
    return None


def clock_times(path: Path, table: Table, name: str) -> np.ndarray:
    """Seconds since 1970 (UTC where no zone is written) of a column of dates and times."""
    column = table.column(name)
    parsed = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
    wrong = np.flatnonzero((parsed.isna() & column.notna()).to_numpy())
    if len(wrong):
        raise DataError(
            f"row {table.first_row + wrong[0]} of {quoted(path)} has "
            f"{quoted(column.iloc[wrong[0]])} in its time column {quoted(name)}; write a "
            "number or a time such as 2017-01-31 12:00:00."
        )
    moments = parsed.dt.tz_localize(None).to_numpy("datetime64[us]")
    return np.where(np.isnat(moments), np.nan, moments.astype(np.int64) / 1e6)


def _check_times(
    path: Path,
    table: Table,
    options: TableOptions,
    times: np.ndarray,
    parts: Sequence[tuple[str, np.ndarray]],
) -> None:
    """Raises `DataError` where a row has no time, or, unless channels are parted later, where
    the times of a recording do not increase."""
    column = table.column(str(options.time))
    missing = np.flatnonzero(np.isnan(times))
    if len(missing):
        raise DataError(
            f"row {table.first_row + missing[0]} of {quoted(path)} has no time in column "
            f"{quoted(options.time)}; every row needs one."
        )
    for record, rows in parts if options.channel is None else ():
        backward = np.flatnonzero(np.diff(times[rows]) <= 0)
        if not len(backward):
            continue
        last, row = rows[backward[0]], rows[backward[0] + 1]
        of = f"recording {quoted(record)} of {quoted(path)}" if options.by else quoted(path)
        raise DataError(
            f"the times in column {quoted(options.time)} of {of} do not increase at row "
            f"{table.first_row + row} ({quoted(column.iloc[last])}, then "
            f"{quoted(column.iloc[row])}); {_remedy(table, times, options)}"
        )


def _remedy(table: Table, times: np.ndarray, options: TableOptions) -> str:
    """What makes times increase: the columns that tell recordings apart, if any do."""
    taken = (*options.about, *(options.columns or ()))
    names = parting_columns(table, times, options.by, taken)
    if not names:
        return (
            "sort the rows by time, remove duplicates, and put separate recordings in separate "
            "files."
        )
    left = [name for name in map(str, table.frame.columns) if name not in (*options.about, *names)]
    measured = [name for name in left if _is_numeric(table.column(name))]
    pivots = len(names) == len(measured) == 1 and not _is_numeric(table.column(names[0]))
    other = f", or --channel {names[0]} if it names what was measured" if pivots else ""
    return (
        f"{listed(names)} would part the rows into recordings whose times do: use --by "
        f"{','.join(listed((name,)) for name in (*options.by, *names))}{other}."
    )


def _joined(signals: tuple[Signal, ...]) -> tuple[Signal, ...]:
    """One signal out of several with the same channels whose times do not overlap."""
    first = signals[0]
    alike = all((s.channels, s.time_unit) == (first.channels, first.time_unit) for s in signals)
    ordered = sorted(signals, key=lambda signal: float(signal.times[0]))
    apart = all(a.times[-1] < b.times[0] for a, b in itertools.pairwise(ordered))
    if len(signals) == 1 or not alike or not apart:
        return signals
    name = " to ".join((ordered[0].record, ordered[-1].record))
    return (
        replace(
            first,
            record=name,
            group=name,
            values=np.concatenate([signal.values for signal in ordered]),
            times=np.concatenate([signal.times for signal in ordered]),
        ),
    )


def _parquet(path: Path) -> Table:
    existing(path)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(
            f"reading {quoted(path)} needs pyarrow: pip install 'unweave[parquet]'."
        ) from None
    with parsing(path, "a Parquet file"), pq.ParquetFile(path, memory_map=False) as file:
        size = path.stat().st_size
        plain = [
            field.name
            for field in file.schema_arrow
            if not pa.types.is_nested(field.type) and not pa.types.is_binary(field.type)
        ]
        if len(set(plain)) < len(plain) or not plain:
            raise DataError(f"{quoted(path)} has no plain columns, or several of one name.")
        meta = file.metadata
        groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
        rows = max(meta.num_rows, sum(group.num_rows for group in groups))
        check_size(path, rows * len(plain) * 8, size, what="rows")
        unpacked = sum(group.total_byte_size for group in groups)
        check_size(path, unpacked, size, what="unpacked columns")
        frame = file.read(columns=plain, use_threads=False).to_pandas(ignore_metadata=True)
    if frame.empty:
        raise DataError(f"{quoted(path)} has no rows.")
    return Table(frame, named=True, first_row=1)
