r"""From a text with networks, or from nothing but recordings, to a fitted model with its account.

A hybrid is fitted formula first: the text with 0 for every network says where the latents may
lie, and how large what is missing may be; then networks and latents together, see `_learn`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._latents import normal
from .._marginal import Marginal
from .._programs import program
from ..data import Dataset
from ..equations import (
    Best,
    Equation,
    FitError,
    HybridSystem,
    Variable,
    parse,
    search,
    without_networks,
)
from ..equations._system import AbstractSystem
from ..equations.fitting._account import account
from ..equations.fitting._certainty import Certainty, certainty
from ..equations.fitting._fitted import fitted_model
from ..equations.fitting._grid import EquationCurve, longest
from ..equations.fitting._match import readings_of, smoothed
from ..equations.fitting._prepare import courses
from ..equations.solving._choose import medians
from ..equations.solving._equation import CURVE_NOISES, interpolations, noise_word
from ._found import Visited, calls_of, found_arrays, said_of_search, said_shares, shares, visited
from ._joint import finite_information
from ._learn import DECAYS, HELD_OUT, Search, found_count, learn, scaled_error
from ._net import scaled_net, settled
from ._neural import neural_system
from ._recipes import Hold
from ._stages import Courses

Say = Callable[[str], None]
# starts of the formula alone
_FORMULA_STARTS = 8


@dataclass(frozen=True, eq=False)
class HybridFit:
    """A fitted hybrid or neural equation: the `model`, what the search found, and its `account`
    in plain values and `arrays`, as those of a fitted equation with `hybrid` beside."""

    model: Marginal
    best: Best
    search: Search
    account: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @property
    def estimates(self) -> dict[str, float]:
        """The fitted latents by name; of many records, with `@record` where each has its own."""
        return {
            row["name"] if row["record"] is None else f"{row['name']}@{row['record']}":
            row["estimate"] for row in self.account["latents"]
        }  # fmt: skip


def fit_hybrid(
    source: str,
    data: Dataset,
    *,
    widths: tuple[int, ...] = (16,),
    starts: int = 4,
    noise: str | None = None,
    fixed: Mapping[str, float] | None = None,
    decays: tuple[float, ...] = DECAYS,
    held_out: float = HELD_OUT,
    hold: Hold = "ends",
    say: Say = lambda sentence: None,
    seed: int = 0,
) -> HybridFit:
    r"""Fits a text in which networks stand for what is not known, such as $x' = r x + net(x, y)$.

    The formula alone is fitted first, every network 0. Then the networks are matched to the
    slopes of the smoothed data, and latents and weights follow Levenberg and Marquardt together,
    over pieces of the records and then over whole ones. The weights have a prior, the decay of
    weights, whose width a `held_out` share of every record chooses: its end, or a stretch.

    **Arguments:** `source`, the text; `data`, one observation a record; `widths`, of the
    networks' hidden layers; `starts`, how many draws of the weights; `noise` and `fixed`, as
    `fit_equation`; `decays`, the room for weights to choose from; `hold`, whether ends or
    stretches are held out.

    **Raises:** `EquationError` for a wrong text, `FitError` where it has no network, where data
    and text do not fit each other, and where no start leads anywhere.

    **Source:** Rackauckas et al. 2020, arXiv:2001.04385.
    """
    began = time.monotonic()
    formula = parse(source)
    if not formula.networks:
        raise FitError(
            "the text has no network: write net(x) where a term is not known, as in "
            "x' = r*x + net(x), or fit it as it is: unweave fit FILE.ode DATA."
        )
    known, forecast = _formula_alone(formula, data, noise, fixed or {}, (held_out, hold), say)
    records = len(data)
    z = np.tile(medians(formula.latents), (records, 1)) if known is None else known.z
    system = _with_networks(formula, data, z, known, noise, widths, seed)
    found = learn(
        system, data, near=z, starts=starts, noise=noise, fixed=fixed, decays=decays,
        held_out=held_out, hold=hold, say=say, seed=seed,
    )  # fmt: skip
    if forecast is not None:
        found = replace(found, forecasts={**found.forecasts, "formula alone": forecast})
    fit = _told(found, system, data, began)
    inner = fit.best.equation.system
    assert isinstance(inner, HybridSystem)
    at = visited(fit.best)
    arrays = found_arrays(inner, at)
    carried = shares(arrays, at)
    names = [state.name for state in inner.states]
    hybrid = fit.account["hybrid"]
    hybrid |= {"calls": calls_of(inner), "share": dict(zip(names, carried, strict=True))}
    hybrid["sentences"].insert(0, said_shares(inner, carried))
    fit.account["verdict"][:0] = hybrid["sentences"]
    fit.arrays.update(arrays)
    return fit


def fit_neural(
    data: Dataset,
    *,
    widths: tuple[int, ...] = (16, 16),
    starts: int = 4,
    decays: tuple[float, ...] = DECAYS,
    held_out: float = HELD_OUT,
    hold: Hold = "ends",
    say: Say = lambda sentence: None,
    seed: int = 0,
) -> HybridFit:
    r"""Fits a neural ordinary differential equation: one network from the state, which is what
    was observed, and the inputs to all rates; found as a hybrid's networks are.

    **Raises:** `FitError` where the data are no courses in time, or no start leads anywhere.

    **Source:** Chen et al. 2018, arXiv:1806.07366.
    """
    began = time.monotonic()
    if not data.schema.is_series:
        raise FitError(
            f"a neural equation is fitted to courses in time, and these observations are "
            f"{data.schema.kind}; read them with --kind trajectories."
        )
    channels = tuple(map(Variable, data.schema.channels, data.schema.units))
    inputs = tuple(map(Variable, data.input_names, data.input_units))
    x = np.asarray(data.observations, np.float64)
    flat = x.reshape(-1, x.shape[-1])
    centre, width = np.nanmean(flat, axis=0), np.maximum(np.nanstd(flat, axis=0), 1e-12)
    priors = [normal(float(c), float(3 * w)) for c, w in zip(centre, width, strict=True)]
    driven = np.zeros((1, 0)) if data.inputs is None else data.inputs.reshape(-1, len(inputs))
    net = scaled_net(
        np.concatenate([centre, driven.mean(axis=0)]),
        np.concatenate([width, np.maximum(driven.std(axis=0), 1e-12)]),
        np.ones(len(channels)), widths, key=jax.random.key(seed),
    )  # fmt: skip
    system = neural_system(net, channels, priors, inputs=inputs, time_unit=data.schema.time_unit)
    slopes = _smoothed_course(system, data, None)
    assert slopes is not None
    size = np.sqrt((slopes[2] ** 2).mean(axis=0))
    net = replace(net, size=tuple(map(float, np.maximum(size, 1e-12))))
    system = neural_system(net, channels, priors, inputs=inputs, time_unit=data.schema.time_unit)
    found = learn(
        system, data, starts=starts, decays=decays, held_out=held_out, hold=hold, say=say, seed=seed
    )
    fit = _told(found, system, data, began)
    names = [v.name for v in (*channels, *inputs)]
    left = ", ".join(f"{v.name}'" for v in channels)
    fit.account["text"] = f"{left} = net({', '.join(names)})"
    fit.account["verdict"][:0] = fit.account["hybrid"]["sentences"]
    return fit


def _formula_alone(
    formula, data: Dataset, noise: str | None, fixed: Mapping[str, float],
    held_out: tuple[float, Hold], say: Say,
) -> tuple[Best | None, float | None]:  # fmt: skip
    """The text without its networks, fitted to the records but for what is held out, and how far
    it misses that, in standard deviations; nothing where it cannot be fitted so."""
    bare = without_networks(formula)
    if bare is None or not bare.latents.size:
        return None, None
    times, inputs = courses(bare, data)
    whole = Courses(np.asarray(data.observations, np.float64), times, inputs)
    early, held = whole.without(*held_out)
    keep = int(np.flatnonzero(~np.isnan(early.x).all(axis=(0, 2)))[-1]) + 1
    part = replace(
        data,
        observations=early.x[:, :keep],
        schema=replace(data.schema, shape=(keep, data.schema.shape[1]), instants=()),
        times=early.times[:, :keep],
        inputs=None if data.inputs is None else early.inputs[:, :keep],
        references=None,
    )
    say("the formula alone, every network 0")
    try:
        best = search(bare, part, starts=_FORMULA_STARTS, noise=noise, fixed=fixed, say=say)
    except ValueError as error:
        say(f"the formula alone cannot be fitted: {error}")
        return None, None
    with jax.enable_x64(True):
        curve = EquationCurve(bare, best.equation.method, interpolations(bare))
        y = np.asarray(_read(curve, *jax.device_put((best.z, (times, inputs)))))
    wrong = np.where(held[..., None], whole.x, np.nan) - y
    return best, float(scaled_error(wrong, whole.x))


def _smoothed_course(
    system: AbstractSystem, data: Dataset, noise: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Times `(point,)`, states, slopes and inputs of the smoothed records, where every state is
    observed."""
    times, inputs = courses(system, data)
    with jax.enable_x64(True):
        readings = readings_of(system, medians(system.latents))
    if readings is None:
        return None
    log = CURVE_NOISES[noise or noise_word(system)].is_log
    x = np.asarray(data.observations, np.float64)
    curves = smoothed(times, x, readings, log=log)
    inner = [slice(1, max(len(np.unique(t)) - 1, 2)) for t in times]
    at = [t[part] for t, part in zip(times, inner, strict=True)]
    states = [curve.states(t) for curve, t in zip(curves, at, strict=True)]
    slopes = [curve.slopes(t) for curve, t in zip(curves, at, strict=True)]
    driven = [u[part] for u, part in zip(inputs, inner, strict=True)]
    t, x, slope, u = (np.concatenate(part) for part in (at, states, slopes, driven))
    return t, x, slope, u


