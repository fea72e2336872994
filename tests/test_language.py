"""The language of equations against NumPy, SymPy and finite differences; its errors by column."""

import contextlib
import random
import re
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import sympy as sp
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from unweave import latents, log_normal, log_uniform, normal, uniform
from unweave._latents import truncated_normal
from unweave.equations._system import Variable
from unweave.equations.language._callable import system
from unweave.equations.language._evaluate import compile_expressions
from unweave.equations.language._text import parse, read_equation
from unweave.equations.language._tokens import EquationError

COMPETITION = """
time in day
x1' = r1*x1*(1 - x1/N1) - a1*x1*x2
x2' = r2*x2*(1 - x2/N2) - a2*x1*x2
r1, r2 in (0, 5) 1/day
N1, N2 in (10, 1000) volume
a1, a2 in (0, 0.1) 1/(day volume)   # how one harms the other
x1(0), x2(0) in (0.1, 50) volume
"""
PENDULUM = """
theta'' = -(g/l)*sin(theta) - b*theta' + torque(t)
g = 9.81 m/s^2
l > 0 m
b ~ normal(0.1, 0.2) in (0, 1) 1/s per record
theta(0) in (-pi, pi) rad shared
theta'(0) = 2*theta(0) [rad/s]
input torque(t) previous N m
observe lit = where(theta > 0 and not theta' < 1, sqrt(theta), 0) [a u]
observe theta'
noise student-t
when theta < -3: theta' = -0.9*theta', theta = -3
when 1 < theta < 2 or theta > 100: stop
"""
HESTON = """
dS = mu*S dt + S*sqrt(max(v, 0)) dW1 + S*(exp(normal(m, s)) - 1) dN(lam)
dv = kappa*(mean - v) dt + xi*sqrt(max(v, 0))*rho dW1 + xi*sqrt(max(v, 0))*sqrt(1 - rho^2) dW2
mu, m, rho in (-1, 1)
s, lam, kappa, mean, xi in (0, 1) 1/year
S(0) = 100 USD
v(0) = mean
"""
CHEMISTRY = """
x' = hill(y, K, n) - d*x + piecewise(a if x < 1, 2*a if x < 2, else wrap(a))
y' = -y^3/(1 + y**2)^0.5 + mod(t, 3) + sigmoid(x) - heaviside(y)*min(x, y, 2)
a = atan2(x, y) + growth
growth = k1*exp(-x) [1/h]
K, n, d ~ log-normal(1, 0.5)
k1 ~ log-uniform(0.1, 10)
x(0), y(0) in (0, 1)
"""
TEXTS = {"competition": COMPETITION, "pendulum": PENDULUM, "heston": HESTON, "kinetics": CHEMISTRY}


def field(expression):
    """A system whose first rate is an expression of t, x, y, a, b, and of the input u."""
    return parse(
        f"x' = {expression}\ny' = 0\na, b in (0, 5)\nx(0) = 0\ny(0) = 0\ninput u(t)\nk = 2.5 m"
    )


