r"""Three ways in which an equation that is linear in its coefficients meets the data.

Strong: $\hat x'(t_j) = \sum_k c_k \theta_k(\hat x(t_j))$, by the slopes of the smoothed course
(Brunton et al. 2016, PNAS 113:3932). Weak: $-\int \phi' x\,dt = \sum_k c_k \int \phi\,
\theta_k(\hat x)\,dt$ with test functions of compact support, so that no slope is taken (Messenger
and Bortz 2021, Multiscale Model. Simul. 19:1474). Integral: $x(t_j) = x(t_0) + \sum_k c_k
\int_{t_0}^{t_j} \theta_k(\hat x)\,dt$, whose left side is the reading itself, so that what is left
over is the noise and models may be compared by their likelihood.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.integrate import cumulative_simpson

from ._library import Term
from ._records import Record

FORMS = ("strong", "weak", "integral")
# ends where a spline's slope is least certain, as a share of the course
_ENDS = 0.03
_POWER = 4


@dataclass(frozen=True, eq=False)
class Rows:
    """A regression: `columns` `(row, term)` and `left` `(row,)`, all divided by the noise of
    their row; `free` columns of no term, such as starts, have been projected out."""

    columns: Float[np.ndarray, "row term"]
    left: Float[np.ndarray, " row"]
    free: int


def library(x: Float[np.ndarray, "n state"], terms: Sequence[Term]) -> Float[np.ndarray, "n term"]:
    """Every term at every state."""
    return np.stack([term.value(x) for term in terms], axis=1)


def rows(form: str, records: Sequence[Record], terms: Sequence[Term], state: int) -> Rows:
    """The regression of one state in one form, the rows of all records."""
    make = {"strong": _strong, "weak": _weak, "integral": _integral}[form]
    parts = [make(record, library(record.x, terms), state) for record in records]
    columns = np.concatenate([part[0] for part in parts])
    left = np.concatenate([part[1] for part in parts])
    return Rows(columns, left, len(records) if form == "integral" else 0)


def _strong(record: Record, theta: np.ndarray, state: int) -> tuple[np.ndarray, np.ndarray]:
    n = len(record.times)
    cut = int(_ENDS * n)
    kept = slice(cut, n - cut)
    weight = 1 / record.profile[kept, state]
    return theta[kept] * weight[:, None], record.slopes[kept, state] * weight


def _weak(record: Record, theta: np.ndarray, state: int) -> tuple[np.ndarray, np.ndarray]:
    y = np.where(np.isfinite(record.y[:, state]), record.y[:, state], record.x[:, state])
    phi, slope = bumps(record.times)
    spread = np.sqrt((slope**2) @ record.profile[:, state] ** 2) + 1e-300
    return (phi @ theta) / spread[:, None], -(slope @ y) / spread


def bumps(times: Float[np.ndarray, " time"]) -> tuple[np.ndarray, np.ndarray]:
    r"""Quadrature weights `(test, time)` of $\int \phi\,\cdot\,dt$ and $\int \phi'\,\cdot\,dt$ for
    bumps $\phi = (1 - u^2)^4$ of two widths, evenly spread over the times."""
    n, begin, end = len(times), times[0], times[-1]
    weight = np.zeros(n)
    weight[1:] += np.diff(times) / 2
    weight[:-1] += np.diff(times) / 2
    phis, slopes = [], []
    for share in (0.04, 0.1):
        # at least eight readings under a bump
        half = max(share * (end - begin), 4.5 * (end - begin) / max(n - 1, 1))
        half = min(half, 0.5 * (end - begin))
        centres = np.linspace(begin + half, end - half, max(2, int(1.5 * (end - begin) / half)))
        u = (times[None] - centres[:, None]) / half
        inside = np.maximum(1 - u**2, 0.0)
        phis.append(inside**_POWER * weight)
        slopes.append(-2 * _POWER * u / half * inside ** (_POWER - 1) * weight)
    phi, slope = np.concatenate(phis), np.concatenate(slopes)
    # the integral of the slope of a bump is nil, and so must be its sum
    slope -= weight * (slope.sum(axis=1) / weight.sum())[:, None]
    return phi, slope


def _integral(record: Record, theta: np.ndarray, state: int) -> tuple[np.ndarray, np.ndarray]:
    seen = np.isfinite(record.y[:, state])
    sums = cumulative_simpson(theta, x=record.times, axis=0, initial=0)[seen]
    weight = 1 / record.profile[seen, state]
    start = weight / np.linalg.norm(weight)
    columns, left = sums * weight[:, None], record.y[seen, state] * weight
    return columns - np.outer(start, start @ columns), left - start * (start @ left)
