"""A fit beside its data: readings, residuals, likelihood, and the curve with its bands."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..._programs import program
from ..solving._equation import interpolations
from ._certainty import Certainty, Look, look, quantile, taking_part
from ._identify import Best
from ._problem import Problem

#: The confidence of every interval and band.
CONFIDENCE = 0.9
_FINE = 240
_CANDIDATES = 60


class Evidence(NamedTuple):
    """The fit beside the data: readings and residuals `(record, time, channel)`, and the
    log-likelihood in nats, all constants included."""

    fitted: np.ndarray
    residuals: np.ndarray
    log_likelihood: float


def evidence(best: Best) -> Evidence:
    problem = best.problem
    with jax.enable_x64(True):
        noise = problem.noise.with_scale(tuple(best.scale.tolist()))
        fitted, residuals, value = jax.device_get(
            _beside_data(problem, noise, *jax.device_put((best.u, best.scale)))
        )
    unseen = np.isnan(np.asarray(problem.x))
    return Evidence(fitted, np.where(unseen, np.nan, residuals), float(value))


@program
def _beside_data(problem: Problem, noise, u, scale):
    eta = problem.readings(u)
    return noise.unlink(eta), problem._residual(eta, scale), noise.log_prob(problem.x, eta)


class Beside(NamedTuple):
    """The curve between the data and beyond: `at` the times `(record, time)` at which it was
    looked at, of which the first `fine` make a line through the data, and the others are
    candidates for a reading more."""

    at: np.ndarray
    fine: int
    look: Look


def beside(best: Best) -> Beside:
    """Both in one program, for each would have to be compiled."""
    problem = best.problem
    times, inputs = (np.asarray(part) for part in problem.conditions)
    between = max(1, -(-_FINE // max(times.shape[1] - 1, 1)))
    share = np.arange(between) / between
    inner = times[:, :-1, None] + share * np.diff(times, axis=1)[:, :, None]
    fine = np.concatenate([inner.reshape(len(times), -1), times[:, -1:]], axis=1)
    beyond = 1.0 if inputs.shape[2] else 1.5
    ahead = np.linspace(0, beyond, _CANDIDATES + 1)
    candidates = times[:, :1] + ahead * (times[:, -1:] - times[:, :1])
    # a solve goes forward in time; afterwards each is put back where it belongs
    every = np.concatenate([fine, candidates], axis=1)
    order = np.argsort(every, axis=1, kind="stable")
    at = np.take_along_axis(every, order, axis=1)
    driven = _driven(at, times, inputs, interpolations(best.equation.system))
    with jax.enable_x64(True):
        wide = eqx.tree_at(
            lambda p: (p.x, p.conditions), problem,
            (jnp.zeros((*at.shape, problem.x.shape[2])), jax.device_put((at, driven))),
        )  # fmt: skip
        seen = look(wide, best.u, best.scale)
    back = np.argsort(order, axis=1)

    def put_back(part: np.ndarray) -> np.ndarray:
        return np.take_along_axis(part, back.reshape(*back.shape, *[1] * (part.ndim - 2)), axis=1)

    seen = seen._replace(
        eta=put_back(seen.eta),
        slopes=put_back(seen.slopes),
        information=put_back(seen.information),
    )
    return Beside(every, fine.shape[1], seen)


def curves(
    best: Best, sure: Certainty, evidence: Evidence, beside: Beside
) -> dict[str, np.ndarray]:
    """Data, fit, residuals, and the curve on a fine grid with its bands by the delta method."""
    line = slice(0, beside.fine)
    curve, covariance = beside.look.eta[:, line], sure.posterior
    variance = np.zeros(curve.shape)
    for r, rows in enumerate(beside.look.slopes[:, line]):
        places, columns = taking_part(sure.labels, r)
        own = rows[..., columns]
        variance[r] = ((own @ covariance[np.ix_(places, places)]) * own).sum(axis=-1)
    spread = np.sqrt(np.maximum(variance, 0.0))
    noise = 1 / np.sqrt(beside.look.information[:, line])
    reach = quantile(CONFIDENCE)
    whole = np.sqrt(spread**2 + sure.inflate * noise**2)
    lines = {
        "curve": curve,
        "curve_low": curve - reach * spread,
        "curve_high": curve + reach * spread,
        "data_low": curve - reach * whole,
        "data_high": curve + reach * whole,
    }
    with jax.enable_x64(True):
        back = _unlinked(best.problem.noise, jax.device_put(np.stack(list(lines.values()))))
    times, _ = best.problem.conditions
    return {
        "times": np.asarray(times),
        "observed": np.asarray(best.problem.x),
        "fitted": evidence.fitted,
        "residuals": evidence.residuals,
        "curve_times": beside.at[:, line],
        **dict(zip(lines, np.asarray(back), strict=True)),
    }


@program
def _unlinked(noise, eta):
    return noise.unlink(eta)


def _driven(
    at: np.ndarray, times: np.ndarray, inputs: np.ndarray, kinds: Sequence[str]
) -> np.ndarray:
    """The inputs of each record at other times: held where they are held, else on the line."""
    driven = np.zeros((*at.shape, inputs.shape[2]))
    for r in range(len(at)):
        for c, kind in enumerate(kinds):
            if kind == "previous":
                row = np.searchsorted(times[r], at[r], side="right") - 1
                driven[r, :, c] = inputs[r, np.clip(row, 0, len(times[r]) - 1), c]
            else:
                driven[r, :, c] = np.interp(at[r], times[r], inputs[r, :, c])
    return driven
