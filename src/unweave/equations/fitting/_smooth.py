r"""Cubic smoothing splines of which the data choose the roughness, in linear time.

$\min_g \sum_j (y_j - g(t_j))^2 + \lambda \int g''^2$ is a natural cubic spline whose second
derivatives $\gamma$ solve $(R + \lambda Q^\top Q)\,\gamma = Q^\top y$ with bands of width five
(Reinsch 1967, Numer. Math. 10:177), and $g = y - \lambda Q \gamma$. Generalised cross-validation
takes the $\lambda$ of least $n \sum_j (y_j - g_j)^2 / \mathrm{tr}(I - A_\lambda)^2$ (Craven and
Wahba 1979, Numer. Math. 31:377). The trace needs five bands of the inverse alone, which a
recurrence gives (Hutchinson and de Hoog 1985, Numer. Math. 47:99); it runs over the samples once,
for every $\lambda$ at the same time.

A guess of the noise from neighbouring readings, which is simpler, smooths sparse records away.
"""

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.linalg import cho_solve_banded, cholesky_banded

# between two trial values of the roughness, in decades: the criterion is smooth in its logarithm
_DECADES = 0.4


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
        self._freedom = self._trials * self._traces()

    def __call__(self, values: Float[np.ndarray, "time series"]) -> list[CubicSpline]:
        """A spline for each series, each as rough as its own data say."""
        pulled = self._second(values)
        misfit = np.stack([
            (trial * self._bend(cho_solve_banded((factor, True), pulled, check_finite=False))) ** 2
            for trial, factor in zip(self._trials, self._factors, strict=True)
        ]).sum(axis=1)  # fmt: skip
        # what is below rounding tells nothing of the roughness
        misfit = misfit + 1e-26 * (values**2).sum(axis=0) + 1e-300
        criterion = np.log(misfit) - 2 * np.log(self._freedom)[:, None]
        return [
            self._spline(column, _lowest(self._trials, row))
            for column, row in zip(values.T, criterion.T, strict=True)
        ]

    def _spline(self, values: np.ndarray, roughness: float) -> CubicSpline:
        factor = self._factor(roughness)
        gamma = cho_solve_banded((factor, True), self._second(values[:, None]), check_finite=False)
        smooth = values - roughness * self._bend(gamma)[:, 0]
        return CubicSpline(self.times, smooth, bc_type="natural")

    def _factor(self, roughness: float) -> np.ndarray:
        bands = self._stiff + roughness * self._rough
        return cholesky_banded(bands, lower=True, overwrite_ab=True, check_finite=False)

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

    def _traces(self) -> Float[np.ndarray, " trial"]:
        """$\\mathrm{tr}\\,((R + \\lambda Q^\\top Q)^{-1} Q^\\top Q)$ for every trial, from the last
        row of the inverse to the first."""
        bands = np.stack(self._factors, axis=-1)
        one, two = bands[1] / bands[0], bands[2] / bands[0]
        pivot = 1 / bands[0] ** 2
        # the inverse's bands of the row below (s) and of the one below that (r)
        zero = np.zeros(len(self._trials))
        s0, s1, r0, trace = zero, zero, zero, zero
        for i in range(len(one) - 1, -1, -1):
            next1 = -one[i] * s0 - two[i] * s1
            next2 = -one[i] * s1 - two[i] * r0
            next0 = pivot[i] - one[i] * next1 - two[i] * next2
            q0, q1, q2 = self._rough[:, i]
            trace = trace + q0 * next0 + 2 * (q1 * next1 + q2 * next2)
            s0, s1, r0 = next0, next1, s0
        return trace


def _lowest(trials: np.ndarray, criterion: np.ndarray) -> float:
    """The trial of the lowest criterion, moved to the lowest point of the parabola through it
    and its neighbours."""
    i = int(np.argmin(criterion))
    if i in (0, len(trials) - 1):
        return float(trials[i])
    left, middle, right = criterion[i - 1 : i + 2]
    move = 0.5 * (left - right) / max(left - 2 * middle + right, 1e-300)
    return float(trials[i] * 10 ** (_DECADES * np.clip(move, -0.5, 0.5)))
