"""`unweave bound`: what so many observations promise, and what a run's answers are worth."""

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import targets
from .._many import many, real
from .._model import AbstractPredictor, require
from ..data import Dataset, Split
from ..networks import Classifier, Regressor
from ..networks.schemes import parameters
from ..run import Run, load_run
from ..sources import Source, open_source
from ._keep import answered, between, figure_lines, figure_path, number, save_figure, share
from ._output import Result
from ._progress import progress

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# a weight of 32 bits is one of so many numbers, in nats
_NATS_OF_A_WEIGHT = 32 * np.log(2)


@dataclass(frozen=True)
class _Promise:
    """What is promised of a run: for the object, in sentences, as a table, by which methods, and as
    a figure with what is said below it and its numbers."""

    told: dict[str, Any]
    lines: list[str]
    rows: list[tuple[str, ...]]
    methods: tuple[str, ...]
    figure: "Figure"
    label: str
    numbers: dict[str, Any]


def bound_verb(options: argparse.Namespace) -> Result:
    """Hoeffding's bound from two of n, error and confidence; or what is promised of a run."""
    from ..evaluate import hoeffding

    confidence = options.confidence
    if confidence is None and (options.n is None or options.error is None):
        confidence = 0.95
    if options.run is not None:
        return _of_run(options, 0.95 if confidence is None else confidence)
    if options.output is not None:
        raise ValueError(
            f"-o {options.output} was given without a run, and there is a figure of a run alone; "
            "name one, or leave -o out."
        )
    if options.n is None and options.error is None:
        raise ValueError(
            "nothing was given to bound; say --n 1000 for the error that so many observations "
            "promise, --error 0.05 for how many that takes, or name a run."
        )
    found = hoeffding(
        n=options.n, error=options.error, confidence=confidence, models=options.models
    )
    return {
        "n": found.n, "models": found.models, "error": found.error,
        "misleading": found.misleading, "confidence": 1 - found.misleading,
    }, found.sentence  # fmt: skip


def _of_run(options: argparse.Namespace, confidence: float) -> Result:
    fitted = load_run(options.run)
    path = figure_path(options, fitted, "bound.svg")
    source = Source.from_settings(dict(fitted.settings["data"]))
    with progress(options, f"reading the data of {fitted.folder}") as say:
        data = open_source(source, seed=int(fitted.settings["seed"]))
        say("asking for the answers")
        found = _promised(options, fitted, data, confidence)
    result: dict[str, Any] = {
        "run": str(fitted.folder), "n_train": len(data.stored or data.train), "n_validation":
        len(data.validation), "n_test": len(data.test), "confidence": confidence, **found.told,
    }  # fmt: skip
    from ..report import Answer, picture, sentence  # and with it Matplotlib

    result["figure"] = save_figure(found.figure, path, options)
    question = f"What is promised of it, with {confidence:.0%} confidence?"
    answer = Answer(
        "bound", question, tuple(map(sentence, found.lines)), {"confidence": confidence}, (),
        tuple(found.rows), (picture(fitted, found.figure, found.label, found.numbers),),
        found.methods,
    )  # fmt: skip
    lines = [*found.lines, *figure_lines(result["figure"])]
    return answered(result, lines, [(fitted, answer)], options)


def _promised(options: argparse.Namespace, fitted: Run, data: Split, confidence: float) -> _Promise:
    if data.test is data.train:
        raise ValueError(
            f"the run in {options.run} held nothing out, and what is promised of new observations "
            "is asked of some that were not fitted; fit again with --split random."
        )
    if isinstance(fitted.model, Classifier):
        return _classifier(fitted, data, confidence)
    if isinstance(fitted.model, Regressor):
        return _regressor(fitted, data, confidence)
    if isinstance(fitted.model, AbstractPredictor):
        raise TypeError(
            f"{type(fitted.model).__name__} gives no answers that bound knows to judge."
        )
    return _misfits(fitted, data, confidence)


