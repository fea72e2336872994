"""Three digits as the channels of one picture: how many of the 1,000 kinds a generator makes.

python bench/stacked.py --data /path/to/folder/with/mnist [--reduced] [--steps 20000]

The ablation of the default game: with and without the relativistic pairing, with R1 alone and with
R1 and R2. As it stands it is meant for a GPU (convolutions, 28 x 28); with `--reduced` pictures are
14 x 14 and the nets dense, so that a few processor cores do. Goes on where it stopped, game by game
and for each number of steps; writes `STACKED.md`.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import time

import jax
import numpy as np
from sklearn.svm import SVC

from unweave._schema import Schema
from unweave.data import Dataset, dataset, read_rows, split_at_random
from unweave.plots import samples, save
from unweave.recipes import gan
from unweave.run import fit
from unweave.show import draw

HERE = pathlib.Path(__file__).resolve().parent
#: Loss, and the weights of R1 and R2 for one picture of 28 x 28 x 3.
GAMES = {
    "relativistic, R1 and R2": ("rsgan", 1.0, 1.0),
    "relativistic, R1": ("rsgan", 1.0, 0.0),
    "non-saturating, R1 and R2": ("non-saturating", 1.0, 1.0),
    "non-saturating, R1": ("non-saturating", 1.0, 0.0),
}


def halved(x: np.ndarray) -> np.ndarray:
    n, rows, columns, channels = x.shape
    blocks = x.reshape(n, rows // 2, 2, columns // 2, 2, channels)
    return blocks.mean((2, 4)).round().astype(np.uint8)


def stacked(digits: np.ndarray, n: int, seed: int) -> Dataset:
    """Three digits drawn at random, one in each channel."""
    rng = np.random.default_rng(seed)
    which = rng.integers(len(digits), size=(n, 3))
    x = np.concatenate([digits[which[:, i]] for i in range(3)], axis=-1)
    names = ("row", "column", "channel")
    return dataset(x, Schema("images", names, x.shape[1:], ("red", "green", "blue"), ("",) * 3))


def reading(digits: np.ndarray, labels: np.ndarray, reduced: bool) -> tuple[SVC, float]:
    """A classifier taught with the first four fifths, each also moved by one pixel of 28 to each
    side, and the share that it reads rightly of the last fifth."""
    size = halved if reduced else np.asarray
    cut, moves = len(digits) * 4 // 5, ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    seen = np.concatenate([size(np.roll(digits[:cut], move, (1, 2))) for move in moves])
    reader = SVC(C=10).fit(flat(seen), np.tile(labels[:cut], len(moves)))
    return reader, float(reader.score(flat(size(digits[cut:])), labels[cut:]))


def flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1) / 255


def kinds(reader: SVC, x: np.ndarray) -> np.ndarray:
    read = [reader.predict(flat(x[..., i])) for i in range(3)]
    return read[0] * 100 + read[1] * 10 + read[2]


def judged(which: np.ndarray) -> tuple[int, float]:
    """Kinds that occur, and the divergence of their shares from equal ones in nats."""
    count = np.bincount(which, minlength=1000)
    share = count[count > 0] / count.sum()
    return int((count > 0).sum()), float((share * np.log(share * 1000)).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description="Modes of stacked digits.")
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--reduced", action="store_true", help="14 x 14 and dense nets")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--drawn", type=int, default=26_000)
    parser.add_argument("--games", nargs="+", choices=tuple(GAMES), default=list(GAMES))
    options = parser.parse_args()
    rows = read_rows(str(options.data / "mnist" / "mnist8000-images-idx3-ubyte.gz"))
    digits = halved(rows.observations) if options.reduced else rows.observations
    reader, right = reading(rows.observations, rows.labels, options.reduced)
    data = split_at_random(stacked(digits, 30_000, 0))
    floor = judged(kinds(reader, stacked(digits, options.drawn, 1).observations))
    results = {
        "date": datetime.date.today().isoformat(), "reader": right, "floor": floor,
        "floor_drawn": options.drawn,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, "
        f"{jax.devices()[0].device_kind}, jax {jax.__version__}",
        "reduced": options.reduced, "rows": kept(options.reduced),
    }  # fmt: skip
    for name, (loss, r1, r2) in GAMES.items():
        about = {"game": name, "steps": options.steps}
        if name not in options.games or any(
            {key: row[key] for key in about} == about for row in results["rows"]
        ):
            continue
        recipe = gan(
            loss=loss, r1=r1, r2=r2, latents=64, widths=(512, 512, 512), epochs=1,
            least_steps=options.steps, learning_rate=5e-4, batch=128,
            convolutional=not options.reduced,
        )  # fmt: skip
        began = time.perf_counter()
        run = fit(recipe, data, quiet=True, seed=0)
        seconds = time.perf_counter() - began
        x = np.clip(draw(run.model, options.drawn, key=jax.random.key(5)), 0, 255)
        modes, divergence = judged(kinds(reader, x))
        row = about | {"drawn": len(x), "modes": modes, "kl": divergence, "seconds": seconds}
        results["rows"].append(row)
        print(row, run.result["health"][:1], flush=True)
        if name == options.games[0]:
            save(samples(x[:50].round().astype(np.uint8), run.schema), HERE / "stacked.png")
        (HERE / "stacked.json").write_text(json.dumps(results, indent=1) + "\n")
        (HERE / "STACKED.md").write_text(page(results))


def kept(reduced: bool) -> list[dict]:
    """The rows of pictures of this size that were measured before."""
    file = HERE / "stacked.json"
    before = json.loads(file.read_text()) if file.exists() else {"reduced": reduced, "rows": []}
    return before["rows"] if before["reduced"] == reduced else []


def page(results: dict) -> str:
    size = "14 x 14 pixels, dense nets: the reduced size, which no published figure is for"
    size = size if results["reduced"] else "28 x 28 pixels, convolutions"
    lines = [
        "# Stacked digits", "",
        f"Written by `bench/stacked.py`. {results['date']}, {results['machine']}.", "",
        f"Three digits of MNIST as channels, {size}; one seed. A classifier that reads "
        f"{100 * results['reader']:.1f} % of single held-out digits reads the samples; the "
        "divergence is that of the kinds' shares from equal ones, and the fewer are drawn the "
        f"larger. Of {results['floor_drawn']:,} real pictures there are {results['floor'][0]:,} "
        f"kinds, with {results['floor'][1]:.3f} nats.", "",
        "| game | steps | drawn | kinds of 1,000 | KL, nats | seconds |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    lines += [
        f"| {row['game']} | {row['steps']:,} | {row['drawn']:,} | {row['modes']} "
        f"| {row['kl']:.3f} | {row['seconds']:.0f} |"
        for row in results["rows"]
    ]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
