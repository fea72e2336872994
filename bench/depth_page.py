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
        f"Written by `bench/depth.py`: {about['machine']}; {versions}.",
    ]
    for name, write in _PARTS.items():
        if name in results:
            parts += [*write(results[name]), _others(results[name], about["dates"][name])]
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
                f"| {name} | {_side(kind)}, {threads} thread(s) | {_ms(seconds)} | "
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
        "unweave steps with Tsitouras' pair, its peers with Dormand and Prince's, both of order "
        f"5 and one width for the batch ({versions}). Ratios are taken within a repetition, n = "
        f"{len(one['ours'])}: median and quartiles. {losses}.",
        "\n".join(lines),
    ]


def _side(kind: str) -> str:
    return kind.replace("-", " ") if kind.startswith("torchdyn") else f"torchdiffeq {kind}"


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
    sides = {k: sorted(v, key=lambda r: r["fold"]) for k, v in part["folds"].items()}
    if len(sides) < 2:
        return ["## Digits", "Not measured to the end yet."]
    big, small = sides["resnet"], sides["neural ode"]
    share = small[0]["parameters"] / big[0]["parameters"]
    folds = sorted({r["fold"] for r in big} & {r["fold"] for r in small})
    of = {name: {r["fold"]: 100 * r["accuracy"] for r in runs} for name, runs in sides.items()}
    gap = [of["resnet"][k] - of["neural ode"][k] for k in folds]
    heads = " | ".join(f"fold {k + 1}" for k in folds)
    first = [
        f"| | weights | field asked | {heads} | mean | seconds, compilation included | processor |",
        "|---" * (len(folds) + 6) + "|",
    ]
    for name, runs in sides.items():
        runs = [r for r in runs if r["fold"] in folds]
        each = " | ".join(f"{of[name][k]:.2f}" for k in folds)
        first.append(
            f"| {name} | {runs[0]['parameters']:,} | {_many([r['evaluations'] for r in runs], 0)} "
            f"| {each} | {np.mean([of[name][k] for k in folds]):.2f} | "
            f"{_many([r['seconds'] for r in runs], 0)} | "
            f"{_many([r['processor'] for r in runs], 0)} |"
        )
    parts = [
        "## Digits",
        f"8,000 digits of MNIST in {_FOLDS} folds of 1,600, of the rest 200 to look at and "
        f"6,200 to learn from, {big[0]['options']['epochs']} epochs; accuracy in % on the fold"
        f"{'' if len(folds) == _FOLDS else f', {len(folds)} of which are measured so far'}. "
        "The settings were chosen on fold 1. "
        f"The neural ODE has {100 * share:.0f} % of the residual network's weights; the residual "
        f"network is ahead by {np.mean(gap):.2f} points on average (from {min(gap):.2f} to "
        f"{max(gap):.2f}). Times are of a whole fit and depend on what else runs; the "
        "processor's seconds are those of this program, measuring included.",
        "\n".join(first),
    ]
    return [*parts, *_equal(part["equal"])] if part.get("equal") else parts


def _equal(table: Mapping[str, Any]) -> list[str]:
    lines = [
        "| scheme | weights | field asked | n | accuracy, % | processor, s | "
        "answers moved by finer steps, % |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, runs in table.items():
        lines.append(
            f"| {name} | {runs[0]['parameters']:,} | {_many([r['evaluations'] for r in runs], 0)} "
            f"| {len(runs)} | {_many([100 * r['accuracy'] for r in runs])} | "
            f"{_many([r['processor'] for r in runs], 0)} | "
            f"{_many([100 * r['moved'] for r in runs], 1)} |"
        )
    runs = next(iter(table.values()))
    return [
        f"All schemes with about as many weights, {runs[0]['options']['epochs']} epochs; seed s "
        "trains with fold s held out: median and range over the seeds, so that the range has the "
        "folds' differences in it.",
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


def _others(part: Mapping[str, Any], date: str) -> str:
    share = 100 * part["others"]
    return f"Measured on {date}; other programs took {share:.0f} % of the processor meanwhile."


def _ms(seconds: Sequence[float]) -> str:
    low, high = np.quantile(seconds, [0.25, 0.75])
    return f"{1e3 * np.median(seconds):.2f} | {1e3 * low:.2f}–{1e3 * high:.2f}"


def _many(values: Sequence[float], digits: int = 2) -> str:
    middle, low, high = np.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


_FOLDS = 5
_PARTS = {
    "gradients": _gradients, "spiral": _spiral, "memory": _memory, "digits": _digits,
    "control": _control,
}  # fmt: skip
