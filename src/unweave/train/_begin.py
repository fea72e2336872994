"""What trains a model by its recipe's plan, from memory or from the disk."""

from dataclasses import replace
from typing import Any

from .._model import Key
from ..data import Split
from ._loop import Trainer
from ._placement import Placement
from ._recipe import Recipe
from ._steppers import in_bfloat16


def trainer_of(
    recipe: Recipe, model: Any, data: Split, *, on: Placement, bfloat16: bool = False, key: Key
) -> Trainer:
    """The loop over the split's training part, judged on its validation part, on these devices."""
    plan = recipe.plan
    assert plan is not None
    seen, held_out = (plan.rows(part) for part in (data.train, data.validation))
    if bfloat16:
        precise = plan.stepper
        plan = replace(plan, stepper=lambda budget: in_bfloat16(precise(budget)))
    return Trainer(model, seen, held_out, plan, on=on, key=key)
