"""Probabilistic PCA and the Gaussian mixture against closed forms of SciPy and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA as SklearnPCA
from sklearn.mixture import GaussianMixture as SklearnMixture

from unweave.data import Scale
from unweave.networks import PCA, fit_gaussian_mixture, fit_pca, principal_axes

UNIT = Scale((0.0, 0.0), (1.0, 1.0))


def signals(n=300, *, seed=0, noise=0.3):
    """Observations (n, 4, 2) of two latents, the second channel in other units."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(8, 2)) * np.array([3.0, 1.5])
    x = rng.normal(size=(n, 2)) @ loadings.T + noise * rng.normal(size=(n, 8))
    return x.reshape(n, 4, 2) * np.array([1.0, 50.0]) + np.array([0.5, -80.0])


def covariance(model: PCA) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of a flat observation in the user's units, in float64."""
    spread = np.tile(model.scale.spread, model.mean.size // len(model.scale.spread))
    offset = np.tile(model.scale.offset, model.mean.size // len(model.scale.offset))
    loadings = np.asarray(model.loadings, np.float64) * spread[:, None]
    noise = float(model.noise_variance) * np.diag(spread**2)
    return np.asarray(model.mean, np.float64) * spread + offset, loadings @ loadings.T + noise


def test_axes_are_those_of_scikit_learn():
    rows = signals().reshape(300, 8)
    axes = principal_axes(rows, 2)
    peer = SklearnPCA(2).fit(rows)
    np.testing.assert_allclose(np.abs(axes.basis.T @ peer.components_.T), np.eye(2), atol=1e-8)
    # scikit-learn divides by n - 1, the maximum of the likelihood by n
    np.testing.assert_allclose(axes.noise_variance, peer.noise_variance_ * 299 / 300, rtol=1e-8)
    variances = axes.strengths**2 + axes.noise_variance
    np.testing.assert_allclose(variances, peer.explained_variance_ * 299 / 300, rtol=1e-8)
    largest = np.abs(axes.basis).argmax(axis=0)
    assert (axes.basis[largest, [0, 1]] > 0).all()


def test_axes_from_few_rows_are_those_from_the_covariance():
    rows = np.random.default_rng(1).normal(size=(6, 20))
    values, vectors = np.linalg.eigh(np.cov(rows.T, bias=True))
    axes = principal_axes(rows, 3)
    overlap = np.abs(axes.basis.T @ vectors[:, ::-1][:, :3])
    np.testing.assert_allclose(overlap, np.eye(3), atol=1e-8)
    np.testing.assert_allclose(axes.noise_variance, values[:-3].sum() / 17, rtol=1e-9)


def test_density_is_that_of_scipy_with_and_without_gaps():
    x = signals()
    model = fit_pca(x, 2)
    mean, cov = covariance(model)
    ours = jax.vmap(model.log_density)(jnp.asarray(x, jnp.float32))
    theirs = multivariate_normal(mean, cov).logpdf(x.reshape(300, 8))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)

    kept = np.array([0, 3, 4, 7])
    gappy = np.full(8, np.nan)
    gappy[kept] = x[5].reshape(8)[kept]
    part = multivariate_normal(mean[kept], cov[np.ix_(kept, kept)]).logpdf(gappy[kept])
    got = model.log_density(jnp.asarray(gappy.reshape(4, 2), jnp.float32))
    np.testing.assert_allclose(got, part, rtol=1e-4, atol=1e-3)
    assert model.log_density(jnp.full((4, 2), jnp.nan)) == 0


def test_latents_are_the_conditional_gaussian():
    model = fit_pca(signals(), 2, scale=UNIT)
    loadings = np.asarray(model.loadings, np.float64)
    mean, cov = covariance(model)
    x = signals(1, seed=3)[0]
    kept = np.array([1, 2, 6])
    gappy = np.full(8, np.nan)
    gappy[kept] = x.reshape(8)[kept]
    gain = loadings[kept].T @ np.linalg.inv(cov[np.ix_(kept, kept)])
    expected = gain @ (gappy[kept] - mean[kept])
    spread = np.eye(2) - gain @ loadings[kept]
    observed = jnp.asarray(gappy.reshape(4, 2), jnp.float32)
    np.testing.assert_allclose(model.encode(observed), expected, rtol=1e-3, atol=1e-4)

    keys = jax.random.split(jax.random.key(0), 20_000)
    draws = jax.vmap(lambda key: model.encode(observed, key=key))(keys)
    np.testing.assert_allclose(draws.mean(axis=0), expected, atol=4 * np.sqrt(spread.max() / 2e4))
    np.testing.assert_allclose(np.cov(draws.T), spread, rtol=0.05, atol=0.02 * spread.max())


def test_samples_have_the_covariance_of_the_model_and_the_mean_of_the_data():
    x = signals()
    model = fit_pca(x, 2)
    draws = jax.vmap(model.sample)(jax.random.split(jax.random.key(1), 20_000))
    assert draws.shape == (20_000, 4, 2)
    flat = np.asarray(draws.reshape(-1, 8))
    _, cov = covariance(model)
    spread = np.sqrt(np.diag(cov))
    difference = flat.mean(axis=0) - x.reshape(300, 8).mean(axis=0)
    assert np.abs(difference / spread).max() < 0.03
    both = np.outer(spread, spread)
    np.testing.assert_allclose(np.cov(flat.T) / both, cov / both, atol=0.04)


def test_gaps_cost_little_when_the_axes_are_fitted():
    rng = np.random.default_rng(4)
    rows = signals(800).reshape(800, 8)
    rows = rows / rows.std(axis=0)
    full = principal_axes(rows, 2)
    holes = np.where(rng.random(rows.shape) < 0.2, np.nan, rows)
    gappy = principal_axes(holes, 2)
    cosines = np.linalg.svd(full.basis.T @ gappy.basis, compute_uv=False)
    assert cosines.min() > 0.999
    np.testing.assert_allclose(gappy.noise_variance, full.noise_variance, rtol=0.1)
    np.testing.assert_allclose(gappy.strengths, full.strengths, rtol=0.1)
    np.testing.assert_allclose(gappy.mean, full.mean, atol=0.1)


def test_gaps_reach_a_stationary_point_of_the_observed_likelihood():
    rng = np.random.default_rng(5)
    rows = signals(60).reshape(60, 8)
    rows = rows / rows.std(axis=0)
    rows[rng.random(rows.shape) < 0.25] = np.nan
    axes = principal_axes(rows, 2)

    def likelihood(axes_loadings, mean, noise):
        total = 0.0
        cov = axes_loadings @ axes_loadings.T + noise * np.eye(8)
        for row in rows:
            kept = np.flatnonzero(~np.isnan(row))
            normal = multivariate_normal(mean[kept], cov[np.ix_(kept, kept)])
            total += normal.logpdf(row[kept])
        return total

    best = likelihood(axes.loadings, axes.mean, axes.noise_variance)
    for _ in range(20):
        loadings = axes.loadings + 0.03 * rng.normal(size=(8, 2))
        mean = axes.mean + 0.03 * rng.normal(size=8)
        noise = axes.noise_variance * np.exp(0.1 * rng.normal())
        assert likelihood(loadings, mean, noise) < best


def test_data_inside_the_axes_stay_finite():
    rng = np.random.default_rng(6)
    x = (rng.normal(size=(40, 1)) @ rng.normal(size=(1, 6))).reshape(40, 3, 2)
    model = fit_pca(x, 3)
    density = jax.vmap(model.log_density)(jnp.asarray(x, jnp.float32))
    assert np.isfinite(density).all()
    back = jax.vmap(lambda x: model.decode(model.encode(x)))(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(back, x, atol=1e-2)


@pytest.mark.parametrize(
    ("rows", "count", "words"),
    [
        (np.zeros((5, 4)), 0, "0 principal axes"),
        (np.zeros((5, 4)), 4, "from 1 to 3"),
        (np.where(np.arange(4) == 2, np.nan, np.ones((5, 4))), 1, "never observed"),
    ],
)
def test_axes_that_cannot_be_are_refused(rows, count, words):
    with pytest.raises(ValueError, match=words):
        principal_axes(rows, count)


def two_bumps(n=400):
    rng = np.random.default_rng(7)
    side = np.where(rng.random(n) < 0.3, -1.0, 1.0)
    coordinates = side[:, None] * np.array([4.0, 0.0]) + rng.normal(size=(n, 2))
    basis = np.linalg.qr(rng.normal(size=(6, 2)))[0]
    return (coordinates @ basis.T + 0.1 * rng.normal(size=(n, 6))).reshape(n, 3, 2)


def flat_mixture(model):
    """Weights, means and covariances of a mixture in scaled units, in float64."""
    axes = np.asarray(model.axes, np.float64)
    mean = np.asarray(model.mean, np.float64)
    means = [mean + axes @ np.asarray(m, np.float64) for m in model.means]
    factors = [axes @ np.asarray(f, np.float64) for f in model.factors]
    noise = float(model.noise_variance) * np.eye(len(mean))
    return np.exp(model.log_weights), means, [f @ f.T + noise for f in factors]


def test_mixture_density_is_that_of_scipy_with_and_without_gaps():
    x = two_bumps()
    model = fit_gaussian_mixture(x, 2, components=2, scale=UNIT)
    weights, means, covariances = flat_mixture(model)

    def truth(row):
        kept = np.flatnonzero(~np.isnan(row))
        parts = [
            weight * multivariate_normal(mean[kept], cov[np.ix_(kept, kept)]).pdf(row[kept])
            for weight, mean, cov in zip(weights, means, covariances, strict=True)
        ]
        return np.log(sum(parts))

    rows = x.reshape(-1, 6)[:20].copy()
    rows[10:, [1, 4]] = np.nan
    ours = jax.vmap(model.log_density)(jnp.asarray(rows.reshape(20, 3, 2), jnp.float32))
    np.testing.assert_allclose(ours, [truth(row) for row in rows], rtol=1e-4, atol=1e-3)


def test_mixture_is_scikit_learns_in_the_axes_and_noise_beside_them():
    x = two_bumps()
    model = fit_gaussian_mixture(x, 2, components=2, scale=UNIT, seed=3)
    axes = principal_axes(x.reshape(-1, 6), 2)
    centred = x.reshape(-1, 6) - axes.mean
    coordinates = centred @ axes.basis
    peer = SklearnMixture(2, n_init=3, max_iter=200, random_state=3).fit(coordinates)
    left = ((centred - coordinates @ axes.basis.T) ** 2).sum(axis=1) / axes.noise_variance
    rest = -0.5 * (left + 4 * np.log(2 * np.pi * axes.noise_variance))
    ours = jax.vmap(model.log_density)(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(ours, peer.score_samples(coordinates) + rest, rtol=1e-4, atol=1e-3)


def test_mixture_finds_two_bumps_and_samples_them_in_their_proportion():
    x = two_bumps() * np.array([1.0, 30.0])
    model = fit_gaussian_mixture(x, 2)
    assert model.means.shape == (2, 2)
    np.testing.assert_allclose(np.exp(model.log_weights).min(), 0.3, atol=0.06)
    draws = jax.vmap(model.sample)(jax.random.split(jax.random.key(2), 20_000))
    ratio = draws.reshape(-1, 6).std(axis=0) / x.reshape(-1, 6).std(axis=0)
    np.testing.assert_allclose(ratio, 1, atol=0.03)


def test_mixture_takes_gaps():
    x = two_bumps()
    holes = np.where(np.random.default_rng(8).random(x.shape) < 0.1, np.nan, x)
    model = fit_gaussian_mixture(holes, 2, components=2)
    whole = fit_gaussian_mixture(x, 2, components=2)
    mean = [jax.vmap(m.log_density)(jnp.asarray(x, jnp.float32)).mean() for m in (model, whole)]
    assert mean[1] - 0.3 < mean[0] < mean[1] + 0.05


def test_mixture_of_too_many_is_refused():
    with pytest.raises(ValueError, match="components were asked for"):
        fit_gaussian_mixture(two_bumps(20), 2, components=21)
