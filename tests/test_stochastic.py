"""Stochastic equations: recognised, simulated, asked how likely a path is, fitted."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

import unweave
from conftest import ROOT
from unweave import check_model
from unweave._course import Course
from unweave.equations import parse, read_equation
from unweave.equations.stochastic._account import stochastic_account
from unweave.equations.stochastic._equation import (
    StochasticEquation,
    StochasticSimulator,
    stochastic_equation,
)
from unweave.equations.stochastic._fit import Score, fit_stochastic
from unweave.equations.stochastic._paths import Dynamics, euler_step, milstein_step
from unweave.equations.stochastic._recognise import recognise, transition
from unweave.equations.stochastic._transitions import (
    CIR,
    ArithmeticBrownian,
    GeometricBrownian,
    JumpDiffusion,
    Merton,
    OrnsteinUhlenbeck,
)

ZOO = ROOT / "src" / "unweave" / "equations" / "zoo"
OU = """
time in year
dx = kappa*(theta - x) dt + sigma dW
kappa in (0.05, 10) 1/year
theta in (-2, 2)
sigma in (0.05, 2)
x(0) in (-2, 2)
"""
GBM = """
dx = mu*x dt + sigma*x dW
mu in (-1, 1)
sigma in (0.05, 1)
x(0) in (0.5, 2)
"""


def declared(equation, *names):
    """A text with a range for each of its names."""
    return "\n".join([equation, *(f"{name} in (0.1, 2)" for name in names), "x(0) in (0.5, 2)"])


def double(*numbers):
    return jnp.asarray(numbers, jnp.float64)


RECOGNISED = {
    "dx = m dt + s dW": (ArithmeticBrownian, "ms"),
    "dx = m dt + s dW1 + r dW2": (ArithmeticBrownian, "msr"),
    "dx = x*m dt + x*s dW": (GeometricBrownian, "ms"),
    "dx = s*x dW": (GeometricBrownian, "s"),
    "dx = (a - b)*x dt + sqrt(s^2*x^2) dW": (GeometricBrownian, "abs"),
    "dx = k*(q - x) dt + s dW": (OrnsteinUhlenbeck, "kqs"),
    "dx = (a - b*x) dt + s dW": (OrnsteinUhlenbeck, "abs"),
    "dx = -x dt + 0.5 dW": (OrnsteinUhlenbeck, ""),
    "dx = k*(q - x) dt + s*sqrt(x) dW": (CIR, "kqs"),
    "dx = (a - b*x) dt - sqrt(s*x) dW": (CIR, "abs"),
    "dx = m dt + s dW + normal(a, b) dN(r)": (JumpDiffusion, "msabr"),
    "dx = m*x dt + s*x dW + x*(exp(normal(a, b)) - 1) dN(r)": (Merton, "msabr"),
    # not one of them: the noise, the drift or the jumps depend on the state or on time
    "dx = k*(q - x) dt + s*x dW": (None, "kqs"),
    "dx = k*x*(1 - x) dt + s*x dW": (None, "ks"),
    "dx = k*(q - x)*t dt + s dW": (None, "kqs"),
    "dx = -k*x dt + s*sqrt(x) dW": (None, "ks"),
    "dx = -k*x dt + s dW + normal(a, b) dN(r)": (None, "ksabr"),
    "dx = m*x dt + s*x dW + x*normal(a, b) dN(r)": (None, "msabr"),
    "dx = m*x dt + s*x dW + x*(exp(normal(a, b)) - 1) dN(r*x)": (None, "msabr"),
}


@pytest.mark.parametrize("text", RECOGNISED)
def test_laws_are_recognised_by_their_formulas(text):
    law, names = RECOGNISED[text]
    assert recognise(parse(declared(text, *names))) is law


def test_parameters_of_a_law_are_read_off_the_equation():
    with jax.enable_x64(True):
        cir = transition(
            parse(declared("dx = k*(q - x) dt + s*sqrt(x) dW", *"kqs")), double(2, 0.5, 0.3, 1)
        )
        assert jax.tree.leaves(cir) == pytest.approx([1.0, 2.0, 0.3])
        text = declared("dx = m*x dt + s*x dW + x*(exp(normal(a, b)) - 1) dN(3*r)", *"msabr")
        merton = transition(parse(text), double(0.1, 0.2, 0.3, 0.4, 0.5, 1))
        assert jax.tree.leaves(merton) == pytest.approx([0.1, 0.2, 1.5, 0.3, 0.4])
        two = transition(
            parse(declared("dx = m dt + s dW1 + r dW2", *"msr")), double(1, 0.3, 0.4, 1)
        )
        assert jax.tree.leaves(two) == pytest.approx([1.0, 0.5])


def test_likelihood_skips_what_was_not_observed():
    model = stochastic_equation(GBM, times=[0.0, 0.5, 1.0, 2.0])
    assert isinstance(model, StochasticEquation)
    assert (model.likelihood_kind, model.law) == ("exact", "geometric Brownian motion")

    def oracle(a, b, h):
        return stats.lognorm(0.3 * np.sqrt(h), scale=a * np.exp((0.2 - 0.045) * h)).logpdf(b)

    with jax.enable_x64(True):
        z = double(0.2, 0.3, 1.7)
        x = double(1.0, 1.2, np.nan, 0.9)[:, None]
        each = np.asarray(model.log_likelihoods(x, z))
        np.testing.assert_allclose(each, [0, oracle(1, 1.2, 0.5), 0, oracle(1.2, 0.9, 1.5)])
        # without the first row the course begins where the latents say
        late = model.log_likelihood(double(np.nan, 1.2, np.nan, 0.9)[:, None], z)
        assert late == pytest.approx(oracle(1.7, 1.2, 0.5) + oracle(1.2, 0.9, 1.5))
        # times of its own, padded at the end
        own = Course(double(0, 1, 3, 3), None)
        x = double(1.0, 1.2, 0.9, np.nan)[:, None]
        value, slope = jax.value_and_grad(lambda z: model.log_likelihood(x, z, own))(z)
        assert value == pytest.approx(oracle(1, 1.2, 1) + oracle(1.2, 0.9, 2))
        assert np.isfinite(slope).all()
        assert slope[2] == 0
        assert model.log_likelihood(jnp.full((4, 1), jnp.nan), z) == 0


def test_eulers_likelihood_is_scipys_normal():
    text = """
    dx = -k*x^3 dt + s dW1
    dy = (x - y) dt + 0.3*x dW1 + 0.5 dW2
    k, s in (0.1, 2)
    x(0), y(0) in (0.5, 2)
    """
    model = stochastic_equation(text, times=[0.0, 0.1])
    assert model.likelihood_kind == "Euler pseudo-likelihood, bias O(h)"
    with jax.enable_x64(True):
        z, x = double(0.7, 0.4, 1, 1), jnp.asarray([[0.8, 1.1], [0.9, 1.0]])
        g = np.array([[0.4, 0], [0.3 * 0.8, 0.5]])
        mean = np.array([0.8 - 0.07 * 0.8**3, 1.1 - 0.03])
        want = stats.multivariate_normal(mean, g @ g.T * 0.1).logpdf([0.9, 1.0])
        assert model.log_likelihood(x, z) == pytest.approx(want, rel=1e-9)


def test_eulers_likelihood_with_jumps_is_a_mixture():
    text = declared("dx = -k*x dt + s dW + normal(a, b) dN(r)", *"ksabr")
    model = stochastic_equation(text, times=[0.0, 0.5])
    with jax.enable_x64(True):
        z, x = double(0.5, 0.4, 0.3, 0.6, 2.0, 1), double(1.0, 1.6)[:, None]
        got = model.log_likelihood(x, z)
        mean, spread = model.one_step(x, z)
    density = sum(
        stats.poisson(1.0).pmf(k)
        * stats.norm(0.75 + 0.3 * k, np.sqrt(0.16 * 0.5 + 0.36 * k)).pdf(1.6)
        for k in range(40)
    )
    assert got == pytest.approx(np.log(density), rel=1e-8)
    assert mean[1, 0] == pytest.approx(0.75 + 0.3)
    assert spread[1, 0] == pytest.approx(np.sqrt(0.08 + 0.36 + 0.09))


def test_half_steps_are_integrated_exactly_where_they_are_normal():
    system, k, q, s, h, x, y = parse(OU), 2.0, 0.5, 0.4, 0.3, 0.1, 0.7
    model = StochasticEquation(system, (0.0, h), exact=False, halved=True)
    with jax.enable_x64(True):
        got = model.log_likelihood(double(x, y)[:, None], double(k, q, s, 0))
    shrink = 1 - k * h / 2
    mean = q + (x - q) * shrink**2
    want = stats.norm(mean, s * np.sqrt(h / 2 * (1 + shrink**2))).logpdf(y)
    assert got == pytest.approx(want, rel=1e-6)


def test_strong_and_weak_order_on_geometric_brownian_motion():
    mu, sigma, paths, finest = 0.5, 1.0, 4000, 128
    rng = np.random.default_rng(0)
    small = rng.standard_normal((paths, finest)) / np.sqrt(finest)
    ends = np.exp(mu - sigma**2 / 2 + sigma * small.sum(axis=1))

    with jax.enable_x64(True):
        of = Dynamics(parse(GBM), double(mu, sigma, 1), (False,))

        def last(one_step, steps):
            dw = jnp.asarray(small.reshape(paths, steps, -1).sum(axis=2))[:, :, None]
            h, t, u = jnp.asarray(1 / steps), jnp.zeros(()), jnp.zeros(0)

            @jax.jit
            @jax.vmap
            def path(dw):
                move = lambda x, dw: (one_step(of, t, x, u, h, dw), None)  # noqa: E731
                return jax.lax.scan(move, jnp.ones(1), dw)[0][0]

            return np.asarray(path(dw))

        steps = np.array([8, 16, 32, 64])
        reached = {s: [last(s, n) for n in steps] for s in (euler_step, milstein_step)}
    orders = {}
    for scheme, found in reached.items():
        errors = [np.abs(end - ends).mean() for end in found]
        orders[scheme] = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert orders[euler_step] == pytest.approx(0.5, abs=0.1)
    assert orders[milstein_step] == pytest.approx(1.0, abs=0.15)
    # the mean of Euler's path is (1 + mu h)^n, whose distance from e^mu falls as h: weak order 1
    for n, end in zip(steps, reached[euler_step], strict=True):
        assert abs(end.mean() - (1 + mu / n) ** n) < 4 * end.std() / np.sqrt(paths)
    weak = np.abs((1 + mu / steps) ** steps - np.exp(mu))
    assert -np.polyfit(np.log(steps), np.log(weak), 1)[0] == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_heston_stays_real_and_has_the_means_of_theory():
    system = read_equation(ZOO / "heston.ode")
    model = stochastic_equation(system, times=[0.0, 0.5, 1.0], substeps=50)
    assert isinstance(model, StochasticSimulator)
    with pytest.raises(ValueError, match=r"v is not observed as such.*StochasticSimulator"):
        StochasticEquation(system, (0.0, 1.0))
    seen = parse(system.pretty().replace("observe S", "observe S, v"))
    both = StochasticSimulator(seen, (0.0, 0.5, 1.0), 50)
    # the variance reaches zero: 2 kappa theta < xi^2
    z = jnp.asarray([0.1, 1.0, 0.04, 0.6, -0.5, 100.0, 0.06])
    keys = jax.random.split(jax.random.key(0), 4000)
    paths = np.asarray(jax.vmap(lambda key: both.decode(z, key=key))(keys))
    assert np.isfinite(paths).all()
    assert (paths[..., 1] >= 0).all()
    assert paths[:, -1, 1].min() < 1e-3
    mean = np.asarray(both.decode(z))
    times = np.array([0, 0.5, 1.0])
    theory = np.stack([100 * np.exp(0.1 * times), 0.04 + 0.02 * np.exp(-times)], axis=-1)
    np.testing.assert_allclose(mean, theory, rtol=1e-5)
    spread = paths[:, 1:].std(axis=0) / np.sqrt(len(paths))
    assert (np.abs(paths[:, 1:].mean(axis=0) - theory[1:]) < 4 * spread + 2e-3 * theory[1:]).all()
    report = check_model(model, key=jax.random.key(0))
    assert report.ok, str(report)


def test_merton_by_small_steps_has_the_moments_of_theory():
    system = read_equation(ZOO / "merton.ode")
    model = StochasticEquation(system, (0.0, 0.5), 20, exact=False)
    z = jnp.asarray([0.1, 0.2, 2.0, -0.1, 0.2, 100.0])
    keys = jax.random.split(jax.random.key(0), 20_000)
    ends = np.asarray(jax.vmap(lambda key: model.decode(z, key=key))(keys))[:, -1, 0]
    log = np.log(ends / 100)
    n, second = 2.0 * 0.5, 0.04 * 0.5 + 2.0 * 0.5 * 0.05
    fourth = n * (0.1**4 + 6 * 0.1**2 * 0.04 + 3 * 0.04**2)
    assert log.mean() == pytest.approx((0.1 - 0.02) * 0.5 - 0.1 * n, abs=0.01)
    assert log.var() == pytest.approx(second, rel=0.05)
    assert stats.kurtosis(log) == pytest.approx(fourth / second**2, rel=0.2)
    # the path without chance knows of the jumps: it is the exact mean
    exact = StochasticEquation(system, (0.0, 0.5))
    np.testing.assert_allclose(model.decode(z), exact.decode(z), rtol=1e-5)
    assert ends.mean() == pytest.approx(float(exact.decode(z)[1, 0]), rel=0.02)


def test_exact_paths_have_the_law_of_the_transition():
    model = stochastic_equation(OU, times=[0.0, 0.5, 0.5 + 1e-3, 3.0])
    z = jnp.asarray([1.5, 0.5, 0.6, -1.0])
    keys = jax.random.split(jax.random.key(2), 4000)
    last = np.asarray(jax.vmap(lambda key: model.decode(z, key=key))(keys))[:, -1, 0]
    mean, var = 0.5 - 1.5 * np.exp(-4.5), 0.36 * (1 - np.exp(-9)) / 3
    assert stats.kstest(last, stats.norm(mean, np.sqrt(var)).cdf).pvalue > 1e-3
    assert model.decode(z)[-1, 0] == pytest.approx(mean, rel=1e-4)


def test_density_integrates_the_latents_out():
    text = "dx = mu*x dt + 0.3*x dW\nmu in (-1, 1)\nx(0) in (0.5, 2)"
    model = StochasticEquation(parse(text), (0.0, 1.0, 2.0), draws=4000)

    def given(mu):
        law = stats.lognorm(0.3, scale=np.exp(mu - 0.045))
        return law.pdf(1.2) * law.pdf(1.1 / 1.2) / 1.2 / 2

    with jax.enable_x64(True):
        x = double(1.0, 1.2, 1.1)[:, None]
        got = model.log_density(x)
        # the start is uniform from 0.5 to 2
        assert got == pytest.approx(np.log(quad(given, -1, 1)[0] / 1.5), abs=0.05)
        assert model.log_density(x) == got
        assert model.log_density(x.at[0].set(3.0)) == -jnp.inf
        assert model.log_density(x, key=jax.random.key(5)) != got


def path_of(text, z, *, until, n, seed=0):
    model = stochastic_equation(text, times=np.linspace(0, until, n))
    with jax.enable_x64(True):
        x = np.asarray(model.decode(double(*z), key=jax.random.key(seed)))
    return model, x, np.asarray(model.times)


@pytest.mark.slow
def test_fit_finds_the_truth_and_measures_eulers_bias():
    model, x, t = path_of(OU, (2.0, 0.5, 0.4, 0.0), until=100.0, n=401, seed=3)
    fit = fit_stochastic(model, x[None], t, starts=4, key=jax.random.key(0))
    assert (fit.agree, fit.failed, fit.n) == (4, 0, 400)
    # kappa and sigma in logarithms
    off = np.array([np.log(fit.z[0, 0] / 2), fit.z[0, 1] - 0.5, np.log(fit.z[0, 2] / 0.4)])
    assert (np.abs(off) < 3 * fit.certainty.errors).all()
    # the standard error of the level over a long record is sigma / (kappa sqrt T)
    assert fit.certainty.errors[1] == pytest.approx(fit.z[0, 2] / fit.z[0, 0] / 10, rel=0.1)
    told = stochastic_account(fit)
    json.dumps(told.numbers)
    kinds = [row["status"] for row in told.numbers["latents"]]
    assert kinds == ["determined"] * 3 + ["fixed"]
    assert told.numbers["verdict"][0] == "All 4 starts reach the same optimum."
    assert told.numbers["residuals"]["sentences"] == []
    scaled = told.arrays["residuals"][0, 1:]
    assert scaled.std() == pytest.approx(1, abs=0.02)

    rough = StochasticEquation(model.system, model.times, exact=False)
    euler = fit_stochastic(rough, x[None], t, starts=2, key=jax.random.key(0))
    # Euler's estimate of kappa is (1 - exp(-kappa h)) / h: on a path of the exact law
    assert euler.z[0, 0] == pytest.approx(-np.expm1(-fit.z[0, 0] * 0.25) / 0.25, rel=1e-4)
    assert euler.bias[[0, 2]] == pytest.approx((euler.z - fit.z)[0, [0, 2]], rel=0.2)
    sentence = stochastic_account(euler).numbers["verdict"][1]
    assert "bias O(h): by half the step, it moves kappa by -0.5" in sentence


@pytest.mark.slow
def test_a_latent_without_a_range_lies_at_no_end_of_one():
    open_range = OU.replace("sigma in (0.05, 2)", "sigma > 0")
    model, x, t = path_of(open_range, (2.0, 0.5, 0.001, 0.5), until=20.0, n=81)
    fit = fit_stochastic(model, x[None], t, starts=1, key=jax.random.key(0))
    rows = stochastic_account(fit).numbers["latents"]
    assert [row["status"] for row in rows] == ["determined"] * 3 + ["fixed"]


@pytest.mark.slow
def test_fit_of_records_that_share_and_own_latents():
    text = GBM.replace("mu in (-1, 1)", "mu in (-1, 1) per record")
    model, one, t = path_of(text, (0.5, 0.2, 1.0), until=40.0, n=201, seed=1)
    two = path_of(text, (-0.3, 0.2, 1.0), until=40.0, n=201, seed=2)[1]
    x = np.stack([one, two])
    x[0, 40:60] = np.nan
    fit = fit_stochastic(model, x, t, starts=2, key=jax.random.key(0))
    assert fit.certainty.labels == ((0, 0), (0, 1), (1, -1))
    # maximum likelihood in closed form, with the gap as one long step
    logs = [(np.log(r[~np.isnan(r[:, 0]), 0]), t[~np.isnan(r[:, 0])]) for r in x]
    slopes = [(y[-1] - y[0]) / (s[-1] - s[0]) for y, s in logs]
    parts = [
        (np.diff(y) - m * np.diff(s)) ** 2 / np.diff(s)
        for (y, s), m in zip(logs, slopes, strict=True)
    ]
    variance = np.concatenate(parts).mean()
    np.testing.assert_allclose(fit.z[:, 1], np.sqrt(variance), rtol=1e-5)
    np.testing.assert_allclose(fit.z[:, 0], np.array(slopes) + variance / 2, rtol=1e-4)
    assert fit.n == 380
    assert fit.score(x, t).each.shape == (2, 201)
    assert np.nansum(fit.score(x, t).each) == pytest.approx(fit.log_likelihood)
    with pytest.raises(ValueError, match="1 records were given"):
        fit.score(x[:1], t)


def test_scores_are_compared_row_by_row():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(1, 2000))
    better = Score(base + 0.1 + 0.01 * rng.normal(size=(1, 2000)))
    gap, error = better.less(Score(base))
    assert gap == pytest.approx(0.1, abs=4 * error)
    assert error == pytest.approx(0.01 / np.sqrt(2000), rel=0.2)
    # neighbours that move together tell less than as many strangers
    walk = Score(np.repeat(rng.normal(size=(1, 400)), 5, axis=1))
    assert walk.error > 1.5 * walk.each.std() / np.sqrt(2000)


REFUSED = {
    "x' = -x\nx(0) = 1": "has no noise",
    "dx = -x dt + 0.1 dW\nx(0) = 1\nwhen x < 0: x = 0": "without events",
}


@pytest.mark.parametrize("text", REFUSED)
def test_equations_that_are_refused(text):
    with pytest.raises(ValueError, match=REFUSED[text]):
        stochastic_equation(text, times=[0.0, 1.0])


def test_what_is_refused_at_the_door():
    system = parse(OU)
    with pytest.raises(ValueError, match="rising order"):
        StochasticEquation(system, (0.0, 0.0))
    with pytest.raises(ValueError, match="0 substeps"):
        StochasticSimulator(system, (0.0, 1.0), 0)
    with pytest.raises(ValueError, match="half steps are for Euler"):
        StochasticEquation(system, (0.0, 1.0), halved=True)
    velocity = parse("x' = v\ndv = -v dt + 0.1 dW\nx(0) = 0\nv(0) = 0")
    with pytest.raises(ValueError, match="are driven by 1 noise"):
        StochasticEquation(velocity, (0.0, 1.0))
    assert isinstance(stochastic_equation(velocity, until=1.0), StochasticSimulator)

    model, x, t = path_of(GBM, (0.1, 0.2, 1.0), until=1.0, n=6)
    fit = lambda x, t: fit_stochastic(model, x, t, starts=1, key=jax.random.key(0))  # noqa: E731
    with pytest.raises(ValueError, match=r"one record as observations\[None\]"):
        fit(x, t)
    with pytest.raises(ValueError, match="times of shape"):
        fit(x[None], t[1:])
    with pytest.raises(ValueError, match="do not rise"):
        fit(x[None], t[::-1])
    with pytest.raises(ValueError, match="nothing to fit"):
        fit(np.full((1, 6, 1), np.nan), t)
    with pytest.raises(ValueError, match="a price below zero"):
        fit(-x[None], t)


@pytest.mark.parametrize(
    ("name", "law"),
    [("gbm", GeometricBrownian), ("ou", OrnsteinUhlenbeck), ("cir", CIR), ("merton", Merton)],
)
def test_zoo_entries_are_what_they_say(name, law):
    system = read_equation(ZOO / f"{name}.ode")
    assert recognise(system) is law
    assert all(unit for unit, latent in zip(system.latents.units, system.latents.names, strict=True)
               if latent not in {"theta", "x(0)", "m", "s"})  # fmt: skip
    model = stochastic_equation(system, until=5.0, samples=51)
    with jax.enable_x64(True):
        x = model.sample(jax.random.key(0))
        assert np.isfinite(model.log_density(x))


def test_every_class_is_a_model_of_the_protocol():
    model = StochasticEquation(
        parse(declared("dx = k*x*(1 - x) dt + 0.1*x dW", "k")), (0.0, 0.1, 0.2), 2, draws=8
    )
    assert unweave.capabilities(model) == ("sampler", "decoder", "density")
    report = check_model(model, key=jax.random.key(1))
    assert report.ok, str(report)
