"""The first card: formula against network, for the page on reading a comparison.

    python docs/cards.py [FOLDER]

makes the two cards of `examples/formula_or_network.py` at full size, half an hour on two cores, and
writes their numbers to `docs/cards.json`. Finished fits are kept in FOLDER (`cards`), so that the
same command goes on after a stop.
"""

import json
import sys
from pathlib import Path

import unweave as uw

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "examples"))


def main() -> None:
    """Both cards."""
    from formula_or_network import heartbeats, species

    folder, numbers = Path(sys.argv[1] if len(sys.argv) > 1 else "cards"), {}
    for make in (heartbeats, species):
        card = make(folder / make.__name__)
        uw.write_card(card, folder / make.__name__)
        numbers[make.__name__] = card.to_dict() | {"markdown": uw.card.markdown(card)}
        print(uw.card.markdown(card))
        (DOCS / "cards.json").write_text(json.dumps(numbers, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
