"""The row of the memory that a fit took."""

from .._schema import Schema
from ._row import Fitted, Reading, Row


def memory(fitted: Fitted) -> Reading | None:
    """The most that the process held in memory during the fit beyond what it held before, in MB
    of $10^6$ bytes, compilation included.

    Memory that an earlier fit had taken and freed is used again and not seen, so that the first
    fit of a kind says most. None where the system does not say, or the fit went on from another.
    """
    return None if fitted.memory is None else Reading(fitted.memory)


def _megabytes(schema: Schema) -> str:
    return "MB"


MEMORY = Row("memory", "memory to fit", memory, "lower", _megabytes, group="cost")
