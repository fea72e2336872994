"""Data larger than memory: how much memory, and how much slower than data in memory.

    python bench/streaming.py --data FOLDER [--gigabytes 20] [--store PATH.zarr] [--repeats 3]

Writes a Zarr store of recordings made from the real ones in FOLDER (WFDB records, such as
PTB-XL's: stretches of one, resampled to other heart rates, scaled, with wander and noise), unless
PATH is there already. Every measurement is a process of its own, whose peak of resident memory
the system tells. Writes `streaming.json` and `STREAMING.md`.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from unweave.track import AbstractTracker

HERE = pathlib.Path(__file__).resolve().parent
LENGTH, SAMPLES, BATCH, EPOCHS, LATENTS = 256, 2**16, 256, 1, 10
# observations of the subset that is trained on and scored in memory
MOST = 40_000
LIMIT = 2.0
# seconds in which nothing so large is indexed
_KEPT = 10.0


def recordings(folder: str, gigabytes: float) -> Iterator:
    """Recordings as long as that, one at a time."""
    from unweave.data import Signal, read_signals

    real = read_signals(folder)
    rate = 1 / float(real[0].times[1])
    channels, units = real[0].channels, real[0].units
    count = max(20, round(gigabytes * 2**30 / (4 * SAMPLES * len(channels))))
    rng = np.random.default_rng(0)
    times = np.arange(SAMPLES) / rate
    for i in range(count):
        source = np.nan_to_num(real[i % len(real)].values)
        parts, have = [], 0
        while have < SAMPLES:
            size = min(len(source), 5000)
            first = rng.integers(0, len(source) - size + 1)
            # a heart that beats up to a quarter faster or slower
            places = np.arange(0, size - 1, rng.uniform(0.8, 1.25))
            stretch = source[first : first + size]
            low = places.astype(int)
            share = (places - low)[:, None]
            parts.append(stretch[low] * (1 - share) + stretch[low + 1] * share)
            have += len(places)
        x = np.concatenate(parts)[:SAMPLES] * rng.uniform(0.8, 1.2, size=len(channels))
        wander = 0.1 * np.sin(2 * np.pi * rng.uniform(0.1, 0.4) * times + rng.uniform(0, 6))
        x += wander[:, None] + 0.02 * rng.standard_normal(x.shape, np.float32)
        yield Signal(f"recording {i}", f"patient {i}", x, times, channels, units)


def peak() -> float:
    """The most memory that this process has held, in GB."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20


