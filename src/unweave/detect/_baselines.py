r"""Detectors that no network has to beat, but each has to be printed beside: distances to the mean
and to neighbours, principal axes, local density, isolation.

Entries that were not observed take the value of the training mean there, so that they add nothing
to what is strange.
"""

import numpy as np
from sklearn.decomposition import PCA as Axes
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from .._rows import evenly
from ._detector import Conditions, Detector, Score

# below this share of the largest spread a channel counts as constant, so that no noise of
# rounding is blown up
_LEAST = 1e-6


class _Flat:
    """Observations laid out flat `(n, size)`, gaps filled with the training mean; `normalised`
    takes each channel of each series to mean 0 and deviation 1."""

    def __init__(self, normal: np.ndarray, *, normalised: bool = False):
        self.normalised = normalised and normal.ndim > 2
        rows = np.asarray(normal, np.float64)
        seen = ~np.isnan(rows)
        count = np.maximum(seen.sum(0), 1)
        self.mean = np.where(seen, rows, 0).sum(0) / count
        self.floor = _LEAST * max(float(np.nanstd(rows)), 1e-300)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        rows = np.asarray(x, np.float64)
        rows = np.where(np.isnan(rows), self.mean, rows)
        if self.normalised:
            spread = np.maximum(rows.std(axis=1, keepdims=True), self.floor)
            rows = (rows - rows.mean(axis=1, keepdims=True)) / spread
        return rows.reshape(len(rows), -1)

    def by_time(self, squares: np.ndarray) -> np.ndarray:
        """Of `(n, size)` the mean over everything but time."""
        return squares.reshape(len(squares), len(self.mean), -1).mean(-1)


def distance_to_mean() -> Detector:
    r"""$\frac1d |x - \bar x|^2$ with $\bar x$ the mean normal observation: what any other detector
    has to beat."""

    def learn(normal: np.ndarray, conditions: Conditions, seed: int) -> Score:
        flat = _Flat(normal)
        mean = flat(normal).mean(0)

        def squares(x: np.ndarray) -> np.ndarray:
            return (flat(x) - mean) ** 2

        return _of_squares("distance to the mean", squares, flat)

    return Detector("distance to the mean", "distance", learn)


def sub_pca(components: int | float | None = None) -> Detector:
    r"""$\frac1d |x - \hat x|^2$, what the first principal axes of normal observations leave: on
    windows of a series Sub-PCA.

    `components` is how many axes there are, or the share of the variance that they explain;
    without it the number $k$ after which the variances fall most, $\arg\max_k \lambda_k /
    \lambda_{k + 1}$ up to a tenth of all (Ahn and Horenstein 2013, Econometrica 81:1203,
    equation 4). Raises `ValueError` for a number that is neither.
    """
    if components is None:
        what = "axes up to the largest gap"
    elif 0 < components < 1:
        what = f"{100 * components:g} % of variance"
    elif components >= 1 and float(components).is_integer():
        what = f"{components} axes"
    else:
        raise ValueError(
            f"{components} components are neither a number of axes nor a share of the variance; "
            "give 1 or more, or a share such as 0.9."
        )

    def learn(normal: np.ndarray, conditions: Conditions, seed: int) -> Score:
        flat = _Flat(normal)
        rows = flat(normal)
        # the randomised solver draws; the full one does not
        axes = Axes(_axes_of(rows, components), svd_solver="full").fit(rows)

        def squares(x: np.ndarray) -> np.ndarray:
            rows = flat(x)
            return (rows - axes.inverse_transform(axes.transform(rows))) ** 2

        return _of_squares(f"Sub-PCA ({what})", squares, flat)

    return Detector(f"Sub-PCA ({what})", "subspace", learn)