# expression, the same in NumPy
VALUES = {
    "a*x*(1 - x/b) - y": lambda t, x, y, a, b: a * x * (1 - x / b) - y,
    "-x^2": lambda t, x, y, a, b: -(x**2),
    "2^-x^2": lambda t, x, y, a, b: 2.0 ** -(x**2),
    "x^y^2": lambda t, x, y, a, b: x ** (y**2),
    "2**3**2 + x - x": lambda t, x, y, a, b: 512.0,
    "x - y - a": lambda t, x, y, a, b: x - y - a,
    "x/y/a*b": lambda t, x, y, a, b: x / y / a * b,
    "2*-x + --y": lambda t, x, y, a, b: -2 * x + y,
    "(x + y)^7/(x*y)^3": lambda t, x, y, a, b: (x + y) ** 7 / (x * y) ** 3,
    "x^-1.5 + x^(1/2) + x^0.5": lambda t, x, y, a, b: x**-1.5 + 2 * np.sqrt(x),
    "1.5e-3*x + .5 + 2.": lambda t, x, y, a, b: 1.5e-3 * x + 2.5,
    "exp(-x)*log(y) + ln(x)": lambda t, x, y, a, b: np.exp(-x) * np.log(y) + np.log(x),
    "log10(x) + log2(y)": lambda t, x, y, a, b: np.log10(x) + np.log2(y),
    "abs(x - y)*sign(x - y)": lambda t, x, y, a, b: x - y,
    "sin(x)*cos(y)/tan(a) + cot(b)": lambda t, x, y, a, b: (
        np.sin(x) * np.cos(y) / np.tan(a) + 1 / np.tan(b)
    ),
    "asin(x/9) + acos(y/9) + atan(a)": lambda t, x, y, a, b: (
        np.arcsin(x / 9) + np.arccos(y / 9) + np.arctan(a)
    ),
    "atan2(x, -y)": lambda t, x, y, a, b: np.arctan2(x, -y),
    "sinh(x) - cosh(y) + tanh(a)": lambda t, x, y, a, b: np.sinh(x) - np.cosh(y) + np.tanh(a),
    "erf(x)": lambda t, x, y, a, b: scipy.special.erf(x),
    "floor(x) + ceil(y)": lambda t, x, y, a, b: np.floor(x) + np.ceil(y),
    "min(x, y, a) + max(x, 2)": lambda t, x, y, a, b: min(x, y, a) + max(x, 2.0),
    "mod(-x, y)": lambda t, x, y, a, b: np.mod(-x, y),
    "sigmoid(x - 3*y)": lambda t, x, y, a, b: scipy.special.expit(x - 3 * y),
    "heaviside(x - 1)": lambda t, x, y, a, b: float(x > 1),
    "hill(x, a, 3)": lambda t, x, y, a, b: x**3 / (a**3 + x**3),
    "hill(x, y, b)": lambda t, x, y, a, b: x**b / (y**b + x**b),
    "wrap(5*x)": lambda t, x, y, a, b: np.mod(5 * x + np.pi, 2 * np.pi) - np.pi,
    "where(x > y and not a < b, x, y)": lambda t, x, y, a, b: x if x > y and not a < b else y,
    "where(1 < x < 2 or y >= 2, 1, -1)": lambda t, x, y, a, b: 1.0 if 1 < x < 2 or y >= 2 else -1.0,
    "piecewise(x if x < 1, y if x < 2, else a)": lambda t, x, y, a, b: (
        x if x < 1 else y if x < 2 else a
    ),
    "t*pi + 3*u + u(t) + k*x": lambda t, x, y, a, b: t * np.pi + 4 * 0.7 + 2.5 * x,
    "x·y × 2 − 1": lambda t, x, y, a, b: 2 * x * y - 1,
    "(x\n  + y)": lambda t, x, y, a, b: x + y,
    "where(where(x > 1, y, a) > heaviside(b), x, 2*y)": lambda t, x, y, a, b: (
        x if (y if x > 1 else a) > 1 else 2 * y
    ),
    "(((x)))": lambda t, x, y, a, b: x,
    "3": lambda t, x, y, a, b: 3.0,
    "1e300*1e-300*x": lambda t, x, y, a, b: x,
}
POINTS = [(0.3, 1.3, 0.6, 2.1, 1.7), (1.1, 0.4, 2.3, 0.9, 3.2), (2.0, 2.6, 2.2, 4.4, 0.8)]


@pytest.mark.parametrize("expression", VALUES)
def test_values_and_gradients(expression):
    equation, truth = field(expression), VALUES[expression]
    for t, x, y, a, b in POINTS:
        expected = truth(t, x, y, a, b)
        ours = equation.numpy_rates()(t, [x, y], [a, b], [0.7])
        np.testing.assert_allclose(ours[0], expected, rtol=1e-13)
        single = equation.rates(*(jnp.asarray(v, jnp.float32) for v in (t, [x, y], [a, b], [0.7])))
        assert single.dtype == jnp.float32
        np.testing.assert_allclose(single[0], expected, rtol=2e-5, atol=1e-5)
    step = 1e-6
    with jax.enable_x64(True):
        rate = jax.jit(
            jax.value_and_grad(
                lambda v: equation.rates(v[0], v[1:3], v[3:], jnp.array([0.7], v.dtype))[0]
            )
        )
        for point in POINTS:
            value, gradient = rate(jnp.asarray(point, jnp.float64))
            np.testing.assert_allclose(value, truth(*point), rtol=1e-13)
            for i in range(5):
                up, down = list(point), list(point)
                up[i], down[i] = up[i] + step, down[i] - step
                slope = (truth(*up) - truth(*down)) / (2 * step)
                np.testing.assert_allclose(gradient[i], slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "expression",
    [
        "a*x*(1 - x/b) - y",
        "-x**2/(1 + x**2)*y - (a - b)**2",
        "sin(x)**2 + exp(-a*x)*cos(y)/sqrt(1 + b**2)",
        "x**3/3 - x/7 + y**a - tanh(x)",
        "(x + 2*y)*(x - y)/(a + b/x)",
        "2.5*x - 0.125*y**2 + log(x*y)",
    ],
)
def test_formulas_are_those_that_sympy_reads(expression):
    names = {name: sp.Symbol(name, real=True) for name in "xyab"}
    ours = field(expression).expressions
    assert sp.simplify(ours.drift[0] - sp.sympify(expression, locals=names)) == 0
    assert [str(symbol) for symbol in ours.arguments] == ["t", "x", "y", "a", "b", "u"]


