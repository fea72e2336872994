"""Small valid files of every kind that is read, and what reading a damaged one may end in."""

import gzip
import io
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unweave.data import DataError, Dataset, Signal, read_rows, read_signals

#: The time that a reader may take over a bad file.
SECONDS = 2.0


def outcome(read: Callable[[], object]) -> str:
    """What a reader said, "" if it read; anything but a valid result or a sentence fails."""
    start = time.process_time()
    message = ""
    try:
        result = read()
    except (DataError, OSError) as error:
        message = str(error)
        assert message, "an error must say something"
        assert len(message.splitlines()) == 1
        assert message.isprintable()
        assert len(message) < 600
        assert "Type-check" not in message, message
    else:
        for part in result if isinstance(result, tuple) else (result,):
            valid(part)
    assert time.process_time() - start < SECONDS
    return message


def valid(part: object) -> None:
    if isinstance(part, Signal):
        assert part.values.dtype == np.float64
        assert part.values.size > 0
        assert not np.isinf(part.values).any()
        assert np.isfinite(part.times).all()
        assert not np.isnan(part.values).all()
    elif isinstance(part, Dataset):
        assert part.observations.size > 0
        assert part.observations.dtype.kind in "fu"
    else:
        assert isinstance(part, str)


VALUES = np.random.default_rng(0).normal(size=(12, 3)).round(3)


def table(separator: str) -> bytes:
    rows = [f"t{separator}a{separator}b{separator}c"]
    rows += [separator.join(map(str, [i, *row])) for i, row in enumerate(VALUES.tolist())]
    return "\n".join(rows).encode()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=VALUES, y=np.arange(12) % 3)
    return buffer.getvalue()


def parquet() -> bytes:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    columns = {"t": np.arange(12.0), "a": VALUES[:, 0], "word": ["x", "y"] * 6}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def ucr() -> bytes:
    rows = ["\t".join(map(str, [i % 2, *row])) for i, row in enumerate(VALUES.tolist())]
    return "\n".join(rows).encode()


def ts() -> bytes:
    head = ["@problemName p", "@timestamps false", "@classLabel true a b", "@data"]
    rows = [",".join(map(str, row)) + ":0.1,0.2:a" for row in VALUES.tolist()]
    return "\n".join([*head, *rows]).encode()


def idx() -> bytes:
    return struct.pack(">4B3I", 0, 0, 8, 3, 5, 4, 3) + bytes(range(60))


def header() -> bytes:
    lines = [
        "r 2 100 50 10:00:00",
        *(f"r.dat 16 200(3)/mV 16 0 1 0 0 {n}" for n in ("I", "II")),
    ]
    return "\n".join([*lines, "# age: 60", "# patient 12"]).encode()


def samples() -> bytes:
    return np.arange(-50, 50, dtype="<i2").tobytes()


def beats() -> bytes:
    # each word: ten bits of samples since the last one, six of the kind (1 = normal beat)
    return np.asarray([(1 << 10) | 10] * 4 + [0], "<u2").tobytes()


def picture(value: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((np.arange(48).reshape(6, 8) * 5 + value).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def signals(path: Path) -> object:
    return read_signals(path, time="t" if path.suffix != ".hea" else None)


READERS: dict[str, tuple[bytes | Callable[[], bytes], Callable[[Path], object]]] = {
    "t.csv": (table(","), signals),
    "t.tsv": (table("\t"), signals),
    "s.csv": (table(";"), read_signals),
    "w.txt": (table(" "), signals),
    "t.csv.gz": (gzip.compress(table(",")), signals),
    "t.parquet": (parquet, signals),
    "x.npy": (npy(VALUES), read_rows),
    "i.npy": (npy(VALUES.astype(np.uint8).reshape(3, 4, 3)), read_rows),
    "x.npz": (npz(), read_rows),
    "u.tsv": (ucr(), read_rows),
    "u.ts": (ts(), read_rows),
    "p-images-idx3-ubyte": (idx(), read_rows),
}


def content(name: str) -> bytes:
    made = READERS[name][0]
    return made() if callable(made) else made


def write_record(place: Path) -> Path:
    place.mkdir(exist_ok=True)
    for name, data in (("r.hea", header()), ("r.dat", samples()), ("r.atr", beats())):
        (place / name).write_bytes(data)
    return place / "r.hea"
