r"""What a predictor is fitted to: known answers, and a way through depth that is regular."""

from typing import Any, NamedTuple

import jax
import numpy as np

from .._model import AbstractPredictor, Key
from ..data import Dataset
from ._objectives import Conditioned, Loss, Metrics, Objective, Step


class Answered(NamedTuple):
    """Observations with their known answers: the index of a class, or numbers (NaN = unknown); and
    the conditions, if any."""

    x: Any
    answer: Any
    condition: Any = None


def labelled(data: Dataset) -> Answered:
    """The observations and their labels; raises `ValueError` where there are none."""
    if data.labels is None or len(data.label_names) < 2:
        found = len(data.label_names)
        raise ValueError(
            f"a classifier needs labels of at least two classes, and these data have {found}; "
            "give a file with a column of labels, or fit a model that needs none, such as vae."
        )
    return Answered(data.observations, data.labels.astype(np.int32), data.conditions)


def with_factors(data: Dataset) -> Answered:
    """The observations and their factors; raises `ValueError` where there are none."""
    if data.factors is None:
        raise ValueError(
            "a regressor needs known numbers (factors) beside each observation, and these data "
            "have none; fit a model that needs none, such as vae."
        )
    return Answered(data.observations, data.factors.astype(np.float32), data.conditions)


def told_labels(data: Dataset) -> Conditioned:
    """The observations, each with its label as the condition."""
    rows = labelled(data)
    return Conditioned(rows.x, rows.answer)


def told_factors(data: Dataset) -> Conditioned:
    """The observations, each with its factors as the condition."""
    rows = with_factors(data)
    return Conditioned(rows.x, rows.answer)


def supervised(kinetic: float = 0.0, jacobian: float = 0.0) -> Objective:
    r"""The model's own misfit of its predictions, averaged over the batch (for classes
    $-\log p(\text{label} \mid x)$ in nats), plus `kinetic` times the mean of $\|f\|^2$ and
    `jacobian` times that of $\|\partial f/\partial x\|_F^2$ over the way through depth (Finlay et
    al. 2020, equation 7)."""

    def objective(
        model: AbstractPredictor, batch: Answered, key: Key, step: Step
    ) -> tuple[Loss, Metrics]:
        predicted = model.predict(batch.x, batch.condition, key=key)
        misfit = jax.vmap(model.misfit)(predicted, batch.answer).mean()
        if not kinetic and not jacobian:
            return misfit, {"misfit": misfit}
        found = model.regularity(batch.x, jax.random.fold_in(key, 1))
        loss = misfit + kinetic * found.kinetic + jacobian * found.jacobian
        return loss, {"misfit": misfit, "kinetic": found.kinetic, "jacobian": found.jacobian}

    return objective
