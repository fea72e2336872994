"""What a maximum-entropy generator's energy knows of a density that is known exactly.

python bench/energies.py [--seeds 5] [--others 3] [--first 0]

Goes on where it stopped: each fit is kept in `energies.json` beside this file; `ENERGIES.md` is
written after each. With `--first 100` and `--out` another folder, settings are tried on seeds that
no page reports.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
from games import DRAWN, OBSERVATIONS, SHAPES, judged, points
from scipy.stats import spearmanr

from unweave._schema import Schema
from unweave.data import dataset, split_at_random
from unweave.networks.adversarial import EnergyGAN, langevin
from unweave.recipes import meg
from unweave.run import fit
from unweave.show import draw

HERE = pathlib.Path(__file__).resolve().parent
SHAPE, JUDGED = "25 Gaussians", 4_000
#: What each energy is trained with beside the recipe's defaults.
KINDS = {
    "the recipe": {},
    "a slope penalty in place of matching": {"matching": 0.0, "penalty": 0.1},
}
#: Langevin steps that refine what the generator draws, and their length in deviations of the data.
CHAIN, STEP = 200, 0.01


def log_density(x: np.ndarray, smoothing: float = 0.0) -> np.ndarray:
    """The mixture's log-density up to a constant, with noise of that deviation on top."""
    centres, deviation = SHAPES[SHAPE]
    squares = ((x[:, None].astype(np.float64) - centres) ** 2).sum(-1)
    return np.logaddexp.reduce(-0.5 * squares / (deviation**2 + smoothing**2), axis=1)


def places(seed: int) -> dict[str, np.ndarray]:
    """Points of the square, points like the data, and as many of each together."""
    square = np.random.default_rng(seed).uniform(-5, 5, (JUDGED, 2)).astype(np.float32)
    like = points(SHAPE, JUDGED, 10_000 + seed)
    both = np.concatenate([square[: JUDGED // 2], like[: JUDGED // 2]])
    return {"square": square, "both": both, "like data": like}


def ranks(found: np.ndarray, true: np.ndarray) -> float:
    return float(spearmanr(found, true).statistic)


def one(kind: str, seed: int) -> dict:
    schema = Schema("rows", ("entry",), (2,), ("a", "b"), ("", ""))
    data = split_at_random(dataset(points(SHAPE, OBSERVATIONS, seed), schema))
    recipe, began, own = meg(**KINDS[kind]), time.perf_counter(), time.process_time()
    run = fit(recipe, data, quiet=True, seed=seed)
    seconds, processor = time.perf_counter() - began, time.process_time() - own
    model = run.model
    assert isinstance(model, EnergyGAN)
    sigma = float(recipe.options["sigma"]) * float(np.mean(model.scale.spread))
    density, found = jax.jit(jax.vmap(model.log_density)), {}
    for name, x in places(seed).items():
        true, smooth = log_density(x), log_density(x, sigma)
        energy = np.asarray(density(jnp.asarray(x)), np.float64)
        gap = (energy - energy.mean()) - (smooth - smooth.mean())
        found[name] = {
            "rank": ranks(energy, true), "smoothed": ranks(energy, smooth),
            "most": ranks(smooth, true), "distance": float(np.abs(gap).mean()),
        }  # fmt: skip
    drawn = draw(model, DRAWN, key=jax.random.key(1000 + seed))
    modes, good = judged(drawn, SHAPE)
    step = (STEP * float(np.mean(model.scale.spread))) ** 2

    def chain(x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        return langevin(model.log_density, x, step=step, steps=CHAIN, key=key)

    refined, _ = jax.jit(jax.vmap(chain))(
        jnp.asarray(drawn), jax.random.split(jax.random.key(2000 + seed), DRAWN)
    )
    after = judged(np.asarray(refined), SHAPE)
    return {
        "places": found, "modes": modes, "good": good, "modes after": after[0],
        "good after": after[1], "seconds": seconds, "processor": processor,
        "words": run.result["health"][0],
    }  # fmt: skip


def spread(values: list[float], form: str = "{:.3f}") -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{form.format(middle)} ({form.format(low)}–{form.format(high)})"


def page(results: dict) -> str:
    lines = [
        "# What an energy knows of the density",
        "",
        "Written by `bench/energies.py`. "
        f"{results['date']}, {results['machine']}; {results['versions']}.",
        "",
        f"{OBSERVATIONS:,} points of 25 equally likely Gaussians of deviation 0.05, two apart, "
        f"seven tenths to train; the recipe `meg` as it is by default, and the "
        "same with its authors' slope penalty (0.1) in place of matching. "
        f"Spearman's rank correlation of the energy with the true log-density at {JUDGED:,} points "
        "that are uniform over the square from -5 to 5, at points like the data, and at as many "
        "of each together. The energy is fitted to the data smoothed by noise of `sigma`, so "
        "beside it stands what the smoothed density itself reaches, and the mean distance of the "
        "energy from its logarithm, both with their mean taken off. Of "
        f"{DRAWN:,} samples: how many of 25 modes have one within three deviations, and the share "
        "of samples that lie within three of a mode; and the same after "
        f"{CHAIN} Langevin steps in the energy, which bring the smoothing with them. Median "
        "(smallest–largest) over seeds.",
        "",
    ]
    groups: dict[str, list[dict]] = {}
    for row in results["fits"]:
        groups.setdefault(row["kind"], []).append(row)
    lines += [
        "| energy | seeds | points | rank with the true density | of the smoothed density | "
        "rank with the smoothed density | distance from its logarithm, nats |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, rows in groups.items():
        for place in rows[0]["places"]:
            at = [row["places"][place] for row in rows]
            cells = [spread([a[n] for a in at]) for n in ("rank", "most", "smoothed", "distance")]
            lines.append(f"| {kind} | {len(rows)} | {place} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| energy | modes | within three deviations | modes, refined | within three, refined | "
        "processor seconds |",
        "|---|---|---|---|---|---|",
    ]
    for kind, rows in groups.items():
        forms = {"modes": "{:.0f}", "good": "{:.3f}", "modes after": "{:.0f}"}
        forms |= {"good after": "{:.3f}", "processor": "{:.0f}"}
        cells = [spread([row[name] for row in rows], form) for name, form in forms.items()]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description="What an energy knows of a density.")
    parser.add_argument("--seeds", type=int, default=5, help="of the recipe")
    parser.add_argument("--others", type=int, default=3, help="seeds of all others")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "energies.json"
    results = json.loads(file.read_text()) if file.exists() else {"fits": []}
    results |= {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}",
        "versions": f"jax {jax.__version__}",
    }
    done = {(row["kind"], row["seed"]) for row in results["fits"]}
    for number, kind in enumerate(KINDS):
        for seed in range(
            options.first, options.first + (options.others if number else options.seeds)
        ):
            if (kind, seed) in done:
                continue
            found = one(kind, seed)
            print(kind, seed, found, flush=True)
            results["fits"].append({"kind": kind, "seed": seed, **found})
            file.write_text(json.dumps(results, indent=1) + "\n")
            (options.out / "ENERGIES.md").write_text(page(results))
    (options.out / "ENERGIES.md").write_text(page(results))


if __name__ == "__main__":
    main()
