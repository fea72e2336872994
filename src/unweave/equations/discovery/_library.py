r"""The terms that a found equation may be made of, each a product of powers and one factor.

A term is $\prod_i x_i^{p_i}$, times at most one factor out of `FACTORS` such as $\sin x$ or
$x/(K + x)$. What stands inside a factor ($K$) is a number on a grid while terms are chosen, and is
fitted with the coefficients afterwards.
"""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_HUGE = 500.0


@dataclass(frozen=True)
class Factor:
    """A function of `states` states and `inner` numbers: its text, and its NumPy formula."""

    states: int
    inner: int
    text: str
    formula: Callable[..., np.ndarray]


def _decay(u: np.ndarray) -> np.ndarray:
    """$1 / (1 + e^{-u})$ without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * np.clip(u, -_HUGE, _HUGE)))


#: The factors by name. `{x}` and `{y}` are states, `{k}` and `{m}` inner numbers.
FACTORS: Mapping[str, Factor] = {
    "sin": Factor(1, 0, "sin({x})", np.sin),
    "cos": Factor(1, 0, "cos({x})", np.cos),
    "sin cos": Factor(1, 0, "sin({x})*cos({x})", lambda x: np.sin(x) * np.cos(x)),
    "sin of difference": Factor(2, 0, "sin({x} - {y})", lambda x, y: np.sin(x - y)),
    "modulus": Factor(1, 0, "abs({x})", np.abs),
    "log": Factor(1, 0, "log({x})", lambda x: np.log(np.maximum(x, 1e-300))),
    "saturating": Factor(1, 1, "/({k} + {x})", lambda x, k: 1 / (k + x)),
    "hill": Factor(1, 1, "hill({x}, {k}, 2)", lambda x, k: x * x / (k * k + x * x)),
    "steep hill": Factor(1, 1, "hill({x}, {k}, 4)", lambda x, k: x**4 / (k**4 + x**4)),
    "sigmoid": Factor(1, 2, "sigmoid({k}*({x} - {m}))", lambda x, k, m: _decay(k * (x - m))),
}  # fmt: skip


@dataclass(frozen=True)
class Term:
    """$\\prod_i x_i^{p_i}$ with the exponents `powers` `(state,)`, times the factor `name` ("" for
    none) of the states `of`, with `inner` numbers."""

    powers: tuple[int, ...]
    name: str = ""
    of: tuple[int, ...] = ()
    inner: tuple[float, ...] = ()

    @functools.cached_property
    def product(self) -> tuple[int, ...]:
        """The states that are multiplied, each as often as its power says."""
        return tuple(i for i, power in enumerate(self.powers) for _ in range(power))

    @property
    def shape(self) -> "Term":
        """The term with its inner numbers left open, the same for all of a grid."""
        return Term(self.powers, self.name, self.of)

    def of_states(
        self, x: Sequence[np.ndarray] | np.ndarray, inner: Sequence[float | np.ndarray]
    ) -> np.ndarray | None:
        """The term at states given one by one, None for the constant 1."""
        made = None
        for i in self.product:
            made = x[i] if made is None else made * x[i]
        if self.name:
            factor = FACTORS[self.name].formula(*[x[i] for i in self.of], *inner)
            made = factor if made is None else made * factor
        return made

    def value(self, x: Float[np.ndarray, "n state"]) -> Float[np.ndarray, " n"]:
        """The term at states `x`, with its own inner numbers."""
        made = self.of_states(x.T, self.inner)
        return np.ones(len(x)) if made is None else made

    def write(self, names: Sequence[str], inner: Sequence[str] | None = None) -> str:
        """The term in our language; "1" for the constant."""
        parts = [
            name if power == 1 else f"{name}**{power}"
            for name, power in zip(names, self.powers, strict=True)
            if power
        ]
        if self.name:
            factor = FACTORS[self.name]
            values = inner if inner is not None else [f"{v:.4g}" for v in self.inner]
            words = dict(zip(("x", "y"), (names[i] for i in self.of), strict=False))
            words |= dict(zip(("k", "m"), values, strict=False))
            text = factor.text.format(**words)
            if text.startswith("/"):
                return ("*".join(parts) or "1") + text
            parts.append(text)
        return "*".join(parts) or "1"


@dataclass(frozen=True)
class Family:
    """A named library: `terms`, all of one kind, chosen from together."""

    name: str
    terms: tuple[Term, ...]


PLAIN = ("polynomials, degree 2", "polynomials, degree 3")
#: Factors that are periodic, and the arc over which a sine is more than a polynomial.
PERIODIC = ("sin", "cos", "sin cos", "sin of difference")
TURN = np.pi / 2


def polynomial(states: int, degree: int) -> list[Term]:
    """All monomials up to a degree, the constant first."""
    powers = itertools.product(range(degree + 1), repeat=states)
    kept = sorted((p for p in powers if sum(p) <= degree), key=lambda p: (sum(p), p[::-1]))
    return [Term(tuple(p)) for p in kept]


def families(x: Float[np.ndarray, "n state"], *, degree: int) -> list[Family]:
    """The libraries that are tried on states that were seen at `x`, small ones first."""
    d = x.shape[1]
    none = (0,) * d
    base = polynomial(d, min(2, degree))
    made = [Family(PLAIN[0], tuple(base))]
    if degree >= 3:
        made.append(Family(PLAIN[1], tuple(polynomial(d, 3))))
    if d == 1 and degree >= 3:
        made.append(Family("polynomials, degree 5", tuple(polynomial(d, 5))))
    low = polynomial(d, 1)
    trig = [Term(none, name, (i,)) for i in range(d) for name in ("sin", "cos", "sin cos")]
    pairs = itertools.combinations(range(d), 2)
    trig += [Term(none, "sin of difference", pair) for pair in pairs]
    made.append(Family("sines and cosines", tuple([*(base if d < 3 else low), *trig])))
    signed = [i for i in range(d) if x[:, i].min() < 0 < x[:, i].max()]
    if signed:
        moduli = [Term(_unit(d, i), "modulus", (i,)) for i in signed]
        made.append(Family("moduli", tuple([*low, *trig, *moduli])))
    positive = [i for i in range(d) if x[:, i].min() > 0]
    if positive:
        logs = [Term(_unit(d, i), "log", (i,)) for i in positive]
        made.append(Family("logarithms", tuple([*base, *logs])))
        made.append(Family("saturating", tuple([*base, *_saturating(x, positive)])))
    made.append(Family("sigmoids", tuple([*low, *_sigmoids(x)])))
    return made


def _unit(d: int, i: int) -> tuple[int, ...]:
    return tuple(int(j == i) for j in range(d))


def _saturating(x: np.ndarray, positive: Sequence[int]) -> list[Term]:
    """Michaelis and Menten's, Hill's and Holling's terms, half saturated at several places."""
    d, made = x.shape[1], []
    for i in positive:
        for k in np.median(x[:, i]) * np.array([0.1, 0.3, 1.0, 3.0]):
            made.append(Term(_unit(d, i), "saturating", (i,), (float(k),)))
            made.append(Term((0,) * d, "hill", (i,), (float(k),)))
            made.append(Term((0,) * d, "steep hill", (i,), (float(k),)))
            for j in range(d):
                if j != i:
                    both = tuple(int(m in (i, j)) for m in range(d))
                    made.append(Term(both, "saturating", (i,), (float(k),)))
    return made


def _sigmoids(x: np.ndarray) -> list[Term]:
    d, made = x.shape[1], []
    for i in range(d):
        low, middle, high = np.quantile(x[:, i], [0.1, 0.5, 0.9])
        width = max(high - low, 1e-12)
        for k in (1.5 / width, 5 / width):
            for m in (low, middle, high):
                made.append(Term((0,) * d, "sigmoid", (i,), (float(k), float(m))))
    return made
