"""The card as text for a terminal, as Markdown, as CSV, and into a folder."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from .._files import write_whole
from ._card import Card, Line
from ._trial import Entry
from ._words import number, span

_ARROWS = {"lower": " ↓", "higher": " ↑", "neither": ""}
_NONE = "—"


def table(card: Card) -> str:
    """The card for a terminal: a line for each recipe, ranges below their medians."""
    parts = [_grid(_heads(lines, card), _body(card, lines)) for lines in _groups(card)]
    return "\n\n".join([*parts, _small_print(card), "\n".join([*card.verdict, *card.notes])])


def markdown(card: Card) -> str:
    """The card as Markdown: a table for the measures, one for the learning curve, the verdict."""
    parts = []
    for lines in _groups(card):
        heads = [" ".join(head) for head in _heads(lines, card)]
        rows = [heads, ["---"] * len(heads)]
        rows += [[" ".join(part for part in cell if part) for cell in row]
                 for row in _body(card, lines)]  # fmt: skip
        parts.append("\n".join("| " + " | ".join(map(_escaped, row)) + " |" for row in rows))
    said = "\n".join(f"- {sentence}" for sentence in (*card.verdict, *card.notes))
    return "\n\n".join([*parts, _small_print(card), said]) + "\n"


def as_csv(card: Card) -> str:
    """One line for each number of the card, every seed's value with it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["row", "version", "unit", "better", "share", "n_train", "recipe", "baseline", "median",
         "low", "high", "n_seeds", "n_observations", "kind", "values"]
    )  # fmt: skip
    for line in card.lines:
        for name, entry in line.entries.items():
            if entry is not None:
                writer.writerow(
                    [line.name, line.version, line.unit, line.better, line.share, line.size, name,
                     name in card.baselines, entry.median, entry.low, entry.high, entry.n_seeds,
                     entry.n_observations, entry.kind, " ".join(map(repr, entry.values))]
                )  # fmt: skip
    return out.getvalue()


def write_card(card: Card, folder: str | Path) -> Path:
    """Writes card.html, card.md, card.csv and card.json into `folder`; gives the page's path."""
    from ._page import render  # Matplotlib is only loaded to draw

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "card.md": markdown(card),
        "card.csv": as_csv(card),
        "card.json": json.dumps(card.to_dict(), indent=1, allow_nan=False) + "\n",
        "card.html": render(card),
    }
    for name, text in texts.items():
        write_whole(folder / name, [text.encode()])
    return folder / "card.html"


def cells_of(card: Card, lines: Sequence[Line]) -> list[tuple[str, list[Entry | None]]]:
    """For each recipe its name, marked where it is a baseline, and its numbers."""
    return [
        (
            f"{name} (baseline)" if name in card.baselines else name,
            [line.entries[name] for line in lines],
        )
        for name in card.names
    ]


def head_of(line: Line, card: Card) -> tuple[str, str]:
    """What stands above a column: the measure, and its unit or what it was fitted to."""
    if line.curve:
        return f"{line.size:,}", f"{line.title}{_unit(line)}{_ARROWS[line.better]}"
    return line.title, f"{_unit(line).strip()}{_ARROWS[line.better]}".strip()


def _groups(card: Card) -> list[tuple[Line, ...]]:
    return [lines for lines in (card.measures, card.curves) if lines]


def _unit(line: Line) -> str:
    return f" ({line.unit})" if line.unit else ""


def _heads(lines: Sequence[Line], card: Card) -> list[tuple[str, str]]:
    if not lines[0].curve:
        return [("recipe", ""), *(head_of(line, card) for line in lines)]
    # the sizes share one title, which stands above the names
    return [(head_of(lines[0], card)[1], f"with {card.size_noun}:"),
            *((f"{line.size:,}", "") for line in lines)]  # fmt: skip


def _body(card: Card, lines: Sequence[Line]) -> list[list[tuple[str, str]]]:
    return [
        [(name, ""), *(_cell(entry) for entry in entries)]
        for name, entries in cells_of(card, lines)
    ]


def _cell(entry: Entry | None) -> tuple[str, str]:
    if entry is None:
        return _NONE, ""
    kind = f" {entry.kind}" if entry.kind else ""
    return f"{number(entry.median)}{kind}", span(entry.low, entry.high)


def _grid(heads: list[tuple[str, str]], body: list[list[tuple[str, str]]]) -> str:
    """Columns side by side, each cell on two lines where the second says something."""
    widths = [
        max(len(text) for cell in column for text in cell)
        for column in zip(heads, *body, strict=True)
    ]
    lines = []
    for row in (heads, *body):
        for half in zip(*row, strict=True):
            if any(half):
                parts = (text.ljust(width) for text, width in zip(half, widths, strict=True))
                lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def _small_print(card: Card) -> str:
    seeds = f"{card.seeds} seeds" if card.seeds != 1 else "1 seed"
    return (
        f"Medians of {seeds}, in brackets the {card.spread} where they differ, on {card.n_test:,} "
        f"test observations each. ↓ lower is better, ↑ higher. {card.split}"
    )


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
