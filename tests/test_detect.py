"""Detectors against closed forms and scikit-learn; p-values against simulated false alarms."""

import functools

import jax
import numpy as np
import pytest
from scipy.stats import beta, spearmanr
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

from models import fitted, small_beats
from unweave import detect, targets
from unweave.detect import Calibrated
from unweave.networks import Classifier
from unweave.networks.schemes import AbstractNet
from unweave.recipes import gan

RNG = np.random.default_rng(0)
LINE = RNG.normal(size=(200, 1)) * np.linspace(1, 2, 12)
NORMAL = (LINE + 0.1 * RNG.normal(size=(200, 12)))[:, :, None]
STRANGE = NORMAL[:20].copy()
STRANGE[:, 5:8] += 2.0

BASELINES = {
    "mean": detect.distance_to_mean(),
    "pca": detect.sub_pca(1),
    "share": detect.sub_pca(0.9),
    "near": detect.neighbours(3),
    "shape": detect.neighbours(1, normalised=True),
    "density": detect.local_density(5, components=3),
    "forest": detect.isolation_forest(50),
    "together": detect.together([detect.sub_pca(1), detect.neighbours(1)]),
}


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_finds_what_is_strange_alike_each_time(name):
    detector = BASELINES[name]
    score = detector.fit(NORMAL[20:], seed=3)
    normal, strange = score(NORMAL[:20]), score(STRANGE)
    assert normal.shape == (20,)
    truth = np.repeat([False, True], 20)
    if name != "mean":  # the mean knows nothing of the line that normal observations lie on
        assert detect.auroc(np.r_[normal, strange], truth) > 0.9
    again = detector.fit(NORMAL[20:], seed=3)
    np.testing.assert_array_equal(again(STRANGE), strange)
    if score.within is not None:
        assert score.by_sample(STRANGE).shape == (20, 12)
        where = [
            detect.largest_span(row, level)[:2]
            for row, level in zip(
                score.by_sample(STRANGE), score.by_sample(STRANGE).mean(1), strict=True
            )
        ]
        if name in ("pca", "share", "near", "together"):
            assert np.mean([w == (5, 8) for w in where]) > 0.8
    gappy = STRANGE.copy()
    gappy[:, :2] = np.nan
    assert np.isfinite(score(gappy)).all()


def test_baselines_are_their_formulas():
    rows, new = NORMAL[20:, :, 0], STRANGE[:, :, 0]
    mean = rows.mean(0)
    fit_to = NORMAL[20:]
    np.testing.assert_allclose(
        detect.distance_to_mean().fit(fit_to)(STRANGE), ((new - mean) ** 2).mean(1)
    )
    axis = np.linalg.svd(rows - mean)[2][:1]
    left = (new - mean) - (new - mean) @ axis.T @ axis
    score = detect.sub_pca(1).fit(fit_to)
    np.testing.assert_allclose(score(STRANGE), (left**2).mean(1))
    # the data lie along one line, and the largest gap says so
    np.testing.assert_allclose(detect.sub_pca().fit(fit_to)(STRANGE), score(STRANGE))
    np.testing.assert_allclose(score.by_sample(STRANGE), left**2)
    squares = np.sort(((new[:, None] - rows) ** 2).mean(-1), axis=1)[:, :3].mean(1)
    score = detect.neighbours(3).fit(fit_to)
    np.testing.assert_allclose(score(STRANGE), squares, rtol=1e-6)
    np.testing.assert_allclose(score.by_sample(STRANGE).mean(1), squares, rtol=1e-6)
    alike = [StandardScaler().fit_transform(x.T).T for x in (rows, new)]
    squares = ((alike[1][:, None] - alike[0]) ** 2).mean(-1).min(1)
    score = detect.neighbours(1, normalised=True).fit(fit_to)
    np.testing.assert_allclose(score(STRANGE), squares, rtol=1e-6)
    # with every axis the whitened space is that of the Mahalanobis distance
    white = np.linalg.cholesky(np.linalg.inv(np.cov(rows.T)))
    factor = LocalOutlierFactor(n_neighbors=5, novelty=True).fit((rows - mean) @ white)
    score = detect.local_density(5, components=12).fit(fit_to)
    np.testing.assert_allclose(score(STRANGE), -factor.score_samples((new - mean) @ white))


