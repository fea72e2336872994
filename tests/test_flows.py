"""Flows against closed forms: Gaussians carried by a linear field, the Jacobian's determinant,
the marginals of a Gaussian, SciPy's solver."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.stats

from unweave._check import check_model
from unweave._latents import Latents
from unweave._save import load_model, save_model
from unweave._schema import Schema
from unweave._transport import Motion, carry, estimated_growth, exact_growth, transport
from unweave.data import Scale, dataset
from unweave.networks import (
    MLP,
    ChannelField,
    ContinuousFlow,
    CouplingFlow,
    HutchinsonFlow,
    VectorField,
    start_continuous_flow,
    start_coupling_flow,
)
from unweave.networks.flows._gaps import fit_reference
from unweave.networks.flows._whitening import fit_whitening

KEY = jax.random.key(0)
MEAN, SPREAD = np.array([1.0, -2.0, 0.5]), np.array([[2.0, 0, 0], [0.7, 0.5, 0], [-0.3, 0.2, 1.5]])


class Linear(eqx.Module):
    r"""The field that carries N(0, I) to N(m, S S'), along $y(t) = \exp(A t)(z + c) - c$."""

    rate: jax.Array
    at_rest: jax.Array

    def __call__(self, y, t):
        return self.rate @ (y - self.at_rest)


def rows(n=400, seed=0):
    random = np.random.default_rng(seed)
    return (MEAN + random.normal(size=(n, 3)) @ SPREAD.T).astype(np.float32)


def gaussian_flow(kind=ContinuousFlow, scale=None, **more):
    """A flow whose density is a Gaussian's, with the scale's units on top."""
    rate = scipy.linalg.logm(SPREAD).real
    # y(1) = S z + m, from y' = A (y - r): r solves m = r - S r
    at_rest = np.linalg.solve(np.eye(3) - SPREAD, MEAN)
    field = Linear(jnp.asarray(rate, jnp.float32), jnp.asarray(at_rest, jnp.float32))
    scale = Scale((0.0,) * 3, (1.0,) * 3) if scale is None else scale
    reference = fit_reference(np.asarray(scale.undo(jnp.asarray(rows()))), scale)
    return kind(Latents.standard(3), field, scale, reference, (3,), **more)


GAUSSIAN = scipy.stats.multivariate_normal(MEAN, SPREAD @ SPREAD.T)


@pytest.mark.parametrize("spread", [(1.0, 1.0, 1.0), (0.1, 20.0, 3.0)])
def test_a_linear_field_gives_a_gaussian_in_the_users_units(spread):
    flow = gaussian_flow(scale=Scale((5.0, -1.0, 0.0), spread))
    x = rows(20, seed=1)
    units = np.asarray(flow.scale.undo(jnp.asarray(x)))
    exact = GAUSSIAN.logpdf(x) - np.log(spread).sum()
    np.testing.assert_allclose(flow.log_densities(jnp.asarray(units)), exact, atol=2e-3)
    np.testing.assert_allclose(flow.log_density(jnp.asarray(units[0])), exact[0], atol=2e-3)
    z = np.linalg.solve(SPREAD, x[0] - MEAN)
    np.testing.assert_allclose(flow.encode(jnp.asarray(units[0])), z, atol=1e-3)
    back = flow.decode(jnp.asarray(z, jnp.float32))
    np.testing.assert_allclose(back, units[0], atol=1e-3 * max(spread))


def test_a_gap_is_integrated_out():
    """The importance sampler meets the exact marginal, also where its proposal is not the flow's
    own Gaussian."""
    flow = gaussian_flow(draws=512)
    wide = eqx.tree_at(lambda f: f.reference.noise_variance, flow, jnp.asarray(0.5))
    for x in rows(3, seed=2):
        for seen in ([0], [0, 2], [1]):
            gappy = np.full(3, np.nan, np.float32)
            gappy[seen] = x[seen]
            covariance = (SPREAD @ SPREAD.T)[np.ix_(seen, seen)]
            exact = scipy.stats.multivariate_normal(MEAN[seen], covariance).logpdf(x[seen])
            got = float(flow.log_density(jnp.asarray(gappy)))
            assert got == pytest.approx(exact, abs=0.05)
            got = float(wide.log_density(jnp.asarray(gappy)))
            assert got == pytest.approx(exact, abs=0.25)
    assert float(flow.log_density(jnp.full(3, jnp.nan))) == 0.0


def test_a_gap_does_not_reach_its_neighbours_in_a_batch():
    flow = gaussian_flow()
    x = jnp.asarray(rows(4, seed=3))
    mixed = x.at[1, 0].set(jnp.nan)
    got = eqx.filter_jit(lambda x: jax.vmap(flow.log_density)(x))(mixed)
    np.testing.assert_allclose(got[0], GAUSSIAN.logpdf(x[0]), atol=2e-3)
    np.testing.assert_allclose(got[1], flow.log_density(mixed[1]), atol=2e-3)


def test_the_estimated_trace_is_unbiased():
    net = MLP(5, 4, (32, 32), activation=jnp.tanh, key=KEY)
    field = VectorField(net)
    y, t = jnp.asarray([0.3, -1.0, 2.0, 0.1]), jnp.asarray(0.4)
    exact = exact_growth(field, y, t)
    jacobian = jax.jacfwd(lambda y: field(y, t))(y)
    np.testing.assert_allclose(exact, jnp.trace(jacobian), rtol=1e-5)
    probes = jax.random.rademacher(KEY, (4096, 1, 4), jnp.float32)
    each = jax.vmap(lambda probe: estimated_growth(field, probe, y, t))(probes)
    error = float(each.std()) / math.sqrt(len(each))
    assert abs(float(each.mean() - exact)) < 4 * error
    # all signs of one direction each: the mean over them is exact
    signs = jnp.asarray([[(-1.0) ** (i >> k) for k in range(4)] for i in range(16)])
    np.testing.assert_allclose(estimated_growth(field, signs, y, t), exact, rtol=1e-4)


def test_the_estimated_density_is_unbiased():
    flow = gaussian_flow(HutchinsonFlow, probes=1)
    assert flow.density_kind == "estimate"
    x = jnp.asarray(rows(1, seed=4)[0])
    ask = eqx.filter_jit(jax.vmap(lambda key: flow.log_density(x, key=key)))
    each = np.asarray(ask(jax.random.split(KEY, 256)))
    assert abs(each.mean() - GAUSSIAN.logpdf(x)) < 4 * each.std() / 16 + 2e-3
    assert each.std() > 1e-2


def swirl(y, t):
    return jnp.stack([y[1] * jnp.cos(3 * t) - 0.3 * y[0], -y[0] + jnp.sin(y[1]) * t])


def test_the_course_is_that_of_scipy():
    motion = Motion(swirl, lambda y, t: exact_growth(swirl, y, t), 0.0, 1.0, 1e-6)
    y = jnp.asarray([1.0, -0.5])

    def rates(t, y):
        a, b, _ = y
        slope = [b * np.cos(3 * t) - 0.3 * a, -a + np.sin(b) * t]
        return [*slope, -0.3 + np.cos(b) * t]

    exact = scipy.integrate.solve_ivp(rates, (0, 1), [1.0, -0.5, 0.0], rtol=1e-10, atol=1e-10)
    end, grown = transport(motion, y)
    np.testing.assert_allclose(end, exact.y[:2, -1], atol=1e-5)
    np.testing.assert_allclose(grown, exact.y[2, -1], atol=5e-5)
    np.testing.assert_allclose(carry(motion, y), end, rtol=1e-6)


def test_the_growth_is_the_jacobians_log_determinant():
    motion = Motion(swirl, lambda y, t: exact_growth(swirl, y, t), 0.0, 1.0, 1e-6)
    y = jnp.asarray([1.0, -0.5])
    forward = jax.jacfwd(lambda y: carry(motion, y))(y)
    backward = jax.jacrev(lambda y: transport(motion, y)[0])(y)
    np.testing.assert_allclose(forward, backward, atol=1e-4)
    _, log_det = np.linalg.slogdet(np.asarray(forward))
    np.testing.assert_allclose(transport(motion, y)[1], log_det, atol=2e-4)
    # and the growth's own slope against differences
    step = 1e-2
    ask = jax.jit(lambda y: transport(motion, y)[1])
    slope = jax.jit(jax.grad(ask))(y)
    for i, e in enumerate(np.eye(2, dtype=np.float32)):
        difference = (ask(y + step * e) - ask(y - step * e)) / (2 * step)
        np.testing.assert_allclose(slope[i], difference, atol=5e-3)


def test_a_course_that_cannot_be_solved_ends_at_infinity():
    motion = Motion(lambda y, t: 1e3 * y**2 + t, None, 0.0, 1.0, 1e-6)
    assert not jnp.isfinite(carry(motion, jnp.asarray([1.0]))).any()


def series():
    random = np.random.default_rng(0)
    walk = np.cumsum(random.normal(size=(60, 8, 2)), axis=1).astype(np.float32)
    schema = Schema("series", ("time", "channel"), (8, 2), ("a", "b"), ("mV", "K"))
    return dataset(walk * np.array([1.0, 50.0], np.float32), schema)


def moved(model, by=0.1):
    """The model with every weight a little elsewhere: what starts at zero is not at rest."""
    arrays, static = eqx.partition(model, eqx.is_inexact_array)
    random = np.random.default_rng(0)

    def move(a):
        return a + by * jnp.asarray(random.normal(size=a.shape), a.dtype)

    return eqx.combine(jax.tree.map(move, arrays), static)


def test_a_coupling_flow_is_undone_and_its_determinant_is_the_jacobians():
    flow = start_coupling_flow(series(), layers=4, widths=(16,), key=KEY)
    flow = eqx.tree_at(lambda f: f.layers, flow, moved(flow.layers, 0.3))
    z = flow.latents.sample(jax.random.key(1))
    x = flow.decode(z)
    np.testing.assert_allclose(flow.encode(x), z, atol=1e-5)
    jacobian = jax.jacfwd(flow.decode)(z).reshape(16, 16)
    sign, log_det = jnp.linalg.slogdet(jacobian)
    assert abs(float(log_det)) > 0.1
    exact = scipy.stats.norm.logpdf(np.asarray(z)).sum() - float(log_det)
    assert float(flow.log_density(x)) == pytest.approx(exact, abs=1e-3)
    assert abs(int(sign)) == 1


def test_a_coupling_flow_needs_two_numbers():
    schema = Schema("rows", ("entry",), (1,), ("a",), ("",))
    one = dataset(np.zeros((5, 1), np.float32), schema)
    with pytest.raises(ValueError, match="single number; use flow"):
        start_coupling_flow(one, key=KEY)


def test_there_and_back_through_a_field_over_channels():
    data = series()
    flow = start_continuous_flow(data, widths=(16, 16), key=KEY)
    assert isinstance(flow.field, ChannelField)
    flow = eqx.tree_at(lambda f: f.field, flow, moved(flow.field))
    x = jnp.asarray(data.observations[3])
    z = flow.encode(x)
    assert z.shape == (16,)
    np.testing.assert_allclose(flow.decode(z), x, atol=2e-3 * 50)


def test_a_series_begins_as_the_gaussian_of_the_data():
    # in white coordinates the field at the start, the best one for white noise, is the right one
    data = series()
    start = start_continuous_flow(data, widths=(16,), key=KEY)
    flat = data.observations.reshape(len(data), -1).astype(np.float64)
    gaussian = scipy.stats.multivariate_normal(flat.mean(0), np.cov(flat.T, bias=True))
    some = data.observations[:5]
    found = start.log_densities(jnp.asarray(some))
    np.testing.assert_allclose(found, gaussian.logpdf(flat[:5]), atol=0.05)
    z = jax.random.normal(KEY, (4000, start.latents.size))
    drawn = np.asarray(jax.vmap(start.decode)(z)).reshape(len(z), -1)
    deviations = flat.std(0)
    np.testing.assert_allclose(
        np.cov(drawn.T) / np.outer(deviations, deviations),
        np.cov(flat.T, bias=True) / np.outer(deviations, deviations),
        atol=0.1,
    )


def test_white_coordinates_are_white_and_keep_their_places():
    data = series()
    whitening = fit_whitening(data.observations, Scale.standard(data.observations))
    start = start_continuous_flow(data, widths=(16,), key=KEY)
    white = np.asarray(jax.vmap(start.coordinates)(jnp.asarray(data.observations)))
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(16), atol=2e-3)
    np.testing.assert_allclose(whitening.there @ whitening.back, np.eye(16), atol=1e-3)
    np.testing.assert_allclose(whitening.there, whitening.there.T, rtol=1e-3, atol=1e-4)
    expected = np.linalg.slogdet(np.asarray(whitening.there, np.float64))[1]
    assert float(whitening.log_volume()) == pytest.approx(expected, rel=1e-3)


