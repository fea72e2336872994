r"""Probabilistic principal component analysis: the linear model that a VAE has to beat.

$x = W z + \mu + \epsilon$ with $z \sim \mathcal{N}(0, I)$ and $\epsilon \sim \mathcal{N}(0,
\sigma^2 I)$ (Tipping and Bishop 1999, J. R. Stat. Soc. B 61:611). Everything about it is
exact, entries that were not observed included, and nothing of the size of $x$ squared is made.
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Bool, Float

from .._latents import Latents
from .._model import (
    AbstractDecoder,
    AbstractDensity,
    AbstractEncoder,
    Condition,
    DensityKind,
    Key,
    Latent,
    Observation,
    Scalar,
)
from ..data import Scale
from ._axes import principal_axes


class PCA(AbstractDecoder, AbstractEncoder, AbstractDensity):
    r"""Probabilistic PCA of scaled observations, with all four capabilities; see `fit_pca`.

    **Arguments:** `loadings`, $W$ `(size, latent)`; `mean`, $\mu$ `(size,)`; `noise_variance`,
    $\sigma^2$, one number; all of them in scaled units, for an observation of `shape` laid out
    flat. `scale` leads to the user's units.
    """

    density_kind: ClassVar[DensityKind] = "exact"

    latents: Latents
    loadings: Float[Array, "size latent"]
    mean: Float[Array, " size"]
    noise_variance: Float[Array, ""]
    scale: Scale
    shape: tuple[int, ...] = eqx.field(static=True)

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        r"""$W z + \mu$, or with a key a draw from $\mathcal{N}(W z + \mu, \sigma^2 I)$."""
        x = self.loadings @ z + self.mean
        if key is not None:
            x = x + jnp.sqrt(self.noise_variance) * jax.random.normal(key, x.shape, x.dtype)
        return self.scale.undo(x.reshape(self.shape))

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        r"""The posterior mean $M^{-1} W^\top (x - \mu)$ with $M = W^\top W + \sigma^2 I$, or
        with a key a draw from $p(z \mid x)$, whose covariance is $\sigma^2 M^{-1}$ (equation
        6); given the observed entries."""
        residual, observed = flat_residual(x, self.mean, self.scale)
        mean, factor = low_rank_posterior(
            residual, self.loadings, self.noise_variance, observed=observed
        )
        if key is None:
            return mean
        e = jax.random.normal(key, mean.shape, mean.dtype)
        return mean + jsl.solve_triangular(factor, e, lower=True, trans=1)

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""$\log \mathcal{N}(x; \mu, W W^\top + \sigma^2 I)$, exact."""
        residual, observed = flat_residual(x, self.mean, self.scale)
        scaled = low_rank_log_density(
            residual, self.loadings, self.noise_variance, observed=observed
        )
        return scaled - self.scale.log_volume(x)


def fit_pca(observations: np.ndarray, latents: int, *, scale: Scale | None = None) -> PCA:
    r"""The maximum-likelihood probabilistic PCA of some observations (equations 7 and 8).

    **Arguments:** `observations` `(n, *shape)` in the user's units, NaN = not observed; the
    last axis is the channels. `latents`, how many. `scale`, `Scale.standard` if none is given,
    so that channels in different units count alike.

    **Raises:** `ValueError` as `principal_axes` does.
    """
    scale = Scale.standard(observations) if scale is None else scale
    axes = principal_axes(scaled_rows(observations, scale), latents)
    return PCA(
        latents=Latents.standard(latents, prefix="pc"),
        loadings=jnp.asarray(axes.loadings, jnp.float32),
        mean=jnp.asarray(axes.mean, jnp.float32),
        noise_variance=jnp.asarray(axes.noise_variance, jnp.float32),
        scale=scale,
        shape=observations.shape[1:],
    )


def scaled_rows(observations: np.ndarray, scale: Scale) -> np.ndarray:
    """Scaled observations, each laid out flat, in float64 `(n, size)`."""
    offset, spread = np.asarray(scale.offset), np.asarray(scale.spread)
    scaled = (np.asarray(observations, dtype=np.float64) - offset) / spread
    return scaled.reshape(len(scaled), -1)


def flat_residual(
    x: Observation, mean: Float[Array, " size"], scale: Scale
) -> tuple[Float[Array, " size"], Bool[Array, " size"]]:
    """The scaled, flat `x` less the mean, 0 where not observed, and where it is observed."""
    flat = scale.apply(jnp.asarray(x, mean.dtype)).reshape(-1)
    observed = ~jnp.isnan(flat)
    return jnp.where(observed, flat - mean, 0.0), observed


def low_rank_posterior(
    residual: Float[Array, " size"],
    loadings: Float[Array, "size latent"],
    noise_variance: Float[Array, ""],
    *,
    observed: Bool[Array, " size"],
) -> tuple[Latent, Float[Array, "latent latent"]]:
    r"""Mean of $p(z \mid r)$ for $r = W z + \epsilon$ on the observed entries, and the Cholesky
    factor of its precision $I + W_o^\top W_o / \sigma^2$."""
    seen = jnp.where(observed[:, None], loadings, 0.0)
    eye = jnp.eye(loadings.shape[1], dtype=loadings.dtype)
    factor = jnp.linalg.cholesky(eye + seen.T @ seen / noise_variance)
    return jsl.cho_solve((factor, True), seen.T @ residual / noise_variance), factor


def low_rank_log_density(
    residual: Float[Array, " size"],
    loadings: Float[Array, "size latent"],
    noise_variance: Float[Array, ""],
    *,
    observed: Bool[Array, " size"],
) -> Scalar:
    r"""$\log \mathcal{N}(r; 0, W W^\top + \sigma^2 I)$ over the observed entries.

    With $\hat z$ the posterior mean, the quadratic form is $|r - W \hat z|^2 / \sigma^2 +
    |\hat z|^2$, a sum of squares in which nothing cancels in float32, and the determinant is
    that of the latents' precision times $\sigma^{2 n}$ (the matrix determinant lemma).
    """
    z, factor = low_rank_posterior(residual, loadings, noise_variance, observed=observed)
    left = jnp.where(observed, residual - loadings @ z, 0.0)
    square = left @ left / noise_variance + z @ z
    count = observed.sum(dtype=residual.dtype)
    log_det = count * jnp.log(2 * jnp.pi * noise_variance)
    return -0.5 * (square + log_det) - jnp.log(jnp.diagonal(factor)).sum()
