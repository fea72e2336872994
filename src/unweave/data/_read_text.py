"""Text tables into data frames: separator, header and ragged rows, before pandas sees them."""

import csv
import datetime
import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np
import pandas as pd

from ._guard import CHUNK, DataError, ending, parsing, quoted, read_text

WHITESPACE: Final = r"\s+"
WIDEST: Final = 20_000
_BLOCK: Final = 4 * 2**20
_WORDS: Final = {"\t": "tabs", ";": "semicolons", ",": "commas", WHITESPACE: "spaces"}


@final
@dataclass(frozen=True, eq=False)
class Table:
    """A table as read: its columns, whether they were named in the file, and the number of
    its first row of data, counting as an editor does (blank lines aside)."""

    frame: pd.DataFrame
    named: bool
    first_row: int

    def column(self, name: str) -> pd.Series:
        """One column, its index the row numbers from 0."""
        return pd.Series(self.frame[name])


def read_text_table(path: Path) -> Table:
    """A text table, its separator found among tab, semicolon, comma and white space.

    A first row made of numbers and times alone is data, and the columns are then c1, c2, ....
    Lines at the top that begin with `#` or `%` are skipped; but where a single `%` line stands
    above columns parted by spaces, it may name them (`_names_above`).
    """
    whole = read_text(path)
    data, skipped = _without_comments(whole)
    if not data or data.isspace():
        raise DataError(f"{quoted(path)} has no rows, only comments.")
    head = _head(data)
    with parsing(path, "a table"):
        separator = "\t" if ending(path) == ".tsv" else _separator(head)
        first = next(iter(_fields(head, separator)), [])
    width = len(first)
    if width == 0:
        raise DataError(f"{quoted(path)} begins with blank lines alone; remove them.")
    if width > WIDEST:
        raise DataError(
            f"{quoted(path)} has {width:,} columns in its first row; {WIDEST:,} are the most."
        )
    named = not all(_is_value(field) for field in first)
    names = [f.strip() or f"c{i + 1}" for i, f in enumerate(first)]
    if not named:
        above = whole[: len(whole) - len(data)] if separator == WHITESPACE else b""
        names = _names_above(above, _fields(head, separator))
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise DataError(
            f"{quoted(path)} has several columns named {quoted(min(repeated))}; rename them."
        )
    _check_even(path, data, separator, width, skipped)
    with parsing(path, "a table"):
        frame = pd.read_csv(
            io.BytesIO(data),
            sep=separator,
            header=0 if named else None,
            index_col=False,
            skipinitialspace=True,
            decimal="," if _has_decimal_commas(head, separator) else ".",
            low_memory=False,
            float_precision="round_trip",
        )
    if frame.empty:
        raise DataError(f"{quoted(path)} has a header but no rows.")
    frame.columns = names
    return Table(frame, named, 1 + skipped + int(named))


def read_head(path: Path) -> tuple[list[list[str]], bool]:
    """The fields of the first rows of a text table, and whether the very first are names."""
    data, _ = _without_comments(read_text(path, most=CHUNK))
    head = _head(data)
    with parsing(path, "a table"):
        rows = _fields(head, "\t" if ending(path) == ".tsv" else _separator(head))
    if not rows:
        raise DataError(f"{quoted(path)} has no rows.")
    return rows, not all(_is_value(field) for field in rows[0])


def _without_comments(data: bytes) -> tuple[bytes, int]:
    skipped, start = 0, 0
    while start < len(data) and data[start : start + 1] in (b"#", b"%"):
        start = (data.find(b"\n", start) + 1) or len(data)
        skipped += 1
    return (data[start:] if skipped else data), skipped


def _names_above(comment: bytes, rows: list[list[str]]) -> list[str]:
    """The columns' names: c1, c2, ..., or those in a lone `%` line.

    It names all columns, or, as with M. Schmidt and H. Lipson's recordings of 2009, those that
    follow a column of the trial, the same in many rows, and one of times, which rise.
    """
    names = [f"c{i + 1}" for i in range(len(rows[0]))]
    words = comment.decode().removeprefix("%").split()
    lone = comment.startswith(b"%") and comment.count(b"\n") == 1
    if not lone or not words or len(set(words)) < len(words):
        return names
    if len(words) == len(names):
        return words
    trials, times = ({row[i] for row in rows if len(row) > i} for i in (0, 1))
    timed = len(trials) == 1 and len(times) == len(rows) > 2
    if not timed or len(words) > len(names) - 2 or {"trial", "time"} & set(words):
        return names
    return ["trial", "time", *words, *names[2 + len(words) :]]


