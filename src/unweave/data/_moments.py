"""Mean, deviation and range of each channel, of more observations than memory holds."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np


@final
@dataclass(frozen=True)
class Moments:
    """What scales are made of, one number for each channel (the last axis).

    `count` says how many numbers were observed; a channel without any has NaN for all else.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    smallest: tuple[float, ...]
    largest: tuple[float, ...]
    count: tuple[int, ...]

    @classmethod
    def of(cls, parts: Iterable[np.ndarray]) -> "Moments":
        r"""Those of all `parts` `(n, ..., channel)` together, in one pass; NaN = not observed.

        Two parts with counts $n_a, n_b$, means and sums of squares $M$ about these become one by
        $\bar x = \bar x_a + \delta n_b / n$ and $M = M_a + M_b + \delta^2 n_a n_b / n$,
        $\delta = \bar x_b - \bar x_a$ (Chan, Golub and LeVeque 1983, The American Statistician
        37:242), so that no large sums are subtracted from each other.

        **Raises:** `ValueError` for infinite values, and where there are no parts.
        """
        now = None
        for part in parts:
            new = _sums(part)
            now = new if now is None else _merged(now, new)
        if now is None:
            raise ValueError("there are no observations to take moments of; give at least one.")
        count, mean, square, low, high = now
        seen = count > 0
        deviation = np.sqrt(np.divide(square, count, out=np.full_like(square, np.nan), where=seen))
        mean = np.where(seen, mean, np.nan)
        columns = [tuple(part.tolist()) for part in (mean, deviation, low, high, count)]
        return cls(*columns)


# numbers of a long row
_WIDE = 1024
# count, mean, sum of squares about it, smallest and largest
_Sums = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _sums(part: np.ndarray) -> _Sums:
    x = np.asarray(part).reshape(-1, part.shape[-1])
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    low, high = (np.asarray(_reduced(f, x), np.float64) for f in (np.fmin, np.fmax))
    if np.isinf(low).any() or np.isinf(high).any():
        raise ValueError(
            "the data hold infinite values; where nothing was observed put NaN, or leave "
            "those observations out."
        )
    # a sum is NaN where one number is, and takes a third of the time of looking at each
    with np.errstate(over="ignore", invalid="ignore"):
        gaps = bool(np.isnan(_reduced(np.add, x)).any())
    seen = ~np.isnan(x) if gaps else np.True_
    count = seen.sum(axis=0) if gaps else np.full(x.shape[1], len(x))
    # near the mean nothing is lost by summing squares
    near = np.where(count > 0, low / 2 + high / 2, 0.0)
    away = np.asarray(x, np.float64) - near
    if gaps:
        away[~seen] = 0.0
    mean = np.divide(_reduced(np.add, away), count, out=np.zeros(len(near)), where=count > 0)
    away -= mean
    if gaps:
        away[~seen] = 0.0
    return count, near + mean, np.einsum("ij,ij->j", away, away), low, high


def _reduced(f: np.ufunc, x: np.ndarray) -> np.ndarray:
    """`f.reduce(x, axis=0)`, over many rows at once: NumPy is several times as fast in long rows
    as in those of a few channels."""
    many = max(1, _WIDE // x.shape[1])
    whole = len(x) // many * many
    if whole <= many:
        return f.reduce(x, axis=0)
    wide = f.reduce(x[:whole].reshape(-1, many * x.shape[1]), axis=0)
    return f.reduce(np.concatenate([wide.reshape(many, -1), x[whole:]]), axis=0)


def _merged(a: _Sums, b: _Sums) -> _Sums:
    count = a[0] + b[0]
    total = np.maximum(count, 1)
    delta = np.where((a[0] > 0) & (b[0] > 0), b[1] - a[1], 0.0)
    mean = np.where(a[0] > 0, a[1] + delta * (b[0] / total), b[1])
    square = a[2] + b[2] + delta**2 * (a[0] * (b[0] / total))
    return count, mean, square, np.fmin(a[3], b[3]), np.fmax(a[4], b[4])
