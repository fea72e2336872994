r"""Levenberg–Marquardt for many starts and many records at once.

Minimises the negative log-likelihood, with the noise's scale of each channel at its best value,
over latents that all records share and latents that each record has of its own:

$$L(u) = \tfrac12 \sum_i \rho_i(u)^2 + \sum_c n_c \log s_c(u) + \tfrac12 \sum_j q_j(u)^2$$

with $\rho$ the deviance residuals, $s_c$ the scale that is most likely given the curve, $q$ the
standard scores under priors that inform, and $u$ the coordinates in which every latent's support
is the real line. A step solves $(J^\top J + \lambda\,\mathrm{diag}\,J^\top J)\,\delta = -J^\top
\rho$ (Levenberg 1944; Marquardt 1963); own latents are eliminated record by record (the Schur
complement), so the cost grows with the number of records and not with its cube.

Starts are lanes of one compiled program of fixed width. Lanes that are done make room for those
that are not, so a bad start never holds the others.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..._latents import Latents
from ..._noise import AbstractCurveNoise

#: Lanes of one compiled program, and iterations between two looks at which of them are done.
WIDTH = 32
_ROUND = 12
# a processor each: a lane is a chain of small steps that one core works off
_WORKERS = 2

# of a compiled program, or of NumPy outside of it
Numbers = Array | np.ndarray

Curve = Callable[[Float[Array, " latent"], Any], Float[Array, "time channel"]]


class Problem(eqx.Module):
    r"""What is to be fitted.

    **Arguments:** `curve(z, condition)`, the noiseless reading of one record; `x` `(record,
    time, channel)`, NaN = not observed; `conditions`, a tree with a row for each record, or
    None; `latents`; `is_own`, which of them each record has of its own; `pinned` `(record,
    latent)`, the value of a latent that a record fixes, NaN elsewhere; `floor` `(channel,)`, the
    smallest scale that is believed.

    A problem taken `apart` has a leading axis of lanes in `x`, `conditions` and `pinned`: each
    lane has a record of its own.
    """

    curve: Curve
    noise: AbstractCurveNoise
    latents: Latents
    x: Float[Array, "*lane record time channel"]
    conditions: Any
    pinned: Float[Array, "*lane record latent"]
    floor: Float[Array, " channel"]
    is_own: tuple[bool, ...] = eqx.field(static=True)

    @property
    def shares_nothing(self) -> bool:
        """Whether there are many records, and every latent that moves is a record's own."""
        unshared = np.asarray(self.is_own) | ~np.isnan(np.asarray(self.pinned)).any(axis=0)
        return self.x.shape[0] > 1 and bool(unshared.all())

    @property
    def is_apart(self) -> bool:
        """Whether every lane has a record of its own."""
        return self.x.ndim == 4

    def apart(self, starts: int) -> "Problem":
        """Every start of every record as a lane `(start x record)` of its own, with its own scale
        of the noise: for records that share no latent, so that none waits for another."""

        def each(rows: Array) -> Array:
            return jnp.tile(rows, (starts, *[1] * (rows.ndim - 1)))[:, None]

        return Problem(
            self.curve, self.noise, self.latents, each(self.x),
            jax.tree.map(each, self.conditions), each(self.pinned), self.floor,
            (False,) * self.latents.size,
        )  # fmt: skip

    def rows(self, lanes: Int[np.ndarray, " lane"]) -> "Problem":
        """The problem of some lanes."""
        if not self.is_apart:
            return self
        part = jax.tree.map(lambda leaf: leaf[lanes], (self.x, self.conditions, self.pinned))
        return eqx.tree_at(lambda p: (p.x, p.conditions, p.pinned), self, part)

    def over_lanes(self, function: Callable) -> Callable:
        """`function(problem, *lane)` for all lanes at once."""
        if not self.is_apart:
            return lambda *lanes: jax.vmap(lambda *lane: function(self, *lane))(*lanes)

        def one(part: Any, *lane: Any) -> Any:
            at = eqx.tree_at(lambda p: (p.x, p.conditions, p.pinned), self, part)
            return function(at, *lane)

        return lambda *lanes: jax.vmap(one)((self.x, self.conditions, self.pinned), *lanes)

    def assemble(
        self, shared: Float[Numbers, " shared"], own: Float[Numbers, "record own"]
    ) -> Float[Array, "record latent"]:
        """All coordinates of every record."""
        u = jnp.zeros((self.x.shape[0], self.latents.size), shared.dtype)
        u = u.at[:, self._columns(False)].set(jnp.broadcast_to(shared, (u.shape[0], shared.size)))
        return u.at[:, self._columns(True)].set(own)

    def part(
        self, u: Float[np.ndarray, "... latent"]
    ) -> tuple[Float[np.ndarray, "... shared"], Float[np.ndarray, "... own"]]:
        """The shared and the own columns."""
        return u[..., self._columns(False)], u[..., self._columns(True)]

    def constrain(
        self, u: Float[Array, " latent"], pinned: Float[Array, " latent"]
    ) -> Float[Array, " latent"]:
        """Coordinates to the latents of one record."""
        return jnp.where(jnp.isnan(pinned), self.latents.constrain(u), pinned)

    def readings(self, u: Float[Array, "record latent"]) -> Float[Array, "record time channel"]:
        r"""The natural parameter $\eta$ of every entry."""

        def one(u: Array, pinned: Array, condition: Any) -> Array:
            return self.noise.link(self.curve(self.constrain(u, pinned), condition))

        return jax.vmap(one)(u, self.pinned, self.conditions)

    def slopes(
        self, u: Float[Array, "record latent"]
    ) -> tuple[Float[Array, "record time channel"], Float[Array, "record latent time channel"]]:
        r"""$\eta$ and $\partial\eta / \partial u$, forward mode: few latents, many entries."""

        def one(u: Array, pinned: Array, condition: Any) -> tuple[Array, Array]:
            def read(u: Array) -> Array:
                return self.noise.link(self.curve(self.constrain(u, pinned), condition))

            def along(direction: Array) -> tuple[Array, Array]:
                return jax.jvp(read, (u,), (direction,))

            return jax.vmap(along, out_axes=(None, 0))(jnp.eye(u.size, dtype=u.dtype))

        return jax.vmap(one)(u, self.pinned, self.conditions)

    def scale(self, eta: Float[Array, "record time channel"]) -> Float[Array, " channel"]:
        """The most likely scale of each channel, no smaller than believed."""
        if not self.noise.has_scale:
            return jnp.ones_like(self.floor)
        return jnp.maximum(self.noise.best_scale(self.x, eta), self.floor)

    def objective(
        self, eta: Float[Array, "record time channel"], scores: Float[Array, "..."]
    ) -> tuple[Float[Array, ""], Float[Array, "record time channel"], Float[Array, " channel"]]:
        """$L$, the residuals and the scale; not finite where the curve is not."""
        scale = self.scale(eta)
        residual = self._residual(eta, scale)
        seen = ~jnp.isnan(self.x)
        count = seen.sum(axis=(0, 1)).astype(eta.dtype)
        logs = (count * jnp.log(scale)).sum() if self.noise.has_scale else jnp.zeros((), eta.dtype)
        value = 0.5 * (residual**2).sum() + logs + 0.5 * (scores**2).sum()
        broken = (seen & ~jnp.isfinite(eta)).any()
        return jnp.where(broken | ~jnp.isfinite(value), jnp.inf, value), residual, scale

    def scores(self, u: Float[Array, "record latent"]) -> Float[Array, "record latent"]:
        """Standard scores under the priors that inform; 0 for a range, and for what is shared
        in all records but the first, which stands for it."""
        each = jax.vmap(lambda u: _scores(self.latents, self.latents.constrain(u)))(u)
        first = jnp.arange(each.shape[0])[:, None] == 0
        counts = jnp.asarray(self.is_own)[None, :] | first
        return jnp.where(counts & jnp.isnan(self.pinned), each, 0.0)

    def score_slopes(self, u: Float[Array, "record latent"]) -> Float[Array, "record latent"]:
        """The derivative of each score by its own coordinate."""
        ones = jnp.ones_like(u)
        return jax.jvp(self.scores, (u,), (ones,))[1]

    def weighted(
        self,
        eta: Float[Array, "record time channel"],
        slopes: Float[Array, "record latent time channel"],
        scale: Float[Array, " channel"],
    ) -> Float[Array, "record latent time channel"]:
        r"""$\partial\rho / \partial u$ from $\partial\eta / \partial u$."""

        def residual(eta: Array) -> Array:
            return self._residual(eta, scale)

        chain = jax.jvp(residual, (eta,), (jnp.ones_like(eta),))[1]
        return jnp.where(jnp.isfinite(slopes), slopes, 0.0) * chain[:, None]

    def _residual(self, eta: Array, scale: Array) -> Array:
        seen = ~jnp.isnan(self.x)
        known = jnp.where(seen, self.x, 1.0)
        safe = jnp.where(seen & jnp.isfinite(eta), eta, 0.0)
        return jnp.where(seen, self.noise.residual(known, safe, scale), 0.0)

    def _columns(self, own: bool) -> np.ndarray:
        return np.flatnonzero(np.asarray(self.is_own) == own)


