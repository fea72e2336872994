r"""A detector learns from normal observations; the score that it gives is higher the stranger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Float, Int, Num

from ._series import largest_span

#: The conditions of observations, a tree of arrays with a row for each, or None.
Conditions: TypeAlias = Any
Scores: TypeAlias = Float[np.ndarray, " n"]
SampleScores: TypeAlias = Float[np.ndarray, "n time"]


@dataclass(frozen=True, eq=False)
class Score:
    """How strange observations are, one number each, higher = stranger.

    `of` takes observations `(n, *shape)` and their conditions. `within` gives each sample of
    series `(n, time)` its part of the score, where the score has parts. `name` is what tables call
    it, and `unit` that of the number. `places` gives the span `[start, end)` of each series where
    it is strange, `(n, 2)` in samples, where the score finds spans itself.
    """

    name: str
    of: Callable[[Any, Any], Any]
    within: Callable[[Any, Any], Any] | None = None
    unit: str = ""
    places: Callable[[Any, Any], Any] | None = None

    def __call__(self, x: Num[np.ndarray, "n ..."], conditions: Conditions = None) -> Scores:
        """The score of each observation."""
        return np.asarray(self.of(np.asarray(x), conditions), np.float64)

    def by_sample(
        self, x: Num[np.ndarray, "n time channel"], conditions: Conditions = None
    ) -> SampleScores:
        """The score of each sample of each series, which says where it is strange.

        Raises `TypeError` if this score has no parts.
        """
        if self.within is None:
            raise TypeError(
                f"{self.name} judges an observation as a whole and cannot say where it is strange; "
                "ask a score that reconstructs or compares, such as sub_pca() or neighbours()."
            )
        return np.asarray(self.within(np.asarray(x), conditions), np.float64)

    def spans(
        self,
        x: Num[np.ndarray, "n time channel"],
        conditions: Conditions = None,
        *,
        level: float | Float[np.ndarray, " time"],
    ) -> Int[np.ndarray, "n 2"]:
        """Where each series is strange, its first sample and the one after its last: as the score
        finds it itself, else the stretch that exceeds `level` by most (`largest_span`).

        Raises `TypeError` if this score has no parts.
        """
        if self.places is not None:
            return np.asarray(self.places(np.asarray(x), conditions), np.int64)
        parts = self.by_sample(x, conditions)
        return np.array([largest_span(row, level)[:2] for row in parts], np.int64)


@dataclass(frozen=True, eq=False)
class Detector:
    """How a score is learned from normal observations alone.

    `learn` takes observations `(n, *shape)`, their conditions and a seed, and gives the `Score`;
    `kind` is the family: `distance`, `subspace`, `density`, `isolation` or `model`.
    """

    name: str
    kind: str
    learn: Callable[[Any, Any, int], Score]

    def fit(
        self,
        normal: Num[np.ndarray, "n ..."],
        conditions: Conditions = None,
        *,
        seed: int = 0,
    ) -> Score:
        """The score after learning from `normal`; the same seed gives the same score.

        Raises `ValueError` for fewer than two observations, and what the detector itself raises.
        """
        if len(normal) < 2:
            raise ValueError(
                f"{self.name} was given {len(normal)} normal observations; it needs at least 2."
            )
        return self.learn(np.asarray(normal), conditions, seed)


def learned(
    name: str,
    train: Callable[[Any, Any, int], Any],
    score: Callable[[Any, Any, Any], Score],
) -> Detector:
    """A detector that fits a model: `train` takes normal observations, their conditions and a
    seed and gives a model, which `score` (such as `reconstruction`) makes a score of, seeing the
    same normal observations."""

    def learn(normal: np.ndarray, conditions: Conditions, seed: int) -> Score:
        found = score(train(normal, conditions, seed), normal, conditions)
        return Score(name, found.of, found.within, found.unit, found.places)

    return Detector(name, "model", learn)


def take(conditions: Conditions, rows: np.ndarray | Sequence[int]) -> Conditions:
    """Some rows of conditions."""
    return jax.tree.map(lambda part: part[rows], conditions)
