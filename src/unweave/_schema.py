"""What one observation is: its axes, channels, units and times, so that results come back in
the user's terms. It travels with the model, in the model file."""

import itertools
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schema:
    """The description of one observation, an array whose last axis is its channels.

    `axes` name the array's axes, such as `("time", "channel")` or `("row", "column", "channel")`.
    `step` is the time between two samples in `time_unit`, `origin` the time of the first one
    (a heartbeat's window begins before its R peak, so its origin is negative). Where samples
    are not evenly spaced, `instants` are their times, and `step` is what lies between two of
    them on average.
    `transform` names what was done to each window (`level`, `log-return`, `z-score`), and
    `reference` holds, per channel, the numbers that undo it for a sample that has no past of
    its own: for log-returns the last price seen in training, for z-scores mean and deviation.
    """

    kind: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    channels: tuple[str, ...]
    units: tuple[str, ...]
    step: float = 1.0
    origin: float = 0.0
    time_unit: str = ""
    transform: str = "level"
    reference: tuple[tuple[float, ...], ...] = ()
    instants: tuple[float, ...] = ()

    def __post_init__(self):
        if len(self.axes) != len(self.shape):
            raise ValueError(
                f"{len(self.axes)} axes ({', '.join(self.axes)}) do not describe an array of "
                f"shape {self.shape}; name each axis once."
            )
        if not len(self.channels) == len(self.units) == self.shape[-1]:
            raise ValueError(
                f"{len(self.channels)} channel names and {len(self.units)} units were given for "
                f"{self.shape[-1]} channels; give one of each to every channel."
            )
        if self.instants:
            self._check_instants()

    def _check_instants(self) -> None:
        if not self.is_series or len(self.instants) != self.shape[0]:
            raise ValueError(
                f"{len(self.instants)} instants were given for axes {', '.join(self.axes)} of "
                f"shape {self.shape}; give one to each sample of the axis time, the first one."
            )
        if not all(a < b for a, b in itertools.pairwise(self.instants)):
            raise ValueError("the instants do not increase; sort the samples by time.")

    @property
    def size(self) -> int:
        """How many numbers one observation has."""
        return math.prod(self.shape)

    @property
    def is_series(self) -> bool:
        """Whether the observation is a signal over time."""
        return self.axes[0] == "time"

    @property
    def times(self) -> tuple[float, ...]:
        """The time of each sample, in `time_unit`."""
        if self.instants:
            return self.instants
        return tuple(self.origin + self.step * i for i in range(self.shape[0]))
