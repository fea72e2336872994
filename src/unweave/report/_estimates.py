"""An equation's account in words and rows, each written once for the page and the article."""

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from ._words import capital, count, duration, number

Account = Mapping[str, Any]
#: A number out of JSON, where a whole one has no decimal point.
Real = float | int

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_METHODS = {
    "grid": "the classical Runge–Kutta method on the data's own times, {substeps} in each interval",
    "explicit": "an explicit method with automatic steps",
    "stiff": "an implicit method for stiff equations with automatic steps",
}
_NOISES = {
    "gaussian": "Gaussian noise with standard deviation {}",
    "log-normal": "log-normal noise whose logarithm has standard deviation {}",
    "student-t": "Student's t noise of scale {}",
    "poisson": "Poisson noise",
}


def estimate_of(latent: Mapping[str, Any]) -> str:
    """A latent's estimate and standard error, to the digits that the error leaves."""
    return measured(latent["estimate"], latent["standard_error"])


def interval_of(latent: Mapping[str, Any]) -> str:
    """A latent's interval, to the digits of its estimate; "open" where it has no end."""
    low, high = latent["low"], latent["high"]
    if low is None and high is None:
        return ""
    error = latent["standard_error"]
    if not _known(error) and _known(low) and _known(high):
        error = (high - low) / 4
    places, power = _digits(latent["estimate"], error)
    ends = [_fixed(end, places, power) if _known(end) else "open" for end in (low, high)]
    return f"{ends[0]} to {ends[1]}{_times(power)}"


def measured(value: Real | None, error: Real | None) -> str:
    """`value ± error` with two digits of the error, or four digits where there is none."""
    if not _known(value):
        return "not known"
    places, power = _digits(value, error)
    if not _known(error):
        return _fixed(value, places, power) + _times(power)
    both = f"{_fixed(value, places, power)} ± {_fixed(error, places, power)}"
    return f"({both}){_times(power)}" if power else both


def is_determined(latent: Mapping[str, Any]) -> bool:
    """Whether the data say what this latent is."""
    return latent["status"] == "determined"


def rows_of(account: Account, *, own: bool) -> list[tuple[str, str, str, str, str, str]]:
    """Record, name, estimate, interval, unit and status of each latent: of those that every
    record has its own of, or of those that all share."""
    return [
        (row["record"] or "", row["name"], estimate_of(row), interval_of(row), row["unit"],
         row["status"])
        for row in account["latents"]
        if (row["record"] is not None) == own
    ]  # fmt: skip


def headline_of(account: Account) -> list[tuple[str, str]]:
    """The few numbers at the top of the page: value, name."""
    starts = account["starts"]
    fitted = [row for row in account["latents"] if row["status"] != "fixed"]
    return [
        (f"{sum(map(is_determined, fitted))} of {len(fitted)}", "latents determined"),
        (f"{starts['agree']} of {starts['n']}", "starts agree"),
        (number(float(account["log_likelihood"])), "nats, log-likelihood"),
        (duration(starts["seconds"]), "to fit"),
    ]


def facts_of(account: Account) -> list[tuple[str, str]]:
    """What the fit rests on: name, words."""
    starts = account["starts"]
    failed = starts["failed"]
    facts = [
        ("Observed numbers", f"{account['n']:,}, {account['free']} fitted"),
        ("Noise", capital(noise_of(account))),
        ("Solver", capital(solver_of(account))),
        ("Starts", f"{starts['agree']} of {starts['n']} agree"
         + (f", {failed} failed" if failed else "")),
        ("Log-likelihood", f"{number(float(account['log_likelihood']))} nats"),
    ]  # fmt: skip
    names = {"aic": "Akaike's criterion", "bic": "Bayes' criterion"}
    facts += [
        (words, number(float(account[k]))) for k, words in names.items() if account[k] is not None
    ]
    undetermined = account["identifiability"]["undetermined"]
    if undetermined:
        facts.append(("Not determined", ", ".join(undetermined)))
        together = account["identifiability"]["determined"]
        facts.append(("Determined", ", ".join(together) or "nothing"))
    return facts


