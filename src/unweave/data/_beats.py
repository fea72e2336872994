"""Heartbeats cut from electrocardiograms: one window around each R peak."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy import ndimage
from scipy import signal as filters

from .._schema import Schema
from ._dataset import Dataset, Signal
from ._runs import Run, check_alike, regular_runs, sampling_step
from ._wfdb import wfdb

# the rate at which wfdb's detector is at home; at 1000 Hz it can miss every peak
_DETECTION_RATE = 250.0
_HIGH_PASS = 0.5
_SLOWEST, _FASTEST = 25.0, 220.0
_REFINE = 0.05
# a gap of up to this many samples is bridged
_MAX_GAP = 5
# WFDB's annotation codes that mark something other than a beat (rhythm, noise, waves, comments)
_NOT_BEATS = frozenset("[!]x()ptu`'^|~+sT*D=\"@")


@dataclass(frozen=True)
class _Window:
    before: float
    after: float
    samples: int

    @property
    def step(self) -> float:
        return (self.before + self.after) / self.samples

    @property
    def offsets(self) -> np.ndarray:
        return -self.before + self.step * np.arange(self.samples)


@dataclass(frozen=True, eq=False)
class _Peaks:
    """R peaks of one run, as rows of the run, with the filtered samples that they lie in."""

    run: Run
    clean: np.ndarray
    rows: np.ndarray
    labels: np.ndarray


def beats(
    signals: Sequence[Signal],
    *,
    before: float = 0.25,
    after: float = 0.45,
    samples: int = 256,
    lead: str | None = None,
) -> Dataset:
    r"""One window around each R peak of electrocardiograms, all channels, in their units.

    The samples lie at $-\text{before} + i\,(\text{before} + \text{after}) / \text{samples}$
    seconds from the peak, $i = 0, \dots, \text{samples} - 1$, so the end itself is left out.

    R peaks are the signal's events where it has some (of WFDB's codes, those that mark beats),
    and otherwise found by wfdb's `xqrs_detect` at 250 Hz; either is moved to the extremum of
    `lead` near it, by up to 50 ms and then as much again. Baseline wander is removed first, by
    a zero-phase Butterworth high-pass at 0.5 Hz, and what the new step cannot resolve by a
    low-pass. Windows that reach past an end of the recording, or into a gap, are dropped. A
    record whose found peaks are no plausible heart rate (25 to 220 a minute over at least half
    of its length) is left out; `notes` says so.

    **Arguments:** `signals`, which share channels and units; `before` and `after` in seconds;
    `lead`, the channel in which peaks are looked for: without it "ii", or else the first.

    **Raises:** `ValueError` where the arguments do not fit, or no record has plausible beats.
    """
    window = _Window(before, after, samples)
    _check(signals, window)
    channel = _lead(signals[0], lead)
    notes, cuts = [], []
    for signal in signals:
        peaks = [_peaks(signal, run, channel) for run in regular_runs(signal, max_gap=_MAX_GAP)]
        doubt = "" if _is_annotated(signal) else _implausible(signal, peaks)
        if doubt:
            notes.append(f"Record {signal.record} is left out: {doubt}.")
        else:
            cuts += [_cut(signal, part, window) for part in peaks]
    if not sum(len(cut.observations) for cut in cuts):
        raise ValueError(
            " ".join([f"no heartbeat was found in {len(signals)} recordings.", *notes])
            + " Name a lead with clear R peaks, or annotate them."
        )
    notes.append(f"Baseline wander removed: zero-phase Butterworth high-pass, {_HIGH_PASS:g} Hz.")
    dropped = sum(cut.dropped for cut in cuts)
    if dropped:
        notes.append(f"{dropped} beats too near an end or a gap of a recording are left out.")
    return _dataset(signals[0], cuts, window, tuple(notes))


@dataclass(frozen=True, eq=False)
class _Cut:
    signal: Signal
    observations: np.ndarray
    spans: np.ndarray
    labels: np.ndarray
    dropped: int


def _check(signals: Sequence[Signal], window: _Window) -> None:
    check_alike(signals)
    if signals[0].time_unit != "s":
        raise ValueError(
            f"beats are cut in seconds, and the times are in {signals[0].time_unit or 'rows'}; "
            "convert the times to seconds."
        )
    if not (window.before >= 0 and window.after >= 0 and window.before + window.after > 0.05):
        raise ValueError(
            f"the window from {-window.before:g} to {window.after:g} s holds no heartbeat; "
            "give both ends as positive seconds, such as before=0.25, after=0.45."
        )
    if window.samples < 2:
        raise ValueError(f"samples is {window.samples}; a beat needs at least 2.")


def _lead(signal: Signal, lead: str | None) -> int:
    names = [name.lower() for name in signal.channels]
    if lead is None:
        return names.index("ii") if "ii" in names else 0
    if lead.lower() not in names:
        raise ValueError(f"no lead is called '{lead}'; there are {', '.join(signal.channels)}.")
    return names.index(lead.lower())


def _is_annotated(signal: Signal) -> bool:
    return signal.events is not None and len(signal.events) > 0


def _peaks(signal: Signal, run: Run, channel: int) -> _Peaks:
    rate = 1 / sampling_step(signal)
    filled = _fill(run.values)
    # the filter needs a second to settle, and a shorter run holds no beat to trust
    if len(filled) < 2 * rate:
        return _Peaks(run, filled, np.zeros(0, np.int64), np.zeros(0, np.str_))
    clean = _zero_phase(filled, _HIGH_PASS, rate, "highpass")
    if _is_annotated(signal):
        rows, labels = _annotated(signal, run)
    else:
        rows = _detect(filled[:, channel], rate)
        labels = np.full(len(rows), "")
    # twice, since the detector can be early by most of a wide complex
    for _ in range(2):
        rows = _refine(clean[:, channel], rows, rate)
    return _Peaks(run, clean, rows, labels)


def _fill(values: np.ndarray) -> np.ndarray:
    """Straight lines across what was not observed, so that a filter can pass over it."""
    filled = values.astype(np.float64)
    index = np.arange(len(values))
    for column in filled.T:
        seen = ~np.isnan(column)
        column[:] = np.interp(index, index[seen], column[seen]) if seen.any() else 0.0
    return filled


def _zero_phase(x: np.ndarray, cut_off: float, rate: float, kind: str) -> np.ndarray:
    sections = filters.butter(2, cut_off, kind, fs=rate, output="sos")
    return filters.sosfiltfilt(sections, x, axis=0, padlen=min(len(x) - 1, round(rate)))


def _annotated(signal: Signal, run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the run at which a beat is annotated, and the annotations."""
    events = np.asarray(signal.events, dtype=np.int64)
    labels = np.asarray(signal.event_labels or [""] * len(events), dtype=np.str_)
    row_of = np.full(len(signal.times), -1, dtype=np.int64)
    taken = run.rows >= 0
    row_of[run.rows[taken]] = np.flatnonzero(taken)
    here = (events >= 0) & (events < len(row_of)) & ~np.isin(labels, list(_NOT_BEATS))
    here[here] = row_of[events[here]] >= 0
    return row_of[events[here]], labels[here]


