"""The card as one HTML file that needs no network and runs no script."""

from collections.abc import Sequence
from importlib.resources import files

import jinja2
import numpy as np
from markupsafe import Markup

from .. import plots
from ..report._figures import inline
from ._card import Card, Line
from ._words import number, span
from ._write import cells_of, head_of


def render(card: Card) -> str:
    """The page as text; the same card gives the same text. Whatever comes from data is escaped,
    and the page's policy allows no connection and no script."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = files("unweave.card").joinpath("card.html.jinja").read_text(encoding="utf-8")
    style = files("unweave.report").joinpath("page.css").read_text(encoding="utf-8")
    return environment.from_string(page).render(
        card=card,
        number=number,
        span=span,
        policy="default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        style=Markup(style),
        measures=_rows(card, card.measures),
        curve=_rows(card, card.curves),
        figure=_figure(card),
    )


def _rows(card: Card, lines: Sequence[Line]) -> dict:
    """Heads and rows of one table."""
    return {"heads": [head_of(line, card) for line in lines], "rows": cells_of(card, lines)}


def _figure(card: Card) -> Markup | None:
    lines = card.curves
    if not lines or not any(entry for line in lines for entry in line.entries.values()):
        return None
    figure = plots.learning_curves(
        [line.size for line in lines],
        {name: _curve(lines, name) for name in card.names},
        baselines=card.baselines,
        unit=lines[0].unit,
        size_noun=card.size_noun,
    )
    return Markup(inline(plots.svg(figure), "curve", "Held-out error against training data"))


def _curve(lines: Sequence[Line], name: str) -> np.ndarray:
    """Median, smallest and largest `(3, share)`; NaN where there is no number."""
    entries = [line.entries[name] for line in lines]
    rows = [
        (np.nan,) * 3 if entry is None else (entry.median, entry.low, entry.high)
        for entry in entries
    ]
    return np.asarray(rows, float).T
