"""unweave beside a plain PyTorch loop and pythae's trainer, in one run.

python bench/run.py --python /path/to/python/with/torch/and/pythae

Repetitions alternate between the sides, so that what else the machine does meets all of them;
ratios are taken within a repetition. Writes `RESULTS.md` and `results.json` beside this file.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import jax
import machine
import numpy as np
import ours
from peers import Peers

HERE = pathlib.Path(__file__).resolve().parent
DSPRITES = HERE.parent.parent / "shared" / "data" / "dsprites"
SCRIPT = HERE / "peers_torch.py"
SIDES = ("unweave", "plain", "pythae")
# PyTorch's threads wait for each other actively: where another program takes a core in between,
# a step of a few milliseconds takes hundreds
_QUIET = 0.03
_BUSY = {
    True: (),
    False: ("**The machine was not quiet, which slows PyTorch most: do not quote this.**", ""),
}


def write_data(folder: pathlib.Path, beats: int, images: int) -> str:
    """The same data for all sides; returns what the images are."""
    random = np.random.default_rng(0)
    t = np.linspace(-0.25, 0.45, 180)[None]
    waves = np.zeros((beats, 180))
    for height, centre, width in ((0.12, -0.15, 0.03), (1.0, 0.0, 0.012), (0.3, 0.25, 0.05)):
        a = height * (1 + 0.3 * random.standard_normal((beats, 1)))
        c = centre + 0.01 * random.standard_normal((beats, 1))
        w = width * np.exp(0.2 * random.standard_normal((beats, 1)))
        waves += a * np.exp(-0.5 * ((t - c) / w) ** 2)
    waves += 0.02 * random.standard_normal(waves.shape)
    np.save(folder / "beats.npy", waves.astype(np.float32))
    file = next(DSPRITES.glob("*.npz"), None) if DSPRITES.is_dir() else None
    if file is None:
        np.save(folder / "images.npy", random.integers(0, 2, (images, 64, 64), np.uint8))
        return "random 0/1 images of 64 x 64"
    every = np.load(file)["imgs"]
    rows = random.choice(len(every), images, replace=False)
    np.save(folder / "images.npy", every[np.sort(rows)])
    return "dSprites"


def measure_steps(peers: Peers, folder: pathlib.Path, repetitions: int) -> dict:
    """Seconds of a step, by row and side, one number for each repetition."""
    beats, images = np.load(folder / "beats.npy"), np.load(folder / "images.npy")
    beats = beats[: len(beats) // ours.BATCH * ours.BATCH]
    makers = {"mlp": (ours.unweave_mlp_step, beats), "conv": (ours.unweave_conv_step, images)}
    times = {row: {side: [] for side in SIDES} for row in makers}
    times["product"] = {"jax": [], "torch": []}
    passes = {row: make(data) for row, (make, data) in makers.items()}
    for repetition in range(-1, repetitions):
        for row, run in passes.items():
            seconds, steps = run()
            found = {"unweave": seconds / steps}
            found |= {side: step_seconds(peers, f"{side} {row}") for side in SIDES[1:]}
            product = {"jax": machine.product_seconds(), "torch": step_seconds(peers, "product")}
            if repetition < 0:
                continue  # the first pass compiles and warms up
            said = ", ".join(f"{side} {1e3 * value:.2f}" for side, value in found.items())
            print(f"{row} step, ms: {said}", file=sys.stderr, flush=True)
            for side, value in found.items():
                times[row][side].append(value)
            for side, value in product.items():
                times["product"][side].append(value)
    return times


def step_seconds(peers: Peers, name: str) -> float:
    """Seconds of one step of the other side."""
    answer = peers.ask(name)
    return answer["seconds"] / answer["steps"]


def measure_command(
    python: str, folder: pathlib.Path, repetitions: int, epochs: int
) -> tuple[dict, dict]:
    """Seconds of the whole command: unweave with an empty compilation cache and with the one
    that it left, the peers on as many beats."""
    times = {name: [] for name in ("unweave", "unweave again", "plain", "pythae")}
    counts = {}
    for i in range(repetitions):
        cache = folder / f"cache{i}"
        for name in ("unweave", "unweave again"):
            seconds, train, validation = ours.unweave_command(
                folder, epochs=epochs, cache=cache, out=folder / f"{name}{i}"
            )
            times[name].append(seconds)
        counts = {"train": train, "validation": validation, "epochs": epochs}
        for side in ("plain", "pythae"):
            arguments = [str(a) for a in (folder, train, validation, epochs, folder / f"{side}{i}")]
            began = time.perf_counter()
            subprocess.run(
                [python, str(SCRIPT), "command", side, *arguments],
                check=True,
                capture_output=True,
            )
            times[side].append(time.perf_counter() - began)
        said = ", ".join(f"{name} {values[-1]:.1f}" for name, values in times.items())
        print(f"command, s: {said}", file=sys.stderr, flush=True)
    return times, counts


def spread(values: list[float], scale: float = 1.0, digits: int = 2) -> str:
    """Median, and in brackets the smallest and the largest."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return " ".join(
        (
            f"{scale * middle:.{digits}f}",
            f"({scale * low:.{digits}f}–{scale * high:.{digits}f})",
        )
    )


