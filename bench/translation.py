"""Two domains of which no pair is known, translated into each other.

python bench/translation.py --data /path/to/folder/with/ecg_ptb [--seeds 5]

Small digits and the same digits with dark and bright changed over and the picture mirrored, of
which the pairs are known to the judge alone; and heartbeats of a healthy person and of infarction
patients, of which there are none. Beside the identity, and the linear map that carries the Gaussian
of one domain to that of the other with the least motion. Writes `TRANSLATION.md`.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
from dataclasses import replace

import jax
import numpy as np
from scipy.linalg import sqrtm
from sklearn.linear_model import LogisticRegression

from unweave._many import many
from unweave.data import Dataset, Split, digits, split_at_random, split_by_time
from unweave.recipes import cyclegan
from unweave.run import fit
from unweave.sources import Source, read_source

HERE = pathlib.Path(__file__).resolve().parent
SETTINGS = {"epochs": 1, "least_steps": 6000, "widths": (256, 256), "convolutional": False}


def changed(x: np.ndarray) -> np.ndarray:
    """Dark and bright changed over, left and right too."""
    return 16 - x[:, :, ::-1]


def digit_domains() -> tuple[Split, bool]:
    """Every other digit as it is, the others changed: no digit is in both domains."""
    every = digits()
    labels = np.arange(len(every)) % 2
    which = labels.reshape(-1, *[1] * (every.observations.ndim - 1)) == 1
    x = np.where(which, changed(every.observations), every.observations)
    data = replace(every, observations=x, labels=labels, label_names=("as it is", "changed"))
    return split_at_random(data), True


def beat_domains(folder: pathlib.Path) -> tuple[Split, bool]:
    """Beats of lead II: one healthy person's, and those of two patients with an infarction."""
    groups = {
        "healthy": ("s0322lre", "s0323lre"), "infarction": ("s0010_re", "s0014lre", "s0015lre"),
    }  # fmt: skip
    parts = []
    for label, names in enumerate(groups.values()):
        paths = tuple(str(folder / "ecg_ptb" / f"{name}.hea") for name in names)
        part = read_source(Source(paths, kind="beats", columns=("ii",), samples=128))
        parts.append(replace(part, labels=np.full(len(part), label), label_names=tuple(groups)))
    rows = ("observations", "records", "groups", "spans", "labels")
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in rows}
    return split_by_time(replace(parts[0], **joined)), False


def gaussian_map(a: np.ndarray, b: np.ndarray):
    """The map of least motion between two Gaussians, $x \\mapsto m_b + A (x - m_a)$."""
    means = a.mean(0), b.mean(0)
    ridge = 1e-3 * np.trace(np.cov(a.T)) / a.shape[1] * np.eye(a.shape[1])
    first, second = np.cov(a.T) + ridge, np.cov(b.T) + ridge
    root = np.real(sqrtm(first))
    inverse = np.linalg.inv(root)
    matrix = inverse @ np.real(sqrtm(root @ second @ root)) @ inverse
    return lambda x: means[1] + (x - means[0]) @ matrix.T


def flat(data: Dataset, label: int) -> np.ndarray:
    x = data.observations[data.labels == label].astype(float)
    return x.reshape(len(x), -1)


def one(split: Split, paired: bool, seed: int) -> dict:
    train, test = split.train, split.test
    run = fit(cyclegan(**SETTINGS), split, quiet=True, seed=seed)
    shape = train.schema.shape

    def learned(label: int):
        def way(x: np.ndarray) -> np.ndarray:
            rows = x.reshape(len(x), *shape).astype(np.float32)
            told = np.full(len(rows), label)
            return many(run.model.encode, rows, told).astype(float)

        return way

    a, b = (flat(train, label) for label in (0, 1))
    ways = {
        "cyclegan": (learned(0), learned(1)),
        "identity": (lambda x: x, lambda x: x),
        "linear": (gaussian_map(a, b), gaussian_map(b, a)),
    }
    judge = LogisticRegression(max_iter=3000, C=0.1)
    mean, unit = np.concatenate([a, b]).mean(0), np.concatenate([a, b]).std()
    judge.fit((np.concatenate([a, b]) - mean) / unit, np.repeat([0, 1], [len(a), len(b)]))

    def share(x: np.ndarray, label: int) -> float:
        """How many the judge takes for this domain."""
        return (judge.predict((x - mean) / unit) == label).mean()

    held = [flat(test, label) for label in (0, 1)]
    found = {}
    for name, (there, back) in ways.items():
        moved = there(held[0]), back(held[1])
        again = back(moved[0]), there(moved[1])
        right = [
            (judge.predict((x - mean) / unit) == label).mean()
            for x, label in zip(moved, (1, 0), strict=True)
        ]
        found[name] = {
            "domain": float(np.mean(right)),
            "cycle": float(
                np.mean([np.abs(x - y).mean() for x, y in zip(again, held, strict=True)]) / unit
            ),
        }
        if paired:
            known = changed(held[0].reshape(-1, *shape)).reshape(len(held[0]), -1)
            error = np.sqrt(((moved[0] - known) ** 2).mean())
            found[name]["paired"] = float(error / held[0].std())
    real = [
        (judge.predict((x - mean) / unit) == label).mean()
        for x, label in zip(held, (0, 1), strict=True)
    ]
    return {"seed": seed, "real": float(np.mean(real)), "ways": found}


def page(results: dict) -> str:
    lines = [
        "# Two domains without pairs", "",
        f"Written by `bench/translation.py`. {results['date']}, {results['machine']}.", "",
        "On held-out observations: how many translated ones a logistic regression takes for the "
        "other domain; the mean error of there and back in deviations of the data; and, where the "
        "pairs are known to the judge, the root mean square error of a translation, in deviations. "
        "Median (smallest–largest) over seeds.", "",
        "| data | way | seeds | taken for the other domain | there and back | against the pair |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, rows in results["data"].items():
        for way in rows[0]["ways"]:
            cells = []
            for measure, form in (("domain", "{:.2f}"), ("cycle", "{:.3f}"), ("paired", "{:.2f}")):
                values = [r["ways"][way][measure] for r in rows if measure in r["ways"][way]]
                if not values:
                    cells.append("no pairs")
                    continue
                middle, low, high = statistics.median(values), min(values), max(values)
                cells.append(f"{form.format(middle)} ({form.format(low)}–{form.format(high)})")
            lines.append(f"| {name} | {way} | {len(rows)} | " + " | ".join(cells) + " |")
        real = statistics.median(row["real"] for row in rows)
        lines.append(f"| {name} | (real ones of it) | {len(rows)} | {real:.2f} | | |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description="Translations between unpaired domains.")
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    results = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, jax {jax.__version__}",
        "data": {},
    }
    for name, (split, paired) in {
        "digits": digit_domains(), "heartbeats": beat_domains(options.data),
    }.items():  # fmt: skip
        for seed in range(options.seeds):
            row = one(split, paired, seed)
            print(name, row, flush=True)
            results["data"].setdefault(name, []).append(row)
            (HERE / "translation.json").write_text(json.dumps(results, indent=1) + "\n")
            (HERE / "TRANSLATION.md").write_text(page(results))


if __name__ == "__main__":
    main()
