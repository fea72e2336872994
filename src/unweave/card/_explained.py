"""The row of the explained variance."""

from ..evaluate import explained_variance
from ._row import Fitted, Reading, Row


def explained(fitted: Fitted) -> Reading | None:
    """`evaluate.explained_variance` of the test observations by what the model makes of them."""
    if fitted.x_hat is None:
        return None
    shared = len(set(fitted.data.test.schema.units)) == 1
    return Reading(explained_variance(fitted.x, fitted.x_hat, pool_channels=shared))


EXPLAINED = Row("explained_variance", "explained variance", explained, "higher")
