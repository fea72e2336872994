"""The row of the log-density, with its kind."""

import equinox as eqx
import jax
import numpy as np

from .._many import many, real
from .._model import AbstractDensity
from .._noise import AbstractNoise
from .._schema import Schema
from ._row import Fitted, Reading, Row


def density(fitted: Fitted) -> Reading | None:
    r"""The mean of $\log p(x)$ over test observations, in nats per observation.

    Its kind is the model's `density_kind`; models whose noise is one of counts or binary
    pixels give probabilities, which is said as well.
    """
    model = fitted.model
    if not isinstance(model, AbstractDensity):
        return None
    x, test = fitted.x, fitted.data.test
    # a bound decodes several draws of each observation, so fewer go at a time
    each = many(model.log_density, real(test.observations), test.conditions, chunk=64)
    # an observation that another part took whole has nothing to be likely
    seen = ~np.isnan(x).reshape(len(x), -1).all(axis=1)
    each = np.where(seen, each.astype(np.float64), np.nan)
    value = float(each[seen].mean())
    kind = f"{model.density_kind}, of a probability" if _is_discrete(model) else model.density_kind
    return Reading(value, each, kind)


def _is_discrete(model: eqx.Module) -> bool:
    parts = jax.tree.leaves(model, is_leaf=lambda part: isinstance(part, AbstractNoise))
    return any(isinstance(part, AbstractNoise) and part.is_discrete for part in parts)


def _nats(schema: Schema) -> str:
    return "nats per observation"


DENSITY = Row("log_density", "log-density", density, "higher", _nats)
