r"""Attacks that look for the nearest point at which an input falls: DeepFool, Carlini and Wagner,
and, from decisions alone, the boundary attack."""

from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from .._budgets import wide
from .._model import Key
from ._game import AbstractAttack, Game, State, nearest_kept, rowwise, spent, started
from ._gradient import check_counts

_NO_LINE = "it looks for where an input falls, and this goal has no limit; give move(..., limit=)"
# the search for the weight between nearness and falling begins at, and goes up by factors of
_FIRST_WEIGHT, _UP = 1.0, 10.0
# points at which the boundary attack may begin, and halvings of the way to the first line
_CANDIDATES, _HALVINGS = 16, 12
# shares of proposals that succeed where the boundary attack's steps are as they should be
_SIDEWAYS, _INWARDS = 0.5, 0.25


class DeepFool(AbstractAttack):
    r"""DeepFool (Moosavi-Dezfooli et al. 2016, algorithm 2): each step goes to the nearest of the
    planes that the margins would be 0 on if they were linear, $\delta = (m_k / \|g_k\|_*)\,
    \arg\max_{\|d\| \le 1} \langle -g_k, d \rangle$ for the $k$ that is nearest in the budget's
    norm, and `overshoot` beyond it."""

    steps: int = eqx.field(static=True, default=30)
    overshoot: float = eqx.field(static=True, default=0.02)
    restarts: int = eqx.field(static=True, default=1, init=False)
    name: str = eqx.field(static=True, default="DeepFool")
    within_budget: ClassVar[bool] = False
    settles: ClassVar[bool] = False
    sees_gradients: ClassVar[bool] = True

    def __check_init__(self):
        check_counts(self)

    def refuse(self, game: Game) -> str:
        """It needs a line to reach."""
        return "" if game.goal.judges else _NO_LINE

    def init(self, game: Game, key: Key) -> State:
        """The inputs as they are."""
        s = game.around.none()
        return spent(nearest_kept(game, started(game, s), s, game.margin(s)), queries=1)

    def step(self, game: Game, state: State, t: Int[Array, ""], key: Key) -> State:
        """To the nearest plane, from where the row stands without the overshoot."""
        walked = state.s
        margins, slopes = _planes(game, walked)
        way = jax.vmap(jax.vmap(game.around.budget.steepest))(-slopes)
        dual = -(way * slopes).reshape(*margins.shape, -1).sum(-1)
        reached = dual > 0
        far = jnp.abs(margins) / jnp.where(reached, dual, 1.0)
        far = jnp.where(reached & jnp.isfinite(margins), far, jnp.inf)
        nearest = far.argmin(0)
        go = jnp.take_along_axis(far, nearest[None], 0)[0]
        direction = jnp.take_along_axis(way, _as_index(nearest, way), 0)[0]
        moving = jnp.isfinite(go) & (state.margin >= 0)
        go = jnp.where(moving, go, 0)
        walked = game.around.valid(walked + wide(go, walked) * direction)
        s = game.around.valid((1 + self.overshoot) * walked)
        state = spent(
            nearest_kept(game, state, s, game.margin(s)),
            gradients=jnp.where(moving, margins.shape[0], 0), queries=moving.astype(jnp.int32),
        )  # fmt: skip
        # the walk goes on without the overshoot
        return state._replace(s=walked)


def _planes(game: Game, s: Array) -> tuple[Array, Array]:
    """The margins `(way, row)` at `s`, and the slope of each `(way, row, ...)`."""

    def margins(s: Array) -> Array:
        return game.goal.margins(game.outputs(s), game.rows).T

    values, pull = jax.vjp(margins, s)
    ways = jnp.eye(len(values), dtype=s.dtype)[:, :, None] * jnp.ones_like(values)[None]
    slopes = jax.vmap(lambda one: pull(one)[0])(ways)
    return values, jnp.where(jnp.isfinite(slopes), slopes, 0)


