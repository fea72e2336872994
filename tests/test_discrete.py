"""Latents that are choices: quantised codes, values and bits, each term against NumPy by hand."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.ndimage
import scipy.optimize
import scipy.special
import scipy.stats

from models import small_beats
from unweave import check_model, load_model, recipes, save_model, train
from unweave._families import bernoulli_kl, categorical_kl
from unweave._many import many
from unweave._model import gaussian_kl
from unweave._schema import Schema
from unweave.data import dataset, digits, split_at_random
from unweave.evaluate import choice_use
from unweave.networks.discrete import (
    VQVAE,
    BinaryVAE,
    ImageView,
    PlacedDecoder,
    PlacedEncoder,
    RowView,
    SeriesView,
    SlotEncoder,
    choice_latents,
    start_binary_vae,
    start_cluster_vae,
    start_content_style_vae,
    start_qlae,
    start_slots,
    start_vqvae,
)
from unweave.networks.discrete._choices import middle, whole
from unweave.networks.discrete._content import centred, moved, whereabouts
from unweave.run import fit
from unweave.show import swap
from unweave.train._discrete import Moving, moved_codebook, revived, usage
from unweave.train._groups import group_posterior, neighbours_in_group, same_group

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


# clusters


@pytest.fixture(scope="module")
def clustered(beats):
    return start_cluster_vae(beats, 3, 2, widths=(8,), key=jax.random.key(4))


def blobs(n, seed=0, apart=6.0):
    """Three clouds in five dimensions, and which cloud each point is of."""
    random = np.random.default_rng(seed)
    which = random.integers(0, 3, n)
    points = apart * np.eye(5)[which] + random.normal(size=(n, 5))
    return points.astype(np.float32), which


def accuracy(found, known):
    """The share that is right under the best naming of the clusters."""
    table = np.zeros((max(found.max(), known.max()) + 1,) * 2)
    np.add.at(table, (found, known), 1)
    return table[scipy.optimize.linear_sum_assignment(-table)].sum() / len(found)


def test_a_graph_of_neighbours_finds_clouds_and_rings():
    points, which = blobs(300)
    assert accuracy(train.neighbour_clusters(points, 3), which) > 0.95
    # k-means cannot tell a ring from what it surrounds, neighbours can
    random = np.random.default_rng(0)
    angle, which = random.uniform(0, 2 * np.pi, 400), np.arange(400) % 2
    radius = np.where(which == 0, 1.0, 6.0) + 0.1 * random.normal(size=400)
    rings = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    assert accuracy(train.neighbour_clusters(rings, 2), which) > 0.95
    # a gap is filled, and too few observations are one cluster
    points[0, 2] = np.nan
    assert len(train.neighbour_clusters(points, 3)) == 300
    np.testing.assert_array_equal(train.neighbour_clusters(points[:5], 3), -1)


def test_the_divergences_of_a_mixture_against_quadrature(clustered):
    model = eqx.tree_at(
        lambda m: (m.means, m.log_stds), clustered,
        (jnp.asarray([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]]), 0.3 * jnp.arange(6.0).reshape(3, 2)),
    )  # fmt: skip
    mean, log_std = jnp.asarray([0.3, -0.2]), jnp.asarray([-0.5, 0.1])
    got = model.divergences(mean, log_std)
    grid = np.linspace(-12, 12, 20_001)
    for k in range(3):
        expected = 0.0
        for j in range(2):
            q = scipy.stats.norm(float(mean[j]), np.exp(float(log_std[j])))
            p = scipy.stats.norm(float(model.means[k, j]), np.exp(float(model.log_stds[k, j])))
            expected += np.trapezoid(q.pdf(grid) * (q.logpdf(grid) - p.logpdf(grid)), grid)
        assert float(got[k]) == pytest.approx(expected, rel=1e-4)


def test_the_bound_of_a_mixture_is_below_the_density(clustered, x):
    """By importance sampling from the posterior, which is exact with many draws."""
    bound = many(clustered.log_density, x[:1])[0]
    mean, log_std = (np.asarray(part) for part in eqx.filter_jit(clustered.posterior_of)(x[0]))
    random = np.random.default_rng(0)
    w = mean + np.exp(log_std) * random.normal(size=(20_000, 2))
    q = scipy.stats.norm(mean, np.exp(log_std)).logpdf(w).sum(1)
    means, stds = np.asarray(clustered.means), np.exp(np.asarray(clustered.log_stds))
    parts = scipy.stats.norm(means, stds).logpdf(w[:, None]).sum(2)
    prior = scipy.special.logsumexp(parts, axis=1) - np.log(3)
    likelihood = many(
        eqx.Partial(clustered.log_likelihood_of, x[0]), w.astype(np.float32), chunk=2000
    )
    exact = scipy.special.logsumexp(likelihood + prior - q) - np.log(len(w))
    assert bound < exact + 0.01
    logits = many(clustered.logits, x[:1])[0].astype(np.float64)
    assigned = scipy.special.softmax(logits)
    within = [
        (q - parts[:, k]).mean() * assigned[k] for k in range(3)
    ]  # the divergences by the same draws
    sure = scipy.stats.entropy(assigned, np.full(3, 1 / 3))
    assert bound == pytest.approx(likelihood.mean() - sum(within) - sure, rel=0.02)


def test_a_cluster_and_what_varies_in_it_lead_back(clustered, x):
    z = many(clustered.encode, x)
    np.testing.assert_array_equal(z[:, 0], many(clustered.choices, x)[:, 0] + 0.5)
    w = eqx.filter_jit(clustered._place)(jnp.asarray(z[0]))
    np.testing.assert_allclose(w, eqx.filter_jit(clustered.posterior_of)(x[0])[0], atol=1e-5)


def test_the_terms_of_clustering_by_hand(clustered, x):
    batch = train.Answered(x, jnp.asarray([0, 1, 2, 0, 1, -1]))
    key = jax.random.key(5)
    early, _ = eqx.filter_jit(train.clustering(10))(clustered, batch, key, STEP)
    free = eqx.filter_jit(train.clustering(0, information=0.7, consistency=0.3))
    late, metrics = free(clustered, batch, key, STEP)
    _, view_key = jax.random.split(key)
    keys = jax.random.split(view_key, 6)
    moved = many(eqx.filter_jit(lambda x, key: clustered.logits(clustered.view(x, key))), x, keys)
    q, q_moved = (
        scipy.special.softmax(np.asarray(part, np.float64), axis=1)
        for part in (many(clustered.logits, x), moved)
    )
    bound = -float(metrics["elbo"])
    begun = -np.log(q_moved[np.arange(5), np.asarray(batch.answer)[:5]]).mean()
    assert float(early) == pytest.approx(bound + begun, rel=1e-4)
    agreement = scipy.stats.entropy(q, q_moved, axis=1).mean()
    shared = scipy.stats.entropy(q.mean(0)) - scipy.stats.entropy(q, axis=1).mean()
    assert float(metrics["consistency"]) == pytest.approx(agreement, rel=1e-3, abs=1e-6)
    assert float(metrics["information"]) == pytest.approx(shared, rel=1e-3, abs=1e-6)
    assert float(late) == pytest.approx(bound + 0.3 * agreement - 0.7 * shared, rel=1e-4)


def test_mutual_information_of_sure_and_of_idle_assignments():
    sure = 50 * jnp.eye(4)
    assert float(train.mutual_information(sure)) == pytest.approx(np.log(4), abs=1e-5)
    assert float(train.mutual_information(jnp.ones((4, 3)))) == pytest.approx(0, abs=1e-6)


def test_views_move_an_observation_a_little():
    picture = jnp.zeros((15, 15, 1)).at[5:10, 5:10].set(1.0)
    still = ImageView(turn=0.0, stretch=0.0, shear=0.0, shift=0.0)
    np.testing.assert_allclose(jax.jit(still)(picture, jax.random.key(0)), picture, atol=1e-5)
    turned = jax.jit(ImageView(stretch=0.0, shear=0.0, shift=0.0))(picture, jax.random.key(1))
    assert float(turned.sum()) == pytest.approx(25, rel=0.05)
    assert float(jnp.abs(turned - picture).max()) > 0.05
    course = jnp.sin(jnp.linspace(0, 6, 50))[:, None]
    np.testing.assert_allclose(
        SeriesView(shift=0.0, stretch=0.0, noise=0.0)(course, jax.random.key(0)), course, atol=1e-6
    )
    moved = SeriesView(stretch=0.0, noise=0.0)(course, jax.random.key(1))
    assert 0.0 < float(jnp.abs(moved - course).mean()) < 0.3
    rows = RowView(0.2)(jnp.zeros(5000), jax.random.key(0))
    assert float(rows.std()) == pytest.approx(0.2, rel=0.05)


def test_clouds_are_found_without_labels():
    points, which = blobs(240)
    schema = Schema("rows", ("time", "channel"), (5, 1), ("a",), ("",))
    data = dataset(points[..., None], schema, labels=which, label_names=tuple("xyz"))
    data = split_at_random(data)
    recipe = recipes.cluster_vae(clusters=3, latents=1, epochs=10, batch=32, widths=(16,))
    run = fit(recipe, data, quiet=True)
    found = many(run.model.choices, data.test.observations)[:, 0]
    assert accuracy(found, data.test.labels) > 0.9
    assert run.result["choices"]["used"] == 3


# content and style


@pytest.fixture(scope="module")
def parted(beats):
    return start_content_style_vae(beats, 2, 1, widths=(8,), key=jax.random.key(6))


def test_a_centred_picture_has_its_object_in_the_middle():
    picture = jnp.full((12, 16, 1), 0.2).at[1:4, 9:13].set(1.0)
    middle = np.asarray(jax.jit(centred)(picture))[..., 0] - 0.2
    assert middle.sum() == pytest.approx(0.8 * 12, rel=1e-3)
    for axis, size in ((0, 12), (1, 16)):
        centre = (middle.sum(1 - axis) @ np.arange(size)) / middle.sum()
        assert centre == pytest.approx((size - 1) / 2, abs=1e-3)


def test_a_picture_is_moved_by_linear_interpolation():
    picture = np.random.default_rng(0).normal(size=(9, 12, 2)).astype(np.float32)
    by = (1.25, -2.5)
    # SciPy reads channel by channel, and draws out edges as "nearest" does
    expected = [scipy.ndimage.shift(picture[..., c], by, order=1, mode="nearest") for c in (0, 1)]
    got = jax.jit(moved)(jnp.asarray(picture), jnp.asarray(by))
    np.testing.assert_allclose(got, np.stack(expected, axis=-1), rtol=1e-4, atol=1e-5)


def test_style_knows_where_the_object_is_and_the_decoder_moves_it_there():
    def picture(row, column):
        return jnp.zeros((12, 16, 1)).at[row : row + 3, column : column + 2].set(1.0)

    place = jax.jit(whereabouts)(picture(2, 9))
    np.testing.assert_allclose(place, (3 - 5.5, 9.5 - 7.5), atol=1e-4)
    encoder = PlacedEncoder(lambda x: jnp.zeros(6), (0.5, 1.0), (2.0, 4.0))
    mean, log_std = jnp.split(eqx.filter_jit(encoder)(picture(2, 9)), 2)
    np.testing.assert_allclose(mean, ((-2.5 - 0.5) / 2, (2 - 1) / 4, 0), atol=1e-4)
    assert (np.asarray(log_std) < 0).tolist() == [True, True, False]
    place = jnp.asarray([[2.0, 0, 0], [0, 4.0, 0]])
    decoder = PlacedDecoder(lambda z: picture(2, 9), jnp.asarray([1.0, 0.0]), place)
    drawn = eqx.filter_jit(decoder)(jnp.asarray([1.0, -0.5, 9.0]))
    np.testing.assert_allclose(drawn, picture(5, 7), atol=1e-5)


@pytest.mark.parametrize("convolutional", [False, True])
def test_the_decoder_starts_at_the_places_of_the_training_data(pictures, convolutional, tmp_path):
    model = start_content_style_vae(
        pictures, 2, 3, widths=(8,), convolutional=convolutional, key=jax.random.key(6)
    )
    assert np.shape(model.decoder.place) == (2, 5)
    unmoved = np.delete(np.asarray(model.decoder.place), (2, 3), axis=1)
    np.testing.assert_array_equal(unmoved, 0)
    found = many(lambda x: whereabouts(x / 16), pictures.observations.astype(np.float32))
    np.testing.assert_allclose(model.decoder.middle, found.mean(0), rtol=1e-4, atol=1e-5)
    spread = np.diag(np.asarray(model.decoder.place)[:, 2:4])
    np.testing.assert_allclose(spread, found.std(0), rtol=1e-4)
    np.testing.assert_allclose(model.encoder.style.spread, spread, rtol=1e-5)
    save_model(tmp_path / "placed.uw", model)
    again = load_model(tmp_path / "placed.uw").model
    x = jnp.asarray(pictures.observations[0], jnp.float32)
    np.testing.assert_array_equal(eqx.filter_jit(again.encode)(x), eqx.filter_jit(model.encode)(x))
    one = start_content_style_vae(pictures, 2, 1, widths=(8,), key=jax.random.key(6))
    assert not isinstance(one.decoder, PlacedDecoder)  # one latent cannot say a place


def test_the_posterior_of_a_group_is_the_product_of_its_members():
    random = np.random.default_rng(0)
    mean, log_std = random.normal(size=(2, 5, 3)).astype(np.float32)
    group = np.asarray([0, 1, 0, 0, 1])
    got, got_log_std = group_posterior(
        jnp.asarray(mean), jnp.asarray(log_std), same_group(jnp.asarray(group))
    )
    grid = np.linspace(-9, 9, 9001)
    for i in range(5):
        members = group == group[i]
        for j in range(3):
            logs = scipy.stats.norm(mean[members, j], np.exp(log_std[members, j])).logpdf(
                grid[:, None]
            ).sum(1)  # fmt: skip
            p = np.exp(logs - logs.max())
            p /= p.sum()
            centre = (p * grid).sum()
            assert float(got[i, j]) == pytest.approx(centre, abs=1e-3)
            spread = np.sqrt((p * (grid - centre) ** 2).sum())
            assert float(jnp.exp(got_log_std[i, j])) == pytest.approx(spread, rel=1e-2)


def test_the_loss_of_groups_by_hand(parted, x):
    group = jnp.asarray([0, 1, 0, 0, 1, 2])
    key = jax.random.key(7)
    for alone in (0.0, 1.0):
        objective = eqx.filter_jit(train.group_elbo(0.5, alone, 0.3))
        loss, metrics = objective(parted, train.Answered(x, group), key, STEP)
        mean, log_std = eqx.filter_jit(lambda m, x: jax.vmap(m.posterior)(x))(parted, x)
        q = gaussian_kl(mean, log_std)
        if alone:
            # of a member alone: the divergence is that of one of the group
            choices = [np.asarray(q[group == g, :2].sum(1)) for g in group]
            low, high = (np.mean([f(c) for c in choices]) for f in (np.min, np.max))
            assert low - 1e-4 <= float(metrics["kl_content"]) <= high + 1e-4
        else:
            shared = group_posterior(mean[:, :2], log_std[:, :2], same_group(group))
            size = np.asarray([3, 2, 3, 3, 2, 1])
            expected = (np.asarray(gaussian_kl(*shared)).sum(1) / size).mean()
            assert float(metrics["kl_content"]) == pytest.approx(expected, rel=1e-4)
        assert float(metrics["kl_style"]) == pytest.approx(float(q[:, 2].mean()), rel=1e-4)
        by_hand = metrics["reconstruction"] + 0.5 * (metrics["kl_content"] + metrics["kl_style"])
        assert float(loss) == pytest.approx(float(by_hand + 0.3 * metrics["told"]), rel=1e-5)


def test_contents_tell_their_group_by_their_neighbours():
    random = np.random.default_rng(0)
    content, group = random.normal(size=(6, 2)).astype(np.float32), np.asarray([0, 1, 0, 0, 1, 2])
    misses = []
    for i in range(5):  # the last one has no companion
        near = np.exp(-((content[i] - content) ** 2).sum(1) / (2 * 0.3**2))
        near[i] = 0
        misses.append(-np.log(near[group == group[i]].sum() / near.sum()))
    same = same_group(jnp.asarray(group))
    got, slope = jax.value_and_grad(neighbours_in_group)(jnp.asarray(content), same)
    assert float(got) == pytest.approx(np.mean(misses), rel=1e-5)
    assert bool(jnp.isfinite(slope).all())


def test_a_rival_that_knows_nothing_costs_the_entropy_of_the_groups(parted, x):
    class Says(eqx.Module):
        log_odds: jax.Array

        def __call__(self, style):
            return self.log_odds

    batch = train.Answered(x, jnp.asarray([0, 1, 0, 0, 1, 2]))
    shares = np.asarray([3, 2, 1]) / 6
    rival = Says(jnp.log(jnp.asarray(shares, jnp.float32)))
    key = jax.random.key(8)
    with_it, metrics = eqx.filter_jit(train.group_adversary(2.0))(parted, rival, batch, key, STEP)
    assert float(metrics["hidden"]) == pytest.approx(scipy.stats.entropy(shares), rel=1e-5)
    without, _ = eqx.filter_jit(train.group_elbo())(parted, batch, key, STEP)
    assert float(with_it - without) == pytest.approx(2 * scipy.stats.entropy(shares), rel=1e-3)
    told, _ = eqx.filter_jit(train.group_rival())(rival, parted, batch, key, STEP)
    assert float(told) == pytest.approx(scipy.stats.entropy(shares), rel=1e-5)


def test_groups_are_labels_or_what_must_not_be_split(beats):
    with pytest.raises(ValueError, match="content is what a group shares"):
        train.grouped(beats)
    few = digits().take(slice(0, 50))
    np.testing.assert_array_equal(train.grouped(few).answer, few.labels)


@pytest.mark.parametrize("adversary", [pytest.param(0.0, marks=pytest.mark.slow), 1.0])
def test_content_and_style_of_digits(adversary):
    data = split_at_random(digits().take(slice(0, 200)))
    recipe = recipes.content_style(
        content=2, style=2, epochs=2, widths=(16,), rival_widths=(8,), adversary=adversary
    )
    run = fit(recipe, data, quiet=True)
    assert run.model.latents.names == ("content1", "content2", "style1", "style2")
    x = data.test.observations[:4]
    swapped = swap(run.model, x[:2], x[2:])
    z = many(run.model.encode, x.astype(np.float32))
    mixed = np.concatenate([z[:2, :2], z[2:, 2:]], axis=1)
    np.testing.assert_allclose(swapped, many(run.model.decode, mixed), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="2 observations were given for the content and 1"):
        swap(run.model, x[:2], x[2:3])


@pytest.mark.slow
def test_a_model_with_content_and_style_conforms(parted, pictures, x):
    report = check_model(parted, x=x[0], key=jax.random.key(0))
    assert report.ok, str(report)
    placed = start_content_style_vae(pictures, 2, 2, widths=(8,), key=jax.random.key(6))
    picture = jnp.asarray(pictures.observations[0], jnp.float32)
    report = check_model(placed, x=picture, key=jax.random.key(0))
    assert report.ok, str(report)
    with pytest.raises(ValueError, match="3 of 3 latents are content"):
        start_content_style_vae(small_beats().train, 3, 0, key=jax.random.key(0))


# objects


@pytest.fixture(scope="module")
def pictures():
    return digits().take(slice(0, 24))


@pytest.fixture(scope="module")
def objects(pictures):
    return start_slots(pictures, 3, 2, width=8, key=jax.random.key(9))


def test_one_round_of_slot_attention_by_hand(objects, pictures):
    encoder = objects.encoder
    one = SlotEncoder(
        encoder.features, encoder.position, encoder.norms, encoder.query, encoder.keys_values,
        encoder.cell, encoder.residual, encoder.head, encoder.starts, rounds=1,
    )  # fmt: skip
    x = jnp.asarray(pictures.observations[0], jnp.float32) / 16
    slots, shares = eqx.filter_jit(one.attend)(x)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)  # slots compete for each place

    def norm(x):
        x = np.asarray(x)
        return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)

    found = np.asarray(eqx.filter_jit(one.features)(x)).reshape(16, 8)
    rows, columns = np.meshgrid(np.linspace(0, 1, 4), np.linspace(0, 1, 4), indexing="ij")
    places = np.stack([rows.ravel(), columns.ravel()], 1)
    places = np.concatenate([places, 1 - places], 1)
    flat = norm(found + places @ np.asarray(one.position.weight).T + np.asarray(one.position.bias))
    keys, values = np.split(flat @ np.asarray(one.keys_values.weight).T, 2, axis=1)
    queries = norm(one.starts) @ np.asarray(one.query.weight).T
    expected = scipy.special.softmax(keys @ queries.T / np.sqrt(8), axis=1)
    np.testing.assert_allclose(shares, expected, rtol=1e-3, atol=1e-5)
    won = (expected / expected.sum(0)).T @ values
    moved = jax.jit(jax.vmap(lambda u, s: one.cell(u, s)))(
        jnp.asarray(won, jnp.float32), one.starts
    )
    # the residual perceptron begins at zero
    np.testing.assert_allclose(slots, moved, rtol=1e-3, atol=1e-4)


def test_masks_share_each_place_and_slots_can_trade_places(objects):
    z = jnp.arange(6.0) / 6
    masks, each = eqx.filter_jit(objects.decoder.parts)(z)
    assert (masks.shape, each.shape) == ((3, 8, 8), (3, 8, 8, 1))
    np.testing.assert_allclose(masks.sum(0), 1, rtol=1e-5)
    whole = eqx.filter_jit(objects.decoder)(z)
    np.testing.assert_allclose(whole, (np.asarray(masks)[..., None] * each).sum(0), rtol=1e-4)
    other = eqx.filter_jit(objects.decoder)(z.reshape(3, 2)[::-1].ravel())
    np.testing.assert_allclose(whole, other, rtol=1e-4, atol=1e-5)


def test_slots_have_latents_with_names_and_look_at_pictures_alone(objects, beats):
    assert objects.latents.names[:3] == ("object1.z1", "object1.z2", "object2.z1")
    with pytest.raises(ValueError, match="slots look for objects in pictures"):
        start_slots(beats, 2, 2, key=jax.random.key(0))


@pytest.mark.slow
def test_slots_are_fitted(pictures):
    recipe = recipes.slots(objects=2, latents=2, width=8, epochs=2, batch=8)
    run = fit(recipe, split_at_random(digits().take(slice(0, 60))), quiet=True)
    assert run.result["latents"] == 4
    assert np.isfinite(run.result["log_density"])
