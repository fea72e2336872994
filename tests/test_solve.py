"""Solving an equation: orders of convergence, SciPy, closed forms, derivatives, events, files."""

import itertools

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.interpolate import CubicHermiteSpline

import unweave as uw
from unweave._course import Course
from unweave._explicit import _ROUND, At, quartic, stages
from unweave._latents import Latents, uniform
from unweave._noise import Gaussian
from unweave._save import load_model, save_model
from unweave._tensors import ModelFileError, read_tensors, write_tensors
from unweave.equations import Adaptive, Equation, Grid, equation, parse, system, zoo_model, zoo_text
from unweave.equations.solving._choose import AGREES
from unweave.equations.solving._drive import drive
from unweave.equations.solving._segments import MOST

VAN_DER_POL = "x' = y\ny' = mu*(1 - x^2)*y - x\nmu in (0.1, 5)\nx(0), y(0) in (-3, 3)"
FORCED = "x' = -x^2 + sin(3*t)*x + k*cos(x)\nk in (0, 2)\nx(0) in (0.5, 2)"
DRIVEN = "x' = -k*x^2 + u*cos(x) + sin(t)\nk in (0.1, 2)\nx(0) in (0, 2)\ninput u(t) "
LOGISTIC = "x' = r*x*(1 - x)\nr in (0.1, 5)\nx(0) in (0.01, 1)"
OSCILLATOR = "x' = w*y\ny' = -w*x\nw in (0.1, 100)\nx(0) = 1\ny(0) = 0"
FAST = "x' = -k*(x - cos(t)) \nk in (100, 10000)\nx(0) in (0, 2)"
EXPLODES = "x' = k*x^2\nk in (0.01, 1)\nx(0) = 1"
BALL = """
x' = v
v' = -g
g in (1, 20)
e in (0.1, 1)
x(0) = 1
v(0) = 0
observe x
when x < 0: """
BOUNCES = BALL + "v = -e*v, x = 0"
TIGHT = Adaptive(relative=1e-10, absolute=1e-12)
TIMES = np.array([0.0, 0.2, 0.5, 0.6, 1.0, 1.3, 1.35, 2.0])
U = np.array([0.3, -0.4, 1.2, 1.0, 0.1, 0.8, -1.0, 0.5])


def model(text, times, method, noise=0.1):
    made = parse(text)
    scale = Gaussian.fixed((noise,) * len(made.observables))
    return Equation(made, made.latents, scale, tuple(map(float, times)), method)


def states(made, z, condition=None):
    with jax.enable_x64(True):
        return np.asarray(eqx.filter_jit(made.states)(jnp.asarray(z, jnp.float64), condition))


def scipy(text, z, times, u=lambda t: ()):
    """The path by an explicit method of order eight at tolerances near rounding."""
    made = parse(text)
    rates = made.numpy_rates()
    solved = solve_ivp(
        lambda t, x: rates(t, x, z, u(t)), (times[0], times[-1]), made.numpy_start()(z),
        t_eval=times, method="DOP853", rtol=1e-12, atol=1e-13,
    )  # fmt: skip
    assert solved.success
    return solved.y.T


def between(kind, i):
    """An input between its samples `i` and `i + 1`, written with NumPy and SciPy."""
    if kind == "previous":
        return lambda t: (U[i],)
    if kind == "linear":
        return lambda t: (np.interp(t, TIMES, U),)
    slopes = np.empty_like(U)
    slopes[1:-1] = (U[2:] - U[:-2]) / (TIMES[2:] - TIMES[:-2])
    slopes[[0, -1]] = (np.diff(U) / np.diff(TIMES))[[0, -1]]
    return lambda t: (float(CubicHermiteSpline(TIMES, U, slopes)(t)),)


def driven(kind, z):
    """The driven path, by SciPy from knot to knot: at a knot a rate may jump."""
    made = parse(DRIVEN + kind)
    rates = made.numpy_rates()
    path = [made.numpy_start()(z)]
    for i, (a, b) in enumerate(itertools.pairwise(TIMES)):
        u = between(kind, i)
        part = solve_ivp(
            lambda t, x, u=u: rates(t, x, z, u(t)), (a, b), path[-1], method="DOP853",
            rtol=1e-12, atol=1e-13,
        )  # fmt: skip
        path.append(part.y[:, -1])
    return np.stack(path)


