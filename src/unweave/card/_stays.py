"""The row of how far the other latents move when one is set."""

import numpy as np

from ._row import Fitted, Reading, Row
from ._turned import Turned, median_over_latents


def stays(fitted: Fitted) -> Reading | None:
    r"""How far the other latents move where one is set,
    $\sqrt{\sum_{j \ne i} \mathrm{var}\, z_j / \mathrm{var}\, z_i}$: the variances over the values
    that latent $i$ is set to, of the others as the encoder reads them off what was decoded, in
    standard deviations of the codes, averaged over test observations. The median over latents;
    0 where every other one stays. None of models with one latent.
    """
    value = median_over_latents(fitted, _others)
    return None if value is None else Reading(value)


def _others(found: Turned, i: int) -> float:
    back = np.delete(found.returned[i], found.places[i], axis=-1)
    back = back[np.isfinite(back).all(axis=(1, 2))]
    if not back.size:
        return float("nan")
    moved = back.var(axis=1).sum(axis=-1).mean()
    return float(np.sqrt(moved / found.asked[i].var()))


STAYS = Row("stays", "other latents moved by it", stays, "lower", group="manipulation")
