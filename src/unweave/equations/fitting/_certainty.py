r"""How sure a fit is: Fisher's information, standard errors, intervals, and what the data do not
determine.

Everything is in coordinates $\varphi$ that are the logarithm of a latent whose support is
positive and the latent itself otherwise, so that an error is relative where that is natural.
With $J = \partial\eta / \partial\varphi$ and $I$ the noise's information, $F = J^\top I J$
(summed over records), and the covariance of the estimates is $F^{-1}$, inflated by
$n / (n - p)$ where the noise's scale was estimated too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm, t

from ..._latents import Latents
from ..solving._choose import quantiles
from ._levenberg import Problem
from ._match import support


@dataclass(frozen=True, eq=False)
class Certainty:
    r"""What the data say of the free latents at their estimates.

    `labels` `(k,)` are pairs of a latent's index and a record's (-1 where shared); `phi` the
    estimates in the coordinates $\varphi$ and `is_log` which of them are logarithms; `fisher`
    `(k, k)`; `width` `(k,)` the standard deviations of the priors; `inflate` the factor
    $n / (n - p)$ and `freedom` $n - p$.
    """

    labels: tuple[tuple[int, int], ...]
    phi: np.ndarray
    is_log: np.ndarray
    fisher: np.ndarray
    width: np.ndarray
    inflate: float
    freedom: int

    @cached_property
    def covariance(self) -> np.ndarray:
        r"""$F^{-1}$, inflated; infinite along directions that the data do not see at all."""
        return self.inflate * inverse(self.fisher)

    @cached_property
    def posterior(self) -> np.ndarray:
        r"""$(F + D^{-2})^{-1}$ with $D$ the prior's widths: finite, and no wider than they."""
        size = np.outer(self.width, self.width)
        scaled = self.fisher / self.inflate * size + np.eye(len(self.width))
        return np.linalg.inv(scaled) * size

    @property
    def errors(self) -> np.ndarray:
        r"""Standard errors in $\varphi$, infinite where there is none."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    def intervals(self, confidence: float) -> tuple[np.ndarray, np.ndarray]:
        r"""Ends of the intervals in the latents' own units, by Student's t in $\varphi$."""
        reach = t.ppf(0.5 + confidence / 2, self.freedom) * self.errors
        with np.errstate(over="ignore"):
            ends = [self.phi - reach, self.phi + reach]
            low, high = (np.where(self.is_log, np.exp(end), end) for end in ends)
        return low, high


def certainty(problem: Problem, u: np.ndarray, free: np.ndarray) -> Certainty:
    """The `Certainty` at coordinates `u` `(record, latent)`, of those that are `free`."""
    labels = _labels(problem, free)
    _, slopes = certainty_slopes(problem, u)
    z = latents_at(problem, u)
    is_log = _logs(problem.latents)
    weight = np.asarray(_information(problem, jnp.asarray(u)))
    size = len(labels)
    fisher = np.zeros((size, size))
    for r, (rows, weights) in enumerate(zip(slopes, weight, strict=True)):
        places, columns = taking_part(labels, r)
        flat = (rows[..., columns] * np.sqrt(weights)[..., None]).reshape(-1, len(columns))
        fisher[np.ix_(places, places)] += flat.T @ flat
    phi = np.asarray([_phi(float(z[max(r, 0), j]), bool(is_log[j])) for j, r in labels])
    width = prior_widths(problem.latents, is_log)[[j for j, _ in labels]]
    informs = np.asarray(
        [problem.latents.priors[j].family in ("normal", "log-normal", "truncated-normal")
         for j, _ in labels], dtype=float,
    )  # fmt: skip
    n = int(weight.astype(bool).sum())
    freedom = max(n - size, 1)
    return Certainty(
        labels, phi, np.asarray([is_log[j] for j, _ in labels]),
        fisher + np.diag(informs / width**2), width,
        n / freedom if problem.noise.has_scale else 1.0, freedom,
    )  # fmt: skip


def certainty_slopes(problem: Problem, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""$\eta$ `(record, time, channel)` and its derivatives `(record, time, channel, latent)` in
    the coordinates $\varphi$."""
    at = jnp.asarray(u)
    eta, slopes = _slopes(problem, at)
    z = latents_at(problem, u)
    # from the coordinates of the fit to those of the report
    turn = np.asarray(_turn(problem.latents, at))
    turn = turn / np.where(_logs(problem.latents), np.where(z == 0, 1, z), 1.0)
    slopes = np.asarray(slopes) / np.where(turn == 0, np.inf, turn)[:, :, None, None]
    return np.asarray(eta), np.moveaxis(slopes, 1, -1)


