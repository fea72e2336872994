"""What a fit leaves behind, in plain numbers, arrays and sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2

from ..._latents import Latents
from ...data import Dataset
from ..language._hybrid import formula_of
from ..solving._choose import medians
from ..solving._solve import Grid
from ._certainty import Certainty, correlation, taking_part
from ._evidence import CONFIDENCE, Beside, beside, curves, evidence
from ._identifiable import identifiability, next_measurement
from ._identify import Best
from ._match import support

# of many records the first are asked which reading would help
_MOST_RECORDS = 12
# a latent so near an end of its support lies at it, as a share of the way to its median
_NEAR = 2e-4
# a correlation matrix larger than this is not looked at
_MOST_CORRELATED = 24


@dataclass(frozen=True, eq=False)
class Account:
    """`numbers`, a tree of plain values, and `arrays` by name; see `account`."""

    numbers: dict[str, Any]
    arrays: dict[str, np.ndarray]


def account(best: Best, sure: Certainty, data: Dataset) -> Account:
    """Everything that a page or a table says of a fit: estimates with their intervals, which
    starts agree, what the data determine, which measurement would help, what is left over."""
    names = labels(best, sure, data)
    told = identifiability(sure, names)
    beside_data, beside_line = evidence(best), beside(best)
    lines = curves(best, sure, beside_data, beside_line)
    over, left = _left_over(best, lines["residuals"], len(sure.labels))
    forward = _next(best, sure, data, beside_line)
    rows = estimates(
        best.equation.latents, sure, best.z, status=told.status,
        records=[str(r) for r in data.records], confidence=CONFIDENCE,
    )  # fmt: skip
    system = best.equation.system
    formula = formula_of(system)
    n = int((~np.isnan(np.asarray(best.problem.x))).sum())
    free = len(sure.labels) + (len(best.scale) if best.problem.noise.has_scale else 0)
    likelihood = beside_data.log_likelihood
    numbers: dict[str, Any] = {
        "text": type(system).__name__ if formula is None else formula.text,
        "latex": "" if formula is None else formula.latex(),
        "time_unit": system.time_unit or data.schema.time_unit,
        "confidence": CONFIDENCE,
        "noise": {
            "kind": noise_name(best),
            "scale": (best.scale * np.sqrt(sure.inflate)).tolist(),
            "channels": [v.name for v in system.observables],
            "units": [v.unit for v in system.observables],
        },
        "latents": rows,
        "correlation": _correlations(sure, names),
        "log_likelihood": likelihood,
        "aic": 2 * free - 2 * likelihood,
        "bic": free * float(np.log(max(n, 1))) - 2 * likelihood,
        "n": n,
        "free": free,
        "starts": {
            "n": len(best.objectives),
            "agree": round(best.agree),
            # the mean over records, where each is asked for itself
            "each": round(best.agree, 1) if best.problem.shares_nothing else None,
            "failed": best.failed,
            "matched": best.matched,
            "seconds": round(best.seconds, 3),
        },
        "solver": _solver(best),
        "identifiability": {
            "sentences": list(told.sentences),
            "determined": list(told.determined),
            "undetermined": [
                n for n, how in zip(names, told.status, strict=True) if how == "undetermined"
            ],
        },
        "next": forward,
        "residuals": {"sentences": over, **left},
        "profiles": [],
        "posterior": None,
        "notes": list(best.notes),
    }
    numbers["verdict"] = verdict(numbers)
    objectives = np.sort(best.objectives)
    constant = -beside_data.log_likelihood - best.objective
    return Account(numbers, {**lines, "objectives": objectives + constant})


def labels(best: Best, sure: Certainty, data: Dataset) -> tuple[str, ...]:
    """The free latents by name, with their record where it has its own."""
    names = best.equation.latents.names
    return tuple(names[j] if r < 0 else f"{names[j]}@{data.records[r]}" for j, r in sure.labels)


def noise_name(best: Best) -> str:
    """The word for the noise that was fitted."""
    from ..solving._equation import CURVE_NOISES

    kind = type(best.problem.noise)
    return next(word for word, noise in CURVE_NOISES.items() if type(noise) is kind)


def verdict(numbers: dict[str, Any]) -> list[str]:
    """The fit in a few plain sentences, composed from its numbers alone."""
    starts, sentences = numbers["starts"], []
    if starts["n"] == 1:
        sentences.append("One start was made: whether another would end elsewhere is not known.")
    elif starts["each"] is not None:
        sentences.append(
            f"The records share no latent, and each took its own best start: {starts['each']:g} of "
            f"{starts['n']} reach it, on average."
        )
    elif starts["agree"] == starts["n"]:
        near = ", each brought near it by the slopes of the data" if starts["matched"] else ""
        sentences.append(f"All {starts['n']} starts reach the same optimum{near}.")
    else:
        rest = starts["n"] - starts["agree"] - starts["failed"]
        parts = [f"{starts['agree']} of {starts['n']} starts reach the best optimum"]
        if rest:
            parts.append(f"{rest} end in a worse one")
        if starts["failed"]:
            parts.append(f"{starts['failed']} failed where the equation has no finite solution")
        sentences.append(", ".join(parts) + ".")
        if starts["agree"] < max(2, 0.1 * (starts["n"] - starts["failed"])):
            sentences.append(
                "So few agree that a better optimum may have been missed: give more --starts, or "
                "narrower ranges."
            )
    sentences += numbers["identifiability"]["sentences"]
    sentences += _at_ends(numbers["latents"])
    sentences += numbers["residuals"]["sentences"]
    if numbers["next"] is not None:
        sentences.append(numbers["next"]["sentence"])
    return sentences


def _at_ends(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each latent that lies at an end of its range, and one for all that do so in
    several records."""
    ends: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["status"].startswith("at its"):
            ends.setdefault(row["name"], []).append(row)
    sentences = []
    for name, held in ends.items():
        if len(held) == 1:
            record, where = held[0]["record"], held[0]["status"]
            of = "" if record is None else f" of record {record}"
            sentences.append(f"{name}{of} lies {where}: the range, not the data, holds it there.")
    many = [f"{name} (in {len(held)} records)" for name, held in ends.items() if len(held) > 1]
    if many:
        sentences.append(f"At an end of its range, held there by it, lies {', '.join(many)}.")
    return sentences


