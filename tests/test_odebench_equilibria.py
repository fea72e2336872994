"""The equilibria of every 1-D and 2-D system of ODEBench, against SymPy and SciPy.

All 34 are autonomous. What they are compared with is exact where every rate is a rational
function (22 systems: roots of resultants over the rationals), and otherwise a dense search of
SciPy, in the plane with SymPy's Jacobian (12 systems); neither fails for any.
"""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp
from scipy.optimize import brentq, root

from test_odebench_text import IDS, systems, text_of
from unweave.equations import equilibria, parse

SMALL = [number for number in IDS if number <= 50]
# its ends are not round, so that no equilibrium falls on them by chance
BOX = (-4.1, 4.3)
# where the equilibria, or the domain of the rates, lie elsewhere
BOXES = {
    5: (-100.0, 100.0), 7: (0.01, 10.0), 8: (-10.0, 150.0), 10: (0.0, 0.9999), 14: (-10.0, 100.0),
    16: (-10.0, 10.0), 17: (-10.0, 120.0),
}  # fmt: skip
TRANSCENDENTAL = {4, 7, 10, 13, 23, 28, 34, 35, 43, 44, 46, 47}
# an end of its domain, beyond which the rates are no numbers, is an equilibrium
ENDS = 10
# every state without prey is one: x_0 is free, x_1 = 0
LINE = 31
# pendulums driven harder than any angle holds
NONE = {43, 44}


def rates_of(system):
    """The rates as SymPy reads them, with the constants that the collection itself put in."""
    names = {name.name: name for name in variables(system["substituted"][0])}
    return [sp.sympify(right, locals=names) for right in system["substituted"][0]]


def variables(rates):
    return [sp.Symbol(f"x_{i}", real=True) for i in range(len(rates))]


def is_rational(rates):
    names = variables(rates)
    return all(rate.is_rational_function(*names) for rate in rates)


def exact_roots(rates):
    """All real roots of rational rates: those of the resultants, tried in every combination."""
    names = variables(rates)
    whole = [sp.nsimplify(rate, rational=True) for rate in rates]
    tops = [sp.numer(sp.together(rate)) for rate in whole]
    values = []
    for name in names:
        others = [other for other in names if other != name]
        rest = sp.resultant(*tops, others[0]) if others else tops[0]
        values.append(sorted(set(sp.real_roots(sp.Poly(rest, name)))))
    points = []
    for point in itertools.product(*values):
        at = dict(zip(names, (value.evalf(40) for value in point), strict=True))
        if all(abs(rate.subs(at)) < 1e-25 for rate in whole):
            points.append([float(value) for value in at.values()])
    return np.asarray(points).reshape(-1, len(names))


def crossings(rates, low, high):
    """The roots of one rate: where it changes its sign between 20,001 points, or is zero."""
    rate = sp.lambdify(variables(rates), rates[0])
    x = np.linspace(low, high, 20_001)
    f = rate(x)
    found = list(x[f == 0])
    for a, b in itertools.pairwise(x[f != 0]):
        if rate(a) * rate(b) < 0:
            at = brentq(rate, a, b, xtol=1e-13)
            found += [at] if abs(rate(at)) < 1e-9 else []
    return np.asarray(found).reshape(-1, 1)


def searched(rates, low, high):
    """The roots of two rates: where Powell's method ends from 31 by 31 starts."""
    names = variables(rates)
    f = sp.lambdify([names], rates)
    slopes = sp.lambdify([names], sp.Matrix(rates).jacobian(names))
    side = np.linspace(low, high, 31)
    found: list[np.ndarray] = []
    for start in itertools.product(side, side):
        with np.errstate(all="ignore"):
            end = root(f, start, jac=slopes, tol=1e-13)
            far = np.abs(end.fun).max() > 1e-10
        if not far and all(np.abs(end.x - other).max() > 1e-6 for other in found):
            found.append(end.x)
    return np.asarray(found).reshape(-1, 2)


