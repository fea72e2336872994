"""Every equation of the zoo does what the protocol promises, and what its own text says of it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from markupsafe import escape
from scipy.optimize import brentq
from scipy.special import ellipk

from conftest import ROOT, script_of
from unweave import plots
from unweave._check import check_model
from unweave.data import (
    FACTORS,
    Signal,
    beat_shapes,
    hare_lynx,
    split_none,
    trajectories,
)
from unweave.equations._zoo import ZOO, zoo_model, zoo_text
from unweave.equations.behaviour._lyapunov import lyapunov_spectrum
from unweave.equations.language._text import parse
from unweave.equations.solving._solution import course_schema, solution
from unweave.recipes import equation as recipe
from unweave.report import write_run_report
from unweave.run import fit, load_run
from unweave.show import draw, traverse


def short(name):
    """A model of few samples and a short course."""
    entry = ZOO[name]
    return zoo_model(name, until=entry.begin + (entry.until - entry.begin) / 40, samples=6)


# one of each kind: in closed form, of two states, with spikes, stochastic
KINDS = ("logistic", "lotka-volterra", "fitzhugh-nagumo", "gbm")


@pytest.mark.parametrize(
    "name",
    [n if n in KINDS else pytest.param(n, marks=pytest.mark.slow) for n in ZOO],
)
def test_the_protocol_is_kept_and_the_tools_work(name):
    model = short(name)
    check_model(model, key=jax.random.key(0)).raise_if_failed()
    schema = course_schema(model.system, model.times)
    walks = traverse(model, steps=3)
    assert walks.shape == (model.latents.size, 3, *schema.shape)
    assert np.isfinite(walks).all()
    drawn = draw(model, 3, key=jax.random.key(1))
    assert drawn.shape == (3, *schema.shape)
    assert np.isfinite(drawn).all()
    assert plots.traversal(walks, schema, names=model.latents.names).axes
    assert plots.samples(drawn, schema).axes


ORDINARY = [name for name, system in ((n, parse(zoo_text(n))) for n in ZOO)
            if not (system.noises or system.jumps)]  # fmt: skip


def course_of(name):
    """A quarter of a typical course with its noise, and the latents that made it, which are not
    the medians: a pendulum at rest says nothing."""
    entry = ZOO[name]
    until = entry.begin + (entry.until - entry.begin) / 4
    model = zoo_model(name, until=until, samples=25)
    with jax.enable_x64(True):
        z = model.latents.from_normal(jnp.full(model.latents.size, 0.5))
        x = np.asarray(model.decode(z, key=jax.random.key(0)))
    seen = model.system.observables
    names, units = tuple(v.name for v in seen), tuple(v.unit for v in seen)
    signal = Signal("one", "one", x, np.asarray(model.times), names, units,
                    time_unit=model.system.time_unit)  # fmt: skip
    return split_none(trajectories([signal])), np.asarray(z)


def run_of(name, folder):
    """A run of the zoo's equation on its own course, as it is read back from its folder."""
    data, z = course_of(name)
    run = fit(recipe(f"zoo:{name}", starts=4), data, out=folder, quiet=True)
    page = write_run_report(run).read_text(encoding="utf-8")
    back = load_run(folder)
    account = back.result["equation"]
    assert [row["name"] for row in account["latents"]] == list(zoo_model(name).latents.names)
    assert escape(account["verdict"][0]) in page
    assert back.model.latents == run.model.latents
    walks = traverse(back.model, steps=3)
    assert walks.shape == (back.model.latents.size, 3, *back.schema.shape)
    drawn = draw(back.model, 2, key=jax.random.key(0))
    assert drawn.shape == (2, *back.schema.shape)
    for many in (walks, drawn):
        assert np.isfinite(many).all()
    return account, z


@pytest.mark.parametrize("name", ["logistic", pytest.param("sir", marks=pytest.mark.slow)])
def test_a_run_of_an_equation_goes_the_whole_way(name, tmp_path):
    account, z = run_of(name, tmp_path / "run")
    for row, truth in zip(account["latents"], z, strict=True):
        assert abs(row["estimate"] - truth) < 4 * row["standard_error"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ORDINARY if name not in ("logistic", "sir")])
def test_a_run_of_every_ordinary_equation_goes_the_whole_way(name, tmp_path):
    account, _ = run_of(name, tmp_path / "run")
    assert account["verdict"]


@pytest.mark.parametrize("name", ZOO)
def test_the_table_says_what_it_is(name):
    entry = ZOO[name]
    assert entry.name == name
    assert entry.title
    assert any(year in entry.reference for year in map(str, range(1600, 2030)))
    assert len(entry.properties) >= 2
    system = parse(zoo_text(name))
    assert parse(system.pretty()).latents == system.latents
    low, high = (system.latents.from_normal(jnp.full(system.latents.size, s)) for s in (-3.0, 3.0))
    assert (low < high).all()


