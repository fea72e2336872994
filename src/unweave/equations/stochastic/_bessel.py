r"""The logarithm of the modified Bessel function $I_\nu$, scaled so that nothing overflows.

What the noncentral chi-square needs, for a real order $\nu > -1$ and any $x \ge 0$, with
derivatives in both: JAX has the orders 0 and 1 only.
"""

from fractions import Fraction

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

# above this radius sqrt(nu^2 + x^2) the expansion holds, below it the series has converged
_RADIUS = 25.0
_SERIES = 48
_ORDERS = 10


def _debye(orders: int) -> tuple[tuple[float, ...], ...]:
    r"""The polynomials $U_k(p) / p^k$ in $p^2$ by their recurrence (DLMF 10.41.9):
    $U_{k+1} = \tfrac12 p^2 (1 - p^2) U_k' + \tfrac18 \int_0^p (1 - 5 t^2) U_k\,dt$."""
    u, found = {0: Fraction(1)}, []
    for k in range(1, orders + 1):
        new: dict[int, Fraction] = {}
        for power, c in u.items():
            new[power + 1] = new.get(power + 1, Fraction(0)) + c * (
                Fraction(power, 2) + Fraction(1, 8 * (power + 1))
            )
            new[power + 3] = new.get(power + 3, Fraction(0)) - c * (
                Fraction(power, 2) + Fraction(5, 8 * (power + 3))
            )
        u = new
        found.append(tuple(float(u.get(k + 2 * i, Fraction(0))) for i in range(k + 1)))
    return tuple(found)


_DEBYE = _debye(_ORDERS)


def log_bessel_scaled(order: Float[Array, ""], x: Float[Array, ""]) -> Float[Array, ""]:
    r"""$\log\big((x/2)^{-\nu} e^{-x} I_\nu(x)\big)$ for $\nu > -1$, $x \ge 0$: smooth at 0 and
    finite for any size of $x$.

    With $r = \sqrt{\nu^2 + x^2}$ small, the series $\sum_k (x/2)^{2k} / (k!\,\Gamma(k + \nu +
    1))$ (DLMF 10.25.2), all of whose terms are positive; else Debye's expansion (DLMF 10.41.3),
    which in powers of $1/r$ is uniform in the order and even in it, so that it holds for $-1 <
    \nu < 0$ too. Either is right to 1e-12 in float64 where they meet.
    """
    near = order**2 + x**2 < _RADIUS**2
    # each branch sees numbers at which it is finite, so that the other's gradient stays so
    small = _series(jnp.where(near, order, 0.0), jnp.where(near, x, 0.0))
    large = _expansion(jnp.where(near, 0.0, order), jnp.where(near, 2 * _RADIUS, x))
    return jnp.where(near, small, large)


def _series(order: Array, x: Array) -> Array:
    y = 0.25 * x**2

    def inner(total: Array, k: Array) -> tuple[Array, None]:
        # Horner's rule from the smallest term
        return 1 + y / (k * (k + order)) * total, None

    steps = jnp.arange(_SERIES, 0, -1, dtype=x.dtype)
    total, _ = jax.lax.scan(inner, jnp.ones_like(y + order), steps)
    return jnp.log(total) - gammaln(order + 1) - x


def _expansion(order: Array, x: Array) -> Array:
    r = jnp.sqrt(order**2 + x**2)
    p = (order / r) ** 2
    total = jnp.zeros_like(r)
    for coefficients in reversed(_DEBYE):
        u = jnp.zeros_like(r)
        for c in reversed(coefficients):
            u = u * p + c
        total = (total + u) / r
    # r - x without the cancellation
    exponent = order**2 / (r + x)
    size = 0.5 * jnp.log(2 * jnp.pi * r)
    return exponent - order * jnp.log(0.5 * (order + r)) - size + jnp.log1p(total)
