"""Damaged and made-up files: each gives a valid result or one sentence, and quickly.

`UNWEAVE_EXAMPLES` sets how many damaged files each reader is given (60 unless it is set).
"""

import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from small_files import READERS, content, outcome, picture, write_record
from unweave.data import guess_kind, read_rows, read_signals

EXAMPLES = int(os.environ.get("UNWEAVE_EXAMPLES", "60"))
many = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)


# --- damage

TOKENS = (
    b"", b"nan", b"x", b"-1", b"1e999", b"99999999999999999999", b",", b";", b"\t", b"\n",
    b"\r", b'"', b"'", b"\0", b"\xff", b"#", b"@data", b"inf", b"0", b"True", b"1e-320",
    b"../", b"2020-01-01", b"\n\n", b":", b"?", b"()", b"{", b"65536", b"4294967295",
    b"2147483648",
)  # fmt: skip
HUGE = (
    b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xff" * 8,
    b"\0" * 8, b"\x80\0\0\0", b"\x7f" * 8,
)  # fmt: skip

at = st.floats(0, 1, exclude_max=True)
operation = st.one_of(
    st.tuples(st.just("flip"), at, st.integers(0, 7)),
    st.tuples(st.just("cut"), at, at),
    st.tuples(st.just("end"), at, at),
    st.tuples(st.just("insert"), at, st.sampled_from(TOKENS)),
    st.tuples(st.just("overwrite"), at, st.sampled_from(HUGE + TOKENS)),
    st.tuples(st.just("repeat"), at, at),
    st.tuples(st.just("swap"), at, at),
    st.tuples(st.just("digit"), at, st.integers(0, 9)),
)
damage = st.lists(operation, min_size=1, max_size=4)


def damaged(data: bytes, operations: list[tuple[str, float, object]]) -> bytes:
    for kind, where, extra in operations:
        i = int(where * max(1, len(data)))
        j = int(extra * max(1, len(data))) if isinstance(extra, float) else 0
        if kind == "flip" and data:
            assert isinstance(extra, int)
            data = data[:i] + bytes([data[i] ^ (1 << extra)]) + data[i + 1 :]
        elif kind == "cut":
            data = data[: min(i, j)] + data[max(i, j) :]
        elif kind == "end":
            data = data[:i]
        elif kind == "insert" and isinstance(extra, bytes):
            data = data[:i] + extra + data[i:]
        elif kind == "overwrite" and isinstance(extra, bytes):
            data = data[:i] + extra + data[i + len(extra) :]
        elif kind == "repeat":
            data = data[:j] + data[min(i, j) : max(i, j)] * 3 + data[j:]
        elif kind == "swap" and data:
            low, high = min(i, j), max(i, j)
            data = data[:low] + data[high : high + 8] + data[low + 8 : high] + data[low:]
        elif kind == "digit":
            digits = [k for k, byte in enumerate(data) if 48 <= byte <= 57]
            if digits:
                k = digits[int(where * len(digits))]
                data = data[:k] + str(extra).encode() * 9 + data[k + 1 :]
    return data


@pytest.mark.parametrize("name", READERS)
def test_the_undamaged_file_is_read(folder, name):
    path = folder / name
    path.write_bytes(content(name))
    assert outcome(lambda: READERS[name][1](path)) == ""


@pytest.mark.parametrize("name", READERS)
def test_damaged_files(folder, name):
    original, path, read = content(name), folder / name, READERS[name][1]

    @many
    @given(damage)
    def check(operations):
        path.write_bytes(damaged(original, operations))
        outcome(lambda: read(path))
        outcome(lambda: guess_kind(path))

    check()


@pytest.mark.parametrize("name", READERS)
def test_nonsense(folder, name):
    path, read = folder / name, READERS[name][1]
    start = content(name)[:8]

    @many
    @given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)), at)
    def check(data, keep):
        path.write_bytes(start[: int(keep * 9)] + data)
        outcome(lambda: read(path))

    check()


