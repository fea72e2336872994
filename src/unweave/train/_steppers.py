r"""Steppers: one step of training as a pair of pure functions, `init` and `step`.

The loop knows nothing else. A stepper owns the objective and the optimiser; its state is an
explicit pytree that holds the model, so that a checkpoint is the state and nothing more.
"""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int

from .._libraries import default_promotion
from .._model import Key
from .._programs import as_arguments, without_numbers
from ._objectives import Metrics, Objective, PairObjective, Rows

#: A step number beyond every schedule: what held-out data are judged by.
FINAL_STEP = 2**30


class State(eqx.Module):
    """What training carries from step to step; `rival` is the second player's, if any."""

    model: Any
    optimiser: Any
    step: Int[Array, ""]
    rival: Any = None
    rival_optimiser: Any = None


def for_program(state: State) -> State:
    """The state as a compiled step takes it: one program then serves every model of this form,
    whatever the data's scale is. `without_arguments` is the way back."""
    return State(
        as_arguments(state.model),
        without_numbers(as_arguments(state.optimiser)),
        state.step,
        as_arguments(state.rival),
        without_numbers(as_arguments(state.rival_optimiser)),
    )


class AbstractStepper(eqx.Module):
    """How a model is moved by one batch."""

    @abc.abstractmethod
    def init(self, model: eqx.Module, *, key: Key) -> State:
        """The state before the first step."""

    @abc.abstractmethod
    def step(self, state: State, x: Rows, key: Key) -> tuple[State, Metrics]:
        """The state after one batch, and numbers to log, `loss` among them."""

    @abc.abstractmethod
    def evaluate(self, state: State, x: Rows, key: Key) -> Metrics:
        """The numbers on held-out data, every schedule at its end; `loss` judges."""


class Descend(AbstractStepper):
    """Gradient descent on one objective; with `rounded` the objective and its gradient are computed
    in bfloat16, of which there are eight bits, and the numbers that descend stay as they are."""

    objective: Objective = eqx.field(static=True)
    optimiser: optax.GradientTransformation = eqx.field(static=True)
    rounded: bool = eqx.field(static=True, default=False)

    def init(self, model: eqx.Module, *, key: Key) -> State:
        """The optimiser's start."""
        return State(model, _start(self.optimiser, model), _zero())

    def step(self, state: State, x: Rows, key: Key) -> tuple[State, Metrics]:
        """One descent."""

        def loss(model: eqx.Module):
            if not self.rounded:
                return self.objective(model, x, key, state.step)
            # what a library of distributions holds in float32 meets bfloat16 here
            with default_promotion():
                short, of = _as(jnp.bfloat16, model), _as(jnp.bfloat16, x)
                found = self.objective(short, of, key, state.step)
            return _as(jnp.float32, found)

        model, optimiser, metrics = _descend(loss, state.model, state.optimiser, self.optimiser)
        return State(model, optimiser, state.step + 1), metrics

    def evaluate(self, state: State, x: Rows, key: Key) -> Metrics:
        """The objective at the end of its schedule."""
        loss, metrics = self.objective(state.model, x, key, jnp.asarray(FINAL_STEP))
        return {"loss": loss, **metrics}


class Adversarial(AbstractStepper):
    """Two players in turn: the model on `objective(model, rival, x, key, step)`, then the rival
    on `rival_objective(rival, model, x, key, step)`, which sees the model before its step."""

    rival: Callable[[Key], eqx.Module] = eqx.field(static=True)
    objective: PairObjective = eqx.field(static=True)
    rival_objective: PairObjective = eqx.field(static=True)
    optimiser: optax.GradientTransformation = eqx.field(static=True)
    rival_optimiser: optax.GradientTransformation = eqx.field(static=True)

    def init(self, model: eqx.Module, *, key: Key) -> State:
        """Both players' starts; `key` draws the rival."""
        rival = self.rival(key)
        own, other = _start(self.optimiser, model), _start(self.rival_optimiser, rival)
        return State(model, own, _zero(), rival, other)

    def step(self, state: State, x: Rows, key: Key) -> tuple[State, Metrics]:
        """One step of the model and one of its rival."""
        model_key, rival_key = jax.random.split(key)

        def model_loss(model: eqx.Module):
            return self.objective(model, state.rival, x, model_key, state.step)

        def rival_loss(rival: eqx.Module):
            return self.rival_objective(rival, state.model, x, rival_key, state.step)

        model, optimiser, metrics = _descend(
            model_loss, state.model, state.optimiser, self.optimiser
        )
        rival, rival_optimiser, of_rival = _descend(
            rival_loss, state.rival, state.rival_optimiser, self.rival_optimiser
        )
        state = State(model, optimiser, state.step + 1, rival, rival_optimiser)
        return state, {**metrics, "rival": of_rival["loss"]}

    def evaluate(self, state: State, x: Rows, key: Key) -> Metrics:
        """The model's loss under the present rival."""
        final = jnp.asarray(FINAL_STEP)
        loss, metrics = self.objective(state.model, state.rival, x, key, final)
        return {"loss": loss, **metrics}


def in_bfloat16(stepper: AbstractStepper) -> AbstractStepper:
    """The same steps with their objective in bfloat16.

    **Raises:** `ValueError` for steppers other than `Descend`, whose players meet in ways in which
    eight bits are too few.
    """
    if not isinstance(stepper, Descend):
        raise ValueError(
            f"bfloat16 is for models that descend on one objective, and this one is trained by "
            f"{type(stepper).__name__}; leave bfloat16 out."
        )
    return Descend(stepper.objective, stepper.optimiser, rounded=True)


def _as(kind: Any, tree: Any) -> Any:
    """The floats of `tree` as `kind`."""
    return jax.tree.map(lambda x: x.astype(kind) if eqx.is_inexact_array(x) else x, tree)


def _descend(loss: Callable, player: Any, optimiser_state: Any, optimiser: Any):
    """One step of one player on `loss(player) -> (loss, metrics)`."""
    (value, metrics), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(player)
    with default_promotion():
        updates, optimiser_state = optimiser.update(gradient, optimiser_state, _trainable(player))
    return eqx.apply_updates(player, updates), optimiser_state, {"loss": value, **metrics}


@eqx.filter_jit
def _start(optimiser: optax.GradientTransformation, model: eqx.Module) -> Any:
    """The optimiser's first state, in one program and not one for each array."""
    return optimiser.init(_trainable(model))


def _trainable(model: eqx.Module) -> Any:
    return eqx.filter(model, eqx.is_inexact_array)


def _zero() -> Int[Array, ""]:
    return jnp.asarray(np.zeros((), np.int32))
