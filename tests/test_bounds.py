"""Bounds and calibration beside closed forms, SciPy and simulated draws."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom, entropy, multivariate_normal, norm

from unweave.evaluate import (
    bernoulli_kl,
    calibration_error,
    conformal,
    coverage,
    exact_interval,
    gaussian_divergence,
    hoeffding,
    kl_inverse,
    maurer,
    mcallester,
    pac_bayes,
    pit,
)


class TestHoeffding:
    def test_each_of_the_three_from_the_other_two(self):
        found = hoeffding(n=1000, confidence=0.95, models=100)
        assert found.error == pytest.approx(math.sqrt(math.log(2 * 100 / 0.05) / 2000))
        assert hoeffding(n=1000, error=found.error, models=100).misleading == pytest.approx(0.05)
        assert hoeffding(error=found.error, confidence=0.95, models=100).n == 1000

    def test_a_number_of_models_that_is_too_large_to_write(self):
        many = hoeffding(n=10**6, confidence=0.95, log_models=5000.0)
        assert many.error == pytest.approx(math.sqrt((math.log(2 / 0.05) + 5000) / 2e6))
        assert hoeffding(n=10, error=0.1, log_models=5000.0).misleading == 1
        assert "promise nothing" in hoeffding(n=10, error=0.1, log_models=5000.0).sentence

    def test_it_holds_in_ten_thousand_draws(self):
        """Of many models with their own errors the worst gap is beyond the bound less often than
        it says; of one model, how far the bound is from what happens."""
        rng, n, models, draws = np.random.default_rng(0), 200, 50, 10_000
        truth = rng.uniform(0, 1, models)
        gap = np.abs(rng.binomial(n, truth, (draws, models)) / n - truth)
        for confidence in (0.5, 0.9, 0.95):
            found = hoeffding(n=n, confidence=confidence, models=models)
            assert (gap.max(1) > found.error).mean() <= found.misleading
        fair = np.abs(rng.binomial(n, 0.5, draws) / n - 0.5)
        one = hoeffding(n=n, confidence=0.95)
        assert (fair > one.error).mean() <= 0.05
        # the width that is exact for errors near one half is the normal one: a factor of 1.386
        assert one.error / np.quantile(fair, 0.95) == pytest.approx(1.386, abs=0.07)

    def test_against_the_exact_probability(self):
        n = 100
        for error in (0.05, 0.1, 0.15):
            k = np.arange(n + 1)
            exact = binom.pmf(k, n, 0.5)[np.abs(k / n - 0.5) > error + 1e-12].sum()
            assert exact <= hoeffding(n=n, error=error).misleading

    @pytest.mark.parametrize(
        "given", [{}, {"n": 1}, {"n": 1, "error": 0.1, "confidence": 0.9}, {"n": 0, "error": 0.1},
                  {"n": 9, "confidence": 1.0}, {"n": 9, "error": 0.1, "models": 0}],
    )  # fmt: skip
    def test_what_is_wrong_is_said(self, given):
        with pytest.raises(ValueError, match=r"give|least"):
            hoeffding(**given)

    def test_clopper_and_pearson_hold_at_least_as_often(self):
        n, p = 40, 0.13
        held = [exact_interval(k, n)[0] <= p <= exact_interval(k, n)[1] for k in range(n + 1)]
        assert binom.pmf(np.arange(n + 1), n, p)[held].sum() >= 0.95
        assert exact_interval(0, n)[0] == 0
        assert exact_interval(n, n)[1] == 1
        # what the tails are at the ends
        low, high = exact_interval(5, n)
        assert binom.sf(4, n, low) == pytest.approx(0.025)
        assert binom.cdf(5, n, high) == pytest.approx(0.025)


class TestPACBayes:
    def test_kl_and_its_inverse(self):
        assert bernoulli_kl(0.2, 0.6) == pytest.approx(entropy([0.2, 0.8], [0.6, 0.4]))
        for q in (0.0, 0.1, 0.7):
            p = kl_inverse(q, 0.05)
            assert p > q
            assert bernoulli_kl(q, p) == pytest.approx(0.05)
        assert kl_inverse(0.0, 0.05) == pytest.approx(1 - math.exp(-0.05))
        assert kl_inverse(1.0, 0.05) == 1
        assert kl_inverse(0.3, 0.0) == pytest.approx(0.3)

    def test_maurer_is_tighter_than_mcallester(self):
        for error in (0.0, 0.05, 0.3):
            assert maurer(error, 20.0, 1000) < mcallester(error, 20.0, 1000)
        with pytest.raises(ValueError, match="from 8"):
            maurer(0.1, 1.0, 3)

    def test_the_divergence_of_gaussians(self):
        # by a sample: the mean of log q / p under q
        d, sigma, lam, gap = 3, 0.3, 0.5, 0.4
        mean = np.array([gap, 0, 0])
        q = multivariate_normal(mean, sigma**2 * np.eye(d))
        p = multivariate_normal(np.zeros(d), lam**2 * np.eye(d))
        x = q.rvs(200_000, random_state=0)
        sampled = (q.logpdf(x) - p.logpdf(x)).mean()
        assert gaussian_divergence(sigma, lam, gap, d) == pytest.approx(sampled, abs=0.01)

    def test_the_bound_holds_for_a_classifier_whose_error_is_known(self):
        """x is normal, the class its sign along (1, 0); a direction at angle a errs in a / pi."""
        n, draws = 2000, 200
        x = jax.random.normal(jax.random.key(0), (n, 2))
        truth = x[:, 0] > 0

        def wrong(model: eqx.nn.Linear) -> jax.Array:
            return jnp.mean((jax.vmap(model)(x)[:, 0] > 0) != truth)

        made = eqx.nn.Linear(2, 1, use_bias=False, key=jax.random.key(1))
        prior = eqx.tree_at(lambda m: m.weight, made, jnp.zeros((1, 2)))
        fitted = eqx.tree_at(lambda m: m.weight, made, jnp.array([[0.5, 0.02]]))
        found = pac_bayes(wrong, fitted, prior, n=n, draws=draws, key=jax.random.key(2))
        noise = np.random.default_rng(0).normal(size=(100_000, 2)) * found.deviation
        w = np.array([0.5, 0.02]) + noise
        error = np.abs(np.arctan2(w[:, 1], w[:, 0])).mean() / np.pi
        assert found.error == pytest.approx(error, abs=0.02)
        assert error < found.bound < 0.15
        assert found.weights == 2
        assert "at most" in found.sentence

    def test_weights_far_from_the_prior_promise_nothing(self):
        model = eqx.nn.Linear(5, 1, key=jax.random.key(1))
        far = jax.tree.map(lambda w: w + 1000, model)
        found = pac_bayes(
            lambda m: jnp.asarray(0.1), far, model, n=50, draws=10, key=jax.random.key(0)
        )
        assert found.bound == pytest.approx(1, abs=1e-6)

    def test_another_shape_is_refused(self):
        one, two = (eqx.nn.Linear(k, 1, key=jax.random.key(0)) for k in (2, 3))
        with pytest.raises(ValueError, match="before training"):
            pac_bayes(lambda m: jnp.asarray(0.0), one, two, n=50, key=jax.random.key(0))


class TestConformal:
    def test_two_hundred_splits_cover_as_often_as_asked(self):
        rng = np.random.default_rng(0)
        shares, wide = [], []
        for _ in range(200):
            x = rng.uniform(-2, 2, 1500)
            y = x**2 + (0.2 + np.abs(x)) * rng.standard_t(4, 1500)
            predicted = 4 * np.abs(x) - 1  # a poor model: coverage holds all the same
            limit = conformal(np.abs(y - predicted)[:500], confidence=0.9)
            found = coverage(*limit.intervals(predicted[500:]), y[500:])
            shares.append(found.share)
            wide.append(found.high - found.low)
        assert np.mean(shares) == pytest.approx(0.9, abs=0.015)
        # theory: 0.9 to 0.9 + 1/501, and a split's coverage is Beta(451, 50)
        assert np.std(shares) == pytest.approx(
            math.sqrt(451 * 50 / 501**2 / 502 + 0.09 / 1000), rel=0.25
        )
        assert 0 < np.mean(wide) < 0.06

    def test_the_rank(self):
        scores = np.arange(1.0, 100.0)
        assert conformal(scores, confidence=0.9).limit == 90
        assert conformal(scores[:8], confidence=0.9).limit == np.inf
        with pytest.raises(ValueError, match="missing"):
            conformal(np.array([np.nan]))

    def test_sets_of_classes(self):
        rng = np.random.default_rng(0)
        p = rng.dirichlet([0.5] * 4, 4000)
        labels = (rng.random((4000, 1)) > p.cumsum(1)).sum(1)
        right = 1 - p[np.arange(4000), labels]
        sets = conformal(right[:2000], confidence=0.8).sets(p[2000:])
        assert sets[np.arange(2000), labels[2000:]].mean() == pytest.approx(0.8, abs=0.03)


class TestCalibration:
    def test_pit_is_uniform_where_draws_are_right_and_not_where_they_are_narrow(self):
        rng = np.random.default_rng(0)
        mean = rng.normal(size=2000)
        y = mean + rng.normal(size=2000)
        right = pit(mean[:, None] + rng.normal(size=(2000, 50)), y)
        narrow = pit(mean[:, None] + 0.5 * rng.normal(size=(2000, 50)), y)
        assert right.p > 0.01
        assert narrow.p < 1e-6
        exact = norm.cdf(y - mean)
        assert np.abs(right.values - exact).mean() < 0.06
        # counts have ties: uniform all the same
        lam = rng.uniform(1, 5, 2000)
        assert pit(rng.poisson(lam[:, None], (2000, 50)) * 1.0, rng.poisson(lam) * 1.0).p > 0.01

    @pytest.mark.parametrize("adaptive", [False, True])
    def test_true_confidences_have_the_floor_and_others_their_gap(self, adaptive):
        rng = np.random.default_rng(0)
        told = rng.uniform(0.5, 1, 20_000)
        p = np.stack([told, 1 - told], 1)
        true = np.where(rng.random(20_000) < told, 0, 1)
        fine = calibration_error(p, true, adaptive=adaptive)
        assert fine.value < 2 * fine.floor < 0.03
        # right in 0.5 + 0.2 (c - 0.5) of cases: the gap is 0.8 (c - 0.5), on average 0.2
        less = np.where(rng.random(20_000) < 0.5 + 0.2 * (told - 0.5), 0, 1)
        off = calibration_error(p, less, adaptive=adaptive)
        assert off.value == pytest.approx(0.2, abs=0.01)
        assert off.count.sum() == 20_000
        if adaptive:
            assert np.ptp(off.count) <= 1

    def test_by_hand(self):
        p = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
        found = calibration_error(p, np.array([0, 1, 1, 1]), bins=2)
        # one bin from 0.5 to 1: three of four are right, confidence 0.75
        assert found.value == pytest.approx(0, abs=1e-12)
        ten = calibration_error(p, np.array([0, 1, 1, 1]), bins=10)
        assert ten.value == pytest.approx((0.1 + 0.8 + 0.3 + 0.4) / 4)
        assert ten.largest == pytest.approx(0.8)

    def test_rows_that_are_no_probabilities(self):
        with pytest.raises(ValueError, match="softmax"):
            calibration_error(np.array([[2.0, -1.0]]), np.array([0]))
