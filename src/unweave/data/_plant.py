"""Anomalies planted into normal series at known places: a task for what learns to find them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from ._dataset import Dataset

#: The factors of series with a known span: its first sample, and the one after its last, counted
#: from 0; NaN where nothing is strange.
SPAN = ("span start", "span end")

#: Takes a generator, a stretch `(time, channel)`, the deviation of each channel, and another
#: stretch of as many samples; gives what the stretch becomes.
Plant: TypeAlias = Callable[[np.random.Generator, Any, Any, Any], Any]

# samples of a spike
_SPIKE = 3
# a stretch that moves by less than this share of a deviation has not changed
_UNSEEN = 0.05
# one that nowhere moves by more than this share was planted in vain, and is drawn again so often
_FAINT, _TRIES = 0.5, 8


def _noise(rng: np.random.Generator, y: Any, spread: Any, other: Any) -> Any:
    return y + rng.normal(size=y.shape) * rng.uniform(0.4, 1.2) * spread


def _amplitude(rng: np.random.Generator, y: Any, spread: Any, other: Any) -> Any:
    middle = np.nanmean(y, axis=0)
    return middle + (y - middle) * rng.choice([rng.uniform(0, 0.4), rng.uniform(1.8, 3)])


def _level(rng: np.random.Generator, y: Any, spread: Any, other: Any) -> Any:
    return y + rng.choice([-1, 1]) * rng.uniform(0.7, 2) * spread


def _trend(rng: np.random.Generator, y: Any, spread: Any, other: Any) -> Any:
    rise = np.linspace(0, 1, len(y))[:, None]
    return y + rise * rng.choice([-1, 1]) * rng.uniform(1, 3) * spread


def _flat(rng: np.random.Generator, y: Any, spread: Any, other: Any) -> Any:
    return np.broadcast_to(y[:1], y.shape)


def _spike(rng: np.random.Generator, y: Any, spread: Any, other: Any) -> Any:
    return y + rng.choice([-1, 1]) * rng.uniform(2.5, 5) * spread


def _warp(rng: np.random.Generator, y: Any, spread: Any, other: Any) -> Any:
    t = np.linspace(0, 1, len(y))
    at = t ** np.exp(rng.choice([-1, 1]) * rng.uniform(0.4, 0.9))
    return np.stack([np.interp(at, t, c) for c in y.T], axis=1)


def _speed(rng: np.random.Generator, y: Any, spread: Any, other: Any) -> Any:
    at = np.arange(len(y)) * rng.uniform(1.7, 3)
    last = max(1, len(y) - 1)
    # there and back again, so that it does not jump
    at = last - np.abs(at % (2 * last) - last)
    return np.stack([np.interp(at, np.arange(len(y)), c) for c in y.T], axis=1)


def _swap(rng: np.random.Generator, y: Any, spread: Any, other: Any) -> Any:
    return other


#: What is planted, by name: white noise, another amplitude, another level, a trend, a sensor that
#: stands still, a spike, time that runs unevenly or faster, and a stretch of another place.
PLANTS: Mapping[str, Plant] = {
    "noise": _noise, "amplitude": _amplitude, "level": _level, "trend": _trend, "flat": _flat,
    "spike": _spike, "warp": _warp, "speed": _speed, "swap": _swap,
}  # fmt: skip


def planted(
    data: Dataset,
    *,
    kinds: tuple[str, ...] = tuple(PLANTS),
    share: float = 0.75,
    lengths: tuple[float, float] = (0.08, 0.4),
    copies: int = 1,
    seed: int = 0,
) -> Dataset:
    """Normal series, each `copies` times, of which a `share` have one anomaly on a stretch; its
    place is the factors `SPAN` of the new dataset, in samples.

    **Arguments:** `kinds`, of `PLANTS`, drawn evenly; `lengths`, the shares of a series between
    which a stretch's length is drawn. A stretch that hardly changes (a sensor that stood still
    anyway) is drawn again, and its ends are where a change begins to be seen. Some channels change,
    or all. The same seed plants the same.

    Raises `ValueError` for what is no series `(time, channel)`, and for kinds, shares or lengths
    that are none.
    """
    _check(data, kinds, share, lengths, copies)
    rng = np.random.default_rng(seed)
    whole = data.take(np.tile(np.arange(len(data)), copies))
    x = np.array(whole.observations, np.float32)
    spread = np.nanstd(data.observations, axis=(0, 1))
    spread = np.where(spread > 0, spread, 1.0)
    factors = np.full((len(x), 2), np.nan, np.float32)
    for i in np.flatnonzero(rng.uniform(size=len(x)) < share):
        for _ in range(_TRIES):
            start, new = _drawn(rng, x[i], data.observations, spread, kinds, lengths)
            moved = np.abs(new - x[i, start : start + len(new)]) / spread
            moved = np.nan_to_num(moved).max(1)
            if moved.max() > _FAINT:
                seen = np.flatnonzero(moved > _UNSEEN)
                x[i, start : start + len(new)] = new
                factors[i] = start + seen[0], start + seen[-1] + 1
                break
    return replace(
        whole, observations=x, labels=None, label_names=(), factors=factors, factor_names=SPAN
    )


def _drawn(
    rng: np.random.Generator, x: Any, pool: Any, spread: Any, kinds: tuple[str, ...],
    lengths: tuple[float, float],
) -> tuple[int, Any]:  # fmt: skip
    """A first sample, and what the samples from there on become."""
    total, channels = x.shape
    kind = kinds[rng.integers(len(kinds))]
    low, high = (max(2, round(share * total)) for share in lengths)
    length = rng.integers(1, _SPIKE + 1) if kind == "spike" else rng.integers(low, high + 1)
    length = min(int(length), total)
    start, at = (int(rng.integers(total - length + 1)) for _ in range(2))
    old = x[start : start + length]
    other = pool[rng.integers(len(pool)), at : at + length]
    with np.errstate(invalid="ignore"):
        new = PLANTS[kind](rng, old, spread, other)
    chosen = rng.uniform(size=channels) < 0.5
    chosen = chosen if chosen.any() else np.ones(channels, bool)
    # what was not observed stays so, and where nothing is known of the new stretch so does the old
    return start, np.where(chosen & np.isfinite(old) & np.isfinite(new), new, old)


def _check(
    data: Dataset, kinds: tuple[str, ...], share: float, lengths: tuple[float, float], copies: int
) -> None:
    schema = data.schema
    if not schema.is_series or len(schema.shape) != 2 or schema.shape[0] < 4:
        raise ValueError(
            f"observations have axes {', '.join(schema.axes)} of shape {schema.shape}; anomalies "
            "are planted into series (time, channel) of at least 4 samples."
        )
    unknown = [kind for kind in kinds if kind not in PLANTS]
    if unknown or not kinds:
        raise ValueError(f"{unknown or 'nothing'} is to be planted; there are {', '.join(PLANTS)}.")
    if not 0 < share <= 1 or not 0 < lengths[0] <= lengths[1] <= 1 or copies < 1:
        raise ValueError(
            f"a share of {share}, lengths of {lengths} and {copies} copies were given; give shares "
            "between 0 and 1, the shorter length first, and at least one copy."
        )
