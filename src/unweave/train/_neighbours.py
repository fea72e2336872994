"""Clusters of observations that a chain of neighbours connects: where a network can begin."""

import warnings

import numpy as np

from .._many import real
from .._rows import evenly

# observations among which neighbours are looked for; all others take the cluster of the nearest
_MOST = 10_000
# principal coordinates in which they are looked for
_AXES = 50


def neighbour_clusters(
    observations: np.ndarray, clusters: int, *, neighbours: int = 10, seed: int = 0
) -> np.ndarray:
    r"""Spectral clustering (Ng, Jordan and Weiss 2002) of the graph in which each observation is
    connected with its nearest `neighbours`: the rows of the leading eigenvectors of $D^{-1/2} A
    D^{-1/2}$, made one long, parted by k-means.

    As many eigenvectors as 1.6 times the clusters, so that a cluster of which parts hang together
    loosely does not take the place of two others.

    **Arguments:** `observations` `(n, ...)`, NaN = not observed: such entries are filled with the
    mean. **Returns:** the cluster of each, `(n,)`; -1 for all where there are too few to part.
    """
    # scikit-learn and the sparse matrices take half a second to import: only where needed
    from scipy.sparse import csr_matrix, diags
    from scipy.sparse.linalg import eigsh
    from sklearn.cluster import KMeans

    rows = _principal(observations)
    n = len(rows)
    some = evenly(n, _MOST)
    vectors = round(1.6 * clusters)
    if len(some) < max(2 * vectors, neighbours + 2, 8):
        return np.full(n, -1, np.int32)
    near = _nearest(rows[some], rows[some], neighbours + 1)
    count = len(some)
    ends = (np.repeat(np.arange(count), neighbours + 1), near.ravel())
    graph = csr_matrix((np.ones(near.size), ends), shape=(count, count))
    graph = 0.5 * (graph + graph.T)
    root = diags(np.asarray(graph.sum(1)).ravel() ** -0.5)
    start = np.random.default_rng(seed).normal(size=count)
    _, found = eigsh(root @ graph @ root, k=vectors, which="LA", v0=start)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    with warnings.catch_warnings():
        # fewer distinct rows than clusters are no reason to stop
        warnings.simplefilter("ignore")
        kmeans = KMeans(clusters, n_init=10, random_state=seed)  # pyright: ignore[reportArgumentType]
        labels = kmeans.fit_predict(found)
    if count == n:
        return labels.astype(np.int32)
    return labels[_nearest(rows, rows[some], 1)[:, 0]].astype(np.int32)


def _principal(observations: np.ndarray) -> np.ndarray:
    """The leading principal coordinates of the observations, raveled and without gaps."""
    rows = real(observations).reshape(len(observations), -1).astype(np.float32)
    seen = ~np.isnan(rows)
    total = np.where(seen, rows, 0).sum(0) / np.maximum(seen.sum(0), 1)
    rows = np.where(seen, rows, total) - total
    size = min(rows.shape)
    if size <= 2 * _AXES:
        return rows
    from scipy.sparse.linalg import svds

    start = np.random.default_rng(0).normal(size=size).astype(np.float32)
    _, _, axes = svds(rows, k=_AXES, v0=start)
    assert axes is not None  # as svds was asked for them
    return rows @ axes.T


def _nearest(rows: np.ndarray, among: np.ndarray, count: int) -> np.ndarray:
    """The `count` of `among` that are nearest to each of `rows`, in no order."""
    lengths = (among**2).sum(1)
    parts = []
    for start in range(0, len(rows), 512):
        squares = lengths - 2 * rows[start : start + 512] @ among.T
        parts.append(np.argpartition(squares, count - 1, axis=1)[:, :count])
    return np.concatenate(parts)
