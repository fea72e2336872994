"""Every figure and number that the documentation uses, from real recordings.

    python docs/figures.py [FOLDER]

reads `../shared/data/ecg_ptb` beside the repository (or FOLDER: records s0010_re, s0014lre,
s0015lre, s0322lre and s0323lre of https://physionet.org/content/ptbdb), fits some twenty small
models, and writes `docs/images/traversal_ptb.png` and `docs/numbers.json`. It takes some minutes.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import unweave as uw

DOCS = Path(__file__).resolve().parent
FOLDER = DOCS.parents[1] / "shared" / "data" / "ecg_ptb"
# the headers of these two do not say that they are of one patient; the database does
SAME_PATIENT = ("s0010_re,s0014lre",)
SEEDS = range(5)


def main() -> None:
    """Writes what can be made; says what is left out."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    if not folder.is_dir():
        print(f"skipped, all of it: there are no recordings in {folder}.")
        return
    source = uw.Source(
        paths=(str(folder),), kind="beats", columns=("ii",), split="time", same_patient=SAME_PATIENT
    )
    every = uw.read_source(source)
    data = uw.split_by_time(every)
    numbers = {
        "n": {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        "record_mean": record_mean(data),
        "turned": turned(data),
        "time": {
            "vae-10": over_seeds(lambda: uw.vae(latents=10), data),
            "beta-vae-10": over_seeds(lambda: uw.beta_vae(latents=10), data),
            "pca-10": explained(uw.pca(latents=10), data),
            "vae-2": over_seeds(lambda: uw.vae(latents=2), data),
            "pca-2": explained(uw.pca(latents=2), data),
        },
        "patients": by_patient(every),
    }
    (DOCS / "numbers.json").write_text(json.dumps(rounded(numbers), indent=1) + "\n")
    print(json.dumps(rounded(numbers), indent=1))


def turned(data: uw.Split) -> dict[str, Any]:
    """The β-VAE whose latents the tutorial names: its figure and its numbers."""
    run = uw.fit(uw.beta_vae(latents=10), data, quiet=True)
    kl = np.asarray(run.result["kl_per_latent"])
    walks = uw.traverse(run.model)
    figure = uw.plots.traversal(walks, run.schema, names=run.model.latents.names, activity=kl)
    (DOCS / "images").mkdir(exist_ok=True)
    print(uw.plots.save(figure, DOCS / "images" / "traversal_ptb.png"))
    return {
        "explained_variance": run.result["explained_variance"],
        "log_density": run.result["log_density"],
        "kl_per_latent": kl.tolist(),
        "r_wave_mv": [float(walks[0, step, :, 0].flat[peak(run.schema)]) for step in (0, -1)],
    }


def peak(schema: uw.Schema) -> int:
    """The sample at the R peak, time zero."""
    return int(np.argmin(np.abs(schema.times)))


def record_mean(data: uw.Split) -> float:
    """What each record's mean training beat explains of its test beats, without any latent."""
    guess = np.empty_like(data.test.observations)
    for record in np.unique(data.test.records):
        beats = data.train.observations[data.train.records == record]
        guess[data.test.records == record] = beats.mean(axis=0)
    return uw.explained_variance(data.test.observations, guess)


def explained(recipe: uw.Recipe, data: uw.Split, *, seed: int = 0) -> float:
    """The explained variance of test beats."""
    return uw.fit(recipe, data, quiet=True, seed=seed).result["explained_variance"]


def over_seeds(recipe: Callable[[], uw.Recipe], data: uw.Split) -> dict[str, float]:
    """Median, smallest and largest explained variance over seeds."""
    values = []
    for seed in SEEDS:
        values.append(explained(recipe(), data, seed=seed))
        print(f"{recipe().name} seed {seed}: {values[-1]:.4f}", flush=True)
    return {"median": float(np.median(values)), "low": min(values), "high": max(values)}


def by_patient(every: uw.Dataset) -> dict[str, dict[str, Any]]:
    """How well each patient's beats are rebuilt when the other patients train."""
    found = {}
    for seed in range(20):
        data = uw.split_by_group(every, seed=seed)
        patient = str(data.test.groups[0])
        if patient not in found:
            found[patient] = {
                "n_test": len(data.test),
                "vae-10": of_a_stranger(uw.vae(latents=10), data),
                "pca-10": of_a_stranger(uw.pca(latents=10), data),
            }
    return found


def of_a_stranger(recipe: uw.Recipe, data: uw.Split) -> dict[str, float]:
    """The share of the test beats' deviation from the mean *training* beat that is rebuilt, and
    the explained variance, which counts from the mean of the test beats: of one patient, that
    patient's own mean beat."""
    x = data.test.observations
    run = uw.fit(recipe, data, quiet=True)
    mean = data.train.observations.mean(axis=0)
    left = ((x - uw.reconstruct(run.model, x)) ** 2).sum()
    return {
        "of_deviation": float(1 - left / ((x - mean[None]) ** 2).sum()),
        "explained_variance": run.result["explained_variance"],
    }


def rounded(value: Any) -> Any:
    """Four decimals: more than the spread over seeds leaves certain."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
