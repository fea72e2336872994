"""Equations of which a part is learned: the language, the fit, and the tools on what was fitted."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import cumulative_trapezoid, solve_ivp

from unweave import check_model, load_model, save_model, traverse
from unweave.data import Signal, trajectories
from unweave.equations import (
    EquationError,
    FitError,
    HybridSystem,
    analyse,
    centre_of,
    equation,
    find_equation,
    fit_equation,
    parse,
    without_networks,
)
from unweave.equations.fitting._grid import EquationCurve
from unweave.equations.solving._solve import Grid
from unweave.hybrid import (
    RecurrentCurve,
    fit_hybrid,
    fit_neural,
    fit_recurrent,
    scaled_net,
)
from unweave.hybrid._joint import finite_information, joint
from unweave.hybrid._sensitive import SensitiveCurve
from unweave.hybrid._stages import Courses

MISSING = """eaten = net(x)*y
x' = a*x - eaten
y' = e*eaten - c*y
a, c in (0, 3)
e in (0, 2)
x(0), y(0) in (0.1, 10)
"""


def net(size, key, widths=(5,)):
    one = np.ones(size)
    return scaled_net(0.5 * one, 2 * one, np.ones(1), widths, key=jax.random.key(key))


def prey_and_predator(noise=0.01, seed=0):
    """One period of Lotka and Volterra's equation, by SciPy."""
    times = np.linspace(0, 8, 33)
    y = solve_ivp(
        lambda t, s: [s[0] - 0.5 * s[0] * s[1], 0.3 * s[0] * s[1] - 0.8 * s[1]],
        (0, 8), [3, 1.5], t_eval=times, rtol=1e-9, atol=1e-9,
    ).y.T  # fmt: skip
    y = y + noise * y.std(axis=0) * np.random.default_rng(seed).normal(size=y.shape)
    return times, y


def records(times, y):
    return trajectories([Signal("r", "r", y, times, ("x", "y"), ("", ""))])


def test_calls_and_networks():
    system = parse("x' = net(x, t) + net_g(y)\ny' = net(x) - net_g(x + y)\nx(0) = 1\ny(0) = 1")
    assert [call.label for call in system.networks] == [
        "net(x, t)", "net_g(y)", "net(x)", "net_g(x + y)"
    ]  # fmt: skip
    assert [call.network for call in system.networks] == [0, 1, 2, 1]
    assert parse(system.pretty()).networks[3].words == ("x + y",)
    assert r"\mathrm{net}(x, t) + \mathrm{net}_{g}(y)" in system.latex()


def test_a_definition_is_one_network():
    assert len(parse(MISSING).networks) == 1


@pytest.mark.parametrize(
    ("text", "column", "why"),
    [
        ("x' = 1 + net()\nx(0) = 1", 10, "nothing that changes"),
        ("x' = net(2)\nx(0) = 1", 6, "nothing that changes"),
        ("x' = net(q)\nx(0) = 1", 10, "no 'q' is declared"),
        ("dx = net(x) dt + 1 dW\nx(0) = 1", 6, "stochastic"),
        ("x' = net(x)\nx(0) = 1\nwhen x > 2: stop", 6, "events"),
        ("k in (0, 1)\nx' = k\nx(0) = net(k)", 8, "a start is made of latents"),
        ("x' = net1(x) + net1(x, t)\nx(0) = 1", 16, "the same everywhere"),
    ],
)
def test_errors_point_at_the_network(text, column, why):
    with pytest.raises(EquationError, match=why) as caught:
        parse(text)
    assert caught.value.place is not None
    assert caught.value.place.column == column


def test_a_text_alone_does_not_say_what_a_network_gives():
    with pytest.raises(EquationError, match="learned from data") as caught:
        equation(MISSING)
    assert caught.value.place is not None
    assert caught.value.place.line == 1
    with pytest.raises(FitError, match="no network"):
        fit_hybrid("x' = -k*x\nk in (0, 1)\nx(0) = 1", records(*prey_and_predator()))


