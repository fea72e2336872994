"""The recipes of the normalising flows."""

import equinox as eqx
import optax

from .. import train
from .._model import Key
from ..data import Dataset
from ..networks import start_continuous_flow, start_coupling_flow
from ..train import Averaged, Budget, Plan, Recipe

#: How often samples are looked at in a training: each is a solve.
_LOOKS = 5


def flow(
    *,
    epochs: int = 500,
    batch: int = 128,
    learning_rate: float = 1e-3,
    patience: int = 50,
    widths: tuple[int, ...] = (256, 256, 256),
    optimal_transport: bool = True,
    logit_normal: bool = True,
) -> Recipe:
    """A continuous flow by flow matching (Lipman et al. 2023): straight paths from noise to data,
    paired within each batch by optimal transport. It has as many latents as an observation has
    numbers."""
    options = locals()
    objective = train.flow_matching(optimal_transport=optimal_transport, logit_normal=logit_normal)

    def stepper(budget: Budget) -> Averaged:
        return Averaged(objective, optax.adam(learning_rate))

    return Recipe(
        "flow", options, _continuous(widths), Plan(stepper, epochs, batch, patience, looks=_LOOKS)
    )


def ffjord(
    *,
    epochs: int = 200,
    batch: int = 128,
    learning_rate: float = 1e-3,
    patience: int = 20,
    widths: tuple[int, ...] = (64, 64, 64),
    steps: int = 8,
    kinetic: float = 0.01,
    jacobian: float = 0.01,
) -> Recipe:
    """A continuous flow by maximum likelihood (Grathwohl et al. 2019), its paths kept short by
    the weight `kinetic` and smooth by `jacobian` (Finlay et al. 2020)."""
    options = locals()
    objective = train.maximum_likelihood(steps=steps, kinetic=kinetic, jacobian=jacobian)

    def stepper(budget: Budget) -> Averaged:
        return Averaged(objective, optax.adam(learning_rate))

    return Recipe(
        "ffjord", options, _continuous(widths), Plan(stepper, epochs, batch, patience, looks=_LOOKS)
    )


def coupling_flow(
    *,
    layers: int = 8,
    epochs: int = 200,
    batch: int = 128,
    learning_rate: float = 1e-3,
    patience: int = 20,
    widths: tuple[int, ...] = (128, 128),
) -> Recipe:
    """A flow of affine coupling layers (Dinh et al. 2017) by maximum likelihood: exactly
    invertible, its density in one pass."""
    options = locals()

    def build(data: Dataset, key: Key) -> eqx.Module:
        return start_coupling_flow(data, layers=layers, widths=widths, key=key)

    def stepper(budget: Budget) -> Averaged:
        clipped = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(learning_rate))
        return Averaged(train.likelihood(), clipped)

    return Recipe("coupling-flow", options, build, Plan(stepper, epochs, batch, patience))


def _continuous(widths: tuple[int, ...]):
    def build(data: Dataset, key: Key) -> eqx.Module:
        return start_continuous_flow(data, widths=widths, key=key)

    return build
