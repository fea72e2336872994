r"""All real roots of one function on an interval, and what cannot be promised about them.

A scan brackets every change of sign and every turn towards zero; Newton's method with automatic
derivatives, held inside its bracket by bisection, does the rest. A change of sign is a root
only where the values shrink: at a pole they grow, at a jump they stay.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._multiplicity import beside, noise_at, order_at, sharpen
from ._scan import Sampler, Scan, sampler, scan, stretches_of

_EPS = float(np.finfo(np.float64).eps)
#: A touch this close to zero, beside the values around it, is worth a sentence.
_NEAR = 1e-6


@dataclass(frozen=True, eq=False)
class Roots:
    """The roots of a function on an interval, in rising order.

    **Arguments:** `x` `(root,)`; `multiplicity` `(root,)`, 1 for a crossing, 2 for a touch and
    so on, judged from how fast the function grows beside the root; `residual` `(root,)`, its
    size there. `poles` and `jumps` are places where the sign changes without a root.
    `complete` is False where the scan could not resolve the function; `notes` says where and
    why, in sentences.
    """

    x: np.ndarray
    multiplicity: np.ndarray
    residual: np.ndarray
    poles: np.ndarray
    jumps: np.ndarray
    complete: bool
    notes: tuple[str, ...]


def roots(
    function: Callable[[Array], Array], low: float | int, high: float | int, *, points: int = 4096
) -> Roots:
    r"""All real roots $f(x) = 0$ with low $\le x \le$ high.

    The scan starts with `points` equal cells and halves each one whose middle differs from what
    the values and slopes at its ends foretell. What is narrower than such a cell and leaves no
    trace at its ends and middle is not seen; a root is right to a few units in the last place,
    a multiple one as far as the function's own rounding allows.

    **Arguments:** `function`, one number to one number in JAX, computed in float64; `points`,
    how many cells to begin with.

    **Raises:** `ValueError` where the interval is empty or not finite, or where the function
    does not give one float64 number.
    """
    low, high = _check(function, low, high, points)
    with jax.enable_x64(True):
        sample = sampler(function)
        seen = scan(sample, low, high, points)
        at_points, stretches = _zeros_on_the_grid(seen)
        brackets, touches, misses = _brackets(sample, seen)
        crossings, poles, jumps = _refine(sample, brackets)
        edges, bad_poles, gaps = _edges(sample, seen)
        found = np.asarray([*at_points, *touches, *crossings, *edges, *_ends(seen)], float)
        poles = _merged(np.asarray([*poles, *bad_poles], float), high - low)
        more_poles, unclear = _unclear(seen, np.concatenate([found, poles, jumps]))
        poles = np.sort(np.concatenate([poles, more_poles]))
        x, orders = _judge(function, sample, found, poles, high - low)
        return Roots(
            x=x,
            multiplicity=orders,
            residual=np.abs(sample(x)[0]),
            poles=poles,
            jumps=np.sort(np.asarray(jumps, float)),
            complete=not (unclear or stretches),
            notes=(*unclear, *stretches, *gaps, *misses, *_said_of(poles, jumps)),
        )


def _check(
    function: Callable[[Array], Array], low: float | int, high: float | int, points: int
) -> tuple[float, float]:
    low, high = float(low), float(high)
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(
            f"the interval from {low:g} to {high:g} is empty or not finite; give two numbers, "
            "the lower one first, such as -10 and 10."
        )
    if points < 8:
        raise ValueError(f"points is {points}; a scan needs at least 8 cells.")
    with jax.enable_x64(True):
        out = jax.eval_shape(function, jax.ShapeDtypeStruct((), jnp.float64))
    if not isinstance(out, jax.ShapeDtypeStruct) or out.shape or out.dtype != jnp.float64:
        raise ValueError(
            f"the function gives {out} for one float64 number; return one number computed "
            "from it in the same dtype, such as x**3 - 2*x - 5."
        )
    return low, high


def _zeros_on_the_grid(seen: Scan) -> tuple[list[float], list[str]]:
    """Points at which the function is exactly 0, and stretches on which it is 0 throughout."""
    single, stretches = [], []
    for start, stop in stretches_of(seen.value == 0):
        flat = seen.slope[start : stop + 1] == 0
        if stop - start >= 2 and flat[1:-1].all():
            a, b = seen.x[start], seen.x[stop]
            stretches.append(f"The function is zero all the way from {a:g} to {b:g}.")
        else:
            single += seen.x[start : stop + 1].tolist()
    return single, stretches


def _brackets(sample: Sampler, seen: Scan) -> tuple[np.ndarray, list[float], list[str]]:
    """Ends and values `(bracket, 4)` between which the sign changes, places where the function
    turns exactly at zero, and sentences about those where it nearly does."""
    x, f, d = seen.x, seen.value, seen.slope
    finite = np.isfinite(f) & np.isfinite(d)
    both = finite[:-1] & finite[1:]
    with np.errstate(invalid="ignore"):
        change = np.sign(f[:-1]) * np.sign(f[1:]) == -1
        same = np.sign(f[:-1]) * np.sign(f[1:]) == 1
        turn = both & same & (d[:-1] * np.sign(f[:-1]) < 0) & (d[1:] * np.sign(f[1:]) > 0)
    change &= np.isfinite(f[:-1]) & np.isfinite(f[1:])
    crossing = np.stack([x[:-1], f[:-1], x[1:], f[1:]], axis=1)
    cells = crossing[turn]
    lowest = _bisect_slope(sample, cells[:, 0], cells[:, 2], np.sign(cells[:, 1]))
    values = sample(lowest)[0]
    reach = np.abs(cells[:, [1, 3]]).max(axis=1) if len(cells) else np.zeros(0)
    heard = noise_at(sample, lowest) + 4 * _EPS * reach
    touch = np.abs(values) <= heard
    through = ~touch & (np.sign(values) * np.sign(cells[:, 1]) == -1)
    left = np.stack([cells[:, 0], cells[:, 1], lowest, values], axis=1)[through]
    right = np.stack([lowest, values, cells[:, 2], cells[:, 3]], axis=1)[through]
    # beside the values a whole cell of the first grid away, not a tiny cell away
    near = ~touch & ~through & (np.abs(values) < _NEAR * beside(seen, lowest))
    misses = [
        f"At x = {a:.10g} the function comes within {abs(b):.2g} of zero without reaching it."
        for a, b in zip(lowest[near], values[near], strict=True)
    ]
    return np.concatenate([crossing[change], left, right]), lowest[touch].tolist(), misses


def _bisect_slope(sample: Sampler, a: np.ndarray, b: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """Where the slope times `sign` turns from negative to positive."""
    for _ in range(60 if len(a) else 0):
        middle = 0.5 * (a + b)
        falling = sample(middle)[1] * sign < 0
        a, b = np.where(falling, middle, a), np.where(falling, b, middle)
    return 0.5 * (a + b)


def _refine(sample: Sampler, brackets: np.ndarray) -> tuple[list[float], list[float], list[float]]:
    """Roots, poles and jumps among the brackets: Newton inside, every other step a halving."""
    a, fa, b, fb = brackets.T.copy()
    first = np.maximum(np.abs(fa), np.abs(fb))
    best, best_f = np.where(np.abs(fa) < np.abs(fb), [a, fa], [b, fb])
    slope = sample(best)[1]
    for turn in range(110 if len(a) else 0):
        with np.errstate(all="ignore"):
            newton = best - best_f / slope
        middle = 0.5 * (a + b)
        inside = (newton > a) & (newton < b) & (turn % 2 == 0)
        x = np.where(inside, newton, middle)
        f, d = sample(x)
        left = np.sign(f) == np.sign(fa)
        a, fa = np.where(left, [x, f], [a, fa])
        b, fb = np.where(left, [b, fb], [x, f])
        better = np.abs(f) <= np.abs(best_f)
        best, best_f, slope = np.where(better, [x, f, d], [best, best_f, slope])
        if np.all((b - a <= 2 * _EPS * np.abs(best)) | (best_f == 0)):
            break
    with np.errstate(all="ignore"):
        last = np.fmax(np.abs(fa), np.abs(fb))
        step = np.abs(best_f / slope)
        grows = ~(last <= 2 * first) & (best_f != 0)
        shrinks = (last <= 1e-3 * first) | (best_f == 0) | (step <= 8 * _EPS * np.abs(best))
    root = shrinks & ~grows
    middle = 0.5 * (a + b)
    return best[root].tolist(), middle[grows].tolist(), middle[~root & ~grows].tolist()


def _edges(sample: Sampler, seen: Scan) -> tuple[list[float], list[float], list[str]]:
    """What happens where the function is not finite: roots at an edge, poles, gaps."""
    found, poles, notes = [], [], []
    x, last = seen.x, len(seen.x) - 1
    narrow = 1e-6 * (x[-1] - x[0])
    for start, stop in stretches_of(~np.isfinite(seen.value)):
        sides = [i for i in (start - 1, stop + 1) if 0 <= i <= last]
        if not sides:
            continue
        size = np.abs(seen.value[sides])
        around = beside(seen, x[sides])
        if x[stop] - x[start] > narrow:
            ends = [x[start], x[stop]]
            for i in sides:
                edge = _last_finite(sample, x[i], x[start] if i < start else x[stop])
                ends[0 if i < start else 1] = edge
                if (
                    np.abs(sample(np.asarray([edge]))[0][0])
                    <= _NEAR * beside(seen, x[i : i + 1])[0]
                ):
                    found.append(edge)
            notes.append(f"The function is not finite between {ends[0]:.6g} and {ends[1]:.6g}.")
        elif (size > 1e3 * around).all():
            poles.append(float(x[start]))
        elif (size <= _NEAR * around).all():
            notes.append(
                f"The function tends to zero at x = {x[start]:.10g}, where it is not finite; "
                "this is not counted as a root."
            )
    if not np.isfinite(seen.value).any():
        notes.append(f"The function is not finite anywhere between {x[0]:g} and {x[-1]:g}.")
    return found, poles, notes


def _last_finite(sample: Sampler, inside: float, outside: float) -> float:
    """The finite end, by halving, of the stretch from a finite point to one that is not."""
    for _ in range(60):
        middle = 0.5 * (inside + outside)
        if np.isfinite(sample(np.asarray([middle]))[0][0]):
            inside = middle
        else:
            outside = middle
    return float(inside)


def _ends(seen: Scan) -> list[float]:
    """Ends of the interval that are roots but for rounding, as pi is of the sine."""
    found = []
    for i in (0, -1):
        x, f, d = seen.x[i], seen.value[i], seen.slope[i]
        if f != 0 and np.isfinite(f) and abs(f) <= 4 * _EPS * abs(x * d):
            found.append(float(x))
    return found


def _unclear(seen: Scan, explained: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Of the cells that stayed unclear: poles without a change of sign, and sentences.

    A handful of the smallest cells side by side is one kink, jump or pole; more of them are an
    oscillation that was not resolved.
    """
    cells = seen.unclear
    if not len(cells):
        return np.zeros(0), []
    cuts = np.flatnonzero(cells[1:, 0] > cells[:-1, 1]) + 1
    poles, notes = [], []
    for group in np.split(cells, cuts):
        a, b = group[0, 0], group[-1, 1]
        if seen.exhausted or len(group) > 8:
            notes.append((a, b))
            continue
        near = np.abs(explained - 0.5 * (a + b)) < 1e-6 * (seen.x[-1] - seen.x[0])
        inside = np.abs(seen.value[(seen.x >= a) & (seen.x <= b) & np.isfinite(seen.value)])
        around = beside(seen, np.asarray([0.5 * (a + b)]))[0]
        if not near.any() and len(inside) and inside.max() > 1e3 * around:
            poles.append(0.5 * (a + b))
    if not notes:
        return np.asarray(poles), []
    a, b = notes[0][0], notes[-1][1]
    return np.asarray(poles), [
        f"Between {a:.6g} and {b:.6g} the function changes faster than the scan can follow; "
        "roots there may be missing. Look at a shorter interval."
    ]


