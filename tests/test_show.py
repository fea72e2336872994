"""Showing against a linear model, whose decodings and codes have closed forms."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
import scipy.stats

import unweave.show as show
from heartbeats import LinearModel, beat_model, beat_schema, beats
from unweave._latents import Latents, latents, log_normal, normal, uniform
from unweave._many import many
from unweave._model import AbstractEncoder, AbstractSampler
from unweave.equations import equation


class CodesOnly(AbstractEncoder):
    def encode(self, x, condition=None, *, key=None):
        return x.reshape(-1)[:1]


class DrawsOnly(AbstractSampler):
    def sample(self, key, condition=None):
        return jax.random.normal(key, (3, 1))


@pytest.fixture(scope="module")
def model():
    return beat_model(latents=4)


def expected(model, z):
    return np.tensordot(z, np.asarray(model.weight), axes=1) + np.asarray(model.bias)


def test_traverse_moves_one_latent_at_a_time(model):
    frames = show.traverse(model, steps=5, low=-2.0, high=2.0)
    assert frames.shape == (4, 5, 64, 1)
    for i in range(4):
        for s, score in enumerate((-2.0, -1.0, 0.0, 1.0, 2.0)):
            z = np.zeros(4)
            z[i] = score
            np.testing.assert_allclose(frames[i, s], expected(model, z), atol=1e-5)


def test_traverse_goes_through_the_middle_of_the_prior_exactly(model):
    frames = show.traverse(model)
    for i in range(4):
        np.testing.assert_array_equal(frames[i, 3], np.asarray(model.bias))


def test_traverse_keeps_the_others_where_it_was_told(model):
    around = np.array([0.5, -1.0, 2.0, 0.1])
    frames = show.traverse(model, around=around, steps=2, low=-1.0, high=1.0)
    z = around.copy()
    z[2] = -1.0
    np.testing.assert_allclose(frames[2, 0], expected(model, z), atol=1e-5)


def test_traverse_walks_in_the_scores_of_each_prior():
    named = latents(
        ("rate", "size", "level"), (uniform(2.0, 5.0), log_normal(0.3, 0.5), normal(1.0, 4.0))
    )
    model = LinearModel(named, jnp.eye(3).reshape(3, 3, 1), jnp.zeros((3, 1)))
    frames = show.traverse(model, steps=7)
    scores = np.linspace(-3, 3, 7)
    place = scipy.stats.norm.cdf(scores)
    np.testing.assert_allclose(frames[0, :, 0, 0], 2 + 3 * place, rtol=1e-4)
    np.testing.assert_allclose(frames[1, :, 1, 0], np.exp(0.3 + 0.5 * scores), rtol=1e-3)
    np.testing.assert_allclose(frames[2, :, 2, 0], 1 + 4 * scores, atol=1e-4)
    # the others rest at their medians
    np.testing.assert_allclose(frames[0, :, 1, 0], np.exp(0.3), rtol=1e-4)


def test_conditions_reach_the_model(model):
    frames = show.traverse(model, steps=3, condition=jnp.asarray(7.0))
    np.testing.assert_allclose(frames[0, 1], np.asarray(model.bias) + 7.0, atol=1e-5)
    xs = beats(5, beat_schema())
    shifts = np.arange(5.0)
    moved = show.reconstruct(model, xs, conditions=shifts)
    plain = show.reconstruct(model, xs)
    np.testing.assert_allclose(
        moved - plain, np.broadcast_to(shifts[:, None, None], xs.shape), atol=1e-4
    )


def test_interpolate_is_the_straight_line_with_both_ends(model):
    z0, z1 = np.array([1.0, 0.0, -1.0, 2.0]), np.array([-1.0, 3.0, 0.0, 0.5])
    path = show.interpolate(model, z0, z1, steps=5)
    for step, t in enumerate((0.0, 0.25, 0.5, 0.75, 1.0)):
        np.testing.assert_allclose(path[step], expected(model, z0 + t * (z1 - z0)), atol=1e-5)


def test_the_arc_keeps_its_distance_and_turns_evenly():
    model = LinearModel(Latents.standard(2), jnp.eye(2).reshape(2, 2, 1), jnp.zeros((2, 1)))
    path = show.interpolate_spherically(model, np.array([2.0, 0.0]), np.array([0.0, 2.0]), steps=7)[
        ..., 0
    ]
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 2.0, rtol=1e-5)
    angles = np.arctan2(path[:, 1], path[:, 0])
    np.testing.assert_allclose(angles, np.linspace(0, np.pi / 2, 7), atol=1e-5)


def test_the_arc_between_parallel_points_is_the_line(model):
    z = np.array([1.0, 0.0, -1.0, 2.0])
    arc = show.interpolate_spherically(model, z, 2 * z, steps=4)
    np.testing.assert_allclose(arc, show.interpolate(model, z, 2 * z, steps=4), atol=1e-5)


def test_the_arc_refuses_what_has_none(model):
    z = np.ones(4)
    with pytest.raises(ValueError, match="opposite"):
        show.interpolate_spherically(model, z, -z)
    with pytest.raises(ValueError, match="no direction"):
        show.interpolate_spherically(model, np.zeros(4), z)
    other = LinearModel(
        latents(("a",), (uniform(0.0, 1.0),)), jnp.ones((1, 2, 1)), jnp.zeros((2, 1))
    )
    with pytest.raises(ValueError, match="other priors"):
        show.interpolate_spherically(other, np.ones(1), np.zeros(1))


def test_reconstruct_projects_onto_the_span(model):
    xs = beats(9, beat_schema(), seed=3)
    flat = np.asarray(model.weight, dtype=float).reshape(4, -1)
    bias = np.asarray(model.bias, dtype=float)
    z = np.linalg.lstsq(flat.T, (xs - bias).reshape(9, -1).T, rcond=None)[0].T
    np.testing.assert_allclose(show.codes(model, xs), z, atol=1e-3)
    np.testing.assert_allclose(show.reconstruct(model, xs), expected(model, z), atol=1e-4)


@pytest.mark.parametrize("n", [1, 3, 8, 9])
def test_chunks_change_nothing(model, monkeypatch, n):
    xs = beats(n, beat_schema(), seed=1)
    whole = show.reconstruct(model, xs)
    drawn = show.draw(model, n, key=jax.random.key(0))
    monkeypatch.setattr(show, "CHUNK_ROWS", 4)
    assert show.reconstruct(model, xs).shape == xs.shape
    np.testing.assert_allclose(show.reconstruct(model, xs), whole, atol=1e-5)
    np.testing.assert_allclose(show.draw(model, n, key=jax.random.key(0)), drawn, atol=1e-5)


def test_a_chunk_holds_a_bounded_number_of_numbers(model, monkeypatch):
    sizes = []

    def watched(one, *rows, chunk):
        sizes.append(chunk)
        return many(one, *rows, chunk=chunk)

    monkeypatch.setattr(show, "many", watched)
    monkeypatch.setattr(show, "CHUNK_NUMBERS", 64 * 6)
    show.traverse(model)  # 28 observations of 64 numbers
    show.codes(model, beats(3, beat_schema()))
    show.draw(model, 9, key=jax.random.key(0))
    assert sizes == [6, 6, 6]


def test_draw_without_noise_is_the_same_draw_without_noise(model):
    key = jax.random.key(4)
    noisy = show.draw(model, 400, key=key)
    clean = show.draw(model, 400, noise=False, key=key)
    assert np.std(noisy - clean) == pytest.approx(0.01, rel=0.02)
    # and the clean ones lie on the model's four dimensions
    np.testing.assert_allclose(show.reconstruct(model, clean), clean, atol=1e-4)
    # each one is what the model itself draws with its key
    one = model.sample(jax.random.split(key, 400)[7])
    np.testing.assert_allclose(noisy[7], np.asarray(one), atol=1e-6)


def test_draw_takes_old_and_new_keys_and_any_sampler():
    assert show.draw(DrawsOnly(), 5, key=jax.random.PRNGKey(0)).shape == (5, 3, 1)
    assert show.draw(DrawsOnly(), 5, key=jax.random.key(0)).shape == (5, 3, 1)


def test_integers_are_observations_too():
    model = beat_model(latents=2)
    xs = np.random.default_rng(0).integers(0, 255, (3, 64, 1)).astype(np.uint8)
    np.testing.assert_allclose(
        show.codes(model, xs), show.codes(model, xs.astype(np.float32)), rtol=1e-5
    )


@pytest.fixture
def unchecked():
    """Without the types checked at every call, as a user runs it."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("unchecked")
