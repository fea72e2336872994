r"""The dictionary between an equation's parameters and a network's latents on the same data.

Both describe the same observations. How well each parameter is known from each latent alone, and
from all of them, says which latent carries it; the reverse says what of a latent the equation does
not have. A fitted parameter is itself known only up to its error, so that no prediction of it can
be better than its reliability: that is the ceiling.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from .._rows import evenly
from ._progress import shown

# widths of the kernel as inverse squares of standard scores, and penalties, that are tried
_GAMMAS = (0.03, 0.3, 2.0)
_PENALTIES = 10.0 ** np.arange(-5.0, 2.0)
#: What predicts: its name beside every number.
ESTIMATOR = "Gaussian kernel ridge, width and penalty by leave-one-out"
# of more observations as many at even steps are used: a fit takes the cube of their number
_MOST = 1200
# so many latents, permuted, say what unrelated ones reach
_OF_NULL = 3
# a parameter that halves of the same observation agree on less than so is not known from them
_LEAST_RELIABLE = 0.3


@dataclass(frozen=True, eq=False)
class Dictionary:
    r"""Held-out $R^2$ between parameters and latents, `n` observations, cross-validated.

    `alone` `(latent, parameter)` of each parameter by each latent, `together` `(parameter,)` by all
    latents; `back_alone` `(latent, parameter)` of each latent by each parameter, `back` `(latent,)`
    by all that are used. `ceiling` `(parameter,)` is the reliability of the fitted parameter (NaN
    where no halves were given), `directions` `(parameter,)` those of the combinations of used
    parameters, the best known first. `used` tells which parameters the data determine: the others
    are left out of `back` and `carriers`. `null` is what one of twenty unrelated pairs exceeds.
    """

    parameters: tuple[str, ...]
    latents: tuple[str, ...]
    alone: np.ndarray
    together: np.ndarray
    back_alone: np.ndarray
    back: np.ndarray
    ceiling: np.ndarray
    directions: np.ndarray
    used: np.ndarray
    null: float
    n: int
    folds: int
    seed: int
    estimator: str = ESTIMATOR

    @property
    def carriers(self) -> dict[str, tuple[str, float]]:
        """Of each parameter that is used and that some latent knows of: the latent that carries it
        best and how well."""
        found = {}
        for j, name in enumerate(self.parameters):
            i = int(self.alone[:, j].argmax())
            if self.used[j] and self.alone[i, j] > max(self.null, 0):
                found[name] = (self.latents[i], float(self.alone[i, j]))
        return found

    @property
    def sentences(self) -> list[str]:
        """What there is to say, in words."""
        said = []
        for j, name in enumerate(self.parameters):
            if not self.used[j]:
                continue
            limit = "" if np.isnan(self.ceiling[j]) else f" of at most {self.ceiling[j]:.2f}"
            carried = self.carriers.get(name)
            by = f"{carried[0]} alone {carried[1]:.2f}" if carried else "no latent alone"
            said.append(f"{name}: R² {self.together[j]:.2f}{limit} from all latents, {by}")
        left = [n for n, used in zip(self.parameters, self.used, strict=True) if not used]
        if left:
            said.append(f"left out, as the data do not determine them: {', '.join(left)}")
        return said


def dictionary(
    parameters: np.ndarray,
    latents: np.ndarray,
    *,
    names: Sequence[str] = (),
    latent_names: Sequence[str] = (),
    halves: tuple[np.ndarray, np.ndarray] | None = None,
    determined: Sequence[bool] | None = None,
    groups: np.ndarray | None = None,
    folds: int = 5,
    permutations: int = 2,
    seed: int = 0,
    quiet: bool = True,
) -> Dictionary:
    r"""The dictionary between an equation's `parameters` `(n, p)` and a network's `latents`
    `(n, k)` of the same observations.

    Each prediction is by kernel ridge regression, $R^2 = 1 - \sum (y - \hat y)^2 / \sum (y - \bar
    y)^2$ over all folds, each predicted from the others; it is negative where a prediction is worse
    than the mean. The ceiling is the reliability of a parameter: from $r$, the correlation of what
    two halves of each observation give, $2 r / (1 + r)$ for the whole (Spearman 1910; Brown 1910).

    **Arguments:** `names` of parameters and `latent_names`; `halves`, the parameters `(n, p)` that
    alternate samples of each observation give, and the others (see `alternate`); `determined`
    `(p,)`, whether the equation's own fit says that the data determine a parameter; `groups`
    `(n,)`, such as patients, of which each lies in one fold: without them rows are dealt at random
    by `seed`; with `quiet` false a bar on stderr once it takes long. A parameter is left out that
    is not determined, never moves, or whose reliability is below 0.3.

    **Raises:** `ValueError` where shapes do not fit, numbers are missing, or there are fewer than
    ten rows for each fold.
    """
    p, k = np.asarray(parameters, np.float64), np.asarray(latents, np.float64)
    _check(p, k, halves, groups, folds)
    names = tuple(names) or tuple(f"p{j + 1}" for j in range(p.shape[1]))
    latent_names = tuple(latent_names) or tuple(f"z{i + 1}" for i in range(k.shape[1]))
    if len(names) != p.shape[1] or len(latent_names) != k.shape[1]:
        raise ValueError(
            f"{len(names)} names of {p.shape[1]} parameters and {len(latent_names)} of "
            f"{k.shape[1]} latents were given; give one for each."
        )
    ceiling = np.full(p.shape[1], np.nan) if halves is None else reliability(*halves)
    used = np.ptp(p, axis=0) > 0
    if determined is not None:
        used &= np.asarray(determined, bool)
    used &= ~(ceiling < _LEAST_RELIABLE)
    rows = evenly(len(p), _MOST)
    p, k = p[rows], k[rows]
    fold = _folds(len(p), None if groups is None else np.asarray(groups)[rows], folds, seed)
    each = shown(range(k.shape[1]), "parameters from each latent", quiet=quiet)
    alone = np.stack([held_out(k[:, [i]], p, fold) for i in each])
    each = shown(range(p.shape[1]), "latents from each parameter", quiet=quiet)
    back_alone = np.stack([held_out(p[:, [j]], k, fold) for j in each], axis=1)
    rng = np.random.default_rng(seed)
    null = [
        held_out(k[rng.permutation(len(k))][:, [i]], p, fold)
        for _ in shown(range(permutations), "unrelated latents", quiet=quiet)
        for i in range(min(k.shape[1], _OF_NULL))
    ]  # fmt: skip
    nothing = np.full(k.shape[1], np.nan)
    return Dictionary(
        names, latent_names, alone, held_out(k, p, fold), back_alone,
        held_out(p[:, used], k, fold) if used.any() else nothing, ceiling,
        np.zeros(0) if halves is None or not used.any()
        else known_directions(halves[0][:, used], halves[1][:, used]),
        used, float(np.quantile(null, 0.95)) if null else np.nan, len(p), int(fold.max()) + 1, seed,
    )  # fmt: skip


def alternate(observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The observations `(n, time, ...)` with every other time not observed (NaN), and with the
    times between: two halves that share no reading."""
    first, second = (np.array(observations, np.float64) for _ in range(2))
    first[:, 1::2] = np.nan
    second[:, ::2] = np.nan
    return first, second


