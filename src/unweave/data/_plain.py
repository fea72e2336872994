"""Zarr arrays whose chunks lie on the disk as they are: rows are read straight into place.

The library `zarr` reads any array, and hands each chunk through several buffers and threads. That
takes three times as long as the system's own copy, which is all that such a chunk needs.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

# what says that a chunk is its numbers
_BYTES: tuple[Any, ...] = (
    [{"name": "bytes"}], [{"name": "bytes", "configuration": {"endian": sys.byteorder}}],
)  # fmt: skip


@final
@dataclass(frozen=True, eq=False)
class PlainArray:
    """An array of `dtype` and `shape` in the files of `folder`, each `rows` of it."""

    folder: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    rows: int
    fill: Any

    def __getitem__(self, rows: slice) -> np.ndarray:
        """The rows from `rows.start` to `rows.stop`, as `zarr` gives them.

        **Raises:** `ValueError` for a file that is too short, `OSError` where the disk fails.
        """
        first, end, _ = rows.indices(self.shape[0])
        out = np.empty((max(end - first, 0), *self.shape[1:]), self.dtype)
        self.read_into(first, end, out)
        return out

    def read_into(self, first: int, end: int, out: np.ndarray) -> None:
        """The rows `first` to `end` into `out`, which has their type and lies in one piece."""
        if not out.size:
            return
        size = out.nbytes // (end - first)
        given = out.reshape(-1).view(np.uint8)
        for number in range(first // self.rows, (end - 1) // self.rows + 1):
            begin = max(first, number * self.rows)
            stop = min(end, (number + 1) * self.rows)
            part = given[(begin - first) * size : (stop - first) * size]
            name = self.folder.joinpath(str(number), *("0" for _ in self.shape[1:]))
            if not _filled(part, name, (begin - number * self.rows) * size):
                # what was never written
                out.reshape(end - first, -1)[begin - first : stop - first] = self.fill


def plain(folder: Path) -> PlainArray | None:
    """The array in `folder` where it is of format 3 and its chunks are numbers in the order of
    memory and nothing else; None where they are packed, sharded, in several columns, of another
    order, or where that cannot be told.

    **Source:** the Zarr core specification, version 3.
    """
    try:
        about = json.loads((folder / "zarr.json").read_bytes())
        grid, keys = about["chunk_grid"], about["chunk_key_encoding"]
        shape, chunks = tuple(about["shape"]), tuple(grid["configuration"]["chunk_shape"])
        dtype, fill = np.dtype(about["data_type"]), about["fill_value"]
        separator = keys.get("configuration", {}).get("separator", "/")
        is_plain = (
            about["zarr_format"] == 3
            and about["node_type"] == "array"
            and about["codecs"] in _BYTES
            and not about.get("storage_transformers")
            and (grid["name"], keys["name"], separator) == ("regular", "default", "/")
            and chunks[1:] == shape[1:]
            and len(shape) > 0
            and dtype.kind in "fiub"
        )
        if not is_plain or (not isinstance(fill, int | float) and fill != "NaN"):
            return None
        return PlainArray(folder / "c", shape, dtype, chunks[0], dtype.type(fill))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # the library has better words for what is wrong with it
        return None


def _filled(part: np.ndarray, name: Path, offset: int) -> bool:
    """Whether the file is there; `part` is then its bytes from `offset` on."""
    try:
        file = name.open("rb", buffering=0)
    except FileNotFoundError:
        return False
    with file:
        file.seek(offset)
        done = 0
        while done < len(part):
            got = file.readinto(part[done:].data)
            if not got:
                raise ValueError(f"a chunk ends {len(part) - done} bytes too early")
            done += got
    return True
