"""The row of the coverage of a model's own intervals."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._many import many
from .._model import AbstractDecoder
from ..evaluate import coverage
from ._fitted import shown_of
from ._row import Fitted, Reading, Row

# so many draws that the tenth and the tenth from the end hold exactly 0.9 of another draw
_DRAWS, _END = 199, 10
_MOST, _SLOW = 128, 48
# how many numbers are drawn at a time (32 MB)
_CHUNK_NUMBERS = 2**22


def interval(fitted: Fitted) -> Reading | None:
    """The share of the entries of test observations that lie in the model's central 90 %
    intervals: of the noise about what the codes stand for, by 199 draws of each observation.

    The codes are taken as known, so where few entries make a code the share is somewhat above 0.9;
    of a split within time they are of the training part, and the intervals those of a forecast
    whose only doubt is noise. None of models that state no noise.
    """
    model = fitted.model
    if fitted.codes is None or not isinstance(model, AbstractDecoder):
        return None
    rows = fitted.some(_MOST, slow=_SLOW)
    rows = rows[np.isfinite(fitted.codes[rows]).all(axis=1)]
    if not len(rows):
        return None
    keys = jax.random.split(jax.random.key(fitted.seed), len(rows))
    z = fitted.codes[rows].astype(np.float64)
    some = shown_of(fitted.data).take(rows)
    chunk = max(1, min(16, _CHUNK_NUMBERS // (_DRAWS * some.schema.size)))
    one = eqx.Partial(_ends, model)
    ends = many(one, z, some.conditions, np.asarray(jax.random.key_data(keys)), chunk=chunk)
    low, high = ends[:, 0].astype(np.float64), ends[:, 1].astype(np.float64)
    if not (high > low).any():
        return None
    x = fitted.x[rows]
    seen = ~np.isnan(x)
    return Reading(coverage(low[seen], high[seen], x[seen]).share)


def _ends(model: AbstractDecoder, z: Array, condition: Any, key: Array) -> Array:
    """Both ends of the interval of every entry `(2, *shape)`."""
    keys = jax.random.split(jax.random.wrap_key_data(key), _DRAWS)
    draws = jax.vmap(lambda one: model.decode(z, condition, key=one))(keys)
    draws = jnp.sort(draws, axis=0)
    return jnp.stack([draws[_END - 1], draws[-_END]])


INTERVAL = Row(
    "interval", "coverage of 90 % intervals, 0.9 being right", interval, group="guarantee"
)
