"""The verb: fit a recipe to data, in memory or into a run folder that survives a crash."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from ._course import Course
from ._held import held
from ._join import ProcessesError, tells_of_a_loss
from ._keys import split_on_host
from ._programs import drop_programs
from ._save import save_model
from ._schema import Schema
from ._tensors import read_tensors, write_tensors
from ._version import __version__
from .data import Split, restore, schema_for
from .measure import measure
from .recipes import NOISES
from .track import AbstractTracker
from .train import (
    Interrupted,
    Log,
    Placement,
    Progress,
    Recipe,
    Row,
    RunFolder,
    RunFolderError,
    Say,
    Solved,
    Trained,
    Trainer,
    TrainingFailed,
    Watch,
    alarms,
    as_toml,
    fingerprint,
    health_words,
    placement,
    stop_on_signals,
    trainer_of,
)

# held-out observations that a run folder keeps for its figures
_EXAMPLES = 64
# before the names of a fitted equation's arrays in the file of the examples
_ARRAY = "array."


@dataclass(frozen=True, eq=False)
class Run:
    """A fitted model with what it was fitted to and how well.

    `result` is what `unweave fit --json` prints; `rows` the log, a row an epoch, of very many
    every second or fourth; `examples` a few
    held-out observations and `conditions` what is known beside each, if anything; `settings`
    what would repeat the run; `folder` where it lives. `arrays` are what a fitted equation's
    figures are made of.
    """

    model: Any
    schema: Schema
    result: Mapping[str, Any]
    rows: Sequence[Row]
    examples: np.ndarray
    settings: Mapping[str, Any]
    folder: Path | None = None
    conditions: Course | None = None
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


def fit(
    recipe: Recipe,
    data: Split,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    source: Mapping[str, Any] | None = None,
    checkpoint_every: float = 60.0,
    quiet: bool = False,
    trackers: tuple[AbstractTracker, ...] = (),
    devices: int | None = None,
    bfloat16: bool = False,
    seed: int = 0,
) -> Run:
    """Fits `recipe` to `data` and measures the result on the test part.

    With `out` the run lives in that folder: settings, log, checkpoints every `checkpoint_every`
    seconds, the model. `resume` goes on with the run that is there and ends in the same bits as
    a run that was never interrupted; `force` replaces it. `source` is kept in the settings: how
    the data were made. The same `seed` gives the same model.

    With `devices` that many of JAX's share every batch, each its part, and end in what one would
    but for the order in which floats are added up; of several processes that `join` brought
    together each calls this alike, all their devices share a batch, and the first one measures and
    writes; the others' `result` is empty. With `bfloat16` the loss and its gradient are computed in
    that precision, and the numbers that are fitted stay float32.

    Raises `RunFolderError` where the folder cannot be used, `FolderInUse`, an `OSError`, where
    another process works in it, `DevicesError` for devices that there are not, `ProcessesError`
    where one of the processes was lost, `TrainingFailed` when the loss was not finite (the last
    good model is saved), and `Interrupted` on Ctrl-C or SIGTERM, after saving. After an `OSError`,
    of a full disk, say, every file is as it was or new, and `resume` goes on.
    """
    _check_observations(recipe, data)
    folder = RunFolder(Path(out)) if out is not None else None
    if resume and folder is None:
        raise RunFolderError("resume needs out, the folder of the run that is to go on.")
    settings = settings_of(recipe, source, seed) | ({"bfloat16": True} if bfloat16 else {})
    way = _Way(folder, resume, force, checkpoint_every, quiet, trackers, placement(devices),
               bfloat16)  # fmt: skip
    if folder is None or not (way.on.first or resume):
        return _fit(recipe, data, settings, way, seed)
    if not way.on.first or not folder.path.is_dir():
        # what is refused leaves no folder
        _check_folder(folder, settings, resume=resume, force=force)
    with held(folder.path) if way.on.first else nullcontext():
        _check_folder(folder, settings, resume=resume, force=force)
        return _fit(recipe, data, settings, way, seed)


class _Way(NamedTuple):
    """How a fit is carried out, which changes nothing of what it ends in."""

    folder: RunFolder | None
    resume: bool
    force: bool
    checkpoint_every: float
    quiet: bool
    trackers: tuple[AbstractTracker, ...]
    on: Placement
    bfloat16: bool


def _fit(recipe: Recipe, data: Split, settings: dict[str, Any], way: _Way, seed: int) -> Run:
    """The fit itself, into a folder that is free and held, or into none."""
    folder, on = way.folder, way.on
    began = time.monotonic()
    build_key, train_key = split_on_host(jax.random.key(seed), 2)
    drop_programs()
    solved = _solved(recipe, data, seed, way.quiet)
    model = recipe.build(data.train, build_key) if solved is None else solved.model
    if folder is not None and not way.resume and on.first:
        # not earlier, so that a recipe that does not fit the data leaves no run behind
        folder.create(force=way.force)
        folder.write_settings(settings)
    how = "a closed form: there was nothing to iterate" if solved is None else "solved"
    trained = Trained(model, [], 0, how)
    schema = schema_for(data.train)
    if recipe.plan is not None:
        trainer = trainer_of(recipe, model, data, on=on, bfloat16=way.bfloat16, key=train_key)
        try:
            trained = _train(trainer, data, way)
        except TrainingFailed as failure:
            if folder is not None and on.first:
                save_model(folder.model_file, failure.model, schema=schema)
            raise
        except (jax.errors.JaxRuntimeError, ValueError) as error:
            if on.processes == 1 or not tells_of_a_loss(error):
                raise
            raise ProcessesError(
                "one of the processes was lost while they trained; go on from the last checkpoint, "
                "with as many or others, by: unweave fit --resume "
                f"{'DIR (here nothing was kept)' if folder is None else folder.path}"
            ) from error
        except Interrupted as stop:
            assert folder is not None  # without one nothing is saved, and no signal is caught
            raise Interrupted(
                f"{stop}; go on with it by: unweave fit --resume {folder.path}"
            ) from None
    model = recipe.finish(trained.model, data.train)
    if not on.first:
        return Run(model, schema_for(data.train), {}, trained.rows, data.test.observations[:0],
                   settings)  # fmt: skip
    seconds = time.monotonic() - began
    described = solved is not None and data.test is data.train
    result = measure(recipe, model, data, trained, seed, seconds, described=described)
    if recipe.plan is not None:
        result["health"] = health_words(trained.rows, trained.epochs)
        result |= {"devices": on.devices, "processes": on.processes}
    if solved is not None:
        result |= solved.account
        every = data.train.records.astype(str).tolist()
        result["records"] = solved.account["equation"].get("records", every)
    kept = data.test.thinned(_EXAMPLES)
    run = Run(
        model, schema, result, trained.rows, kept.observations, settings,
        conditions=kept.conditions, arrays={} if solved is None else solved.arrays,
    )  # fmt: skip
    return run if folder is None else _write(run, folder)


def _solved(recipe: Recipe, data: Split, seed: int, quiet: bool) -> Solved | None:
    """What a recipe that solves its equation finds; None for another."""
    if recipe.solve is None:
        return None
    try:
        return recipe.solve(data.train, seed, _teller(quiet))
    except RuntimeError as error:
        # of a compiled program: an implicit solver has no other way to say so in its derivatives
        if "non-finite" not in str(error):
            raise
        raise ValueError(
            "the equation runs away at some of the values that its latents may have: while it was "
            "solved its states were no longer finite; narrow the ranges or priors of its latents, "
            "or fit to a shorter part of the courses."
        ) from error


def load_run(path: str | Path) -> Run:
    """The run in a folder, its model checked against the hash that the run wrote down."""
    folder = RunFolder(Path(path))
    settings = folder.read_settings()
    if not folder.result_file.exists():
        raise RunFolderError(
            f"the run in {path} has not finished; go on with it by: unweave fit --resume {path}"
        )
    result, file = folder.read_result()
    if file.schema is None:
        raise RunFolderError(f"{folder.model_file} does not say what its observations are.")
    kept, _ = read_tensors(folder.examples_file)
    examples = kept.pop("x")
    arrays = {n.removeprefix(_ARRAY): kept.pop(n) for n in tuple(kept) if n.startswith(_ARRAY)}
    return Run(
        file.model,
        file.schema,
        result,
        folder.read_rows(),
        examples,
        settings,
        folder.path,
        Course(**kept) if kept else None,
        arrays,
    )


def settings_of(recipe: Recipe, source: Mapping[str, Any] | None, seed: int) -> dict[str, Any]:
    """What `run.toml` holds: recipe, options, data and seed."""
    options = dict(recipe.options)
    if options.get("noise") is not None:
        kind = type(options["noise"])
        options["noise"] = next(
            (name for name, make in NOISES.items() if type(make()) is kind), kind.__name__
        )
    return {
        "unweave": __version__,
        "recipe": recipe.name,
        "seed": seed,
        "options": options,
        "data": dict(source or {}),
    }


def _teller(quiet: bool) -> Say:
    """Prints what is being done, with the seconds that have passed, unless quiet."""
    began = time.monotonic()

    def say(sentence: str) -> None:
        if not quiet:
            print(f"[{time.monotonic() - began:5.1f} s] {sentence}", file=sys.stderr)

    return say


def _check_observations(recipe: Recipe, data: Split) -> None:
    for name in ("train", "validation", "test"):
        observations = getattr(data, name).observations
        if not len(observations):
            raise ValueError(f"the split's {name} part is empty; each part needs an observation.")
        if np.isinf(observations).any():
            raise ValueError(
                f"the split's {name} part holds infinite values; where nothing was observed put "
                "NaN, or leave those observations out."
            )
        # everything but an equation, which is solved in double precision, works in single
        largest = float(np.nanmax(np.abs(observations), initial=0.0))
        if recipe.solve is None and largest > np.finfo(np.float32).max:
            raise ValueError(
                f"the split's {name} part holds {largest:.3g}, and single precision, in which "
                f"{recipe.name} works, ends at 3.4e38; give the data in a larger unit, or leave "
                "those observations out."
            )


def _check_folder(
    folder: RunFolder, settings: dict[str, Any], *, resume: bool, force: bool
) -> None:
    if not resume:
        folder.check_free(force=force)
        return
    before = folder.read_settings()
    if before.get("recipe") != settings["recipe"]:
        raise RunFolderError(
            f"{folder.path} holds a run of {before.get('recipe')}, not of {settings['recipe']}; "
            "resume it with its own recipe, or choose another --out."
        )
    old, new = (
        {"seed": s.get("seed"), "bfloat16": s.get("bfloat16", False), **s.get("options", {})}
        for s in (before, as_toml(settings))
    )
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            raise RunFolderError(
                f"{folder.path} was begun with {name} {old.get(name)}, not {new.get(name)}, so "
                "it cannot go on with that; leave it out, or start a new run with another --out."
            )


def _train(trainer: Trainer, data: Split, way: _Way) -> Trained:
    folder = way.folder
    progress, rows = trainer.start(), Log()
    mark = ""
    if folder is not None:
        mark = fingerprint(data.stored or data.train, data.validation)
    if folder is not None and way.resume:
        progress = folder.load_progress(progress, mark)
        rows = folder.read_rows(progress.epoch)
        if trainer.on.first:
            folder.cut_rows(progress.epoch)
    done = progress.epoch * trainer.per_epoch + progress.taken
    # a log file gets a line now and then, a terminal a moving bar
    pace = 0.1 if sys.stderr.isatty() else 10.0
    bar = tqdm(
        total=trainer.total, initial=done, unit="step", leave=False,
        disable=way.quiet or not trainer.on.first,
        mininterval=pace, dynamic_ncols=True,
    )  # fmt: skip

    # the rows that were looked at, of which the bar tells what is amiss
    looked = [row for row in rows if "look_spread" in row]
    amiss = _amiss(looked, trainer.epochs)

    def tick(done: int, total: int, metrics: Row) -> None:
        bar.set_postfix_str(", ".join([f"loss {metrics['loss']:.4g}", *amiss]), refresh=False)
        bar.update(done - bar.n)

    def row(metrics: Row) -> None:
        if "look_spread" in metrics:
            looked.append(metrics)
            amiss[:] = _amiss(looked, trainer.epochs)
        if folder is not None:
            folder.add_row(metrics)
        for tracker in way.trackers:
            tracker.log(metrics)

    def seen(epoch: int, observations: np.ndarray) -> None:
        if folder is not None:
            from .plots import samples, save  # not before there is something to draw

            schema, file = schema_for(data.train), folder.samples_file(epoch)
            file.parent.mkdir(exist_ok=True)
            save(samples(restore(observations, schema), schema), file)

    def save(progress: Progress) -> None:
        if folder is not None:
            folder.save_progress(progress, mark)

    with bar, stop_on_signals(enabled=folder is not None) as stop:
        watch = Watch(tick, row, seen, save, stop.is_set, way.checkpoint_every)
        return trainer.run(progress, rows, watch)


def _amiss(looked: list[Row], epochs: int) -> list[str]:
    """The alarms of a training so far, for its bar."""
    return [f"{what} since epoch {n}" for what, n in alarms(looked, epochs).items()]


def _write(run: Run, folder: RunFolder) -> Run:
    digest = save_model(folder.model_file, run.model, schema=run.schema)
    course = Course() if run.conditions is None else run.conditions
    beside = {name: np.asarray(p) for name, p in course._asdict().items() if p is not None}
    beside |= {_ARRAY + name: np.asarray(array) for name, array in run.arrays.items()}
    write_tensors(folder.examples_file, {"x": run.examples, **beside}, {})
    result = {**run.result, "run": str(folder.path), "model_hash": digest}
    folder.write_result(result)
    return replace(run, result=result, folder=folder.path)
