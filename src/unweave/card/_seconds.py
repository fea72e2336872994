"""The row of the time that a fit took."""

from .._schema import Schema
from ._row import Fitted, Reading, Row


def seconds(fitted: Fitted) -> Reading | None:
    """Wall time from training data to fitted model, compilation included."""
    return None if fitted.seconds is None else Reading(fitted.seconds)


def _seconds(schema: Schema) -> str:
    return "s"


SECONDS = Row("seconds", "time to fit", seconds, "lower", _seconds, group="cost")
