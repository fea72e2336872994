"""The whole way from recordings to a fitted equation: search, certainty, account, model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._marginal import Marginal
from ...data import Dataset
from .._system import AbstractSystem
from ..language._text import parse
from ._account import account, labels
from ._certainty import Certainty
from ._evidence import CONFIDENCE
from ._fitted import fitted_model
from ._identify import Best, search
from ._posterior import posterior
from ._profile import profiles

# what records have of their own is counted so far: its covariance has as many rows
_MOST_OWN = 1024


@dataclass(frozen=True, eq=False)
class EquationFit:
    """A fitted equation: the `model`, what the search found (`best`), how sure it is
    (`certainty`), and the `account` of it in plain values, sentences and arrays."""

    model: Marginal
    best: Best
    certainty: Certainty
    account: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @property
    def estimates(self) -> dict[str, float]:
        """The fitted latents by name; with `@record` where a record has its own."""
        return {_label(row): row["estimate"] for row in self.account["latents"]}

    def __str__(self) -> str:
        return "\n".join([*table(self.account), *self.account["verdict"]])


def fit_equation(
    source: str | AbstractSystem,
    data: Dataset,
    *,
    starts: int = 32,
    noise: str | None = None,
    fixed: Mapping[str, float] | None = None,
    profile: bool = False,
    sample_posterior: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
    seed: int = 0,
) -> EquationFit:
    r"""Fits an equation to recordings by maximum likelihood, and says how sure it is.

    Starts are spread over the priors' ranges; each is brought near by matching the rates to the
    data's slopes where every state is observed, then follows Levenberg and Marquardt. Latents
    that a record has of its own (initial states, most often) are fitted for every record, the
    others once for all.

    **Arguments:** `source`, the equation's text or a system; `data`, one observation a record,
    from `trajectories` or `series`; `starts`; `noise`, one of gaussian, log-normal, student-t
    and poisson, its scale estimated for every channel; `fixed`, values of latents that are
    known (`{"g": 9.81}`, or `{"x2(0)@Pc": 0}` in one record); `profile`, whether profile
    likelihoods are made; `sample_posterior`, whether the posterior is sampled; `say` hears in
    sentences of what is being done.

    **Raises:** `EquationError` for a wrong text, `FitError` where data and equation do not fit
    each other or no start leads anywhere.
    """
    system = parse(source) if isinstance(source, str) else source
    data, left_out = _enough_records(system, data)
    best = search(system, data, starts=starts, noise=noise, fixed=fixed, say=say, seed=seed)
    say(f"{best.agree:.3g} of {starts} starts agree; asking how sure they are")
    sure = best.certainty()
    told = account(best, sure, data)
    numbers, arrays = told.numbers, dict(told.arrays)
    numbers["records"] = data.records.astype(str).tolist()
    if left_out:
        numbers["notes"].append(
            f"{left_out} records more were not fitted: how what each has of its own is spread is "
            f"known from {len(data)}."
        )
    if profile:
        say("profile likelihoods")
        made = profiles(best, sure, confidence=CONFIDENCE)
        numbers["profiles"] = [
            {"name": p.name, "unit": p.unit, "low": p.low, "high": p.high} for p in made
        ]
        arrays["profile_values"] = np.stack([p.values for p in made])
        arrays["profile_objectives"] = np.stack([p.objectives for p in made])
    if sample_posterior:
        say("sampling the posterior")
        names = labels(best, sure, data)
        drawn = posterior(best, sure, names, seed=seed)
        numbers["posterior"] = {
            "names": list(names),
            "draws": int(np.prod(drawn.draws.shape[:2])),
            "divergences": drawn.divergences,
            "r_hat": drawn.r_hat.tolist(),
            "sentences": drawn.sentences,
        }
        arrays["posterior"] = drawn.draws
    return EquationFit(fitted_model(best, sure), best, sure, numbers, arrays)


def _enough_records(system: AbstractSystem, data: Dataset) -> tuple[Dataset, int]:
    """At most so many records that their own latents stay a thousand, evenly spread over all."""
    most = max(8, _MOST_OWN // max(sum(system.is_own), 1))
    kept = data.thinned(most)
    return kept, len(data) - len(kept)


def table(numbers: Mapping[str, Any]) -> list[str]:
    """The estimates, a line each: name, value, standard error, interval, unit."""
    rows = []
    for row in numbers["latents"]:
        error = "" if row["standard_error"] is None else f"± {row['standard_error']:.3g}"
        ends = (
            ""
            if row["low"] is None or row["high"] is None
            else f"[{row['low']:.4g}, {row['high']:.4g}]"
        )
        rows.append(
            (_label(row), f"{row['estimate']:.5g}", error, ends, row["unit"], row["status"])
        )
    wide = [max(len(row[c]) for row in rows) for c in range(6)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip()
        for row in rows
    ]


def _label(row: Mapping[str, Any]) -> str:
    return row["name"] if row["record"] is None else f"{row['name']}@{row['record']}"
