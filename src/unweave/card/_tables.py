"""What the tables of the card hold, for every form in which it is written."""

from collections.abc import Sequence
from dataclasses import dataclass

from ._card import Card, Line
from ._groups import Group, best_of, groups_of
from ._trial import Entry
from ._words import number, span

#: Stands behind the best number of a column.
BEST = "★"
_ARROWS = {"lower": "\u00a0↓", "higher": "\u00a0↑", "neither": ""}
_NONE = "—"


@dataclass(frozen=True)
class Shown:
    """A cell: the number with its kind, its range, and whether it is the best of its column."""

    text: str
    range: str = ""
    best: bool = False

    @property
    def marked(self) -> str:
        """The number, with the sign of the best where it is."""
        return f"{self.text}\u00a0{BEST}" if self.best else self.text


@dataclass(frozen=True)
class Table:
    """A table with a row for each recipe: `first` stands above their names, in `heads` what
    stands above each column, and below that its unit and which direction is better."""

    first: str
    heads: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Shown, ...]], ...]


@dataclass(frozen=True)
class Section:
    """A group as it is shown: a heading, a sentence, and its tables."""

    name: str
    title: str
    meaning: str
    tables: tuple[Table, ...]


def sections_of(card: Card) -> tuple[Section, ...]:
    """The card's groups with their tables."""
    return tuple(
        Section(
            group.name, group.title, group.meaning,
            tuple(_table(card, lines) for lines in group.tables),
        )
        for group in groups_of(card)
    )  # fmt: skip


def overview_of(card: Card) -> Table | None:
    """The chief number of each group, a column each; None where there are no two groups."""
    groups = groups_of(card)
    if len(groups) < 2:
        return None
    heads = tuple((group.title, _called(group, card)) for group in groups)
    return Table("recipe", heads, _rows(card, [group.chief for group in groups], ranges=False))


def weights_of(card: Card) -> Table | None:
    """The weights of the mixture of all models; None where there is none."""
    if card.stacking is None:
        return None
    rows = tuple(
        (named(card, name), (Shown(f"{weight:.2f} ± {error:.2f}"),))
        for name, (weight, error) in card.stacking.weights.items()
    )
    return Table("recipe", (("weight", ""),), rows)


def named(card: Card, name: str) -> str:
    """A recipe's name, marked where it is a baseline."""
    return f"{name} (baseline)" if name in card.baselines else name


def small_print(card: Card) -> str:
    """What the tables' numbers are of."""
    seeds = f"{card.seeds} seeds" if card.seeds != 1 else "1 seed"
    return (
        f"Medians of {seeds}, in brackets the {card.spread} where they differ, on {card.n_test:,} "
        f"test observations each. ↓ lower is better, ↑ higher; {BEST} the best of a column: who is "
        "ahead by more than chance, or ties with it, where the verdict speaks of it, and otherwise "
        "the best median, of log-densities that of each kind. A dash: no such number."
    )


def _table(card: Card, lines: Sequence[Line]) -> Table:
    if not lines[0].curve:
        heads = tuple(map(_head, lines))
        return Table("recipe", heads, _rows(card, lines))
    first = f"{_joined(*_head(lines[0]))} with {card.size_noun}:"
    return Table(first, tuple((f"{line.size:,}", "") for line in lines), _rows(card, lines))


def _rows(
    card: Card, lines: Sequence[Line], *, ranges: bool = True
) -> tuple[tuple[str, tuple[Shown, ...]], ...]:
    best = [best_of(card, line) for line in lines]
    return tuple(
        (
            named(card, name),
            tuple(
                _shown(line.entries[name], name in top, ranges)
                for line, top in zip(lines, best, strict=True)
            ),
        )
        for name in card.names
    )


def _shown(entry: Entry | None, best: bool, ranges: bool) -> Shown:
    if entry is None:
        return Shown(_NONE)
    text = _joined(number(entry.median), entry.kind)
    return Shown(text, span(entry.low, entry.high) if ranges else "", best)


def _called(group: Group, card: Card) -> str:
    """The chief measure of a group, in the words that stand below its title."""
    line = group.chief
    words = _joined(*_head(line))
    return f"{words} with {line.size:,} {card.size_noun}" if line.curve else words


def _head(line: Line) -> tuple[str, str]:
    """The measure and its unit, with an arrow that stays with the word before it."""
    unit, arrow = f"({line.unit})" if line.unit else "", _ARROWS[line.better]
    return (line.title, f"{unit}{arrow}") if unit else (f"{line.title}{arrow}", "")


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)
