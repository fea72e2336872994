r"""Coordinates in which the numbers of an observation vary alike and none follows from others.

A series' neighbours resemble each other, so almost all of its variance lies along few directions,
and what a net errs by along the others is small beside it but large beside what is there: windows
of prices came out with a noise that real ones do not have. In white coordinates every direction
counts the same.
"""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from ..._model import Latent, Scalar
from ...data import Scale
from .._axes import fill_gaps
from .._pca import scaled_rows
from .._start import single
from ._gaps import reference_axes

# a direction with less than this part of the largest variance is taken to have it: float32
# resolves a tenth of such a deviation
_LEAST_VARIANCE = 1e-8


class Whitening(eqx.Module):
    r"""$y \mapsto C^{-1/2} (y - \mu)$ of flat scaled observations with mean $\mu$ and covariance
    $C$. Of all matrices that whiten, the symmetric one stays nearest to the identity (Kessy, Lewin
    and Strimmer 2018, section 4.1): entry $i$ of the result still stands for entry $i$, so that a
    net that knows of time and channels can read it. Training leaves it as it was fitted.

    **Arguments:** `mean` $\mu$ `(size,)`; `there` $C^{-1/2}$ and `back` $C^{1/2}$ `(size, size)`;
    `volume`, $\log \det C^{-1/2}$.
    """

    mean: Float[Array, " size"]
    there: Float[Array, "size size"]
    back: Float[Array, "size size"]
    volume: Float[Array, ""]

    def apply(self, y: Latent) -> Latent:
        """The white coordinates of `y`."""
        fixed = jax.lax.stop_gradient(self)
        return fixed.there @ (y - fixed.mean)

    def undo(self, white: Latent) -> Latent:
        """The flat scaled observation with these coordinates."""
        fixed = jax.lax.stop_gradient(self)
        return fixed.mean + fixed.back @ white

    def log_volume(self) -> Scalar:
        """What the change of coordinates adds to a log-density."""
        return jax.lax.stop_gradient(self.volume)


def fit_whitening(observations: np.ndarray, scale: Scale) -> Whitening:
    """That of some observations `(n, *shape)`, at least 3; gaps are filled by what 64 principal
    axes expect."""
    rows = scaled_rows(observations, scale).astype(np.float64)
    if np.isnan(rows).any():
        expected = reference_axes(rows)
        assert expected is not None
        rows = fill_gaps(rows, expected)
    mean = rows.mean(0)
    variances, axes = np.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    largest = variances.max()
    deviations = np.sqrt(np.maximum(variances, _LEAST_VARIANCE * largest) if largest > 0 else 1.0)
    deviations = np.broadcast_to(deviations, variances.shape)
    there, back = (axes / deviations) @ axes.T, (axes * deviations) @ axes.T
    arrays = (mean, there, back, np.asarray(-np.log(deviations).sum()))
    return Whitening(*(single(a) for a in arrays))