def reliability(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How much of each parameter's variance `(p,)` over observations is not error, for values from
    whole observations, by Spearman and Brown's formula; at least 0."""
    a, b = first - first.mean(0), second - second.mean(0)
    norm = np.sqrt((a**2).sum(0) * (b**2).sum(0))
    r = np.clip(np.where(norm > 0, (a * b).sum(0) / np.where(norm > 0, norm, 1), 0.0), 0, 1)
    return 2 * r / (1 + r)


def known_directions(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    r"""The reliabilities of the combinations of parameters that halves agree on most, and next,
    `(p,)`: the eigenvalues of $C w = \lambda T w$, $C$ the covariance of the halves with each other
    and $T$ that of their mean."""
    a, b = first - first.mean(0), second - second.mean(0)
    spread = np.sqrt(((a + b) ** 2).mean(0)) / 2
    a, b = a / np.where(spread > 0, spread, 1), b / np.where(spread > 0, spread, 1)
    shared = (a.T @ b + b.T @ a) / (2 * len(a))
    mean = (a + b) / 2
    total = mean.T @ mean / len(a) + 1e-9 * np.eye(a.shape[1])
    return np.clip(eigh(shared, total, eigvals_only=True)[::-1], 0, 1)


def held_out(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """$R^2$ of each column of `y` `(n, target)` from `x` `(n, feature)`, over folds `(n,)`."""
    guess = np.empty_like(y)
    for f in np.unique(fold):
        out = fold == f
        guess[out] = kernel_ridge(x[~out], y[~out], x[out])
    total = ((y - y.mean(0)) ** 2).sum(0)
    return np.where(total > 0, 1 - ((y - guess) ** 2).sum(0) / np.where(total > 0, total, 1), 0.0)


def kernel_ridge(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    r"""Targets `(m, target)` of `new` `(m, feature)` by kernel ridge regression fitted to `x`
    `(n, feature)` and `y` `(n, target)`, of standard scores: $k(a, b) = e^{-\gamma \|a - b\|^2}$.

    For every target $\gamma$ and the penalty are those of the least leave-one-out error, which is
    had in closed form: $(y_i - \hat y_i) / (1 - H_{ii})$.
    """
    mean, spread = x.mean(0), x.std(0)
    spread = np.where(spread > 0, spread, 1.0)
    x, new = (x - mean) / spread, (new - mean) / spread
    centre, width = y.mean(0), y.std(0)
    t = (y - centre) / np.where(width > 0, width, 1.0)
    squares, others = cdist(x, x, "sqeuclidean"), cdist(new, x, "sqeuclidean")
    best, guess = np.full(y.shape[1], np.inf), np.zeros((len(new), y.shape[1]))
    for gamma in _GAMMAS:
        values, vectors = np.linalg.eigh(np.exp(-gamma * squares))
        within, across = vectors.T @ t, np.exp(-gamma * others) @ vectors
        for penalty in _PENALTIES:
            shrink = 1 / (np.maximum(values, 0) + penalty)
            kept = 1 - ((vectors**2) * (values * shrink)).sum(1)
            weights = vectors @ (shrink[:, None] * within)
            # y - H y is the penalty times the weights
            left = penalty * weights / np.maximum(kept, 1e-12)[:, None]
            error = (left**2).mean(0)
            better = error < best
            if better.any():
                best = np.where(better, error, best)
                guess[:, better] = across @ (shrink[:, None] * within[:, better])
    return centre + width * guess


def _folds(n: int, groups: np.ndarray | None, folds: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if groups is None:
        return rng.permutation(np.arange(n) % folds)
    names, which = np.unique(groups, return_inverse=True)
    return rng.permutation(np.arange(len(names)) % min(folds, len(names)))[which.ravel()]


def _check(
    p: np.ndarray,
    k: np.ndarray,
    halves: tuple[np.ndarray, np.ndarray] | None,
    groups: np.ndarray | None,
    folds: int,
) -> None:
    if p.ndim != 2 or k.ndim != 2 or len(p) != len(k):
        raise ValueError(
            f"parameters of shape {p.shape} and latents of shape {k.shape} were given; give "
            "(n, parameter) and (n, latent) of the same n observations."
        )
    if halves is not None and not halves[0].shape == halves[1].shape == p.shape:
        raise ValueError(
            f"halves of shapes {halves[0].shape} and {halves[1].shape} were given for parameters "
            f"of shape {p.shape}; give each of them once more from either half."
        )
    every = (p, k, *(halves or ()))
    if not all(np.isfinite(part).all() for part in every):
        raise ValueError(
            "parameters or latents are missing or infinite; leave those observations out."
        )
    if folds < 2 or len(p) < 10 * folds:
        raise ValueError(f"{len(p)} observations are too few for {folds} folds; ten for each.")
    if groups is not None and (len(groups) != len(p) or len(np.unique(groups)) < 2):
        raise ValueError("give a group for every observation, and at least two groups.")
