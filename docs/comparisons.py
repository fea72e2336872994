"""Three comparisons on real data, each one command, and the page that draws them together.

    python docs/comparisons.py [STUDY ...] [--workers 2]

runs the commands of the studies that are named (without a name, all: species, bitcoin, heartbeats)
on `../shared/data` beside the repository, and writes `docs/comparisons.json` and
`docs/comparisons.md`. Finished fits are kept in `runs/`, so that the same command goes on after a
stop.
"""

import argparse
import json
import os
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unweave.cli import main as unweave

DOCS = Path(__file__).resolve().parent
DATA = "../shared/data"
RESULTS = DOCS / "comparisons.json"

COMMANDS = {
    "species": (
        f"unweave compare {DATA}/populations/gause1934_paramecium_competition.csv "
        "docs/ode/paramecium.ode hybrid:docs/ode/paramecium-net.ode neural-ode "
        "latent-ode:latents=4 --by treatment --time day --split within --shares 0.25,0.5,1 "
        "--out runs/species"
    ),
    "bitcoin": (
        f"unweave compare {DATA}/btc/bitfinex_BTCUSD_1h_2017.csv docs/ode/price-gbm.ode:starts=2 "
        "docs/ode/price-reverting.ode:starts=2 docs/ode/price-jumps.ode:starts=2 beta-vae "
        "coupling-flow:layers=4,epochs=60 --kind windows --time timestamp --column close "
        "--length 24 --step 24 --transform log-return --split time --shares 0.0625,0.25,1 "
        "--rows accuracy,data-needed,generation,cost --out runs/bitcoin"
    ),
    "heartbeats": (
        f"unweave compare {DATA}/ecg_ptb/s0322lre.hea zoo:ecg:starts=4 "
        "hybrid:docs/ode/heart-net.ode:hold=stretches beta-vae diffusion:epochs=100 --kind beats "
        "--lead ii --samples 128 --split time --shares 0.25,0.5,1 "
        "--rows accuracy,data-needed,generation,cost --out runs/heartbeats"
    ),
}
TITLES = {
    "species": "Two species: Gause's Paramecium, 1934",
    "bitcoin": "Bitcoin, 2017",
    "heartbeats": "Heartbeats of one healthy recording",
}
HEAD = """A mathematical model is interpretable, needs few data, carries over, generates, can be
manipulated, and comes with theory. A network is accurate where data are complex. Does learning
make modelling obsolete? Three comparisons on real data, each one command, five seeds, every recipe
with the same split; the tables and sentences are what `unweave compare` writes, and how to read
them is said on [its own page](how-to-read-a-comparison.md). `python docs/comparisons.py` makes
this page.
"""
TOLD = {
    "species": """Three cultures, counted once a day: each species alone, and both together. The
last fifth of each is forecast from what came before.
""",
    "bitcoin": """A window is a day of hourly log-returns; the last fifth of the year tests.
Geometric Brownian motion, a price that reverts, and one that jumps ([the
texts](ode/price-jumps.ode)) stand beside a β-VAE and a flow. What does a network see that the
standard models do not?
""",
    "heartbeats": """Lead II of a healthy control of the PTB database, one patient: the later beats
test. The formula is the heart of McSharry and others (2003) with sixteen latents a beat; [the
hybrid](ode/heart-net.ode) knows three of its waves, lets gain, level and drift differ from beat to
beat, and learns the rest of the course.
""",
}
END = """**No, where the formula is nearly right and data are few.** Of three short cultures
nothing is certain, and the card says so. A network that has to learn the rates from them misses
the last days by four to nine times as much as the formula does, one with latents by once to four
times, a hybrid by as much or by twice as much, depending on its start; with half of the past the
formula still knows the rest, and the hybrid misses it by seven times as much. Only the formula has
parameters that mean something, and says which of them it does not know. A plain autoregression is
nearest. That is no law of nature, and no reason to believe it of a fourth.

**Yes, where the formula is too simple.** Five waves on a circle, however their sixteen latents are
set, are not this patient's beat: what they leave over is larger than what the mean beat alone
leaves. Where a part of the course is learned less than half of that is left, about what the mean
leaves; and a quarter of the beats is as good as all of them, to the formula and to the hybrid:
what they lack is no data. Ten straight axes, with no idea of a heart, come within a few
microvolts, and a β-VAE is no better than they are; a diffusion model of 76 beats is too little
trained to be believed. For the formula to explain this heart somebody has to find the term that is
missing, and the figure of what it misses shows where to look.

**Neither alone, where chance rules.** A price that jumps, five numbers, finds the days of the last
months likelier than a flow of many thousand does, and both far likelier than a price without
memory. Yet the mixture of all three kinds is ahead of the best alone by more than its error: the
flow and the autoregression see something that the standard models do not, which is that large
moves follow large ones. And it needs data: from sixteen days the price that jumps is as good as
from two hundred and fifty, while the flow falls behind a price without memory.

So the question has no one answer, and needs none: it can be asked of each data set, with one
command.
"""


def page(results: Mapping[str, Any]) -> str:
    """The page's text: what is said of all, then each study with its command and its card."""
    parts = [f"# The end of mathematical modelling?\n\n{HEAD}"]
    for name in (name for name in COMMANDS if name in results):
        study = results[name]
        parts += [
            f"## {TITLES[name]}\n\n{TOLD[name]}",
            f"```\n{study['command']}\n```\n",
            f"{study['minutes']:.0f} minutes on {_cores(study['cores'])}.\n",
            study["markdown"],
        ]
    return "\n".join([*parts, f"## What they say\n\n{END}"])


def _cores(n: int) -> str:
    return "one core" if n == 1 else f"{n} cores"


def run(name: str, workers: int, before: Mapping[str, Any]) -> dict[str, Any]:
    """The study's command, run or gone on with, and its card; the minutes of all goes add up."""
    words = shlex.split(COMMANDS[name])[1:]
    began = time.perf_counter()
    if unweave([*words, "--workers", str(workers), "--quiet"]):
        raise SystemExit(f"{name} did not end well")
    folder = Path(words[words.index("--out") + 1])
    return {
        "command": COMMANDS[name],
        "minutes": before.get("minutes", 0.0) + (time.perf_counter() - began) / 60,
        "cores": len(os.sched_getaffinity(0)),
        "card": json.loads((folder / "card.json").read_text()),
        "markdown": (folder / "card.md").read_text(),
    }


def main() -> None:
    """What was named."""
    parser = argparse.ArgumentParser(description="Three comparisons on real data.")
    parser.add_argument("studies", nargs="*", choices=(*COMMANDS, []), default=list(COMMANDS))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.studies or COMMANDS:
        results[name] = run(name, options.workers, results.get(name, {}))
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    (DOCS / "comparisons.md").write_text(page(results))


if __name__ == "__main__":
    main()
