r"""Equilibria of a field in a box, and what happens beside each of them.

$f(x^*) = 0$ by Newton's method with automatic derivatives from many starts at once; the
eigenvalues of $\partial f / \partial x$ at $x^*$ say whether neighbours come back, leave, or
turn round it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._many import many
from ._arrays import Equilibrium, Kind
from ._field import Corner, Field, check_box, check_field, spread_points

_STEPS = 60
_SCALED_RESIDUAL = 1e-9
_SCALED_STEP = 1e-5
_MERGE = 1e-6
_INSIDE = 1e-7
# the distance of a second search, and the singular value that is none, of scaled rates
_ASIDE = 1e-3
_SINGULAR = 1e-3


@dataclass(frozen=True, eq=False)
class Candidates:
    """Where Newton's method ended, a row for each start, and how far it is to be trusted.

    All but `x` and `jacobian` are in box widths: `residual`, the rates over their typical
    sizes; `step`, the last step; `slack`, how far a second search, begun a little way along the
    flattest direction, moved back: 1 at a lone equilibrium, 0 along a line of them, along which
    the Jacobian is singular. `rate` is the typical norm of the Jacobian in the box.
    """

    x: np.ndarray
    jacobian: np.ndarray
    residual: np.ndarray
    step: np.ndarray
    slack: np.ndarray
    rate: float


def equilibria(
    field: Field,
    low: Corner,
    high: Corner,
    *,
    starts: int = 256,
    tolerance: float = 1e-6,
) -> tuple[Equilibrium, ...]:
    r"""The equilibria $f(x^*) = 0$ in a box, in the order of their first component, then the next.

    Newton's method, with its steps halved where they would not help, begins at the box's
    corners, its centre and points spread evenly between. Ends closer than a millionth of the
    box, or than their own error, are one equilibrium. An eigenvalue counts as zero where it is
    at most `tolerance` times the larger of the spectral radius there and the typical one in the
    box. Of a line of equilibria a few points are returned, a quarter of the box apart.

    Finding every equilibrium cannot be promised; more `starts` make it likelier.

    **Arguments:** `field`, `(state,)` to `(state,)` in JAX; `low`, `high` `(state,)`, the box.

    **Raises:** `ValueError` where the box is empty or the field does not fit it.
    """
    a, b = check_box(low, high)
    check_field(field, len(a))
    with jax.enable_x64(True):
        row = _search(field, begin(starts, a, b), jnp.asarray(a), jnp.asarray(b))
    return select(_unpack(np.asarray(row), len(a)), a, b, tolerance)


def equilibria_of_many(
    field_of: Callable[[Array], Field],
    zs: Float[np.ndarray | Array, "draw latent"],
    low: Corner,
    high: Corner,
    *,
    starts: int = 64,
    tolerance: float = 1e-6,
) -> list[tuple[Equilibrium, ...]]:
    """The equilibria of `field_of(z)` for each row of `zs`, by one compiled program.

    Arguments and errors are those of `equilibria`.
    """
    a, b = check_box(low, high)
    with jax.enable_x64(True):
        zs = jnp.asarray(np.asarray(zs), jnp.float64)
        check_field(field_of(zs[0]), len(a))
        points = begin(starts, a, b)
        low_, high_ = jnp.asarray(a), jnp.asarray(b)

        def packed(z: Array) -> Array:
            return _pack(search(field_of(z), points, low_, high_, 40))

        rows = many(packed, np.asarray(zs), chunk=min(64, len(zs)))
    return [select(_unpack(row, len(a)), a, b, tolerance) for row in rows]


def begin(starts: int, low: np.ndarray, high: np.ndarray) -> Float[Array, "start state"]:
    """The centre, the corners while they are few, and points spread evenly, in the box."""
    d = len(low)
    unit = [np.full((1, d), 0.5), spread_points(max(starts, 1), d)]
    if d <= 6:
        unit.append(np.asarray(list(product((0.0, 1.0), repeat=d))))
    return jnp.asarray(low + np.concatenate(unit) * (high - low))


def search(
    field: Field,
    starts: Float[Array, "start state"],
    low: Float[Array, " state"],
    high: Float[Array, " state"],
    steps: int = _STEPS,
) -> tuple[Array, ...]:
    """The fields of `Candidates`, in order, from many starts: pure, to be compiled or mapped.

    Every component of state and rates is counted in its own typical size, so that no unit
    weighs more than another. A step is the least-squares one, damped by the residual: where
    equilibria form a line it goes to the nearest of them.
    """
    width = high - low
    rates = jax.vmap(field)(starts)
    typical = _typical(jnp.abs(rates))

    def scaled(y: Array) -> Array:
        return field(low + y * width) / typical

    def size(y: Array) -> Array:
        total = jnp.abs(scaled(y)).max()
        return jnp.where(jnp.isfinite(total), total, jnp.inf)

    def direction(y: Array) -> tuple[Array, Array, Array]:
        """The step; the direction in which the rates change least, and how much they do."""
        f, rows = scaled(y), jax.jacfwd(scaled)(y)
        u, s, vt = jnp.linalg.svd(jnp.where(jnp.isfinite(rows), rows, 0.0))
        damping = jnp.minimum((f @ f) ** 2, 1e-2 * s[0] ** 2)
        heard = s > 1e-13 * s[0]
        gain = jnp.where(heard, s / jnp.where(heard, s**2 + damping, 1.0), 0.0)
        return -vt.T @ (gain * (u.T @ f)), vt[-1], s[-1]

    shares = 0.5 ** jnp.arange(9.0)

    def step(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        y, _last = carry
        move = direction(y)[0]
        move = jnp.where(jnp.isfinite(move).all(), move, 0.0)
        sizes = jax.vmap(lambda share: size(y + share * move))(shares)
        best = jnp.argmin(sizes)
        y = jnp.where(sizes[best] <= size(y), y + shares[best] * move, y)
        return (y, jnp.abs(move).max()), None

    def descend(y: Array, count: int) -> tuple[Array, Array]:
        return jax.lax.scan(step, (y, jnp.asarray(jnp.inf)), None, length=count)[0]

    def slack(y: Array) -> Array:
        _, flattest, least = direction(y)
        there = y + _ASIDE * flattest
        # past an end of the rates' domain no search moves: then on the other side
        there = jnp.where(jnp.isfinite(size(there)), there, y - _ASIDE * flattest)
        back, _ = descend(there, 8)
        moved = jnp.abs(1 - jnp.linalg.norm(back - y) / _ASIDE)
        # where the Jacobian is regular the equilibrium is alone (inverse function theorem), though
        # the search may have found a neighbour; and no search that ended nowhere tells of a line
        on_line = (least < _SINGULAR) & jnp.isfinite(size(back))
        return jnp.where(on_line, moved, 1.0)

    def one(start: Array) -> tuple[Array, ...]:
        y, last = descend((start - low) / width, steps)
        x = low + y * width
        return x, jax.jacfwd(field)(x), size(y), last, slack(y)

    def radius(x: Array) -> Array:
        scaled_jacobian = jax.jacfwd(scaled)((x - low) / width) * (typical / width)[:, None]
        return jnp.linalg.norm(scaled_jacobian)

    return (*jax.vmap(one)(starts), _typical(jax.vmap(radius)(starts)))


def _typical(sizes: Array) -> Array:
    """The geometric mean over the starts of what is finite and not zero; 1 if nothing is."""
    counts = jnp.isfinite(sizes) & (sizes > 0)
    logs = jnp.where(counts, jnp.log(jnp.where(counts, sizes, 1.0)), 0.0)
    return jnp.exp(logs.sum(axis=0) / jnp.maximum(counts.sum(axis=0, dtype=logs.dtype), 1.0))


def _pack(found: tuple[Array, ...]) -> Float[Array, "start number"]:
    """All that is found of each start in one row, so that many draws are one array."""
    x, jacobian, residual, step, slack, rate = found
    numbers = [residual, step, slack, jnp.full_like(residual, rate)]
    return jnp.concatenate([x, jacobian.reshape(len(x), -1), jnp.stack(numbers, axis=1)], axis=1)


def _unpack(rows: np.ndarray, d: int) -> Candidates:
    jacobian = rows[:, d : d + d * d].reshape(-1, d, d)
    residual, step, slack, rate = rows[:, -4:].T
    return Candidates(rows[:, :d], jacobian, residual, step, slack, float(rate[0]))


@eqx.filter_jit
def _search(field: Field, starts: Array, low: Array, high: Array) -> Array:
    return _pack(search(field, starts, low, high))


def select(
    found: Candidates, low: np.ndarray, high: np.ndarray, tolerance: float
) -> tuple[Equilibrium, ...]:
    """Those candidates that are equilibria in the box, each once, classified and in order."""
    width = high - low
    y = (found.x - low) / width
    with np.errstate(invalid="ignore"):
        good = (found.residual < _SCALED_RESIDUAL) & (found.step < _SCALED_STEP)
        good &= ((y > -_INSIDE) & (y < 1 + _INSIDE)).all(axis=1)
        good &= np.isfinite(found.jacobian).all(axis=(1, 2))
    kept: list[int] = []
    on_line = found.slack < 0.1
    for i in np.flatnonzero(good)[np.argsort(found.residual[good], kind="stable")]:
        near = 0.25 if on_line[i] else max(_MERGE, 20 * found.step[i])
        if all(
            np.abs(y[i] - y[k]).max() > (near if on_line[k] == on_line[i] else 1e-3) for k in kept
        ):
            kept.append(int(i))
    result = [
        _classify(
            np.where(np.abs(found.x[i]) < 1e-12 * width, 0.0, found.x[i]),
            found.jacobian[i],
            found.rate * tolerance,
            tolerance,
            bool(on_line[i]),
            float(found.residual[i]),
        )
        for i in kept
    ]
    return tuple(sorted(result, key=lambda e: tuple(np.round((e.x - low) / width, 6) + 0.0)))


def _classify(
    x: np.ndarray,
    jacobian: np.ndarray,
    least: float,
    tolerance: float,
    on_line: bool,
    residual: float,
) -> Equilibrium:
    eigenvalues = np.linalg.eigvals(jacobian).astype(complex)
    eigenvalues = eigenvalues[np.lexsort((-np.imag(eigenvalues), -np.real(eigenvalues)))]
    zero = max(least, tolerance * float(np.abs(eigenvalues).max()))
    kind = "line of equilibria" if on_line else _kind(eigenvalues, zero)
    unstable = int((np.real(eigenvalues) > zero).sum())
    return Equilibrium(x, jacobian, eigenvalues, kind, unstable, zero, residual)


def _kind(eigenvalues: np.ndarray, zero: float) -> Kind:
    """The word for the eigenvalues, of which those within `zero` of the axes lie on them."""
    grows = np.real(eigenvalues) > zero
    decays = np.real(eigenvalues) < -zero
    turns = np.abs(np.imag(eigenvalues)) > zero
    neutral = ~grows & ~decays
    if neutral.any():
        return "centre" if turns[neutral].all() and not grows.any() else "degenerate"
    if grows.any() and decays.any():
        return "saddle focus" if turns.any() else "saddle"
    if grows.any():
        return "unstable focus" if turns.any() else "unstable node"
    return "stable focus" if turns.any() else "stable node"
