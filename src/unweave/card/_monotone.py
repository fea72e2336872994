"""The row of latents whose effect goes one way."""

import numpy as np

from ._row import Fitted, Reading, Row
from ._turned import turned


def monotone(fitted: Fitted) -> Reading | None:
    """The share of latents, and test observations to turn them at, whose effect goes one way: what
    is decoded moves along the main direction of its change without turning back."""
    found = turned(fitted)
    return None if found is None else Reading(float(np.mean(found.monotone)))


MONOTONE = Row("monotone", "effects that go one way", monotone, "higher", group="manipulation")
