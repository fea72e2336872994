r"""From a score to a p-value: the rank among held-out normal observations, and the rate of false
alarms that a threshold on it keeps."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from scipy.stats import beta

from ..evaluate import conformal


@dataclass(frozen=True, eq=False)
class Calibrated:
    r"""Split conformal p-values (Laxhammar and Falkman 2014; Bates et al. 2023, Annals of
    Statistics 51:149).

    `scores` are those of `n` normal observations that no detector was fitted to. For a new
    observation with score $s$

    $$p = \frac{1 + |\{i : s_i \ge s\}|}{n + 1}, \qquad P(p \le \alpha) \le \alpha$$

    if it is normal and exchangeable with those `n`, whatever the score is. Windows that overlap are
    not exchangeable, nor are neighbours in a slow series: calibrate whole recordings or blocks, see
    `block_maxima`. The rate holds on average over calibrations; given this one it is a random
    number, whose interval `achieved` gives.
    """

    scores: Float[np.ndarray, " n"]

    def __post_init__(self):
        if self.scores.ndim != 1 or not len(self.scores) or not np.isfinite(self.scores).all():
            raise ValueError(
                f"calibration scores of shape {self.scores.shape} are empty or not finite; give "
                "the scores of normal observations that the detector has not seen."
            )
        object.__setattr__(self, "scores", np.sort(np.asarray(self.scores, np.float64)))

    def p_values(self, scores: Num[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """The p-value of each score."""
        above = len(self.scores) - np.searchsorted(self.scores, scores, side="left")
        return (1 + above) / (len(self.scores) + 1)

    def threshold(self, rate: float) -> float:
        r"""The score at and below which nothing is flagged at that rate of false alarms: the
        $\lceil (1 - \alpha)(n + 1) \rceil$-th smallest.

        Raises `ValueError` where there are too few calibration scores to flag anything.
        """
        _check_rate(rate)
        n = len(self.scores)
        limit = conformal(self.scores, confidence=1 - rate).limit
        if not np.isfinite(limit):
            raise ValueError(
                f"{n} calibration scores cannot give a p-value of {rate:g}; give at least "
                f"{int(np.ceil(1 / rate - 1e-9)) - 1}, or a higher rate."
            )
        return limit

    def flags(self, scores: Num[np.ndarray, " m"], rate: float) -> Bool[np.ndarray, " m"]:
        r"""$p \le \alpha$: of normal observations a share of at most `rate` is flagged, on
        average. Raises `ValueError` as `threshold` does."""
        return np.asarray(scores) > self.threshold(rate)

    def discoveries(self, scores: Num[np.ndarray, " m"], rate: float) -> Bool[np.ndarray, " m"]:
        r"""Flags of which a share of at most `rate` is false, on average (Benjamini and Hochberg
        1995, which conformal p-values allow: Bates et al. 2023, theorem 2)."""
        _check_rate(rate)
        p = self.p_values(scores)
        ranked = np.sort(p)
        kept = np.flatnonzero(ranked <= rate * np.arange(1, len(p) + 1) / len(p))
        return p <= (ranked[kept[-1]] if len(kept) else -1.0)

    def achieved(self, rate: float, *, confidence: float = 0.95) -> tuple[float, float]:
        r"""Where the rate of false alarms lies given these calibration scores: with
        $k = \lfloor \alpha (n + 1) \rfloor$ it is drawn from $\text{Beta}(k, n + 1 - k)$ (Vovk
        2012), if scores do not tie."""
        self.threshold(rate)
        n = len(self.scores)
        k = int(np.floor(rate * (n + 1) + 1e-9))
        tail = (1 - confidence) / 2
        low, high = beta.ppf([tail, 1 - tail], k, n + 1 - k)
        return float(low), float(high)


def block_maxima(
    scores: Num[np.ndarray, " window"], blocks: Int[np.ndarray, " window"]
) -> Float[np.ndarray, " block"]:
    """The highest score in each block, in the order of their numbers: what to calibrate, and to
    judge, where windows overlap. A block that is a flagged one has a false alarm somewhere in it
    at the rate stated, so the rate is per block, not per window."""
    names, place = np.unique(blocks, return_inverse=True)
    highest = np.full(len(names), -np.inf)
    np.maximum.at(highest, place, np.asarray(scores, np.float64))
    return highest


def _check_rate(rate: float) -> None:
    if not 0 < rate < 1:
        raise ValueError(f"the rate {rate:g} of false alarms is none; give one such as 0.01.")
