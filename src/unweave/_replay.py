r"""A whole batch solved as one state, and its gradient by replaying the steps that were taken.

The forward pass keeps the beginning of every step that it takes, $(t_n, h_n, x_n, k_n)$. The
reverse pass walks back over them, makes each step again and pulls the cotangents through it:
what it gives is the exact gradient of what was computed, the widths of the steps held (Chen et
al. 2018 call the alternative, a second differential equation solved backward, the adjoint
method; it is `backsolve` here). One step is two passes through the field, so the gradient costs
about three solves, and memory is two states a step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from ._explicit import At, first_width, pair, quartic, size, stages, weighted

#: `field(parameters, t, x)`, where `x` may have any shape: the rates of all that is solved.
Field: TypeAlias = Callable[[Any, Float[Array, ""], Float[Array, "*state"]], Float[Array, "*state"]]

_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 10.0


@dataclass(frozen=True)
class Tolerance:
    """How exact a step is, relative to the state and absolute, and how many may be taken."""

    relative: float = 1e-4
    absolute: float = 1e-6
    most_steps: int = 256


_USUAL = Tolerance()


class Account(NamedTuple):
    """What a solve took: steps taken and evaluations of the field, rejected steps included."""

    steps: Int[Array, ""]
    evaluations: Int[Array, ""]


class _Kept(NamedTuple):
    """The steps that were taken, of which only the first `count` mean anything."""

    times: Float[Array, " step"]
    widths: Float[Array, " step"]
    states: Float[Array, "step ..."]
    slopes: Float[Array, "step ..."]
    taken: Int[Array, ""]


def solve_batch(
    field: Field,
    parameters: Any,
    start: Float[Array, "*state"],
    times: Float[Array, " time"],
    tolerance: Tolerance = _USUAL,
) -> tuple[Float[Array, "time ..."], Account]:
    r"""The states at `times`, the first of which is that of `start`; later ones may rise or fall.

    Explicit steps of order 5 (Tsitouras 2011) whose width follows the root mean square error of
    the **whole** state, so that a batch steps as one, as torchdiffeq's does. NaN from where
    `most_steps` did not reach. Differentiable in reverse mode with respect to `parameters`,
    `start`, but not `times`.
    """
    return _solve(field, tolerance, parameters, start, times)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(field: Field, tolerance: Tolerance, parameters: Any, start: Array, times: Array):
    outputs, _, account = _forward(field, tolerance, parameters, start, times, keep=False)
    return outputs, account


def _solve_fwd(field: Field, tolerance: Tolerance, parameters: Any, start: Array, times: Array):
    outputs, kept, account = _forward(field, tolerance, parameters, start, times, keep=True)
    return (outputs, account), (parameters, times, kept)


def _solve_bwd(field: Field, tolerance: Tolerance, residual: tuple, cotangents: tuple):
    parameters, times, kept = residual
    return (*_backward(field, parameters, times, kept, cotangents[0]), jnp.zeros_like(times))


_solve.defvjp(_solve_fwd, _solve_bwd)


def _step(field: Field, parameters: Any, t: Array, h: Array, x: Array, slope: Array):
    """One step: the new state, the rates there, and the five powers of the curve between."""
    ks = stages(partial(field, parameters), At(t, x, slope, h, h), h)
    return x + h * weighted(pair().b_sol, ks), ks


def _forward(
    field: Field, tolerance: Tolerance, parameters: Any, start: Array, times: Array, *, keep: bool
):
    """All states at `times`, what the reverse pass needs, and an account."""
    most = tolerance.most_steps
    begin, end = times[0], times[-1]
    way = jnp.where(end >= begin, 1, -1).astype(times.dtype)
    slope = field(parameters, begin, start)
    width = way * first_width(
        lambda t, x: field(parameters, t, x), begin, start, slope,
        tolerance.relative, tolerance.absolute,
    )  # fmt: skip
    room = most if keep else 1
    kept = _Kept(
        jnp.zeros(room, times.dtype),
        jnp.zeros(room, times.dtype),
        lax.empty((room, *start.shape), start.dtype),
        lax.empty((room, *start.shape), start.dtype),
        jnp.asarray(0),
    )
    outputs = jnp.full((len(times), *start.shape), jnp.nan, start.dtype).at[0].set(start)

    def goes_on(carry: tuple) -> Array:
        t, _, _, h, _, _, count, tried, _ = carry
        return ((end - t) * way > 0) & (tried < 4 * most) & (count < most) & (t + h != t)

    def attempt(carry: tuple) -> tuple:
        t, x, slope, h, reached, outputs, count, tried, kept = carry
        last = (t + h - end) * way >= 0
        after = jnp.where(last, end, t + h)
        h = after - t
        new, ks = _step(field, parameters, t, h, x, slope)
        scale = tolerance.absolute + tolerance.relative * jnp.maximum(jnp.abs(x), jnp.abs(new))
        error = size(h * weighted(pair().b_error, ks) / scale)
        error = jnp.where(jnp.isnan(error), jnp.inf, error)
        taken = error < 1

        def read(carry: tuple) -> tuple:
            reached, outputs = carry
            curve = quartic(x, h, ks)

            def write(carry: tuple) -> tuple:
                i, outputs = carry
                return i + 1, outputs.at[i].set(_at(curve, (times[i] - t) / h))

            def inside(carry: tuple) -> Array:
                i, _ = carry
                return (i < len(times)) & (
                    (times[jnp.minimum(i, len(times) - 1)] - after) * way <= 0
                )

            return lax.while_loop(inside, write, (reached, outputs))

        reached, outputs = lax.cond(taken, read, lambda carry: carry, (reached, outputs))
        if keep:
            # a step that is not taken is overwritten by the next one
            kept = _Kept(
                kept.times.at[count].set(t),
                kept.widths.at[count].set(h),
                kept.states.at[count].set(x),
                kept.slopes.at[count].set(slope),
                count + taken.astype(count.dtype),
            )
        grow = jnp.clip(_SAFETY * error**-0.2, _SHRINK, _GROW)
        return (
            jnp.where(taken, after, t), jnp.where(taken, new, x), jnp.where(taken, ks[-1], slope),
            h * grow, reached, outputs, count + taken.astype(count.dtype), tried + 1, kept,
        )  # fmt: skip

    zero = jnp.asarray(0)
    carry = (begin, start, slope, width, jnp.asarray(1), outputs, zero, zero, kept)
    *_, outputs, count, tried, kept = lax.while_loop(goes_on, attempt, carry)
    return outputs, kept, Account(count, 2 + 6 * tried)


def _backward(field: Field, parameters: Any, times: Array, kept: _Kept, cotangent: Array):
    """Cotangents of the parameters and the start, from those of the outputs."""

    def remade(parameters: Any, t: Array, h: Array, x: Array, slope: Array):
        new, ks = _step(field, parameters, t, h, x, slope)
        return new, ks[-1], quartic(x, h, ks)

    def back(carry: tuple) -> tuple:
        n, i, of_state, of_slope, of_parameters = carry
        t, h = kept.times[n], kept.widths[n]
        x, slope = kept.states[n], kept.slopes[n]
        (_, _, curve), pull = jax.vjp(
            lambda p, x, slope: remade(p, t, h, x, slope), parameters, x, slope
        )

        def gather(carry: tuple) -> tuple:
            i, of_curve = carry
            share = (times[i] - t) / h
            powers = share ** jnp.arange(5, dtype=times.dtype)
            shape = (5, *(1,) * x.ndim)
            return i - 1, of_curve + powers.reshape(shape) * cotangent[i][None]

        def inside(carry: tuple) -> Array:
            i, _ = carry
            return (i > 0) & ((times[jnp.maximum(i, 0)] - t) * jnp.sign(h) > 0)

        i, of_curve = lax.while_loop(inside, gather, (i, jnp.zeros_like(curve)))
        more, of_state, of_slope = pull((of_state, of_slope, of_curve))
        return n - 1, i, of_state, of_slope, jax.tree.map(jnp.add, of_parameters, more)

    nothing = jnp.zeros_like(cotangent[0])
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    carry = (kept.taken - 1, jnp.asarray(len(times) - 1), nothing, nothing, zeros)
    _, _, of_state, of_slope, of_parameters = lax.while_loop(
        lambda carry: carry[0] >= 0, back, carry
    )
    start = kept.states[0]
    _, pull = jax.vjp(lambda p, x: field(p, times[0], x), parameters, start)
    more, through_slope = pull(of_slope)
    of_parameters = jax.tree.map(jnp.add, of_parameters, more)
    return of_parameters, of_state + through_slope + cotangent[0]


def _at(curve: Float[Array, "5 ..."], share: Float[Array, ""]) -> Float[Array, "*state"]:
    state = curve[4]
    for m in (3, 2, 1, 0):
        state = curve[m] + share * state
    return state
