"""Train on drawn observations, test on real ones (Esteban, Hyland and Rätsch 2017, section 4.2)."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from ._samples import checked
from ._two_sample import random_features

VERSION = "train on synthetic 1"


@dataclass(frozen=True)
class Transfer:
    """What a judge that was trained on drawn observations scores on real ones.

    `drawn`, `real` and `trivial` are the scores, on the same `n` held-out real ones, of judges
    trained on drawn ones, on real ones, and of the most frequent answer or the mean: the accuracy
    of labels, or the explained variance of numbers, as `measure` says.
    """

    drawn: float
    real: float
    trivial: float
    measure: str
    n: int
    version: str = VERSION

    def sentence(self) -> str:
        """The same in words."""
        return (
            f"trained on drawn ones {self.drawn:.3f}, on real ones {self.real:.3f}, without any "
            f"{self.trivial:.3f} ({self.measure}, {self.version}, n = {self.n:,})"
        )


def train_on_synthetic(
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    drawn: tuple[np.ndarray, np.ndarray],
    *,
    kernels: int = 500,
    seed: int = 0,
) -> Transfer:
    """Whether drawn observations teach what real ones teach.

    The judge is linear on entries and on random convolutions (those of `two_sample`): logistic
    regression where answers are labels (integers or words), ridge regression where they are
    numbers. A generator of series without answers is asked to foretell: give windows less their
    last samples, and these samples as answers.

    **Arguments:** pairs of observations `(n, ..., channel)` and their answers `(n,)` or, of
    numbers, `(n, answer)`: real ones to train with, real ones held out, and drawn ones.

    **Raises:** `ValueError` where shapes differ, a number is missing, or labels are all alike.
    """
    x_train, x_test = checked(train[0], test[0], least=4)
    _, x_drawn = checked(train[0], drawn[0], least=4)
    answers = [np.asarray(pair[1]) for pair in (train, test, drawn)]
    for x, y, name in zip(
        (x_train, x_test, x_drawn), answers, ("training", "test", "drawn"), strict=True
    ):
        if len(x) != len(y):
            raise ValueError(
                f"{len(x)} {name} observations have {len(y)} answers; give one to each."
            )
    labels = answers[1].dtype.kind not in "f"
    if labels:
        for y, name in ((answers[0], "training"), (answers[2], "drawn")):
            if len(np.unique(y)) < 2:
                raise ValueError(f"all {name} answers are alike, which teaches nothing.")
    parts = (x_train, x_test, x_drawn)
    # a kernel says what there is and an entry where: the last sample tells most of the next
    x_train, x_test, x_drawn = (
        np.concatenate([x.reshape(len(x), -1), features], axis=1)
        for x, features in zip(parts, random_features(parts, kernels, seed), strict=True)
    )
    y_train, y_test, y_drawn = answers
    by_drawn, by_real = (
        _score(_judge(labels).fit(x, y).predict(x_test), y_test, labels)
        for x, y in ((x_drawn, y_drawn), (x_train, y_train))
    )
    if labels:
        names, counts = np.unique(y_train, return_counts=True)
        guess = np.full(y_test.shape, names[counts.argmax()])
    else:
        guess = np.broadcast_to(y_train.mean(0), y_test.shape)
    measure = "accuracy" if labels else "explained variance"
    return Transfer(by_drawn, by_real, _score(guess, y_test, labels), measure, len(y_test))


def _judge(labels: bool) -> Pipeline:
    last = LogisticRegression(C=0.01, max_iter=1000) if labels else Ridge(alpha=100.0)
    return make_pipeline(StandardScaler(), last)


def _score(told: np.ndarray, answers: np.ndarray, labels: bool) -> float:
    if labels:
        return float(np.mean(told == answers))
    left = ((answers - told) ** 2).sum()
    return float(1 - left / ((answers - answers.mean(0)) ** 2).sum())
