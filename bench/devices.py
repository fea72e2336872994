"""One fit on several devices and in several processes: how fast, and how near to one device.

    python bench/devices.py [--steps 400]

Every case has a process of its own, and each of several processes too. Writes `DEVICES.md`.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
#: Simulated devices in one process, and processes with a device each.
CASES = [("devices", 1), ("devices", 4), ("devices", 8), ("processes", 2), ("processes", 4)]
#: Observations of 256 samples, and a VAE with two layers of 512.
ROWS, SAMPLES, BATCH, WIDTHS, REPEATS = 8192, 256, 512, (512, 512), 5


def measured(kind: str, count: int, process: int, coordinator: str, steps: int, keep: str) -> dict:
    if kind == "devices":
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={count}"
    import equinox as eqx
    import jax

    from unweave import join
    from unweave._schema import Schema
    from unweave.data import dataset, split_at_random
    from unweave.recipes import vae
    from unweave.train import placement, trainer_of

    if kind == "processes":
        join(count, process=process, coordinator=coordinator)
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 6.28, (ROWS, 1)) + np.linspace(0, 6.28, SAMPLES)
    x = (np.sin(phase) * rng.normal(1, 0.2, (ROWS, 1)))[..., None].astype(np.float32)
    schema = Schema("windows", ("time", "channel"), (SAMPLES, 1), ("value",), ("",))
    data = split_at_random(dataset(x, schema), seed=0)
    recipe = vae(latents=8, widths=WIDTHS, batch=BATCH, epochs=1)
    model = recipe.build(data.train, jax.random.key(0))
    on = placement(None if kind == "processes" else count)
    trainer = trainer_of(recipe, model, data, on=on, key=jax.random.key(1))
    progress = trainer._spread_out(trainer.start())
    seconds = []
    from unweave.train._loop import _steps

    call, _ = trainer.feed.call(0, 0, 1)
    given = trainer._given(progress, call, 1)
    with on.known():
        state, _, _ = _steps(*given)  # compiles
        one = jax.block_until_ready(state.step)
        each = max(1, steps // REPEATS)
        for _ in range(REPEATS):
            given = trainer._given(progress, call, each)
            began = time.perf_counter()
            state, sums, _ = _steps(*given)
            jax.block_until_ready(state.step)
            seconds.append((time.perf_counter() - began) / each)
        loss = float(on.here(sums)["loss"])
    assert int(one) == 1
    leaves = map(
        np.asarray, jax.tree.leaves(eqx.filter(on.here(state.model), eqx.is_inexact_array))
    )
    if on.first:
        np.savez(keep, *leaves)
    size = sum(x.size for x in jax.tree.leaves(trainer.model) if hasattr(x, "size"))
    return {"seconds": seconds, "loss": loss / each, "parameters": size,
            "reduction": reduction(on, size)}  # fmt: skip


def reduction(on, size: int) -> float:
    """Seconds to add up as many numbers as the model has over all devices."""
    import jax
    from jax.sharding import PartitionSpec

    if on.mesh is None:
        return 0.0
    part = np.ones((on.devices, size), np.float32)
    parts = on.shared(part, 0)
    ways = {"in_specs": PartitionSpec("batch"), "out_specs": PartitionSpec()}
    add = jax.jit(jax.shard_map(lambda x: jax.lax.psum(x, "batch"), mesh=on.mesh, **ways))
    jax.block_until_ready(add(parts))
    times = []
    for _ in range(10):
        began = time.perf_counter()
        jax.block_until_ready(add(parts))
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def port() -> int:
    with socket.socket() as found:
        found.bind(("", 0))
        return found.getsockname()[1]


def case(kind: str, count: int, steps: int, keep: str) -> dict:
    at, crew = f"127.0.0.1:{port()}", []
    for i in range(count if kind == "processes" else 1):
        words = [sys.executable, __file__, "--case", kind, str(count), str(i), at, keep,
                 "--steps", str(steps)]  # fmt: skip
        crew.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                     text=True))  # fmt: skip
    out = [process.communicate(timeout=900)[0] for process in crew]
    return json.loads(out[0].splitlines()[-1])


def furthest(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    """The largest difference of two models, in units of the largest number of its array."""
    pairs = zip(one, other, strict=True)
    return max(float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-6)) for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description="One fit on several devices.")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--case", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        kind, count, process, at, keep = options.case
        print(
            json.dumps(measured(kind, int(count), int(process), at, options.steps, keep)),
            flush=True,
        )
        return
    import jax

    found, arrays = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, count in CASES:
            name = f"{count} {kind}"
            files = [f"{folder}/{kind}-{count}-{i}.npz" for i in range(2)]
            runs = [case(kind, count, options.steps, file) for file in files]
            found[name] = {**runs[0], "seconds": [s for run in runs for s in run["seconds"]]}
            arrays[name] = [[*np.load(file).values()] for file in files]
    one = statistics.median(found["1 devices"]["seconds"])
    lines = [
        "# One fit on several devices", "",
        f"Written by `bench/devices.py`. {datetime.date.today().isoformat()}, {os.cpu_count()} "
        f"cores, {platform.machine()}, Python {platform.python_version()}, jax {jax.__version__}. "
        f"A VAE with layers of {WIDTHS[0]} and {WIDTHS[1]} "
        f"({found['1 devices']['parameters']:,} parameters), windows of {SAMPLES} samples, a batch "
        f"of {BATCH} shared by all; median (smallest–largest) of {2 * REPEATS} calls of "
        f"{options.steps // REPEATS} steps. The devices of one process are simulated, and all "
        "cases have the same two cores, on which one device already computes with two threads: "
        "more of them can gain nothing here, and the throughput is what sharing costs. A reduction "
        "adds up as many numbers as the model has. Each case ran twice.", "",
        "| case | ms a step | ms a reduction | throughput of one device | loss of the steps | "
        "furthest from one device | the same bits again |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, row in found.items():
        ms = [1e3 * s for s in row["seconds"]]
        lines.append(
            f"| {name} | {statistics.median(ms):.1f} ({min(ms):.1f}–{max(ms):.1f}) | "
            f"{1e3 * row['reduction']:.2f} | {one / statistics.median(row['seconds']):.2f} | "
            f"{row['loss']:.4f} | {furthest(arrays['1 devices'][0], arrays[name][0]):.1e} | "
            f"{'yes' if all(map(np.array_equal, *arrays[name])) else 'no'} |"
        )
    (HERE / "DEVICES.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines[4:]))


if __name__ == "__main__":
    main()
