"""Networks as discretised equations: gradients beside torchdiffeq, spirals, digits, memory.

python bench/depth.py --python /path/to/python/with/torchdiffeq [--mnist FOLDER] [--only PART]

Writes `DEPTH.md` and `depth.json` beside this file. `--mnist` names the folder with the digits
of `mnist8000-images-idx3-ubyte.gz`; without it that part is left out.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import sys
import tempfile
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from depth_control import control
from depth_page import page
from machine import busy_seconds, own_seconds
from peers import Peers

from unweave import dataset, read_rows
from unweave._replay import Tolerance, solve_batch
from unweave._schema import Schema
from unweave.data import Split
from unweave.networks import MLP, schemes
from unweave.recipes import RECIPES
from unweave.run import fit

HERE = pathlib.Path(__file__).resolve().parent
THREADS = (1, os.cpu_count() or 1)
#: Seconds in which the threads of either side's pool fall asleep.
_PAUSE = 0.3
#: State, hidden layers, batch, times and a factor on PyTorch's start of the weights, with which
#: there is more to solve: the neural ODEs whose gradient is timed.
PROBLEMS = {
    "2-64-64-2": (2, (64, 64), 64, 25, 1.0),
    "64-64-64-64": (64, (64, 64), 256, 25, 1.0),
    "2-64-64-2, weights doubled": (2, (64, 64), 64, 25, 2.0),
    "64-64-64-64, weights doubled": (64, (64, 64), 256, 25, 2.0),
}
TOLERANCE = (1e-4, 1e-6)
FOLDS, SEEDS = 5, 5
#: Recipes and options of the table of digits: within a few per cent the same number of weights.
EQUAL = {
    "resnet": ("resnet", {"width": 16, "blocks": 4}),
    "midpoint": ("rk-net", {"order": "2", "width": 16, "blocks": 4, "shared": False}),
    "rk4": ("rk-net", {"order": "4", "width": 16, "blocks": 4, "shared": False}),
    "polynet": ("polynet", {"width": 16, "blocks": 4}),
    "fractalnet": ("fractalnet", {"width": 16, "blocks": 4}),
    "revnet": ("revnet", {"width": 20, "hidden": 11, "blocks": 4}),
    "lm-resnet": ("lm-resnet", {"width": 16, "blocks": 4}),
    "neural ode": ("ode-net", {"width": 32, "hidden": 8, "tolerance": 1e-2}),
}
#: The neural ODE against a residual network of the same widths and several times its weights.
RIVALS = {
    "resnet": ("resnet", {"width": 32, "blocks": 6}),
    "neural ode": ("ode-net", {"width": 32, "tolerance": 1e-2}),
}


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def gradients(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """Seconds of a neural ODE's gradient by its weights and start."""
    found = {}
    for name, (size, widths, batch, count, factor) in PROBLEMS.items():
        file = name.replace(" ", "-").replace(",", "")
        net = MLP(size, size, widths, activation=jnp.tanh, key=jax.random.key(0))
        net = jax.tree.map(lambda a, f=factor: f * a if eqx.is_array(a) else a, net)
        start = jax.random.normal(jax.random.key(1), (batch, size))
        times = jnp.linspace(0.0, 10.0, count)
        arrays = {f"weight{i}": np.asarray(w) for i, w in enumerate(net.weights)}
        arrays |= {f"bias{i}": np.asarray(b) for i, b in enumerate(net.biases)}
        np.savez(
            folder / f"{file}.npz", start=start, times=times, tolerance=np.asarray(TOLERANCE),
            **arrays,
        )  # fmt: skip
        weights, rest = eqx.partition(net, eqx.is_inexact_array)

        def loss(weights, start, rest=rest, times=times):
            def field(weights, t, x):
                return jax.vmap(eqx.combine(weights, rest))(x)

            states, account = solve_batch(field, weights, start, times, Tolerance(*TOLERANCE))
            return (states**2).mean(), account

        gradient = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
        began = time.perf_counter()
        (value, account), _ = jax.block_until_ready(gradient(weights, start))
        cold = time.perf_counter() - began
        ours: list[float] = []
        cold_peer, answers = {}, {}
        with Peers(options.python, HERE / "peers_depth.py", folder) as peers:
            kinds = ("direct", "adjoint")
            if "torchdyn" in peers.versions:
                kinds += ("torchdyn-direct", "torchdyn-adjoint")
            peer: dict[str, list[float]] = {f"{kind} {n}": [] for kind in kinds for n in THREADS}
            for i in range(-1, options.repetitions):
                time.sleep(_PAUSE)
                began = time.perf_counter()
                jax.block_until_ready(gradient(weights, start))
                if i >= 0:
                    ours.append(time.perf_counter() - began)
                for key, seconds in peer.items():
                    kind, threads = key.split()
                    time.sleep(_PAUSE)
                    answer = peers.ask(f"{kind} {file} {threads}")
                    answers[key] = answer["loss"]
                    if i >= 0:
                        seconds.append(answer["seconds"])
                    else:
                        cold_peer[key] = answer["seconds"]
            loss_peer, versions = answers["direct 1"], peers.versions
        found[name] = {
            "ours": ours, "peer": peer, "cold": cold, "cold_peer": cold_peer,
            "loss": float(value), "loss_peer": loss_peer, "steps": int(account.steps),
            "evaluations": int(account.evaluations), "versions": versions,
        }  # fmt: skip
        say(f"{name}: ours {1e3 * np.median(ours):.2f} ms, " + ", ".join(
            f"{k} {1e3 * np.median(v):.1f}" for k, v in peer.items()))  # fmt: skip
    return found


