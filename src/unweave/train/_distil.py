r"""Learning from what another model answers."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._model import AbstractClassifier, AbstractPredictor, Key, Latent, Scalar
from ._objectives import Loss, Metrics, Objective, Step
from ._supervised import Answered


def distillation() -> Objective:
    r"""Cross-entropy with the probabilities $p$ that another model gave, $-\sum_k p_k \log q_k(x)$
    in nats (Hinton et al. 2015, equation 2, at temperature 1); of a predictor of numbers its own
    misfit of the other's numbers.

    `answer` of the rows is `(n, class)`, each summing to 1, or `(n, number)`.
    """

    def objective(
        model: AbstractPredictor, batch: Answered, key: Key, step: Step
    ) -> tuple[Loss, Metrics]:
        predicted = model.predict(batch.x, batch.condition, key=key)
        told = _soft if isinstance(model, AbstractClassifier) else model.misfit
        misfit = jax.vmap(told)(predicted, batch.answer).mean()
        return misfit, {"misfit": misfit}

    return objective


def _soft(code: Latent, answer: Array) -> Scalar:
    # a class that is impossible for both adds nothing
    return -jnp.where(answer > 0, answer * code, 0.0).sum()
