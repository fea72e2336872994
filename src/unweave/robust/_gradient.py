r"""Attacks that climb a loss within a budget: FGSM, PGD and APGD; and random points, the floor."""

from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from .._model import Key
from ._game import AbstractAttack, Game, State, rowwise, spent, started, worst_kept
from ._goal import Loss, cross_entropy, logits_ratio

# of the steps since the last checkpoint as many must rise, or the step is halved
_RISING = 0.75
# how much of the last step is kept
_MOMENTUM = 0.25


class PGD(AbstractAttack):
    r"""Projected gradient descent (Madry et al. 2018, equation 4), $s_{t+1} = \Pi(s_t + \eta\,
    \arg\max_{\|d\| \le 1} \langle \nabla \ell, d \rangle)$, from a random point of the budget.

    `step_size` is $\eta$ in radii, 2.5 over the steps where None; the lowest margin on the way
    counts, not the last. Each restart begins at another point.
    """

    steps: int = eqx.field(static=True, default=40)
    step_size: float | None = eqx.field(static=True, default=None)
    loss: Loss = eqx.field(static=True, default=cross_entropy)
    random_start: bool = eqx.field(static=True, default=True)
    restarts: int = eqx.field(static=True, default=1)
    name: str = eqx.field(static=True, default="PGD")
    within_budget: ClassVar[bool] = True
    settles: ClassVar[bool] = False
    sees_gradients: ClassVar[bool] = True

    def __check_init__(self):
        check_counts(self)
        if self.step_size is not None and not self.step_size > 0:
            raise ValueError(f"a step of {self.step_size} radii goes nowhere; give 0.1.")

    def refuse(self, game: Game) -> str:
        """Every goal has a slope."""
        return ""

    def init(self, game: Game, key: Key) -> State:
        """The start, and the slope there."""
        s = game.around.draw(key) if self.random_start else game.around.none()
        return _asked(game, self.loss, started(game, s), s)

    def step(self, game: Game, state: State, t: Int[Array, ""], key: Key) -> State:
        """One ascent."""
        rate = min(1.0, 2.5 / self.steps) if self.step_size is None else self.step_size
        s = game.around.climb(state.s, state.memory, rate)
        return _asked(game, self.loss, state, s)._replace(flat=state.flat)


class _Memory(NamedTuple):
    """What APGD remembers of each row: the slope at hand, the point and loss before, the highest
    point with its slope, the step in radii, how often the loss rose since the last checkpoint,
    whether the step was halved there, and how high the highest was."""

    slope: Array
    before: Array
    last: Array
    top: Array
    top_slope: Array
    step: Array
    rises: Array
    halved: Array
    top_before: Array


class APGD(AbstractAttack):
    r"""Auto-PGD (Croce and Hein 2020, algorithm 1): ascent with momentum whose step, two radii at
    first, is halved for a row at a checkpoint where the loss rose in fewer than 0.75 of the steps
    since the last one, or neither it nor the step has changed; the row then goes on from its best
    point. There is nothing to tune."""

    steps: int = eqx.field(static=True, default=100)
    loss: Loss = eqx.field(static=True, default=cross_entropy)
    restarts: int = eqx.field(static=True, default=1)
    name: str = eqx.field(static=True, default="APGD-CE")
    within_budget: ClassVar[bool] = True
    settles: ClassVar[bool] = False
    sees_gradients: ClassVar[bool] = True

    def __check_init__(self):
        check_counts(self)

    def refuse(self, game: Game) -> str:
        """Every goal has a slope."""
        return ""

    def init(self, game: Game, key: Key) -> State:
        """The start, and the slope there."""
        s = game.around.draw(key)
        state = _asked(game, self.loss, started(game, s), s)
        slope, n = state.memory, len(s)
        memory = _Memory(
            slope, s, state.loss, s, slope, jnp.full((n,), 2.0, s.dtype),
            jnp.zeros((n,), jnp.int32), jnp.ones((n,), bool), state.loss,
        )  # fmt: skip
        return state._replace(memory=memory)

    def step(self, game: Game, state: State, t: Int[Array, ""], key: Key) -> State:
        """One ascent with momentum, and at a checkpoint a look at the step."""
        memory, s = state.memory, state.s
        ahead = game.around.climb(s, memory.slope, memory.step)
        share = jnp.where(t > 0, _MOMENTUM, 0.0).astype(s.dtype)
        mixed = s + (1 - share) * (ahead - s) + share * (s - memory.before)
        moved = game.around.confine(mixed)
        values, margin, slope = game.slope(self.loss, moved)
        better = values > state.loss
        lasting = rowwise(better, s)
        memory = _Memory(
            slope, s, values, jnp.where(lasting, moved, memory.top),
            jnp.where(lasting, slope, memory.top_slope), memory.step,
            memory.rises + (values > memory.last).astype(jnp.int32), memory.halved,
            memory.top_before,
        )  # fmt: skip
        state = spent(worst_kept(state, moved, margin), gradients=1)
        state = state._replace(loss=jnp.where(better, values, state.loss), memory=memory)
        ends, lengths = (jnp.asarray(part) for part in checkpoints(self.steps))
        return _looked_at(state, ends[t], lengths[t])


