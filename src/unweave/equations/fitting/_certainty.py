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
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm, t

from ..._latents import Latents
from ..._programs import program
from ..solving._choose import quantiles
from ._match import support
from ._problem import Problem


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
    seen = look(problem, u)
    is_log = _logs(problem.latents)
    weight = np.where(np.isnan(np.asarray(problem.x)), 0.0, seen.information)
    size = len(labels)
    fisher = np.zeros((size, size))
    for r, (rows, weights) in enumerate(zip(seen.slopes, weight, strict=True)):
        places, columns = taking_part(labels, r)
        flat = (rows[..., columns] * np.sqrt(weights)[..., None]).reshape(-1, len(columns))
        fisher[np.ix_(places, places)] += flat.T @ flat
    phi = np.asarray([_phi(float(seen.z[max(r, 0), j]), bool(is_log[j])) for j, r in labels])
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


class Look(NamedTuple):
    r"""What is seen of the records at some coordinates: $\eta$ `(record, time, channel)`, its
    derivatives `(record, time, channel, latent)` in the coordinates $\varphi$, the latents
    `(record, latent)`, and the noise's information `(record, time, channel)`."""

    eta: np.ndarray
    slopes: np.ndarray
    z: np.ndarray
    information: np.ndarray


def look(problem: Problem, u: np.ndarray, scale: np.ndarray | None = None) -> Look:
    """The `Look` at coordinates `u` `(record, latent)`, with this scale of the noise or the most
    likely one."""
    eta, slopes, z, turn, information = jax.device_get(_look(problem, *jax.device_put((u, scale))))
    # from the coordinates of the fit to those of the report
    turn = turn / np.where(_logs(problem.latents), np.where(z == 0, 1, z), 1.0)
    slopes = slopes / np.where(turn == 0, np.inf, turn)[:, :, None, None]
    return Look(eta, np.moveaxis(slopes, 1, -1), z, information)


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


def _logs(latents: Latents) -> np.ndarray:
    """Which latents are spoken of by their logarithm: those whose support is positive."""
    return np.asarray([support(latents, j)[0] >= 0 for j in range(latents.size)])


@program
def _look(problem: Problem, u, scale):
    """One program for all of it: each has to be traced and compiled, at the first use."""
    eta, slopes = problem.slopes(u)
    constrain, ones = problem.latents.constrain, jnp.ones_like(u[0])
    _, turn = jax.vmap(lambda u: jax.jvp(constrain, (u,), (ones,)))(u)
    z = jax.vmap(problem.constrain)(u, problem.pinned)
    scale = problem.scale(eta) if scale is None else scale
    return eta, slopes, z, turn, problem.noise.information(eta, scale)
