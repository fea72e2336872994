"""Priors against SciPy's distributions; the walk from -3 to 3; errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import unweave as uw

PRIORS = {
    "normal": (uw.normal(2.0, 3.0), scipy.stats.norm(2.0, 3.0)),
    "log-normal": (uw.log_normal(0.5, 0.25), scipy.stats.lognorm(0.25, scale=np.exp(0.5))),
    "uniform": (uw.uniform(-1.0, 4.0), scipy.stats.uniform(-1.0, 5.0)),
    "log-uniform": (uw.log_uniform(0.1, 10.0), scipy.stats.loguniform(0.1, 10.0)),
}


@pytest.mark.parametrize("name", PRIORS)
def test_prior_agrees_with_scipy(name):
    prior, oracle = PRIORS[name]
    latents = uw.latents(["a"], [prior])
    scores = np.linspace(-2.5, 2.5, 11)
    z = jax.vmap(latents.from_normal)(jnp.asarray(scores, jnp.float32)[:, None])
    expected = oracle.ppf(scipy.stats.norm.cdf(scores))
    np.testing.assert_allclose(z[:, 0], expected, rtol=2e-4)
    np.testing.assert_allclose(
        jax.vmap(latents.log_prior)(z), oracle.logpdf(np.asarray(z[:, 0])), rtol=1e-3, atol=1e-4
    )


def test_supports_are_kept_and_left():
    latents = uw.latents(list(PRIORS), [prior for prior, _ in PRIORS.values()])
    z = jax.vmap(latents.sample)(jax.random.split(jax.random.key(0), 100))
    back = jax.vmap(lambda z: latents.constrain(latents.unconstrain(z)))(z)
    np.testing.assert_allclose(back, z, rtol=1e-3, atol=1e-4)
    assert jnp.isfinite(jax.vmap(latents.log_prior)(z)).all()
    outside = z.at[:, 2].set(5.0)
    assert jnp.isneginf(jax.vmap(latents.log_prior)(outside)).all()


def test_a_sample_follows_the_prior():
    latents = uw.latents(list(PRIORS), [prior for prior, _ in PRIORS.values()])
    z = jax.vmap(latents.sample)(jax.random.split(jax.random.key(1), 2000))
    for i, (_, oracle) in enumerate(PRIORS.values()):
        assert scipy.stats.kstest(np.asarray(z[:, i]), oracle.cdf).pvalue > 1e-3


def test_prior_numbers_are_never_trained():
    latents = uw.latents(["a"], [uw.uniform(0.0, 1.0)])
    assert jax.tree.leaves(latents) == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: uw.normal(0.0, -1.0), "std is -1.0; it must be positive"),
        (lambda: uw.uniform(2.0, 1.0), "interval"),
        (
            lambda: uw.latents(["a", "a"], [uw.normal(), uw.normal()]),
            "two latents are called 'a'",
        ),
        (lambda: uw.latents(["a"], []), "1 names"),
        (lambda: uw.Latents.standard(0), "at least one"),
        (lambda: uw.Latents.standard(2).index("z9"), "no latent is called 'z9'"),
        (lambda: uw.Prior("cauchy", (0.0, 1.0)), "no family"),
    ],
)
def test_errors_say_what_is_wrong(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        wrong()
