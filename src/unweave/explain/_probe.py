"""Probes: what the layers of a model know, read off by small models fitted to their features."""

import warnings
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np

from .._many import many, real
from .._model import Condition
from ..data import Dataset
from ._layers import Layer, layers_of

#: Features of a layer beyond this many are first reduced to as many principal axes.
_MOST_FEATURES = 256


@dataclass(frozen=True, eq=False)
class Probe:
    """How well something is read off a layer, on held-out rows: `linear` and `mlp`, the share of
    classes that are right, or of the variance explained (`kind`); `floor`, the same for labels in
    any order, what is reached without knowing anything; `features`, how many the layer has."""

    layer: str
    kind: str
    linear: float
    mlp: float
    floor: float
    features: int
    n: int


@dataclass(frozen=True, eq=False)
class Rebuilding:
    """The share of the variance of held-out observations that a linear map explains from a layer,
    beside that of as many principal axes of the observations themselves."""

    layer: str
    explained: float
    pca: float
    features: int
    n: int


def probe(
    model: eqx.Module,
    train: Dataset,
    test: Dataset,
    *,
    answers: tuple[np.ndarray, np.ndarray] | None = None,
    width: int = 32,
    seed: int = 0,
) -> tuple[Probe, ...]:
    """A linear probe and one with a hidden layer of `width` for every layer of a model (Alain and
    Bengio 2017): logistic or ridge regression, and an MLP that stops early.

    **Arguments:** `train` and `test`, observations the probes are fitted to and measured on;
    `answers`, what is to be read of each, whole numbers for classes or `(n, number)`; the data's
    own labels where None. A layer has much to say if a linear probe reads it, and if the floor,
    fitted to the same answers shuffled, cannot.

    Raises `TypeError` where the model has no known layers, `ValueError` without answers.
    """
    y, held_out = answers if answers is not None else (train.labels, test.labels)
    if y is None or held_out is None:
        raise ValueError("there is nothing to be read: the data have no labels; give answers=.")
    found = []
    for layer, a, b in _features(model, train, test):
        shuffled = np.random.default_rng(seed).permutation(y)
        linear, mlp, floor = (
            _score(a, told, b, held_out, hidden, seed)
            for told, hidden in ((y, 0), (y, width), (shuffled, 0))
        )
        kind = "accuracy" if _are_classes(y) else "explained variance"
        size = a.shape[1]
        found.append(Probe(layer.name, kind, linear, mlp, floor, size, len(held_out)))
    return tuple(found)


def rebuild_from_layers(model: eqx.Module, train: Dataset, test: Dataset) -> tuple[Rebuilding, ...]:
    """How much of an observation every layer of a model still holds: a ridge regression from its
    features to the observation, beside PCA with as many axes.

    Raises `TypeError` where the model has no known layers.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import RidgeCV

    rows, held_out = (
        np.nan_to_num(part.observations.reshape(len(part), -1).astype(np.float64))
        for part in (train, test)
    )
    found = []
    for layer, a, b in _features(model, train, test):
        ridge = RidgeCV(np.logspace(-4, 4, 9)).fit(a, rows)
        axes = PCA(min(a.shape[1], *rows.shape)).fit(rows)
        best = axes.inverse_transform(axes.transform(held_out))
        by_layer = _explained(held_out, np.asarray(ridge.predict(b)), rows)
        by_axes = _explained(held_out, best, rows)
        found.append(Rebuilding(layer.name, by_layer, by_axes, a.shape[1], len(held_out)))
    return tuple(found)


def features_of(layer: Layer, x: np.ndarray, conditions: Condition = None) -> np.ndarray:
    """The features of a layer for many observations, `(n, *feature)`."""
    return many(_Reach(layer), real(x), conditions)


class _Reach(eqx.Module):
    layer: Layer

    def __call__(self, x, condition):
        return self.layer.reach(x, condition)


def _features(model: eqx.Module, train: Dataset, test: Dataset):
    """Each layer with its standardised features of both parts `(n, feature)`."""
    from sklearn.decomposition import PCA

    for layer in layers_of(model):
        a, b = (
            features_of(layer, part.observations, part.conditions).reshape(len(part), -1)
            for part in (train, test)
        )
        if a.shape[1] > _MOST_FEATURES:
            axes = PCA(min(_MOST_FEATURES, len(a)), svd_solver="full").fit(a)
            a, b = axes.transform(a), axes.transform(b)
        mean, spread = a.mean(0), a.std(0)
        spread = np.where(spread > 1e-8 * spread.max(initial=0), spread, 1.0)
        yield layer, (a - mean) / spread, (b - mean) / spread


def _score(
    a: np.ndarray, y: np.ndarray, b: np.ndarray, held_out: np.ndarray, hidden: int, seed: int
) -> float:
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    more: dict[str, Any] = {
        "hidden_layer_sizes": (hidden,), "early_stopping": True, "max_iter": 500,
        "random_state": seed,
    }  # fmt: skip
    with warnings.catch_warnings():
        # a probe that has not quite converged is still a probe
        warnings.simplefilter("ignore")
        if _are_classes(y):
            made = MLPClassifier(**more) if hidden else LogisticRegression(max_iter=1000)
            return float(np.mean(made.fit(a, y).predict(b) == held_out))
        told, sought = (np.asarray(v, np.float64).reshape(len(v), -1) for v in (y, held_out))
        mean, spread = told.mean(0), np.where(told.std(0) > 0, told.std(0), 1.0)
        told = (told - mean) / spread
        line = MLPRegressor(**more) if hidden else RidgeCV(np.logspace(-4, 4, 9))
        line.fit(a, told.ravel() if told.shape[1] == 1 else told)
        found = np.asarray(line.predict(b)).reshape(len(b), -1)
        return _explained((sought - mean) / spread, found, told)


def _are_classes(y: np.ndarray) -> bool:
    return np.asarray(y).dtype.kind in "iub" and np.ndim(y) == 1


def _explained(x: np.ndarray, found: np.ndarray, train: np.ndarray) -> float:
    """The share of the variance about the training mean."""
    left, all_of_it = ((x - found) ** 2).sum(), ((x - train.mean(0)) ** 2).sum()
    return float(1 - left / all_of_it) if all_of_it > 0 else 0.0
