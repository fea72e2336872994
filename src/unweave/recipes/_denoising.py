"""The recipes of the denoising models."""

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import optax

from .. import train
from .._model import Key
from ..data import Dataset
from ..networks import Diffusion, Given, given_factors, given_labels, start_diffusion
from ..train import Averaged, Budget, Objective, Plan, Recipe, Rows

# how a model is told of an observation, and the rows that say it
_TOLD: dict[str, tuple[Callable[[Dataset], Given], Callable[[Dataset], Rows]]] = {
    "label": (given_labels, train.told_labels),
    "factors": (given_factors, train.told_factors),
}
# Ho and Salimans (2022), section 4.1: the share of conditions that training hides
_HIDDEN = 0.1
# Song and Ermon (2019), section 5: their smallest level, for data of about variance one
_LEAST_NOISE = 0.01


def diffusion(
    *,
    given: Literal["label", "factors"] | None = None,
    guidance: float = 1.0,
    steps: int = 32,
    churn: float = 0.0,
    epochs: int = 500,
    batch: int = 128,
    learning_rate: float = 1e-3,
    patience: int = 50,
    widths: tuple[int, ...] = (256, 256, 256),
    channels: tuple[int, ...] = (32, 64),
) -> Recipe:
    """A diffusion model (Karras et al. 2022): a denoiser at every level of noise, whose course
    leads from noise to data and back. `given` tells it the label or the factors of an observation,
    and `guidance` above 1 exaggerates what they say; `steps` lead to a sample, and `churn` adds
    noise on the way."""
    options = locals()
    start = {"widths": widths, "channels": channels}
    finish = {"steps": steps, "churn": churn, "guidance": guidance}
    return _denoiser("diffusion", options, train.edm(hide=_HIDDEN), start, finish)


def ncsn(
    *,
    levels: int = 32,
    given: Literal["label", "factors"] | None = None,
    guidance: float = 1.0,
    steps: int = 32,
    epochs: int = 500,
    batch: int = 128,
    learning_rate: float = 1e-3,
    patience: int = 50,
    widths: tuple[int, ...] = (256, 256, 256),
    channels: tuple[int, ...] = (32, 64),
) -> Recipe:
    """A noise-conditional score network (Song and Ermon 2019): score matching at so many `levels`
    of noise, from the largest distance in the data to a hundredth of their deviation. Otherwise as
    diffusion."""
    options = locals()
    objective = train.annealed_score_matching(levels, hide=_HIDDEN)
    start = {"widths": widths, "channels": channels}
    start |= {"sigma_min": _LEAST_NOISE, "sigma_max": None}
    return _denoiser("ncsn", options, objective, start, {"steps": steps, "guidance": guidance})


def _denoiser(
    name: str,
    options: dict[str, Any],
    objective: Objective,
    start: dict[str, Any],
    finish: dict[str, Any],
) -> Recipe:
    """A diffusion model by one objective; what the way to a sample is made of joins it after
    training, which knows nothing of it."""
    if options["given"] is None and options["guidance"] != 1:
        raise ValueError(
            f"guidance is {options['guidance']}, and there is nothing that this model is told to "
            'guide it; say what with given="label" or given="factors".'
        )
    if options["steps"] < 1 or finish.get("churn", 0) < 0:
        raise ValueError("a way to a sample needs at least 1 step, and a churn of 0 or more.")
    given = options["given"]
    tell, rows = (_nothing, train.observations) if given is None else _TOLD[given]
    rate, epochs, batch, patience = (
        options[word] for word in ("learning_rate", "epochs", "batch", "patience")
    )

    def build(data: Dataset, key: Key) -> Diffusion:
        return start_diffusion(data, given=tell(data), key=key, **start)

    def stepper(budget: Budget) -> Averaged:
        return Averaged(objective, optax.adam(rate))

    def finished(model: eqx.Module, data: Dataset) -> eqx.Module:
        assert isinstance(model, Diffusion)
        return model.sampling(**finish)

    plan = Plan(stepper, epochs, batch, patience, rows)
    return Recipe(name, options, build, plan, finished)


def _nothing(data: Dataset) -> None:
    return None