def _as_index(which: Array, like: Array) -> Array:
    """Row indices, shaped to take one of the first axis of `like` for each row."""
    return jnp.broadcast_to(which.reshape(1, -1, *(1,) * (like.ndim - 2)), (1, *like.shape[1:]))


class _Search(NamedTuple):
    """What Carlini and Wagner's attack remembers: the point in the coordinates that are free, the
    two moments of Adam, the weight with its ends, and whether the row fell in this search."""

    free: Array
    first: Array
    second: Array
    weight: Array
    low: Array
    high: Array
    fell: Array


class CarliniWagner(AbstractAttack):
    r"""Carlini and Wagner (2017, section V): $\min_\delta \|\delta\|_2^2 + c \max(m(x + \delta) +
    \kappa, 0)$ by Adam, where the valid range is finite in $w$ with $x + \delta = \frac12 (\tanh w
    + 1)$ of it; and over $c$, each row its own, by `searches` of bisection.

    `steps` are all of them, parted among the searches; `rate` is Adam's; lengths count in the width
    of the valid range, or where there is none in radii.
    """

    steps: int = eqx.field(static=True, default=600)
    searches: int = eqx.field(static=True, default=6)
    rate: float = eqx.field(static=True, default=0.05)
    confidence: float = eqx.field(static=True, default=0.0)
    restarts: int = eqx.field(static=True, default=1, init=False)
    name: str = eqx.field(static=True, default="Carlini-Wagner")
    within_budget: ClassVar[bool] = False
    settles: ClassVar[bool] = False
    sees_gradients: ClassVar[bool] = True

    def __check_init__(self):
        check_counts(self)
        if not 1 <= self.searches <= self.steps:
            raise ValueError(
                f"{self.searches} searches do not share {self.steps} steps; give at most as many."
            )

    def refuse(self, game: Game) -> str:
        """It needs a line to reach."""
        return "" if game.goal.judges else _NO_LINE

    def init(self, game: Game, key: Key) -> State:
        """The inputs as they are, and the first weight."""
        s = game.around.none()
        state = nearest_kept(game, started(game, s), s, game.margin(s))
        n, none = len(s), jnp.zeros_like(s)
        memory = _Search(
            _to_free(game, s), none, none, jnp.full((n,), _FIRST_WEIGHT, s.dtype),
            jnp.zeros((n,), s.dtype), jnp.full((n,), jnp.inf, s.dtype), jnp.zeros((n,), bool),
        )  # fmt: skip
        return spent(state._replace(memory=memory), queries=1)

    def step(self, game: Game, state: State, t: Int[Array, ""], key: Key) -> State:
        """One step of Adam; at the end of a search the weight is moved and Adam begins anew."""
        length = self.steps // self.searches
        at: _Search = state.memory
        unit = _unit(game)

        def total(free: Array) -> tuple[Array, tuple[Array, Array]]:
            s = _from_free(game, free)
            margin = game.margin(s)
            moved = (game.around.at(s) - game.around.x) / game.around.scale.reshape(
                *(1,) * (s.ndim - 1), -1
            )
            moved = jnp.where(jnp.isnan(moved), 0, moved) / unit
            size = (moved**2).reshape(len(s), -1).sum(-1)
            loss = size + at.weight * jnp.maximum(margin + self.confidence, 0)
            return loss.sum(), (s, margin)

        slope, (s, margin) = jax.grad(total, has_aux=True)(at.free)
        slope = jnp.where(jnp.isfinite(slope), slope, 0)
        state = spent(nearest_kept(game, state, s, margin), gradients=1)
        count = (t % length + 1).astype(s.dtype)
        first = 0.9 * at.first + 0.1 * slope
        second = 0.999 * at.second + 0.001 * slope**2
        ahead = (first / (1 - 0.9**count)) / (jnp.sqrt(second / (1 - 0.999**count)) + 1e-8)
        fell = at.fell | (margin < 0)
        at = at._replace(free=at.free - self.rate * ahead, first=first, second=second, fell=fell)
        return state._replace(memory=_next_search(game, at, (t + 1) % length == 0))