def order(text, z, exact, condition=None):
    """How often the error halves where the steps do, at the finest two of four grids; between
    coarser ones it is no less."""
    errors = [
        np.abs(states(model(text, TIMES, Grid(n)), z, condition) - exact).max()
        for n in (8, 16, 32, 64)
    ]
    rates = np.log2(np.divide(errors[:-1], errors[1:]))
    assert (rates > 3.5).all()
    return rates[-1]


@pytest.mark.parametrize(("text", "z"), [(VAN_DER_POL, (2.0, 1.5, -1.0)), (FORCED, (1.2, 1.0))])
def test_the_grid_is_of_order_four(text, z):
    assert order(text, z, scipy(text, z, TIMES)) == pytest.approx(4, abs=0.2)


@pytest.mark.parametrize("kind", ["linear", "previous", "cubic"])
def test_the_grid_keeps_its_order_with_an_input(kind):
    exact, course = driven(kind, (0.7, 1.0)), Course(None, U[:, None])
    assert order(DRIVEN + kind, (0.7, 1.0), exact, course) == pytest.approx(4, abs=0.2)
    steps = states(model(DRIVEN + kind, TIMES, TIGHT), (0.7, 1.0), course)
    np.testing.assert_allclose(steps, exact, atol=1e-7)


@pytest.mark.parametrize("stiff", [False, True])
def test_automatic_steps_keep_their_tolerance(stiff):
    times, z = np.linspace(0, 10, 21), (2.0, 1.5, -1.0)
    exact, errors = scipy(VAN_DER_POL, z, times), []
    for tolerance in (1e-4, 1e-6, 1e-9):
        method = Adaptive(stiff=stiff, relative=tolerance, absolute=tolerance)
        errors.append(np.abs(states(model(VAN_DER_POL, times, method), z) - exact).max())
        assert errors[-1] < 100 * tolerance
    assert errors[0] > 5 * errors[1] > 25 * errors[2]


@pytest.mark.parametrize("method", [TIGHT, Adaptive(stiff=True), Grid(16)])
def test_the_closed_form_of_logistic_growth(method):
    times = np.linspace(0, 4, 9)
    path = states(model(LOGISTIC, times, method), (1.7, 0.05))[:, 0]
    np.testing.assert_allclose(path, 1 / (1 + 19 * np.exp(-1.7 * times)), rtol=2e-6)


def test_courses_of_few_steps_and_of_many_in_one_batch():
    times, w = np.linspace(0, 10, 50), np.array([0.5, 3.0, 20.0])
    made = model(OSCILLATOR, times, TIGHT)

    def numbers(w):
        return made.states(w[None])[:, 0]

    with jax.enable_x64(True):
        path, forward, backward = (
            jax.jit(jax.vmap(f))(jnp.asarray(w))
            for f in (numbers, jax.jacfwd(numbers), jax.jacrev(numbers))
        )
    np.testing.assert_allclose(path, np.cos(w[:, None] * times), atol=2e-6)
    for slope in (forward, backward):
        np.testing.assert_allclose(slope, -times * np.sin(w[:, None] * times), atol=2e-5)


def test_a_course_that_is_given_up_is_known_as_far_as_it_came():
    times = np.linspace(0, 10, 101)
    whole, part = (
        states(model(OSCILLATOR, times, Adaptive(most_steps=most)), (60.0,))
        for most in (16_384, 2 * _ROUND)
    )
    known = np.isfinite(part).all(axis=1)
    assert 1 < known.sum() < 101
    assert not known[known.sum() :].any()
    np.testing.assert_array_equal(part[known], whole[known])


