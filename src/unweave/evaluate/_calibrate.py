r"""Whether stated uncertainty is true: conformal intervals, coverage, PIT, calibration error."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import kstest

from ._bounds import exact_interval


@dataclass(frozen=True, eq=False)
class Conformal:
    """A limit that a new score exceeds with a probability of at most 1 - `confidence`: infinite
    where there are too few of the `n` scores for that."""

    limit: float
    confidence: float
    n: int

    def intervals(
        self, predicted: np.ndarray, *, scale: np.ndarray | float = 1.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predicted values, less and more the limit times `scale`: the ends of the intervals."""
        return predicted - self.limit * scale, predicted + self.limit * scale

    def sets(self, probabilities: np.ndarray) -> np.ndarray:
        """Which classes `(n, class)` are in each set, of scores that are one minus the true class's
        probability (Sadinle, Lei and Wasserman 2019)."""
        return 1 - probabilities <= self.limit


def conformal(scores: np.ndarray, *, confidence: float = 0.9) -> Conformal:
    r"""Split conformal prediction (Papadopoulos et al. 2002; Lei et al. 2018, theorem 2): the
    $\lceil (n + 1)(1 - \alpha) \rceil$-th smallest of `n` scores.

    The next score is at most the limit with a probability of at least $1 - \alpha$, and of at most
    $1 - \alpha + 1 / (n + 1)$ where no two are alike, whatever the model, if the scores are
    exchangeable with it: those of observations that the model was not fitted to.

    **Arguments:** `scores` `(n,)`, such as $|y - \hat y|$, the same over a predicted deviation, a
    misfit, or one minus the probability of the true class.

    **Raises:** `ValueError` where scores are missing or the confidence is not between 0 and 1.
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 1 or not len(scores) or np.isnan(scores).any():
        raise ValueError(
            f"scores of shape {scores.shape} were given, or some are missing; give (n,) numbers."
        )
    _check(confidence)
    # the product may be a whole number in truth and a little more in floating point
    rank = math.ceil(round((len(scores) + 1) * confidence, 9))
    limit = np.inf if rank > len(scores) else float(np.sort(scores)[rank - 1])
    return Conformal(limit, confidence, len(scores))


@dataclass(frozen=True)
class Coverage:
    """The share of `n` values that lie in their intervals, where that share lies in truth (95 %,
    Clopper and Pearson), and the intervals' median width."""

    share: float
    low: float
    high: float
    width: float
    n: int


def coverage(low: np.ndarray, high: np.ndarray, values: np.ndarray) -> Coverage:
    """How often intervals hold the values, all of the same shape.

    **Raises:** `ValueError` where the shapes differ or there are no values.
    """
    if not (low.shape == high.shape == values.shape) or not values.size:
        raise ValueError(
            f"intervals of shapes {low.shape} and {high.shape} were given for values of shape "
            f"{values.shape}; give one of each for every value."
        )
    held = (low <= values) & (values <= high)
    ends = exact_interval(int(held.sum()), held.size)
    return Coverage(float(held.mean()), *ends, float(np.median(high - low)), int(held.size))


@dataclass(frozen=True, eq=False)
class PIT:
    """Probability integral transforms `(n,)` of observed values under their predictions, uniform
    where these are right; `distance` from uniform (Kolmogorov and Smirnov) and its p-value."""

    values: np.ndarray
    distance: float
    p: float
    n: int


def pit(draws: np.ndarray, values: np.ndarray, *, seed: int = 0) -> PIT:
    r"""Where each value lies among draws of its prediction: $(\#\{d < y\} + U (1 + \#\{d = y\})) /
    (k + 1)$, $U$ uniform, which is exactly uniform if `draws` `(n, k)` and `values` `(n,)` come
    from the same distributions (Gneiting, Balabdaoui and Raftery 2007; Hamill 2001).

    **Raises:** `ValueError` where shapes do not fit.
    """
    if draws.ndim != 2 or values.shape != draws.shape[:1] or not draws.size:
        raise ValueError(
            f"draws of shape {draws.shape} were given for values of shape {values.shape}; give "
            "(n, draw) and (n,)."
        )
    below = (draws < values[:, None]).sum(1)
    tied = (draws == values[:, None]).sum(1)
    uniform = np.random.default_rng(seed).uniform(size=len(values))
    u = (below + uniform * (1 + tied)) / (draws.shape[1] + 1)
    test = kstest(u, "uniform")
    return PIT(u, float(test.statistic), float(test.pvalue), len(u))


@dataclass(frozen=True, eq=False)
class CalibrationError:
    """How far a classifier's confidence is from how often it is right: `value` is the mean over
    observations of the gap in their bin, `largest` the largest gap. `edges` `(bin + 1,)`; of each
    bin the mean `confidence`, the share that is `right` (NaN where it is empty) and the `count`.
    `floor` is what a classifier with these confidences has by chance if they are exactly true."""

    value: float
    largest: float
    floor: float
    edges: np.ndarray
    confidence: np.ndarray
    right: np.ndarray
    count: np.ndarray
    n: int

    @property
    def sentence(self) -> str:
        """The same in words."""
        return (
            f"confidence is off by {self.value:.3f} on average ({self.floor:.3f} by chance if it "
            f"were true, n = {self.n:,}, {len(self.count)} bins)."
        )


def calibration_error(
    probabilities: np.ndarray,
    labels: np.ndarray,
    *,
    bins: int = 15,
    adaptive: bool = False,
    seed: int = 0,
) -> CalibrationError:
    r"""The expected calibration error $\sum_b \frac{n_b}{n} |\mathrm{acc}_b - \mathrm{conf}_b|$ of
    the most likely class (Guo et al. 2017, equation 3), over `bins` of equal width, or, if
    `adaptive`, with equally many observations (Nixon et al. 2019).

    The error is never 0 with few observations, so beside it stands its mean over 200 sets of labels
    drawn from the confidences themselves.

    **Arguments:** `probabilities` `(n, class)`, which sum to 1; `labels` `(n,)`, their numbers.

    **Raises:** `ValueError` where shapes do not fit or rows are no probabilities.
    """
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or labels.shape != p.shape[:1] or not len(p):
        raise ValueError(
            f"probabilities of shape {p.shape} and labels of shape {labels.shape} were given; give "
            "(n, class) and (n,)."
        )
    if not (np.allclose(p.sum(1), 1, atol=1e-4) and (p >= -1e-9).all()):
        raise ValueError("the rows are no probabilities; give the exponentials of a softmax.")
    told, right = p.max(1), p.argmax(1) == labels
    if adaptive:
        edges = np.quantile(told, np.linspace(0, 1, bins + 1))
    else:
        edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, told, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    confidence = _means(place, told, count)

    def gaps(right: np.ndarray) -> np.ndarray:
        return np.abs(_means(place, right.astype(float), count) - confidence)

    shares = count / len(told)
    rng = np.random.default_rng(seed)
    by_chance = [np.nansum(gaps(rng.random(len(told)) < told) * shares) for _ in range(200)]
    found = gaps(right)
    return CalibrationError(
        float(np.nansum(found * shares)), float(np.nanmax(found)), float(np.mean(by_chance)),
        edges, confidence, _means(place, right.astype(float), count), count, len(told),
    )  # fmt: skip


def _means(place: np.ndarray, values: np.ndarray, count: np.ndarray) -> np.ndarray:
    total = np.bincount(place, values, minlength=len(count))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _check(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"the confidence is {confidence}; give one between 0 and 1, such as 0.9.")
