"""The row of coverage: how much of what is real does a model draw?"""

from collections.abc import Sequence

import numpy as np

from ..evaluate import manifold
from ._drawn import drawn
from ._row import Fitted, Reading, Row
from ._words import number

_LEAST = 12


def covered(fitted: Fitted) -> Reading | None:
    """The share of real test observations with a drawn one nearer than their fifth neighbour
    (`evaluate.manifold`, on entries scaled by each channel's deviation); beside it what training
    observations cover in place of drawn ones."""
    found = drawn(fitted)
    if found is None or not found.are(_LEAST):
        return None
    lies = manifold(found.real, found.drawn, others=found.train)
    return Reading(lies.coverage, parts=np.asarray([lies.floors[3]]))


def remark(readings: Sequence[Reading]) -> str:
    """What the training set covers."""
    parts = np.asarray([reading.parts for reading in readings if reading.parts is not None])
    return (
        f"Real ones covered: a copy of the training set covers {number(float(np.median(parts)), 2)}"
        " of the test observations."
    )


COVERED = Row("covered", "real ones covered", covered, "higher", remark=remark, group="generation")
