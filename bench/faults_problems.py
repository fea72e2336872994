"""What comes of problems that blow up, and of clocks that jump: counts, and exit code 1 if bad.

    python bench/faults_problems.py [--page] [--only WORD]

Equations that run away in finite time, stiff ones, networks whose learning rate is a million, data
that are infinite, missing or enormous: each must end within a minute of the processor's
time, in a model whose numbers are finite or in one sentence that says what failed. And a run
whose `time.time` jumps back and forth by hours must end in the same bytes, with its checkpoints.
"""

import argparse
import contextlib
import io
import os
import pathlib
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from unittest import mock

os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import equinox as eqx
import jax
import numpy as np

import unweave as uw
from unweave.cli import main as unweave_main
from unweave.data import Split, heartbeats, split_at_random
from unweave.recipes import RECIPES
from unweave.run import fit, load_run
from unweave.train import Recipe

#: What a fit may take, in seconds.
LONGEST = 60.0
SMALL = {"epochs": 2, "batch": 8, "learning_rate": 1e6}


def beats(change: Callable[[np.ndarray], np.ndarray] = lambda x: x) -> Split:
    """Sixty heartbeats of sixteen samples, changed."""
    data = heartbeats(60, samples=16)
    return split_at_random(replace(data, observations=change(data.observations.copy())))


def at_once(value: float, every: int) -> Callable[[np.ndarray], np.ndarray]:
    """Puts a value at one number of so many."""

    def change(x: np.ndarray) -> np.ndarray:
        x.reshape(-1)[::every] = value
        return x

    return change


#: An equation, and the rate at which what it is fitted to grows.
EQUATIONS = {
    "blows up in finite time": ("x' = a*x**2\na in (0.01, 1000)\nx(0) in (0.1, 100)\n", 3.0),
    "runs away": ("x' = a*x\na in (0.01, 10000)\nx(0) in (0.1, 100)\n", 3.0),
    "stiff": ("x' = -1e8*(x - cos(t)) + a\na in (0.01, 1e9)\nx(0) in (0.1, 100)\n", 1.0),
    "root of a negative number": ("x' = a*sqrt(x - 5)\na in (0.1, 9)\nx(0) in (0.1, 3)\n", 1.0),
}


def networks() -> dict[str, tuple[Recipe, Split]]:
    """Recipes by what is done to them."""
    rate = {
        f"{name}, learning rate 1e6": (RECIPES[name](**SMALL), beats())
        for name in ("vae", "vq-vae", "flow", "diffusion", "wgan-gp", "latent-ode")
        if name in RECIPES
    }
    vae = RECIPES["vae"](epochs=2, batch=8)
    return {
        **rate,
        "data with infinity": (vae, beats(at_once(np.inf, 50))),
        "data that are all missing": (vae, beats(at_once(np.nan, 1))),
        "data, half of them missing": (vae, beats(at_once(np.nan, 2))),
        "data of 1e30": (vae, beats(lambda x: x * 1e30)),
        "data of 1e-30": (vae, beats(lambda x: x * 1e-30)),
        "data that never change": (vae, beats(at_once(1.0, 1))),
        "PCA of data with 1e200": (RECIPES["pca"](latents=2), beats(at_once(1e200, 70))),
        "mixture of data that never change": (
            RECIPES["gaussian-mixture"](latents=2, components=2), beats(at_once(1.0, 1)),
        ),
    }  # fmt: skip


def of_network(recipe: Recipe, data: Split) -> tuple[str, bool]:
    """What came of a fit in words, and whether it may."""
    try:
        run = fit(recipe, data, quiet=True)
    except ValueError as error:
        said = " ".join(str(error).split())
        return f"refused: {said}", len(said) > 20
    return of_model(run.model, run.result["stopped"])


def of_equation(text: str, rate: float) -> tuple[str, bool]:
    """The same of an equation, fitted from the command line to courses that grow."""
    with tempfile.TemporaryDirectory() as name:
        folder, err = pathlib.Path(name), io.StringIO()
        (folder / "it.ode").write_text(text)
        lines = [
            f"{t},{course},{(1 + 0.1 * course) * np.exp(rate * t)}"
            for course in range(6)
            for t in np.linspace(0, 1, 20)
        ]
        (folder / "data.csv").write_text("\n".join(["time,course,x", *lines]))
        words = ["fit", folder / "it.ode", folder / "data.csv", "--time", "time", "--by", "course"]
        more = ["--starts", "4", "--out", folder / "run", "--quiet", "--no-report", "--json"]
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            status = unweave_main([str(word) for word in (*words, *more)])
        said = err.getvalue().strip()
        if status:
            return f"refused: {said}", status == 2 and len(said.splitlines()) == 1
        run = load_run(folder / "run")
        return of_model(run.model, " ".join(run.result["equation"]["notes"]) or "no notes")


