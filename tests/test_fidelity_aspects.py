"""Precision to coverage, memorisation, likeness and transfer, against what theory gives."""

import numpy as np
import pytest
from scipy.signal import periodogram

import unweave as uw
from unweave.evaluate import autocorrelation, power_spectrum


def normal(seed, n=500, size=3, shift=0.0, scale=1.0):
    return shift + scale * np.random.default_rng(seed).normal(size=(n, size))


def test_a_perfect_model_reaches_what_theory_gives():
    n, k = 800, 5
    got = uw.manifold(normal(0, n), normal(1, n), others=normal(2, n), neighbours=k)
    # Naeem et al. (2020), lemmas 1 and 2: density 1; coverage 1 - prod (M - i) / (M + N - i)
    i = np.arange(1, k + 1)
    expected = 1 - np.prod((n - i) / (2 * n - i))
    assert got.coverage == pytest.approx(expected, abs=0.03)
    assert got.density == pytest.approx(1, abs=0.1)
    for value, floor in zip(
        (got.precision, got.recall, got.density, got.coverage), got.floors, strict=True
    ):
        assert value == pytest.approx(floor, abs=0.1)
    assert "real ones" in got.sentence()


def test_by_hand_on_a_line():
    real = np.array([[0.0], [1.0], [2.0], [10.0]])
    drawn = np.array([[0.5], [1.5], [30.0], [31.0]])
    got = uw.manifold(real, drawn, others=real, neighbours=1)
    # radii of the real ones 1, 1, 1, 8: the first drawn lies in two balls, the second in two
    assert got.precision == 0.5
    assert got.density == 1.0
    assert got.coverage == 0.75
    # radii of the drawn ones 1, 1, 1, 1
    assert got.recall == 0.75


def test_what_is_missing_and_what_is_bad_show_apart():
    rng = np.random.default_rng(0)
    real, others = (rng.choice([-5.0, 5.0], size=(600, 1)) + normal(s, 600, 1) for s in (3, 4))
    half = 5.0 + normal(5, 600, 1)
    lost = uw.manifold(real, half, others=others)
    assert lost.precision > 0.95
    assert lost.recall < 0.6 > lost.coverage
    blurred = uw.manifold(real, real + normal(6, 600, 1, scale=4), others=others)
    assert blurred.precision < 0.8
    assert blurred.recall > 0.9


def test_memorisation_is_told_from_honest_samples():
    train, held, honest = normal(0), normal(1), normal(2)
    told = uw.memorisation(train, held, honest)
    assert told.nearer == pytest.approx(0.5, abs=0.06)
    assert told.p > 0.01
    copied = uw.memorisation(train, held, train + 1e-4)
    assert copied.nearer > 0.99
    assert copied.p < 1e-10
    assert copied.ratio < 0.01
    assert "nearer to a training observation" in copied.sentence()
    # one of three
    mixed = np.concatenate([train[:100] + 1e-4, normal(3, 200)])
    assert uw.memorisation(train, held, mixed).nearer == pytest.approx(2 / 3, abs=0.06)


def series(seed, n=400, time=32, memory=0.8, scale=1.0):
    rng = np.random.default_rng(seed)
    x = np.empty((n, time, 2))
    x[:, 0] = rng.normal(size=(n, 2))
    for t in range(1, time):
        x[:, t] = memory * x[:, t - 1] + np.sqrt(1 - memory**2) * rng.normal(size=(n, 2))
    return scale * x


def test_autocorrelation_and_spectrum_are_those_of_the_process():
    x = series(0, n=20_000)
    rho = autocorrelation(x)[:, 0]
    # the sums of a lag have fewer terms the longer the lag is
    lags = np.arange(len(rho))
    np.testing.assert_allclose(rho, 0.8**lags * (1 - lags / 32), atol=0.02)
    _, power = periodogram(x, axis=1, detrend=False, return_onesided=False)
    np.testing.assert_allclose(power_spectrum(x), power.mean(0)[: 32 // 2 + 1], rtol=1e-9)


def test_each_aspect_sees_its_own():
    real, others = series(0), series(1)
    same = uw.likeness(real, series(2), others=others)
    for aspect in (same.marginals, same.autocorrelation, same.spectrum):
        assert max(aspect.distance) < 3 * max(aspect.floor)
    wide = uw.likeness(real, series(2, scale=2.0), others=others)
    # two normals: the mean of |2 z - z|, in deviations; and four times the power
    assert wide.marginals.distance == pytest.approx((np.sqrt(2 / np.pi),) * 2, abs=0.05)
    assert wide.spectrum.distance == pytest.approx((10 * np.log10(4),) * 2, abs=0.4)
    assert max(wide.autocorrelation.distance) < 0.05
    forgetful = uw.likeness(real, series(2, memory=0.0), others=others)
    assert min(forgetful.autocorrelation.distance) > 0.2
    assert max(forgetful.marginals.distance) < 0.1
    assert "worst in channel" in forgetful.sentence()


def labelled(seed, n=300, gap=2.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    return rng.normal(size=(n, 4)) + gap * labels[:, None], labels


def test_drawn_ones_that_are_real_teach_as_much():
    told = uw.train_on_synthetic(labelled(0), labelled(1), labelled(2))
    assert told.measure == "accuracy"
    assert told.drawn == pytest.approx(told.real, abs=0.03)
    assert told.real > 0.95 > 0.6 > told.trivial
    x, labels = labelled(2)
    wrong = uw.train_on_synthetic(labelled(0), labelled(1), (x, 1 - labels))
    assert wrong.drawn < 0.1


def test_numbers_are_foretold():
    parts = [(x[:, :-1], x[:, -1]) for x in (series(s) for s in (0, 1, 2))]
    told = uw.train_on_synthetic(*parts)
    assert told.measure == "explained variance"
    assert told.trivial == pytest.approx(0, abs=0.02)
    # of the next sample 0.64 can be known
    assert 0.4 < told.drawn < 0.66
    assert told.real == pytest.approx(told.drawn, abs=0.08)


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match="make no ball"):
        uw.manifold(normal(0), normal(1), neighbours=0)
    with pytest.raises(ValueError, match="likeness is for series"):
        uw.likeness(normal(0), normal(1))
    x, labels = labelled(0)
    with pytest.raises(ValueError, match="give one to each"):
        uw.train_on_synthetic((x, labels[:-1]), (x, labels), (x, labels))
    with pytest.raises(ValueError, match="are alike"):
        uw.train_on_synthetic((x, labels), (x, labels), (x, labels * 0))