def _next_search(game: Game, at: _Search, over: Array) -> _Search:
    """Where a search is `over`: between the weights that failed and those that did not."""
    high = jnp.where(at.fell, jnp.minimum(at.high, at.weight), at.high)
    low = jnp.where(at.fell, at.low, jnp.maximum(at.low, at.weight))
    middle = jnp.where(jnp.isfinite(high), (low + high) / 2, _UP * at.weight)
    none = jnp.zeros_like(at.free)
    fresh = _Search(_to_free(game, none), none, none, middle, low, high, jnp.zeros_like(at.fell))
    return jax.tree.map(lambda new, old: jnp.where(over, new, old), fresh, at)


def _bounded(game: Game) -> Array:
    """Whether points can be written as a tanh: whole ranges, and entries that are the input's."""
    return jnp.isfinite(game.around.high - game.around.low) & game.around.budget.plain


def _unit(game: Game) -> Array:
    """The length that counts as 1."""
    around = game.around
    radius = jnp.maximum(jnp.asarray(around.budget.radius, around.x.dtype), 1e-12)
    return jnp.where(jnp.isfinite(around.high - around.low), around.high - around.low, radius)


def _to_free(game: Game, s: Array) -> Array:
    """Coordinates without bounds."""
    around = game.around
    width = jnp.where(jnp.isfinite(around.high - around.low), around.high - around.low, 1.0)
    share = 2 * (around.at(s) - jnp.where(jnp.isfinite(around.low), around.low, 0)) / width - 1
    share = jnp.where(jnp.isnan(share), 0, share)
    bounded = jnp.arctanh(jnp.clip(share, -1 + 1e-5, 1 - 1e-5))
    return jnp.where(_bounded(game), bounded, s / _unit(game))


def _from_free(game: Game, free: Array) -> Array:
    """The perturbation that they stand for."""
    around = game.around
    low = jnp.where(jnp.isfinite(around.low), around.low, 0)
    width = jnp.where(jnp.isfinite(around.high - around.low), around.high - around.low, 1.0)
    x = low + width * (jnp.tanh(free) + 1) / 2
    unit = jnp.broadcast_to(around.scale, free.shape)
    inside = jnp.where(jnp.isnan(around.x), 0, x - jnp.where(jnp.isnan(around.x), 0, around.x))
    return jnp.where(_bounded(game), inside / unit, free * _unit(game))


class _Steps(NamedTuple):
    """How far the boundary attack goes, sideways and inwards, in shares of the distance."""

    sideways: Array
    inwards: Array


