"""A recipe: a model paired with how it is fitted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from .._model import Key
from ..data import Dataset
from ._objectives import Rows
from ._steppers import AbstractStepper


class Budget(NamedTuple):
    """What a schedule depends on: how many observations train, for how many steps."""

    observations: int
    steps: int


def observations(data: Dataset) -> Rows:
    """The rows of an objective that needs the observations alone."""
    return data.observations


@dataclass(frozen=True)
class Plan:
    """Training by steps: `epochs` passes over the data in batches of `batch`.

    `rows` takes from a dataset what the objective is given: the observations, or a tree that
    holds their labels or conditions too; `whole` says that it needs all observations at once.
    With `patience` the model of the epoch with the lowest held-out loss is kept, and training
    stops when that many epochs have passed without a lower one; without, the last is kept. There
    are at least `least_steps` steps, by more epochs where the data are few. Observations that the
    model generates are looked at `looks` times, evenly over the epochs (see `Monitor`), and a
    picture of some is kept as many times as `pictures`.
    """

    stepper: Callable[[Budget], AbstractStepper]
    epochs: int
    batch: int = 64
    patience: int | None = None
    rows: Callable[[Dataset], Rows] = observations
    whole: bool = False
    least_steps: int = 0
    looks: int = 20
    pictures: int = 0

    def __post_init__(self):
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1.")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience is {self.patience}; give at least 1 epoch, or none.")


@lru_cache(maxsize=4)
def stepper_of(make: Callable[[Budget], AbstractStepper], budget: Budget) -> AbstractStepper:
    """The stepper of a budget, the same object again for the same one: what is compiled for it
    serves every seed of a recipe."""
    return make(budget)


class Solved(NamedTuple):
    """A model that was not trained by steps, with an account of how it was reached: plain values
    for the run's result, and arrays for its figures."""

    model: eqx.Module
    account: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


#: Hears in a sentence of what is being done.
Say = Callable[[str], None]


def _as_it_is(model: eqx.Module, data: Dataset) -> eqx.Module:
    return model


@dataclass(frozen=True)
class Recipe:
    """How to get from training data to a model.

    `build(data, key)` makes the model from the training data: its scale, its shape, a start.
    `plan` trains it; without a plan `build` has fitted it already (a closed form).
    `finish(model, data)` is what remains to be done after training. `options` are what the
    recipe was called with: enough to make it again. `solve(data, seed, say)` takes the place of
    `build` where the way to the model has to be told too (a fitted equation).
    """

    name: str
    options: Mapping[str, Any]
    build: Callable[[Dataset, Key], eqx.Module]
    plan: Plan | None = None
    finish: Callable[[eqx.Module, Dataset], eqx.Module] = field(default=_as_it_is)
    solve: Callable[[Dataset, int, Say], Solved] | None = None
