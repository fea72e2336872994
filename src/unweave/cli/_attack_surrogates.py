"""What an attack of `unweave attack` may come from besides the model itself: other runs, and
surrogates that are distilled from its answers."""

import argparse
import inspect
from collections.abc import Callable
from typing import Any

from .. import targets
from ..data import Dataset
from ..recipes import RECIPES
from ..robust import AbstractBudget, Distillation, Transfer, distilled, move
from ..run import Run, load_run
from ._options import make_recipe

#: The word for a surrogate that is made here, and what it is where no recipe follows it.
DISTILLED, _USUAL = "distilled", {"width": 16, "blocks": 2}
# observations of the run's own training part that the model is asked about
MOST_ASKED = 2000


def transfers(
    options: argparse.Namespace,
    fitted: Run,
    target: targets.Target | None,
    asked: Dataset,
    budget: AbstractBudget,
    read: Callable[[Run], targets.Target | None],
) -> tuple[tuple[Transfer, ...], tuple[Distillation, ...]]:
    """A transfer from each of `--surrogates`, and of several from all; and how far those that were
    distilled agree with the model.

    `asked` are the observations to distil with, `read` the number that another run is attacked
    in.
    """
    goals: dict[str, Any] = {}
    words: list[str] = options.surrogates
    told = []
    for number, word in enumerate(words):
        kind, _, name = word.partition(":")
        if kind == DISTILLED:
            victim = fitted.model if target is None else target
            model, account = distilled(
                victim, asked, recipe=_recipe(name), budget=budget, seed=options.seed + number
            )
            told.append(account)
            own = None if target is None else targets.latent(model, 0)
        else:
            other = load_run(word)
            model, own = other.model, read(other)
        what = f"transfer from {word}"
        what = f"{what}, seed {options.seed + number}" if what in goals else what
        line = {"up": not options.down, "limit": options.limit}
        goals[what] = model if own is None else move(own, **line)
    found = [Transfer((goal,), name=what) for what, goal in goals.items()]
    if len(goals) > 1:
        found.append(Transfer(tuple(goals.values()), name="transfer from all of them"))
    return tuple(found), tuple(told)


def _recipe(name: str):
    """The recipe of a surrogate, small where none was named."""
    if not name:
        return make_recipe("resnet", _USUAL)
    known = inspect.signature(RECIPES[name]).parameters if name in RECIPES else {}
    return make_recipe(name, {"answers": True} if "answers" in known else {})
