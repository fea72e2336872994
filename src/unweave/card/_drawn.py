"""What a model draws, beside real observations: computed once for the rows of generation."""

import functools
from typing import NamedTuple

import jax
import numpy as np

from .. import show
from .._model import AbstractSampler
from ..data import Dataset, Split
from ._row import Fitted

_MOST, _MOST_TRAINING = 256, 2000


class Drawn(NamedTuple):
    """Real observations of the test part, training ones, and drawn ones, `(n, *shape)` each and
    without gaps."""

    real: np.ndarray
    train: np.ndarray
    drawn: np.ndarray

    def are(self, least: int) -> bool:
        """Whether there are at least so many of each kind."""
        return min(map(len, self)) >= least


@functools.lru_cache(maxsize=1)
def drawn(fitted: Fitted) -> Drawn | None:
    """As many observations from the model as there are test observations, at most 256, under the
    conditions of these (their times and inputs); None where it cannot draw, or none of a kind is
    without gaps. Draws that are not finite are left out."""
    model = fitted.model
    if not isinstance(model, AbstractSampler):
        return None
    real, train = complete(fitted.data)
    if not len(real) or not len(train):
        return None
    test = _whole(fitted.data.test, _MOST)
    key = jax.random.key(fitted.seed)
    made = show.draw(model, len(test), conditions=test.conditions, key=key).astype(np.float64)
    made = made[np.isfinite(made.reshape(len(made), -1)).all(axis=1)]
    return Drawn(real, train, made)


def complete(data: Split) -> tuple[np.ndarray, np.ndarray]:
    """Test and training observations without gaps, at most as many as are looked at."""
    test, train = _whole(data.test, _MOST), _whole(data.train, _MOST_TRAINING)
    return test.observations.astype(np.float64), train.observations.astype(np.float64)


def _whole(data: Dataset, most: int) -> Dataset:
    """Those of the observations, at most so many, that have no gap."""
    x = data.observations
    if x.dtype.kind == "f":
        data = data.take(np.flatnonzero(~np.isnan(x).reshape(len(x), -1).any(axis=1)))
    return data.thinned(most)