def taking_part(labels: Sequence[tuple[int, int]], record: int) -> tuple[list[int], list[int]]:
    """Of a record, the places of its free latents in `labels`, and which latents they are."""
    pairs = [(k, j) for k, (j, r) in enumerate(labels) if r in (-1, record)]
    return [k for k, _ in pairs], [j for _, j in pairs]


def inverse(fisher: np.ndarray) -> np.ndarray:
    """The inverse; where the matrix has a null direction, infinite for what takes part in it."""
    diagonal = np.sqrt(np.diag(fisher))
    live = diagonal > 0
    result = np.full(fisher.shape, 0.0)
    np.fill_diagonal(result, np.inf)
    if not live.any():
        return result
    scaled = fisher[np.ix_(live, live)] / np.outer(diagonal[live], diagonal[live])
    values, vectors = np.linalg.eigh(scaled)
    good = values > 1e-11 * values.max()
    inner = (vectors[:, good] / values[good]) @ vectors[:, good].T
    lost = (np.abs(vectors[:, ~good]) > 1e-4).any(axis=1)
    inner = inner / np.outer(diagonal[live], diagonal[live])
    inner[lost] = inner[:, lost] = 0.0
    inner[lost, lost] = np.inf
    result[np.ix_(live, live)] = inner
    return result


def prior_widths(latents: Latents, is_log: np.ndarray) -> np.ndarray:
    """Half the distance between each prior's quantiles at one standard score below and above."""
    ends = quantiles(latents, np.asarray([[-1.0], [1.0]]) * np.ones(latents.size))
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = np.where(is_log, np.log(np.maximum(ends, 1e-300)), ends)
    return np.maximum((high - low) / 2, 1e-12)


def correlation(covariance: np.ndarray) -> np.ndarray:
    """The correlation matrix of a covariance; 0 beside what is infinite."""
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.sqrt(np.diag(covariance))
        matrix = covariance / np.outer(size, size)
    matrix = np.where(np.isfinite(matrix), matrix, 0.0)
    np.fill_diagonal(matrix, 1.0)
    return matrix


def quantile(confidence: float) -> float:
    """The standard normal score that a two-sided interval reaches to."""
    return float(norm.ppf(0.5 + confidence / 2))


def _labels(problem: Problem, free: np.ndarray) -> tuple[tuple[int, int], ...]:
    own, labels = problem.is_own, []
    for j in range(problem.latents.size):
        rows = np.flatnonzero(free[:, j])
        if own[j]:
            labels += [(j, int(r)) for r in rows]
        elif rows.size:
            labels.append((j, -1))
    return tuple(labels)


def _phi(z: float, is_log: bool) -> float:
    return float(np.log(max(z, 1e-300))) if is_log else float(z)


def latents_at(problem: Problem, u: np.ndarray) -> np.ndarray:
    """The latents `(record, latent)` at coordinates."""
    return np.asarray(_latents(problem, jnp.asarray(u)))


@eqx.filter_jit
def _latents(problem: Problem, u):
    return jax.vmap(problem.constrain)(u, problem.pinned)


def _logs(latents: Latents) -> np.ndarray:
    """Which latents are spoken of by their logarithm: those whose support is positive."""
    return np.asarray([support(latents, j)[0] >= 0 for j in range(latents.size)])


@eqx.filter_jit
def _slopes(problem: Problem, u):
    return problem.slopes(u)


@eqx.filter_jit
def _information(problem: Problem, u):
    eta = problem.readings(u)
    information = problem.noise.information(eta, problem.scale(eta))
    return jnp.where(jnp.isnan(problem.x), 0.0, information)


@eqx.filter_jit
def _turn(latents: Latents, u):
    """The derivative of each latent by its own coordinate."""
    return jax.vmap(lambda u: jax.jvp(latents.constrain, (u,), (jnp.ones_like(u),))[1])(u)
