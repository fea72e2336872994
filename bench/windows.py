"""Windows of 24 samples: flow and diffusion beside what needs no net, judged by held-out windows.

python bench/windows.py --data /path/to/folder/with/timegan/and/ett [--seeds 5] [--sets sines ...]

Goes on where it stopped: each fit is kept in `windows.json`; writes `WINDOWS.md`.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import time
from collections.abc import Callable

import jax
import numpy as np
import pandas as pd
from sklearn.mixture import GaussianMixture
from windows_page import page

from unweave._many import many
from unweave._schema import Schema
from unweave.data import Dataset, Split, dataset
from unweave.evaluate import (
    legacy_context_fid,
    legacy_timegan_discriminative,
    legacy_timegan_predictive,
    mmd,
    two_sample,
)
from unweave.networks import fit_autoregression, fit_gaussian_mixture
from unweave.recipes import autoencoder, diffusion, flow
from unweave.run import fit
from unweave.show import draw

HERE = pathlib.Path(__file__).resolve().parent
#: What the makers drew, for scores that are added later; not part of the repository.
DRAWN = HERE / "windows-drawn"
LENGTH = 24
#: Rows of a block, of which every other one tests; between two lies a window's length.
BLOCK = 120
#: Of the blocks that train, every so-manieth chooses when to stop.
VALIDATION = 6
#: Rows of a block that the bootstrap keeps together.
KEPT = 8
#: Windows that judge, and steps and width of the nets: less than the defaults, for time.
JUDGED, STEPS, WIDTH, BATCH = 1000, 4000, 64, 128
SETTINGS = f"{STEPS:,} steps of batch {BATCH}, three blocks of width {WIDTH}, all else the defaults"


def sines(data: pathlib.Path, seed: int) -> Split:
    """Five sines of random frequency and phase, as TimeGAN's (Yoon et al. 2019): independent."""
    rng = np.random.default_rng(seed)
    rate, phase = rng.uniform(0, 0.1, (2, 5000, 1, 5))
    x = (np.sin(rate * np.arange(LENGTH)[:, None] + phase) + 1) / 2
    every = windows(x, [f"sine {i}" for i in range(5)])
    parts = (every.take(slice(*ends)) for ends in ((0, 3500), (3500, 4000), (4000, 5000)))
    return Split(*parts, how="independent draws")


def stocks(data: pathlib.Path, seed: int) -> Split:
    return in_blocks(pd.read_csv(data / "timegan" / "stock_data.csv"))


def etth1(data: pathlib.Path, seed: int) -> Split:
    return in_blocks(pd.read_csv(data / "ett" / "ETTh1.csv").drop(columns="date"))


SETS: dict[str, Callable[[pathlib.Path, int], Split]] = {
    "sines": sines, "stocks": stocks, "ETTh1": etth1,
}  # fmt: skip


def windows(x: np.ndarray, names: list[str]) -> Dataset:
    schema = Schema("windows", ("time", "channel"), x.shape[1:], tuple(names), ("",) * len(names))
    return dataset(x.astype(np.float32), schema)


