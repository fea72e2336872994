"""Attributions by gradients: saliency, gradient times input, integrated gradients, SmoothGrad."""

from functools import cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._many import many
from .._model import Condition, Key
from ..targets import Target
from ._attribution import (
    Attribution,
    at_baseline,
    at_known,
    filled,
    in_buckets,
    inputs,
    key_rows,
    known,
    like,
    most_rows,
    resolved,
    rows_of,
    slope,
    taken,
    values_and_baseline,
    values_and_slopes,
    values_of,
)
from ._straight import path_slope

#: A piece of a path is not halved where its error is less than this share of its path's worst, nor
#: below so many of the smallest steps that numbers can take, of which its nodes need some.
_WORST, _FEWEST_STEPS = 0.3, 64


def saliency(
    target: Target, x: np.ndarray | Array, *, conditions: Any = None, key: Key | None = None
) -> Attribution:
    r"""The gradient, $a_i = \partial f / \partial x_i$ (Simonyan et al. 2014).

    **Arguments:** `x` `(n, *input)` and the `conditions` of its rows; nothing is drawn.
    """
    x = inputs(target, x)
    values, slopes = values_and_slopes(target, x, conditions)
    return Attribution(
        "saliency", target.name, target.unit, slopes, x, values, contributions=False,
        evaluations=1.0,
    )  # fmt: skip


def gradient_times_input(
    target: Target,
    x: np.ndarray | Array,
    *,
    baseline: np.ndarray | Array | float | None = None,
    conditions: Any = None,
    key: Key | None = None,
) -> Attribution:
    r"""$a_i = (x_i - b_i)\, \partial f / \partial x_i$: what each entry contributed, were the
    target a straight line from the `baseline` (zeros where None) to `x`."""
    x = inputs(target, x)
    base = like(x, baseline)
    values, slopes = values_and_slopes(target, x, conditions)
    return Attribution(
        "gradient times input", target.name, target.unit, slopes * filled(x - base), x,
        values, contributions=True, evaluations=1.0, baseline=base,
        reference=partial(at_baseline, target, x, base, conditions),
    )  # fmt: skip


def integrated_gradients(
    target: Target,
    x: np.ndarray | Array,
    *,
    baseline: np.ndarray | Array | float | None = None,
    nodes: int = 16,
    tolerance: float = 0.01,
    conditions: Any = None,
    key: Key | None = None,
) -> Attribution:
    r"""$a_i = (x_i - b_i) \int_0^1 \partial_i f(b + \alpha (x - b))\, d\alpha$ (Sundararajan et
    al. 2017, equation 1).

    By Gauss-Legendre's rule of so many `nodes` on pieces of the path. What the gradient must add
    up to on a piece is known, the difference of the target at its ends; so the worst pieces are
    halved, as long as numbers tell their nodes apart, until the sum of all errors is no more than
    `tolerance` times $|f(x) - f(b)|$, and the sum of their sizes no more than `tolerance` times
    what is attributed: a threshold that the path crosses is found, however sharp. With an infinite
    tolerance it is the plain rule.

    **Arguments:** `baseline` $b$, zeros where None.
    """
    if nodes < 1 or not tolerance > 0:
        raise ValueError(
            f"{nodes} nodes and a tolerance of {tolerance} were asked for; give at least one node "
            "and a positive tolerance."
        )
    x = inputs(target, x)
    base = like(x, baseline)
    values, at_base = values_and_baseline(target, x, base, conditions)
    piece = _Piece(target, *_rule(nodes))
    mean, asked = _path_mean(_Paths(piece, x, base, conditions), (at_base, values), tolerance)
    return Attribution(
        "integrated gradients", target.name, target.unit, mean * filled(x - base), x, values,
        contributions=True, evaluations=asked / len(x), baseline=base, reference=at_base,
    )  # fmt: skip


def smooth_grad(
    target: Target,
    x: np.ndarray | Array,
    *,
    level: float = 0.15,
    sigma: np.ndarray | Array | float | None = None,
    draws: int = 64,
    conditions: Any = None,
    key: Key | None = None,
) -> Attribution:
    r"""$a = \frac1m \sum_k \nabla f(x + \epsilon_k)$, $\epsilon \sim \mathcal{N}(0, \sigma^2)$ with
    $\sigma$ the share `level` of the range of `x` (Smilkov et al. 2017, equation 2), over so many
    `draws`.

    Entries with units of their own, such as the parameters of an equation, want a `sigma` of their
    own, which takes the place of `level`: one number, or one for each entry. `key` draws the noise;
    without one it is that of the key 0.
    """
    if draws < 1 or not level > 0:
        raise ValueError(f"{draws} draws at level {level} were asked for; give at least one, > 0.")
    x = inputs(target, x)
    smooth = _Smooth(target, level, draws, None if sigma is None else _sigma_of(x, sigma))
    values = many(smooth, x, conditions, key_rows(key, len(x)), chunk=rows_of(x, draws))
    return Attribution(
        "SmoothGrad", target.name, target.unit, values, x, values_of(target, x, conditions),
        contributions=False, evaluations=float(draws), drawn=True,
    )  # fmt: skip


