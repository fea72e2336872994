"""What a row of the card is, and what it reads off a fitted model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from .._schema import Schema
from ._fitted import Fitted as Fitted

Better: TypeAlias = Literal["lower", "higher", "neither"]


@dataclass(frozen=True, eq=False)
class Reading:
    """One number of one fitted model.

    `each` `(n,)` are the parts that belong to single test observations, of whose mean `value`
    is made, by which two models are compared in pairs; None where there are none. `kind` says
    what the number is where there are several kinds. `parts`, numbers of any shape from which
    the row makes its value of all seeds together (`Row.across`), or which a figure draws.
    """

    value: float
    each: np.ndarray | None = None
    kind: str = ""
    parts: np.ndarray | None = None


def _itself(mean: np.ndarray) -> np.ndarray:
    return mean


def _no_unit(schema: Schema) -> str:
    return ""


@dataclass(frozen=True)
class Row:
    """A row of the card: one measure, of every recipe.

    **Arguments:** `name`, one word, by which results are kept; `title`, what a reader sees;
    `measure(fitted)`, the `Reading` of one fitted model, or None where it has none; `better`,
    which direction is; `unit(schema)`; `of_mean`, what makes the value of the mean of `each`
    (a root, for a root mean square); `curve`, whether it is shown at every share of the
    training data; `everywhere`, whether it is measured at every share; `across(readings)`, the
    readings of all seeds made of each other, where one fit alone has no such number; `beside`,
    a row by whose reading of the same recipe and seed, fitted to the data elsewhere, the value is
    divided; `remark(readings)`, a sentence of the card made of all readings that there are;
    `group`, the heading that it stands under; `hidden`, whether the card keeps it and does not
    show it; `version`, to be raised when the measure changes: numbers of two versions never meet
    in one row.
    """

    name: str
    title: str
    measure: Callable[[Fitted], Reading | None]
    better: Better = "neither"
    unit: Callable[[Schema], str] = _no_unit
    of_mean: Callable[[np.ndarray], np.ndarray] = _itself
    curve: bool = False
    everywhere: bool = False
    across: Callable[[Sequence[Reading]], Sequence[Reading]] | None = None
    beside: "Row | None" = None
    remark: Callable[[Sequence[Reading]], str] | None = None
    group: str = "accuracy"
    hidden: bool = False
    version: int = 1

    @property
    def key(self) -> str:
        """The name by which readings are kept in a file."""
        return f"{self.name}/{self.version}"
