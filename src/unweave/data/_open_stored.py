"""The door of the readers of data larger than memory: paths in, observations on disk out."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ._guard import DataError, ending, quoted
from ._read_wfdb import records_at
from ._stored import Shelf, Stored, stored_rows, stored_series, stored_windows
from ._stored_parquet import parquet_shelf
from ._stored_wfdb import wfdb_shelf
from ._transform import LEVEL, AbstractTransform
from ._zarr import zarr_shelf

_PARQUET = (".parquet", ".pq")
_ZARR = ("zarr.json", ".zarray", ".zgroup")
# a share of the free memory: beyond it a copy of the data may not fit
_SHARE = 0.5


def open_stored(
    paths: str | Path | Sequence[str | Path],
    *,
    length: int | None = None,
    step: int | None = None,
    transform: AbstractTransform = LEVEL,
    time: str | None = None,
    columns: Sequence[str] | None = None,
    rate: float | None = None,
    by: str | Sequence[str] = (),
    same_patient: Sequence[Sequence[str]] = (),
) -> Stored:
    """Observations that stay on disk: windows of `length`, or else whole recordings.

    **A Zarr store**: a group of recordings `(time, channel)`, or observations
    `(n, time, channel)` or `(n, time)`, which are taken as they lie there. `store` writes one.

    **Parquet files**, or folders of them, each a table of rows in time: a file is a recording, or
    each stretch of it with the same values in the columns `by`. Row groups are read whole.

    **WFDB records**, or folders of them and of folders in these, in millivolts and seconds.

    What is known of the recordings is found once and kept in the user's cache folder, until a
    file changes.

    **Arguments:** as `windows` and `read_signals` have them; `same_patient`, names of records that
    share a patient.

    **Raises:** `DataError` for what cannot be read so, `ValueError` where no window fits.
    """
    every = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    chosen = None if columns is None else tuple(columns)
    parts = (by,) if isinstance(by, str) else tuple(by)
    shelf = _shelf(every, time, chosen, rate, parts)
    for records in same_patient:
        shelf = _same_group(shelf, records)
    if shelf.lines.facts.get("ready"):
        if length is not None or transform != LEVEL:
            raise DataError(
                f"{quoted(every[0])} holds ready observations, which are not cut again; leave "
                "length and transform out, or store the recordings."
            )
        return stored_rows(shelf)
    if length is None:
        return stored_series(shelf)
    return stored_windows(shelf, length=length, step=step, transform=transform)


def is_zarr(path: str | Path) -> bool:
    """Whether a path is, or is called like, a Zarr store."""
    place = Path(path)
    return place.suffix == ".zarr" or any((place / name).is_file() for name in _ZARR)


def too_large(paths: Sequence[str | Path]) -> str:
    """A sentence where files that can be streamed would fill half of the free memory, or nothing.

    Parquet and signals unpack to several times their size; WFDB's 16 bits become 64.
    """
    free = _free_memory()
    places = [Path(path) for path in paths]
    if free is None or not all(_can_stream(place) for place in places):
        return ""
    size = sum(file.stat().st_size for place in places for file in _files(place))
    if size <= _SHARE * free:
        return ""
    return (
        f"the files take {size / 2**30:.1f} GB, and {free / 2**30:.1f} GB of memory are free; add "
        "--stream, which leaves them on the disk and reads a part at a time."
    )


def _shelf(
    paths: list[Path], time: str | None, columns: tuple[str, ...] | None, rate: float | None,
    by: tuple[str, ...],
) -> Shelf:  # fmt: skip
    for path in paths:
        if not path.exists() and not records_at(str(path)):
            raise DataError(f"there is no file or folder {quoted(path)}; check the path.")
    if any(is_zarr(path) for path in paths):
        if len(paths) != 1:
            raise DataError(f"{len(paths)} paths were given; give one Zarr store and nothing else.")
        if time is not None or by:
            raise DataError(
                f"{quoted(paths[0])} is a Zarr store, whose recordings have a step and no columns "
                "of time; leave out time and by."
            )
        return zarr_shelf(paths[0], columns=columns, rate=rate)
    if all(_is_parquet(path) for path in paths):
        if time is not None and rate is not None:
            raise DataError("both a time column and a rate were given; give one of them.")
        return parquet_shelf(paths, time=time, columns=columns, rate=rate, by=by)
    if all(_is_wfdb(path) for path in paths):
        if time is not None or rate is not None or by:
            raise DataError(
                "WFDB records know their own times; give neither a time nor a rate, nor columns "
                "that part a table (by)."
            )
        return wfdb_shelf(paths, columns=columns)
    raise DataError(
        f"{quoted(paths[0])} cannot be read a part at a time; that takes a Zarr store, Parquet "
        "files or local WFDB records. Write others as a store: "
        "unweave.data.store(signals, 'data.zarr')."
    )


def _same_group(shelf: Shelf, records: Sequence[str]) -> Shelf:
    """The shelf with these records, and whoever shares a group with one, in one group."""
    names, groups = shelf.records, shelf.groups
    missing = [record for record in records if record not in names]
    if missing:
        raise DataError(f"no record is called '{missing[0]}'; there are {len(names)} of them.")
    own = np.unique(groups[np.isin(names, list(records))])
    merged = np.where(np.isin(groups, own), own[0], groups)
    arrays = {**shelf.lines.arrays, "groups": merged}
    return replace(shelf, lines=replace(shelf.lines, arrays=arrays))


def _can_stream(path: Path) -> bool:
    return _is_parquet(path) or _is_wfdb(path)


def _is_parquet(path: Path) -> bool:
    if path.is_dir():
        return next((True for kind in _PARQUET for _ in path.rglob(f"*{kind}")), False)
    return ending(path) in _PARQUET


def _is_wfdb(path: Path) -> bool:
    if path.is_dir():
        return next((True for _ in path.rglob("*.hea")), False)
    return bool(records_at(str(path))) and not str(path).startswith("physionet:")


def _files(path: Path) -> Iterable[Path]:
    if path.is_dir():
        return (file for file in path.rglob("*") if file.is_file())
    return path.parent.glob(f"{path.with_suffix('').name}.*") if _is_wfdb(path) else (path,)


def _free_memory() -> int | None:
    """Bytes that are free, where the system says so."""
    names = getattr(os, "sysconf_names", {})
    if "SC_AVPHYS_PAGES" not in names:
        return None
    for line in _lines(Path("/proc/meminfo")):
        # free pages alone leave out what the system would give back
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_file() else []
