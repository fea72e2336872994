"""`unweave fit`: from arguments, or an earlier run's settings, to a run and what it says."""

import argparse
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..report import write_run_report
from ..run import fit
from ..sources import Source, open_source
from ..track import AbstractTracker, MLflow, TensorBoard
from ._options import make_recipe, options_of, parse_options
from ._output import Result


def fit_verb(options: argparse.Namespace, rest: list[str]) -> Result:
    name, given, source, seed = _what_to_fit(options, rest)
    recipe = make_recipe(name, given)
    folder = Path(options.resume or options.out or _free_folder(name, source))
    _say(options, f"reading {' '.join(source.paths)}")
    data = open_source(source, seed=seed)
    _say(
        options,
        f"{len(data.train)} observations to train, {len(data.validation)} to stop by, "
        f"{len(data.test)} to test. {data.how}",
    )
    trackers = _trackers(options.track, folder)
    fitted = fit(
        recipe,
        data,
        out=folder,
        resume=options.resume is not None,
        force=options.force,
        source=source.settings(),
        checkpoint_every=options.checkpoint_every,
        quiet=options.quiet or options.json,
        trackers=trackers,
        seed=seed,
    )
    for tracker in trackers:
        tracker.close()
    result = dict(fitted.result)
    if not options.no_report:
        result["report"] = str(write_run_report(fitted))
    return result, _fit_text(result)


def _what_to_fit(
    options: argparse.Namespace, rest: list[str]
) -> tuple[str, dict[str, Any], Source, int]:
    """Recipe, its options, data and seed: from the arguments, over those of an earlier run."""
    before: Mapping[str, Any] = {}
    file = options.from_file
    if options.resume is not None:
        file = str(Path(options.resume) / "run.toml")
    if file is not None:
        before = _read_settings(Path(file))
    name = options.recipe or before.get("recipe")
    if name is None:
        raise ValueError(
            "no recipe was named; say, for example: unweave fit vae digits (all of them: "
            "unweave recipes)."
        )
    given = dict(before.get("options", {})) if before.get("recipe", name) == name else {}
    given |= parse_options(name, rest)
    settings = dict(before.get("data", {})) | given_source(options)
    if "paths" not in settings:
        settings["paths"] = []
    seed = options.seed if options.seed is not None else int(before.get("seed", 0))
    return name, given, Source.from_settings(settings), seed


def _read_settings(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a run's settings: {error}.") from None


def given_source(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of the data that were given on the command line."""
    names = (
        "kind", "time", "rate", "unit", "before", "after", "samples", "length", "step",
        "transform", "split", "test", "validation", "gap",
    )  # fmt: skip
    given = {n: getattr(options, n) for n in names if getattr(options, n) is not None}
    if options.columns is not None:
        given["columns"] = [column.strip() for column in options.columns.split(",")]
    if options.same_patient:
        given["same_patient"] = list(options.same_patient)
    if options.data:
        given["paths"] = list(options.data)
    return given


def _free_folder(recipe: str, source: Source) -> Path:
    stem = Path(source.paths[0]).name.split(".")[0].replace(":", "-") or "data"
    folder, number = Path("runs") / f"{recipe}-{stem}", 2
    while folder.exists():
        folder = Path("runs") / f"{recipe}-{stem}-{number}"
        number += 1
    return folder


def _trackers(kind: str | None, folder: Path) -> tuple[AbstractTracker, ...]:
    if kind == "tensorboard":
        return (TensorBoard(folder / "tensorboard"),)
    return (MLflow(folder.name),) if kind == "mlflow" else ()


def _fit_text(result: Mapping[str, Any]) -> str:
    lines = []
    if result["explained_variance"] is not None:
        against = result["baselines"].get("pca")
        pca = "" if against is None else f" (PCA with as many latents: {100 * against:.2f} %)"
        lines.append(
            f"explains {100 * result['explained_variance']:.2f} % of the held-out variance{pca}"
        )
    if result["log_density"] is not None:
        lines.append(
            f"log-density of held-out data {result['log_density']:.2f} nats per observation "
            f"({result['density_kind']})"
        )
    if result["active_latents"] is not None:
        lines.append(f"{result['active_latents']} of {result['latents']} latents are active")
    lines += [f"{result['stopped']}, in {result['seconds']:.1f} s", f"run: {result['run']}"]
    if "report" in result:
        lines.append(f"report: {result['report']}")
    return "\n".join(lines)


def fit_help(options: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    verbs = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    common = verbs.choices["fit"].format_help()
    if options.recipe is None:
        return common + "\nThe recipe's own options: unweave fit RECIPE --help\n"
    return common + "\n" + options_of(options.recipe)


def _say(options: argparse.Namespace, sentence: str) -> None:
    if not options.quiet:
        print(sentence, file=sys.stderr)
