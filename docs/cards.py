"""The page of the first card: a formula against a network, on two kinds of data.

    python docs/cards.py [FOLDER]

makes the two cards of `examples/formula_or_network.py` at full size, half an hour on two cores, and
writes their numbers to `docs/cards.json` and the page `docs/cards.md`. Finished fits are kept in
FOLDER (`cards`), so that the same command goes on after a stop.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import unweave as uw

DOCS = Path(__file__).resolve().parent
HEAD = """# The first card: formula or network?

Two kinds of data, a formula and a β-VAE with ten latents on each, beside what is trivial. The
tables and the sentences below them are what `unweave compare` writes; `python docs/cards.py` makes
them, by way of `examples/formula_or_network.py`. What each number means is said on the page on
[reading a comparison](how-to-read-a-comparison.md).
"""
TOLD = {
    "heartbeats": """## Simulated heartbeats

The beats are drawn from the equation that is fitted (`zoo:ecg`, McSharry et al. 2003), with sixteen
factors that differ from beat to beat and noise of 5 to 30 µV: the formula could hardly be more
right. It is what the formula knows beforehand, and the network must learn, that is measured here.
""",
    "species": """## Two competing species

Short courses of two species that compete, each with rates and a start of its own, seen with noise.
The formula is again the true one.
""",
}

END = """## What they say

On both, the formula that is right needs the fewest observations: with the smallest part of the
data it is already where more data no longer help, and no model without the formula gets there with
all of them. The network gains with more data; at the end its error is below that of PCA on the
heartbeats and above it on the courses of the two species. Neither card says anything of a formula
that is wrong, and real data are seldom so kind: see the [studies](studies.md), where residuals and
held-out readings find the formulas' faults.
"""


def page(numbers: Mapping[str, Mapping[str, Any]]) -> str:
    """The page's text."""
    parts = [HEAD]
    for name, card in numbers.items():
        parts += [TOLD[name], card["markdown"]]
    return "\n".join([*parts, END])


def main() -> None:
    """Both cards."""
    sys.path.insert(0, str(DOCS.parent / "examples"))
    from formula_or_network import heartbeats, species

    folder, numbers = Path(sys.argv[1] if len(sys.argv) > 1 else "cards"), {}
    for make in (heartbeats, species):
        card = make(folder / make.__name__)
        uw.write_card(card, folder / make.__name__)
        numbers[make.__name__] = card.to_dict() | {"markdown": uw.card.markdown(card)}
    (DOCS / "cards.json").write_text(json.dumps(numbers, indent=1, ensure_ascii=False) + "\n")
    (DOCS / "cards.md").write_text(page(numbers))


if __name__ == "__main__":
    main()
