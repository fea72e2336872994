"""Which adversarial games reach all modes: 25 Gaussians and a ring of 8, over seeds.

python bench/games.py [--seeds 10] [--others 3]

Goes on where it stopped: each fit is kept in `games.json` beside this file; `GAMES.md` is written
after each.
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
import numpy as np

from unweave._schema import Schema
from unweave.data import dataset, split_at_random
from unweave.recipes import GAMES, gan
from unweave.run import fit
from unweave.show import draw

HERE = pathlib.Path(__file__).resolve().parent
OBSERVATIONS, DRAWN = 20_000, 2_500
SETTINGS = {"latents": 2, "epochs": 60, "least_steps": 1}
#: Centres of the modes and the deviation about each.
SHAPES = {
    "25 Gaussians": (
        np.array([(2.0 * i - 4, 2.0 * j - 4) for i in range(5) for j in range(5)]), 0.05
    ),
    "ring of 8": (
        2 * np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], 1), 0.02
    ),
}  # fmt: skip
#: R1 and R2 as they are asked for; None is the game's own choice.
PENALTIES = {"its own": (None, None), "none": (0.0, 0.0), "R1": (0.1, 0.0), "R1 and R2": (0.1, 0.1)}


def points(shape: str, n: int, seed: int) -> np.ndarray:
    centres, deviation = SHAPES[shape]
    rng = np.random.default_rng(seed)
    which = rng.integers(len(centres), size=n)
    return (centres[which] + deviation * rng.standard_normal((n, 2))).astype(np.float32)


def judged(x: np.ndarray, shape: str) -> tuple[int, float]:
    """Modes with a sample within three deviations, and the share of samples that are within three
    of any."""
    centres, deviation = SHAPES[shape]
    distance = np.linalg.norm(x[:, None].astype(np.float64) - centres[None], axis=2)
    good = distance.min(1) < 3 * deviation
    return len(set(distance.argmin(1)[good])), float(good.mean())


def one(shape: str, loss: str, penalty: str, seed: int) -> dict:
    schema = Schema("rows", ("entry",), (2,), ("a", "b"), ("", ""))
    data = split_at_random(dataset(points(shape, OBSERVATIONS, seed), schema))
    r1, r2 = PENALTIES[penalty]
    began = time.perf_counter()
    try:
        run = fit(gan(loss=loss, r1=r1, r2=r2, **SETTINGS), data, quiet=True, seed=seed)
    except ValueError as error:
        return {"modes": 0, "good": 0.0, "seconds": 0.0, "words": str(error).split(";")[0]}
    seconds = time.perf_counter() - began
    modes, good = judged(draw(run.model, DRAWN, key=jax.random.key(1000 + seed)), shape)
    words = run.result["health"][0]
    return {"modes": modes, "good": good, "seconds": seconds, "words": words}


def wanted(options: argparse.Namespace) -> list[tuple[str, str, str, int]]:
    """Every fit, the default game first."""
    todo = [(shape, "rsgan", "its own", s) for s in range(options.seeds) for shape in SHAPES]
    for seed in range(options.others):
        for loss in GAMES:
            kinds = ("none", "R1", "R1 and R2") if loss == "rsgan" else ("its own", "R1 and R2")
            if loss in ("ragan", "rals"):
                kinds = ("none", "R1 and R2")
            todo += [("25 Gaussians", loss, kind, seed) for kind in kinds]
    return todo


def page(results: dict) -> str:
    fits = results["fits"]
    lines = [
        "# Which games reach all modes",
        "",
        "Written by `bench/games.py`. "
        f"{results['date']}, {results['machine']}; {results['versions']}.",
        "",
        f"{OBSERVATIONS:,} points of equally likely Gaussians, two thirds to train; the recipe "
        f"`gan` with {SETTINGS['epochs']} epochs and {SETTINGS['latents']} latents, all else its "
        "defaults. Of "
        f"{DRAWN:,} samples: how many modes have one within three deviations, and the share of "
        "samples that lie within three deviations of a mode (99 % of a Gaussian in the plane do). "
        "Median (smallest–largest) over seeds.",
        "",
        "| data | loss | penalties | seeds | modes | within three deviations | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple, list[dict]] = {}
    for row in fits:
        groups.setdefault((row["shape"], row["loss"], row["penalty"]), []).append(row)
    for (shape, loss, penalty), rows in groups.items():
        cells = []
        for name, form in (("modes", "{:.0f}"), ("good", "{:.3f}"), ("seconds", "{:.0f}")):
            values = [row[name] for row in rows]
            middle, low, high = statistics.median(values), min(values), max(values)
            cells.append(f"{form.format(middle)} ({form.format(low)}–{form.format(high)})")
        lines.append(
            f"| {shape} | `{loss}` | {penalty} | {len(rows)} | " + " | ".join(cells) + " |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description="Modes that adversarial games reach.")
    parser.add_argument("--seeds", type=int, default=10, help="of the default game")
    parser.add_argument("--others", type=int, default=3, help="seeds of all others")
    options = parser.parse_args()
    file = HERE / "games.json"
    results = json.loads(file.read_text()) if file.exists() else {"fits": []}
    results |= {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}",
        "versions": f"jax {jax.__version__}",
    }
    done = {(r["shape"], r["loss"], r["penalty"], r["seed"]) for r in results["fits"]}
    for shape, loss, penalty, seed in wanted(options):
        if (shape, loss, penalty, seed) in done:
            continue
        found = one(shape, loss, penalty, seed)
        print(shape, loss, penalty, seed, found, flush=True)
        results["fits"].append(
            {"shape": shape, "loss": loss, "penalty": penalty, "seed": seed, **found}
        )
        file.write_text(json.dumps(results, indent=1) + "\n")
        (HERE / "GAMES.md").write_text(page(results))


if __name__ == "__main__":
    main()
