"""The page that `disentangling.py` writes."""

import statistics
from typing import Any

#: Columns of the table of recipes, by the score's name.
COLUMNS = {
    "MIG": "MIG",
    "SAP": "SAP",
    "modularity": "modularity",
    "DCI disentanglement": "DCI D",
    "DCI completeness": "DCI C",
    "DCI informativeness": "DCI I",
    "InfoM": "InfoM",
    "InfoC": "InfoC",
    "InfoE": "InfoE",
}


def spread(values: list[float], form: str = "{:.2f}") -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    if len(values) == 1:
        return form.format(middle)
    return f"{form.format(middle)} ({form.format(low)}–{form.format(high)})"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def of_estimators(results: dict[str, Any]) -> list[str]:
    lines = [
        "## What the estimators are off",
        "",
        "Mutual information in nats of two normal variables whose correlation is known, mean ± "
        "deviation over 5 samples. `Ross` cuts the factor into 20 bins, so that it cannot exceed "
        "3.00 nats, and loses what is within a bin; `histogram` cuts both.",
        "",
    ]
    names = list(dict.fromkeys(row["estimator"] for row in results["bias"]))
    rows = []
    for n in dict.fromkeys(row["n"] for row in results["bias"]):
        for r in dict.fromkeys(row["correlation"] for row in results["bias"]):
            at = {
                row["estimator"]: row
                for row in results["bias"]
                if row["n"] == n and row["correlation"] == r
            }
            cells = [f"{at[name]['mean']:.3f} ± {at[name]['deviation']:.3f}" for name in names]
            rows.append([f"{n:,}", f"{r:g}", f"{at[names[0]]['exact']:.3f}", *cells])
    lines += table(["n", "correlation", "exact", *names], rows)
    lines += [
        "The scores of codes that are the three uniform factors themselves (in theory 1), and of "
        "codes that have nothing to do with them (in theory 0; modularity, which compares a latent "
        "with its own best factor, and InfoM and InfoC, which are shares, have no theory of noise "
        "and are far from 0): median (smallest–largest) over 5 samples, with the default "
        "estimators.",
        "",
    ]
    rows = []
    for what in ("perfect", "unrelated"):
        for n in dict.fromkeys(row["n"] for row in results["score bias"]):
            of = [r for r in results["score bias"] if r["n"] == n and r["codes"] == what]
            rows.append([what, f"{n:,}", *(spread([r[c] for r in of], "{:.3f}") for c in COLUMNS)])
    return [*lines, *table(["codes", "n", *COLUMNS.values()], rows)]


def of_bounds(results: dict[str, Any]) -> list[str]:
    found = results["bounds"]
    rows = [
        [str(r["models"]), f"{r['n']:,}", f"{r['error']:.4f}", f"{r['beyond']:.4f}",
         f"{r['exact']:.4f}", f"{r['error'] / r['exact']:.2f}"]
        for r in found["hoeffding"]
    ]  # fmt: skip
    return [
        "## Hoeffding's bound in 10,000 draws",
        "",
        "The error that a sample of n is bounded to be off by, 95 % sure, for the worst of so many "
        "models (one: with a true error of 0.5; more: independent, with true errors drawn "
        "uniformly); how often it was off by more; the gap that 95 % of the draws stayed within; "
        "the bound over that gap. For one model of error 0.5 theory gives a factor of "
        "√(2 log 40) / 1.96 = 1.386 as n grows.",
        "",
        *table(
            ["models", "n", "bound", "share beyond (at most 0.05)", "exact, 95 %", "factor"], rows
        ),
        f"Split conformal intervals of 90 %, calibrated on 500 and judged on 1,000 observations "
        f"with heavy-tailed noise that depends on the input, about a poor prediction: coverage "
        f"{100 * found['conformal']:.2f} % on average over {found['splits']} splits (deviation of "
        f"a split {100 * found['conformal deviation']:.2f} points).",
        "",
    ]


