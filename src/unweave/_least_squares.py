r"""Levenberg–Marquardt from one start, inside compiled programs.

Each step solves $(J^\top J + \lambda\,\mathrm{diag}\,J^\top J)\,\delta = -J^\top r$ and is taken
where it lowers $\tfrac12 |r|^2$ (Levenberg 1944; Marquardt 1963). Residual and Jacobian come from
one pass in forward mode: an observation has many entries, and a model few latents.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Descent(NamedTuple):
    """Where a start has got to: its point, half the sum of squares (infinite where the residual
    is not finite), how many steps it took, and whether the last of them no longer mattered."""

    u: Float[Array, " latent"]
    cost: Float[Array, ""]
    steps: Int[Array, ""]
    converged: Bool[Array, ""]


def value_and_slopes(
    function: Callable[[Float[Array, " latent"]], Float[Array, "..."]], u: Float[Array, " latent"]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """A function at `u`, and its derivatives `(latent, ...)`, in one pass of forward mode: the
    value is carried along once, where a linearisation keeps all of it for a second pass."""

    def along(direction: Array) -> tuple[Array, Array]:
        return jax.jvp(function, (u,), (direction,))

    return jax.vmap(along, out_axes=(None, 0))(jnp.eye(u.size, dtype=u.dtype))


def least_squares(
    residual: Callable[[Float[Array, " latent"]], Float[Array, " residual"]],
    start: Float[Array, " latent"],
    *,
    steps: int,
    tolerance: float,
) -> Descent:
    """The nearest minimum of half the sum of squares, in at most `steps` steps; it has been
    reached where a step changes point and cost by less than `tolerance`, relative to them."""

    def look(u: Array) -> tuple[Array, Array, Array]:
        r, jacobian = value_and_slopes(residual, u)
        cost = 0.5 * (r @ r)
        return jnp.where(jnp.isfinite(cost), cost, jnp.inf), jacobian @ r, jacobian @ jacobian.T

    def more(carry: tuple) -> Array:
        _, _, _, _, taken, done = carry
        return ~done & (taken < steps)

    def step(carry: tuple) -> tuple:
        u, (cost, slope, curvature), damping, still, taken, _ = carry
        move = -_solve(curvature, slope, damping)
        seen = look(u + move)
        better = seen[0] < cost
        small = jnp.linalg.norm(move) <= tolerance * (tolerance + jnp.linalg.norm(u))
        gain = jnp.where(better, cost - seen[0], 0.0)
        little = better & (gain <= tolerance * cost)
        damping = jnp.where(better, jnp.maximum(0.2 * damping, 1e-10), 4 * damping)
        still = jnp.where(better & ~little, 0, still + 1)
        done = small | (little & (still > 1)) | (damping > 1e9) | ~jnp.isfinite(cost)
        u = jnp.where(better, u + move, u)
        kept = jax.tree.map(
            lambda new, old: jnp.where(better, new, old), seen, (cost, slope, curvature)
        )
        return u, kept, damping, still, taken + 1, done

    zero = jnp.zeros((), jnp.int32)
    begin = (start, look(start), jnp.asarray(1e-2, start.dtype), zero, zero, jnp.zeros((), bool))
    u, (cost, _, _), _, _, taken, done = jax.lax.while_loop(more, step, begin)
    return Descent(u, cost, taken, done & jnp.isfinite(cost))


def _solve(curvature: Array, slope: Array, damping: Array) -> Array:
    """The damped step, in coordinates scaled to a unit diagonal; a coordinate without any effect
    stays where it is."""
    diagonal = jnp.diagonal(curvature)
    live = diagonal > jnp.finfo(diagonal.dtype).eps ** 2 * diagonal.max()
    scale = jnp.where(live, 1 / jnp.sqrt(jnp.where(live, diagonal, 1.0)), 0.0)
    scaled = curvature * scale[:, None] * scale[None, :] + jnp.diag(jnp.where(live, damping, 1.0))
    factor = jax.scipy.linalg.cho_factor(scaled, lower=True)
    return scale * jax.scipy.linalg.cho_solve(factor, scale * slope)
