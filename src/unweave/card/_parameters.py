"""The row of the number of parameters."""

import equinox as eqx
import jax

from .._model import AbstractDecoder
from ._row import Fitted, Reading, Row


def parameters(fitted: Fitted) -> Reading:
    """How many numbers were fitted: all floats of the model's arrays, and of an equation, whose
    text is given, its latents."""
    model = fitted.model
    if fitted.recipe == "equation" and isinstance(model, AbstractDecoder):
        return Reading(float(model.latents.size))
    arrays = jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))
    return Reading(float(sum(array.size for array in arrays)))


PARAMETERS = Row("parameters", "fitted numbers", parameters, "lower")
