r"""Whether two recipes differ by more than chance: a bootstrap in pairs.

A value of one seed is $f\big(\frac1n \sum_i e_i\big)$ with $e_i$ the part of test observation $i$
(a squared error, a log-density). Seeds are drawn with replacement, and so is what was held out:
single observations, or whole groups where the split holds out groups. Every draw gives both
recipes the same seeds and the same observations, so what is hard for both cancels, and an
observation that several seeds test is drawn or left out in all of them (Efron and Tibshirani
1993, chapter 8; the percentile interval of chapter 13).

What this leaves out: training parts of different seeds overlap, so over random splits the
interval is somewhat too narrow (Nadeau and Bengio 2003, Machine Learning 52:239).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

#: Below these nothing is said about chance.
LEAST_SEEDS = 3
LEAST_UNITS = 8
_DRAWS = 4000
_AT_ONCE = 200


def enough(seeds: int, units: int) -> bool:
    """Whether so many seeds and independent units say anything about chance."""
    return seeds >= LEAST_SEEDS and units >= LEAST_UNITS


@dataclass(frozen=True)
class Difference:
    """One value less another, its interval, and of how many seeds and independent units."""

    value: float
    low: float
    high: float
    seeds: int
    units: int

    @property
    def is_enough(self) -> bool:
        """Whether there are seeds and units enough to say anything about chance."""
        return enough(self.seeds, self.units)

    @property
    def is_tie(self) -> bool:
        """Whether no difference at all would be as good an account of what was seen."""
        return not (self.low > 0 or self.high < 0)


def difference(
    one: Sequence[np.ndarray],
    other: Sequence[np.ndarray],
    units: Sequence[np.ndarray],
    *,
    of_mean: Callable[[np.ndarray], np.ndarray],
    confidence: float = 0.95,
) -> Difference:
    """The mean over seeds of `one` less `other`, with its bootstrap interval.

    **Arguments:** for each seed the parts `(n,)` of both on the same test observations, NaN
    where there is none, and the names `(n,)` of the `units` that they belong to.
    """
    names, _ = np.unique(np.concatenate(units), return_inverse=True)
    codes = [np.searchsorted(names, unit) for unit in units]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(_DRAWS // _AT_ONCE):
        weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_AT_ONCE)
        chosen = rng.integers(len(units), size=(_AT_ONCE, len(units)))
        gaps = np.stack(
            [
                _value(a, code, weights, of_mean) - _value(b, code, weights, of_mean)
                for a, b, code in zip(one, other, codes, strict=True)
            ],
            axis=1,
        )
        taken = np.take_along_axis(gaps, chosen, axis=1)
        seen = np.isfinite(taken)
        total = np.where(seen, taken, 0).sum(axis=1)
        drawn.append(total[seen.any(axis=1)] / seen.sum(axis=1)[seen.any(axis=1)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(drawn), [tail, 1 - tail])
    whole = np.ones((1, len(names)))
    gap = [
        _value(a, code, whole, of_mean) - _value(b, code, whole, of_mean)
        for a, b, code in zip(one, other, codes, strict=True)
    ]
    return Difference(float(np.mean(gap)), float(low), float(high), len(units), len(names))


def _value(
    each: np.ndarray,
    codes: np.ndarray,
    weights: np.ndarray,
    of_mean: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """The value of one seed for each row of `weights` `(draw, unit)`; NaN where a draw holds
    none of the seed's observations."""
    size, seen = weights.shape[1], ~np.isnan(each)
    total = weights @ np.bincount(codes, np.where(seen, each, 0), size)
    count = weights @ np.bincount(codes, seen.astype(float), size)
    mean = np.divide(total, count, out=np.full(len(weights), np.nan), where=count > 0)
    return of_mean(mean)