def _with_networks(
    formula, data: Dataset, z: np.ndarray, known: Best | None, noise: str | None,
    widths: tuple[int, ...], seed: int,
) -> HybridSystem:  # fmt: skip
    """The text with networks whose inputs are scaled to where the data lie, and whose outputs to
    what the formula leaves open there."""
    calls = formula.networks
    count = 1 + max(call.network for call in calls)
    silent = HybridSystem(formula, (_silence,) * count)
    course = _smoothed_course(silent, data, noise)
    if course is None:
        course = _simulated(known, silent)
    t, x, slopes, u = course
    at = Visited(t, x, np.tile(z[0], (len(t), 1)), u, np.ones(len(t)))
    with jax.enable_x64(True):
        points = (jnp.asarray(p) for p in (at.times, at.states, at.z, at.inputs))
        base, gains, given = map(jax.device_get, _opened(silent, *points))
    left = np.sqrt(np.nanmean((slopes - base) ** 2, axis=0))
    left = np.maximum(left, 0.05 * np.sqrt((slopes**2).mean(axis=0)) + 1e-12)
    gain = np.sqrt(np.nanmean(gains**2, axis=0))
    networks = []
    for number, key in enumerate(jax.random.split(jax.random.key(seed), count)):
        mine = [k for k, call in enumerate(calls) if call.network == number]
        every = np.concatenate([given[k] for k in mine])
        with np.errstate(divide="ignore"):
            each = (left[:, None] / gain[:, mine]).min()
        networks.append(scaled_net(
            np.nanmean(every, axis=0), np.maximum(np.nanstd(every, axis=0), 1e-12),
            np.asarray([each if np.isfinite(each) else 1.0]), widths, key=key,
        ))  # fmt: skip
    return HybridSystem(formula, tuple(networks))