def _head(data: bytes) -> list[str]:
    """The first lines that are not blank."""
    data = data[len(data) - len(data.lstrip(b"\n")) :]
    size = max(2**16, data.find(b"\n") + 1)
    piece = data[:size] if data.find(b"\n") >= 0 else data
    # the last line of a piece may have been cut
    whole = piece if len(piece) == len(data) else piece[: piece.rfind(b"\n") + 1]
    lines = whole.decode("utf-8", "ignore").split("\n")
    return [line for line in lines if line.strip(" ")][:20]


def _fields(lines: list[str], separator: str) -> list[list[str]]:
    if separator == WHITESPACE:
        return [line.split() for line in lines]
    return [row for row in csv.reader(lines, delimiter=separator, skipinitialspace=True) if row]


def _separator(head: list[str]) -> str:
    """The first separator that gives every line, or else most lines, as many fields as the
    first one, more than one; a comma where none does."""
    for share in (1.0, 0.5):
        for separator in _WORDS:
            widths = np.asarray([len(row) for row in _fields(head, separator)])
            if len(widths) and widths[0] > 1 and np.mean(widths == widths[0]) >= share:
                return separator
    return ","


def _is_value(field: str) -> bool:
    """Whether a field of the first row is data: nothing, a number or a time."""
    text = field.strip()
    try:
        float(text.replace(",", ".") or "nan")
    except ValueError:
        try:
            datetime.datetime.fromisoformat(text)
        except ValueError:
            return False
    return True


def _has_decimal_commas(head: list[str], separator: str) -> bool:
    body = "".join(head[1:])
    return separator == ";" and "," in body and "." not in body


def _check_even(path: Path, data: bytes, separator: str, width: int, skipped: int) -> None:
    """Raises `DataError` at the first row that has not `width` fields: pandas would pad it."""
    row = skipped
    blocks = _quoted_widths(data, separator) if b'"' in data else _widths(data, separator)
    with parsing(path, "a table"):
        for widths in blocks:
            wrong = np.flatnonzero(widths != width)
            if len(wrong):
                found = int(widths[wrong[0]])
                raise DataError(
                    f"row {row + int(wrong[0]) + 1} of {quoted(path)} has {found:,} fields "
                    f"where the first row has {width:,} (separated by {_WORDS[separator]}); "
                    "give every row the same number."
                )
            row += len(widths)


def _widths(data: bytes, separator: str) -> Iterator[np.ndarray]:
    """How many fields each line that is not blank has, block by block."""
    start = 0
    while start < len(data):
        stop = (data.find(b"\n", start + _BLOCK) + 1) or len(data)
        block = np.frombuffer(data, np.uint8, stop - start, start)
        ends = np.flatnonzero(block == ord("\n"))
        if block[-1] != ord("\n"):
            ends = np.append(ends, len(block))
        space = (block == ord(" ")) | (block == ord("\n"))
        if separator != "\t":
            space |= block == ord("\t")
        if separator == WHITESPACE:
            marks = np.flatnonzero(~space & np.append(True, space[:-1]))
            counts = np.diff(np.searchsorted(marks, ends), prepend=0)
        else:
            marks = np.flatnonzero(block == ord(separator))
            counts = np.diff(np.searchsorted(marks, ends), prepend=0) + 1
        solid = np.flatnonzero(~space)
        yield counts[np.diff(np.searchsorted(solid, ends), prepend=0) > 0]
        start = stop


def _quoted_widths(data: bytes, separator: str) -> Iterator[np.ndarray]:
    """As `_widths`, for text in which a quoted field may hold the separator."""
    lines = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    rows: Iterable[list[str]] = (
        (line.split() for line in lines)
        if separator == WHITESPACE
        else csv.reader(lines, delimiter=separator, skipinitialspace=True)
    )
    solid = (len(row) for row in rows if row and (len(row) > 1 or row[0].strip()))
    while batch := list(itertools.islice(solid, 10_000)):
        yield np.asarray(batch)
