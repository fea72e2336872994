r"""Equilibria followed while one parameter changes, with the points where they turn or flip.

Pseudo-arclength continuation (Keller 1977): a branch $f(x, a) = 0$ is followed by its length
in $(x, a)$, so that it can turn back. A fold is where $a$ turns; a Hopf point where a pair of
eigenvalues crosses the imaginary axis at $\pm i \omega$; a branch point where two branches
cross, and the determinant of the bordered Jacobian changes sign.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._arrays import Branch, Branches, Special
from ._equilibria import equilibria_of_many
from ._field import Corner, Family, Field, check_box, check_family

_STEP, _SHORTEST = 0.02, 1e-7
_MOST_STEPS = 2000
_SAME = 1e-3

#: `(guess, direction)` to what is on the branch there.
Corrector: TypeAlias = Callable[[np.ndarray, np.ndarray], "_Point"]


@dataclass(frozen=True, eq=False)
class _Point:
    """A point on a branch in scaled units: `u` `(state + 1,)` with the parameter last, the unit
    `tangent`, the eigenvalues, the sign of the determinant, and whether Newton arrived."""

    u: np.ndarray
    tangent: np.ndarray
    eigenvalues: np.ndarray
    sign: float
    arrived: bool

    @property
    def unstable(self) -> int:
        """How many eigenvalues have a positive real part, beyond rounding."""
        return int((np.real(self.eigenvalues) > self._zero).sum())

    @property
    def is_stable(self) -> bool:
        """Whether all real parts are negative, beyond rounding."""
        return bool((np.real(self.eigenvalues) < -self._zero).all())

    @property
    def _zero(self) -> float:
        return 1e-10 * float(np.abs(self.eigenvalues).max())


def continuation(
    family: Family,
    low: Corner,
    high: Corner,
    a_low: float | int,
    a_high: float | int,
    *,
    x0: Corner | None = None,
    values: int = 7,
    starts: int = 64,
) -> Branches:
    r"""The equilibria $f(x, a) = 0$ in a box as `a` goes from `a_low` to `a_high`.

    All equilibria at `values` parameters, spread over the interval, are followed both ways
    until they leave the box or the interval; one that lies on a branch already followed is not
    followed again. Special points are found by halving along the branch, to about 1e-10 of the
    interval. A branch that closes on itself, or lies between the parameters searched, may be
    missed.

    **Arguments:** `family(x, a)`, `(state,)` and a number to `(state,)`; `low`, `high`
    `(state,)`, the box; `x0` `(state,)`, an equilibrium near `a_low` known beforehand;
    `starts`, for each search.

    **Raises:** `ValueError` where the box or the interval is empty or the family does not fit.
    """
    b_low, b_high = check_box(low, high)
    ends = check_box([a_low], [a_high])
    check_family(family, len(b_low))
    low_, high_ = np.append(b_low, ends[0]), np.append(b_high, ends[1])
    parameters = np.linspace(a_low, a_high, max(values, 2))
    # at the very ends two equilibria may be about to meet; a little inside they are apart
    parameters[[0, -1]] += np.asarray([1e-3, -1e-3]) * (float(a_high) - float(a_low))
    seeds = [] if x0 is None else [np.append(np.asarray(x0, float), float(a_low) + 0.0)]

    def field_of(z: Array) -> Field:
        return lambda x: family(x, z[0])

    searched = equilibria_of_many(field_of, parameters[:, None], b_low, b_high, starts=starts)
    for a, found in zip(parameters, searched, strict=True):
        seeds += [np.append(e.x, a) for e in found if e.kind != "line of equilibria"]
    lines = any(e.kind == "line of equilibria" for found in searched for e in found)
    notes = ["Lines of equilibria are not followed."] if lines else []
    with jax.enable_x64(True):
        correct = _corrector(family, low_, high_)
        branches: list[list[_Point]] = []
        special: list[list[Special]] = []
        for seed in seeds:
            u = (seed - low_) / (high_ - low_)
            if any(_lies_on(u, points) for points in branches):
                continue
            points, events, note = _both_ways(correct, u)
            if len(points) > 1:
                branches.append(points)
                special.append([_in_units(e, low_, high_) for e in events])
                notes += note
    return Branches(
        branches=tuple(
            _branch(points, tuple(events), low_, high_)
            for points, events in zip(branches, special, strict=True)
        ),
        special=_once([e for events in special for e in events], low_, high_),
        notes=tuple(dict.fromkeys(notes)),
    )


def _corrector(family: Family, low: np.ndarray, high: np.ndarray) -> Corrector:
    """Newton's method onto the branch, within the plane through a guess across a direction."""
    width = jnp.asarray(high - low)
    first, n = jnp.asarray(low), len(low) - 1

    def rates(u: Array) -> Array:
        both = first + u * width
        return family(both[:n], both[n])

    @jax.jit
    def correct(guess: Array, direction: Array) -> tuple[Array, ...]:
        def bordered(u: Array) -> Array:
            # rows in their own sizes, so that the determinant says something
            rows = jax.jacfwd(rates)(u)
            size = jnp.abs(rows).max(axis=1)
            rows = rows / jnp.where(size > 0, size, 1.0)[:, None]
            return jnp.concatenate([rows, direction[None]])

        def residual(u: Array) -> Array:
            size = jnp.abs(jax.jacfwd(rates)(u)).max(axis=1)
            scaled = rates(u) / jnp.where(size > 0, size, 1.0)
            return jnp.append(scaled, direction @ (u - guess))

        def step(u: Array, _: None) -> tuple[Array, Array]:
            move = jnp.linalg.solve(bordered(u), residual(u))
            return u - move, jnp.abs(move).max()

        u, moves = jax.lax.scan(step, guess, None, length=8)
        matrix = bordered(u)
        across = jnp.zeros(n + 1).at[n].set(1.0)
        tangent = jnp.linalg.solve(matrix, across)
        tangent = tangent / jnp.linalg.norm(tangent)
        both = first + u * width
        eigenvalues = jnp.linalg.eigvals(jax.jacfwd(lambda x: family(x, both[n]))(both[:n]))
        return u, tangent, eigenvalues, jnp.linalg.slogdet(matrix)[0], moves[-1]

    def point(guess: np.ndarray, direction: np.ndarray) -> _Point:
        u, tangent, eigenvalues, sign, move = map(
            np.asarray, correct(jnp.asarray(guess), jnp.asarray(direction))
        )
        arrived = bool(np.isfinite(u).all() and np.isfinite(tangent).all() and move < 1e-9)
        return _Point(u, tangent, eigenvalues, float(sign), arrived)

    return point


