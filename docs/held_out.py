"""How likely a fitted equation finds readings that it has not seen, and whether a fit was one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import unweave as uw

FOLDS = 5


class HeldOut(NamedTuple):
    """Log-densities of held-out readings `(reading,)`, and how many folds missed their optimum."""

    each: np.ndarray
    missed: int


def held_out(text: str, data: uw.Dataset, whole: uw.EquationFit, noise: str) -> HeldOut:
    """The log-density, in nats, of every reading given a fit to the others of four folds in five.

    Folds are interleaved: each record's first, sixth, … time, its second, seventh, … and so on.
    A reading of exactly 0, where a species is absent, is not asked about. The latents of the fit
    to the `whole` are a point that every fold's search could have found: one that ends below it
    has missed its optimum, however many of its starts agree.
    """
    x = np.asarray(data.observations, np.float64)
    seen = np.isfinite(x) & (x > 0)
    order = np.cumsum(seen.any(axis=2), axis=1) - 1
    fixed = {"x1(0)@Pa": 0.0} if "Pa" in data.records else {}
    scores, missed = np.full(x.shape, np.nan), 0
    for fold in range(FOLDS):
        out = seen & (order % FOLDS == fold)[..., None]
        rest = replace(data, observations=np.where(out, np.nan, x))
        fit = uw.fit_equation(text, rest, starts=8, noise=noise, fixed=fixed)
        each = log_densities(fit, fit.best.z, np.where(out, x, np.nan))
        scores[out] = each[out]
        reached, known = (most_likely(fit, z) for z in (fit.best.z, whole.best.z))
        missed += reached < known - 0.01
    return HeldOut(scores[seen], int(missed))


def log_densities(fit: uw.EquationFit, z: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The log-density of each reading at latents `z` `(record, latent)`, with the fit's noise."""
    equation = fit.model.decoder
    assert isinstance(equation, uw.Equation)
    with jax.enable_x64(True):
        eta = equation.noise.link(jax.vmap(equation.curve)(jnp.asarray(z)))
        return np.asarray(equation.noise.log_prob_each(jnp.asarray(np.nan_to_num(x, nan=1.0)), eta))


def most_likely(fit: uw.EquationFit, z: np.ndarray) -> float:
    """The log-likelihood of what was fitted at latents `z`, with the scale that is best there."""
    problem, equation = fit.best.problem, fit.best.equation
    with jax.enable_x64(True):
        eta = problem.noise.link(jax.vmap(equation.curve)(jnp.asarray(z)))
        scale = tuple(np.asarray(problem.noise.best_scale(problem.x, eta)).tolist())
        return float(problem.noise.with_scale(scale).log_prob(problem.x, eta))


def against_best(scores: Mapping[str, HeldOut]) -> dict[str, Any]:
    """Nats a reading of each, and how far each is behind the best, with the standard error of
    the difference in pairs, readings taken as independent."""
    best = max(scores, key=lambda name: scores[name].each.mean())
    result: dict[str, Any] = {"best": best, "n": len(scores[best].each)}
    for name, score in scores.items():
        behind = scores[best].each - score.each
        result[name] = {
            "nats": float(score.each.mean()),
            "behind": float(behind.mean()),
            "error": float(behind.std(ddof=1) / np.sqrt(len(behind))),
            "missed": score.missed,
        }
    return result
