"""What the verbs do, one function each: a result, as a sentence and as one object."""

import argparse
import importlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .. import show
from .._model import require
from ..data import Dataset, Stored, restore
from ..networks import AbstractTold
from ..run import Run, load_run
from ..sources import Source, part_source, read_observations, split_source
from ._cache import use_compilation_cache
from ._fit import fit_help, fit_verb, given_source
from ._options import describe_recipes
from ._output import Result, check_free, print_result, write_codes, write_observations
from ._pieces import ahead, counted, piece_rows
from ._together import comes_together, join_others, start_together

# observations on disk that are read to say how many numbers are missing
_LOOKED_AT = 256


def run(options: argparse.Namespace, arguments: list[str], parser: argparse.ArgumentParser) -> int:
    """Runs the verb that was asked for and prints its result."""
    use_compilation_cache()
    if options.verb == "fit" and options.help:
        print(fit_help(options, parser))
        return 0
    if options.verb == "fit":
        if comes_together(options):
            return start_together(arguments, options)
        join_others(options)
        result, text = fit_verb(options, arguments, parser)
        if jax.process_index() > 0:
            return 0
    else:
        options.words = tuple(arguments)
        result, text = _verb(options.verb)(options)
    print_result(result, text, as_json=options.json)
    return 0


def _recipes(options: argparse.Namespace) -> Result:
    return describe_recipes()


def _look(options: argparse.Namespace) -> Result:
    source = Source.from_settings(given_source(options))
    data = read_observations(source)
    schema = data.schema
    units = ", ".join(
        f"{name} ({unit})" if unit else name
        for name, unit in zip(schema.channels, schema.units, strict=True)
    )
    shape = " × ".join(
        f"{size} {axis}s" for size, axis in zip(schema.shape, schema.axes, strict=True)
    )
    some = data.sample(_LOOKED_AT) if isinstance(data, Stored) else data
    missing = 0.0
    if some.observations.dtype.kind == "f":
        missing = float(np.isnan(some.observations).mean())
    result: dict[str, Any] = {
        "kind": schema.kind,
        "n": len(data),
        "shape": list(schema.shape),
        "axes": list(schema.axes),
        "channels": list(schema.channels),
        "units": list(schema.units),
        "records": len(np.unique(data.records)),
        "groups": len(np.unique(data.groups)),
        "missing": missing,
        "streamed": isinstance(data, Stored),
        "notes": list(data.notes),
    }
    try:
        on_disk = isinstance(data, Stored)
        parted = part_source(source, data) if on_disk else split_source(source, data)
    except ValueError as error:
        result["split"], words = None, f"no split: {error}"
    else:
        names = {"n_train": parted.train, "n_validation": parted.validation, "n_test": parted.test}
        result |= {"split": parted.how, **{name: len(part) for name, part in names.items()}}
        words = (
            f"{len(parted.train)} to train, {len(parted.validation)} to stop by, "
            f"{len(parted.test)} to test. {parted.how}"
        )
    of = f" (of {len(some)} that were read)" if len(some) < len(data) else ""
    text = (
        f"{len(data)} {schema.kind} of {shape}: {units}\n"
        f"from {result['records']} records in {result['groups']} groups; "
        f"{100 * missing:.2g} % not observed{of}\n{words}"
    )
    return result, "\n".join([text, *data.notes])


def _sample(options: argparse.Namespace) -> Result:
    fitted = load_run(options.run)
    if options.n < 1:
        raise ValueError(f"{options.n} samples were asked for; give -n at least 1.")
    path = _output(options, fitted, "samples.csv")
    key = jax.random.key(options.seed)
    told = _told(fitted, options.given)
    write_observations(
        path, counted(_drawn(options, fitted, told, key), options.n, "sampling"), options.n,
        fitted.schema,
    )  # fmt: skip
    return (
        {"run": str(fitted.folder), "n": options.n, "output": str(path), "seed": options.seed},
        f"{options.n} samples: {path}",
    )


def _drawn(
    options: argparse.Namespace, fitted: Run, told: Any, key: jax.Array
) -> Iterator[np.ndarray]:
    """Samples in the data's units, piece by piece, each piece with a key of its own."""
    each = piece_rows(fitted.schema.size)
    given = fitted.conditions if told is None else None
    for number, first in enumerate(range(0, options.n, each)):
        n = min(each, options.n - first)
        place = np.arange(first, first + n)
        x = show.draw(
            fitted.model, n, condition=told,
            conditions=jax.tree.map(lambda part, place=place: part[place % len(part)], given),
            noise=not options.no_noise, key=jax.random.fold_in(key, number) if number else key,
        )  # fmt: skip
        yield restore(x, fitted.schema)


def _told(fitted: Run, words: str | None) -> Any:
    """The condition that --given stands for, None without it."""
    if words is None:
        return None
    model = fitted.model
    if not isinstance(model, AbstractTold) or model.given is None:
        raise ValueError(
            f"the {fitted.result['recipe']} in {fitted.folder} was told nothing of its data; fit "
            "one that is, such as: unweave fit cgan DATA."
        )
    return model.given.read(words)


def _traverse(options: argparse.Namespace) -> Result:
    from .. import plots  # Matplotlib is only loaded where something is drawn

    fitted = load_run(options.run)
    path = _output(options, fitted, "traversal.svg")
    x = show.traverse(
        fitted.model, steps=options.steps, low=options.low, high=options.high,
        condition=_row(fitted, 0) if options.given is None else _told(fitted, options.given),
    )  # fmt: skip
    names, kl = fitted.model.latents.names, fitted.result["kl_per_latent"]
    figure = plots.traversal(
        _restored(x, fitted),
        fitted.schema,
        names=names,
        activity=None if kl is None else np.asarray(kl),
        low=options.low,
        high=options.high,
    )
    plots.save(figure, path)
    result = {"run": str(fitted.folder), "output": str(path), "latents": list(names)}
    return result, f"traversal: {path}"


