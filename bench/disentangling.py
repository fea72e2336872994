"""Disentanglement of simulated heartbeats by every autoencoding recipe; estimators and bounds.

python bench/disentangling.py [--seeds 5] [--parts bias heartbeats bounds pac]

Scores the codes that `disentangling_codes.py` has kept; goes on where it stopped: each row is kept
in `disentangling.json`, and `DISENTANGLING.md` is written after each.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import sklearn
from disentangling_codes import EQUATION, KINDS, LATENTS, file_of, scored
from disentangling_page import page

from unweave.data import digits
from unweave.evaluate import (
    Boosting,
    Forest,
    Histogram,
    Kraskov,
    Lasso,
    Neighbours,
    conformal,
    coverage,
    dci,
    exact_interval,
    hoeffding,
    infomec,
    mig,
    modularity,
    pac_bayes,
    sap,
    udr,
)

HERE = pathlib.Path(__file__).resolve().parent
#: Observations of the estimators' table, and repeats.
SIZES, REPEATS = (1000, 10_000), 5
#: Correlations of a latent with its factor, normal both: the information is known.
CORRELATIONS = (0.0, 0.5, 0.9, 0.99)
ESTIMATORS = {"histogram": Histogram(), "Ross": Neighbours(), "Kraskov": Kraskov()}
#: Permutations of each null in the table of recipes; beats of DCI, and what predicts there.
PERMUTATIONS, PARTED, PROBE = 5, 1500, Forest(30)


def biases(n: int) -> list[dict]:
    """Each estimator's mean error in nats, and each score's of codes that are perfect or unrelated
    to three factors of equal chances."""
    rows = []
    for name, by in ESTIMATORS.items():
        for r in CORRELATIONS:
            found = []
            for seed in range(REPEATS):
                rng = np.random.default_rng(seed)
                x = rng.normal(size=(n, 1))
                y = r * x + np.sqrt(1 - r**2) * rng.normal(size=(n, 1))
                found.append(by.matrix(x, y, (False,))[0, 0])
            exact = float(-0.5 * np.log(1 - r**2))
            rows.append({
                "n": n, "estimator": name, "correlation": r, "exact": exact,
                "mean": float(np.mean(found)), "deviation": float(np.std(found)),
            })  # fmt: skip
    return rows


def score_biases(n: int) -> list[dict]:
    rows = []
    for what in ("perfect", "unrelated"):
        for seed in range(REPEATS):
            rng = np.random.default_rng(seed)
            v = rng.uniform(size=(n, 3))
            z = v if what == "perfect" else rng.uniform(size=(n, 3))
            quick = {"permutations": 0}
            made, three = infomec(z, v, **quick), dci(z, v, probe=Forest(20), **quick)
            scores = [
                mig(z, v, **quick), sap(z, v, **quick), modularity(z, v, **quick),
                three.disentanglement, three.completeness, three.informativeness,
                made.modularity, made.compactness, made.explicitness,
            ]  # fmt: skip
            rows.append({"n": n, "codes": what, "seed": seed} | {s.name: s.value for s in scores})
    return rows


def beats(kind: str, seed: int) -> dict:
    """Every score of one fit: of all factors but the noise, which no mean beat holds."""
    kept = np.load(file_of(kind, seed))
    z, v = kept["codes"].astype(np.float64), scored().factors[:, :-1]
    # what unrelated codes reach is the same for all that have as many latents: asked once
    asked = PERMUTATIONS if kind == EQUATION else 0
    few = slice(None, PARTED)
    three = dci(z[few], v[few], probe=PROBE, permutations=min(asked, 1))
    # an equation's latents have units of their own, so their ranges say nothing
    active = (True,) * z.shape[1] if "equation" in kind or "zoo:" in kind else None
    made = infomec(z, v, active=active, permutations=asked)
    scores = [
        mig(z, v, permutations=asked), sap(z, v, permutations=asked),
        modularity(z, v, permutations=asked),
        three.disentanglement, three.completeness, three.informativeness,
        made.modularity, made.compactness, made.explicitness,
        dci(z[few], v[few], probe=Lasso(), permutations=0).disentanglement,
    ]  # fmt: skip
    names = [s.name for s in scores[:-1]] + ["DCI disentanglement, lasso"]
    row = {
        "kind": kind, "seed": seed, "latents": z.shape[1], "active": int(made.active.sum()),
        "explained": float(kept["explained"]), "seconds": float(kept["seconds"]),
    }  # fmt: skip
    row |= {"scores": {n: s.value for n, s in zip(names, scores, strict=True)}}
    row |= {"null": {n: s.null for n, s in zip(names, scores, strict=True) if s.null == s.null}}
    return row


def alike(kind: str, seeds: int) -> dict | None:
    """The UDR of the fits there are."""
    files = [f for s in range(seeds) if (f := file_of(kind, s)).exists()]
    if len(files) < 2 or kind == EQUATION:
        return None
    made = udr([np.load(f)["codes"].astype(np.float64) for f in files], permutations=5)
    return {"kind": kind, "fits": len(files), "each": made.each.tolist(), "null": made.null}


def best_boosted(rows: list[dict]) -> None:
    """DCI again by boosted trees, of the first seed of the three that are first by forests."""
    first = [row for row in rows if row["seed"] == 0]
    first.sort(key=lambda row: -row["scores"]["DCI disentanglement"])
    for row in first[:3]:
        if "boosted" not in row and file_of(row["kind"], 0).exists():
            z = np.load(file_of(row["kind"], 0))["codes"].astype(np.float64)[:1500]
            made = dci(z, scored().factors[:1500, :-1], probe=Boosting(), permutations=0)
            row["boosted"] = made.disentanglement.value


def bounds() -> dict:
    """Hoeffding's bound in 10,000 draws, and conformal coverage over 200 splits."""
    rng, draws, rows = np.random.default_rng(0), 10_000, []
    for models in (1, 10, 100):
        for n in (100, 1000):
            truth = rng.uniform(0, 1, models) if models > 1 else np.array([0.5])
            gap = np.abs(rng.binomial(n, truth, (draws, models)) / n - truth).max(1)
            found = hoeffding(n=n, confidence=0.95, models=models)
            rows.append({
                "models": models, "n": n, "error": found.error,
                "beyond": float((gap > found.error).mean()),
                "exact": float(np.quantile(gap, 0.95)),
            })  # fmt: skip
    shares = []
    for _ in range(200):
        x = rng.uniform(-2, 2, 1500)
        y = x**2 + (0.2 + np.abs(x)) * rng.standard_t(4, 1500)
        limit = conformal(np.abs(y - 4 * np.abs(x) + 1)[:500], confidence=0.9)
        shares.append(coverage(*limit.intervals(4 * np.abs(x[500:]) - 1), y[500:]).share)
    return {
        "hoeffding": rows, "conformal": float(np.mean(shares)),
        "conformal deviation": float(np.std(shares)), "splits": 200,
    }  # fmt: skip


