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

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..._programs import program
from ._problem import Numbers, Problem

#: Lanes of one compiled program, and iterations between two looks at which of them are done.
WIDTH = 32
_ROUND = 12
# a processor each: a lane is a chain of small steps that one core works off
_WORKERS = 2


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


@program
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
