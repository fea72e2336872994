"""What damage to a model file goes unnoticed: counts, and exit code 1 if any does.

python bench/faults_file.py --flips 10000 --truncations 1000 --kills 200
"""

import argparse
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

import numpy as np

from unweave._save import load_model, save_leaves, save_model
from unweave._tensors import ModelFileError, read_tensors
from unweave.networks import fit_pca


def main(arguments: list[str] | None = None) -> int:
    """Runs the three experiments that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--truncations", type=int, default=1_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true", help="write the counts into FAULTS.md")
    options = parser.parse_args(arguments)
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        # the writers are forks, which JAX must not have started before
        killed = kills(folder, options.kills, rng)
        counted = [
            flips(folder, options.flips, rng),
            truncations(folder, options.truncations, rng),
            killed,
        ]
    if options.page:
        from faults_keep import keep

        keep("file", [f"- {told}" for _, told in counted])
    else:
        print(*(told for _, told in counted), sep="\n")
    return 1 if any(bad for bad, _ in counted) else 0


def model_file(folder: pathlib.Path) -> pathlib.Path:
    """A model of beats: 12 leads of 256 samples, 10 latents, about 140 kB."""
    x = np.random.default_rng(0).normal(size=(40, 256, 12))
    path = folder / "model.safetensors"
    save_model(path, fit_pca(x, 10), notes={"split": "by group"})
    return path


def loads(path: pathlib.Path) -> bool:
    """Whether the file is read without an objection; any other error ends the script."""
    try:
        load_model(path)
    except ModelFileError:
        return False
    return True


def flips(folder: pathlib.Path, count: int, rng: random.Random) -> tuple[int, str]:
    """Half of the flips in the header, which is a small part of the file; half anywhere."""
    path = model_file(folder)
    good = path.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    damaged = folder / "damaged.safetensors"
    loaded = 0
    for i in range(count):
        bit = rng.randrange(8 * (header if i % 2 else len(good)))
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        damaged.write_bytes(data)
        loaded += loads(damaged)
    told = f"{count} single-bit flips: {loaded} loaded ({len(good)} bytes, header {header})"
    return loaded, told


def truncations(folder: pathlib.Path, count: int, rng: random.Random) -> tuple[int, str]:
    """Cuts at random lengths."""
    good = model_file(folder).read_bytes()
    damaged = folder / "damaged.safetensors"
    loaded = 0
    for _ in range(count):
        damaged.write_bytes(good[: rng.randrange(len(good))])
        loaded += loads(damaged)
    return loaded, f"{count} truncations: {loaded} loaded"


def kills(folder: pathlib.Path, count: int, rng: random.Random) -> tuple[int, str]:
    """Kills a fork that writes one checkpoint again and again, at random instants."""
    path = folder / "checkpoint.safetensors"
    unreadable = 0
    unfinished = 0
    for _ in range(count):
        path.unlink(missing_ok=True)
        writer = os.fork()
        if not writer:
            write_for_ever(path)
        while not path.exists():
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.1))
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        try:
            read_tensors(path)
        except (ModelFileError, OSError):
            unreadable += 1
        for part in folder.glob(".*.part"):
            unfinished += 1
            part.unlink()
    told = f"{count} kills during a write: {unreadable} unreadable ({unfinished} in mid-write)"
    return unreadable, told


def write_for_ever(path: pathlib.Path) -> None:
    """Overwrites one checkpoint of 4 MB until killed."""
    step = 0
    try:
        while True:
            save_leaves(path, {"weight": np.full(2**19, float(step))}, {"step": step})
            step += 1
    finally:
        # a fork never goes on with what its parent was doing
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