def test_a_name_that_is_not_there():
    with pytest.raises(ValueError, match="Did you mean 'lorenz'"):
        zoo_model("lorentz")
    with pytest.raises(ValueError, match="cannot end at -1"):
        zoo_model("ecg", until=-1.0)
    with pytest.raises(ValueError, match="1 samples"):
        zoo_model("logistic", samples=1)


def course(name, times, **values):
    """States of a course at the medians but for `values`; `x0` is x(0), `x_prime0` is x'(0)."""
    model = zoo_model(name)
    with jax.enable_x64(True):
        z = np.array(model.latents.from_normal(jnp.zeros(model.latents.size)))
    for key, value in values.items():
        label = key.removesuffix("0").replace("_prime", "'") + "(0)" if key.endswith("0") else key
        z[model.latents.index(label)] = value
    found = solution(model, z, np.asarray(times, dtype=float))
    assert found.ok, found.sentence
    return found.states


def period(times, x):
    """The mean time between upward zero crossings, each from a straight line."""
    up = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0))
    at = times[up] - x[up] * (times[up + 1] - times[up]) / (x[up + 1] - x[up])
    return np.diff(at).mean()


def test_logistic_is_the_closed_form():
    t = np.linspace(0, 12, 25)
    x = course("logistic", t, r=0.8, K=90.0, x0=3.0)[:, 0]
    np.testing.assert_allclose(x, 90 / (1 + (90 / 3 - 1) * np.exp(-0.8 * t)), rtol=1e-7)


@pytest.mark.parametrize(
    ("a1", "a2", "last"),
    [(0.001, 0.008, (True, False)), (0.002, 0.002, (True, True)), (0.008, 0.001, (False, True))],
)
def test_competition_ends_as_the_invasions_say(a1, a2, last):
    values = {"r1": 0.8, "r2": 0.8, "N1": 150.0, "N2": 150.0, "a1": a1, "a2": a2}
    end = course("competition", [0, 200], **values)[-1]
    assert tuple(end > 1) == last
    if all(last):
        inside = np.linalg.solve([[0.8 / 150, a1], [a2, 0.8 / 150]], [0.8, 0.8])
        np.testing.assert_allclose(end, inside, rtol=1e-6)


def test_lotka_volterra_keeps_its_quantity_and_its_period():
    a, b, c, d = 0.6, 0.03, 0.9, 0.02
    rates = {"a": a, "b": b, "c": c, "d": d}
    x, y = course("lotka-volterra", np.linspace(0, 40, 81), **rates).T
    kept = d * x - c * np.log(x) + b * y - a * np.log(y)
    np.testing.assert_allclose(kept, kept[0], rtol=1e-7)
    t = np.linspace(0, 60, 6001)
    small = course("lotka-volterra", t, **rates, x0=1.001 * c / d, y0=a / b)[:, 0]
    assert period(t, small - c / d) == pytest.approx(2 * np.pi / np.sqrt(a * c), rel=1e-4)


@pytest.mark.slow
def test_rosenzweig_macarthur_rests_below_the_hopf_point_and_swings_above():
    values = {"r": 0.8, "c": 1.0, "H": 0.8, "e": 0.6, "m": 0.2}
    p = 0.8 * 0.2 / (0.6 - 0.2)
    hopf = 0.8 + 2 * p
    t = np.linspace(0, 3000, 3001)
    below = course("rosenzweig-macarthur", t, K=0.9 * hopf, **values)[-200:]
    rest = [p, 0.8 * (1 - p / (0.9 * hopf)) * (0.8 + p)]
    np.testing.assert_allclose(below, np.tile(rest, (200, 1)), rtol=1e-4)
    above = course("rosenzweig-macarthur", t, K=1.1 * hopf, **values)[-200:, 0]
    assert np.ptp(above) > 0.3


def test_chemostat_reaches_its_equilibrium_or_is_washed_out():
    values = {"mu": 0.7, "K": 0.3, "Y": 0.4, "S_in": 10.0}
    t = np.linspace(0, 200, 201)
    S, x = course("chemostat", t, D=0.2, **values).T
    assert S[-1] == pytest.approx(0.3 * 0.2 / (0.7 - 0.2), rel=1e-6)
    assert x[-1] == pytest.approx(0.4 * (10 - S[-1]), rel=1e-6)
    total = S + x / 0.4 - 10
    np.testing.assert_allclose(total, total[0] * np.exp(-0.2 * t), atol=1e-6)
    S, x = course("chemostat", [0, 2000], D=0.75, **values).T
    assert (S[-1], x[-1]) == (pytest.approx(10), pytest.approx(0, abs=1e-6))


