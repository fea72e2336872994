"""What `denoising.py` found, as a page."""

import statistics

from run import _BUSY, _QUIET, ratios, spread


def page(results: dict) -> str:
    lines = [
        "# Denoising models beside what is known",
        "",
        "Written by `bench/denoising.py`. Median (smallest–largest) over seeds or alternating "
        "repetitions; ratios are taken within a repetition.",
        "",
        f"{results['date']}, {results['machine']}. "
        + ", ".join(f"{name} {version}" for name, version in results["versions"].items())
        + ".",
        "",
    ]
    sections = {"truth": truth, "kernel": kernel, "generator": generator, "speed": speed}
    for name, section in sections.items():
        if name in results["parts"]:
            part = results["parts"][name]
            title, *body = section(part)
            # a machine in use changes seconds, and nothing else that is told here
            busy = _BUSY[part["others"] < _QUIET] if name == "speed" else ()
            lines += [
                f"## {title}",
                "",
                f"Other programs took {100 * part['others']:.0f} % of the processor time.",
                "",
                *busy,
                *body,
                "",
            ]
    return "\n".join(lines)


def truth(part: dict) -> list[str]:
    lines = [
        "A diffusion model's density and score against the true ones",
        f"Three unequal Gaussians in the plane, {part['n']:,} points, three layers of 128, "
        f"{part['steps']:,} steps of batch {part['batch']} with a falling rate; {part['judged']} "
        "fresh points judge. `best` is the exact denoiser in place of the net: what is left is the "
        "error of the solver and of the start. The score's error is the root of the mean square "
        "over that of the score, at three levels of noise. There and back is the largest error of "
        f"a code after decoding and encoding, 32 steps each. {_seeds(part['rows']['trained'])}",
        "",
        "| denoiser | mean distance of log p, nats | mean of log p − log of the true density "
        "| score, σ 0.1 | σ 0.5 | σ 2 | there and back |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rows in part["rows"].items():
        cells = [spread([r["absolute"] for r in rows], digits=4)]
        cells += [spread([r["mean"] for r in rows], digits=4)]
        cells += [spread([r["score"][s] for r in rows], digits=4) for s in rows[0]["score"]]
        cells += [spread([r["round_trip"] for r in rows], digits=4)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    seconds = [r["seconds"] for r in part["rows"]["trained"]]
    return [
        *lines,
        "",
        f"A single Gaussian errs by {part['gaussian']:.2f} nats. Training took "
        f"{spread(seconds, digits=0)} s.",
    ]


def kernel(part: dict) -> list[str]:
    rows = part["rows"]
    return [
        "A denoising density estimator against the kernel density estimate",
        f"Six points of one number, noise of {part['sigma']} deviations, two layers of 64, "
        f"{part['steps']:,} steps of batch {part['batch']} with a falling rate. What is learned, "
        "normalised by an integral, against the exact answer, the sum of six Gaussians. "
        + _seeds(rows),
        "",
        "| total variation | largest difference, of the peak | largest relative error where the "
        "density exceeds 2 % of its peak | seconds |",
        "|---|---|---|---|",
        f"| {spread([r['variation'] for r in rows], digits=4)} "
        f"| {spread([r['of_peak'] for r in rows], digits=4)} "
        f"| {spread([r['relative'] for r in rows], digits=4)} "
        f"| {spread([r['seconds'] for r in rows], digits=0)} |",
    ]


def generator(part: dict) -> list[str]:
    lines = [
        "Two moons: what is drawn",
        f"4,000 points, {part['steps']:,} steps of batch 256; the 2-Wasserstein distance between "
        f"1,000 draws and as many fresh points. {_seeds(part['rows']['dde'])}",
        "",
        "| | distance, each seed (median) | seconds |",
        "|---|---|---|",
    ]
    for name, rows in part["rows"].items():
        each = [r["distance"] for r in rows]
        seconds = spread([r["seconds"] for r in rows], digits=0)
        said = ", ".join(f"{d:.3f}" for d in each)
        lines.append(f"| `{name}` | {said} ({statistics.median(each):.3f}) | {seconds} |")
    return [
        *lines,
        f"| a Gaussian | {part['gaussian']:.3f} | |",
        f"| fresh points | {part['floor']:.3f} | |",
    ]


def speed(part: dict) -> list[str]:
    lines = [
        "Training beside a plain PyTorch loop",
        "A step of batch 256 on points of the plane with the loss of Karras et al. (2022), the "
        "same net, float32, Adam and a moving average of the weights on both sides; unweave within "
        "its own loop.",
        "",
        "| hidden layers | unweave, ms | "
        + " | ".join(
            f"PyTorch, {n} thread{'s' * (n != '1')}, ms | ratio"
            for n in next(iter(part["peer"].values()))
        )
        + " |",
        "|---|---|" + "---|---|" * len(next(iter(part["peer"].values()))),
    ]
    for name, own in part["times"].items():
        cells = [spread(own, 1e3)]
        for times in part["peer"][name].values():
            cells += [spread(times, 1e3), spread(ratios(times, own), digits=1)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, "", f"{len(own)} repetitions of 200 steps."]


def _seeds(rows: list) -> str:
    return f"{len(rows)} seed{'s' * (len(rows) != 1)}."
