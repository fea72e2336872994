"""What every reader checks before it allocates: files that are missing or damaged, and files
that claim, or expand to, far more than they hold."""

import codecs
import difflib
import gzip
import io
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

#: A file may always ask for this many bytes, ...
FLOOR = 64 * 2**20
#: ... and beyond that for this many times its own size. Real pictures of shapes on black
#: (dSprites) expand 184-fold, a bomb of equal bytes 1,030-fold.
RATIO = 200
CHUNK = 2**20


@final
class DataError(ValueError):
    """A file that cannot be read as what it was said to be; the message is one sentence."""


def quoted(value: object) -> str:
    """A value taken from a file as it may stand in a message: one line, and short."""
    text = repr(str(value))
    return text if len(text) <= 60 else f"{text[:56]}...'"


def listed(names: Iterable[object]) -> str:
    """The first names of a list, as they may stand in a message."""
    every = list(names)
    shown = ", ".join(quoted(name)[1:-1] for name in every[:12])
    return shown if len(every) <= 12 else f"{shown} and {len(every) - 12} more"


def closest(name: str, names: Iterable[str]) -> str:
    """A half-sentence that proposes the name nearest to a mistaken one, or nothing."""
    lowered = {other.lower(): other for other in names}
    near = difflib.get_close_matches(name.lower(), list(lowered), n=1)
    return f"; did you mean {quoted(lowered[near[0]])}?" if near else ""


def existing(path: Path) -> Path:
    """The path of a regular, non-empty file, or a `DataError`."""
    name = quoted(path)
    if "\0" in str(path) or not path.exists():
        near = closest(path.name, _siblings(path))
        raise DataError(f"there is no file {name}{near or '; check the path.'}")
    if not path.is_file():
        raise DataError(f"{name} is not a regular file; give the path of a data file.")
    if path.stat().st_size == 0:
        raise DataError(f"{name} is empty; it has 0 bytes.")
    return path


def _siblings(path: Path) -> list[str]:
    if "\0" in str(path) or not path.parent.is_dir():
        return []
    return [other.name for _, other in zip(range(1000), path.parent.iterdir(), strict=False)]


def check_size(path: Path, wanted: int, held: int, *, what: str) -> None:
    """Raises `DataError` if a file of `held` bytes asks for implausibly many: `wanted`."""
    if wanted > FLOOR and wanted > RATIO * held:
        raise DataError(
            f"{held:,} bytes of {quoted(path)} would need {wanted:,} as {what}; that is beyond "
            f"{FLOOR >> 20} MB and {RATIO} times as many, so they were not read."
        )


@contextmanager
def parsing(path: Path, kind: str) -> Iterator[None]:
    """Turns whatever a foreign parser raises within into one `DataError`.

    Errors of the operating system (no permission, a failing disc) stay what they are.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except DataError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        printable = "".join(c if c.isprintable() else " " for c in lines[0][:160])
        detail = " ".join(printable.split()).rstrip(".")
        raise DataError(f"{quoted(path)} cannot be read as {kind}: {detail}.") from None


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, unpacked if it is a gzip file."""
    buffer = io.BytesIO()
    for chunk in _chunks(path):
        buffer.write(chunk)
    return _not_empty(path, buffer.getvalue())


def read_text(path: Path, *, most: int | None = None) -> bytes:
    r"""The bytes of a text file in UTF-8, lines ending in `\n`, no byte-order mark.

    Each chunk is checked as it comes, so that binary data are refused at the first one; of a
    long file about the first `most` bytes are read.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    buffer = io.BytesIO()
    for chunk in _chunks(path):
        if b"\0" in chunk:
            raise DataError(f"{quoted(path)} is not a text file: it contains NUL bytes.")
        _decode(path, decoder, chunk, final_chunk=False)
        buffer.write(chunk)
        if most is not None and buffer.tell() >= most:
            break
    else:
        _decode(path, decoder, b"", final_chunk=True)
    data = buffer.getvalue().removeprefix(codecs.BOM_UTF8)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return _not_empty(path, data)


def _decode(
    path: Path, decoder: codecs.IncrementalDecoder, chunk: bytes, *, final_chunk: bool
) -> None:
    try:
        decoder.decode(chunk, final_chunk)
    except UnicodeDecodeError:
        raise DataError(f"{quoted(path)} is not text in UTF-8; save it in that encoding.") from None


def _not_empty(path: Path, data: bytes) -> bytes:
    if not data or data.isspace():
        raise DataError(f"{quoted(path)} is empty; it has no data in it.")
    return data


def _chunks(path: Path) -> Iterator[bytes]:
    """The contents of a file piece by piece; a gzip file that swells too far is refused."""
    existing(path)
    if path.suffix.lower() != ".gz":
        with path.open("rb") as plain:
            while chunk := plain.read(CHUNK):
                yield chunk
        return
    total = 0
    with path.open("rb") as packed, gzip.open(packed, "rb") as stream:
        while True:
            with parsing(path, "a gzip file"):
                chunk = stream.read(CHUNK)
            if not chunk:
                return
            total += len(chunk)
            check_size(path, total, packed.tell(), what="unpacked contents")
            yield chunk


def stem(path: Path) -> str:
    """A file's name without its endings: `prices` for `prices.csv.gz`."""
    name = path.name.removesuffix(".gz")
    return Path(name).stem or name


def ending(path: Path) -> str:
    """What kind of file the name says it is, `.gz` aside: `.csv` for `prices.csv.gz`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix
