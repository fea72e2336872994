"""Latents that are choices: quantised codes, values and bits, each term against NumPy by hand."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats

from models import small_beats
from unweave import recipes, train
from unweave._many import many
from unweave._model import bernoulli_kl, categorical_kl
from unweave.evaluate import choice_use
from unweave.networks.discrete import (
    VQVAE,
    BinaryVAE,
    choice_latents,
    start_binary_vae,
    start_qlae,
    start_vqvae,
)
from unweave.networks.discrete._choices import middle, whole
from unweave.run import fit
from unweave.train._discrete import Moving, moved_codebook, revived, usage

STEP = jnp.asarray(0)


@pytest.fixture(scope="module")
def beats():
    return small_beats().train


@pytest.fixture(scope="module")
def x(beats):
    return jnp.asarray(beats.observations[:6], jnp.float32)


@pytest.fixture(scope="module")
def vq(beats):
    """Three places, five codes, small enough that every code is somewhere nearest."""
    model = start_vqvae(beats, codes=5, width=2, places=3, widths=(8,), key=jax.random.key(0))
    return model.with_codebook(0.1 * model.codebook)


@pytest.fixture(scope="module")
def quantised(beats):
    return start_qlae(beats, 3, values=4, widths=(8,), key=jax.random.key(1))


@pytest.fixture(scope="module")
def binary(beats):
    return start_binary_vae(beats, 3, widths=(8,), key=jax.random.key(2))


def test_a_choice_is_the_whole_part_of_a_uniform_latent():
    latents = choice_latents(["a", "b"], (3, 7))
    z = jax.vmap(latents.sample)(jax.random.split(jax.random.key(0), 4000))
    which = jax.vmap(lambda z: whole(z, (3, 7)))(z)
    for column, size in zip(which.T, (3, 7), strict=True):
        share = np.bincount(column, minlength=size) / len(column)
        np.testing.assert_allclose(share, 1 / size, atol=0.03)
    np.testing.assert_array_equal(whole(middle(which[0]), (3, 7)), which[0])
    np.testing.assert_array_equal(whole(jnp.asarray([3.0, -0.1]), (3, 7)), [2, 0])
    with pytest.raises(ValueError, match="'a' is a choice among 1"):
        choice_latents(["a"], (1,))


def test_the_nearest_entry_is_that_of_all_distances(vq, x):
    distance = ((many(vq.code, x)[:, :, None] - np.asarray(vq.codebook)) ** 2).sum(-1)
    np.testing.assert_array_equal(many(vq.choices, x), distance.argmin(-1))


def test_the_quantised_loss_by_hand(vq, quantised, x):
    for model in (vq, quantised):
        objective = eqx.filter_jit(train.quantised(0.3, 0.7))
        loss, metrics = objective(model, x, jax.random.key(0), STEP)
        entries = many(model.entries, many(model.choices, x))
        squares = ((many(model.code, x) - entries) ** 2).sum((1, 2))
        misfit = -many(model.log_likelihood, x, many(model.encode, x))
        assert float(loss) == pytest.approx((misfit + (0.3 + 0.7) * squares).mean(), rel=1e-4)
        assert set(metrics) == {"reconstruction", "distance"}


def test_the_gradient_passes_straight_through_the_entries(vq, x):
    """The encoder gets the decoder's gradient at the entry, and the commitment's 2 b (e - c)."""

    class Given(eqx.Module):
        code: jax.Array

        def __call__(self, x):
            return self.code

    code = jnp.asarray(many(vq.code, x[:1])[0])
    model = eqx.tree_at(lambda m: m.encoder, vq, Given(code))

    def loss(model):
        return train.quantised(0.0, 0.7)(model, x[:1], jax.random.key(0), STEP)[0]

    got = eqx.filter_jit(eqx.filter_grad(loss))(model)
    entries = model.entries(model.nearest(code))
    decoder = jax.jit(jax.grad(lambda c: -model.log_likelihood_of(x[0], c)))(entries)
    np.testing.assert_allclose(
        got.encoder.code, decoder + 2 * 0.7 * (code - entries), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(got.codebook, 0)


def test_values_are_drawn_to_the_codes_that_take_them(quantised, x):
    one = x[:1]
    with_it, without = (
        eqx.filter_jit(
            eqx.filter_grad(
                lambda m, a=a: train.quantised(a, 0.0)(m, one, jax.random.key(0), STEP)[0]
            )
        )(quantised).values
        for a in (1.0, 0.0)
    )
    code, which = many(quantised.code, one)[0, :, 0], many(quantised.choices, one)[0]
    expected = np.zeros((3, 4))
    at = np.arange(3)
    expected[at, which] = 2 * (np.asarray(quantised.values)[at, which] - np.asarray(code))
    np.testing.assert_allclose(with_it - without, expected, rtol=1e-3, atol=1e-4)


def test_a_moving_codebook_by_hand():
    random = np.random.default_rng(0)
    counts, sums = random.uniform(1, 2, 4), random.normal(size=(4, 2))
    code, which = random.normal(size=(9, 2)), random.integers(0, 4, 9)
    moving = Moving(jnp.asarray(counts, jnp.float32), jnp.asarray(sums, jnp.float32))
    new = moved_codebook(moving, jnp.asarray(code, jnp.float32), jnp.asarray(which), 0.9)
    for k in range(4):
        mine = code[which == k]
        assert float(new.counts[k]) == pytest.approx(0.9 * counts[k] + 0.1 * len(mine), rel=1e-5)
        np.testing.assert_allclose(new.sums[k], 0.9 * sums[k] + 0.1 * mine.sum(0), rtol=1e-4)


def test_dead_codes_start_anew_at_vectors_of_the_batch():
    moving = Moving(jnp.asarray([5.0, 0.01, 5.0]), jnp.ones((3, 2)))
    code = jnp.arange(24, dtype=jnp.float32).reshape(12, 2) + 100
    new = revived(moving, code, 0.1, jax.random.key(0))
    np.testing.assert_allclose(new.counts, [5.0, 4.0, 5.0])
    np.testing.assert_allclose(new.sums[np.array([0, 2])], 1.0)
    assert any(np.allclose(new.sums[1] / 4, c) for c in np.asarray(code))


def test_usage_and_perplexity_against_scipy():
    counts = np.asarray([3.0, 0.0, 7.0, 1.0])
    found = usage(jnp.asarray(counts))
    assert float(found["used"]) == pytest.approx(0.75)
    expected = np.exp(scipy.stats.entropy(counts))
    assert float(found["perplexity"]) == pytest.approx(expected, rel=1e-5)


def test_the_stepper_fills_the_codebook_and_no_gradient_moves_it(vq, x):
    stepper = train.MovingCodebook(optax.sgd(0.0))
    step = eqx.filter_jit(stepper.step)
    state, metrics = step(stepper.init(vq, key=jax.random.key(0)), x, jax.random.key(1))
    code = many(vq.code, x).reshape(-1, 2)
    for entry in np.asarray(state.model.codebook):
        assert np.abs(code - entry).sum(1).min() < 1e-5
    assert float(metrics["used"]) == 1.0
    before, after = (
        jax.tree.leaves(eqx.filter(m.encoder, eqx.is_array)) for m in (vq, state.model)
    )
    assert all(jnp.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_counted_prior_gives_each_code_its_share(vq, beats):
    model = vq.counted(jnp.asarray(beats.observations, jnp.float32))
    which = np.asarray(many(model.choices, beats.observations.astype(np.float32)))
    counts = np.stack([np.bincount(column, minlength=5) for column in which.T]) + 1
    prior = counts / counts.sum(1, keepdims=True)
    logs = float(model.log_prior(jnp.asarray(which[0])))
    assert logs == pytest.approx(np.log(prior[np.arange(3), which[0]]).sum(), rel=1e-5)
    # there and back: an observation's latents stand for its codes
    z = many(model.encode, beats.observations.astype(np.float32))
    np.testing.assert_array_equal(many(model.read, z), which)
    # and the prior of the latents is that of the codes
    drawn = jax.jit(jax.vmap(lambda k: model.read(model.latents.sample(k))))(
        jax.random.split(jax.random.key(0), 20_000)
    )
    for place in range(3):
        share = np.bincount(np.asarray(drawn)[:, place], minlength=5) / len(drawn)
        np.testing.assert_allclose(share, prior[place], atol=0.012)


def test_the_bounds_are_likelihood_and_prior(vq, quantised, x):
    for model, prior in ((vq, -3 * np.log(5)), (quantised, -3 * np.log(4))):
        expected = many(model.log_likelihood, x, many(model.encode, x)) + prior
        np.testing.assert_allclose(many(model.log_density, x), expected, rtol=1e-4)


def test_a_grid_of_codes_for_long_series_and_images(beats):
    model = start_vqvae(beats, codes=4, width=3, channels=4, key=jax.random.key(0))
    assert model.grid == (8,)
    assert model.latents.names[0] == "k1"
    z = model.latents.sample(jax.random.key(0))
    assert jax.eval_shape(model.decode, z).shape == (32, 1)
    with pytest.raises(ValueError, match="leave places out"):
        start_vqvae(beats, places=3, convolutional=True, key=jax.random.key(0))


def test_the_divergence_of_bits_and_categories_against_scipy():
    logits = jnp.asarray([-3.0, 0.0, 0.4])
    for got, logit in zip(bernoulli_kl(logits), logits, strict=True):
        p = 1 / (1 + np.exp(-float(logit)))
        expected = scipy.stats.entropy([p, 1 - p], [0.5, 0.5])
        assert float(got) == pytest.approx(expected, abs=1e-6)
    p = np.exp(logits) / np.exp(logits).sum()
    expected = scipy.stats.entropy(p, np.full(3, 1 / 3))
    assert float(categorical_kl(logits)) == pytest.approx(expected, rel=1e-5)


def sums_over_bits(model, x):
    """The bound and the log-density itself, by all combinations of the bits."""
    p = 1 / (1 + np.exp(-many(model.logits, x[:1])[0].astype(np.float64)))
    bits = np.asarray(list(itertools.product((0.0, 1.0), repeat=len(p))), np.float32)
    q = np.where(bits == 1, p, 1 - p).prod(1)
    likelihood = many(model.log_likelihood_of, jnp.stack([x[0]] * len(bits)), bits)
    joint = likelihood.astype(np.float64) + len(p) * np.log(0.5)
    return (q * (joint - np.log(q))).sum(), scipy.special.logsumexp(joint)


def test_the_bound_of_few_bits_is_the_sum_over_all_of_them(binary, x):
    bound, exact = sums_over_bits(binary, x)
    assert many(binary.log_density, x[:1])[0] == pytest.approx(bound, rel=1e-4)
    assert bound <= exact + 1e-6


def test_the_bound_of_more_bits_is_drawn(beats, x):
    made = start_binary_vae(beats, 7, widths=(8,), key=jax.random.key(2))
    model = BinaryVAE(made.latents, made.encoder, made.decoder, made.noise, made.scale, draws=4000)
    bound, _ = sums_over_bits(model, x)
    assert many(model.log_density, x[:1])[0] == pytest.approx(bound, rel=0.03)


def test_the_binary_loss_by_hand(binary, x):
    estimator = train.sure_bits()
    key = jax.random.key(3)
    objective = eqx.filter_jit(train.binary_elbo(estimator, 0.5))
    loss, metrics = objective(binary, x, key, STEP)
    logits = jnp.asarray(many(binary.logits, x))
    bits = estimator(logits, key)
    assert set(np.unique(bits)) <= {0.0, 1.0}
    misfit = -many(binary.log_likelihood_of, x, bits).mean()
    p = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    kl = (np.log(2) + p * np.log(p) + (1 - p) * np.log(1 - p)).sum(1).mean()
    assert float(loss) == pytest.approx(misfit + 0.5 * kl, rel=1e-4)
    assert float(metrics["elbo"]) == pytest.approx(-misfit - kl, rel=1e-4)


def test_estimators_of_bits():
    logits = jnp.tile(jnp.asarray([-1.0, 0.5]), (20_000, 1))
    p = jax.nn.sigmoid(logits[0])
    key = jax.random.key(0)
    np.testing.assert_allclose(train.sure_bits()(logits, key).mean(0), p, atol=0.02)
    # a concrete variable is above one half as often as the bit is one (Maddison et al., 2017)
    concrete = train.concrete_bits(0.3)(logits, key)
    np.testing.assert_allclose((concrete > 0.5).mean(0), p, atol=0.02)
    assert 0 < float(concrete.min()) < float(concrete.max()) <= 1
    # straight through: the gradient is that of the probability
    slope = jax.grad(lambda one: train.sure_bits()(one, key).sum())(logits[:1])
    np.testing.assert_allclose(slope[0], p * (1 - p), rtol=1e-5)
    with pytest.raises(ValueError, match="temperature is 0"):
        train.concrete_bits(0.0)


def test_only_the_nets_of_a_quantised_autoencoder_shrink(quantised):
    mask = recipes._discrete._weights(eqx.filter(quantised, eqx.is_inexact_array))
    assert not mask.values
    assert not any(jax.tree.leaves(mask.noise))
    assert any(jax.tree.leaves(mask.encoder))


def test_values_in_order_decode_to_the_same(quantised, x):
    mixed = eqx.tree_at(lambda m: m.values, quantised, quantised.values[:, ::-1])
    sorted_ = mixed.in_order()
    np.testing.assert_array_equal(jnp.diff(sorted_.values) >= 0, True)
    a, b = (many(m.decode, many(m.encode, x)) for m in (mixed, sorted_))
    np.testing.assert_allclose(a, b, rtol=1e-5)


def test_a_run_says_how_many_codes_are_used(beats):
    recipe = recipes.vq_vae(latents=2, codes=8, width=2, widths=(8,), epochs=2, batch=8)
    run = fit(recipe, small_beats(), quiet=True)
    told = run.result["choices"]
    which = np.asarray(many(run.model.choices, small_beats().test.observations.astype(np.float32)))
    counts = np.bincount(which.ravel(), minlength=8)
    assert told["used"] == (counts > 0).sum()
    assert told["perplexity"] == pytest.approx(np.exp(scipy.stats.entropy(counts)), rel=1e-6)
    assert "codes are used by 13 observations" in told["sentence"]
    assert {"train_used", "train_perplexity", "held_out_perplexity"} <= set(run.rows[-1])


def test_use_of_values_is_a_mean_over_latents(quantised):
    data = small_beats().test
    use = choice_use(quantised, data)
    which = np.asarray(many(quantised.choices, data.observations.astype(np.float32)))
    assert use.used == pytest.approx(np.mean([len(np.unique(column)) for column in which.T]))
    assert (use.values, use.latents, use.shared) == (4.0, 3, False)
    assert "4 values over 13 observations" in use.sentence()
    assert isinstance(start_vqvae(data, key=jax.random.key(0)), VQVAE)
