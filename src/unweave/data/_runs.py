"""Unbroken stretches of a recording on an even grid, which is what windows are cut from."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._dataset import Signal


@dataclass(frozen=True, eq=False)
class Run:
    """A stretch without a break: `values` `(time, channel)` in even steps, NaN where no sample
    was taken, `times` `(time,)`, and `rows` `(time,)`, each one's index in the signal or -1."""

    values: np.ndarray
    times: np.ndarray
    rows: np.ndarray


def sampling_step(signal: Signal) -> float:
    """The time from one sample to the next, where none is missing.

    **Raises:** `ValueError` for fewer than two samples, and where the differences in time are
    no multiples of one step.
    """
    if len(signal.times) < 2:
        raise ValueError(
            f"record '{signal.record}' has {len(signal.times)} samples; at least 2 are needed."
        )
    differences = np.diff(signal.times).astype(np.float64)
    # times are often rounded (0.003, 0.003, 0.002 for 360 Hz): the mean knows more than the
    # median, once the differences that skip a sample are set aside
    single = differences < 1.6 * np.quantile(differences, 0.5, method="lower")
    step = float(differences[single].mean())
    ratio = differences / step
    uneven = np.abs(ratio - np.maximum(np.rint(ratio), 1)) > 0.4
    if uneven.mean() > 0.05:
        raise ValueError(
            f"the samples of record '{signal.record}' are not evenly spaced (steps from "
            f"{differences.min():g} to {differences.max():g} {signal.time_unit}); resample it "
            "to one step, or leave out the times so that rows are counted instead."
        )
    return step


def regular_runs(signal: Signal, *, max_gap: int) -> tuple[Run, ...]:
    """Parts `signal` where two samples are more than `max_gap` steps apart.

    A shorter gap is bridged by rows of NaN; with `max_gap` 1 nothing is bridged.
    """
    if max_gap < 1:
        raise ValueError(f"max_gap is {max_gap} steps; give 1 to bridge no gap, or more.")
    step = sampling_step(signal)
    steps = np.maximum(np.rint(np.diff(signal.times) / step), 1).astype(np.int64)
    breaks = np.flatnonzero(steps > max_gap) + 1
    edges = [0, *breaks.tolist(), len(signal.times)]
    return tuple(_run(signal, steps, a, b) for a, b in itertools.pairwise(edges))


def _run(signal: Signal, steps: np.ndarray, first: int, end: int) -> Run:
    place = np.concatenate([[0], np.cumsum(steps[first : end - 1])])
    size = int(place[-1]) + 1
    values = np.full((size, signal.values.shape[1]), np.nan)
    values[place] = signal.values[first:end]
    rows = np.full(size, -1, dtype=np.int64)
    rows[place] = np.arange(first, end)
    return Run(values, np.interp(np.arange(size), place, signal.times[first:end]), rows)


def check_alike(signals: Sequence[Signal]) -> None:
    """Raises `ValueError` naming the first of the `signals` whose channels or units differ."""
    if not signals:
        raise ValueError("no signal was given; at least one is needed.")
    first = signals[0]
    for other in signals[1:]:
        if other.channels != first.channels:
            shared = [name for name in first.channels if name in other.channels]
            raise ValueError(
                f"record '{other.record}' has the channels {', '.join(other.channels)} and "
                f"'{first.record}' has {', '.join(first.channels)}; keep those that all share "
                f"({', '.join(shared) or 'these two share none'})."
            )
        if (other.units, other.time_unit) != (first.units, first.time_unit):
            raise ValueError(
                f"record '{other.record}' is in {_units(other)} and '{first.record}' in "
                f"{_units(first)}; convert one of them."
            )


def check_one_step(signals: Sequence[Signal]) -> float:
    """The step that all `signals` share, once they are found to share channels and units too.

    **Raises:** `ValueError` naming the first record that differs.
    """
    check_alike(signals)
    step = sampling_step(signals[0])
    for other in signals[1:]:
        if abs(sampling_step(other) - step) > 0.01 * step:
            raise ValueError(
                f"record '{other.record}' has a sample every {sampling_step(other):g} "
                f"{other.time_unit} and '{signals[0].record}' every {step:g}; resample one, or "
                "fit them apart."
            )
    return step


def _units(signal: Signal) -> str:
    return ", ".join(f"{unit or 'plain numbers'}" for unit in (*signal.units, signal.time_unit))
