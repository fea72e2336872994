r"""Can drawn observations be told from real ones? A deterministic test by random convolutions.

Features are those of ROCKET (Dempster, Petitjean and Webb 2020, section 3): random kernels, of
each the largest answer and the share of answers above zero. A logistic regression on them is
trained on some of the observations and judged by the others.
"""

import math
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ._progress import shown
from ._samples import channel_moments, standardised, thinned

VERSION = "two-sample 1"
# Dempster et al. (2020), section 3.1: the lengths of kernels; along each axis of an image
_LENGTHS, _SIDES = (7, 9, 11), (3, 5)
# the inverse of the penalty on the weights of features of variance one
_INVERSE_PENALTY = 0.01
# how many answers are held at once (64 MB)
_CHUNK_NUMBERS = 2**23


@dataclass(frozen=True)
class TwoSample:
    """How often real and drawn observations are told apart, 0.5 being a guess.

    `accuracy` is the mean of `folds`, each judged by what was not trained on; `floor` is that of
    real observations against other real ones, `ceiling` that of white noise of each entry's mean
    and deviation. `n` of either kind were compared, by so many `kernels`.
    """

    accuracy: float
    folds: tuple[float, ...]
    floor: float
    ceiling: float
    n: int
    kernels: int
    seed: int
    version: str = VERSION

    def sentence(self) -> str:
        """The same in words."""
        low, high = min(self.folds), max(self.folds)
        return (
            f"{self.accuracy:.0%} are told from real ones ({low:.0%} to {high:.0%} over "
            f"{len(self.folds)} folds); real from real {self.floor:.0%}, white noise from real "
            f"{self.ceiling:.0%} ({self.version}, {self.kernels} kernels, n = {self.n:,} each, "
            f"seed {self.seed})"
        )


def two_sample(
    real: np.ndarray,
    drawn: np.ndarray,
    *,
    others: np.ndarray | None = None,
    kernels: int = 500,
    folds: int = 5,
    most: int = 1000,
    seed: int = 0,
    quiet: bool = True,
) -> TwoSample:
    r"""Tells drawn observations from real ones, with what real ones and noise would score.

    Entries are centred and scaled by the mean and deviation of each channel of `real`. Folds are
    runs of neighbours in the order given, so that windows that overlap are mostly on one side.

    **Arguments:**

    - `real`, `drawn`: observations `(n, ..., channel)` in the same units, or rows `(n, size)`.
      `real` ones should be held out: a model that copies its training data passes otherwise.
    - `others`: real observations that set the floor, best those that a model was trained on: no
      honest model can be expected below. Without them every other one of `real` is compared with
      those between.
    - `kernels` are drawn with `seed`; of more than `most` observations every k-th is taken.
    - `quiet` false shows a bar on stderr once it takes long.

    **Raises:** `ValueError` where shapes differ, a number is missing, or there are too few.
    """
    if folds < 2 or kernels < 1:
        raise ValueError(f"{folds} folds of {kernels} kernels: give at least 2 folds and 1 kernel.")
    x = standardised(real, drawn, others, least=4 * folds)
    n = min(len(x.real), len(x.drawn), most)
    n_floor = min(len(x.ground), len(x.others), most)
    rng = np.random.default_rng(seed)
    noise = x.real.mean(0) + x.real.std(0) * rng.standard_normal((n, *x.real.shape[1:]))
    bank = _kernels(x.real.shape[1:], kernels, np.random.default_rng(seed))
    own = _features(thinned(x.real, n), bank)
    ground, others = (thinned(part, n_floor) for part in (x.ground, x.others))
    found, ceiling, floor = (
        _told_apart(own if one is None else _features(one, bank), _features(other, bank), folds)
        for one, other in shown(
            [(None, thinned(x.drawn, n)), (None, noise), (ground, others)],
            "telling apart", quiet=quiet,
        )
    )  # fmt: skip
    middle, low, high = (float(np.mean(each)) for each in (found, floor, ceiling))
    return TwoSample(middle, found, low, high, n, kernels, seed)


def random_features(
    parts: tuple[np.ndarray, ...], kernels: int, seed: int
) -> tuple[np.ndarray, ...]:
    """The features of several sets of observations, whose channels are scaled by the mean and
    deviation of the first set."""
    mean, deviation = channel_moments(parts[0])
    bank = _kernels(parts[0].shape[1:], kernels, np.random.default_rng(seed))
    return tuple(_features((x - mean) / deviation, bank) for x in parts)


