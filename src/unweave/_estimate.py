"""What a fit will take, before it is begun."""

from dataclasses import asdict, dataclass
from typing import Any

import jax

from ._keys import split_on_host
from .data import Split
from .networks.schemes import parameters
from .train import Recipe, placement, trainer_of


@dataclass(frozen=True)
class Estimate:
    """What a fit is expected to take.

    `parameters` are the numbers that it fits, `steps` the most that it takes, `seconds` at most
    and `compiling` the seconds of these before the first step, `megabytes` of a training step, its
    data included, in MB of $10^6$ bytes. None is what nobody knows before: a closed form is fitted
    at once, and a search takes as long as it takes, which `sentence` says.
    """

    recipe: str
    observations: int
    sentence: str
    parameters: int | None = None
    steps: int | None = None
    seconds: float | None = None
    compiling: float | None = None
    megabytes: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def estimate(recipe: Recipe, data: Split, *, devices: int | None = None, seed: int = 0) -> Estimate:
    """What `fit(recipe, data, seed=seed)` will take, from some steps of it whose result is thrown
    away: seconds $t_c + n t_s + e t_e$ with $n$ steps and $e$ epochs, each of which ends with
    a look at held-out data. Nothing is written.

    The measuring of the finished model and the report are not in it; training that stops by its
    patience takes less.
    """
    n = len(data.train)
    if recipe.solve is not None:
        return Estimate(
            recipe.name, n,
            "a search from many starts, each until nothing improves: how long is not known before",
        )  # fmt: skip
    if recipe.plan is None:
        return Estimate(recipe.name, n, "a closed form: it is fitted at once")
    build_key, train_key = split_on_host(jax.random.key(seed), 2)
    model = recipe.build(data.train, build_key)
    trainer = trainer_of(recipe, model, data, on=placement(devices), key=train_key)
    trial = trainer.trial()
    what = f"at most {trainer.epochs} epochs of {trainer.per_epoch} steps of {trainer.batch}"
    patience = recipe.plan.patience
    if patience is not None:
        what += f", fewer where the held-out loss has not fallen for {patience} epochs"
    return Estimate(
        recipe.name, n, what,
        parameters=parameters(model),
        steps=trainer.total,
        seconds=trial.compiling + trainer.total * trial.step + trainer.epochs * trial.look,
        compiling=trial.compiling,
        megabytes=trial.bytes / 1e6,
    )  # fmt: skip
