"""Least squares of many starts and records, and of one start, against SciPy and dense algebra."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import block_diag
from scipy.optimize import least_squares as scipy_least_squares

from unweave._latents import latents, log_normal, log_uniform, normal, uniform
from unweave._least_squares import least_squares
from unweave._noise import Gaussian
from unweave.equations import Problem
from unweave.equations.fitting._levenberg import (
    WIDTH,
    _damped,
    _normal,
    _solve,
    coordinates_of,
    lanes_at,
    minimise,
)

RECORDS, SAMPLES = 4, 12
TRUTH = np.array([0.7, 1.5])
STARTS = np.array([3.0, 2.0, 5.0, 4.0])
NAMES = ("k", "s", "a")
FLAT = latents(NAMES, [log_uniform(1e-3, 1e3)] * 3)
INFORMED = latents(NAMES, [log_normal(0.0, 0.2), normal(1.0, 0.1), uniform(0.01, 20.0)])


def decays(k, s, a, times):
    """Two channels of one record: a decay, and a decay onto `s`."""
    fall = a * np.exp(-k * times)
    return np.stack([fall, s + fall], axis=-1)


def curve(z, times):
    """`decays` in JAX; too fast a decay is a solve that fails."""
    k, s, a = z
    fall = a * jnp.exp(-k * times)
    y = jnp.stack([fall, s + fall], axis=-1)
    return jnp.where(k > 50, jnp.inf, y)


@functools.cache
def data():
    """Times `(record, time)` and observations `(record, time, channel)` with gaps."""
    random = np.random.default_rng(0)
    times = np.sort(random.uniform(0, 5, (RECORDS, SAMPLES)), axis=1)
    clean = np.stack([decays(*TRUTH, a, t) for a, t in zip(STARTS, times, strict=True)])
    x = clean + np.array([0.05, 0.2]) * random.normal(size=clean.shape)
    x[random.random(x.shape) < 0.1] = np.nan
    return times, x


def problem(*, priors=FLAT, floor=(1e-9, 1e-9), pinned=np.nan):
    """Parameters shared, initial values each record's own; the last of them perhaps known."""
    times, x = data()
    known = np.full((RECORDS, 3), np.nan)
    known[-1, 2] = pinned
    return Problem(
        curve, Gaussian.fixed(1.0), priors, jnp.asarray(x), jnp.asarray(times),
        jnp.asarray(known), jnp.asarray(floor), (False, False, True),
    )  # fmt: skip


def at(made, z):
    """Lanes' coordinates `(lane, record, latent)` where every record has the latents `z`."""
    u = jax.vmap(made.latents.unconstrain)(jnp.asarray(z, jnp.float64))
    return np.repeat(np.asarray(u)[:, None], RECORDS, axis=1)


def solved(made, z, *, free=None, most=100):
    """The lanes from starts `z`, and the latents `(lane, record, latent)` where they end."""
    with jax.enable_x64(True):
        lanes = minimise(made, lanes_at(made, at(made, z), free), most=most)
        u = jnp.asarray(coordinates_of(made, lanes))
        return lanes, np.asarray(jax.vmap(jax.vmap(made.latents.constrain))(u))


def stacked(parameters, own, scale):
    """All residuals of all records, one after the other."""
    times, x = data()
    left = [(x[i] - decays(*parameters, own[i], times[i])) / scale for i in range(RECORDS)]
    left = np.concatenate(left).reshape(-1)
    return left[~np.isnan(left)]


def peer(residual, start):
    return scipy_least_squares(residual, start, xtol=1e-14, ftol=1e-14, gtol=1e-14)


def made(function):
    """A problem's arrays are made in double precision."""
    with jax.enable_x64(True):
        return function()


@pytest.mark.parametrize("pinned", [np.nan, 4.2])
def test_many_records_end_where_scipy_ends_on_the_stacked_problem(pinned):
    ours = made(lambda: problem(pinned=pinned))
    lanes, z = solved(ours, [[0.2, 3.0, 1.0]])
    with jax.enable_x64(True):
        eta = ours.readings(jnp.asarray(coordinates_of(ours, lanes)[0]))
        scale = np.asarray(ours.scale(eta))
    left = data()[1] - np.asarray(eta)
    np.testing.assert_allclose(scale, np.sqrt(np.nanmean(left**2, axis=(0, 1))), rtol=1e-10)
    own = 3 if np.isfinite(pinned) else 4

    def residual(v):
        return stacked(v[:2], np.append(v[2:], [pinned] * (4 - own)), scale)

    # at the scale that is most likely there, least squares end at the same point
    theirs = peer(residual, np.append([0.2, 3.0], np.ones(own)))
    np.testing.assert_allclose(z[0, 0, :2], theirs.x[:2], rtol=1e-6)
    np.testing.assert_allclose(z[0, :own, 2], theirs.x[2:], rtol=1e-6)
    counts = (~np.isnan(data()[1])).sum(axis=(0, 1))
    expected = theirs.cost + (counts * np.log(scale)).sum()
    assert lanes.objective[0] == pytest.approx(expected, rel=1e-9)