def test_several_together_are_the_mean_of_their_deviations():
    parts = [detect.sub_pca(1), detect.neighbours(1)]
    score = detect.together(parts, folds=4).fit(NORMAL[20:])
    expected = []
    for part in parts:
        own = np.log(detect.out_of_fold(part, NORMAL[20:], folds=4))
        found = np.log(part.fit(NORMAL[20:])(STRANGE))
        expected.append((found - np.median(own)) / own.std())
    np.testing.assert_allclose(score(STRANGE), np.mean(expected, axis=0))
    # what is scored is one observation, whatever stands beside it
    np.testing.assert_allclose(score(STRANGE[:1]), score(STRANGE)[:1])


def test_a_detector_is_chosen_without_anomalies():
    """What looks off the line that normal observations lie on beats what looks at their mean."""
    choice = detect.choose([detect.distance_to_mean(), detect.sub_pca(1)], NORMAL, seed=1)
    assert choice.best.name == "Sub-PCA (1 axes)"
    assert choice.order == (1, 0)
    assert choice.areas.shape == (2, len(detect.PERTURBATIONS))
    off = [i for i, name in enumerate(choice.perturbations) if name in ("noisy", "bumped")]
    assert (choice.areas[1, off] > choice.areas[0, off] + 0.1).all()
    again = detect.choose([detect.distance_to_mean(), detect.sub_pca(1)], NORMAL, seed=1)
    np.testing.assert_array_equal(choice.areas, again.areas)
    # what no perturbation has changed is told apart by nobody
    same = detect.choose([detect.sub_pca(1)], NORMAL, perturbations={"none": lambda r, x, s, p: x})
    assert same.areas.item() == pytest.approx(0.5)
    with pytest.raises(ValueError, match="nothing to choose from"):
        detect.choose([], NORMAL)


