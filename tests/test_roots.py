"""Every real root of a table of equations whose roots are known, or a sentence why not."""

import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp
from scipy.optimize import brentq
from scipy.special import jn_zeros, lambertw

from unweave.equations.behaviour._roots import roots

PI = np.pi


def poly(*coefficients):
    """A polynomial with the highest power first, expanded as it is written."""

    def value(x):
        total = 0.0 * x
        for coefficient in coefficients:
            total = total * x + coefficient
        return total

    return value


def wilkinson(n):
    return lambda x: jnp.prod(x - jnp.arange(1.0, n + 1))


def multiples(step, low, high, offset=0.0):
    k = np.arange(np.ceil((low - offset) / step), np.floor((high - offset) / step) + 1)
    return offset + k * step


def numpy_roots(*coefficients):
    found = np.roots(coefficients)
    return np.sort(found[np.abs(found.imag) < 1e-9].real)


def bessel(x):
    """J0 for x > 0 by its integral, with enough points for 20 digits below x = 40."""
    angle = jnp.linspace(0.0, 1.0, 129)[:-1] * PI * 2
    return jnp.cos(x * jnp.sin(angle)).mean()


# name, function, interval, roots, multiplicities (None: all simple)
TABLE = [
    ("Wallis", poly(1, 0, -2, -5), (-10, 10), numpy_roots(1, 0, -2, -5), None),
    ("parabola", poly(1, 0, -2), (-10, 10), [-np.sqrt(2), np.sqrt(2)], None),
    ("no root", poly(1, 0, 1), (-10, 10), [], None),
    ("just none", poly(1, 0, 1e-8), (-10, 10), [], None),
    ("line", poly(3, -1), (-10, 10), [1 / 3], None),
    ("quintic", poly(1, 0, -5, 0, 4, 0), (-3, 3), [-2, -1, 0, 1, 2], None),
    ("quintic without radicals", poly(1, 0, 0, 0, -1, -1), (-5, 5),
     numpy_roots(1, 0, 0, 0, -1, -1), None),
    ("Wilkinson 10", wilkinson(10), (0, 11), range(1, 11), None),
    ("close pair", lambda x: (x - 1) * (x - 1 - 1e-6), (-3, 4), [1, 1 + 1e-6], None),
    ("double", poly(1, -2, 1), (-5, 5.3), [1], [2]),
    ("double, factored", lambda x: (x - PI / 4) ** 2, (-5, 5), [PI / 4], [2]),
    ("double and simple", poly(1, -3, 0, 4), (-5, 5.1), [-1, 2], [1, 2]),
    ("triple", poly(1, -3, 3, -1), (-5, 5.7), [1], [3]),
    ("fourfold", lambda x: (x - 0.3) ** 4, (-2, 2), [0.3], [4]),
    ("fivefold and double", lambda x: x**5 * (x - 1) ** 2, (-2.1, 2), [0, 1], [5, 2]),
    ("double of a cosine", lambda x: 1 - jnp.cos(x), (-10, 10), multiples(2 * PI, -10, 10),
     [2] * 3),
    ("double of a sine", lambda x: jnp.sin(x) ** 2, (1, 10), multiples(PI, 1, 10), [2] * 3),
    ("sine", jnp.sin, (-20, 20), multiples(PI, -20, 20), None),
    ("sine to its zeros", jnp.sin, (0, PI), [0, PI], None),
    ("fast sine", lambda x: jnp.sin(50 * x), (0.01, 10), multiples(PI / 50, 0.01, 10), None),
    ("on the grid", lambda x: jnp.sin(PI * 4096 * x), (0, 0.25), multiples(1 / 4096, 0, 0.25),
     None),
    ("half sine", lambda x: jnp.sin(x) - 0.5, (0, 20),
     sorted([*multiples(2 * PI, 0, 20, PI / 6), *multiples(2 * PI, 0, 20, 5 * PI / 6)]),
     None),
    ("tangent, poles", jnp.tan, (-8, 8), multiples(PI, -8, 8), None),
    ("tan x = x", lambda x: jnp.tan(x) - x, (1, 12),
     [brentq(lambda x: np.sin(x) - x * np.cos(x), a, a + 2) for a in (3.5, 6.8, 10.0)], None),
    ("pole alone", lambda x: 1 / x, (-1, 1), [], None),
    ("pole off the grid", lambda x: 1 / (x - 0.1234567), (-1, 1), [], None),
    ("double pole", lambda x: 1 / (x - 0.1234567) ** 2 - 4, (-1, 1), [-0.3765433, 0.6234567],
     None),
    ("pole and root", lambda x: (x - 0.5) / (x - 0.5001), (-1, 1), [0.5], None),
    ("fixed point of cos", lambda x: jnp.cos(x) - x, (-10, 10), [0.7390851332151607], None),
    ("omega", lambda x: x * jnp.exp(x) - 1, (-20, 5), [lambertw(1).real], None),
    ("two branches of Lambert", lambda x: x * jnp.exp(x) + 0.2, (-10, 2),
     [lambertw(-0.2, -1).real, lambertw(-0.2).real], None),
    ("logarithm", jnp.log, (-1, 5), [1], None),
    ("root of a root", lambda x: jnp.sqrt(x) - 0.5, (-1, 5), [0.25], None),
    ("square root at its edge", jnp.sqrt, (-1, 1.3), [0], None),
    ("kink", lambda x: jnp.abs(x - 0.3), (-1, 1), [0.3], None),
    ("jump", lambda x: jnp.floor(x) + 0.5, (-3, 3), [], None),
    ("Kepler", lambda x: x - 0.9 * jnp.sin(x) - 1, (-10, 10),
     [brentq(lambda x: x - 0.9 * np.sin(x) - 1, 0, 3, xtol=1e-15)], None),
    ("Bessel", bessel, (0.1, 30), jn_zeros(0, 9), None),
    ("huge values", lambda x: jnp.exp(x) - 1e12, (0, 100), [np.log(1e12)], None),
    ("tiny values", lambda x: 1e-200 * (x - 2), (-5, 5), [2], None),
    ("narrow tanh", lambda x: jnp.tanh(1e4 * (x - 0.123)), (-1, 1), [0.123], None),
    ("sinc", lambda x: jnp.sin(x) / x, (-10, 10), [-3 * PI, -2 * PI, -PI, PI, 2 * PI, 3 * PI],
     None),
    ("Hill", lambda x: x**4 / (1 + x**4) - 0.4 * x, (-0.5, 5), None, None),
    ("piecewise", lambda x: jnp.where(x < 0, x + 1, x - 1), (-3, 3), [-1, 1], None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "ends", "known", "orders"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_every_root_is_found(function, ends, known, orders):
    found = roots(function, *ends)
    if known is None:  # the Hill equation as a polynomial: x (0.4 x^4 - x^3 + 0.4) = 0
        known = np.sort(np.concatenate([[0.0], numpy_roots(0.4, -1, 0, 0, 0.4)]))
    known = np.asarray(list(known), float)
    assert found.x.shape == known.shape, (found.x, found.notes)
    scale = np.maximum(1, np.abs(known))
    np.testing.assert_allclose(found.x / scale, known / scale, rtol=0, atol=2e-12)
    assert found.multiplicity.tolist() == (orders or [1] * len(known))
    assert found.complete, found.notes


def test_poles_and_jumps_are_reported_and_no_roots():
    tangent = roots(jnp.tan, -8, 8)
    np.testing.assert_allclose(tangent.poles, multiples(PI, -8, 8, PI / 2), atol=1e-9)
    assert any("pole" in note for note in tangent.notes)
    np.testing.assert_allclose(roots(lambda x: 1 / x, -1, 1).poles, [0], atol=1e-9)
    square = roots(lambda x: 1 / (x - 0.1234567) ** 2 - 4, -1, 1)
    np.testing.assert_allclose(square.poles, [0.1234567], atol=1e-6)
    step = roots(lambda x: jnp.floor(x) + 0.5, -3, 3)
    np.testing.assert_allclose(step.jumps, [0], atol=1e-12)
    assert any("jump" in note for note in step.notes)


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (lambda x: jnp.sin(1 / x), "faster"),
        (lambda x: jnp.sin(1e7 * x), "faster"),
        (lambda x: jnp.maximum(x - 0.5, 0.0), "zero all the way"),
    ],
)
def test_what_cannot_be_promised_is_said(function, word):
    found = roots(function, 0, 1)
    assert not found.complete
    assert any(word in note for note in found.notes)


