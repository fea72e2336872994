r"""Fitting a stochastic equation: maximum likelihood, its errors, and how far Euler's steps bias
it."""

import time
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import minimize

from ..._course import Course
from ..._model import Key
from ..._programs import program
from ..fitting._certainty import Certainty, prior_widths
from ..fitting._match import initial_latents, support
from ._equation import StochasticEquation
from ._paths import jumps_of

#: A start agrees with the best where its log-likelihood is no more than this below, in nats.
AGREES = 0.01
# what stands for a log-likelihood that is not finite: a line search must be able to step back
_NOWHERE = 1e15
_STEP = 1e-4


@dataclass(frozen=True, eq=False)
class StochasticFit:
    """What `fit_stochastic` found; `stochastic_account` says it in words.

    `equation`; `z` `(record, latent)` the estimates, in the latents' units; `certainty` of the
    free ones; `log_likelihood` in nats of the `n` numbers that were observed and not given;
    `objectives` `(start,)` minus the log-likelihood that every start reached, sorted, infinite
    where one failed; `agree` and `failed`, how many; `bias` `(free,)`, by how much Euler's steps
    move each estimate, NaN where this was not measured, 0 for an exact likelihood.
    """

    equation: StochasticEquation
    z: Float[np.ndarray, "record latent"]
    certainty: Certainty
    log_likelihood: float
    n: int
    objectives: Float[np.ndarray, " start"]
    agree: int
    failed: int
    seconds: float
    bias: Float[np.ndarray, " free"]
    observations: Float[np.ndarray, "record time state"]
    times: Float[np.ndarray, "record time"]
    inputs: Float[np.ndarray, "record time input"] | None

    def score(
        self,
        observations: np.ndarray,
        times: np.ndarray,
        *,
        inputs: np.ndarray | None = None,
    ) -> "Score":
        """The log-likelihood of other records at the estimates, such as those held out.

        **Raises:** `ValueError` where records had latents of their own and there are not as many
        of them here, and as `fit_stochastic` does.
        """
        x, t, u = _checked(self.equation, observations, times, inputs)
        free = {(j, r) for j, r in self.certainty.labels if r >= 0}
        if free and len(x) != len(self.z):
            raise ValueError(
                f"{len(x)} records were given, and the fit has latents of its own for each of "
                f"{len(self.z)}; give as many, in their order."
            )
        z = self.z if free else np.repeat(self.z[:1], len(x), axis=0)
        with jax.enable_x64(True):
            data = (jnp.asarray(z), jnp.asarray(x), jnp.asarray(t), _double(u))
            each, counts = _each(self.equation, *data)
        return Score(np.where(counts, np.asarray(each), np.nan))


@dataclass(frozen=True, eq=False)
class Score:
    """The log-likelihood `each` `(record, time)` of every row given the one before it, in nats;
    NaN for a row that is given or was not observed."""

    each: Float[np.ndarray, "record time"]

    @property
    def n(self) -> int:
        """How many rows there are."""
        return int((~np.isnan(self.each)).sum())

    @property
    def mean(self) -> float:
        """Nats a row."""
        return float(np.nanmean(self.each))

    @property
    def error(self) -> float:
        r"""The standard error of the mean, with the correlation of neighbouring rows in it: the
        long-run variance of Newey and West (1987, Econometrica 55:703), with their weights over
        $4 (n / 100)^{2/9}$ lags."""
        off = np.nan_to_num(self.each - self.mean)
        lags = min(int(4 * (self.n / 100) ** (2 / 9)), self.each.shape[1] - 1)
        total = float((off**2).sum())
        for k in range(1, lags + 1):
            total += 2 * (1 - k / (lags + 1)) * float((off[:, k:] * off[:, :-k]).sum())
        return float(np.sqrt(total)) / self.n

    def less(self, other: "Score") -> tuple[float, float]:
        """By how many nats a row this one is better, and the standard error of the difference,
        from the differences row by row."""
        gap = Score(self.each - other.each)
        return gap.mean, gap.error


