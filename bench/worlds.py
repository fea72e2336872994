"""Does the verdict name the right model? Worlds whose truth is known, many draws of each.

    python bench/worlds.py [--draws 20] [--only true missing none little]

Goes on where it stopped: each draw is kept in `worlds.json` beside this file, and `WORLDS.md` is
written after each.

- true: courses of logistic growth, and the formula is logistic growth. Right: the formula.
- missing: grazers come and go with the season and eat of what grows, which the formula does not
  have, and a hybrid may learn it, a network of the day. Right: the hybrid.
- none: bumps that move and widen, for which the formula (logistic growth) says nothing. Right: the
  network.
- little: logistic growth again, so few courses, so short and so noisy that nobody can tell. Right:
  a tie, or not enough data.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import time
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

import unweave as uw
from unweave.card import compare
from unweave.card._left_over import LEFT_OVER
from unweave.card._parameters import PARAMETERS
from unweave.card._repeated import REPEATED
from unweave.data import Dataset, dataset, split_at_random
from unweave.recipes import equation, hybrid, pca, vae
from unweave.train import Recipe

HERE = pathlib.Path(__file__).resolve().parent
SEEDS, NOISE = 3, 0.05
FORMULA = """
time in day
x' = r*x*(1 - x/K)
r in (0.2, 3) 1/day per record
K in (0.5, 5) mg per record
x(0) in (0.01, 1) mg
"""
HYBRID = FORMULA.replace("(1 - x/K)", "(1 - x/K) - net(t)*x")
# what the grazers eat of the biomass at most, in shares a day, and the days of a season
EATEN, SEASON = 1.2, 3.0


class Growth(uw.AbstractDecoder):
    r"""Logistic growth in closed form, $K / (1 + (K/x_0 - 1) e^{-r t})$ (Verhulst 1838)."""

    latents: uw.Latents
    times: tuple[float, ...]

    def decode(self, z, condition=None, *, key=None):
        """The course `(time, 1)`."""
        rate, most, first = z
        t = jnp.asarray(self.times, z.dtype)
        return (most / (1 + (most / first - 1) * jnp.exp(-rate * t)))[:, None]


def growth() -> Recipe:
    """The formula of the worlds in which nothing is missing: each course has its own latents."""

    def build(data: Dataset, key) -> uw.Inverted:
        latents = uw.latents(
            ["r", "K", "x(0)"],
            [uw.log_uniform(0.2, 3), uw.log_uniform(0.5, 5), uw.log_uniform(0.01, 1)],
            units=["1/day", "mg", "mg"],
        )
        return uw.Inverted(Growth(latents, data.schema.times), starts=4)

    return Recipe("equation", {"source": "Verhulst"}, build)


def courses(x: np.ndarray, days: float) -> Dataset:
    """Noisy courses `(n, time)` as a dataset."""
    schema = uw.Schema(
        "series", ("time", "channel"), (x.shape[1], 1), ("x",), ("mg",),
        step=days / (x.shape[1] - 1), time_unit="day",
    )  # fmt: skip
    return dataset(x[..., None].astype(np.float32), schema)


def grown(n: int, samples: int, days: float, noise: float, eaten: float, seed: int) -> Dataset:
    """Courses of growth, with or without grazers, by Runge and Kutta's classical steps."""
    rng = np.random.default_rng((11, seed))
    rate, most = rng.uniform(0.8, 1.6, (n, 1)), rng.uniform(2.5, 4, (n, 1))
    x, path = rng.uniform(0.2, 0.8, (n, 1)), []

    def slope(t: float, x: np.ndarray) -> np.ndarray:
        return rate * x * (1 - x / most) - eaten * x * (1 + np.sin(2 * np.pi * t / SEASON)) / 2

    parts = 20
    h = days / (samples - 1) / parts
    for i in range(samples):
        path.append(x)
        for j in range(parts):
            t = (i * parts + j) * h
            a = slope(t, x)
            b = slope(t + h / 2, x + h / 2 * a)
            c = slope(t + h / 2, x + h / 2 * b)
            x = x + h / 6 * (a + 2 * b + 2 * c + slope(t + h, x + h * c))
    clean = np.concatenate(path, axis=1)
    return courses(clean + noise * rng.normal(size=clean.shape), days)


def bumps(n: int, samples: int, seed: int) -> Dataset:
    """A bump of any place and width on each course."""
    rng = np.random.default_rng((13, seed))
    t = np.linspace(0, 6, samples)
    place, width = rng.uniform(1.5, 4.5, (n, 1)), rng.uniform(0.3, 0.8, (n, 1))
    clean = 2 * np.exp(-0.5 * ((t - place) / width) ** 2)
    return courses(clean + NOISE * rng.normal(size=clean.shape), 6.0)


def network(latents: int = 3) -> Recipe:
    """A small VAE."""
    return vae(latents=latents, epochs=300, batch=32, widths=(64, 64), patience=30)


