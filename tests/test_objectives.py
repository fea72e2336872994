"""The objectives against closed forms: the exact likelihood of a linear model, SciPy's
Gaussians, the gradient's linearity in beta."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats

from unweave import data, recipes, train
from unweave._latents import Latents
from unweave._many import many
from unweave._model import AbstractEncoder
from unweave._schema import Schema
from unweave.networks import MLP, VAE, fit_pca, start_pair
from unweave.recipes._variational import _Critic

SIZE, LATENTS, N = 12, 3, 400


@pytest.fixture(scope="module")
def linear_data():
    """Observations of a linear Gaussian model: three latents, twelve samples in time."""
    random = np.random.default_rng(0)
    loadings = random.normal(size=(SIZE, LATENTS)) * np.array([2.0, 1.0, 0.5])
    x = random.normal(size=(N, LATENTS)) @ loadings.T + 0.3 * random.normal(size=(N, SIZE)) + 1.0
    schema = Schema("rows", ("time", "channel"), (SIZE, 1), ("x",), ("mV",))
    return data.dataset(x[..., None].astype(np.float32), schema)


@pytest.fixture(scope="module")
def linear_vae(linear_data):
    pair = start_pair(linear_data, LATENTS, widths=(16,), key=jax.random.key(0))
    return VAE(Latents.standard(LATENTS), *pair)


def test_at_the_principal_axes_the_bound_is_the_exact_likelihood(linear_data, linear_vae):
    exact = many(fit_pca(linear_data.observations, LATENTS).log_density, linear_data.observations)
    bound = many(linear_vae.log_density, linear_data.observations)
    assert bound.mean() == pytest.approx(exact.mean(), rel=2e-3)


@pytest.mark.slow
def test_a_trained_vae_reaches_the_exact_likelihood(linear_data):
    """From a random start, without the linear path that begins at the answer."""
    pair = start_pair(linear_data, LATENTS, widths=(32,), key=jax.random.key(0))
    random = jax.tree.map(
        lambda w: (
            0.1 * jax.random.normal(jax.random.key(w.size), w.shape)
            if eqx.is_inexact_array(w)
            else w
        ),
        pair.encoder,
    )
    model = VAE(Latents.standard(LATENTS), random, pair.decoder, pair.noise, pair.scale)
    recipe = recipes.vae(latents=LATENTS, epochs=600, learning_rate=3e-3, patience=600)
    trainer = train.Trainer(
        model, linear_data.observations, linear_data.observations, recipe.plan,
        key=jax.random.key(1),
    )  # fmt: skip
    trained = trainer.run(trainer.start(), [], train.Watch()).model
    exact = many(fit_pca(linear_data.observations, LATENTS).log_density, linear_data.observations)
    bound = many(trained.log_density, linear_data.observations)
    assert bound.mean() == pytest.approx(exact.mean(), rel=0.01)


def test_beta_scales_the_gradient_of_the_kl_linearly(linear_data, linear_vae):
    x, key, step = jnp.asarray(linear_data.observations[:64]), jax.random.key(2), jnp.asarray(0)

    def gradient(beta):
        loss = eqx.filter_grad(lambda model: train.elbo(beta)(model, x, key, step)[0])
        return jnp.concatenate([g.ravel() for g in jax.tree.leaves(loss(linear_vae))])

    zero, one, four = gradient(0.0), gradient(1.0), gradient(4.0)
    assert jnp.linalg.norm(one - zero) > 0.1
    np.testing.assert_allclose(four - zero, 4 * (one - zero), rtol=1e-3, atol=2e-2)


def test_capacity_counts_steps_and_grows_to_its_end(linear_data, linear_vae):
    x, key = jnp.asarray(linear_data.observations[:32]), jax.random.key(3)
    objective = train.capacity(25.0, 10.0, 100)
    for step, expected in ((0, 0.0), (50, 12.5), (100, 25.0), (500, 25.0)):
        loss, metrics = objective(linear_vae, x, key, jnp.asarray(step))
        assert float(metrics["capacity"]) == pytest.approx(expected)
        by_hand = float(metrics["reconstruction"]) + 10.0 * abs(float(metrics["kl"]) - expected)
        assert float(loss) == pytest.approx(by_hand, rel=1e-5)


def test_total_correlation_by_minibatch_weighting_against_scipy(linear_data, linear_vae):
    x, key = jnp.asarray(linear_data.observations[:16]), jax.random.key(4)
    beta, size = 6.0, 400
    loss, metrics = train.total_correlation(beta, size)(linear_vae, x, key, jnp.asarray(0))
    terms = train.variational_terms(linear_vae, x, key)
    z, mean, std = (np.asarray(v, np.float64) for v in (terms.z, terms.mean, np.exp(terms.log_std)))
    log_q = scipy.stats.norm(mean[None], std[None]).logpdf(z[:, None])
    weight = np.log(16 * size)
    joint = scipy.special.logsumexp(log_q.sum(-1), axis=1) - weight
    product = (scipy.special.logsumexp(log_q, axis=1) - weight).sum(-1)
    own = scipy.stats.norm(mean, std).logpdf(z).sum(-1)
    prior = scipy.stats.norm.logpdf(z).sum(-1)
    assert metrics["total_correlation"] == pytest.approx((joint - product).mean(), rel=1e-4)
    expected = (own - joint).mean() + beta * (joint - product).mean() + (product - prior).mean()
    assert loss - terms.reconstruction == pytest.approx(expected, rel=1e-3)


def test_dip_penalises_the_covariance_of_means_or_samples(linear_data, linear_vae):
    x, key = jnp.asarray(linear_data.observations[:64]), jax.random.key(5)
    terms = train.variational_terms(linear_vae, x, key)
    means = np.cov(np.asarray(terms.mean), rowvar=False, bias=True)
    of_samples = means + np.diag(np.exp(2 * np.asarray(terms.log_std)).mean(0))
    for covariance, second in ((means, False), (of_samples, True)):
        objective = train.disentangled_prior(10.0, 5.0, of_samples=second)
        _, metrics = objective(linear_vae, x, key, jnp.asarray(0))
        off = covariance - np.diag(np.diag(covariance))
        expected = 10 * (off**2).sum() + 5 * ((np.diag(covariance) - 1) ** 2).sum()
        assert metrics["penalty"] == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_mmd_is_zero_for_one_distribution_and_known_for_two():
    a, b, shifted = (jax.random.normal(jax.random.key(i), (600, 2)) for i in range(3))
    assert abs(train.maximum_mean_discrepancy(a, b)) < 0.01
    # against the kernel's expectation by quadrature on independent draws of SciPy's generator
    random = np.random.default_rng(0)
    u, v, s = random.normal(size=(3, 200_000, 2))

    def expected(p, q):
        return (4 / (4 + ((p - q) ** 2).sum(-1))).mean()

    half = len(u) // 2
    exact = 2 * expected(u[:half], u[half:]) - 2 * expected(v, s + 1.0)
    assert train.maximum_mean_discrepancy(a, shifted + 1.0) == pytest.approx(exact, abs=0.02)


def test_info_vae_with_alpha_one_drops_the_kl(linear_data, linear_vae):
    x, key = jnp.asarray(linear_data.observations[:64]), jax.random.key(6)
    loss, metrics = train.information(1.0, 50.0)(linear_vae, x, key, jnp.asarray(0))
    assert loss == pytest.approx(float(metrics["reconstruction"] + 50 * metrics["mmd"]), rel=1e-5)


def test_permuted_codes_keep_their_marginals_and_lose_their_correlation():
    z = jax.random.normal(jax.random.key(0), (4000, 1)) * jnp.ones((1, 2))
    permuted = train.permute_codes(z, jax.random.key(1))
    np.testing.assert_allclose(jnp.sort(permuted, axis=0), jnp.sort(z, axis=0))
    assert abs(np.corrcoef(np.asarray(permuted).T)[0, 1]) < 0.06


def test_a_perfect_critic_gives_the_total_correlation():
    """The critic's log odds estimate log q(z) - log prod q(z_j): for a Gaussian with
    correlation r that is -log(1 - r^2) / 2 on average."""
    r = 0.8
    z = jax.random.multivariate_normal(
        jax.random.key(0), jnp.zeros(2), jnp.array([[1, r], [r, 1]]), (4000,)
    )
    objective = train.factor_critic()

    class Given(AbstractEncoder):
        def encode(self, x, condition=None, *, key=None):
            return x

    net = _Critic(MLP(2, 1, (64, 64), key=jax.random.key(1)))
    stepper = train.Descend(
        lambda critic, x, key, step: objective(critic, Given(), x, key, step),
        optax.adam(2e-3),
    )
    state, step = stepper.init(net, key=jax.random.key(2)), eqx.filter_jit(stepper.step)
    for i in range(400):
        rows = jax.random.choice(jax.random.key(i), 4000, (512,))
        state, _ = step(state, z[rows], jax.random.key(i))
    estimate = jax.vmap(state.model)(z).mean()
    assert estimate == pytest.approx(-0.5 * np.log(1 - r**2), abs=0.12)


def test_awake_the_bound_moves_all_and_asleep_it_moves_what_decodes(linear_data, linear_vae):
    x, key, step = jnp.asarray(linear_data.observations), jax.random.key(7), jnp.asarray(0)
    same = jax.random.split(key, 3)[0]

    def gradient(objective, key):
        return eqx.filter_grad(lambda model: objective(model, x, key, step)[0])(linear_vae)

    def flat(tree):
        return np.concatenate([np.ravel(g) for g in jax.tree.leaves(tree)])

    bound = gradient(train.elbo(), same)
    awake, asleep = (gradient(train.wake_sleep(n, draws=8), key) for n in (0, 10))
    np.testing.assert_allclose(flat(awake), flat(bound), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(flat(asleep.decoder), flat(bound.decoder), rtol=1e-4, atol=1e-4)
    loss, metrics = train.wake_sleep(10, draws=8)(linear_vae, x, key, step)
    assert float(loss) == pytest.approx(float(train.elbo()(linear_vae, x, same, step)[0]), rel=1e-5)
    # the encoder of principal axes is the posterior itself: what it makes of the model's own draws
    # is the posterior's entropy on average, and nothing moves it
    log_std = train.variational_terms(linear_vae, x, same).log_std
    entropy = float(log_std[0].sum()) + 0.5 * LATENTS * (1 + np.log(2 * np.pi))
    assert float(metrics["sleep"]) == pytest.approx(entropy, abs=0.1)
    assert np.linalg.norm(flat(asleep.encoder)) < 0.2 * np.linalg.norm(flat(bound.encoder) * 10)
