r"""How well a score tells what is anomalous from what is not, where labels say so.

Measures of observations (AUROC, AUPR) and of ranges in a series (VUS-ROC, VUS-PR). There is no
point adjustment, by which one hit anywhere in a range counts as all of it: under it a random score
looks like the state of the art (Kim et al. 2022, AAAI, "Towards a rigorous evaluation of
time-series anomaly detection").
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Num, Shaped


@dataclass(frozen=True)
class Volume:
    """The areas under the ROC and the precision-recall curve of ranges, averaged over buffers.

    `roc_areas` and `pr_areas` have one area for each length in `buffers`, in samples.
    """

    roc: float
    pr: float
    buffers: Int[np.ndarray, " buffer"]
    roc_areas: Float[np.ndarray, " buffer"]
    pr_areas: Float[np.ndarray, " buffer"]


@dataclass(frozen=True)
class Flagged:
    """What a threshold's flags are worth: point by point, and range by range.

    `precision`, `recall` and `f1` count samples (or observations). Of the `ranges` that are
    anomalous `found` were touched by a flag; `false_ranges` of the flagged ranges touch none.
    A ratio of nothing to nothing is NaN.
    """

    precision: float
    recall: float
    f1: float
    ranges: int
    found: int
    false_ranges: int


def auroc(scores: Num[np.ndarray, " n"], anomalous: Shaped[np.ndarray, " n"]) -> float:
    r"""$P(s_{anomalous} > s_{normal}) + \tfrac12 P(s_{anomalous} = s_{normal})$, the area under
    the ROC curve.

    Raises `ValueError` where a score is not finite, or where there are not both kinds.
    """
    scores, truth = _checked(scores, anomalous)
    hits, flagged = _sweep(scores, truth.astype(np.float64))
    recall = np.r_[0, hits] / hits[-1]
    fall_out = np.r_[0, flagged - hits] / (len(truth) - hits[-1])
    return _trapezoids(recall, fall_out)


def aupr(scores: Num[np.ndarray, " n"], anomalous: Shaped[np.ndarray, " n"]) -> float:
    r"""Average precision, $\sum_k (R_k - R_{k-1}) P_k$ over the thresholds: the area under the
    precision-recall curve as a step function, which interpolates nothing. A score that knows
    nothing gets the share that is anomalous.

    Raises `ValueError` as `auroc` does.
    """
    scores, truth = _checked(scores, anomalous)
    hits, flagged = _sweep(scores, truth.astype(np.float64))
    return float(np.sum(np.diff(hits, prepend=0) / hits[-1] * hits / flagged))


def volume(
    scores: Num[np.ndarray, " time"],
    anomalous: Shaped[np.ndarray, " time"],
    *,
    longest: int,
    step: int = 1,
) -> Volume:
    r"""VUS-ROC and VUS-PR of a score of every sample of one series (Paparrizos et al. 2022, VLDB
    15:2774, section 4).

    A buffer of $\ell$ samples softens the labels: $d$ samples outside of an anomalous range, up to
    $\ell / 2$, a label is $\sqrt{1 - d / \ell}$, where several ranges reach they add up to at most
    1. With $y$ the labels as given, $y^\ell$ the softened ones and $\hat y$ the flags at a
    threshold,

    $$TP = \sum_i y^\ell_i \hat y_i, \quad P = \tfrac12 \sum_i (y_i + y^\ell_i), \quad
    TPR = \min(1, TP / P)\, \frac{|\text{softened ranges with a flag}|}{|\text{softened ranges}|},
    \quad FPR = \frac{\sum_i \hat y_i - TP}{n - P}, \quad Pr = \frac{TP}{\sum_i \hat y_i}.$$

    The areas are trapezoids over every threshold (the authors' program takes 250), averaged over
    $\ell = 0, \text{step}, \dots$ up to `longest`, for which they take the length of a period.
    With one anomalous range and $\ell = 0$ the ROC area is `auroc`. Even a random score has a
    high VUS-ROC where anomalies are rare; look at VUS-PR first.

    Raises `ValueError` as `auroc` does, and for a buffer that is none.
    """
    scores, truth = _checked(scores, anomalous)
    if longest < 0 or step < 1:
        raise ValueError(
            f"longest={longest} and step={step} give no buffers; give the samples of a period, and "
            "a step of at least 1."
        )
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    buffers = np.arange(0, longest + 1, step)
    areas = np.array([_range_areas(scores, truth, int(b), order, last) for b in buffers])
    roc, pr = areas.mean(0)
    return Volume(float(roc), float(pr), buffers, areas[:, 0], areas[:, 1])


def flagged(flags: Shaped[np.ndarray, " n"], anomalous: Shaped[np.ndarray, " n"]) -> Flagged:
    """What the flags of a threshold are worth, without point adjustment."""
    flags, truth = np.asarray(flags, bool), np.asarray(anomalous, bool)
    hits = int((flags & truth).sum())
    precision, recall = _ratio(hits, int(flags.sum())), _ratio(hits, int(truth.sum()))
    real, raised = spans_of(truth), spans_of(flags)
    return Flagged(
        precision=precision,
        recall=recall,
        f1=_ratio(2 * hits, int(flags.sum() + truth.sum())),
        ranges=len(real),
        found=_touched(real, flags),
        false_ranges=len(raised) - _touched(raised, truth),
    )


def spans_of(mask: Bool[np.ndarray, " n"]) -> Int[np.ndarray, "span 2"]:
    """First index of each run of True, and the index after its last."""
    edges = np.diff(np.r_[0, np.asarray(mask, np.int8), 0])
    return np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1)


def softened(anomalous: Shaped[np.ndarray, " time"], buffer: int) -> Float[np.ndarray, " time"]:
    """The labels with a buffer of that many samples about each range, half on either side."""
    truth = np.asarray(anomalous, bool)
    labels, n, half = truth.astype(np.float64), len(truth), buffer // 2
    rise = np.sqrt(1 - np.arange(half, 0, -1) / buffer) if half else np.zeros(0)
    for start, end in spans_of(truth):
        before, after = min(half, start), min(half, n - end)
        labels[start - before : start] += rise[half - before :]
        labels[end : end + after] += rise[::-1][:after]
    return np.minimum(labels, 1)


def _range_areas(
    scores: np.ndarray, truth: np.ndarray, buffer: int, order: np.ndarray, last: np.ndarray
) -> tuple[float, float]:
    """The two areas with one buffer; `last` ends each run of equal scores in their `order`."""
    labels = softened(truth, buffer)
    hits, raised = np.cumsum(labels[order])[last], last + 1.0
    positives = 0.5 * (truth.sum() + labels.sum())
    peaks = np.sort([scores[start:end].max() for start, end in spans_of(labels > 0)])
    seen = 1 - np.searchsorted(peaks, scores[order][last], side="left") / len(peaks)
    recall = np.r_[0, np.minimum(hits / positives, 1) * seen]
    fall_out = np.r_[0, (raised - hits) / (len(truth) - positives)]
    precision = np.r_[1, hits / raised]
    # everything flagged is the curve's end, wherever softened labels have left it
    roc = _trapezoids(np.r_[recall, 1], np.r_[fall_out, 1])
    return roc, _trapezoids(precision, recall)


def _sweep(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much is hit and how many are flagged at each threshold, the highest first."""
    order = np.argsort(-scores, kind="stable")
    last = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    return np.cumsum(labels[order])[last], last + 1.0


def _trapezoids(height: np.ndarray, at: np.ndarray) -> float:
    return float(np.sum(np.diff(at) * (height[1:] + height[:-1]) / 2))


def _touched(spans: np.ndarray, mask: np.ndarray) -> int:
    return sum(bool(mask[start:end].any()) for start, end in spans)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _checked(scores: np.ndarray, anomalous: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, truth = np.asarray(scores, np.float64), np.asarray(anomalous, bool)
    if scores.ndim != 1 or scores.shape != truth.shape:
        raise ValueError(
            f"scores of shape {scores.shape} and labels of shape {truth.shape} do not go "
            "together; give one of each for every observation."
        )
    if not np.isfinite(scores).all():
        raise ValueError(
            f"{int((~np.isfinite(scores)).sum())} scores are not finite, which no threshold can "
            "order; leave those observations out."
        )
    if not 0 < truth.sum() < len(truth):
        raise ValueError(
            f"{int(truth.sum())} of {len(truth)} are labelled anomalous; a measure needs some "
            "that are and some that are not."
        )
    return scores, truth