class Lane(eqx.Module):
    """Where a start has got to, or many with a leading axis; `free` says which coordinates move.

    Outside of compiled programs its arrays are NumPy's: chunks of lanes are cut out of them.
    """

    shared: Float[Numbers, "*lane shared"]
    own: Float[Numbers, "*lane record own"]
    free: Bool[Numbers, "*lane record latent"]
    objective: Float[Numbers, "*lane"]
    damping: Float[Numbers, "*lane"]
    steps: Int[Numbers, "*lane"]
    small: Int[Numbers, "*lane"]
    done: Bool[Numbers, "*lane"]


def lanes_at(
    problem: Problem,
    u: Float[np.ndarray, "lane record latent"],
    free: Bool[np.ndarray, "lane record latent"] | None = None,
) -> Lane:
    """Lanes that begin at these coordinates; without `free` every latent moves."""
    n = len(u)
    shared, own = problem.part(np.asarray(u))
    every = np.ones(u.shape, dtype=bool) if free is None else free
    unpinned = np.isnan(np.asarray(problem.pinned))
    lanes = (
        shared[:, 0],
        own,
        every & (unpinned if problem.is_apart else unpinned[None]),
        np.full(n, np.inf, u.dtype),
        np.full(n, 1e-2, u.dtype),
        np.zeros(n, np.int32),
        np.zeros(n, np.int32),
        np.zeros(n, bool),
    )
    return Lane(*lanes)


