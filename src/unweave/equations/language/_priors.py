"""The prior that a declaration gives its latents."""

import math

from ..._latents import (
    Prior,
    log_normal,
    log_uniform,
    normal,
    truncated_normal,
    uniform,
)
from ._formulas import Scope
from ._statements import Declared
from ._tokens import EquationError

_MAGNITUDE = 10  # a positive range at least so wide is of unknown magnitude


def prior_of(line: Declared, scope: Scope) -> Prior:
    """The prior of the latents of a line.

    **Raises:** `EquationError` where its numbers make none.
    """
    numbers = [scope.constant(node) for node in line.parameters]
    ends = [scope.constant(node) for node in line.bounds or ()]
    if ends and not ends[0] < ends[1]:
        raise EquationError(
            f"the interval ({ends[0]:g}, {ends[1]:g}) is empty.",
            mend="Give the lower end first.",
            place=line.bounds[0].place if line.bounds else line.place,
        )
    try:
        return _prior(line.family, numbers, ends)
    except ValueError as error:
        raise EquationError(
            str(error), mend="Change the numbers of the prior.", place=line.parameters[0].place
        ) from error


def _prior(family: str, numbers: list[float], ends: list[float]) -> Prior:
    """The prior of a latent.

    **Raises:** `ValueError` where the numbers are none of the family's.
    """
    if family == ">":
        return log_normal(0.0, 1.5)
    if family == "in":
        low, high = ends
        return log_uniform(low, high) if 0 < low <= high / _MAGNITUDE else uniform(low, high)
    if family == "normal":
        return truncated_normal(*numbers, *ends) if ends else normal(*numbers)
    if ends:
        raise ValueError(f"only a normal prior can be cut to an interval, and this is {family}.")
    if family == "log-normal":
        if not numbers[0] > 0:
            raise ValueError(f"the median is {numbers[0]:g}; it must be positive.")
        return log_normal(math.log(numbers[0]), numbers[1])
    return {"uniform": uniform, "log-uniform": log_uniform}[family](*numbers)