def world(name: str, seed: int) -> tuple[Dataset, Mapping[str, Recipe], str]:
    """The data of a draw, what is compared, and which is right."""
    if name == "true":
        recipes = {"formula": growth(), "network": network(), "PCA": pca(latents=3)}
        return grown(120, 25, 6.0, NOISE, 0.0, seed), recipes, "formula"
    if name == "missing":
        recipes = {
            "formula": equation(FORMULA, starts=4), "hybrid": hybrid(HYBRID, starts=2),
            "network": network(),
        }  # fmt: skip
        return grown(60, 25, 6.0, NOISE, EATEN, seed), recipes, "hybrid"
    if name == "none":
        recipes = {"formula": growth(), "network": network(2), "PCA": pca(latents=2)}
        return bumps(400, 40, seed), recipes, "network"
    recipes = {"formula": growth(), "PCA": pca(latents=3)}
    return grown(16, 6, 3.0, 1.0, 0.0, seed), recipes, "tie or not enough"


def one_draw(name: str, seed: int) -> dict:
    """What the verdict says of one draw."""
    data, recipes, right = world(name, seed)
    began = time.perf_counter()
    card = compare(
        lambda s: split_at_random(data, test=0.3, seed=s), recipes, seeds=SEEDS, shares=(1.0,),
        rows=(REPEATED, PARAMETERS, LEFT_OVER), quiet=True,
    )  # fmt: skip
    purpose = card.purposes[0]
    if right in recipes:
        is_right = purpose.named == right
    else:
        is_right = purpose.finding in ("tie", "not enough")
    errors = {line.name: line for line in card.measures}["repeated"].entries
    return {
        "world": name, "seed": seed, "right": is_right, "finding": purpose.finding,
        "named": purpose.named, "sentence": purpose.sentence, "notes": list(card.notes),
        "errors": {n: None if e is None else e.median for n, e in errors.items()},
        "missed": None if card.missed is None else [card.missed.share, card.missed.low],
        "seconds": time.perf_counter() - began,
    }  # fmt: skip


ASKED = {"true": 18, "missing": 18, "none": 18, "little": 16}
TOLD = {
    "true": "the formula", "missing": "the hybrid", "none": "the network",
    "little": "a tie, or not enough",
}  # fmt: skip


def page(results: dict) -> str:
    """The page of the results."""
    lines = [
        "# Does the verdict name the right model?", "",
        f"Written by `bench/worlds.py`. {results['date']}, {results['machine']}. Worlds whose "
        "truth is known, each drawn anew many times; "
        f"{SEEDS} seeds and the whole training part in each comparison, baselines as ever. What is "
        "judged is the first purpose of the card, to "
        "describe what was not seen: whom it names, ahead or as the simplest of a tie.",
        "",
        "| world | right is | draws | right | asked, of 20 | ahead | tie | not enough | named "
        "otherwise | median error of each |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name in ASKED:
        rows = [row for row in results["draws"] if row["world"] == name]
        if not rows:
            continue
        found = [row["finding"] for row in rows]
        wrong = sorted({str(row["named"]) for row in rows if not row["right"]})
        names = {n for row in rows for n, e in row["errors"].items() if e is not None}
        errors = ", ".join(
            f"{n} {np.median([row['errors'][n] for row in rows if row['errors'].get(n)]):.3f}"
            for n in sorted(names)
        )
        lines.append(
            f"| {name} | {TOLD[name]} | {len(rows)} | **{sum(row['right'] for row in rows)}** | "
            f"{ASKED[name]} | {found.count('ahead')} | {found.count('tie')} | "
            f"{found.count('not enough')} | {', '.join(wrong) or 'none'} | {errors} |"
        )
    described = (__doc__ or "").partition("- true")
    return "\n".join([*lines, "", (described[1] + described[2]).strip()]) + "\n"


def main() -> None:
    """Draws what is missing."""
    parser = argparse.ArgumentParser(description="Worlds whose truth is known, and the verdict.")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=tuple(ASKED), default=list(ASKED))
    options = parser.parse_args()
    file = HERE / "worlds.json"
    results = json.loads(file.read_text()) if file.exists() else {"draws": []}
    for seed in range(options.draws):
        for name in options.only:
            if any(row["world"] == name and row["seed"] == seed for row in results["draws"]):
                continue
            row = one_draw(name, seed)
            print(name, seed, row["right"], row["sentence"], f"{row['seconds']:.0f} s", flush=True)
            # another process may have written its own worlds meanwhile
            results = json.loads(file.read_text()) if file.exists() else {"draws": []}
            results["draws"].append(row)
            results["date"] = datetime.date.today().isoformat()
            results["machine"] = (
                f"{os.cpu_count()} cores, {platform.machine()}, jax {jax.__version__}"
            )
            file.write_text(json.dumps(results, indent=1) + "\n")
            (HERE / "WORLDS.md").write_text(page(results))


if __name__ == "__main__":
    main()
