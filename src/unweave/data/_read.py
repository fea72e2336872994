"""The door of the readers: paths in, signals or rows out, whatever the files' format."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .._schema import Schema
from ._dataset import Dataset, Signal, dataset
from ._guard import DataError, ending, existing, listed, quoted
from ._read_arrays import Rows, colours, is_pictures, peek_array, read_npy, read_npz
from ._read_images import pictures_in, read_idx, read_image_folder
from ._read_wfdb import read_records, records_at

_TABLES = (".csv", ".tsv", ".txt", ".parquet", ".pq")

Paths = str | Path | Sequence[str | Path]


def read_signals(
    paths: Paths,
    *,
    time: str | None = None,
    columns: Sequence[str] | None = None,
    rate: float | None = None,
    by: str | Sequence[str] = (),
    channel: str | None = None,
) -> tuple[Signal, ...]:
    """Reads recordings over time: WFDB records, or tables in CSV, TSV or Parquet.

    **Records** (a path with or without `.hea`, a folder of them, or
    `physionet:database/folder/record`) come in millivolts and seconds, channels by their names
    in lower case, annotated beats as events, grouped by patient where the header or a folder
    says which. Without `columns` the channels that all records share are read.

    **Tables** come in the file's own numbers, NaN where a field is empty. Dates and Unix times
    (in seconds or finer) become seconds since 1970 with `time_unit` "s"; other numbers stay as
    they are. Without `columns` every column of numbers but the time is a channel. Files with
    the same columns that continue each other in time are one record, others one each.

    **Long tables** hold several recordings, told apart by the columns `by`: each combination of
    their values is a record, named by them ("Pc", or "1 5.7" of two columns, after the file's
    name where there are several files). Where a column `channel` says what was measured in each
    row, its values are the channels, and at a time at which one of them has no row it is NaN.

    **Arguments:**

    - `paths`: one path or several.
    - `time`: the table's column of times; without one, a row's time is its number / `rate`.
    - `columns`: the channels to read, in this order.
    - `rate`: rows a second, for tables without times.
    - `by`: the columns that tell the recordings of a file apart.
    - `channel`: the column that names each row's channel; `columns` are then what was measured.

    **Raises:** `DataError` if a file is missing, damaged or not what it should be, `OSError` if
    it cannot be reached.
    """
    every = _paths(paths)
    chosen = None if columns is None else _columns(columns)
    parts = _columns(by) if by else ()
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise DataError(f"a rate of {rate} rows a second was given; it must be positive.")
    if time is not None and rate is not None:
        raise DataError("both a time column and a rate were given; give one of them.")
    if channel is not None and time is None:
        raise DataError(
            f"the channels are in the column {quoted(channel)}, so rows cannot be counted for "
            "times; name the column of times (time, or --time)."
        )
    records = [records_at(path) for path in every]
    if all(records):
        if time is not None or rate is not None or parts or channel is not None:
            raise DataError(
                "WFDB records know their own times and channels; give neither a time nor a rate, "
                "nor columns that part a table (by, channel)."
            )
        return read_records([name for some in records for name in some], chosen)
    if any(records):
        raise DataError("WFDB records and tables were given together; read them one by one.")
    files = [file for path in every for file in _table_files(Path(path))]
    # pandas takes a quarter of a second to import: arrays and records do not wait for it
    from ._read_tables import TableOptions, read_tables

    return read_tables(files, TableOptions(time, chosen, rate, parts, channel))


def read_rows(paths: Paths, *, unit: str = "") -> Dataset:
    """Reads files that hold one observation a row: series or pictures, with labels if any.

    npy `(n, time)` or `(n, time, channel)`; npz (`x` or `imgs`, labels in `y`, dSprites'
    factors); UCR txt, tsv, csv (a label first, or last) and ts; idx pictures with the labels
    file beside them; folders of png or jpg, sub-folders being the classes. Series have the
    axes (time, channel), NaN after the end of a shorter one; pictures keep their bytes, with
    the axes (row, column, channel).

    **Arguments:**

    - `paths`: one path or several, of observations of one shape.
    - `unit`: the unit of a series' values.

    **Raises:** `DataError` if a file is missing, damaged or not what it should be, `OSError` if
    it cannot be reached.
    """
    every = [Path(path) for path in _paths(paths)]
    parts = [_rows(path) for path in every]
    shapes = [part.observations.shape[1:] for part in parts]
    for path, part, shape in zip(every, parts, shapes, strict=True):
        if shape != shapes[0] or part.observations.dtype.kind != parts[0].observations.dtype.kind:
            raise DataError(
                f"{quoted(path)} has observations of shape {shape}, {quoted(every[0].name)} of "
                f"shape {shapes[0]}; read them one by one."
            )
    together = np.concatenate([part.observations for part in parts])
    labels, names = _labels([part.labels for part in parts])
    factors = [part.factors for part in parts if part.factors is not None]
    known = len(factors) == len(parts) and len({f.shape[1] for f in factors}) == 1
    return dataset(
        together,
        _schema(every[0], together, unit),
        labels=labels,
        label_names=names,
        factors=np.concatenate(factors) if known else None,
        factor_names=parts[0].factor_names if known else (),
    )


def guess_kind(paths: Paths) -> str:
    """What the files call for: `beats` (WFDB), `windows` (tables), `images` or `rows`."""
    path = _paths(paths)[0]
    if records_at(path):
        return "beats"
    place = Path(path)
    if place.is_dir():
        return "images" if pictures_in(place)[0] else "windows"
    existing(place)
    if _is_idx(place):
        return "images"
    if ending(place) in (".npy", ".npz"):
        return "images" if is_pictures(*peek_array(place)) else "rows"
    if ending(place) == ".ts":
        return "rows"
    if ending(place) in (".tsv", ".txt", ".csv") and _looks_like_rows(place):
        return "rows"
    return "windows"


def _looks_like_rows(path: Path) -> bool:
    from ._read_ucr import looks_like_rows  # and with it pandas

    return looks_like_rows(path)


def _paths(paths: Paths) -> list[str]:
    every = [paths] if isinstance(paths, str | Path) else list(paths)
    if not every:
        raise DataError("no path was given; give at least one file or folder.")
    return [str(path) for path in every]


def _columns(columns: Sequence[str]) -> tuple[str, ...]:
    chosen = (columns,) if isinstance(columns, str) else tuple(columns)
    if not chosen or len(set(chosen)) < len(chosen):
        raise DataError(
            f"the columns {listed(chosen) or 'none'} were asked for; name each of them "
            "once, and at least one."
        )
    return chosen


def _table_files(path: Path) -> list[Path]:
    if "\0" in str(path) or not path.is_dir():
        if _is_idx(path) or ending(path) in (".npy", ".npz", ".ts"):
            raise DataError(
                f"{quoted(path)} holds one observation a row, no table over time; read it as "
                "rows (read_rows, or --kind rows or images)."
            )
        return [path]
    files = sorted(file for file in path.iterdir() if ending(file) in _TABLES)
    if not files:
        raise DataError(
            f"the folder {quoted(path)} has no WFDB headers (.hea) and no tables "
            f"({', '.join(_TABLES)}) in it."
        )
    return files


def _is_idx(path: Path) -> bool:
    return "ubyte" in path.name or ending(path).startswith(".idx")


def _rows(path: Path) -> Rows:
    if "\0" not in str(path) and path.is_dir():
        return read_image_folder(path)
    existing(path)
    if _is_idx(path):
        return read_idx(path)
    kind = ending(path)
    if kind == ".npy":
        return read_npy(path)
    if kind == ".npz":
        return read_npz(path)
    if kind in (".ts", ".txt", ".tsv", ".csv"):
        from ._read_ucr import read_ts, read_ucr  # and with it pandas

        return read_ts(path) if kind == ".ts" else read_ucr(path)
    raise DataError(
        f"{quoted(path)} is not a file of rows (npy, npz, txt, tsv, csv, ts, idx-ubyte or a "
        "folder of pictures); recordings over time are read as signals."
    )


def _schema(path: Path, array: np.ndarray, unit: str) -> Schema:
    shape = array.shape[1:]
    count = shape[-1]
    if len(shape) == 3:
        return Schema(
            kind="images",
            axes=("row", "column", "channel"),
            shape=shape,
            channels=colours(path, count),
            units=("",) * count,
        )
    return Schema(
        kind="rows",
        axes=("time", "channel"),
        shape=shape,
        channels=("value",) if count == 1 else tuple(f"c{i + 1}" for i in range(count)),
        units=(unit,) * count,
    )


def _labels(parts: list[np.ndarray | None]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels as indices into their names, the names in order (of number, if they are)."""
    given = [part for part in parts if part is not None]
    if len(given) < len(parts):
        return None, ()
    numeric = all(part.dtype.kind in "biuf" for part in given)
    raw = np.concatenate([part if numeric else part.astype(str) for part in given])
    found, index = np.unique(raw, return_inverse=True)
    return index.astype(np.int64), tuple(f"{name:g}" if numeric else str(name) for name in found)
