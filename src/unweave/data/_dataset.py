"""Signals as they were recorded, datasets of observations cut from them, and splits."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from .._course import Course
from .._rows import evenly
from .._schema import Schema
from ._moments import Moments

if TYPE_CHECKING:
    from ._stored import Stored

#: The arrays of a dataset that have a row for each observation.
_BY_ROW = (
    "observations", "records", "groups", "spans", "labels", "factors", "references", "times",
    "inputs",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Signal:
    """One recording: `values` `(time, channel)` at `times` `(time,)`, NaN = not observed.

    `group` is what must stay on one side of a split (a patient), `record` the recording itself.
    `events` are sample indices of known events (annotated R peaks) with one label each.
    """

    record: str
    group: str
    values: np.ndarray
    times: np.ndarray
    channels: tuple[str, ...]
    units: tuple[str, ...]
    time_unit: str = "s"
    events: np.ndarray | None = None
    event_labels: tuple[str, ...] = ()

    def __post_init__(self):
        if self.values.ndim != 2 or len(self.values) != len(self.times):
            raise ValueError(
                f"record '{self.record}' has values of shape {self.values.shape} for "
                f"{len(self.times)} times; a signal is (time, channel)."
            )
        if not len(self.channels) == len(self.units) == self.values.shape[1]:
            raise ValueError(
                f"record '{self.record}' has {self.values.shape[1]} channels but "
                f"{len(self.channels)} names and {len(self.units)} units."
            )
        if len(self.times) > 1 and not np.all(np.diff(self.times) > 0):
            where = int(np.argmin(np.diff(self.times) > 0)) + 1
            raise ValueError(
                f"the times of record '{self.record}' do not increase at row {where + 1} "
                f"({self.times[where - 1]:g}, then {self.times[where]:g}); sort the rows by time "
                "and remove duplicates."
            )


def same_group(signals: Sequence[Signal], records: Sequence[str]) -> tuple[Signal, ...]:
    """The signals with those called `records` in one group: recordings of one patient.

    **Raises:** `ValueError` for a name that no signal has.
    """
    names = [signal.record for signal in signals]
    for record in records:
        if record not in names:
            raise ValueError(f"no record is called '{record}'; there are {', '.join(names)}.")
    groups = {signal.group for signal in signals if signal.record in records}
    group = min(groups) if groups else ""
    return tuple(
        replace(signal, group=group) if signal.group in groups else signal for signal in signals
    )


@dataclass(frozen=True, eq=False)
class Dataset:
    """Observations of one kind, with where each came from.

    `observations` has shape `(n, *schema.shape)`; integers stay integers (images), and in
    floats NaN means "not observed". `records` and `groups` name each one's recording and what
    must not be split (a patient); `spans` `(n, 2)` are its first and last time in the
    recording. `labels` `(n,)` are indices into `label_names`; `factors` `(n, factor)` are known
    generative factors; `references` `(n, channel, k)` is what undoes each one's transform.

    `times` `(n, time)` are each observation's own where they differ; one that is shorter than
    others repeats its last time and ends in NaN. `inputs` `(n, time, input)` are what drove each
    observation, always known.

    `moments` are those of all observations where these are a sample of more than memory holds:
    scales are made of them.
    """

    observations: np.ndarray
    schema: Schema
    records: np.ndarray
    groups: np.ndarray
    spans: np.ndarray
    labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()
    factors: np.ndarray | None = None
    factor_names: tuple[str, ...] = ()
    references: np.ndarray | None = None
    notes: tuple[str, ...] = field(default=())
    times: np.ndarray | None = None
    inputs: np.ndarray | None = None
    input_names: tuple[str, ...] = ()
    input_units: tuple[str, ...] = ()
    moments: Moments | None = None

    def __post_init__(self):
        if self.observations.shape[1:] != self.schema.shape:
            raise ValueError(
                f"observations of shape {self.observations.shape[1:]} do not fit a schema of "
                f"shape {self.schema.shape}."
            )
        n = len(self.observations)
        for name in _BY_ROW:
            part = getattr(self, name)
            if part is not None and len(part) != n:
                raise ValueError(f"{len(part)} {name} were given for {n} observations.")
        self._check_times()
        self._check_inputs()

    def _check_times(self) -> None:
        if self.times is None:
            return
        if self.times.shape != (len(self), self.schema.shape[0]) or not self.schema.is_series:
            raise ValueError(
                f"times of shape {self.times.shape} were given for {len(self)} observations with "
                f"axes {', '.join(self.schema.axes)} of shape {self.schema.shape}; give (n, time)."
            )
        # NaN fails this too
        if not (np.isfinite(self.times).all() and np.all(np.diff(self.times, axis=1) >= 0)):
            raise ValueError("the times of an observation go back or are missing; sort it by time.")

    def _check_inputs(self) -> None:
        names, units = self.input_names, self.input_units
        if self.inputs is None and not names and not units:
            return
        shape = (len(self), self.schema.shape[0], len(names))
        found = None if self.inputs is None else self.inputs.shape
        if self.inputs is None or found != shape or len(units) != len(names):
            raise ValueError(
                f"inputs of shape {found}, {len(names)} input names and {len(units)} input units "
                f"were given; {len(self)} observations with these names need inputs of shape "
                f"{shape} and a unit for each name."
            )
        if not np.isfinite(self.inputs).all():
            raise ValueError(
                "an input is missing somewhere, and what drives an equation must be known at every "
                "time; fill it in."
            )

    def __len__(self) -> int:
        return len(self.observations)

    @property
    def conditions(self) -> Course | None:
        """What the protocol calls the condition of each observation, a tree of arrays with one
        row for each; None where the schema says all."""
        if self.times is None and self.inputs is None:
            return None
        return Course(self.times, self.inputs)

    def take(self, rows: np.ndarray | Sequence[int] | slice) -> "Dataset":
        """The dataset of these rows, an index array, a mask or a slice."""
        index = np.asarray(rows) if not isinstance(rows, slice) else rows
        rows_of = {name: part for name in _BY_ROW if (part := getattr(self, name)) is not None}
        taken = {name: part[index] for name, part in rows_of.items()}
        return replace(self, **taken, moments=None)

    def thinned(self, most: int) -> "Dataset":
        """At most `most` observations, evenly spread over all."""
        if len(self) <= most:
            return self
        return self.take(evenly(len(self), most))


def dataset(
    observations: np.ndarray,
    schema: Schema,
    *,
    labels: np.ndarray | None = None,
    label_names: tuple[str, ...] = (),
    factors: np.ndarray | None = None,
    factor_names: tuple[str, ...] = (),
) -> Dataset:
    """A dataset of independent observations: each its own record, so any may be held out."""
    n = len(observations)
    names = np.asarray([f"row {i}" for i in range(n)])
    return Dataset(
        observations=observations,
        schema=schema,
        records=names,
        groups=names,
        spans=np.zeros((n, 2)),
        labels=labels,
        label_names=label_names,
        factors=factors,
        factor_names=factor_names,
    )


@dataclass(frozen=True, eq=False)
class Split:
    """Training, validation (early stopping looks at it) and test data that share no window.

    `how` says in words how they were parted. Where the training data are larger than memory,
    `stored` are all of them on the disk, `train` is a sample of them with the moments of all, and
    the other parts are samples too.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    how: str
    stored: "Stored | None" = None