def in_blocks(table: pd.DataFrame) -> Split:
    """Windows that lie within one block: no row is on two sides, and a window's length lies
    between two blocks."""
    x, parts = table.to_numpy(np.float64), ([], [], [])
    for i, start in enumerate(range(0, len(x) - BLOCK + 1, BLOCK + LENGTH)):
        rows = np.lib.stride_tricks.sliding_window_view(x[start : start + BLOCK], LENGTH, 0)
        which = 2 if i % 2 else (1 if (i // 2) % VALIDATION == VALIDATION - 1 else 0)
        parts[which].append(np.moveaxis(rows, -1, 1))
    made = (windows(np.concatenate(part), list(table.columns)) for part in parts)
    return Split(*made, how=f"blocks of {BLOCK} rows in turn, {LENGTH} rows between two")


def learned(kind: Callable) -> Callable[[Split, int, int], np.ndarray]:
    def drawn(split: Split, n: int, seed: int) -> np.ndarray:
        epochs = -(-STEPS * BATCH // len(split.train))
        recipe = kind(epochs=epochs, batch=BATCH, widths=(WIDTH,) * 3)
        model = fit(recipe, split, quiet=True, seed=seed).model
        return draw(model, n, key=jax.random.key(1000 + seed))

    return drawn


def by_codes(split: Split, n: int, seed: int) -> np.ndarray:
    """An autoencoder, and a mixture of Gaussians in its codes."""
    model = fit(autoencoder(latents=8), split, quiet=True, seed=seed).model
    codes = many(model.encode, split.train.observations).astype(np.float64)
    mixture = GaussianMixture(10, random_state=seed, reg_covar=1e-4).fit(codes)
    return many(model.decode, mixture.sample(n)[0].astype(np.float32))


def by_mixture(split: Split, n: int, seed: int) -> np.ndarray:
    model = fit_gaussian_mixture(split.train.observations, 20, seed=seed)
    return draw(model, n, key=jax.random.key(1000 + seed))


def by_autoregression(split: Split, n: int, seed: int) -> np.ndarray:
    return draw(fit_autoregression(split.train.observations), n, key=jax.random.key(1000 + seed))


def by_blocks(split: Split, n: int, seed: int) -> np.ndarray:
    """The beginning of a window, and blocks of increments of others (Künsch 1989)."""
    rng, x = np.random.default_rng(seed), split.train.observations.astype(np.float64)
    first = x[rng.integers(len(x), size=n)][:, :1]
    steps = []
    for begin in range(1, LENGTH, KEPT):
        end = min(begin + KEPT, LENGTH)
        steps.append(np.diff(x[rng.integers(len(x), size=n)], axis=1)[:, begin - 1 : end - 1])
    return np.concatenate([first, first + np.concatenate(steps, axis=1).cumsum(1)], axis=1)


def copied(split: Split, n: int, seed: int) -> np.ndarray:
    """Training windows themselves: as good as a model that has seen nothing else can be."""
    rng = np.random.default_rng(seed)
    return split.train.observations[np.sort(rng.permutation(len(split.train))[:n])]


MAKERS: dict[str, Callable[[Split, int, int], np.ndarray]] = {
    "copy of the training part": copied,
    "block bootstrap": by_blocks,
    "autoregression": by_autoregression,
    "PCA and mixture": by_mixture,
    "autoencoder and mixture": by_codes,
    "flow": learned(flow),
    "diffusion": learned(diffusion),
}


def one(name: str, split: Split, maker: str, seed: int, legacy: bool) -> dict:
    began = time.perf_counter()
    real, train = split.test.thinned(JUDGED).observations, split.train.observations
    drawn = MAKERS[maker](split, len(real), seed)
    seconds = time.perf_counter() - began
    # those of a mixture come component by component
    drawn = drawn[np.random.default_rng(seed).permutation(len(drawn))]
    DRAWN.mkdir(exist_ok=True)
    np.save(DRAWN / f"{name}-{maker}-{seed}.npy", drawn.astype(np.float32))
    apart = two_sample(real, drawn, others=train, seed=seed)
    far = mmd(real, drawn, others=train, seed=seed)
    found = {
        "seconds": seconds, "accuracy": apart.accuracy, "floor": apart.floor,
        "ceiling": apart.ceiling, "n": apart.n, "mmd": far.value, "p": far.p,
        "mmd_floor": far.floor,
        "sizes": [len(part) for part in (split.train, split.validation, split.test)],
    }  # fmt: skip
    if legacy:
        found |= fid(real, drawn, train, seed)
        found["discriminative"] = legacy_timegan_discriminative(real, drawn, seed=seed).value
        found["predictive"] = legacy_timegan_predictive(real, drawn, seed=seed).value
    return found


def fid(real: np.ndarray, drawn: np.ndarray, train: np.ndarray, seed: int) -> dict:
    far = legacy_context_fid(real, drawn, others=train, seed=seed)
    return {"fid": far.value, "fid_floor": far.floor, "fid_seen": far.seen}


def main() -> None:
    parser = argparse.ArgumentParser(description="Generators of short series.")
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS))
    parser.add_argument("--makers", nargs="+", choices=tuple(MAKERS), default=list(MAKERS))
    parser.add_argument("--legacy-seeds", type=int, default=5, help="with the legacy scores too")
    options = parser.parse_args()
    file = HERE / "windows.json"
    results = json.loads(file.read_text()) if file.exists() else {"fits": []}
    for seed in range(options.seeds):
        for name in options.sets:
            split = SETS[name](options.data, seed)
            for maker in options.makers:
                key = {"set": name, "maker": maker, "seed": seed}
                rows = [row for row in results["fits"] if {k: row[k] for k in key} == key]
                kept = DRAWN / f"{name}-{maker}-{seed}.npy"
                if rows and ("fid" in rows[0] or not kept.exists()):
                    continue
                jax.clear_caches()
                if rows:  # measured before this score was there
                    real = split.test.thinned(JUDGED).observations
                    rows[0] |= fid(real, np.load(kept), split.train.observations, seed)
                else:
                    rows = [key | one(name, split, maker, seed, seed < options.legacy_seeds)]
                    results["fits"] += rows
                print(rows[0], flush=True)
                results |= {
                    "settings": SETTINGS,
                    "date": datetime.date.today().isoformat(),
                    "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
                    f"{platform.python_version()}, jax {jax.__version__}",
                }
                file.write_text(json.dumps(results, indent=1) + "\n")
                (HERE / "WINDOWS.md").write_text(page(results))


if __name__ == "__main__":
    main()
