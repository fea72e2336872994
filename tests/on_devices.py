"""What `test_devices` runs in a process of its own, which takes its CPU for eight devices.

python on_devices.py: prints one JSON object.
"""

import json
import os
from dataclasses import replace

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import equinox as eqx
import jax
import numpy as np
import optax

from unweave.data import competition_cloud, split_at_random
from unweave.recipes import flow, gan, vae
from unweave.train import Descend, Interrupted, Plan, Trainer, Watch, placement, trainer_of

NET = {"epochs": 1, "batch": 32, "widths": (16,)}
RECIPES = {
    "vae": lambda: vae(latents=2, **NET),
    "gan": lambda: gan(latents=2, **NET | {"batch": 64}),
    "flow": lambda: flow(**NET | {"widths": (16, 16, 16)}),
}


def numbers(model):
    return [np.asarray(x) for x in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))]


def furthest(a, b):
    """The largest difference, in units of the largest number of its array."""
    return max(float(np.abs(x - y).max() / max(np.abs(x).max(), 1e-6)) for x, y in zip(a, b))  # noqa: B905


def trained(recipe, data, devices):
    """The numbers after training, without the looks at what is generated, which only take time."""
    recipe = replace(recipe, plan=replace(recipe.plan, looks=0, least_steps=0))
    model = recipe.build(data.train, jax.random.key(0))
    trainer = trainer_of(recipe, model, data, on=placement(devices), key=jax.random.key(1))
    return numbers(trainer.run(trainer.start(), [], Watch()).model)


def recipes(data):
    found = {}
    for name, make in RECIPES.items():
        one, *four = (trained(make(), data, n) for n in (1, 4, 4))
        found[name] = {
            "of 4": furthest(one, four[0]),
            "of 8": furthest(one, trained(make(), data, 8)),
            "again": all(map(np.array_equal, *four)),
        }
    return found


def linear(weights, x, key, step):
    loss = ((x @ weights - 1) ** 2).mean()
    return loss, {}


def stopped(devices, then):
    """A linear fit that was stopped on some devices and went on on others, and one that was not."""
    rows = np.random.default_rng(0).normal(size=(256, 5)).astype(np.float32)
    plan = Plan(lambda budget: Descend(linear, optax.adam(0.01)), epochs=4, batch=16)

    def trainer(count):
        return Trainer(jax.numpy.zeros(5), rows, rows[:16], plan, on=placement(count),
                       key=jax.random.key(0))  # fmt: skip

    whole = trainer(devices)
    whole = whole.run(whole.start(), [], Watch())
    kept, asked = [], iter(range(99))
    try:
        first = trainer(devices)
        first.run(first.start(), [], Watch(save=kept.append, stop=lambda: next(asked) >= 2))
    except Interrupted:
        pass
    after = trainer(then)
    after = after.run(kept[-1], whole.rows[: kept[-1].epoch], Watch())
    return furthest(numbers(whole.model), numbers(after.model))


if __name__ == "__main__":
    split = split_at_random(competition_cloud(400), seed=0)
    print(json.dumps({
        "recipes": recipes(split),
        "stopped": {"the same": stopped(4, 4), "others": stopped(4, 2), "one": stopped(8, 1)},
    }))  # fmt: skip
