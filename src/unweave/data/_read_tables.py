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
from ._read_text import Table, read_text_table

#: Unix times that are too large to be seconds, and what they then are in one second.
_UNIX = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (1e8, 1.0))


@final
@dataclass(frozen=True)
class TableOptions:
    """Which columns of a table are read: the time's, the channels', or a rate in rows a second
    where there is no time."""

    time: str | None
    columns: tuple[str, ...] | None
    rate: float | None


def read_tables(paths: Sequence[Path], options: TableOptions) -> tuple[Signal, ...]:
    """One signal for each file, or one for all where the files continue each other in time."""
    signals = tuple(_signal(path, options) for path in paths)
    return signals if options.time is None else _joined(signals)


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


def _signal(path: Path, options: TableOptions) -> Signal:
    table = read_table(path)
    names = _channels(path, table, options)
    values = np.stack([numbers(path, table, name) for name in names], axis=1)
    if np.isnan(values).all():
        raise DataError(f"{quoted(path)} has no number in {listed(names)}; every field is empty.")
    times, unit = _times(path, table, options)
    return Signal(
        record=stem(path),
        group=stem(path),
        values=values,
        times=times,
        channels=names,
        units=("",) * len(names),
        time_unit=unit,
    )


def _channels(path: Path, table: Table, options: TableOptions) -> tuple[str, ...]:
    every = [str(name) for name in table.frame.columns]
    for wanted in (options.time, *(options.columns or ())):
        if wanted is not None and wanted not in every:
            raise DataError(
                f"{quoted(path)} has no column {quoted(wanted)} (it has {listed(every)})"
                f"{closest(wanted, every) or '.'}"
            )
    if options.columns is not None:
        return options.columns
    found = tuple(
        name for name in every if name != options.time and _is_numeric(table.column(name))
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


def _times(path: Path, table: Table, options: TableOptions) -> tuple[np.ndarray, str]:
    if options.time is None:
        rows = np.arange(len(table.frame), dtype=np.float64)
        return (rows, "") if options.rate is None else (rows / options.rate, "s")
    column = table.column(options.time)
    if _is_numeric(column) or column.dropna().empty:
        times = numbers(path, table, options.time)
        unit = ""
    else:
        times = _clock_times(path, table, options.time)
        unit = "s"
    _check_times(path, table, options.time, times)
    if not unit and np.all(times == np.round(times)):
        for least, each in _UNIX:
            if times[0] >= least:
                return times / each, "s"
    return times, unit


def _clock_times(path: Path, table: Table, name: str) -> np.ndarray:
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


def _check_times(path: Path, table: Table, name: str, times: np.ndarray) -> None:
    missing = np.flatnonzero(np.isnan(times))
    if len(missing):
        raise DataError(
            f"row {table.first_row + missing[0]} of {quoted(path)} has no time in column "
            f"{quoted(name)}; every row needs one."
        )
    backward = np.flatnonzero(np.diff(times) <= 0)
    if len(backward):
        row, column = int(backward[0]) + 1, table.column(name)
        raise DataError(
            f"the times in column {quoted(name)} of {quoted(path)} do not increase at row "
            f"{table.first_row + row} ({quoted(column.iloc[row - 1])}, then "
            f"{quoted(column.iloc[row])}); sort the rows by time, remove duplicates, and put "
            "separate recordings in separate files."
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
