"""What each model leaves over of the test observations; kept for `_missed`, not shown."""

import numpy as np

from .._rows import evenly
from ._row import Fitted, Reading, Row

#: Test observations whose residuals are kept.
MOST = 200


def left_over(fitted: Fitted) -> Reading | None:
    r"""$x - \hat x$ of up to `MOST` test observations as parts; the value is how
    much of an observation's noise is copied (`Fitted.copied`)."""
    if fitted.x_hat is None or fitted.copied is None:
        return None
    residuals = (fitted.x - fitted.x_hat)[kept_rows(len(fitted.x))]
    return Reading(fitted.copied, parts=residuals.astype(np.float32))


def kept_rows(n: int) -> np.ndarray:
    """Which of `n` test observations are kept: evenly spread over all of them."""
    return evenly(n, MOST)


LEFT_OVER = Row("left_over", "residuals kept", left_over, hidden=True)
