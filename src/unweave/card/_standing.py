"""Who is ahead in a row, and by more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._paired import Difference, difference
from ._row import Row
from ._trial import Entry, Trial


@dataclass(frozen=True)
class Place:
    """A recipe in the order of a row: its number, and how far it is behind the first (None for
    the first itself)."""

    name: str
    entry: Entry
    behind: Difference | None


@dataclass(frozen=True)
class Standing:
    """The recipes of a row, the best first."""

    places: tuple[Place, ...]

    @property
    def best(self) -> Place:
        """The first."""
        return self.places[0]

    @property
    def is_enough(self) -> bool:
        """Whether anything can be said about chance."""
        return all(p.behind is None or p.behind.is_enough for p in self.places)

    @property
    def tied(self) -> tuple[Place, ...]:
        """The first, and all that chance may have put behind it."""
        return tuple(p for p in self.places if p.behind is None or p.behind.is_tie)

    @property
    def left_behind(self) -> tuple[Place, ...]:
        """Those that more than chance put behind the first."""
        return tuple(p for p in self.places if p.behind is not None and not p.behind.is_tie)


def standing(trial: Trial, row: Row, share: float, names: Sequence[str]) -> Standing | None:
    """The order of those `names` that have a number for every seed; None where none has.

    Each is compared with the first, and the intervals of these comparisons hold together with
    a confidence of 95 % (Bonferroni).
    """
    parts: dict[str, list[np.ndarray]] = {}
    for name in names:
        found = trial.readings(name, row, share)
        each = [reading.each for reading in found if reading is not None]
        whole = [part for part in each if part is not None]
        if len(whole) == trial.seeds:
            parts[name] = whole
    if not parts:
        return None
    sign = 1.0 if row.better == "lower" else -1.0
    entries = {name: _known(trial.entry(name, row, share)) for name in parts}
    order = sorted(parts, key=lambda name: sign * float(np.mean(entries[name].values)))
    confidence = 1 - 0.05 / max(1, len(order) - 1)
    first, *rest = order
    places = [Place(first, entries[first], None)]
    for name in rest:
        one, other = (parts[name], parts[first]) if sign > 0 else (parts[first], parts[name])
        behind = difference(one, other, trial.units, of_mean=row.of_mean, confidence=confidence)
        places.append(Place(name, entries[name], behind))
    return Standing(tuple(places))


def _known(entry: Entry | None) -> Entry:
    assert entry is not None  # every seed has a reading
    return entry
