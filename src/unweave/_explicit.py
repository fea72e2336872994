r"""Explicit steps whose widths follow their error, and the curve between them.

A step of the pair of Tsitouras (2011, *Computers & Mathematics with Applications* 62) is

$$x_1 = x_0 + h \sum_i b_i k_i, \qquad
k_i = f\Big(t_0 + c_i h,\; x_0 + h \sum_{j<i} a_{ij} k_j\Big)$$

of order 5, and $e = h \sum_i \tilde b_i k_i$ estimates the error of an embedded result of order 4.
It is taken where $|e| < 1$ in units of the tolerances, and the next is $0.9\,|e|^{-1/5}$ times as
wide, though no wider after a step that was tried twice (Hairer, Nørsett and Wanner 1993, II.4).

Many courses at once (`vmap`) decide how this is written. A step cannot hand out the states at
the times that it passes: one course passes ten while another passes none, and all would wait for
the slowest, at every step. So whole rounds of steps are kept, each as the curve that it gives,
and the times are looked up once a round.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Rates: TypeAlias = Callable[[Float[Array, ""], Float[Array, "*state"]], Float[Array, "*state"]]


@cache
def pair() -> Any:
    """The coefficients of Tsitouras's pair: `a_lower`, `b_sol`, `b_error` and `c`."""
    # what most models do without takes a third of a second to import
    import diffrax

    return diffrax.Tsit5.tableau


#: $\sum_i b_i(1/2) k_i$ leads to the middle of a step, of order 4 (Tsitouras 2011, section 4).
MIDDLE = (
    0.107412352300968752, 0.01135625, 0.39560903056045309, -0.344752143525935466,
    1.31618536495816474, -1.01706085429365112, 0.03125,
)  # fmt: skip
#: Steps tried before all are asked whether any course still goes on, and before they are read.
_TURN, _ROUND = 16, 128
_GROWTH = 10.0


class At(NamedTuple):
    """How far a course has come: time, state, the rates there, the width to try next, and how
    many times wider the one after that may be."""

    t: Float[Array, ""]
    x: Float[Array, "*state"]
    slope: Float[Array, "*state"]
    width: Float[Array, ""]
    growth: Float[Array, ""]


class _Piece(NamedTuple):
    """The curve of one step, $\\sum_m q_m \\theta^m$ at the share $\\theta$ of its width."""

    begin: Float[Array, "*step"]
    width: Float[Array, "*step"]
    powers: Float[Array, "*step 5 state"]


