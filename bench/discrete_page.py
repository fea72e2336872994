"""What `discrete.py` found, as a page."""

import statistics
from collections.abc import Callable, Iterable

POSE = ("scale", "x", "y")


def page(results: dict) -> str:
    lines = [
        "# Discrete and parted latents",
        "",
        "Written by `bench/discrete.py`. Median (smallest–largest) over seeds, each with a split "
        "of its own.",
        "",
        f"{results['date']}, {results['machine']}. "
        + ", ".join(f"{name} {version}" for name, version in results["versions"].items())
        + ". Other programs were running, so seconds are for their order alone.",
        "",
    ]
    sections: dict[str, Callable[[list[dict]], list[str]]] = {
        "clusters": clusters, "codes": codes, "swaps": swaps,
    }  # fmt: skip
    for name, section in sections.items():
        if name in results["parts"]:
            lines += [*section(results["parts"][name]), ""]
    return "\n".join(lines)


def spread(values: Iterable[float], digits: int = 3) -> str:
    every = sorted(values)
    middle, low, high = (f"{v:.{digits}f}" for v in (statistics.median(every), every[0], every[-1]))
    return f"{middle} ({low}–{high})"


def clusters(seeds: list[dict]) -> list[str]:
    first = seeds[0]
    return [
        "## Digits parted without labels",
        "",
        f"MNIST, {first['n'][0]:,} training and {first['n'][1]:,} test images of 28 x 28, 10 "
        f"clusters, {first['epochs']} epochs; {len(seeds)} seeds. Accuracy under the best naming "
        "of the clusters. No label is used but to judge.",
        "",
        "| | accuracy |",
        "|---|---|",
        *(
            f"| {name} | {spread(seed['accuracy'][name] for seed in seeds)} |"
            for name in first["accuracy"]
        ),
        "",
        "Baselines are judged on the training images, which they were fitted to. The model's "
        f"reconstructions explain {spread(s['explained_variance'] for s in seeds)} of the variance "
        f"of test images; its bound is {spread((s['log_density'] for s in seeds), 1)} nats. A fit "
        f"took {spread((s['seconds'] for s in seeds), 0)} s.",
    ]


def codes(seeds: list[dict]) -> list[str]:
    first = seeds[0]
    lines = [
        "## Use of a codebook",
        "",
        f"`vq-vae` on MNIST, {first['n'][0]:,} training images, 7 x 7 places, {first['epochs']} "
        f"epochs; {len(seeds)} seeds. Used are codes that any of {first['n'][1]:,} test images "
        "has.",
        "",
        "| codes | used, share | perplexity | explained variance | seconds |",
        "|---|---|---|---|---|",
    ]
    for size in first["sizes"]:
        each = [seed["sizes"][size] for seed in seeds]
        lines.append(
            f"| {size} | {spread(e['used'] for e in each)} "
            f"| {spread((e['perplexity'] for e in each), 1)} "
            f"| {spread(e['explained_variance'] for e in each)} "
            f"| {spread((e['seconds'] for e in each), 0)} |"
        )
    return lines


def swaps(seeds: list[dict]) -> list[str]:
    first = seeds[0]
    lines = [
        "## Swapped content and style",
        "",
        "dSprites at 32 x 32 pixels, all shapes, scales and ten orientations at 8 x 8 positions: "
        f"{first['n'][0]:,} training and {first['n'][1]:,} test images, {first['epochs']} epochs; "
        f"{len(seeds)} seeds. Content is the shape, style the pose. A classifier and a regressor "
        "trained on real images judge test images with the shape of one and the pose of another; "
        "errors are means of absolute errors as shares of the range.",
        "",
        "| | shape found | where the two shapes differ | error of scale | of x | of y | within a "
        "tenth of the range: scale, x, y |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in first["rows"]:
        each = [seed["rows"][name] for seed in seeds if name in seed["rows"]]
        apart = [e.get("content_where_shapes_differ") for e in each]
        errors = " | ".join(spread(e["error"][part] for e in each) for part in POSE)
        within = ", ".join(spread((e["within"][part] for e in each), 2) for part in POSE)
        differ = "" if apart[0] is None else spread(apart)
        lines.append(
            f"| {name} | {spread(e['content'] for e in each)} | {differ} | {errors} | {within} |"
        )
    return lines
