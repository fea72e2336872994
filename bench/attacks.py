"""Attacks beside torchattacks and foolbox on ported weights; what training against them buys.

python bench/attacks.py --data /path/to/folder/with/mnist/and/ecg5000 [--python /path/to/python]
    [--only peers masked defended ecg] [--seeds 3]

`--python` is an interpreter with torch, torchattacks and foolbox. Goes on where it stopped: each
row is kept in `attacks.json`, each fitted model in `attacks-models` (not part of the repository);
writes `ATTACKS.md`. For fair seconds run `--only peers`, which keeps to one core.
"""

import argparse
import datetime
import gzip
import json
import os
import pathlib
import platform
import statistics
import subprocess
import time
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from attacks_page import page

from unweave import Schema
from unweave.data import Dataset, Split, dataset, split_at_random
from unweave.networks import MLP, conv_encoder
from unweave.networks._mlp import Flat
from unweave.networks.schemes import AbstractNet, Classifier
from unweave.recipes import resnet
from unweave.recipes._predict import predictor
from unweave.robust import (
    APGD,
    PGD,
    LInf,
    Noise,
    Smooth,
    Square,
    Transfer,
    apgd_dlr,
    attack,
)
from unweave.run import fit
from unweave.train import Recipe

HERE = pathlib.Path(__file__).resolve().parent
MODELS = HERE / "attacks-models"
#: Of the 8,000 digits: those that train, those that are attacked.
TRAIN, ATTACKED = 7000, 500
RANGE = 255.0
RADII = (0.05, 0.1, 0.3)
#: Both libraries and ours take as many steps of the same length, in radii.
STEPS, STEP, AUTO = 40, 2.5 / 40, 100
#: Width of the convolutions, hidden units, epochs; the radius that is trained against.
CHANNELS, WIDTHS, EPOCHS, AGAINST = (16, 32), (256, 256), {"mlp": 20, "cnn": 12}, 0.1
#: How often a call is timed, ours and theirs in turn.
REPEATS = {"mlp": 5, "cnn": 1}
#: The smooth budget of heartbeats: samples of 140, z-scored units.
BEAT_WIDTH, BEAT_RADII, BEAT_AGAINST = 4.0, (0.1, 0.2, 0.4), 0.2


class Plain(AbstractNet):
    """Any net on pixels from 0 to 1, made of bytes; `sharp` and `grid` mask its slope."""

    net: Callable
    sharp: float = 1.0
    grid: float = 0.0

    def answers(self, x, condition=None, *, key=None):
        x = x.astype(jnp.float32) / RANGE
        if self.grid:
            x = jnp.round(x / self.grid) * self.grid
        return self.sharp * jax.vmap(self.net)(x)


def net_of(kind: str, key) -> Callable:
    if kind == "mlp":
        return Flat(MLP(784, 10, WIDTHS, key=key), (10,))
    return conv_encoder((28, 28, 1), 10, channels=CHANNELS, widths=(64,), key=key)


def recipe_of(kind: str, trained: str) -> Recipe:
    options = {
        "epochs": EPOCHS[kind], "batch": 64, "learning_rate": 2e-3, "patience": None,
        "adversarial": trained, "epsilon": 0.0 if trained == "none" else AGAINST * RANGE,
        "smooth": 0.0, "attack_steps": 7,
    }  # fmt: skip
    return predictor(kind, options, lambda data, answers, key: Plain(net_of(kind, key)))


def digits(folder: pathlib.Path) -> tuple[Split, np.ndarray, np.ndarray]:
    read = {
        name: np.frombuffer(
            gzip.decompress((folder / "mnist" / f"mnist8000-{name}-ubyte.gz").read_bytes()),
            np.uint8, offset=16 if "images" in name else 8,
        )
        for name in ("images-idx3", "labels-idx1")
    }  # fmt: skip
    x, y = read["images-idx3"].reshape(-1, 28, 28, 1), read["labels-idx1"].astype(int)
    schema = Schema("images", ("row", "column", "channel"), (28, 28, 1), ("grey",), ("",))
    every = dataset(x, schema, labels=y, label_names=tuple("0123456789"))
    parts = (slice(0, TRAIN), slice(TRAIN + ATTACKED, None), slice(TRAIN, TRAIN + ATTACKED))
    split = Split(*(every.take(part) for part in parts), how="the first 7,000 train")
    return split, split.test.observations, y[TRAIN : TRAIN + ATTACKED]


def beats(folder: pathlib.Path) -> Split:
    """ECG5000's own test part tests (2,500 of it), its training part trains and stops."""
    with gzip.open(folder / "ecg5000" / "ECG5000_TRAIN.txt.gz") as file:
        train = np.loadtxt(file)
    test = np.load(folder / "ecg5000" / "ECG5000_TEST_part_a.npz")
    schema = Schema("series", ("time", "channel"), (140, 1), ("ECG",), ("z",))

    def made(x: np.ndarray, y: np.ndarray) -> Dataset:
        return dataset(
            x.astype(np.float32)[..., None], schema, labels=(y != 1).astype(int),
            label_names=("normal", "abnormal"),
        )  # fmt: skip

    parts = split_at_random(made(train[:, 1:], train[:, 0]), test=0.1, validation=0.1)
    seen = made(train[:, 1:], train[:, 0])
    return Split(seen, parts.validation, made(test["x"], test["y"]), how="ECG5000's own")