def test_competition_is_read_as_it_is_written():
    equation = parse(COMPETITION)
    assert equation.time_unit == "day"
    assert equation.latents.names == ("r1", "r2", "N1", "N2", "a1", "a2", "x1(0)", "x2(0)")
    assert equation.latents.units[:5] == ("1/day", "1/day", "volume", "volume", "1/(day volume)")
    assert equation.latents.priors[0] == uniform(0.0, 5.0)
    assert equation.latents.priors[2] == log_uniform(10.0, 1000.0)
    assert equation.is_own == (False,) * 6 + (True,) * 2
    assert equation.states == equation.observables
    assert equation.states == (Variable("x1", "volume"), Variable("x2", "volume"))
    assert (equation.inputs, equation.noises, equation.noise_name) == ((), 0, None)
    z = jnp.array([1.0, 2.0, 100.0, 200.0, 0.01, 0.02, 3.0, 4.0])
    x, none = equation.start(z), jnp.zeros(0)
    np.testing.assert_array_equal(x, [3, 4])
    rates = equation.rates(jnp.array(0.0), x, z, none)
    np.testing.assert_allclose(rates, [3 * 0.97 - 0.12, 8 * 0.98 - 0.24], rtol=1e-6)
    assert equation.diffuse(jnp.array(0.0), x, z, none).shape == (2, 0)
    np.testing.assert_array_equal(equation.observe(jnp.array(0.0), x, z, none), x)
    assert equation == parse(COMPETITION)
    many = equation.numpy_rates()(0.0, np.ones((2, 7)), np.asarray(z))
    assert many.shape == (2, 7)
    np.testing.assert_allclose(many[:, 3], equation.numpy_rates()(0.0, [1.0, 1.0], np.asarray(z)))


def test_pendulum_has_two_states_a_start_of_latents_an_input_and_events():
    equation = parse(PENDULUM)
    assert [v.name for v in equation.states] == ["theta", "theta'"]
    assert equation.latents.names == ("l", "b", "theta(0)")
    assert equation.latents.priors[:2] == (
        log_normal(0.0, 1.5),
        truncated_normal(0.1, 0.2, 0.0, 1.0),
    )
    assert equation.is_own == (False, True, False)
    assert equation.inputs == (Variable("torque", "N m"),)
    assert equation.interpolations == ("previous",)
    assert equation.observables == (Variable("lit", "a u"), Variable("theta'", "rad/s"))
    assert equation.noise_name == "student-t"
    assert [d.name for d in equation.definitions] == ["g"]
    t, z, u = jnp.array(0.0), jnp.array([2.0, 0.5, 0.3]), jnp.array([0.25])
    x = equation.start(z)
    np.testing.assert_allclose(x, [0.3, 0.6])
    np.testing.assert_allclose(equation.numpy_start()(z), x, rtol=1e-6)
    acceleration = -9.81 / 2 * np.sin(0.3) - 0.5 * 0.6 + 0.25
    np.testing.assert_allclose(equation.rates(t, x, z, u), [0.6, acceleration], rtol=1e-6)

    bounce, stop = equation.events
    assert bounce.words == "when theta < -3: theta' = -0.9*theta', theta = -3"
    assert bounce.condition(t, jnp.array([-3.5, 1.0]), z, u) == 0.5
    assert bounce.condition(t, jnp.array([2.0, 1.0]), z, u) == -5
    np.testing.assert_allclose(bounce.reset(t, jnp.array([-3.0, -2.0]), z, u), [-3, 1.8])
    assert stop.reset is None
    signs = [float(stop.condition(t, jnp.array([v, 0.0]), z, u)) for v in (0.5, 1.5, 3.0, 101.0)]
    np.testing.assert_allclose(signs, [-0.5, 0.5, -1, 1])


def test_stochastic_terms_become_columns_and_jumps():
    equation = parse(HESTON)
    assert equation.noises == 2
    names = equation.latents.names
    assert names == ("mu", "m", "rho", "s", "lam", "kappa", "mean", "xi")
    z = jnp.array([0.1, -0.2, 0.6, 0.3, 0.5, 0.7, 0.04, 0.2])
    t, none, x = jnp.array(0.0), jnp.zeros(0), equation.start(z)
    np.testing.assert_allclose(x, [100, 0.04])
    np.testing.assert_allclose(equation.rates(t, x, z, none), [10, 0], atol=1e-6)
    expected = [[20, 0], [0.2 * 0.2 * 0.6, 0.2 * 0.2 * 0.8]]
    np.testing.assert_allclose(equation.diffuse(t, x, z, none), expected, rtol=1e-6)
    (jumps,) = equation.jumps
    assert (jumps.process, jumps.marks) == ("dN", 1)
    np.testing.assert_allclose(jumps.rate(t, x, z, none), 0.5)
    leap = jumps.leap(t, x, z, none, jnp.array([2.0]))
    np.testing.assert_allclose(leap, [100 * (np.exp(-0.2 + 0.6) - 1), 0], rtol=1e-6)


def test_two_marks_of_one_process_are_drawn_apart():
    text = "dx = normal(1, 2) dN(3)\ndy = -x dt - normal(5, x) dN(3)\nx(0) = 1\ny(0) = 2"
    (jumps,) = parse(text).jumps
    assert jumps.marks == 2
    given_ = (jnp.array(0.0), jnp.array([1.0, 2.0]), jnp.zeros(0), jnp.zeros(0))
    np.testing.assert_allclose(jumps.leap(*given_, jnp.array([1.0, 10.0])), [3, -15])


