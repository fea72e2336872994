r"""The maximum mean discrepancy between real and drawn observations."""

from dataclasses import dataclass

import numpy as np

from ._samples import standardised, thinned

VERSION = "mmd 1"


@dataclass(frozen=True)
class MMD:
    r"""`value` is the unbiased estimate of $\mathrm{MMD}^2$, which may be below zero; `p` how often
    a random naming of the pooled observations gives as much; `floor` the value of real against
    other real ones. The kernel has deviation `bandwidth` on entries of variance one; `n` of either
    kind were compared."""

    value: float
    p: float
    floor: float
    bandwidth: float
    n: int
    permutations: int
    seed: int
    version: str = VERSION

    def sentence(self) -> str:
        """The same in words."""
        return (
            f"MMD² {self.value:.3g} with p = {self.p:.2g}; real against real {self.floor:.3g} "
            f"({self.version}, Gaussian kernel of {self.bandwidth:.3g}, n = {self.n:,} each, "
            f"{self.permutations} permutations, seed {self.seed})"
        )


def mmd(
    real: np.ndarray,
    drawn: np.ndarray,
    *,
    others: np.ndarray | None = None,
    permutations: int = 500,
    most: int = 500,
    seed: int = 0,
) -> MMD:
    r"""$\mathrm{MMD}^2_u = \frac{1}{n(n-1)} \sum_{i \ne j} [k(x_i, x_j) + k(y_i, y_j)] -
    \frac{2}{n^2} \sum_{ij} k(x_i, y_j)$ (Gretton et al. 2012, equation 3).

    $k(x, y) = \exp(-\lVert x - y \rVert^2 / 2 s^2)$ on entries scaled by each channel's mean and
    deviation in `real`, $s$ the median distance between the pooled observations (the same, section
    8). $p = (1 + \#\{\text{permuted} \ge \text{value}\}) / (1 + \text{permutations})$; it takes
    observations for independent, and windows that overlap are not.

    **Arguments:** as `two_sample`'s; `others` set the floor, without them it is every other one of
    `real` against those between.

    **Raises:** `ValueError` where shapes differ, a number is missing, or there are too few.
    """
    x = standardised(real, drawn, others, least=4)
    n = min(len(x.real), len(x.drawn), most)
    squares = _squares(x.real, x.drawn, n)
    middle = float(np.median(squares[np.triu_indices(2 * n, 1)]))
    bandwidth = float(np.sqrt(middle)) if middle > 0 else 1.0
    kernel = np.exp(-squares / (2 * bandwidth**2))
    sign = np.repeat([1.0, -1.0], n)
    value = float(_estimate(kernel, sign[:, None])[0])
    rng = np.random.default_rng(seed)
    permuted = _estimate(kernel, rng.permuted(np.tile(sign, (permutations, 1)), axis=1).T)
    p = (1 + int((permuted >= value).sum())) / (1 + permutations)
    count = min(len(x.ground), len(x.others), n)
    same = np.exp(-_squares(x.ground, x.others, count) / (2 * bandwidth**2))
    floor = float(_estimate(same, np.repeat([1.0, -1.0], count)[:, None])[0])
    return MMD(value, p, floor, bandwidth, n, permutations, seed)


def _squares(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    """Squared distances between all of `n` of the one kind and `n` of the other."""
    rows = np.concatenate([thinned(a, n), thinned(b, n)]).reshape(2 * n, -1)
    own = (rows**2).sum(1)
    return np.maximum(own[:, None] + own[None] - 2 * rows @ rows.T, 0.0)


def _estimate(kernel: np.ndarray, signs: np.ndarray) -> np.ndarray:
    r"""The estimate of each column of `signs`, 1 for one kind and -1 for the other, `n` of each.

    With $s^\top K s = A + B - 2 C$ and $1^\top K 1 = A + B + 2 C$, where $A$ and $B$ are the sums
    within the kinds, diagonals of ones included, and $C$ the sum between them.
    """
    n, total = len(kernel) // 2, kernel.sum()
    apart = np.einsum("ij,ij->j", signs, kernel @ signs)
    within, between = (total + apart) / 2, (total - apart) / 4
    return (within - 2 * n) / (n * (n - 1)) - 2 * between / n**2