def test_derivatives_by_the_times_are_the_rates():
    times, w = np.array([0.3, 0.5, 1.1, 2.0]), 3.0
    made = model(OSCILLATOR, times, TIGHT)
    with jax.enable_x64(True):
        slope = jax.jacfwd(lambda t: made.states(jnp.asarray([w]), t)[:, 0])(jnp.asarray(times))
    sine = w * np.sin(w * (times - times[0]))
    # a later start is a delay of all that follows
    expected = np.diag(-sine) + sine[:, None] * np.eye(4)[0]
    np.testing.assert_allclose(slope, expected, atol=1e-6)


def test_the_curve_between_two_steps_is_that_of_tsitouras():
    z, h, x = jnp.asarray([1.3]), 0.4, jnp.asarray([0.2])
    made = parse("x' = -x^2 + k*cos(3*t)\nk in (0, 2)\nx(0) = 1")

    def rates(t, x):
        return made.rates(t, x, z, jnp.zeros(0))

    with jax.enable_x64(True):
        z, x, t, h = (jnp.asarray(a, jnp.float64) for a in (z, x, 0.7, h))
        k = stages(rates, At(t, x, rates(t, x), h, h), h)
        peer = diffrax.Tsit5.interpolation_cls(t0=t, t1=t + h, y0=x, y1=x, k=h * jnp.stack(k))
        for share in (0.0, 0.1, 0.5, 0.8, 1.0):
            ours = jnp.polyval(quartic(x, h, k)[::-1], share)
            np.testing.assert_allclose(ours, peer.evaluate(t + share * h), rtol=1e-13)


def test_the_closed_form_of_a_fast_decay_onto_a_slow_course():
    k, times = 1e4, np.array([0.0, 1e-4, 1e-3, 0.1, 3.0, 6.0])
    path = states(model(FAST, times, Adaptive(stiff=True)), (k, 2.0))[:, 0]
    slow = (k**2 * np.cos(times) + k * np.sin(times)) / (k**2 + 1)
    exact = slow + (2.0 - slow[0]) * np.exp(-k * times)
    np.testing.assert_allclose(path, exact, rtol=1e-6)


def test_robertson_is_that_of_an_implicit_method_of_scipy():
    made = zoo_model("robertson", samples=5)
    rates, z = made.system.numpy_rates(), np.array([0.04, 3e7, 1e4])
    peer = solve_ivp(
        lambda t, x: rates(t, x, z), (0, 40), made.system.numpy_start()(z), method="Radau",
        t_eval=made.times, rtol=1e-10, atol=1e-14,
    )  # fmt: skip
    assert made.method == Adaptive(stiff=True)
    np.testing.assert_allclose(states(made, z), peer.y.T, rtol=1e-6, atol=1e-12)


def difference(function, z):
    """Central differences of order four, in float64: an axis for the latents at the end."""
    columns = []
    for e in np.eye(len(z)):
        near, far = 1e-3 * e, 2e-3 * e
        change = 8 * (function(z + near) - function(z - near)) - (
            function(z + far) - function(z - far)
        )
        columns.append(change / 12e-3)
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize(
    "method",
    [
        Grid(4),
        Adaptive(False, 1e-10, 1e-12, 256),
        pytest.param(Adaptive(True, 1e-8, 1e-10, 256), marks=pytest.mark.slow),
    ],
)
def test_derivatives_both_ways_are_finite_differences(method):
    times, z = np.linspace(0, 1, 4), np.array([1.3, 1.1, -0.7])
    made = model(VAN_DER_POL, times, method)
    with jax.enable_x64(True):
        x = jnp.asarray(scipy(VAN_DER_POL, z * 1.1, times)).at[2, 0].set(jnp.nan)

        def numbers(z):
            """The curve, and the log-likelihood that follows from it."""
            y = made.curve(z)
            return jnp.append(y.reshape(-1), made.noise.log_prob(x, y))

        at, compiled = jnp.asarray(z), jax.jit(numbers)
        assert made.log_likelihood(x, at) == pytest.approx(float(compiled(at)[-1]))
        expected = difference(lambda z: np.asarray(compiled(jnp.asarray(z))), z)
        for way in (jax.jacfwd, jax.jacrev):
            got = jax.jit(way(numbers))(at)
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", [Grid(32), Adaptive(relative=1e-10, absolute=1e-12)])
def test_irregular_and_padded_times(method):
    z, times = np.array([1.2, 1.0]), np.array([0.0, 0.1, 0.7, 0.75, 2.0])
    exact = scipy(FORCED, z, times)
    made = model(FORCED, np.linspace(0, 9, 4), method)
    np.testing.assert_allclose(states(made, z, times), exact, atol=1e-6)
    padded = np.concatenate([times, [2.0, 2.0]])
    with jax.enable_x64(True):
        value, slope = jax.jit(
            lambda z, t: (made.curve(z, t), jax.jacfwd(made.curve)(z, Course(t)))
        )(jnp.asarray(z), jnp.asarray(padded))
    np.testing.assert_allclose(value[:5], exact, atol=1e-6)
    np.testing.assert_array_equal(value[5:], value[jnp.array([4, 4])])
    assert np.isfinite(slope).all()
    np.testing.assert_array_equal(slope[5:], slope[jnp.array([4, 4])])


