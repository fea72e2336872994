"""Training a generator and its critic, and a vector-quantised autoencoder, beside plain PyTorch.

python bench/generators.py --python /path/to/python/with/torch [--only KIND ...]

The same nets, loss, optimiser and averages, in one run; repetitions alternate between the sides,
ratios are taken within a repetition. Writes `GENERATORS.md` and `generators.json` beside this file.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import tempfile
import time

import equinox as eqx
import jax
import numpy as np
from machine import busy_seconds, own_seconds
from peers import Peers
from run import _BUSY, _QUIET, ratios, spread

from unweave._schema import Schema
from unweave.data import dataset
from unweave.recipes import gan, vq_vae
from unweave.train import Trainer, Watch

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE / "peers_generators.py"
SIDE, ROWS, BATCH = 28, 128 * 24, 128
THREADS = (1, os.cpu_count() or 1)
#: Seconds in which the threads of either side's pool fall asleep.
_PAUSE = 0.3
SETTINGS = {
    "latents": 32, "widths": (256, 256, 256), "learning_rate": 5e-4, "batch": BATCH,
    "least_steps": 1, "epochs": 1000,
}  # fmt: skip
CODES = {"codes": 64, "width": 16, "batch": BATCH, "epochs": 1000}
RECIPES = {
    "dense": lambda: gan(convolutional=False, **SETTINGS),
    "convolutional": lambda: gan(convolutional=True, **SETTINGS),
    "codes-dense": lambda: vq_vae(latents=16, convolutional=False, **CODES),
    "codes-convolutional": lambda: vq_vae(convolutional=True, **CODES),
}
NAMES = {
    "dense": "generator and critic, dense", "convolutional": "generator and critic, convolutional",
    "codes-dense": "VQ-VAE, dense", "codes-convolutional": "VQ-VAE, convolutional",
}  # fmt: skip


def images() -> np.ndarray:
    """Blurred noise of the size of MNIST's digits: what a step costs does not depend on it."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, SIDE, SIDE))
    for axis in (1, 2):
        x = (x + np.roll(x, 1, axis) + np.roll(x, -1, axis)) / 3
    return ((np.tanh(x) + 1) * 127.5).astype(np.uint8)


def measured(kind: str, peers: Peers, repetitions: int) -> dict:
    pixels = images()
    names = ("row", "column", "channel")
    data = dataset(pixels[..., None], Schema("images", names, (SIDE, SIDE, 1), ("grey",), ("",)))
    recipe = RECIPES[kind]()
    model = recipe.build(data, jax.random.key(0))
    trainer = Trainer(model, data.observations, data.observations[:BATCH], recipe.plan,
                      key=jax.random.key(1))  # fmt: skip
    began = time.perf_counter()
    progress = trainer.start()
    own: list[float] = []
    peer: dict[str, list[float]] = {str(n): [] for n in THREADS}
    cold = 0.0
    for i in range(-1, repetitions):  # the first round compiles and warms
        time.sleep(_PAUSE)
        start = time.perf_counter()
        *_, progress = trainer._epoch(progress, Watch())
        jax.block_until_ready(
            [leaf for leaf in jax.tree.leaves(progress.state) if eqx.is_array(leaf)]
        )
        if i < 0:
            cold = time.perf_counter() - began
        else:
            own.append((time.perf_counter() - start) / trainer.per_epoch)
        progress, _ = trainer._judge(progress)
        for n in THREADS:
            time.sleep(_PAUSE)
            answer = peers.ask(f"train {kind} {trainer.per_epoch} {n}")
            if i >= 0:
                peer[str(n)].append(answer["seconds"])
    print(kind, statistics.median(own), {n: statistics.median(v) for n, v in peer.items()})
    return {"own": own, "peer": peer, "cold": cold}


def page(results: dict) -> str:
    lines = [
        "# Generators, critics and codebooks beside PyTorch",
        "",
        f"Written by `bench/generators.py`. {results['date']}, {results['machine']}; "
        + ", ".join(f"{k} {v}" for k, v in results["versions"].items())
        + f". Other programs took {100 * results['others']:.0f} % of the processor time.",
        "",
        *_BUSY[results["others"] < _QUIET],
        f"Batch {BATCH}, images of {SIDE} x {SIDE}, float32, Adam. Of a game: a step of the critic "
        "and one of the generator, paired relativistic loss with R1 and R2, the generator's moving "
        "average; dense nets of three layers of 256, and two convolutions of 32 channels with two "
        "dense layers of 256. Of a VQ-VAE: a step with 64 codes of 16 numbers kept by a moving "
        "average, those that are hardly chosen begun anew, Bernoulli noise; dense nets of two "
        "layers of 256 and 16 places, and two convolutions of 64 channels that halve, one of 3 x 3 "
        "and one of 1 x 1, with 49 places, and back. Median (smallest–largest) in milliseconds a "
        "step; a ratio over 1 says that PyTorch takes longer.",
        "",
        "| nets | | ms a step | ratio | n |",
        "|---|---|---|---|---|",
    ]
    for kind, part in results["parts"].items():
        lines.append(
            f"| {NAMES[kind]} | unweave | {spread(part['own'], 1e3)} | | {len(part['own'])} |"
        )
        for n, times in part["peer"].items():
            lines.append(
                f"| {NAMES[kind]} | PyTorch, {n} threads | {spread(times, 1e3)} "
                f"| {spread(ratios(times, part['own']), digits=2)} | {len(times)} |"
            )
    cold = ", ".join(
        f"{NAMES[kind]} {part['cold']:.1f} s" for kind, part in results["parts"].items()
    )
    return "\n".join([*lines, "", f"The first epoch of unweave, which compiles: {cold}.", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description="Adversarial training beside PyTorch.")
    parser.add_argument("--python", required=True, help="an interpreter with torch")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=tuple(RECIPES), default=list(RECIPES))
    options = parser.parse_args()
    began, busy, own = time.perf_counter(), busy_seconds(), own_seconds()
    file = HERE / "generators.json"
    parts = json.loads(file.read_text())["parts"] if file.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(pathlib.Path(folder) / "data.npy", (images() / 127.5 - 1).astype(np.float32))
        with Peers(options.python, SCRIPT, pathlib.Path(folder)) as peers:
            for kind in options.only:
                parts[kind] = measured(kind, peers, options.repetitions)
            versions = peers.versions
    others = busy_seconds() - busy - (own_seconds() - own)
    results = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}",
        "versions": {"jax": jax.__version__, **versions},
        "others": others / ((time.perf_counter() - began) * (os.cpu_count() or 1)),
        "parts": parts,
    }
    file.write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "GENERATORS.md").write_text(page(results))


if __name__ == "__main__":
    main()
