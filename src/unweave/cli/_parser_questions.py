"""The options of the verbs that ask a fitted model: explain, attack, explore, detect; nothing heavy
is imported."""

import argparse
from collections.abc import Callable
from typing import Any

from ._parser_scores import Verb, progress_options

_METHODS = ("integrated-gradients", "gradient-times-input", "saliency", "smooth-grad",
            "occlusion", "lime", "grad-cam")  # fmt: skip


def explain_parser(verbs: Any, run_verb: Verb) -> None:
    """The options of `unweave explain`."""
    parser = run_verb(verbs, "explain", "what a number read off a model comes from, and how far "
                       "that is to be trusted",
                       output=".svg, .png or .pdf (default: RUN/explanation.svg)")  # fmt: skip
    target = ("surprise, misfit, latent:NAME, class:NAME, confidence, entropy, energy, "
              "output:TIME,CHANNEL or forecast:TIME,CHANNEL,KNOWN, places counted from 0 "
              "(default: the class answered, else surprise, else misfit)")  # fmt: skip
    parser.add_argument("--target", metavar="WHAT", help=target)
    parser.add_argument("--method", choices=_METHODS, default=_METHODS[0],
                        help=f"{_METHODS[0]} where nothing is said")  # fmt: skip
    parser.add_argument("--row", type=int, default=0, help="which of the held-out examples (0)")
    parser.add_argument("--orders", type=int, help="random orders to compare with (100)")
    parser.add_argument("--seed", type=int, default=0)
    progress_options(parser)


def attack_parser(verbs: Any, run_verb: Verb) -> None:
    """The options of `unweave attack`."""
    parser = run_verb(verbs, "attack", "change inputs a little to fool a model: what stands?",
                       output=".svg, .png or .pdf (default: RUN/attack.svg)")  # fmt: skip
    epsilon = "how much may be changed, in the data's units (default: a tenth of their spread)"
    parser.add_argument("--epsilon", type=float, metavar="RADIUS", help=epsilon)
    parser.add_argument(
        "--norm",
        choices=("linf", "l2", "smooth"),
        help="each entry, all, or without edges (series: smooth; else linf)",
    )
    parser.add_argument("--smooth", type=float, default=4.0, metavar="SAMPLES",
                        help="the width of what is smooth (4)")  # fmt: skip
    names = "fgsm, pgd, apgd, apgd-dlr, deepfool, carlini-wagner, square, boundary"
    parser.add_argument("--attacks", metavar="A,B", help=f"out of {names}")
    target = (
        "a number, not the class: surprise, misfit, latent:NAME, class:NAME, output:TIME,CHANNEL"
    )
    parser.add_argument("--target", help=target)
    parser.add_argument("--down", action="store_true", help="drive the number down, not up")
    parser.add_argument("--limit", type=float, help="beyond it an input counts as fallen")
    parser.add_argument("--among", metavar="A,B", help="the latents that may be turned (all)")
    parser.add_argument("--surrogates", nargs="+", metavar="RUN",
                        help="runs whose attacks are tried on this one too; or distilled, or "
                        "distilled:RECIPE, trained on what this one answers")  # fmt: skip
    parser.add_argument("-n", type=int, default=200, help="how many inputs (200)")
    parser.add_argument("--seed", type=int, default=0)
    progress_options(parser)


def explore_parser(verbs: Any, verb: Verb) -> None:
    """The options of `unweave explore`."""
    parser = verb(
        verbs, "explore", "turn latents by sliders, on a page in your browser",
        usage="unweave explore RUN [RUN ...] [options]",
    )  # fmt: skip
    runs = "run folders, of the same observations side by side; a comparison's; FILE.ode, zoo:NAME"
    parser.add_argument("runs", nargs="+", metavar="RUN", help=runs)
    data = "observations to show, read as the run read its own (default: those that it keeps)"
    parser.add_argument("--data", metavar="DATA", help=data)
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1 (default: a free one)")
    parser.add_argument("--no-browser", dest="browser", action="store_false",
                        help="print the address, open nothing")  # fmt: skip


def detect_parser(
    verbs: Any, verb: Verb, data_options: Callable[[argparse.ArgumentParser], None]
) -> None:
    """The options of `unweave detect`."""
    parser = verb(
        verbs, "detect", "how strange observations are, where, and how surely",
        usage="unweave detect DATA DETECTOR|RUN[:SCORE] [...] [options]",
    )  # fmt: skip
    parser.add_argument("data", nargs=1, help="what is judged: a file, a folder, a built-in set")
    judges = (
        "mean, sub-pca, neighbours, shape-neighbours, local-density, isolation-forest, together, "
        "matrix-profile:SAMPLES; or a run folder, with :reconstruction, :by-sample, :surprise, "
        ":latents, :prior, :joint, :critic, :confidence, :entropy, :energy or :spans after it"
    )
    parser.add_argument("judges", nargs="+", metavar="DETECTOR", help=judges)
    normal = parser.add_argument_group("normal and labels")
    what = "what is normal (default: the run's own data; without a run nothing is known to be)"
    normal.add_argument("--normal", nargs="+", action="extend", metavar="FILE", help=what)
    alarms = "the share of normal observations that may be flagged (0.01)"
    normal.add_argument("--false-alarms", type=float, default=0.01, metavar="SHARE", help=alarms)
    labels = "a column with 1 where samples are anomalous: for measures, never for scores"
    normal.add_argument("--labels", metavar="COLUMN", help=labels)
    normal.add_argument("--normal-class", metavar="NAME", help="the class of labels that is normal")
    data_options(parser)
    parser.add_argument("--seed", type=int, default=0)
    progress_options(parser)
    output = "a table (default: DATA-anomalies.csv), with a figure beside it"
    parser.add_argument("-o", "--output", metavar="FILE", help=output)
    parser.add_argument("--force", action="store_true", help="replace FILE")
