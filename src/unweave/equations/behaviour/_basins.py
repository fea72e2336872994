"""Basins: which attractor a grid of starts ends at."""

from collections.abc import Sequence

import jax
import numpy as np

from ._arrays import Basins, Equilibrium
from ._field import Corner, Field, check_box, check_field
from ._orbits import MARGIN, trace

_STEP = 0.02
_STEPS = 500
_ROUNDS = 12
_CAPTURE = 5e-3
_MOST_CYCLES = 4


def basins(
    field: Field,
    low: Corner,
    high: Corner,
    attractors: Sequence[Equilibrium],
    *,
    resolution: int = 60,
    axes: tuple[int, int] = (0, 1),
    at: Corner | None = None,
) -> Basins:
    """Follows a grid of starts until each comes to rest, turns in a closed curve, or leaves.

    A start belongs to a stable equilibrium once its orbit is within 1/200 of the box of it; to
    a cycle once its orbit returns to itself and its extent no longer changes. Orbits are
    followed over at most 120 box widths; one that has done neither is "undecided", as is a
    chaotic one and one that rests on an unstable equilibrium.

    **Arguments:** `attractors`, all equilibria, of which the stable ones attract; `resolution`,
    starts along each side; `axes`, the components that the grid spans, the others held at those
    of `at` `(state,)`, the box's centre where none is given.

    **Raises:** `ValueError` where the box is empty, has one component or does not fit.
    """
    a, b = check_box(low, high)
    check_field(field, len(a))
    if len(a) < 2 or len({*axes}) != 2 or not all(0 <= i < len(a) for i in axes):
        raise ValueError(
            f"axes {axes} do not span a plane of a state with {len(a)} components; give two "
            "different ones, such as axes=(0, 1)."
        )
    starts = np.tile(0.5 * (a + b) if at is None else np.asarray(at, float), (resolution**2, 1))
    sides = [np.linspace(a[i], b[i], resolution) for i in axes]
    for i, values in zip(axes, np.meshgrid(*sides), strict=True):
        starts[:, i] = values.reshape(-1)
    stable = [e for e in attractors if e.is_stable]
    with jax.enable_x64(True):
        rests = np.asarray([e.x for e in stable])
        places, curves = _follow(field, starts, a, b, rests, attractors)
    labels, cycles, kinds = _cycles(places, curves)
    names = [f"rests at ({', '.join(f'{v:.4g}' for v in e.x)})" for e in stable]
    ends = (*names, *cycles, "leaves the box", "undecided")
    n = len(ends)
    label = np.select(
        [places >= 0, places == _LEFT, places == _TURNS],
        [places, n - 2, len(stable) + labels],
        n - 1,
    )
    shares = np.bincount(label, minlength=n) / len(label)
    shape = (resolution, resolution)
    closed = tuple(a + curves[i] * (b - a) for i in kinds)
    return Basins(axes, sides[0], sides[1], label.reshape(shape), ends, shares, closed)


_UNDECIDED, _LEFT, _TURNS = -1, -2, -3


def _follow(
    field: Field,
    starts: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    rests: np.ndarray,
    found: Sequence[Equilibrium],
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """For each start the attractor's index or one of the codes above, and the closed curves
    `(point, state)` in box widths of those that have one."""
    n = len(starts)
    places = np.full(n, _UNDECIDED)
    curves: dict[int, np.ndarray] = {}
    now = starts
    for turn in range(_ROUNDS):
        paths = trace(field, now, np.ones(n), low, high, step=_STEP, steps=_STEPS, found=found)
        now = paths[:, -1]
        y = (paths - low) / (high - low)
        open_ = places == _UNDECIDED
        gone = (np.abs(y[:, -1] - 0.5) > 0.5 + MARGIN).any(axis=1)
        places[open_ & gone] = _LEFT
        if len(rests):
            apart = np.abs(y[:, -1, None] - (rests - low) / (high - low)).max(axis=-1)
            rested = open_ & ~gone & (apart.min(axis=1) < _CAPTURE)
            places[rested] = apart.argmin(axis=1)[rested]
        for i in np.flatnonzero(places == _UNDECIDED) if turn else ():
            lap = _last_lap(y[i])
            if len(lap):
                places[i], curves[int(i)] = _TURNS, lap
        if (places != _UNDECIDED).all():
            break
    return places, curves


def _last_lap(y: np.ndarray) -> np.ndarray:
    """The last lap of a path that returns to its last point and keeps its extent, or nothing."""
    half = len(y) // 2
    early, late = _extent(y[:half]), _extent(y[half:])
    size = np.ptp(y[half:], axis=0).max()
    distance = np.linalg.norm(y - y[-1], axis=1)
    left = np.flatnonzero(distance > max(0.3 * size, 2 * _STEP))
    # the nearest of the points on an earlier lap is at most half a step away
    back = np.flatnonzero(distance[: left[-1]] < 0.75 * _STEP) if len(left) else left
    settled = np.abs(late - early).max() < 5e-3 * size and size > 4 * _STEP
    return (
        np.append(y[back[-1] :], y[back[-1] : back[-1] + 1], 0) if len(back) and settled else y[:0]
    )


def _extent(y: np.ndarray) -> np.ndarray:
    return np.concatenate([y.min(axis=0), y.max(axis=0)])


def _cycles(
    places: np.ndarray, curves: dict[int, np.ndarray]
) -> tuple[np.ndarray, tuple[str, ...], list[int]]:
    """Closed curves of one extent as one cycle: a number for each start, a word for each cycle,
    a start that shows it. Too many of them are a family of orbits, none of which attracts."""
    labels = np.zeros(len(places), int)
    kinds: list[int] = []
    for i, curve in curves.items():
        same = (
            k
            for k, kind in enumerate(kinds)
            if np.abs(_extent(curve) - _extent(curves[kind])).max() < 0.03
        )
        labels[i] = next(same, len(kinds))
        if labels[i] == len(kinds):
            kinds.append(i)
    if len(kinds) > _MOST_CYCLES:
        return np.zeros(len(places), int), ("closed orbits, one for each start",), []
    if len(kinds) == 1:
        return labels, ("cycle",), kinds
    return labels, tuple(f"cycle {k + 1}" for k in range(len(kinds))), kinds
