r"""What a flow makes of an observation that has gaps.

A flow knows the density of a whole observation, so what was not observed has to be integrated
out. A Gaussian $q$ fitted to the training data proposes it:

$$\log p(x_o) = \log q(x_o) + \log \mathbb{E}_{q(x_m \mid x_o)} \frac{p(x_o, x_m)}{q(x_o, x_m)}$$

which is importance sampling (Kahn and Marshall 1953) with $q(x_o)$, known exactly, taken out.
"""

from collections.abc import Callable

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._latents import Latents
from ..._model import (
    Key,
    Latent,
    Observation,
    Scalar,
)
from ...data import Scale
from .._axes import Axes, principal_axes
from .._pca import PCA, scaled_rows
from .._real import real

# as a part of the scaled variance: a proposal must be wider than what it stands for
_LEAST_NOISE = 1e-3
_MOST_AXES = 64


def fit_reference(observations: np.ndarray, scale: Scale) -> PCA:
    """The Gaussian of some observations `(n, *shape)`: of full covariance where there are few
    numbers in each, of low rank and noise where there are many."""
    rows = scaled_rows(observations, scale)
    axes = reference_axes(rows)
    if axes is None:
        mean, loadings = np.nanmean(rows, axis=0), np.zeros((rows.shape[1], 1))
        noise = float(np.nanmean((rows - mean) ** 2))
    else:
        mean, loadings, noise = axes.mean, axes.loadings, axes.noise_variance
    return PCA(
        latents=Latents.standard(loadings.shape[1]),
        loadings=jnp.asarray(loadings, jnp.float32),
        mean=jnp.asarray(mean, jnp.float32),
        noise_variance=jnp.asarray(max(noise, _LEAST_NOISE), jnp.float32),
        scale=scale,
        shape=observations.shape[1:],
    )


def reference_axes(rows: np.ndarray) -> Axes | None:
    """As many principal axes of `rows` `(n, size)` as there are, at most 64; None where there are
    none."""
    count = min(*rows.shape, _MOST_AXES + 1) - 1
    return principal_axes(rows, count) if count > 0 else None


def fill(reference: PCA, x: Observation, key: Key | None) -> Observation:
    """`x` with what the reference expects in its gaps, or with a key a draw given the rest."""
    reference = _held(reference)
    latent_key, noise_key = (None, None) if key is None else jax.random.split(key)
    expected = reference.decode(reference.encode(x, key=latent_key), key=noise_key)
    return jnp.where(jnp.isnan(x), expected, x)


def flat_coordinates(reference: PCA, scale: Scale, x: Observation, key: Key | None) -> Latent:
    """`x` scaled and laid out flat, its gaps filled in by the reference, with a key by a draw."""
    return scale.apply(fill(reference, real(x), key)).reshape(-1)


def log_density_with_gaps(
    density: Callable[[Observation], Scalar],
    reference: PCA,
    x: Observation,
    draws: int,
    key: Key,
) -> Scalar:
    """The log-density of the observed entries of `x` from that of whole observations: estimated
    from `draws` draws where there is a gap, and 0 where there is nothing else."""
    reference, missing = _held(reference), jnp.isnan(x)
    whole = ~missing.any()
    # asked of all that are mapped over, so that whole observations never pay for the draws
    count = jnp.where(eqxi.unvmap_any(missing), draws, 1)

    def weight(key: Key) -> Scalar:
        full = fill(reference, x, key)
        return density(full) - jnp.where(whole, 0.0, reference.log_density(full))

    def one(_: None, here: tuple[Array, Key]) -> tuple[None, Scalar]:
        i, key = here
        none = jnp.asarray(-jnp.inf, x.dtype)
        return None, jax.lax.cond(i < count, weight, lambda key: none, key)

    # one after the other, so that the density is compiled once
    _, weights = jax.lax.scan(
        jax.checkpoint(one, prevent_cse=False),
        None,
        (jnp.arange(draws), jax.random.split(key, draws)),
    )
    average = jax.nn.logsumexp(weights) - jnp.log(count.astype(x.dtype))
    observed = jnp.where(whole, 0.0, reference.log_density(x))
    return jnp.where(missing.all(), 0.0, observed + average)


def _held(reference: PCA) -> PCA:
    """The reference as a constant: training leaves it as it was fitted."""
    return jax.tree.map(lambda a: jax.lax.stop_gradient(a) if eqx.is_array(a) else a, reference)
