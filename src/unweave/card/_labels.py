"""The row of the labels that a recipe was given."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from ..data import Dataset
from ._row import Fitted, Reading, Row


def labels(fitted: Fitted) -> Reading | None:
    """How many observations the recipe was told the label, or known numbers, of.

    That it uses them is seen by taking them away: what training is given changes, or cannot be
    made. Those of the validation part count where training stops, or its best epoch is chosen, by
    them. None where the recipe is not known.
    """
    recipe = fitted.made_by
    if recipe is None:
        return None
    if recipe.plan is None or not _uses(recipe.plan.rows, fitted.data.train):
        return Reading(0.0)
    told = _labelled(fitted.data.train)
    if recipe.plan.patience is not None:
        told += _labelled(fitted.data.validation)
    return Reading(float(told))


def _uses(rows: Callable[[Dataset], Any], data: Dataset) -> bool:
    """Whether what training is given depends on labels or factors."""
    if data.labels is None and data.factors is None:
        return False
    some = data.thinned(256)
    bare = replace(some, labels=None, label_names=(), factors=None, factor_names=())
    try:
        without = rows(bare)
    except ValueError:
        return True
    return not _same(rows(some), without)


def _same(one: Any, other: Any) -> bool:
    a, b = jax.tree.leaves(one), jax.tree.leaves(other)
    return jax.tree.structure(one) == jax.tree.structure(other) and all(
        np.array_equal(np.asarray(x), np.asarray(y), equal_nan=np.asarray(x).dtype.kind == "f")
        for x, y in zip(a, b, strict=True)
    )


def _labelled(data: Dataset) -> int:
    """Of how many observations something is known."""
    if data.labels is not None:
        return len(data)
    assert data.factors is not None
    return int(np.isfinite(data.factors).any(axis=1).sum())


LABELS = Row("labels", "labels used", labels, "lower", group="supervision")
