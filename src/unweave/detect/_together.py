r"""One score of several: each in deviations of what normal observations get, averaged."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._detector import Conditions, Detector, Score, take


@dataclass(frozen=True)
class _Ruler:
    """Where the scores of normal observations lie, on a logarithm where all are positive."""

    logarithm: bool
    middle: float
    spread: float

    @classmethod
    def of(cls, scores: np.ndarray) -> "_Ruler":
        logarithm = bool((scores > 0).all())
        values = np.log(scores) if logarithm else scores
        spread = float(values.std())
        return cls(logarithm, float(np.median(values)), spread if spread > 0 else 1.0)

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        if self.logarithm:
            # an observation that the detector has seen may get 0: below all others, yet finite
            scores = np.log(np.maximum(scores, np.exp(self.middle - 20 * self.spread)))
        return (scores - self.middle) / self.spread


def together(detectors: Sequence[Detector], *, folds: int = 5, name: str = "") -> Detector:
    r"""The average of several detectors' scores, $\frac1m \sum_j (\log s_j - \mu_j) / \sigma_j$.

    Detectors that err in different ways err less together (Aggarwal and Sathe 2015). Median
    $\mu_j$ and deviation $\sigma_j$ are those of the normal observations, each scored by a
    detector that was fitted without it, in `folds` folds (contiguous ones, so that windows that
    overlap stay together); then every detector is fitted to all. The logarithm is left out where a
    score may be negative.

    Raises `ValueError` for no detector or fewer than two folds.
    """
    members = tuple(detectors)
    if not members or folds < 2:
        raise ValueError(
            f"{len(members)} detectors in {folds} folds are none together; give at least one "
            "detector and two folds."
        )
    called = name or " + ".join(member.name for member in members)

    def learn(normal: np.ndarray, conditions: Conditions, seed: int) -> Score:
        scores = [member.fit(normal, conditions, seed=seed) for member in members]
        rulers = [
            _Ruler.of(out_of_fold(member, normal, conditions, folds=folds, seed=seed))
            for member in members
        ]

        def of(x: np.ndarray, conditions: Conditions) -> np.ndarray:
            both = zip(scores, rulers, strict=True)
            return np.mean([ruler(score(x, conditions)) for score, ruler in both], axis=0)

        parted = [(s, r) for s, r in zip(scores, rulers, strict=True) if s.within is not None]

        def within(x: np.ndarray, conditions: Conditions) -> np.ndarray:
            # a sample's share of each score, in the mean normal score
            shares = [
                s.by_sample(x, conditions) / (np.exp(r.middle) if r.logarithm else r.spread)
                for s, r in parted
            ]
            return np.mean(shares, axis=0)

        return Score(called, of, within if parted else None, "normal deviations")

    return Detector(called, "together", learn)


def out_of_fold(
    detector: Detector,
    normal: np.ndarray,
    conditions: Conditions = None,
    *,
    folds: int = 5,
    seed: int = 0,
) -> np.ndarray:
    """The score of each normal observation by a detector that was fitted without it and its
    neighbours in the data's order."""
    normal = np.asarray(normal)
    found = np.empty(len(normal))
    for held in np.array_split(np.arange(len(normal)), min(folds, len(normal))):
        rest = np.setdiff1d(np.arange(len(normal)), held)
        score = detector.fit(normal[rest], take(conditions, rest), seed=seed)
        found[held] = score(normal[held], take(conditions, held))
    return found
