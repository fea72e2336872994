"""What a slider has to know of a latent: its name, unit, prior, and how far it is to be turned."""

import math
from dataclasses import dataclass

import numpy as np

from .._latents import Latents, Prior
from .._model import AbstractDecoder
from ._scores import from_scores

# a slider reaches so many standard scores of its prior to either side
_REACH = 3.0
# it reaches at least so far from a centre that is not 0, as a share of it or as a factor: what a
# fit left open of a parameter is too little to see what the parameter does
_SHARE, _FACTOR = 0.5, 2.0
_LOGARITHMIC = ("log-normal", "log-uniform")


@dataclass(frozen=True)
class Slider:
    """One latent as it is turned: from `low` to `high`, evenly in its logarithm where
    `logarithmic`; `centre` is its prior's median, `middle` the prior's central 95 %, `least` and
    `most` the ends of its support (infinite where it has none)."""

    name: str
    unit: str
    prior: str
    low: float
    high: float
    centre: float
    middle: tuple[float, float]
    least: float
    most: float
    logarithmic: bool


def sliders_of(model: AbstractDecoder, codes: np.ndarray | None = None) -> tuple[Slider, ...]:
    """A slider for each latent of `model`; `codes` `(n, latent)` are those of data, which a slider
    always reaches."""
    latents = model.latents
    scores = np.asarray([-_REACH, -1.96, 0.0, 1.96, _REACH])
    quantiles = from_scores(latents, np.repeat(scores[:, None], latents.size, 1))
    return tuple(
        _slider(latents, j, quantiles[:, j], None if codes is None else codes[:, j])
        for j in range(latents.size)
    )


def prior_words(prior: Prior) -> str:
    """A prior in a few words: `normal, 0 ± 1`."""
    numbers = prior.parameters
    if prior.family == "normal":
        return f"normal, {numbers[0]:.3g} ± {numbers[1]:.3g}"
    if prior.family == "log-normal":
        return f"log-normal, {math.exp(numbers[0]):.3g} ×÷ {math.exp(numbers[1]):.3g}"
    words = {"uniform": "even", "log-uniform": "even in its logarithm"}.get(prior.family)
    if words is not None:
        return f"{words}, {numbers[0]:.4g} to {numbers[1]:.4g}"
    mean, std, low, high = numbers
    return f"normal, {mean:.3g} ± {std:.3g}, cut to {low:.4g} to {high:.4g}"


def support_of(prior: Prior) -> tuple[float, float]:
    """The ends of what the prior allows."""
    if prior.family == "normal":
        return -math.inf, math.inf
    if prior.family == "log-normal":
        return 0.0, math.inf
    low, high = prior.parameters[-2:]
    return low, high


def _slider(latents: Latents, j: int, quantiles: np.ndarray, codes: np.ndarray | None) -> Slider:
    prior = latents.priors[j]
    least, most = support_of(prior)
    low, near, centre, far, high = (float(q) for q in quantiles)
    if math.isfinite(least) and math.isfinite(most):
        low, high = least, most
    logarithmic = prior.family in _LOGARITHMIC
    ends = [low, high, *_around(centre, logarithmic)]
    if codes is not None:
        ends += [float(v) for v in codes if np.isfinite(v)]
    low, high = max(min(ends), least), min(max(ends), most)
    if logarithmic and not low > 0:
        low = float(quantiles[0])
    return Slider(
        latents.names[j], latents.units[j], prior_words(prior), low, high, centre, (near, far),
        least, most, logarithmic,
    )  # fmt: skip


def _around(centre: float, logarithmic: bool) -> tuple[float, float]:
    if logarithmic:
        return centre / _FACTOR, centre * _FACTOR
    return centre - _SHARE * abs(centre), centre + _SHARE * abs(centre)