def test_stretches_without_values_and_near_misses_are_said():
    assert any("not finite between" in note for note in roots(jnp.log, -1, 5).notes)
    assert any("not finite anywhere" in note for note in roots(jnp.log, -5, -1).notes)
    near = roots(lambda x: (x - 0.3) ** 2 + 1e-10, -1, 1)
    assert near.x.size == 0
    assert any("without reaching it" in note for note in near.notes)
    assert any("tends to zero" in note for note in roots(lambda x: x * jnp.log(x), 0, 0.5).notes)


def test_random_polynomials_agree_with_sympy():
    rng = np.random.default_rng(0)
    symbol = sp.Symbol("x")
    for degree in (3, 4, 6, 7):
        integers = [int(c) for c in rng.integers(-9, 10, degree)] + [int(rng.integers(1, 9))]
        exact = sp.Poly(integers[::-1], symbol)
        known = sorted({float(r.evalf(30)) for r in sp.real_roots(exact)})
        found = roots(poly(*integers[::-1]), -20, 20)
        np.testing.assert_allclose(found.x, [r for r in known if abs(r) < 20], atol=1e-11)


@pytest.mark.parametrize(
    ("function", "ends", "word"),
    [
        (jnp.sin, (2, 1), "lower one first"),
        (jnp.sin, (0, np.inf), "not finite"),
        (lambda x: jnp.stack([x, x]), (0, 1), "one number"),
        (lambda x: x.astype(jnp.float32), (0, 1), "same dtype"),
    ],
)
def test_bad_input_gets_a_sentence(function, ends, word):
    with pytest.raises(ValueError, match=word):
        roots(function, *ends)
