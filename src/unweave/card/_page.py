"""The card as one HTML file that needs no network and runs no script."""

from collections.abc import Sequence
from importlib.resources import files

import jinja2
from markupsafe import Markup, escape

from .. import plots
from ..report._figures import inline
from ._card import Card
from ._methods import methods_of, references_of
from ._pictures import Drawn, drawn_of
from ._tables import BEST, overview_of, sections_of, small_print, weights_of
from ._words import pieces


def render(card: Card, *, figures: Sequence[Drawn] | None = None) -> str:
    """The page as text; the same card gives the same text. Whatever comes from data is escaped,
    and the page's policy allows no connection and no script. It links to the files that
    `write_card` writes beside it."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = files("unweave.card").joinpath("card.html.jinja").read_text(encoding="utf-8")
    style = files("unweave.report").joinpath("page.css").read_text(encoding="utf-8")
    drawn = drawn_of(card) if figures is None else figures
    return environment.from_string(page).render(
        card=card,
        policy="default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        style=Markup(style),
        best=BEST,
        breakable=_breakable,
        overview=overview_of(card),
        sections=sections_of(card),
        weights=weights_of(card),
        small_print=small_print(card),
        figures=[
            (one, Markup(inline(plots.svg(one.figure), one.name, one.label))) for one in drawn
        ],
        methods=methods_of(card),
        references=references_of(card),
    )


def _breakable(name: str) -> Markup:
    """A name that may go on in the next line behind what joins a recipe's options."""
    return Markup("<wbr>").join(map(escape, pieces(name)))
