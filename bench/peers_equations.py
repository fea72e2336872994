"""The peers of the equations' benchmark: SciPy, pyPESTO and torchdiffeq, in their interpreter.

`peers_equations.py serve FOLDER` reads a name from a line of standard input and answers with a
line of JSON: the seconds of a pass, what every start reached (fits), or the largest error (van
der Pol). `peers_equations.py command NAME FOLDER` is a whole fit from imports to printed
estimates, as a user's script would be. Starts are shared out over the processors.
"""

import importlib.metadata
import json
import logging
import multiprocessing
import os
import pathlib
import sys
import time
import warnings

import numpy as np
from problems import (
    FHN_HIGH,
    FHN_LOW,
    FHN_NOISE,
    MU,
    TOLERANCE,
    VDP_TIMES,
    fhn_rates,
    read_table,
)

# the box in the coordinates of the search: logarithms of what is positive
LOW = np.concatenate([np.log(FHN_LOW[:3]), FHN_LOW[3:]])
HIGH = np.concatenate([np.log(FHN_HIGH[:3]), FHN_HIGH[3:]])
RELATIVE, ABSOLUTE = 1e-6, 1e-8


def sensitive_rates(t, x, a, b, c):
    """Rates of v and w, then of their derivatives by a, b, c, v(0), w(0)."""
    v, w = x[0], x[1]
    vv, cubic, down = c * (1 - v * v), v - v * v * v / 3 + w, -1 / c
    fast, slow = x[2:7], x[7:12]
    by_v = [vv * p + c * q for p, q in zip(fast, slow, strict=True)]
    by_w = [down * (p + b * q) for p, q in zip(fast, slow, strict=True)]
    recovery = (v - a + b * w) * down
    by_v[2] += cubic
    by_w[0] -= down
    by_w[1] += w * down
    by_w[2] += recovery * down
    return [c * cubic, recovery, *by_v, *by_w]


def solved(solver, rates, start, times, parameters):
    """The path `(time, state)`, not a number from where the solver gave up."""
    from scipy.integrate import odeint, solve_ivp

    path = np.full((times.size, len(start)), np.nan)
    with np.errstate(all="ignore"):
        if solver == "odeint":
            found, told = odeint(
                rates, start, times, args=parameters, tfirst=True, rtol=RELATIVE, atol=ABSOLUTE,
                mxstep=5000, full_output=True,
            )  # fmt: skip
            return found if told["message"] == "Integration successful." else path
        found = solve_ivp(
            rates, (times[0], times[-1]), start, method=solver, t_eval=times, args=parameters,
            rtol=RELATIVE, atol=ABSOLUTE,
        ).y.T  # fmt: skip
    path[: len(found)] = found
    return path


class Misfit:
    """Residuals in the noise's deviations and their Jacobian by the coordinates; one solve of
    state and sensitivities gives both, or `sensitive` is false and there is no Jacobian."""

    def __init__(self, times, observed, solver, *, sensitive):
        self.times, self.observed, self.solver, self.sensitive = times, observed, solver, sensitive
        self.at, self.kept = np.full(LOW.size, np.nan), (np.empty(0), np.empty((0, LOW.size)))

    def residual(self, u):
        return self._look(u)[0]

    def jacobian(self, u):
        return self._look(u)[1]

    def objective(self, u):
        """Minus the log-likelihood but for a constant, and its gradient."""
        r, j = self._look(u)
        if not (np.isfinite(r).all() and np.isfinite(j).all()):
            return np.inf, np.full(u.size, np.nan)
        return 0.5 * float(r @ r), j.T @ r

    def fisher(self, u):
        """J'J, which stands for the Hessian."""
        j = self._look(u)[1]
        return j.T @ j

    def _look(self, u):
        # who asks for the Jacobian has asked for the residual at the same place before
        if not np.array_equal(u, self.at):
            self.at, self.kept = np.array(u), self._solve(u)
        return self.kept

    def _solve(self, u):
        parameters, begin = tuple(np.exp(u[:3]).tolist()), u[3:].tolist()
        if not self.sensitive:
            path = solved(self.solver, fhn_rates, begin, self.times, parameters)
            return ((path - self.observed) / FHN_NOISE).ravel(), np.empty((0, LOW.size))
        begin += [0, 0, 0, 1, 0, 0, 0, 0, 0, 1]
        path = solved(self.solver, sensitive_rates, begin, self.times, parameters)
        slopes = path[:, 2:].reshape(-1, 2, 5) / FHN_NOISE
        slopes[:, :, :3] *= np.array(parameters)
        return ((path[:, :2] - self.observed) / FHN_NOISE).ravel(), slopes.reshape(-1, 5)


def scipy_start(task):
    """One start of least_squares: what it reached and where; infinite where it could not begin.

    Of SciPy's ways the one with the most successes a second here: dogbox, coordinates scaled by
    the Jacobian, tolerances at a thousandth of a nat, and an end to starts that lead nowhere.
    """
    from scipy.optimize import least_squares

    misfit, start = task
    try:
        found = least_squares(
            misfit.residual, start, bounds=(LOW, HIGH), method="dogbox", x_scale="jac",
            ftol=1e-6, xtol=1e-6, max_nfev=50,
            jac=misfit.jacobian if misfit.sensitive else "2-point",
        )  # fmt: skip
    except ValueError:  # not finite where it begins
        return np.inf, start
    return found.cost, found.x


