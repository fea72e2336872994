r"""The engine: an attack is a pair of pure functions, `init` and `step`, on one batch."""

import abc
import math
from collections.abc import Callable
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
# with early stop: steps between two looks at who stands
_STRIDE = 5
# on a CPU as many of the inputs' numbers go on together as stay in its cache with what a net makes
# of them, and no fewer rows
_BLOCK, _FEWEST = 40_000, 32


class Game(eqx.Module):
    """One batch, its goal, and what may be changed about each input."""

    goal: AbstractGoal
    around: Neighbourhood
    rows: Rows

    def take(self, rows: np.ndarray) -> "Game":
        """The same with these rows alone."""
        return self.of(np.asarray(self.around.x)[rows], _rows_of(self.rows, rows))

    def of(self, x: Float[Array, "batch ..."] | np.ndarray, rows: Rows) -> "Game":
        """The same of other inputs."""
        around = eqx.tree_at(lambda around: around.x, self.around, jnp.asarray(x))
        return Game(self.goal, around, rows)

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
    """An attack of `steps` steps. One that is `within_budget` finds the worst point there; another
    the nearest point at which each row falls. One that `settles` leaves a row where it fell."""

    name: eqx.AbstractVar[str]
    steps: eqx.AbstractVar[int]
    restarts: eqx.AbstractVar[int]
    within_budget: eqx.AbstractClassVar[bool]
    settles: eqx.AbstractClassVar[bool]
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


def play(
    attack: AbstractAttack, game: Game, key: Key, *, early_stop: bool = False
) -> tuple[State, np.ndarray]:
    """Runs an attack; also the share that stands and the mean loss so far, after every step.

    With `early_stop` rows that have fallen are left where they fell, and once they are many the
    rest goes on as a smaller batch. All steps are one compiled loop, on a CPU of one block of rows
    after another, but for a model with a convolution of XLA's own, which is many times slower
    within a loop there: each of its steps is a call.
    """
    first, going = jax.random.split(key)
    state, look, convolves = _begin(attack, game, first)
    apart = jax.default_backend() == "cpu" and bool(convolves)

    def onward(game: Game, state: State, steps: np.ndarray) -> tuple[State, np.ndarray]:
        if not apart:
            state, looks = _loop(attack, game, state, going, jnp.asarray(steps))
            return state, np.asarray(looks)
        looks = []
        for t in steps:
            state, look = _once(attack, game, state, jnp.asarray(t), going)
            looks.append(np.asarray(look))
        return state, np.stack(looks)

    if early_stop and game.goal.judges and attack.within_budget:
        state, looks = _standing_only(onward, game, state, attack.steps)
    else:
        state, looks = onward(game, state, np.arange(attack.steps))
    # from (step, what, row)
    return state, np.concatenate([np.asarray(look)[None], looks]).mean(-1)


def _standing_only(
    onward: Callable[[Game, State, np.ndarray], tuple[State, np.ndarray]], game: Game,
    state: State, steps: int,
) -> tuple[State, np.ndarray]:  # fmt: skip
    """The steps, of rows that have not fallen. The batch shrinks by quarters, so that few sizes
    are compiled; what is missing to a size is its first row again."""
    n = len(state.margin)
    # on the host, where rows are picked without a program for every count of them
    whole, rows, size, looks = jax.tree.map(np.array, state), np.arange(n), n, []
    small, now = game, state
    for start in range(0, steps, _STRIDE):
        standing = rows[np.asarray(now.margin)[: len(rows)] >= 0]
        fitting = _size(n, len(standing))
        if fitting < size:
            _put_back(whole, now, rows)
            rows, size = standing, fitting
            take = np.resize(rows, size) if len(rows) else np.zeros(size, int)
            small, now = game.take(take), _rows_of(whole, take)
        if not len(rows):
            break
        now, found = onward(small, now, np.arange(start, min(start + _STRIDE, steps)))
        seen = np.repeat(_look(whole, np)[None], len(found), 0)
        seen[:, :, rows] = found[:, :, : len(rows)]
        looks.append(seen)
    _put_back(whole, now, rows)
    rest = steps - sum(map(len, looks))
    looks.append(np.repeat(_look(whole, np)[None], rest, 0))
    return jax.tree.map(jnp.asarray, whole), np.concatenate(looks)


