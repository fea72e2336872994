"""The recipes of the denoising models."""

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import optax

from .. import train
from .._model import Key
from ..data import Dataset
from ..networks import (
    DenoisingDensity,
    Diffusion,
    Given,
    given_factors,
    given_labels,
    start_denoising_density,
    start_diffusion,
)
from ..train import Averaged, Budget, Followed, Objective, Plan, Recipe, Rows

# how a model is told of an observation, and the rows that say it
_TOLD: dict[str, tuple[Callable[[Dataset], Given], Callable[[Dataset], Rows]]] = {
    "label": (given_labels, train.told_labels),
    "factors": (given_factors, train.told_factors),
}
# Ho and Salimans (2022), section 4.1: the share of conditions that training hides
_HIDDEN = 0.1
# Song and Ermon (2019), section 5: their smallest level, for data of about variance one
_LEAST_NOISE = 0.01
# a generator begins after this part of the training, and what follows it learns so much faster
_BEGIN, _FASTER = 3, 4.0


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


def dde(
    *,
    latents: int = 10,
    sigma: float = 0.25,
    epochs: int = 500,
    batch: int = 128,
    learning_rate: float = 5e-4,
    widths: tuple[int, ...] = (256, 256),
) -> Recipe:
    """A density learned by taking away noise of deviation `sigma`, and a generator trained by it
    (Bigdeli et al. 2020), which begins after a third of the training and is followed by a density
    of its own. Both are those of the data smoothed by this noise; the density lacks a constant."""
    options = locals()
    for name in ("latents", "epochs"):
        if options[name] < 1:
            raise ValueError(f"{name} is {options[name]}; give at least 1.")
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}; give the noise that smooths the data, such as 0.25.")

    def build(data: Dataset, key: Key) -> DenoisingDensity:
        return start_denoising_density(data, latents=latents, sigma=sigma, widths=widths, key=key)

    def stepper(budget: Budget) -> Followed:
        own, faster = (_falling(k * learning_rate, budget) for k in (1.0, _FASTER))
        return Followed(budget.steps // _BEGIN, own, faster)

    return Recipe("dde", options, build, Plan(stepper, epochs, batch, looks=5))


def _falling(rate: float, budget: Budget) -> optax.GradientTransformation:
    """Adam without momentum, since the players move in turn; its rate falls as a cosine."""
    return optax.adam(optax.cosine_decay_schedule(rate, budget.steps), b1=0.0)


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

    # a sample is many passes through the net, so few are looked at
    plan = Plan(stepper, epochs, batch, patience, rows, looks=5, pictures=5)
    return Recipe(name, options, build, plan, finished)


def _nothing(data: Dataset) -> None:
    return None
