r"""What a function does to its input before it first bends it.

Many functions are $f = g \circ A$ with an affine $A$: the first products of a net, a change of
units, a choice of entries. Along a straight path the affine part of every point is on the straight
line between those of the ends, and $\int \nabla f\, d\alpha = A^T \int \nabla g(A x_\alpha)\,
d\alpha$; so $A$ is asked for twice and its transpose once, however many points there are. Where a
few entries are replaced, $A$ changes by what its columns there say.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun
from jaxtyping import Array, Float, Int

from .._model import Scalar

#: Arrays that are affine in an input, and arrays that are the same all along a path.
_Across: TypeAlias = tuple[list[Array], list[Array]]


class _Kind(IntEnum):
    """What becomes of a variable along a straight path of the input."""

    FIXED = 0
    STRAIGHT = 1
    BENT = 2


#: Linear in all of their operands together.
_LINEAR = {
    "add", "add_any", "broadcast_in_dim", "concatenate", "copy", "cumsum", "expand_dims", "neg",
    "pad", "reduce_sum", "reduce_window_sum", "reshape", "rev", "slice", "squeeze", "sub",
    "transpose",
}  # fmt: skip
#: Linear in each of their operands.
_PRODUCTS = {"conv_general_dilated", "dot_general", "mul"}
#: Linear in the first operand.
_OF_FIRST = {"div", "dynamic_slice", "gather"}


class _Parts(NamedTuple):
    """A function as the affine part of it and the rest."""

    straight: Callable[[Array], _Across]
    rest: Callable[[list[Array], list[Array]], Scalar]


def path_slope(
    function: Callable[[Array], Scalar],
    start: Array,
    end: Array,
    places: Float[Array, " node"],
    weights: Float[Array, " node"],
) -> Array:
    r"""$\sum_k w_k \nabla f(x_0 + \alpha_k (x_1 - x_0))$ at the `places` $\alpha$ between `start`
    $x_0$ and `end` $x_1$, like `end`; what is NaN in it along the path is so all along."""
    parts = _parts(function, end)
    low = parts.straight(start)[0]
    high, pull, fixed = jax.vjp(parts.straight, end, has_aux=True)

    def at(place: Array) -> list[Array]:
        point = [a + place.astype(a.dtype) * (b - a) for a, b in zip(low, high, strict=True)]
        return jax.grad(parts.rest)(point, fixed)

    slopes = jax.vmap(at)(places)
    return pull([jnp.tensordot(weights.astype(s.dtype), s, 1) for s in slopes])[0]


class Column(eqx.Module):
    r"""What the affine part of a function adds for a direction, $J d$ as one row of numbers."""

    function: Callable[[Array], Scalar]

    def __call__(self, direction: Array) -> Float[Array, " part"]:
        """Of one direction, shaped as an input."""
        parts = _parts(self.function, direction)
        zeros = jnp.zeros_like(direction)
        pushed = jax.jvp(lambda x: parts.straight(x)[0], (zeros,), (direction,))[1]
        return jnp.concatenate([jnp.zeros(0, direction.dtype), *map(jnp.ravel, pushed)])


class Replaced(eqx.Module):
    r"""A function with some entries of its input replaced, a window after another: $g(A x + J_w
    (v - x)_w)$, where `entries` `(window, entry)` $w$ are flat indices, `columns` `(window, entry,
    part)` are $J$ there, and `value` $v$ is what replaces them."""

    function: Callable[[Array], Scalar]
    value: Array
    entries: Int[Array, "window entry"]
    columns: Float[Array, "window entry part"]

    def __call__(self, x: Array) -> Float[Array, " window"]:
        """The values at one input, with each window replaced."""
        parts = _parts(self.function, x)
        straight, fixed = parts.straight(x)
        change = jnp.ravel(self.value - x)[self.entries]
        moved = jnp.einsum("we,wep->wp", change, self.columns)
        ends = list(accumulate(part.size for part in straight))
        pieces = jnp.split(moved, ends, axis=1)[:-1]
        moved = [
            part[None] + piece.reshape(-1, *part.shape)
            for part, piece in zip(straight, pieces, strict=True)
        ]
        rest = jax.vmap(parts.rest, in_axes=(0, None), axis_size=len(self.entries))
        return rest(moved, fixed)


def _parts(function: Callable[[Array], Scalar], x: Array) -> _Parts:
    closed = jax.make_jaxpr(function)(x)
    whole = closed.jaxpr
    kinds = _kinds(whole, [_Kind.STRAIGHT])
    early = [eqn for eqn in whole.eqns if _of(kinds, eqn.outvars) < _Kind.BENT]
    late = [eqn for eqn in whole.eqns if _of(kinds, eqn.outvars) == _Kind.BENT]
    asked = [v for eqn in late for v in eqn.invars] + list(whole.outvars)
    across = list(dict.fromkeys(v for v in asked if not isinstance(v, Literal)))
    straight, fixed = (
        [v for v in across if kinds[v] == kind] for kind in (_Kind.STRAIGHT, _Kind.FIXED)
    )
    first = _function(whole, [*whole.constvars, *whole.invars], early, [*straight, *fixed])
    last = _function(whole, [*straight, *fixed], late, whole.outvars)

    def lead(x: Array) -> _Across:
        found = first(*closed.consts, x)
        return found[: len(straight)], found[len(straight) :]

    return _Parts(lead, lambda straight, fixed: last(*straight, *fixed)[0])


def _function(
    whole: Jaxpr, given: Sequence[Any], eqns: Sequence[JaxprEqn], asked: Sequence[Any]
) -> Callable:
    """What some equations of a whole make of some of its variables."""
    part = whole.replace(constvars=[], invars=given, outvars=asked, eqns=eqns)
    return jaxpr_as_fun(ClosedJaxpr(part, []))


def _kinds(jaxpr: Jaxpr, given: Sequence[_Kind]) -> dict[Any, _Kind]:
    """The kind of every variable, where the inputs are of these kinds."""
    kinds = dict.fromkeys(jaxpr.constvars, _Kind.FIXED)
    kinds |= dict(zip(jaxpr.invars, given, strict=True))
    for eqn in jaxpr.eqns:
        found = _kind(eqn, [_of(kinds, [v]) for v in eqn.invars])
        kinds |= dict.fromkeys(eqn.outvars, found)
    return kinds


def _of(kinds: dict[Any, _Kind], variables: Sequence[Any]) -> _Kind:
    return max((kinds[v] for v in variables if not isinstance(v, Literal)), default=_Kind.FIXED)


def _kind(eqn: JaxprEqn, given: list[_Kind]) -> _Kind:
    name, most = eqn.primitive.name, max(given, default=_Kind.FIXED)
    if most != _Kind.STRAIGHT:
        return most
    if name == "jit":
        inner = eqn.params["jaxpr"].jaxpr
        return _of(_kinds(inner, given), inner.outvars)
    # x != x says what was not observed, which is the same all along
    if name == "ne" and eqn.invars[0] is eqn.invars[1]:
        return _Kind.FIXED
    kept = (
        name in _LINEAR
        or (name in _PRODUCTS and sum(given) == 1)
        or (name in _OF_FIRST and not any(given[1:]))
        or (name == "select_n" and not given[0])
        or (
            name == "convert_element_type" and jnp.issubdtype(eqn.params["new_dtype"], jnp.floating)
        )
    )
    return _Kind.STRAIGHT if kept else _Kind.BENT