def test_a_missing_capability_is_named():
    with pytest.raises(TypeError, match=r"traverse needs a model with a decoder"):
        show.traverse(CodesOnly())  # pyright: ignore
    with pytest.raises(TypeError, match=r"codes needs a model with an encoder"):
        show.codes(DrawsOnly(), np.zeros((1, 3, 1)))  # pyright: ignore
    with pytest.raises(TypeError, match=r"reconstruct needs a model with a decoder"):
        show.reconstruct(CodesOnly(), np.zeros((1, 3, 1)))
    with pytest.raises(TypeError, match=r"draw needs a model with a decoder"):
        show.draw(DrawsOnly(), 2, noise=False, key=jax.random.key(0))


def test_what_makes_no_sense_is_refused(model):
    with pytest.raises(ValueError, match="1 steps make no walk"):
        show.traverse(model, steps=1)
    with pytest.raises(ValueError, match="goes nowhere"):
        show.traverse(model, low=3.0, high=-3.0)
    with pytest.raises(ValueError, match=r"shape \(3,\), and this model has 4 latents"):
        show.traverse(model, around=np.zeros(3))
    with pytest.raises(ValueError, match="not finite"):
        show.interpolate(model, np.zeros(4), np.full(4, np.nan))
    with pytest.raises(ValueError, match="0 samples"):
        show.draw(model, 0, key=jax.random.key(0))
    with pytest.raises(ValueError, match="no observation"):
        show.codes(model, np.zeros((0, 64, 1)))
    with pytest.raises(ValueError, match="as many conditions"):
        show.reconstruct(model, np.zeros((3, 64, 1)), conditions=np.zeros(2))


def test_decode_gives_what_latents_stand_for_and_equations_keep_float64():
    model = beat_model(latents=3)
    z = np.asarray([[0.0, 1.0, -2.0], [0.5, 0.25, 0.0]])
    np.testing.assert_allclose(show.decode(model, z), expected(model, z), atol=1e-5)
    np.testing.assert_allclose(show.decode(model, z[:1]), expected(model, z[:1]), atol=1e-5)
    decay = equation("x' = -k*x\nk in (0, 5)\nx(0) in (0, 2)", until=1.0, samples=3)
    found = show.decode(decay, np.asarray([[0.7, 1.3]]))[0, :, 0]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, 1.3 * np.exp(-0.7 * np.asarray([0, 0.5, 1])), rtol=1e-6)
    with pytest.raises(ValueError, match=r"give \(n, 3\), one row"):
        show.decode(model, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="not finite"):
        show.decode(model, np.full((1, 3), np.nan))