def estimates(
    latents: Latents,
    sure: Certainty,
    z: Float[np.ndarray, "record latent"],
    *,
    status: Sequence[str],
    records: Sequence[str],
    confidence: float,
) -> list[dict[str, Any]]:
    """A row for each free latent with its interval and `status`, in the order of `sure.labels`,
    then one for each that was held fixed."""
    rows, middles, errors = [], medians(latents), sure.errors
    lows, highs = sure.intervals(confidence)
    for k, (j, r) in enumerate(sure.labels):
        value, (lower, upper) = float(z[max(r, 0), j]), support(latents, j)
        row = _row(latents, j, value)
        row["record"] = None if r < 0 else records[r]
        row["standard_error"] = _number(errors[k] * (value if sure.is_log[k] else 1.0))
        row["low"], row["high"] = _number(max(lows[k], lower)), _number(min(highs[k], upper))
        row["status"] = _end(value, lower, upper, float(middles[j])) or status[k]
        rows.append(row)
    free = {j for j, _ in sure.labels}
    held = [j for j in range(latents.size) if j not in free]
    return rows + [_row(latents, j, float(z[0, j])) for j in held]


def _row(latents: Latents, j: int, value: float) -> dict[str, Any]:
    """The row of a latent that was held fixed."""
    return {
        "name": latents.names[j], "unit": latents.units[j], "record": None, "estimate": value,
        "standard_error": None, "low": None, "high": None, "status": "fixed",
    }  # fmt: skip


def _end(value: float, lower: float, upper: float, middle: float) -> str:
    """Which end of its support a value lies at, if at one."""
    # the way to the median says how near is near: a support may have only one end
    if value - lower < _NEAR * (middle - lower):
        return "at its lower bound"
    return "at its upper bound" if upper - value < _NEAR * (upper - middle) else ""


def _correlations(sure: Certainty, names: Sequence[str]) -> dict[str, Any]:
    shown = [k for k, (_, r) in enumerate(sure.labels) if r < 0]
    if len(names) <= _MOST_CORRELATED:
        shown = list(range(len(names)))
    matrix = correlation(sure.posterior)[np.ix_(shown, shown)]
    return {"names": [names[k] for k in shown], "matrix": np.round(matrix, 6).tolist()}