def test_one_channel_needs_no_scale_to_agree():
    ours = made(problem)
    with jax.enable_x64(True):
        gone = ours.x.at[:, :, 1].set(jnp.nan)
        alone = Problem(
            curve, ours.noise, FLAT, gone, ours.conditions, ours.pinned.at[:, 1].set(1.0),
            ours.floor, ours.is_own,
        )  # fmt: skip
    _, z = solved(alone, [[0.2, 1.0, 1.0]])
    theirs = peer(lambda v: stacked([v[0], 0.0], v[1:], np.array([1.0, np.inf])), np.ones(5))
    np.testing.assert_allclose(z[0, 0, 0], theirs.x[0], rtol=1e-6)
    np.testing.assert_allclose(z[0, :, 2], theirs.x[1:], rtol=1e-6)


def test_a_known_scale_and_priors_are_further_residuals():
    scale = np.array([0.3, 0.6])  # larger than what is left, so that the floor is the scale
    ours = made(lambda: problem(priors=INFORMED, floor=tuple(scale)))
    lanes, z = solved(ours, [[0.5, 1.5, 2.0]])

    def residual(v):
        scores = [np.log(v[0]) / 0.2, (v[1] - 1.0) / 0.1]
        return np.concatenate([stacked(v[:2], v[2:], scale), scores])

    theirs = peer(residual, np.array([0.5, 1.5, 2.0, 2.0, 2.0, 2.0]))
    np.testing.assert_allclose(z[0, 0, :2], theirs.x[:2], rtol=1e-6)
    np.testing.assert_allclose(z[0, :, 2], theirs.x[2:], rtol=1e-6)
    counts = (~np.isnan(data()[1])).sum(axis=(0, 1))
    expected = theirs.cost + (counts * np.log(scale)).sum()
    assert lanes.objective[0] == pytest.approx(expected, rel=1e-9)


def test_the_normal_equations_are_those_of_the_stacked_jacobian():
    # a floor above what is left keeps the scale from following the latents
    ours = made(lambda: problem(priors=INFORMED, floor=(5.0, 6.0)))
    with jax.enable_x64(True):
        lane = jax.tree.map(lambda leaf: leaf[0], lanes_at(ours, at(ours, [[0.9, 1.2, 3.0]])))
        flat = jnp.append(lane.shared, lane.own.reshape(-1))

        def everything(v):
            u = ours.assemble(v[:2], v[2:].reshape(RECORDS, 1))
            left = ours.objective(ours.readings(u), ours.scores(u))[1]
            return jnp.append(left.reshape(-1), ours.scores(u).reshape(-1))

        r, jacobian = jax.jit(lambda v: (everything(v), jax.jacfwd(everything)(v)))(flat)
        parts = jax.jit(lambda lane: _normal(ours, lane))(lane)
        _, g_s, g_o, a_ss, a_so, a_oo = map(np.asarray, parts)
        gradient, dense = map(np.asarray, (jacobian.T @ r, jacobian.T @ jacobian))
    np.testing.assert_allclose(np.append(g_s, g_o), gradient, rtol=1e-9)
    np.testing.assert_allclose(a_ss, dense[:2, :2], rtol=1e-9)
    np.testing.assert_allclose(a_so[:, :, 0].T, dense[:2, 2:], rtol=1e-9)
    np.testing.assert_allclose(block_diag(*a_oo), dense[2:, 2:], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("shared", "own"), [(3, 2), (3, 0), (0, 2)])
def test_the_step_by_blocks_is_the_dense_one(shared, own):
    random, damping = np.random.default_rng(1), 0.03
    j_s = random.normal(size=(RECORDS, 9, shared))
    j_o = random.normal(size=(RECORDS, 9, own)) * np.array([1.0, 30.0])[:own]
    r = random.normal(size=(RECORDS, 9))
    blocks = block_diag(*j_o).reshape(RECORDS * 9, RECORDS * own)
    whole = np.concatenate([j_s.reshape(RECORDS * 9, shared), blocks], axis=1)
    a = whole.T @ whole
    expected = -np.linalg.solve(a + damping * np.diag(np.diag(a)), whole.T @ np.concatenate(r))
    system = (
        0.0, np.einsum("ris,ri->s", j_s, r), np.einsum("rio,ri->ro", j_o, r),
        np.einsum("ris,rit->st", j_s, j_s), np.einsum("ris,rio->rso", j_s, j_o),
        np.einsum("rio,rip->rop", j_o, j_o),
    )  # fmt: skip
    with jax.enable_x64(True):
        d_s, d_o = _solve(tuple(map(jnp.asarray, system)), jnp.asarray(damping))
    np.testing.assert_allclose(np.append(d_s, d_o), expected, rtol=1e-8)


def test_a_coordinate_without_effect_stays_where_it_is():
    with jax.enable_x64(True):
        extra = _damped(jnp.diag(jnp.asarray([4.0, 0.0])), jnp.asarray(0.5))
    np.testing.assert_allclose(extra, np.diag([2.0, 1.0]), rtol=1e-12)


