r"""Orbits as curves: where they lead, not when they arrive.

The orbit of $\dot x = f(x)$ is traced by its length, $dx/ds = f / \sqrt{|f|^2 + \delta^2}$ in
box widths, so that one step suits slow and fast stretches alike and a saddle holds nobody up;
$\delta$ lets an orbit come to rest at an equilibrium. The method, Rodas3 (Sandu et al. 1997,
Atmos. Environ. 31:3459), stays stable however stiff the field is; where its error is large a
step is refused and the next one is half as long.
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from ._arrays import Equilibrium
from ._field import Field, small_inverse

#: How far beyond the box, in box widths, an orbit is followed before it counts as gone.
MARGIN = 0.5
_ERROR = 2e-4
_SHORTEST = 2.0**-10


def typical_speed(field: Field, points: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """The median speed of the field in box widths, over those `points` where it is finite."""
    speeds = np.linalg.norm(np.asarray(jax.vmap(field)(jnp.asarray(points))) / (high - low), axis=1)
    moving = speeds[np.isfinite(speeds) & (speeds > 0)]
    return float(np.median(moving)) if len(moving) else 1.0


def trace(
    field: Field,
    starts: np.ndarray,
    signs: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    step: float,
    steps: int,
    found: Sequence[Equilibrium] = (),
) -> np.ndarray:
    """Points `(start, steps + 1, state)` at most a `step` apart along the orbits of `starts`.

    `signs` `(start,)`, +1 forward in time, -1 backward. Near the equilibria `found` orbits are
    slowed by as much as they turn or part there. An orbit that has left the box by more than
    `MARGIN`, or met a rate that is not finite, stands still from there; after a step that was
    refused a point is repeated.
    """
    rest = 1e-3 * step * typical_speed(field, starts, low, high)
    centres = np.asarray([(e.x - low) / (high - low) for e in found]).reshape(-1, len(low))
    rates = [(np.imag(e.eigenvalues), np.real(e.eigenvalues)) for e in found]
    slow = [2 * step * max(np.abs(turns).max(), parts.max(), 0.0) for turns, parts in rates]
    slow = np.asarray(slow, dtype=np.float64)
    numbers = _Numbers(*map(_double, (starts, signs, low, high, step, rest, centres, slow)))
    return np.asarray(_trace(field, numbers, steps))


class _Numbers(NamedTuple):
    """What `_trace` computes with; `rest` is the pace far from equilibria, `slow` `(centre,)`
    what is added near each of `centres` `(centre, state)`, in box widths."""

    starts: Float[Array, "start state"]
    signs: Float[Array, " start"]
    low: Float[Array, " state"]
    high: Float[Array, " state"]
    step: Float[Array, ""]
    rest: Float[Array, ""]
    centres: Float[Array, "centre state"]
    slow: Float[Array, " centre"]


def _double(value: ArrayLike) -> Array:
    return jnp.asarray(value, jnp.float64)


@eqx.filter_jit
def _trace(field: Field, numbers: _Numbers, steps: int) -> Float[Array, "start point state"]:
    starts, signs, low, high, step, rest, centres, slow = numbers
    width = high - low

    def one(start: Array, sign: Array) -> Array:
        def along(y: Array) -> Array:
            rate = field(low + y * width) / width
            square = ((y[None] - centres) ** 2).sum(axis=1)
            pace = rest + slow @ jnp.exp(-square / (4 * step) ** 2)
            return sign * rate / jnp.sqrt(rate @ rate + pace**2)

        def move(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
            y, h = carry
            new, error = rodas3(along, y, h)
            small = error <= _ERROR
            goes_on = (small | (h <= _SHORTEST * step)) & jnp.isfinite(new).all() & is_near(y)
            y = jnp.where(goes_on, new, y)
            h = jnp.where(small, jnp.minimum(2 * h, step), jnp.maximum(h / 2, _SHORTEST * step))
            return (y, h), low + y * width

        first = ((start - low) / width, step)
        path = jax.lax.scan(move, first, None, length=steps)[1]
        return jnp.concatenate([start[None], path])

    return jax.vmap(one)(starts, signs)


def is_near(y: Float[Array, " state"]) -> Bool[Array, ""]:
    """Whether a point in box widths lies in the box or within `MARGIN` of it."""
    return (jnp.abs(y - 0.5) <= 0.5 + MARGIN).all()


def rodas3(
    field: Field, y: Float[Array, " state"], h: Float[Array, ""]
) -> tuple[Float[Array, " state"], Float[Array, ""]]:
    """One step of length `h` and its error: linearly implicit, order 3, L-stable; the method of
    order 2 that comes with it leaves out the last stage."""
    eye = jnp.eye(y.size, dtype=y.dtype)
    inverse = small_inverse(2 / h * eye - jax.jacfwd(field)(y))
    here = field(y)
    k1 = inverse @ here
    k2 = inverse @ (here + 4 * k1 / h)
    k3 = inverse @ (field(y + 2 * k1) + (k1 - k2) / h)
    k4 = inverse @ (field(y + 2 * k1 + k3) + (k1 - k2 - 8 / 3 * k3) / h)
    return y + 2 * k1 + k3 + k4, jnp.abs(k4).max()


def trimmed(path: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """A traced path up to where it leaves the box or comes to rest, each point once."""
    y = (path - low) / (high - low)
    outside = (np.abs(y - 0.5) > 0.5 + 1e-9).any(axis=1)
    within = int(np.argmax(outside)) if outside.any() else len(path)
    moves = np.abs(np.diff(y[:within], axis=0)).max(axis=1, initial=0.0) > 1e-7
    return path[:within][np.concatenate([[True], moves])[:within]]
