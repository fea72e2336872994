"""What every recipe of a predictor shares: answers, the net that gives them, how it is trained."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import optax

from .. import train
from .._model import Key
from ..data import Dataset, Scale
from ..networks.schemes import AbstractNet, Classifier, Regressor
from ..train import (
    AbstractStepper,
    Answered,
    Budget,
    Descend,
    Plan,
    Recipe,
    SuccessiveApproximations,
)

# the learning rate rises over the first of as many parts of the training
_WARM = 10
# weights shrink by this share of the learning rate each step (Loshchilov and Hutter 2019)
_DECAY = 0.05


def predictor(
    name: str, options: dict[str, Any], net: Callable[[Dataset, int, Key], AbstractNet]
) -> Recipe:
    """A classifier where the data have labels, a regressor where they have factors alone."""

    def build(data: Dataset, key: Key) -> eqx.Module:
        if data.labels is not None or data.factors is None:
            train.labelled(data)  # says what is wrong before anything is made
            names = data.label_names
            return Classifier(names=names, net=net(data, len(names), key))
        known = data.factors[..., None]
        scales = [Scale.standard(known[:, i]) for i in range(known.shape[1])]
        scale = Scale(tuple(s.offset[0] for s in scales), tuple(s.spread[0] for s in scales))
        return Regressor(
            names=data.factor_names, net=net(data, known.shape[1], key), answer_scale=scale
        )

    def stepper(budget: Budget) -> AbstractStepper:
        if options.get("training") == "successive-approximations":
            return SuccessiveApproximations(options["rho"])
        steps = max(_WARM, budget.steps)
        rate = optax.warmup_cosine_decay_schedule(
            0.0, options["learning_rate"], steps // _WARM, steps
        )
        objective = train.supervised(options.get("kinetic", 0.0), options.get("jacobian", 0.0))
        return Descend(objective, optax.adamw(rate, weight_decay=_DECAY))

    plan = Plan(stepper, options["epochs"], options["batch"], options["patience"], rows=_answered)
    return Recipe(name, options, build, plan)


def _answered(data: Dataset) -> Answered:
    return train.labelled(data) if data.labels is not None else train.with_factors(data)
