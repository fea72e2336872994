"""The card as CSV, and everything that is written of it into a folder."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .._files import write_whole
from ._card import Card
from ._text import markdown

if TYPE_CHECKING:
    from ._pictures import Drawn


def as_csv(card: Card) -> str:
    """One line for each number of the card, every seed's value with it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["row", "group", "version", "unit", "better", "share", "n_train", "recipe", "baseline",
         "median", "low", "high", "n_seeds", "n_observations", "kind", "values"]
    )  # fmt: skip
    for line in card.lines:
        for name, entry in line.entries.items():
            if entry is not None:
                writer.writerow(
                    [line.name, line.group, line.version, line.unit, line.better, line.share,
                     line.size, name, name in card.baselines, entry.median, entry.low, entry.high,
                     entry.n_seeds, entry.n_observations, entry.kind,
                     " ".join(map(repr, entry.values))]
                )  # fmt: skip
    return out.getvalue()


def write_card(card: Card, folder: str | Path) -> Path:
    """Writes the page card.html, card.md, card.csv and card.json, the article card.tex with
    card.bib, and each figure as SVG, PDF and CSV under figures/; gives the page's path."""
    from .. import plots  # Matplotlib is only loaded to draw
    from ._page import render
    from ._pictures import drawn_of

    folder = Path(folder)
    figures = drawn_of(card)
    _write_article(folder, card, figures)
    for one in figures:
        write_whole(folder / "figures" / f"{one.name}.csv", [one.csv.encode()])
        plots.save(one.figure, folder / "figures" / f"{one.name}.svg")
    _write(folder / "card.md", markdown(card))
    _write(folder / "card.csv", as_csv(card))
    _write(folder / "card.json", json.dumps(card.to_dict(), indent=1, allow_nan=False) + "\n")
    # the page comes last: it links to what was written before
    _write(folder / "card.html", render(card, figures=figures))
    return folder / "card.html"


def write_card_article(card: Card, folder: str | Path) -> Path:
    """Writes the article card.tex with card.bib into `folder`, its figures as PDF beside it, and
    returns the path of the article.

    It compiles with `latexmk -pdf card.tex` and needs the packages amsmath, array, graphicx,
    longtable, geometry and hyperref; where there is booktabs its rules are finer.
    """
    from ._pictures import drawn_of  # Matplotlib is only loaded to draw

    return _write_article(Path(folder), card, drawn_of(card))


def _write_article(folder: Path, card: Card, figures: "Sequence[Drawn]") -> Path:
    from .. import plots  # Matplotlib is only loaded to draw
    from ._latex import article
    from ._methods import references_of

    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for one in figures:
        plots.save(one.figure, folder / "figures" / f"{one.name}.pdf")
    _write(folder / "card.bib", "".join(f"{entry}\n\n" for entry in references_of(card)))
    _write(folder / "card.tex", article(card, figures))
    return folder / "card.tex"


def _write(path: Path, text: str) -> None:
    write_whole(path, [text.encode()])