def _both_ways(correct: Corrector, u: np.ndarray) -> tuple[list[_Point], list[Special], list[str]]:
    """The branch through `u`, its special points in scaled units, and sentences."""
    upward = np.zeros_like(u)
    upward[-1] = 1.0
    start = correct(u, upward)
    if not start.arrived:
        return [], [], []
    forward, events, closed, note = _follow(correct, start)
    if closed:
        return forward, events, note
    turned = replace(start, tangent=-start.tangent, sign=-start.sign)
    backward, more, _, other = _follow(correct, turned)
    flipped = [replace(p, tangent=-p.tangent) for p in backward[:0:-1]]
    return [*flipped, *forward], [*more[::-1], *events], [*note, *other]


def _follow(
    correct: Corrector, start: _Point
) -> tuple[list[_Point], list[Special], bool, list[str]]:
    """One way along a branch, until it leaves the unit box, closes, or is lost."""
    points, events, h = [start], [], _STEP
    while len(points) < _MOST_STEPS:
        last = points[-1]
        new = correct(last.u + h * last.tangent, last.tangent)
        if not new.arrived or new.tangent @ last.tangent < 0.95:
            h /= 2
            if h < _SHORTEST:
                return points, events, False, ["A branch could not be followed to its end."]
            continue
        outside = np.abs(new.u - 0.5).max() > 0.5 + 1e-7
        if outside:
            edge = _halve(correct, last, h, lambda p: np.abs(p.u - 0.5).max() > 0.5 + 1e-9)[0]
            if edge is not last:
                events += _events(correct, last, edge, float((edge.u - last.u) @ last.tangent))
                points.append(edge)
            return points, events, False, []
        events += _events(correct, last, new, h)
        points.append(new)
        back = np.linalg.norm(new.u - start.u)
        if len(points) > 5 and back < h and new.tangent @ start.tangent > 0.9:
            return points, events, True, []
        h = min(1.3 * h, _STEP)
    return points, events, False, [f"A branch was followed for {_MOST_STEPS} steps only."]


