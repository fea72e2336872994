r"""Square attack: random search within a budget, from a model's answers alone."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .._budgets import L2, AbstractBudget, LInf, Smooth
from .._model import Key
from ._game import AbstractAttack, Game, State, rowwise, spent, started, worst_kept
from ._gradient import check_counts
from ._mass import axes_of, inside, moved_mass, offsets, sides, tiles

# the share of an input that a window covers is halved after these shares of all queries
_HALVED_AT = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
# a window that is parted in a hill and a hollow has at least this side
_LEAST = 3


class Square(AbstractAttack):
    r"""The Square attack (Andriushchenko et al. 2020): one query a step asks whether a window that
    is set anew lowers the margin, and keeps it if so.

    Within L∞ (algorithm 1) the window is set to $\pm$ radius, one sign a channel; within L2
    (algorithm 3) it takes the length of another window, which is emptied, and what the ball has
    left over, as a hill beside a hollow. A window is a square of an image, a span of a series, a
    run of a vector's entries, and covers the share `window` at first, less and less later; its
    place is drawn. Of a `Smooth` budget the windows are those of what is smoothed. A row that has
    fallen is asked no more.
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
        """It knows how to fill a cube and a ball."""
        budget = game.around.budget
        if isinstance(_ball(budget), LInf | L2):
            return ""
        return f"it fills windows within LInf, L2 or Smooth of these, and not {budget.norm_name}"

    def init(self, game: Game, key: Key) -> State:
        """The inputs as they are, then stripes along the first axis (of a series or a vector, one
        sign for each entry), or within L2 tiles."""
        none = game.around.none()
        state = worst_kept(started(game, none), none, game.margin(none))
        stands = _stands(game, state.margin)
        if isinstance(_ball(game.around.budget), L2):
            signs = tiles(none, key)
        else:
            one = none.shape[1:]
            stripes = (1, *one[1:]) if len(one) > 2 else one
            signs = jax.random.rademacher(key, (len(none), *stripes), none.dtype)
        s = self._confined(game, jnp.broadcast_to(signs, none.shape))
        margin = jnp.where(stands, game.margin(s), jnp.inf)
        state = spent(worst_kept(state, s, margin), queries=1 + stands.astype(jnp.int32))
        # what is searched from: the first try, also where it is no lower
        start = jnp.where(rowwise(stands, s), s, none)
        return state._replace(s=start, memory=jnp.where(stands, margin, state.margin))

    def step(self, game: Game, state: State, t: Int[Array, ""], key: Key) -> State:
        """One window tried."""
        s, stands = state.s, _stands(game, state.margin)
        radius = jnp.asarray(game.around.budget.radius, s.dtype)
        if isinstance(_ball(game.around.budget), L2):
            side = jnp.asarray(_sides(s.shape[1:], self.window, self.steps, least=_LEAST))[t]
            tried = game.around.confine(moved_mass(s, radius, side, key))
        else:
            side = jnp.asarray(_sides(s.shape[1:], self.window, self.steps))[t]
            tried = self._confined(game, _signed(s / radius, side, key))
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


def _stands(game: Game, margin: Float[Array, " batch"]) -> Bool[Array, " batch"]:
    """The rows that are still asked: a number without a limit never falls."""
    return margin >= 0 if game.goal.judges else jnp.ones(len(margin), bool)


def _sides(shape: tuple[int, ...], window: float, steps: int, *, least: int = 1) -> np.ndarray:
    """The side of the window at each step."""
    at = np.arange(steps) / max(steps, 1)
    shares = window * 0.5 ** np.searchsorted(_HALVED_AT, at, side="right")
    return sides(shape, shares, least=least)


def _signed(s: Array, side: Array, key: Key) -> Array:
    """`s` in radii, with a window of this side set to one sign a channel."""
    place, sign = jax.random.split(key)
    lengths = axes_of(s.shape[1:])
    window = inside(offsets(len(s), lengths, side, place), side)
    if s.ndim > 2:
        window = window[..., None]
    channels = s.shape[-1] if s.ndim > 2 else 1
    signs = jax.random.rademacher(sign, (len(s), *(1,) * (s.ndim - 2), channels), s.dtype)
    here = jnp.broadcast_to(window, s.shape)
    return jnp.where(here, jnp.broadcast_to(signs, s.shape), s)
