"""What is asked of an observation beside its latents: how strange it is, what a number is read off
in it, and what an adversary makes of it."""

from functools import lru_cache
from typing import Any

import jax
import numpy as np

from .. import detect, explain, robust, targets
from .._families import AbstractAdversarial, AbstractCompared
from .._model import AbstractDensity, AbstractEncoder
from ..data import restore
from ._explorer import Explorer
from ._subject import Subject

#: A share of the observations that are as strange says nothing where there are fewer.
_FEW = 8
# the largest budget of an attack, as a share of the spread of the observations
MOST_SHARE = 0.5
_WIDTH = 4.0
_STEPS, _NODES = 20, 16


def targets_of(subject: Subject) -> tuple[str, ...]:
    """The words of the numbers that can be read off an observation, the usual one first."""
    words = []
    if isinstance(subject.model, AbstractDensity):
        words.append("surprise")
    words.append("misfit")
    return (*words, *(f"latent:{name}" for name in subject.model.latents.names))


def strange(
    explorer: Explorer, subject: Subject, on: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """How strange observation `on` is: the score, that of the others, and the share of them that
    are as strange; of a series also where."""
    score, others = _usual(explorer, subject)
    x, beside = explorer.row(subject, on)
    value = float(score(x, beside)[0])
    plain: dict[str, Any] = {"name": score.name, "unit": score.unit, "value": value}
    if others is not None:
        rest = np.delete(others, on)
        plain |= {
            "median": float(np.median(rest)),
            "n": len(rest),
            "share": float(detect.Calibrated(rest).p_values(np.asarray([value]))[0]),
        }
    arrays = {}
    if score.within is not None and explorer.schema.is_series:
        arrays["parts"] = np.asarray(score.by_sample(x, beside)[0])
    return plain, arrays


def explained(
    explorer: Explorer, subject: Subject, on: int, word: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What each entry of observation `on` has to do with the target: integrated gradients from the
    mean observation, and where every look is a fit, or there is no mean to speak of, the slope."""
    target = targets.read_target(word, subject.encoder)
    x, beside = explorer.row(subject, on)
    if subject.slow or len(explorer.observations) < _FEW:
        found = explain.saliency(target, x, conditions=beside)
    else:
        base = np.asarray(explain.mean_of(explorer.observations).value)
        found = explain.integrated_gradients(
            target, x, baseline=base, nodes=_NODES, tolerance=np.inf, conditions=beside
        )
    plain = {
        "target": target.name, "unit": target.unit, "value": float(found.output[0]),
        "method": found.method, "contributions": found.contributions,
    }  # fmt: skip
    if found.contributions:
        plain["completeness"] = float(found.completeness[0])
    return plain, {"values": found.values[0]}


def attacked(
    explorer: Explorer, subject: Subject, on: int, word: str, share: float
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Observation `on` as an adversary leaves it who drives the target up by projected gradient
    ascent, within `share` of the spread of the observations in each entry, without edges where it
    is a series; and the target before and after."""
    target = targets.read_target(word, subject.encoder)
    x, beside = explorer.row(subject, on)
    radius = share * spread(explorer)
    before = {"target": target.name, "unit": target.unit, "radius": radius}
    if not radius > 0:
        value = float(target(*_one(x, beside)))
        return {**before, "before": value, "after": value}, {"x": restore(x[0], explorer.schema)}
    flat = robust.LInf(radius)
    budget = robust.Smooth(flat, _WIDTH) if explorer.schema.is_series else flat
    verdict = robust.attack(
        robust.move(target), x.astype(np.float64), budget=budget, conditions=beside,
        attacks=(robust.PGD(steps=_STEPS),), checks=False, quiet=True,
    )  # fmt: skip
    plain = {
        **before, "before": float(verdict.before[0]), "after": float(verdict.after[0]),
        "budget": robust.budget_words(budget),
    }  # fmt: skip
    return plain, {"x": restore(verdict.perturbed[0], explorer.schema)}


def spread(explorer: Explorer) -> float:
    """The standard deviation of all entries of the observations; what an attack's budget is a
    share of."""
    x = np.asarray(explorer.observations, np.float64)
    return float(np.nanstd(x)) if x.size else 0.0


@lru_cache(maxsize=64)
def _usual(explorer: Explorer, subject: Subject) -> tuple[detect.Score, np.ndarray | None]:
    """A score of the model, and what every observation has by it; None where that would be many
    fits, or too few to compare with."""
    x, beside, model = explorer.observations, explorer.conditions, subject.model
    beside = None if subject.told else beside
    enough = len(x) >= _FEW
    if isinstance(model, AbstractEncoder) and not subject.slow:
        score = detect.reconstruction(model, x, beside)
        return score, score(x, beside) if enough else None
    if isinstance(model, AbstractAdversarial) and not isinstance(model, AbstractCompared):
        score = detect.critic(model)
        return score, score(x, beside) if enough else None
    if isinstance(model, AbstractDensity):
        return detect.of_target(targets.surprise(model)), None
    return detect.of_target(targets.misfit(subject.encoder)), None


def _one(x: np.ndarray, beside: Any) -> tuple[Any, Any]:
    return jax.numpy.asarray(x[0], float), jax.tree.map(lambda part: part[0], beside)