def test_priors():
    text = (
        "x' = a + b + c + d + e + f + g\nx(0) = 0\na in (1, 9)\nb in (1, 10)\nc > 0\n"
        "d ~ normal(-1, 2)\ne ~ log-normal(2, 0.5)\nf ~ uniform(-pi, 2*pi)\ng ~ log-uniform(1, 3)"
    )
    assert parse(text).latents.priors == (
        uniform(1.0, 9.0),
        log_uniform(1.0, 10.0),
        log_normal(0.0, 1.5),
        normal(-1.0, 2.0),
        log_normal(float(np.log(2)), 0.5),
        uniform(-np.pi, 2 * np.pi),
        log_uniform(1.0, 3.0),
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("where(x > 0, sqrt(x), 0)", [0.0, 0.0]),
        ("where(x > 0, log(x), y)", [0.0, 1.0]),
        ("where(x > 0, y/x, y)", [0.0, 1.0]),
        ("where(x > 0, x^y, 2*x)", [2.0, 0.0]),
        ("where(x > 0, exp(-1/x), 0)", [0.0, 0.0]),
        ("where(y > 5, 1, where(x > 0, 1/sqrt(x), x*y))", [1.5, 0.0]),
        ("sigmoid(-1e4 + x)", [0.0, 0.0]),
    ],
)
def test_gradients_of_branches_not_taken_are_finite(expression, expected):
    equation = field(expression)

    def rate(x):
        return equation.rates(jnp.array(1.0), x, jnp.ones(2), jnp.ones(1))[0]

    np.testing.assert_allclose(jax.grad(rate)(jnp.array([0.0, 1.5])), expected)


def test_common_parts_are_computed_once():
    x, y = sp.symbols("x y")
    part = sp.sin(x * y)
    program = compile_expressions([part + 1, part**2, sp.exp(part)], [x, y])
    assert [name for name, _ in program.steps].count("sin") == 1
    with pytest.raises(ValueError, match="'z' is no argument"):
        compile_expressions([sp.Symbol("z")], [x])
    with pytest.raises(ValueError, match="zeta"):
        compile_expressions([sp.zeta(x)], [x])


LATEX = {
    "a*x*(1 - x/b) - y": r"a x \left(1 - \frac{x}{b}\right) - y",
    "-x^2 + 2*3*x": r"-x^{2} + 2 \cdot 3 x",
    "1/(1 + exp(-x))": r"\frac{1}{1 + \mathrm{e}^{-x}}",
    "x/y/a*b": r"\frac{x b}{y a}",
    "sqrt(abs(x)) + 1.5e-3": r"\sqrt{\left|x\right|} + 1.5 \times 10^{-3}",
    "hill(x, a + b, 2)": r"\frac{x^{2}}{(a + b)^{2} + x^{2}}",
    "sin(x)^2*(-y)": r"\sin(x)^{2} (-y)",
    "(x^y)^a": r"(x^{y})^{a}",
    "floor(x) + max(x, y) + pi": r"\left\lfloor x \right\rfloor + \max(x, y) + \pi",
}


@pytest.mark.parametrize("expression", LATEX)
def test_latex_keeps_the_order_of_the_author(expression):
    first = field(expression).latex().splitlines()[1]
    assert first == rf"\dot{{x}} &= {LATEX[expression]} \\"


def test_latex_of_a_whole_text():
    lines = parse(PENDULUM).latex().splitlines()
    assert (lines[0], lines[-1]) == (r"\begin{aligned}", r"\end{aligned}")
    assert [line.removesuffix(r" \\") for line in lines[1:5]] == [
        r"\ddot{\theta} &= -\frac{g}{l} \sin(\theta) - b \dot{\theta} + \mathrm{torque}",
        r"g &= 9.81\ \mathrm{m/s^{2}}",
        r"\dot{\theta}(0) &= 2 \theta(0)\ \mathrm{rad/s}",
        r"\theta(0) &\sim \mathcal{U}(-3.14159, 3.14159)\ \mathrm{rad}",
    ]
    assert r"\text{when } \theta < -3\colon\ \dot{\theta} \leftarrow -0.9 \dot{\theta}" in lines[6]
    stochastic = parse(HESTON).latex()
    assert (
        r"\mathrm{d}S &= \mu S\,\mathrm{d}t + S \sqrt{\max(v, 0)}\,\mathrm{d}W_{1} + " in stochastic
    )
    assert r"\mathcal{N}(m, s^2)" in stochastic
    assert stochastic.endswith(
        "S(0) &= 100\\ \\mathrm{USD} \\\\\nv(0) &= \\mathrm{mean}\n\\end{aligned}"
    )
    for text in TEXTS.values():
        block = parse(text).latex()
        assert block.count("{") == block.count("}")
        assert block.replace(r"\leftarrow", "").count(r"\left") == block.count(r"\right")


@pytest.mark.parametrize("name", TEXTS)
def test_pretty_reads_back_as_the_same_equation(name):
    equation = parse(TEXTS[name])
    pretty = equation.pretty()
    again = parse(pretty)
    assert again.pretty() == pretty
    assert again.expressions == equation.expressions
    assert again.latents == equation.latents
    assert (again.observables, again.is_own) == (equation.observables, equation.is_own)
    assert [e.words for e in again.events] == [e.words for e in equation.events]


def test_pretty_is_as_light_as_the_text():
    lines = [line.split("#")[0].rstrip() for line in COMPETITION.strip().splitlines()]
    assert parse(COMPETITION).pretty().splitlines() == lines


