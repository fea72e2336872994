"""Which latents of a β-VAE carry which parameter of the heart equation, on real heartbeats.

python bench/dictionary.py --data /path/to/ecg_ptb [--seeds 3]

Writes `DICTIONARY.md`, `dictionary.json` and `dictionary.svg`; the equation's parameters of every
beat are kept in `disentangling-codes/`, which is not part of the repository.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import time

import jax
import numpy as np

from unweave import Gaussian, Inverted, plots
from unweave._many import many, real
from unweave.data import Dataset
from unweave.equations import equation, parse, zoo_text
from unweave.evaluate import Dictionary, alternate, dictionary, explained_variance
from unweave.evaluate._dictionary import held_out
from unweave.recipes import beta_vae
from unweave.run import fit
from unweave.sources import Source, read_source, split_source

HERE = pathlib.Path(__file__).resolve().parent
KEPT = HERE / "disentangling-codes"
SAMPLES, LATENTS = 128, 10
#: Real beats go beyond what the zoo's priors hold: T may point down, Q be missing, rates differ.
WIDER = {
    "heart_rate": "(40, 140) 1/min",
    "P_height": "(-3, 5)", "Q_height": "(-30, 15)", "R_height": "(-10, 70)",
    "S_height": "(-40, 20)", "T_height": "(-2.5, 3)",
    "P_width": "(0.08, 0.5) rad", "T_width": "(0.15, 0.8) rad",
    "P_angle": "(-1.7, -0.5) rad", "Q_angle": "(-0.5, -0.1) rad", "S_angle": "(0.1, 0.6) rad",
    "T_angle": "(0.9, 2.4) rad", "ST_level": "(-0.6, 0.8) mV",
}  # fmt: skip


def heart() -> str:
    """The zoo's equation with wider ranges, and a level of its own for each beat."""
    text = zoo_text("ecg")
    for name, where in WIDER.items():
        text = re.sub(rf"(?m)^{name} in .*$", f"{name} in {where} per record", text)
    widths = "Q_width, R_width, S_width in (0.03, 0.25) rad per record"
    text = re.sub(r"(?m)^Q_width, R_width, S_width in .*$", widths, text)
    text = re.sub(r"(?m)^(ST_level in .*)$", r"\1\nlevel in (-0.6, 0.6) mV per record", text)
    return re.sub(r"(?m)^(observe ii = .*) mV$", r"\1 + level mV", text)


def beats(folder: pathlib.Path) -> tuple[Source, Dataset]:
    source = Source((str(folder),), kind="beats", columns=("ii",), samples=SAMPLES, split="time")
    return source, read_source(source)


def fitted_parameters(data: Dataset) -> dict[str, np.ndarray]:
    """Of each beat from all samples, and from either half of them."""
    file = KEPT / "heart-parameters.npz"
    if file.exists():
        return dict(np.load(file))
    began = time.perf_counter()
    times = data.schema.origin + data.schema.step * np.arange(SAMPLES)
    with jax.enable_x64(True):
        model = equation(parse(heart()), times=times, noise=Gaussian.fixed((0.03,)))
    inverted = Inverted(decoder=model, starts=4, steps=64, with_prior=True)
    found = {"names": np.array(model.latents.names)}
    for name, x in zip(("all", "odd", "even"), (data.observations, *alternate(data.observations)),
                       strict=True):  # fmt: skip
        found[name] = many(inverted.encode, x, chunk=32)
        print(name, f"{time.perf_counter() - began:.0f} s", flush=True)
    found["rebuilt"] = many(model.decode, found["all"], chunk=32)
    KEPT.mkdir(exist_ok=True)
    np.savez(file, **found)
    return found


