"""A function looked at along an interval, more closely where it might hide a zero."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._many import many

#: `x (n,)` to values and slopes, `(n,)` each.
Sampler: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

_CHUNK = 1024
_DEPTH = 24
_MOST_OPEN = 20_000


@dataclass(frozen=True, eq=False)
class Scan:
    """Points in order with values and slopes, and the cells that stayed unclear.

    `unclear` `(cell, 2)` are the ends of cells in which the function could still have zeros
    that its ends do not show; `exhausted`, that there were too many of them to go on.
    """

    x: np.ndarray
    value: np.ndarray
    slope: np.ndarray
    unclear: np.ndarray
    exhausted: bool


def sampler(function: Callable[[Array], Array]) -> Sampler:
    """Values and slopes of `function` at many points, compiled once."""
    both = jax.value_and_grad(function)

    def pair(x: Array) -> Array:
        return jnp.stack(both(x))

    def sample(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not len(x):
            return x, x
        short = -len(x) % _CHUNK
        padded = np.concatenate([x, np.repeat(x[-1:], short)])
        pairs = many(pair, padded, chunk=_CHUNK)[: len(x)]
        return pairs[:, 0], pairs[:, 1]

    return sample


def scan(sample: Sampler, low: float, high: float, points: int) -> Scan:
    """Halves each cell whose middle is not what its ends foretell, while a zero could be there.

    The ends foretell the middle by the cubic through their values and slopes.
    """
    x = np.linspace(low, high, points + 1)
    f, d = sample(x)
    seen = [np.stack([x, f, d])]
    cells = np.stack([x[:-1], f[:-1], d[:-1], x[1:], f[1:], d[1:]])
    for _ in range(_DEPTH):
        middle = 0.5 * (cells[0] + cells[3])
        f, d = sample(middle)
        seen.append(np.stack([middle, f, d]))
        doubtful = _is_doubtful(cells, f, d)
        new, old = np.stack([middle, f, d])[:, doubtful], cells[:, doubtful]
        left, right = np.concatenate([old[:3], new]), np.concatenate([new, old[3:]])
        cells = np.concatenate([left, right], axis=1)
        if cells.shape[1] == 0 or cells.shape[1] > _MOST_OPEN:
            break
    x, f, d = np.concatenate(seen, axis=1)
    order = np.argsort(x, kind="stable")
    unclear = np.stack([cells[0], cells[3]], axis=1)
    return Scan(
        x[order], f[order], d[order],
        unclear=unclear[np.argsort(unclear[:, 0])],
        exhausted=cells.shape[1] > _MOST_OPEN,
    )  # fmt: skip


def _is_doubtful(cells: np.ndarray, middle: np.ndarray, slope: np.ndarray) -> np.ndarray:
    a, fa, da, b, fb, db = cells
    h = b - a
    with np.errstate(invalid="ignore", over="ignore"):
        value_error = np.abs(middle - 0.5 * (fa + fb) - h * (da - db) / 8)
        slope_error = h * np.abs(slope - 1.5 * (fb - fa) / h + 0.25 * (da + db))
        three = np.stack([fa, middle, fb])
        steepest = np.abs(np.stack([da, slope, db])).max(axis=0)
        reach = np.maximum(np.ptp(three, axis=0), 0.25 * h * steepest)
        wrong = (value_error > 0.05 * reach) | (slope_error > 0.3 * reach)
        heard = reach > 64 * np.finfo(float).eps * np.abs(three).max(axis=0)
        near_zero = np.abs(three).min(axis=0) <= 2 * reach
    # a slope that is not finite at an end says as little as a value that is not
    finite = np.isfinite(np.concatenate([three, [da, slope, db]]))
    edge = ~finite.all(axis=0) & np.isfinite(three).any(axis=0)
    return np.where(edge, True, wrong & heard & near_zero) & (
        h > 16 * np.finfo(float).eps * np.maximum(np.abs(a), np.abs(b))
    )


def stretches_of(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of every run of True."""
    padded = np.concatenate([[False], mask, [False]])
    starts = np.flatnonzero(~padded[:-1] & padded[1:])
    stops = np.flatnonzero(padded[:-1] & ~padded[1:]) - 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))
