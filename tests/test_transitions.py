"""Transition densities against SciPy, against the mass of one, against their own moments."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln, ive

from unweave.equations.stochastic._bessel import log_bessel_scaled
from unweave.equations.stochastic._transitions import (
    CIR,
    JUMPS,
    ArithmeticBrownian,
    GeometricBrownian,
    JumpDiffusion,
    Merton,
    OrnsteinUhlenbeck,
)

# each law: its parameters, a start, a step, and where nearly all of its mass lies
LAWS = {
    "bachelier": (ArithmeticBrownian, (0.3, 0.5), -0.2, 0.7, (-5, 5)),
    "gbm": (GeometricBrownian, (0.1, 0.4), 2.0, 0.5, (1e-6, 15)),
    "ou": (OrnsteinUhlenbeck, (0.9, 1.5, 0.6), 2.0, 0.4, (-3, 5)),
    "ou without a level": (OrnsteinUhlenbeck, (0.5, 0.0, 0.6), 2.0, 0.4, (-3, 7)),
    "ou that explodes": (OrnsteinUhlenbeck, (0.5, -0.8, 0.6), 2.0, 0.4, (-2, 8)),
    "cir": (CIR, (0.6, 2.0, 0.5), 0.4, 0.3, (1e-9, 3)),
    "cir that reaches zero": (CIR, (0.2, 1.0, 0.6), 0.4, 0.5, (0, 5)),
    "cir with a tiny step": (CIR, (0.6, 2.0, 0.1), 0.4, 1e-4, (0.39, 0.41)),
    "jumps": (JumpDiffusion, (0.1, 0.2, 3.0, -0.1, 0.3), 1.0, 0.5, (-7, 8)),
    "merton": (Merton, (0.1, 0.2, 2.0, -0.1, 0.2), 1.5, 0.5, (1e-4, 30)),
}


@pytest.fixture(params=LAWS)
def law(request):
    kind, parameters, x, h, ends = LAWS[request.param]
    with jax.enable_x64(True):
        made = kind(*(jnp.asarray(p, jnp.float64) for p in parameters))
        yield made, jnp.asarray(x, jnp.float64), jnp.asarray(h, jnp.float64), ends


def oracle(law, later, x, h):
    """SciPy's log-density of the same law."""
    p = [float(part) for part in jax.tree.leaves(law)]
    if isinstance(law, ArithmeticBrownian):
        return stats.norm(x + p[0] * h, p[1] * np.sqrt(h)).logpdf(later)
    if isinstance(law, GeometricBrownian):
        median = x * np.exp((p[0] - p[1] ** 2 / 2) * h)
        return stats.lognorm(p[1] * np.sqrt(h), scale=median).logpdf(later)
    if isinstance(law, OrnsteinUhlenbeck):
        a, b, s = p if p[1] else (p[0], 1e-9, p[2])
        mean = a / b + (x - a / b) * np.exp(-b * h)
        return stats.norm(mean, s * np.sqrt(-np.expm1(-2 * b * h) / (2 * b))).logpdf(later)
    if isinstance(law, CIR):
        a, b, s = p
        c = 2 * b / (s**2 * -np.expm1(-b * h))
        return stats.ncx2(4 * a / s**2, 2 * c * x * np.exp(-b * h), scale=1 / (2 * c)).logpdf(later)
    drift, s, rate, m, w = p
    in_price = isinstance(law, Merton)
    centre = np.log(x) + (drift - s**2 / 2) * h if in_price else x + drift * h
    value = np.log(later) if in_price else later
    density = sum(
        stats.poisson(rate * h).pmf(k)
        * stats.norm(centre + k * m, np.sqrt(s**2 * h + k * w**2)).pdf(value)
        for k in range(60)
    )
    return np.log(density) - (np.log(later) if in_price else 0)


def grid(ends, n=8000):
    # midpoints, closer together at the lower end, where a density may have a pole
    share = (np.arange(n) + 0.5) / n
    width = ends[1] - ends[0]
    return ends[0] + width * share**2, 2 * width * share / n


@eqx.filter_jit
def log_densities(law, later, x, h):
    return jax.vmap(lambda y: law.log_density(y, x, h))(later)


@eqx.filter_jit
def moments(law, x, h):
    return law.mean(x, h), law.variance(x, h)