def _classifier(fitted: Run, data: Split, confidence: float) -> _Promise:
    from .. import plots
    from ..evaluate import calibration_error, conformal, exact_interval, hoeffding

    test, held = data.test, data.validation
    assert test.labels is not None
    assert held.labels is not None
    p, calibrating = (np.exp(_answers(fitted, part)).astype(np.float64) for part in (test, held))
    wrong = int((p.argmax(1) != test.labels).sum())
    low, high = exact_interval(wrong, len(test), confidence=confidence)
    one = hoeffding(n=len(test), confidence=confidence)
    size = parameters(fitted.model)
    nats = size * _NATS_OF_A_WEIGHT
    every = hoeffding(n=len(data.train), confidence=confidence, log_models=nats)
    equal = calibration_error(p, test.labels)
    filled = calibration_error(p, test.labels, adaptive=True)
    limit = conformal(1 - calibrating[np.arange(len(held)), held.labels], confidence=confidence)
    sets = limit.sets(p)
    share_held = float(sets[np.arange(len(test)), test.labels].mean())
    told = {
        "error": wrong / len(test), "interval": [low, high], "hoeffding": one.error,
        "weights": size, "hoeffding_of_all_networks": every.error,
        "calibration_error": equal.value, "calibration_floor": equal.floor,
        "calibration_error_adaptive": filled.value,
        "conformal_coverage": share_held, "conformal_size": float(sets.sum(1).mean()),
    }  # fmt: skip
    gap = (
        f"± {every.error:.3g}" if every.error < 1
        else f"nothing: the bound is {every.error:.3g}, and no error is larger than 1"
    )  # fmt: skip
    n, sure = f"{len(test):,}", f"{confidence:.0%}"
    rows = [
        ("wrong answers", share(told["error"]), between(low, high), n,
         f"{sure} interval (Clopper and Pearson); ± {one.error:.3g} by Hoeffding"),
        ("gap to training, all networks", number(every.error, digits=3), "", f"{len(data.train):,}",
         f"Hoeffding, {size:,} weights of 32 bits" + ("" if every.error < 1 else ": nothing")),
        ("calibration error, equal bins", number(equal.value, digits=3), "", n,
         f"by chance {equal.floor:.3g}"),
        ("calibration error, filled bins", number(filled.value, digits=3), "", n,
         f"by chance {filled.floor:.3g}"),
        ("conformal sets hold the class", share(share_held), "", n, f"asked for {sure}"),
        ("classes in a set, mean", number(told["conformal_size"], digits=3), "", n,
         f"limit from {limit.n:,} observations that training stopped by"),
    ]  # fmt: skip
    lines = [
        f"{wrong} of {len(test):,} held-out answers are wrong, {wrong / len(test):.2%}: "
        f"{low:.2%} to {high:.2%} (Clopper and Pearson, {confidence:.0%}), "
        f"± {one.error:.3g} by Hoeffding",
        f"of its {len(data.train):,} training observations alone, counting every network of "
        f"{size:,} weights of 32 bits: {gap}",
        equal.sentence,
        f"sets that hold the true class with {confidence:.0%} (conformal) hold it with "
        f"{share_held:.1%} and have {told['conformal_size']:.2f} classes on average",
    ]
    figure = plots.reliability(equal.confidence, equal.right, equal.count)
    label = (
        "How often answers are right against how sure they were, in bins of equal width; a dot's "
        "area goes with the number of answers."
    )
    numbers = {"confidence": equal.confidence, "right": equal.right, "count": equal.count}
    methods = ("exact-interval", "hoeffding", "calibration", "conformal")
    return _Promise(told, lines, rows, methods, figure, label, numbers)


def _regressor(fitted: Run, data: Split, confidence: float) -> _Promise:
    from ..evaluate import conformal, coverage

    told: dict[str, Any] = {"answers": {}}
    lines, rows, errors = [], [], {}
    predicted, before = _answers(fitted, data.test), _answers(fitted, data.validation)
    assert data.test.factors is not None
    assert data.validation.factors is not None
    for j, name in enumerate(fitted.model.names):
        true, earlier = data.test.factors[:, j], data.validation.factors[:, j]
        known, used = ~np.isnan(true), ~np.isnan(earlier)
        limit = conformal(np.abs(earlier - before[:, j])[used], confidence=confidence)
        found = coverage(*limit.intervals(predicted[known, j].astype(np.float64)), true[known])
        errors[name] = (np.abs(predicted[:, j] - true), limit.limit)
        told["answers"][name] = {
            "limit": limit.limit, "coverage": found.share, "low": found.low, "high": found.high,
        }  # fmt: skip
        lines.append(
            f"{name}: ± {limit.limit:.4g} holds {confidence:.0%} (conformal); of "
            f"{found.n:,} held-out answers {found.share:.1%}"
        )
        rows += [
            (f"{name}: conformal limit", f"± {number(limit.limit)}", "", f"{limit.n:,}",
             "from observations that training stopped by"),
            (f"{name}: answers within it", share(found.share), between(found.low, found.high),
             f"{found.n:,}", f"asked for {confidence:.0%}"),
        ]  # fmt: skip
    return _Promise(told, lines, rows, *_limits(errors, confidence))


def _misfits(fitted: Run, data: Split, confidence: float) -> _Promise:
    from ..evaluate import conformal, exact_interval

    require(fitted.model, "encoder", "decoder", tool="bound")
    target = targets.misfit(fitted.model)
    before, after = (
        many(target, real(part.observations), part.conditions, chunk=64)
        for part in (data.validation, data.test)
    )
    limit = conformal(before[np.isfinite(before)], confidence=confidence)
    within = int((after <= limit.limit).sum())
    low, high = exact_interval(within, len(after))
    told = {
        "misfit_limit": limit.limit, "coverage": within / len(after), "low": low, "high": high,
    }  # fmt: skip
    rows = [
        ("misfit, conformal limit", number(limit.limit), "", f"{limit.n:,}",
         "from observations that training stopped by"),
        ("observations within it", share(within / len(after)), between(low, high),
         f"{len(after):,}", f"asked for {confidence:.0%}"),
    ]  # fmt: skip
    lines = [
        f"{confidence:.0%} of new observations have a misfit of at most {limit.limit:.4g} "
        f"(conformal, {limit.n:,} observations that training did not fit); of {len(after):,} "
        f"held-out ones {within / len(after):.1%} ({low:.1%} to {high:.1%})"
    ]
    return _Promise(told, lines, rows, *_limits({"misfit": (after, limit.limit)}, confidence))


def _limits(errors: dict[str, tuple[np.ndarray, float]], confidence: float):
    """Methods, figure, label and numbers where errors are held against conformal limits."""
    from .. import plots

    figure = plots.limits(errors, confidence=confidence)
    label = f"Held-out errors, and the limits that are to hold {confidence:.0%} of them."
    numbers = {name: values for name, (values, _) in errors.items()}
    return ("conformal", "exact-interval"), figure, label, numbers


def _answers(fitted: Run, part: Dataset) -> np.ndarray:
    return many(fitted.model.encode, real(part.observations).astype(np.float32), part.conditions)