def _rows_of(tree: Any, rows: np.ndarray) -> Any:
    return jax.tree.map(lambda part: np.asarray(part)[rows], tree)


def _put_back(whole: State, part: State, rows: np.ndarray) -> None:
    """Writes the rows of `part` into the state of all rows, which is on the host."""

    def written(all_rows: np.ndarray, some: Array) -> None:
        all_rows[rows] = np.asarray(some)[: len(rows)]

    jax.tree.map(written, whole, part)


def _size(n: int, standing: int) -> int:
    """The smallest of n, 3/4 n, 9/16 n, … that holds so many rows."""
    size = n
    while (smaller := int(0.75 * size)) >= max(standing, 1):
        size = smaller
    return size


@eqx.filter_jit
def _begin(attack: AbstractAttack, game: Game, key: Key) -> tuple[State, Array, bool]:
    """The state, a look at it, and whether the model convolves, asked when this is compiled."""
    state = attack.init(game, key)
    return state, _look(state), _convolves(game)


@eqx.filter_jit
def _loop(
    attack: AbstractAttack, game: Game, state: State, key: Key, steps: Array
) -> tuple[State, Array]:
    """Block by block; what is missing to the last one is its last row again."""
    n = len(state.margin)
    blocks = _blocks(game.around.x.shape)
    size = -(-n // blocks)

    def parted(rows: Array) -> Array:
        missing = blocks * size - n
        whole = jnp.concatenate([rows, jnp.repeat(rows[-1:], missing, 0)]) if missing else rows
        return whole.reshape(blocks, size, *rows.shape[1:])

    def block(part: tuple[Array, tuple[Array, Rows], State]) -> tuple[State, Array]:
        number, known, state = part
        small, own = game.of(*known), jax.random.fold_in(key, number)

        def body(state: State, t: Array) -> tuple[State, Array]:
            state = attack.step(small, state, t, jax.random.fold_in(own, t))
            return state, _look(state)

        return jax.lax.scan(body, state, steps)

    known, parts = jax.tree.map(parted, ((game.around.x, game.rows), state))
    parts, looks = jax.lax.map(block, (jnp.arange(blocks), known, parts))
    looks = jnp.moveaxis(looks, 0, 2)
    return (
        jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:n], parts),
        looks.reshape(*looks.shape[:2], -1)[..., :n],
    )


def _blocks(shape: tuple[int, ...]) -> int:
    """How many blocks a batch of this shape is parted in."""
    if jax.default_backend() != "cpu":
        return 1
    return -(-shape[0] // max(_FEWEST, _BLOCK // max(1, math.prod(shape[1:]))))


@eqx.filter_jit
def _once(
    attack: AbstractAttack, game: Game, state: State, t: Array, key: Key
) -> tuple[State, Array]:
    state = attack.step(game, state, t, jax.random.fold_in(key, t))
    return state, _look(state)


def _look(state: State, xp: Any = jnp) -> Any:
    """Of each row whether it stands, and the loss so far."""
    loss = xp.where(xp.isfinite(state.loss), state.loss, 0)
    return xp.stack([(state.margin >= 0).astype(loss.dtype), loss])


def _convolves(game: Game) -> bool:
    """Whether the model asks XLA for a convolution."""
    dynamic, static = eqx.partition(game, eqx.is_array)

    def asked(dynamic: Any) -> Array:
        whole = eqx.combine(dynamic, static)
        return whole.outputs(jnp.zeros_like(whole.around.x))

    return "conv_general_dilated" in str(jax.make_jaxpr(asked)(dynamic))
