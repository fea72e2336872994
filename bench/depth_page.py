"""The page of the depth benchmark, from its numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def page(results: Mapping[str, Any]) -> str:
    """`DEPTH.md`."""
    about = results["about"]
    versions = ", ".join(f"{k} {v}" for k, v in about["versions"].items())
    parts = [
        "# Networks as discretised equations",
        f"Written by `bench/depth.py` on {about['date']}: {about['machine']}; {versions}.",
    ]
    for name, write in _PARTS.items():
        if name in results:
            parts += [*write(results[name]), _others(results[name])]
    return "\n\n".join(parts) + "\n"


def _gradients(part: Mapping[str, Any]) -> list[str]:
    lines = [
        "| field | side | warm, ms | spread | ours is faster by | cold, s |",
        "|---|---|---|---|---|---|",
    ]
    sides = {k: v for k, v in part.items() if k != "others"}
    for name, found in sides.items():
        lines.append(f"| {name} | unweave | {_ms(found['ours'])} | | {found['cold']:.2f} |")
        for key, seconds in found["peer"].items():
            kind, threads = key.split()
            ratio = np.asarray(seconds) / np.asarray(found["ours"])
            low, high = np.quantile(ratio, [0.25, 0.75])
            lines.append(
                f"| {name} | torchdiffeq {kind}, {threads} thread(s) | {_ms(seconds)} | "
                f"{np.median(ratio):.1f} ({low:.1f}–{high:.1f}) | {found['cold_peer'][key]:.2f} |"
            )
    one = next(iter(sides.values()))
    versions = ", ".join(f"{k} {v}" for k, v in one["versions"].items())
    losses = "; ".join(
        f"{n}: loss {f['loss']:.6g} and {f['loss_peer']:.6g}, {f['steps']} steps, "
        f"{f['evaluations']} evaluations"
        for n, f in sides.items()
    )
    return [
        "## Gradient of a neural ODE",
        "By the weights and the start, 25 times in [0, 10], tolerances 1e-4 and 1e-6, float32; "
        "unweave steps with Tsitouras' pair, torchdiffeq with Dormand and Prince's, both of order "
        f"5 and one width for the batch ({versions}). Ratios are taken within a repetition, n = "
        f"{len(one['ours'])}: median and quartiles. {losses}.",
        "\n".join(lines),
    ]


def _spiral(part: Mapping[str, Any]) -> list[str]:
    runs = part["runs"]
    return [
        "## Two spirals",
        "Two arms of two turns, noise 0.05 on a radius of 1; 2,000 points to train, 2,000 to "
        f"test. `rk-net --width 36 --hidden 256`: {runs[0]['parameters']:,} weights, one field "
        f"for all steps. Accuracy {_many([100 * r['accuracy'] for r in runs])} % in "
        f"{_many([r['seconds'] for r in runs])} s, compilation included (n = {len(runs)} seeds, "
        f"median and range). {runs[0]['verdict']}",
    ]


def _memory(part: Mapping[str, Any]) -> list[str]:
    sides = {k: v for k, v in part.items() if k != "others"}
    depths = list(next(iter(sides.values())))
    lines = [f"| | {' | '.join(f'{d} steps' for d in depths)} |", "|---" * (len(depths) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(f'{held[d] / 1024:,.0f}' for d in depths)} |"
        for name, held in sides.items()
    ]
    return [
        "## Memory of the gradient",
        "Kilobytes that the compiled gradient holds beside its arguments: 64 observations of 32 "
        "features, one field of 64 hidden units for all steps.",
        "\n".join(lines),
    ]


def _digits(part: Mapping[str, Any]) -> list[str]:
    lines = ["| scheme | weights | accuracy, % | seconds | answers moved by finer steps, % |"]
    lines += ["|---|---|---|---|---|"]
    for name, runs in part["equal"].items():
        moved = [100 * r["moved"] for r in runs]
        lines.append(
            f"| {name} | {runs[0]['parameters']:,} | {_many([100 * r['accuracy'] for r in runs])} "
            f"| {_many([r['seconds'] for r in runs])} | {_many(moved)} |"
        )
    folds = part["folds"]
    big, small = folds["resnet"], folds["neural ode"]
    share = small[0]["parameters"] / big[0]["parameters"]
    gap = [100 * (a["accuracy"] - b["accuracy"]) for a, b in zip(big, small, strict=True)]
    return [
        "## Digits",
        f"8,000 digits of MNIST in {len(big)} folds. A residual network of {big[0]['parameters']:,}"
        f" weights {_many([100 * r['accuracy'] for r in big])} %, a neural ODE of "
        f"{small[0]['parameters']:,} ({100 * share:.0f} %) "
        f"{_many([100 * r['accuracy'] for r in small])} %: the residual network is ahead by "
        f"{np.mean(gap):.2f} points on average over the folds (from {min(gap):.2f} to "
        f"{max(gap):.2f}). Below, all schemes with about as many weights, fold 1, n = "
        f"{len(next(iter(part['equal'].values())))} seeds: median and range.",
        "\n".join(lines),
    ]


def _control(part: Mapping[str, Any]) -> list[str]:
    marks = (5, 20, 60, 600)
    words = [f"pass {m}" for m in marks] + ["ms a pass", "accuracy, %", "lowest test loss"]
    lines = [f"| training | {' | '.join(words)} |"]
    lines += ["|---" * (1 + len(words)) + "|"]
    for name, runs in part.items():
        if not isinstance(runs, list):
            continue
        cells = [
            _losses([r["train"][r["passes"].index(m)] for r in runs])
            if m in runs[0]["passes"]
            else ""
            for m in marks
        ]
        cost = [1e3 * r["seconds"][-1] / max(r["taken"] - 1, 1) for r in runs]
        accuracy = _many([100 * r["accuracy"] for r in runs])
        lowest = _losses([r["lowest_test"] for r in runs])
        given = f"{' | '.join(cells)} | {np.median(cost):.0f} | {accuracy} | {lowest}"
        lines.append(f"| {name} | {given} |")
    n = len(part["rho found"])
    return [
        "## Successive approximations",
        f"The loss in nats of {part['n']:,} of the small digits, all of them in every pass, of a "
        "residual network of 6 dense blocks of 16 features, before the given pass is made: by the "
        "extended method of successive approximations, 5 iterations of L-BFGS a layer, with rho "
        "found, rho 1 in every step, and without the extension (rho 0); and by Adam at three "
        f"rates. The accuracy is that of {part['n_test']} test digits after the last pass, and the "
        "lowest loss of them that of any pass; a pass is in the processor's milliseconds, "
        f"compilation left out. n = {n} seeds, median and range.",
        "\n".join(lines),
    ]


def _losses(values: Sequence[float]) -> str:
    lost = sum(value > 1e6 for value in values)
    if lost:
        return f"lost in {lost} of {len(values)}"
    return f"{np.median(values):.2g} ({min(values):.2g}–{max(values):.2g})"


def _others(part: Mapping[str, Any]) -> str:
    return f"Other programs took {100 * part['others']:.0f} % of the processor meanwhile."


def _ms(seconds: Sequence[float]) -> str:
    low, high = np.quantile(seconds, [0.25, 0.75])
    return f"{1e3 * np.median(seconds):.2f} | {1e3 * low:.2f}–{1e3 * high:.2f}"


def _many(values: Sequence[float]) -> str:
    return f"{np.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


_PARTS = {
    "gradients": _gradients, "spiral": _spiral, "memory": _memory, "digits": _digits,
    "control": _control,
}  # fmt: skip
