"""The groups that the card's rows stand in, and what each of them asks."""

from collections.abc import Mapping
from dataclasses import dataclass

from ._card import Card, Line
from ._curve import CURVE
from ._density import DENSITY
from ._repeated import REPEATED
from ._words import number

#: What the measures of each group mean, in the order of the card.
MEANING: Mapping[str, str] = {
    "accuracy": "How close a model comes to observations that it was not fitted to, and how "
    "likely it finds them.",
    "interpretable": "Whether a latent means something: the data determine it, it stands for one "
    "known factor, and another seed finds it again.",
    "data needed": "What is left of the accuracy with less to learn from; the smaller parts lie "
    "within the larger ones and are the same for every recipe.",
    "supervision": "What had to be told beside the observations themselves.",
    "reuse": "How a model does on other data of the same kind, without being fitted again.",
    "generation": "Whether what a model draws can be told from what was measured, is as varied, "
    "and is more than a copy of the training data.",
    "manipulation": "Whether a latent that is set does what it says: it arrives, leaves the "
    "others alone, and moves the observation one way.",
    "guarantee": "Whether what a model says of its own uncertainty and error holds.",
    "robustness": "What is left where inputs are disturbed as badly as possible.",
    "cost": "What a fit takes, on the machine that it was made on.",
}


@dataclass(frozen=True)
class Group:
    """The lines under one heading, in tables: the measures, and each learning curve by itself."""

    name: str
    tables: tuple[tuple[Line, ...], ...]

    @property
    def title(self) -> str:
        """The heading."""
        return self.name[:1].upper() + self.name[1:]

    @property
    def meaning(self) -> str:
        """A sentence on what its measures mean; "" for a group of the user's own."""
        return MEANING.get(self.name, "")

    @property
    def chief(self) -> Line:
        """The line that stands for the group: the first, of a curve that with the least data."""
        return self.tables[0][0]

    @property
    def lines(self) -> tuple[Line, ...]:
        """All of its lines."""
        return tuple(line for table in self.tables for line in table)


def groups_of(card: Card) -> tuple[Group, ...]:
    """The groups in which some recipe has a number, without the lines in which none has."""
    found: dict[str, dict[str, list[Line]]] = {}
    for line in card.lines:
        # the measures of a group share a table, the shares of a curve another
        table = line.name if line.curve else ""
        found.setdefault(line.group, {}).setdefault(table, []).append(line)
    order = [*(name for name in MEANING if name in found), *(n for n in found if n not in MEANING)]
    groups = []
    for name in order:
        measures = [line for line in found[name].pop("", []) if _is_seen(line)]
        curves = [part for part in found[name].values() if any(map(_is_seen, part))]
        tables = tuple(tuple(part) for part in (measures, *curves) if part)
        if tables:
            groups.append(Group(name, tables))
    return tuple(groups)


def best_of(card: Card, line: Line) -> frozenset[str]:
    """The names that are marked as the best of a line: who is ahead, or ties, where the card says
    so, and otherwise who has the best median as it is shown; none where there is nothing to be
    better than.

    Log-densities of different kinds do not compare, so each kind has a best of its own, and one
    that is known up to a constant has none.
    """
    told = _told(card, line)
    if told is not None:
        return frozenset(told)
    if line.better == "neither":
        return frozenset()
    kinds: dict[str, dict[str, float]] = {}
    for name, entry in line.entries.items():
        if entry is not None and not (line.name == DENSITY.name and entry.kind == "unnormalised"):
            kind = entry.kind if line.name == DENSITY.name else ""
            kinds.setdefault(kind, {})[name] = entry.median
    pick = min if line.better == "lower" else max
    found: set[str] = set()
    for medians in kinds.values():
        shown = {name: number(value) for name, value in medians.items()}
        top = number(pick(medians.values()))
        if len(set(shown.values())) > 1:
            found |= {name for name, text in shown.items() if text == top}
    return frozenset(found)


def _told(card: Card, line: Line) -> tuple[str, ...] | None:
    """Who is ahead, or ties, by a purpose that rests on this line; None where none does."""
    little = f"with {line.size:,} {card.size_noun}"
    row = REPEATED.name if line.name == CURVE.name else line.name
    for one in card.purposes:
        # the smallest part of the data is a purpose of its own, of the same row
        of_part = one.purpose.startswith("with ")
        there = one.purpose == little if line.curve and line.share < 1 else not of_part
        if one.row == row and there and one.finding in ("ahead", "tie"):
            return one.among
    return None


def _is_seen(line: Line) -> bool:
    return any(entry is not None for entry in line.entries.values())