def _sigma_of(x: np.ndarray, sigma: np.ndarray | Array | float) -> np.ndarray:
    """The deviation of each entry's noise."""
    sigma = np.asarray(sigma, x.dtype)
    if sigma.shape not in ((), x.shape[1:]) or not (sigma > 0).all():
        raise ValueError(
            f"a sigma of shape {sigma.shape}, at least {sigma.min():.3g}, was given for inputs of "
            f"shape {x.shape[1:]}; give one positive number, or one for each entry."
        )
    return np.broadcast_to(sigma, x.shape[1:])


class _Smooth(eqx.Module):
    target: Target
    level: float = eqx.field(static=True)
    draws: int = eqx.field(static=True)
    sigma: np.ndarray | Array | None

    def __call__(self, x: Array, condition: Condition, key: Array) -> Array:
        sigma = self.level * (jnp.nanmax(x) - jnp.nanmin(x)) if self.sigma is None else self.sigma
        noise = jnp.broadcast_to(sigma, x.shape)[None] * jax.random.normal(
            jax.random.wrap_key_data(key), (self.draws, *x.shape), x.dtype
        )
        return jax.vmap(slope, in_axes=(None, 0, None))(
            self.target, x[None] + noise, condition
        ).mean(0)


class _Pieces(NamedTuple):
    """Pieces of the paths of some rows: where each begins and how wide it is, the target at its
    ends, the mean gradient along it, by how much that misses what it must add up to, and how much
    it attributes to all entries together."""

    row: np.ndarray
    low: np.ndarray
    width: np.ndarray
    at_low: np.ndarray
    at_high: np.ndarray
    mean: np.ndarray
    error: np.ndarray
    much: np.ndarray


class _Paths(NamedTuple):
    """The straight paths from `base` to `x` of one target."""

    piece: "_Piece"
    x: np.ndarray
    base: np.ndarray
    conditions: Any

    def pieces(
        self, row: np.ndarray, low: np.ndarray, width: np.ndarray, at_low: np.ndarray,
        at_high: np.ndarray,
    ) -> _Pieces:  # fmt: skip
        """The pieces of these rows, the mean gradients by one program for all of them."""
        x, base = self.x[row], self.base[row]
        whole = x, base, taken(self.conditions, row), low.astype(x.dtype), width.astype(x.dtype)
        mean = in_buckets(self.piece, *whole, chunk=most_rows(x, len(self.piece.places)))
        parts = (mean * filled(x - base)).reshape(len(row), -1)
        error = width * parts.sum(1, dtype=np.float64) - (at_high - at_low)
        much = width * np.abs(parts).sum(1, dtype=np.float64)
        return _Pieces(row, low, width, at_low, at_high, mean, error, much)

    def halves(self, of: _Pieces) -> _Pieces:
        """Two pieces for each of these."""
        row, width = of.row, of.width / 2
        at = (of.low + width).reshape(-1, *(1,) * (self.x.ndim - 1)).astype(self.x.dtype)
        point = self.base[row] + at * (self.x[row] - self.base[row])
        target = self.piece.target
        middle = in_buckets(target, point, taken(self.conditions, row)).astype(np.float64)
        low = np.concatenate([of.low, of.low + width])
        return self.pieces(
            np.tile(row, 2), low, np.tile(width, 2), np.concatenate([of.at_low, middle]),
            np.concatenate([middle, of.at_high]),
        )  # fmt: skip


def _path_mean(
    paths: _Paths, ends: tuple[np.ndarray, np.ndarray], tolerance: float
) -> tuple[np.ndarray, int]:
    """The gradient's mean over each path, and how many gradients were asked for in all."""
    n, nodes = len(paths.x), len(paths.piece.places)
    now = paths.pieces(np.arange(n), np.zeros(n), np.ones(n), ends[0], ends[1])
    size, asked = resolved(ends[1] - ends[0], *ends), nodes * n
    narrowest = _FEWEST_STEPS * np.finfo(paths.x.dtype).eps
    while np.isfinite(tolerance):
        sizes, worst = np.abs(now.error), np.zeros(n)
        np.maximum.at(worst, now.row, sizes)
        signed, every, much = (np.bincount(now.row, w, n) for w in (now.error, sizes, now.much))
        short = (np.abs(signed) > tolerance * size) | (every > tolerance * much)
        bad = short[now.row] & (sizes > _WORST * worst[now.row]) & (now.width > narrowest)
        if not bad.any():
            break
        parts = paths.halves(_Pieces(*(part[bad] for part in now)))
        asked += nodes * len(parts.row) + bad.sum()
        now = _Pieces(*(np.concatenate([a[~bad], b]) for a, b in zip(now, parts, strict=True)))
    total = np.zeros(paths.x.shape)
    np.add.at(total, now.row, now.width.reshape(-1, *(1,) * (total.ndim - 1)) * now.mean)
    return total.astype(paths.x.dtype), int(asked)


@cache
def _rule(nodes: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Gauss-Legendre's places on (0, 1) and weights, which take longer than a small net."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    return tuple(((1 + places) / 2).tolist()), tuple(weights.tolist())


class _Piece(eqx.Module):
    target: Target
    places: tuple[float, ...] = eqx.field(static=True)
    weights: tuple[float, ...] = eqx.field(static=True)

    def __call__(
        self, x: Array, base: Array, condition: Condition, low: Array, width: Array
    ) -> Array:
        places = low + width * jnp.asarray(self.places, x.dtype)
        weights = 0.5 * jnp.asarray(self.weights, x.dtype)
        return path_slope(at_known(self.target, x, condition), base, known(x), places, weights)