def explicit_path(
    rates: Rates,
    times: Float[Array, " time"],
    start: Float[Array, " state"],
    relative: float,
    absolute: float,
    most_steps: int,
) -> Float[Array, "time state"]:
    """The states at `times`; infinite from where no step is narrow enough, or `most_steps`, in
    whole rounds, did not reach. Both modes of differentiation go through, with the steps' widths
    held."""
    end = times[-1]

    def goes_on(at: At) -> Bool[Array, ""]:
        # false too where the width is NaN, since the rates are
        return (at.t < end) & (at.t + at.width > at.t)

    def attempt(at: At, _: None) -> tuple[At, _Piece]:
        after = jnp.where(at.width >= end - at.t, end, at.t + at.width)
        h = after - at.t
        slopes = stages(rates, at, h)
        x = at.x + h * weighted(pair().b_sol, slopes)
        scale = absolute + relative * jnp.maximum(jnp.abs(at.x), jnp.abs(x))
        error = size(h * weighted(pair().b_error, slopes) / scale)
        error = jnp.where(jnp.isnan(error), jnp.inf, error)
        taken = error < 1
        factor = jnp.clip(0.9 * error**-0.2, 0.2, at.growth)
        width = jax.lax.stop_gradient(h * factor)
        new = At(after, x, slopes[-1], width, jnp.full_like(h, _GROWTH))
        old = at._replace(width=width, growth=jnp.ones_like(h))
        moved = jax.tree.map(lambda new, old: jnp.where(taken, new, old), new, old)
        piece = _Piece(at.t, jnp.where(h > 0, h, 1), quartic(at.x, h, slopes))
        return moved, piece

    def turn(at: At) -> tuple[At, _Piece]:
        return jax.lax.scan(attempt, at, length=_TURN)

    never = jnp.full(_TURN, jnp.inf, start.dtype)
    none = _Piece(never, jnp.ones_like(never), jnp.zeros((_TURN, 5, *start.shape), start.dtype))

    def round_(carry: tuple[At, Array]) -> tuple[tuple[At, Array], None]:
        at, states = carry
        later, pieces = _while_any(goes_on, turn, at, none, _ROUND // _TURN)
        pieces = jax.tree.map(lambda a: a.reshape(_ROUND, *a.shape[2:]), pieces)
        inside = (times > at.t) & (times <= later.t)
        read = _read(pieces, jnp.clip(times, at.t, later.t))
        return (later, jnp.where(inside[:, None], read, states)), None

    slope = rates(times[0], start)
    width = first_width(rates, times[0], start, slope, relative, absolute)
    at = At(times[0], start, slope, width, jnp.full_like(width, _GROWTH))
    states = jnp.where((times <= times[0])[:, None], start[None], jnp.inf)
    carry, rounds = (at, states), -(-most_steps // _ROUND)
    (_, states), _ = _while_any(lambda carry: goes_on(carry[0]), round_, carry, None, rounds)
    return states


def stages(rates: Rates, at: At, h: Float[Array, ""]) -> list[Float[Array, "*state"]]:
    """$k_1, …, k_7$, of which the last is the first of the next step."""
    slopes = [at.slope]
    for weights, share in zip(pair().a_lower, pair().c, strict=True):
        slopes.append(rates(at.t + float(share) * h, at.x + h * weighted(weights, slopes)))
    return slopes


def weighted(weights: Any, slopes: list[Float[Array, "*state"]]) -> Float[Array, "*state"]:
    # term by term and not a product of matrices: compiled together with what stands around it
    terms = [float(w) * k for w, k in zip(weights, slopes, strict=False) if w != 0]
    return sum(terms[1:], terms[0])


def size(x: Float[Array, "*state"]) -> Float[Array, ""]:
    """The root of the mean square."""
    return jnp.sqrt(jnp.mean(x**2))


def quartic(
    x: Float[Array, "*state"], h: Float[Array, ""], slopes: list[Float[Array, "*state"]]
) -> Float[Array, "5 ..."]:
    """The quartic with the values and slopes of both ends and the value in the middle, by
    powers of the share of the step: it is the interpolant of Tsitouras, of order 4."""
    begin, end = h * slopes[0], h * slopes[-1]
    middle, whole = h * weighted(MIDDLE, slopes), h * weighted(pair().b_sol, slopes)
    return jnp.stack(
        [
            x,
            begin,
            end - 4 * begin - 5 * whole + 16 * middle,
            5 * begin - 3 * end + 14 * whole - 32 * middle,
            2 * (end - begin) - 8 * whole + 16 * middle,
        ]
    )


def _read(pieces: _Piece, times: Float[Array, " time"]) -> Float[Array, "time state"]:
    """The states at times of one round, each on the last piece that begins before it: a step
    that was not taken begins where the next one does, which stands after it."""
    i = jnp.maximum(jnp.searchsorted(pieces.begin, times) - 1, 0)
    share = ((times - pieces.begin[i]) / pieces.width[i])[:, None]
    powers = pieces.powers[i]
    state = powers[:, 4]
    for m in (3, 2, 1, 0):
        state = powers[:, m] + share * state
    return state


def first_width(
    rates: Rates,
    t: Float[Array, ""],
    x: Float[Array, "*state"],
    slope: Float[Array, "*state"],
    relative: float,
    absolute: float,
) -> Float[Array, ""]:
    """The width of the first step, from the sizes of the state, the rates and their change
    (Hairer, Nørsett and Wanner 1993, *Solving Ordinary Differential Equations I*, II.4)."""
    scale = absolute + relative * jnp.abs(x)
    state, speed = size(x / scale), size(slope / scale)
    small = (state < 1e-5) | (speed < 1e-5)
    trial = jnp.where(small, 1e-6, 0.01 * state / jnp.where(small, 1, speed))
    change = rates(t + trial, x + trial * slope) - slope
    steepest = jnp.maximum(speed, size(change / scale) / trial)
    flat = steepest <= 1e-15
    wide = (0.01 / jnp.where(flat, 1, steepest)) ** 0.2
    width = jnp.minimum(100 * trial, jnp.where(flat, jnp.maximum(1e-6, 1e-3 * trial), wide))
    # late on the clock a width may be too small to be told from none
    least = 10 * jnp.finfo(width.dtype).eps * jnp.abs(t)
    return jax.lax.stop_gradient(jnp.maximum(width, least))


def _while_any(
    goes_on: Callable[[Any], Bool[Array, ""]],
    step: Callable[[Any], tuple[Any, Any]],
    carry: Any,
    idle: Any,
    most: int,
) -> tuple[Any, Any]:
    """`step` again and again while it goes on for any of the courses that are mapped over, `most`
    times at most; and what the steps gave, stacked, `idle` for those that were not made.

    A `while_loop` has no reverse mode. A condition of each course's own would be a `select`
    under `vmap`, where every step is made for all.
    """

    def one(carry: Any, _: None) -> tuple[Any, Any]:
        any_goes_on = eqxi.unvmap_any(goes_on(carry))
        return jax.lax.cond(any_goes_on, step, lambda carry: (carry, idle), carry)

    return jax.lax.scan(jax.checkpoint(one, prevent_cse=False), carry, length=most)