def test_sir_leaves_the_final_size():
    S, I, R = course("sir", [0, 1000], beta=0.4, gamma=0.1, I0=2.0).T  # noqa: E741
    assert S[-1] + I[-1] + R[-1] == pytest.approx(1000)
    start = 998.0
    left = brentq(lambda s: np.log(s / start) + 4 * (1 - s / 1000), 1e-9, 250)
    assert S[-1] == pytest.approx(left, rel=1e-6)


@pytest.mark.slow
def test_fitzhugh_nagumo_fires_between_the_two_currents():
    a, b, tau = 0.7, 0.8, 12.5
    for sign, current in ((-1, 0.3313), (1, 1.4187)):
        v = sign * np.sqrt(1 - b / tau)
        assert (v + a) / b - v + v**3 / 3 == pytest.approx(current, abs=5e-5)
    t = np.linspace(0, 2000, 2001)
    swings = [
        np.ptp(course("fitzhugh-nagumo", t, a=a, b=b, tau=tau, I=current, v0=0.0)[-300:, 0])
        for current in (0.30, 0.40, 1.35, 1.45)
    ]
    np.testing.assert_array_equal(np.asarray(swings) > 1.5, [False, True, True, False])


@pytest.mark.slow
@pytest.mark.parametrize(("mu", "expected"), [(1.0, 6.663287), (0.2, 2 * np.pi * (1 + 0.04 / 16))])
def test_van_der_pol_has_its_period(mu, expected):
    t = np.linspace(0, 160, 32001)
    x = course("van-der-pol", t, mu=mu, x0=2.0, x_prime0=0.0)[12000:, 0]
    assert period(t[12000:], x) == pytest.approx(expected, rel=1e-4)
    assert abs(x).max() == pytest.approx(2.0, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "latents", "start", "duration", "expected"),
    [
        ("lorenz", (10.0, 28.0, 8 / 3), (1.0, 1.0, 20.0), 300.0, (0.906, 0.0, -14.572)),
        ("roessler", (0.2, 0.2, 5.7), (1.0, 1.0, 0.5), 1500.0, (0.0714, 0.0, -5.394)),
    ],
)
def test_attractors_have_their_exponents(name, latents, start, duration, expected):
    system = parse(zoo_text(name))

    def field(x):
        z = jnp.asarray([*latents, *start], x.dtype)
        return system.rates(jnp.zeros((), x.dtype), x, z, jnp.zeros(0, x.dtype))

    found = lyapunov_spectrum(field, start, duration=duration)
    np.testing.assert_allclose(found.exponents, expected, atol=0.02, rtol=0.02)
    long = course(name, np.linspace(0, 200, 2001))
    assert np.abs(long).max() < 100


@pytest.mark.slow
def test_pendulum_has_the_periods_of_small_and_large_swings():
    t = np.linspace(0, 20, 20001)
    small = course("pendulum", t, l=0.7, b=0.3, theta0=1e-3, theta_prime0=0.0)[:, 0]
    expected = 2 * np.pi / np.sqrt(9.81 / 0.7 - 0.3**2 / 4)
    assert period(t, small) == pytest.approx(expected, rel=1e-5)
    theta, speed = course("pendulum", t, l=0.7, b=0.0, theta0=2.0, theta_prime0=0.0).T
    expected = 4 * np.sqrt(0.7 / 9.81) * ellipk(np.sin(1.0) ** 2)
    assert period(t, theta) == pytest.approx(expected, rel=1e-5)
    energy = speed**2 / 2 - 9.81 / 0.7 * np.cos(theta)
    np.testing.assert_allclose(energy, energy[0], rtol=1e-6)


