r"""Profile likelihoods: how much worse the best fit gets when one latent is held.

$L_p(z_j) = \min_{z_{-j}} L(z)$, and the interval is where it is less than $\chi^2_{1, c} / 2$ above
the minimum (Raue et al. 2009, Bioinformatics 25:1923, equations 5 and 6). It needs no quadratic
shape; where the profile stays below the threshold towards an end of the range, the data set no
limit there.
"""

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import chi2

from ._certainty import Certainty
from ._identify import Best
from ._levenberg import lanes_at, minimise
from ._match import inside, support

_POINTS = 25
_REACH = 5.0


@dataclass(frozen=True, eq=False)
class Profile:
    """The profile of one latent: `values` in its own unit, `objectives` above the minimum in
    nats, and the interval, with None where the data set no limit within the range."""

    name: str
    unit: str
    values: np.ndarray
    objectives: np.ndarray
    low: float | None
    high: float | None


def profiles(best: Best, sure: Certainty, *, confidence: float = 0.9) -> tuple[Profile, ...]:
    """The profile of every latent that all records share, all points at once."""
    shared = [k for k, (_, r) in enumerate(sure.labels) if r < 0]
    problem, latents = best.problem, best.equation.latents
    with jax.enable_x64(True):
        grids = [_grid(best, sure, k) for k in shared]
        u = np.repeat(best.u[None], len(shared) * _POINTS, axis=0)
        free = np.repeat(best.free[None], len(u), axis=0)
        for place, (k, grid) in enumerate(zip(shared, grids, strict=True)):
            rows = slice(place * _POINTS, (place + 1) * _POINTS)
            j = sure.labels[k][0]
            z = np.repeat(best.z[:1], _POINTS, axis=0)
            z[:, j] = grid
            held = np.asarray(jax.vmap(latents.unconstrain)(jnp.asarray(z)))[:, j]
            u[rows, :, j] = held[:, None]
            free[rows, :, j] = False
        lanes = minimise(problem, lanes_at(problem, inside(latents, u), free), most=60)
        reached = np.asarray(lanes.objective).reshape(len(shared), _POINTS) - best.objective
    threshold = float(chi2.ppf(confidence, 1)) / 2
    return tuple(
        Profile(
            latents.names[sure.labels[k][0]], latents.units[sure.labels[k][0]], grid,
            above, *_crossings(grid, above, threshold),
        )
        for k, grid, above in zip(shared, grids, reached, strict=True)
    )  # fmt: skip


def _grid(best: Best, sure: Certainty, k: int) -> np.ndarray:
    """Values to hold a latent at: some standard errors about its estimate, inside its range."""
    j = sure.labels[k][0]
    low, high = support(best.equation.latents, j)
    step = min(sure.errors[k], 2 * sure.width[k])
    ends = sure.phi[k] - _REACH * step, sure.phi[k] + _REACH * step
    # the estimate itself is one of the points: two straight halves meet there
    half = _POINTS // 2
    phi = np.concatenate([
        np.linspace(ends[0], sure.phi[k], half, endpoint=False),
        np.linspace(sure.phi[k], ends[1], _POINTS - half),
    ])  # fmt: skip
    z = np.exp(phi) if sure.is_log[k] else phi
    if np.isfinite(low) and np.isfinite(high):
        margin = 1e-4 * (high - low)
        return np.clip(z, low + margin, high - margin)
    return z


def _crossings(
    values: np.ndarray, above: np.ndarray, threshold: float
) -> tuple[float | None, float | None]:
    """Where the profile crosses the threshold left and right of its minimum."""
    above = np.where(np.isfinite(above), above, 1e9)
    centre = int(np.argmin(above))
    ends: list[float | None] = []
    for way in (range(centre, -1, -1), range(centre, len(values))):
        found, order = None, list(way)
        for near, far in itertools.pairwise(order):
            if above[near] <= threshold < above[far]:
                # the square root is nearly straight where the likelihood is nearly normal
                a, b = np.sqrt(max(above[near], 0.0)), np.sqrt(above[far])
                share = (np.sqrt(threshold) - a) / max(b - a, 1e-300)
                found = float(values[near] + share * (values[far] - values[near]))
                break
        ends.append(found)
    return ends[0], ends[1]
