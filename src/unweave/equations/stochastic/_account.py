"""A fitted stochastic equation in plain numbers, arrays and sentences."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import kurtosis

from ..._course import Course
from ..fitting._account import Account, estimates, ljung_box
from ..fitting._certainty import correlation
from ..fitting._identifiable import identifiability
from ..language._text import TextSystem
from ._fit import StochasticFit
from ._paths import jumps_of
from ._recognise import recognise, transition
from ._transitions import JUMPS, JumpDiffusion, Merton

_SURE = 0.01


def stochastic_account(
    fit: StochasticFit, *, confidence: float = 0.9, records: Sequence[str] | None = None
) -> Account:
    """Everything that a page or a table says of a fitted stochastic equation: estimates with
    intervals, the kind of the likelihood and its bias, what the steps left over.

    **Arguments:** `confidence` of the intervals; `records`, their names, numbers where none are
    given.

    **Raises:** `ValueError` where `confidence` is no share.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it lies between 0 and 1, such as 0.9.")
    equation, sure = fit.equation, fit.certainty
    system, free = equation.system, len(sure.labels)
    called = [str(r) for r in (range(len(fit.z)) if records is None else records)]
    latents = equation.latents.names
    names = tuple(latents[j] if r < 0 else f"{latents[j]}@{called[r]}" for j, r in sure.labels)
    told = identifiability(sure, names)
    arrays, left = _left_over(fit)
    is_text = isinstance(system, TextSystem)
    numbers: dict[str, Any] = {
        "text": system.text if is_text else type(system).__name__,
        "latex": system.latex() if is_text else "",
        "time_unit": system.time_unit,
        "confidence": confidence,
        "likelihood": {"kind": equation.likelihood_kind, "law": equation.law},
        "latents": _estimates(fit, told.status, called, confidence),
        "correlation": {"names": list(names), "matrix": correlation(sure.posterior).tolist()},
        "log_likelihood": fit.log_likelihood,
        "aic": 2 * free - 2 * fit.log_likelihood,
        "bic": free * float(np.log(max(fit.n, 1))) - 2 * fit.log_likelihood,
        "n": fit.n,
        "free": free,
        "starts": {
            "n": len(fit.objectives), "agree": fit.agree, "failed": fit.failed,
            "seconds": round(fit.seconds, 3),
        },
        "identifiability": {
            "sentences": list(told.sentences),
            "determined": list(told.determined),
            "undetermined": [n for n, s in zip(names, told.status, strict=True)
                             if s == "undetermined"],
        },
        "residuals": left,
    }  # fmt: skip
    numbers["verdict"] = [
        _about_starts(fit),
        *_about_likelihood(fit, names),
        *told.sentences,
        *left["sentences"],
    ]
    return Account(numbers, arrays)


def _estimates(
    fit: StochasticFit, status: Sequence[str], called: Sequence[str], confidence: float
) -> list[dict[str, Any]]:
    """The rows of every fit, and by how much Euler's steps bias each that was free."""
    rows = estimates(
        fit.equation.latents, fit.certainty, fit.z, status=status, records=called,
        confidence=confidence,
    )  # fmt: skip
    # the free ones come first
    sizes = [float(b) if np.isfinite(b) else None for b in fit.bias]
    return [row | {"bias": size} for row, size in zip_longest(rows, sizes)]


def _about_starts(fit: StochasticFit) -> str:
    n = len(fit.objectives)
    if fit.agree == n:
        return f"All {n} starts reach the same optimum."
    rest = n - fit.agree - fit.failed
    words = f"{fit.agree} of {n} starts reach the best optimum"
    words += f", {rest} end in a worse one" if rest else ""
    return words + (f", {fit.failed} failed" if fit.failed else "") + "."


def _about_likelihood(fit: StochasticFit, names: Sequence[str]) -> list[str]:
    """How the likelihood is known, and what that does to the estimates."""
    equation = fit.equation
    if equation.is_exact:
        return [f"The likelihood is exact ({equation.law}).", *_left_out(fit)]
    start = f"The likelihood is an {equation.likelihood_kind}"
    if np.isnan(fit.bias).any():
        return [
            f"{start}; the bias was not measured: observe at shorter steps to see whether the "
            "estimates move."
        ]
    sizes = np.where(fit.certainty.is_log, _values(fit), 1.0) * fit.certainty.errors
    parts = [
        f"{name} by {bias:+.2g} ({abs(bias) / size:.1g} of its standard error)"
        for name, bias, size in zip(names, fit.bias, sizes, strict=True)
        if np.isfinite(size) and abs(bias) > 0.1 * size
    ]
    if not parts:
        return [f"{start}, which moves no estimate by more than a tenth of its standard error."]
    return [f"{start}: by half the step, it moves {', '.join(parts)}."]


def _left_out(fit: StochasticFit) -> list[str]:
    """What the truncation of the number of jumps leaves out, where that is not nothing."""
    if recognise(fit.equation.system) not in (JumpDiffusion, Merton):
        return []
    with jax.enable_x64(True):
        law = transition(fit.equation.system, jnp.asarray(fit.z[0]))
        law = law.of_log if isinstance(law, Merton) else law
        assert isinstance(law, JumpDiffusion)
        longest = jnp.asarray(np.diff(fit.times, axis=1).max())
        out = float(law.left_out(longest))
    return [
        f"At most {JUMPS - 1} jumps are counted in a step, which leaves out a probability of "
        f"{out:.0e} in the longest."
    ]


def _values(fit: StochasticFit) -> np.ndarray:
    return np.asarray([fit.z[max(r, 0), j] for j, r in fit.certainty.labels])


def _left_over(fit: StochasticFit) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The steps less their expectation, in standard deviations, and what is odd about them."""
    with jax.enable_x64(True):
        conditions = Course(
            *(None if a is None else jnp.asarray(a) for a in (fit.times, fit.inputs))
        )
        step = jax.vmap(fit.equation.one_step)
        x, z = jnp.asarray(fit.observations), jnp.asarray(fit.z)
        mean, spread = (np.asarray(part) for part in step(x, z, conditions))
    scaled = (fit.observations - mean) / spread
    lag1, chances, again, tails = [], [], [], []
    for c in range(scaled.shape[2]):
        one = [row[~np.isnan(row)] for row in scaled[..., c]]
        rho, p = ljung_box(one)
        lag1.append(rho)
        chances.append(p)
        again.append(ljung_box([row**2 for row in one])[1])
        tails.append(float(kurtosis(np.concatenate(one))))
    names = [state.name for state in fit.equation.system.states]
    sentences = []
    for name, p, q, tail in zip(names, chances, again, tails, strict=True):
        if p is not None and p < _SURE:
            sentences.append(f"The steps of {name} depend on the ones before (p = {p:.1g}).")
        if q is not None and q < _SURE:
            sentences.append(
                f"The size of the steps of {name} depends on the size of the ones before (p = "
                f"{q:.1g}): the noise comes in clusters, which the equation does not have."
            )
        # jumps have heavy tails of their own
        if tail > 1 and not jumps_of(fit.equation.system):
            sentences.append(
                f"The steps of {name} have an excess kurtosis of {tail:.1f} in standard "
                "deviations of the model."
            )
    arrays = {
        "times": fit.times,
        "observed": fit.observations,
        "fitted": mean,
        "residuals": scaled,
        "objectives": fit.objectives,
    }
    left = {"sentences": sentences, "lag1": lag1, "ljung_box_p": chances, "clusters_p": again,
            "excess_kurtosis": tails}  # fmt: skip
    return arrays, left
