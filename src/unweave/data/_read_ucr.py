"""One series a row: UCR text and tsv files, and the ts files of sktime and aeon."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ._guard import DataError, check_size, parsing, quoted, read_text
from ._read_arrays import Rows, observations
from ._read_tables import numbers
from ._read_text import Table, read_head, read_text_table


def read_ucr(path: Path) -> Rows:
    """A series a row, with a label: the first field, or the last one where only that one is
    a whole number throughout. Shorter series end in empty fields or NaN.
    """
    table = read_text_table(path)
    columns = [numbers(path, table, str(name)) for name in table.frame.columns]
    if len(columns) < 3:
        raise DataError(
            f"{quoted(path)} has {len(columns)} columns; a row should hold a whole series."
        )
    column = _label_column(table, columns)
    if column is None:
        return Rows(observations(path, np.stack(columns, axis=1)))
    labels = columns.pop(column).astype(np.int64)
    return Rows(observations(path, np.stack(columns, axis=1)), labels)


def looks_like_rows(path: Path) -> bool:
    """Whether a text table holds one series a row: no header, a label, and many columns."""
    head, named = read_head(path)
    if named or len(head[0]) < 20:
        return False
    return any(_whole(values) for values in (_head_column(head, 0), _head_column(head, -1)))


def _head_column(head: list[list[str]], column: int) -> np.ndarray:
    with contextlib.suppress(ValueError):
        return np.asarray([float(row[column]) for row in head], np.float64)
    return np.asarray([np.nan])


def _label_column(table: Table, columns: list[np.ndarray]) -> int | None:
    named = [str(name).lower() for name in table.frame.columns]
    for word in ("label", "class", "target", "y"):
        if table.named and word in named:
            return named.index(word)
    if _whole(columns[0]):
        return 0
    return len(columns) - 1 if _whole(columns[-1]) else None


def _whole(values: np.ndarray) -> bool:
    """Whether a column may be one of labels: whole numbers, none missing, few different."""
    if np.isnan(values).any() or np.any(values != np.round(values)) or np.any(abs(values) > 1e6):
        return False
    return len(np.unique(values)) <= max(2, min(100, len(values) // 2))


def read_ts(path: Path) -> Rows:
    """A ts file: `@` lines, then after `@data` a line a case, its channels parted by colons
    and, where `@classLabel true`, its label last. Shorter series are padded with NaN.
    """
    data = read_text(path)
    lines = data.decode("utf-8").split("\n")
    start, labelled = _ts_header(path, lines)
    cases: list[list[np.ndarray]] = []
    labels: list[str] = []
    for number, line in _content(lines, start):
        parts = line.split(":")
        if labelled:
            labels.append(parts.pop().strip())
        cases.append([_ts_values(path, number, part) for part in parts])
        if not parts or len(parts) != len(cases[0]):
            raise DataError(
                f"line {number} of {quoted(path)} has {len(parts)} channels where the first "
                f"case has {len(cases[0])}; give every case the same number."
            )
    if not cases:
        raise DataError(f"{quoted(path)} has no line after @data.")
    longest = max(len(values) for case in cases for values in case)
    check_size(path, 8 * len(cases) * longest * len(cases[0]), len(data), what="padded series")
    padded = np.full((len(cases), longest, len(cases[0])), np.nan)
    for i, case in enumerate(cases):
        for j, values in enumerate(case):
            padded[i, : len(values), j] = values
    return Rows(observations(path, padded), np.asarray(labels) if labelled else None)


def _ts_header(path: Path, lines: list[str]) -> tuple[int, bool]:
    """The index of the line after `@data`, and whether cases end in a label."""
    labelled = False
    for i, line in enumerate(lines):
        words = line.strip().lower().split()
        if not words or words[0].startswith(("#", "%")):
            continue
        if not words[0].startswith("@"):
            break
        if words[0] == "@data":
            return i + 1, labelled
        if words[0] == "@classlabel":
            labelled = words[1:2] == ["true"]
        if words[:2] == ["@timestamps", "true"]:
            raise DataError(f"{quoted(path)} has time stamps in its series, which are not read.")
    raise DataError(f"{quoted(path)} is not a ts file: its header has no line @data.")


def _content(lines: list[str], start: int) -> Iterator[tuple[int, str]]:
    for i in range(start, len(lines)):
        line = lines[i].strip()
        if line and not line.startswith("#"):
            yield i + 1, line


def _ts_values(path: Path, number: int, text: str) -> np.ndarray:
    fields = text.replace("?", "nan").split(",")
    with parsing(path, f"a ts file (line {number})"):
        return np.asarray([float(field) for field in fields], np.float64)