def _judge(
    function: Callable[[Array], Array],
    sample: Sampler,
    found: np.ndarray,
    poles: np.ndarray,
    width: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Roots in order with their multiplicities, multiple ones sharpened, duplicates merged."""
    x = _merged(found, width)
    if not len(x):
        return x, np.zeros(0, int)
    others = np.sort(np.concatenate([x, poles, [-np.inf, np.inf]]))
    place = np.searchsorted(others, x)
    gap = np.minimum(x - others[place - 1], others[place + 1] - x)
    reach = np.minimum(0.25 * gap, 0.01 * width)
    orders = order_at(sample, x, reach)
    x = sharpen(function, x, orders, reach)
    kept = np.concatenate([[True], np.diff(x) > 1e-3 * reach[1:] * (orders[1:] > 1)])
    return x[kept], orders[kept]


def _merged(x: np.ndarray, width: float) -> np.ndarray:
    """In order, with those that differ by rounding alone as one."""
    x = np.sort(x)
    apart = np.diff(x) > 8 * _EPS * np.maximum(np.abs(x[1:]), 1e-3 * width)
    return x[np.concatenate([[True], apart])] if len(x) else x


def _said_of(poles: np.ndarray, jumps: list[float]) -> list[str]:
    """Sentences about the places where the sign changes without a root."""
    notes = []
    for kind, places in (("pole", poles), ("jump", np.sort(np.asarray(jumps, float)))):
        if len(places):
            some = ", ".join(f"{x:.6g}" for x in places[:5])
            more = f" and {len(places) - 5} more" if len(places) > 5 else ""
            notes.append(f"The function has a {kind}, not a root, at x = {some}{more}.")
    return notes
