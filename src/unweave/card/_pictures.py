"""The figures of the card, each with the numbers that it is drawn from."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .. import plots
from ._card import Card, Line
from ._error import ERROR
from ._groups import groups_of
from ._missed import Missed
from ._repeated import REPEATED

#: Measures whose seeds are drawn, with the number that a model should reach, where there is one,
#: and what is said of it.
_DRAWN: Mapping[str, tuple[float | None, str]] = {
    REPEATED.name: (None, ""),
    ERROR.name: (None, ""),
    "told_apart": (0.5, " The dashed line is a guess: drawn and real ones cannot be told apart."),
    "interval": (0.9, " The dashed line is the share that the intervals promise."),
}


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure: `name` of its files, the `group` that it belongs to, what it shows in a few words
    and in sentences, and its numbers, columns of one length by their names."""

    name: str
    group: str
    figure: Figure
    label: str
    caption: str
    columns: Mapping[str, Sequence[Any]]

    @property
    def csv(self) -> str:
        """The numbers as a file."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(zip(*self.columns.values(), strict=True))
        return out.getvalue()


def drawn_of(card: Card) -> tuple[Drawn, ...]:
    """Every figure that the card has numbers for."""
    found = []
    names = {line.name for line in card.measures}
    # one error is drawn: that of a second measurement, where there is one
    asked = set(_DRAWN) - ({ERROR.name} if REPEATED.name in names else set())
    for group in groups_of(card):
        for lines in group.tables:
            if lines[0].curve:
                found.append(_curve(card, lines))
            else:
                found += [_seeds(card, line) for line in lines if line.name in asked]
    if card.missed is not None and card.missed.times:
        found.append(_missed(card.missed))
    return tuple(found)


def _missed(of: Missed) -> Drawn:
    figure = plots.missed(
        of.times, of.before, of.after, names=(of.formula, of.network), span=(of.first, of.last),
        unit=of.unit, time_unit=of.time_unit,
    )  # fmt: skip
    unit = f" ({of.unit})" if of.unit else ""
    columns = {
        f"time ({of.time_unit})" if of.time_unit else "time": of.times,
        f"left by {of.formula}{unit}": of.before,
        f"left after {of.network}{unit}": of.after,
    }
    caption = (
        f"What {of.formula} leaves over at each time, root mean squares over test observations and "
        f"seeds, and what is left once {of.network} has explained its part. The shaded span holds "
        "half of what is explained. What is copied noise is taken off both."
    )
    return Drawn("missed", "", figure, "What the formula misses", caption, columns)


def _seeds(card: Card, line: Line) -> Drawn:
    reference, words = _DRAWN[line.name]
    values = {name: () if entry is None else entry.values for name, entry in line.entries.items()}
    shown = {name: values[name] for name in card.names if values[name]}
    figure = plots.over_seeds(
        shown, baselines=card.baselines, label=line.title, unit=line.unit, reference=reference
    )
    rows = [(name, value) for name, found in shown.items() for value in found]
    columns = {
        "recipe": [name for name, _ in rows],
        "baseline": [name in card.baselines for name, _ in rows],
        _with_unit(line): [value for _, value in rows],
    }
    caption = (
        f"The {line.title} of each recipe: a point for each seed, a stroke at their median. Grey "
        f"are baselines.{words}"
    )
    return Drawn(line.name, line.group, figure, f"{line.title}, each seed", caption, columns)


def _curve(card: Card, lines: Sequence[Line]) -> Drawn:
    line = lines[0]
    figure = plots.learning_curves(
        [line.size for line in lines],
        {name: _three(lines, name) for name in card.names},
        baselines=card.baselines,
        label=line.title,
        unit=line.unit,
        size_noun=card.size_noun,
        logarithmic=line.better == "lower",
    )
    rows = [
        (name, name in card.baselines, part.size, entry.median, entry.low, entry.high)
        for name in card.names
        for part in lines
        if (entry := part.entries[name]) is not None
    ]
    heads = ("recipe", "baseline", card.size_noun, _with_unit(line), "smallest", "largest")
    columns = dict(zip(heads, map(list, zip(*rows, strict=True)), strict=True))
    caption = (
        f"The {line.title} with each part of the training data. Lines are medians over seeds, "
        "bands reach from the smallest to the largest; grey and dashed are baselines."
    )
    label = f"{line.title} against training data"
    return Drawn(line.name, line.group, figure, label, caption, columns)


def _three(lines: Sequence[Line], name: str) -> np.ndarray:
    """Median, smallest and largest `(3, share)`; NaN where there is no number."""
    entries = [line.entries[name] for line in lines]
    rows = [
        (np.nan,) * 3 if entry is None else (entry.median, entry.low, entry.high)
        for entry in entries
    ]
    return np.asarray(rows, float).T


def _with_unit(line: Line) -> str:
    return f"{line.title} ({line.unit})" if line.unit else line.title
