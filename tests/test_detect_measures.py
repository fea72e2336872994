"""Measures of a score against scikit-learn, and of ranges against the paper's formulas."""

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from unweave.detect import aupr, auroc, flagged, softened, spans_of, volume


def scored(seed: int, n: int = 300, ranges=((20, 40), (120, 123), (250, 300)), ties: bool = False):
    rng = np.random.default_rng(seed)
    truth = np.zeros(n, bool)
    for start, end in ranges:
        truth[start:end] = True
    scores = rng.normal(size=n) + truth
    return (np.round(scores) if ties else scores), truth


@pytest.mark.parametrize("ties", [False, True])
def test_areas_of_points_are_those_of_scikit_learn(ties):
    for seed in range(5):
        scores, truth = scored(seed, ties=ties)
        assert auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
        assert aupr(scores, truth) == pytest.approx(
            average_precision_score(truth, scores), abs=1e-12
        )


def slow_volume(scores, truth, longest):
    """Every formula of the paper as it is written, threshold by threshold, sample by sample."""
    n, areas = len(scores), []
    for buffer in range(longest + 1):
        labels = truth.astype(float)
        for start, end in spans_of(truth):
            for i in range(n):
                away = start - i if i < start else i - (end - 1)
                if not start <= i < end and away <= buffer // 2:
                    labels[i] += np.sqrt(1 - away / buffer)
        labels = np.minimum(labels, 1)
        runs = spans_of(labels > 0)
        recalls, fall_outs, precisions = [0.0], [0.0], [1.0]
        positives = (truth.sum() + labels.sum()) / 2
        for threshold in sorted(set(scores.tolist()), reverse=True):
            flags = scores >= threshold
            hits = (labels * flags).sum()
            existing = np.mean([(labels * flags)[a:b].sum() > 0 for a, b in runs])
            recalls.append(min(hits / positives, 1) * existing)
            fall_outs.append((flags.sum() - hits) / (n - positives))
            precisions.append(hits / flags.sum())
        pr = np.trapezoid(precisions, recalls)
        roc = np.trapezoid([*recalls, 1], [*fall_outs, 1])
        areas.append((roc, pr))
    return np.mean(areas, axis=0)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("ranges", [((20, 40), (120, 123), (250, 300)), ((30, 31), (36, 40))])
def test_volumes_are_the_papers(ties, ranges):
    scores, truth = scored(3, ranges=ranges, ties=ties)
    found = volume(scores, truth, longest=12)
    np.testing.assert_allclose([found.roc, found.pr], slow_volume(scores, truth, 12), atol=1e-12)
    np.testing.assert_allclose([found.roc_areas.mean(), found.pr_areas.mean()],
                               [found.roc, found.pr])  # fmt: skip


def test_without_buffer_the_areas_of_one_range_are_those_of_its_points():
    scores, truth = scored(0, ranges=((100, 150),))
    found = volume(scores, truth, longest=0)
    assert found.roc == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    precision, recall, _ = precision_recall_curve(truth, scores)
    assert found.pr == pytest.approx(auc(recall, precision), abs=5e-3)


def test_a_perfect_score_and_one_that_knows_nothing():
    truth = scored(0, n=2000, ranges=((100, 150), (900, 960), (1500, 1530)))[1]
    perfect = volume(truth.astype(float), truth, longest=0)
    assert (perfect.roc, perfect.pr) == (1.0, 1.0)
    rng = np.random.default_rng(0)
    blind = [volume(rng.normal(size=2000), truth, longest=20, step=5) for _ in range(5)]
    assert np.mean([v.pr for v in blind]) == pytest.approx(truth.mean(), abs=0.05)
    # the reason why the ROC volume stands beside the PR volume only
    assert np.mean([v.roc for v in blind]) > 0.4


def test_labels_soften_by_half_the_buffer_on_either_side():
    truth = np.zeros(20, bool)
    truth[8:10] = True
    labels = softened(truth, 4)
    np.testing.assert_allclose(labels[5:13], [0, np.sqrt(0.5), np.sqrt(0.75), 1, 1, np.sqrt(0.75),
                                              np.sqrt(0.5), 0])  # fmt: skip
    assert softened(truth, 1).tolist() == truth.astype(float).tolist()
    truth[0], truth[8:10] = True, False
    assert softened(truth, 4)[:4] == pytest.approx([1, np.sqrt(0.75), np.sqrt(0.5), 0])


def test_flags_are_counted_by_point_and_by_range():
    truth = np.zeros(30, bool)
    truth[[2, 3, 4, 10, 11, 20]] = True
    flags = np.zeros(30, bool)
    flags[[3, 4, 5, 15, 16, 25]] = True
    found = flagged(flags, truth)
    assert (found.precision, found.recall, found.f1) == (2 / 6, 2 / 6, 2 / 6)
    assert (found.ranges, found.found, found.false_ranges) == (3, 1, 2)
    nothing = flagged(np.zeros(30, bool), truth)
    assert np.isnan(nothing.precision)
    assert nothing.recall == 0


def test_what_no_measure_can_judge_is_refused():
    truth = np.array([True, False, False])
    with pytest.raises(ValueError, match="not finite"):
        auroc(np.array([1.0, np.nan, 2.0]), truth)
    with pytest.raises(ValueError, match="0 of 3 are labelled"):
        aupr(np.arange(3.0), np.zeros(3, bool))
    with pytest.raises(ValueError, match="no buffers"):
        volume(np.arange(3.0), truth, longest=-1)
