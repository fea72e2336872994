r"""Lyapunov exponents: how fast neighbouring orbits part, in every direction.

$\dot x = f(x)$ and $\dot Q = J(x)\,Q$ run together, $Q$ made orthonormal again every few steps;
the logarithms of what is taken off, over the time, are the exponents (Benettin et al. 1980,
Meccanica 15:9).
"""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ._field import Corner, Field, check_field

_PARTS = 20
_PER_QR = 5
_MOST_STEPS = 10_000_000


@dataclass(frozen=True, eq=False)
class Lyapunov:
    """The Lyapunov spectrum of an orbit.

    **Arguments:** `exponents` `(state,)` per time, the largest first; `error` `(state,)`, their
    standard errors from the scatter between twenty stretches of the orbit; `dimension`, that of
    Kaplan and Yorke, in which an exponent within two errors of zero counts as zero; `step`, of
    the integration; `note`, a sentence where something went wrong, and NaN in the numbers.
    """

    exponents: np.ndarray
    error: np.ndarray
    dimension: float
    duration: float
    step: float
    note: str = ""


def lyapunov_spectrum(
    field: Field,
    x0: Corner,
    *,
    duration: float | int = 500.0,
    transient: float | int | None = None,
    step: float | None = None,
) -> Lyapunov:
    r"""All Lyapunov exponents of the orbit that begins at `x0` `(state,)`.

    The classical Runge–Kutta method of order 4 runs for `transient` (without one, a tenth of
    `duration`), then for `duration`, both in the field's time. Without a `step`, it is a fifth of
    the shortest time scale $1 / \|J\|$ met on a first short stretch.

    **Raises:** `ValueError` where times are not positive, the field does not fit `x0`, or it
    would take more than ten million steps.
    """
    x = np.asarray(x0, dtype=np.float64)
    lead = 0.1 * duration if transient is None else transient
    if x.ndim != 1 or not np.isfinite(x).all() or not (duration > 0 and lead >= 0):
        raise ValueError(
            f"x0 is {x.tolist()}, duration {duration} and transient {lead}; give one finite "
            "number for each component and a positive duration."
        )
    check_field(field, len(x))
    with jax.enable_x64(True):
        h = _step(field, jnp.asarray(x)) if step is None else float(step)
        steps = np.inf if not 0 < h < np.inf else (duration + lead) / h
        if steps > _MOST_STEPS:
            raise ValueError(
                f"a step of {h:.3g} would take {steps:.3g} steps for a duration of {duration:g}; "
                "give a shorter duration, or a larger step if the field is not stiff."
            )
        before = int(np.ceil(lead / h / _PER_QR))
        each = max(int(np.ceil(duration / h / _PER_QR / _PARTS)), 1)
        now, gone = (jnp.asarray(x), jnp.eye(len(x))), []
        for count in (before, *[each] * _PARTS):
            now, logs = _run(field, now, jnp.asarray(h), jnp.asarray(count))
            gone.append(np.asarray(logs))
    parts = np.asarray(gone[1:]) / (each * _PER_QR * h)
    exponents = parts.mean(axis=0)
    error = parts.std(axis=0, ddof=1) / np.sqrt(_PARTS)
    order = np.argsort(-exponents)
    exponents, error = exponents[order], error[order]
    took = _PARTS * each * _PER_QR * h
    if not np.isfinite(exponents).all():
        note = "The orbit did not stay finite; start it elsewhere or give a smaller step."
        nothing = np.full(len(x), np.nan)
        return Lyapunov(nothing, nothing, float("nan"), took, h, note)
    return Lyapunov(exponents, error, kaplan_yorke(exponents, error), took, h)


def kaplan_yorke(exponents: np.ndarray, error: np.ndarray) -> float:
    r"""$j + \sum_{i \le j} \lambda_i / |\lambda_{j+1}|$, j the most exponents, largest first, with
    a sum of at least 0; an exponent within two errors of zero counts as zero."""
    near = 2 * error + 1e-4 * np.abs(exponents).max()
    sums = np.cumsum(np.where(np.abs(exponents) <= near, 0.0, exponents))
    if sums[0] < 0:
        return 0.0
    j = int(np.flatnonzero(sums >= 0).max()) + 1
    return float(j if j == len(exponents) else j + sums[j - 1] / abs(exponents[j]))


def _runge_kutta(field: Field, h: Array, x: Array, q: Array) -> tuple[Array, Array]:
    def rates(x: Array, q: Array) -> tuple[Array, Array]:
        return field(x), jax.jacfwd(field)(x) @ q

    f1, g1 = rates(x, q)
    f2, g2 = rates(x + h / 2 * f1, q + h / 2 * g1)
    f3, g3 = rates(x + h / 2 * f2, q + h / 2 * g2)
    f4, g4 = rates(x + h * f3, q + h * g3)
    return x + h / 6 * (f1 + 2 * f2 + 2 * f3 + f4), q + h / 6 * (g1 + 2 * g2 + 2 * g3 + g4)


@eqx.filter_jit
def _run(
    field: Field, start: tuple[Array, Array], h: Float[Array, ""], count: Int[Array, ""]
) -> tuple[tuple[Array, Array], Float[Array, " state"]]:
    """State and frame after `count` stretches, and the sum of the logarithms taken off."""

    def stretch(_: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        x, q, logs = carry
        x, q = jax.lax.fori_loop(0, _PER_QR, lambda _, both: _runge_kutta(field, h, *both), (x, q))
        q, r = _orthonormal(q)
        return x, q, logs + jnp.log(r)

    x, q = start
    x, q, logs = jax.lax.fori_loop(0, count, stretch, (x, q, jnp.zeros_like(x)))
    return (x, q), logs


def _orthonormal(q: Float[Array, "state state"]) -> tuple[Array, Float[Array, " state"]]:
    """Gram and Schmidt, column by column, and the lengths taken off."""
    columns: list[Array] = []
    lengths: list[Array] = []
    for i in range(q.shape[1]):
        v = q[:, i]
        for u in columns:
            v = v - (u @ v) * u
        lengths.append(jnp.linalg.norm(v))
        columns.append(v / lengths[-1])
    return jnp.stack(columns, axis=1), jnp.stack(lengths)


def _step(field: Field, x: Float[Array, " state"]) -> float:
    """A fifth of the shortest time scale over a first short stretch."""

    def norm(x: Array) -> Array:
        return jnp.linalg.norm(jax.jacfwd(field)(x))

    @jax.jit
    def fastest(x: Array) -> Array:
        h = 0.05 / jnp.maximum(norm(x), 1e-12)

        def move(x: Array, _: None) -> tuple[Array, Array]:
            x, _q = _runge_kutta(field, h, x, jnp.zeros((x.size, 0), x.dtype))
            return x, norm(x)

        norms = jax.lax.scan(move, x, None, length=4000)[1]
        return jnp.nanmax(jnp.where(jnp.isfinite(norms), norms, jnp.nan))

    return 0.2 / float(fastest(x))