def _looked_at(state: State, due: Array, length: Array) -> State:
    """The step halved, and the best point gone back to, where a checkpoint is `due` and says so."""
    memory = state.memory
    restless = memory.rises.astype(state.loss.dtype) <= _RISING * length.astype(state.loss.dtype)
    stuck = ~memory.halved & (memory.top_before >= state.loss)
    halve = due & (restless | stuck)
    back = rowwise(halve, state.s)
    memory = _Memory(
        jnp.where(back, memory.top_slope, memory.slope), memory.before, memory.last, memory.top,
        memory.top_slope, jnp.where(halve, memory.step / 2, memory.step),
        jnp.where(due, 0, memory.rises), jnp.where(due, halve, memory.halved),
        jnp.where(due, state.loss, memory.top_before),
    )  # fmt: skip
    return state._replace(s=jnp.where(back, memory.top, state.s), memory=memory)


def checkpoints(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """For every step whether a checkpoint follows it, and how many steps it looks back on (Croce
    and Hein 2020, section 3.1): the first after 0.22 of all, each period 0.03 shorter than the one
    before, at least 0.06."""
    period, shortest = max(int(0.22 * steps), 1), max(int(0.06 * steps), 1)
    fewer, since = max(int(0.03 * steps), 1), 0
    ends, lengths = np.zeros(steps, bool), np.ones(steps, np.int32)
    for t in range(steps):
        since += 1
        if since == period:
            ends[t], lengths[t] = True, period
            since, period = 0, max(period - fewer, shortest)
    return ends, lengths


class Noise(AbstractAttack):
    """Random corners of the budget, one a step: what no gradient is needed for."""

    steps: int = eqx.field(static=True, default=20)
    restarts: int = eqx.field(static=True, default=1)
    name: str = eqx.field(static=True, default="noise")
    within_budget: ClassVar[bool] = True
    settles: ClassVar[bool] = False
    sees_gradients: ClassVar[bool] = False

    def __check_init__(self):
        check_counts(self)

    def refuse(self, game: Game) -> str:
        """Every goal can be asked."""
        return ""

    def init(self, game: Game, key: Key) -> State:
        """The inputs as they are."""
        s = game.around.none()
        return spent(worst_kept(started(game, s), s, game.margin(s)), queries=1)

    def step(self, game: Game, state: State, t: Int[Array, ""], key: Key) -> State:
        """One draw: the steepest direction of a random slope, as far as the radius allows."""
        slope = jax.random.normal(key, state.s.shape, state.s.dtype)
        s = game.around.climb(jnp.zeros_like(state.s), slope, 1.0)
        margin = game.margin(s)
        state = spent(worst_kept(state, s, margin), queries=1)
        return state._replace(loss=jnp.maximum(state.loss, -margin))


def fgsm(*, loss: Loss = cross_entropy) -> PGD:
    """The fast gradient sign method (Goodfellow et al. 2015): one step as far as the budget goes,
    along the steepest direction of its norm."""
    return PGD(steps=1, step_size=1.0, loss=loss, random_start=False, name="FGSM")


def apgd_dlr(*, steps: int = 100, restarts: int = 1) -> APGD:
    """APGD with the difference of logits ratio, a loss that does not vanish where a model is sure
    of itself; for two classes and for continuous targets it is the margin."""
    return APGD(steps=steps, loss=logits_ratio, restarts=restarts, name="APGD-DLR")


def check_counts(attack: AbstractAttack) -> None:
    """Raises `ValueError` for an attack that would do nothing."""
    for what in ("steps", "restarts"):
        count = attack.steps if what == "steps" else attack.restarts
        if count < 1:
            raise ValueError(f"{attack.name} has {count} {what}; give at least 1.")


def _asked(game: Game, loss: Loss, state: State, s: Array) -> State:
    """The state at `s`, with the slope there as what it remembers."""
    values, margin, slope = game.slope(loss, s)
    state = spent(worst_kept(state, s, margin), gradients=1)
    highest = jnp.maximum(state.loss, values)
    return state._replace(loss=highest, flat=game.flat(slope), memory=slope)
