"""Zarr arrays whose chunks lie on the disk as they are: rows are read straight into place.

The library `zarr` reads any array, and hands each chunk through several buffers and threads. That
takes three times as long as the system's own copy, which is all that such a chunk needs.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np


@final
@dataclass(frozen=True, eq=False)
class PlainArray:
    """An array of `dtype` and `shape` in the files of `folder`, each `rows` of it."""

    folder: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    rows: int
    fill: Any

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

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


def plain(array: Any, folder: Path) -> PlainArray | None:
    """The array in `folder` where its chunks are numbers in the order of memory and nothing else;
    None where they are packed, sharded, in several columns, or of another order."""
    about = array.metadata
    if about.zarr_format != 3 or array.shards is not None or array.chunks[1:] != array.shape[1:]:
        return None
    codecs = [codec.to_dict() for codec in about.codecs]
    own = ({"name": "bytes"}, {"name": "bytes", "configuration": {"endian": sys.byteorder}})
    keys = about.chunk_key_encoding.to_dict()
    if codecs not in ([one] for one in own):
        return None
    if keys["name"] != "default" or keys.get("configuration", {}).get("separator", "/") != "/":
        return None
    if array.ndim == 0 or array.dtype.kind not in "fiub" or not array.dtype.isnative:
        return None
    return PlainArray(
        folder / "c", array.shape, np.dtype(array.dtype), array.chunks[0], array.fill_value
    )


def _filled(part: np.ndarray, name: Path, offset: int) -> bool:
    """Whether the file is there; `part` is then its bytes from `offset` on."""
    try:
        file = os.open(name, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        done = 0
        while done < len(part):
            got = os.preadv(file, [part[done:].data], offset + done)
            if not got:
                raise ValueError(f"a chunk ends {len(part) - done} bytes too early")
            done += got
    finally:
        os.close(file)
    return True
