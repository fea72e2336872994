"""The row of disentanglement, where it is known what made the observations."""

import numpy as np

from ..evaluate import Forest, dci
from ._row import Fitted, Reading, Row

_MOST, _LEAST = 300, 60
_PROBE = Forest(trees=20)


def disentangled(fitted: Fitted) -> Reading | None:
    """DCI disentanglement of the codes of test observations: 1 where each latent matters for one
    factor alone (`evaluate.dci`, by random forests).

    None where no two factors that vary are known, and of models with fewer than two latents.
    """
    known, codes = fitted.data.test.factors, fitted.codes
    if known is None or codes is None or codes.shape[1] < 2:
        return None
    rows = fitted.some(_MOST)
    factors, codes = np.asarray(known, np.float64)[rows], codes[rows]
    kept = np.isfinite(codes).all(axis=1) & np.isfinite(factors).all(axis=1)
    if kept.sum() < _LEAST:
        return None
    factors, codes = factors[kept], codes[kept]
    moving = np.ptp(factors, axis=0) > 0
    if moving.sum() < 2:
        return None
    found = dci(codes, factors[:, moving], probe=_PROBE, permutations=0, seed=fitted.seed)
    return Reading(found.disentanglement.value)


DISENTANGLED = Row(
    "disentangled", "disentanglement (DCI)", disentangled, "higher", group="interpretable"
)
