"""Whole recordings at their own times, which is what an equation is fitted to."""

from collections.abc import Sequence

import numpy as np

from .._schema import Schema
from ._dataset import Dataset, Signal
from ._guard import closest
from ._runs import check_alike

# recordings share one grid, with gaps, as long as that is at most so many times the longest
_SPARSE = 2


def trajectories(signals: Sequence[Signal], *, inputs: Sequence[str] = ()) -> Dataset:
    """Each whole recording as one observation, at the times at which it was made.

    Nothing is resampled. Where all recordings have the same times, these are the schema's
    instants. Where all times together are at most twice as many as those of the longest
    recording, they are, and an observation is NaN (not observed) at the instants of others.
    Otherwise, and whenever recordings with `inputs` differ in their times, each observation has
    `times` of its own; a shorter one repeats its last time and ends in NaN.

    **Arguments:** `signals`, which share channels and units; `inputs`, the channels that drive
    the equation and are no part of what it explains. An input's gaps are filled in linearly, and
    a note says so.

    **Raises:** `ValueError` where recordings differ, where an input is no channel or is nowhere
    known, and where no channel is left to observe.
    """
    _check(signals)
    names = _inputs(signals[0].channels, inputs)
    driving = [signals[0].channels.index(name) for name in names]
    seen = [c for c in range(len(signals[0].channels)) if c not in driving]
    times = [np.asarray(signal.times, np.float64) for signal in signals]
    own = _own_times(times) if _differ(times, bool(names)) else None
    grid = np.unique(np.concatenate(times)) if own is None else max(times, key=len)
    at = np.broadcast_to(grid, (len(times), len(grid))) if own is None else own
    parts = [(s.values[:, seen], t, row) for s, t, row in zip(signals, times, at, strict=True)]
    observations = np.stack([_placed(*part) for part in parts])
    filled = sum(int(np.isnan(signal.values[:, driving]).sum()) for signal in signals)
    units = signals[0].units
    return Dataset(
        observations=observations,
        schema=Schema(
            kind="trajectories",
            axes=("time", "channel"),
            shape=observations.shape[1:],
            channels=tuple(signals[0].channels[c] for c in seen),
            units=tuple(units[c] for c in seen),
            step=float(grid[-1] - grid[0]) / max(1, len(grid) - 1) or 1.0,
            origin=float(grid[0]) if own is None else 0.0,
            time_unit=signals[0].time_unit,
            instants=tuple(grid.tolist()) if own is None else (),
        ),
        records=np.asarray([signal.record for signal in signals]),
        groups=np.asarray([signal.group for signal in signals]),
        spans=np.asarray([(t[0], t[-1]) for t in times]),
        times=own,
        inputs=_driven(signals, driving, at) if names else None,
        input_names=names,
        input_units=tuple(units[c] for c in driving),
        notes=_notes(filled, own is None and len(grid) > min(map(len, times))),
    )


def _check(signals: Sequence[Signal]) -> None:
    check_alike(signals)
    for signal in signals:
        if not len(signal.times):
            raise ValueError(f"record '{signal.record}' has no samples; leave it out.")


def _inputs(channels: tuple[str, ...], inputs: Sequence[str]) -> tuple[str, ...]:
    names = (inputs,) if isinstance(inputs, str) else tuple(inputs)
    for name in names:
        if name not in channels:
            near = closest(name, channels) or f"; there are {', '.join(channels)}."
            raise ValueError(f"no channel is called '{name}', which was to be an input{near}")
    if len(set(names)) < len(names) or len(names) == len(channels):
        raise ValueError(
            f"the inputs {', '.join(names)} leave no channel to observe or name one twice; there "
            f"are {', '.join(channels)}."
        )
    return names


def _differ(times: Sequence[np.ndarray], driven: bool) -> bool:
    """Whether each recording needs times of its own."""
    if all(np.array_equal(times[0], other) for other in times[1:]):
        return False
    together = len(np.unique(np.concatenate(times)))
    return driven or together > _SPARSE * max(map(len, times))


def _own_times(times: Sequence[np.ndarray]) -> np.ndarray:
    """Times `(n, time)`, those of a shorter recording repeating its last."""
    length = max(map(len, times))
    return np.stack([np.pad(part, (0, length - len(part)), mode="edge") for part in times])


def _placed(values: np.ndarray, times: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values `(sample, channel)` on the times `at`, NaN where nothing was measured."""
    placed = np.full((len(at), values.shape[1]), np.nan)
    placed[np.searchsorted(at, times)] = values
    return placed


def _driven(signals: Sequence[Signal], channels: list[int], at: np.ndarray) -> np.ndarray:
    """Inputs `(n, time, input)` at the times `at` `(n, time)`, straight lines over their gaps and
    level beyond their ends."""
    driven = np.empty((*at.shape, len(channels)))
    for i, signal in enumerate(signals):
        for k, c in enumerate(channels):
            known = ~np.isnan(signal.values[:, c])
            if not known.any():
                raise ValueError(
                    f"the input '{signal.channels[c]}' of record '{signal.record}' has no value "
                    "at all; leave the record out, or do not use that input."
                )
            driven[i, :, k] = np.interp(at[i], signal.times[known], signal.values[known, c])
    return driven


def _notes(filled: int, gaps: bool) -> tuple[str, ...]:
    notes = []
    if filled:
        notes.append(f"{filled} missing values of inputs are filled in linearly.")
    if gaps:
        notes.append("Recordings differ in their times; all times together are the instants.")
    return tuple(notes)
