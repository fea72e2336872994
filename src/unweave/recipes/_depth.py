r"""Networks whose depth is a differential equation, trained against known answers.

The answers are a dataset's labels, or its factors where it has no labels. Each function is one
scheme over the same fields. Each can be trained against an `adversarial` that changes every entry
by at most `epsilon`, in the data's units (see `train.adversarial` and `train.trades`), `smooth`
over so many samples.
"""

from collections.abc import Callable
from typing import Any, Literal

from .._model import Key
from ..data import Dataset
from ..networks import schemes
from ..networks.schemes import AbstractMemory, AbstractScheme, DeepNet
from ..train import Recipe
from ._predict import predictor

_MEMORIES: dict[str, Callable[[], AbstractMemory]] = {
    "direct": schemes.Direct,
    "checkpointed": schemes.Checkpointed,
    "backsolve": schemes.Backsolve,
}


def resnet(
    *,
    width: int = 32,
    hidden: int | None = None,
    blocks: int = 6,
    shared: bool = False,
    drop: float = 0.0,
    memory: Literal["direct", "checkpointed", "backsolve"] = "direct",
    kinetic: float = 0.0,
    jacobian: float = 0.0,
    training: Literal["gradient", "successive-approximations"] = "gradient",
    rho: float = 1.0,
    epochs: int = 30,
    batch: int = 64,
    learning_rate: float = 4e-3,
    patience: int | None = None,
    convolutional: bool | None = None,
    adversarial: Literal["none", "pgd", "trades"] = "none",
    epsilon: float = 0.0,
    smooth: float = 0.0,
    attack_steps: int = 7,
) -> Recipe:
    """The residual network (He et al. 2016), Euler's method: x + h f(x). `drop` skips blocks at
    random in training (stochastic depth); `shared` makes all blocks one; `training` by successive
    approximations moves each block by itself, as far as `rho` lets it."""
    options = locals()
    if training == "successive-approximations":
        _needs_blocks_alone(options)
    return _stepped("resnet", schemes.EULER, options)


def runge_kutta_net(
    *,
    order: Literal["2", "4"] = "4",
    width: int = 32,
    hidden: int | None = None,
    blocks: int = 4,
    shared: bool = True,
    drop: float = 0.0,
    memory: Literal["direct", "checkpointed", "backsolve"] = "direct",
    kinetic: float = 0.0,
    jacobian: float = 0.0,
    epochs: int = 30,
    batch: int = 64,
    learning_rate: float = 4e-3,
    patience: int | None = None,
    convolutional: bool | None = None,
    adversarial: Literal["none", "pgd", "trades"] = "none",
    epsilon: float = 0.0,
    smooth: float = 0.0,
    attack_steps: int = 7,
) -> Recipe:
    """A network stepped by the midpoint rule (order 2) or the classical Runge-Kutta method
    (order 4), its weights shared over depth unless told otherwise."""
    options = locals()
    return _stepped("rk-net", schemes.RK4 if order == "4" else schemes.MIDPOINT, options)


def polynet(
    *,
    terms: int = 2,
    width: int = 32,
    hidden: int | None = None,
    blocks: int = 6,
    shared: bool = False,
    drop: float = 0.0,
    memory: Literal["direct", "checkpointed", "backsolve"] = "direct",
    kinetic: float = 0.0,
    jacobian: float = 0.0,
    epochs: int = 30,
    batch: int = 64,
    learning_rate: float = 4e-3,
    patience: int | None = None,
    convolutional: bool | None = None,
    adversarial: Literal["none", "pgd", "trades"] = "none",
    epsilon: float = 0.0,
    smooth: float = 0.0,
    attack_steps: int = 7,
) -> Recipe:
    """PolyNet (Zhang et al. 2017), backward Euler whose series is cut after `terms`."""
    options = locals()
    return _stepped("polynet", schemes.polynet(terms), options)


