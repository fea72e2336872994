"""What `equations.py` found, as a page."""

import statistics

from run import _BUSY, _QUIET, ratios, spread

_OWN = {
    "own steps": "unweave, every path its own steps (`vmap` of `Adaptive`)",
    "joint": "unweave, the batch as one state (`Adaptive`)",
    "grid": "unweave, one step a sample (`Grid(1)`)",
}


def page(results: dict) -> str:
    lines = [
        "# Equations beside SciPy, pyPESTO and torchdiffeq",
        "",
        "Written by `bench/equations.py`. Median (smallest–largest) over alternating "
        "repetitions; ratios are taken within a repetition.",
        "",
        f"{results['date']}, {results['machine']}. "
        + ", ".join(f"{name} {version}" for name, version in results["versions"].items())
        + ".",
        "",
    ]
    sections = {
        "fits": fits,
        "commands": commands,
        "competition": competition,
        "van-der-pol": van_der_pol,
    }
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


def fits(part: dict, results: dict) -> list[str]:
    times, found = part["times"], part["found"]
    base = found["unweave"]
    off = max(row["off"] for row in found.values() if "off" in row)
    lines = [
        "FitzHugh–Nagumo, warm",
        "Five unknowns, 201 × 2 points, noise 0.5; starts spread over a hundredfold range of the "
        f"three parameters and (-10, 10) of the initial state. {results['repetitions']} "
        f"repetitions; every side gets the same {base['starts']} starts, the same box and all "
        "processors. The peers are told the noise's deviation, unweave estimates that of each "
        "channel; a start has reached the optimum where it is within 0.01 nats of the best. "
        "SciPy's `least_squares` works in logarithms of what is positive, its Jacobian from "
        "forward sensitivities solved beside the state where that is said; pyPESTO has its "
        "gradients from the same sensitivities by `odeint`, fides J'J for its Hessian too.",
        "",
        f"unweave: {found['many']['starts']} starts in {spread(times['many'])} s, "
        f"{found['many']['reached']} of them at the optimum; one fit in "
        f"{spread(times['one'], 1e3, 1)} ms, begun at the middle of the ranges. The peers' best "
        f"estimates differ from unweave's by at most {off:.2f} standard errors.",
        "",
        "| | seconds | ms a start | reached the optimum | failed | seconds a success "
        "| times unweave's seconds a start | a success |",
        "|---|---|---|---|---|---|---|---|",
    ]
    own_start = [t / base["starts"] for t in times["unweave"]]
    own_success = [_per(t, base["reached"]) for t in times["unweave"]]
    for name, row in found.items():
        if name in ("many", "one"):
            continue
        start = [t / row["starts"] for t in times[name]]
        success = [_per(t, row["reached"]) for t in times[name]]
        cells = [
            spread(times[name]),
            spread(start, 1e3, 1),
            f"{row['reached']} of {row['starts']}",
            str(row["failed"]),
            spread(success, digits=3),
        ]
        if name == "unweave":
            cells += ["", ""]
        else:
            cells += [spread(ratios(start, own_start), digits=1)]
            cells += [spread(ratios(success, own_success), digits=1)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _per(seconds: float, successes: int) -> float:
    return seconds / successes if successes else float("inf")


def commands(part: dict, results: dict) -> list[str]:
    times = part["times"]
    lines = [
        "The whole command",
        f"The same fit from {part['starts']} starts, from the start of the interpreter to the "
        f"printed estimates with their standard errors; {results['command_repetitions']} "
        "repetitions. Ratios are unweave's seconds over the other's, so less than 1 is faster.",
        "",
        "| | seconds | ratio of unweave to it | of unweave again to it |",
        "|---|---|---|---|",
        f"| `unweave fit`, nothing compiled before | {spread(times['unweave'])} | | |",
        f"| the same again, compiled programs kept | {spread(times['unweave again'])} | | |",
    ]
    for name, seconds in times.items():
        if not name.startswith("unweave"):
            first = spread(ratios(times["unweave"], seconds))
            again = spread(ratios(times["unweave again"], seconds))
            lines.append(f"| {name} | {spread(seconds)} | {first} | {again} |")
    return lines


def competition(part: dict, results: dict) -> list[str]:
    starts = part["starts"]
    lines = [
        "Competition of two species, many starts",
        f"Eight unknowns, 51 × 2 points, {starts} starts: every rate and capacity over a "
        "hundredfold range, the effects on each other up to ten times the true ones and of "
        f"either sign. Where they begin, {part['exploding']} of the starts explode before the "
        f"last day, and for {part['coarse']} more one Runge–Kutta step a sample is off by more "
        f"than a tenth of the range. {results['command_repetitions']} repetitions. Where one "
        "species is seen only in a sum, no start can be matched to the data's slopes first.",
        "",
        "| observed | warm, s | with compilation, s | failed | reached the optimum, of the rest "
        "| solved by |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in part["cases"].items():
        rest = starts - row["failed"]
        lines.append(
            f"| {name} | {spread(row['warm'])} | {spread(row['cold'])} | {row['failed']} "
            f"| {row['reached']} of {rest} ({100 * row['reached'] / max(rest, 1):.0f} %) "
            f"| {row['method']} |"
        )
    return lines


def van_der_pol(part: dict, results: dict) -> list[str]:
    lines = [
        "Van der Pol, a batch of 256",
        "μ = 1, 200 points in [0, 10], starts in (-2, 2)², relative and absolute tolerance 1e-5, "
        f"no gradients; {results['vdp_repetitions']} repetitions. torchdiffeq takes the batch as "
        "one state with one step size. The error is the largest difference from a solve to ten "
        "digits. Ratios are to torchdiffeq's dopri5 and to the fastest of its methods here, "
        "less than 1 is faster.",
        "",
        "| | ms | largest error | ratio to dopri5 | ratio to torchdiffeq's fastest |",
        "|---|---|---|---|---|",
    ]
    for dtype, rows in part["rows"].items():
        peers = {n: row["seconds"] for n, row in rows.items() if n not in _OWN}
        fastest = min(peers.values(), key=statistics.median)
        for name, row in rows.items():
            cells = [spread(row["seconds"], 1e3), f"{row['error']:.1e}"]
            if name in _OWN:
                cells += [spread(ratios(row["seconds"], peers["dopri5"]), digits=3)]
                cells += [spread(ratios(row["seconds"], fastest), digits=3)]
            else:
                cells += ["", ""]
            label = _OWN.get(name, f"torchdiffeq, {name}")
            lines.append(f"| {label}, {dtype} | " + " | ".join(cells) + " |")
    return lines
