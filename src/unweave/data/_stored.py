"""Observations that stay on the disk, cut from recordings by arithmetic and read when asked for."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, final

import numpy as np

from .._rows import aligned, evenly
from .._schema import Schema
from ._dataset import Dataset
from ._index import AbstractReader, Lines, kept_lines, shown
from ._moments import Moments
from ._transform import LEVEL, TRANSFORMS, AbstractTransform
from ._windows import MAX_GAP, carry_at_most, gap_notes

# numbers of one part when all are read, and of one stretch of a recording (16 MB in float64)
_PART = 2**21
# rows that share so many stretches of the disk with their neighbours are cheap to read with them
_STRETCHES = 4
# and no more numbers than this (32 MB in float32)
_BLOCK = 2**23
# kinds that are cut from recordings; all else lies ready
_CUT = ("windows", "series")


@final
@dataclass(frozen=True, eq=False)
class Shelf:
    """Recordings on disk: their index, what reads them, and the name of their present state."""

    lines: Lines
    reader: AbstractReader
    key: str

    @property
    def records(self) -> np.ndarray:
        """The name of each recording; unbroken runs of one recording share it."""
        return self.lines.arrays["records"]

    @property
    def groups(self) -> np.ndarray:
        """What must not be split, of each."""
        return self.lines.arrays["groups"]

    @property
    def lengths(self) -> np.ndarray:
        """Samples of each."""
        return self.lines.arrays["lengths"]

    @property
    def starts(self) -> np.ndarray:
        """The time of each one's first sample."""
        return self.lines.arrays["starts"]


class Pieces(NamedTuple):
    """Observations in a row: of `run`, the first beginning at sample `first`, so `many`."""

    run: np.ndarray
    first: np.ndarray
    many: np.ndarray

    def where(self, mask: np.ndarray) -> "Pieces":
        """Those that the mask says."""
        return Pieces(*(part[mask] for part in self))


