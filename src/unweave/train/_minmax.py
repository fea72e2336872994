"""A game of two players inside one model: its critic, and all else."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from .._families import AbstractJudged
from .._libraries import default_promotion
from .._model import Key
from ._average import averaged
from ._objectives import Metrics, Objective, Rows
from ._steppers import FINAL_STEP, AbstractStepper, State, _zero


def _as_it_is(critic: Any) -> Any:
    return critic


class MinMax(AbstractStepper):
    r"""The critic's `critic_steps` descents of `critic_objective`, each on a part of the batch of
    its own, then one of the generator's, all of the model but its critic, of `objective`.

    The model that is kept has the present critic, or with `average_critic` its average, and the
    exponential moving average of the rest, $\bar\theta \leftarrow d\,\bar\theta + (1 - d)\,\theta$,
    $d = \min(\text{decay}, (1 + n) / (10 + n))$ at step $n$; what moves is the state's `rival`.
    `confine` is done to the critic after each of its steps (clipped weights, spectral norms).
    `judge` is the loss on held-out data: those of the game do not tell how good a generator is.
    """

    objective: Objective = eqx.field(static=True)
    critic_objective: Objective = eqx.field(static=True)
    judge: Objective = eqx.field(static=True)
    optimiser: optax.GradientTransformation = eqx.field(static=True)
    critic_optimiser: optax.GradientTransformation = eqx.field(static=True)
    critic_steps: int = eqx.field(static=True, default=1)
    decay: float = eqx.field(static=True, default=0.999)
    confine: Callable[[Any], Any] = eqx.field(static=True, default=_as_it_is)
    average_critic: bool = eqx.field(static=True, default=False)

    def init(self, model: eqx.Module, *, key: Key) -> State:
        """Both players' starts; the average begins at the model."""
        assert isinstance(model, AbstractJudged)
        critic, rest = _players(model)
        own, other = _starts(self.optimiser, self.critic_optimiser, rest, critic)
        return State(model, own, _zero(), model, other)

    def step(self, state: State, x: Rows, key: Key) -> tuple[State, Metrics]:
        """The critic's steps, the generator's, and the average after them."""
        moving, rivals = state.rival, state.rival_optimiser
        *keys, own_key = jax.random.split(key, self.critic_steps + 1)
        size = len(jax.tree.leaves(x)[0]) // self.critic_steps
        batches = [
            jax.tree.map(lambda part, i=i: part[i * size : (i + 1) * size], x)
            for i in range(self.critic_steps)
        ]
        of_critic: Metrics = {}
        for batch, its_key in zip(batches, keys, strict=True):

            def critic_loss(critic: PyTree, rest: PyTree, batch=batch, key=its_key):
                return self.critic_objective(eqx.combine(critic, rest), batch, key, state.step)

            critic, rest = _parted(moving)
            critic, rivals, of_critic = _move(
                critic_loss, critic, rest, rivals, self.critic_optimiser
            )
            moving = eqx.combine(critic, rest)
            moving = eqx.tree_at(lambda m: m.critic, moving, self.confine(moving.critic))

        def loss(own: PyTree, others: PyTree):
            return self.objective(eqx.combine(own, others), batches[0], own_key, state.step)

        own, others = _parted(moving, critic=False)
        own, optimiser, metrics = _move(loss, own, others, state.optimiser, self.optimiser)
        moving = eqx.combine(own, others)
        model = averaged(state.model, moving, state.step, self.decay)
        if not self.average_critic:
            model = eqx.tree_at(lambda m: m.critic, model, moving.critic)
        state = State(model, optimiser, state.step + 1, moving, rivals)
        named = {f"critic_{name}": value for name, value in of_critic.items()}
        return state, {**metrics, **named}

    def evaluate(self, state: State, x: Rows, key: Key) -> Metrics:
        """How far what the average generates is from held-out data, and how much better the critic
        scores these than generated ones."""
        final = jnp.asarray(FINAL_STEP)
        loss, metrics = self.judge(state.model, x, key, final)
        _, of_critic = self.critic_objective(state.model, x, key, final)
        kept = {f"critic_{n}": of_critic[n] for n in ("gap", "wins") if n in of_critic}
        return {"loss": loss, **metrics, **kept}


def _parted(model: AbstractJudged, *, critic: bool = True) -> tuple[PyTree, PyTree]:
    """What one player moves, and the rest of the model."""
    everything = jax.tree.map(eqx.is_inexact_array, model)
    nothing = jax.tree.map(lambda _: False, model)
    if critic:
        spec = eqx.tree_at(lambda m: m.critic, nothing, everything.critic)
    else:
        spec = eqx.tree_at(lambda m: m.critic, everything, nothing.critic)
    return eqx.partition(model, spec)


def _players(model: AbstractJudged) -> tuple[PyTree, PyTree]:
    return _parted(model)[0], _parted(model, critic=False)[0]


@eqx.filter_jit
def _starts(own: Any, other: Any, rest: PyTree, critic: PyTree) -> tuple[Any, Any]:
    return own.init(rest), other.init(critic)


def _move(
    loss: Callable, player: PyTree, rest: PyTree, optimiser_state: Any, optimiser: Any
) -> tuple[PyTree, Any, Metrics]:
    """One step of one player on `loss(player, rest) -> (loss, metrics)`."""
    (value, metrics), slope = eqx.filter_value_and_grad(loss, has_aux=True)(player, rest)
    with default_promotion():
        updates, optimiser_state = optimiser.update(slope, optimiser_state, player)
    return eqx.apply_updates(player, updates), optimiser_state, {"loss": value, **metrics}