def ratios(ours: list[float], theirs: list[float]) -> list[float]:
    """Repetition by repetition."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def floors(times: dict, bandwidth: float, samples: int) -> dict:
    """Seconds below which no step can be: operations over rate, plus bytes over bandwidth."""
    seconds = min(*times["product"]["jax"], *times["product"]["torch"])
    rate = 2 * 1024**3 / seconds
    work = {"mlp": machine.mlp_work(samples), "conv": machine.conv_work()}
    return {
        "rate": rate,
        "bandwidth": bandwidth,
        **{row: flops / rate + moved / bandwidth for row, (flops, moved) in work.items()},
    }


def page(results: dict) -> str:
    """The results as a page."""
    times, floor, versions = results["steps"], results["floors"], results["versions"]
    labels = {
        "mlp": "MLP β-VAE step, 180-256-256-10",
        "conv": f"convolutional β-VAE step, {results['images']}",
    }
    lines = [
        "# Beside PyTorch and pythae",
        "",
        "Written by `bench/run.py`. Median (smallest–largest) over "
        f"{results['repetitions']} alternating repetitions; a ratio is taken within a "
        "repetition, unweave's time over the other's, so less than 1 is faster.",
        "",
        f"{results['date']}, {results['machine']}; other programs took "
        f"{100 * results['others']:.0f} % of the processor time meanwhile. "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ".",
        "",
        *_BUSY[results["others"] < _QUIET],
        "| batch 64, float32, Adam | unweave, ms | plain PyTorch loop, ms "
        "| pythae's trainer, ms | ratio to plain | ratio to pythae | floor, ms "
        "| unweave over floor |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, label in labels.items():
        own = times[row]["unweave"]
        cells = [spread(times[row][side], 1e3) for side in SIDES]
        cells += [spread(ratios(own, times[row][side])) for side in SIDES[1:]]
        cells += [f"{1e3 * floor[row]:.2f}", f"{statistics.median(own) / floor[row]:.1f}"]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "The floor is the step's operations over the best rate of a 1024 x 1024 x 1024 product "
        f"in either library ({floor['rate'] / 1e9:.0f} GFLOP/s; median "
        f"{spread(times['product']['jax'], 1e3)} ms in JAX, "
        f"{spread(times['product']['torch'], 1e3)} ms in PyTorch), plus the bytes that Adam "
        f"moves over the bandwidth of a copy ({floor['bandwidth'] / 1e9:.1f} GB/s).",
        "",
    ]
    if results["command"]:
        command, counts = results["command"], results["counts"]
        own, again = command["unweave"], command["unweave again"]
        lines += [
            f"The whole command: {counts['epochs']} epochs on {counts['train']} beats of 180 "
            f"samples, {counts['validation']} more looked at after each epoch, from the start "
            "of the interpreter to the saved model.",
            "",
            "| | seconds | ratio of unweave to it |",
            "|---|---|---|",
            f"| `unweave fit beta-vae`, nothing compiled before | {spread(own)} | |",
            f"| the same again, compiled programs kept | {spread(again)} | |",
        ]
        for side, label in (("plain", "plain PyTorch loop"), ("pythae", "pythae's trainer")):
            ratio = spread(ratios(own, command[side]))
            lines.append(f"| {label} | {spread(command[side])} | {ratio} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="an interpreter with torch and pythae")
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--command-repetitions", type=int, default=3)
    parser.add_argument("--beats", type=int, default=5000)
    parser.add_argument("--images", type=int, default=1280)
    parser.add_argument("--epochs", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        images = write_data(folder, options.beats, options.images)
        began, busy, own = time.perf_counter(), machine.busy_seconds(), machine.own_seconds()
        with Peers(options.python, SCRIPT, folder) as peers:
            times = measure_steps(peers, folder, options.repetitions)
            bandwidth = machine.copy_bandwidth()
        command, counts = measure_command(
            options.python, folder, options.command_repetitions, options.epochs
        )
    others = machine.busy_seconds() - busy - (machine.own_seconds() - own)
    others /= (time.perf_counter() - began) * (os.cpu_count() or 1)
    versions = {"jax": jax.__version__, "numpy": np.__version__, **peers.versions}
    results = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, {jax.devices()[0].platform}",
        "others": others,
        "versions": versions,
        "repetitions": options.repetitions,
        "images": images,
        "steps": times,
        "floors": floors(times, bandwidth, 180),
        "command": command if options.command_repetitions else {},
        "counts": counts,
    }
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "RESULTS.md").write_text(page(results))
    print(page(results), file=sys.stderr)


if __name__ == "__main__":
    main()