def noise_of(account: Account) -> str:
    """The noise with its scale in each channel, such as "Gaussian noise with …"."""
    noise = account["noise"]
    scales = noise["scale"] or ()
    # a log-normal's scale is that of a logarithm, which has no unit
    units = [""] * len(scales) if noise["kind"] == "log-normal" else noise["units"]
    each = [
        f"{_rounded(scale, 3)} {unit}".strip() + (f" in {channel}" if len(scales) > 1 else "")
        for scale, unit, channel in zip(scales, units, noise["channels"], strict=False)
    ]
    kind = str(noise["kind"])
    return _NOISES.get(kind, f"{kind} noise").format(", ".join(each))


def has_scale(account: Account) -> bool:
    """Whether the noise has a scale, which was fitted; counts have none."""
    return "{}" in _NOISES.get(account["noise"]["kind"], "{}")


def solver_of(account: Account) -> str:
    """How the equation was solved, and how far that is from a solve of automatic steps."""
    solver = account["solver"]
    steps = solver["substeps"] or 1
    substeps = f"{count(steps)} step{'' if steps == 1 else 's'}"
    method = str(solver["method"])
    words = _METHODS.get(method, method).format(substeps=substeps)
    if solver["error"] is None:
        return words
    error = _rounded(solver["error"], 2)
    return f"{words}; at most {error} standard deviations of the noise from an adaptive solve"


def residual_words(account: Account) -> list[str]:
    """What is said of the residuals, and the numbers behind it for each channel."""
    found = account["residuals"]
    sentences = list(found["sentences"])
    if not sentences and found["ljung_box_p"] and all(map(_known, found["ljung_box_p"])):
        sentences.append("No correlation in time is seen in what is left over.")
    tests = [
        f"{channel}: correlation of neighbours {float(lag):.2f}"
        + (f", Ljung–Box p = {_probability(p)}" if _known(p) else "")
        for channel, lag, p in zip(
            account["noise"]["channels"], found["lag1"], found["ljung_box_p"], strict=False
        )
        if _known(lag)
    ]
    return [*sentences, "; ".join(tests) + "."] if tests else sentences


def posterior_words(account: Account) -> list[str]:
    """What is said of the posterior, and how it was drawn; nothing where there is none."""
    posterior = account["posterior"]
    if not posterior:
        return []
    drawn = f"{posterior['draws']:,} draws, {count(posterior['divergences'])} divergences"
    r_hat = posterior["r_hat"]
    worst = f", largest R-hat {r_hat:.3f}" if _known(r_hat) else ""
    return [*posterior["sentences"], f"{drawn}{worst}."]


def _rounded(value: Real, digits: int) -> str:
    return number(float(f"{value:.{digits}g}"))


def _probability(p: Real) -> str:
    return f"{p:.2g}" if p >= 1e-4 else "below 0.0001"


def _known(value: Real | None) -> TypeGuard[Real]:
    return value is not None and math.isfinite(value)


def _digits(value: Real, error: Real | None) -> tuple[int, int]:
    """How many decimals, after a power of ten is taken out of what is very large or small."""
    size = max(abs(value), abs(error) if _known(error) else 0.0)
    order = math.floor(math.log10(size)) if size > 0 else 0
    power = order if not -4 < order < 6 else 0
    if not _known(error) or error == 0:
        return max(0, 3 - order + power), power
    fine = math.floor(math.log10(abs(error)))
    return min(max(0, 1 - fine + power), 12), power


def _fixed(value: Real, places: int, power: int) -> str:
    return f"{value / 10.0**power:,.{places}f}".replace("-", "−")


def _times(power: int) -> str:
    return f" × 10{str(power).translate(_RAISED)}" if power else ""
