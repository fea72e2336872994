"""Whether a generator that is told a digit makes that digit.

python bench/conditional.py --data /path/to/folder/with/mnist [--seeds 3]

An independent classifier, a support vector machine on the same training images, reads 1,000
generated digits, 100 of each. Writes `CONDITIONAL.md` and `conditional.json`.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.svm import SVC

from unweave.data import read_rows, split_at_random
from unweave.plots import samples, save
from unweave.recipes import cgan
from unweave.run import fit

HERE = pathlib.Path(__file__).resolve().parent
EACH = 100


@eqx.filter_jit
def drawn(model, labels, keys):
    return jax.vmap(lambda label, key: model.sample(key, label))(labels, keys)


def one(data, judge: SVC, seed: int, options: dict, figure: pathlib.Path | None) -> dict:
    began = time.perf_counter()
    run = fit(cgan(**options), data, quiet=True, seed=seed)
    seconds = time.perf_counter() - began
    labels = np.repeat(np.arange(10), EACH)
    keys = jax.random.split(jax.random.key(100 + seed), len(labels))
    x = np.asarray(drawn(run.model, jnp.asarray(labels), keys))
    read = judge.predict(x.reshape(len(x), -1) / 255)
    if figure is not None:
        some = x.reshape(10, EACH, *x.shape[1:])[:, :5].swapaxes(0, 1).reshape(-1, *x.shape[1:])
        save(samples(some, run.schema), figure)
    each = [(read[labels == digit] == digit).mean() for digit in range(10)]
    return {
        "seed": seed, "right": float((read == labels).mean()), "worst": float(min(each)),
        "seconds": seconds, "words": run.result["health"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Digits on demand.")
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6000)
    options = parser.parse_args()
    data = split_at_random(
        read_rows(str(options.data / "mnist" / "mnist8000-images-idx3-ubyte.gz"))
    )
    flat = data.train.observations.reshape(len(data.train), -1) / 255
    judge = SVC(C=10).fit(flat, data.train.labels)
    real = judge.score(data.test.observations.reshape(len(data.test), -1) / 255, data.test.labels)
    settings = {
        "convolutional": False, "latents": 32, "widths": (256, 256, 256), "epochs": 1,
        "least_steps": options.steps, "learning_rate": 5e-4, "batch": 128,
    }  # fmt: skip
    rows = []
    for seed in range(options.seeds):
        rows.append(
            one(data, judge, seed, settings, HERE / "conditional.png" if not seed else None)
        )
        print(rows[-1], flush=True)
        right = [row["right"] for row in rows]
        (HERE / "conditional.json").write_text(
            json.dumps({"rows": rows, "real": real, "settings": settings}, indent=1) + "\n"
        )
        (HERE / "CONDITIONAL.md").write_text(
            "# Digits on demand\n\nWritten by `bench/conditional.py`. "
            f"{datetime.date.today().isoformat()}, {os.cpu_count()} cores, {platform.machine()}, "
            f"Python {platform.python_version()}, jax {jax.__version__}.\n\n"
            f"`cgan`, dense, {options.steps:,} steps on {len(data.train):,} digits of MNIST; "
            f"{10 * EACH:,} samples of each seed are read by a support vector machine that reads "
            f"{100 * real:.1f} % of {len(data.test):,} real test digits rightly.\n\n"
            f"Read as asked for: median {100 * statistics.median(right):.1f} % "
            f"({100 * min(right):.1f}–{100 * max(right):.1f}, {len(right)} seeds); the worst digit "
            f"of any seed {100 * min(row['worst'] for row in rows):.0f} %.\n"
        )


if __name__ == "__main__":
    main()