cell = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(repr),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6),
    st.sampled_from(["", "t", "a", '"', "NA", "1e400", "2017-01-01", "-", "True", "0x1", "1_0"]),
)
grid = st.lists(st.lists(cell, min_size=0, max_size=5), max_size=8)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "w.txt", "u.tsv"])
def test_ragged_tables(folder, name):
    path, read = folder / name, READERS[name][1]

    @many
    @given(grid, st.sampled_from([",", ";", "\t", " "]), st.booleans())
    def check(rows, separator, headed):
        lines = [separator.join(row) for row in rows]
        head = [separator.join(["t", "a", "b"])] if headed else []
        path.write_bytes("\n".join(head + lines).encode())
        outcome(lambda: read(path))
        outcome(lambda: guess_kind(path))

    check()


length = st.one_of(st.integers(-3, 20), st.integers(2**20, 2**70))


@many
@given(
    st.lists(length, max_size=5),
    st.sampled_from(["<f8", "<f4", "|u1", "|O", "<U9", "|V0", "<c16", "|S0", "<M8[s]", "z"]),
    st.booleans(),
    st.sampled_from([1, 2, 3, 9]),
    st.binary(max_size=64),
)
def test_declared_arrays(folder, shape, descr, fortran, version, data):
    text = repr({"descr": descr, "fortran_order": fortran, "shape": tuple(shape)}).encode()
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    raw = b"\x93NUMPY" + bytes([version, 0]) + size + text + data
    path = folder / "declared.npy"
    path.write_bytes(raw)
    outcome(lambda: read_rows(path))
    packed = folder / "declared.npz"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x.npy", raw)
    outcome(lambda: read_rows(packed))


@many
@given(st.lists(st.integers(0, 2**32 - 1), max_size=4), st.integers(0, 255), st.binary())
def test_declared_idx(folder, shape, kind, data):
    path = folder / "d-idx3-ubyte"
    raw = struct.pack(f">4B{len(shape)}I", 0, 0, kind, len(shape), *shape) + data
    path.write_bytes(raw)
    outcome(lambda: read_rows(path))
    path.write_bytes(struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape) + data)
    outcome(lambda: read_rows(path))


@pytest.mark.parametrize("part", ["r.hea", "r.dat", "r.atr"])
def test_damaged_records(folder, part):
    path = write_record(folder / "record")
    assert outcome(lambda: read_signals(path)) == ""
    (signal,) = read_signals(path)
    assert signal.events is not None
    assert signal.events.tolist() == [10, 20, 30, 40]
    original = (path.parent / part).read_bytes()

    @many
    @given(damage, st.binary(max_size=80), st.booleans())
    def check(operations, nonsense, random):
        (path.parent / part).write_bytes(nonsense if random else damaged(original, operations))
        outcome(lambda: read_signals(path))

    check()


@many
@given(
    st.tuples(length, length, length),
    st.sampled_from(
        ["16", "212", "16x3", "16:5", "16+9", "8", "80", "61", "310", "516", "0", "24"]
    ),
    st.sampled_from(["200", "0", "-1e9", "1e999", "200(99999999999)", "", "1/kPa", "200/V"]),
    st.sampled_from(["r.dat", "../r.dat", "/etc/hostname", "~", "r", "x.dat", "r.hea", "."]),
)
def test_declared_records(folder, numbers, fmt, gain, file):
    path = write_record(folder / "declared")
    count, rate, size = numbers
    lines = [f"r {count} {rate} {size}", f"{file} {fmt} {gain} 16 0 0 0 0 I"]
    path.write_text("\n".join(lines))
    outcome(lambda: read_signals(path))


@many
@given(damage, damage, st.sampled_from(["png", "jpg", "JPEG"]))
def test_damaged_pictures(folder, first, second, suffix):
    place = folder / "pictures"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    (place / "a.png").write_bytes(picture())
    (place / f"b.{suffix}").write_bytes(damaged(picture(1), first))
    outcome(lambda: read_rows(place))
    (place / "a.png").write_bytes(damaged(picture(), second))
    outcome(lambda: read_rows(place))