def _halve(
    correct: Corrector, last: _Point, h: float, is_past: Callable[[_Point], bool]
) -> tuple[_Point, _Point | None]:
    """The points on either side of where `is_past` becomes true, by halving the step."""
    before, after = last, None
    near, far = 0.0, h
    for _ in range(44):
        middle = 0.5 * (near + far)
        point = correct(last.u + middle * last.tangent, last.tangent)
        if point.arrived and not is_past(point):
            near, before = middle, point
        else:
            far, after = middle, point if point.arrived else after
    return before, after


def _events(correct: Corrector, last: _Point, new: _Point, h: float) -> list[Special]:
    """What happens between two neighbouring points of a branch, in scaled units."""
    if last.sign != new.sign:
        kind, changed = "branch point", lambda p: p.sign != last.sign
    elif last.tangent[-1] * new.tangent[-1] < 0:
        kind, changed = "fold", lambda p: p.tangent[-1] * last.tangent[-1] < 0
    elif abs(last.unstable - new.unstable) >= 2:
        kind, changed = "Hopf", lambda p: p.unstable != last.unstable
    else:
        return []
    before, after = _halve(correct, last, h, changed)
    at = after if after is not None and kind == "branch point" else before
    critical = at.eigenvalues[np.argmin(np.abs(np.real(at.eigenvalues)))]
    frequency = abs(float(critical.imag)) if kind == "Hopf" else np.nan
    if kind == "Hopf" and frequency == 0:
        return []
    return [Special(kind, float(at.u[-1]), at.u[:-1], frequency)]


def _lies_on(u: np.ndarray, points: list[_Point]) -> bool:
    """Whether `u` lies on a branch followed before."""
    line = np.stack([p.u for p in points])
    a, along = line[:-1], np.diff(line, axis=0)
    square = np.maximum((along**2).sum(axis=1), 1e-30)
    share = np.clip(((u - a) * along).sum(axis=1) / square, 0, 1)
    return bool(np.linalg.norm(a + share[:, None] * along - u, axis=1).min() < _SAME)


def _in_units(event: Special, low: np.ndarray, high: np.ndarray) -> Special:
    both = low + np.append(event.x, event.a) * (high - low)
    return replace(event, a=float(both[-1]), x=both[:-1])


def _once(events: list[Special], low: np.ndarray, high: np.ndarray) -> tuple[Special, ...]:
    """Points that several branches share, once, in the order of the parameter."""
    kept: list[Special] = []
    for event in events:
        here = np.append(event.x, event.a)
        if all(
            np.abs((here - np.append(k.x, k.a)) / (high - low)).max() > _SAME
            for k in kept
            if k.kind == event.kind
        ):
            kept.append(event)
    return tuple(sorted(kept, key=lambda e: e.a))


def _branch(
    points: list[_Point], special: tuple[Special, ...], low: np.ndarray, high: np.ndarray
) -> Branch:
    both = low + np.stack([p.u for p in points]) * (high - low)
    return Branch(
        a=both[:, -1],
        x=both[:, :-1],
        eigenvalues=np.stack([p.eigenvalues for p in points]),
        stable=np.asarray([p.is_stable for p in points]),
        unstable=np.asarray([p.unstable for p in points]),
        special=special,
    )