def coordinates_of(problem: Problem, lanes: Lane) -> Float[np.ndarray, "lane record latent"]:
    """Where the lanes are, all coordinates of every record."""
    shared, own = np.asarray(lanes.shared), np.asarray(lanes.own)
    u = np.zeros((*own.shape[:2], problem.latents.size), shared.dtype)
    u[:, :, problem._columns(False)] = shared[:, None]
    u[:, :, problem._columns(True)] = own
    return u


def minimise(problem: Problem, lanes: Lane, *, most: int = 100) -> Lane:
    """Every lane to its minimum, or until it has taken `most` steps; a lane whose objective is
    infinite began where the equation cannot be solved."""
    width = min(WIDTH, int(lanes.done.shape[0]))
    state: Lane = jax.tree.map(np.array, lanes)
    with ThreadPoolExecutor(_WORKERS) as pool:
        while (todo := np.flatnonzero(~state.done & (state.steps < most))).size:
            chunks = [todo[i : i + width] for i in range(0, todo.size, width)]
            # a lone chunk needs no thread
            over = map if len(chunks) == 1 else pool.map
            rounds = over(lambda rows: _round(problem, state, rows, width, most), chunks)
            for rows, moved in zip(chunks, list(rounds), strict=True):
                for leaf, new in zip(*map(jax.tree.leaves, (state, moved)), strict=True):
                    leaf[rows] = new[: rows.size]
    return state