def _interpolate(options: argparse.Namespace) -> Result:
    from .. import plots  # Matplotlib is only loaded where something is drawn

    fitted = load_run(options.run)
    require(fitted.model, "encoder", "decoder", tool="interpolate")
    path = _output(options, fitted, "interpolation.svg")
    first, last = options.between
    n = len(fitted.examples)
    if not (0 <= first < n and 0 <= last < n):
        raise ValueError(
            f"--between {first} {last} is out of range: the run keeps {n} held-out examples, "
            f"0 to {n - 1}."
        )
    both = jax.tree.map(lambda part: part[[first, last]], fitted.conditions)
    codes = show.codes(fitted.model, fitted.examples[[first, last]], conditions=both)
    x = show.interpolate(
        fitted.model, codes[0], codes[1], steps=options.steps, condition=_row(fitted, first)
    )
    plots.save(plots.samples(restore(x, fitted.schema), fitted.schema), path)
    return {"run": str(fitted.folder), "output": str(path)}, f"interpolation: {path}"


def _reconstruct(options: argparse.Namespace) -> Result:
    from .. import plots  # Matplotlib is only loaded where something is drawn

    fitted = load_run(options.run)
    if options.n < 1:
        raise ValueError(f"{options.n} reconstructions were asked for; give -n at least 1.")
    path = _output(options, fitted, "reconstructions.svg")
    x = fitted.examples[: options.n]
    conditions = jax.tree.map(lambda part: part[: options.n], fitted.conditions)
    rebuilt = show.reconstruct(fitted.model, x, conditions=conditions)
    figure = plots.reconstructions(x, rebuilt, fitted.schema)
    plots.save(figure, path)
    return {"run": str(fitted.folder), "output": str(path)}, f"reconstructions: {path}"


def _encode(options: argparse.Namespace) -> Result:
    fitted = load_run(options.run)
    require(fitted.model, "encoder", tool="encode")
    path = _output(options, fitted, "codes.csv")
    settings = dict(fitted.settings["data"])
    if options.data:
        settings["paths"] = list(options.data)
    if options.stream:
        settings["stream"] = True
    data = read_observations(Source.from_settings(settings))
    if data.schema.shape != fitted.schema.shape:
        raise ValueError(
            f"the observations have shape {data.schema.shape}, and the model of {options.run} "
            f"takes {fitted.schema.shape}; read them as the run did (see its run.toml)."
        )
    each = piece_rows(data.schema.size)
    parts = ahead(data.parts(each)) if isinstance(data, Stored) else [data]

    def codes() -> Iterator[tuple[np.ndarray, Dataset]]:
        for part in counted(parts, len(data), "encoding"):
            yield show.codes(fitted.model, part.observations, conditions=part.conditions), part

    write_codes(path, codes(), len(data), fitted.model)
    result = {"run": str(fitted.folder), "n": len(data), "output": str(path)}
    return result, f"{len(data)} codes: {path}"


def _report(options: argparse.Namespace) -> Result:
    from ..report import write_article, write_run_report

    fitted = load_run(options.run)
    path = write_run_report(fitted, output=_output(options, fitted, "report.html"))
    result, text = {"run": str(fitted.folder), "output": str(path)}, f"report: {path}"
    if options.latex is not None:
        result["article"] = str(write_article(options.latex, fitted))
        text += f"\narticle: {result['article']}"
    return result, text


_VERBS: Mapping[str, Callable[[argparse.Namespace], Result]] = {
    "recipes": _recipes,
    "look": _look,
    "sample": _sample,
    "traverse": _traverse,
    "interpolate": _interpolate,
    "reconstruct": _reconstruct,
    "encode": _encode,
    "report": _report,
}
# those of modules that are imported when they are asked for, each with all that it needs
_ELSEWHERE = {
    "analyse": "_analyse", "attack": "_attack", "bound": "_bound", "compare": "_compare",
    "detect": "_detect", "dictionary": "_disentangle", "discover": "_discover",
    "disentangle": "_disentangle", "explain": "_explain", "explore": "_explore",
    "roots": "_analyse", "simulate": "_simulate", "zoo": "_zoo",
}  # fmt: skip


def _verb(name: str) -> Callable[[argparse.Namespace], Result]:
    if name in _VERBS:
        return _VERBS[name]
    return getattr(importlib.import_module(f".{_ELSEWHERE[name]}", __package__), f"{name}_verb")


def _row(fitted: Run, row: int) -> Any:
    """What is known beside one of the run's examples, if anything."""
    return jax.tree.map(lambda part: part[row], fitted.conditions)


def _output(options: argparse.Namespace, fitted: Run, name: str) -> Path:
    """Where the result goes: a file that was named must not exist, the run's own may."""
    if options.output is None:
        assert fitted.folder is not None
        return fitted.folder / name
    path = Path(options.output)
    check_free(path, force=options.force)
    return path


def _restored(walks: np.ndarray, fitted: Run) -> np.ndarray:
    """Walks `(latent, step, ...)` with the windows' transform undone."""
    flat = restore(walks.reshape(-1, *fitted.schema.shape), fitted.schema)
    return flat.reshape(walks.shape)