def of_beats(results: dict[str, Any]) -> list[str]:
    groups: dict[str, list[dict]] = {}
    for row in results["beats"]:
        groups.setdefault(row["kind"], []).append(row)
    alike = {row["kind"]: row for row in results.get("udr", [])}
    first = sorted(
        groups,
        key=lambda k: -statistics.median(r["scores"]["DCI disentanglement"] for r in groups[k]),
    )
    rows = []
    for kind in first:
        of = groups[kind]
        found = alike.get(kind)
        rows.append(
            [
                kind, str(len(of)), spread([r["explained"] for r in of], "{:.3f}"),
                f"{statistics.median(r['active'] for r in of):g} of {of[0]['latents']}",
                *(spread([r["scores"][c] for r in of]) for c in COLUMNS),
                "—" if found is None else spread(found["each"]),
            ]
        )  # fmt: skip
    null = next((r["null"] for r in results["beats"] if r.get("null")), {})
    said = ", ".join(f"{COLUMNS[n]} {v:.3f}" for n, v in null.items() if n in COLUMNS)
    boosted = [r for r in results["beats"] if "boosted" in r]
    lasso = [
        f"{k} {statistics.median(r['scores']['DCI disentanglement, lasso'] for r in groups[k]):.2f}"
        for k in first[:4]
    ]
    return [
        "## Simulated heartbeats",
        "",
        f"Every recipe that encodes a beat, its defaults but for {results['settings']['latents']} "
        "latents, fitted to 4,000 simulated beats of 128 samples (2,800 to train) and scored on "
        "3,000 others, against all 16 factors that shape a beat: heart rate, heights, widths and "
        "angles of the waves, the ST level (the noise is left out). Median (smallest–largest) over "
        f"seeds; DCI by a {results['settings']['forest']} on "
        f"{results['settings']['parted']:,} of them (two thirds fitted, a third judged); MIG and "
        "modularity by 3, InfoMEC by 10 nearest neighbours (Ross), factors in 20 equally filled "
        "bins. Unrelated codes (rows "
        f"permuted) would have: {said}. `UDR` (Spearman) compares the seeds with each other and "
        "knows no factors.",
        "",
        "`equation, inverted` is no network and learns nothing: it is `zoo:ecg`, told the form of "
        "the model that the beats were drawn from, its latents found for each beat by least "
        "squares. It says what is to be had from beats with this noise. `latent-ode, zoo:ecg` is "
        "trained as the other recipes are and sees no factor of the beats either, but its decoder "
        "is that formula, told the same noise: a net reads 16 latents off a beat, the equation "
        "makes a beat of them, and the net learns from beats that the equation draws itself "
        "(`--sleep 1`).",
        "",
        *table(["recipe", "seeds", "explained", "active latents", *COLUMNS.values(), "UDR"], rows),
        "DCI disentanglement with other importances: by a lasso "
        + ", ".join(lasso)
        + ("; by boosted trees (1,500 beats, seed 0) " if boosted else "")
        + ", ".join(f"{r['kind']} {r['boosted']:.2f}" for r in boosted)
        + ".",
        "",
    ]


def of_networks(results: dict[str, Any]) -> list[str]:
    rows = [
        [row["prior"], str(row["seed"]), f"{row['weights']:,}", f"{row['n']:,}",
         f"{row['divergence']:,.0f}", f"{row['deviation']:.3f}", f"{row['error']:.3f}",
         f"{row['bound']:.3f}", f"{row['plain']:.3f}", f"{row['truth']:.3f}", f"{row['exact']:.3f}"]
        for row in results["pac"]
    ]  # fmt: skip
    return [
        "## PAC-Bayes bounds of a network",
        "",
        "The 1,797 built-in digits of 8 x 8 pixels: a dense network of 32 hidden units is fitted "
        "to 600; noise is put on its weights, and the bound is made of 600 others, 95 % sure. Its "
        "prior is the network before training, or the one that was fitted to the first 600, which "
        "is then its own prior and pays for the noise alone. Beside the bound the error of the "
        "network with noise on those 600, of the network without noise, and its error on the 597 "
        "that are left; last, what the binomial gives for that plain network from the same 600 "
        "(Clopper and Pearson, 95 %, one-sided), which needs no PAC-Bayes since they were not "
        "fitted to.",
        "",
        *table(
            ["prior", "seed", "weights", "n", "nats", "noise", "error with noise", "bound",
             "error without", "on new digits", "binomial bound"], rows,
        ),
    ]  # fmt: skip


def page(results: dict[str, Any]) -> str:
    lines = [
        "# Disentanglement, and what bounds are worth",
        "",
        f"Written by `bench/disentangling.py`. {results['date']}, {results['machine']}.",
        "",
    ]
    if results["beats"]:
        lines += of_beats(results)
    if "bias" in results:
        lines += of_estimators(results)
    if "bounds" in results:
        lines += of_bounds(results)
    if "pac" in results:
        lines += of_networks(results)
    return "\n".join(lines)
