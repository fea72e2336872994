"""Flows beside torchdiffeq and torchcfm, in one run.

python bench/flows.py --python /path/to/python/with/torchdiffeq/torchcfm

Repetitions alternate between the sides; ratios are taken within a repetition. Writes `FLOWS.md`
and `flows.json` beside this file; `--only` runs some of the parts.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flows_page import page
from machine import busy_seconds, own_seconds
from peers import Peers
from scipy.optimize import linear_sum_assignment

from unweave import train
from unweave._latents import Latents
from unweave._schema import Schema
from unweave._transport import Motion, carry
from unweave.data import Scale, dataset
from unweave.networks import MLP, ContinuousFlow, VectorField
from unweave.networks.flows._gaps import fit_reference
from unweave.recipes import ffjord, flow
from unweave.train import Averaged, Plan, Trainer, Watch

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE / "peers_flows.py"
BATCH, RATE, THREADS = 256, 1e-3, (1, os.cpu_count() or 1)
#: Seconds in which the threads of either side's pool fall asleep.
_PAUSE = 0.3
#: A mixture of four unequal Gaussians: weights, means, standard deviations.
MIXTURE = (
    np.array([0.4, 0.3, 0.2, 0.1]),
    np.array([[-2.0, 0.0], [1.5, 1.5], [1.0, -2.0], [3.0, 0.0]]),
    np.array([0.6, 0.5, 0.7, 0.4]),
)


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def timed(function: Callable, *arguments: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return time.perf_counter() - began, result


def plane(activation: Callable, seed: int) -> ContinuousFlow:
    """The flow in two dimensions that every part begins with: 3-64-64-64-2."""
    net = MLP(3, 2, (64, 64, 64), activation=activation, key=jax.random.key(seed))
    unit = Scale((0.0, 0.0), (1.0, 1.0))
    reference = fit_reference(np.random.default_rng(0).normal(size=(64, 2)), unit)
    return ContinuousFlow(Latents.standard(2), VectorField(net), unit, reference, (2,))


def mixture(n: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    weights, means, deviations = MIXTURE
    which = random.choice(len(weights), n, p=weights)
    return means[which] + deviations[which, None] * random.normal(size=(n, 2))


def mixture_log_density(x: np.ndarray) -> np.ndarray:
    weights, means, deviations = MIXTURE
    squares = ((x[:, None] - means) ** 2).sum(-1) / deviations**2
    each = np.log(weights) - 0.5 * squares - np.log(2 * np.pi * deviations**2)
    return np.logaddexp.reduce(each, axis=1)


def fitted(model: eqx.Module, recipe: train.Recipe, data: np.ndarray, seed: int) -> Any:
    assert recipe.plan is not None
    trainer = Trainer(model, data, data[:512], recipe.plan, key=jax.random.key(seed))
    return trainer.run(trainer.start(), [], Watch()).model


def density(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """Seconds of the log-density of a trained flow, and of its gradient by the weights."""
    x = mixture(20_000, 0).astype(np.float32)
    recipe = flow(epochs=max(1, options.steps // 78), batch=BATCH, patience=10_000)
    model = fitted(plane(jnp.tanh, 0), recipe, x, 1)
    net = model.field.net
    arrays = {f"weight{i}": np.asarray(w) for i, w in enumerate(net.weights)}
    arrays |= {f"bias{i}": np.asarray(b) for i, b in enumerate(net.biases)}
    points = jnp.asarray(mixture(BATCH, 7), jnp.float32)
    np.savez(folder / "density.npz", x=points, **arrays)

    def mean(model: ContinuousFlow, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        value = model.log_densities(x)
        return value.mean(), value

    sides = {
        "density": eqx.filter_jit(lambda model, x: model.log_densities(x)),
        "gradient": eqx.filter_jit(eqx.filter_value_and_grad(mean, has_aux=True)),
        "one by one": eqx.filter_jit(lambda model, x: jax.vmap(model.log_density)(x)),
    }
    cold = {name: timed(function, model, points)[0] for name, function in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    peer = {f"{name} {n}": [] for name in ("density", "gradient") for n in THREADS}
    facts: dict[str, dict] = {}
    with Peers(options.python, SCRIPT, folder) as peers:
        peers.ask("reference")
        exact = np.load(folder / "density.npz")["exact"]
        for i in range(-1, options.repetitions):  # the first round warms the peers
            for name, function in sides.items():
                time.sleep(_PAUSE)
                seconds, value = timed(function, model, points)
                if i >= 0:
                    times[name].append(seconds)
                value = value[0][1] if name == "gradient" else value
                error = float(np.abs(np.asarray(value, np.float64) - exact).max())
                facts[name] = {"error": error}
            for name in peer:
                time.sleep(_PAUSE)
                answer = peers.ask(name)
                if i >= 0:
                    peer[name].append(answer["seconds"])
                facts[f"torchdiffeq {name}"] = answer
        versions = peers.versions
    said = {n: f"{1e3 * np.median(v):.2f}" for n, v in {**times, **peer}.items()}
    say(f"density, ms: {said}")
    return {"times": times, "peer": peer, "cold": cold, "facts": facts, "versions": versions}


def eight_gaussians(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """As torchcfm draws them: on a circle of radius 5, of variance sqrt(0.1)."""
    which, noise = jax.random.split(key)
    angle = 0.25 * jnp.pi * jax.random.randint(which, shape[:1], 0, 8).astype(jnp.float32)
    centre = 5 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    return centre + 0.1**0.25 * jax.random.normal(noise, shape)


def moons(key: jax.Array, n: int) -> jax.Array:
    """As torchcfm draws them, by way of torchdyn: two half circles, shifted along the diagonal by
    uniform noise."""
    outer = jnp.linspace(0.0, jnp.pi, n // 2)
    inner = jnp.linspace(0.0, jnp.pi, n - n // 2)
    first = jnp.stack([jnp.cos(outer), jnp.sin(outer)], axis=1)
    second = jnp.stack([1 - jnp.cos(inner), 0.5 - jnp.sin(inner)], axis=1)
    return 3 * (jnp.concatenate([first, second]) + 0.2 * jax.random.uniform(key, (n, 1))) - 1


class Ours:
    """Steps of unweave's own loop, whose data are drawn anew at each step as torchcfm's are."""

    def __init__(self, seed: int, steps: int):
        inner = train.flow_matching(base=eight_gaussians, logit_normal=False)

        def objective(model, x, key, step):
            data_key, key = jax.random.split(key)
            return inner(model, moons(data_key, BATCH), key, step)

        rows = np.zeros((steps * BATCH, 2), np.float32)
        optimiser = optax.adam(RATE)
        plan = Plan(lambda budget: Averaged(objective, optimiser), epochs=10_000, batch=BATCH)
        model = plane(jax.nn.selu, seed)
        self.trainer = Trainer(model, rows, rows[:BATCH], plan, key=jax.random.key(seed))
        self.progress, self.steps = self.trainer.start(), steps

    def run(self) -> float:
        """One epoch; seconds a step."""
        began = time.perf_counter()
        for progress in self.trainer._epoch(self.progress, Watch()):
            self.progress = progress
        jax.block_until_ready(self.progress.state.model.field.net.weights)
        seconds = (time.perf_counter() - began) / self.steps
        self.progress, _ = self.trainer._judge(self.progress)
        return seconds

    def samples(self, start: np.ndarray) -> np.ndarray:
        return np.asarray(_carried(self.progress.state.model, jnp.asarray(start)))


@eqx.filter_jit
def _carried(model: ContinuousFlow, start: jax.Array) -> jax.Array:
    return carry(Motion(model.field, None, 0.0, 1.0, 1e-5), start)


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """The 2-Wasserstein distance between as many points."""
    cost = ((a[:, None].astype(np.float64) - b[None]) ** 2).sum(-1)
    return float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))


def matching(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """8 Gaussians to moons: seconds a step, and how far the samples are after a quarter of the
    steps and after all."""
    chunk = max(1, options.steps // options.repetitions)
    times: dict[str, list[float]] = {"unweave": [], "torchcfm": []}
    quarter = max(1, options.repetitions // 4)
    judged = (quarter, options.repetitions)
    distance = {name: {at * chunk: [] for at in judged} for name in times}
    with Peers(options.python, SCRIPT, folder) as peers:
        threads = THREADS[0]
        peers.ask(f"data {options.judged}")
        start, target, again = (
            np.load(folder / f"{name}.npy") for name in ("start", "target", "again")
        )
        for seed in range(options.seeds):
            own = Ours(seed, chunk)
            if seed == 0:
                cold, _ = timed(Ours(99, 8).run)
            for repetition in range(1, options.repetitions + 1):
                time.sleep(_PAUSE)
                times["unweave"].append(own.run())
                answer = peers.ask(f"train {seed} {chunk} {threads}")
                times["torchcfm"].append(answer["seconds"])
                if repetition not in judged:
                    continue
                peers.ask(f"samples {seed}")
                samples = {
                    "unweave": own.samples(start),
                    "torchcfm": np.load(folder / "samples.npy"),
                }
                steps = repetition * chunk
                for name, drawn in samples.items():
                    distance[name][steps].append(wasserstein(drawn, target))
                said = {k: f"{1e3 * np.median(v):.2f} ms, {distance[k][steps][-1]:.3f}"
                        for k, v in times.items()}  # fmt: skip
                say(f"matching, seed {seed}, {steps} steps: {said}")
        versions = peers.versions
    return {
        "times": times,
        "distance": distance,
        "floor": wasserstein(again, target),
        "judged": options.judged,
        "threads": threads,
        "cold": cold,
        "versions": versions,
    }


def truth(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """The density of fitted flows against that of the mixture they were fitted to."""
    schema = Schema("rows", ("entry",), (2,), ("a", "b"), ("", ""))
    data = dataset(mixture(20_000, 0).astype(np.float32), schema)
    fresh = mixture(2000, 5)
    side = np.linspace(-8, 8, 161)
    grid = np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)
    epochs = max(1, options.steps // 78)
    recipes = {
        "flow": flow(epochs=2 * epochs, batch=BATCH, patience=10_000, widths=(64,) * 3),
        "ffjord": ffjord(epochs=max(1, epochs // 2), batch=BATCH, patience=10_000),
    }
    rows = {}
    for name, recipe in recipes.items():
        began = time.perf_counter()
        model = recipe.build(data, jax.random.key(0))
        model = fitted(model, recipe, data.observations, 1)
        seconds = time.perf_counter() - began
        value = _in_batches(model, fresh)
        gap = value - mixture_log_density(fresh)
        whole = np.exp(_in_batches(model, grid)).sum() * (side[1] - side[0]) ** 2
        rows[name] = {
            "seconds": seconds, "mean": float(gap.mean()), "absolute": float(np.abs(gap).mean()),
            "integral": float(whole), "epochs": recipe.plan.epochs,
        }  # fmt: skip
        say(f"{name}: {rows[name]}")
    return {"rows": rows, "fresh": len(fresh)}


def _in_batches(model: ContinuousFlow, x: np.ndarray) -> np.ndarray:
    size = 1000
    x = np.concatenate([x, np.repeat(x[-1:], -len(x) % size, 0)]).astype(np.float32)
    parts = [model.log_densities(jnp.asarray(x[i : i + size])) for i in range(0, len(x), size)]
    return np.concatenate([np.asarray(part, np.float64) for part in parts])[: len(x)]


PARTS = {"density": density, "matching": matching, "truth": truth}


def main() -> None:
    parser = argparse.ArgumentParser(description="Flows beside their peers.")
    parser.add_argument(
        "--python", required=True, help="an interpreter with torchdiffeq and torchcfm"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--judged", type=int, default=2000, help="samples that are compared")
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    results: dict = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, {jax.devices()[0].platform}",
        "versions": {"jax": jax.__version__, "numpy": np.__version__},
        "repetitions": options.repetitions,
        "parts": {},
    }
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            began, busy, own = time.perf_counter(), busy_seconds(), own_seconds()
            part = PARTS[name](options, pathlib.Path(folder))
        others = busy_seconds() - busy - (own_seconds() - own)
        part["others"] = others / ((time.perf_counter() - began) * (os.cpu_count() or 1))
        results["versions"] |= part.pop("versions", {})
        results["parts"][name] = part
        # each part as soon as it is there
        (options.out / "flows.json").write_text(json.dumps(results, indent=1) + "\n")
        (options.out / "FLOWS.md").write_text(page(results))
    say(page(results))


if __name__ == "__main__":
    main()
