"""Fitting equations: against SciPy, closed forms and refits; what a fit says of itself."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares

import unweave as uw
from unweave.data import Signal, trajectories
from unweave.equations import FitError, fit_equation, parse, posterior, profiles, search
from unweave.equations.fitting._certainty import Certainty
from unweave.equations.fitting._identifiable import identifiability

FHN = """
v' = c*(v - v^3/3 + w)
w' = -(v - a + b*w)/c
a, b in (0.02, 2)
c in (0.3, 30)
v(0), w(0) in (-10, 10)
"""
FHN_TRUTH = np.array([0.2, 0.2, 3.0, -1.0, 1.0])
DECAY = "x' = -k*x + s\nk in (0.05, 5) 1/day\ns in (0, 4) mm/day\nx(0) in (0.1, 20) mm"


def signal(times, values, *, record="one", channels=("x",)):
    return Signal(record, record, np.asarray(values, float), np.asarray(times, float), channels,
                  ("",) * len(channels), time_unit="day")  # fmt: skip


@functools.cache
def fhn_data(seed=0, noise=0.5):
    a, b, c, *start = FHN_TRUTH
    times = np.linspace(0, 20, 201)
    path = solve_ivp(
        lambda t, x: [c * (x[0] - x[0] ** 3 / 3 + x[1]), -(x[0] - a + b * x[1]) / c],
        (0, 20), start, t_eval=times, rtol=1e-9, atol=1e-9,
    ).y.T  # fmt: skip
    noisy = path + noise * np.random.default_rng(seed).normal(size=path.shape)
    return trajectories([signal(times, noisy, channels=("v", "w"))])


@functools.cache
def fhn_fit():
    return fit_equation(FHN, fhn_data(), starts=64)


@pytest.mark.slow
def test_every_start_over_a_hundredfold_range_reaches_the_optimum():
    fit = fhn_fit()
    assert fit.best.agree == 64
    assert fit.account["verdict"][0] == (
        "All 64 starts reach the same optimum, each brought near it by the slopes of the data."
    )


def test_the_optimum_is_scipys():
    fit, data = fhn_fit(), fhn_data()
    x, times = data.observations[0], np.asarray(data.schema.times)

    def residual(z):
        a, b, c, *start = z
        path = solve_ivp(
            lambda t, x: [c * (x[0] - x[0] ** 3 / 3 + x[1]), -(x[0] - a + b * x[1]) / c],
            (0, 20), start, t_eval=times, rtol=1e-8, atol=1e-8,
        ).y.T  # fmt: skip
        return (path - x).T / fit.best.scale[:, None]

    peer = least_squares(
        lambda z: residual(z).ravel(), FHN_TRUTH, x_scale=[1, 1, 3, 1, 1], xtol=1e-12, ftol=1e-12
    )
    # the noise of each channel is estimated with the curve, and SciPy is given it
    np.testing.assert_allclose(fit.best.z[0], peer.x, rtol=5e-4, atol=5e-4)
    covariance = np.linalg.inv(peer.jac.T @ peer.jac) * fit.certainty.inflate
    # coordinates of positive latents are logarithms
    size = np.where(fit.certainty.is_log, fit.best.z[0], 1.0)
    np.testing.assert_allclose(fit.certainty.errors * size, np.sqrt(np.diag(covariance)), rtol=0.02)


def test_profiles_of_a_nearly_normal_likelihood_are_the_intervals():
    fit = fhn_fit()
    low, high = fit.certainty.intervals(0.9)
    for k, profile in enumerate(profiles(fit.best, fit.certainty, confidence=0.9)):
        assert profile.objectives.min() > -1e-6
        if profile.name == "b":
            continue  # its likelihood is skewed, which is what a profile is for
        width = high[k] - low[k]
        assert abs(profile.low - low[k]) < 0.1 * width
        assert abs(profile.high - high[k]) < 0.1 * width


def decay_records(n, *, seed=0, noise=0.05, k=0.7, s=1.2):
    random = np.random.default_rng(seed)
    signals = []
    for i, start in enumerate(random.uniform(3, 12, n)):
        times = np.sort(random.uniform(0, 6, 18))
        times[0] = 0.0
        clean = s / k + (start - s / k) * np.exp(-k * times)
        values = clean * np.exp(noise * random.normal(size=times.size))
        values[5] = np.nan
        signals.append(signal(times, values[:, None], record=f"r{i}"))
    return trajectories(signals)


def test_records_share_parameters_and_keep_their_own_times_and_starts():
    data = decay_records(6)
    assert data.times is not None  # six sets of irregular times
    fit = fit_equation(DECAY, data, starts=8, noise="log-normal")
    k, s = fit.estimates["k"], fit.estimates["s"]
    assert abs(k - 0.7) < 4 * fit.certainty.errors[0] * k
    assert abs(s - 1.2) < 4 * fit.certainty.errors[1] * s

    def residual(z):
        parts = []
        for i, (x, t) in enumerate(zip(data.observations[:, :, 0], data.times, strict=True)):
            clean = z[1] / z[0] + (z[2 + i] - z[1] / z[0]) * np.exp(-z[0] * (t - t[0]))
            parts.append((np.log(x) - np.log(clean))[~np.isnan(x)])
        return np.concatenate(parts)

    start = np.concatenate([[1.0, 1.0], np.nanmax(data.observations[:, :, 0], axis=1)])
    peer = least_squares(residual, start, xtol=1e-12, ftol=1e-12)
    np.testing.assert_allclose([k, s], peer.x[:2], rtol=2e-4)
    own = [fit.estimates[f"x(0)@r{i}"] for i in range(6)]
    np.testing.assert_allclose(own, peer.x[2:], rtol=2e-4)


NOISES = {
    "gaussian": lambda random, y: y + 0.3 * random.normal(size=y.shape),
    "log-normal": lambda random, y: y * np.exp(0.1 * random.normal(size=y.shape)),
    "student-t": lambda random, y: y + 0.3 * random.standard_t(4, size=y.shape),
    "poisson": lambda random, y: random.poisson(y).astype(float),
}


@pytest.mark.parametrize(
    "noise",
    [
        n if n in ("gaussian", "poisson") else pytest.param(n, marks=pytest.mark.slow)
        for n in NOISES
    ],
)
def test_every_noise_is_fitted_where_its_likelihood_is_highest(noise):
    random, times = np.random.default_rng(1), np.linspace(0, 6, 60)
    clean = 1.5 + (20 - 1.5) * np.exp(-0.7 * times)
    data = trajectories([signal(times, NOISES[noise](random, clean)[:, None])])
    text = "x' = -k*(x - e)\nk in (0.05, 5)\ne in (0.1, 10)\nx(0) in (1, 100)"
    best = search(parse(text), data, starts=4, noise=noise)
    # no nearby point is more likely: the gradient of the likelihood, by another route, is nil
    model = eqx.tree_at(lambda m: m.noise, best.equation, best.equation.noise)
    with jax.enable_x64(True):
        x, z = jnp.asarray(data.observations[0]), jnp.asarray(best.z[0])
        slope = jax.grad(lambda z: model.log_likelihood(x, z))(z)
        curvature = jax.hessian(lambda z: model.log_likelihood(x, z))(z)
        step = np.linalg.solve(np.asarray(curvature), np.asarray(slope))
    errors = best.certainty().errors * np.where(best.certainty().is_log, best.z[0], 1)
    assert np.all(np.abs(step) < 2e-2 * errors)


def coverage(n, k=0.7):
    inside = []
    for seed in range(n):
        random, times = np.random.default_rng(seed), np.linspace(0, 6, 30)
        clean = 1.2 / k + (9 - 1.2 / k) * np.exp(-k * times)
        values = clean + 0.3 * random.normal(size=times.shape)
        best = search(parse(DECAY), trajectories([signal(times, values[:, None])]), starts=1)
        low, high = best.certainty().intervals(0.9)
        inside.append((low <= [k, 1.2, 9.0]) & (np.array([k, 1.2, 9.0]) <= high))
    return np.mean(inside, axis=0)


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say():
    covered = coverage(200)
    assert ((covered >= 0.85) & (covered <= 0.95)).all(), covered


PENDULUM = """
theta'' = -(m*g*l/(m*l^2))*sin(theta) - (b/(m*l^2))*theta'
g = 9.81 [m/s^2]
m in (0.1, 10) kg
l in (0.1, 10) m
b in (0.01, 10) kg m^2/s
theta(0) in (-3, 3) rad
theta'(0) = 0
observe theta
"""


def pendulum_data():
    times = np.linspace(0, 10, 200)
    path = solve_ivp(
        lambda t, x: [x[1], -9.81 / 1.2 * np.sin(x[0]) - 0.25 * x[1]], (0, 10), [1.0, 0.0],
        t_eval=times, rtol=1e-9, atol=1e-9,
    ).y[0]  # fmt: skip
    noisy = path + 0.02 * np.random.default_rng(0).normal(size=path.shape)
    return trajectories([signal(times, noisy[:, None], channels=("theta",))])


def test_what_cannot_be_told_apart_is_named():
    fit = fit_equation(PENDULUM, pendulum_data(), starts=16)
    told = fit.account["identifiability"]
    assert "m and b cannot be told apart" in told["sentences"][0]
    assert told["determined"] == ["m/b"]
    status = {row["name"]: row["status"] for row in fit.account["latents"]}
    assert status["l"] == "determined"
    assert status["m"] == status["b"] == "undetermined"
    assert abs(fit.estimates["l"] - 1.2) < 0.02
    # and a draw of both has the quotient that the data do determine
    with jax.enable_x64(True):
        draws = np.asarray(
            jax.vmap(fit.model.latents.sample)(jax.random.split(jax.random.key(0), 200))
        )
    ratio = np.log(draws[:, 0] / draws[:, 2])
    assert np.std(ratio) < 0.1
    assert np.std(np.log(draws[:, 0])) > 0.4


@pytest.mark.slow
def test_a_species_that_is_never_there_is_pinned_at_zero():
    text = """
    a' = r*a*(1 - a/n) - c*a*b
    b' = s*b*(1 - b/m) - d*a*b
    r, s in (0.1, 3)
    n, m in (1, 100)
    c, d in (0, 1)
    a(0), b(0) in (0.01, 20)
    """
    times = np.linspace(0, 10, 25)
    lone = 10 / (1 + 9 * np.exp(-1.0 * times))
    other = 6 / (1 + 5 * np.exp(-0.8 * times))
    both = solve_ivp(
        lambda t, x: [x[0] * (1 - x[0] / 10) - 0.05 * x[0] * x[1],
                      0.8 * x[1] * (1 - x[1] / 6) - 0.1 * x[0] * x[1]],
        (0, 10), [1.0, 1.0], t_eval=times, rtol=1e-8,
    ).y.T  # fmt: skip
    random = np.random.default_rng(0)
    records = {
        "a": np.stack([lone, 0 * lone], 1), "b": np.stack([0 * other, other], 1), "mixed": both,
    }  # fmt: skip
    data = trajectories([
        signal(times, np.where(x > 0, x + 0.05 * random.normal(size=x.shape), 0.0),
               record=name, channels=("a", "b"))
        for name, x in records.items()
    ])  # fmt: skip
    fit = fit_equation(text, data, starts=8)
    assert fit.best.notes == (
        "a is 0 throughout record b: it is absent there.",
        "b is 0 throughout record a: it is absent there.",
    )
    assert "b(0)@a" not in fit.estimates
    assert abs(fit.estimates["d"] - 0.1) < 0.02


def test_a_hidden_state_is_found_by_growing_parts_of_the_record():
    text = "x' = y\ny' = -w^2*x - 2*g*y + 0*y^2\nw in (0.2, 20)\ng in (0.01, 2)\n" \
           "x(0) in (-3, 3)\ny(0) in (-10, 10)\nobserve z = x^3"  # fmt: skip
    times = np.linspace(0, 8, 120)
    path = np.exp(-0.15 * times) * np.cos(2.0 * times)
    values = path**3 + 0.01 * np.random.default_rng(0).normal(size=times.shape)
    fit = fit_equation(text, trajectories([signal(times, values[:, None])]), starts=32)
    assert abs(fit.estimates["w"] - np.sqrt(4 + 0.15**2)) < 0.02
    assert fit.best.agree >= 2


@pytest.mark.slow
def test_records_that_share_nothing_are_each_fitted_as_if_alone():
    """Oscillators whose frequencies differ sevenfold: no one start can serve them all."""
    text = (
        "x' = v\nv' = -w^2*x\nw in (0.3, 10) per record\n"
        "x(0), v(0) in (-3, 3) per record\nobserve y = x + 0.1*x^3"
    )
    times, random = np.linspace(0, 6, 61), np.random.default_rng(0)
    frequencies = np.linspace(0.9, 6.3, 6)

    def course(w, x, v):
        angle = np.outer(times, w)
        place = x * np.cos(angle) + v / w * np.sin(angle)
        return (place + 0.1 * place**3)[:, 0]

    starts = random.uniform(0.5, 2, (6, 2))
    clean = [course(w, *start) for w, start in zip(frequencies, starts, strict=True)]
    noisy = [y + 0.02 * random.normal(size=y.shape) for y in clean]
    rows = [signal(times, y[:, None], record=f"r{i}") for i, y in enumerate(noisy)]
    fit = fit_equation(text, trajectories(rows), starts=24)
    for found, w, start, y in zip(fit.best.z, frequencies, starts, noisy, strict=True):
        alone = least_squares(lambda z, y=y: course(*z) - y, [w, *start], xtol=1e-12)
        np.testing.assert_allclose(found, alone.x, rtol=1e-4, atol=1e-4)
    assert fit.account["starts"]["each"] >= 1
    assert fit.account["verdict"][0].startswith("The records share no latent, and each took")


def test_what_holds_of_many_records_is_said_once():
    labels = (*((j, r) for r in range(5) for j in (0, 1)), (2, -1))
    names = tuple(f"{'ab'[j]}@{r}" if r >= 0 else "c" for j, r in labels)
    fisher = np.zeros((11, 11))
    for r in range(5):
        # of a and b of each record the product alone is seen, of the last one both
        block = np.ones((2, 2)) if r < 4 else np.array([[50.0, 0.0], [0.0, 2.0]])
        fisher[2 * r : 2 * r + 2, 2 * r : 2 * r + 2] = 100 * block
    fisher[10, 10] = 400.0
    told = identifiability(
        Certainty(labels, np.zeros(11), np.ones(11, bool), fisher, np.ones(11), 1.0, 100), names
    )
    assert told.sentences == (
        "In 4 of 5 records, a and b cannot be told apart: the data determine only a*b. Fix one of "
        "them at a known value.",
    )
    hardly = np.diag([0.5, 100.0] * 4 + [100.0, 0.5] + [100.0])
    told = identifiability(
        Certainty(labels, np.zeros(11), np.ones(11, bool), hardly, np.ones(11), 1.0, 100), names
    )
    assert told.sentences == (
        "In 4 of 5 records, the data hardly say more about a than its range does.",
        "In record 4, the data hardly say more about b than its range does.",
    )


@pytest.mark.slow
def test_the_posterior_agrees_with_the_intervals():
    times = np.linspace(0, 6, 40)
    clean = 1.2 / 0.7 + (9 - 1.2 / 0.7) * np.exp(-0.7 * times)
    values = clean + 0.2 * np.random.default_rng(3).normal(size=times.shape)
    fit = fit_equation(DECAY, trajectories([signal(times, values[:, None])]), starts=4)
    drawn = posterior(fit.best, fit.certainty, ("k", "s", "x(0)"), draws=300, warm_up=200, chains=2)
    assert drawn.r_hat.max() < 1.05
    flat = np.log(drawn.draws.reshape(-1, 3))
    np.testing.assert_allclose(
        flat.mean(0), fit.certainty.phi, atol=0.35 * fit.certainty.errors.max()
    )
    np.testing.assert_allclose(flat.std(0), fit.certainty.errors, rtol=0.25)
    assert abs(np.median(drawn.scales) - 0.2) < 0.06


def test_the_fitted_model_has_every_capability():
    model = fhn_fit().model
    assert uw.capabilities(model) == ("sampler", "decoder", "encoder", "density")
    with jax.enable_x64(True):
        x = jnp.asarray(fhn_data().observations[0])
        z = model.encode(x)
        # its prior is what these data said: with them again it stays where it is
        np.testing.assert_allclose(z, fhn_fit().best.z[0], rtol=1e-3)
        assert float(model.log_density(x * jnp.nan)) == pytest.approx(0.0, abs=1e-9)
        assert jnp.isfinite(model.log_density(x))


def test_the_marginal_likelihood_of_a_line_is_the_closed_form():
    # x' = 0: a constant with a normal prior, so that p(x) is a normal
    model = uw.equation(
        "x' = 0*x\nx(0) ~ normal(1, 2)", times=np.arange(5.0), noise=uw.Gaussian.fixed(0.5)
    )
    marginal = uw.Marginal(uw.Inverted(model, with_prior=True, starts=1))
    x = np.array([1.3, 0.2, np.nan, 2.2, 1.9])
    seen = ~np.isnan(x)
    covariance = 4.0 + 0.25 * np.eye(4)
    from scipy.stats import multivariate_normal

    with jax.enable_x64(True):
        got = float(marginal.log_density(jnp.asarray(x)[:, None]))
    assert got == pytest.approx(
        multivariate_normal(np.ones(4), covariance).logpdf(x[seen]), abs=1e-6
    )


REFUSED = {
    "channels": (lambda: fit_equation(FHN, decay_records(2)), "observed as v, w"),
    "noise": (lambda: fit_equation(DECAY, decay_records(2), noise="cauchy"), "no noise"),
    "starts": (lambda: fit_equation(DECAY, decay_records(2), starts=0), "at least 1"),
    "negative": (
        lambda: fit_equation(
            DECAY, trajectories([signal(range(9), -np.ones((9, 1)))]), noise="log-normal"
        ),
        "needs positive numbers, and x is -1 at 0 day",
    ),
    "too few": (
        lambda: fit_equation(DECAY, trajectories([signal([0, 1, 2], np.ones((3, 1)))])),
        "3 numbers were observed and 3 latents are free",
    ),
    "explodes": (
        lambda: fit_equation(
            "x' = a*x^3\na in (50, 60)\nx(0) in (10, 20)\nobserve y = x^2",
            trajectories([signal(np.arange(20.0), np.ones((20, 1)))]), starts=2,
        ),
        "explodes",
    ),
    "fixed": (
        lambda: fit_equation(DECAY, decay_records(2), fixed={"q": 1.0}), "no latent is called"),
    "record": (
        lambda: fit_equation(DECAY, decay_records(2), fixed={"k@none": 1.0}), "not there"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_fitted_is_refused_in_a_sentence(name):
    attempt, words = REFUSED[name]
    with pytest.raises((FitError, ValueError), match=words):
        attempt()
