"""The command line. This file only reads arguments and imports nothing heavy, so that `--help`
answers at once; what the verbs do is in `_fit` and `_verbs`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from .._version import __version__
from ._complaint import sentence_of
from ._parser_devices import cluster, devices_options
from ._parser_questions import attack_parser, detect_parser, explain_parser, explore_parser
from ._parser_scores import bound_parser, dictionary_parser, disentangle_parser

_DESCRIPTION = """\
Equations and networks, one kind of model: fit one to measured signals, sample it, turn its
latents, and read what it is worth."""

_EXAMPLES = """\
examples:
  unweave fit competition.ode gause.csv --time day --by treatment --starts 64
  unweave discover hare-lynx -o found.ode
  unweave analyse zoo:lorenz --lyapunov
  unweave compare heartbeats zoo:ecg beta-vae
  unweave fit beta-vae ecg_ptb --kind beats --lead ii --latents 10 --out runs/ecg
  unweave fit vae digits --kind images
  unweave fit beta-vae prices.csv --kind windows --column close --time timestamp \\
      --length 180 --transform log-return
  unweave sample runs/ecg -n 100 -o samples.csv
  unweave traverse runs/ecg
  unweave explain runs/ecg --target surprise
  unweave attack runs/classifier --epsilon 0.1
  unweave explore runs/ecg runs/pca
  unweave report runs/ecg
"""


class _Parser(argparse.ArgumentParser):
    """argparse with our one-line errors."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message} (see: {self.prog} --help)")


class _UsageError(ValueError):
    pass


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit status: 0, 2 for a wrong input, 130 when interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt as interruption:
        _complain(str(interruption) or "interrupted", as_json)
        return 130
    except BrokenPipeError:
        # whoever read our output has gone; what is still buffered has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, OSError, MemoryError) as error:
        if os.environ.get("UNWEAVE_TRACEBACK"):
            raise
        _complain(sentence_of(error), as_json)
        return 2


def _dispatch(arguments: list[str]) -> int:
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if options.verb is None:
        parser.print_help()
        return 0
    if rest and options.verb != "fit":
        raise _UsageError(
            f"unrecognized arguments: {' '.join(rest)} (see: unweave {options.verb} --help)"
        )
    from . import _verbs  # not before it is known that something is to be computed

    return _verbs.run(options, arguments, parser)


def _complain(sentence: str, as_json: bool) -> None:
    print(f"unweave: {sentence}", file=sys.stderr)
    if as_json:
        print(json.dumps({"error": sentence}))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="unweave",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"unweave {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    _fit_parser(verbs)
    _recipes_parser(verbs)
    _look_parser(verbs)
    _sample_parser(verbs)
    _traverse_parser(verbs)
    _interpolate_parser(verbs)
    _reconstruct_parser(verbs)
    _encode_parser(verbs)
    explain_parser(verbs, _run_verb)
    attack_parser(verbs, _run_verb)
    explore_parser(verbs, _verb)
    _report_parser(verbs)
    detect_parser(verbs, _verb, _data_options)
    _compare_parser(verbs)
    _discover_parser(verbs)
    _analyse_parser(verbs)
    _roots_parser(verbs)
    _zoo_parser(verbs)
    _simulate_parser(verbs)
    disentangle_parser(verbs, _verb)
    dictionary_parser(verbs, _verb)
    bound_parser(verbs, _verb)
    return parser


