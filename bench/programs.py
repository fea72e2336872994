"""What compiling costs a comparison: the same recipe fitted to other parts of the data in turn.

    python bench/programs.py [--seeds 3]

Each recipe has a process of its own, which begins with nothing compiled. Writes `PROGRAMS.md`.
"""

import argparse
import datetime
import os
import pathlib
import platform
import subprocess
import sys
import time

import jax

HERE = pathlib.Path(__file__).resolve().parent
TOLD = {
    "equation": "logistic growth, three latents a course",
    "hybrid": "the same, with a network of the day",
    "network": "a VAE",
}


def timed(kind: str, seeds: int) -> list[tuple[float, float]]:
    """Seconds of each fit, and of these the seconds that the compiler took."""
    from worlds import EATEN, FORMULA, HYBRID, NOISE, grown, network

    from unweave.data import split_at_random
    from unweave.recipes import equation, hybrid
    from unweave.run import fit

    compiling = [0.0]

    def heard(name: str, seconds: float, **_) -> None:
        if name.endswith("backend_compile_duration"):
            compiling[0] += seconds

    jax.monitoring.register_event_duration_secs_listener(heard)
    recipe = {
        "equation": lambda: equation(FORMULA, starts=4), "hybrid": lambda: hybrid(HYBRID, starts=2),
        "network": network,
    }[kind]()  # fmt: skip
    data, rows = grown(60, 25, 6.0, NOISE, EATEN, 0), []
    for seed in range(seeds):
        began, compiling[0] = time.perf_counter(), 0.0
        fit(recipe, split_at_random(data, test=0.3, seed=seed), quiet=True, seed=seed)
        rows.append((time.perf_counter() - began, compiling[0]))
    return rows


def main() -> None:
    """Asks each recipe in a process of its own, and writes the page."""
    parser = argparse.ArgumentParser(description="What compiling costs a comparison.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kind", choices=tuple(TOLD), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kind:
        for seconds, compiling in timed(options.kind, options.seeds):
            print(seconds, compiling, flush=True)
        return
    lines = [
        "# What compiling costs a comparison", "",
        f"Written by `bench/programs.py`. {datetime.date.today().isoformat()}, {os.cpu_count()} "
        f"cores, {platform.machine()}, Python {platform.python_version()}, jax {jax.__version__}. "
        "60 courses of 25 samples, 42 of them to fit; each seed has another split. Seconds of a "
        "fit, in brackets those of the compiler, in one process that began with nothing compiled. "
        "What a fit leaves in priors, noise, the units of networks and the scale of the data is an "
        "argument of the compiled programs, and a recipe's optimiser is the same for each of its "
        "seeds, so that later seeds find theirs.", "",
        "| recipe | " + " | ".join(f"seed {seed}" for seed in range(options.seeds)) + " |",
        "|---|" + "---|" * options.seeds,
    ]  # fmt: skip
    for kind, told in TOLD.items():
        words = [sys.executable, __file__, "--kind", kind, "--seeds", str(options.seeds)]
        out = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
        pairs = [map(float, line.split()) for line in out.splitlines()]
        cells = " | ".join(f"{a:.1f} ({b:.1f})" for a, b in pairs)
        lines.append(f"| {kind}: {told} | {cells} |")
        print(lines[-1], flush=True)
    (HERE / "PROGRAMS.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
