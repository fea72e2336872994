"""A formula or a network? Both are fitted to the same data, and one card says what each is worth.

    python examples/formula_or_network.py

Heartbeats are simulated by an equation that is in the zoo, so the formula could hardly be more
right; a β-VAE knows nothing of hearts and has to learn from examples. The courses of two competing
species are the other case: short, noisy, and each with causes of its own. Trivial models stand in
the same table: whoever does not beat them has learned nothing.
"""

import os
import re
from pathlib import Path

import unweave as uw

TOY = bool(os.environ.get("UNWEAVE_TOY"))
SEEDS = 1 if TOY else 3


def network() -> uw.Recipe:
    """The β-VAE, small where only the way is to be shown."""
    if TOY:
        return uw.beta_vae(latents=4, epochs=2, widths=(16,))
    return uw.beta_vae(latents=10)


def formula(name: str) -> uw.Recipe:
    """An equation of the zoo, whose latents each observation has for itself; the fit says how
    they are spread over the training observations."""
    lines = uw.equations.source_text(f"zoo:{name}").splitlines()
    declares = re.compile(r"[\w(), ]+ in \(")
    own = [f"{line} per record" if declares.match(line) else line for line in lines]
    return uw.recipes.equation("\n".join(own), starts=1 if TOY else 4)


def told(title: str, card: uw.Card, folder: Path) -> None:
    """The card in short: each model's numbers, then what they say in words."""
    print(f"\n{title}: {card.split}")
    print(uw.card.table(card))
    print(f"the page: {uw.write_card(card, folder)}")


def heartbeats() -> None:
    """The first card."""
    beats = uw.split_at_random(uw.heartbeats(300), seed=0)
    recipes = {"the heart's equation": formula("ecg"), "beta-vae": network()}
    card = uw.compare(beats, recipes, seeds=SEEDS, name="simulated heartbeats", quiet=True)
    told("heartbeats", card, Path("cards/heartbeats"))


def species() -> None:
    """The second card."""
    courses = uw.split_at_random(uw.competition_cloud(20 if TOY else 300), seed=0)
    recipes = {"competition": formula("competition"), "beta-vae": network()}
    name = "courses of two competing species"
    card = uw.compare(courses, recipes, seeds=SEEDS, name=name, quiet=True)
    told("competition", card, Path("cards/competition"))


def main() -> None:
    """Both cards; at toy size only the second, as the heart's equation takes minutes to compile."""
    if not TOY:
        heartbeats()
    species()


if __name__ == "__main__":
    main()
