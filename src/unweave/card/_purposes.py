"""Which model to believe, for what: a purpose a sentence, from the card's numbers alone.

Where test observations can be compared in pairs (`_standing`) a model is named only if it is ahead
of every other by more than chance, or, of those that tie, as the one with the fewest fitted
numbers.
Other measures are compared by their ranges over seeds: ahead is who lies wholly beyond all others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ._density import DENSITY
from ._paired import LEAST_SEEDS, LEAST_UNITS
from ._parameters import PARAMETERS
from ._repeated import REPEATED
from ._row import Row
from ._standing import standing
from ._trial import Trial
from ._words import listed, number, span, with_unit

Finding: TypeAlias = Literal["ahead", "tie", "alone", "not enough"]


@dataclass(frozen=True)
class Purpose:
    """What the numbers say for one purpose.

    `named`, the recipe to believe: the one that is ahead, or the simplest of those that tie; None
    where nothing can be said. `finding`: `ahead` of all others by more than chance; a `tie` of
    `among`; `alone`, the only one that has such a number; `not enough` seeds or observations.
    """

    purpose: str
    row: str
    finding: Finding
    named: str | None
    among: tuple[str, ...]
    sentence: str


def purposes(trial: Trial, rows: Sequence[Row]) -> tuple[Purpose, ...]:
    """A purpose for each row that speaks of one and has numbers."""
    there = {row.name: row for row in rows}
    shares = sorted(trial.sizes)
    found: list[Purpose | None] = []
    if REPEATED.name in there:
        whole = "to forecast" if trial.forecasts else "to describe what was not seen"
        found.append(_by_pairs(trial, REPEATED, whole, shares[-1], trial.names))
        if len(shares) > 1:
            few = f"with {trial.size(shares[0])}"
            found.append(_by_pairs(trial, REPEATED, few, shares[0], trial.names))
    exact = _exact(trial, shares[-1])
    if DENSITY.name in there and len(exact) > 1:
        likely = "to say how likely an observation is, of those that know it exactly"
        found.append(_by_pairs(trial, DENSITY, likely, shares[-1], exact))
    for name, (purpose, words, worth) in _BY_RANGE.items():
        if name in there:
            found.append(_by_range(trial, there[name], purpose, words, worth))
    return tuple(one for one in found if one is not None)


def _exact(trial: Trial, share: float) -> list[str]:
    """Those whose log-density is exact: the one kind that is compared without a word."""
    entries = {name: trial.entry(name, DENSITY, share) for name in trial.names}
    return [name for name, entry in entries.items() if entry and entry.kind == "exact"]


def _by_pairs(
    trial: Trial, row: Row, purpose: str, share: float, among: Sequence[str]
) -> Purpose | None:
    """By a row whose values belong to single test observations; None where none has one."""
    found = standing(trial, row, share, among)
    if found is None:
        return None
    unit = "nats" if row is DENSITY else row.unit(trial.schema)
    names = [place.name for place in found.tied]

    def made(finding: Finding, named: str | None, words: str) -> Purpose:
        return Purpose(
            purpose, row.name, finding, named, tuple(names), f"{_head(purpose)}: {words}"
        )

    if len(found.places) == 1:
        best = found.best.name
        return made("alone", best, f"{trial.called(best)}, the only one that has such a number.")
    if not found.is_enough:
        return made("not enough", None, "not enough data to say. " + _wanted(trial))
    if len(names) > 1:
        simplest = _simplest(trial, names, share)
        return made("tie", simplest, f"a tie of {_all(trial, names)}. {_prefer(trial, simplest)}")
    after = found.left_behind[0]  # the places are in order
    behind = after.behind
    assert behind is not None  # everyone but the first is behind it
    gap = with_unit(number(behind.value, 2), unit)
    interval = f"{number(behind.low, 2)} to {number(behind.high, 2)}"
    ahead = f"{trial.called(names[0])}, by {gap} ({interval}) before {trial.called(after.name)}."
    return made("ahead", names[0], ahead)


def _simplest(trial: Trial, names: Sequence[str], share: float) -> str:
    """The one with the fewest fitted numbers; the first where nobody knows."""
    sizes = {name: trial.entry(name, PARAMETERS, share) for name in names}
    known = {name: entry.median for name, entry in sizes.items() if entry is not None}
    return min(known, key=lambda name: known[name]) if known else names[0]


def _prefer(trial: Trial, name: str) -> str:
    return f"Of these {trial.called(name)} is the simplest, and nothing here speaks against it."


def _wanted(trial: Trial) -> str:
    return (
        f"It takes {LEAST_SEEDS} seeds and {LEAST_UNITS} {trial.unit_noun}s, and there are "
        f"{trial.seeds} and {len(trial.every_unit)}."
    )


def _by_range(
    trial: Trial, row: Row, purpose: str, words: str, worth: Callable[[float], float]
) -> Purpose | None:
    """By the ranges over seeds of what `worth` makes of a value: less is better. None where no
    recipe has a number for every seed."""
    share = max(trial.sizes)
    entries = {name: trial.entry(name, row, share) for name in trial.names}
    whole = {n: e for n, e in entries.items() if e is not None and e.n_seeds == trial.seeds}
    spans = {name: sorted(map(worth, entry.values)) for name, entry in whole.items()}
    if not whole:
        return None

    def said(name: str) -> str:
        entry = whole[name]
        range_ = span(entry.low, entry.high)
        kind = f"({entry.kind})" if entry.kind else ""
        value = words.format(number(entry.median, 3))
        return " ".join(filter(None, (f"{trial.called(name)}, {value}", range_, kind)))

    order = sorted(whole, key=lambda name: spans[name][len(spans[name]) // 2])
    first = order[0]
    level = tuple(n for n in order if n == first or spans[n][0] <= spans[first][-1])
    head = _head(purpose)
    if len(order) == 1:
        sentence = f"{head}: {said(first)}, the only one that has such a number."
        return Purpose(purpose, row.name, "alone", first, level, sentence)
    if trial.seeds < LEAST_SEEDS:
        sentence = f"{head}: not enough seeds to say; it takes {LEAST_SEEDS}."
        return Purpose(purpose, row.name, "not enough", None, level, sentence)
    if len(level) > 1:
        simplest = _simplest(trial, level, share)
        sentence = (
            f"{head}: a tie of {listed([said(name) for name in level[:3]])}"
            f"{f' and {len(level) - 3} more' if len(level) > 3 else ''}. {_prefer(trial, simplest)}"
        )
        return Purpose(purpose, row.name, "tie", simplest, level, sentence)
    sentence = f"{head}: {said(first)}; next is {said(order[1])}."
    return Purpose(purpose, row.name, "ahead", first, level, sentence)


def _head(purpose: str) -> str:
    return purpose[0].upper() + purpose[1:]


def _all(trial: Trial, names: Sequence[str]) -> str:
    return listed([trial.called(name) for name in names])


def _itself(value: float) -> float:
    return value


def _less(value: float) -> float:
    return -value


def _from_nominal(value: float) -> float:
    return abs(value - 0.9)


#: By name of a row: the purpose, how its number is said, and what is better the less it is.
_BY_RANGE: Mapping[str, tuple[str, str, Callable[[float], float]]] = {
    "imputation": ("to fill gaps", "an error of {}", _itself),
    "identified": ("to explain by parameters", "{} of its parameters known", _less),
    "disentangled": ("to tell causes apart", "disentanglement {}", _less),
    "reuse": ("elsewhere, without a new fit", "{} times the error of a new fit", _itself),
    "told_apart": ("to generate", "told from real data in {} of cases", _itself),
    "stays": ("to change one thing", "the others move by {} of it", _itself),
    "interval": ("to trust its 90 % intervals", "which hold in {} of cases", _from_nominal),
    "worst_case": ("against a worst case", "{} times the error", _itself),
}