def fit_stochastic(
    equation: StochasticEquation,
    observations: np.ndarray,
    times: np.ndarray,
    *,
    inputs: np.ndarray | None = None,
    starts: int = 16,
    key: Key,
) -> StochasticFit:
    r"""The latents that make some paths most likely, $\hat z = \arg\max_z \sum_r \log p(x_r \mid
    z_r)$.

    Quasi-Newton descent (L-BFGS: Liu and Nocedal 1989) in float64 from the prior's median and
    from draws of the prior, in coordinates in which every support is the real line. The
    information is that observed, the Hessian by central differences of the exact gradient. A
    latent that the likelihood does not see (a start, where the first row was observed) is not
    fitted; a start then is the first row observed.

    For Euler's likelihood the fit is repeated with steps of half the length
    (`halved_log_density`), integrated, not simulated: a bias in proportion to the step is twice
    the difference.

    **Arguments:** `observations` `(record, time, state)` in the states' units, NaN = not
    observed; `times` `(time,)`, or `(record, time)`; `inputs` `(record, time, input)` where the
    equation has some; `starts`, how many.

    **Raises:** `ValueError` where shapes do not fit, no row follows another, or every start
    fails.
    """
    if starts < 1:
        raise ValueError(f"{starts} starts were asked for; a fit needs at least one.")
    began = time.perf_counter()
    x, t, u = _checked(equation, observations, times, inputs)
    with jax.enable_x64(True):
        problem = _problem(equation, x, t, u)
        points = _starts(problem, starts, key)
        lanes = [_descend(problem, point) for point in points]
        objectives = np.asarray([value for _, value in lanes])
        if not np.isfinite(objectives).any():
            raise ValueError(
                f"none of {starts} starts has a finite likelihood: a state may lie where the "
                "equation cannot be (a price below zero), or the ranges of the latents may be "
                "far from the data."
            )
        best = lanes[int(np.argmin(objectives))][0]
        z = np.asarray(problem.z(jnp.asarray(best)))
        certainty = _certainty(problem, best, z)
        _, counts = _each(equation, jnp.asarray(z), *problem.data)
        bias = _bias(problem, best)
    least = float(objectives.min())
    return StochasticFit(
        equation=equation,
        z=z,
        certainty=certainty,
        log_likelihood=-least,
        n=int(np.asarray(counts).sum()) * x.shape[2],
        objectives=np.sort(objectives),
        agree=int((objectives < least + AGREES).sum()),
        failed=int((~np.isfinite(objectives)).sum()),
        seconds=time.perf_counter() - began,
        bias=bias,
        observations=x,
        times=t,
        inputs=u,
    )


class _Problem(eqx.Module):
    """The likelihood of all records as a function of the free coordinates `(free,)`.

    `labels` say which latent each of them is and of which record, -1 where all share it; the
    other latents are `pinned` `(record, latent)`.
    """

    equation: StochasticEquation
    data: tuple[Array, Array, Array | None]
    pinned: Float[Array, "record latent"]
    labels: tuple[tuple[int, int], ...] = eqx.field(static=True)

    def z(self, free: Float[Array, " free"]) -> Float[Array, "record latent"]:
        """The latents of every record."""
        latents = self.equation.latents
        u = jnp.zeros_like(self.pinned)
        is_free = np.zeros(self.pinned.shape, dtype=bool)
        for k, (j, r) in enumerate(self.labels):
            rows = slice(None) if r < 0 else slice(r, r + 1)
            u = u.at[rows, j].set(free[k])
            is_free[rows, j] = True
        return jnp.where(is_free, jax.vmap(latents.constrain)(u), self.pinned)

    def objective(self, free: Float[Array, " free"]) -> Array:
        """Minus the log-likelihood, in nats."""
        return -_each(self.equation, self.z(free), *self.data)[0].sum()


@program
def _value_and_slope(problem: _Problem, free: Array) -> tuple[Array, Array]:
    return jax.value_and_grad(problem.objective)(free)


@program
def _each(
    equation: StochasticEquation, z: Array, x: Array, times: Array, inputs: Array | None
) -> tuple[Array, Array]:
    """What every row adds, and whether it counts."""

    def one(z: Array, x: Array, times: Array, inputs: Array | None) -> tuple[Array, Array]:
        course = Course(times, inputs)
        counts = ~jnp.isnan(equation.one_step(x, z, course)[0]).any(axis=1)
        return equation.log_likelihoods(x, z, course), counts

    return jax.vmap(one, in_axes=(0, 0, 0, None if inputs is None else 0))(z, x, times, inputs)