def fractalnet(
    *,
    width: int = 32,
    hidden: int | None = None,
    blocks: int = 6,
    shared: bool = False,
    drop: float = 0.0,
    memory: Literal["direct", "checkpointed", "backsolve"] = "direct",
    kinetic: float = 0.0,
    jacobian: float = 0.0,
    epochs: int = 30,
    batch: int = 64,
    learning_rate: float = 4e-3,
    patience: int | None = None,
    convolutional: bool | None = None,
    adversarial: Literal["none", "pgd", "trades"] = "none",
    epsilon: float = 0.0,
    smooth: float = 0.0,
    attack_steps: int = 7,
) -> Recipe:
    """FractalNet of two columns (Larsson et al. 2017), a Runge-Kutta method of order 2."""
    options = locals()
    return _stepped("fractalnet", schemes.FRACTALNET, options)


def lm_resnet(
    *,
    width: int = 32,
    hidden: int | None = None,
    blocks: int = 6,
    shared: bool = False,
    drop: float = 0.0,
    memory: Literal["direct", "checkpointed"] = "direct",
    kinetic: float = 0.0,
    jacobian: float = 0.0,
    epochs: int = 30,
    batch: int = 64,
    learning_rate: float = 4e-3,
    patience: int | None = None,
    convolutional: bool | None = None,
    adversarial: Literal["none", "pgd", "trades"] = "none",
    epsilon: float = 0.0,
    smooth: float = 0.0,
    attack_steps: int = 7,
) -> Recipe:
    """LM-ResNet (Lu et al. 2018), a linear two-step method with a learned weight."""
    options = locals()
    return _stepped("lm-resnet", schemes.TwoStep(), options)


def revnet(
    *,
    width: int = 32,
    hidden: int | None = None,
    blocks: int = 6,
    shared: bool = False,
    drop: float = 0.0,
    kinetic: float = 0.0,
    jacobian: float = 0.0,
    epochs: int = 30,
    batch: int = 64,
    learning_rate: float = 4e-3,
    patience: int | None = None,
    convolutional: bool | None = None,
    adversarial: Literal["none", "pgd", "trades"] = "none",
    epsilon: float = 0.0,
    smooth: float = 0.0,
    attack_steps: int = 7,
) -> Recipe:
    """RevNet (Gomez et al. 2017): reversible couplings, undone in the backward pass, so that
    memory does not grow with depth."""
    options = locals()
    return _stepped("revnet", schemes.Reversible(), options)


def neural_ode_net(
    *,
    width: int = 32,
    hidden: int | None = None,
    tolerance: float = 1e-3,
    steer: float = 0.0,
    kinetic: float = 0.0,
    jacobian: float = 0.0,
    epochs: int = 30,
    batch: int = 64,
    learning_rate: float = 4e-3,
    patience: int | None = None,
    convolutional: bool | None = None,
    adversarial: Literal["none", "pgd", "trades"] = "none",
    epsilon: float = 0.0,
    smooth: float = 0.0,
    attack_steps: int = 7,
) -> Recipe:
    """The neural ODE (Chen et al. 2018): one field, as many steps as the tolerance asks for.
    `steer` draws the end of the way from 1 plus or minus that much in training."""
    options = locals()
    layout = schemes.Layout(width, hidden, convolutional)

    def net(data: Dataset, answers: int, key: Key) -> DeepNet:
        return schemes.continuous_net(
            data, answers, layout, tolerance=tolerance, steer=steer, key=key
        )

    return predictor("ode-net", options, net)


def _stepped(name: str, scheme: AbstractScheme, options: dict[str, Any]) -> Recipe:
    layout = schemes.Layout(options["width"], options["hidden"], options["convolutional"])
    if isinstance(scheme, schemes.Reversible):
        memory: AbstractMemory = schemes.Undone()
    else:
        memory = _MEMORIES[options["memory"]]()

    def net(data: Dataset, answers: int, key: Key) -> DeepNet:
        return schemes.stepped_net(
            data, answers, layout, scheme, steps=options["blocks"], shared=options["shared"],
            memory=memory, drop=options["drop"], key=key,
        )  # fmt: skip

    return predictor(name, options, net)


def _needs_blocks_alone(options: dict[str, Any]) -> None:
    """Raises `ValueError` for what ties the blocks of a network together."""
    for name in ("shared", "drop", "kinetic", "jacobian"):
        if options[name]:
            raise ValueError(
                f"{name} is {options[name]}, which ties the blocks of a network together, and "
                "successive approximations move each by itself; leave it out, or train by gradient."
            )
