"""The door of the readers of data larger than memory: paths in, observations on disk out."""

from collections.abc import Sequence
from pathlib import Path

from ._guard import DataError, quoted
from ._stored import Stored, stored_rows, stored_series, stored_windows
from ._transform import LEVEL, AbstractTransform
from ._zarr import zarr_shelf


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
    same_patient: Sequence[str] = (),
) -> Stored:
    """Observations that stay on disk: windows of `length`, or else whole recordings.

    **A Zarr store** (`.zarr`): a group of recordings `(time, channel)`, or an array of
    observations `(n, time, channel)` or `(n, time)`, which are taken as they lie there.
    """
    every = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    chosen = None if columns is None else tuple(columns)
    if len(every) != 1:
        raise DataError(f"{len(every)} paths were given; give one Zarr store.")
    shelf = zarr_shelf(every[0], columns=chosen, rate=rate)
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
