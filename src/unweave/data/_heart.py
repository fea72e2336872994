r"""Simulated heartbeats whose causes are known, by the dynamical model of McSharry et al.

A point runs round a circle once a beat, and five Gaussian events on its way, the waves P, Q, R,
S and T, push a third coordinate $z$, which is the electrocardiogram. Each event has an angle
$\theta_i$, a height $a_i$ and a width $b_i$:

$$\dot z = -\sum_i a_i \Delta\theta_i \, e^{-\Delta\theta_i^2 / 2 b_i^2} - (z - z_0), \qquad
\Delta\theta_i = (\theta - \theta_i) \bmod 2\pi$$

P. E. McSharry, G. D. Clifford, L. Tarassenko and L. A. Smith, "A dynamical model for generating
synthetic electrocardiogram signals", IEEE Transactions on Biomedical Engineering 50:289-294,
2003, equations 1 to 3 and Table 1.

On the limit cycle (radius 1) the angle is known in closed form, $\theta = \omega t$. What is
left is linear in $z$, so each step is exact but for its integral, taken by Simpson's rule:

$$z(t + h) = e^{-h} z(t) + \int_0^h e^{-(h - s)} f(\theta(t + s))\,ds$$
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy.integrate import simpson
from scipy.signal import lfilter
from scipy.special import expit

from .._schema import Schema
from ._dataset import Dataset, Signal, dataset

WAVES = ("P", "Q", "R", "S", "T")
# Table 1, in the order of WAVES: angle (rad), height, width (rad)
_ANGLES = np.array([-np.pi / 3, -np.pi / 12, 0.0, np.pi / 12, np.pi / 2])
_HEIGHTS = np.array([1.2, -5.0, 30.0, -7.5, 0.75])
_WIDTHS = np.array([0.25, 0.1, 0.1, 0.1, 0.4])


@dataclass(frozen=True)
class Factor:
    """A cause of a heartbeat's shape, drawn uniformly from `low` to `high`."""

    name: str
    unit: str
    low: float
    high: float

    @property
    def title(self) -> str:
        """The name with its unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


def _factors() -> tuple[Factor, ...]:
    shake = (0.15, 0.04, 0.0, 0.04, 0.2)
    heights = [
        Factor(f"{wave} height", "", *sorted((0.7 * a, 1.3 * a)))
        for wave, a in zip(WAVES, _HEIGHTS.tolist(), strict=True)
    ]
    widths = [
        Factor(f"{wave} width", "rad", 0.8 * b, 1.2 * b)
        for wave, b in zip(WAVES, _WIDTHS.tolist(), strict=True)
    ]
    angles = [
        Factor(f"{wave} angle", "rad", angle - by, angle + by)
        for wave, angle, by in zip(WAVES, _ANGLES.tolist(), shake, strict=True)
        if wave != "R"  # a beat's window is centred on R, so its angle is 0 by definition
    ]
    return (
        Factor("heart rate", "1/min", 50.0, 100.0),
        *heights,
        *widths,
        *angles,
        Factor("ST level", "mV", -0.1, 0.3),
        Factor("noise", "mV", 0.005, 0.03),
    )


#: The factors of a simulated heartbeat, in the order in which arrays hold them.
FACTORS: tuple[Factor, ...] = _factors()


def typical_factors() -> np.ndarray:
    """Table 1 of the paper at 60 beats a minute, without ST level or noise: `(factor,)`."""
    return np.concatenate([[60.0], _HEIGHTS, _WIDTHS, np.delete(_ANGLES, 2), [0.0, 0.0]])


def heartbeats(
    n: int,
    *,
    seed: int = 0,
    samples: int = 256,
    before: float = 0.25,
    after: float = 0.45,
) -> Dataset:
    """`n` simulated beats in mV, each with its own factors, which the dataset keeps.

    **Arguments:** `samples` points from `before` seconds ahead of the R wave to `after` seconds
    past it, the end left out, as `beats` cuts them.
    """
    if n < 1:
        raise ValueError(f"{n} heartbeats were asked for; give at least 1.")
    random = np.random.default_rng(seed)
    factors = random.uniform([f.low for f in FACTORS], [f.high for f in FACTORS], (n, len(FACTORS)))
    step = (before + after) / samples
    clean = beat_shapes(factors, samples=samples, before=before, step=step)
    noisy = clean + factors[:, -1:] * random.standard_normal(clean.shape)
    schema = Schema(
        kind="beats",
        axes=("time", "channel"),
        shape=(samples, 1),
        channels=("ii",),
        units=("mV",),
        step=step,
        origin=-before,
        time_unit="s",
    )
    names = tuple(factor.title for factor in FACTORS)
    return dataset(noisy[..., None], schema, factors=factors, factor_names=names)


def beat_shapes(
    factors: np.ndarray, *, samples: int = 256, before: float = 0.25, step: float = 0.7 / 256
) -> np.ndarray:
    r"""The noiseless beats `(n, samples)` in mV that `factors` `(n, factor)` stand for.

    The steady rhythm: $z$ at the window's start is that of the periodic solution,
    $z(0) = \int_0^T e^{-(T - s)} f\,ds \,/\, (1 - e^{-T})$. In mV it is the affine map that
    takes a beat of Table 1 at 60 beats a minute to -0.4 to 1.2 mV, the same for every beat, so
    that heights can be compared. The ST level is an addition to the paper: a plateau in mV from
    the end of S to the T wave.
    """
    low, scale = _millivolts()
    z = _solve(factors, samples, before, step)
    times = -before + step * np.arange(samples)
    theta = _wrap(times * (2 * np.pi / 60) * factors[:, :1])
    return (z - low) * scale - 0.4 + _st_plateau(theta, factors[:, None, :])


def heartbeat_signals(
    records: int = 6, *, seconds: float = 60.0, rate: float = 250.0, seed: int = 0
) -> tuple[Signal, ...]:
    """Recordings of simulated patients: lead "ii" in mV, each R wave annotated as an event.

    Patients differ in their mean factors; from beat to beat these vary a little, and so does
    the time between beats, with breathing and by chance. The baseline wanders with breathing.

    **Arguments:** `records`, one for each patient; `rate` in samples a second; `seed`.
    """
    if records < 1:
        raise ValueError(f"{records} records were asked for; give at least 1.")
    if not (seconds >= 2 and rate >= 100):
        raise ValueError(
            f"{seconds:g} s at {rate:g} samples a second hold no clear heartbeat; give at "
            "least 2 s and 100 samples a second."
        )
    streams = np.random.default_rng(seed).spawn(records)
    return tuple(
        _patient(f"patient {i + 1}", stream, seconds, rate) for i, stream in enumerate(streams)
    )


def _patient(name: str, random: np.random.Generator, seconds: float, rate: float) -> Signal:
    low, high = (np.array([getattr(f, end) for f in FACTORS]) for end in ("low", "high"))
    mean = random.uniform(low + 0.15 * (high - low), high - 0.15 * (high - low))
    # two beats more than fit, so that the last sample still lies between two R waves
    count = int(seconds * high[0] / 60 * 1.2) + 4
    factors = mean + 0.04 * (high - low) * random.standard_normal((count, len(FACTORS)))
    breath = np.sin(2 * np.pi * 0.25 * np.arange(count) * 60 / mean[0])
    between = 60 / mean[0] * (1 + 0.03 * breath + 0.02 * random.standard_normal(count))
    r_times = np.cumsum(between) - between[0] + 0.4 * between[0]
    times = np.arange(round(seconds * rate)) / rate
    # the phase at each half step, which Simpson's rule needs
    half = np.arange(2 * len(times) - 1) / (2 * rate)
    turns = np.interp(half, r_times, np.arange(count))
    turns = np.where(half < r_times[0], (half - r_times[0]) / between[1], turns)
    theta = _wrap(2 * np.pi * turns)
    own = factors[np.clip(np.rint(turns).astype(int), 0, count - 1)]
    drive = _drive(theta, own)[None, :]
    # started at the mean that it settles about
    z = _relax(drive, 1 / rate, drive.mean(axis=1))[0]
    base, scale = _millivolts()
    wander = 0.1 * np.sin(2 * np.pi * 0.25 * times + random.uniform(0, 2 * np.pi))
    clean = (z - base) * scale - 0.4 + _st_plateau(theta[::2], own[::2]) + wander
    values = clean + mean[-1] * random.standard_normal(len(times))
    events = np.rint(r_times[r_times < seconds - 1 / rate] * rate).astype(np.int64)
    return Signal(
        record=name,
        group=name,
        values=values[:, None],
        times=times,
        channels=("ii",),
        units=("mV",),
        events=events,
        event_labels=("N",) * len(events),
    )


def _solve(factors: np.ndarray, samples: int, before: float, step: float) -> np.ndarray:
    """The periodic solution z `(n, samples)` from `before` seconds ahead of R."""
    omega = (2 * np.pi / 60) * factors[:, :1]
    every = factors[:, None, :]
    period = 2 * np.pi / omega
    turn = np.linspace(0, 1, 601) * period
    pull = np.exp(turn - period) * _drive(_wrap(omega * (turn - before)), every)
    start = simpson(pull, dx=1 / 600, axis=1) * period[:, 0] / (1 - np.exp(-period[:, 0]))
    # the narrowest wave is 13 ms wide at 100 beats a minute; 2 ms steps resolve it to 1e-6
    finer = math.ceil(step / 0.002)
    half = np.arange(2 * finer * (samples - 1) + 1) * step / (2 * finer) - before
    drive = _drive(_wrap(omega * half), every)
    return _relax(drive, step / finer, start)[:, ::finer]


def _drive(theta: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The sum over the waves in equation 1, `factors` `(..., factor)` at `theta` `(...)`."""
    total = np.zeros(theta.shape)
    for i, angle in enumerate(_angles(factors)):
        height, width = factors[..., 1 + i], factors[..., 6 + i]
        away = _wrap(theta - angle)
        total -= height * away * np.exp(-(away**2) / (2 * width**2))
    return total


