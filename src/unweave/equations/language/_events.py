"""What happens to a state at an instant: events that its own course causes, and random jumps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Array

#: A function (t, x, z, u) of time, state, latents and inputs.
FieldFunction: TypeAlias = Callable[[Array, Array, Array, Array], Array]


@dataclass(frozen=True)
class Event:
    """It happens where `condition(t, x, z, u)` rises through zero.

    `reset(t, x, z, u)` is the state after it; without one the course ends. `words` say when, as
    the author of the equation wrote it.
    """

    condition: FieldFunction
    reset: FieldFunction | None
    words: str


@dataclass(frozen=True)
class Jumps:
    r"""A Poisson process $dN$ of rate `rate(t, x, z, u)` per unit of time.

    At each jump $x$ becomes $x + \mathrm{leap}(t, x, z, u, e)$, where $e$ `(marks,)` are
    standard normal numbers drawn anew.
    """

    process: str
    rate: FieldFunction
    leap: Callable[[Array, Array, Array, Array, Array], Array]
    marks: int