def _verb(verbs, name: str, help: str, **more) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=help, description=help, allow_abbrev=False, **more)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _fit_parser(verbs) -> None:
    parser = _verb(
        verbs, "fit", "fit a recipe to data, into a run folder", add_help=False,
        usage="unweave fit RECIPE DATA [DATA ...] [options] [the recipe's own options]",
    )  # fmt: skip
    parser.add_argument("-h", "--help", action="store_true", help="this, and the recipe's options")
    parser.add_argument("recipe", nargs="?", help="a name out of: unweave recipes")
    parser.add_argument("data", nargs="*", help="files, folders, physionet:…, or a built-in set")
    _data_options(parser)
    run = parser.add_argument_group("run")
    run.add_argument("--out", metavar="DIR", help="the run folder (default: runs/RECIPE-DATA)")
    run.add_argument("--seed", type=int, default=None, help="default 0")
    run.add_argument("--dry-run", action="store_true",
                     help="say what it will take, and begin nothing")  # fmt: skip
    run.add_argument("--resume", metavar="DIR", help="go on with the run in DIR, bit for bit")
    run.add_argument("--from", dest="from_file", metavar="RUN.TOML", help="repeat a run")
    run.add_argument("--force", action="store_true", help="replace what is in --out")
    run.add_argument("--checkpoint-every", type=float, default=60.0, metavar="SECONDS")
    run.add_argument("--no-report", action="store_true", help="leave figures and page out")
    run.add_argument("--latex", metavar="DIR", help="an equation's fit as an article, too")
    run.add_argument("--track", choices=("tensorboard", "mlflow"), help="log there as well")
    run.add_argument("--quiet", action="store_true", help="no progress bar")
    devices_options(parser)