# a text with ‸ where the caret has to be, the reason, what mends it
ERRORS = [
    ("x' = -‸r1*x", "no 'r1' is declared", "r1 in (0, 1)"),
    ("x' = -‸grwth\ngrowth = 1", "Did you mean 'growth'", "grwth in (0, 1)"),
    ("x' = ‸sni(x)", "there is no function 'sni'. Did you mean 'sin'", "The functions are"),
    ("x' = ‸eval(x)", "there is no function 'eval'", "The functions are"),
    ("x' = ‸__import__(x)", "there is no function '__import__'", "The functions are"),
    ("x' = ‸x(x)", "'x' is no function", "x*(...)"),
    ("x' = ‸sin + 1", "'sin' is a function", "sin(...)"),
    ("x' = ‸hill(x, 2)", "hill takes 3 arguments, and 2 were given", "hill(x, K, n)"),
    ("x' = ‸max(x)", "max takes 2 or more arguments, and 1 was given", "max(a, b)"),
    ("x' = ‸sin(x, x)", "sin takes 1 argument", "sin(x)"),
    ("x' = 2‸x", "a '*' is missing between 2 and 'x'", "2*x"),
    ("x' = 2 ‸x", "a '*' is missing before 'x'", "*x"),
    ("x' = (x ‸x)", "a '*' or a ',' is missing", "*x"),
    ("x' = x ‸$ 2", "'$' is out of place", "take away"),
    ("x' = x +‸", "the line ends", "Finish"),
    ("x' = x + ‸* 2", "'*' is out of place", "names, numbers"),
    ("x' = x‸.__class__", "'.' is out of place", "take away"),
    ("x' = ‸lambda_ + 1", "no 'lambda_' is declared", "lambda_ in (0, 1)"),
    ("x' = ‸(x + 1", "never closed", "Close"),
    ("x' = x + 1‸)", "never opened", "open it"),
    ("x' = x ‸> 2", "makes a condition", "where("),
    ("x' = 2*(‸x > 2)", "this is a condition", "where("),
    ("x' = where(‸x, 1, 2)", "a condition is needed", "x > 0"),
    ("x' = where(x > 0 and ‸x, 1, 2)", "'and' joins conditions", "x > 0"),
    ("x' = where(not ‸x, 1, 2)", "'not' joins conditions", "x > 0"),
    ("x' = where(x > 0 ‸if, 1, 2)", "')' was expected", "Close"),
    ("x' = piecewise(x ‸, 2)", "'if' was expected after a piece's value", "piecewise("),
    ("x' = x^‸99999", "beyond 10000", "smaller"),
    ("x' = (x^1000)^‸1000", "beyond 10000", "smaller"),
    ("x' = ‸1e999", "too large for a number", "units"),
    ("x' = x*‸10^400", "no finite number", "computed"),
    ("x' = x*‸log(0)", "no finite number", "computed"),
    ("x' = x/(‸1 - 1)", "divides by zero", "another number"),
    ("x' = ‸x/(t - t)", "no finite real value", "division by zero"),
    ("x' = ‸sqrt(-x^2)", "no finite real value", "negative"),
    ("x' = ‸y'\ny = 2", "'y'' is no state", "y' = rate"),
    ("x' = ‸normal(0, 1)", "drawn at a jump alone", "dN"),
    ("x' = x\n‸x' = 2", "'x' is given twice; the first time in line 1", "another name"),
    ("‸sin = 3", "has a meaning of its own", "sin_1"),
    ("‸pi in (0, 1)", "has a meaning of its own", "pi_1"),
    ("k‸", "alone says nothing", "k in (0, 1)"),
    ("k ‸< 3", "both ends", "k in (0, 1)"),
    ("nose ‸log-normal", "Did you mean 'noise'", "nose in"),
    ("‸3 = x", "a name was expected", "begins with a name"),
    ("k, ‸m = 3", "two names have one '='", "k = ..."),
    ("k in ‸5", "'(' was expected after 'in'", "in (0, 1)"),
    ("k in (0‸)", "',' was expected after the lower end", "in (0, 1)"),
    ("k in (‸5, 1)", "the interval (5, 1) is empty", "lower end first"),
    ("k in (0, ‸x)", "this depends on others", "the number itself"),
    ("k > ‸2", "positive", "k > 0"),
    ("k ~ ‸norml(0, 1)", "no family of priors. Did you mean 'normal'", "log-uniform"),
    ("k ~ normal(‸0, -1)", "std is -1.0", "numbers of the prior"),
    ("k ~ uniform(‸0, 1) in (0, 3)", "only a normal prior", "numbers of the prior"),
    ("k ~ log-normal(‸-1, 1)", "the median is -1", "numbers of the prior"),
    ("k in (0, 1) m ‸= 2", "cannot be part of a unit", "brackets"),
    ("k = 2 ‸x", "'x' is declared", "[x]"),
    ("k = ‸k + 1", "defined by itself: k -> k", "k' = ..."),
    ("‸v(0) = 1", "'v' is no state", "v' = ..."),
    ("‸v' = 1", "'v' has no start", "v(0) in (0, 1)"),
    ("v' = 1\nv(0) = ‸2*x", "'x' changes in time", "x(0)"),
    ("v' = 1\nv(‸1) = 2", "about v(0) alone", "v(0)"),
    ("v' = ‸k(0)\nk = 2\nv(0) = 1", "'k' has no start", "k(0) in"),
    ("‸y' in (0, 1)", "a rate of change and no latent", "y'(0)"),
    ("dx =‸", "the line ends", "Finish"),
    ("dv = x dt + x‸\nv(0) = 1", "this term has no dt, dW or dN", "(a + b) dt"),
    ("dv = x dt ‸x dW\nv(0) = 1", "'+' or '-' was expected", "Join"),
    ("dv = x dN‸\nv(0) = 1", "'(' was expected after dN", "dN(0.1)"),
    ("dv = x dN(1) + x dN(‸2)\nv(0) = 1", "dN has two rates", "dN1(a), dN2(b)"),
    ("input ‸3", "the name of an input", "input u(t)"),
    ("input u(‸x)", "'t' was expected", "u(t)"),
    ("observe ‸log(x)", "has a name", "observe y = log(x1)"),
    ("observe x ‸+ 1", "has a name", "observe y = x1 + x2"),
    ("observe x, ‸x", "observed twice", "another name"),
    ("observe ‸x = 2*x", "given in line", "another name"),
    ("observe ‸q", "no 'q' is declared", "q in (0, 1)"),
    ("noise ‸gausian", "no noise. Did you mean 'gaussian'", "student-t"),
    ("noise gaussian\n‸noise poisson", "said before, in line 1", "one of the two"),
    ("when x < 0 ‸x = 1", "':' was expected", "stop"),
    ("when ‸x: stop", "a condition is needed", "x > 0"),
    ("when x < 0: ‸k = 1", "'k' is no state", "The states are x"),
    ("when x < 0: x = 1 ‸2", "a '*' is missing", "*2"),
    ("time in‸", "a unit was expected", "time in day"),
    ("k = 2 ‸m per record", "only latents", "away"),
    ("k in (0, 1) ‸[m", "in brackets is never closed", "']'"),
    ("‸" + "n" * 99 + " = 1", "has 99 characters", "shorter"),
]