@final
@dataclass(frozen=True, eq=False)
class Stored:
    """Observations on disk that are read a few at a time, however many there are.

    Row $i$ is found by arithmetic: its piece by a search in the sums of the pieces' counts, its
    first sample from its place there. So the index has a line for each recording and none for an
    observation. `size` is how many samples of the recording an observation takes, `step` how many
    lie between two beginnings. It may be read from several threads at once.

    Where a recording has samples that were not observed (NaN), a window in which none was
    observed is kept, and counts as one that says nothing.
    """

    shelf: Shelf
    schema: Schema
    size: int
    step: int
    pieces: Pieces
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum(self.pieces.many)

    @property
    def records(self) -> np.ndarray:
        """The name of the recording of each piece."""
        return self.shelf.records[self.pieces.run]

    @property
    def groups(self) -> np.ndarray:
        """What must not be split, of each piece."""
        return self.shelf.groups[self.pieces.run]

    @property
    def block(self) -> int:
        """How many consecutive rows are cheap to read together."""
        together = _STRETCHES * int(self.shelf.lines.facts["together"])
        return max(1, min(together // self.step, _BLOCK // self.schema.size))

    def read(self, rows: np.ndarray) -> Dataset:
        """These rows in this order; memory for them, and for one stretch of the disk, alone.

        **Raises:** `IndexError` for a row that there is not, and what reading raises: `OSError`
        where the disk fails, `DataError` where a file is damaged.
        """
        rows = np.asarray(rows, np.int64)
        if rows.ndim != 1 or (len(rows) and not 0 <= rows.min() <= rows.max() < len(self)):
            raise IndexError(
                f"rows of shape {rows.shape} were asked for, of which one is not among the "
                f"{len(self)} there are; give numbers from 0 to {len(self) - 1}."
            )
        run, start = self._places(rows)
        out = aligned((len(rows), *self._shape), self._dtype)
        order = np.lexsort((start, run))
        for which in self._stretches(order, run, start):
            recording, at = int(run[which[0]]), start[which]
            together = bool(np.all(np.diff(which) == 1))
            place = slice(which[0], which[-1] + 1) if together else which
            if together and self._is_plain and self._follow(at):
                samples = out[place].reshape(-1, *out.shape[1 + self._is_cut :])
                self.shelf.reader.read_into(recording, int(at[0]), int(at[-1]) + self.size, samples)
            else:
                out[place] = self._cut(recording, at)
        values, references = _transform(self.schema).apply(out) if self._is_cut else (out, None)
        return Dataset(
            observations=values,
            schema=self.schema,
            records=self.shelf.records[run],
            groups=self.shelf.groups[run],
            spans=self._spans(run, start),
            references=references if references is not None and references.shape[-1] else None,
            notes=self.notes,
        )

    def names(self, rows: np.ndarray) -> np.ndarray:
        """The name of the recording of each of these rows, without reading any."""
        return self.shelf.records[self._places(np.asarray(rows, np.int64))[0]]

    def spans(self, rows: np.ndarray) -> np.ndarray:
        """The first and the last time `(n, 2)` of rows, without reading any."""
        return self._spans(*self._places(np.asarray(rows, np.int64)))

    @cached_property
    def moments(self) -> Moments:
        """Mean, deviation, smallest and largest of each channel over all rows, by one pass over
        them that is kept in the index.

        **Raises:** `ValueError` for infinite values.
        """
        kept = kept_lines(f"moments-{self.mark}", self._measured).arrays
        columns = (kept[name] for name in ("mean", "deviation", "smallest", "largest", "count"))
        return Moments(*(tuple(column.tolist()) for column in columns))

    @property
    def mark(self) -> str:
        """A hash that changes with the files and with what is cut from them."""
        words = (self.shelf.key, self.schema.kind, self.schema.transform, self.size, self.step)
        mark = hashlib.sha256(repr(words).encode())
        for part in self.pieces:
            mark.update(np.ascontiguousarray(part, np.int64).tobytes())
        return mark.hexdigest()[:32]

    def _measured(self) -> Lines:
        most = max(1, _PART // self.schema.size)
        parts = shown(self.parts(most), "scaling", total=-(-len(self) // most))
        found = Moments.of(part.observations for part in parts)
        return Lines({name: np.asarray(part) for name, part in vars(found).items()}, {})

    def sample(self, most: int) -> Dataset:
        """At most so many rows, evenly spread over all, in memory."""
        return self.read(evenly(len(self), most))

    def thinned(self, most: int) -> Dataset:
        """The same with the `moments` of all rows, which scales are made of."""
        return replace(self.sample(most), moments=self.moments)

    def parts(self, most: int) -> Iterator[Dataset]:
        """All rows in their order, at most so many at a time."""
        for first in range(0, len(self), most):
            yield self.read(np.arange(first, min(first + most, len(self))))

    def take(self, bounds: np.ndarray) -> "Stored":
        """The rows between these `bounds` `(k, 2)`, each the first and the one after the last, in
        increasing order; nothing is read."""
        bounds = np.asarray(bounds, np.int64).reshape(-1, 2)
        first, end = bounds[bounds[:, 0] < bounds[:, 1]].T
        begin = self._ends - self.pieces.many
        low = np.searchsorted(self._ends, first, side="right")
        high = np.searchsorted(self._ends, end, side="left")
        # each stretch of rows meets the pieces low to high
        many = high - low + 1
        of = np.repeat(np.arange(len(many)), many)
        piece = np.repeat(low - np.cumsum(many) + many, many) + np.arange(many.sum())
        left = np.maximum(begin[piece], first[of])
        right = np.minimum(self._ends[piece], end[of])
        start = self.pieces.first[piece] + (left - begin[piece]) * self.step
        return replace(self, pieces=Pieces(self.pieces.run[piece], start, right - left))

    @property
    def _is_cut(self) -> bool:
        return self.schema.kind in _CUT

    @property
    def _shape(self) -> tuple[int, ...]:
        item = tuple(self.shelf.lines.facts["item"])
        return (self.size, *item) if self._is_cut else item

    @property
    def _dtype(self) -> np.dtype:
        own = np.dtype(self.shelf.lines.facts["dtype"])
        # a transform takes all digits that there are
        return own if self.schema.transform == LEVEL.name else np.dtype(np.float64)

    def _places(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The run of each row and the sample that it begins at."""
        piece = np.searchsorted(self._ends, rows, side="right")
        before = rows - (self._ends - self.pieces.many)[piece]
        return self.pieces.run[piece], self.pieces.first[piece] + before * self.step

    def _spans(self, run: np.ndarray, start: np.ndarray) -> np.ndarray:
        if not self._is_cut:
            return np.zeros((len(run), 2))
        last = np.minimum(start + self.size, self.shelf.lengths[run]) - 1
        samples = np.stack([start, last], axis=1)
        return self.shelf.starts[run][:, None] + self.schema.step * samples

    def _stretches(
        self, order: np.ndarray, run: np.ndarray, start: np.ndarray
    ) -> Iterable[np.ndarray]:
        """Rows that are read together, as their places: neighbours on the disk."""
        if not len(order):
            return []
        run, start = run[order], start[order]
        facts = self.shelf.lines.facts
        together = int(facts["together"])
        page = max(together, self.size, _PART // max(1, int(np.prod(facts["item"]))))
        apart = np.diff(run) != 0
        apart |= np.diff(start) > self.size + together
        apart |= np.diff(start // page) != 0
        return np.split(order, np.flatnonzero(apart) + 1)

    @property
    def _is_plain(self) -> bool:
        """Whether an observation is samples as they lie on the disk, and no more."""
        return self.schema.kind != "series" and self.schema.transform == LEVEL.name

    def _follow(self, start: np.ndarray) -> bool:
        """Whether observations that begin there follow each other without a gap."""
        return bool(np.all(np.diff(start) == self.size))

    def _cut(self, run: int, start: np.ndarray) -> np.ndarray:
        """The observations of one stretch, before their transform."""
        first, end = int(start[0]), int(start[-1]) + self.size
        if self.schema.kind == "series":
            samples = self.shelf.reader.read(run, 0, int(self.shelf.lengths[run]))
            gap = np.full((self.size - len(samples), samples.shape[1]), np.nan, samples.dtype)
            return np.concatenate([samples, gap])[None]
        if not self._is_cut:
            return self.shelf.reader.read(run, first, end)[start - first]
        if _transform(self.schema).carries:
            # what a window's first samples carry on may lie before it
            before = max(0, first - (MAX_GAP - 1))
            samples = carry_at_most(self.shelf.reader.read(run, before, end), MAX_GAP - 1)
            samples = samples[first - before :]
        else:
            samples = self.shelf.reader.read(run, first, end)
        if self._follow(start):
            return samples.reshape(len(start), *self._shape)
        return samples[(start - first)[:, None] + np.arange(self.size)]


def stored_windows(
    shelf: Shelf, *, length: int, step: int | None = None, transform: AbstractTransform = LEVEL
) -> Stored:
    """Windows as `windows` cuts them, of recordings that stay on the disk.

    **Raises:** `ValueError` where no window fits.
    """
    if length < 2:
        raise ValueError(f"length is {length}; a window needs at least 2 samples.")
    step = length if step is None else step
    if step < 1:
        raise ValueError(f"step is {step}; windows must move on by at least 1 sample.")
    size = length + transform.past
    count = np.maximum(0, (shelf.lengths - size) // step + 1)
    if not count.sum():
        raise ValueError(
            f"no window of {length} samples fits between the gaps of these {len(count)} "
            f"recordings (the longest run has {shelf.lengths.max(initial=0)} samples); give a "
            "smaller length."
        )
    schema = _schema(shelf, "windows", (length, *shelf.lines.facts["item"]), transform)
    breaks = len(count) - len(np.unique(shelf.records))
    bridged = shelf.lines.facts.get("bridged", 0)
    cut = _of_runs(shelf, schema, size, step, count)
    return replace(cut, notes=cut.notes + gap_notes(bridged, MAX_GAP, transform, breaks))


def stored_series(shelf: Shelf) -> Stored:
    """Whole recordings as `series` gives them, each read when asked for; shorter ones end in NaN.

    **Raises:** `ValueError` where one of them is broken by a long gap.
    """
    names, count = np.unique(shelf.records, return_counts=True)
    if np.any(count > 1):
        raise ValueError(
            f"the recording {names[np.argmax(count)]} is broken by a long gap, so it is no single "
            "course; cut windows of it (kind windows, and a length)."
        )
    size = int(shelf.lengths.max())
    schema = _schema(shelf, "series", (size, *shelf.lines.facts["item"]), LEVEL)
    if np.all(shelf.starts == shelf.starts[0]):
        schema = replace(schema, origin=float(shelf.starts[0]))
    return _of_runs(shelf, schema, size, 1, np.ones(len(shelf.lengths), np.int64))


def stored_rows(shelf: Shelf) -> Stored:
    """Observations that lie ready, as they are."""
    shape = tuple(shelf.lines.facts["item"])
    kind = "rows" if len(shape) == 2 else "images"
    return _of_runs(shelf, _schema(shelf, kind, shape, LEVEL), 1, 1, shelf.lengths)


def _of_runs(shelf: Shelf, schema: Schema, size: int, step: int, count: np.ndarray) -> Stored:
    run = np.flatnonzero(count)
    pieces = Pieces(run, np.zeros(len(run), np.int64), count[run])
    return Stored(shelf, schema, size, step, pieces, tuple(shelf.lines.facts.get("notes", ())))


def _schema(
    shelf: Shelf, kind: str, shape: tuple[int, ...], transform: AbstractTransform
) -> Schema:
    facts = shelf.lines.facts
    return Schema(
        kind=kind,
        axes=("row", "column", "channel") if len(shape) == 3 else ("time", "channel"),
        shape=tuple(shape),
        channels=tuple(facts["channels"]),
        units=tuple(facts["units"]),
        step=facts["step"],
        origin=facts.get("origin", 0.0),
        time_unit=facts["time_unit"],
        transform=transform.name,
    )


def _transform(schema: Schema) -> AbstractTransform:
    return TRANSFORMS[schema.transform]
