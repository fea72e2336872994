r"""Which few terms explain the left side: best subsets, and thresholded least squares.

All subsets of up to three terms are compared, larger ones grown from the best by adding, and
mended by exchanging, one term at a time (sequential replacement, Miller 2002, Subset Selection in
Regression, ch. 3). Beside them stand the supports of sequentially thresholded ridge least squares
over a grid of thresholds (Brunton et al. 2016). Everything is done on the normal equations.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ._forms import Rows

Support = tuple[int, ...]
_RIDGE = 1e-9
_EXHAUSTIVE = 3
_MOST_SUBSETS = 12_000
THRESHOLDS = 10.0 ** np.arange(-3.0, 0.1, 0.25)


@dataclass(frozen=True, eq=False)
class Normal:
    """The normal equations with columns scaled to length one: `gram`, `right`, the `size` of
    every column and `total`, the square of the left side's length."""

    gram: Float[np.ndarray, "term term"]
    right: Float[np.ndarray, " term"]
    size: Float[np.ndarray, " term"]
    total: float
    count: int

    def left_over(self, supports: Sequence[Support]) -> Float[np.ndarray, " support"]:
        """The sum of squares that each of several supports of one size leaves."""
        if not supports or not supports[0]:
            return np.full(len(supports), self.total)
        index = np.asarray(supports)
        gram = self.gram[index[:, :, None], index[:, None, :]] + _RIDGE * np.eye(index.shape[1])
        right = self.right[index]
        solved = np.linalg.solve(gram, right[..., None])[..., 0]
        return np.maximum(self.total - np.einsum("sk,sk->s", right, solved), 1e-15 * self.total)

    def coefficients(self, support: Support) -> Float[np.ndarray, " kept"]:
        """Least squares on a support, in the terms' own units."""
        index = list(support)
        gram = self.gram[np.ix_(index, index)] + _RIDGE * np.eye(len(index))
        return np.linalg.solve(gram, self.right[index]) / self.size[index]


def normal(rows: Rows) -> Normal:
    """The normal equations of a regression."""
    size = np.linalg.norm(rows.columns, axis=0)
    size = np.where(np.isfinite(size) & (size > 0), size, np.inf)
    columns = np.where(np.isfinite(rows.columns), rows.columns, 0.0) / size
    return Normal(
        columns.T @ columns, columns.T @ rows.left, size, float(rows.left @ rows.left),
        len(rows.left),
    )  # fmt: skip


def best_subsets(problem: Normal, *, most: int, keep: int) -> dict[Support, float]:
    """The `keep` best supports of every size up to `most`, with what they leave."""
    p = len(problem.right)
    found: dict[Support, float] = {}
    beam: list[Support] = [()]
    for k in range(1, min(most, p) + 1):
        small = k <= _EXHAUSTIVE and _choose(p, k) <= _MOST_SUBSETS
        tried = set(itertools.combinations(range(p), k)) if small else _grown(beam, p)
        ranked = _ranked(problem, tried)[: max(keep, 4)]
        if not small:
            ranked = _exchanged(problem, ranked, p)
        beam = [support for support, _ in ranked]
        found |= dict(ranked[:keep])
    return found


def _choose(p: int, k: int) -> float:
    return float(np.prod([(p - i) / (i + 1) for i in range(k)]))


def _grown(beam: Sequence[Support], p: int) -> set[Support]:
    return {tuple(sorted((*s, j))) for s in beam for j in range(p) if j not in s}


def _ranked(problem: Normal, supports: set[Support]) -> list[tuple[Support, float]]:
    listed = sorted(supports)
    left = problem.left_over(listed)
    order = np.argsort(left, kind="stable")
    return [(listed[i], float(left[i])) for i in order]


def _exchanged(
    problem: Normal, ranked: list[tuple[Support, float]], p: int
) -> list[tuple[Support, float]]:
    """The best of some supports with single terms exchanged for as long as that helps."""
    for _ in range(4):
        best = ranked[0][0]
        swapped = {
            tuple(sorted({*best, new} - {old})) for old in best for new in range(p)
            if new not in best
        }  # fmt: skip
        merged = dict(_ranked(problem, swapped)) | dict(ranked)
        again = sorted(merged.items(), key=lambda item: item[1])[: len(ranked)]
        if again[0][0] == best:
            return again
        ranked = again
    return ranked


def thresholded(problem: Normal, *, ridge: float = 1e-4) -> set[Support]:
    """The supports of sequentially thresholded ridge least squares, over all `THRESHOLDS` of a
    term's share of the left side."""
    p, found = len(problem.right), set()
    scale = np.sqrt(problem.total) + 1e-300
    for threshold in THRESHOLDS:
        kept = np.arange(p)
        for _ in range(10):
            gram = problem.gram[np.ix_(kept, kept)] + ridge * np.eye(len(kept))
            c = np.linalg.solve(gram, problem.right[kept]) if len(kept) else np.zeros(0)
            large = np.abs(c) > threshold * scale
            if large.all():
                break
            kept = kept[large]
        if len(kept):
            found.add(tuple(kept.tolist()))
    return found