def of_model(model: eqx.Module, said: str) -> tuple[str, bool]:
    leaves = [leaf for leaf in jax.tree.leaves(model) if eqx.is_inexact_array(leaf)]
    broken = sum(not np.isfinite(leaf).all() for leaf in leaves)
    if broken:
        return f"a model with {broken} arrays that are not finite ({said})", False
    return f"a finite model ({said})", True


def tried(only: str, told: Callable[[str], None]) -> int:
    """How many problems went wrong; `told` of the row of each."""
    bad = 0
    of = {name: (of_network, given) for name, given in networks().items()}
    of |= {f"equation, {name}": (of_equation, given) for name, given in EQUATIONS.items()}
    for name, (outcome, given) in of.items():
        if only not in name:
            continue
        began, busy = time.monotonic(), time.process_time()
        said, good = outcome(*given)
        seconds, busy = time.monotonic() - began, time.process_time() - busy
        # other programs of this machine make the one longer, and not the other
        good &= busy < LONGEST
        bad += not good
        said = re.sub(r"[|\n]", "/", said)[:200]
        told(f"| {name} | {said} | {seconds:.0f} | {busy:.0f} | {'yes' if good else 'NO'} |")
    return bad


def jumping(jumps: int) -> tuple[str, int]:
    """Runs beside clocks that jump, against one whose clock goes as it should."""
    recipe = RECIPES["vae"](latents=2, widths=(8,), epochs=6, batch=8)

    def clock() -> float:
        return real() + rng.uniform(-9, 9) * 3600

    data, rng, real = beats(), random.Random(0), time.time
    files = ("model.safetensors", "metrics.jsonl", "checkpoint.safetensors")

    def bits(folder: pathlib.Path) -> list[bytes]:
        return [(folder / name).read_bytes() for name in files]

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        fit(recipe, data, out=folder / "still", quiet=True)
        equal = saved = 0
        for n in range(jumps):
            out = folder / f"jumping {n}"
            kept = []

            class Stop(uw.track.AbstractTracker):
                left = 3

                def log(self, row, kept=kept, out=out):
                    kept.append((out / files[2]).exists())
                    type(self).left -= 1
                    if type(self).left == 0:
                        raise ZeroDivisionError("a crash")

                def close(self):
                    pass

            with (
                mock.patch("time.time", clock),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                with contextlib.suppress(ZeroDivisionError):
                    fit(recipe, data, out=out, checkpoint_every=0.0, trackers=(Stop(),))
                fit(recipe, data, out=out, resume=True)
            load_run(out)
            equal += bits(out) == bits(folder / "still")
            saved += kept[-1]
    told = (
        f"{jumps} runs whose clock jumped by up to nine hours at every look, each with a crash and "
        f"a resume: {equal} of {jumps} byte-equal to one with a steady clock, {saved} of {jumps} "
        "with checkpoints as often as asked for"
    )
    return told, 2 * jumps - equal - saved


def main(arguments: list[str] | None = None) -> int:
    """Tries, counts, tells."""
    parser = argparse.ArgumentParser(description="Problems that blow up, clocks that jump.")
    parser.add_argument("--only", default="", help="problems with this in their name")
    parser.add_argument("--jumps", type=int, default=20, help="runs with a clock that jumps")
    parser.add_argument("--page", action="store_true", help="write the counts into FAULTS.md")
    options = parser.parse_args(arguments)
    sentence, more = jumping(options.jumps) if options.jumps else ("no clock jumped", 0)
    lines = [
        f"{sentence}.", "",
        "| problem | came to | seconds | of the processor | good |", "|---|---|---|---|---|",
    ]  # fmt: skip

    def told(row: str) -> None:
        lines.append(row)
        if options.page:
            from faults_keep import keep

            keep("problems", lines)
        else:
            print(row, flush=True)

    bad = tried(options.only, told)
    if not options.page:
        print(sentence)
    return 1 if bad + more else 0


if __name__ == "__main__":
    sys.exit(main())
