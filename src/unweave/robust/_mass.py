r"""The Square attack's moves within an L2 ball: the length of a perturbation goes from one window
to another, and takes there the shape of a hill beside a hollow (Andriushchenko et al. 2020,
algorithm 3)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .._model import Key

# a perturbation begins as about so many tiles along an axis
_TILES = 5
# a direction shorter than this is none
_NONE = 1e-6


def axes_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The lengths of the axes that a window has a side along: all but the channels."""
    return shape[:-1] if len(shape) > 1 else shape


def offsets(
    n: int, lengths: tuple[int, ...], side: Array, key: Key
) -> tuple[Int[Array, "n length"], ...]:
    """Along every axis how far each entry is from the corner of a window of this side, its place
    drawn for each row."""
    found = []
    for length, one in zip(lengths, jax.random.split(key, len(lengths)), strict=True):
        share = jax.random.uniform(one, (n,))
        room = (length - side + 1).astype(share.dtype)
        corner = jnp.minimum((share * room).astype(jnp.int32), length - side)
        found.append(jnp.arange(length)[None] - corner[:, None])
    return tuple(found)


def inside(away: tuple[Array, ...], side: Array) -> Bool[Array, "n ..."]:
    """Which entries lie in the window."""
    m = len(away)
    parts = [_along((u >= 0) & (u < side), axis, m) for axis, u in enumerate(away)]
    whole = jnp.broadcast_shapes(*(part.shape for part in parts))
    return jnp.stack([jnp.broadcast_to(part, whole) for part in parts]).all(0)


def hills(
    away: tuple[Array, ...], side: int | Array, cut: Int[Array, " n"]
) -> Float[Array, "n ..."]:
    r"""$\eta$ of equation 2: the window in two halves, parted across axis `cut` of each row, a hill
    in one and a hollow in the other. At distance $d$ of a half's middle a hill is
    $\sum_{j > d} 1 / j^2$, up to half the longest side."""
    m, half = len(away), jnp.asarray(side) // 2
    # the sum of the first so many inverse squares
    longest = max(u.shape[1] for u in away)
    table = jnp.asarray(np.r_[0.0, np.cumsum(1.0 / np.arange(1, longest + 3) ** 2)], jnp.float32)
    sign, far, reach = jnp.ones(()), jnp.zeros((), int), jnp.zeros((), int)
    for axis, u in enumerate(away):
        parted = (cut == axis)[:, None]
        second = parted & (u >= half)
        length = jnp.where(parted, jnp.where(second, side - half, half), side)
        distance = jnp.abs(jnp.where(second, u - half, u) - length // 2)
        sign, far, reach = (
            jnp.broadcast_arrays(old, _along(new, axis, m))
            for old, new in (
                (sign, jnp.where(second, -1.0, 1.0)), (far, distance), (reach, length // 2 + 1),
            )
        )  # fmt: skip
        sign, far, reach = sign[0] * sign[1], jnp.maximum(*far), jnp.maximum(*reach)
    most = len(table) - 1
    return sign * (table[jnp.clip(reach, 0, most)] - table[jnp.clip(far, 0, most)])


def tiles(s: Float[Array, "n ..."], key: Key) -> Float[Array, "n ..."]:
    """Where the search begins: a hill and a hollow on every tile, a sign for each tile and channel,
    of length 1 in all."""
    lengths = axes_of(s.shape[1:])
    size = max(1, min(lengths) // _TILES)
    signs_key, cut_key = jax.random.split(key)
    cut = jax.random.randint(cut_key, (len(s),), 0, len(lengths))
    away = tuple(jnp.broadcast_to(jnp.arange(n) % size, (len(s), n)) for n in lengths)
    shape = hills(away, size, cut)[..., None]
    counts = tuple(-(-n // size) for n in lengths)
    signs = jax.random.rademacher(signs_key, (len(s), *counts, _channels(s)), s.dtype)
    for axis, n in enumerate(lengths):
        signs = jnp.repeat(signs, size, axis=axis + 1)
        signs = jax.lax.slice_in_dim(signs, 0, n, axis=axis + 1)
    start = (signs * jnp.broadcast_to(shape, signs.shape).astype(s.dtype)).reshape(s.shape)
    whole = jnp.sqrt((start**2).reshape(len(s), -1).sum(1))
    return start / whole.reshape(-1, *(1,) * (s.ndim - 1))


def moved_mass(
    s: Float[Array, "n ..."], radius: Float[Array, ""], side: Int[Array, ""], key: Key
) -> Float[Array, "n ..."]:
    r"""Algorithm 3: of each row the length that $s$ has in two windows, and what the ball of this
    radius has left over, all in the first one, along $\pm \eta / \|\eta\| + s / \|s\|$ there, a
    sign for each channel; nothing in the second."""
    first, second, turn, sign = jax.random.split(key, 4)
    shape, lengths = s.shape, axes_of(s.shape[1:])
    s = s.reshape(len(s), *lengths, _channels(s))
    away = offsets(len(s), lengths, side, first)
    here = jnp.broadcast_to(inside(away, side)[..., None], s.shape)
    there = jnp.broadcast_to(
        inside(offsets(len(s), lengths, side, second), side)[..., None], s.shape
    )
    cut = jax.random.randint(turn, (len(s),), 0, len(lengths))
    hill = jnp.broadcast_to(hills(away, side, cut).astype(s.dtype)[..., None], s.shape)
    signs = jax.random.rademacher(sign, (len(s), *(1,) * len(lengths), s.shape[-1]), s.dtype)
    turned = signs * _unit(jnp.where(here, hill, 0.0))
    way = turned + _unit(jnp.where(here, s, 0.0))
    # a window that is turned right round has no direction: it takes the new one
    way = _unit(jnp.where(_length(way) > _NONE, way, turned))
    spare = radius**2 - (s**2).sum(tuple(range(1, s.ndim)), keepdims=True)
    held = _length(jnp.where(here | there, s, 0.0)) ** 2
    length = jnp.sqrt(held + jnp.maximum(spare, 0.0) / s.shape[-1])
    return jnp.where(here, length * way, jnp.where(there, 0.0, s)).reshape(shape)


def _length(s: Array) -> Array:
    """Of each row and channel."""
    return jnp.sqrt((s**2).sum(tuple(range(1, s.ndim - 1)), keepdims=True))


def _unit(s: Array) -> Array:
    length = _length(s)
    return s / jnp.where(length > 0, length, 1.0)


def _channels(s: Array) -> int:
    return s.shape[-1] if s.ndim > 2 else 1


def _along(part: Array, axis: int, axes: int) -> Array:
    """Numbers along one axis of each row, shaped to go with those along the others."""
    shape = [len(part), *(1,) * axes]
    shape[1 + axis] = part.shape[1]
    return part.reshape(shape)


def sides(
    shape: tuple[int, ...], shares: np.ndarray, *, least: int = 1
) -> Int[np.ndarray, " step"]:
    """The side of a window that covers these shares of an input."""
    lengths = axes_of(shape)
    side = np.round((shares * math.prod(lengths)) ** (1 / len(lengths)))
    return np.clip(side, min(least, *lengths), min(lengths)).astype(np.int32)
