r"""A solver as a recurrent network: the field and the scheme make the cell, time unrolls it.

$x_{k+1} = x_k + h\,\Phi(t_k, x_k, z, u)$ is a recurrent cell whose weights are the latents $z$,
and whose input is what drives the equation. Unrolled over the times of the observations it is
trained as any recurrent network is: backwards through time (Werbos 1990), by Adam's steps
(Kingma and Ba 2015), over more and more of each record.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from .._libraries import default_promotion
from .._marginal import Marginal
from .._programs import program
from ..data import Dataset
from ..equations import CURVE_NOISES, Best, Equation, FitError, parse
from ..equations._system import AbstractSystem
from ..equations.fitting._account import account
from ..equations.fitting._fitted import fitted_model
from ..equations.fitting._grid import Standing, longest, solver_error, stand
from ..equations.fitting._identify import problem_of
from ..equations.fitting._levenberg import coordinates_of, lanes_at, minimise
from ..equations.fitting._match import coordinates, initial_latents, inside
from ..equations.fitting._prepare import courses, prepared
from ..equations.fitting._problem import Problem
from ..equations.solving._choose import starting_points, suited
from ..equations.solving._drive import drive
from ..equations.solving._equation import interpolations, noise_word
from ..equations.solving._solve import Grid, refined, runge_kutta

Say = Callable[[str], None]
# steps of one compiled call
_CALL = 100
# the share of the training over which the horizon grows to the whole record, and where it begins
_GROWING, _FIRST = 0.4, 0.2
_MOST_SUBSTEPS = 8


class SolverCell(eqx.Module):
    """One step of a recurrent network that solves an equation: the classical Runge–Kutta scheme
    of the system's field at the latents `z`."""

    system: AbstractSystem
    z: Float[Array, " latent"]

    def __call__(
        self, x: Float[Array, " state"], at: tuple[Array, ...]
    ) -> tuple[Float[Array, " state"], Float[Array, " state"]]:
        """The next state, as hidden state and as output; `at` is time, width of the step, and
        the inputs at its beginning, middle and end."""
        return runge_kutta(lambda t, x, u: self.system.rates(t, x, self.z, u))(x, at)


class RecurrentCurve(eqx.Module):
    """The cell, unrolled over the times of a record, and what is read of its hidden state."""

    system: AbstractSystem
    substeps: int = eqx.field(static=True)
    kinds: tuple[str, ...] = eqx.field(static=True)

    def __call__(
        self, z: Float[Array, " latent"], condition: tuple[Array, Array]
    ) -> Float[Array, "time observable"]:
        """The reading at every time of the record."""
        times, inputs = condition
        u = drive(times, inputs if self.kinds else None, self.kinds)
        fine = refined(times, self.substeps)
        start = self.system.start(z)
        steps = (fine[:-1], jnp.diff(fine), *u.over(fine))
        cell = SolverCell(self.system, z)
        _, later = jax.lax.scan(lambda x, at: cell(x, at), start, steps)
        hidden = jnp.concatenate([start[None], later])[:: self.substeps]
        return jax.vmap(lambda t, x: self.system.observe(t, x, z, u(t)))(times, hidden)


def fit_recurrent(
    source: str,
    data: Dataset,
    *,
    starts: int = 8,
    steps: int = 2000,
    learning_rate: float = 0.05,
    noise: str | None = None,
    fixed: Mapping[str, float] | None = None,
    say: Say = lambda sentence: None,
    seed: int = 0,
) -> tuple[Marginal, dict[str, Any], dict[str, np.ndarray]]:
    """Fits an equation as the recurrent network that its solver is, from `starts` points spread
    over the priors, with no help from the data's slopes; the model with its account and arrays,
    as `fit_equation` gives them.

    Beside the account's `recurrent` stands where Levenberg and Marquardt's method goes from the
    weights that training ended with, in standard errors.

    **Raises:** `EquationError` for a wrong text, `FitError` where data and equation do not fit
    each other or training leads nowhere.
    """
    began = time.monotonic()
    system = parse(source)
    word = noise or noise_word(system)
    if word not in CURVE_NOISES:
        raise FitError(f"'{word}' is no noise of an equation; it is {', '.join(CURVE_NOISES)}.")
    if starts < 1 or steps < 1:
        raise FitError(f"{starts} starts and {steps} steps were asked for; give at least 1.")
    kind = CURVE_NOISES[word]
    times, inputs = courses(system, data)
    chosen = suited(system, system.latents, np.unique(times[longest(times)])).method
    method = chosen if isinstance(chosen, Grid) else Grid(_MOST_SUBSTEPS)
    with jax.enable_x64(True):
        place = initial_latents(system, system.latents)
        x, pinned, notes = prepared(system, data, times, kind, fixed or {}, place)
        problem = problem_of(system, x, times, inputs, pinned, kind, method)
        curve = RecurrentCurve(system, method.substeps, interpolations(system))
        points = starting_points(system.latents, starts, seed=seed)
        u = coordinates(system.latents, points, len(x))
        say(f"{starts} starts, {steps} steps backwards through {x.shape[1]} times")
        network = replace(problem, curve=curve)
        u, reached, losses = descend(network, u, steps=steps, learning_rate=learning_rate, say=say)
        if not np.isfinite(reached).any():
            raise FitError(
                f"none of {starts} starts was trained to a finite course; narrow the ranges, or "
                "take a smaller --learning-rate."
            )
        at = inside(system.latents, u[int(np.argmin(reached))])
        standing = Standing(*jax.device_get(stand(problem, jax.device_put(at))))
        error = solver_error(problem, system, at, times, standing)
        polished = minimise(problem, lanes_at(problem, at[None]))
        there = coordinates_of(problem, polished)[0]
    equation = Equation(
        system=system, latents=system.latents,
        noise=kind.with_scale(tuple(standing.scale.tolist())),
        times=tuple(np.unique(times[longest(times)]).tolist()), method=method,
    )  # fmt: skip
    lowest = float(reached.min())
    best = Best(
        problem, equation, at, standing.z, np.isnan(pinned), lowest, reached,
        float((reached < lowest + 0.01).sum()), standing.scale, error,
        time.monotonic() - began, False, tuple(notes),
    )  # fmt: skip
    sure = best.certainty()
    told = account(best, sure, data)
    numbers = told.numbers
    numbers["records"] = data.records.astype(str).tolist()
    other = replace(best, u=there).certainty()
    moved = np.abs(other.phi - sure.phi) / np.where(sure.errors > 0, sure.errors, np.inf)
    numbers["recurrent"] = {
        "steps": steps,
        "learning_rate": learning_rate,
        "cells": int((x.shape[1] - 1) * method.substeps),
        "moved_by_least_squares": float(np.nan_to_num(moved).max(initial=0.0)),
        "nats_left": lowest - float(polished.objective[0]),
    }
    numbers["verdict"].insert(0, _sentence(numbers["recurrent"]))
    return fitted_model(best, sure), numbers, {**told.arrays, "training_loss": losses}


