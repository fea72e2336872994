r"""Choosing a detector where nothing is known to be anomalous: by normal observations that are held
out, and the same ones perturbed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float, Num
from scipy.stats import rankdata, spearmanr
from tqdm import tqdm

from ._detector import Conditions, Detector, take
from ._measures import auroc
from ._together import out_of_fold, together

#: Takes a generator, one observation, the deviation of normal ones and a few normal ones.
Perturbation: TypeAlias = Callable[[np.random.Generator, Any, float, Any], Any]

# a stretch that is perturbed has between these shares of the samples
_SHORTEST, _LONGEST = 0.1, 0.4


def noisy(rng: np.random.Generator, x: Any, spread: float, pool: Any) -> Any:
    """White noise of a quarter to one deviation on a stretch."""
    start, end = _stretch(rng, len(x))
    y = x.copy()
    y[start:end] += rng.normal(size=y[start:end].shape) * rng.uniform(0.25, 1) * spread
    return y


def bumped(rng: np.random.Generator, x: Any, spread: float, pool: Any) -> Any:
    """A smooth bump of half to two deviations, up or down."""
    start, end = _stretch(rng, len(x))
    y = x.copy()
    shape = np.hanning(end - start + 2)[1:-1].reshape(-1, *(1,) * (x.ndim - 1))
    y[start:end] += rng.choice([-1, 1]) * rng.uniform(0.5, 2) * spread * shape
    return y


def scaled(rng: np.random.Generator, x: Any, spread: float, pool: Any) -> Any:
    """A stretch that swings half as much about its mean or less, or half as much again or more."""
    start, end = _stretch(rng, len(x))
    y, factor = x.copy(), rng.choice([rng.uniform(0, 0.5), rng.uniform(1.5, 2.5)])
    middle = y[start:end].mean(axis=0)
    y[start:end] = middle + (y[start:end] - middle) * factor
    return y


def warped(rng: np.random.Generator, x: Any, spread: float, pool: Any) -> Any:
    r"""Time that runs as $t^\gamma$, faster at first or last by up to half."""
    t = np.linspace(0, 1, len(x))
    at = t ** np.exp(rng.choice([-1, 1]) * rng.uniform(0.1, 0.4))
    flat = x.reshape(len(x), -1)
    return np.stack([np.interp(at, t, c) for c in flat.T], axis=1).reshape(x.shape)


def swapped(rng: np.random.Generator, x: Any, spread: float, pool: Any) -> Any:
    """A stretch that comes from another place of another normal observation."""
    start, end = _stretch(rng, len(x))
    other, at = pool[rng.integers(len(pool))], rng.integers(len(x) - (end - start) + 1)
    y = x.copy()
    y[start:end] = other[at : at + end - start]
    return y


def smoothed(rng: np.random.Generator, x: Any, spread: float, pool: Any) -> Any:
    """A running mean over a twentieth to a seventh of the samples."""
    width = max(3, int(rng.uniform(0.05, 0.15) * len(x)) | 1)
    wide = np.pad(x, [(width // 2, width // 2)] + [(0, 0)] * (x.ndim - 1), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(wide, width, axis=0).mean(-1)


def stretched(rng: np.random.Generator, x: Any, spread: float, pool: Any) -> Any:
    r"""$x + \lambda (x' - x'')$ with one to two times the difference of two normal observations:
    what normal ones vary in, yet too far."""
    one, other = pool[rng.integers(len(pool))], pool[rng.integers(len(pool))]
    return x + rng.uniform(1, 2) * (one - other)


#: What normal observations are perturbed by: along what they vary in, and away from it.
PERTURBATIONS: Mapping[str, Perturbation] = {
    "noisy": noisy, "bumped": bumped, "scaled": scaled, "warped": warped, "swapped": swapped,
    "smoothed": smoothed, "stretched": stretched,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Choice:
    """The detector that tells perturbed from normal observations best.

    `areas` `(detector, perturbation)` are AUROCs; `ranks` `(detector,)` the mean over
    perturbations of each one's place among the others, 1 = best, by which they are in `order`.
    """

    best: Detector
    names: tuple[str, ...]
    perturbations: tuple[str, ...]
    areas: Float[np.ndarray, "detector perturbation"]
    ranks: Float[np.ndarray, " detector"]

    @property
    def order(self) -> tuple[int, ...]:
        """The detectors, best first."""
        return tuple(int(i) for i in np.argsort(self.ranks, kind="stable"))


def choose(
    detectors: Sequence[Detector],
    normal: Num[np.ndarray, "n ..."],
    conditions: Conditions = None,
    *,
    perturbations: Mapping[str, Perturbation] = PERTURBATIONS,
    folds: int = 4,
    quiet: bool = True,
    seed: int = 0,
) -> Choice:
    r"""The detector with the best mean rank over perturbations, by how well it tells normal
    observations that it was not fitted to from the same ones perturbed (synthetic anomalies, one
    of the surrogates of Goswami et al. 2023, ICLR, whose ranks are averaged as theirs).

    No anomaly is looked at. What is chosen is the best for changes like these, which real
    anomalies need not be: `together` of several asks for less luck. Observations with gaps keep
    them. Raises `ValueError` without a detector, or with fewer observations than folds.
    """
    if not detectors or not 2 <= folds <= len(normal):
        raise ValueError(
            f"{len(detectors)} detectors, {len(normal)} observations and {folds} folds leave "
            "nothing to choose from; give detectors, and an observation for each of 2 folds."
        )
    normal = np.asarray(normal, np.float64)
    spread = float(np.nanstd(normal))
    every = np.arange(len(normal))
    found = np.zeros((folds, len(detectors), len(perturbations)))
    parts = np.array_split(every, folds)
    bar = tqdm(total=folds * len(detectors), disable=quiet, unit="fit", leave=False)
    for fold, held in enumerate(parts):
        rest = np.setdiff1d(every, held)
        changed = [
            np.stack([change(rng, normal[i], spread, normal[rest]) for i in held])
            for change, rng in zip(
                perturbations.values(),
                (np.random.default_rng((seed, fold, k)) for k in range(len(perturbations))),
                strict=True,
            )
        ]
        truth = np.repeat([False, True], len(held))
        beside = take(conditions, held)
        for row, detector in enumerate(detectors):
            score = detector.fit(normal[rest], take(conditions, rest), seed=seed)
            usual = score(normal[held], beside)
            found[fold, row] = [auroc(np.r_[usual, score(x, beside)], truth) for x in changed]
            bar.update()
    bar.close()
    areas = found.mean(0)
    ranks = np.mean([rankdata(-column) for column in areas.T], axis=0)
    names = tuple(detector.name for detector in detectors)
    return Choice(detectors[int(np.argmin(ranks))], names, tuple(perturbations), areas, ranks)


@dataclass(frozen=True, eq=False)
class Agreement:
    """The detectors that agree most, `together`, as `best`.

    `correlations` `(detector, detector)` are Spearman's, of their scores; `agreement`
    `(detector,)` the mean of each one's with the others, and `kept` those that are in `best`.
    """

    best: Detector
    names: tuple[str, ...]
    correlations: Float[np.ndarray, "detector detector"]
    agreement: Float[np.ndarray, " detector"]
    kept: tuple[int, ...]


def agreeing(
    detectors: Sequence[Detector],
    x: Num[np.ndarray, "n ..."],
    conditions: Conditions = None,
    *,
    keep: int = 3,
    seed: int = 0,
) -> Agreement:
    r"""The `keep` detectors whose ranking of `x` is most like that of all others, together: for
    data of which nothing is known to be normal, where a detector that takes a frequent anomaly for
    normal stands alone (model centrality, one of the surrogates of Goswami et al. 2023).

    Each scores every observation without having seen it (`out_of_fold`); no label is looked at.
    What most detectors miss, they miss in agreement. Raises `ValueError` for fewer than three
    detectors, or than are to be kept.
    """
    if len(detectors) < max(3, keep) or keep < 1:
        raise ValueError(
            f"{len(detectors)} detectors cannot agree on the {keep} to keep; give at least three, "
            "and as many as are kept."
        )
    scores = [out_of_fold(d, x, conditions, seed=seed) for d in detectors]
    correlations = np.asarray(spearmanr(np.stack(scores, axis=1))[0], np.float64)
    agreement = (correlations.sum(0) - 1) / (len(detectors) - 1)
    kept = tuple(int(i) for i in np.sort(np.argsort(-agreement, kind="stable")[:keep]))
    best = together([detectors[i] for i in kept])
    return Agreement(best, tuple(d.name for d in detectors), correlations, agreement, kept)


def _stretch(rng: np.random.Generator, samples: int) -> tuple[int, int]:
    length = max(1, int(samples * rng.uniform(_SHORTEST, _LONGEST)))
    start = int(rng.integers(samples - length + 1))
    return start, start + length
