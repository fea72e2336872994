"""The row of whether a latent that is set comes back."""

import numpy as np

from ._row import Fitted, Reading, Row
from ._turned import Turned, median_over_latents


def arrives(fitted: Fitted) -> Reading | None:
    """The linear correlation of the values that a latent was set to and those that the encoder
    reads off what was decoded, over test observations and values; the median over latents."""
    value = median_over_latents(fitted, _correlation)
    return None if value is None else Reading(value)


def _correlation(found: Turned, i: int) -> float:
    back = found.returned[i, :, :, found.places[i]]
    asked = np.broadcast_to(found.asked[i], back.shape)
    seen = np.isfinite(back)
    if seen.sum() < 2:
        return float("nan")
    # what does not move at all follows nothing
    if np.ptp(back[seen]) == 0:
        return 0.0
    return float(np.corrcoef(asked[seen], back[seen])[0, 1])


ARRIVES = Row("arrives", "a latent set comes back", arrives, "higher", group="manipulation")
