"""The row of the error on hidden values."""

import numpy as np

from .._schema import Schema
from ._error import mean_squares, of_squares, spread_of, unit_of_error
from ._row import Fitted, Reading, Row
from ._subsets import is_within

# one of so many entries is hidden
_ONE_OF = 5
_MOST, _SLOW = 500, 48


def imputation(fitted: Fitted) -> Reading | None:
    """The root mean square error on entries that the model was not shown: a fifth of each test
    observation is hidden, the rest encoded and decoded.

    Of a series one span of all channels is hidden, of anything else single entries; the seed of
    the fit says which, so that every recipe misses the same. Of a split within time the training
    part of the course is shown too. None where a model has no answer to an observation with gaps.
    """
    if not fitted.goes_back:
        return None
    rows = fitted.some(_MOST, slow=_SLOW)
    test = fitted.data.test.take(rows)
    x = fitted.x[rows]
    away = hidden(test.schema, len(rows), np.random.default_rng((fitted.seed, len(rows))))
    known = x
    if is_within(fitted.data):
        past = np.asarray(fitted.data.train.observations, np.float64)[rows]
        known = np.where(np.isnan(x), past, x)
    codes = fitted.encode(np.where(away, np.nan, known), test.conditions)
    x_hat = fitted.decode(codes, test.conditions).astype(np.float64)
    if np.isnan(x_hat).all():
        return None
    spread = spread_of(fitted.x, test.schema)
    each = mean_squares(np.where(away, x, np.nan), x_hat, spread)
    return None if np.isnan(each).all() else of_squares(fitted.at(rows, each))


def hidden(schema: Schema, n: int, rng: np.random.Generator) -> np.ndarray:
    """Which entries of each observation are hidden `(n, *shape)`."""
    if not schema.is_series:
        order = rng.permuted(np.tile(np.arange(schema.size), (n, 1)), axis=1)
        return (order < max(1, round(schema.size / _ONE_OF))).reshape(n, *schema.shape)
    length = schema.shape[0]
    span = max(1, round(length / _ONE_OF))
    start = rng.integers(0, length - span + 1, size=n)[:, None]
    time = np.arange(length)[None]
    away = (start <= time) & (time < start + span)
    return np.broadcast_to(
        away.reshape(n, length, *(1,) * (len(schema.shape) - 1)), (n, *schema.shape)
    )


IMPUTATION = Row(
    "imputation", "error on hidden values", imputation, "lower", unit_of_error, np.sqrt
)