def test_what_stands_alone_is_not_kept():
    """A cluster of anomalies is dense, and close to itself; it is far from most of the data."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(180, 6)), 6 + 0.3 * rng.normal(size=(20, 6))])
    members = [
        detect.distance_to_mean(), detect.isolation_forest(50), detect.local_density(5),
        detect.neighbours(30),
    ]  # fmt: skip
    found = detect.agreeing(members, x)
    scores = np.stack([detect.out_of_fold(m, x) for m in members], axis=1)
    np.testing.assert_allclose(found.correlations, spearmanr(scores)[0])
    others = found.correlations[~np.eye(4, dtype=bool)].reshape(4, 3)
    np.testing.assert_allclose(found.agreement, others.mean(1))
    assert found.kept == tuple(sorted(np.argsort(-others.mean(1))[:3].tolist()))
    with pytest.raises(ValueError, match="cannot agree"):
        detect.agreeing(members[:2], x)


@pytest.mark.parametrize("name", detect.PERTURBATIONS)
def test_a_perturbation_changes_a_part_and_keeps_the_shape(name):
    rng = np.random.default_rng(0)
    x, pool = NORMAL[0], NORMAL[1:]
    y = detect.PERTURBATIONS[name](rng, x, 1.0, pool)
    assert y.shape == x.shape
    assert np.isfinite(y).all()
    assert not np.allclose(x, y)
    if name in ("noisy", "bumped", "scaled", "swapped"):
        assert 1 <= (x != y).any(axis=1).sum() <= 5


def test_out_of_fold_no_observation_is_scored_by_what_has_seen_it():
    nearest = detect.neighbours(1)
    assert nearest.fit(NORMAL)(NORMAL).max() < 1e-12
    assert detect.out_of_fold(nearest, NORMAL).min() > 1e-4


def test_p_values_are_ranks_and_keep_the_rate():
    held = Calibrated(np.array([3.0, 1.0, 2.0, 4.0]))
    np.testing.assert_allclose(held.p_values(np.array([0.0, 2.0, 4.5])), [1.0, 0.8, 0.2])
    with pytest.raises(ValueError, match="at least 99"):
        held.threshold(0.01)
    for n, rate in ((19, 0.05), (199, 0.05), (500, 0.1)):
        alarms = []
        for seed in range(400):
            rng = np.random.default_rng(seed)
            calibrated = Calibrated(rng.exponential(size=n))
            new = rng.exponential(size=200)
            flags = calibrated.flags(new, rate)
            np.testing.assert_array_equal(flags, calibrated.p_values(new) <= rate + 1e-12)
            alarms.append(flags.mean())
        k = int(rate * (n + 1) + 1e-9)
        assert np.mean(alarms) == pytest.approx(k / (n + 1), abs=0.01)
        low, high = calibrated.achieved(rate)
        assert (low, high) == pytest.approx(beta.ppf([0.025, 0.975], k, n + 1 - k))
        inside = np.mean([low - 0.05 <= a <= high + 0.05 for a in alarms])
        assert inside > 0.95


def test_discoveries_keep_the_share_of_false_ones():
    false = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        held = Calibrated(rng.normal(size=1000))
        new = np.r_[rng.normal(size=180), rng.normal(size=20) + 5]
        found = held.discoveries(new, 0.2)
        false.append(found[:180].sum() / max(found.sum(), 1))
    assert np.mean(false) < 0.2


def test_blocks_take_their_highest_score():
    scores, blocks = np.array([1.0, 5.0, 2.0, 3.0]), np.array([0, 0, 7, 7])
    assert detect.block_maxima(scores, blocks).tolist() == [5.0, 3.0]


def test_overlapping_windows_break_the_rate_and_blocks_keep_it():
    """Neighbours share samples: given one calibration the rate of windows strays much further than
    that of independent observations would, that of blocks of whole recordings does not."""
    strays = {"windows": [], "blocks": []}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        walk = np.convolve(rng.normal(size=4000 + 99), np.ones(100) / 10, "valid")
        held, new = np.split(walk, 2)
        strays["windows"].append(Calibrated(held).flags(new, 0.05).mean())
        blocks = np.arange(2000) // 100
        tops = [detect.block_maxima(part, blocks) for part in (held, new)]
        strays["blocks"].append(Calibrated(tops[0]).flags(tops[1], 0.05).mean())
    assert np.std(strays["windows"]) > 3 * np.sqrt(0.05 * 0.95 * (1 / 2000 + 1 / 2000))
    assert np.mean(strays["blocks"]) == pytest.approx(1 / 21, abs=0.02)


def test_samples_are_scored_by_the_windows_that_cover_them():
    series = RNG.normal(size=(50, 2))
    windows = detect.sliding(series, 8, step=5)
    begin = detect.starts(50, 8, 5)
    assert begin.tolist() == [0, 5, 10, 15, 20, 25, 30, 35, 40, 42]
    np.testing.assert_array_equal(windows[-1], series[42:])
    scores = RNG.normal(size=len(begin))
    found = detect.over_samples(scores, begin, 8, 50)
    for t in range(50):
        own = [s for s, b in zip(scores, begin, strict=True) if b <= t < b + 8]
        assert found[t] == pytest.approx(np.mean(own))
    assert np.isnan(detect.over_samples(scores[:2], begin[:2], 8, 50)[13:]).all()
    with pytest.raises(ValueError, match="do not fit"):
        detect.sliding(series, 51)


def test_a_period_is_found_and_a_span_is_the_largest_sum():
    time = np.arange(1000)
    wave = np.sin(2 * np.pi * time / 37) + 0.3 * RNG.normal(size=1000)
    assert abs(detect.period(wave) - 37) <= 1
    with pytest.raises(ValueError, match="no peak"):
        detect.period(np.arange(40.0) ** 3)
    for _ in range(20):
        part = RNG.normal(size=12)
        start, end, mass = detect.largest_span(part, 0.2)
        every = [(part[a:b] - 0.2).sum() for a in range(12) for b in range(a + 1, 13)]
        assert mass == pytest.approx(max(every))
        assert mass == pytest.approx((part[start:end] - 0.2).sum())


@functools.cache
def beats():
    train, test = small_beats().train.observations, small_beats().test.observations
    strange = test.copy()
    strange[:, 8:14] = -strange[:, 8:14] + 0.5
    return train, test, strange


@pytest.mark.parametrize("name", ["vae", "pca"])
def test_a_model_is_a_score(name):
    model = fitted(name).model
    train, test, strange = beats()
    for score in (
        detect.reconstruction(model, train),
        detect.reconstruction(model, train, by_entry=True),
        detect.joint_surprise(model, train),
        detect.of_target(targets.surprise(model)),
        detect.latent_surprise(model),
        detect.latent_surprise(model, train, components=2),
    ):
        found = score(np.concatenate([test, strange]))
        assert np.isfinite(found).all()
        truth = np.repeat([False, True], len(test))
        if "latents under" not in score.name:
            assert detect.auroc(found, truth) > 0.8, score.name
    gappy = strange.copy()
    gappy[:, :3] = np.nan
    assert np.isfinite(detect.reconstruction(model, train)(gappy)).all()


def test_scores_of_a_linear_model_are_their_formulas():
    model = fitted("pca").model
    train, test, _ = beats()
    codes = np.asarray(jax.vmap(model.encode)(test), np.float64)
    left = test - np.asarray(jax.vmap(model.decode)(codes.astype(np.float32)))
    usual = np.asarray(jax.vmap(model.encode)(train), np.float64)
    error = train - np.asarray(jax.vmap(model.decode)(usual.astype(np.float32)))
    scale = np.sqrt((error.astype(np.float64) ** 2).mean((0, 1)))
    score = detect.reconstruction(model, train)
    np.testing.assert_allclose(score(test), ((left / scale) ** 2).mean((1, 2)), rtol=1e-3)
    np.testing.assert_allclose(score.by_sample(test).mean(1), score(test), rtol=1e-4)
    assert score(train).mean() == pytest.approx(1, rel=1e-4)
    prior = 0.5 * (codes**2).sum(1) + 0.5 * codes.shape[1] * np.log(2 * np.pi)
    np.testing.assert_allclose(detect.latent_surprise(model)(test), prior, rtol=1e-4)
    away = codes - usual.mean(0)
    covariance = np.cov(usual.T, bias=True)
    normal = 0.5 * np.einsum("ni,ij,nj->n", away, np.linalg.inv(covariance), away)
    normal += 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
    np.testing.assert_allclose(detect.latent_surprise(model, train)(test), normal, rtol=2e-3)
    nats = 0.5 * (left / scale) ** 2 + np.log(scale) + 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(
        detect.joint_surprise(model, train)(test), nats.sum((1, 2)) + normal, rtol=2e-3
    )
    moved = detect.moved_latents(model, test, train)
    np.testing.assert_allclose(moved, away / usual.std(0), rtol=1e-4, atol=1e-4)
    assert detect.latent_names(model) == model.latents.names


def test_parts_of_a_density_add_up_and_say_where():
    model = fitted("pca").model
    train, _, strange = beats()
    score = detect.attributed(targets.surprise(model), train.mean(0))
    parts = score.by_sample(strange)
    whole = score(strange) - score(train.mean(0)[None])
    np.testing.assert_allclose(parts.sum(1), whole, rtol=1e-2)
    assert np.mean(np.abs(parts[:, 8:14])) > 2 * np.mean(np.abs(np.delete(parts, range(8, 14), 1)))


class Linear(AbstractNet):
    weights: jax.Array

    def answers(self, x, condition=None, *, key=None):
        return x.reshape(len(x), -1) @ self.weights


def test_critics_and_classes_are_scores():
    _, test, _ = beats()
    test = test.astype(np.float32)
    judged = gan(latents=2).build(small_beats().train, jax.random.key(0))
    seen = jax.vmap(lambda x: judged.judge(judged.coordinates(x)))(test)
    np.testing.assert_allclose(detect.critic(judged)(test), -np.asarray(seen), rtol=1e-4)
    net = Linear(jax.random.normal(jax.random.key(1), (32, 3)))
    model = Classifier(net, ("a", "b", "c"))
    answers = np.asarray(net.answers(test), np.float64)
    p = np.exp(answers) / np.exp(answers).sum(1, keepdims=True)
    np.testing.assert_allclose(detect.confidence(model)(test), 1 - p.max(1), atol=1e-5)
    np.testing.assert_allclose(detect.entropy(model)(test), -(p * np.log(p)).sum(1), rtol=1e-3)
    found = detect.energy(model)(test)
    np.testing.assert_allclose(found, -np.log(np.exp(answers).sum(1)), rtol=1e-4, atol=1e-4)


def test_a_detector_that_trains_a_model_is_a_detector():
    def train(normal, conditions, seed):
        return fitted("pca").model

    detector = detect.learned("PCA", train, detect.reconstruction)
    train_, test, strange = beats()
    score = detector.fit(train_)
    assert score.name == "PCA"
    assert score(strange).mean() > score(test).mean()


def test_what_cannot_be_is_said():
    model = fitted("gaussian-mixture").model
    train, test, _ = beats()
    with pytest.raises(TypeError, match="judges observations"):
        detect.critic(fitted("pca").model)
    with pytest.raises(TypeError, match="classifier"):
        detect.energy(model)
    with pytest.raises(TypeError, match="cannot say where"):
        detect.isolation_forest(10).fit(train).by_sample(test)
    with pytest.raises(ValueError, match="at least 2"):
        detect.distance_to_mean().fit(train[:1])
    with pytest.raises(ValueError, match="neither a number"):
        detect.sub_pca(1.5)
    with pytest.raises(TypeError, match="reads latents"):
        detect.of_target(targets.output(fitted("pca").model, (0, 0)))