def descend(
    problem: Problem,
    u: Float[np.ndarray, "start record latent"],
    *,
    steps: int,
    learning_rate: float,
    say: Say = lambda sentence: None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Adam's steps on the minus log-likelihood of all starts at once, the rate falling along a
    cosine: where they end, the objective there `(start,)`, and the best one's at every step
    `(step,)` of what its horizon showed."""
    shared, own = problem.part(u)
    place = (jnp.asarray(shared[:, 0]), jnp.asarray(own))
    optimiser = optax.chain(
        optax.clip_by_global_norm(1e3),
        optax.adam(optax.cosine_decay_schedule(learning_rate, steps)),
    )
    state = jax.vmap(optimiser.init)(place)
    losses, began, told = [], time.monotonic(), 0.0
    for first in range(0, steps, _CALL):
        keep = _horizons(problem, first, steps)
        place, state, loss = _train(problem, optimiser, place, state, jnp.asarray(keep))
        losses.append(np.asarray(loss))
        seconds = time.monotonic() - began
        if seconds - told > 2:
            told = seconds
            best = float(np.nanmin(losses[-1][-1]))
            say(f"step {min(first + _CALL, steps)} of {steps}: {best:.4g} nats")
    reached = np.asarray(_objectives(problem, place))
    every = np.concatenate(losses)
    best = every[:, int(np.argmin(reached))]
    ends = np.zeros(u.shape)
    ends[:, :, problem._columns(False)] = np.asarray(place[0])[:, None]
    ends[:, :, problem._columns(True)] = np.asarray(place[1])
    return ends, reached, best


def _horizons(problem: Problem, first: int, steps: int) -> np.ndarray:
    """How many times of the records each step of a call sees; 0 where training has ended."""
    number, length = first + np.arange(_CALL), problem.x.shape[1]
    share = _FIRST + (1 - _FIRST) * np.minimum(number / max(_GROWING * steps, 1), 1.0)
    return np.where(number < steps, np.maximum(np.ceil(share * length), 4), 0).astype(np.int32)


@program
def _train(problem: Problem, optimiser, place, state, keep):
    index = jnp.arange(problem.x.shape[1], dtype=keep.dtype)[None, :, None]

    def step(carry, keep):
        place, state = carry
        seen = jnp.where(index < keep, problem.x, jnp.nan)
        part = replace(problem, x=jnp.where(keep > 0, seen, problem.x))
        loss, slope = jax.vmap(jax.value_and_grad(lambda at: _objective(part, at)))(place)
        slope = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0), slope)
        with default_promotion():
            move, later = jax.vmap(optimiser.update)(slope, state)
            moved = optax.apply_updates(place, move)
        goes_on = keep > 0
        kept = jax.tree.map(
            lambda new, old: jnp.where(goes_on, new, old), (moved, later), (place, state)
        )
        return kept, loss

    (place, state), losses = jax.lax.scan(step, (place, state), keep)
    return place, state, losses


@program
def _objectives(problem: Problem, place):
    return jax.vmap(lambda at: _objective(problem, at))(place)


def _objective(problem: Problem, place: tuple[Array, Array]) -> Float[Array, ""]:
    u = problem.assemble(*place)
    return problem.objective(problem.readings(u), problem.scores(u))[0]


def _sentence(told: Mapping[str, Any]) -> str:
    return (
        f"Trained as a recurrent network of {told['cells']} cells, backwards through time in "
        f"{told['steps']} steps; least squares from there moves no latent by more than "
        f"{told['moved_by_least_squares']:.2g} standard errors."
    )
