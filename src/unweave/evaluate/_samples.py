"""What the measures of drawn observations ask of them."""

from typing import NamedTuple

import numpy as np

from .._rows import evenly


class Samples(NamedTuple):
    """Observations with each channel of the real ones at mean 0 and deviation 1: `ground` and
    `others` are real ones that set a floor."""

    real: np.ndarray
    drawn: np.ndarray
    ground: np.ndarray
    others: np.ndarray


def standardised(
    real: np.ndarray, drawn: np.ndarray, others: np.ndarray | None, *, least: int
) -> Samples:
    """What is compared, in the same scale; without `others` the floor is every other one of `real`
    against those between.

    **Raises:** `ValueError` as `checked` does.
    """
    real, drawn = checked(real, drawn, least=least)
    if others is None:
        ground, others = real[::2], real[1::2]
    else:
        ground, others = checked(real, others, least=least)
    mean, deviation = channel_moments(real)
    return Samples(*((x - mean) / deviation for x in (real, drawn, ground, others)))


def channel_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel of observations `(n, ..., channel)`, or of each number of
    rows; a deviation of 0 is given as 1, for what is divided by it."""
    axes = tuple(range(x.ndim - 1)) if x.ndim > 2 else (0,)
    deviation = x.std(axes)
    return x.mean(axes), np.where(deviation > 0, deviation, 1.0)


def checked(real: np.ndarray, drawn: np.ndarray, *, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Both in float64.

    **Raises:** `ValueError` where shapes differ, a number is missing or infinite, or there are
    fewer than `least` of either.
    """
    pair = np.asarray(real, np.float64), np.asarray(drawn, np.float64)
    if pair[0].ndim < 2 or pair[0].shape[1:] != pair[1].shape[1:]:
        raise ValueError(
            f"real observations have shape {pair[0].shape} and the drawn ones {pair[1].shape}; "
            "give both as (n, ..., channel) with the same axes behind the first."
        )
    for name, x in zip(("real", "drawn"), pair, strict=True):
        if len(x) < least:
            raise ValueError(f"{len(x)} {name} observations are too few; give at least {least}.")
        if not np.isfinite(x).all():
            rows = int((~np.isfinite(x.reshape(len(x), -1)).all(1)).sum())
            raise ValueError(
                f"{rows} of {len(x)} {name} observations have numbers that are missing or "
                "infinite; leave those out, such as x[np.isfinite(x).all(axis=(1, 2))]."
            )
    return pair


def thinned(x: np.ndarray, n: int) -> np.ndarray:
    """`n` of the observations at even steps, in their order."""
    return x[evenly(len(x), n)]