def test_an_input_that_is_missing_carries_its_last_value_on():
    gaps, filled = U.copy(), U.copy()
    gaps[[0, 1, 4, 5, 7]] = np.nan
    filled[[0, 1, 4, 5, 7]] = U[[2, 2, 3, 3, 6]]
    for method in (Grid(4), TIGHT):
        made = model(DRIVEN + "linear", np.linspace(0, 9, 8), method)
        got, known = (states(made, (0.7, 1.0), Course(TIMES, u[:, None])) for u in (gaps, filled))
        np.testing.assert_array_equal(got, known)
        nothing = states(made, (0.7, 1.0), Course(TIMES, np.full((8, 1), np.nan)))
        assert not np.isfinite(nothing[1:]).any()


def fall(g, e, t):
    """Height and energy of a ball dropped from 1, and the times of its first 60 bounces."""
    first = np.sqrt(2 / g)
    bounces = first * (1 + 2 * np.append(0.0, np.cumsum(e ** np.arange(1, 60))))
    n = np.searchsorted(bounces, t)
    since = t - np.concatenate([[-first], bounces])[n]
    # as if it had been thrown up a first fall before it was dropped
    speed = g * first * e**n
    return speed * since - g * since**2 / 2, g * e ** (2 * n), bounces


def test_a_bouncing_ball_is_the_closed_form():
    g, e, t = 9.81, 0.8, np.linspace(0, 3, 61)
    path = states(model(BOUNCES, t, Adaptive()), (g, e))
    height, energy, bounces = fall(g, e, t)
    assert (bounces < 3).sum() >= 5
    np.testing.assert_allclose(path[:, 0], height, atol=1e-7)
    np.testing.assert_allclose(g * path[:, 0] + path[:, 1] ** 2 / 2, energy, rtol=1e-6)
    # just before a bounce and just after: the bounces are where they should be
    beside = np.sort(np.concatenate([[0.0], bounces[:4] - 1e-6, bounces[:4] + 1e-6]))
    signs = np.sign(states(model(BOUNCES, beside, Adaptive()), (g, e))[1:, 1])
    np.testing.assert_array_equal(signs, [-1, 1] * 4)


def test_forward_derivatives_go_through_events():
    z, t = np.array([9.81, 0.8]), np.linspace(0, 1.8, 10)
    made = model(BOUNCES, t, Adaptive())
    with jax.enable_x64(True):
        slope = jax.jit(jax.jacfwd(lambda z: made.curve(z)[:, 0]))(jnp.asarray(z))
    expected = difference(lambda z: fall(*z, t)[0], z)
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-6)


def test_a_stop_holds_the_state():
    t = np.linspace(0, 2, 41)
    path = states(model(BALL + "stop", t, Adaptive()), (9.81, 0.8))
    end = np.sqrt(2 / 9.81)
    np.testing.assert_allclose(path[:, 0], np.maximum(1 - 9.81 * t**2 / 2, 0), atol=1e-8)
    np.testing.assert_allclose(path[t > end, 1], -9.81 * end, rtol=1e-8)