def placed(marked):
    """A text without its mark, and the mark's line and column."""
    before = marked[: marked.index("‸")]
    return marked.replace("‸", ""), before.count("\n") + 1, len(before) - before.rfind("\n")


@pytest.mark.parametrize(("marked", "reason", "mend"), ERRORS, ids=lambda v: v[:40])
def test_an_error_points_at_its_character(marked, reason, mend):
    text, line, column = placed(marked)
    if not re.search(r"^d?x'? =", text):
        text += "\nx' = 1"
    with pytest.raises(EquationError) as caught:
        parse(text + "\nx(0) = 0")
    error = caught.value
    assert reason in error.reason
    assert mend in error.mend
    assert error.place is not None
    assert (error.place.line, error.place.column) == (line, column)
    first, shown, caret, last = str(error).split("\n")
    assert first == f"line {line}: {error.reason}"
    assert last == error.mend
    if len(text) < 90:
        assert shown[4:] == text.splitlines()[line - 1]
        assert caret == " " * (3 + column) + "^"


def test_circles_of_definitions_are_named():
    with pytest.raises(EquationError, match="'b' is defined by itself: b -> a -> b"):
        parse("x' = a\nx(0) = 0\na = b\nb = 2*a")


def test_the_caret_stays_under_its_character_in_a_long_line():
    with pytest.raises(EquationError) as caught:
        parse("x' = " + "x + " * 500 + "oops\nx(0) = 0")
    _, shown, caret, _ = str(caught.value).split("\n")
    assert len(shown) <= 100
    assert shown[len(caret) - 1 :].startswith("oops")


def test_a_text_without_an_equation():
    with pytest.raises(EquationError, match=r"no equation\. Give a rate of change"):
        parse("# nothing\n")


SIZES = {
    "a megabyte": "x' = 1 + " * 120_000,
    "ten thousand parentheses": "x' = " + "(" * 10_000 + "1" + ")" * 10_000,
    "ten thousand signs": "x' = " + "-" * 10_000 + "1\nx(0) = 0",
    "ten thousand powers": "x' = " + "x^" * 10_000 + "1\nx(0) = 0",
    "ten thousand nots": "x' = where(" + "not " * 10_000 + "x > 1, 1, 2)\nx(0) = 0",
    "a tower of definitions": "x' = a600\nx(0) = 0\na0 = x\n"
    + "\n".join(f"a{i} = sin(a{i - 1})" for i in range(1, 601)),
    "definitions that double": "x' = a40\nx(0) = 0\na0 = x\n"
    + "\n".join(f"a{i} = sin(a{i - 1}) + cos(a{i - 1})" for i in range(1, 41)),
    "a huge coefficient": "x' = (3*x)^9999\nx(0) = 0",
    "powers of powers": "x' = ((((3*x)^20)^20)^20)^20\nx(0) = 0",
}


@pytest.mark.parametrize("name", SIZES)
def test_no_text_exhausts_the_machine(name):
    start = time.process_time()
    with pytest.raises(EquationError):
        parse(SIZES[name])
    assert time.process_time() - start < 10  # processor seconds: no exhaustion, whatever else runs


