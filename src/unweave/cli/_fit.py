"""`unweave fit`: from arguments, or an earlier run's settings, to a run and what it says."""

import argparse
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from .._estimate import Estimate, estimate
from ..data import Split
from ..recipes import OF_COURSES, OF_TEXT, RECIPES
from ..run import fit
from ..sources import Source, read_observations, split_source
from ..track import AbstractTracker, MLflow, TensorBoard
from ._options import add_options, given_options, make_recipe, options_of
from ._output import Result

# fewer courses than this are not parted for an equation unless that was asked for
_FEW = 5


def fit_verb(
    options: argparse.Namespace, arguments: list[str], parser: argparse.ArgumentParser
) -> Result:
    before = _settings_before(options)
    name = _recipe_name(options, before)
    options = _read_again(arguments, name, parser)
    given, source, seed = _what_to_fit(options, name, before)
    recipe = make_recipe(name, given)
    label = _label(name, options)
    folder = Path(options.resume or options.out or _free_folder(label, source))
    _say(options, f"reading {' '.join(source.paths)}")
    data = _open(name, source, seed)
    _say(
        options,
        f"{len(data.stored or data.train)} observations to train, {len(data.validation)} to stop "
        f"by, {len(data.test)} to test. {data.how}",
    )
    if options.dry_run:
        told = estimate(recipe, data, devices=options.devices, seed=seed)
        return told.to_dict(), _estimate_text(told)
    trackers = _trackers(options.track if jax.process_index() == 0 else None, folder)
    try:
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
            devices=options.devices,
            bfloat16=options.bfloat16 or bool(before.get("bfloat16", False)),
            seed=seed,
        )
    finally:
        for tracker in trackers:
            tracker.close()
    result = dict(fitted.result)
    if jax.process_index() > 0:
        return result, ""
    if not options.no_report:
        from ..report import write_run_report  # Matplotlib is only loaded to draw

        result["report"] = str(write_run_report(fitted))
    if options.latex is not None:
        from ..report import write_article

        result["article"] = str(write_article(options.latex, fitted))
    return result, _fit_text(result)


def _estimate_text(told: Estimate) -> str:
    """The estimate in lines; nothing was begun."""
    from ..report import duration  # Matplotlib comes with it

    lines = [f"{told.recipe} on {told.observations:,} observations: {told.sentence}."]
    if told.parameters is not None and told.megabytes is not None and told.seconds is not None:
        lines += [
            f"parameters: {told.parameters:,}",
            f"memory: {told.megabytes:,.3g} MB a step, the data included",
            f"time: at most {duration(told.seconds)}, of which {told.compiling:.2g} s compile",
        ]
    return "\n".join(lines)


def _open(name: str, source: Source, seed: int) -> Split:
    """The data, parted. A few courses in time are all fitted by an equation unless a split was
    asked for: whoever reads its latents wants them from all that was measured."""
    observations = read_observations(source)
    few = len(observations) < _FEW and source.split is None and name in OF_COURSES
    return split_source(replace(source, split="none") if few else source, observations, seed=seed)


def _equation_word(name: str, options: argparse.Namespace) -> str | None:
    """What names the equation: the first word, or after hybrid and the like the second."""
    if is_equation(options.recipe):
        return options.recipe
    first = options.data[0] if options.data else None
    return first if name in OF_TEXT and is_equation(first) else None


def _label(name: str, options: argparse.Namespace) -> str:
    """What the run's folder begins with."""
    word = _equation_word(name, options)
    if word is None:
        return name
    stem = Path(word).stem.replace(":", "-")
    return stem if name == "equation" else f"{name}-{stem}"


def _settings_before(options: argparse.Namespace) -> Mapping[str, Any]:
    """The settings of the run that is to go on or to be repeated, if any."""
    if options.resume is not None:
        return _read_settings(Path(options.resume) / "run.toml")
    return {} if options.from_file is None else _read_settings(Path(options.from_file))


def _recipe_name(options: argparse.Namespace, before: Mapping[str, Any]) -> str:
    # beside an earlier run's settings the recipe may be left out, and the first word be data
    if is_equation(options.recipe):
        return "equation"
    if options.recipe in RECIPES or "recipe" not in before:
        name = options.recipe
    else:
        name = before["recipe"]
    if name is None:
        raise ValueError(
            "no recipe was named; say, for example: unweave fit vae digits (all of them: "
            "unweave recipes)."
        )
    return name


def is_equation(word: str | None) -> bool:
    """Whether a word names an equation: a file that ends in .ode, or one of the zoo's."""
    return word is not None and (word.endswith(".ode") or word.startswith("zoo:"))