GOOD = [[0.2, 3.0, 1.0], [2.0, 0.5, 8.0], [0.6, 1.4, 3.0]]


def test_a_lane_that_fails_is_infinite_and_changes_no_other():
    ours = made(problem)
    both = [solved(ours, [GOOD[0], [k, 1.0, 1.0], GOOD[1]])[0] for k in (200.0, 0.3)]
    assert both[0].done.all()
    assert np.isinf(both[0].objective[1])
    assert both[0].steps[1] == 0
    for leaf, other in zip(jax.tree.leaves(both[0]), jax.tree.leaves(both[1]), strict=True):
        np.testing.assert_array_equal(leaf[np.array([0, 2])], other[np.array([0, 2])])


def test_what_is_not_free_stays_and_the_rest_goes_to_its_own_minimum():
    scale = np.array([0.3, 0.6])
    ours = made(lambda: problem(floor=tuple(scale)))
    free = np.ones((3, RECORDS, 3), dtype=bool)
    free[1, :, 0] = False
    free[2, 1, 2] = False
    _, z = solved(ours, [GOOD[0], [0.8, 2.0, 4.0], GOOD[2]], free=free)
    assert z[1, :, 0] == pytest.approx(0.8, rel=1e-12)
    assert z[2, 1, 2] == pytest.approx(3.0, rel=1e-12)
    every = peer(lambda v: stacked(v[:2], v[2:], scale), np.ones(6)).x
    held = peer(lambda v: stacked([0.8, v[0]], v[1:], scale), np.ones(5)).x
    alone = peer(lambda v: stacked(v[:2], np.insert(v[2:], 1, 3.0), scale), np.ones(5)).x
    np.testing.assert_allclose(np.append(z[0, 0, :2], z[0, :, 2]), every, rtol=1e-6)
    np.testing.assert_allclose(np.append(z[1, 0, 1], z[1, :, 2]), held, rtol=1e-6)
    expected = np.append(z[2, 0, :2], z[2, [0, 2, 3], 2])
    np.testing.assert_allclose(expected, alone, rtol=1e-6)


def test_more_lanes_than_the_width_all_arrive():
    ours = made(problem)
    n = WIDTH + 9
    starts = np.exp(np.random.default_rng(2).uniform(-1, 1, (n, 3))) * [0.7, 1.5, 3.5]
    starts[[3, WIDTH + 2]] = [100.0, 1.0, 1.0]
    lanes, z = solved(ours, starts)
    failed = np.isinf(lanes.objective)
    np.testing.assert_array_equal(np.flatnonzero(failed), [3, WIDTH + 2])
    assert lanes.done.all()
    one, reached = solved(ours, GOOD)
    np.testing.assert_allclose(lanes.objective[~failed], one.objective[0], rtol=1e-9)
    same = np.broadcast_to(reached[0], z[~failed].shape)
    np.testing.assert_allclose(z[~failed], same, rtol=1e-4)


def test_a_lane_takes_no_more_steps_than_it_may():
    lanes, _ = solved(made(problem), GOOD, most=2)
    np.testing.assert_array_equal(lanes.steps, 2)
    assert not lanes.done.any()


T = np.linspace(0, 3, 9)
Y = 2.5 * np.exp(-0.8 * T) + 0.3 + 0.01 * np.random.default_rng(3).normal(size=T.shape)
# (residual, start); the last has one direction of which the residual knows nothing
SMALL = {
    "Rosenbrock": (lambda u: [10 * (u[1] - u[0] ** 2), 1 - u[0]], [-1.2, 1.0]),
    "decay": (lambda u: u[0] * jnp.exp(-u[1] * T) + u[2] - Y, [1.0, 1.0, 0.0]),
    "rank-deficient": (lambda u: (u[0] + u[1]) * jnp.exp(-u[2] * T) + 0.3 - Y, [0.2, 0.1, 1.0]),
}


@pytest.mark.parametrize("name", SMALL)
def test_one_start_ends_where_scipy_ends(name):
    function, start = SMALL[name]
    with jax.enable_x64(True):

        @jax.jit
        def descend(u):
            return least_squares(lambda u: jnp.asarray(function(u)), u, steps=200, tolerance=1e-10)

        ours = descend(jnp.asarray(start))
        lost = descend(jnp.full(len(start), jnp.nan))
        theirs = peer(lambda u: np.asarray(function(u), dtype=float), np.asarray(start))
    u, v = np.asarray(ours.u), theirs.x
    if name == "rank-deficient":
        u, v = np.append(u[:2].sum(), u[2]), np.append(v[:2].sum(), v[2])
    np.testing.assert_allclose(u, v, rtol=1e-6)
    assert ours.cost == pytest.approx(theirs.cost, rel=1e-9, abs=1e-20)
    assert ours.converged
    assert ours.steps < 100
    assert np.isinf(lost.cost)
    assert not lost.converged
