r"""How far a path on a grid is from the exact solution, without solving anything anew.

On interval $i$ the grid's step $\Psi_k$ and one of many more substeps, $\Psi$, begin at the same
state and end $d_i = \Psi(x_i) - \Psi_k(x_i)$ apart; to first order the error of the path follows
from these defects, $e_{i+1} = \Phi_i e_i + d_i$ with $\Phi_i = \partial \Psi / \partial x$ (Hairer,
Nørsett and Wanner 1993, Solving Ordinary Differential Equations I, II.3). All intervals are stepped
at once, so this costs a few dozen evaluations of the rates over arrays, whatever the length.
"""

import numpy as np
from jaxtyping import Float

from ._choose import HostSystem, ManyRates

# with twice the substeps an error of order four falls to a sixteenth (Richardson 1911)
_RICHARDSON = 16 / 15
# a difference quotient's step, as a share of the state
_NUDGE = 1e-6


def grid_error(
    host: HostSystem,
    z: Float[np.ndarray, " latent"],
    times: Float[np.ndarray, " time"],
    path: Float[np.ndarray, "time state"],
    substeps: int,
) -> Float[np.ndarray, "time state"]:
    """What is to be added to a path of `Grid(substeps)` to make it exact, to first order; not
    finite where the equation explodes. `path` may be any that is near it."""
    rates, x = host.many_rates(z), path[:-1].T
    t, width = times[:-1], np.diff(times)
    n = len(x)
    nudge = _NUDGE * np.maximum(np.abs(x), np.abs(x).max(axis=1, keepdims=True) * 1e-3 + 1e-12)
    moved = x[:, None] + np.eye(n)[:, :, None] * nudge[:, None]
    # one call for the states and all of their neighbours: (state, 1 + state, interval)
    every = np.concatenate([x[:, None], moved], axis=1).reshape(n, -1)
    with np.errstate(all="ignore"):
        copies = 1 + n
        fine = _steps(rates, np.tile(t, copies), np.tile(width, copies), every, 2 * substeps)
        fine = fine.reshape(n, copies, -1)
        defect = _RICHARDSON * (fine[:, 0] - _steps(rates, t, width, x, substeps))
        slope = (fine[:, 1:] - fine[:, :1]) / nudge[None]
        error = np.zeros_like(path)
        # an interval a row
        along = zip(np.ascontiguousarray(slope.transpose(2, 0, 1)), defect.T.copy(), strict=True)
        for i, (turn, new) in enumerate(along):
            error[i + 1] = turn @ error[i] + new
    return error


def _steps(
    rates: ManyRates, t: np.ndarray, width: np.ndarray, x: np.ndarray, substeps: int
) -> np.ndarray:
    """The classical Runge–Kutta method over every interval at once."""
    h = width / substeps
    for i in range(substeps):
        at = t + i * h
        k1 = rates(at, x)
        k2 = rates(at + 0.5 * h, x + 0.5 * h * k1)
        k3 = rates(at + 0.5 * h, x + 0.5 * h * k2)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + rates(at + h, x + h * k3))
    return x
