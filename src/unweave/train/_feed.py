"""What feeds the training loop: rows that lie in the devices' memory, or rows that are read as
they are needed.

The order of an epoch depends on the run's seed and the epoch's number alone, so a run that goes on
after a stop is given what one without a stop would have been.
"""

import abc
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from ..data import Dataset, Stored
from ._objectives import Rows
from ._placement import Placement

#: Steps of one compiled call: enough that its start costs nothing, few enough to stop soon.
MOST_STEPS = 512
# bytes of one call's rows that are read, and of those that are mixed with each other: what is read
# while a call runs is one call's, and a mixture is never whole in memory twice
_CALL_BYTES, _MIXED_BYTES = 16e6, 64e6
# calls that lie ready before they are asked for
_AHEAD = 2


class Call(NamedTuple):
    """The rows of at most so many steps: `rows[i]` of `data` are those of step `i`, or `data[i]`
    itself where `rows` is None."""

    data: Rows
    rows: Int[Array, "most batch"] | None


class AbstractFeed(abc.ABC):
    """The rows of each step of each epoch."""

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """How many rows an epoch has."""

    @abc.abstractmethod
    def begin(self, seed: Sequence[int], batch: int, place: Placement) -> None:
        """Settles the order, the rows of a step, and where they go."""

    @abc.abstractmethod
    def call(self, epoch: int, taken: int, count: int) -> tuple[Call, int]:
        """The rows of the steps from `taken` on, and how many steps these are: `count`, or what
        there is."""

    @abc.abstractmethod
    def end(self) -> None:
        """Nothing more is asked for."""


