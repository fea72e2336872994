"""Descent of which the average is kept."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from .._model import Key
from ._objectives import Batch, Metrics, Objective
from ._steppers import FINAL_STEP, AbstractStepper, State, _descend, _start, _zero


class Averaged(AbstractStepper):
    r"""Gradient descent on one objective, of which the exponential moving average is the model:
    $\bar\theta \leftarrow d\,\bar\theta + (1 - d)\,\theta$ with $d = \min(\text{decay},
    (1 + n)/(10 + n))$ at step $n$ (Polyak and Juditsky 1992). What moves is the state's `rival`."""

    objective: Objective = eqx.field(static=True)
    optimiser: optax.GradientTransformation = eqx.field(static=True)
    decay: float = eqx.field(static=True, default=0.999)

    def init(self, model: eqx.Module, *, key: Key) -> State:
        """The optimiser's start; the average begins at the model."""
        return State(model, _start(self.optimiser, model), _zero(), rival=model)

    def step(self, state: State, x: Batch, key: Key) -> tuple[State, Metrics]:
        """One descent, and the average after it."""

        def loss(model: eqx.Module):
            return self.objective(model, x, key, state.step)

        moving, optimiser, metrics = _descend(loss, state.rival, state.optimiser, self.optimiser)
        model = averaged(state.model, moving, state.step, self.decay)
        return State(model, optimiser, state.step + 1, rival=moving), metrics

    def evaluate(self, state: State, x: Batch, key: Key) -> Metrics:
        """The average's objective at the end of its schedule."""
        loss, metrics = self.objective(state.model, x, key, jnp.asarray(FINAL_STEP))
        return {"loss": loss, **metrics}


def averaged(old: Any, new: Any, step: Int[Array, ""], decay: float) -> Any:
    r"""$\bar\theta \leftarrow d\,\bar\theta + (1 - d)\,\theta$ with $d = \min(\text{decay}, (1 + n)
    / (10 + n))$ at step $n$."""
    n = step.astype(jnp.float32)
    share = 1 - jnp.minimum(decay, (1 + n) / (10 + n))
    moving, static = eqx.partition(old, eqx.is_inexact_array)
    towards = eqx.filter(new, eqx.is_inexact_array)
    mixed = jax.tree.map(lambda a, b: a + share.astype(b.dtype) * (b - a), moving, towards)
    return eqx.combine(mixed, static)
