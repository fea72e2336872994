"""Held-out explained variance on real beats over seeds: the table of docs/measured.md.

Five recordings of the PTB database, 256 samples from -0.25 to 0.45 s around the R peak, the last
fifth of each recording held out. Run: python bench/heartbeats.py [--data ../shared/data/ecg_ptb]
"""

import argparse
import json
import pathlib
import statistics

import numpy as np

import unweave as uw
from unweave.train import Recipe

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEEDS = range(5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(ROOT.parent / "shared" / "data" / "ecg_ptb"))
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    options = parser.parse_args()
    rows = []
    for leads, columns in (("II", ["ii"]), ("12", None)):
        split = uw.split_by_time(uw.beats(uw.read_signals(options.data, columns=columns)))
        for latents in (10, 2) if leads == "II" else (10,):
            pca = uw.fit(uw.pca(latents=latents), split, quiet=True).result
            rows.append(row(leads, "pca", latents, [pca]))
            for recipe in (uw.vae(latents=latents), uw.autoencoder(latents=latents)):
                rows.append(row(leads, recipe.name, latents, over(recipe, split, options.seeds)))
        recipe = uw.beta_vae(latents=10, learning_rate=5e-4, capacity=25.0, epochs=50)
        rows.append(row(leads, "beta-vae, C = 25", 10, over(recipe, split, options.seeds)))
        rows.append(
            row(leads, "each record's mean beat", 0, [{"explained_variance": means(split)}])
        )
    print(
        f"{len(split.train)} beats train, {len(split.validation)} validate, {len(split.test)} test"
    )
    print("| leads | model | latents | explained variance | spread | seeds | KL, nats | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for r in rows:
        print("| " + " | ".join(map(str, r.values())) + " |")
    print(json.dumps(rows))


def over(recipe: Recipe, split: uw.Split, seeds: int) -> list[dict]:
    return [dict(uw.fit(recipe, split, quiet=True, seed=seed).result) for seed in range(seeds)]


def row(leads: str, model: str, latents: int, results: list[dict]) -> dict:
    scores = [r["explained_variance"] for r in results]
    kl = [sum(r["kl_per_latent"]) for r in results if r.get("kl_per_latent")]
    seconds = [r["seconds"] for r in results if "seconds" in r]
    return {
        "leads": leads,
        "model": model,
        "latents": latents or "–",
        "explained_variance": f"{statistics.median(scores):.4f}",
        "spread": f"{min(scores):.4f} to {max(scores):.4f}" if len(scores) > 1 else "–",
        "n": len(scores),
        "kl": f"{statistics.median(kl):.1f} ({min(kl):.1f} to {max(kl):.1f})" if kl else "–",
        "seconds": f"{statistics.median(seconds):.1f}" if seconds else "–",
    }


def means(split: uw.Split) -> float:
    """What needs no latent: every test beat as the mean of its record's training beats."""
    of = {r: split.train.observations[split.train.records == r].mean(0) for r in
          np.unique(split.train.records)}  # fmt: skip
    return uw.explained_variance(
        split.test.observations, np.stack([of[r] for r in split.test.records])
    )


if __name__ == "__main__":
    main()
