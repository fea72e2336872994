"""The row of the error that a second measurement of the same thing would show."""

import numpy as np

from ._error import error, unit_of_error
from ._row import Fitted, Reading, Row


def repeated(fitted: Fitted) -> Reading | None:
    r"""The held-out error (`error`) by generalised cross-validation: each square divided by
    $(1 - \varphi)^2$, $\varphi$ being how much of an observation's noise the model copies
    (`Fitted.copied`).

    Whoever encodes and decodes an observation takes over some of its noise, the more so the more
    latents there are, and its residual is smaller than its error. Of a second measurement of the
    same thing, with noise of its own, nothing can be copied (Craven and Wahba 1978, Numerische
    Mathematik 31:377; with the degrees of freedom of Ye 1998). A forecast is left as it is.
    """
    found, copied = error(fitted), fitted.copied
    if found is None or copied is None or found.each is None or copied >= 1:
        return None
    scale = 1 - copied
    return Reading(found.value / scale, found.each / scale**2)


REPEATED = Row(
    "repeated", "error of a second measurement", repeated, "lower", unit_of_error, np.sqrt,
    everywhere=True,
)  # fmt: skip
