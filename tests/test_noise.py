"""Every noise against SciPy, with and without gaps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import unweave as uw

ETA = np.array([[0.3, -1.0], [2.0, 0.1], [0.0, -0.4]], np.float32)
NOISES = {
    "gaussian": (uw.Gaussian.fixed(0.7), lambda e: scipy.stats.norm(e, 0.7)),
    "gaussian, learned": (
        uw.Gaussian.learned((2,), start=0.7),
        lambda e: scipy.stats.norm(e, 0.7),
    ),
    "laplace": (uw.Laplace.fixed(0.5), lambda e: scipy.stats.laplace(e, 0.5)),
    "student": (uw.StudentT.fixed(0.5), lambda e: scipy.stats.t(4.0, e, 0.5)),
    "bernoulli": (uw.Bernoulli(), lambda e: scipy.stats.bernoulli(1 / (1 + np.exp(-e)))),
    "poisson": (uw.Poisson(), lambda e: scipy.stats.poisson(np.exp(e))),
}


@pytest.mark.parametrize("name", NOISES)
def test_log_prob_agrees_with_scipy_and_skips_what_was_not_observed(name):
    noise, oracle = NOISES[name]
    x = np.array([[1.0, 0.0], [0.0, 1.0], [np.nan, 1.0]], np.float32)
    of = oracle(ETA.astype(np.float64))
    each = of.logpmf(x) if noise.is_discrete else of.logpdf(x)
    got = noise.log_prob(jnp.asarray(x), jnp.asarray(ETA))
    np.testing.assert_allclose(got, np.nansum(each), rtol=1e-5)
    gradient = jax.grad(lambda eta: noise.log_prob(jnp.asarray(x), eta))(jnp.asarray(ETA))
    assert jnp.isfinite(gradient).all()
    assert gradient[2, 0] == 0
    np.testing.assert_allclose(noise.mean(jnp.asarray(ETA)), of.mean(), rtol=1e-5)


@pytest.mark.parametrize("name", NOISES)
def test_samples_have_the_mean_and_deviation_of_the_distribution(name):
    noise, oracle = NOISES[name]
    draw = jax.vmap(lambda key: noise.sample(key, jnp.asarray(ETA)))
    x = np.asarray(draw(jax.random.split(jax.random.key(0), 20000)), np.float64)
    of = oracle(ETA.astype(np.float64))
    error = 5 * of.std() / np.sqrt(len(x))
    assert (np.abs(x.mean(0) - of.mean()) < error).all()
    np.testing.assert_allclose(x.std(0), of.std() * np.ones_like(ETA), rtol=0.1)


def test_a_fixed_scale_is_no_leaf_and_a_learned_one_is():
    assert jax.tree.leaves(uw.Gaussian.learned((3,)))[0].shape == (3,)
    assert not any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(uw.Gaussian.fixed(0.1)))


def test_a_scale_must_be_positive():
    with pytest.raises(ValueError, match="must be positive"):
        uw.Gaussian.fixed(0.0)
    with pytest.raises(ValueError, match="more than 2"):
        uw.StudentT(0.0, degrees=1.5)
