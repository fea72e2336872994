"""The card as text: for a terminal of a hundred columns, and as Markdown."""

import textwrap
from collections.abc import Sequence

from ._card import Card
from ._tables import Shown, Table, overview_of, sections_of, small_print
from ._words import pieces

_WIDTH = 100
# a longer name of a recipe, or of a measure, goes on in the next line
_LONGEST_NAME, _LONGEST_HEAD = 34, 16


def table(card: Card) -> str:
    """The card for a terminal: the overview, a table for each group, what was found."""
    parts = []
    overview = overview_of(card)
    if overview is not None:
        parts += [_grid(overview)]
    for section in sections_of(card):
        title = section.title.upper()
        meaning = textwrap.fill(_joined(title + ".", section.meaning), _WIDTH)
        parts += ["\n".join([meaning, "", "\n\n".join(map(_grid, section.tables))])]
    small = textwrap.fill(f"{small_print(card)} {card.split}", _WIDTH)
    return "\n\n".join([*parts, small, "\n".join(card.sentences)])


def markdown(card: Card) -> str:
    """The card as Markdown: the overview, a table for each group, and what was found."""
    parts = []
    overview = overview_of(card)
    if overview is not None:
        parts.append(_pipes(overview))
    for section in sections_of(card):
        parts.append(_joined(f"**{_escaped(section.title)}.**", _escaped(section.meaning)))
        parts += map(_pipes, section.tables)
    said = "\n".join(f"- {sentence}" for sentence in card.sentences)
    return "\n\n".join([*parts, f"{small_print(card)} {card.split}", said]) + "\n"


def _pipes(table: Table) -> str:
    """A table of Markdown."""
    heads = [table.first, *(_joined(*head) for head in table.heads)]
    rows = [[name, *(_joined(cell.marked, cell.range) for cell in cells)]
            for name, cells in table.rows]  # fmt: skip
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(_escaped, line)) + " |" for line in lines)


def _grid(table: Table) -> str:
    """Columns side by side; those that would not fit follow below, beside the names again."""
    names = [_wrapped(table.first, _LONGEST_NAME)]
    names += [_wrapped(name, _LONGEST_NAME) for name, _ in table.rows]
    columns = [
        [
            [line for text in head for line in _wrapped(text, _LONGEST_HEAD)],
            *(_lines(cells[place]) for _, cells in table.rows),
        ]
        for place, head in enumerate(table.heads)
    ]
    blocks: list[list[list[list[str]]]] = []
    left = 0
    for column in columns:
        left -= 2 + _wide(column)
        if not blocks or left < 0:
            blocks.append([names])
            left = _WIDTH - _wide(names) - 2 - _wide(column)
        blocks[-1].append(column)
    return "\n\n".join(map(_block, blocks))


def _block(columns: Sequence[Sequence[Sequence[str]]]) -> str:
    widths = [_wide(column) for column in columns]
    lines = []
    for row in zip(*columns, strict=True):
        for place in range(max(map(len, row))):
            parts = (cell[place] if place < len(cell) else "" for cell in row)
            padded = (text.ljust(width) for text, width in zip(parts, widths, strict=True))
            lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _wide(column: Sequence[Sequence[str]]) -> int:
    return max((len(text) for cell in column for text in cell), default=0)


def _lines(cell: Shown) -> list[str]:
    return [*_wrapped(cell.marked, 2 * _LONGEST_HEAD), *([cell.range] if cell.range else [])]


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most so many letters: parted between words, then behind what joins a recipe's
    options, and only then anywhere."""
    lines: list[str] = []
    for line in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False):
        lines.append("")
        for piece in pieces(line) if len(line) > width else [line]:
            if lines[-1] and len(lines[-1] + piece) > width:
                lines.append("")
            *whole, rest = [piece[at : at + width] for at in range(0, len(piece), width)]
            lines[-1:] = [*whole, rest] if whole else [lines[-1] + rest]
    return [line.replace("\u00a0", " ") for line in lines]


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("\u00a0", " ")