class Boundary(AbstractAttack):
    r"""The boundary attack (Brendel et al. 2018), which needs decisions alone: from a point at
    which the row falls, a random step at an even distance from the input, then one towards it; what
    still falls is kept. Both steps grow or shrink by the share that succeeds, aiming at a half and
    a quarter.

    It begins at another row of the batch or a large random perturbation, whichever falls and is
    nearest, and at the line between it and the input. Two queries a step.
    """

    steps: int = eqx.field(static=True, default=1000)
    restarts: int = eqx.field(static=True, default=1, init=False)
    name: str = eqx.field(static=True, default="boundary")
    within_budget: ClassVar[bool] = False
    settles: ClassVar[bool] = False
    sees_gradients: ClassVar[bool] = False

    def __check_init__(self):
        check_counts(self)

    def refuse(self, game: Game) -> str:
        """It needs a line to walk on."""
        return "" if game.goal.judges else _NO_LINE

    def init(self, game: Game, key: Key) -> State:
        """The nearest candidate that falls, brought to the line."""
        none = game.around.none()
        state = nearest_kept(game, started(game, none), none, game.margin(none))
        stands = state.margin >= 0

        def candidate(state: State, i: Array) -> tuple[State, None]:
            s = game.around.valid(_candidate(game, i, jax.random.fold_in(key, i)))
            return nearest_kept(game, state, s, game.margin(s)), None

        state, _ = jax.lax.scan(candidate, state, jnp.arange(_CANDIDATES))
        found = state.best

        def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = ends
            middle = (low + high) / 2
            falls = game.margin(wide(middle, found) * found) < 0
            return jnp.where(falls, low, middle), jnp.where(falls, middle, high)

        n = len(found)
        ends = jnp.zeros((n,), found.dtype), jnp.ones((n,), found.dtype)
        _, share = jax.lax.fori_loop(0, _HALVINGS, halve, ends)
        s = wide(share, found) * found
        state = nearest_kept(game, state, s, game.margin(s))
        small = jnp.full((n,), 0.1, found.dtype)
        asked = 1 + jnp.where(stands, _CANDIDATES + _HALVINGS + 1, 0)
        return spent(state._replace(s=state.best, memory=_Steps(small, small)), queries=asked)

    def step(self, game: Game, state: State, t: Int[Array, ""], key: Key) -> State:
        """One step sideways and one inwards."""
        at, s = state.memory, state.best
        flat = s.reshape(len(s), -1)
        far = jnp.linalg.norm(flat, axis=-1)
        unit = flat / jnp.where(far > 0, far, 1.0)[:, None]
        noise = jax.random.normal(key, flat.shape, flat.dtype)
        noise = noise - (noise * unit).sum(-1, keepdims=True) * unit
        noise = noise / jnp.maximum(jnp.linalg.norm(noise, axis=-1, keepdims=True), 1e-12)
        aside = flat + (at.sideways * far)[:, None] * noise
        aside = aside * (far / jnp.maximum(jnp.linalg.norm(aside, axis=-1), 1e-12))[:, None]
        around = game.around
        side = around.valid(aside.reshape(s.shape))
        near = around.valid((aside * (1 - at.inwards)[:, None]).reshape(s.shape))
        side_margin, near_margin = game.margin(side), game.margin(near)
        # only rows that have fallen somewhere, and not as they are, walk on
        walking = (state.margin < 0) & (far > 0)
        steps = _Steps(
            _tuned(at.sideways, side_margin < 0, _SIDEWAYS, walking),
            _tuned(at.inwards, near_margin < 0, _INWARDS, walking & (side_margin < 0)),
        )
        state = nearest_kept(game, state, near, jnp.where(walking, near_margin, jnp.inf))
        # sideways alone is no nearer, but it is from where the next steps are tried
        stay = rowwise(walking & (side_margin < 0) & (near_margin >= 0), s)
        drift = jnp.where(stay & rowwise(around.sizes(side) <= around.sizes(state.best), s),
                          side, state.best)  # fmt: skip
        state = state._replace(best=drift, s=drift, memory=steps)
        return spent(state, queries=2 * walking.astype(jnp.int32))


def _tuned(step: Array, success: Array, aim: float, moving: Array) -> Array:
    """Longer where more than the share `aim` succeeds, shorter elsewhere, evenly on average."""
    change = jnp.where(success, 0.1 * (1 - aim), -0.1 * aim)
    return jnp.clip(jnp.where(moving, step * jnp.exp(change), step), 1e-6, 0.9)


def _candidate(game: Game, i: Array, key: Key) -> Array:
    """Another row of the batch, or a random perturbation that grows with `i`."""
    around = game.around
    keys = jax.random.split(key, len(around.x))
    growing = jnp.exp2((i % (_CANDIDATES // 2)).astype(around.x.dtype))
    drawn = growing * jax.vmap(around.budget.draw)(keys, around.none())
    if not around.budget.plain:
        return growing * drawn
    other = jnp.roll(around.x, 1 + i // 2, axis=0)
    towards = (other - around.x) / jnp.broadcast_to(around.scale, other.shape)
    towards = jnp.where(jnp.isnan(towards), 0, towards)
    return jnp.where(i % 2 == 0, towards, growing * drawn)