def _detect(x: np.ndarray, rate: float) -> np.ndarray:
    """Rows of R peaks found by wfdb's detector at the rate that it was made for."""
    ratio = Fraction(_DETECTION_RATE / rate).limit_denominator(1000)
    resampled = filters.resample_poly(x, ratio.numerator, ratio.denominator, padtype="line")
    with warnings.catch_warnings():
        # it divides by the deviation of a flat signal before it finds no peak there
        warnings.simplefilter("ignore", RuntimeWarning)
        found = wfdb().processing.xqrs_detect(resampled, _DETECTION_RATE, verbose=False)
    rows = np.rint(np.asarray(found, dtype=np.float64) / float(ratio)).astype(np.int64)
    return rows[(rows >= 0) & (rows < len(x))]


def _refine(x: np.ndarray, rows: np.ndarray, rate: float) -> np.ndarray:
    """Each peak moved to the extremum near it, upwards or downwards as most of them point."""
    reach = max(1, round(_REFINE * rate))
    inside = (rows >= reach) & (rows < len(x) - reach)
    near = x[np.where(inside, rows, reach)[:, None] + np.arange(-reach, reach + 1)]
    if not len(near):
        return rows
    upright = np.median(near.max(axis=1)) >= -np.median(near.min(axis=1))
    best = np.argmax(near if upright else -near, axis=1)
    # on a slope the extremum lies at the edge, and is no peak
    is_peak = inside & (best > 0) & (best < 2 * reach)
    return np.where(is_peak, rows + best - reach, rows)