def spirals(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two arms of two turns each, noise 0.05 on a radius of 1."""
    random = np.random.default_rng(seed)
    arm, share = random.integers(0, 2, n), np.sqrt(random.uniform(size=n))
    angle = 4 * np.pi * share + np.pi * arm
    x = share[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return (x + 0.05 * random.standard_normal((n, 2))).astype(np.float32), arm


def spiral(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """The weight-shared RK4 network of 18,906 weights, from nothing to its accuracy."""
    x, arm = spirals(4200, 0)
    schema = Schema("rows", ("value",), (2,), ("x", "y"), ("", ""))
    data = dataset(x, schema, labels=arm, label_names=("first", "second"))
    split = Split(
        data.take(slice(0, 2000)), data.take(slice(2000, 2200)), data.take(slice(2200, 4200)), ""
    )
    found = []
    for seed in range(SEEDS):
        jax.clear_caches()
        began = time.perf_counter()
        recipe = RECIPES["rk-net"](width=36, hidden=256, epochs=30)
        told = fit(recipe, split, quiet=True, seed=seed).result["prediction"]
        found.append({
            "seconds": time.perf_counter() - began, "accuracy": told["score"],
            "parameters": told["parameters"], "verdict": told["verdict"],
        })  # fmt: skip
        say(f"spiral, seed {seed}: {found[-1]}")
    return {"runs": found}


def memory(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """Bytes that the gradient's program holds beside its arguments, by depth and memory."""
    x = jax.random.normal(jax.random.key(0), (64, 32))
    one = schemes.MLPField(32, (64,), key=jax.random.key(0))
    half = schemes.MLPField(16, (64,), key=jax.random.key(0))
    split = schemes.SplitField(half, half)

    def held(scheme, field, memory, steps):
        depth = schemes.Stepped(scheme, field, steps, None, memory)
        loss = eqx.filter_jit(eqx.filter_grad(lambda d, x: (d.through(x) ** 2).mean()))
        return loss.lower(depth, x).compile().compiled.memory_analysis().temp_size_in_bytes

    sides = {
        "ResNet, direct": (schemes.EULER, one, schemes.Direct()),
        "ResNet, checkpointed": (schemes.EULER, one, schemes.Checkpointed()),
        "ResNet, backsolve": (schemes.EULER, one, schemes.Backsolve()),
        "RevNet, direct": (schemes.Reversible(), split, schemes.Direct()),
        "RevNet, undone": (schemes.Reversible(), split, schemes.Undone()),
    }
    return {name: {str(n): held(*side, n) for n in (16, 64, 256)} for name, side in sides.items()}


def digits(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """Accuracy on held-out digits: one fold after another, and all schemes at equal weights.

    Each run is kept as it ends, and one that is there already is not made again.
    """
    every = read_rows([options.mnist / "mnist8000-images-idx3-ubyte.gz"])
    order = np.random.default_rng(0).permutation(len(every))
    folds = np.array_split(order, FOLDS)
    found = kept().get("digits", {})

    def parted(k: int) -> Split:
        rest = np.concatenate([fold for i, fold in enumerate(folds) if i != k])
        return Split(every.take(rest[200:]), every.take(rest[:200]), every.take(folds[k]), "")

    def run(table, name, side, fold, seed):
        epochs = options.epochs if table == "folds" else options.table_epochs
        given = side[1] | {"epochs": epochs}
        runs = found.setdefault(table, {}).setdefault(name, [])
        about = {"recipe": side[0], "options": given, "fold": fold, "seed": seed}
        if any({k: one[k] for k in about} == about for one in runs):
            return
        # of other options, or of this fold and seed
        runs[:] = [one for one in runs if one["options"] == given and one["fold"] != fold]
        jax.clear_caches()
        busy, own, began = busy_seconds(), own_seconds(), time.perf_counter()
        fitted = fit(RECIPES[side[0]](**given), parted(fold), quiet=True, seed=seed)
        wall, mine = time.perf_counter() - began, own_seconds() - own
        result = fitted.result["prediction"]
        runs.append(about | {
            "accuracy": result["score"], "parameters": result["parameters"],
            "evaluations": result["refined"][0]["evaluations"],
            "moved": result["refined"][0]["moved"],
            "seconds": fitted.result["seconds"], "wall": wall, "processor": mine,
            "others": max(0.0, busy_seconds() - busy - mine),
        })  # fmt: skip
        say(f"{table}, {name}, fold {fold}: {runs[-1]}")
        every_run = [one for sides in found.values() if isinstance(sides, dict)
                     for many in sides.values() for one in many]  # fmt: skip
        time_of_all = sum(one["wall"] for one in every_run) * (os.cpu_count() or 1)
        keep("digits", found | {"others": sum(one["others"] for one in every_run) / time_of_all})

    for k in range(FOLDS):
        for name, side in RIVALS.items():
            run("folds", name, side, k, 0)
    for k in range(options.seeds):
        for name, side in EQUAL.items():
            run("equal", name, side, k % FOLDS, k)
    return kept()["digits"]


def kept() -> dict:
    """What was measured so far."""
    file = HERE / "depth.json"
    return json.loads(file.read_text()) if file.exists() else {}


def keep(name: str, part: dict) -> None:
    """Writes one part into `depth.json`, and the page anew."""
    before, today = kept(), datetime.date.today().isoformat()
    about = {
        "dates": before.get("about", {}).get("dates", {}) | {name: today},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {n: importlib.metadata.version(n) for n in ("unweave", "jax", "equinox")},
    }
    results = before | {name: part, "about": about}
    (HERE / "depth.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "DEPTH.md").write_text(page(results))


PARTS = {
    "gradients": gradients, "spiral": spiral, "memory": memory, "digits": digits,
    "control": control,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", help="an interpreter that has torch and torchdiffeq")
    parser.add_argument("--mnist", type=pathlib.Path, help="the folder with the digits")
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--table-epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--only", action="append", choices=tuple(PARTS))
    options = parser.parse_args()
    for name in options.only or PARTS:
        if (name == "gradients" and not options.python) or (name == "digits" and not options.mnist):
            say(f"{name} is left out: it needs --{'python' if name == 'gradients' else 'mnist'}")
            continue
        busy, own, began = busy_seconds(), own_seconds(), time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            part = PARTS[name](options, pathlib.Path(folder))
        wall = time.perf_counter() - began
        others = max(0.0, (busy_seconds() - busy) - (own_seconds() - own))
        part.setdefault("others", others / (wall * (os.cpu_count() or 1)))
        keep(name, part)


if __name__ == "__main__":
    main()