def _round(problem: Problem, state: Lane, rows: np.ndarray, width: int, most: int) -> Lane:
    """Some lanes, moved on; the last of them stands for those that a chunk lacks, so that no
    second program is compiled."""
    full = np.concatenate([rows, np.repeat(rows[-1:], width - rows.size)])
    # float64 is a setting of the thread, so each one says it
    with jax.enable_x64(state.shared.dtype == np.float64):
        part = jax.device_put((jax.tree.map(lambda leaf: leaf[full], state), np.int32(most)))
        return jax.device_get(_advance(problem.rows(full), *part))


@eqx.filter_jit
def _advance(problem: Problem, lanes: Lane, most: Int[Array, ""]) -> Lane:
    """A round of steps for all lanes of a chunk, or fewer where all are done."""
    # a lane of unknown objective first looks where it stands, so that the program holds the
    # solve and its derivatives once
    lanes = eqx.tree_at(lambda lane: lane.objective, lanes, jnp.full_like(lanes.objective, jnp.inf))
    shapes = jax.eval_shape(problem.over_lanes(_normal), lanes)
    system = jax.tree.map(lambda part: jnp.zeros(part.shape, part.dtype), shapes)

    def more(carry: tuple[Any, Lane, Array]) -> Array:
        _, lanes, taken = carry
        return (taken < _ROUND) & ~(lanes.done | (lanes.steps >= most)).all()

    def go(carry: tuple[Any, Lane, Array]) -> tuple[Any, Lane, Array]:
        system, lanes, taken = carry
        system, lanes = problem.over_lanes(_step)(system, lanes)
        return system, lanes, taken + 1

    return jax.lax.while_loop(more, go, (system, lanes, jnp.int32(0)))[1]


_Normal = tuple[Array, Array, Array, Array, Array, Array]


def _normal(problem: Problem, lane: Lane) -> _Normal:
    """The objective and the parts of the normal equations: gradients (shared, own) and
    curvatures (shared by shared, shared by own, own by own)."""
    u = problem.assemble(lane.shared, lane.own)
    scores = problem.scores(u)
    eta, slopes = problem.slopes(u)
    value, residual, scale = problem.objective(eta, scores)
    jacobian = problem.weighted(eta, slopes, scale)
    jacobian = jnp.where(lane.free[:, :, None, None], jacobian, 0.0)
    jacobian = jacobian.reshape(*jacobian.shape[:2], -1)
    pull = jnp.where(lane.free, problem.score_slopes(u), 0.0)
    gradient = jnp.einsum("rpi,ri->rp", jacobian, residual.reshape(residual.shape[0], -1))
    gradient = gradient + pull * scores
    curvature = jnp.einsum("rpi,rqi->rpq", jacobian, jacobian)
    curvature = curvature + jax.vmap(jnp.diag)(pull**2)
    s, o = problem._columns(False), problem._columns(True)
    return (
        value,
        gradient[:, s].sum(0),
        gradient[:, o],
        curvature[:, s][:, :, s].sum(0),
        curvature[:, s][:, :, o],
        curvature[:, o][:, :, o],
    )