def _silence(arguments: jax.Array) -> jax.Array:
    return jnp.zeros((), arguments.dtype)


def _simulated(
    known: Best | None, system: AbstractSystem
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The same from the formula's own courses, where the data do not show every state."""
    if known is None:
        n = len(system.states)
        return np.zeros(2), np.ones((2, n)), np.ones((2, n)), np.zeros((2, len(system.inputs)))
    at = visited(known)
    with jax.enable_x64(True):
        points = (jnp.asarray(p) for p in (at.times, at.states, at.z, at.inputs))
        slopes = np.asarray(_slopes(known.equation.system, *points))
    return at.times, at.states, slopes * 1.3, at.inputs


@program
def _slopes(system: AbstractSystem, t, x, z, u):
    return jax.vmap(system.rates)(t, x, z, u)


@program
def _opened(system: HybridSystem, t, x, z, u):
    """The formula's rates, what each call would add to them, and what it is given."""

    def one(t, x, z, u):
        n = jnp.zeros(len(system.formula.networks), x.dtype)
        gains = jax.jacfwd(lambda n: system.rates_given(t, x, z, u, n))(n)
        return system.rates_given(t, x, z, u, n), gains, system.arguments(t, x, z, u)

    return jax.vmap(one)(t, x, z, u)


@program
def _read(curve: EquationCurve, z, conditions):
    return jax.vmap(curve)(z, conditions)


def _told(found: Search, system: AbstractSystem, data: Dataset, began: float) -> HybridFit:
    """A search as a fitted equation: the weights become the system's, the latents its own."""
    n, both = system.latents.size, found.system
    weights = np.asarray(both.widths) * found.z[0, n:]
    kept = settled(system, weights)
    sure, effective = _marginal(found, n)
    problem = replace(found.bare, curve=EquationCurve(kept, found.method, interpolations(kept)))
    with jax.enable_x64(True):
        scale = np.asarray(problem.scale(problem.readings(jnp.asarray(found.u[:, :n]))))
    times = np.asarray(problem.conditions[0])
    equation = Equation(
        system=kept, latents=system.latents, noise=problem.noise.with_scale(tuple(scale.tolist())),
        times=tuple(np.unique(times[longest(times)]).tolist()), method=found.method,
    )  # fmt: skip
    reached = found.objectives
    best = Best(
        problem, equation, found.u[:, :n], found.z[:, :n],
        np.isnan(np.asarray(problem.pinned)), float(reached.min()), reached,
        float((reached < reached.min() + 0.5).sum()), scale, found.solver_error,
        time.monotonic() - began, found.matched, found.notes,
    )  # fmt: skip
    told = account(best, sure, data)
    numbers = told.numbers
    numbers["records"] = data.records.astype(str).tolist()
    numbers["free"] += round(effective)
    numbers["aic"] += 2 * effective
    numbers["bic"] += effective * float(np.log(numbers["n"]))
    numbers["hybrid"] = said_of_search(found, weights.size, effective)
    # what the search says of starts is said of draws of the weights
    return HybridFit(fitted_model(best, sure), best, found, numbers, dict(told.arrays))


def _marginal(found: Search, n: int) -> tuple[Certainty, float]:
    """How sure the latents are, whatever the weights are; and how many weights the data fix,
    $\\mathrm{tr}\\, F (F + 1)^{-1}$ over the weights (MacKay 1992)."""
    with jax.enable_x64(True):
        free = np.isnan(np.asarray(found.problem.pinned))
        every = certainty(found.problem, found.u, free)
    latent = np.asarray([j < n for j, _ in every.labels])
    fisher = finite_information(every.fisher, ~latent)
    inverse = np.linalg.pinv(fisher, hermitian=True)
    effective = float(np.clip(1 - np.diag(inverse)[~latent], 0, 1).sum())
    a, b = fisher[np.ix_(latent, latent)], fisher[np.ix_(latent, ~latent)]
    c = fisher[np.ix_(~latent, ~latent)]
    count = every.freedom + len(latent) if every.freedom > 1 else found_count(found)
    freedom = max(count - latent.sum() - effective, 1.0)
    sure = Certainty(
        tuple(label for label, mine in zip(every.labels, latent, strict=True) if mine),
        every.phi[latent], every.is_log[latent], a - b @ np.linalg.solve(c, b.T),
        every.width[latent],
        count / freedom if found.problem.noise.has_scale else 1.0, int(freedom),
    )  # fmt: skip
    return sure, effective
