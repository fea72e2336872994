"""What a hidden measurement in intensive care would have been: the table of SERIES.md.

The first 500 stays of set A of the PhysioNet challenge of 2012 (Silva et al. 2012), in bins of one
hour. A fifth of the measurements of test patients is hidden, and every model says what they were.
Each seed draws patients, hidden entries and weights anew. Run:

    python bench/series.py --data ../shared/data [--seeds 5] [--only NAME] [--out FILE] [--page]
"""

import argparse
import json
import pathlib
import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import unweave
from unweave._many import many
from unweave._schema import Schema
from unweave.data import Dataset, Split, dataset
from unweave.networks.series import carried_forward, interpolated
from unweave.recipes import gru, latent_ode, lstm, neural_cde, ode_rnn
from unweave.run import fit
from unweave.train import Recipe

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "series.json"
HOURS, HIDDEN, TEST, VALIDATION = 48, 0.2, 0.2, 0.1
# what does not change during a stay; and that a patient is ventilated is told by nothing but 1
LEFT_OUT = ("RecordID", "Age", "Gender", "Height", "ICUType", "MechVent")

#: Every model with what it sees of a stay.
RECIPES: dict[str, tuple[str, Callable[[], Recipe]]] = {
    "GRU": ("past", gru),
    "LSTM": ("past", lstm),
    "ODE-RNN": ("past", ode_rnn),
    "neural CDE": ("past", neural_cde),
    "latent ODE": ("all", partial(latent_ode, latents=32)),
}
SIMPLE = ("channel's mean", "patient's mean", "carried forward", "straight lines")