def oracle(number, rates, low, high):
    """All roots in the box, in the order of their components."""
    if number not in TRANSCENDENTAL:
        points = exact_roots(rates)
    else:
        points = (crossings if len(rates) == 1 else searched)(rates, low, high)
    points = points[((points >= low) & (points <= high)).all(axis=1)]
    return points[np.lexsort(np.round(points, 6).T[::-1] + 0.0)]


def real_parts(rates, point):
    """The real parts of the eigenvalues of SymPy's Jacobian, the largest first."""
    names = variables(rates)
    matrix = sp.Matrix(rates).jacobian(names).subs(dict(zip(names, map(float, point), strict=True)))
    eigenvalues = np.linalg.eigvals(np.asarray(matrix.evalf(), dtype=float))
    return np.sort(eigenvalues.real)[::-1]


def signs(values, tolerance):
    return np.where(np.abs(values) <= tolerance, 0, np.sign(values))


def ours(path, number, low, high):
    """What `equilibria` finds of the text in the box."""
    system = systems(path)[number]
    equation = parse(text_of(system, system["solutions"][0][0]))

    def field(x):
        none = jnp.zeros(0, x.dtype)
        return equation.rates(jnp.zeros((), x.dtype), x, none, none)

    d = len(equation.states)
    return equilibria(field, [low] * d, [high] * d)


def check_stability(rates, found):
    """The signs of the real parts, and so the words, are those of SymPy's Jacobian there."""
    for e in found:
        expected = real_parts(rates, e.x)
        np.testing.assert_allclose(
            np.real(e.eigenvalues), expected, rtol=1e-6, atol=max(1e-7, e.tolerance)
        )
        sign = signs(expected, e.tolerance)
        np.testing.assert_array_equal(signs(np.real(e.eigenvalues), e.tolerance), sign)
        assert e.unstable == (sign > 0).sum()
        assert e.is_stable == (sign < 0).all()


def compared(path, number, low, high):
    """What `equilibria` finds, after it was compared with the oracle."""
    rates = rates_of(systems(path)[number])
    expected, found = oracle(number, rates, low, high), ours(path, number, low, high)
    assert len(found) == len(expected)
    for e, point in zip(found, expected, strict=True):
        np.testing.assert_allclose(e.x, point, atol=1e-6)
    check_stability(rates, found)
    return found


@pytest.mark.parametrize("number", [number for number in SMALL if number != LINE])
def test_equilibria_and_their_stability_are_those_of_the_oracle(real_data, number):
    rates = rates_of(systems(real_data)[number])
    assert is_rational(rates) == (number not in TRANSCENDENTAL)
    found = compared(real_data, number, *BOXES.get(number, BOX))
    assert (len(found) == 0) == (number in NONE)


def test_an_equilibrium_at_the_end_of_the_domain_is_a_point(real_data):
    found = compared(real_data, ENDS, 0.0, 1.0)
    assert [e.kind for e in found] == ["stable node", "unstable node", "stable node"]


def test_a_line_of_equilibria_is_told_and_its_stability_changes_along_it(real_data):
    rates = rates_of(systems(real_data)[LINE])
    x_1 = variables(rates)[1]
    assert [rate.subs(x_1, 0) for rate in rates] == [0, 0]
    found = ours(real_data, LINE, *BOX)
    assert {e.kind for e in found} == {"line of equilibria"}
    assert len(found) >= 3
    np.testing.assert_allclose([e.x[1] for e in found], 0, atol=1e-9)
    check_stability(rates, found)
    assert {e.unstable for e in found} == {0, 1}


def test_every_small_system_is_here_and_is_autonomous(real_data):
    every = systems(real_data)
    assert [number for number in IDS if every[number]["dim"] <= 2] == SMALL
    assert len(SMALL) == 34
    for number in SMALL:
        rates = rates_of(every[number])
        assert set().union(*(rate.free_symbols for rate in rates)) <= set(variables(rates))
