"""Deletion and insertion: whether what an attribution puts first matters first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from tqdm import tqdm

from .._many import many
from .._model import Condition
from ..targets import Target
from ._attribution import CHUNK_NUMBERS, inputs, key_rows
from ._fill import AbstractFill, neutral

#: A way to draw an order of entries at random: scores of some inputs to scores in another order.
Null: TypeAlias = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def shuffled(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The scores `(n, *input)` of every input in any order."""
    return rng.permuted(scores.reshape(len(scores), -1), axis=1).reshape(scores.shape)


def rolled(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The scores turned round along every axis but the last by any number of places: somewhere
    else, and as smooth as they were, which `shuffled` ones are not."""
    moved = np.empty_like(scores)
    axes = tuple(range(max(1, scores.ndim - 2)))
    for i, one in enumerate(scores):
        moved[i] = np.roll(one, [rng.integers(one.shape[axis]) for axis in axes], axes)
    return moved


@dataclass(frozen=True, eq=False)
class Order:
    r"""What becomes of a target while the entries of inputs are hidden, or shown, one after the
    other (Petsiuk et al. 2018).

    `curve` `(n, step)` is the target; its `area`, from 0 where it is at once at its end to 1 where
    it stays at its start, is the mean over steps of the share of $f(x) - f(\text{all hidden})$
    that is there, all inputs together: low is good of a deletion, high of an insertion.
    `random` `(order,)` has the areas of random orders, and `beaten` is the share of those that are
    worse.
    """

    curve: np.ndarray
    area: float
    random: np.ndarray
    beaten: float


@dataclass(frozen=True, eq=False)
class Orders:
    """A deletion and an insertion in the same order."""

    deletion: Order
    insertion: Order


def deletion_insertion(
    target: Target,
    x: np.ndarray | Array,
    ranking: np.ndarray,
    *,
    fill: AbstractFill | None = None,
    steps: int = 16,
    orders: int = 100,
    null: Null = shuffled,
    conditions: Any = None,
    seed: int = 0,
    quiet: bool = True,
) -> Orders:
    """Hides the entries of `x` in the order of `ranking` `(n, *input)`, the highest first, in so
    many equal `steps`, and shows them in it; and the same in so many random `orders`.

    **Arguments:** `fill`, what stands in the place of what is hidden, zeros where None; `null`,
    how a random order is drawn: `shuffled` or `rolled`; with `quiet` false a bar on
    stderr.
    """
    x = inputs(target, x)
    if orders < 1:
        raise ValueError(f"{orders} random orders were asked for; give at least 1.")
    walk = Walk.start(target, fill, steps=steps)
    rng = np.random.default_rng(seed)
    own = walk.curves(x, ranking, conditions, seed=seed)
    bar = tqdm(range(orders), unit="order", disable=quiet, leave=False, dynamic_ncols=True)
    drawn = [areas(walk.curves(x, null(ranking, rng), conditions, seed=seed)) for _ in bar]
    random = np.asarray(drawn)
    deleted, inserted = areas(own)
    return Orders(
        Order(own[:, 0], deleted, random[:, 0], _share(random[:, 0] > deleted)),
        Order(own[:, 1], inserted, random[:, 1], _share(random[:, 1] < inserted)),
    )


def _share(of: np.ndarray) -> float:
    return float(of.mean())


def areas(curves: np.ndarray) -> tuple[float, float]:
    """The area of the deletion and of the insertion, over curves `(n, 2, step)`."""
    whole, none = curves[:, 0, :1], curves[:, 0, -1:]
    gap = whole - none
    size = np.abs(gap).sum()
    if not size > 0:
        return 0.5, 0.5
    shares = (np.sign(gap)[:, None] * (curves - none[:, None])).sum(0) / size
    # the trapezoidal rule over equal steps
    areas = (0.5 * (shares[:, 0] + shares[:, -1]) + shares[:, 1:-1].sum(1)) / (shares.shape[1] - 1)
    return float(areas[0]), float(areas[1])


def _ranks(scores: np.ndarray) -> np.ndarray:
    """The place of each entry in the order, 0 for the highest."""
    flat = scores.reshape(len(scores), -1)
    order = np.argsort(-flat, axis=1, kind="stable")
    ranks = np.empty(flat.shape, np.int32)
    np.put_along_axis(ranks, order, np.arange(flat.shape[1], dtype=np.int32)[None], axis=1)
    return ranks.reshape(scores.shape)


class Walk(eqx.Module):
    """Hides and shows the entries of one input in steps."""

    target: Target
    fill: AbstractFill
    steps: int = eqx.field(static=True)

    @classmethod
    def start(cls, target: Target, fill: AbstractFill | None, *, steps: int) -> "Walk":
        """Raises `ValueError` for fewer than two steps."""
        if steps < 2:
            raise ValueError(f"{steps} steps were asked for; a curve has at least 2.")
        return cls(target, neutral() if fill is None else fill, steps)

    def curves(
        self, x: np.ndarray, ranking: np.ndarray, conditions: Any = None, *, seed: int = 0
    ) -> np.ndarray:
        """The target of inputs `(n, *input)` as entries are hidden, the highest of `ranking` first,
        and as they are shown in the same order, `(n, 2, step)`."""
        if ranking.shape != x.shape:
            raise ValueError(f"a ranking of {ranking.shape} does not order inputs of {x.shape}.")
        ranks = _ranks(np.where(np.isnan(x), -np.inf, ranking))
        at_once = 2 * (self.steps + 1) * int(np.prod(x.shape[1:]))
        chunk = max(1, min(256, CHUNK_NUMBERS // at_once))
        keys = key_rows(jax.random.key(seed), len(x))
        return many(self, x, ranks, conditions, keys, chunk=chunk).astype(np.float64)

    def __call__(self, x: Array, ranks: Array, condition: Condition, key: Array) -> Array:
        """The target as entries are hidden, and as they are shown, `(2, step)`."""
        known = ~jnp.isnan(x)
        count = known.sum().astype(x.dtype)
        levels = jnp.round(jnp.linspace(0, 1, self.steps + 1, dtype=x.dtype) * count)
        first = ranks[None] < levels.astype(ranks.dtype).reshape(-1, *(1,) * x.ndim)
        draw = jax.random.wrap_key_data(key)

        def at(hidden: Array) -> Array:
            whole = self.fill(x, hidden, condition, draw)
            return self.target(jnp.where(known, whole, jnp.nan), condition)

        return jax.vmap(at)(jnp.concatenate([first, ~first])).reshape(2, -1)
