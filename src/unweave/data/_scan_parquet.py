"""The one pass over the times of Parquet files: where recordings begin, end and have gaps."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import pandas as pd

from ._guard import DataError, closest, existing, listed, parsing, quoted, stem
from ._index import Lines, shown
from ._read_long import codes_of, word
from ._read_tables import clock_times, numbers, unix_factor
from ._read_text import Table
from ._stored_parquet import pyarrow
from ._windows import MAX_GAP

# a row group may take so many bytes of memory
_MOST_BYTES = 2**28


@final
@dataclass(frozen=True)
class Scan:
    """What is read of each file."""

    time: str | None
    columns: Sequence[str] | None
    rate: float | None
    by: tuple[str, ...]


@dataclass
class _Runs:
    """What was found so far, over all files: a line for each run, and all gaps within them."""

    records: list[str] = field(default_factory=list)
    file: list[int] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    gaps: list[list[np.ndarray]] = field(default_factory=list)
    missing: list[list[np.ndarray]] = field(default_factory=list)
    single: tuple[float, int] = (0.0, 0)
    uneven: int = 0
    seen: int = 0

    def begin(self, record: str, file: int, row: int, time: float) -> None:
        """A run that begins at a row."""
        self.records.append(record)
        self.file.append(file)
        self.row.append(row)
        self.starts.append(time)
        self.rows.append(0)
        self.gaps.append([])
        self.missing.append([])

    def extend(self, path: Path, times: np.ndarray, before: float | None, row: int) -> None:
        """Rows from `row` on that go on with the last run, whose last time was `before`."""
        known = times if before is None else np.concatenate([[before], times])
        apart = np.diff(known)
        after = row + len(times) - len(apart) + np.arange(len(apart))
        if np.any(apart <= 0):
            raise DataError(
                f"the times of {quoted(path)} do not increase at row "
                f"{after[int(np.argmax(apart <= 0))] + 1}; sort the rows by time, or tell "
                "recordings apart by their columns (by, or --by)."
            )
        if not len(apart):
            self.rows[-1] += len(times)
            return
        steps = self._steps(apart)
        first = row
        for place in [*np.flatnonzero(steps > MAX_GAP).tolist(), None]:
            end = row + len(times) if place is None else int(after[place])
            here = (after >= first) & (after < end) & (steps > 1) & (steps <= MAX_GAP)
            self.rows[-1] += end - first
            self.gaps[-1].append(after[here] - 1 - self.row[-1])
            self.missing[-1].append(steps[here] - 1)
            if place is not None:
                time = float(times[end - row])
                self.begin(self.records[-1], self.file[-1], end, time)
            first = end

    def _steps(self, apart: np.ndarray) -> np.ndarray:
        """Differences in time as numbers of steps, which the first ones settle."""
        total, count = self.single
        step = total / count if count else float(np.quantile(apart, 0.5, method="lower"))
        single = apart[apart < 1.6 * step]
        self.single = (total + float(single.sum()), count + len(single))
        ratio = apart / (self.single[0] / self.single[1])
        steps = np.maximum(np.rint(ratio), 1)
        self.uneven += int((np.abs(ratio - steps) > 0.4).sum())
        self.seen += len(apart)
        return steps.astype(np.int64)


def scanned(files: Sequence[Path], scan: Scan) -> Lines:
    """The index of the recordings of all files."""
    found, edges, paths, unit = _Runs(), [], [], ""
    first: tuple[Path, tuple[str, ...], np.dtype] | None = None
    for number, path in enumerate(shown(files, "indexing")):
        existing(path)
        with parsing(path, "a Parquet file"), pyarrow().ParquetFile(path) as file:
            channels, dtype = _channels(path, file.schema_arrow, scan)
            if first is not None and channels != first[1]:
                raise DataError(
                    f"{quoted(path)} has the columns {listed(channels)} and {quoted(first[0])} "
                    f"{listed(first[1])}; name those that all share (columns, or --columns)."
                )
            first = (path, channels, np.result_type(dtype, first[2] if first else dtype))
            edges.append(_edges(path, file, len(channels)))
            name = stem(path) if not scan.by or len(files) > 1 else ""
            unit = _scan_file(number, path, name, file, scan, edges[-1], found)
        paths.append(str(path.absolute()))
    assert first is not None
    return _lines(found, edges, paths, first[1], first[2], unit, scan)


def _lines(
    found: _Runs, edges: list[np.ndarray], paths: list[str], channels: tuple[str, ...],
    dtype: np.dtype, unit: str, scan: Scan,
) -> Lines:  # fmt: skip
    if found.seen and found.uneven > 0.05 * found.seen:
        step = found.single[0] / found.single[1]
        raise DataError(
            f"the samples of {quoted(paths[0])} are not evenly spaced ({found.uneven:,} of "
            f"{found.seen:,} differences are no multiple of {step:g}); resample them to one "
            "step, or leave out the time column so that rows are counted instead."
        )
    gaps = [np.concatenate([np.empty(0, np.int64), *part]) for part in found.gaps]
    extra = [np.concatenate([np.empty(0, np.int64), *part]) for part in found.missing]
    missing = [np.cumsum(part) for part in extra]
    last = np.asarray([part[-1] if len(part) else 0 for part in missing], np.int64)
    total, count = found.single
    step = total / count if count else (1 / scan.rate if scan.rate else 1.0)
    bridged = int(sum(part.sum() for part in extra))
    return Lines(
        {
            "records": np.asarray(found.records), "groups": np.asarray(found.records),
            "lengths": np.asarray(found.rows, np.int64) + last,
            "starts": np.asarray(found.starts, np.float64),
            "files": np.asarray(found.file, np.int64), "row": np.asarray(found.row, np.int64),
            "gaps": np.concatenate(gaps), "missing": np.concatenate(missing),
            "bounds": np.concatenate([[0], np.cumsum([len(part) for part in gaps])]),
            "paths": np.asarray(paths), "edges": np.concatenate(edges),
            "files_from": np.concatenate([[0], np.cumsum([len(part) for part in edges])]),
        },
        {
            "item": [len(channels)], "channels": list(channels), "units": [""] * len(channels),
            "step": float(step), "time_unit": unit, "dtype": dtype.str,
            "together": int(max(np.diff(part).max() for part in edges)),
            "bridged": bridged,
        },
    )  # fmt: skip


def _scan_file(
    number: int, path: Path, name: str, file: Any, scan: Scan, edges: np.ndarray, found: _Runs
) -> str:
    """Adds the runs of one file; gives the unit of its times."""
    key, before, done = None, None, set()
    unit = "" if scan.time is not None or scan.rate is None else "s"
    factor = None
    for group, first in enumerate(edges[:-1].tolist()):
        names = [part for part in (scan.time, *scan.by) if part is not None]
        size = int(edges[group + 1]) - first
        frame = pd.DataFrame(index=range(size))
        if names:
            frame = file.read_row_group(group, columns=names, use_threads=False)
            frame = frame.to_pandas(ignore_metadata=True)
        table = Table(frame, named=True, first_row=first + 1)
        keys = _keys(path, table, scan.by, size)
        times = None
        if scan.time is not None:
            times, dated = _times(path, table, scan.time)
            factor = (1.0 if dated else unix_factor(times)) if factor is None else factor
            unit = "s" if factor else ""
            times = times / (factor or 1.0)
        cuts = np.flatnonzero(keys[1:] != keys[:-1]) + 1
        for a, b in itertools.pairwise([0, *cuts.tolist(), size]):
            if keys[a] != key:
                key, before = keys[a], None
                _check_new(path, str(key), done, first + a, scan)
                record = " ".join(part for part in (name, str(key)) if part)
                found.begin(record, number, first + a, 0.0 if times is None else float(times[a]))
            if times is None:
                found.rows[-1] += b - a
            else:
                found.extend(path, times[a:b], before, first + a)
                before = float(times[b - 1])
    return unit


def _check_new(path: Path, key: str, done: set[str], row: int, scan: Scan) -> None:
    if key in done:
        raise DataError(
            f"the recording {quoted(key)} stands in several places of {quoted(path)} (again at "
            f"row {row + 1}); sort the file by {listed(scan.by)} and then by time."
        )
    done.add(key)


def _keys(path: Path, table: Table, by: Sequence[str], size: int) -> np.ndarray:
    """What each row belongs to, in words."""
    if not by:
        return np.full(size, "")
    codes = np.stack([codes_of(path, table, name) for name in by], axis=1)
    _, first, place = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    words = [" ".join(word(table.column(name).iloc[row]) for name in by) for row in first]
    return np.asarray(words)[place.ravel()]


def _times(path: Path, table: Table, name: str) -> tuple[np.ndarray, bool]:
    """The time of each row, and whether the column holds dates."""
    column = table.column(name)
    dated = not pd.api.types.is_numeric_dtype(column.dtype)
    times = clock_times(path, table, name) if dated else numbers(path, table, name)
    missing = np.flatnonzero(np.isnan(times))
    if len(missing):
        raise DataError(
            f"row {table.first_row + missing[0]} of {quoted(path)} has no time in column "
            f"{quoted(name)}; every row needs one."
        )
    return times, dated


def _channels(path: Path, schema: Any, scan: Scan) -> tuple[tuple[str, ...], np.dtype]:
    """The columns that are read, and the floats that hold them."""
    from pyarrow import types

    kinds = dict(zip(schema.names, schema.types, strict=True))
    about = [name for name in (scan.time, *scan.by) if name is not None]
    for name in (*about, *(scan.columns or ())):
        if name not in kinds:
            raise DataError(
                f"{quoted(path)} has no column {quoted(name)} (it has {listed(kinds)})"
                f"{closest(name, kinds) or '.'}"
            )
    numeric = [n for n, kind in kinds.items() if types.is_integer(kind) or types.is_floating(kind)]
    chosen = tuple(scan.columns or (name for name in numeric if name not in about))
    if not chosen or not set(chosen) <= set(numeric):
        raise DataError(
            f"{quoted(path)} has no numbers in {listed(chosen) or 'any column beside the time'} "
            f"(it has them in {listed(numeric)}); choose among these."
        )
    small = all(types.is_float16(kinds[n]) or types.is_float32(kinds[n]) for n in chosen)
    return chosen, np.dtype(np.float32 if small else np.float64)


def _edges(path: Path, file: Any, columns: int) -> np.ndarray:
    """The first row of each row group, and the number of rows."""
    meta = file.metadata
    sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
    if not sum(sizes):
        raise DataError(f"{quoted(path)} has no rows.")
    if max(sizes) * columns * 8 > _MOST_BYTES:
        raise DataError(
            f"{quoted(path)} has row groups of up to {max(sizes):,} rows, which are read whole; "
            f"write it with smaller ones: pyarrow.parquet.write_table(table, PATH, "
            f"row_group_size=100_000)."
        )
    return np.concatenate([[0], np.cumsum(sizes)])