def test_deep_and_long_texts_have_their_value():
    deep = "sin(" * 12 + "x*a" + ")" * 12
    assert np.isfinite(field(deep).numpy_rates()(0.0, [1.0, 2.0], [1.0, 1.0], [0.0])).all()
    terms = " + ".join(f"{i}*x^{i % 7}" for i in range(1, 301))
    expected = sum(i * 0.9 ** (i % 7) for i in range(1, 301))
    ours = field(terms).numpy_rates()(0.0, [0.9, 2.0], [1.0, 1.0], [0.0])[0]
    np.testing.assert_allclose(ours, expected)


BITS = [
    "__import__('os').system('echo')", "().__class__.__bases__[0]", "x.__dict__", "eval('1')",
    "lambda: 0", "import os", "exec(", "^1e99", "^99999", "**9999", "9" * 400, "1e400", "((((",
    "))))", "'", "\x00", "é", "∂", "∞", "²", "\u202e", "and", "or", "not", "in", "if", "else",
    "(0)", "(t)", "dt", "dW", "dN(2)", "normal(1, 2)", "where(", "piecewise(", "max(1, 2)", "[",
    "]", "~", "#", "\n", "\t", "pi", "t", "0", "-", "/0", "*", "log(", "sqrt(-", "exp(exp(exp(",
    "1/", "in (0, 1)", "> 0", "= x", "mod(x, 0)", "hill(x, 0, 2)", "(3*x)^9999", "{", "}", "\\",
    "$", "%", "1.2.3", "1e", "..", ",,", "::", "𝒙", "x" * 200,
]  # fmt: skip


def mutated(text, rng):
    """A text with up to five pieces taken out, put in, doubled or exchanged."""
    for _ in range(rng.randint(0, 5)):
        at = rng.randint(0, len(text))
        kind = rng.random()
        if kind < 0.35:
            text = text[:at] + text[at + rng.randint(1, 6) :]
        elif kind < 0.75:
            text = text[:at] + rng.choice(BITS) + text[at:]
        elif kind < 0.85:
            text = text[:at] + rng.choice(text or "x") + text[at + 1 :]
        else:
            other = rng.randint(0, len(text))
            text = text[:at] + text[other : other + 30] + text[at:]
    return text


def read_or_refused(text):
    """Whether a text is an equation; it is one, with everything that follows, or an error."""
    try:
        equation = parse(text)
    except EquationError:
        return False
    assert parse(equation.pretty()).pretty() == equation.pretty()
    assert equation.latex().count("{") == equation.latex().count("}")
    rates = equation.numpy_rates()(
        0.5, np.ones(len(equation.states)), np.ones(equation.latents.size),
        np.ones(len(equation.inputs)),
    )  # fmt: skip
    assert rates.shape == (len(equation.states),)
    return True


@contextlib.contextmanager
def nothing_runs(monkeypatch):
    """Fails where a text opens a door to the machine."""

    def refuse(*_, **__):
        pytest.fail("a text was run as code")

    with monkeypatch.context() as patch:
        for name in ("builtins.open", "os.system", "os.popen", "subprocess.Popen"):
            patch.setattr(name, refuse)
        yield


@pytest.mark.parametrize("count", [250, pytest.param(1000, marks=pytest.mark.slow)])
def test_generated_texts_never_crash_or_run(count, monkeypatch):
    rng = random.Random(20240501)
    valid, slowest = 0, 0.0
    texts = [mutated(rng.choice(list(TEXTS.values())), rng) for _ in range(count)]
    with nothing_runs(monkeypatch):
        for text in texts:
            start = time.process_time()
            valid += read_or_refused(text)
            slowest = max(slowest, time.process_time() - start)
    assert 0.1 * count < valid < 0.9 * count
    assert slowest < 5  # processor seconds


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=60))
@example("\ufeffx' = 1")
@example("x'\u2028= 1")
def test_any_characters_are_read_or_refused(text):
    read_or_refused(text)
    read_or_refused(f"x' = {text}\nx(0) = 0")


NUMBERS = {"t": 0.4, "x": 1.3, "y": 0.6, "a": 2.1, "b": 1.7, "k": 2.5, "pi": np.pi, "1e-3": 1e-3}
BINARY = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "^": np.power}
UNARY = {"sin": np.sin, "exp": np.exp, "abs": np.abs, "log": np.log, "": np.positive}


def combined(parts):
    return st.one_of(
        st.tuples(parts, st.sampled_from(sorted(BINARY)), parts).map(
            lambda p: (f"({p[0][0]}) {p[1]} ({p[2][0]})", BINARY[p[1]](p[0][1], p[2][1]))
        ),
        st.tuples(st.sampled_from(sorted(UNARY)), parts).map(
            lambda p: (f"-{p[0]}({p[1][0]})", -UNARY[p[0]](p[1][1]))
        ),
        st.tuples(parts, parts, parts).map(
            lambda p: (
                f"where({p[0][0]} > {p[1][0]}, {p[1][0]}, {p[2][0]})",
                p[1][1] if p[0][1] > p[1][1] else p[2][1],
            )
        ),
    )