def neighbours(k: int = 1, *, normalised: bool = False, most: int = 5000) -> Detector:
    r"""The mean squared distance to the `k` nearest normal observations, each over the size of an
    observation (Ramaswamy et al. 2000 take the last of them).

    `normalised` takes each channel of each series to mean 0 and deviation 1 before; `most` normal
    observations are compared with, spread evenly over all. Raises `ValueError` for no neighbour.
    """
    if k < 1 or most < k:
        raise ValueError(f"k={k} of most={most} are no neighbours; give 1 <= k <= most.")
    name = f"{k} nearest neighbour{'s' if k > 1 else ''}{', z-normalised' if normalised else ''}"

    def learn(normal: np.ndarray, conditions: Conditions, seed: int) -> Score:
        flat = _Flat(normal, normalised=normalised)
        kept = thinned(flat(normal), most)
        number = min(k, len(kept))
        finder = NearestNeighbors(n_neighbors=number, algorithm="brute").fit(kept)

        def of(x: np.ndarray, conditions: Conditions) -> np.ndarray:
            return (finder.kneighbors(flat(x))[0] ** 2).mean(1) / kept.shape[1]

        def within(x: np.ndarray, conditions: Conditions) -> np.ndarray:
            rows = flat(x)
            near = finder.kneighbors(rows, return_distance=False)
            squares = np.mean([(rows - kept[near[:, i]]) ** 2 for i in range(number)], axis=0)
            return flat.by_time(squares)

        return Score(name, of, within)

    return Detector(name, "distance", learn)


def local_density(k: int = 10, *, components: int = 10, most: int = 5000) -> Detector:
    r"""The local outlier factor: how much less dense it is around an observation than around its
    `k` nearest normal ones, 1 = as dense (Breunig et al. 2000, definition 7).

    Taken in the first `components` principal axes, each scaled to the deviation of the normal
    observations along it, since in hundreds of dimensions all distances are alike. `most` is as in
    `neighbours`. Raises `ValueError` for no neighbour or axis.
    """
    if k < 1 or components < 1:
        raise ValueError(f"k={k} neighbours in {components} axes are none; give at least 1 each.")

    def learn(normal: np.ndarray, conditions: Conditions, seed: int) -> Score:
        flat = _Flat(normal)
        rows = flat(normal)
        number = min(components, rows.shape[0] - 1, rows.shape[1])
        axes = Axes(number, svd_solver="full", whiten=True).fit(rows)
        kept = thinned(axes.transform(rows), most)
        factor = LocalOutlierFactor(n_neighbors=min(k, len(kept) - 1), novelty=True).fit(kept)

        def of(x: np.ndarray, conditions: Conditions) -> np.ndarray:
            return -factor.score_samples(axes.transform(flat(x)))

        return Score("local outlier factor", of)

    return Detector("local outlier factor", "density", learn)


def isolation_forest(trees: int = 200) -> Detector:
    """How few random cuts part an observation from the others, between 0 and 1 (Liu et al. 2008,
    equation 2), by scikit-learn."""

    def learn(normal: np.ndarray, conditions: Conditions, seed: int) -> Score:
        flat = _Flat(normal)
        forest = IsolationForest(n_estimators=trees, random_state=seed).fit(flat(normal))

        def of(x: np.ndarray, conditions: Conditions) -> np.ndarray:
            return -forest.score_samples(flat(x))

        return Score("isolation forest", of)

    return Detector("isolation forest", "isolation", learn)


def thinned(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many rows, spread evenly over all."""
    return rows if len(rows) <= most else rows[evenly(len(rows), most)]


def _axes_of(rows: np.ndarray, components: int | float | None) -> int | float:
    """The number of axes, or the share of the variance, that scikit-learn is asked for."""
    if components is None:
        variances = np.linalg.svd(rows - rows.mean(0), compute_uv=False) ** 2
        most = max(1, min(rows.shape) // 10)
        # what is left beside rounding has no gaps that mean anything
        variances = np.maximum(variances, 1e-12 * max(float(variances[0]), 1e-300))
        return 1 + int(np.argmax(variances[:most] / variances[1 : most + 1]))
    return min(int(components), *rows.shape) if components >= 1 else components


def _of_squares(name: str, squares, flat: _Flat) -> Score:
    def of(x: np.ndarray, conditions: Conditions) -> np.ndarray:
        return squares(x).mean(1)

    def within(x: np.ndarray, conditions: Conditions) -> np.ndarray:
        return flat.by_time(squares(x))

    return Score(name, of, within)
