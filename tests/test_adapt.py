"""Inverted: latents by least squares, against SciPy and closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jaxtyping import Array, Float
from scipy.optimize import least_squares

from unweave._adapt import Inverted
from unweave._latents import Latents, latents, log_normal, log_uniform, normal, uniform
from unweave._model import AbstractDecoder

TIMES = np.linspace(0.0, 4.0, 40)


class Line(AbstractDecoder):
    """x = A z + b on two channels, a linear oracle."""

    latents: Latents
    matrix: Float[Array, "size latent"]

    def decode(self, z, condition=None, *, key=None):
        return (self.matrix @ z + 1.0).reshape(-1, 2)


class Decay(AbstractDecoder):
    """x = a exp(-k t) + c at 40 times: amplitude and rate positive, c in an interval."""

    latents: Latents

    def decode(self, z, condition=None, *, key=None):
        times = jnp.asarray(TIMES, z.dtype)
        return (z[0] * jnp.exp(-z[1] * times) + z[2])[:, None]


class Broken(AbstractDecoder):
    """Says nothing that is finite."""

    latents: Latents

    def decode(self, z, condition=None, *, key=None):
        return jnp.full((3, 1), jnp.nan) * z[0]


def line():
    matrix = np.random.default_rng(0).normal(size=(12, 3))
    return Line(Latents.standard(3), jnp.asarray(matrix, jnp.float32))


def decay():
    priors = [log_normal(0.0, 1.0), log_uniform(0.05, 5.0), uniform(-2.0, 2.0)]
    return Decay(latents(["a", "k", "c"], priors))


def test_a_line_is_inverted_exactly_with_and_without_gaps():
    model = Inverted(line(), starts=2)
    z = jnp.asarray([0.3, -1.2, 2.0])
    x = model.decode(z)
    np.testing.assert_allclose(model.encode(x), z, atol=1e-4)
    np.testing.assert_allclose(model.encode(x.at[1:3, 0].set(jnp.nan)), z, atol=1e-4)


def test_noisy_data_give_what_lstsq_gives():
    model = Inverted(line(), starts=2)
    x = np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32)
    best = np.linalg.lstsq(np.asarray(model.decoder.matrix), x.reshape(-1) - 1, rcond=None)[0]
    np.testing.assert_allclose(model.encode(jnp.asarray(x)), best, atol=1e-4)


def test_scales_weigh_the_channels():
    model = Inverted(line(), scale=(1.0, 20.0))
    x = np.random.default_rng(1).normal(size=(6, 2)).astype(np.float32)
    weight = np.tile([1.0, 1 / 20.0], 6)
    matrix = np.asarray(model.decoder.matrix) * weight[:, None]
    best = np.linalg.lstsq(matrix, (x.reshape(-1) - 1) * weight, rcond=None)[0]
    np.testing.assert_allclose(model.encode(jnp.asarray(x)), best, atol=1e-3)


def test_with_its_prior_a_line_has_the_ridge_solution():
    std = 0.7
    priors = [normal(), normal(2.0, 0.5), uniform(-9.0, 9.0)]
    inner = Line(latents(["p", "q", "r"], priors), line().matrix)
    model = Inverted(inner, scale=(std, std), with_prior=True)
    x = np.random.default_rng(2).normal(size=12).astype(np.float32)
    a = np.asarray(inner.matrix, np.float64)

    def objections(z):
        third = scipy.stats.norm.ppf((z[2] + 9) / 18)
        return np.concatenate([(x - 1 - a @ z) / std, [z[0], (z[1] - 2) / 0.5, third]])

    expected = least_squares(objections, [0.0, 2.0, 0.0], xtol=1e-12, ftol=1e-12).x
    got = model.encode(jnp.asarray(x.reshape(6, 2)))
    np.testing.assert_allclose(got, expected, atol=1e-3)


def test_a_decay_is_fitted_as_scipy_fits_it():
    model = Inverted(decay())
    truth = jnp.asarray([2.5, 1.1, -0.4])
    noise = 0.05 * np.random.default_rng(3).normal(size=(40, 1))
    x = jnp.asarray(np.asarray(model.decode(truth)) + noise, jnp.float32)

    def residual(z):
        return z[0] * np.exp(-z[1] * TIMES) + z[2] - np.asarray(x[:, 0])

    bounds = ([0, 0.05, -2], [np.inf, 5.0, 2])
    peer = least_squares(residual, [1.0, 0.5, 0.0], bounds=bounds, xtol=1e-12, ftol=1e-12)
    fits = model.fits(x)
    np.testing.assert_allclose(fits.z[0], peer.x, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(fits.cost[0], peer.cost, rtol=1e-4)
    assert fits.z.shape == (8, 3)
    assert (jnp.diff(fits.cost) >= 0).all()
    assert (fits.z[:, 1] >= 0.05).all()


def test_double_precision_is_used_where_the_observation_has_it():
    with jax.enable_x64(True):
        model = Inverted(decay(), starts=2)
        z = jnp.asarray([2.5, 1.1, -0.4], jnp.float64)
        back = model.encode(model.decode(z))
        assert back.dtype == jnp.float64
        np.testing.assert_allclose(back, z, rtol=1e-8)


@pytest.mark.slow
def test_the_key_draws_the_starts_and_none_is_always_the_same():
    model = Inverted(decay(), starts=3, steps=1)
    x = model.decode(jnp.asarray([1.0, 4.0, 1.0]))
    assert (model.encode(x) == model.encode(x)).all()
    key = jax.random.key(5)
    assert (model.encode(x, key=key) == model.encode(x, key=key)).all()
    assert (model.fits(x, key=key).z != model.fits(x).z).any()


def test_many_series_at_once_under_jit():
    model = Inverted(decay())
    z = jax.vmap(model.latents.sample)(jax.random.split(jax.random.key(0), 5))
    x = jax.vmap(model.decode)(z)
    back = eqx.filter_jit(jax.vmap(model.encode))(x)
    np.testing.assert_allclose(jax.vmap(model.decode)(back), x, atol=1e-3)


def test_latents_change_with_the_observation_as_the_closed_form_does():
    model = Inverted(line(), starts=2)
    x = model.decode(jnp.asarray([0.3, -1.2, 2.0]))
    slope = jax.jacobian(model.encode)(x).reshape(3, 12)
    np.testing.assert_allclose(slope, np.linalg.pinv(np.asarray(model.decoder.matrix)), atol=1e-3)


def test_a_model_without_a_finite_observation_gives_nan():
    model = Inverted(Broken(Latents.standard(2)), starts=2, steps=4)
    assert jnp.isnan(model.encode(jnp.zeros((3, 1)))).all()
    assert (model.fits(jnp.zeros((3, 1))).cost == jnp.inf).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"starts": 0}, "at least one of each"),
        ({"scale": (1.0, 0.0)}, "not all positive"),
        ({"with_prior": True}, "scale="),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Inverted(line(), **settings)
