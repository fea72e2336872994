"""All cells of one comparison, and what the numbers of one row are."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from .._schema import Schema
from ._cells import Cell
from ._row import Reading, Row

#: The recipe whose models are explicit formulas.
FORMULA = "equation"


@dataclass(frozen=True)
class Entry:
    """One number of the card: the `median` over seeds, the smallest and the largest; of how
    many seeds and, for each, test observations; and its kind, where there are several."""

    median: float
    low: float
    high: float
    n_seeds: int
    n_observations: int
    kind: str
    values: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Trial:
    """Every recipe fitted to every share with every seed.

    `cells` by name of the recipe, share and seed; `elsewhere`, those fitted to the other data,
    by name and seed; `recipes`, of what recipe each name is; `forecasts`,
    whether training and test are parts of the same courses; `baselines`, which names are
    trivial; `sizes`, what each share comes to,
    in `size_noun`; for each seed the `units` `(n,)` of its test observations (see `units_of`),
    called `unit_noun`.
    """

    schema: Schema
    names: tuple[str, ...]
    baselines: frozenset[str]
    sizes: Mapping[float, int]
    size_noun: str
    units: tuple[np.ndarray, ...]
    unit_noun: str
    cells: Mapping[tuple[str, float, int], Cell]
    elsewhere: Mapping[tuple[str, int], Cell] = field(default_factory=dict)
    recipes: Mapping[str, str] = field(default_factory=dict)
    forecasts: bool = False

    @property
    def seeds(self) -> int:
        """How many seeds there are."""
        return len(self.units)

    @property
    def every_unit(self) -> np.ndarray:
        """The names of the independent units that test, over all seeds, sorted."""
        return np.unique(np.concatenate(self.units))

    @property
    def n_test(self) -> int:
        """How many observations test, in the middle of the seeds."""
        return int(np.median([len(unit) for unit in self.units]))

    def readings(self, name: str, row: Row, share: float) -> list[Reading | None]:
        """What the row is for each seed; None where there is no finite number."""
        found = [self.cells[name, share, seed].readings.get(row.key) for seed in range(self.seeds)]
        if row.beside is not None:
            key = row.beside.key
            found = [
                _over(reading, self._elsewhere(name, seed).get(key))
                for seed, reading in enumerate(found)
            ]
        if row.across is not None:
            there = [reading for reading in found if reading is not None]
            whole = len(there) == self.seeds and there
            found = list(row.across(there)) if whole else [None] * self.seeds
        return [r if r is not None and np.isfinite(r.value) else None for r in found]

    def entry(self, name: str, row: Row, share: float) -> Entry | None:
        """The number of the card, or None where no seed has one."""
        found = [reading for reading in self.readings(name, row, share) if reading is not None]
        if not found:
            return None
        values = tuple(reading.value for reading in found)
        kinds = sorted({reading.kind for reading in found})
        middle, low, high = float(np.median(values)), min(values), max(values)
        return Entry(middle, low, high, len(values), self.n_test, ", ".join(kinds), values)

    def formulas(self) -> list[str]:
        """The names of those that are an equation and nothing else."""
        return [name for name in self.names if self.recipes.get(name) == FORMULA]

    def remark(self, row: Row) -> str:
        """The row's sentence, where it has one and any recipe has a number."""
        if row.remark is None:
            return ""
        whole = max(self.sizes)
        there = [r for name in self.names for r in self.readings(name, row, whole) if r is not None]
        return row.remark(there) if there else ""

    def _elsewhere(self, name: str, seed: int) -> Mapping[str, Reading | None]:
        cell = self.elsewhere.get((name, seed))
        return {} if cell is None else cell.readings

    def called(self, name: str) -> str:
        """The name, marked where it is a baseline."""
        return f"the baseline {name}" if name in self.baselines else name

    def size(self, share: float) -> str:
        """What a share comes to: 45 training observations."""
        return f"{self.sizes[share]:,} {self.size_noun}"


def _over(reading: Reading | None, other: Reading | None) -> Reading | None:
    """A reading divided by another, in which observations have no part of their own."""
    if reading is None or other is None or not other.value > 0:
        return None
    return replace(reading, value=reading.value / other.value, each=None)