def _checked(
    equation: StochasticEquation,
    observations: np.ndarray,
    times: np.ndarray,
    inputs: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Observations, times of every record and inputs in float64."""
    x, t = np.asarray(observations, np.float64), np.asarray(times, np.float64)
    states = len(equation.system.states)
    if x.ndim != 3 or x.shape[2] != states:
        raise ValueError(
            f"the observations have the shape {x.shape}; give (record, time, {states}), one "
            "record as observations[None]."
        )
    if t.shape not in (x.shape[1:2], x.shape[:2]):
        raise ValueError(
            f"times of shape {t.shape} do not fit observations of shape {x.shape}; give "
            f"({x.shape[1]},) or {x.shape[:2]}."
        )
    t = np.broadcast_to(t, x.shape[:2])
    if not (np.diff(t, axis=1) >= 0).all():
        raise ValueError("the times do not rise; sort each record by its time.")
    if ((~np.isnan(x).any(axis=2)).sum(axis=1) < 2).all():
        raise ValueError("no record has two rows that were observed; there is nothing to fit.")
    count = len(equation.system.inputs)
    if count and inputs is None:
        raise ValueError(f"the equation has {count} input(s); give inputs (record, time, {count}).")
    u = np.asarray(inputs, np.float64) if count else None
    if u is not None and u.shape != (*x.shape[:2], count):
        raise ValueError(f"inputs of shape {u.shape} are not {(*x.shape[:2], count)}.")
    return x, t, u


def _double(array: np.ndarray | None) -> Array | None:
    return None if array is None else jnp.asarray(array, jnp.float64)


def _problem(
    equation: StochasticEquation, x: np.ndarray, t: np.ndarray, u: np.ndarray | None
) -> _Problem:
    latents = equation.latents
    data = (jnp.asarray(x), jnp.asarray(t), _double(u))
    median = np.asarray(latents.from_normal(jnp.zeros(latents.size)))
    pinned = np.repeat(median[None], len(x), axis=0)
    sees = _seen(equation, data, pinned)
    for state, j in initial_latents(equation.system, latents).items():
        low, high = support(latents, j)
        for r in np.flatnonzero(~sees[:, j]):
            known = x[r, ~np.isnan(x[r]).any(axis=1), state]
            if known.size and low < known[0] < high:
                pinned[r, j] = known[0]
    labels = []
    for j, own in enumerate(equation.system.is_own):
        if own:
            labels += [(j, int(r)) for r in np.flatnonzero(sees[:, j])]
        elif sees[:, j].any():
            labels.append((j, -1))
    if not labels:
        raise ValueError("the likelihood depends on no latent; there is nothing to fit.")
    return _Problem(equation, data, jnp.asarray(pinned), tuple(labels))


def _seen(equation: StochasticEquation, data: tuple, median: np.ndarray) -> np.ndarray:
    """Which latents `(record, latent)` the likelihood sees: its slope is not zero everywhere."""
    everything = tuple((j, r) for r in range(len(median)) for j in range(median.shape[1]))
    problem = _Problem(equation, data, jnp.asarray(median), everything)
    points = _starts(problem, 3, jax.random.key(0))
    found = [_value_and_slope(problem, jnp.asarray(u)) for u in points]
    slopes = [np.asarray(slope) for value, slope in found if np.isfinite(value)]
    # where nothing is finite nothing is known, and the descent says so
    seen = np.any(np.stack(slopes) != 0, axis=0) if slopes else np.ones(median.size, dtype=bool)
    return seen.reshape(median.shape)


def _starts(problem: _Problem, starts: int, key: Key) -> Float[np.ndarray, "start free"]:
    """The prior's median, then draws of the prior, in the free coordinates."""
    latents = problem.equation.latents
    records = problem.pinned.shape[0]
    centre = latents.unconstrain(latents.from_normal(jnp.zeros(latents.size)))
    draws = jax.vmap(latents.sample)(jax.random.split(key, (starts - 1) * records))
    u = np.asarray(jax.vmap(latents.unconstrain)(draws)).reshape(-1, records, latents.size)
    u = np.concatenate([np.broadcast_to(np.asarray(centre), (1, *u.shape[1:])), u])
    # a draw on the very end of an interval lies at infinity
    u = np.where(np.isfinite(u), u, np.asarray(centre))
    return np.stack([u[:, max(r, 0), j] for j, r in problem.labels], axis=1)


def _descend(problem: _Problem, start: np.ndarray) -> tuple[np.ndarray, float]:
    """Where L-BFGS ends from a start, and minus the log-likelihood there, infinite if it failed."""

    def objective(free: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = (np.asarray(part) for part in _value_and_slope(problem, jnp.asarray(free)))
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            return _NOWHERE, np.zeros_like(free)
        return float(value), slope.astype(np.float64)

    options = {"maxiter": 500, "ftol": 1e-14, "gtol": 1e-6}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    return found.x, float(found.fun) if found.fun < _NOWHERE else np.inf


def _certainty(problem: _Problem, free: np.ndarray, z: np.ndarray) -> Certainty:
    """The observed information, in the coordinates that `Certainty` speaks of."""
    latents, labels = problem.equation.latents, problem.labels
    size = len(labels)
    hessian = np.zeros((size, size))
    for k in range(size):
        step = np.zeros(size)
        step[k] = _STEP
        ends = [_value_and_slope(problem, jnp.asarray(free + s))[1] for s in (step, -step)]
        hessian[k] = (np.asarray(ends[0]) - np.asarray(ends[1])) / (2 * _STEP)
    is_log = np.asarray([support(latents, j)[0] >= 0 for j, _ in labels])
    estimates = np.asarray([z[max(r, 0), j] for j, r in labels])
    turn = _turns(problem, free)
    turn = np.where(is_log, turn / np.where(estimates > 0, estimates, 1.0), turn)
    turn = np.where(turn > 0, turn, np.inf)
    fisher = 0.5 * (hessian + hessian.T) / np.outer(turn, turn)
    # at an end of a range the curvature may be negative: there is no information
    lost = np.diag(fisher) <= 0
    fisher[lost] = fisher[:, lost] = 0.0
    n = int((~np.isnan(np.asarray(problem.data[0]))).sum())
    each = np.asarray([support(latents, j)[0] >= 0 for j in range(latents.size)])
    width = prior_widths(latents, each)[[j for j, _ in labels]]
    return Certainty(
        labels=labels,
        phi=np.where(is_log, np.log(np.maximum(estimates, 1e-300)), estimates),
        is_log=is_log,
        fisher=fisher,
        width=np.asarray(width),
        inflate=1.0,
        freedom=max(n - size, 1),
    )


def _turns(problem: _Problem, free: np.ndarray) -> np.ndarray:
    """The derivative of each free latent by its own coordinate."""
    slopes = np.asarray(jax.jacfwd(problem.z)(jnp.asarray(free)))
    return np.asarray([slopes[max(r, 0), j, k] for k, (j, r) in enumerate(problem.labels)])


def _bias(problem: _Problem, free: np.ndarray) -> np.ndarray:
    """By how much Euler's steps move each estimate, in the latents' units."""
    equation = problem.equation
    if equation.is_exact:
        return np.zeros(len(free))
    if jumps_of(equation.system) or len(equation.system.states) > 2 or equation.halved:
        return np.full(len(free), np.nan)
    finer = StochasticEquation(  # pyright: ignore[reportCallIssue]
        system=equation.system,
        times=equation.times,
        substeps=equation.substeps,
        exact=equation.exact,
        draws=equation.draws,
        halved=True,
    )
    halved = _Problem(finer, problem.data, problem.pinned, problem.labels)
    point, value = _descend(halved, free)
    if not np.isfinite(value):
        return np.full(len(free), np.nan)
    ends = [np.asarray(problem.z(jnp.asarray(u))) for u in (free, point)]
    moved = ends[0] - ends[1]
    return 2 * np.asarray([moved[max(r, 0), j] for j, r in problem.labels])