def _read_again(
    arguments: list[str], name: str, parser: argparse.ArgumentParser
) -> argparse.Namespace:
    """All arguments, now that the recipe is known and its own options with it."""
    own = fit_parser(parser)
    add_options(own, name)
    words = arguments[arguments.index("fit") + 1 :]
    options = own.parse_intermixed_args(words)
    if options.recipe is not None and options.recipe != name and not is_equation(options.recipe):
        options.data.insert(0, options.recipe)
    return options


def _what_to_fit(
    options: argparse.Namespace, name: str, before: Mapping[str, Any]
) -> tuple[dict[str, Any], Source, int]:
    """The recipe's options, data and seed: from the arguments, over those of an earlier run."""
    if options.resume is not None and options.out is not None:
        raise ValueError("--resume goes on in the run's own folder; leave --out out.")
    given = dict(before.get("options", {})) if before.get("recipe", name) == name else {}
    given |= given_options(name, options)
    settings = dict(before.get("data", {})) | given_source(options)
    word = _equation_word(name, options)
    if word is not None:
        given["source"] = word
        if options.data[:1] == [word]:
            settings["paths"] = options.data[1:] or list(before.get("data", {}).get("paths", ()))
    if name in OF_TEXT and "source" not in given:
        what = "" if name == "equation" else f"{name} "
        raise ValueError(f"name the equation: unweave fit {what}FILE.ode DATA, or zoo:NAME.")
    if name in OF_COURSES:
        settings.setdefault("kind", "trajectories")
    if "paths" not in settings:
        settings["paths"] = []
    if name == "cyclegan" and len(settings["paths"]) == 2:
        settings.setdefault("by_file", True)
    seed = options.seed if options.seed is not None else int(before.get("seed", 0))
    return given, Source.from_settings(settings), seed


def _read_settings(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a run's settings: {error}.") from None


def given_source(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of the data that were given on the command line."""
    names = (
        "kind", "time", "rate", "unit", "before", "after", "samples", "length", "step",
        "transform", "split", "test", "validation", "gap", "channel",
        "most",
    )  # fmt: skip
    given = {n: getattr(options, n) for n in names if getattr(options, n) is not None}
    for name in ("columns", "by", "inputs"):
        if getattr(options, name) is not None:
            given[name] = [column.strip() for column in getattr(options, name).split(",")]
    if options.stream:
        given["stream"] = True
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
    if "equation" in result:
        from ..equations import table

        lines += [*table(result["equation"]), "", *result["equation"]["verdict"], ""]
        lines += result["equation"]["notes"]
    elif result["explained_variance"] is not None:
        against = result["baselines"].get("pca")
        pca = "" if against is None else f" (PCA with as many latents: {100 * against:.2f} %)"
        lines.append(
            f"explains {100 * result['explained_variance']:.2f} % of the held-out variance{pca}"
        )
    if result["prediction"] is not None:
        lines += prediction_lines(result["prediction"])
    if result["log_density"] is not None:
        of = "these" if result["split"].startswith("Nothing was held out") else "held-out"
        lines.append(
            f"log-density of {of} data {result['log_density']:.2f} nats per observation "
            f"({result['density_kind']})"
        )
    if result["active_latents"] is not None and "equation" not in result:
        lines.append(f"{result['active_latents']} of {result['latents']} latents are active")
    lines += result.get("health", [])
    if result.get("choices") is not None:
        lines.append(result["choices"]["sentence"])
    if result.get("spans") is not None:
        lines.append(result["spans"]["sentence"])
    lines += [f"{result['stopped']}, in {result['seconds']:.1f} s", f"run: {result['run']}"]
    lines += [f"{kind}: {result[kind]}" for kind in ("report", "article") if kind in result]
    return "\n".join(lines)


def prediction_lines(told: Mapping[str, Any]) -> list[str]:
    """What a predictor reached on test data, in sentences."""
    if told["kind"] == "accuracy":
        first = (
            f"answers {100 * told['score']:.2f} % of {told['n']} test observations rightly (always "
            f"the most frequent class: {100 * told['most_frequent']:.2f} %)"
        )
    else:
        errors = ", ".join(f"{name} {e:.4g}" for name, e in told["root_mean_square"].items())
        first = (
            f"explains {100 * told['score']:.2f} % of the answers' variance on {told['n']} test "
            f"observations; root mean square errors: {errors}"
        )
    return [first, f"{told['parameters']:,} parameters. {told['verdict']}"]


def fit_help(options: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    common = fit_parser(parser).format_help()
    if options.recipe is None:
        return common + "\nThe recipe's own options: unweave fit RECIPE --help\n"
    name = "equation" if is_equation(options.recipe) else options.recipe
    return common + "\n" + options_of(name)


def fit_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The parser of the verb among those of the command line."""
    verbs = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return verbs.choices["fit"]


def _say(options: argparse.Namespace, sentence: str) -> None:
    if not options.quiet and jax.process_index() == 0:
        print(sentence, file=sys.stderr)
