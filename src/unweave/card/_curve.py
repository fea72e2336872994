"""The rows of the learning curves: error and log-density at every share of the training data."""

from dataclasses import replace

from .._model import AbstractDensity
from ._density import DENSITY, density
from ._fitted import Fitted
from ._repeated import REPEATED
from ._row import Reading

CURVE = replace(
    REPEATED, name="curve", title="error of a second measurement", curve=True, group="data needed",
    version=2,
)  # fmt: skip


def exact_density(fitted: Fitted) -> Reading | None:
    """The log-density where it is known exactly: bounds and estimates move for other reasons than
    the data, and take long."""
    model = fitted.model
    if not isinstance(model, AbstractDensity) or model.density_kind != "exact":
        return None
    return density(fitted)


DENSITY_CURVE = replace(
    DENSITY, name="density_curve", title="exact log-density",
    measure=exact_density, curve=True, group="data needed",
)  # fmt: skip
