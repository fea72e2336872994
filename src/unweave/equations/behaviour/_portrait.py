"""The phase portrait of a field in the plane: nullclines, orbits, separatrices."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._many import many
from ._arrays import Equilibrium, Portrait
from ._equilibria import equilibria
from ._field import Corner, Field, check_box, check_field, spread_points
from ._orbits import trace, trimmed

_CELLS = 26


def phase_portrait(
    field: Field,
    low: Corner,
    high: Corner,
    *,
    found: Sequence[Equilibrium] | None = None,
    grid: int = 21,
) -> Portrait:
    """All that a phase portrait shows of a field with two components, within a box.

    **Arguments:** `found`, its equilibria where they are known already; `grid`, how many
    vectors stand along each side.

    **Raises:** `ValueError` where the box is empty, or the field or the box is not of a plane.
    """
    a, b = _check_plane(field, low, high)
    found = equilibria(field, a, b) if found is None else tuple(found)
    sides = [np.linspace(a[i], b[i], grid) for i in (0, 1)]
    points = np.stack(np.meshgrid(*sides), axis=-1)
    with jax.enable_x64(True):
        vectors = many(field, points.reshape(-1, 2), chunk=grid * grid).reshape(points.shape)
    return Portrait(
        a, b, points, vectors,
        nullclines=nullclines(field, a, b),
        streamlines=streamlines(field, a, b, found),
        equilibria=found,
        separatrices=separatrices(field, a, b, found),
    )  # fmt: skip


def nullclines(
    field: Field, low: Corner, high: Corner, *, resolution: int = 200
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """For each of two components, the curves `(point, 2)` on which its rate is zero.

    Marching squares on `resolution` cells a side, then Newton's method along the gradient, so
    that every point lies on its curve; what only jumps or has a pole there is left out. A curve
    on which the rate touches zero without changing sign is not seen.
    """
    import contourpy

    a, b = _check_plane(field, low, high)
    cell = (b - a) / resolution
    # one cell beyond the box on each side: an axis is often a nullcline itself
    sides = [np.linspace(a[i] - cell[i], b[i] + cell[i], resolution + 3) for i in (0, 1)]
    points = np.stack(np.meshgrid(*sides), axis=-1)
    result = []
    with jax.enable_x64(True):
        rates = many(field, points.reshape(-1, 2), chunk=points.size // 2).reshape(points.shape)
        for i in (0, 1):
            levels = np.ma.masked_invalid(rates[..., i])
            drawn = contourpy.contour_generator(sides[0], sides[1], levels).lines(0.0)
            lines = [np.asarray(line) for line in drawn]
            result.append(tuple(_on_curve(field, i, lines, (a, b), cell)))
    return result[0], result[1]


def _on_curve(
    field: Field,
    component: int,
    lines: Sequence[np.ndarray],
    box: tuple[np.ndarray, np.ndarray],
    cell: np.ndarray,
) -> list[np.ndarray]:
    """Polylines moved onto the zeros of one component, cut where that fails or the box ends."""
    if not lines:
        return []

    def value(x: Array) -> Array:
        return field(x)[component]

    def settle(x: Array) -> Array:
        for _ in range(4):
            gradient = jax.grad(value)(x) * cell
            square = gradient @ gradient
            x = x - cell * value(x) * gradient / jnp.where(square > 0, square, 1.0)
        return x

    start = np.concatenate(lines)
    end = many(settle, start, chunk=2048)
    low, high = box
    slack = 1e-9 * (high - low)
    # a value that is not finite fails both
    near = np.abs(end - start) <= 1.5 * cell
    good = np.all(near & (end >= low - slack) & (end <= high + slack), axis=1)
    pieces = []
    first = 0
    for line in lines:
        rows = np.arange(first, first + len(line))
        first += len(line)
        for piece in np.split(rows, np.flatnonzero(~good[rows])):
            kept = piece[good[piece]]
            if len(kept) > 1:
                pieces.append(end[kept])
    return pieces


def separatrices(
    field: Field, low: Corner, high: Corner, found: Sequence[Equilibrium], *, length: float = 4.0
) -> tuple[np.ndarray, ...]:
    """The two halves `(point, 2)` of every saddle's stable manifold, each ending at the saddle.

    They begin a thousandth of the box from it along the eigenvector of the negative eigenvalue
    and run backward in time over at most `length` box widths.
    """
    a, b = _check_plane(field, low, high)
    width = b - a
    saddles = [e for e in found if e.kind == "saddle"]
    starts = []
    for saddle in saddles:
        values, vectors = np.linalg.eig(saddle.jacobian)
        direction = np.real(vectors[:, np.argmin(np.real(values))])
        direction = direction / np.abs(direction / width).max()
        starts += [saddle.x + 1e-3 * direction, saddle.x - 1e-3 * direction]
    if not starts:
        return ()
    step = 0.01
    with jax.enable_x64(True):
        paths = trace(
            field, np.asarray(starts), -np.ones(len(starts)), a, b,
            step=step, steps=round(length / step), found=found,
        )  # fmt: skip
    whole = []
    for path, saddle in zip(paths, np.repeat(np.arange(len(saddles)), 2), strict=True):
        kept = trimmed(path, a, b)
        if len(kept) > 1:
            whole.append(np.concatenate([kept[::-1], saddles[saddle].x[None]]))
    return tuple(whole)


def streamlines(
    field: Field, low: Corner, high: Corner, found: Sequence[Equilibrium], *, seeds: int = 300
) -> tuple[np.ndarray, ...]:
    """Orbits `(point, 2)` in the direction of time that fill the box evenly.

    From each of `seeds` points the orbit is followed both ways until it would crowd another.
    """
    a, b = _check_plane(field, low, high)
    points = a + spread_points(seeds, 2) * (b - a)
    with jax.enable_x64(True):
        paths = trace(
            field, np.concatenate([points, points]), np.repeat([1.0, -1.0], seeds), a, b,
            step=0.01, steps=120, found=found,
        )  # fmt: skip
    taken = np.zeros((_CELLS, _CELLS), dtype=bool)
    chosen = []
    for forward, backward in zip(paths[:seeds], paths[seeds:], strict=True):
        line = _free_part(trimmed(forward, a, b), trimmed(backward, a, b), taken, (a, b))
        if len(line) > 15:
            chosen.append(line)
            cells = _cells(line, (a, b))
            taken[cells[:, 0], cells[:, 1]] = True
    return tuple(chosen)


def _free_part(
    forward: np.ndarray,
    backward: np.ndarray,
    taken: np.ndarray,
    box: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """The orbit through a seed as far as its cells are free, its own earlier cells included."""
    mine: set[tuple[int, int]] = set()
    halves = []
    for half in (forward, backward):
        kept, last = 0, (-1, -1)
        for cell in map(tuple, _cells(half, box).tolist()):
            if taken[cell] or (cell != last and cell in mine and kept):
                break
            mine.add(cell)
            last = cell
            kept += 1
        halves.append(half[:kept])
    return np.concatenate([halves[1][:0:-1], halves[0]])


def _cells(path: np.ndarray, box: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    low, high = box
    return np.clip(((path - low) / (high - low) * _CELLS).astype(int), 0, _CELLS - 1)


def _check_plane(field: Field, low: Corner, high: Corner) -> tuple[np.ndarray, np.ndarray]:
    a, b = check_box(low, high)
    if len(a) != 2:
        raise ValueError(
            f"the box has {len(a)} components, and a phase portrait is of a plane; give two, or "
            "hold the others still in the field."
        )
    check_field(field, 2)
    return a, b