def scipy_fit(misfit, starts, pool):
    found = pool.map(scipy_start, [(misfit, start) for start in starts], chunksize=1)
    return [float(cost) for cost, _ in found], [u for _, u in found]


def pypesto_fit(misfit, starts, optimiser):
    """Multi-start as pyPESTO's documentation has it: gradients by sensitivities, bounds,
    logarithms of what is positive, a process for each processor."""
    import pypesto
    from pypesto import optimize

    objective = pypesto.Objective(fun=misfit.objective, grad=True, hess=misfit.fisher)
    problem = pypesto.Problem(objective, lb=LOW, ub=HIGH, x_guesses=starts)
    makers = {
        "L-BFGS-B": lambda: optimize.ScipyOptimizer("L-BFGS-B"),
        "fides": lambda: optimize.FidesOptimizer(verbose=logging.ERROR),
    }
    result = optimize.minimize(
        problem, makers[optimiser](), n_starts=len(starts), progress_bar=False,
        engine=pypesto.engine.MultiProcessEngine(os.cpu_count(), method="fork"),
    )  # fmt: skip
    found = result.optimize_result.list
    return [float(one.fval) for one in found], [one.x for one in found]


# the solver, whether sensitivities are solved beside the state, and pyPESTO's optimiser
FITS = {
    "SciPy, LSODA, 2-point": ("LSODA", False, None),
    "SciPy, LSODA, sensitivities": ("LSODA", True, None),
    "SciPy, RK45, sensitivities": ("RK45", True, None),
    "SciPy, odeint, sensitivities": ("odeint", True, None),
    "pyPESTO, L-BFGS-B": ("odeint", True, "L-BFGS-B"),
    "pyPESTO, fides": ("odeint", True, "fides"),
}


def fitted(name, folder, starts, pool):
    """Every start's objective, and the best coordinates."""
    solver, sensitive, optimiser = FITS[name]
    misfit = Misfit(*read_table(folder / "fhn.csv"), solver, sensitive=sensitive)
    if optimiser is None:
        objectives, places = scipy_fit(misfit, starts, pool)
    else:
        objectives, places = pypesto_fit(misfit, starts, optimiser)
    return objectives, places[int(np.argmin(objectives))]


def fit_pass(name, folder, pool):
    z = np.load(folder / "starts.npy")
    starts = np.concatenate([np.log(z[:, :3]), z[:, 3:]], axis=1)
    began = time.perf_counter()
    objectives, best = fitted(name, folder, starts, pool)
    seconds = time.perf_counter() - began
    best = np.concatenate([np.exp(best[:3]), best[3:]])
    return {"seconds": seconds, "objectives": objectives, "best": best.tolist()}


def vdp_pass(method, dtype, folder):
    """The batch as torchdiffeq takes it: one state, one step size."""
    import torch
    from torchdiffeq import odeint

    class Field(torch.nn.Module):
        def forward(self, t, x):
            position, speed = x.unbind(-1)
            return torch.stack((speed, MU * (1 - position**2) * speed - position), -1)

    kind, known = getattr(torch, dtype), np.load(folder / "vdp.npz")
    starts = torch.as_tensor(known["starts"], dtype=kind)
    times = torch.as_tensor(VDP_TIMES, dtype=kind)
    with torch.no_grad():
        began = time.perf_counter()
        path = odeint(Field(), starts, times, rtol=TOLERANCE, atol=TOLERANCE, method=method)
        seconds = time.perf_counter() - began
    error = np.abs(path.numpy().swapaxes(0, 1) - known["paths"]).max()
    return {"seconds": seconds, "error": float(error)}


def processes():
    return multiprocessing.get_context("fork").Pool(os.cpu_count())


def serve(folder, answers):
    import scipy

    versions = {"scipy": scipy.__version__}
    for name in ("pypesto", "fides", "torch", "torchdiffeq"):
        versions[name] = importlib.metadata.version(name)
    print(json.dumps(versions), file=answers, flush=True)
    with processes() as pool:
        for line in sys.stdin:
            name = line.strip()
            if name in FITS:
                answer = fit_pass(name, folder, pool)
            else:
                method, dtype = name.split()
                answer = vdp_pass(method, dtype, folder)
            print(json.dumps(answer), file=answers, flush=True)
        pool.close()
        pool.join()


def command(name, folder, starts):
    """Reads, fits from starts spread over the box, prints estimates and standard errors."""
    # before the processes part, so that one import serves all of them
    import scipy.integrate
    import scipy.optimize  # noqa: F401

    spread = np.random.default_rng(0).uniform(LOW, HIGH, (starts, LOW.size))
    with processes() as pool:
        objectives, best = fitted(name, folder, spread, pool)
        pool.close()
        pool.join()
    at_best = Misfit(*read_table(folder / "fhn.csv"), "odeint", sensitive=True)
    errors = np.sqrt(np.diag(np.linalg.inv(at_best.fisher(best))))
    print(min(objectives), best.tolist(), errors.tolist())


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    if verb == "serve":
        # whatever a library prints must not mix with the answers
        answers, sys.stdout = sys.stdout, sys.stderr
        serve(pathlib.Path(rest[0]), answers)
    else:
        command(rest[0], pathlib.Path(rest[1]), int(rest[2]))
