r"""What is done to each window before a model sees it, and how it is undone.

A transform is data and formula: `apply` turns windows of samples into values and the numbers
that undo it (its reference), `undo` goes back. Prices become log-returns, which do not depend
on the price's level; a sample of log-returns becomes prices again from the last price seen in
training.
"""

import abc
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from .._schema import Schema
from ._dataset import Dataset


class AbstractTransform(abc.ABC):
    """A reversible change of windows `(..., time, channel)`.

    `past` is how many samples before the window `apply` needs, `carries` whether a sample that
    was not taken counts as unchanged (a price without a trade) or as not observed.
    """

    name: ClassVar[str]
    past: ClassVar[int]
    carries: ClassVar[bool]

    @abc.abstractmethod
    def apply(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Windows `(..., past + time, channel)` to values `(..., time, channel)` and the
        reference `(..., channel, k)` that undoes them."""

    @abc.abstractmethod
    def undo(self, values: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Values `(..., time, channel)` back to samples of the same shape."""

    @abc.abstractmethod
    def typical(self, data: Dataset) -> np.ndarray:
        """The reference `(channel, k)` for an observation that has no past, from `data`."""


@dataclass(frozen=True)
class Level(AbstractTransform):
    """Samples as they are."""

    name: ClassVar[str] = "level"
    past: ClassVar[int] = 0
    carries: ClassVar[bool] = False

    def apply(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The windows, and an empty reference."""
        return windows, np.zeros((*windows.shape[:-2], windows.shape[-1], 0))

    def undo(self, values: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """The values."""
        return values

    def typical(self, data: Dataset) -> np.ndarray:
        """An empty reference."""
        return np.zeros((data.schema.shape[-1], 0))


@dataclass(frozen=True)
class LogReturn(AbstractTransform):
    r"""$r_t = \log p_t - \log p_{t-1}$; its reference is the price before the window.

    Where a price was not observed its return is NaN, and the next one counts from the last
    price observed, so that `undo` is exact wherever there was a price.
    """

    name: ClassVar[str] = "log-return"
    past: ClassVar[int] = 1
    carries: ClassVar[bool] = True

    def apply(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log-returns, and the first price observed from the sample before the window on.

        **Raises:** `ValueError` for a price that is not positive.
        """
        if np.any(windows <= 0):
            raise ValueError(
                f"log-returns need positive values, and one is {np.nanmin(windows):g}; "
                "use the transform level or z-score."
            )
        before, logs = _first_observed(windows), np.log(windows)
        start = np.where(np.isnan(logs[..., :1, :]), np.log(before), logs[..., :1, :])
        carried = _carry(np.concatenate([start, logs[..., 1:, :]], axis=-2))
        returns = np.where(np.isnan(logs[..., 1:, :]), np.nan, np.diff(carried, axis=-2))
        return returns, np.swapaxes(before, -1, -2)

    def undo(self, values: np.ndarray, reference: np.ndarray) -> np.ndarray:
        r"""$p_t = p_0 \exp \sum_{s \le t} r_s$."""
        logs = np.nancumsum(values, axis=-2, dtype=np.float64)
        prices = np.swapaxes(reference, -1, -2) * np.exp(logs)
        return np.where(np.isnan(values), np.nan, prices)

    def typical(self, data: Dataset) -> np.ndarray:
        """The last price of the window that ends last."""
        last = int(np.flatnonzero(data.spans[:, 1] == data.spans[:, 1].max())[-1])
        prices = self.undo(data.observations[last], _references(data)[last])
        return _carry(prices)[-1][:, None]


@dataclass(frozen=True)
class ZScore(AbstractTransform):
    r"""$(x - \bar x) / s$ with each window's mean and deviation, which are its reference."""

    name: ClassVar[str] = "z-score"
    past: ClassVar[int] = 0
    carries: ClassVar[bool] = False

    def apply(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standardised windows; a constant window becomes zeros."""
        observed = ~np.isnan(windows)
        count = np.maximum(observed.sum(axis=-2, keepdims=True), 1)
        mean = np.where(observed, windows, 0).sum(axis=-2, keepdims=True) / count
        square = np.where(observed, (windows - mean) ** 2, 0).sum(axis=-2, keepdims=True) / count
        deviation = np.sqrt(square)
        # a constant window has no deviation to divide by, only rounding
        deviation = np.where(deviation > 1e-12 * np.maximum(1, np.abs(mean)), deviation, 1.0)
        reference = np.concatenate([mean, deviation], axis=-2)
        return (windows - mean) / deviation, np.swapaxes(reference, -1, -2)

    def undo(self, values: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Back to the window's mean and deviation."""
        mean, deviation = reference[..., 0], reference[..., 1]
        return values * deviation[..., None, :] + mean[..., None, :]

    def typical(self, data: Dataset) -> np.ndarray:
        """The median of the windows' means, and of their deviations."""
        return np.median(_references(data), axis=0)


LEVEL = Level()
LOG_RETURN = LogReturn()
Z_SCORE = ZScore()

#: The transforms by the names that schemas and the command line know them by.
TRANSFORMS: dict[str, AbstractTransform] = {
    transform.name: transform for transform in (LEVEL, LOG_RETURN, Z_SCORE)
}


def schema_for(train: Dataset) -> Schema:
    """The schema of `train` with the reference that undoes the transform of a new sample.

    Only training data are looked at: for log-returns the last price, for z-scores the median
    mean and deviation of a window.
    """
    if len(train) == 0:
        raise ValueError("the training data are empty, so a sample has nothing to start from.")
    reference = _transform(train.schema).typical(train)
    numbers = tuple(tuple(row) for row in reference.tolist()) if reference.size else ()
    return replace(train.schema, reference=numbers)


def restore(x: np.ndarray, schema: Schema, *, references: np.ndarray | None = None) -> np.ndarray:
    """Undoes the transform of observations `(..., time, channel)`: back to the user's units.

    With `references` `(..., channel, k)`, those of a dataset, each window goes back to where it
    was; without them every one starts from `schema.reference`, so that n samples of log-returns
    become n paths from the last price seen in training.

    **Raises:** `ValueError` where a reference is needed and the schema has none.
    """
    transform = _transform(schema)
    if references is None:
        if transform != LEVEL and not schema.reference:
            raise ValueError(
                f"the schema has no reference to undo its transform {schema.transform} from; "
                "use the one that schema_for(train) returns."
            )
        references = np.asarray(schema.reference, dtype=np.float64)
    return transform.undo(x, references)


def _transform(schema: Schema) -> AbstractTransform:
    if schema.transform not in TRANSFORMS:
        raise ValueError(
            f"no transform is called '{schema.transform}'; there are {', '.join(TRANSFORMS)}."
        )
    return TRANSFORMS[schema.transform]


def _references(data: Dataset) -> np.ndarray:
    if data.references is None:
        raise ValueError(
            f"the data have no references, which the transform {data.schema.transform} needs; "
            "cut them with windows(...)."
        )
    return data.references


def _carry(values: np.ndarray) -> np.ndarray:
    """Each NaN replaced by the last observed value before it on the second last axis."""
    time = np.arange(values.shape[-2])[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(values), 0, time), axis=-2)
    return np.take_along_axis(values, last, axis=-2)


def _first_observed(windows: np.ndarray) -> np.ndarray:
    """The first value that is not NaN, `(..., 1, channel)`."""
    first = np.argmax(~np.isnan(windows), axis=-2, keepdims=True)
    return np.take_along_axis(windows, first, axis=-2)
