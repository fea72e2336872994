r"""The engine: an attack is a pair of pure functions, `init` and `step`, on one batch."""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .._budgets import Neighbourhood
from .._model import Key
from ._goal import AbstractGoal, Loss, Rows

#: A slope that moves a loss by less than this, over a radius, is none that can be climbed.
FLAT = 1e-20


class Game(eqx.Module):
    """One batch, its goal, and what may be changed about each input."""

    goal: AbstractGoal
    around: Neighbourhood
    rows: Rows

    def outputs(self, s: Float[Array, "batch ..."]) -> Float[Array, "batch output"]:
        """What the model says at the perturbations `s`."""
        return self.goal.outputs(self.around.at(s), self.rows)

    def margin(self, s: Float[Array, "batch ..."]) -> Float[Array, " batch"]:
        """How far each row is from falling."""
        return self.goal.margins(self.outputs(s), self.rows).min(-1)

    def slope(
        self, loss: Loss, s: Float[Array, "batch ..."]
    ) -> tuple[Float[Array, " batch"], Float[Array, " batch"], Float[Array, "batch ..."]]:
        """The loss, the margin and the loss's gradient at `s`, of every row."""

        def total(s: Array) -> tuple[Array, tuple[Array, Array]]:
            outputs = self.outputs(s)
            values = loss(self.goal, outputs, self.rows)
            margin = self.goal.margins(outputs, self.rows).min(-1)
            return values.sum(), (values, margin)

        (_, (values, margin)), slope = jax.value_and_grad(total, has_aux=True)(s)
        return values, margin, jnp.where(jnp.isfinite(slope), slope, 0)

    def flat(self, slope: Float[Array, "batch ..."]) -> Bool[Array, " batch"]:
        """Where there is nothing to climb."""
        most = jnp.abs(slope).reshape(len(slope), -1).max(-1)
        return most * jnp.asarray(self.around.budget.radius, slope.dtype) < FLAT


class State(NamedTuple):
    """Where an attack stands: the perturbations `s`; of each row the `best` so far and its margin,
    the highest `loss` so far, what was spent, and whether the first slope was flat; and what the
    attack remembers."""

    s: Array
    best: Array
    margin: Array
    loss: Array
    gradients: Array
    queries: Array
    flat: Array
    memory: Any = None


class AbstractAttack(eqx.Module):
    """An attack of `steps` steps. One that has a `budget` keeps within it and finds the worst
    point there; another finds the nearest point at which each row falls."""

    name: eqx.AbstractVar[str]
    steps: eqx.AbstractVar[int]
    restarts: eqx.AbstractVar[int]
    within_budget: eqx.AbstractClassVar[bool]
    sees_gradients: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def refuse(self, game: Game) -> str:
        """Why the game cannot be played so, in a sentence; empty where it can."""

    @abc.abstractmethod
    def init(self, game: Game, key: Key) -> State:
        """Before the first step."""

    @abc.abstractmethod
    def step(self, game: Game, state: State, t: Int[Array, ""], key: Key) -> State:
        """Step `t`, from 0."""


def started(game: Game, s: Array, memory: Any = None) -> State:
    """A state in which nothing has been asked yet."""
    n = len(s)
    worst = jnp.full((n,), jnp.inf, s.dtype)
    none = jnp.zeros((n,), jnp.int32)
    return State(s, s, worst, -worst, none, none, jnp.zeros((n,), bool), memory)


def worst_kept(state: State, s: Array, margin: Array) -> State:
    """The state with `s` as the best of the rows whose margin is lower there."""
    better = margin < state.margin
    best = jnp.where(rowwise(better, s), s, state.best)
    return state._replace(s=s, best=best, margin=jnp.where(better, margin, state.margin))


def nearest_kept(game: Game, state: State, s: Array, margin: Array) -> State:
    """The state with `s` as the best of the rows that fall there, if they have not nearer."""
    held = jnp.where(state.margin < 0, game.around.sizes(state.best), jnp.inf)
    better = (margin < 0) & (game.around.sizes(s) < held)
    best = jnp.where(rowwise(better, s), s, state.best)
    return state._replace(s=s, best=best, margin=jnp.where(better, margin, state.margin))


def rowwise(which: Array, like: Array) -> Array:
    """A mask of rows, shaped to choose among whole rows."""
    shape = which.shape + (1,) * (like.ndim - 1)
    return jnp.broadcast_to(which.reshape(shape), like.shape)


def spent(state: State, *, gradients: Any = 0, queries: Any = 0) -> State:
    """The state with more spent on every row."""
    slopes, asked = (jnp.asarray(part, jnp.int32) for part in (gradients, queries))
    return state._replace(gradients=state.gradients + slopes, queries=state.queries + asked)


def play(attack: AbstractAttack, game: Game, key: Key) -> tuple[State, np.ndarray]:
    """Runs an attack; also the share that stands and the mean loss so far, after every step.

    All steps are one compiled loop, but for a model with a convolution of XLA's own on a CPU,
    which is many times slower within one: there each step is a call.
    """
    first, going = jax.random.split(key)
    state, look, convolves = _begin(attack, game, first)
    if not (jax.default_backend() == "cpu" and convolves):
        state, looks = _loop(attack, game, state, going)
        return state, np.concatenate([np.asarray(look)[None], np.asarray(looks)])
    looks = [np.asarray(look)]
    for t in range(attack.steps):
        state, look = _once(attack, game, state, jnp.asarray(t), going)
        looks.append(np.asarray(look))
    return state, np.stack(looks)


@eqx.filter_jit
def _begin(attack: AbstractAttack, game: Game, key: Key) -> tuple[State, Array, bool]:
    """The state, a look at it, and whether the model convolves, asked when this is compiled."""
    state = attack.init(game, key)
    return state, _look(state), _convolves(game)


@eqx.filter_jit
def _loop(attack: AbstractAttack, game: Game, state: State, key: Key) -> tuple[State, Array]:
    def body(state: State, t: Array) -> tuple[State, Array]:
        state = attack.step(game, state, t, jax.random.fold_in(key, t))
        return state, _look(state)

    return jax.lax.scan(body, state, jnp.arange(attack.steps))


@eqx.filter_jit
def _once(
    attack: AbstractAttack, game: Game, state: State, t: Array, key: Key
) -> tuple[State, Array]:
    state = attack.step(game, state, t, jax.random.fold_in(key, t))
    return state, _look(state)


def _look(state: State) -> Array:
    """The share that stands, and the mean loss so far."""
    loss = jnp.where(jnp.isfinite(state.loss), state.loss, 0)
    return jnp.stack([(state.margin >= 0).astype(loss.dtype).mean(), loss.mean()])


def _convolves(game: Game) -> bool:
    """Whether the model asks XLA for a convolution."""
    dynamic, static = eqx.partition(game, eqx.is_array)

    def asked(dynamic: Any) -> Array:
        whole = eqx.combine(dynamic, static)
        return whole.outputs(jnp.zeros_like(whole.around.x))

    return "conv_general_dilated" in str(jax.make_jaxpr(asked)(dynamic))
