"""The recordings made ready: smoothed courses, slopes, and how the noise scatters."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import PchipInterpolator

from ..fitting._smooth import Smoother

# what a solver's or an instrument's last digit may hide, as a share of a channel's spread
FLOOR = 2e-4
# noise that grows with the signal never falls below this share of its root mean square
_LEAST = 0.05


@dataclass(frozen=True, eq=False)
class Record:
    """One recording at `times` `(time,)`: what was read, `y`, NaN where nothing was; the smoothed
    states `x`, their `slopes`, and the noise's relative `profile`, all `(time, state)`."""

    times: np.ndarray
    y: np.ndarray
    x: np.ndarray
    slopes: np.ndarray
    profile: np.ndarray


@dataclass(frozen=True, eq=False)
class Noise:
    """How the readings of each state scatter: `sigma` `(state,)` times the profile, `floor`
    `(state,)` in the same unit below which no misfit tells anything, `grows` `(state,)` whether
    the profile is the size of the signal (multiplicative noise) and not 1."""

    sigma: np.ndarray
    floor: np.ndarray
    grows: np.ndarray

    @property
    def scale(self) -> np.ndarray:
        """The standard deviation `(state,)` that a misfit is measured in."""
        return np.sqrt(self.sigma**2 + self.floor**2)


def prepared(
    times: Sequence[np.ndarray], readings: Sequence[np.ndarray]
) -> tuple[list[Record], Noise]:
    """Smoothed records, and the noise that all of them share, from readings `(time, state)`."""
    smooth = [_smooth(t, y) for t, y in zip(times, readings, strict=True)]
    y, x = np.concatenate(list(readings)), np.concatenate([one[0] for one in smooth])
    seen = np.isfinite(y)
    d = y.shape[1]
    sigma, floor, grows = np.zeros(d), np.zeros(d), np.zeros(d, dtype=bool)
    for i in range(d):
        left = (y - x)[seen[:, i], i]
        size = _size(x[:, i])[seen[:, i]]
        constant = -np.log(_rms(left) + 1e-300)
        growing = -np.log(_rms(left / size) + 1e-300) - np.log(size).mean()
        grows[i] = (growing - constant) * left.size > 2
        if grows[i] and np.nanmin(y[:, i]) > 0:
            for t, one, (states, slopes) in zip(times, readings, smooth, strict=True):
                logs, rises = _smooth(t, np.log(one[:, i : i + 1]))
                states[:, i] = np.exp(logs[:, 0])
                slopes[:, i] = states[:, i] * rises[:, 0]
            x[:, i] = np.concatenate([states[:, i] for states, _ in smooth])
            left = (y - x)[seen[:, i], i]
            size = _size(x[:, i])[seen[:, i]]
        sigma[i] = _rms(left / size) if grows[i] else _rms(left)
        typical = np.exp(np.log(size).mean()) if grows[i] else 1.0
        floor[i] = FLOOR * (x[:, i].std() + 1e-3 * np.abs(x[:, i]).max() + 1e-300) / typical
    records = []
    for t, one, (states, slopes) in zip(times, readings, smooth, strict=True):
        columns = [_size(states[:, i]) if grows[i] else np.ones(len(t)) for i in range(d)]
        records.append(Record(t, one, states, slopes, np.stack(columns, axis=1)))
    return records, Noise(sigma, floor, grows)


def profiled(
    records: Sequence[Record], states: Sequence[np.ndarray], noise: Noise
) -> tuple[list[Record], Noise]:
    """The records with the size of other `states` as the profile of noise that grows, and the
    noise that is then left around them."""
    profiles = [
        np.where(noise.grows, np.stack([_size(c) for c in x.T], axis=1), r.profile)
        for r, x in zip(records, states, strict=True)
    ]
    made = [replace(r, profile=p) for r, p in zip(records, profiles, strict=True)]
    left = np.concatenate([(r.y - x) / r.profile for r, x in zip(made, states, strict=True)])
    before = np.concatenate([r.profile for r in records])
    typical = np.exp(np.log(before).mean(axis=0) - np.log(np.concatenate(profiles)).mean(axis=0))
    sigma = np.sqrt(np.nanmean(left**2, axis=0))
    return made, Noise(sigma, noise.floor * typical, noise.grows)


def _size(x: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x), _LEAST * _rms(x) + 1e-300)


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))


def _smooth(times: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States and slopes `(time, state)` of a record, each state as rough as its data say."""
    states, slopes = np.empty_like(y), np.empty_like(y)
    smoothers: dict[bytes, Smoother] = {}
    for i in range(y.shape[1]):
        seen = np.isfinite(y[:, i])
        known, at = y[seen, i], times[seen]
        if known.size >= 6:
            key = seen.tobytes()
            smoothers.setdefault(key, Smoother(at))
            spline = smoothers[key](known[:, None])[0]
        else:
            spline = PchipInterpolator(at, known)
        states[:, i], slopes[:, i] = spline(times), spline(times, nu=1)
    return states, slopes
