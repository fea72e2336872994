"""The log of a training, which may have a hundred thousand epochs."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias, overload

#: One line of the log: the epoch and its numbers.
Row: TypeAlias = dict[str, float | int]


class Log(Sequence[Row]):
    """Rows, one an epoch, of which each number takes eight bytes.

    What the first row has is kept in columns; what other rows have beside, as in epochs in which
    the model was looked at, with these rows.
    """

    def __init__(self, rows: Iterable[Row] = ()):
        self._columns: dict[str, array] = {}
        self._others: dict[int, Row] = {}
        self._count = 0
        for row in rows:
            self.append(row)

    def append(self, row: Row) -> None:
        """One more row."""
        if not self._count:
            self._columns = {name: array("q" if isinstance(value, int) else "d")
                             for name, value in row.items()}  # fmt: skip
        if self._fits(row):
            for name, column in self._columns.items():
                column.append(row[name])
            others = {name: value for name, value in row.items() if name not in self._columns}
        else:
            for column in self._columns.values():
                column.append(0)
            others = dict(row)
        if others:
            self._others[self._count] = others
        self._count += 1

    def _fits(self, row: Row) -> bool:
        """Whether the row has a number of its kind for each column."""
        return all(
            isinstance(row.get(name), int if column.typecode == "q" else float)
            for name, column in self._columns.items()
        )

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        i = range(self._count)[index]
        others = self._others.get(i, {})
        if any(name in others for name in self._columns):
            return dict(others)
        return {name: column[i] for name, column in self._columns.items()} | others

    def __iter__(self) -> Iterator[Row]:
        return (self[i] for i in range(self._count))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return f"Log({self._count} rows)"
