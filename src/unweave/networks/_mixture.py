r"""A Gaussian mixture in the leading principal components: the density that a network has to
beat.

$p(x) = \sum_k \pi_k \, \mathcal{N}(x; \mu + U m_k, U S_k U^\top + \sigma^2 I)$ with orthonormal
axes $U$: full covariances where the data vary, noise of one variance everywhere else. Exact,
entries that were not observed included.
"""

import warnings
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._model import (
    AbstractDensity,
    AbstractSampler,
    Condition,
    DensityKind,
    Key,
    Observation,
    Scalar,
)
from ..data import Scale
from ._axes import fill_gaps, principal_axes
from ._pca import flat_residual, low_rank_log_density, scaled_rows

# numbers of components tried where none is given
_GRID = (1, 2, 3, 4, 6, 8, 12, 16)


class GaussianMixture(AbstractSampler, AbstractDensity):
    r"""A mixture of Gaussians of low rank plus noise; see `fit_gaussian_mixture`.

    **Arguments:** `log_weights`, $\log \pi_k$ `(component,)`; `means`, $m_k$ `(component,
    axis)`; `factors`, $F_k$ with $F_k F_k^\top = S_k$ `(component, axis, axis)`; `axes`, $U$
    `(size, axis)`; `mean`, $\mu$ `(size,)`; `noise_variance`, $\sigma^2$; all in scaled units.
    """

    density_kind: ClassVar[DensityKind] = "exact"

    log_weights: Float[Array, " component"]
    means: Float[Array, "component axis"]
    factors: Float[Array, "component axis axis"]
    axes: Float[Array, "size axis"]
    mean: Float[Array, " size"]
    noise_variance: Float[Array, ""]
    scale: Scale
    shape: tuple[int, ...] = eqx.field(static=True)

    def sample(self, key: Key, condition: Condition = None) -> Observation:
        """Draws a component, a point of it in the axes, and the noise."""
        which, where, noise = jax.random.split(key, 3)
        component = jax.random.categorical(which, self.log_weights)
        e = jax.random.normal(where, self.means.shape[1:], self.mean.dtype)
        point = self.means[component] + self.factors[component] @ e
        scatter = jax.random.normal(noise, self.mean.shape, self.mean.dtype)
        x = self.mean + self.axes @ point + jnp.sqrt(self.noise_variance) * scatter
        return self.scale.undo(x.reshape(self.shape))

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        """The logarithm of the mixture's density at the observed entries, exact."""
        residual, observed = flat_residual(x, self.mean, self.scale)

        def of(mean: Array, factor: Array) -> Scalar:
            return low_rank_log_density(
                residual - jnp.where(observed, self.axes @ mean, 0.0),
                self.axes @ factor,
                self.noise_variance,
                observed=observed,
            )

        each = self.log_weights + jax.vmap(of)(self.means, self.factors)
        return jax.nn.logsumexp(each) - self.scale.log_volume(x)


def fit_gaussian_mixture(
    observations: np.ndarray,
    axes: int,
    *,
    components: int | None = None,
    scale: Scale | None = None,
    seed: int = 0,
) -> GaussianMixture:
    r"""Principal axes, then scikit-learn's mixture of full covariances in their coordinates.

    No direction of a component is given less variance than the noise.

    **Arguments:** `observations` `(n, *shape)` in the user's units, NaN = not observed: such
    entries are filled with what the principal axes expect. `axes`, how many. `components`, how
    many; without, the number with the smallest Bayesian information criterion. `scale`,
    `Scale.standard` if none is given. `seed` starts the fit.

    **Raises:** `ValueError` as `principal_axes` does, and for more components than
    observations.
    """
    n = len(observations)
    if components is not None and not 1 <= components <= n:
        raise ValueError(
            f"{components} components were asked for with {n} observations; ask for 1 to {n}."
        )
    scale = Scale.standard(observations) if scale is None else scale
    rows = scaled_rows(observations, scale)
    linear = principal_axes(rows, axes)
    coordinates = (fill_gaps(rows, linear) - linear.mean) @ linear.basis
    mixture = _fit_coordinates(coordinates, components, seed)
    noise = linear.noise_variance
    # what scikit-learn fitted includes the noise, which every direction has
    values, vectors = np.linalg.eigh(mixture.covariances_ - noise * np.eye(axes))
    factors = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
    return GaussianMixture(
        log_weights=jnp.asarray(np.log(mixture.weights_), jnp.float32),
        means=jnp.asarray(mixture.means_, jnp.float32),
        factors=jnp.asarray(factors, jnp.float32),
        axes=jnp.asarray(linear.basis, jnp.float32),
        mean=jnp.asarray(linear.mean, jnp.float32),
        noise_variance=jnp.asarray(noise, jnp.float32),
        scale=scale,
        shape=observations.shape[1:],
    )


def _fit_coordinates(coordinates: np.ndarray, components: int | None, seed: int) -> Any:
    """scikit-learn's `GaussianMixture` with the smallest Bayesian information criterion."""
    # half a second to import: only where it is needed
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture as Mixture

    n, axes = coordinates.shape
    # a full covariance needs more points than it has directions
    grid = [k for k in _GRID if k == 1 or k * (axes + 1) <= n]
    tried = []
    for count in grid if components is None else [components]:
        with warnings.catch_warnings():
            # an unfinished fit is a valid density; the criterion compares what was reached
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture = Mixture(count, n_init=3, max_iter=200, random_state=seed)
            tried.append(mixture.fit(coordinates))
    return min(tried, key=lambda mixture: mixture.bic(coordinates))
