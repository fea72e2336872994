"""Measures of drawn observations against what is known of them."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from unweave.evaluate import (
    legacy_timegan_discriminative,
    legacy_timegan_predictive,
    mmd,
    two_sample,
)
from unweave.evaluate._two_sample import _features, _kernels


def courses(n, seed, *, memory=0.8, channels=2):
    """First-order autoregressions of variance one, 24 samples."""
    rng, x = np.random.default_rng(seed), np.zeros((n, 24, channels))
    x[:, 0] = rng.standard_normal((n, channels))
    for t in range(1, 24):
        fresh = rng.standard_normal((n, channels))
        x[:, t] = memory * x[:, t - 1] + np.sqrt(1 - memory**2) * fresh
    return x


def test_two_sample_guesses_where_there_is_nothing_to_tell():
    found = two_sample(courses(400, 0), courses(400, 1), kernels=200)
    assert abs(found.accuracy - 0.5) < 0.08
    assert abs(found.floor - 0.5) < 0.1
    assert found.ceiling > 0.95
    assert found.n == 400
    assert "told from real ones" in found.sentence()


def test_two_sample_sees_a_memory_that_is_a_little_shorter():
    weak, strong = (
        two_sample(courses(400, 0), courses(400, 1, memory=m), kernels=200).accuracy
        for m in (0.7, 0.5)
    )
    assert 0.6 < weak < strong
    assert strong > 0.9


def test_two_sample_is_the_same_each_time_and_in_any_unit():
    real, drawn = courses(120, 0), courses(120, 1, memory=0.6)
    first = two_sample(real, drawn, kernels=60)
    assert first == two_sample(real, drawn, kernels=60)
    other = two_sample(3 + 1000 * real, 3 + 1000 * drawn, kernels=60)
    assert np.allclose(first.folds, other.folds)


def test_two_sample_reads_rows_and_images():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((600, 4))
    turned = rows[::-1] @ (np.eye(4) + 0.8 * np.eye(4, k=1))
    turned /= turned.std(0)
    assert two_sample(rows, turned, kernels=300).accuracy > 0.6
    images = rng.standard_normal((200, 10, 9, 2))
    smooth = (images + np.roll(images, 1, axis=1)) / np.sqrt(2)
    found = two_sample(images, smooth[::-1], kernels=100)
    assert found.accuracy > 0.9
    assert found.floor < 0.62


def test_features_are_those_of_a_convolution_written_out():
    x = np.random.default_rng(1).standard_normal((3, 15, 2))
    bank = _kernels((15, 2), 12, np.random.default_rng(2))
    found, column = _features(x, bank), 0
    for group in bank:
        (length,), (step,), (padding,) = group.lengths, group.steps, group.padding
        wide = np.pad(x, [(0, 0), (padding, padding), (0, 0)])
        count = len(group.biases)
        for k in range(count):
            weights = group.weights[:, k].reshape(length, 2)
            for row in range(3):
                answers = [
                    sum(wide[row, i + j * step] @ weights[j] for j in range(length))
                    + group.biases[k]
                    for i in range(wide.shape[1] - (length - 1) * step)
                ]
                assert np.isclose(found[row, column + k], max(answers))
                share = np.mean(np.array(answers) > 0)
                assert np.isclose(found[row, column + count + k], share)
        column += 2 * count
    assert column == found.shape[1] == 24


def test_mmd_against_a_kernel_written_out():
    real, drawn = courses(40, 0), courses(40, 1, memory=0.2)
    found = mmd(real, drawn, permutations=50)
    mean, deviation = real.mean((0, 1)), real.std((0, 1))
    x, y = (((a - mean) / deviation).reshape(40, -1) for a in (real, drawn))
    gamma = 1 / (2 * found.bandwidth**2)
    kxx, kyy, kxy = rbf_kernel(x, x, gamma), rbf_kernel(y, y, gamma), rbf_kernel(x, y, gamma)
    within = sum((k.sum() - np.trace(k)) / (40 * 39) for k in (kxx, kyy))
    assert np.isclose(found.value, within - 2 * kxy.mean())


def test_mmd_finds_a_moved_mean_and_no_more_than_its_rate_else():
    real = courses(100, 0)
    moved = mmd(real, courses(100, 1) + 0.3)
    assert moved.p < 0.01
    assert moved.value > 5 * abs(moved.floor)
    p = [mmd(courses(60, 2 * i), courses(60, 2 * i + 1), permutations=99).p for i in range(40)]
    # a p-value is at most 0.1 in a tenth of cases: 10 of 40 would come once in 300 times
    assert sum(value <= 0.1 for value in p) < 10


def test_mmd_of_equal_means_in_closed_form():
    # Gaussians of one number, their means m apart: E k = s / sqrt(s^2 + 2) exp(-m^2 / 2 (s^2 + 2))
    rng = np.random.default_rng(3)
    real, drawn = rng.standard_normal((3000, 1)), 1.0 + rng.standard_normal((3000, 1))
    found = mmd(real, drawn, most=3000, permutations=1)
    s2 = found.bandwidth**2
    expected = 2 * np.sqrt(s2 / (s2 + 2)) * (1 - np.exp(-1 / (2 * (s2 + 2))))
    assert abs(found.value / expected - 1) < 0.1


@pytest.mark.parametrize("measure", [two_sample, mmd])
def test_what_cannot_be_compared_is_refused(measure):
    x = courses(60, 0)
    with pytest.raises(ValueError, match="same axes"):
        measure(x, x[:, :12])
    with pytest.raises(ValueError, match="too few"):
        measure(x, x[:2])
    gap = x.copy()
    gap[3, 4, 0] = np.nan
    with pytest.raises(ValueError, match="1 of 60 drawn observations"):
        measure(x, gap)
    with pytest.raises(ValueError, match="at least 2 folds"):
        two_sample(x, x, folds=1)


@pytest.mark.slow
def test_the_legacy_scores_tell_what_they_should():
    real, same = courses(200, 0, channels=4), courses(200, 1, channels=4)
    noise = courses(200, 1, memory=0.0, channels=4)
    near, far = (
        legacy_timegan_discriminative(real, drawn, steps=300).value for drawn in (same, noise)
    )
    assert near < far
    # where the last channel is the first, one sample later, there is something to tell
    lone = legacy_timegan_predictive(real, same, steps=2000)
    real[:, 1:, 3], same[:, 1:, 3] = real[:, :-1, 0], same[:, :-1, 0]
    told = legacy_timegan_predictive(real, same, steps=2000)
    assert told.value < 0.8 * lone.value
    assert "legacy TimeGAN" in told.sentence()
    with pytest.raises(ValueError, match="two channels or more"):
        legacy_timegan_predictive(real[..., :1], same[..., :1])
