"""A formula as a regressor of scikit-learn."""

from typing import Any, final

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ._formula import fit_affine, fit_formula, read_formula, words_of
from ._rows import names_of, seed_of


@final
class EquationRegressor(RegressorMixin, BaseEstimator):
    r"""A formula $y = f(x; z)$ that you wrote, its parameters by least squares from many starts.

    `source` is text in the language of equations, with the columns' names (or x0, x1, …) as what
    is known and a range for each parameter:

        y = a*exp(-b*x0) + c
        a, b in (0, 10)
        c in (-5, 5)

    A column's name becomes a word by putting _ for what is no letter or digit. Definitions,
    constants, `~` priors and `where(...)` are those of the language (`unweave.parse`). Without a
    source the formula is affine, $y = b + \sum_j b_j x_j$, and solved at once.

    **Arguments:** `source`; `starts`, how many, drawn from the ranges; `steps`, at most so many of
    Levenberg and Marquardt's for each; `random_state`, a seed of the starts.

    A fitted one has `params_` and `standard_errors_`, by name, the latter from Fisher's
    information and infinite where the data leave a parameter open; `noise_`, the deviation of what
    is left over; `agreement_`, the share of starts that reached the best sum of squares; and
    `equation_`, the formula with its numbers.

    `fit` raises `EquationError` at the character of `source` that has no meaning, and `FitError`
    where no start gives finite numbers.
    """

    # scikit-learn lets any value in here, and says what is wrong with it in fit
    def __init__(
        self,
        source: Any = None,
        *,
        starts: Any = 16,
        steps: Any = 100,
        random_state: Any = 0,
    ):
        self.source = source
        self.starts = starts
        self.steps = steps
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "EquationRegressor":
        """Fits the parameters to rows `(n, feature)` and their numbers `(n,)`."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        y = y.astype(np.float64)
        if self.starts < 1 or self.steps < 1:
            raise ValueError(
                f"{self.starts} starts of {self.steps} steps find nothing; give at least 1 of each."
            )
        names = names_of(self)
        if self.source is None:
            self._formula = None
            found = fit_affine(X, y)
            words = words_of(names)
            labels = ("b", *(f"b_{word}" for word in words))
            terms = [f"{'-' if b < 0 else '+'} {abs(b):.4g}*{word}"
                     for b, word in zip(found.z[1:], words, strict=True)]  # fmt: skip
            self.equation_ = " ".join([f"y = {found.z[0]:.4g}", *terms])
        else:
            self._formula = read_formula(self.source, names)
            found = fit_formula(
                self._formula, X, y, starts=self.starts, steps=self.steps,
                seed=seed_of(self.random_state),
            )  # fmt: skip
            labels = self._formula.system.latents.names
            self.equation_ = self._formula.written(found.z)
        self._z = found.z
        self.params_ = dict(zip(labels, found.z.tolist(), strict=True))
        self.standard_errors_ = dict(zip(labels, found.errors.tolist(), strict=True))
        self.noise_, self.agreement_ = found.noise, found.agree
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The formula at each row, `(n,)`."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        if self._formula is None:
            return self._z[0] + X @ self._z[1:]
        return self._formula(X, self._z)
