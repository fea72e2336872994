"""The card as an article: LaTeX, vector figures, and references of what was used."""

from collections.abc import Sequence

from ..report import _tex as tex
from ._card import Card
from ._methods import latex_methods_of, references_of
from ._pictures import Drawn
from ._tables import Table, overview_of, sections_of, small_print
from ._words import pieces

# more columns go on in a table below
_MOST = 4


def article(card: Card, figures: Sequence[Drawn]) -> str:
    r"""The article's text, which includes figures/NAME.pdf and cites card.bib."""
    parts = [_paragraphs(card.sentences)]
    overview = overview_of(card)
    if overview is not None:
        parts += [r"\section*{Overview}", *_tables(overview)]
    for section in sections_of(card):
        parts += [rf"\section*{{{tex.escape(section.title)}}}", tex.escape(section.meaning)]
        parts += [part for table in section.tables for part in _tables(table)]
        parts += [
            tex.picture(f"figures/{one.name}.pdf", one.caption)
            for one in figures
            if one.group == section.name
        ]
    parts += [tex.escape(small_print(card))]
    parts += [r"\section*{Methods}", latex_methods_of(card, _breakable)]
    references = "card" if references_of(card) else ""
    title = f"{card.data}: {len(card.names)} recipes compared"
    return tex.article(title, [part for part in parts if part], references=references)


def _paragraphs(sentences: Sequence[str]) -> str:
    return "\n\n".join(map(_breakable, sentences))


def _tables(table: Table) -> list[str]:
    """The table, its columns shared out so that it fits a page."""
    count = len(table.heads)
    parts = -(-count // _MOST)
    size = -(-count // max(parts, 1))
    return [_table(table, range(at, min(at + size, count))) for at in range(0, count, size)]


def _table(table: Table, places: range) -> str:
    heads = [(tex.escape(title), tex.escape(unit)) for title, unit in table.heads]
    head = [_breakable(table.first)]
    head += [r"\linebreak{}".join(filter(None, heads[place])) for place in places]
    rows = []
    for name, cells in table.rows:
        row = [_breakable(name)]
        for place in places:
            shown, spread = tex.escape(cells[place].marked), tex.escape(cells[place].range)
            row.append(rf"{shown}\linebreak{{}}{{\scriptsize {spread}}}" if spread else shown)
        rows.append(row)
    width = 0.76 / max(len(places), 1)
    columns = r"@{}>{\raggedright\arraybackslash}p{0.22\textwidth}"
    wide = rf"\dimexpr{width:.3f}\textwidth-2\tabcolsep\relax"
    columns += rf">{{\raggedleft\arraybackslash}}p{{{wide}}}" * len(places)
    return "{\\small\n" + tex.rules(columns + "@{}", head, rows) + "\n}"


def _breakable(text: str) -> str:
    """Words that may go on in the next line behind what joins a recipe's options."""
    return r"\allowbreak{}".join(map(tex.escape, pieces(text)))