def _data_options(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    data.add_argument("--kind", help="beats, windows, series, trajectories, rows or images")
    data.add_argument("--time", metavar="COLUMN", help="the column with the times")
    data.add_argument("--columns", "--column", "--lead", "--leads", metavar="A,B", dest="columns",
                      help="the columns or leads to use")  # fmt: skip
    data.add_argument("--by", metavar="A,B", help="the columns that tell recordings apart")
    data.add_argument("--channel", metavar="COLUMN", help="the column that names channels")
    data.add_argument("--inputs", "--input", metavar="A,B",
                      help="trajectories: the columns that drive an equation")  # fmt: skip
    data.add_argument("--rate", type=float, help="samples a second, where there are no times")
    data.add_argument("--unit", help="the unit of rows")
    data.add_argument("--before", type=float, help="beats: seconds before the R peak (0.25)")
    data.add_argument("--after", type=float, help="beats: seconds after it (0.45)")
    data.add_argument("--samples", type=int, help="beats: samples in a window (256)")
    data.add_argument("--length", type=int, help="windows: samples in a window")
    data.add_argument("--step", type=int, help="windows: samples between two starts (length)")
    data.add_argument("--transform", help="windows: level, log-return or z-score")
    data.add_argument("--same-patient", metavar="A,B", action="append",
                      help="records of one patient, where headers do not say it")  # fmt: skip
    data.add_argument("--most", type=int, metavar="N",
                      help="keep at most N observations, evenly spread over all")  # fmt: skip
    data.add_argument("--stream", action="store_true",
                      help="leave the data on the disk and read a part at a time")  # fmt: skip
    data.add_argument("--split", help="group, time, random, within or none")
    data.add_argument("--test", type=float, help="the share held out for the test (0.2)")
    data.add_argument("--validation", type=float, help="the share for early stopping (0.1)")
    data.add_argument("--gap", type=float, help="time left out between parts (one window)")


def _recipes_parser(verbs) -> None:
    _verb(verbs, "recipes", "list the recipes, their options and defaults")


def _look_parser(verbs) -> None:
    parser = _verb(verbs, "look", "say what is read from data, and how it would be split")
    parser.add_argument("data", nargs="+", help="files, folders or a built-in set")
    _data_options(parser)


def _run_verb(verbs, name: str, help: str, *, output: str) -> argparse.ArgumentParser:
    parser = _verb(verbs, name, help)
    parser.add_argument("run", help="a run folder")
    parser.add_argument("-o", "--output", metavar="FILE", help=output)
    parser.add_argument("--force", action="store_true", help="replace FILE")
    return parser


_GIVEN = "what the model is told: the name of a class, or numbers with commas between"


def _sample_parser(verbs) -> None:
    parser = _run_verb(verbs, "sample", "draw from a fitted model, in the data's units",
                       output="a table or array (default: RUN/samples.csv)")  # fmt: skip
    parser.add_argument("-n", type=int, default=100, help="how many (100)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-noise", action="store_true", help="without observation noise")
    parser.add_argument("--given", help=_GIVEN)


def _traverse_parser(verbs) -> None:
    parser = _run_verb(verbs, "traverse", "turn every latent from low to high, as a figure",
                       output=".svg, .png or .pdf (default: RUN/traversal.svg)")  # fmt: skip
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--low", type=float, default=-3.0, help="in standard deviations (-3)")
    parser.add_argument("--high", type=float, default=3.0)
    parser.add_argument("--given", help=_GIVEN)


def _interpolate_parser(verbs) -> None:
    parser = _run_verb(verbs, "interpolate", "walk between two held-out observations",
                       output=".svg, .png or .pdf (default: RUN/interpolation.svg)")  # fmt: skip
    parser.add_argument("--between", type=int, nargs=2, default=(0, 1), metavar=("A", "B"),
                        help="which of the held-out examples (0 1)")  # fmt: skip
    parser.add_argument("--steps", type=int, default=9)


def _reconstruct_parser(verbs) -> None:
    parser = _run_verb(verbs, "reconstruct", "encode and decode held-out observations",
                       output=".svg, .png or .pdf (default: RUN/reconstructions.svg)")  # fmt: skip
    parser.add_argument("-n", type=int, default=6, help="how many (6)")


def _encode_parser(verbs) -> None:
    parser = _run_verb(verbs, "encode", "the latents of data, read as the run read its own",
                       output="a table or array (default: RUN/codes.csv)")  # fmt: skip
    parser.add_argument("data", nargs="*", help="files (default: the run's own data)")
    parser.add_argument("--stream", action="store_true",
                        help="leave the data on the disk and read a part at a time")  # fmt: skip


def _report_parser(verbs) -> None:
    parser = _verb(verbs, "report", "write the page of a run: one self-contained HTML file")
    parser.add_argument("run", help="a run folder")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: RUN/report.html")
    parser.add_argument("--latex", metavar="DIR", help="an equation's fit as an article, too")
    parser.add_argument("--force", action="store_true", help="replace FILE")


def _compare_parser(verbs) -> None:
    parser = _verb(
        verbs, "compare", "fit several recipes to the same data, and say which is ahead",
        usage="unweave compare DATA RECIPE [RECIPE ...] [options]",
    )  # fmt: skip
    parser.add_argument("data", nargs=1, help="a file, a folder, physionet:…, or a built-in set")
    recipes = "a recipe, FILE.ode or zoo:NAME; with options of its own: vae:latents=5,epochs=20"
    parser.add_argument("recipes", nargs="+", metavar="RECIPE", help=recipes)
    _data_options(parser)
    run = parser.add_argument_group("comparison")
    run.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0 on (5)")
    shares = "parts of the training data to fit to as well (0.0625,0.125,0.25,0.5,1)"
    run.add_argument("--shares", type=_numbers, metavar="S,S,1", help=shares)
    elsewhere = "other data of the same kind, on which each model is measured as it is"
    run.add_argument("--elsewhere", metavar="DATA", help=elsewhere)
    rows = "groups of measures, or single ones, joined by commas: accuracy,cost (all)"
    run.add_argument("--rows", metavar="WORD,WORD", help=rows)
    out = "keeps every fit, and goes on from there (default: runs/compare-DATA)"
    run.add_argument("--out", metavar="DIR", help=out)
    run.add_argument("--latex", metavar="DIR", help="the article and its figures there, too")
    workers = "so many fits at once, each in a process of its own (1: in this one)"
    run.add_argument("--workers", type=int, metavar="N", help=workers)
    where = (
        "ray: on a Ray cluster, that of RAY_ADDRESS or one on this machine; HOST:PORT or "
        "ray://HOST:PORT: on the cluster there"
    )
    run.add_argument("--on", type=cluster, metavar="ray|ADDRESS", help=where)
    run.add_argument("--quiet", action="store_true", help="no progress bar")


def _numbers(text: str) -> tuple[float, ...]:
    """A list of numbers, joined by commas."""
    try:
        return tuple(float(part) for part in text.split(",") if part)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no list of numbers, such as 0.25,1"
        ) from None