def test_more_events_than_are_followed_are_not_finite():
    bounces = np.append(0.0, fall(9.81, 0.8, np.zeros(1))[2])
    t = np.append(0.0, (bounces[:40] + bounces[1:41]) / 2)
    path = states(model(BOUNCES, t, Adaptive()), (9.81, 0.8))[:, 0]
    # the start, and what lies before the last event that is followed
    np.testing.assert_array_equal(np.isfinite(path), np.arange(41) < 1 + MOST)
    np.testing.assert_allclose(path[: 1 + MOST], fall(9.81, 0.8, t)[0][: 1 + MOST], atol=1e-6)


@pytest.mark.parametrize("method", [Grid(4), Adaptive(), Adaptive(stiff=True, most_steps=200)])
def test_a_failed_solve_is_not_finite_and_harms_no_other(method):
    made = model(EXPLODES, np.linspace(0, 5, 11), method)
    x = np.ones((11, 1))
    with jax.enable_x64(True):
        curves, likelihoods = jax.jit(
            jax.vmap(lambda z: (made.curve(z), made.log_likelihood(jnp.asarray(x), z)))
        )(jnp.asarray([[0.1], [0.9], [0.02]]))
    assert not np.isfinite(curves[1, 3:]).all()
    for row, k in ((0, 0.1), (2, 0.02)):
        exact = 1 / (1 - k * np.asarray(made.times))
        np.testing.assert_allclose(curves[row, :, 0], exact, rtol=1e-5)
    np.testing.assert_array_equal(np.isfinite(likelihoods), [True, False, True])


def test_a_failed_solve_is_a_value_outside_of_a_compiled_program_too():
    made = model(EXPLODES, np.linspace(0, 5, 11), Grid(4))
    assert not np.isfinite(made.log_likelihood(jnp.ones((11, 1)), jnp.asarray([0.9])))


def test_rates_that_are_no_numbers_are_a_failed_solve():
    text = "x' = log(x - k)\nk in (0, 9)\nx(0) = 1"
    for method in (Grid(2), Adaptive(), Adaptive(stiff=True)):
        assert not np.isfinite(states(model(text, [0, 1, 2], method), [5.0])[1:]).any()


def test_single_precision_is_kept():
    times, z = np.linspace(0, 4, 9), np.array([1.7, 0.05])
    exact = 1 / (1 + 19 * np.exp(-1.7 * times))
    for method in (Grid(8), Adaptive()):
        y = model(LOGISTIC, times, method).curve(jnp.asarray(z, jnp.float32))
        assert y.dtype == jnp.float32
        np.testing.assert_allclose(y[:, 0], exact, rtol=1e-4)
    late = jnp.asarray(times + 2000, jnp.float32)
    path = model(LOGISTIC, times, Adaptive()).curve(jnp.asarray(z, jnp.float32), late)
    np.testing.assert_allclose(path[:, 0], exact, rtol=1e-3)
    ball = model(BOUNCES, times[:4], Adaptive()).curve(jnp.asarray([9.81, 0.8], jnp.float32))
    np.testing.assert_allclose(ball[:, 0], fall(9.81, 0.8, times[:4])[0], atol=1e-4)


def test_a_stiff_solve_of_a_slow_decay_in_single_precision():
    slow = model("x' = -0.1*x\nx(0) in (0, 1)", range(5), Adaptive(stiff=True, most_steps=500))
    y = slow.curve(jnp.asarray([0.5], jnp.float32))
    np.testing.assert_allclose(y[:, 0], 0.5 * np.exp(-0.1 * np.arange(5)), rtol=1e-4)


@pytest.mark.slow
def test_the_method_is_the_cheapest_that_is_right():
    made = equation(zoo_text("fitzhugh-nagumo"), until=25.0, samples=101)
    assert isinstance(made.method, Grid)
    with jax.enable_x64(True):
        z = np.asarray(made.latents.from_normal(jnp.zeros(made.latents.size)))
    exact = scipy(zoo_text("fitzhugh-nagumo"), z, np.asarray(made.times))
    assert np.all(np.abs(states(made, z) - exact) < AGREES * np.ptp(exact, axis=0))
    assert equation(zoo_text("lorenz"), until=10.0, samples=11).method == Adaptive()
    assert equation(zoo_text("robertson"), until=40.0, samples=5).method == Adaptive(stiff=True)
    assert equation(BOUNCES, until=1.0, samples=5).method == Adaptive()


