"""Calibration of a classifier by one number, and what its confidence is worth before and after."""

import dataclasses
from dataclasses import dataclass

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from .._many import many, real
from .._model import AbstractClassifier, Condition, Observation
from ..data import Dataset
from ..evaluate import calibration_error
from ..networks import Classifier

#: Temperatures are looked for within this factor of 1.
_RANGE = 100.0


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a temperature did, on the data that it was fitted to: expected calibration errors and
    log-losses in nats before and after, over `n` observations. Measure on others with
    `calibration_error`."""

    temperature: float
    error_before: float
    error_after: float
    log_loss_before: float
    log_loss_after: float
    n: int

    def sentence(self) -> str:
        """The same in words."""
        return (
            f"temperature {self.temperature:.3g}: expected calibration error "
            f"{100 * self.error_before:.2g} % before, {100 * self.error_after:.2g} % after; "
            f"log-loss {self.log_loss_before:.3g} and {self.log_loss_after:.3g} nats, over "
            f"{self.n} observations."
        )


def calibrated(model: Classifier, data: Dataset) -> tuple[Classifier, Calibration]:
    r"""The classifier with the temperature $T$ that makes $-\log p(\text{label} \mid x)$ of `data`
    least, $p = \mathrm{softmax}(f(x) / T)$ (Guo et al. 2017, section 4.2). What it answers stays
    the same, and how sure it is changes.

    **Arguments:** `data` with labels that the model was not trained on: those that stopped it.

    Raises `ValueError` where there are no labels, or fewer than two observations.
    """
    if data.labels is None or len(data) < 2:
        raise ValueError(
            f"a temperature is fitted to labels of at least two observations, and of {len(data)} "
            f"{'none has one' if data.labels is None else 'there are too few'}; give a split's "
            "validation part."
        )
    logits = logits_of(model, data.observations, data.conditions)
    labels = np.asarray(data.labels)

    def loss(log_temperature: float) -> float:
        codes = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(codes[np.arange(len(labels)), labels].mean())

    reach = float(np.log(_RANGE))
    best = minimize_scalar(loss, bounds=(-reach, reach), method="bounded",
                           options={"xatol": 1e-6})  # fmt: skip
    temperature = float(np.exp(best.x))
    error, error_after = (
        calibration_error(softmax(logits / t, axis=1), labels).value
        for t in (model.temperature, temperature)
    )
    before = loss(float(np.log(model.temperature)))
    found = Calibration(temperature, error, error_after, before, loss(float(best.x)), len(labels))
    return dataclasses.replace(model, temperature=temperature), found


def logits_of(model: AbstractClassifier, x: np.ndarray, conditions: Condition = None) -> np.ndarray:
    """The logits of many observations `(n, class)`, float64."""
    return many(_Logits(model), real(x), conditions).astype(np.float64)


class _Logits(eqx.Module):
    model: AbstractClassifier

    def __call__(self, x: Observation, condition: Condition) -> Array:
        row = jax.tree.map(lambda part: part[None], condition)
        return self.model.logits(x[None], row)[0]
