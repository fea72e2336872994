"""Parquet files of long tables: their times are read once, samples a row group at a time."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, final

import numpy as np

from ._guard import DataError, quoted
from ._index import AbstractReader, fingerprint, kept_lines
from ._stored import Shelf

# bytes of row groups that are kept as arrays
_KEPT = 2**26


def parquet_shelf(
    paths: Sequence[Path], *, time: str | None, columns: Sequence[str] | None,
    rate: float | None, by: Sequence[str],
) -> Shelf:  # fmt: skip
    """The recordings of files, or of folders of files: each file, or each stretch of it with the
    same values in the columns `by`.

    **Raises:** `DataError` where a file is damaged, its times do not increase or are not evenly
    spaced, its row groups are too large, or it differs from the others.
    """
    pyarrow()
    files = [file for path in paths for file in _files(path)]
    key = fingerprint(files, "parquet", time, columns, rate, tuple(by))

    def build() -> Any:
        from ._scan_parquet import Scan, scanned  # and with it pandas

        return scanned(files, Scan(time, columns, rate, tuple(by)))

    lines = kept_lines(key, build)
    dtype = np.dtype(lines.facts["dtype"])
    return Shelf(
        lines, ParquetReader(dict(lines.arrays), tuple(lines.facts["channels"]), dtype), key
    )


def pyarrow() -> Any:
    """The module `pyarrow.parquet`, which is an extra."""
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError("a Parquet file needs pyarrow: pip install 'unweave[parquet]'.") from None
    return pq


class _Kept:
    """The row groups that were read last, up to so many bytes; for several threads."""

    def __init__(self):
        self.lock = Lock()
        self.parts: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()

    def get(self, key: tuple[str, int], read: Any) -> np.ndarray:
        """The part, read if it is not among them."""
        with self.lock:
            if key in self.parts:
                self.parts.move_to_end(key)
                return self.parts[key]
            part = read()
            self.parts[key] = part
            while len(self.parts) > 1 and sum(p.nbytes for p in self.parts.values()) > _KEPT:
                self.parts.popitem(last=False)
            return part


@final
@dataclass(frozen=True, eq=False)
class ParquetReader(AbstractReader):
    r"""Reads runs of rows on an even grid, NaN where a sample is missing.

    Run i is the rows of file `files[i]` from `row[i]` on. Behind its row $g_k$ so many samples are
    missing that $e_k$ are in all up to there; row $j$ stands at $j + e_k$, k the last gap before
    it. `gaps` are the $g_k$ and `missing` the $e_k$ of all runs, those of run i from
    `bounds[i]` to `bounds[i + 1]`; `edges` are the rows at which the row groups of a file begin,
    from `files_from[f]` on.
    """

    arrays: dict[str, np.ndarray]
    channels: tuple[str, ...]
    dtype: np.dtype
    kept: _Kept = field(default_factory=_Kept)

    def read(self, recording: int, first: int, end: int) -> np.ndarray:
        """See `AbstractReader`."""
        a = self.arrays
        here = slice(int(a["bounds"][recording]), int(a["bounds"][recording + 1]))
        gaps, missing = a["gaps"][here], a["missing"][here]
        # a sample within a gap has no row; the one behind it is the next
        after = gaps + 1 + missing
        edge = np.searchsorted(after, [first, end], side="right")
        before = np.concatenate([[0], missing])[edge]
        limit = np.concatenate([gaps + 1, [np.iinfo(np.int64).max]])[edge]
        low, high = np.minimum(np.asarray([first, end]) - before, limit).tolist()
        rows = np.arange(low, high)
        place = rows + np.concatenate([[0], missing])[np.searchsorted(gaps, rows)]
        out = np.full((end - first, len(self.channels)), np.nan, self.dtype)
        start = int(a["row"][recording])
        out[place - first] = self._rows(int(a["files"][recording]), start + low, start + high)
        return out

    def _rows(self, file: int, first: int, end: int) -> np.ndarray:
        """Rows of a file, out of the row groups that they lie in."""
        path = str(self.arrays["paths"][file])
        where = self.arrays["files_from"]
        edges = self.arrays["edges"][int(where[file]) : int(where[file + 1])]
        parts = []
        for group in range(int(np.searchsorted(edges, first, side="right")) - 1, len(edges) - 1):
            begin = int(edges[group])
            if begin >= end:
                break
            part = self.kept.get((path, group), lambda group=group: self._group(path, group))
            parts.append(part[max(first - begin, 0) : end - begin])
        empty = np.empty((0, len(self.channels)), self.dtype)
        return np.concatenate(parts) if parts else empty

    def _group(self, path: str, group: int) -> np.ndarray:
        # not `parsing`, which changes the filters of warnings for all threads
        try:
            with pyarrow().ParquetFile(path) as file:
                table = file.read_row_group(group, columns=list(self.channels), use_threads=False)
                columns = [table.column(name).to_numpy() for name in self.channels]
        except (ValueError, KeyError) as error:
            raise DataError(
                f"row group {group} of {quoted(path)} is damaged: {str(error)[:160]}."
            ) from None
        return np.stack([np.asarray(column, self.dtype) for column in columns], axis=1)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix in (".parquet", ".pq"))
    if not files:
        raise DataError(f"the folder {quoted(path)} has no Parquet file (.parquet, .pq) in it.")
    return files