NAMES = Latents(("k", "x(0)"), ("", ""), (uniform(0.0, 1.0), uniform(0.0, 1.0)))
REFUSED = {
    "substeps": (lambda: Grid(0), "at least 1"),
    "one time": (lambda: equation(LOGISTIC, times=[0.0]), "not at least two rising numbers"),
    "falling": (lambda: equation(LOGISTIC, times=[0.0, 2.0, 1.0]), "two rising numbers"),
    "stochastic": (lambda: equation(zoo_text("gbm")), "stochastic_equation"),
    "jumps": (lambda: equation(zoo_text("merton")), "stochastic_equation"),
    "no rates": (lambda: equation("x' = log(-x)\nx(0) in (5, 6)", until=9.0), "Narrow the ranges"),
    "latents": (
        lambda: Equation(parse(LOGISTIC), NAMES, Gaussian.fixed(1.0), (0.0, 1.0), Grid()),
        r"latents are r, x\(0\), and k, x\(0\) were given",
    ),
    "level times": (lambda: model(LOGISTIC, [0, 0], Grid()), "rising order"),
    "no input": (
        lambda: model(DRIVEN + "linear", TIMES, Grid()).curve(jnp.ones(2)), "none was given"),
    "two inputs": (
        lambda: drive(jnp.asarray(TIMES), jnp.zeros((8, 2)), ("linear",)), r"\(8, 2\) do not fit"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_solved_is_refused_in_a_sentence(case):
    make, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        make()


def test_models_of_equations_come_back_equal_from_a_file(tmp_path):
    plain = equation(LOGISTIC, until=3.0, samples=5)
    marginal = uw.Marginal(uw.Inverted(plain, starts=2, steps=20, with_prior=True), draws=4)
    stiff = model(VAN_DER_POL, [0, 1], Adaptive(stiff=True, most_steps=99))
    for made in (stiff, model(BOUNCES, [0, 1], Adaptive()), plain, marginal):
        save_model(tmp_path / "model", made)
        back = load_model(tmp_path / "model").model
        assert eqx.tree_equal(back, made)
    z = jnp.asarray([1.5, 0.2])
    np.testing.assert_array_equal(back.decode(z), marginal.decode(z))
    x = plain.decode(jnp.asarray([1.0, 0.1]))
    np.testing.assert_array_equal(back.encode(x), marginal.encode(x))
    np.testing.assert_array_equal(back.log_density(x), marginal.log_density(x))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x' = __import__('os')\nx(0) = 1", "cannot be turned into a model"),
        ("x' = r*x*(1 - x)", "cannot be turned into a model"),
        (FORCED, "latents are k, x"),
        (7, "cannot be turned into a model"),
    ],
)
def test_another_text_in_a_file_is_refused(tmp_path, text, words):
    path = tmp_path / "model"
    save_model(path, model(LOGISTIC, [0, 1], Grid()))
    tensors, header = read_tensors(path)
    header["model"]["fields"]["system"]["fields"]["text"] = text
    write_tensors(path, tensors, header)
    with pytest.raises(ModelFileError, match=words):
        load_model(path)


def test_a_damaged_text_and_a_function_are_refused(tmp_path):
    path = tmp_path / "model"
    save_model(path, model(LOGISTIC, [0, 1], Grid()))
    path.write_bytes(path.read_bytes().replace(b"r*x*(1 - x)", b"r*x*(2 - x)"))
    with pytest.raises(ModelFileError):
        load_model(path)
    own = system(lambda t, x, z: -z[:1] * x, states=("x",), latents=NAMES)
    with pytest.raises(ModelFileError, match="which a model file cannot hold"):
        save_model(path, Equation(own, NAMES, Gaussian.fixed(1.0), (0.0, 1.0), Grid()))
