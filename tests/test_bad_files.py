"""Files that are known to be bad: what is said of each, and in what memory and time."""

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from small_files import SECONDS, VALUES, npy, outcome, samples, signals, write_record
from unweave.data import DataError, read_rows, read_signals


def ints(*rows: str) -> bytes:
    return "\n".join(rows).encode()


SENTENCES: dict[str, tuple[str, bytes, str]] = {
    "missing": ("t.csv", b"", "is empty"),
    "blank": ("t.csv", b"\n\n  \n", "is empty"),
    "header alone": ("t.csv", b"t,a,b", "no rows"),
    "wrong column": ("t.csv", ints("time,a", "0,1"), "no column 't' .*time, a"),
    "close name": ("t.csv", ints("T,a", "0,1"), "did you mean 'T'"),
    "short row": ("t.csv", ints("t,a,b", "0,1,2", "1,2"), "row 3 .* 2 fields .* 3"),
    "long row": ("t.csv", ints("t,a,b", "0,1,2", "1,2,3,4"), "row 3 .* 4 fields"),
    "spaces": ("w.txt", ints("t a b", "0 1 2", "1 2 3", "2 3"), "row 4 .* 2 fields .*spaces"),
    "text": ("t.csv", ints("t,a", "0,1", "1,x1", "2,3", "3,4"), "row 3 .*'x1' in column 'a'"),
    "infinite": ("t.csv", ints("t,a", "0,1", "1,inf"), "row 3 .*infinite"),
    "empty column": ("t.csv", ints("t,a", "0,", "1,"), "no column of numbers"),
    "backward": ("t.csv", ints("t,a", "0,1", "2,2", "1,3"), "do not increase at row 4"),
    "repeated time": ("t.csv", ints("t,a", "0,1", "0,2"), "do not increase at row 3"),
    "no time": ("t.csv", ints("t,a", "0,1", ",2"), "row 3 .*no time"),
    "clock": ("t.csv", ints("t,a", "monday,1", "tuesday,2"), "row 2 .*'monday'"),
    "two names": ("t.csv", ints("t,a,a", "0,1,2"), "several columns named 'a'"),
    "NUL": ("t.csv", b"t,a\n0,\x001\n", "NUL"),
    "latin-1": ("t.csv", "t,größe\n0,1\n".encode("latin-1"), "UTF-8"),
    "utf-16": ("t.csv", "t,a\n0,1\n".encode("utf-16"), "NUL"),
    "too wide": ("t.csv", b"t," + b"1," * 50_000, "columns"),
    "not gzip": ("t.csv.gz", b"t,a\n0,1\n", "gzip"),
    "not Parquet": ("t.parquet", b"PAR1" * 20, "Parquet"),
    "8 TB": (
        "x.npy",
        npy(np.ones((1, 2))).replace(b"(1, 2)", b"(1024, 1073741824)"),
        "8,796,093,022,208 bytes",
    ),
    "object": ("x.npy", npy(np.asarray([[None]])), "Python objects"),
    "words": ("x.npy", npy(np.asarray([["a", "b"]])), "numbers are needed"),
    "one axis": ("x.npy", npy(np.ones(3)), r"shape \(3,\)"),
    "all NaN": ("x.npy", npy(np.full((3, 4), np.nan)), "every entry is NaN"),
    "infinity": ("x.npy", npy(np.full((3, 4), np.inf)), "infinite"),
    "not npz": ("x.npz", b"PK\3\4" + b"x" * 99, "npz"),
    "idx": ("p-idx3-ubyte", struct.pack(">4B3I", 0, 0, 8, 3, 2**31, 2**31, 2**31), "declares"),
    "no data line": ("u.ts", b"@problemName p\n1,2,3\n", "@data"),
    "ts text": ("u.ts", b"@data\n1,2\n1,x\n", "line 3"),
    "ts channels": ("u.ts", b"@data\n1,2:3\n1\n", "line 3 .* 1 channels"),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_sentences(tmp_path, case):
    name, data, expected = SENTENCES[case]
    path = tmp_path / name
    path.write_bytes(data)
    read = read_rows if name[0] in "xup" else signals
    with pytest.raises(DataError, match=expected):
        read(path)
    assert outcome(lambda: read(path))


def test_missing_files_name_the_nearest(tmp_path):
    (tmp_path / "prices.csv").write_bytes(b"a\n1\n")
    with pytest.raises(DataError, match=r"no file .*; did you mean 'prices.csv'\?$"):
        read_signals(tmp_path / "price.csv")
    for wrong in ("a\0b.csv", "/dev/zero", "", "."):
        assert outcome(lambda wrong=wrong: read_signals(wrong))
        assert outcome(lambda wrong=wrong: read_rows(wrong))


def test_files_of_the_other_kind_are_named(tmp_path):
    (tmp_path / "x.npy").write_bytes(npy(VALUES))
    with pytest.raises(DataError, match="read_rows"):
        read_signals(tmp_path / "x.npy")
    path = write_record(tmp_path / "record")
    with pytest.raises(DataError, match="as signals"):
        read_rows(path)
    path.write_text("r/2 1 100 50\nr1 25\nr2 25\n")
    with pytest.raises(DataError, match="several segments"):
        read_signals(path)


def test_a_header_cannot_point_outside_of_its_folder(tmp_path):
    path = write_record(tmp_path / "record")
    (tmp_path / "secret.dat").write_bytes(samples())
    for file in ("../secret.dat", str(tmp_path / "secret.dat"), "..\\secret.dat"):
        path.write_text(f"r 1 100 50\n{file} 16 200 16 0 0 0 0 I\n")
        with pytest.raises(DataError, match="points outside of its folder"):
            read_signals(path)


def bombs(place: Path) -> dict[str, str]:
    """Files that are small and claim, or become, gigabytes; which function reads each."""
    zeros = gzip.compress(b"0" * 2**20)
    (place / "bomb.csv.gz").write_bytes(zeros * 1024)
    (place / "lines.csv.gz").write_bytes(gzip.compress(b"\n" * 2**20) * 1024)
    (place / "b-idx3-ubyte.gz").write_bytes(zeros * 1024)
    (place / "big.npy").write_bytes(npy(np.ones((1, 2))).replace(b"(1, 2)", b"(1024, 1073741824)"))
    big = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (1024, 2**20)}
    np.lib.format.write_array_header_1_0(big, shape)
    with zipfile.ZipFile(place / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr("x.npy", big.getvalue() + bytes(2**30))
    rows = struct.pack(">2I5B", 30_000, 30_000, 8, 0, 0, 0, 0)
    (place / "pictures").mkdir()
    (place / "pictures" / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", rows)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )
    (place / "pad.ts").write_bytes(b"@data\n" + b"1,2\n" * 30_000 + b"1," * 30_000 + b"1\n")
    (place / "quotes.csv").write_bytes(b'a,b\n"' + b"x,\n" * 2**20)
    (place / "noise.csv").write_bytes(b"a,b\n" + b"1,2,3\n" * 2**21)
    write_record(place / "record").write_text(
        "r 2 100 999999999999\nr.dat 16 200 16 0 0 0 0 I\nr.dat 16 200 16 0 0 0 0 II\n"
    )
    made = {
        "bomb.csv.gz": "read_signals",
        "lines.csv.gz": "read_signals",
        "b-idx3-ubyte.gz": "read_rows",
        "big.npy": "read_rows",
        "bomb.npz": "read_rows",
        "pictures": "read_rows",
        "pad.ts": "read_rows",
        "quotes.csv": "read_signals",
        "noise.csv": "read_signals",
        "record": "read_signals",
    }
    return made | parquet_bomb(place)


def chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def parquet_bomb(place: Path) -> dict[str, str]:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    part = pa.table({"a": np.zeros(10**6)})
    with pq.ParquetWriter(place / "bomb.parquet", part.schema, compression="zstd") as writer:
        for _ in range(100):
            writer.write_table(part)
    return {"bomb.parquet": "read_signals"}


MEASURE = """
import json, resource, sys, time
import pyarrow.parquet
import unweave.data as data

pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + 2**29, pages + 2**29))
for path, reader in json.loads(sys.argv[1]).items():
    start = time.process_time()
    try:
        getattr(data, reader)(path)
        said = ""
    except (data.DataError, OSError) as error:
        said = str(error)
    print(json.dumps([path, said, time.process_time() - start]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_bombs_stay_within_half_a_gigabyte(tmp_path):
    cases = {str(tmp_path / name): reader for name, reader in bombs(tmp_path).items()}
    source = Path(__file__).resolve().parent.parent / "src"
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps(cases)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(cases), done.stderr[-2000:]
    for path, said, seconds in told:
        assert said, f"{path} was read"
        assert len(said.splitlines()) == 1
        assert "Memory" not in said, f"{path} was stopped by the limit, not by a check: {said}"
        assert seconds < SECONDS, f"{path} took {seconds:.1f} s"
