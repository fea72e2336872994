"""The row of the error on data elsewhere, beside that of a model fitted there."""

from ._error import ERROR, mean_squares, of_squares, spread_of
from ._row import Fitted, Reading, Row


def reuse(fitted: Fitted) -> Reading | None:
    r"""The error of the model on the test part of the data elsewhere, without being fitted again;
    the card divides it by that of the same recipe and seed fitted there, so that 1 is as good.

    The measure is that of the held-out error. Where channels have different units both are in
    standard deviations over the same test part.
    """
    other = fitted.elsewhere
    x_hat = None if other is None else fitted.reconstructed(other)
    if other is None or x_hat is None:
        return None
    x = other.test.observations.astype(float)
    return of_squares(mean_squares(x, x_hat, spread_of(x, other.test.schema)))


REUSE = Row("reuse", "error elsewhere, relative", reuse, "lower", beside=ERROR, group="reuse")
