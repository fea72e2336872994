"""β-VAE, FactorVAE, β-TCVAE and QLAE on a grid of dSprites, on a processor: small nets, few steps.

python bench/dsprites.py --data /path/to/dsprites_grid.npz [--seeds 3] [--recipes qlae ...]

Goes on where it stopped: each fit is kept in `dsprites.json`, and `DSPRITES.md` is written after
each.
"""

import argparse
import datetime
import functools
import json
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Callable

import jax
import numpy as np

from unweave import Bernoulli
from unweave._many import many, real
from unweave.data import Dataset, read_rows, split_at_random
from unweave.evaluate import (
    Forest,
    Histogram,
    beta_vae_score,
    dci,
    factor_vae_score,
    infomec,
    mig,
    sap,
    sharing,
)
from unweave.recipes import beta_tcvae, beta_vae, factor_vae, qlae
from unweave.run import fit
from unweave.train import Recipe

HERE = pathlib.Path(__file__).resolve().parent
#: Training steps of a batch of 64, latents, images that scores are made of.
STEPS, BATCH, LATENTS, SCORED = 12_000, 64, 10, 5000
KINDS: dict[str, Callable[..., Recipe]] = {
    "beta-vae": functools.partial(beta_vae, capacity=18.0),
    "factor-vae": functools.partial(factor_vae, gamma=35.0),
    "beta-tcvae": beta_tcvae,
    "qlae": qlae,
}
COLUMNS = (
    "MIG", "SAP", "DCI disentanglement", "DCI completeness", "DCI informativeness", "InfoM",
    "InfoC", "InfoE", "FactorVAE score", "β-VAE score",
)  # fmt: skip

PUBLISHED = (
    "Published, on all 737,280 images, with convolutional nets and some 300,000 steps: FactorVAE "
    "score of FactorVAE 0.822 ± 0.009 (Jeong and Song 2019, as Zhu et al. 2021 quote it) and 0.819 "
    "± 0.028 (Balabin et al. 2024, Disentanglement Learning via Topology, table 1), of a plain VAE "
    "0.694 ± 0.109 (Zhu et al. 2021, Commutative Lie Group VAE); MIG of β-TCVAE 0.332 ± 0.029 "
    "(Balabin et al. 2024, table 1). Of QLAE we know of no published value on these images."
)


@functools.cache
def sprites(file: pathlib.Path) -> Dataset:
    """All images, black and white, with the factors that move: shape, scale, orientation, x, y."""
    return read_rows((str(file),))


def one(kind: str, seed: int, file: pathlib.Path) -> dict:
    data = sprites(file)
    assert data.factors is not None
    moving = np.ptp(data.factors, axis=0) > 0
    parts = split_at_random(data)
    epochs = -(-STEPS * BATCH // len(parts.train))
    recipe = KINDS[kind](latents=LATENTS, epochs=epochs, batch=BATCH, convolutional=False,
                         noise=Bernoulli())  # fmt: skip
    began = time.perf_counter()
    run = fit(recipe, parts, quiet=True, seed=seed)
    seconds = time.perf_counter() - began
    codes = many(run.model.encode, real(data.observations)).astype(np.float64)
    factors = data.factors[:, moving]
    rows = np.random.default_rng(seed).permutation(len(codes))[:SCORED]
    z, v = codes[rows], factors[rows]
    quick = {"discrete": (True,) * v.shape[1], "permutations": 0}
    three, made = dci(z, v, probe=Forest(), **quick), infomec(z, v, **quick)
    shared = sharing(codes, factors)
    scores = [
        mig(z, v, information=Histogram(), **quick), sap(z, v, **quick), three.disentanglement,
        three.completeness, three.informativeness, made.modularity, made.compactness,
        made.explicitness, factor_vae_score(shared, v.shape[1], permutations=0),
        beta_vae_score(shared, v.shape[1], permutations=0),
    ]  # fmt: skip
    return {
        "kind": kind, "seed": seed, "seconds": seconds, "epochs": epochs,
        "explained": run.result["explained_variance"],
        "scores": {s.name: s.value for s in scores},
    }  # fmt: skip


def page(results: dict) -> str:
    groups: dict[str, list[dict]] = {}
    for row in results["fits"]:
        groups.setdefault(row["kind"], []).append(row)
    lines = [
        "# dSprites", "",
        f"Written by `bench/dsprites.py`. {results['date']}, {results['machine']}.", "",
        "A grid of dSprites (Matthey et al. 2017): 46,080 images of 64 × 64 pixels, 3 shapes × 6 "
        "scales × 10 orientations × 16 × 16 places, where the published set has 737,280 (40 "
        f"orientations, 32 × 32 places). Dense nets (256, 256), {LATENTS} latents, about "
        f"{STEPS:,} steps of batch {BATCH}, where publications train convolutional nets 300,000 "
        f"steps: these figures are not to be ranked beside published ones. {SCORED:,} images are "
        "scored, all factors as discrete: MIG by a histogram of 20 equally filled bins, DCI by a "
        "random forest of 50 trees (published: gradient-boosted trees), InfoMEC by 10 nearest "
        "neighbours, the FactorVAE and β-VAE scores on 800 and 500 votes of 64. Median "
        "(smallest–largest) over seeds.", "",
        "| recipe | seeds | explained | " + " | ".join(COLUMNS) + " |",
        "|---|---|---|" + "---|" * len(COLUMNS),
    ]  # fmt: skip
    for kind, rows in groups.items():
        cells = [spread([r["explained"] for r in rows])]
        cells += [spread([r["scores"][c] for r in rows]) for c in COLUMNS]
        lines.append(f"| {kind} | {len(rows)} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", PUBLISHED, ""])


def spread(values: list[float]) -> str:
    middle = statistics.median(values)
    if len(values) == 1:
        return f"{middle:.2f}"
    return f"{middle:.2f} ({min(values):.2f}–{max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Disentanglement on dSprites.")
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipes", nargs="+", choices=tuple(KINDS), default=list(KINDS))
    options = parser.parse_args()
    file = HERE / "dsprites.json"
    results = json.loads(file.read_text()) if file.exists() else {"fits": []}
    for seed in range(options.seeds):
        for kind in options.recipes:
            if any(r["kind"] == kind and r["seed"] == seed for r in results["fits"]):
                continue
            jax.clear_caches()
            row = one(kind, seed, options.data)
            print(row, flush=True)
            results["fits"].append(row)
            results |= {
                "date": datetime.date.today().isoformat(),
                "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
                f"{platform.python_version()}, jax {jax.__version__}",
            }
            file.write_text(json.dumps(results, indent=1) + "\n")
            (HERE / "DSPRITES.md").write_text(page(results))


if __name__ == "__main__":
    main()