def reading(store: str, folder: str) -> dict:
    """All rows, block by block in another order, a block read ahead: what training cannot beat."""
    from concurrent.futures import ThreadPoolExecutor

    from unweave.data import open_stored

    stored = open_stored(store, length=LENGTH)
    order = np.random.default_rng(0).permutation(len(stored) // stored.block)
    size, began = stored.block, time.perf_counter()

    def block(k: int) -> int:
        return len(stored.read(np.arange(k * size, (k + 1) * size)))

    with ThreadPoolExecutor(1) as pool:
        done = sum(pool.map(block, order))
    return {"rate": done / (time.perf_counter() - began), "n": done, "block": size}


class _Clock(AbstractTracker):
    """The seconds of each epoch: the first, which compiles, is left out where there are others."""

    def __init__(self):
        self.at = [time.perf_counter()]

    def log(self, row: dict) -> None:
        self.at.append(time.perf_counter())

    def close(self) -> None:
        pass

    def rates(self, n: int) -> list[float]:
        seconds = np.diff(self.at)
        return (n / (seconds[1:] if len(seconds) > 1 else seconds)).tolist()


def _recipe(epochs: int):
    from unweave.recipes import beta_vae

    return beta_vae(latents=LATENTS, epochs=epochs, batch=BATCH)


def training(store: str, folder: str) -> dict:
    """A β-VAE on all of the store."""
    from unweave.data import open_stored, split
    from unweave.run import fit

    began = time.perf_counter()
    data = split(open_stored(store, length=LENGTH))
    opened, clock = time.perf_counter() - began, _Clock()
    run = fit(_recipe(EPOCHS), data, out=f"{folder}/run", force=True, quiet=True,
              trackers=(clock,), source=_settings(store))  # fmt: skip
    n = len(data.train if data.stored is None else data.stored)
    return {"rates": clock.rates(n), "n": n, "opened": opened,
            "explained": run.result["explained_variance"]}  # fmt: skip


def training_in_memory(store: str, folder: str) -> dict:
    """The same on so much of it as fits, for as many epochs as take about as long."""
    from unweave.data import Split, open_stored, split
    from unweave.run import fit

    data = split(open_stored(store, length=LENGTH))
    every = data.stored or open_stored(store, length=LENGTH)
    train = every.read(np.arange(min(MOST, len(every))))
    clock = _Clock()
    fit(_recipe(4 * EPOCHS), Split(train, data.validation, data.test, data.how), quiet=True,
        trackers=(clock,))  # fmt: skip
    return {"rates": clock.rates(len(train)), "n": len(train)}


def scoring(store: str, folder: str) -> dict:
    """`unweave encode` from the store to an array on the disk."""
    from unweave import show
    from unweave.cli import main
    from unweave.data import open_stored
    from unweave.run import load_run

    some = open_stored(store, length=LENGTH).read(np.arange(1000)).observations
    show.codes(load_run(f"{folder}/run").model, some)
    began = time.perf_counter()
    code = main(["encode", f"{folder}/run", "-o", f"{folder}/codes.npy", "--force"])
    assert code == 0
    n = len(np.load(f"{folder}/codes.npy", mmap_mode="r"))
    return {"rate": n / (time.perf_counter() - began), "n": n}


def scoring_in_memory(store: str, folder: str) -> dict:
    """The same of observations in memory, again and again for as long."""
    from unweave import show
    from unweave.data import open_stored
    from unweave.run import load_run

    stored = open_stored(store, length=LENGTH)
    x = stored.read(np.arange(min(MOST, len(stored)))).observations
    model = load_run(f"{folder}/run").model
    show.codes(model, x[:1000])
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < 5:
        done += len(show.codes(model, x))
    return {"rate": done / (time.perf_counter() - began), "n": done}


def _settings(store: str) -> dict:
    from unweave.sources import Source

    return Source((store,), kind="windows", length=LENGTH).settings()


STAGES = {
    "reading": reading, "training": training, "training in memory": training_in_memory,
    "scoring": scoring, "scoring in memory": scoring_in_memory,
}  # fmt: skip


def asked(stage: str, store: str, folder: str) -> dict:
    """One measurement, in a process of its own."""
    command = [sys.executable, __file__, "--stage", stage, "--store", store, "--work", folder]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    print(stage, found, file=sys.stderr)
    return found


def main() -> None:
    """Makes the store, asks for every measurement, and writes numbers and page."""
    parser = argparse.ArgumentParser(description="Memory and speed on data larger than memory.")
    parser.add_argument("--data", help="a folder of WFDB records that the store is made from")
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--store", default=str(pathlib.Path(tempfile.gettempdir()) / "ecg.zarr"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--stage", choices=tuple(STAGES), help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        found = STAGES[options.stage](options.store, options.work)
        print(json.dumps({**found, "peak": peak()}))
        return
    load, store = os.getloadavg()[0], pathlib.Path(options.store)
    if not store.exists():
        from unweave.data import store as write

        if options.data is None:
            parser.error(f"{store} is not there; name real records to make it of: --data FOLDER")
        write(recordings(options.data, options.gigabytes), store)
    size = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    work = tempfile.mkdtemp()
    try:
        found = {"training": [asked("training", str(store), work)]}
        for stage in ("training in memory", "reading", "scoring", "scoring in memory"):
            again = 1 if stage == "training in memory" else options.repeats
            found[stage] = [asked(stage, str(store), work) for _ in range(again)]
    finally:
        shutil.rmtree(work)
    shape = _shape(str(store))
    result = {
        "date": datetime.date.today().isoformat(), "stages": found, "bytes": size,
        "machine": _machine(), "load": load, **shape,
    }  # fmt: skip
    (HERE / "streaming.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "STREAMING.md").write_text(page(result))


def _shape(store: str) -> dict:
    from unweave.data import open_stored

    stored = open_stored(store, length=LENGTH)
    return {"shape": list(stored.schema.shape), "windows": len(stored),
            "records": len(np.unique(stored.records)), "block": stored.block}  # fmt: skip


def _machine() -> str:
    import jax
    import zarr

    return (
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"jax {jax.__version__}, zarr {zarr.__version__}"
    )


def _told(rates: list[float]) -> str:
    return f"{np.median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})"


def page(result: dict) -> str:
    """The page of a result."""
    stages = result["stages"]
    rates = {name: [r for one in many for r in one.get("rates", [one.get("rate")])]
             for name, many in stages.items()}  # fmt: skip
    peaks = {name: max(one["peak"] for one in many) for name, many in stages.items()}
    rows = [
        f"| {name} | {max(one['n'] for one in stages[name]):,} | {len(rates[name])} | "
        f"{_told(rates[name])} | {peaks[name]:.2f} |"
        for name in STAGES
    ]
    ratio = {
        name: np.median(rates[name]) / np.median(rates[f"{name} in memory"])
        for name in ("training", "scoring")
    }
    under = max(peaks[name] for name in ("reading", "training", "scoring")) < LIMIT
    return f"""# Data larger than memory

Written by `bench/streaming.py`. {result["date"]}, {result["machine"]}. Before it began {result["load"]:.1f} other processes were running on average over a minute.

{result["records"]:,} recordings made from real ECGs, {result["bytes"] / 2**30:.1f} GB in a Zarr store, cut into {result["windows"]:,} windows of {result["shape"][0]} samples of {result["shape"][1]} leads; {result["block"]} windows in a row are a block. A β-VAE with {LATENTS} latents, batches of {BATCH}, one epoch over all training windows, compiling included. Beside it the same on {MOST:,} of the windows in memory, four epochs of which the first is left out. Each row is from processes of their own; the rate is the median (smallest–largest) of so many epochs, or runs, and the memory the most that any of them held at once.

| | windows | runs | windows a second | peak of memory, GB |
|---|---|---|---|---|
{chr(10).join(rows)}

Training from the disk reaches {100 * ratio["training"]:.0f} % of the rate in memory, scoring {100 * ratio["scoring"]:.0f} %. {"None" if under else "Not none"} of what reads from the disk takes {LIMIT:g} GB of memory. Scoring writes the codes to the disk; what it compiles was compiled before. Reading is that of blocks in another order, a block ahead, with nothing done to them.

{_opening(stages["training"][0]["opened"])}
"""  # noqa: E501


def _opening(seconds: float) -> str:
    took = f"Opening took {seconds:.1f} s in the run that trained"
    if seconds < _KEPT:
        return (
            f"{took}: the index, and the scale of the training part, were kept from a run before."
        )
    return (
        f"{took}: the index, the samples held in memory, and the one pass over the training part "
        "that its scale is made of, which is kept for the next time."
    )


if __name__ == "__main__":
    main()