def test_double_pendulum_keeps_its_energy_and_has_its_modes():
    m1, m2, l1, l2, g = 1.2, 0.8, 0.9, 1.1, 9.81
    values = {"m1": m1, "m2": m2, "l1": l1, "l2": l2, "theta10": 1.4, "theta20": -0.9}
    path = course("double-pendulum", np.linspace(0, 5, 51), **values)
    names = [state.name for state in parse(zoo_text("double-pendulum")).states]
    q1, w1, q2, w2 = (path[:, names.index(n)] for n in ("theta1", "theta1'", "theta2", "theta2'"))
    moving = (m1 + m2) * (l1 * w1) ** 2 / 2 + m2 * (l2 * w2) ** 2 / 2
    moving = moving + m2 * l1 * l2 * w1 * w2 * np.cos(q1 - q2)
    energy = moving - (m1 + m2) * g * l1 * np.cos(q1) - m2 * g * l2 * np.cos(q2)
    np.testing.assert_allclose(energy, energy[0], rtol=1e-6)
    # with equal parts the slow mode is theta2 = sqrt(2) theta1
    t = np.linspace(0, 20, 4001)
    even = {"m1": 1.0, "m2": 1.0, "l1": 1.0, "l2": 1.0}
    slow = course("double-pendulum", t, **even, theta10=1e-4, theta20=2**0.5 * 1e-4)
    expected = 2 * np.pi / np.sqrt(g * (2 - 2**0.5))
    assert period(t, slow[:, names.index("theta1")]) == pytest.approx(expected, rel=1e-4)


def test_robertson_is_the_published_state():
    model = zoo_model("robertson")
    found = solution(model, np.array([0.04, 3e7, 1e4]), np.array([0.0, 40.0]))
    published, last_digit = [0.7158, 9.1855e-6, 0.2842], [1e-4, 1e-10, 1e-4]
    assert (np.abs(found.states[-1] - published) <= 0.5 * np.asarray(last_digit)).all()
    fast = eqx.filter_jit(model.decode)(jnp.asarray([0.04, 3e7, 1e4]))
    np.testing.assert_allclose(fast[-1], [0.7158, 0.91855, 0.2842], rtol=1e-3)


def factors(n):
    """Factors of beats, one row each, and the ends of their ranges."""
    random = np.random.default_rng(0)
    low, high = (np.array([getattr(f, end) for f in FACTORS]) for end in ("low", "high"))
    inside = random.uniform(low, high, (n, len(FACTORS)))
    corners = np.where(random.random((n, len(FACTORS))) < 0.5, low, high)
    return np.concatenate([inside, corners])


def test_ecg_is_the_simulated_heartbeat():
    model = zoo_model("ecg")
    every = factors(40)
    beats = jax.jit(jax.vmap(model.decode))(jnp.asarray(every[:, :-1], jnp.float32))
    np.testing.assert_allclose(beats[..., 0], beat_shapes(every), atol=1e-4)
    latents = model.latents
    assert latents.names == tuple(f.name.replace(" ", "_") for f in FACTORS[:-1])
    assert latents.units == tuple(f.unit for f in FACTORS[:-1])
    for factor, prior in zip(FACTORS, latents.priors, strict=False):
        assert prior.family == "uniform"
        np.testing.assert_allclose(prior.parameters, (factor.low, factor.high))


def test_ecg_starts_where_the_rhythm_returns_to():
    model = zoo_model("ecg")
    for z in factors(2)[:, :-1]:
        turn = 60 / z[0]
        z_of = solution(model, z, np.array([-0.25, -0.25 + turn])).states[:, 0]
        assert z_of[1] == pytest.approx(z_of[0], abs=1e-5)


def test_the_mean_of_the_stochastic_ones_is_the_closed_form():
    model = zoo_model("ou", until=2.0, samples=3)
    z = jnp.asarray([1.5, 0.4, 0.3, -1.0])
    expected = 0.4 - 1.4 * np.exp(-1.5 * np.asarray(model.times))
    np.testing.assert_allclose(model.decode(z)[:, 0], expected, rtol=1e-5)


def test_lotka_volterra_means_are_those_of_the_equilibrium():
    a, b, c, d = 0.6, 0.03, 0.9, 0.02
    t = np.linspace(0, 60, 12001)
    x, y = course("lotka-volterra", t, a=a, b=b, c=c, d=d, x0=20.0, y0=20.0).T
    up = np.flatnonzero((x[:-1] < c / d) & (x[1:] >= c / d))
    whole = slice(up[0], up[-1])
    assert x[whole].mean() == pytest.approx(c / d, rel=2e-3)
    assert y[whole].mean() == pytest.approx(a / b, rel=2e-3)


def test_the_page_is_the_one_that_its_script_writes():
    script = script_of(ROOT / "docs" / "zoo.py")
    assert script.page() == script.PAGE.read_text(encoding="utf-8")


def test_hares_and_lynxes_lie_inside_the_ranges(tmp_path):
    run = fit(recipe("zoo:lotka-volterra", starts=4), split_none(trajectories([hare_lynx()])),
              out=tmp_path / "run", quiet=True)  # fmt: skip
    rows = run.result["equation"]["latents"]
    assert [row["status"] for row in rows] == ["determined"] * 6
    # 4 thousand lynxes were counted in 1900
    assert rows[-1]["low"] < 4 < rows[-1]["high"]
