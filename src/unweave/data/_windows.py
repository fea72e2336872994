"""Windows of equal length, and whole recordings, cut from signals of any kind."""

from collections.abc import Sequence

import numpy as np

from .._schema import Schema
from ._dataset import Dataset, Signal
from ._runs import Run, check_one_step, regular_runs, sampling_step
from ._transform import LEVEL, AbstractTransform

#: Gaps of more sampling steps than this break a recording.
MAX_GAP = 5


def windows(
    signals: Sequence[Signal],
    *,
    length: int,
    step: int | None = None,
    transform: AbstractTransform = LEVEL,
    max_gap: int = MAX_GAP,
) -> Dataset:
    """Windows of `length` samples, one every `step` samples, that no long gap in time crosses.

    Two samples more than `max_gap` sampling steps apart break a window. A shorter gap is
    bridged: by NaN (not observed), or, for log-returns, by the last price, since a minute
    without a trade leaves the price where it was. `max_gap=1` bridges nothing. A window's span
    runs from the first to the last sample that it was made of.

    **Arguments:** `signals`, which share channels, units and sampling step; `length` and `step`
    in samples (without `step` windows do not overlap); `transform`, one of `LEVEL`,
    `LOG_RETURN`, `Z_SCORE`. The schema's units are those of the samples before the transform,
    to which `restore` goes back.

    **Raises:** `ValueError` where no window fits, or where the transform does not.
    """
    if length < 2:
        raise ValueError(f"length is {length}; a window needs at least 2 samples.")
    step = length if step is None else step
    if step < 1:
        raise ValueError(f"step is {step}; windows must move on by at least 1 sample.")
    sampling = check_one_step(signals)
    parts, bridged = [], 0
    for signal in signals:
        for run in regular_runs(signal, max_gap=max_gap):
            bridged += int((run.rows < 0).sum())
            parts.append((signal, *_cut(run, length + transform.past, step, transform, max_gap)))
    if not sum(len(cut) for _, cut, _ in parts):
        longest = max(len(signal.times) for signal in signals)
        raise ValueError(
            f"no window of {length} samples fits between the gaps of these {len(signals)} "
            f"recordings (the longest has {longest} samples); give a smaller length."
        )
    samples = np.concatenate([cut for _, cut, _ in parts])
    values, references = transform.apply(samples)
    return Dataset(
        observations=values,
        schema=Schema(
            kind="windows",
            axes=("time", "channel"),
            shape=values.shape[1:],
            channels=signals[0].channels,
            units=signals[0].units,
            step=sampling,
            time_unit=signals[0].time_unit,
            transform=transform.name,
        ),
        records=np.repeat([s.record for s, _, _ in parts], [len(cut) for _, cut, _ in parts]),
        groups=np.repeat([s.group for s, _, _ in parts], [len(cut) for _, cut, _ in parts]),
        spans=np.concatenate([spans for _, _, spans in parts]),
        references=references if references.shape[-1] else None,
        notes=gap_notes(bridged, max_gap, transform, len(parts) - len(signals)),
    )


def series(signals: Sequence[Signal]) -> Dataset:
    """Each whole recording as one observation; shorter ones end in NaN (not observed).

    Samples missing from the even grid are NaN too. Where all recordings begin at one time, the
    schema's origin is that time; otherwise each counts from its own beginning.

    **Raises:** `ValueError` where recordings differ in channels, units or sampling step, or
    where one has gaps so long that nearly all of its grid would be empty.
    """
    sampling = check_one_step(signals)
    runs = [_whole(signal) for signal in signals]
    length = max(len(run.times) for run in runs)
    observations = np.full((len(runs), length, len(signals[0].channels)), np.nan)
    for row, run in zip(observations, runs, strict=True):
        row[: len(run.values)] = run.values
    starts = {float(run.times[0]) for run in runs}
    return Dataset(
        observations=observations,
        schema=Schema(
            kind="series",
            axes=("time", "channel"),
            shape=observations.shape[1:],
            channels=signals[0].channels,
            units=signals[0].units,
            step=sampling,
            origin=starts.pop() if len(starts) == 1 else 0.0,
            time_unit=signals[0].time_unit,
        ),
        records=np.asarray([signal.record for signal in signals]),
        groups=np.asarray([signal.group for signal in signals]),
        spans=np.asarray([(run.times[0], run.times[-1]) for run in runs], dtype=np.float64),
    )


def _cut(
    run: Run, size: int, step: int, transform: AbstractTransform, max_gap: int
) -> tuple[np.ndarray, np.ndarray]:
    """Windows `(n, size, channel)` of a run, and their first and last times `(n, 2)`."""
    values = carry_at_most(run.values, max_gap - 1) if transform.carries else run.values
    starts = np.arange(0, len(values) - size + 1, step)
    cut = values[starts[:, None] + np.arange(size)]
    observed = ~np.isnan(cut).all(axis=(1, 2))
    starts = starts[observed]
    return cut[observed], np.stack([run.times[starts], run.times[starts + size - 1]], axis=1)


def carry_at_most(values: np.ndarray, limit: int) -> np.ndarray:
    """Each NaN replaced by the last value before it, at most `limit` rows back."""
    row = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(values), 0, row), axis=0)
    carried = np.take_along_axis(values, last, axis=0)
    return np.where(row - last <= limit, carried, np.nan)


def _whole(signal: Signal) -> Run:
    duration = float(signal.times[-1] - signal.times[0])
    steps = duration / sampling_step(signal)
    if steps > 10 * len(signal.times) + 1000:
        raise ValueError(
            f"record '{signal.record}' has {len(signal.times)} samples over {steps:.0f} steps "
            "of time, so it is nearly all gap; cut it with windows(...)."
        )
    return regular_runs(signal, max_gap=int(steps) + 2)[0]


def gap_notes(
    bridged: int, max_gap: int, transform: AbstractTransform, breaks: int
) -> tuple[str, ...]:
    """What is said of gaps: samples that were missing in short ones, and longer ones."""
    notes = []
    if bridged:
        how = "carry the last value on" if transform.carries else "are not observed"
        notes.append(f"{bridged} missing samples in gaps of up to {max_gap} steps {how}.")
    if breaks:
        longer = "1 longer gap breaks" if breaks == 1 else f"{breaks} longer gaps break"
        notes.append(f"{longer} the windows.")
    return tuple(notes)