def _relax(drive: np.ndarray, step: float, start: np.ndarray) -> np.ndarray:
    """z `(n, k + 1)` of z' = drive - z, for `drive` `(n, 2k + 1)` at every half step."""
    whole, half = np.exp(-step), np.exp(-step / 2)
    first, middle, last = drive[:, :-1:2], drive[:, 1::2], drive[:, 2::2]
    gains = step / 6 * (whole * first + 4 * half * middle + last)
    later, _ = lfilter([1.0], [1.0, -whole], gains, axis=1, zi=whole * start[:, None])
    return np.concatenate([start[:, None], later], axis=1)


@functools.lru_cache(maxsize=1)
def _millivolts() -> tuple[float, float]:
    """The lowest z of a beat of Table 1, and the mV that one unit of z is worth."""
    z = _solve(typical_factors()[None, :], 1000, 0.5, 0.001)
    return float(z.min()), 1.6 / float(np.ptp(z))


def _st_plateau(theta: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The ST level in mV from the end of S to T, with smooth ends."""
    angles = _angles(factors)
    begin, end = angles[3] + 2.5 * factors[..., 9], angles[4]
    return factors[..., -2] * expit((theta - begin) / 0.05) * expit((end - theta) / 0.15)


def _angles(factors: np.ndarray) -> list[np.ndarray]:
    """The angle of each wave; R lies at 0."""
    p, q, s, t = (factors[..., i] for i in range(11, 15))
    return [p, q, np.zeros_like(p), s, t]


def _wrap(angle: np.ndarray) -> np.ndarray:
    """The same angle from -π to π."""
    return (angle + np.pi) % (2 * np.pi) - np.pi
