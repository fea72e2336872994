"""What was done, in a paragraph with the papers of all that was used, and of nothing else."""

from collections.abc import Callable, Mapping, Sequence

from ..report._citations import bibtex, keys_of_recipe
from ..report._tools import (
    cited,
    cited_sentences_of,
    keys_of_tools,
    said,
    sentences_of,
)
from ._card import Card
from ._density import DENSITY
from ._groups import groups_of
from ._paired import LEAST_SEEDS
from ._repeated import REPEATED
from ._words import listed

#: By the names of rows, the methods whose sentences `report` knows.
_USED: Mapping[str, tuple[str, ...]] = {
    REPEATED.name: ("second-measurement",),
    "disentangled": ("DCI",),
    "agreement": ("UDR",),
    "told_apart": ("two-sample",),
    "covered": ("coverage",),
    "memorised": ("memorisation",),
    "worst_case": ("PGD",),
}
#: How equations are fitted; networks are known to `report`.
_EQUATION = ("levenberg1944", "marquardt1963", "varah1982")


def methods_of(card: Card) -> str:
    """The paragraph as one reads it."""
    return " ".join(
        [said(_recipes(card)), *_design(card), *sentences_of(_asked(card)), _made(card)]
    )


def latex_methods_of(card: Card, escape: Callable[[str], str]) -> str:
    r"""The paragraph as LaTeX, with `\\cite`."""
    sentences = [*map(escape, _design(card)), *cited_sentences_of(_asked(card), escape)]
    return " ".join([cited(_recipes(card), escape), *sentences, escape(_made(card))])


def references_of(card: Card) -> tuple[str, ...]:
    """The BibTeX entries of what the paragraph names."""
    keys = [key for part in _recipes(card) if not isinstance(part, str) for key in part]
    return bibtex([*keys, *keys_of_tools(_asked(card))])


def _recipes(card: Card) -> list[str | Sequence[str]]:
    """What was compared, each recipe with its papers."""
    own = [name for name in card.names if name not in card.baselines]
    parts: list[str | Sequence[str]] = []
    for head, names in (("Compared were ", own), (" and, as baselines, ", card.baselines)):
        for place, name in enumerate(names):
            parts += [head if place == 0 else ", ", name]
            recipe = card.recipes.get(name, "")
            keys = _EQUATION if recipe == "equation" else keys_of_recipe(recipe)
            parts += [keys] if keys else []
    return [*parts, "."]


def _design(card: Card) -> list[str]:
    """How numbers were come by."""
    seeds = f"seeds 0 to {card.seeds - 1}" if card.seeds > 1 else "seed 0"
    sizes = sorted({line.size for line in card.curves})
    parts = ""
    if sizes:
        told = listed([f"{size:,}" for size in sizes])
        parts = f", with {told} {card.size_noun}, the smaller parts within the larger ones"
    return [
        f"Data: {card.data}, {card.n_test:,} observations held out. {card.split}",
        f"Each recipe was fitted with {seeds}{parts}.",
        f"Numbers are medians over seeds, ranges the {card.spread}.",
    ]


def _asked(card: Card) -> list[str]:
    """The methods of those rows, and of the verdict, that have numbers."""
    lines = [line for group in groups_of(card) for line in group.lines]
    found = [method for line in lines for method in _USED.get(line.name, ())]
    ranked = any(
        sum(entry is not None for entry in line.entries.values()) > 1
        for line in lines
        if line.name in (REPEATED.name, DENSITY.name)
    )
    paired = ["pairs"] if ranked and card.seeds >= LEAST_SEEDS else []
    return [*paired, *found, *(["stacking"] if card.stacking is not None else [])]


def _made(card: Card) -> str:
    return f"The computations were made with unweave {card.unweave}."