def _solver(best: Best) -> dict[str, Any]:
    method = best.equation.method
    grid = isinstance(method, Grid)
    return {
        "method": "grid" if grid else "stiff" if getattr(method, "stiff", False) else "explicit",
        "substeps": method.substeps if grid else None,
        "error": best.solver_error,
    }


def _left_over(best: Best, residuals: np.ndarray, free: int) -> tuple[list[str], dict[str, Any]]:
    """Whether what `free` fitted numbers leave looks like noise: lag-one autocorrelation and the
    Ljung–Box test (Ljung and Box 1978) of each channel, over all records."""
    lag1, p_values, sentences = [], [], []
    share = free / max(int((~np.isnan(np.asarray(best.problem.x))).sum()), 1)
    for c, variable in enumerate(best.equation.system.observables):
        rho, p = ljung_box([row[~np.isnan(row)] for row in residuals[:, :, c]])
        lag1.append(rho)
        p_values.append(p)
        # fitting takes a share of the noise away, which alone leaves such a correlation
        if p is not None and p < 0.01 and not -2 * share < rho < 0:
            how = "like their neighbours" if rho > 0 else "unlike their neighbours"
            sentences.append(
                f"The residuals of {variable.name} are {how} (correlation {rho:.2f}, Ljung–Box "
                f"p = {p:.1g}): the equation misses something there, and the intervals are too "
                "narrow."
            )
    return sentences, {"lag1": lag1, "ljung_box_p": p_values}


def ljung_box(series: Sequence[np.ndarray]) -> tuple[float, float | None]:
    r"""Lag-one autocorrelation, and the p-value of $Q = n (n + 2) \sum_k \hat\rho_k^2 / (n - k)$
    over up to ten lags; None for fewer than 12 numbers."""
    n = sum(len(row) for row in series)
    if n < 12:
        return 0.0, None
    centre = np.concatenate(list(series)).mean()
    square = sum(float(((row - centre) ** 2).sum()) for row in series)
    if square <= 0:
        return 0.0, None
    lags = min(10, n // 5)
    rho = [
        sum(
            float(((row[k:] - centre) * (row[:-k] - centre)).sum())
            for row in series
            if len(row) > k
        )
        / square
        for k in range(1, lags + 1)
    ]
    q = n * (n + 2) * sum(r**2 / (n - k) for k, r in enumerate(rho, 1))
    return rho[0], float(chi2.sf(q, lags))


def _next(best: Best, sure: Certainty, data: Dataset, line: Beside) -> dict[str, Any] | None:
    """The one reading more, within the record or half as long again, that would tell most."""
    system = best.equation.system
    some, ahead = slice(0, _MOST_RECORDS), slice(line.fine, None)
    eta, slopes = line.look.eta[some, ahead], line.look.slopes[some, ahead]
    every, information = line.at[some, ahead], line.look.information[some, ahead].reshape(-1)
    design = np.zeros((*eta.shape, len(sure.labels)))
    for r, rows in enumerate(slopes):
        places, columns = taking_part(sure.labels, r)
        design[r][..., places] = rows[..., columns]
    rows = design.reshape(eta.size, -1)
    good = np.asarray(np.isfinite(rows).all(axis=1))
    gain, shrink = next_measurement(
        sure, np.where(good[:, None], rows, 0.0), np.where(good, information, 0.0)
    )
    if not gain.max() > 0.02:
        return None
    at = int(np.argmax(gain))
    record, step, channel = np.unravel_index(at, eta.shape)
    worst = int(np.argmax(np.sqrt(np.diag(sure.posterior)) / sure.width))
    name, unit = system.observables[channel].name, system.time_unit or data.schema.time_unit
    where = "" if len(data) == 1 else f" of record {data.records[record]}"
    time = float(every[record, step])
    sentence = f"The next reading that would tell most is {name}{where} at {time:.4g} {unit}"
    sentence = sentence.rstrip()
    if shrink[at] < 0.95:
        label = labels(best, sure, data)[worst]
        sentence += f": it would narrow {label}, the least known, by {100 * (1 - shrink[at]):.0f} %"
    sentence += "."
    return {"sentence": sentence, "channel": name, "time": time}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
