"""The row of the two-sample test: can drawn observations be told from real ones?"""

import functools
from collections.abc import Sequence

import numpy as np

from ..data import Split
from ..evaluate import two_sample
from ._drawn import complete, drawn
from ._row import Fitted, Reading, Row
from ._words import number

# of each kind: four in each of five folds (evaluate.two_sample)
_LEAST = 20
# a fifth of the usual number: enough to tell models apart, in a second each
_KERNELS = 100


def told_apart(fitted: Fitted) -> Reading | None:
    """The accuracy with which drawn observations are told from real test ones, 0.5 being a guess
    (`evaluate.two_sample`); beside it what real ones score against other real ones, and a copy of
    the training set against the test part."""
    found = drawn(fitted)
    if found is None or not found.are(_LEAST):
        return None
    accuracy = two_sample(found.real, found.drawn, kernels=_KERNELS, seed=fitted.seed).accuracy
    return Reading(accuracy, parts=np.asarray(_beside(fitted.data, fitted.seed)))


@functools.lru_cache(maxsize=2)
def _beside(data: Split, seed: int) -> tuple[float, float]:
    """The floor and the ceiling, which no model changes."""
    real, train = complete(data)
    found = two_sample(real, train, kernels=_KERNELS, seed=seed)
    return found.floor, found.accuracy


def remark(readings: Sequence[Reading]) -> str:
    """The floor and the ceiling in a sentence."""
    parts = np.asarray([reading.parts for reading in readings if reading.parts is not None])
    floor, copy = np.median(parts, axis=0)
    return (
        f"Samples told apart: real observations are told from other real ones with an accuracy of "
        f"{number(floor, 2)}, and a copy of the training set with {number(copy, 2)}."
    )


TOLD_APART = Row(
    "told_apart", "samples told apart", told_apart, "lower", remark=remark, group="generation"
)
