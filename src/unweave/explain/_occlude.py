"""Attributions that hide a part and look again: occlusion, and a local linear surrogate (LIME)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._many import many, numbers_of, precision
from .._model import Condition, Key
from ..targets import Target
from ._attribution import (
    CHUNK_NUMBERS,
    Attribution,
    even,
    inputs,
    key_rows,
    rows_of,
    values_and_baseline,
)
from ._fill import AbstractFill, Noise, Value, neutral, segments, window_for
from ._straight import Column, Replaced

#: Numbers of the affine parts of inputs with windows hidden that are worked on at once (4 MB).
_IN_CACHE = 2**20


def occlusion(
    target: Target,
    x: np.ndarray | Array,
    *,
    window: Sequence[int] | None = None,
    stride: Sequence[int] | None = None,
    fill: AbstractFill | None = None,
    draws: int = 1,
    conditions: Any = None,
    key: Key | None = None,
) -> Attribution:
    r"""$f(x) - f(x \text{ with a window filled})$ (Zeiler and Fergus 2014), shared out evenly over
    the entries of the window; where windows overlap, the mean of those that cover an entry.

    **Arguments:** `window`, its size along each axis (as in `segments` where None), and its
    `stride`, without it the window's own size; `fill`, what a window is filled with, zeros where
    None; `draws`, over how many of them the mean is taken where it is drawn, by `key`.
    """
    x, fill = inputs(target, x), neutral() if fill is None else fill
    shape = x.shape[1:]
    sizes = window_for(shape, window)
    masks = _windows(shape, sizes, sizes if stride is None else tuple(stride))
    if isinstance(fill, Value) and (found := _by_columns(target, fill, x, conditions, masks)):
        hidden, output, at_baseline = found
    else:
        # nothing hidden and everything hidden, by the same program
        ends = np.stack([np.zeros(shape, bool), np.ones(shape, bool)])
        masked = np.concatenate([masks, ends])
        found = _hide(_Hidden(target, fill, draws), x, conditions, masked, key)
        hidden, output, at_baseline = found[:, :-2], found[:, -2], found[:, -1]
    gone = output[:, None] - hidden
    flat = masks.reshape(len(masks), -1)
    share = flat / flat.sum(1, keepdims=True)
    values = ((gone @ share) / np.maximum(flat.sum(0), 1)).reshape(x.shape)
    values = np.where(np.isnan(x), 0, values)
    drawn = isinstance(fill, Noise)
    return Attribution(
        "occlusion", target.name, target.unit, values.astype(x.dtype), x, output,
        contributions=True, evaluations=float(draws * len(masks)), reference=at_baseline,
        drawn=drawn,
    )  # fmt: skip


def _by_columns(
    target: Target, fill: Value, x: np.ndarray, conditions: Any, masks: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The target with each window hidden `(n, window)`, as it is, and with all of it hidden, by
    what the entries of a window add to the affine part of the target; None where asking for every
    entry's part, and keeping them, is more work than it saves."""
    size, count = int(np.prod(x.shape[1:])), len(masks)
    with precision(target) as double:
        few = len(x) * count < 4 * size
        if double or few or conditions is not None or np.isnan(x).any():
            return None
        column = Column(target)
        numbers = numbers_of(column, x[:1])
    if size * numbers > CHUNK_NUMBERS:
        return None
    columns = many(column, np.eye(size, dtype=x.dtype).reshape(-1, *x.shape[1:]))
    entries = np.nonzero(masks.reshape(count, -1))[1].reshape(count, -1)
    value = np.broadcast_to(np.asarray(fill.value, x.dtype), x.shape[1:])
    replaced = Replaced(target, *map(jnp.asarray, (value, entries, columns[entries])))
    chunk = even(len(x), max(1, _IN_CACHE // (count * numbers)))
    hidden = many(replaced, x, chunk=chunk).astype(np.float64)
    base = np.broadcast_to(value, x.shape)
    return hidden, *values_and_baseline(target, x, base)


@dataclass(frozen=True, eq=False)
class Surrogate:
    r"""How well a straight line stands in for a target about some inputs: `r2` `(n,)`, weighted,
    and `intercept` `(n,)`, what it says with everything hidden; one of each for each input."""

    r2: np.ndarray
    intercept: np.ndarray


def lime(
    target: Target,
    x: np.ndarray | Array,
    *,
    window: Sequence[int] | None = None,
    fill: AbstractFill | None = None,
    draws: int = 1000,
    width: float = 0.25,
    conditions: Any = None,
    key: Key | None = None,
) -> Attribution:
    """`lime_fit` without its account of how well the straight line fits."""
    return lime_fit(
        target, x, window=window, fill=fill, draws=draws, width=width, conditions=conditions,
        key=key,
    )[0]  # fmt: skip


def lime_fit(
    target: Target,
    x: np.ndarray | Array,
    *,
    window: Sequence[int] | None = None,
    fill: AbstractFill | None = None,
    draws: int = 1000,
    width: float = 0.25,
    conditions: Any = None,
    key: Key | None = None,
) -> tuple[Attribution, Surrogate]:
    r"""The straight line that stands in for the target near each input, and how well (Ribeiro et
    al. 2016): weighted least squares of $f$ on which segments $z \in \{0, 1\}^d$ are kept,
    $\pi(z) = e^{-d(z)^2 / w^2}$ with the cosine distance $d$ from all and the `width` $w$.

    A segment's coefficient is shared out evenly over its entries. The segments of half of all
    draws are kept at random by `key`; without one they are those of the key 0, so that the same
    inputs give the same answer.

    **Arguments:** `window`, the size of a segment along each axis (see `segments`); `fill`, as in
    `occlusion`; `draws`, how many times some are hidden.
    """
    x, fill = inputs(target, x), neutral() if fill is None else fill
    numbers = segments(x.shape[1:], window)
    count = int(numbers.max()) + 1
    if draws < count + 2:
        raise ValueError(
            f"{draws} draws do not say what each of {count} segments is worth; give more draws, "
            "at least ten for each, or a larger window."
        )
    rng = np.random.default_rng(key_rows(key, 1)[0])
    kept = rng.random((draws, count)) < 0.5
    kept[0], kept[1] = True, False
    hidden = ~kept[:, numbers.ravel()].reshape(draws, *x.shape[1:])
    found = _hide(_Hidden(target, fill, 1), x, conditions, hidden, key)
    distance = 1 - np.sqrt(kept.mean(1))
    weight = np.exp(-((distance / width) ** 2))
    coefficients, intercept, r2 = _line(kept, found, weight)
    each = coefficients / np.bincount(numbers.ravel(), minlength=count)
    values = np.where(np.isnan(x), 0, each[:, numbers.ravel()].reshape(x.shape)).astype(x.dtype)
    attribution = Attribution(
        "LIME", target.name, target.unit, values, x, found[:, 0], contributions=True,
        evaluations=float(draws), reference=found[:, 1], drawn=True,
    )  # fmt: skip
    return attribution, Surrogate(r2, intercept)


def _line(
    kept: np.ndarray, found: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients `(n, segment)`, intercepts and weighted R² of least squares, with as much
    ridge as rounding needs."""
    share = weight / weight.sum()
    centred = kept - share @ kept
    level = found @ share
    gap = found - level[:, None]
    gram = (centred * share[:, None]).T @ centred
    gram += 1e-6 * np.trace(gram) / len(gram) * np.eye(len(gram))
    coefficients = np.linalg.solve(gram, (centred * share[:, None]).T @ gap.T).T
    left = gap - coefficients @ centred.T
    variance = (gap**2) @ share
    unexplained = (left**2) @ share
    # a target that does not move is explained
    r2 = np.where(variance > 0, 1 - unexplained / np.where(variance > 0, variance, 1), 1.0)
    return coefficients, level - coefficients @ (share @ kept), r2


def _windows(shape: tuple[int, ...], sizes: tuple[int, ...], stride: tuple[int, ...]) -> np.ndarray:
    """Masks `(window, *shape)` of all windows, the last along an axis ending where it ends."""
    if len(stride) != len(shape) or any(
        not 1 <= s <= w for s, w in zip(stride, sizes, strict=False)
    ):
        raise ValueError(
            f"a stride of {stride} leaves something out between windows of {sizes}; give one for "
            "each axis, from 1 to the window's size."
        )
    starts = [
        sorted({*range(0, n - size + 1, step), n - size})
        for n, size, step in zip(shape, sizes, stride, strict=True)
    ]
    masks = np.zeros((math.prod(map(len, starts)), *shape), bool)
    for mask, corner in zip(masks, product(*starts), strict=True):
        mask[tuple(slice(c, c + size) for c, size in zip(corner, sizes, strict=True))] = True
    return masks


def _hide(
    hide: "_Hidden", x: np.ndarray, conditions: Any, masks: np.ndarray, key: Key | None
) -> np.ndarray:
    """The target with each of the masks hidden from each row, `(n, mask)`, float64."""
    shared = jax.tree_util.Partial(_with_masks, hide, masks)
    chunk = rows_of(x, len(masks) * hide.draws)
    return many(shared, x, conditions, key_rows(key, len(x)), chunk=chunk).astype(np.float64)


class _Hidden(eqx.Module):
    target: Target
    fill: AbstractFill
    draws: int = eqx.field(static=True)

    def __call__(self, x: Array, hidden: Array, condition: Condition, key: Array) -> Array:
        """The mean of the target over fills of one mask; what was not observed stays so."""
        keys = jax.random.split(jax.random.wrap_key_data(key), self.draws)

        def once(key: Key) -> Array:
            whole = self.fill(x, hidden, condition, key)
            return self.target(jnp.where(jnp.isnan(x), x, whole), condition)

        return jax.vmap(once)(keys).mean()


def _with_masks(hide: _Hidden, masks: Array, x: Array, condition: Condition, key: Array) -> Array:
    def one(hidden: Array) -> Array:
        return hide(x, hidden, condition, key)

    # several masks at a time, as many as a chunk holds
    size = max(1, CHUNK_NUMBERS // (x.size * hide.draws))
    return jax.vmap(one)(masks) if size >= len(masks) else jax.lax.map(one, masks, batch_size=size)