def networks(seeds: int) -> list[dict]:
    """PAC-Bayes bounds of a dense network on the built-in digits, with two priors."""
    every = digits()
    x = jnp.asarray(every.observations.reshape(len(every), -1) / 16.0, jnp.float32)
    order = np.random.default_rng(0).permutation(len(x))
    fitted, counted, new = np.split(order, [600, 1200])
    rows = []
    for seed in range(seeds):
        key = jax.random.key(seed)
        start = eqx.nn.MLP(64, 10, 32, 1, key=key)
        labels = jnp.asarray(every.labels)
        model = descended(start, x[fitted], labels[fitted])

        def share(model: eqx.Module, rows: np.ndarray, labels=labels) -> jax.Array:
            return jnp.mean(jax.vmap(model)(x[rows]).argmax(1) != labels[rows])

        plain = float(share(model, counted))
        for name, prior in (("before training", start), ("fitted to others", model)):
            found = pac_bayes(
                lambda model: share(model, counted),
                model, prior, n=len(counted), draws=2000, key=key,
            )  # fmt: skip
            rows.append({
                "prior": name, "seed": seed, "plain": plain, "truth": float(share(model, new)),
                "exact": exact_interval(round(plain * len(counted)), len(counted),
                                        confidence=0.9)[1],
            } | {word: getattr(found, word) for word in
                 ("weights", "n", "divergence", "deviation", "error", "bound")})  # fmt: skip
    return rows


def descended(model: eqx.Module, x: jax.Array, y: jax.Array) -> eqx.Module:
    """The network after 500 steps of Adam on all of these."""
    rule = optax.adam(1e-2)

    def loss(model: eqx.Module) -> jax.Array:
        logits = jax.vmap(model)(x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    @eqx.filter_jit
    def step(model: eqx.Module, state):
        updates, state = rule.update(eqx.filter_grad(loss)(model), state)
        return eqx.apply_updates(model, updates), state

    state = rule.init(eqx.filter(model, eqx.is_inexact_array))
    for _ in range(500):
        model, state = step(model, state)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description="Disentanglement of simulated heartbeats.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--parts", nargs="+", choices=("bias", "heartbeats", "bounds", "pac"),
        default=["bias", "bounds", "pac", "heartbeats"],
    )  # fmt: skip
    options = parser.parse_args()
    file = HERE / "disentangling.json"
    results = json.loads(file.read_text()) if file.exists() else {"beats": []}

    def keep() -> None:
        results.update(
            date=datetime.date.today().isoformat(),
            machine=f"{os.cpu_count()} cores, {platform.machine()}, Python "
            f"{platform.python_version()}, scikit-learn {sklearn.__version__}",
            settings={"latents": LATENTS, "forest": PROBE.name, "parted": PARTED},
        )
        file.write_text(json.dumps(results, indent=1) + "\n")
        (HERE / "DISENTANGLING.md").write_text(page(results))

    if "bias" in options.parts and "bias" not in results:
        results["bias"] = [row for n in SIZES for row in biases(n)]
        results["score bias"] = [row for n in SIZES for row in score_biases(n)]
        keep()
    if "bounds" in options.parts and "bounds" not in results:
        results["bounds"] = bounds()
        keep()
    if "pac" in options.parts and "pac" not in results:
        results["pac"] = networks(3)
        keep()
    if "heartbeats" in options.parts:
        for seed in range(options.seeds):
            for kind in (EQUATION, *KINDS):
                done = any(r["kind"] == kind and r["seed"] == seed for r in results["beats"])
                if done or not file_of(kind, seed).exists():
                    continue
                row = beats(kind, seed)
                print(row, flush=True)
                results["beats"].append(row)
                keep()
        # what is known of fits whose codes are not here any more stays
        before = {row["kind"]: row for row in results.get("udr", [])}
        now = {kind: alike(kind, options.seeds) or before.get(kind) for kind in KINDS}
        results["udr"] = [row for row in now.values() if row]
        best_boosted(results["beats"])
    keep()


if __name__ == "__main__":
    main()
