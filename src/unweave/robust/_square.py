r"""Square attack: random search within a budget, from a model's answers alone."""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from .._budgets import AbstractBudget, LInf, Smooth
from .._model import Key
from ._game import AbstractAttack, Game, State, rowwise, spent, started, worst_kept
from ._gradient import check_counts

# the share of an input that a window covers is halved after these shares of all queries
_HALVED_AT = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


class Square(AbstractAttack):
    r"""The Square attack for L∞ (Andriushchenko et al. 2020, algorithm 1): one query a step asks
    whether a window set to $\pm$ radius, one sign a channel, lowers the margin, and keeps it if so.

    A window is a square of an image, a span of a series, a run of a vector's entries, and covers
    the share `window` at first, less and less later; its place is drawn. Of a `Smooth` budget the
    windows are those of what is smoothed. A row that has fallen is asked no more.
    """

    steps: int = eqx.field(static=True, default=1000)
    window: float = eqx.field(static=True, default=0.8)
    restarts: int = eqx.field(static=True, default=1)
    name: str = eqx.field(static=True, default="Square")
    within_budget: ClassVar[bool] = True
    settles: ClassVar[bool] = True
    sees_gradients: ClassVar[bool] = False

    def __check_init__(self):
        check_counts(self)
        if not 0 < self.window <= 1:
            raise ValueError(f"a window of {self.window} is no share of an input; give 0 to 1.")

    def refuse(self, game: Game) -> str:
        """Windows at the radius are corners of a cube."""
        if isinstance(_ball(game.around.budget), LInf):
            return ""
        return "it sets windows to the radius of an L∞ budget; give LInf, or Smooth(LInf(...))"

    def init(self, game: Game, key: Key) -> State:
        """The inputs as they are, then stripes along the first axis (of a series or a vector, one
        sign for each entry)."""
        none = game.around.none()
        state = worst_kept(started(game, none), none, game.margin(none))
        stands = state.margin >= 0
        one = none.shape[1:]
        stripes = (1, *one[1:]) if len(one) > 2 else one
        sign = jax.random.rademacher(key, (len(none), *stripes), none.dtype)
        s = self._confined(game, jnp.broadcast_to(sign, none.shape))
        margin = jnp.where(stands, game.margin(s), jnp.inf)
        state = spent(worst_kept(state, s, margin), queries=1 + stands.astype(jnp.int32))
        # what is searched from: the stripes, also where they are no lower
        start = jnp.where(rowwise(stands, s), s, none)
        return state._replace(s=start, memory=jnp.where(stands, margin, state.margin))

    def step(self, game: Game, state: State, t: Int[Array, ""], key: Key) -> State:
        """One window tried."""
        s, stands = state.s, state.margin >= 0
        place, sign = jax.random.split(key)
        sides = jnp.asarray(_sides(s.shape[1:], self.window, self.steps))[t]
        inside = _windows(s, sides, place)
        channels = s.shape[-1] if s.ndim > 2 else 1
        signs = jax.random.rademacher(sign, (len(s), *(1,) * (s.ndim - 2), channels), s.dtype)
        radius = jnp.asarray(game.around.budget.radius, s.dtype)
        tried = jnp.where(inside, jnp.broadcast_to(signs, s.shape), s / radius)
        tried = self._confined(game, tried)
        margin = game.margin(tried)
        better = stands & (margin < state.memory)
        s = jnp.where(rowwise(better, s), tried, s)
        lowest = jnp.where(better, margin, state.memory)
        state = worst_kept(state, s, lowest)._replace(memory=lowest)
        return spent(state, queries=stands.astype(jnp.int32))._replace(loss=-lowest)

    def _confined(self, game: Game, signs: Array) -> Array:
        """As many radii, in the budget and the valid range."""
        return game.around.confine(signs * jnp.asarray(game.around.budget.radius, signs.dtype))


def _ball(budget: AbstractBudget) -> AbstractBudget:
    return budget.ball if isinstance(budget, Smooth) else budget


def _axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The lengths of the axes that a window has a side along: all but the channels."""
    return shape[:-1] if len(shape) > 1 else shape


def _sides(shape: tuple[int, ...], window: float, steps: int) -> np.ndarray:
    """The side of the window at each step."""
    lengths = _axes(shape)
    at = np.arange(steps) / max(steps, 1)
    share = window * 0.5 ** np.searchsorted(_HALVED_AT, at, side="right")
    side = np.round((share * math.prod(lengths)) ** (1 / len(lengths)))
    return np.clip(side, 1, min(lengths)).astype(np.int32)


def _windows(s: Array, side: Array, key: Key) -> Array:
    """Which entries lie in a window of this side, its corner drawn for each row."""
    lengths = _axes(s.shape[1:])
    inside = jnp.ones(s.shape, bool)
    for axis, (length, one) in enumerate(
        zip(lengths, jax.random.split(key, len(lengths)), strict=True)
    ):
        share = jax.random.uniform(one, (len(s),))
        room = (length - side + 1).astype(share.dtype)
        corner = jnp.minimum((share * room).astype(jnp.int32), length - side)
        place = jnp.arange(length)[None]
        along = (place >= corner[:, None]) & (place < corner[:, None] + side)
        shape = [len(s), *(1,) * len(s.shape[1:])]
        shape[1 + axis] = length
        inside = inside & jnp.broadcast_to(along.reshape(shape), s.shape)
    return inside