def test_the_formula_alone():
    alone = without_networks(parse(MISSING))
    assert alone is not None
    rates = alone.numpy_rates()(0.0, [2.0, 3.0], [0.5, 0.7, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(rates, [1.0, -2.1])
    assert without_networks(parse("x' = 1/net(x)\nx(0) = 1")) is None


def test_rates_are_the_formula_with_the_networks_in_it():
    system = parse("u = net(x, y)\nx' = a*x + u\ny' = net_b(u)*y\na in (0, 1)\nx(0)=1\ny(0)=1")
    first, second = net(2, 0), net(1, 1)
    hybrid = HybridSystem(system, (first, second))
    x, z = jnp.asarray([0.4, 1.3]), jnp.asarray([0.6])
    u = first(x)[0]
    expected = jnp.stack([0.6 * x[0] + u, second(u[None])[0] * x[1]])
    found = hybrid.rates(jnp.zeros(()), x, z, jnp.zeros(0))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    with jax.enable_x64(True):
        wide = hybrid.rates(*(jnp.asarray(p, jnp.float64) for p in (0.0, x, z, np.zeros(0))))
    assert wide.dtype == np.float64
    with pytest.raises(ValueError, match="2 network"):
        HybridSystem(system, (first,))


def test_derivatives_by_weights_are_those_of_the_plain_solve():
    system = joint(HybridSystem(parse(MISSING), (net(1, 0),)), 0.7)
    times = np.linspace(0, 3, 9)
    with jax.enable_x64(True):
        random = np.random.default_rng(0).normal(size=system.latents.size - 5)
        z = jnp.asarray(np.concatenate([[1.0, 0.8, 0.6, 3.0, 1.5], random]))
        condition = jnp.asarray(times), jnp.zeros((9, 0))
        plain = EquationCurve(system, Grid(2), ())
        quick = SensitiveCurve(system, 2, ())
        np.testing.assert_allclose(quick(z, condition), plain(z, condition), rtol=1e-12)
        wanted = jax.jit(jax.jacfwd(plain))(z, condition)
        np.testing.assert_allclose(
            jax.jit(jax.jacfwd(quick))(z, condition), wanted, rtol=1e-9, atol=1e-11
        )


@pytest.fixture(scope="module")
def missing():
    data = records(*prey_and_predator())
    return fit_hybrid(MISSING, data, widths=(6,), starts=2, decays=(3.0,))


def test_what_was_left_out_is_found(missing):
    true = {"a": 1.0, "c": 0.8, "e": 0.6}
    for name, value in true.items():
        assert missing.estimates[name] == pytest.approx(value, rel=0.1)
    given, found = missing.arrays["found_arguments_0"][:, 0], missing.arrays["found_values"][:, 0]
    np.testing.assert_allclose(found, 0.5 * given, atol=0.1)
    # by the definition of the share, from the equation itself
    _, states = missing.arrays["found_times"], missing.arrays["found_states"]
    learned = states[:, 0] * states[:, 1] * 0.5
    share = (states[:, 0] ** 2).sum() / ((states[:, 0] ** 2).sum() + (learned**2).sum())
    assert missing.account["hybrid"]["share"]["x"] == pytest.approx(share, abs=0.06)
    forecasts = missing.account["hybrid"]["forecasts"]
    assert forecasts["this"] < 0.25 * min(forecasts["formula alone"], forecasts["mean"])


@pytest.mark.slow
def test_it_keeps_the_protocol(missing):
    check_model(missing.model, key=jax.random.key(0)).raise_if_failed()


def test_every_tool_works_on_it(missing, tmp_path):
    model = missing.model
    assert model.latents.names == ("a", "c", "e", "x(0)", "y(0)")
    assert np.isfinite(np.asarray(model.sample(jax.random.key(1)))).all()
    assert traverse(model, steps=3).shape == (5, 3, 33, 2)
    z = jnp.asarray(centre_of(model.latents), jnp.float32)
    save_model(tmp_path / "model.safetensors", model)
    again = load_model(tmp_path / "model.safetensors").model
    assert np.array_equal(again.decode(z), model.decode(z))


@pytest.mark.slow
def test_its_equilibrium_is_found(missing):
    inner = find_equation(missing.model)
    z = np.asarray(centre_of(inner.latents))
    box = {"x": (1.5, 4.0), "y": (1.0, 3.2)}
    found = analyse(inner.system, z, box=box, until=10.0, along=("c", 0.7, 0.9))
    # f(x, y) = 0 at x = c / (0.5 e), y = a / 0.5
    assert any(np.allclose(e.x, [8 / 3, 2.0], atol=0.3) for e in found.equilibria)
    assert found.branches is not None
    assert found.branches.branches


CYCLE = """x' = gain*(sin(4*t) + net(t))
gain in (0.5, 2) per record
x(0) in (-2, 2) per record
"""


def cycles(n=10):
    """The same course run through n times, its rate sin 4t + 1.5 exp(-(t - 1.8)^2 / 0.02): what
    is to be learned lies in the last fifth."""
    times, random = np.linspace(0, 2, 41), np.random.default_rng(0)
    lump = np.concatenate([[0.0], cumulative_trapezoid(
        1.5 * np.exp(-((np.linspace(0, 2, 4001) - 1.8) ** 2) / 0.02), dx=0.0005
    )])[::100]  # fmt: skip
    course = (1 - np.cos(4 * times)) / 4 + lump
    gains, begins = random.uniform(0.8, 1.3, n), random.normal(size=n) / 2
    y = begins[:, None] + gains[:, None] * course + 0.01 * random.normal(size=(n, 41))
    return trajectories(
        [Signal(f"r{i}", f"r{i}", row[:, None], times, ("x",), ("",)) for i, row in enumerate(y)]
    )


@pytest.mark.slow
def test_stretches_teach_the_end_of_a_cycle_that_no_forecast_can():
    common = {"widths": (6,), "starts": 2, "decays": (3.0,)}
    stretches = fit_hybrid(CYCLE, cycles(), hold="stretches", **common)
    ends = fit_hybrid(CYCLE, cycles(), **common)
    said = stretches.account["hybrid"]
    assert said["forecasts"]["this"] < 0.3 * said["forecasts"]["formula alone"]
    assert said["forecasts"]["this"] < 0.3 * ends.account["hybrid"]["forecasts"]["this"]
    assert said["pieces"] == 1
    assert said["sentences"][1].startswith("A stretch of each record, held out, was missed by")


@given(
    lengths=st.lists(st.integers(8, 40), min_size=1, max_size=12), share=st.floats(0.05, 0.5),
    hold=st.sampled_from(["ends", "stretches"]),
)  # fmt: skip
def test_what_is_held_out_is_that_share_of_each_record_and_is_not_seen(lengths, share, hold):
    size = max(lengths)
    times = np.minimum(np.arange(size)[None], np.asarray(lengths)[:, None] - 1.0)
    over = np.arange(size)[None] >= np.asarray(lengths)[:, None]
    x = np.where(over, np.nan, 1.0)[..., None]
    early, held = Courses(x, times, np.zeros((len(x), size, 0))).without(share, hold)
    count = (held & ~over).sum(axis=1)
    assert np.all(np.abs(count - share * np.asarray(lengths)) <= 1)
    assert np.isnan(early.x[held]).all()
    assert np.array_equal(np.isnan(early.x[..., 0]), held | over)
    if hold == "stretches":
        assert np.array_equal(early.times, times)
        if len(set(lengths)) == 1 and len(lengths) * share > 4:
            assert held[:, : lengths[0]].any(axis=0).all()


@pytest.mark.slow
def test_a_neural_equation_is_one_too():
    times, y = prey_and_predator()
    fit = fit_neural(records(times, y), widths=(6,), starts=2, decays=(3.0,))
    assert fit.model.latents.names == ("x(0)", "y(0)")
    assert fit.estimates["x(0)"] == pytest.approx(3.0, abs=0.1)
    residuals = (fit.arrays["fitted"][0] - y) / y.std(axis=0)
    assert np.sqrt((residuals**2).mean()) < 0.05
    check_model(fit.model, key=jax.random.key(0)).raise_if_failed()


LOGISTIC = "x' = r*x*(1 - x/K)\nr in (0.1, 3)\nK in (1, 30)\nx(0) in (0.1, 5)"


def test_the_recurrent_network_is_the_solver_and_learns_what_least_squares_finds():
    system = parse(LOGISTIC)
    times = np.linspace(0, 8, 41)
    with jax.enable_x64(True):
        z = jnp.asarray([1.2, 12.0, 0.8])
        condition = jnp.asarray(times), jnp.zeros((41, 0))
        exact = 12.0 / (1 + (12.0 / 0.8 - 1) * np.exp(-1.2 * times))
        found = eqx.filter_jit(RecurrentCurve(system, 2, ()))(z, condition)[:, 0]
        np.testing.assert_allclose(found, exact, rtol=1e-4)
    noisy = exact + 0.1 * np.random.default_rng(0).normal(size=41)
    data = trajectories([Signal("r", "r", noisy[:, None], times, ("x",), ("",))])
    model, account, arrays = fit_recurrent(LOGISTIC, data, starts=4, steps=600)
    least = fit_equation(LOGISTIC, data, starts=4)
    for row in account["latents"]:
        other = least.estimates[row["name"]]
        assert abs(row["estimate"] - other) < 0.05 * row["standard_error"] * max(other, 1)
    assert account["recurrent"]["moved_by_least_squares"] < 0.05
    assert len(arrays["training_loss"]) == 600
    assert model.latents.names == ("r", "K", "x(0)")


@pytest.mark.slow
def test_from_the_command_line(unweave, refused, tmp_path):
    (tmp_path / "missing.ode").write_text(MISSING)
    times, y = prey_and_predator()
    table = np.column_stack([times, y])
    np.savetxt(tmp_path / "d.csv", table, delimiter=",", header="day,x,y", comments="")
    words = ("fit", "hybrid", "missing.ode", "d.csv", "--time", "day", "--columns", "x,y")
    told = json.loads(unweave(*words, "--starts", "1", "--widths", "4", "--json"))
    assert told["recipe"] == "hybrid"
    assert told["run"] == "runs/hybrid-missing-d"
    assert set(told["equation"]["hybrid"]["share"]) == {"x", "y"}
    page = (tmp_path / told["report"]).read_text()
    assert "What the networks found" in page
    assert 'aria-label="What the networks found"' in page
    assert "name the equation" in refused("fit", "hybrid", "d.csv")
    assert "learned from data" in refused("simulate", "missing.ode")


def test_a_course_that_broke_off_says_nothing_of_the_weights():
    weights = np.array([False, True])
    whole = np.array([[2.0, 0.5], [0.5, 3.0]])
    np.testing.assert_array_equal(finite_information(whole, weights), whole)
    broken = np.array([[2.0, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(finite_information(broken, weights), [[2.0, 0.0], [0.0, 1.0]])
