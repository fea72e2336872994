"""The log of a training, which may have a hundred thousand epochs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias, overload

#: One line of the log: the epoch and its numbers.
Row: TypeAlias = dict[str, float | int]

#: Rows that are held in memory: enough for every curve, and no more for more epochs.
MOST_ROWS = 2048


class Log(Sequence[Row]):
    """The rows of a training in memory, one an epoch, of which there are never more than 2,048.

    Of more epochs every second row is held, or every fourth, and so on, with the last one and
    those of epochs in which the model was looked at. A run folder's `metrics.jsonl` has them all.
    """

    def __init__(self, rows: Iterable[Row] = ()):
        self._rows: list[Row] = []
        self._every = 1
        for row in rows:
            self.append(row)

    def append(self, row: Row) -> None:
        """One more row, the last one."""
        if self._rows and not self._is_held(self._rows[-1]):
            self._rows.pop()
        self._rows.append(row)
        while len(self._rows) > MOST_ROWS:
            self._every *= 2
            self._rows = [*filter(self._is_held, self._rows[:-1]), row]

    def _is_held(self, row: Row) -> bool:
        return row["epoch"] % self._every == 0 or any(name.startswith("look_") for name in row)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        return self._rows[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return f"Log({self._rows!r})"
