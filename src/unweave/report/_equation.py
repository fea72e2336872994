"""What the report is given of a fitted equation: plain words, numbers and arrays, no model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class EquationContent:
    """A fitted equation: its account, the arrays behind its figures, and no model.

    `account` is the `equation` of a run's result: text, LaTeX, latents, noise, starts, verdict
    and what else the fit says of itself. `records` are the names of the observations, in the
    order of the rows of `arrays`, the run's. `phase` is a phase portrait at the fitted values,
    where one was drawn, and `phase_words` are the sentences beside it.
    """

    account: Mapping[str, Any]
    records: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]
    phase: Figure | None = None
    phase_words: tuple[str, ...] = ()

    def __post_init__(self):
        times = self.arrays.get("times")
        if times is not None and len(times) != len(self.records):
            raise ValueError(
                f"{len(self.records)} records were named, and the arrays hold {len(times)}; name "
                "each record once."
            )