def stays(folder: pathlib.Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Means over each hour `(patient, hour, channel)`, NaN where nothing was measured."""
    table = pd.read_csv(folder / "physionet2012" / "set_a_first500.csv.gz")
    table = table[~table.Parameter.isin(LEFT_OUT) & (table.Value >= 0)]
    clock = table.Time.str.split(":", expand=True).astype(int)
    table = table.assign(hour=np.minimum(clock[0], HOURS - 1))
    mean = table.groupby(["RecordID", "hour", "Parameter"]).Value.mean()
    grid = mean.unstack("Parameter")
    patients = np.unique(table.RecordID)
    every = pd.MultiIndex.from_product([patients, range(HOURS)])
    return grid.reindex(every).to_numpy().reshape(len(patients), HOURS, -1), tuple(grid.columns)


def parted(x: np.ndarray, channels: tuple[str, ...], seed: int) -> tuple[Split, np.ndarray]:
    """Patients parted by `seed`, in units of the training part's spread, which a test patient's
    hidden entries (the second result, NaN elsewhere) have no part in."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(x))
    cut = np.cumsum([round(TEST * len(x)), round(VALIDATION * len(x))])
    test, validation, train = np.split(order, cut)
    low, high = np.nanquantile(x[train], [0.001, 0.999], axis=(0, 1))
    x = np.clip(x, low, high)
    x = (x - np.nanmean(x[train], axis=(0, 1))) / np.nanstd(x[train], axis=(0, 1))
    hide = (random.random(x[test].shape) < HIDDEN) & ~np.isnan(x[test])
    truth = np.where(hide, x[test], np.nan)
    x[test] = np.where(hide, np.nan, x[test])
    schema = Schema(
        "trajectories", ("time", "channel"), x.shape[1:], channels, ("",) * len(channels),
        time_unit="h",
    )  # fmt: skip

    def part(rows: np.ndarray) -> Dataset:
        return dataset(x[rows].astype(np.float32), schema)

    return Split(part(train), part(validation), part(test), f"patients, seed {seed}"), truth


def simple(name: str, data: Split) -> np.ndarray:
    """What needs no network; all numbers have mean 0 in training."""
    x = data.test.observations
    if name == "channel's mean":
        return np.zeros_like(x)
    if name == "patient's mean":
        seen = (~np.isnan(x)).sum(1, keepdims=True)
        return np.nansum(x, 1, keepdims=True) / np.maximum(seen, 1) + np.zeros_like(x)
    if name == "carried forward":
        return np.asarray(jax.vmap(carried_forward)(x))
    times = jnp.arange(x.shape[1], dtype=jnp.float32)
    return np.asarray(jax.vmap(interpolated, (0, None))(x, times))


def errors(guess: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Over the hidden entries, in standard deviations of a channel."""
    left = (guess - truth)[~np.isnan(truth)]
    return {"rmse": float(np.sqrt((left**2).mean())), "mae": float(np.abs(left).mean())}


def run(name: str, seed: int, x: np.ndarray, channels: tuple[str, ...]) -> dict:
    """One row: a model on one seed."""
    data, truth = parted(x, channels, seed)
    began = time.perf_counter()
    row = {"model": name, "seed": seed, "hidden": int((~np.isnan(truth)).sum())}
    if name in SIMPLE:
        guess, sees = simple(name, data), "all" if name != "carried forward" else "past"
    else:
        sees, recipe = RECIPES[name]
        fitted = fit(recipe(), data, quiet=True, seed=seed)
        codes = many(fitted.model.encode, data.test.observations)
        guess = many(fitted.model.decode, codes)
        row |= {"epochs": fitted.result["epochs"], "log_density": fitted.result["log_density"]}
        row |= {"density_kind": fitted.result["density_kind"]}
    seconds = time.perf_counter() - began
    return {**row, "sees": sees, "seconds": seconds, **errors(guess, truth)}


def page(rows: list[dict]) -> str:
    """SERIES.md."""
    seeds = sorted({row["seed"] for row in rows})
    hidden = [row["hidden"] for row in rows]
    lines = [
        "# Hidden measurements of intensive care",
        "",
        "Made by `python bench/series.py --data ../shared/data --page` with unweave "
        f"{unweave.__version__}.",
        "",
        "The first 500 stays of set A of the PhysioNet challenge of 2012 (Silva et al. 2012): 48 "
        "hours in bins of one hour, 36 channels, of which most are empty most of the time. Of 100 "
        f"test patients a fifth of the measurements is hidden ({min(hidden):,} to "
        f"{max(hidden):,} of them); the error is in standard deviations of each channel over the "
        "350 patients of training. A model that sees the past says what it expects from what was "
        "measured before; one that sees all has what came later too. Median (lowest to highest) "
        f"over {len(seeds)} seeds, which draw patients, hidden entries and weights. Seconds are of "
        "a whole fit on two cores that did other work too, and say no more than their order.",
        "",
        "| model | sees | root mean square error | mean absolute error | epochs | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["model"] for row in rows):
        some = [row for row in rows if row["model"] == name]
        told = [_spread([row[word] for row in some]) for word in ("rmse", "mae")]
        epochs = f"{np.median([r['epochs'] for r in some]):.0f}" if "epochs" in some[0] else ""
        took = f"{np.median([row['seconds'] for row in some]):.0f}" if epochs else ""
        lines.append(f"| {name} | {some[0]['sees']} | {' | '.join(told)} | {epochs} | {took} |")
    return "\n".join([*lines, ""])


def _spread(values: list[float]) -> str:
    return f"{np.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", action="append", help="these models and no other")
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    parser.add_argument("--page", action="store_true", help="write SERIES.md from what was run")
    options = parser.parse_args()
    out = options.out
    rows = json.loads(out.read_text()) if out.exists() else []
    x, channels = stays(options.data)
    print(f"{x.shape} {1 - np.isnan(x).mean():.3f} of the entries observed")
    for seed in range(options.seeds):
        for name in (*SIMPLE, *RECIPES):
            done = any(row["model"] == name and row["seed"] == seed for row in rows)
            if done or (options.only and name not in options.only):
                continue
            rows.append(run(name, seed, x, channels))
            print(json.dumps(rows[-1]), flush=True)
            out.write_text(json.dumps(rows, indent=1) + "\n")
    if options.page:
        (ROOT / "bench" / "SERIES.md").write_text(page(rows))


if __name__ == "__main__":
    main()