def model_of(name: str, recipe: Recipe, split: Split, seed: int) -> tuple[Classifier, float]:
    """The model, fitted or from its file, and the seconds that its fit took."""
    MODELS.mkdir(exist_ok=True)
    file = MODELS / f"{name}-{seed}.npz"
    if not file.exists():
        began = time.perf_counter()
        model = fit(recipe, split, seed=seed, quiet=True).model
        arrays = [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_array))]
        numbered = {f"a{i}": array for i, array in enumerate(arrays)}
        np.savez(file, seconds=time.perf_counter() - began, **numbered)
    kept = np.load(file)
    plain = recipe.build(split.train, jax.random.key(0))
    arrays, static = eqx.partition(plain, eqx.is_array)
    leaves, shape = jax.tree.flatten(arrays)
    there = [jnp.asarray(kept[f"a{i}"]) for i in range(len(leaves))]
    return eqx.combine(jax.tree.unflatten(shape, there), static), float(kept["seconds"])


class Peers:
    """The interpreter with the other libraries, which answers one question at a time."""

    def __init__(self, python: str, folder: pathlib.Path):
        script = str(HERE / "peers_attacks.py")
        self.process = subprocess.Popen(
            [python, script, "serve", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self.versions = self.read()

    def ask(self, **question) -> dict:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.read()

    def read(self) -> dict:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the other interpreter has stopped; run peers_attacks.py by hand.")
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def port(kind: str, model: Classifier, x: np.ndarray, y: np.ndarray) -> None:
    """The weights and the digits for the other interpreter."""
    net = model.net.net
    dense = net.net if kind == "mlp" else net.layers[-1].net
    arrays = {f"w{i}": np.asarray(w) for i, w in enumerate(dense.weights)}
    arrays |= {f"b{i}": np.asarray(b) for i, b in enumerate(dense.biases)}
    for i, layer in enumerate(net.layers[:-1] if kind == "cnn" else ()):
        arrays |= {f"cw{i}": np.asarray(layer.weight), f"cb{i}": np.asarray(layer.bias)}
    np.savez(MODELS / f"port-{kind}.npz", **arrays)
    np.savez(MODELS / "port-digits.npz", x=x.astype(np.float32) / RANGE, y=y)


def beside_peers(options, keep: Callable) -> None:
    """PGD and APGD, ours and theirs in turn, on one model and budget."""
    split, x, y = digits(options.data)
    peers = Peers(options.python, MODELS)
    for kind in ("mlp", "cnn"):
        model, _ = model_of(f"{kind}-none", recipe_of(kind, "none"), split, 0)
        port(kind, model, x, y)
        same = peers.ask(kind=kind, what="answers")
        ours = np.asarray(model.predict(jnp.asarray(x[:50])))
        assert np.allclose(ours, same["answers"], atol=1e-3), "the ported model is another"
        for radius in RADII:
            for what in ("pgd", "apgd"):
                for seed in range(options.seeds):
                    row = {"part": "peers", "net": kind, "radius": radius, "what": what}
                    keep(row | {"seed": seed}, lambda: one_call(peers, row, model, x, y, seed))  # noqa: B023
    peers.close()


def one_call(peers: Peers, row: dict, model: Classifier, x, y, seed: int) -> dict:
    tool = PGD(steps=STEPS, step_size=STEP) if row["what"] == "pgd" else APGD(steps=AUTO)
    libraries = ("torchattacks", "foolbox") if row["what"] == "pgd" else ("torchattacks",)
    names = ("ours", "whole", *libraries)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    found = {}
    for _ in range(1 + REPEATS[row["net"]]):
        for name in ("ours", "whole"):
            began = time.process_time()
            verdict = attack(
                model, x, budget=LInf(row["radius"] * RANGE), answers=y, attacks=(tool,),
                checks=False, early_stop=name == "ours", quiet=True, seed=seed,
            )  # fmt: skip
            seconds[name].append(time.process_time() - began)
            found[name], found["clean"] = verdict.robust, verdict.clean
        for name in libraries:
            answer = peers.ask(
                kind=row["net"], what=row["what"], library=name, radius=row["radius"],
                steps=STEPS if row["what"] == "pgd" else AUTO, step=STEP, seed=seed,
            )  # fmt: skip
            seconds[name].append(answer["seconds"])
            found[name] = answer["robust"]
    return {
        "robust": found,
        "cold": {name: times[0] for name, times in seconds.items()},
        "warm": {name: statistics.median(times[1:]) for name, times in seconds.items()},
        "ratios": {
            f"{name} by {own}": sorted(
                t / o for t, o in zip(seconds[name][1:], seconds[own][1:], strict=True)
            )
            for name in libraries
            for own in ("ours", "whole")
        },
        "versions": peers.versions,
    }


def masked(options, keep: Callable) -> None:
    """What is said of a model that hides its slope, and of the same that does not."""
    split, x, y = digits(options.data)
    model, _ = model_of("mlp-none", recipe_of("mlp", "none"), split, 0)
    other, _ = model_of("mlp-none", recipe_of("mlp", "none"), split, 1)
    kinds = {
        "as it is": model.net,
        "answers times 10,000": Plain(model.net.net, sharp=1e4),
        "inputs rounded to tenths": Plain(model.net.net, grid=0.1),
    }
    transfer = Transfer((other,), APGD(steps=AUTO))
    attacks = (PGD(steps=STEPS), APGD(steps=AUTO), apgd_dlr(steps=AUTO), Square(1000), transfer)
    for name, net in kinds.items():

        def found(net=net) -> dict:
            hidden = Classifier(net=net, names=model.names)
            verdict = attack(
                hidden, x, budget=LInf(0.1 * RANGE), answers=y, attacks=attacks, quiet=True
            )
            return verdict.plain()

        keep({"part": "masked", "model": name, "seed": 0}, found)


def defended(options, keep: Callable) -> None:
    """Clean and robust accuracy of digits, trained plainly and against an adversary."""
    split, x, y = digits(options.data)
    for kind in ("mlp", "cnn"):
        for seed in range(options.seeds):
            for trained in ("none", "pgd", "trades"):

                def found(kind=kind, trained=trained, seed=seed) -> dict:
                    model, seconds = model_of(
                        f"{kind}-{trained}", recipe_of(kind, trained), split, seed
                    )
                    return {"seconds": seconds, "robust": against(model, x, y, RADII[:2], seed)}

                keep({"part": "defended", "net": kind, "trained": trained, "seed": seed}, found)


def against(model: Classifier, x, y, radii, seed: int) -> dict:
    told = {}
    for radius in radii:
        verdict = attack(
            model, x, budget=LInf(radius * RANGE), answers=y, early_stop=True, quiet=True, seed=seed
        )
        told[str(radius)] = verdict.plain()
    return told


def heartbeats(options, keep: Callable) -> None:
    """Normal against abnormal heartbeats, within a smooth budget."""
    split = beats(options.data)
    some = split.test.thinned(ATTACKED)
    for seed in range(options.seeds):
        for trained in ("none", "pgd", "trades"):

            def found(trained=trained, seed=seed) -> dict:
                more = {} if trained == "none" else {"epsilon": BEAT_AGAINST, "smooth": BEAT_WIDTH}
                recipe = resnet(
                    width=16, blocks=2, epochs=40, batch=32, learning_rate=2e-3,
                    adversarial=trained, **more,
                )  # fmt: skip
                model, seconds = model_of(f"ecg-{trained}", recipe, split, seed)
                told: dict = {"seconds": seconds, "robust": {}, "square": {}}
                for radius in BEAT_RADII:
                    flat = LInf(radius)
                    for kind, budget in (("robust", Smooth(flat, BEAT_WIDTH)), ("square", flat)):
                        verdict = attack(
                            model, some.observations, budget=budget, answers=some.labels,
                            attacks=(APGD(steps=50), apgd_dlr(steps=50), Square(500), Noise(50)),
                            early_stop=True, quiet=True, seed=seed,
                        )  # fmt: skip
                        told[kind][str(radius)] = verdict.plain()
                return told

            keep({"part": "ecg", "trained": trained, "seed": seed}, found)


PARTS = {"peers": beside_peers, "masked": masked, "defended": defended, "ecg": heartbeats}


def main() -> None:
    parser = argparse.ArgumentParser(description="Attacks beside peers, and defences.")
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--python", help="an interpreter with torch, torchattacks and foolbox")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    options = parser.parse_args()
    if options.only == ["peers"]:
        # one core for both, which answer in turn: processor seconds then mean the same for both,
        # whatever else is running
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    file = HERE / "attacks.json"
    results = json.loads(file.read_text()) if file.exists() else {"rows": []}

    def keep(key: dict, found: Callable[[], dict]) -> None:
        if any({k: row.get(k) for k in key} == key for row in results["rows"]):
            return
        row = key | found()
        print(json.dumps(row)[:400], flush=True)
        results["rows"].append(row)
        results["date"] = datetime.date.today().isoformat()
        results["machine"] = (
            f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
            f"jax {jax.__version__}"
        )
        file.write_text(json.dumps(results, indent=1) + "\n")
        (HERE / "ATTACKS.md").write_text(page(results))

    for name in options.only:
        if name == "peers" and not options.python:
            print("peers are left out: they need --python", flush=True)
            continue
        PARTS[name](options, keep)
    (HERE / "ATTACKS.md").write_text(page(results))


if __name__ == "__main__":
    main()
