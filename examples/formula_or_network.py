"""A formula or a network? Both are fitted to the same data, and one card says what each is worth.

    python examples/formula_or_network.py

Heartbeats are simulated by an equation that is in the zoo, so the formula could hardly be more
right; a β-VAE knows nothing of hearts and has to learn from examples. The courses of two competing
species are the other case: short, noisy, and each with causes of its own. Trivial models stand in
the same table: whoever does not beat them has learned nothing.
"""

import os
from pathlib import Path

import unweave as uw

# as zoo:competition, but that no two courses are of the same species
COMPETITION = """
time in day
x1' = r1*x1*(1 - x1/N1) - a1*x1*x2
x2' = r2*x2*(1 - x2/N2) - a2*x1*x2
r1, r2 in (0.4, 1.2) 1/day per record
N1, N2 in (80, 240) volume per record
a1, a2 in (0.001, 0.008) 1/(day volume) per record
x1(0), x2(0) in (2, 20) volume
"""
TOY = bool(os.environ.get("UNWEAVE_TOY"))
SEEDS = 1 if TOY else 3


def network() -> uw.Recipe:
    """The β-VAE, small where only the way is to be shown."""
    if TOY:
        return uw.beta_vae(latents=4, epochs=2, widths=(16,))
    return uw.beta_vae(latents=10)


def formula(source: str) -> uw.Recipe:
    """An equation whose latents each observation has for itself; the fit says how they are spread
    over the training observations."""
    return uw.recipes.equation(source, starts=1 if TOY else 8)


def heartbeats(folder: Path) -> uw.Card:
    """The first card; its fits are kept in `folder`, so that the same call goes on."""
    beats = uw.split_at_random(uw.heartbeats(200), seed=0)
    recipes = {"the heart's equation": formula("zoo:ecg"), "beta-vae": network()}
    name = "simulated heartbeats"
    return uw.compare(beats, recipes, seeds=SEEDS, name=name, out=folder, quiet=TOY)


def species(folder: Path) -> uw.Card:
    """The second card."""
    courses = uw.split_at_random(uw.competition_cloud(20 if TOY else 200), seed=0)
    recipes = {"competition": formula(COMPETITION), "beta-vae": network()}
    name = "courses of two competing species"
    return uw.compare(courses, recipes, seeds=SEEDS, name=name, out=folder, quiet=TOY)


def main() -> None:
    """Both cards; at toy size only the second, as the heart's equation takes minutes to compile."""
    for make in (species,) if TOY else (heartbeats, species):
        folder = Path("cards") / make.__name__
        card = make(folder)
        print(f"\n{card.data}: {card.split}")
        print(uw.card.table(card))
        print(f"the page: {uw.write_card(card, folder)}")


if __name__ == "__main__":
    main()
