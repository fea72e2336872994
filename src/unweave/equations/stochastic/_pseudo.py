r"""Euler's approximation of a transition density, where the exact one is not known.

$x_{t+h} \mid x_t \approx \mathcal{N}(x + f h,\ g g^\top h)$; with a jump process the mixture over
the number of jumps, each of which adds the mean and covariance of a leap. The estimates that it
leads to are biased in proportion to $h$ (Florens-Zmirou 1989, Statistics 20:547).
"""

import itertools

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from ..._model import Scalar
from ._paths import Dynamics, Input, State, Time, jumps_of
from ._transitions import JUMPS, log_counts

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def euler_moments(
    of: Dynamics, t: Time, x: State, u: Input, h: Time
) -> tuple[State, Float[Array, "state state"]]:
    """Mean and covariance of Euler's step, jumps included."""
    mean, covariance = _smooth(of, t, x, u, h)
    for jumps in jumps_of(of.system):
        leap, spread = of.leap_moments(jumps, t, x, u)
        expected = of.rate(jumps, t, x, u) * h
        mean = mean + expected * leap
        covariance = covariance + expected * (spread + jnp.outer(leap, leap))
    return mean, covariance


def euler_log_density(of: Dynamics, t: Time, x: State, u: Input, h: Time, later: State) -> Scalar:
    """The log-density of `later` a time `h` after `x`, in one step of Euler's."""
    mean, covariance = _smooth(of, t, x, u, h)
    processes = jumps_of(of.system)
    if not processes:
        return _log_normal(later - mean, covariance)
    (jumps,) = processes
    leap, spread = of.leap_moments(jumps, t, x, u)
    k = jnp.arange(JUMPS, dtype=x.dtype)
    each = jax.vmap(lambda k: _log_normal(later - mean - k * leap, covariance + k * spread))(k)
    return logsumexp(log_counts(of.rate(jumps, t, x, u) * h, k) + each)


def halved_log_density(of: Dynamics, t: Time, x: State, u: Input, h: Time, later: State) -> Scalar:
    r"""As `euler_log_density`, in two steps of half the length.

    The state $y$ between them is integrated out by Gauss–Hermite quadrature about the bridge
    $\mathcal{N}\big((x + x')/2,\ g g^\top h / 4\big)$, the importance density of Durham and
    Gallant (2002, J. Business and Economic Statistics 20:297), of which the integrand is a
    smooth multiple. Without jumps.
    """
    half = 0.5 * h
    root = jnp.linalg.cholesky(_smooth(of, t, x, u, half)[1]) * jnp.sqrt(jnp.asarray(0.5, h.dtype))
    grid = np.asarray(list(itertools.product(_NODES, repeat=x.size)))
    shares = np.log(np.asarray([np.prod(w) for w in itertools.product(_WEIGHTS, repeat=x.size)]))

    def through(e: Array) -> Scalar:
        y = 0.5 * (x + later) + root @ e
        first = euler_log_density(of, t, x, u, half, y)
        second = euler_log_density(of, t + half, y, u, half, later)
        size = x.size * jnp.log(2 * jnp.asarray(jnp.pi, x.dtype))
        bridge = -0.5 * (e @ e + size) - jnp.log(jnp.diagonal(root)).sum()
        return first + second - bridge

    each = jax.vmap(through)(jnp.asarray(grid, x.dtype))
    # a node below zero, where a root is read as zero, has no density at all
    each = jnp.where(jnp.isnan(each), -jnp.inf, each)
    return logsumexp(jnp.asarray(shares, x.dtype) + each)


def _smooth(
    of: Dynamics, t: Time, x: State, u: Input, h: Time
) -> tuple[State, Float[Array, "state state"]]:
    g = of.diffusion(t, x, u)
    return x + of.drift(t, x, u) * h, g @ g.T * h


def _log_normal(off: State, covariance: Float[Array, "state state"]) -> Scalar:
    size = off.size * jnp.log(2 * jnp.asarray(jnp.pi, off.dtype))
    if off.size == 1:
        variance = covariance[0, 0]
        return -0.5 * (off[0] ** 2 / variance + jnp.log(variance) + size)
    factor = jnp.linalg.cholesky(covariance)
    white = jsl.solve_triangular(factor, off, lower=True)
    return -0.5 * (white @ white + size) - jnp.log(jnp.diagonal(factor)).sum()
