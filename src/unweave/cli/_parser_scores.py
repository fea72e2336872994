"""The options of the verbs that score latents and bound errors; nothing heavy is imported."""

import argparse
from collections.abc import Callable
from typing import Any, TypeAlias

#: What adds a verb with its help and `--json`.
Verb: TypeAlias = Callable[..., argparse.ArgumentParser]


def progress_options(parser: argparse.ArgumentParser) -> None:
    """The options of the verbs whose answers a run's folder keeps."""
    parser.add_argument("--quiet", action="store_true", help="no progress")
    page = "leave the run's page as it is; the answer is kept all the same"
    parser.add_argument("--no-report", action="store_true", help=page)


def disentangle_parser(verbs: Any, verb: Verb) -> None:
    """The options of `unweave disentangle`."""
    parser = verb(
        verbs, "disentangle", "score latents against known factors, and seeds against each other",
        usage="unweave disentangle RUN [RUN ...] [options]",
    )  # fmt: skip
    runs = "run folders; of several that were fitted to the same data also how alike they are (UDR)"
    parser.add_argument("runs", nargs="+", metavar="RUN", help=runs)
    factors = "a table with a column for each known factor, a row for each observation"
    parser.add_argument("--factors", metavar="FILE", help=factors)
    null = "how many times rows are permuted, for what unrelated codes would reach (20)"
    parser.add_argument("--permutations", type=int, default=20, metavar="N", help=null)
    parser.add_argument("--seed", type=int, default=0)
    progress_options(parser)
    output = ".svg, .png or .pdf (default: RUN/disentanglement.svg)"
    parser.add_argument("-o", "--output", metavar="FILE", help=output)
    parser.add_argument("--force", action="store_true", help="replace FILE")


def dictionary_parser(verbs: Any, verb: Verb) -> None:
    """The options of `unweave dictionary`."""
    parser = verb(
        verbs, "dictionary", "which latents of a network carry which parameter of an equation",
        usage="unweave dictionary RUN_EQUATION RUN_NETWORK [options]",
    )  # fmt: skip
    parser.add_argument("equation", metavar="RUN_EQUATION", help="the run of an equation")
    network = "the run of a network, whose data both are asked about"
    parser.add_argument("network", metavar="RUN_NETWORK", help=network)
    across = "predict each patient from the others, instead of observations from others"
    parser.add_argument("--across", action="store_true", help=across)
    most = "at most so many observations, evenly spread (600)"
    parser.add_argument("--most", type=int, default=600, metavar="N", help=most)
    parser.add_argument("--seed", type=int, default=0)
    progress_options(parser)
    output = ".svg, .png or .pdf (default: RUN_NETWORK/dictionary.svg)"
    parser.add_argument("-o", "--output", metavar="FILE", help=output)
    parser.add_argument("--force", action="store_true", help="replace FILE")


def bound_parser(verbs: Any, verb: Verb) -> None:
    """The options of `unweave bound`."""
    parser = verb(
        verbs, "bound", "how far an error may be off: from a number of observations, or of a run",
        usage="unweave bound [RUN] [--n N] [--error E] [--models M] [--confidence C]",
    )  # fmt: skip
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run whose answers are judged")
    parser.add_argument("--n", type=int, metavar="N", help="so many observations")
    parser.add_argument("--error", type=float, metavar="E", help="the error may be off by this")
    models = "the number of models to choose among (1)"
    parser.add_argument("--models", type=float, default=1.0, metavar="M", help=models)
    sure = "how sure (0.95); with both --n and --error it is what is computed"
    parser.add_argument("--confidence", type=float, default=None, metavar="C", help=sure)
    output = ".svg, .png or .pdf (default: RUN/bound.svg)"
    parser.add_argument("-o", "--output", metavar="FILE", help=output)
    parser.add_argument("--force", action="store_true", help="replace FILE")
    progress_options(parser)
