"""What every recipe of a predictor shares: answers, the net that gives them, how it is trained."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import optax

from .. import train
from .._budgets import LInf, Smooth
from .._model import Key
from ..data import Dataset, Scale
from ..networks.schemes import AbstractNet, Classifier, Regressor
from ..train import (
    AbstractStepper,
    Answered,
    Budget,
    Descend,
    Objective,
    Plan,
    Recipe,
    SuccessiveApproximations,
)

# the learning rate rises over the first of as many parts of the training
_WARM = 10
# an adversary's radius grows over the first of as many parts of the training
_GROWS = 4
# weights shrink by this share of the learning rate each step (Loshchilov and Hutter 2019)
_DECAY = 0.05


def predictor(
    name: str, options: dict[str, Any], net: Callable[[Dataset, int, Key], AbstractNet]
) -> Recipe:
    """A classifier where the data have labels, a regressor where they have factors alone."""

    check_adversary(options)

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
        return Descend(_objective(options, budget.steps), optax.adamw(rate, weight_decay=_DECAY))

    plan = Plan(stepper, options["epochs"], options["batch"], options["patience"], rows=_answered)
    return Recipe(name, options, build, plan)


def check_adversary(options: dict[str, Any]) -> None:
    """Raises `ValueError` for an adversary that has no budget, or a budget that has no adversary,
    and for what it cannot be trained together with."""
    kind, epsilon = options.get("adversarial", "none"), options.get("epsilon", 0.0)
    if kind == "none":
        if epsilon:
            raise ValueError(
                f"epsilon is {epsilon:g}, and there is no adversary; give --adversarial pgd or "
                "trades too."
            )
        return
    if not epsilon > 0:
        raise ValueError(
            f"an adversary ({kind}) needs to know how far each entry may be changed; give "
            "--epsilon in the data's units, such as 25.5 for a tenth of a picture's range."
        )
    for name in ("kinetic", "jacobian"):
        if options.get(name):
            raise ValueError(f"{name} is {options[name]:g}, which an adversary leaves no room for.")
    if options.get("training", "gradient") != "gradient":
        raise ValueError("an adversary needs gradients; leave --training out.")


def _objective(options: dict[str, Any], steps: int) -> Objective:
    """What training makes small."""
    kind = options.get("adversarial", "none")
    if kind == "none":
        return train.supervised(options.get("kinetic", 0.0), options.get("jacobian", 0.0))
    flat = LInf(options["epsilon"])
    budget = Smooth(flat, options["smooth"]) if options["smooth"] else flat
    against = train.adversarial if kind == "pgd" else train.trades
    return against(budget, steps=options["attack_steps"], warm_up=max(1, steps // _GROWS))


def _answered(data: Dataset) -> Answered:
    return train.labelled(data) if data.labels is not None else train.with_factors(data)
