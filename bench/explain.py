"""Attributions: beside Captum on the same weights, on planted evidence, and of known equations.

python bench/explain.py [--python INTERPRETER] [--seeds 3] [--only captum|words|loud|equations]

INTERPRETER is one that has PyTorch and Captum. Goes on where it stopped: each part is kept in
`explain.json` beside this file, and `EXPLAIN.md` is written after each.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import tempfile
import time
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from unweave import Schema, explain, targets
from unweave.data import Dataset, dataset, split_at_random
from unweave.equations import zoo_model
from unweave.networks import MLP
from unweave.recipes import dgcnn
from unweave.run import fit
from unweave.targets import Target

HERE = pathlib.Path(__file__).resolve().parent
#: Dense networks, their input and hidden sizes, and how many inputs at once.
NETS = {
    "140-64-64-5": (140, (64, 64), 5), "784-256-256-10": (784, (256, 256), 10),
    "784-1024-1024-10": (784, (1024, 1024), 10),
}  # fmt: skip
BATCHES, NODES, WINDOW, REPEATS = (1, 64), 50, 4, 9
EQUATIONS = ("logistic", "lotka-volterra", "sir", "fitzhugh-nagumo", "van-der-pol")
#: A word of eight samples, and others of which no two in a row have more than six signs of it.
WORD = "+++--+--"
OTHERS = ("+-+-++--", "--++-+--", "++---++-", "+-+-+---", "-++--++-")
#: Methods of the table, and the random orders they stand beside: any, or as smooth as they are.
METHODS = {
    "saliency": (explain.saliency, explain.shuffled),
    "gradient times input": (explain.gradient_times_input, explain.shuffled),
    "integrated gradients": (explain.integrated_gradients, explain.shuffled),
    "SmoothGrad": (explain.smooth_grad, explain.shuffled),
    "occlusion": (partial(explain.occlusion, window=(4, 1), stride=(2, 1)), explain.rolled),
    "LIME": (partial(explain.lime, window=(4, 1), draws=400), explain.rolled),
    "Grad-CAM": (explain.grad_cam, explain.rolled),
}
EVERY = ("saliency", "gradient times input", "integrated gradients", "occlusion")


class First(eqx.Module):
    """The first output of a net."""

    net: MLP

    def __call__(self, x, condition):
        return self.net(x)[0]


def timed(call):
    """Values, seconds of the first call, in which the program is compiled, and of some later; those
    of the processor, which mean the same whatever else is running."""
    began = time.process_time()
    values = call().values
    cold, warm = time.process_time() - began, []
    for _ in range(REPEATS):
        began = time.process_time()
        call()
        warm.append(time.process_time() - began)
    return values, cold, warm


def beside_captum(name: str, batch: int, seed: int, python: str) -> dict:
    """Ours, then Captum, then ours again, in turns on the same machine."""
    size, widths, out = NETS[name]
    net = MLP(size, out, widths, key=jax.random.key(seed))
    x = np.random.default_rng(seed).normal(size=(batch, size)).astype(np.float32)
    target = Target(First(net), "first")
    calls = {
        "saliency": partial(explain.saliency, target, x),
        "gradient times input": partial(explain.gradient_times_input, target, x),
        "integrated gradients": partial(
            explain.integrated_gradients, target, x, nodes=NODES, tolerance=np.inf
        ),
        "occlusion": partial(explain.occlusion, target, x, window=(WINDOW,)),
    }
    jax.clear_caches()
    ours = {method: timed(call) for method, call in calls.items()}
    arrays = {"x": x, "layers": len(net.weights), "repeats": REPEATS, "nodes": NODES,
              "window": WINDOW}  # fmt: skip
    for i, (weight, bias) in enumerate(zip(net.weights, net.biases, strict=True)):
        arrays |= {f"w{i}": np.asarray(weight), f"b{i}": np.asarray(bias)}
    with tempfile.TemporaryDirectory() as folder:
        given, answer = f"{folder}/weights.npz", f"{folder}/found.npz"
        np.savez(given, **arrays)
        subprocess.run([python, str(HERE / "explain_peer.py"), given, answer], check=True)
        found = np.load(answer)
        told = json.loads(str(found["times"]))
        theirs = {method: found[method] for method in EVERY}
    again = {method: timed(call) for method, call in calls.items()}
    rows = {}
    for method in EVERY:
        # ours shares a window's difference out over its entries, Captum gives it to each of them
        mine = ours[method][0] * (WINDOW if method == "occlusion" else 1)
        gap = np.abs(mine - theirs[method]).max() / np.abs(theirs[method]).max()
        rows[method] = {
            "gap": float(gap), "cold": ours[method][1],
            "warm": ours[method][2] + again[method][2], "theirs": told["times"][method],
        }  # fmt: skip
    return {"rows": rows, "versions": told["versions"]}


def loud(n: int, seed: int = 0, length: int = 64) -> Dataset:
    """Series whose class is the sign of a narrow bump that is louder than the noise about it,
    beside a rough burst that means nothing."""
    rng = np.random.default_rng(seed)
    labels, t = rng.integers(2, size=n), np.arange(length)
    place = rng.integers(8, length - 8, size=n)
    other = np.clip((place + rng.integers(16, length - 16, size=n)) % length, 8, length - 8)

    def bell(centre, width):
        return np.exp(-0.5 * ((t[None] - centre[:, None]) / width) ** 2)

    bump = 1.5 * bell(place, 2.0) * np.where(labels, 1, -1)[:, None]
    burst = 0.8 * (1 + np.cos(np.pi * t)) * bell(other, 4.0) * rng.choice([-1, 1], n)[:, None]
    return _series(bump + burst + 0.3 * rng.normal(size=(n, length)), labels, ("down", "up"))


def words(n: int, seed: int = 0, slots: int = 8) -> Dataset:
    """Series of eight words, each eight samples of 1 or -1 and a little noise; the class is whether
    one of them is `WORD`, so that where it stands nothing is louder than elsewhere."""
    rng = np.random.default_rng(seed)
    labels, place = rng.integers(2, size=n), rng.integers(slots, size=n)
    book = np.where(np.array([list(word) for word in (*OTHERS, WORD)]) == "+", 1.0, -1.0)
    said = rng.integers(len(OTHERS), size=(n, slots))
    there = labels == 1
    said[there, place[there]] = len(OTHERS)
    x = book[said].reshape(n, -1)
    return _series(x + 0.2 * rng.normal(size=x.shape), labels, ("absent", "present"))


def _series(x: np.ndarray, labels: np.ndarray, names: tuple[str, str]) -> Dataset:
    schema = Schema("series", ("time", "channel"), (x.shape[1], 1), ("v",), ("mV",))
    return dataset(x.astype(np.float32)[..., None], schema, labels=labels, label_names=names)


#: What is planted: the series, how many of them, how the net is trained, and what is asked about.
PLANTED = {
    "words": (words, 3000, {"width": 16, "epochs": 20, "learning_rate": 3e-3}, "present"),
    "loud": (loud, 800, {"width": 8, "epochs": 30}, "up"),
}


def on_planted(kind: str, seed: int, *, orders: int = 100, redraws: int = 10) -> dict:
    """Every method with its checks, on a classifier of planted evidence."""
    series, n, options, name = PLANTED[kind]
    data = split_at_random(series(n, seed))
    run = fit(dgcnn(**options, batch=32), data, quiet=True, seed=seed)
    x = data.test.observations[data.test.labels == 1][:100]
    target, rows = targets.class_logit(run.model, name), {}
    for method, (call, null) in METHODS.items():
        trust = explain.trusted(
            call, target, x, orders=orders, null=null, redraws=redraws, seed=seed
        )
        deletion, insertion = trust.orders.deletion, trust.orders.insertion
        rows[method] = {
            "completeness": float(np.median(trust.completeness)),
            "worst": float(np.max(trust.completeness)),
            "deletion": deletion.area, "beaten": deletion.beaten,
            "random": [float(deletion.random.mean()), float(deletion.random.std())],
            "insertion": insertion.area, "inserted": insertion.beaten,
            "rank": float(np.median(trust.redrawn.rank)),
            "redrawn": float(np.median(trust.redrawn.area)),
            "left": float(
                (deletion.random.mean() - np.median(trust.redrawn.area))
                / (deletion.random.mean() - deletion.area)
            ),
            "spread": trust.spread, "saturated": float(trust.saturated.mean()),
        }  # fmt: skip
    return {"score": run.result["prediction"]["score"], "n": len(x), "rows": rows}


def of_equation(name: str, seed: int) -> dict:
    """Attributions of an output at random latents, against the exact sensitivities there, by
    central differences of the equation."""
    model = zoo_model(name)
    rng = np.random.default_rng(seed)
    n, steps = 8, len(model.times)
    with jax.enable_x64(True):
        e = 0.3 * rng.normal(size=(n, model.latents.size))
        z = np.asarray(jax.vmap(model.latents.from_normal)(jnp.asarray(e)))
        centre = np.asarray(model.latents.from_normal(jnp.zeros(model.latents.size)))
        target = targets.output(model, (steps // 2, 0))
        exact = np.stack([explain.sensitivity(model, row).slopes[:, steps // 2, 0] for row in z])
        value = jax.jit(jax.vmap(lambda z: model.decode(z)[steps // 2, 0]))
        step = 1e-5 * np.maximum(np.abs(z), 1e-3)
        differences = np.stack([
            np.asarray(value(z + step * unit) - value(z - step * unit)) / (2 * step[:, i])
            for i, unit in enumerate(np.eye(z.shape[1]))
        ], axis=1)  # fmt: skip
        near = z + 1e-3 * (centre - z)
        found = {
            "finite differences": differences,
            "saliency": explain.saliency(target, z).values,
            "SmoothGrad": explain.smooth_grad(target, z, sigma=1e-4 * z.std(0)).values,
            "gradient times input": np.asarray(
                explain.gradient_times_input(target, z, baseline=near).values / (z - near)
            ),
            "integrated gradients": np.asarray(
                explain.integrated_gradients(target, z, baseline=near).values / (z - near)
            ),
            "occlusion": np.stack([
                explain.occlusion(target, row[None], fill=explain.Value(jnp.asarray(at))).values[0]
                / (row - at) for row, at in zip(z, near, strict=True)
            ]),
        }  # fmt: skip
        far = explain.integrated_gradients(target, z, baseline=centre)
    spread = z.std(0)
    return {
        "correlation": {
            method: [float(np.corrcoef((a * spread), (b * spread))[0, 1])
                     for a, b in zip(values, exact, strict=True)]
            for method, values in found.items()
        },
        "completeness": float(far.completeness.max()), "latents": int(z.shape[1]), "n": n,
    }  # fmt: skip


def spread(values: list[float], form: str = "{:.3g}") -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{form.format(middle)} ({form.format(low)}–{form.format(high)})"


def captum_lines(parts: dict) -> list[str]:
    if not parts:
        return []
    versions = next(iter(parts.values()))["versions"]
    lines = [
        "", "## Beside Captum", "",
        f"Dense ReLU networks with the same weights; PyTorch {versions['torch']}, Captum "
        f"{versions['captum']}, ours before and after it; seconds of the processor, one core for "
        "both, on a machine that others used at the same time. Integrated gradients by "
        f"{NODES} Gauss-Legendre nodes, occlusion by windows of {WINDOW}. The gap is "
        "the largest difference over the largest value, the worst of the seeds. Seconds a call: "
        "warm the median (least–most) over all seeds and repeats, and how much faster ours is by "
        "the medians and by the least; cold the first call, compiling "
        "included, the median of the seeds.",
        "",
        "| network | inputs | method | gap | ours, ms | Captum, ms | faster by | by the least | "
        "ours cold, s | Captum cold, s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    groups: dict[tuple[str, str], list[dict]] = {}
    for key, part in parts.items():
        name, batch, _ = key.split("|")
        groups.setdefault((name, batch), []).append(part["rows"])
    for (name, batch), rows in groups.items():
        for method in EVERY:
            own = [1e3 * s for row in rows for s in row[method]["warm"]]
            their = [1e3 * s for row in rows for s in row[method]["theirs"]["warm"]]
            cold = statistics.median(row[method]["cold"] for row in rows)
            cold_theirs = statistics.median(row[method]["theirs"]["cold"] for row in rows)
            times = statistics.median(their) / statistics.median(own)
            gap = max(row[method]["gap"] for row in rows)
            lines.append(
                f"| {name} | {batch} | {method} | {gap:.1e} | {spread(own)} | {spread(their)} | "
                f"{times:.2f} | {min(their) / min(own):.2f} | {cold:.2g} | {cold_theirs:.2g} |"
            )
    return lines


#: What is said of each kind of planted evidence.
TOLD = {
    "words": (
        "## Planted evidence", "Series of eight words of eight samples, each +1 or -1 and a little "
        "noise; whether one of them is a certain word, at any place, is the class. Nothing is "
        "louder there than elsewhere, so that an input by itself does not tell where.",
    ),
    "loud": (
        "## Evidence that is loud", "Series of 64 samples whose class is the sign of a narrow bump "
        "at a random place, beside a rough burst of any sign that means nothing, in noise that is "
        "fainter than both. Any model, also one that knows nothing, makes most of such an input "
        "where the input is, so that a part of the advantage stays with redrawn weights.",
    ),
}  # fmt: skip


def planted_lines(kind: str, parts: dict) -> list[str]:
    if not parts:
        return []
    every, (title, told) = list(parts.values()), TOLD[kind]
    lines = [
        "", title, "",
        f"{told} {PLANTED[kind][1]:,} series, `dgcnn` of width {PLANTED[kind][2]['width']}; its "
        f"accuracy on the test part {spread([p['score'] for p in every])}. Areas under deletion "
        f"and insertion over {min(p['n'] for p in every)} or more test series of one class, and "
        "how many of 100 random orders are worse, of occlusion, LIME and Grad-CAM ones that are as "
        "smooth (the same, elsewhere); then the same deletion in the order that ten models with "
        "redrawn weights give, what is left there of the advantage over random orders, and their "
        f"rank correlation (medians). Median (least–most) of {len(every)} seeds.",
        "",
        "| method | completeness error | deletion | random orders | beaten | insertion | beaten | "
        "redrawn: deletion | advantage left | rank correlation | spread over keys | saturated |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for method in every[0]["rows"]:
        rows = [p["rows"][method] for p in every]

        def cell(name: str, form: str = "{:.2f}", rows: list = rows) -> str:
            values = [row[name] for row in rows]
            return spread(values, form) if np.isfinite(values).all() else "slopes"

        random = statistics.median(row["random"][0] for row in rows)
        sd = statistics.median(row["random"][1] for row in rows)
        lines.append(
            f"| {method} | {cell('completeness', '{:.1%}')} | {cell('deletion')} | {random:.2f} ± "
            f"{sd:.2f} | {cell('beaten', '{:.0%}')} | {cell('insertion')} | "
            f"{cell('inserted', '{:.0%}')} | {cell('redrawn')} | "
            f"{cell('left', '{:.0%}')} | {cell('rank')} | {cell('spread')} | "
            f"{cell('saturated', '{:.0%}')} |"
        )
    return lines


def equation_lines(parts: dict) -> list[str]:
    if not parts:
        return []
    lines = [
        "", "## Known equations", "",
        "The value in the middle of a course, explained by the latents, at eight random latents a "
        "seed: the correlation of an attribution, for one unit of each latent, with the exact "
        "sensitivity (forward mode), both times the latent's spread. SmoothGrad's noise is a ten "
        "thousandth of that spread; contributions are from a baseline a thousandth of the way to "
        "the prior's centre. The least of all latents and seeds; and the worst completeness error "
        "of integrated gradients from the centre itself.",
        "",
    ]  # fmt: skip
    groups: dict[str, list[dict]] = {}
    for key, part in parts.items():
        groups.setdefault(key.split("|")[0], []).append(part)
    methods = list(next(iter(parts.values()))["correlation"])
    lines += [
        f"| equation | latents | n | {' | '.join(methods)} | completeness error |",
        "|---|" + "---|" * (len(methods) + 3),
    ]
    for name, found in groups.items():
        least = [min(min(p["correlation"][m]) for p in found) for m in methods]
        n = sum(p["n"] for p in found)
        lines.append(
            f"| {name} | {found[0]['latents']} | {n} | {' | '.join(f'{v:.5f}' for v in least)} | "
            f"{max(p['completeness'] for p in found):.2%} |"
        )
    return lines


def page(results: dict) -> str:
    lines = [
        "# What attributions are worth", "",
        f"Written by `bench/explain.py`. {results['date']}, {results['machine']}.",
        *captum_lines(results["captum"]), *planted_lines("words", results["words"]),
        *planted_lines("loud", results["loud"]), *equation_lines(results["equations"]),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", help="an interpreter with PyTorch and Captum")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=("captum", *PLANTED, "equations"))
    options = parser.parse_args()
    if options.only == "captum":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    file = HERE / "explain.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    for part in ("captum", *PLANTED, "equations"):
        results.setdefault(part, {})
    todo = []
    for seed in range(options.seeds):
        todo += [(kind, f"{seed}", partial(on_planted, kind, seed)) for kind in PLANTED]
        todo += [("equations", f"{n}|{seed}", partial(of_equation, n, seed)) for n in EQUATIONS]
        if options.python:
            todo += [
                ("captum", f"{n}|{b}|{seed}", partial(beside_captum, n, b, seed, options.python))
                for n in NETS for b in BATCHES
            ]  # fmt: skip
    for part, key, call in todo:
        if key in results[part] or options.only not in (None, part):
            continue
        print(part, key, flush=True)
        results[part][key] = call()
        results["date"] = datetime.date.today().isoformat()
        results["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, JAX {jax.__version__}"
        file.write_text(json.dumps(results, indent=1))
        (HERE / "EXPLAIN.md").write_text(page(results))


if __name__ == "__main__":
    main()
