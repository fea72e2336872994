"""What trains a model by its recipe's plan, from memory or from the disk."""

from dataclasses import replace
from typing import Any

from .._model import Key
from ..data import Split
from ._feed import FromDisk
from ._loop import Trainer
from ._placement import Placement
from ._recipe import Recipe
from ._steppers import in_bfloat16


def trainer_of(
    recipe: Recipe, model: Any, data: Split, *, on: Placement, bfloat16: bool = False, key: Key
) -> Trainer:
    """The loop over the split's training part, judged on its validation part, on these devices.

    **Raises:** `ValueError` where rows are to be read from the disk as they are needed, and each
    needs to know all others.
    """
    plan = recipe.plan
    assert plan is not None
    seen, held_out = (plan.rows(part) for part in (data.train, data.validation))
    if bfloat16:
        precise = plan.stepper
        plan = replace(plan, stepper=lambda budget: in_bfloat16(precise(budget)))
    if data.stored is None:
        return Trainer(model, seen, held_out, plan, on=on, key=key)
    if plan.whole:
        raise ValueError(
            f"{recipe.name} compares each observation with all others, so that they cannot stay on "
            "the disk; give --most 50000, which reads so many, evenly spread over all."
        )
    feed = FromDisk(data.stored, plan.rows)
    return Trainer(model, feed, held_out, plan, sample=seen, on=on, key=key)
