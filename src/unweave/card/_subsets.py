"""Parts of the training data, each within the next, and the check that nothing leaks."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..data import Dataset, Split

#: The shares of the training part at which every recipe is fitted.
SHARES = (0.0625, 0.125, 0.25, 0.5, 1.0)
# the smallest share must leave at least this many rows, or samples of a course
_LEAST = 2


def is_within(data: Split) -> bool:
    """Whether training and test are parts of the same courses, parted in time."""
    train, test = data.train, data.test
    if len(train) != len(test) or train.observations.dtype.kind != "f":
        return False
    if not np.array_equal(train.records, test.records):
        return False
    both = ~np.isnan(train.observations) & ~np.isnan(test.observations)
    return not both.any()


def shares_of(data: Split, asked: Sequence[float] | None = None) -> tuple[float, ...]:
    """The shares that were asked for, or those of `SHARES` that leave more than next to nothing:
    the whole alone where that would be fewer than an eighth of it.

    **Raises:** `ValueError` for a share that is none, or where the whole is not among them.
    """
    if asked is not None:
        shares = tuple(sorted(set(map(float, asked))))
        if not shares or not all(0 < share <= 1 for share in shares) or shares[-1] != 1:
            raise ValueError(
                f"the shares {', '.join(f'{share:g}' for share in shares) or 'given are none'}: "
                "give numbers above 0 and up to 1, which is the whole and must be among them, "
                "such as 0.25,1."
            )
        return shares
    size = samples_of(data.train).min() if is_within(data) else len(data.train)
    enough = tuple(share for share in SHARES if size * share >= _LEAST)
    return enough if len(enough) >= len(SHARES) - 1 else SHARES[-1:]


def subset(data: Split, share: float, *, seed: int) -> Split:
    """The split with a share of its training and validation parts; the test part stays.

    Rows are drawn once with `seed` and a share takes the first of them, so that a smaller
    share lies within every larger one. Early stopping sees the same share, for otherwise a
    model of few data would be chosen by many. Of a split within time, the latest part of each
    course's training time is kept: a shorter past, measured as often.
    """
    if share == 1:
        return data
    if is_within(data):
        return replace(data, train=_latest(data.train, share))
    parts = (data.train, data.validation)
    drawn = (_drawn(part, share, (seed, i)) for i, part in enumerate(parts))
    train, validation = drawn
    return replace(data, train=train, validation=validation)


def samples_of(part: Dataset) -> np.ndarray:
    """At how many times of each course something was observed `(n,)`."""
    return _observed_times(part).sum(axis=1)


def check_apart(data: Split) -> None:
    """Raises `ValueError` where a test observation is in another part."""
    if is_within(data):
        return
    test = set(units_of(data, by_group=False).tolist())
    for name, part in (("training", data.train), ("validation", data.validation)):
        shared = test & set(names_of(part).tolist())
        if shared:
            raise ValueError(
                f"{len(shared)} of the {len(test)} test observations are in the {name} part too, "
                "so a comparison would reward learning by heart; hold something out, for "
                "example with split_at_random or split_by_time."
            )


def units_of(data: Split, *, by_group: bool | None = None) -> np.ndarray:
    """What each test observation counts as when chance is weighed: `(n,)` names.

    Where whole groups (patients) were held out these are what was drawn, and observations of
    one are no independent evidence; otherwise each observation stands for itself.
    """
    test = data.test
    if by_group is None:
        by_group = not set(test.groups.tolist()) & set(data.train.groups.tolist())
    return test.groups.astype(str) if by_group else names_of(test)


def names_of(data: Dataset) -> np.ndarray:
    """What each observation is called `(n,)`: its record and where in it."""
    spans = [f"{first!r}:{last!r}" for first, last in data.spans.tolist()]
    return np.asarray([f"{r} {s}" for r, s in zip(data.records.tolist(), spans, strict=True)])


def _drawn(part: Dataset, share: float, seed: tuple[int, int]) -> Dataset:
    order = np.random.default_rng(seed).permutation(len(part))
    return part.take(np.sort(order[: max(1, round(share * len(part)))]))


def _observed_times(data: Dataset) -> np.ndarray:
    """`(n, time)`: whether anything was observed then."""
    seen = ~np.isnan(data.observations)
    return np.asarray(seen.any(axis=tuple(range(2, seen.ndim))))


def _latest(part: Dataset, share: float) -> Dataset:
    seen = _observed_times(part)
    # how many observed times follow, this one included
    left = np.cumsum(seen[:, ::-1], axis=1)[:, ::-1]
    kept = left <= np.maximum(1, np.round(share * seen.sum(axis=1)))[:, None]
    kept = kept.reshape(kept.shape + (1,) * (part.observations.ndim - 2))
    return replace(part, observations=np.where(kept, part.observations, np.nan))