def test_what_never_varies_can_be_whitened_too():
    scale = Scale((0.0,), (1.0,))
    whitening = fit_whitening(np.ones((5, 4, 1), np.float32), scale)
    np.testing.assert_allclose(whitening.apply(jnp.ones(4)), 0, atol=1e-6)
    line = np.linspace(-1, 1, 9)[:, None, None] * np.ones((1, 4, 1))
    whitening = fit_whitening(line.astype(np.float32), scale)
    y = jnp.asarray(line[3].ravel(), jnp.float32)
    np.testing.assert_allclose(whitening.undo(whitening.apply(y)), y, atol=1e-4)


def test_gaps_of_a_series_are_filled_before_it_is_whitened():
    x = series().observations.copy()
    x[::3, 2, 0] = np.nan
    whitening = fit_whitening(x, Scale.standard(x))
    assert np.isfinite(np.asarray(whitening.there)).all()


@pytest.mark.slow
def test_the_reference_is_not_moved_by_training():
    flow = gaussian_flow()
    gappy = jnp.asarray(rows(1)[0]).at[1].set(jnp.nan)
    slopes = eqx.filter_grad(lambda flow: flow.log_density(gappy))(flow)
    assert all(not leaf.any() for leaf in jax.tree.leaves(slopes.reference))
    assert jnp.abs(slopes.field.rate).max() > 0
    flow = start_continuous_flow(series(), widths=(16,), key=KEY)
    x = jnp.asarray(series().observations[0])
    slopes = eqx.filter_grad(lambda flow: flow.log_density(x))(flow)
    assert all(not leaf.any() for leaf in jax.tree.leaves(slopes.whitening))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [ContinuousFlow, HutchinsonFlow, CouplingFlow])
def test_every_flow_conforms_and_survives_its_file(kind, tmp_path):
    data = series()
    if kind is CouplingFlow:
        flow = start_coupling_flow(data, layers=2, widths=(16,), key=KEY)
    else:
        flow = start_continuous_flow(data, widths=(16,), key=KEY)
        parts = (flow.latents, flow.field, flow.scale, flow.reference, flow.shape)
        flow = kind(*parts, whitening=flow.whitening)
    flow = moved(flow, 0.02)
    report = check_model(flow, x=jnp.asarray(data.observations[0]), key=KEY)
    assert report.ok, str(report)
    save_model(tmp_path / "flow.safetensors", flow, schema=data.schema)
    assert eqx.tree_equal(load_model(tmp_path / "flow.safetensors").model, flow)
