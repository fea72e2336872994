r"""Cubic smoothing splines of which the data choose the roughness, in linear time.

$\min_g \sum_j (y_j - g(t_j))^2 + \lambda \int g''^2$ is a natural cubic spline whose second
derivatives $\gamma$ solve $(R + \lambda Q^\top Q)\,\gamma = Q^\top y$ with bands of width five
(Reinsch 1967, Numer. Math. 10:177), and $g = y - \lambda Q \gamma$. Generalised cross-validation
takes the $\lambda$ of least $n \sum_j (y_j - g_j)^2 / \mathrm{tr}(I - A_\lambda)^2$ (Craven and
Wahba 1979, Numer. Math. 31:377). The trace is $\partial \log\det (R + \lambda Q^\top Q) / \partial
\log \lambda$, so that the factors of the bands give it too.

A guess of the noise from neighbouring readings, which is simpler, smooths sparse records away.
"""

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.linalg import get_lapack_funcs

# between two trial values of the roughness, in decades: the criterion is smooth in its logarithm
_DECADES = 0.4
_FACTOR, _SOLVE = get_lapack_funcs(("pbtrf", "pbtrs"), dtype=np.float64)
# half a step of the difference quotient in the logarithm of the roughness
_NUDGE = 1e-4
# degrees of freedom that a difference of logarithms cannot tell from none
_ROUNDING = 1e-6


class Smoother:
    """Splines through values at the same times `(time,)`, at least four and rising."""

    def __init__(self, times: Float[np.ndarray, " time"]):
        n = len(times)
        self.times, h = times, np.diff(times) * (n - 1) / (times[-1] - times[0])
        a, c = 1 / h[:-1], 1 / h[1:]
        b = -a - c
        self._rows = (a, b, c)
        # the three lower bands of R and of Q'Q
        self._stiff, self._rough = np.zeros((2, 3, n - 2))
        self._stiff[0], self._stiff[1, :-1] = (h[:-1] + h[1:]) / 3, h[1:-1] / 6
        self._rough[0] = a**2 + b**2 + c**2
        self._rough[1, :-1] = b[:-1] * a[1:] + c[:-1] * b[1:]
        self._rough[2, :-2] = c[:-2] * a[2:]
        # from a spline through every point to a straight line; time is in mean intervals here
        low, high = np.log10(5e-4 * h.min() ** 3), np.log10(0.04 * float(n) ** 4)
        self._trials = 10 ** np.arange(low, high + _DECADES, _DECADES)
        self._factors = [self._factor(trial) for trial in self._trials]
        self._freedom = (self._size(_NUDGE) - self._size(-_NUDGE)) / (2 * _NUDGE)

    def __call__(self, values: Float[np.ndarray, "time series"]) -> list[CubicSpline]:
        """A spline for each series, each as rough as its own data say."""
        pulled = self._second(values)
        misfit = np.stack([
            (trial * self._bend(_solved(factor, pulled))) ** 2
            for trial, factor in zip(self._trials, self._factors, strict=True)
        ]).sum(axis=1)  # fmt: skip
        # what is below rounding tells nothing of the roughness
        misfit = misfit + 1e-26 * (values**2).sum(axis=0) + 1e-300
        freedom = np.where(self._freedom > _ROUNDING, self._freedom, np.nan)
        criterion = np.log(misfit) - 2 * np.log(freedom)[:, None]
        criterion = np.where(np.isnan(criterion), np.inf, criterion)
        return [
            self._spline(column, _lowest(self._trials, row))
            for column, row in zip(values.T, criterion.T, strict=True)
        ]

    def _spline(self, values: np.ndarray, roughness: float) -> CubicSpline:
        factor = self._factor(roughness)
        gamma = _solved(factor, self._second(values[:, None]))
        smooth = values - roughness * self._bend(gamma)[:, 0]
        return CubicSpline(self.times, smooth, bc_type="natural")

    def _factor(self, roughness: float) -> np.ndarray:
        bands = self._stiff + roughness * self._rough
        factor, failed = _FACTOR(bands, lower=1)
        # times so uneven that rounding leaves nothing positive: such a trial is not chosen
        return np.full_like(bands, np.nan) if failed else factor

    def _second(self, values: np.ndarray) -> np.ndarray:
        """$Q^\\top y$, the second differences `(time - 2, series)`."""
        a, b, c = (row[:, None] for row in self._rows)
        return a * values[:-2] + b * values[1:-1] + c * values[2:]

    def _bend(self, gamma: np.ndarray) -> np.ndarray:
        """$Q \\gamma$ `(time, series)`."""
        bend = np.zeros((len(gamma) + 2, gamma.shape[1]))
        for i, row in enumerate(self._rows):
            bend[i : len(gamma) + i] += row[:, None] * gamma
        return bend

    def _size(self, nudge: float) -> Float[np.ndarray, " trial"]:
        """$\\log\\det (R + \\lambda Q^\\top Q)$ for every trial, its logarithm moved."""
        diagonals = np.stack([self._factor(trial)[0] for trial in self._trials * np.exp(nudge)])
        return 2 * np.log(diagonals).sum(axis=1)


def _solved(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    return _SOLVE(factor, right, lower=1)[0]


def _lowest(trials: np.ndarray, criterion: np.ndarray) -> float:
    """The trial of the lowest criterion, moved to the lowest point of the parabola through it
    and its neighbours."""
    i = int(np.argmin(criterion))
    if i in (0, len(trials) - 1):
        return float(trials[i])
    left, middle, right = criterion[i - 1 : i + 2]
    if not np.isfinite(left + right):
        return float(trials[i])
    move = 0.5 * (left - right) / max(left - 2 * middle + right, 1e-300)
    return float(trials[i] * 10 ** (_DECADES * np.clip(move, -0.5, 0.5)))