#: An expression and its value, computed beside it by NumPy.
EXPRESSIONS = st.recursive(
    st.sampled_from([(name, np.float64(value)) for name, value in NUMBERS.items()]),
    combined,
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_any_expression_has_its_value_and_reads_back(data):
    with np.errstate(all="ignore"):
        expression, expected = data.draw(EXPRESSIONS)
    try:
        equation = field(expression)
    except EquationError:
        assume(not np.isfinite(expected))
        return
    again = parse(equation.pretty())
    assert again.expressions == equation.expressions
    ours = equation.numpy_rates()(0.4, [1.3, 0.6], [2.1, 1.7], [0.5])[0]
    if np.isfinite(expected) and abs(expected) < 1e100:
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-9)


def test_a_callable_is_as_welcome_as_text():
    text = parse(COMPETITION)

    def rates(t, x, z):
        r, n, a = z[0:2], z[2:4], z[4:6]
        return r * x * (1 - x / n) - a * x[0] * x[1]

    plain = system(
        rates,
        states=[Variable("x1", "volume"), Variable("x2", "volume")],
        latents=text.latents,
        time_unit="day",
    )
    z = jnp.array([1.0, 2.0, 100.0, 200.0, 0.01, 0.02, 3.0, 4.0])
    given_ = (jnp.array(0.0), text.start(z), z, jnp.zeros(0))
    np.testing.assert_allclose(plain.rates(*given_), text.rates(*given_), rtol=1e-6)
    np.testing.assert_array_equal(plain.start(z), text.start(z))
    np.testing.assert_array_equal(plain.observe(*given_), given_[1])
    assert plain.diffuse(*given_).shape == (2, 0)
    for name in ("is_own", "states", "inputs", "observables", "time_unit", "noises"):
        assert getattr(plain, name) == getattr(text, name)


def test_a_callable_with_everything():
    named = latents(["k", "s"], [uniform(0.0, 1.0), uniform(0.0, 1.0)])
    made = system(
        lambda t, x, z, u: -z[0] * x + u[0],
        states=["x", "y"],
        latents=named,
        start=lambda z: jnp.stack([z[1], 2 * z[1]]),
        observe=lambda t, x, z, u: x[:1] ** 2,
        observables=["square"],
        diffuse=lambda t, x, z, u: z[1] * jnp.ones((2, 3)),
        inputs=["u"],
        own=["s"],
    )
    given_ = (jnp.array(0.0), jnp.array([1.0, 2.0]), jnp.array([0.5, 0.1]), jnp.array([3.0]))
    np.testing.assert_allclose(jax.jit(made.rates)(*given_), [2.5, 2.0])
    np.testing.assert_allclose(made.start(given_[2]), [0.1, 0.2])
    np.testing.assert_allclose(made.observe(*given_), [1.0])
    assert (made.noises, made.is_own) == (3, (False, True))
    assert made.diffuse(*given_).shape == (2, 3)


def stacked(t, x, z):
    return -x


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"states": []}, "states is empty"),
        ({"states": ["x", "x"]}, "two states are called 'x'"),
        ({"states": ["y"]}, "name a latent 'y\\(0\\)'"),
        ({"rates": lambda t, x, z: x[0]}, r"rates gives the shape \(\); it must be \(1,\)"),
        ({"rates": lambda t, x, z: [x]}, "rates gives no array"),
        ({"start": lambda z: z}, r"start gives the shape \(2,\)"),
        ({"observe": stacked}, "observables is missing"),
        ({"observables": ["y"]}, "observe is missing"),
        ({"observe": stacked, "observables": ["y", "q"]}, r"observe gives the shape \(1,\)"),
        ({"diffuse": stacked}, r"diffuse gives the shape \(1,\)"),
        ({"own": ["q"]}, "no latent is called 'q'"),
    ],
)
def test_callables_that_do_not_fit_are_refused(changes, words):
    named = latents(["k", "x(0)"], [uniform(0.0, 1.0), uniform(0.0, 1.0)])
    given_ = {"rates": stacked, "states": ["x"], "latents": named, **changes}
    with pytest.raises(ValueError, match=words):
        system(**given_)


def test_files(tmp_path):
    path = tmp_path / "competition.ode"
    path.write_text("\ufeff" + COMPETITION, encoding="utf-8")
    assert read_equation(path).pretty() == parse(COMPETITION).pretty()
    path.write_text("x' = -k*x\nx(0) = 1")
    with pytest.raises(EquationError, match=r"competition.ode, line 1: no 'k' is declared"):
        read_equation(str(path))
    path.write_bytes(b"x' = \xff\xfe")
    with pytest.raises(EquationError, match=r"competition.ode: the file is no UTF-8 text"):
        read_equation(path)
    path.write_bytes(b" " * 500_000)
    with pytest.raises(EquationError, match="has 500000 bytes"):
        read_equation(path)
    with pytest.raises(EquationError, match=r"gone.ode: the file cannot be read \(No such file"):
        read_equation(tmp_path / "gone.ode")
    with pytest.raises(EquationError, match="cannot be read"):
        read_equation(tmp_path)
