"""What `flows.py` found, as a page."""

import statistics

from run import _BUSY, _QUIET, ratios, spread


def page(results: dict) -> str:
    lines = [
        "# Flows beside torchdiffeq and torchcfm",
        "",
        "Written by `bench/flows.py`. Median (smallest–largest) over alternating repetitions; "
        "ratios are taken within a repetition.",
        "",
        f"{results['date']}, {results['machine']}. "
        + ", ".join(f"{name} {version}" for name, version in results["versions"].items())
        + ".",
        "",
    ]
    sections = {"density": density, "matching": matching, "truth": truth}
    for name, section in sections.items():
        if name in results["parts"]:
            part = results["parts"][name]
            title, *body = section(part, results)
            lines += [
                f"## {title}",
                "",
                f"Other programs took {100 * part['others']:.0f} % of the processor time.",
                "",
                *_BUSY[part["others"] < _QUIET],
                *body,
                "",
            ]
    return "\n".join(lines)


def density(part: dict, results: dict) -> list[str]:
    facts, cold = part["facts"], part["cold"]
    lines = [
        "Log-density with the exact trace",
        "A trained flow in two dimensions, 3-64-64-64-2 with hyperbolic tangents, 256 points, "
        "float32, the pair of Dormand and Prince at a tolerance of 1e-5, all points as one state; "
        f"{len(part['times']['density'])} repetitions. The error is the largest "
        "against double precision at a tolerance of 1e-10. "
        "torchdiffeq gets the trace as FFJORD's authors and its own "
        "documentation have it, a gradient for each coordinate, and is differentiated through its "
        "steps, which is faster than its adjoint; with one thread and with all.",
        "",
        "| | ms | largest error, nats | ratio to unweave |",
        "|---|---|---|---|",
    ]
    for kind, label in (("density", "log-density"), ("gradient", "and its gradient by weights")):
        own = part["times"][kind]
        lines.append(f"| unweave, {label} | {spread(own, 1e3)} | {facts[kind]['error']:.1e} | |")
        for name, times in part["peer"].items():
            if name.startswith(kind):
                fact = facts[f"torchdiffeq {name}"]
                threads = name.split()[1]
                lines.append(
                    f"| torchdiffeq, {label}, {threads} threads, {fact['evaluations']} evaluations"
                    f" | {spread(times, 1e3)} | {fact['error']:.1e} "
                    f"| {spread(ratios(times, own), digits=1)} |"
                )
    lines += [
        f"| unweave, every point its own steps (`vmap` of `log_density`) "
        f"| {spread(part['times']['one by one'], 1e3)} | {facts['one by one']['error']:.1e} | |",
        "",
        "The first call, which compiles: "
        + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in cold.items())
        + ".",
    ]
    return lines


def matching(part: dict, results: dict) -> list[str]:
    own, peer = part["times"]["unweave"], part["times"]["torchcfm"]
    distance = part["distance"]
    return [
        "Flow matching with optimal transport, 8 Gaussians to moons",
        "A step of batch 256 with data, exact optimal-transport plan, 3-64-64-64-2 with SELU, "
        "float32 and Adam; unweave within its own loop, its moving average of the weights "
        f"included, torchcfm as in its examples, with {part['threads']} thread. "
        f"{len(own)} repetitions over {len(next(iter(distance['unweave'].values())))} seeds.",
        "",
        "| | ms a step | ratio to unweave | 2-Wasserstein distance, each seed (median) "
        + "| ".join(f"after {steps} steps " for steps in distance["unweave"])
        + "|",
        "|---|---|---|" + "---|" * len(distance["unweave"]),
        *(
            f"| {name} | {spread(times, 1e3)} | {ratio} | "
            + " | ".join(
                f"{', '.join(f'{d:.3f}' for d in each)} ({statistics.median(each):.3f})"
                for each in distance[name].values()
            )
            + " |"
            for name, times, ratio in (
                ("unweave", own, ""),
                ("torchcfm", peer, spread(ratios(peer, own), digits=1)),
            )
        ),
        "",
        f"Distances are between {part['judged']} samples and as many of the target; between two "
        f"draws of the target it is {part['floor']:.3f}. The first eight steps, which compile, "
        f"took {part['cold']:.1f} s.",
    ]


def truth(part: dict, results: dict) -> list[str]:
    lines = [
        "A fitted density against the true one",
        f"Four unequal Gaussians in the plane, 20,000 points; {part['fresh']} fresh ones judge. "
        "The integral is over [-8, 8]² in steps of 0.1.",
        "",
        "| recipe | seconds | mean of log p − log of the true density, nats | mean distance, nats "
        "| integral |",
        "|---|---|---|---|---|",
    ]
    for name, row in part["rows"].items():
        lines.append(
            f"| `{name}`, {row['epochs']} epochs | {row['seconds']:.0f} | {row['mean']:+.3f} "
            f"| {row['absolute']:.3f} | {row['integral']:.4f} |"
        )
    return lines
