"""`unweave bound`: what so many observations promise, and what a run's answers are worth."""

import argparse
from typing import Any

import numpy as np

from .. import targets
from .._many import many, real
from .._model import AbstractPredictor, require
from ..data import Dataset, Split
from ..networks import Classifier, Regressor
from ..networks.schemes import parameters
from ..run import Run, load_run
from ..sources import Source, open_source
from ._output import Result

# a weight of 32 bits is one of so many numbers, in nats
_NATS_OF_A_WEIGHT = 32 * np.log(2)


def bound_verb(options: argparse.Namespace) -> Result:
    """Hoeffding's bound from two of n, error and confidence; or what is promised of a run."""
    from ..evaluate import hoeffding

    confidence = options.confidence
    if confidence is None and (options.n is None or options.error is None):
        confidence = 0.95
    if options.run is not None:
        return _of_run(options, 0.95 if confidence is None else confidence)
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
    source = Source.from_settings(dict(fitted.settings["data"]))
    data = open_source(source, seed=int(fitted.settings["seed"]))
    result: dict[str, Any] = {
        "run": str(fitted.folder), "n_train": len(data.train), "n_validation":
        len(data.validation), "n_test": len(data.test), "confidence": confidence,
    }  # fmt: skip
    if data.test is data.train:
        raise ValueError(
            f"the run in {options.run} held nothing out, and what is promised of new observations "
            "is asked of some that were not fitted; fit again with --split random."
        )
    if isinstance(fitted.model, Classifier):
        told, lines = _classifier(fitted, data, confidence)
    elif isinstance(fitted.model, Regressor):
        told, lines = _regressor(fitted, data, confidence)
    elif isinstance(fitted.model, AbstractPredictor):
        raise TypeError(
            f"{type(fitted.model).__name__} gives no answers that bound knows to judge."
        )
    else:
        told, lines = _misfits(fitted, data, confidence)
    return result | told, "\n".join(lines)


def _classifier(fitted: Run, data: Split, confidence: float) -> tuple[dict[str, Any], list[str]]:
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
    share = float(sets[np.arange(len(test)), test.labels].mean())
    told = {
        "error": wrong / len(test), "interval": [low, high], "hoeffding": one.error,
        "weights": size, "hoeffding_of_all_networks": every.error,
        "calibration_error": equal.value, "calibration_floor": equal.floor,
        "calibration_error_adaptive": filled.value,
        "conformal_coverage": share, "conformal_size": float(sets.sum(1).mean()),
    }  # fmt: skip
    gap = (
        f"± {every.error:.3g}" if every.error < 1
        else f"nothing: the bound is {every.error:.3g}, and no error is larger than 1"
    )  # fmt: skip
    return told, [
        f"{wrong} of {len(test):,} held-out answers are wrong, {wrong / len(test):.2%}: "
        f"{low:.2%} to {high:.2%} (Clopper and Pearson, {confidence:.0%}), "
        f"± {one.error:.3g} by Hoeffding",
        f"of its {len(data.train):,} training observations alone, counting every network of "
        f"{size:,} weights of 32 bits: {gap}",
        equal.sentence,
        f"sets that hold the true class with {confidence:.0%} (conformal) hold it with "
        f"{share:.1%} and have {told['conformal_size']:.2f} classes on average",
    ]


def _regressor(fitted: Run, data: Split, confidence: float) -> tuple[dict[str, Any], list[str]]:
    from ..evaluate import conformal, coverage

    told: dict[str, Any] = {"answers": {}}
    lines = []
    predicted, before = _answers(fitted, data.test), _answers(fitted, data.validation)
    assert data.test.factors is not None
    assert data.validation.factors is not None
    for j, name in enumerate(fitted.model.names):
        true, earlier = data.test.factors[:, j], data.validation.factors[:, j]
        known, used = ~np.isnan(true), ~np.isnan(earlier)
        limit = conformal(np.abs(earlier - before[:, j])[used], confidence=confidence)
        found = coverage(*limit.intervals(predicted[known, j].astype(np.float64)), true[known])
        told["answers"][name] = {
            "limit": limit.limit, "coverage": found.share, "low": found.low, "high": found.high,
        }  # fmt: skip
        lines.append(
            f"{name}: ± {limit.limit:.4g} holds {confidence:.0%} (conformal); of "
            f"{found.n:,} held-out answers {found.share:.1%}"
        )
    return told, lines


def _misfits(fitted: Run, data: Split, confidence: float) -> tuple[dict[str, Any], list[str]]:
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
    return told, [
        f"{confidence:.0%} of new observations have a misfit of at most {limit.limit:.4g} "
        f"(conformal, {limit.n:,} observations that training did not fit); of {len(after):,} "
        f"held-out ones {within / len(after):.1%} ({low:.1%} to {high:.1%})"
    ]


def _answers(fitted: Run, part: Dataset) -> np.ndarray:
    return many(fitted.model.encode, real(part.observations).astype(np.float32), part.conditions)