class InMemory(AbstractFeed):
    """Rows that are on the devices, each of which holds all of them."""

    def __init__(self, rows: Rows):
        self._rows = rows
        self._size = _rows(rows)

    @property
    def size(self) -> int:
        """How many rows there are."""
        return self._size

    def begin(self, seed: Sequence[int], batch: int, place: Placement) -> None:
        """Puts the rows on the devices."""
        self._seed, self._batch, self._place = list(seed), batch, place
        self.data = place.everywhere(jax.tree.map(single, self._rows))
        self._order: tuple[int, np.ndarray] = (-1, np.zeros(0, int))

    def call(self, epoch: int, taken: int, count: int) -> tuple[Call, int]:
        """The numbers of rows, of a permutation of all; their place is the devices' memory."""
        count = min(count, MOST_STEPS, self._size // self._batch - taken)
        if self._order[0] != epoch:
            drawn = np.random.default_rng([*self._seed, epoch])
            self._order = epoch, drawn.permutation(self._size)
        first = taken * self._batch
        rows = np.zeros((MOST_STEPS, self._batch), np.int32)
        now = self._order[1][first : first + count * self._batch]
        rows[:count] = now.reshape(count, self._batch)
        return Call(self.data, self._place.shared(rows, 1)), count

    def end(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Shuffle:
    """The order of `size` rows in an epoch, of which only stretches are ever made.

    Blocks of neighbouring rows are drawn in a random order, `together` blocks at a time, whose rows
    are mixed. With all blocks together this is a permutation like any other; with fewer, a batch
    still holds rows of `together` places that have nothing to do with each other.

    A batch has `lanes` equal parts, each of `width` rows and with blocks of its own, so that a
    process that computes some of the parts need not read the blocks of others. A mixture that
    cannot be parted so, such as the last one, is mixed as a whole.
    """

    size: int
    block: int
    together: int
    seed: tuple[int, ...]
    epoch: int
    lanes: int = 1
    width: int = 1

    def stretches(self, first: int) -> Iterator[np.ndarray]:
        """The numbers of the rows from place `first` of the epoch on, a mixture at a time."""
        blocks = np.random.default_rng([*self.seed, self.epoch]).permutation(
            -(-self.size // self.block)
        )
        sizes = np.minimum(self.block, self.size - blocks * self.block)
        edges = np.concatenate([[0], np.cumsum(sizes)])
        for i in range(0, len(blocks), self.together):
            end = min(i + self.together, len(blocks))
            if edges[end] <= first:
                continue
            together = zip(blocks[i:end], sizes[i:end], strict=True)
            rows = np.concatenate([np.arange(n) + b * self.block for b, n in together])
            chance = np.random.default_rng([*self.seed, self.epoch, i])
            mixed = self._mixed(rows, int(edges[i]), chance)
            yield mixed[max(first - edges[i], 0) :]

    def _mixed(self, rows: np.ndarray, begin: int, chance: np.random.Generator) -> np.ndarray:
        batch = self.lanes * self.width
        full = len(rows) == self.together * self.block
        if self.lanes == 1 or not full or len(rows) % batch or begin % batch:
            return chance.permutation(rows)
        each = chance.permuted(rows.reshape(self.lanes, -1), axis=1)
        return each.reshape(self.lanes, -1, self.width).transpose(1, 0, 2).ravel()


def _lanes(batch: int, block: int, most: int) -> tuple[int, int, int]:
    """In how many lanes a batch is cut, the rows of a block then, and how many blocks are mixed:
    at most `most` rows and as many lanes as there can be. Processes have no say in it."""
    for lanes in (64, 32, 16, 8, 4, 2):
        width = batch // lanes
        if batch % lanes or block < width:
            continue
        even = block // width * width
        together = most // even // lanes * lanes
        if together:
            return lanes, even, together
    return 1, block, max(1, most // block)


class FromDisk(AbstractFeed):
    """Rows that are read while the steps before them run, a bounded number at a time."""

    def __init__(self, stored: Stored, rows_of: Callable[[Dataset], Rows]):
        self._stored, self._rows_of = stored, rows_of
        self._reader: _Reader | None = None

    @property
    def size(self) -> int:
        """How many rows are stored."""
        return len(self._stored)

    def begin(self, seed: Sequence[int], batch: int, place: Placement) -> None:
        """Finds out how many bytes a row has, and with it how many steps a call takes."""
        self._seed, self._batch, self._place = tuple(seed), batch, place
        one = jax.tree.leaves(self._rows_of(self._stored.read(np.zeros(1, int))))
        bytes_of_row = sum(single(part).nbytes for part in one)
        self._most = int(np.clip(_CALL_BYTES / (bytes_of_row * batch), 1, MOST_STEPS))
        most = max(1, int(_MIXED_BYTES / bytes_of_row))
        block = min(self._stored.block, self.size)
        self._lanes, self._block, self._together = _lanes(batch, block, most)

    def call(self, epoch: int, taken: int, count: int) -> tuple[Call, int]:
        """The rows themselves, as many steps of them as lie ready."""
        per_epoch = self.size // self._batch
        if self._reader is None or self._reader.at != (epoch, taken):
            self.end()
            self._reader = _Reader(self._chunks(epoch, taken, per_epoch), (epoch, taken))
        rows, count = self._reader.take()
        self._reader.at = epoch, taken + count
        if taken + count == per_epoch:
            # the next epoch's first rows are read while this one is judged
            self._reader = _Reader(self._chunks(epoch + 1, 0, per_epoch), (epoch + 1, 0))
        return Call(self._place.shared(rows, 1), None), count

    def end(self) -> None:
        """The reader stops."""
        if self._reader is not None:
            self._reader.stop()
            self._reader = None

    def _chunks(self, epoch: int, taken: int, per_epoch: int) -> Iterator[tuple[Rows, int]]:
        """The rows of each call from step `taken` on, and its steps."""
        order = Shuffle(
            self.size, self._block, self._together, self._seed, epoch,
            self._lanes, self._batch // self._lanes,
        )  # fmt: skip
        left, waiting, at = (per_epoch - taken) * self._batch, None, taken * self._batch
        for mixed in order.stretches(at):
            now = self._part(mixed, at)
            at += len(mixed)
            waiting = now if waiting is None else jax.tree.map(_joined, waiting, now)
            first, there = 0, _rows(waiting)
            while (count := min(self._most * self._batch, left)) and first + count <= there:
                yield self._shaped(_cut(waiting, first, first + count)), count // self._batch
                first, left = first + count, left - count
            waiting = _cut(waiting, first, None)

    def _part(self, mixed: np.ndarray, at: int) -> Rows:
        """These rows, the first of which is at that place of the epoch; zeros for those that other
        processes compute with."""
        low, high = self._place.columns(self._batch)
        column = (at + np.arange(len(mixed))) % self._batch
        own = np.flatnonzero((low <= column) & (column < high))
        # in the order of the disk, then mixed in memory
        order = own[np.argsort(mixed[own], kind="stable")]
        found = jax.tree.map(single, self._rows_of(self._stored.read(mixed[order])))

        def placed(part: np.ndarray) -> np.ndarray:
            full = np.zeros((len(mixed), *part.shape[1:]), part.dtype)
            full[order] = part
            return full

        return jax.tree.map(placed, found)

    def _shaped(self, rows: Rows) -> Rows:
        """The rows `(most, batch, ...)`, the last steps empty where there are fewer."""

        def shaped(part: np.ndarray) -> np.ndarray:
            full = np.zeros((self._most * self._batch, *part.shape[1:]), part.dtype)
            full[: len(part)] = part
            return full.reshape(self._most, self._batch, *part.shape[1:])

        return jax.tree.map(shaped, rows)


def _joined(first: np.ndarray, then: np.ndarray) -> np.ndarray:
    return np.concatenate([first, then])


def _cut(rows: Rows, first: int, end: int | None) -> Rows:
    return jax.tree.map(lambda part: part[first:end], rows)


def _rows(rows: Rows) -> int:
    return len(jax.tree.leaves(rows)[0])


class _Reader:
    """Reads ahead in a thread; what it raises is raised where its rows are taken."""

    def __init__(self, chunks: Iterator[tuple[Rows, int]], at: tuple[int, int]):
        self.at = at
        self._ready: queue.Queue = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(chunks,), daemon=True)
        self._thread.start()

    def take(self) -> tuple[Rows, int]:
        """The next call's rows."""
        found = self._ready.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()
        while self._thread.is_alive():
            with suppress(queue.Empty):
                self._ready.get_nowait()
            self._thread.join(0.01)

    def _work(self, chunks: Iterator[tuple[Rows, int]]) -> None:
        try:
            for chunk in chunks:
                if not self._put(chunk):
                    return
        except Exception as error:  # whatever a reader of files raises
            self._put(error)

    def _put(self, what: object) -> bool:
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._ready.put(what, timeout=0.1)
                return True
        return False


def single(part: np.ndarray) -> np.ndarray:
    """Networks train in float32; integers stay small, and become real one batch at a time."""
    return part.astype(np.float32) if part.dtype.kind == "f" else part


def on_device(rows: Rows) -> Rows:
    """Rows where JAX puts them."""
    return jax.tree.map(lambda part: jnp.asarray(single(part)), rows)
