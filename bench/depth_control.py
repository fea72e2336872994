"""Successive approximations beside Adam: the loss of a residual network after so many passes."""

import argparse
import json
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

from unweave import digits, split_at_random
from unweave.recipes import RECIPES
from unweave.train import (
    AbstractStepper,
    Answered,
    Descend,
    SuccessiveApproximations,
    labelled,
    supervised,
)

FIGURE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "images" / "control.png"
SEEDS = 5
#: Passes over the training digits, each one batch: of either side.
PASSES, MANY = 60, 600
RATES = (3e-3, 1e-2, 3e-2)
#: A loss that is taken for infinite, and what is written down for it.
LOST, NOTHING = 1e6, 1e30
NET = {"width": 16, "blocks": 6, "convolutional": False}


def control(options: argparse.Namespace, folder: pathlib.Path) -> dict[str, Any]:
    """Losses after each pass and the processor's seconds, by stepper and seed."""
    data = split_at_random(digits())
    train, test = (_rows(part) for part in (data.train, data.test))
    sides: dict[str, tuple[AbstractStepper, int]] = {
        "rho found": (SuccessiveApproximations(), PASSES),
        "rho 1": (SuccessiveApproximations(growth=1.0), PASSES),
        "rho 0": (SuccessiveApproximations(0.0, growth=1.0), PASSES),
    }
    sides |= {f"Adam {r:g}": (Descend(supervised(), optax.adam(r)), MANY) for r in RATES}
    found: dict[str, Any] = {"n": len(train.x), "n_test": len(test.x)}
    for name, (stepper, passes) in sides.items():
        found[name] = [_one(stepper, passes, data, train, test, s) for s in range(options.seeds)]
        last = [run["train"][-1] for run in found[name]]
        print(f"{name}: {last} after {passes} passes", file=sys.stderr, flush=True)
    FIGURE.parent.mkdir(exist_ok=True)
    draw(found).savefig(FIGURE, dpi=150)
    return found


def _rows(part: Any) -> Answered:
    rows = labelled(part)
    return Answered(jnp.asarray(rows.x, jnp.float32), jnp.asarray(rows.answer))


def _one(
    stepper: AbstractStepper, passes: int, data: Any, train: Answered, test: Answered, seed: int
) -> dict[str, Any]:
    key = jax.random.key(seed)
    state = stepper.init(RECIPES["resnet"](**NET).build(data.train, key), key=key)
    step = eqx.filter_jit(stepper.step).lower(state, train, key).compile()
    judge = eqx.filter_jit(stepper.evaluate)
    judge(state, test, key)
    losses: dict[str, Any] = {"train": [], "test": [], "seconds": [0.0]}
    for taken in range(passes):
        # what has no finite loss any more will not have one again
        if taken and not losses["train"][-1] < LOST:
            losses["train"] += [NOTHING] * (passes - taken)
            break
        losses["test"].append(float(judge(state, test, key)["loss"]))
        began = time.process_time()
        state, logged = step(state, train, key)
        losses["train"].append(float(logged["loss"]))
        losses["seconds"].append(losses["seconds"][-1] + time.process_time() - began)
    losses["train"] = [one if one < LOST else NOTHING for one in losses["train"]]
    losses["seconds"] += losses["seconds"][-1:] * (passes + 1 - len(losses["seconds"]))
    right = jnp.argmax(state.model.predict(test.x), axis=1) == test.answer
    # all of the first passes, and every tenth of those after them
    kept = [n for n in range(passes) if n < PASSES or n % 10 == 9]
    return {
        "passes": [n + 1 for n in kept], "taken": len(losses["test"]),
        "train": [float(f"{losses['train'][n]:.4g}") for n in kept],
        "seconds": [float(f"{losses['seconds'][n]:.4g}") for n in kept],
        "accuracy": float(right.mean()), "lowest_test": min(losses["test"]),
    }  # fmt: skip


def draw(found: Mapping[str, Any]) -> Figure:
    """The training loss by passes and by the processor's seconds, each seed a line."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    best = best_rate(found)
    sides = {"rho found": "C0", "rho 1": "C2", "rho 0": "C3", best: "C1"}
    for name, colour in sides.items():
        label = name if name == best else f"successive approximations, {name}"
        lost = [run["train"][-1] > LOST for run in found[name]]
        label += f" (lost in {sum(lost)} of {len(lost)})" if any(lost) else ""
        for i, run in enumerate(found[name]):
            losses = np.asarray(run["train"])
            losses = np.where(losses < 100, losses, np.nan)
            style: dict[str, Any] = {"color": colour, "lw": 1, "label": None if i else label}
            left.plot(np.arange(PASSES), losses[:PASSES], **style)
            right.plot(run["seconds"], losses, **style)
    left.set(yscale="log", ylim=(1e-5, 30), xlabel="passes", ylabel="loss of training digits, nats")
    right.set(xlabel="processor seconds", xscale="log")
    left.legend(fontsize=7)
    return figure


def best_rate(found: Mapping[str, Any]) -> str:
    """Adam at the rate whose median loss after `PASSES` passes is lowest."""

    def loss(name: str) -> float:
        return float(np.median([run["train"][PASSES - 1] for run in found[name]]))

    return min((f"Adam {rate:g}" for rate in RATES), key=loss)


if __name__ == "__main__":
    kept = json.loads((pathlib.Path(__file__).parent / "depth.json").read_text())
    draw(kept["control"]).savefig(FIGURE, dpi=150)
