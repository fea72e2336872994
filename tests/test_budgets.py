"""What a budget allows, against closed forms, SciPy and brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from unweave._budgets import L2, LInf, Smooth, ascend, neighbourhood

KINDS = (LInf(0.7), L2(0.7), Smooth(LInf(0.7), 2.0))
vectors = st.lists(st.floats(-3, 3, width=32), min_size=5, max_size=5)


@settings(max_examples=30, deadline=None)
@given(values=vectors, radius=st.floats(0.01, 5))
def test_projections_are_the_closed_forms(values, radius):
    s = jnp.asarray(values, jnp.float32)
    assert np.allclose(LInf(radius).project(s), np.clip(values, -radius, radius), atol=1e-6)
    length = np.linalg.norm(values)
    expected = np.asarray(values) * min(1.0, radius / max(length, 1e-30))
    assert np.allclose(L2(radius).project(s), expected, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(values=vectors, other=vectors)
@pytest.mark.parametrize("budget", KINDS[:2], ids=("linf", "l2"))
def test_the_projection_is_the_nearest_point(budget, values, other):
    s, point = (jnp.asarray(v, jnp.float32) for v in (values, other))
    there, inside = budget.project(s), budget.project(point)
    assert budget.norm(there) <= 0.7 * (1 + 1e-5)
    assert np.linalg.norm(s - there) <= np.linalg.norm(s - inside) + 1e-5
    assert np.allclose(budget.project(there), there, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(slope=vectors, other=vectors)
@pytest.mark.parametrize("budget", KINDS[:2], ids=("linf", "l2"))
def test_no_unit_step_is_steeper(budget, slope, other):
    g = jnp.asarray(slope, jnp.float32)
    best = budget.steepest(g)
    tried = jnp.asarray(other, jnp.float32)
    tried = tried / jnp.maximum(budget.norm(tried), 1e-6)
    assert budget.norm(best) <= 1 + 1e-5
    assert float(g @ best) >= float(g @ tried) - 1e-4
    dual = np.abs(slope).sum() if isinstance(budget, LInf) else np.linalg.norm(slope)
    assert float(g @ best) == pytest.approx(dual, abs=1e-4)


def test_a_slope_too_short_to_be_squared_still_points():
    steep = L2(1.0).steepest(jnp.asarray([3e-30, 4e-30], jnp.float32))
    assert np.allclose(steep, [0.6, 0.8], atol=1e-5)
    assert np.all(L2(1.0).steepest(jnp.zeros(3)) == 0)


def test_points_are_drawn_evenly_from_the_ball():
    keys = jax.random.split(jax.random.key(0), 4000)
    like = jnp.zeros(3)
    in_ball = np.linalg.norm(jax.vmap(lambda k: L2(2.0).draw(k, like))(keys), axis=1)
    # the share within half the radius is that of the volumes, 1/8
    assert in_ball.max() <= 2 + 1e-5
    assert (in_ball < 1).mean() == pytest.approx(0.125, abs=0.02)
    in_cube = np.asarray(jax.vmap(lambda k: LInf(2.0).draw(k, like))(keys))
    assert np.abs(in_cube).max() <= 2
    assert in_cube.std() == pytest.approx(2 / np.sqrt(3), rel=0.02)


@pytest.mark.parametrize("shape", [(40,), (40, 2), (12, 9, 1)])
def test_smoothing_is_scipys(shape):
    s = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = s.astype(np.float64)
    for axis in range(max(1, len(shape) - 1)):
        expected = gaussian_filter1d(expected, 2.0, axis=axis, mode="reflect", truncate=5.0)
    found = Smooth(LInf(1.0), 2.0).spread(jnp.asarray(s))
    assert np.allclose(found, expected, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(signs=st.lists(st.sampled_from((-1.0, 1.0)), min_size=40, max_size=40))
def test_no_square_wave_passes(signs):
    budget = Smooth(LInf(0.5), 3.0)
    wave = 0.5 * jnp.asarray(signs, jnp.float32)
    moved = np.asarray(budget.spread(wave))
    assert np.abs(moved).max() <= 0.5 + 1e-6
    # the steepest that a smoothed step of twice the radius can be
    assert np.abs(np.diff(moved)).max() <= 0.5 * np.sqrt(2 / np.pi) / 3.0 * (1 + 1e-3)
    assert np.linalg.norm(moved) <= np.linalg.norm(wave) + 1e-4


def test_a_neighbourhood_keeps_to_range_unit_and_what_was_observed():
    x = jnp.asarray([[[0.1, 50.0], [jnp.nan, 99.0]]])
    around = neighbourhood(x, LInf(0.5), (0.0, 100.0), (1.0, 10.0))
    s = around.confine(jnp.full(x.shape, -9.0))
    assert np.allclose(around.at(s)[0, 0], [0.0, 45.0])
    assert np.isnan(around.at(s)[0, 1, 0])
    assert s[0, 1, 0] == 0
    assert np.allclose(around.at(around.confine(jnp.full(x.shape, 9.0)))[0, 1, 1], 100.0)
    assert around.draw(jax.random.key(0)).shape == x.shape


def test_ascent_reaches_the_corner_of_a_linear_loss():
    x = jnp.zeros((3, 4))
    slope = jnp.asarray([1.0, -2.0, 3.0, -4.0])
    around = neighbourhood(x, LInf(0.2))
    found = ascend(lambda x: x @ slope, around, around.none(), steps=5, step=0.5)
    assert np.allclose(found, 0.2 * np.sign(slope) * np.ones((3, 1)))


def test_budgets_that_allow_nothing_say_so():
    with pytest.raises(ValueError, match="positive"):
        LInf(-1.0)
    with pytest.raises(ValueError, match="smooths nothing"):
        Smooth(L2(1.0), 0.0)
