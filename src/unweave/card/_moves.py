"""The row of how far a latent moves the observation."""

from ._error import unit_of_error
from ._row import Fitted, Reading, Row
from ._turned import Turned, median_over_latents


def moves(fitted: Fitted) -> Reading | None:
    """The root mean square change of an observation for each standard deviation of a latent's
    codes, from end to end of the middle 90 % of these; the mean over test observations, and the
    median over latents. In the unit of the error."""
    value = median_over_latents(fitted, _mean)
    return None if value is None else Reading(value)


def _mean(found: Turned, i: int) -> float:
    return float(found.moved[i].mean())


MOVES = Row("moves", "effect of a latent", moves, unit=unit_of_error, group="manipulation")