def _step(problem: Problem, system: _Normal, lane: Lane) -> tuple[_Normal, Lane]:
    """One trial: taken where it lowers the objective, else only the damping grows."""
    d_shared, d_own = _solve(system, lane.damping)
    # a coordinate of a bounded latent is a logit: no step worth taking is longer than this
    longest = jnp.maximum(_largest(d_shared), _largest(d_own))
    short = jnp.minimum(1.0, 4.0 / jnp.maximum(longest, 1e-30))
    shared, own = lane.shared + short * d_shared, lane.own + short * d_own
    trial = eqx.tree_at(lambda at: (at.shared, at.own), lane, (shared, own))
    there = _normal(problem, trial)
    first = ~jnp.isfinite(lane.objective)
    better = there[0] < lane.objective
    gain = lane.objective - there[0]
    little = better & (gain < 1e-10 * (1 + jnp.abs(lane.objective)))
    small = jnp.where(first, lane.small, jnp.where(better & ~little, 0, lane.small + 1))
    damping = jnp.where(better, jnp.maximum(lane.damping * 0.2, 1e-12), lane.damping * 4)
    damping = jnp.where(first, lane.damping, damping)
    # done: gains are at rounding, the step is, no step of any length helps, or it was lost
    ended = (little & (lane.small > 0)) | (longest < 1e-9) | (damping > 1e10)
    done = lane.done | jnp.where(first, ~better, ended)
    moved = Lane(
        jnp.where(better, shared, lane.shared),
        jnp.where(better, own, lane.own),
        lane.free,
        jnp.where(better, there[0], lane.objective),
        damping,
        lane.steps + jnp.where(first, 0, 1),
        small,
        done,
    )
    keep = lane.done
    moved = jax.tree.map(lambda old, new: jnp.where(keep, old, new), lane, moved)
    taken = better & ~keep
    return jax.tree.map(lambda old, new: jnp.where(taken, new, old), system, there), moved


def _solve(system: _Normal, damping: Numbers) -> tuple[Array, Array]:
    """The damped step of shared and own coordinates."""
    _, g_s, g_o, a_ss, a_so, a_oo = system
    if g_s.size:
        a_ss = a_ss + _damped(a_ss, damping)
    if not g_o.size:
        return -_cholesky_solve(a_ss, g_s), g_o
    a_oo = a_oo + jax.vmap(lambda a: _damped(a, damping))(a_oo)
    inner = jax.vmap(_cholesky_solve)
    solved_g = inner(a_oo, g_o)
    if not g_s.size:
        return g_s, -solved_g
    solved_c = inner(a_oo, jnp.swapaxes(a_so, 1, 2))
    schur = a_ss - jnp.einsum("rso,rot->st", a_so, solved_c)
    d_s = -_cholesky_solve(schur, g_s - jnp.einsum("rso,ro->s", a_so, solved_g))
    return d_s, -solved_g - jnp.einsum("ros,s->ro", solved_c, d_s)


def _damped(a: Array, damping: Numbers) -> Array:
    """What is added to the diagonal; a coordinate without any effect must stay where it is."""
    diagonal = jnp.diagonal(a)
    floor = 1e-14 * jnp.maximum(diagonal.max(), 1e-30)
    return jnp.diag(damping * diagonal + jnp.where(diagonal > floor, floor, 1.0))


def _cholesky_solve(a: Array, b: Array) -> Array:
    """A positive solve in scaled coordinates; not a number where it is not positive."""
    d = 1 / jnp.sqrt(jnp.diagonal(a))
    factor = jnp.linalg.cholesky(a * d[:, None] * d[None, :])
    scaled = b * d if b.ndim == 1 else b * d[:, None]
    solved = jax.scipy.linalg.cho_solve((factor, True), scaled)
    return solved * d if b.ndim == 1 else solved * d[:, None]


def _largest(step: Array) -> Array:
    return jnp.abs(step).max() if step.size else jnp.zeros((), step.dtype)


def _scores(latents: Latents, z: Float[Array, " latent"]) -> Float[Array, " latent"]:
    """$(z - m) / s$ for normal priors, cut or not, $(\\log z - m) / s$ for log-normal ones."""
    parts = []
    for prior, part in zip(latents.priors, z, strict=True):
        if prior.family in ("normal", "truncated-normal"):
            parts.append((part - prior.parameters[0]) / prior.parameters[1])
        elif prior.family == "log-normal":
            parts.append((jnp.log(part) - prior.parameters[0]) / prior.parameters[1])
        else:
            parts.append(jnp.zeros_like(part))
    return jnp.stack(parts)
