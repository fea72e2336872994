"""The row of memorisation: does a model draw what it was trained on?"""

from ..evaluate import memorisation
from ._drawn import drawn
from ._row import Fitted, Reading, Row

_LEAST = 4


def memorised(fitted: Fitted) -> Reading | None:
    """The median distance of drawn observations to the nearest training one, over that of held-out
    ones (`evaluate.memorisation`): near 1 of a model that draws what is new, near 0 of one that
    copies. Much above 1 draws lie far from all that is real."""
    found = drawn(fitted)
    if found is None or not found.are(_LEAST):
        return None
    return Reading(memorisation(found.train, found.real, found.drawn).ratio)


MEMORISED = Row(
    "memorised", "distance to training data, 1 as of new data", memorised, group="generation"
)
