r"""Points carried along a velocity field, and how the volume about them grows.

$$\frac{dy}{dt} = v(y, t), \qquad \frac{d \log p(y(t))}{dt} = -\operatorname{tr}
\frac{\partial v}{\partial y}$$

(Chen et al. 2018, theorem 1). The second equation does not act on the first, so only the points
are stepped, by the pair of Dormand and Prince (1980) at widths that follow its error, and the
trace, which costs as many velocities as there are coordinates, is asked for at the three Gauss
points of each step instead of at each of its six stages.

A derivative is that of the steps with their widths held. `y` is one point, or many that share
their steps: then the error is the root of the mean square over all of them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Point: TypeAlias = Float[Array, " coordinate"]
Points: TypeAlias = Float[Array, "*many coordinate"]
Time: TypeAlias = Float[Array, ""]
Growths: TypeAlias = Float[Array, "*many"]

# Dormand and Prince (1980), table 2: the stages' times and weights, and what of the step's
# result an embedded one of order 4 does not share
_TIMES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_WEIGHTS = (
    (1 / 5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    (3 / 40, 9 / 40, 0.0, 0.0, 0.0, 0.0, 0.0),
    (44 / 45, -56 / 15, 32 / 9, 0.0, 0.0, 0.0, 0.0),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0.0, 0.0, 0.0),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0.0, 0.0),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
)
_ERROR = (
    71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40,
)  # fmt: skip
# Shampine (1986, Mathematics of Computation 46): to the middle of the step, of order 4
_MIDDLE = (
    6025192743 / 60171106304, 0.0, 51252292925 / 130801643196, -2691868925 / 90256659456,
    187940372067 / 3189068634112, -1776094331 / 39487288512, 11237099 / 470086768,
)  # fmt: skip
# Gauss and Legendre's three points and weights on (0, 1); two leave ten times the error
_GAUSS, _SHARES = 0.5 + np.sqrt(0.15) * np.array([-1, 0, 1]), np.array([5, 8, 5]) / 18
#: Points of more coordinates than this have the growth along their course estimated.
MOST_EXACT = 64
#: Steps tried before a course is given up.
MOST_STEPS = 256
_CHUNK = 8
# the first step tried, as a share of the way: a field that was fitted to it varies no faster
_FIRST = 0.1


class Motion(eqx.Module):
    r"""What carries points from `begin` to `end`, its arguments those of one point.

    `velocity(y, t)`; `growth(y, t)`, $\operatorname{tr} \partial v / \partial y$ or an estimate
    of it, or None where only `carry` is asked. The error of a step stays below
    `tolerance * (1 + |y|)`.
    """

    velocity: Callable[[Point, Time], Point]
    growth: Callable[[Point, Time], Time] | None
    begin: float = eqx.field(static=True)
    end: float = eqx.field(static=True)
    tolerance: float = eqx.field(static=True)


class _Steps(NamedTuple):
    """The steps that were taken, the first `taken` of `begin`, `width` and, where a growth is
    asked for, `start`, the points where they begin."""

    begin: Float[Array, " step"]
    width: Float[Array, " step"]
    start: Float[Array, "step *many coordinate"] | None
    taken: Int[Array, ""]


class _At(NamedTuple):
    """How far a course has come, the width to try next and the most that it may grow."""

    t: Time
    y: Points
    slope: Points
    grown: Growths
    width: Time
    factor: Time
    tried: Int[Array, ""]


@eqx.filter_custom_jvp
def carry(motion: Motion, y: Points) -> Points:
    """Where `y` `(..., coordinate)` is at the end; infinite where no step was narrow enough or
    `MOST_STEPS` did not lead there. Both modes of differentiation go through."""
    return _adapted(motion, y, growing=False)[0]


@carry.def_jvp
def _carry_jvp(primals, tangents):
    motion, y = primals
    fixed = jax.tree.map(lambda a: jax.lax.stop_gradient(a) if eqx.is_array(a) else a, motion)
    *_, steps = _adapted(fixed, jax.lax.stop_gradient(y), growing=False)
    return eqx.filter_jvp(lambda motion, y: _along(motion, y, steps), primals, tangents)


def transport(motion: Motion, y: Points) -> tuple[Points, Growths]:
    r"""As `carry`, and $\int \operatorname{tr} (\partial v / \partial y) \, dt$ along the way
    `(...)`. Differentiable backwards alone, which is several times faster than what is so in
    both ways."""
    return _transport((motion, y))


@eqx.filter_custom_vjp
def _transport(both: tuple[Motion, Points]) -> tuple[Points, Growths]:
    return _adapted(*both, growing=True)[:2]


@_transport.def_fwd
def _transport_forward(perturbed, both):
    y, grown, steps = _adapted(*both, growing=True)
    return (y, grown), steps


@_transport.def_bwd
def _transport_backward(steps, slope, perturbed, both):
    """Step by step from the last to the first, each made again from where it began."""
    motion, y = both
    arrays, static = eqx.partition(motion, eqx.is_inexact_array)

    def back(state: Any) -> Any:
        i, of_arrays, of_y, of_grown = state

        def step(arrays: Any, y: Points) -> tuple[Points, Growths]:
            motion = eqx.combine(arrays, static)
            return _step(motion, _rates(motion, y), y, steps.begin[i], steps.width[i])

        _, pull = jax.vjp(step, arrays, steps.start[i])
        more, of_y = pull((of_y, of_grown))
        return i - 1, jax.tree.map(jnp.add, of_arrays, more), of_y, of_grown

    of_y, of_grown = (jnp.zeros(y.shape[: y.ndim - k], y.dtype) if part is None else part
                      for k, part in enumerate(slope))  # fmt: skip
    start = (steps.taken - 1, jax.tree.map(jnp.zeros_like, arrays), of_y, of_grown)
    _, of_arrays, of_y, _ = jax.lax.while_loop(lambda state: state[0] >= 0, back, start)
    return of_arrays, of_y


def exact_growth(velocity: Callable[[Point, Time], Point], y: Point, t: Time) -> Time:
    r"""$\operatorname{tr} \partial v / \partial y$, by as many derivatives as coordinates."""

    def own(direction: Point) -> Time:
        return jax.jvp(lambda y: velocity(y, t), (y,), (direction,))[1] @ direction

    return jax.vmap(own)(jnp.eye(y.size, dtype=y.dtype)).sum()


def estimated_growth(
    velocity: Callable[[Point, Time], Point],
    probes: Float[Array, "probe coordinate"],
    y: Point,
    t: Time,
) -> Time:
    r"""$\tfrac1K \sum_k e_k^\top (\partial v / \partial y) e_k$ with probes $e_k$ of covariance
    one: unbiased (Hutchinson 1990)."""

    def along(probe: Point) -> Time:
        return jax.jvp(lambda y: velocity(y, t), (y,), (probe,))[1] @ probe

    return jax.vmap(along)(probes).mean()


def _adapted(motion: Motion, y: Points, *, growing: bool) -> tuple[Points, Growths, _Steps]:
    """The course at widths that follow the error, and its steps; without derivatives."""
    rates, end = _rates(motion, y), jnp.asarray(motion.end, y.dtype)

    def goes_on(carry: tuple[_At, _Steps]) -> Array:
        at, _ = carry
        # false too where the width is NaN, since the rates are
        return (at.t != end) & (at.t + at.width != at.t) & (at.tried < MOST_STEPS)

    def attempt(carry: tuple[_At, _Steps]) -> tuple[_At, _Steps]:
        at, steps = carry
        later, h, taken = _attempt(motion, rates, at, growing=growing)
        # what a step that was not taken notes is written over by the next
        i, start = steps.taken, steps.start
        return later, _Steps(
            steps.begin.at[i].set(at.t),
            steps.width.at[i].set(h),
            None if start is None else start.at[i].set(at.y),
            jnp.where(taken, i + 1, i),
        )

    begin = jnp.asarray(motion.begin, y.dtype)
    slope = rates(y, begin)
    width = jnp.asarray(_FIRST * (motion.end - motion.begin), y.dtype)
    grown, zero = jnp.zeros(y.shape[:-1], y.dtype), jnp.asarray(0)
    at = _At(begin, y, slope, grown, width, jnp.asarray(10.0, y.dtype), zero)
    none = jnp.zeros(MOST_STEPS, y.dtype)
    starts = jnp.zeros((MOST_STEPS, *y.shape), y.dtype) if growing else None
    first = (at, _Steps(none, none, starts, zero))
    at, steps = jax.lax.while_loop(goes_on, attempt, first)
    arrived = at.t == end
    return jnp.where(arrived, at.y, jnp.inf), jnp.where(arrived, at.grown, jnp.inf), steps


def _attempt(motion: Motion, rates: Callable, at: _At, *, growing: bool) -> tuple[_At, Time, Array]:
    """One step, taken if its error is small enough; its width, and whether it was taken."""
    end = jnp.asarray(motion.end, at.y.dtype)
    is_last = jnp.abs(at.width) >= jnp.abs(end - at.t)
    h = jnp.where(is_last, end - at.t, at.width)
    slopes = _slopes(rates, at.t, at.y, at.slope, h)
    y = at.y + h * _sum(_WEIGHTS[-1], slopes)
    scale = motion.tolerance * (1 + jnp.maximum(jnp.abs(at.y), jnp.abs(y)))
    error = _size(h * _sum(_ERROR, slopes) / scale)
    error = jnp.where(jnp.isnan(error), jnp.inf, error)
    taken = error < 1
    grown = at.grown
    if growing:
        grown = grown + _growth(motion, at.t, at.y, h, y, slopes)
    # Hairer, Norsett and Wanner (1993), II.4: a step that was tried twice is not widened
    width = h * jnp.clip(0.9 * error**-0.2, 0.2, at.factor)
    after = jnp.where(is_last, end, at.t + h)
    tried = at.tried + 1
    moved = _At(after, y, slopes[-1], grown, width, jnp.full_like(h, 10.0), tried)
    stayed = at._replace(width=width, factor=jnp.ones_like(h), tried=tried)
    return jax.tree.map(lambda new, old: jnp.where(taken, new, old), moved, stayed), h, taken


def _step(motion: Motion, rates: Callable, y: Points, t: Time, h: Time) -> tuple[Points, Growths]:
    """One step whose width is known."""
    slopes = _slopes(rates, t, y, rates(y, t), h, unrolled=True)
    new = y + h * _sum(_WEIGHTS[-1], slopes)
    return new, _growth(motion, t, y, h, new, slopes)


def _along(motion: Motion, y: Points, steps: _Steps) -> Points:
    """The course by steps that are known, which both modes of differentiation go through."""
    rates = _rates(motion, y)
    most = eqxi.unvmap_max(steps.taken)

    def step(y: Points, t: Time, h: Time) -> Points:
        return y + h * _sum(_WEIGHTS[-1], _slopes(rates, t, y, rates(y, t), h))

    def one(y: Points, here: Any) -> tuple[Points, None]:
        i, t, h = here
        return jax.lax.cond(i < most, step, lambda y, t, h: y, y, t, h), None

    def chunk(y: Points, here: Any) -> tuple[Points, None]:
        def some(y: Points) -> Points:
            return jax.lax.scan(jax.checkpoint(one, prevent_cse=False), y, here)[0]

        # a chunk that no step falls into costs nothing
        return jax.lax.cond(here[0][0] < most, some, lambda y: y, y), None

    here = (jnp.arange(MOST_STEPS), steps.begin, steps.width)
    here = jax.tree.map(lambda a: a.reshape(-1, _CHUNK), here)
    return jax.lax.scan(chunk, y, here)[0]


def _rates(motion: Motion, y: Points) -> Callable[[Points, Time], Points]:
    """The velocity of all points at one time."""
    rates = motion.velocity
    for _ in range(y.ndim - 1):
        rates = jax.vmap(rates, (0, None))
    return rates


def _slopes(
    rates: Callable, t: Time, y: Points, slope: Points, h: Time, *, unrolled: bool = False
) -> Float[Array, "stage *many coordinate"]:
    """$k_1, …, k_7$, of which the last is the first of the next step."""

    def stage(slopes: Array, here: Any) -> tuple[Array, None]:
        i, share, weights = here
        new = rates(y + h * jnp.tensordot(weights, slopes, 1), t + share * h)
        return slopes.at[i].set(new), None

    slopes = jnp.zeros((7, *y.shape), y.dtype).at[0].set(slope)
    # a loop is compiled in half the time, and differentiated more slowly
    here = (jnp.arange(1, 7), jnp.asarray(_TIMES, y.dtype), jnp.asarray(_WEIGHTS, y.dtype))
    return jax.lax.scan(stage, slopes, here, unroll=6 if unrolled else 1)[0]


def _growth(motion: Motion, t: Time, y: Points, h: Time, new: Points, slopes: Array) -> Growths:
    """The integral of the growth over one step, at Gauss's points of the quartic with the
    values and slopes of both ends and the value in the middle."""
    if motion.growth is None:
        return jnp.zeros(y.shape[:-1], y.dtype)
    begin, end = h * slopes[0], h * slopes[-1]
    middle, whole = h * _sum(_MIDDLE, slopes), new - y
    powers = (
        begin,
        end - 4 * begin - 5 * whole + 16 * middle,
        5 * begin - 3 * end + 14 * whole - 32 * middle,
        2 * (end - begin) - 8 * whole + 16 * middle,
    )
    growth = motion.growth
    for _ in range(y.ndim - 1):
        growth = jax.vmap(growth, (0, None))
    shares = [float(share) for share in _GAUSS]
    points = jnp.stack([y + sum(p * s ** (m + 1) for m, p in enumerate(powers)) for s in shares])
    times = t + h * jnp.asarray(_GAUSS, y.dtype)
    each = jax.vmap(growth)(points, times)
    return h * jnp.tensordot(jnp.asarray(_SHARES, y.dtype), each, 1)


def _sum(weights: tuple[float, ...], slopes: Float[Array, "stage *many coordinate"]) -> Points:
    return jnp.tensordot(jnp.asarray(weights, slopes.dtype), slopes, 1)


def _size(y: Points) -> Time:
    """The root of the mean square."""
    return jnp.sqrt(jnp.mean(y**2))