def _discover_parser(verbs) -> None:
    parser = _verb(
        verbs, "discover", "find an equation that courses in time follow",
        usage="unweave discover DATA [DATA ...] [options]",
    )  # fmt: skip
    parser.add_argument("data", nargs="+", help="files, folders or a built-in set")
    _data_options(parser)
    found = parser.add_argument_group("discovery")
    found.add_argument("--degree", type=int, default=3, help="of the polynomials (3)")
    bags = "resamplings that inclusion probabilities are from (20; 0: none)"
    found.add_argument("--bags", type=int, default=20, help=bags)
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("-o", "--output", metavar="FILE", help="write the text there, an .ode file")
    found.add_argument("--force", action="store_true", help="replace FILE")
    found.add_argument("--quiet", action="store_true", help="no progress")


def _analyse_parser(verbs) -> None:
    parser = _verb(
        verbs, "analyse", "equilibria, stability, phase portrait and basins of an equation",
        usage="unweave analyse FILE.ode|zoo:NAME|RUN [options]",
    )  # fmt: skip
    parser.add_argument("source", metavar="SOURCE", help="an equation, or a run that fitted one")
    value = "a latent's value (default: its prior's median, or the estimate)"
    parser.add_argument("--set", nargs="+", action="extend", metavar="NAME=VALUE", help=value)
    where = "where to look (default: where courses of the equation go)"
    parser.add_argument("--box", nargs="+", action="extend", metavar="STATE=LOW:HIGH",
                        help=where)  # fmt: skip
    parser.add_argument("--until", type=float, help="how long those courses are (100)")
    along = "follow the equilibria along a latent: folds and Hopf points"
    parser.add_argument("--along", metavar="NAME=LOW:HIGH", help=along)
    parser.add_argument("--lyapunov", action="store_true", help="the Lyapunov spectrum too")
    parser.add_argument("--latex", metavar="DIR", help="write it as an article, too")
    output = ".svg, .png or .pdf (default: RUN/phase.svg or SOURCE-phase.svg)"
    parser.add_argument("-o", "--output", metavar="FILE", help=output)
    parser.add_argument("--force", action="store_true", help="replace FILE")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def _roots_parser(verbs) -> None:
    parser = _verb(verbs, "roots", "all real roots of a formula on an interval")
    parser.add_argument("formula", help='such as "x**3 - 2*x - 5" or "cos(x) = x"')
    parser.add_argument("--between", type=float, nargs=2, default=(-100.0, 100.0),
                        metavar=("LOW", "HIGH"), help="the interval (-100 100)")  # fmt: skip


def _zoo_parser(verbs) -> None:
    parser = _verb(verbs, "zoo", "list the equations that are built in, or print one")
    parser.add_argument("name", nargs="?", metavar="NAME", help="the one whose text is printed")


def _simulate_parser(verbs) -> None:
    parser = _verb(
        verbs, "simulate", "solve an equation, at latents that are chosen or drawn",
        usage="unweave simulate FILE.ode|zoo:NAME [options]",
    )  # fmt: skip
    parser.add_argument(
        "source", metavar="SOURCE", help="a file with an equation, zoo:NAME, or its text"
    )
    parser.add_argument("--until", type=float, help="the last time (10, or the zoo's own)")
    parser.add_argument("--samples", type=int, help="how many times (201, or the zoo's own)")
    parser.add_argument("--set", nargs="+", action="extend", metavar="NAME=VALUE",
                        help="latents; the others are at their priors' medians")  # fmt: skip
    parser.add_argument("-n", type=int, help="so many courses, their latents drawn")
    parser.add_argument("--noise", action="store_true", help="with the noise of a measurement")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", metavar="FILE", help="a table of what drives the equation")
    parser.add_argument("--time", default="time", metavar="COLUMN", help="its times (time)")
    parser.add_argument("-o", "--output", metavar="FILE",
                        help="a table or array (default: some rows are printed)")  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace FILE")
