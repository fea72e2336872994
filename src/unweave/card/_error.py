"""The row of the held-out error, in the data's units."""

import numpy as np

from .._schema import Schema
from ._row import Fitted, Reading, Row


def error(fitted: Fitted) -> Reading | None:
    r"""$\sqrt{\frac1n \sum_i |x_i - \hat x_i|^2 / m_i}$ over test observations, $m_i$ counting the
    observed entries of observation $i$.

    Where channels have different units each is first divided by its standard deviation over
    the test data. Infinite where the model has no number for an observed entry.
    """
    if fitted.x_hat is None:
        return None
    spread = spread_of(fitted.x, fitted.data.test.schema)
    return of_squares(mean_squares(fitted.x, fitted.x_hat, spread))


def mean_squares(x: np.ndarray, x_hat: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The mean square of what is left of each observation `(n,)`, in units of the channels'
    `spread`, over its observed entries; NaN where it has none."""
    residual = (x - x_hat) / spread
    flat, seen = residual.reshape(len(x), -1), ~np.isnan(x).reshape(len(x), -1)
    count = seen.sum(axis=1)
    # an observed entry without a reconstruction is an error without bound, and not left out
    square = np.where(np.isnan(flat), np.inf, flat**2)
    total = np.where(seen, square, 0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(x), np.nan), where=count > 0)


def of_squares(each: np.ndarray) -> Reading:
    """The root of the mean of mean squares `(n,)`, NaN where there is none."""
    return Reading(float(np.sqrt(each[~np.isnan(each)].mean())), each)


def spread_of(x: np.ndarray, schema: Schema) -> np.ndarray:
    """By what differences between observations are divided before they are put together: one,
    or where channels have different units each one's standard deviation `(channel,)`."""
    if _one_unit(schema):
        return np.ones(x.shape[-1])
    spread = np.nanstd(x, axis=tuple(range(x.ndim - 1)))
    return np.where(spread > 0, spread, 1.0)


def unit_of_error(schema: Schema) -> str:
    """The unit of an error: the channels' own where they share one."""
    if schema.transform == "log-return":
        return "log-return"
    if schema.transform == "z-score" or not _one_unit(schema):
        return "standard deviations"
    return schema.units[0]


def _one_unit(schema: Schema) -> bool:
    return len(set(schema.units)) == 1


ERROR = Row("error", "held-out error", error, "lower", unit_of_error, np.sqrt, everywhere=True)
