"""A straight line for a target over all of some data, and how well it stands in for it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array

from ..targets import Target
from ._attribution import filled, inputs, values_of


@dataclass(frozen=True, eq=False)
class GlobalSurrogate:
    r"""$f(x) \approx c + \sum_i w_i x_i$: `slopes` $w$ `(*input)` in the target's unit for one unit
    of the input, `intercept` $c$, and the shares of the target's variance that the line, and a
    tree of depth 4, explain on rows that neither was fitted to: low, and no straight line says
    what the model does."""

    slopes: np.ndarray
    intercept: float
    r2: float
    tree_r2: float
    n: int


def global_surrogate(
    target: Target, x: np.ndarray | Array, *, conditions: Any = None, seed: int = 0
) -> GlobalSurrogate:
    """A ridge regression of the target on its inputs `x` `(n, *input)`, measured on a random
    third of them that it does not see; what was not observed counts as the mean.

    Raises `ValueError` for fewer than six inputs.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.tree import DecisionTreeRegressor

    x = inputs(target, x)
    if len(x) < 6:
        raise ValueError(f"{len(x)} inputs hold no line and a test of it; give at least six.")
    y = values_of(target, x, conditions)
    order = np.random.default_rng(seed).permutation(len(x))
    test, train = order[: len(x) // 3], order[len(x) // 3 :]
    rows = x.reshape(len(x), -1).astype(np.float64)
    rows = filled(rows - np.nanmean(rows[train], axis=0))
    spread = rows[train].std(0)
    spread = np.where(spread > 0, spread, 1.0)
    line = RidgeCV(np.logspace(-6, 6, 25)).fit(rows[train] / spread, y[train])
    tree = DecisionTreeRegressor(max_depth=4, random_state=seed).fit(rows[train], y[train])
    slopes = line.coef_ / spread
    mean = np.nanmean(x.reshape(len(x), -1)[train].astype(np.float64), axis=0)
    return GlobalSurrogate(
        slopes.reshape(x.shape[1:]), float(line.intercept_ - slopes @ mean),
        _r2(y[test], line.predict(rows[test] / spread), y[train].mean()),
        _r2(y[test], tree.predict(rows[test]), y[train].mean()), len(test),
    )  # fmt: skip


def _r2(y: np.ndarray, found: np.ndarray, mean: float) -> float:
    spread = ((y - mean) ** 2).sum()
    return float(1 - ((y - found) ** 2).sum() / spread) if spread > 0 else 1.0
