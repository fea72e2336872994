"""What splits of data in memory and of data on disk have in common."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .._schema import Schema

# a record gives something to all three parts from this many windows on: one for each, and one
# at each border that may have to be dropped
ENOUGH = 5


class Held(NamedTuple):
    """The names of groups that train, validate and test; none validate where they are few."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def words(self) -> str:
        """Which do what."""
        validates = f"{listed_groups(self.validation)} validate; " if len(self.validation) else ""
        return f"{listed_groups(self.train)} train; {validates}{listed_groups(self.test)} test."


def hold_out_groups(groups: np.ndarray, test: float, validation: float, seed: int) -> Held:
    """Groups drawn with `seed`. Where fewer than four remain beside the test, none validates.

    **Raises:** `ValueError` for fewer than two groups.
    """
    names = np.unique(groups)
    if len(names) < 2:
        raise ValueError(
            f"a split by group needs at least 2 groups, and there is {len(names)}; "
            "use split_by_time."
        )
    order = np.random.default_rng(seed).permutation(names)
    n_test = min(max(1, round(test * len(names))), len(names) - 1)
    tests, rest = order[:n_test], order[n_test:]
    if len(rest) < 4:
        return Held(rest, rest[:0], tests)
    n_validation = min(max(1, round(validation * len(names))), len(rest) - 1)
    return Held(rest[n_validation:], rest[:n_validation], tests)


def check_fractions(test: float, validation: float) -> None:
    """Raises `ValueError` unless both are positive and leave something."""
    if not (test > 0 and validation > 0 and test + validation < 1):
        raise ValueError(
            f"test={test:g} and validation={validation:g} must be positive and leave something "
            "to train on; give fractions such as 0.2 and 0.1."
        )


def check_gap(gap: float | None, longest: float, unit: str) -> float:
    """The gap between two parts, at least the length of the longest window."""
    if gap is not None and not gap >= longest:
        raise ValueError(
            f"the gap of {gap:g}{unit} is shorter than a window ({longest:g}); "
            "leave it out, or give at least that."
        )
    return longest if gap is None else gap


def check_counts(counts: dict[str, int], total: int, records: int) -> None:
    """Raises `ValueError` where a part is empty."""
    for part, count in counts.items():
        if not count:
            told = ", ".join(f"{n} {name}" for name, n in counts.items())
            raise ValueError(
                f"the split leaves no {part} data ({told}, of {total} observations in "
                f"{records} records); give more data, other fractions, or "
                "another of split_by_group, split_by_time and split_at_random."
            )


def by_time_words(records: int, gap: float, unit: str) -> str:
    """How a split by time parts the data."""
    each = "the record" if records == 1 else f"each of {records} records"
    return (
        f"By time in {each}: the first part trains, the next validates, "
        f"the last tests, with a gap of {gap:g}{unit} between them."
    )


def unit_word(schema: Schema) -> str:
    """The unit of time as it stands after a number."""
    return f" {schema.time_unit}" if schema.time_unit else ""


def listed_groups(names: Sequence[str] | np.ndarray) -> str:
    """The names of groups, or how many where they are many."""
    names = sorted(str(name) for name in names)
    return ", ".join(names) if len(names) <= 6 else f"{len(names)} groups ({names[0]}, …)"
