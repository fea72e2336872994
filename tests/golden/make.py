"""Files as this unweave writes them, with their numbers beside them, for later ones to read.

    python tests/golden/make.py tests/golden/format-2

Run it once when a format changes (`FORMAT` in `_save.py`, or what a run folder holds), commit the
folder, and leave the older ones: `tests/test_golden.py` reads every one that is here.
"""

import contextlib
import json
import pathlib
import shutil
import sys

import jax.numpy as jnp
import numpy as np

from unweave import Schema
from unweave._save import save_leaves
from unweave.data import Split, dataset, split_at_random
from unweave.recipes import vae
from unweave.run import fit
from unweave.track import AbstractTracker
from unweave.train import Recipe

#: A tree of every kind of number that a checkpoint holds.
LEAVES = {
    "weight": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "count": np.asarray(3, np.int32),
    "seen": np.asarray([True, False]),
    "at": (2, 0.25),
}


class Crash(AbstractTracker):
    """Ends a run after its first epoch."""

    def log(self, row):
        raise ZeroDivisionError

    def close(self):
        pass


def data() -> Split:
    """Forty rows of six numbers that any machine makes the same."""
    x = (np.arange(240).reshape(40, 6) * 7919 % 101 / 64).astype(np.float32)
    return split_at_random(
        dataset(x, Schema("rows", ("number",), (6,), tuple("abcdef"), ("",) * 6))
    )


def recipe() -> Recipe:
    return vae(latents=2, epochs=2, widths=(4,), batch=8)


def numbers(run) -> dict:
    """What is asked of a run that was read, and must come out the same."""
    z, x = jnp.asarray([0.5, -1.0]), jnp.asarray(run.examples[0])
    return {
        "decoded": np.asarray(run.model.decode(z)).tolist(),
        "encoded": np.asarray(run.model.encode(x)).tolist(),
        "examples": run.examples.tolist(),
        "rows": run.rows,
        "explained_variance": run.result["explained_variance"],
    }


def main(folder: pathlib.Path) -> None:
    """Writes a finished run, one that was cut off, a checkpoint of plain numbers, and numbers."""
    folder.mkdir(parents=True)
    run = fit(recipe(), data(), out=folder / "finished", quiet=True)
    with contextlib.suppress(ZeroDivisionError):
        fit(
            recipe(), data(), out=folder / "cut-off", quiet=True, checkpoint_every=0.0,
            trackers=(Crash(),),
        )  # fmt: skip
    # a finished run is read without its checkpoint, and pictures are no format of ours
    (folder / "finished" / "checkpoint.safetensors").unlink()
    for name in ("finished", "cut-off"):
        shutil.rmtree(folder / name / "samples", ignore_errors=True)
        (folder / name / ".lock").unlink(missing_ok=True)
    save_leaves(folder / "leaves.safetensors", LEAVES, {"step": 3, "best": float("inf")})
    (folder / "numbers.json").write_text(json.dumps(numbers(run), indent=1) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
