"""From the text of any equation, ordinary or stochastic, and recordings to a fitted model."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._model import AbstractDecoder
from ..data import Dataset
from ._system import AbstractSystem
from .fitting._evidence import CONFIDENCE
from .fitting._fit import fit_equation
from .fitting._fitted import narrowed
from .fitting._match import initial_latents
from .fitting._prepare import FitError, courses
from .language._text import parse
from .stochastic._account import stochastic_account
from .stochastic._equation import StochasticEquation, stochastic_equation, why_no_likelihood
from .stochastic._fit import fit_stochastic
from .stochastic._returns import Returns, as_prices


def solve_equation(
    text: str,
    data: Dataset,
    *,
    starts: int = 32,
    noise: str | None = None,
    fixed: Mapping[str, float] | None = None,
    profile: bool = False,
    sample_posterior: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
    seed: int = 0,
) -> tuple[AbstractDecoder, dict[str, Any], dict[str, np.ndarray]]:
    """The fitted model of a text with its account and arrays, whether it is an ordinary equation
    (as `fit_equation`) or a stochastic one (as `fit_stochastic`)."""
    system = parse(text)
    if not (system.noises or system.jumps):
        done = fit_equation(
            system, data, starts=starts, noise=noise, fixed=fixed, profile=profile,
            sample_posterior=sample_posterior, say=say, seed=seed,
        )  # fmt: skip
        return done.model, done.account, done.arrays
    if noise or fixed or profile or sample_posterior:
        raise FitError(
            "a stochastic equation is fitted by its transition density: it takes no noise of a "
            "measurement, no fixed latents (write their values into the text), no profiles and no "
            "posterior."
        )
    times, inputs = courses(system, data)
    x = np.asarray(data.observations, np.float64)
    of_returns, before = data.schema.transform == "log-return", 1.0
    if of_returns:
        _check_shared(system, inputs)
        x, moments, before = as_prices(system, x, times, data.schema.time_unit)
        times = np.tile(moments, (len(x), 1))
    model = stochastic_equation(system, times=np.unique(times[0]))
    if not isinstance(model, StochasticEquation):
        raise FitError(why_no_likelihood(system))
    say(f"{starts} starts, {model.likelihood_kind} likelihood")
    driven = inputs if inputs.shape[2] else None
    found = fit_stochastic(model, x, times, inputs=driven, starts=starts, key=jax.random.key(seed))
    told = stochastic_account(
        found, confidence=CONFIDENCE, records=data.records.astype(str).tolist()
    )
    own = np.asarray(system.is_own) if len(x) > 1 else np.zeros(system.latents.size, bool)
    free = np.zeros(found.z.shape, dtype=bool)
    for j, r in found.certainty.labels:
        free[slice(None) if r < 0 else r, j] = True
    known = narrowed(system.latents, found.certainty, found.z, free, own)
    fitted = replace(model, known=known)
    if of_returns:
        returns = Returns(  # pyright: ignore[reportCallIssue]
            equation=fitted,
            z=jnp.asarray(found.z[0]),
            start=before,
            place=initial_latents(system, system.latents).get(0),
        )
        return returns, told.numbers, told.arrays
    return fitted, told.numbers, told.arrays


def _check_shared(system: AbstractSystem, inputs: np.ndarray) -> None:
    """Windows of returns are of one price, each begun anew."""
    begun = list(initial_latents(system, system.latents).values())
    if np.delete(np.asarray(system.is_own), begun).any() or inputs.shape[2]:
        raise FitError(
            "windows of log-returns share all latents and have no inputs; write the equation "
            "without 'per record' and without inputs, or read the prices with --transform level."
        )
