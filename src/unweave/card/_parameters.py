"""The row of the number of parameters."""

from .._model import AbstractDecoder
from ..networks.schemes import parameters as trainable
from ._row import Fitted, Reading, Row


def parameters(fitted: Fitted) -> Reading:
    """How many numbers were fitted: all floats of the model's arrays, and of an equation, whose
    text is given, its latents."""
    model = fitted.model
    known = model.latents.size if isinstance(model, AbstractDecoder) else 0
    if fitted.recipe in ("equation", "rnn-solver"):
        return Reading(float(known))
    both = known if fitted.recipe in ("hybrid", "neural-ode") else 0
    return Reading(float(both + trainable(model)))


PARAMETERS = Row("parameters", "fitted numbers", parameters, "lower", group="cost")