def page(results: dict) -> str:
    head = [
        "# The dictionary on real heartbeats",
        "",
        f"Written by `bench/dictionary.py`. {results['date']}, {results['machine']}.",
        "",
        f"{results['n']} beats of lead II of five PTB recordings, {SAMPLES} samples from -0.25 to "
        f"0.45 s. The heart equation (McSharry et al. 2003; `zoo:ecg` with wider ranges and a "
        f"level) fitted to each beat explains {results['equation']:.3f} of their variance, the "
        f"β-VAE ({LATENTS} latents, defaults) {results['network']}. Held-out R² over five folds of "
        f"beats, {results['estimator']}; unrelated pairs reach {results['null']:.3f}. The ceiling "
        "is the reliability of the fitted parameter: each beat fitted twice, on alternate samples. "
        "A parameter below 0.3 is left out. Median (smallest–largest) over "
        f"{results['seeds']} seeds of the β-VAE; the "
        "latent that carries a parameter is that of seed 0.",
        "",
        "| parameter | ceiling | from all latents | from the best latent alone | that latent "
        "(seed 0) | predicted across patients |",
        "|---|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        cells = [row["name"], f"{row['ceiling']:.2f}"]
        if row["used"]:
            cells += [row["together"], row["alone"], row["latent"], row["across"]]
        else:
            cells += ["left out", "", "", ""]
        head.append("| " + " | ".join(cells) + " |")
    directions = ", ".join(f"{d:.2f}" for d in results["directions"])
    return "\n".join([
        *head,
        "",
        "Predicted across patients: each fold is a recording that the prediction has not seen "
        f"(seed 0). Reliability of the combinations of parameters that are used, the best first: "
        f"{directions}.",
        "",
        "The other way, R² of each latent (seed 0) from all parameters that are used: "
        + ", ".join(f"{n} {v:.2f}" for n, v in results["back"].items()) + ".",
        "",
    ])  # fmt: skip


def spread(values: list[float]) -> str:
    return f"{np.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def written(
    names: tuple[str, ...], made: list[Dictionary], across: np.ndarray, explained: dict[str, object]
) -> None:
    """The page, its numbers and its picture, of the seeds there are."""
    first, rows = made[0], []
    for j, name in enumerate(names):
        carried = first.carriers.get(name)
        rows.append({
            "name": name, "ceiling": float(first.ceiling[j]), "used": bool(first.used[j]),
            "together": spread([m.together[j] for m in made]),
            "alone": spread([m.alone[:, j].max() for m in made]),
            "latent": "none" if carried is None else f"{carried[0]} ({carried[1]:.2f})",
            "across": f"{across[j]:.2f}",
        })  # fmt: skip
    results = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, jax {jax.__version__}",
        "n": first.n, "estimator": first.estimator, "null": first.null, "rows": rows, **explained,
        "seeds": len(made), "directions": first.directions.tolist(), "alone": first.alone.tolist(),
        "back": dict(zip(first.latents, first.back.tolist(), strict=True)),
    }  # fmt: skip
    (HERE / "dictionary.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "DICTIONARY.md").write_text(page(results))
    columns = [f"{n} ({c:.2f})" for n, c in zip(names, first.ceiling, strict=True)]
    figure = plots.shares(
        first.alone, rows=first.latents, columns=columns,
        title="R² of each parameter (its ceiling) from each latent alone",
    )  # fmt: skip
    plots.save(figure, HERE / "dictionary.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description="The dictionary on real heartbeats.")
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    source, data = beats(options.data)
    found = fitted_parameters(data)
    names = tuple(found["names"].tolist())
    made, explained, across = [], [], np.full(len(names), np.nan)
    for seed in range(options.seeds):
        run = fit(beta_vae(latents=LATENTS), split_source(source, data), quiet=True, seed=seed)
        explained.append(run.result["explained_variance"])
        codes = many(run.model.encode, real(data.observations))
        more = {"names": names, "halves": (found["odd"], found["even"]), "seed": seed}
        made.append(dictionary(found["all"], codes, **more))
        if seed == 0:
            recording = np.unique(data.records, return_inverse=True)[1].ravel()
            across = held_out(codes.astype(np.float64), found["all"], recording)
        print(seed, *made[-1].sentences, sep="\n", flush=True)
        written(names, made, across, {
            "equation": explained_variance(data.observations, found["rebuilt"]),
            "network": spread(explained) + " of that of held-out ones",
        })  # fmt: skip


if __name__ == "__main__":
    main()
