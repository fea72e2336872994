r"""From a search to a model: the latents' priors become what the data leave open.

A shared latent's prior becomes its posterior, normal in $\varphi$ (the logarithm of a positive
latent). What each record has of its own gets the spread that it had over the records. How they
depend on each other is kept as the correlation of their scores, so that a draw of two latents of
which the data fix only the quotient has that quotient.
"""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..._adapt import Inverted
from ..._latents import Latents, Prior, log_normal, normal, truncated_normal
from ..._marginal import Marginal
from ._certainty import Certainty, correlation
from ._identify import Best
from ._match import support

# a population of fewer records than this has no spread to speak of
_FEW = 2


def fitted_model(best: Best, sure: Certainty) -> Marginal:
    """The equation with the fitted latents and noise, able to encode and to say how likely."""
    own = np.asarray(best.problem.is_own)
    latents = narrowed(best.equation.latents, sure, best.z, best.free, own)
    with jax.enable_x64(True):
        model = replace(best.equation, latents=latents, noise=_unbiased(best, sure))
    inverted = Inverted(  # pyright: ignore[reportCallIssue]
        decoder=model, starts=_enough_starts(best), steps=64, with_prior=True
    )
    return Marginal(model=inverted)  # pyright: ignore[reportCallIssue]


def _enough_starts(best: Best) -> int:
    """So many that an observation's best point is missed once in a hundred, if its starts are as
    lucky as the fit's own were; 4 at least and 16 at most."""
    share = min(max(best.agree, 0.5) / len(best.objectives), 0.99)
    return int(np.clip(np.ceil(np.log(0.01) / np.log(1 - share)), 4, 16))


def narrowed(
    latents: Latents, sure: Certainty, z: np.ndarray, free: np.ndarray, own: np.ndarray
) -> Latents:
    """The latents with priors that say what a fit left open.

    **Arguments:** `z` and `free` `(record, latent)`, the estimates and which were fitted; `own`
    `(latent,)`, which of them every record has of its own.
    """
    size = latents.size
    phi, covariance = np.zeros(size), np.zeros((size, size))
    is_log = np.asarray([support(latents, j)[0] >= 0 for j in range(size)])
    first: dict[int, int] = {}
    for k, (j, _) in enumerate(sure.labels):
        first.setdefault(j, k)
    places = sorted(first)
    rows = [first[j] for j in places]
    covariance[np.ix_(places, places)] = sure.posterior[np.ix_(rows, rows)]
    phi[places] = sure.phi[rows]
    known = np.zeros(size, dtype=bool)
    known[places] = True
    if own.any() and len(z) >= _FEW:
        _population(sure, z, free, np.flatnonzero(own), is_log, phi, covariance, known)
    priors = tuple(
        _prior(latents, j, phi[j], np.sqrt(covariance[j, j]), bool(is_log[j]))
        if known[j] and covariance[j, j] > 0
        else _pinned(latents.priors[j], float(z[0, j]), bool(free[:, j].any()))
        for j in range(size)
    )
    lone = np.diag(np.where(np.diag(covariance) > 0, 0.0, 1.0))
    return replace(latents, priors=priors, factor=_factor(correlation(covariance + lone)))


def _population(
    sure: Certainty,
    z: np.ndarray,
    free: np.ndarray,
    own: np.ndarray,
    is_log: np.ndarray,
    phi: np.ndarray,
    covariance: np.ndarray,
    known: np.ndarray,
) -> None:
    """Mean and covariance over the records of what each has of its own, put in place; the
    variance with which each was estimated is left in, so that no spread is nil."""
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(is_log[own], np.log(z[:, own]), z[:, own])
    seen = free[:, own] & np.isfinite(values)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, values, 0.0).sum(axis=0) / count
    known[own] = seen.any(axis=0)
    centred = np.where(seen, values - mean, 0.0)
    spread = centred.T @ centred / max(len(z) - 1, 1)
    # as few records as latents leave directions without any spread: shrink towards the diagonal
    share = min(1.0, len(own) / len(z))
    spread = (1 - share) * spread + share * np.diag(np.diag(spread))
    variance = np.diag(sure.posterior)
    for place, j in enumerate(own):
        rows = [k for k, (i, _) in enumerate(sure.labels) if i == j]
        spread[place, place] += variance[rows].mean() if rows else 0.0
    covariance[own] = covariance[:, own] = 0.0
    covariance[np.ix_(own, own)] = spread
    phi[own] = np.where(known[own], mean, 0.0)


def _prior(latents: Latents, j: int, centre: float, width: float, is_log: bool) -> Prior:
    low, high = support(latents, j)
    if is_log:
        return log_normal(centre, width)
    if np.isfinite(low) and np.isfinite(high):
        return truncated_normal(float(np.clip(centre, low, high)), width, low, high)
    return normal(centre, width)


def _pinned(prior: Prior, value: float, is_free: bool) -> Prior:
    """A latent that was fixed stays where it is: a prior without any width to speak of."""
    if is_free or not np.isfinite(value):
        return prior
    return normal(value, max(1e-9 * abs(value), 1e-12))


def _factor(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    """The Cholesky factor of the nearest correlation matrix that has one."""
    values, vectors = np.linalg.eigh(matrix)
    near = (vectors * np.maximum(values, 1e-10)) @ vectors.T
    size = np.sqrt(np.diag(near))
    factor = np.linalg.cholesky(near / np.outer(size, size))
    return tuple(tuple(row) for row in factor.tolist())


def _unbiased(best: Best, sure: Certainty):
    """The noise with its scale freed of the bias that fitting puts into it."""
    scale = best.scale * np.sqrt(sure.inflate)
    return best.equation.noise.with_scale(tuple(np.maximum(scale, 1e-300).tolist()))


def centre_of(latents: Latents) -> np.ndarray:
    """The medians of the priors `(latent,)` in float64: of a fitted model, its estimates."""
    with jax.enable_x64(True):
        return np.asarray(latents.from_white(jnp.zeros(latents.size, jnp.float64)))


def find_equation(model: eqx.Module) -> eqx.Module:
    """The model inside `Marginal` and `Inverted`."""
    while isinstance(model, Marginal | Inverted):
        model = model.model if isinstance(model, Marginal) else model.decoder
    return model
