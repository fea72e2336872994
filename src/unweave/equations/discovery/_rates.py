"""Formulas for rates that are given: a trained field's values, named."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares
from scipy.special import ndtri

from ..fitting._evidence import CONFIDENCE
from ..fitting._prepare import FitError
from ._candidate import Candidate
from ._forms import Rows, library
from ._library import Family, Term, families
from ._search import TermPrices
from ._sparse import best_subsets, normal
from ._write import FoundTerm, sum_of

# states along a course repeat each other: no more of them count as independent
_MOST_INDEPENDENT = 300
_FEWEST = 20
_MOST_TERMS = 6
_FITTED = 12
_FLOOR = 1e-6


@dataclass(frozen=True, eq=False)
class RateFormulas:
    """What rates are, in words of our language: `formulas`, one for each rate; `terms`, with
    coefficients and 90 % intervals; `r2` `(rate,)` the share of each rate's variance that its
    formula explains; `runners_up`, for each rate other formulas with how much worse their
    criterion is."""

    formulas: tuple[str, ...]
    terms: tuple[FoundTerm, ...]
    r2: np.ndarray
    runners_up: tuple[tuple[tuple[str, float], ...], ...]


@dataclass(frozen=True, eq=False)
class _Fit:
    row: tuple[Term, ...]
    coefficients: np.ndarray
    inner: np.ndarray
    errors: np.ndarray
    score: float
    r2: float


def discover_rates(
    names: Sequence[str],
    x: Float[np.ndarray, "n state"],
    rates: Float[np.ndarray, "n rate"],
    *,
    degree: int = 3,
    targets: Sequence[str] = (),
    error: float = _FLOOR,
) -> RateFormulas:
    r"""Names the functions of the state that given rates are: $r_j(x) \approx \sum_k c_{jk}\,
    \theta_k(x)$ with few terms, by best subsets and a Bayesian information criterion.

    Meant for the values of a trained network field over the states that were visited: the term
    that an equation was missing, as a formula that can be written into its text.

    **Arguments:** `names` of the states; `x`, the states; `rates` there, as many columns as are
    to be named, which may be other quantities than the states' own rates; `degree` of the
    polynomials; `error`, how wrong the rates may be as a share of their spread, below which nothing
    is explained (a network's, some 0.05: without it the network's own smooth errors are named);
    `targets`, the rates' names in the table (default: the states' names, or r1, r2, ... where there
    are not as many).

    **Raises:** `FitError` for fewer than 20 states, arrays that do not fit each other, or numbers
    that are not finite.
    """
    x, rates = np.asarray(x, np.float64), np.asarray(rates, np.float64)
    if len(x) != len(rates) or len(x) < _FEWEST or x.shape[1] != len(names):
        raise FitError(
            f"{len(x)} states of {x.shape[1]} and {len(rates)} rates were given for the names "
            f"{', '.join(names)}; give at least {_FEWEST} rows, the same for both, and a name for "
            "each state."
        )
    if not (np.isfinite(x).all() and np.isfinite(rates).all()):
        raise FitError("some states or rates are not finite; leave those rows out of both.")
    libraries = families(x, degree=degree)
    prices = TermPrices(x, libraries)
    same = rates.shape[1] == len(names)
    labels = tuple(targets) or (
        tuple(names) if same else tuple(f"r{j + 1}" for j in range(rates.shape[1]))
    )
    formulas, terms, r2, others = [], [], [], []
    for label, rate in zip(labels, rates.T, strict=True):
        ranked = _ranked(x, rate, libraries, prices, error)
        best = ranked[0]
        formulas.append(_formula(best, names))
        terms += _table(best, names, label)
        r2.append(best.r2)
        others.append(tuple((_formula(f, names), f.score - best.score) for f in ranked[1:4]))
    return RateFormulas(tuple(formulas), tuple(terms), np.array(r2), tuple(others))


def _ranked(
    x: np.ndarray,
    rate: np.ndarray,
    libraries: Sequence[Family],
    prices: TermPrices,
    error: float,
) -> list[_Fit]:
    """The best right sides over all libraries, their inner numbers fitted too."""
    n = min(len(x), _MOST_INDEPENDENT)
    # its square must not underflow where a rate is zero everywhere
    floor = error * float(rate.std()) + 1e-150
    rough: dict[tuple[Term, ...], float] = {}
    for family in libraries:
        problem = normal(Rows(library(x, family.terms), rate, 0))
        for support, left in best_subsets(problem, most=_MOST_TERMS, keep=2).items():
            row = tuple(family.terms[j] for j in support)
            score = n * np.log(left / len(x) + floor**2) + prices.of(row, n)
            rough[row] = min(score, rough.get(row, np.inf))

    def fit(row: tuple[Term, ...]) -> _Fit:
        coefficients, inner, errors, left, r2 = _refined(x, rate, row, floor)
        score = n * float(np.log(left + floor**2)) + prices.of(row, n)
        return _Fit(row, coefficients, inner, errors, score, r2)

    fits = [fit(row) for row in sorted(rough, key=lambda row: rough[row])[:_FITTED]]
    best = min(fits, key=lambda one: one.score)
    # two terms of a grid may have become one: remove for as long as that helps
    while len(best.row) > 1:
        fewer = [fit((*best.row[:j], *best.row[j + 1 :])) for j in range(len(best.row))]
        fits += fewer
        if min(one.score for one in fewer) >= best.score:
            break
        best = min(fewer, key=lambda one: one.score)
    kept: dict[tuple[Term, ...], _Fit] = {}
    for one in sorted(fits, key=lambda one: one.score):
        kept.setdefault(tuple(term.shape for term in one.row), one)
    return list(kept.values())


def _refined(
    x: np.ndarray, rate: np.ndarray, row: tuple[Term, ...], floor: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    """Coefficients, inner numbers, errors of both, mean square left over, and R²."""
    candidate = Candidate((row,))
    columns = library(x, row)
    theta = np.linalg.lstsq(columns, rate, rcond=None)[0]
    start = np.concatenate([theta, candidate.inner])

    def left(z: np.ndarray) -> np.ndarray:
        value = candidate.field(z[None])(x.T[None])[0, 0]
        return np.where(np.isfinite(value), value, 1e150) - rate

    if len(candidate.inner):
        low = np.full(len(start), -np.inf)
        low[len(theta) :][candidate.positive()] = 1e-12
        found = least_squares(
            left, start, x_scale=np.abs(start) + 1e-9, bounds=(low, np.inf), max_nfev=40
        )
        start, jacobian = found.x, found.jac
    else:
        jacobian = columns
    rest = left(start)
    n = min(len(x), _MOST_INDEPENDENT)
    # what is left over repeats itself along a course: errors as of so many independent states
    variance = float(rest @ rest) / len(x) * n / max(n - len(start), 1)
    covariance = np.linalg.pinv(jacobian.T @ jacobian * n / len(x)) * (variance + floor**2)
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    around = float(((rate - rate.mean()) ** 2).sum()) + 1e-300
    k = len(theta)
    return (
        start[:k],
        start[k:],
        errors,
        float(rest @ rest) / len(x),
        1 - float(rest @ rest) / around,
    )


def _texts(fit: _Fit, names: Sequence[str]) -> list[str]:
    made, at = {}, 0
    for term in dict.fromkeys(fit.row):
        made[term] = [f"{v:.5g}" for v in fit.inner[at : at + len(term.inner)]]
        at += len(term.inner)
    return [term.write(names, made[term]) for term in fit.row]


def _formula(fit: _Fit, names: Sequence[str]) -> str:
    return sum_of(list(zip(fit.coefficients.tolist(), _texts(fit, names), strict=True)), 5)


def _table(fit: _Fit, names: Sequence[str], label: str) -> list[FoundTerm]:
    reach = float(ndtri(0.5 + CONFIDENCE / 2))
    return [
        FoundTerm(
            label, text, "", float(c), float(c - reach * e), float(c + reach * e), float("nan")
        )
        for c, e, text in zip(fit.coefficients, fit.errors, _texts(fit, names), strict=False)
    ]