def test_log_density_is_scipys(law):
    law, x, h, ends = law
    later, _ = grid(ends)
    got = np.asarray(log_densities(law, jnp.asarray(later), x, h))
    mean, variance = moments(law, x, h)
    some = np.flatnonzero(np.abs(later - mean) < 3 * np.sqrt(variance))[:: len(later) // 200]
    assert len(some) > 10
    want = oracle(law, later[some], float(x), float(h))
    np.testing.assert_allclose(got[some], want, rtol=1e-7, atol=1e-7)


def test_density_has_the_mass_one_and_these_moments(law):
    law, x, h, ends = law
    later, weight = grid(ends)
    density = np.exp(log_densities(law, jnp.asarray(later), x, h)) * weight
    mean, variance = map(float, moments(law, x, h))
    assert density.sum() == pytest.approx(1, abs=2e-4)
    assert density @ later == pytest.approx(mean, rel=2e-4)
    assert density @ (later - mean) ** 2 == pytest.approx(variance, rel=3e-3)


@pytest.mark.parametrize("law", ["gbm", "ou", "cir that reaches zero", "merton"], indirect=True)
def test_draws_follow_the_density(law):
    law, x, h, ends = law
    keys = jax.random.split(jax.random.key(1), 4000)
    draw = eqx.filter_jit(lambda law, keys: jax.vmap(lambda key: law.draw(x, h, key=key))(keys))
    draws = np.asarray(draw(law, keys))
    later, weight = grid(ends)
    density = np.exp(log_densities(law, jnp.asarray(later), x, h)) * weight
    result = stats.kstest(draws, lambda y: np.interp(y, later, np.cumsum(density)))
    assert result.pvalue > 1e-3


def test_gradients_are_finite_differences(law):
    law, x, h, _ = law
    later = law.mean(x, h) + 0.3 * jnp.sqrt(law.variance(x, h))
    leaves, tree = jax.tree.flatten((law, later, x, h))

    @jax.jit
    def density(leaves):
        law, later, x, h = jax.tree.unflatten(tree, list(leaves))
        return law.log_density(later, x, h)

    point = jnp.stack(leaves)
    slope = jax.jit(jax.grad(density))(point)
    for i in range(len(leaves)):
        # relative steps, because a tiny time step changes the density fast
        e = 1e-6 * jnp.maximum(1e-4, jnp.abs(point[i])) * jnp.eye(len(leaves))[i]
        numeric = (density(point + e) - density(point - e)) / (2 * e[i])
        assert float(slope[i]) == pytest.approx(float(numeric), rel=2e-4, abs=2e-5)


def test_no_density_where_the_state_cannot_be():
    one = jnp.asarray(1.0)
    gbm, cir = GeometricBrownian(one, one), CIR(one, one, one)
    for law in (gbm, cir):
        value, slope = jax.value_and_grad(lambda y, law=law: law.log_density(y, one, one))(-one)
        assert value == -jnp.inf
        assert jnp.isfinite(slope)
    # without an inflow the process would stick to zero: no density holds that
    assert CIR(-one, one, one).log_density(one, one, one) == -jnp.inf
    # a start at zero is allowed, and its law is a gamma law
    law = CIR(jnp.asarray(0.6), jnp.asarray(2.0), jnp.asarray(0.5))
    c = float(law._scale(one))
    want = stats.gamma(2 * 0.6 / 0.25, scale=1 / c).logpdf(0.3)
    assert law.log_density(jnp.asarray(0.3), 0 * one, one) == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize(("x64", "tolerance"), [(False, 3e-6), (True, 1e-12)])
def test_bessel_of_any_order_and_argument(x64, tolerance):
    rng = np.random.default_rng(0)
    order = np.concatenate([rng.uniform(-0.999, 1, 200), 10 ** rng.uniform(-1, 1.7, 300)])
    x = 10 ** rng.uniform(-2, 4, 500)
    # near the radius where the series hands over to the expansion
    x[:100] = 25 + rng.uniform(-0.1, 0.1, 100)
    scaled = ive(order, x)
    keep = scaled > 1e-290
    want = np.log(scaled[keep]) - order[keep] * np.log(x[keep] / 2)
    with jax.enable_x64(x64):
        arguments = [jnp.asarray(a[keep]) for a in (order, x)]
        got = np.asarray(jax.jit(jax.vmap(log_bessel_scaled))(*arguments))
        slope = jax.grad(log_bessel_scaled, argnums=(0, 1))
        slopes = np.asarray(jax.jit(jax.vmap(slope))(*arguments))
    error = np.abs(got - want) / np.maximum(1, np.abs(want))
    assert error.max() < tolerance
    assert np.isfinite(slopes).all()
    at_zero = log_bessel_scaled(jnp.asarray(1.5), jnp.asarray(0.0))
    assert at_zero == pytest.approx(-gammaln(2.5), rel=1e-6)


def test_cir_in_float32_is_near_float64():
    def value(dtype):
        p = [jnp.asarray(v, dtype) for v in (0.6, 2.0, 0.5)]
        later = jnp.linspace(0.3, 0.5, 21).astype(dtype)
        x, h = jnp.asarray(0.4, dtype), jnp.asarray(0.01, dtype)
        return np.asarray(log_densities(CIR(*p), later, x, h))

    single = value(jnp.float32)
    with jax.enable_x64(True):
        double = value(jnp.float64)
    np.testing.assert_allclose(single, double, atol=2e-3)


def test_merton_moments_of_a_log_return():
    """Variance and excess kurtosis in closed form (Cont and Tankov 2004, section 4.3)."""
    drift, s, rate, m, w, h = 0.1, 0.2, 2.0, -0.1, 0.2, 0.5
    law = Merton(*(jnp.asarray(p) for p in (drift, s, rate, m, w)))
    _, second, third, fourth = (float(k) for k in law.of_log.cumulants(jnp.asarray(h)))
    assert second == pytest.approx((s**2 + rate * (m**2 + w**2)) * h, rel=1e-5)
    keys = jax.random.split(jax.random.key(0), 40_000)
    one = jnp.asarray(1.0)
    log = np.log(jax.vmap(lambda key: law.draw(one, jnp.asarray(h), key=key))(keys))
    assert log.var() == pytest.approx(second, rel=0.03)
    assert stats.skew(log) == pytest.approx(third / second**1.5, abs=0.1)
    assert stats.kurtosis(log) == pytest.approx(fourth / second**2, rel=0.15)


def test_jumps_left_out_are_counted():
    law = JumpDiffusion(*(jnp.asarray(p) for p in (0.0, 0.1, 20.0, 0.0, 0.1)))
    want = stats.poisson(20).sf(JUMPS - 1)
    assert law.left_out(jnp.asarray(1.0)) == pytest.approx(want, rel=1e-3)
    assert law.left_out(jnp.asarray(1.0)) < 1e-4