@dataclass(frozen=True)
class _Alike:
    """Kernels of the same `lengths`, `steps` between taps and `padding` along each axis: weights
    `(tap and channel, kernel)` and a bias each."""

    lengths: tuple[int, ...]
    steps: tuple[int, ...]
    padding: tuple[int, ...]
    weights: np.ndarray
    biases: np.ndarray


def _kernels(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> list[_Alike]:
    """Kernels for observations `(..., channel)`; for rows, which have no neighbours, random
    directions."""
    *sides, channels = shape
    if not sides:
        weights = rng.standard_normal((channels, count)) / np.sqrt(channels)
        return [_Alike((), (), (), weights, rng.uniform(-1, 1, count))]
    sizes = _LENGTHS if len(sides) == 1 else _SIDES
    groups: dict[tuple, list[tuple[np.ndarray, float]]] = {}
    for _ in range(count):
        length = int(rng.choice(sizes))
        lengths = tuple(min(length, side) for side in sides)
        # the same for all axes, at most what the shortest has room for
        room = min((s - 1) / max(1, n - 1) for s, n in zip(sides, lengths, strict=True))
        step = int(2 ** rng.uniform(0, np.log2(max(1.0, room))))
        padding = tuple((n - 1) * step // 2 for n in lengths)
        padding = padding if rng.random() < 0.5 else (0,) * len(sides)
        some = int(2 ** rng.uniform(0, np.log2(min(channels, math.prod(lengths)) + 1)))
        used = np.zeros(channels)
        used[rng.permutation(channels)[:some]] = 1.0
        weights = rng.standard_normal((math.prod(lengths), channels)) * used
        # centred over what the kernel sees: it answers to differences
        weights -= used * weights.sum() / (some * len(weights))
        kind = (lengths, (step,) * len(sides), padding)
        groups.setdefault(kind, []).append((weights.ravel(), rng.uniform(-1, 1)))
    return [
        _Alike(
            lengths,
            steps,
            padding,
            np.stack([w for w, _ in many], axis=1),
            np.array([b for _, b in many]),
        )
        for (lengths, steps, padding), many in groups.items()
    ]


def _features(x: np.ndarray, bank: list[_Alike]) -> np.ndarray:
    """Of each kernel the largest answer and the share above zero, `(n, 2 kernel)`; of rows, where
    there is one answer, its part above zero."""
    if x.ndim == 2:
        return np.maximum(x @ bank[0].weights + bank[0].biases, 0.0)
    rows = max(1, _CHUNK_NUMBERS // (math.prod(x.shape[1:-1]) * max(len(g.biases) for g in bank)))
    parts = [_of_some(x[i : i + rows], bank) for i in range(0, len(x), rows)]
    return np.concatenate(parts)


def _of_some(x: np.ndarray, bank: list[_Alike]) -> np.ndarray:
    dims, found = x.ndim - 2, []
    axes = tuple(range(1, 1 + dims))
    for group in bank:
        wide = np.pad(x, [(0, 0), *((p, p) for p in group.padding), (0, 0)])
        reach = tuple((n - 1) * k + 1 for n, k in zip(group.lengths, group.steps, strict=True))
        seen = np.lib.stride_tricks.sliding_window_view(wide, reach, axes)
        # (n, *place, channel, *tap) to (place, tap and channel)
        seen = seen[(..., *(slice(None, None, k) for k in group.steps))]
        seen = np.moveaxis(seen, dims + 1, -1)
        places = math.prod(seen.shape[1 : dims + 1])
        answers = seen.reshape(len(x) * places, -1) @ group.weights + group.biases
        answers = answers.reshape(len(x), places, -1)
        found += [answers.max(1), np.mean(answers > 0, axis=1)]
    return np.concatenate(found, axis=1)


def _told_apart(a: np.ndarray, b: np.ndarray, folds: int) -> tuple[float, ...]:
    """The accuracy on each fold of a classifier that was trained on the others."""
    place = np.arange(len(a)) * folds // len(a)
    found = []
    for fold in range(folds):
        known, new = place != fold, place == fold
        scaler = StandardScaler().fit(np.concatenate([a[known], b[known]]))
        judge = LogisticRegression(C=_INVERSE_PENALTY, max_iter=1000)
        judge.fit(
            scaler.transform(np.concatenate([a[known], b[known]])),
            np.repeat([0, 1], [known.sum(), known.sum()]),
        )
        told = judge.predict(scaler.transform(np.concatenate([a[new], b[new]])))
        right = np.equal(told, np.repeat([0, 1], [new.sum(), new.sum()]))
        found.append(float(right.mean()))
    return tuple(found)
