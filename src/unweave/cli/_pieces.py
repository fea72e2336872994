"""Results that are computed and written piece by piece, and appear whole or not at all."""

import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np
from tqdm import tqdm

from .._files import made_whole
from ..data import make_array

if TYPE_CHECKING:
    import pandas as pd

#: The endings of arrays, and of tables.
ARRAYS, TABLES = (".npy", ".npz", ".zarr"), (".csv", ".tsv", ".parquet")
# numbers of one piece, in whole chunks of so many rows: 25 MB in float32, for what is over 32 MB
# the C library asks of the system anew each time, which takes as long as reading it
_NUMBERS, _ROWS = 6 * 2**20, 512
_MOST_ROWS = 2**16
# nothing is shown of what is done sooner
_PATIENCE = 2.0

Item = TypeVar("Item")


def piece_rows(size: int) -> int:
    """How many observations of `size` numbers are computed and written at once."""
    fit = min(_NUMBERS // max(size, 1), _MOST_ROWS)
    return max(1, fit // _ROWS * _ROWS or fit)


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The items, each made in the background while the one before it is used."""
    source = iter(items)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, source, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, source, None)
            yield item


def counted(
    pieces: Iterable[Item], n: int, doing: str, size: Callable[[Item], int] = len
) -> Iterator[Item]:
    """The pieces, with a bar that counts observations once it takes over two seconds."""
    hidden = not sys.stderr.isatty()
    with tqdm(total=n, desc=doing, leave=False, delay=_PATIENCE, disable=hidden) as bar:
        for piece in pieces:
            yield piece
            bar.update(size(piece))


def write_arrays(
    path: Path, pieces: Iterable[np.ndarray], n: int, attributes: dict[str, Any]
) -> None:
    """An array of `n` rows out of its pieces, as .npy, .npz (where it is called x) or .zarr, which
    has `attributes`."""
    check_ending(path)
    with made_whole(path) as part:
        if path.suffix == ".zarr":
            array, done = None, 0
            for piece in pieces:
                if array is None:
                    shape = (n, *piece.shape[1:])
                    array = make_array(part, None, shape, piece, attributes)
                array[done : done + len(piece)] = piece
                done += len(piece)
        elif path.suffix == ".npy":
            with part.open("wb") as file:
                _write_npy(file, pieces, n)
        else:
            packed = zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED)
            with packed, packed.open("x.npy", "w", force_zip64=True) as file:
                _write_npy(file, pieces, n)


def write_tables(path: Path, tables: Iterable["pd.DataFrame"]) -> None:
    """One table out of pieces with the same columns, its format by the file's name."""
    check_ending(path)
    with made_whole(path) as part:
        if path.suffix == ".parquet":
            _write_parquet(part, tables)
            return
        separator = "\t" if path.suffix == ".tsv" else ","
        with part.open("w", newline="") as file:
            for number, table in enumerate(tables):
                table.to_csv(file, index=False, sep=separator, header=number == 0)


def check_ending(path: Path) -> None:
    """Raises `ValueError` for a file whose name says no format."""
    if path.suffix not in (*ARRAYS, *TABLES):
        *some, last = (*TABLES, *ARRAYS)
        raise ValueError(
            f"'{path.suffix}' is no format; end the name in {', '.join(some)} or {last}."
        )


def _write_npy(file: BinaryIO | Any, pieces: Iterable[np.ndarray], n: int) -> None:
    begun = False
    for piece in pieces:
        if not begun:
            about = {
                "descr": np.lib.format.dtype_to_descr(piece.dtype), "fortran_order": False,
                "shape": (n, *piece.shape[1:]),
            }  # fmt: skip
            np.lib.format.write_array_header_1_0(file, about)
            begun = True
        file.write(np.ascontiguousarray(piece).data)


def _write_parquet(part: Path, tables: Iterable["pd.DataFrame"]) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ValueError("writing Parquet needs pyarrow: pip install 'unweave[parquet]'.") from None
    writer = None
    try:
        for table in tables:
            schema = None if writer is None else writer.schema
            rows = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
            writer = writer or pq.ParquetWriter(part, rows.schema)
            writer.write_table(rows)
    finally:
        if writer is not None:
            writer.close()