def _implausible(signal: Signal, peaks: Sequence[_Peaks]) -> str:
    """Why the peaks found are no heartbeat, or nothing."""
    found = sum(len(part.rows) for part in peaks)
    duration = sum(float(part.run.times[-1] - part.run.times[0]) for part in peaks)
    if found < 2:
        return f"{found} R peaks found in {duration:.0f} s"
    between = np.concatenate([np.diff(part.run.times[part.rows]) for part in peaks])
    typical = float(np.median(between)) if len(between) else duration
    rate = 60 / max(typical, 1e-9)
    if not _SLOWEST <= rate <= _FASTEST:
        return f"the {found} R peaks found would be {rate:.0f} beats a minute"
    share = found * typical / duration
    if share < 0.5:
        return f"the {found} R peaks found cover {share:.0%} of its {duration:.0f} s"
    return ""


def _cut(signal: Signal, peaks: _Peaks, window: _Window) -> _Cut:
    rate = 1 / sampling_step(signal)
    clean = peaks.clean
    if 1 / window.step < rate and len(peaks.rows):
        clean = _zero_phase(clean, 0.4 / window.step, rate, "lowpass")
    position = peaks.rows[:, None] + window.offsets * rate
    fits = (position[:, 0] >= 0) & (position[:, -1] <= len(clean) - 1)
    position = position[fits]
    observations = np.empty((*position.shape, clean.shape[1]))
    for c in range(clean.shape[1]):
        values = ndimage.map_coordinates(clean[:, c], [position], order=3, mode="nearest")
        missing = np.isnan(peaks.run.values[:, c])
        unseen = missing[np.floor(position).astype(int)] | missing[np.ceil(position).astype(int)]
        observations[..., c] = np.where(unseen, np.nan, values)
    ends = np.interp(position[:, [0, -1]], np.arange(len(clean)), peaks.run.times)
    return _Cut(signal, observations, ends, peaks.labels[fits], int((~fits).sum()))


def _dataset(
    first: Signal, cuts: Sequence[_Cut], window: _Window, notes: tuple[str, ...]
) -> Dataset:
    observations = np.concatenate([cut.observations for cut in cuts])
    counts = [len(cut.observations) for cut in cuts]
    labels = np.concatenate([cut.labels for cut in cuts])
    names, index = np.unique(labels, return_inverse=True)
    # a record without annotations leaves its beats without a label, so nobody's are kept
    labelled = all(names.tolist())
    return Dataset(
        observations=observations,
        schema=Schema(
            kind="beats",
            axes=("time", "channel"),
            shape=observations.shape[1:],
            channels=first.channels,
            units=first.units,
            step=window.step,
            origin=-window.before,
            time_unit="s",
        ),
        records=np.repeat([cut.signal.record for cut in cuts], counts),
        groups=np.repeat([cut.signal.group for cut in cuts], counts),
        spans=np.concatenate([cut.spans for cut in cuts]),
        labels=index if labelled else None,
        label_names=tuple(names.tolist()) if labelled else (),
        notes=notes,
    )
