"""What is known beside an observation of a course in time."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float


class Course(NamedTuple):
    """The `condition` of an equation: when an observation was sampled, and what drove it.

    `times` `(time,)` in the schema's unit of time, rising, and level where an observation that
    is shorter than others was padded; None where the schema's own times hold. `inputs`
    `(time, input)` at these times; None where nothing drives the equation. Of many observations
    both have a leading axis of one row for each.
    """

    times: Float[Array | np.ndarray, "*n time"] | None = None
    inputs: Float[Array | np.ndarray, "*n time input"] | None = None
