"""The mean observation: what a model has to beat before it has said anything."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

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


class MeanObservation(AbstractDecoder, AbstractEncoder, AbstractDensity):
    r"""$x \sim \mathcal{N}(\mu, \sigma^2)$, entry by entry and without any latent; see `fit_mean`.

    **Arguments:** `mean`, $\mu$ `(*shape)`, and `deviation`, $\sigma$ `(channel,)`, one for each
    entry of the last axis, both in the user's units.
    """

    density_kind: ClassVar[DensityKind] = "exact"

    latents: Latents
    mean: Float[Array, "..."]
    deviation: Float[Array, " channel"]

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        r"""$\mu$, or with a key a draw about it."""
        if key is None:
            return self.mean
        e = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.broadcast_to(self.deviation, e.shape) * e

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """Nothing: an array of no latents."""
        return jnp.zeros(0, self.mean.dtype)

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""$\sum \log \mathcal{N}(x_i; \mu_i, \sigma_i^2)$ over the observed entries, exact."""
        x = jnp.asarray(x, self.mean.dtype)
        observed = ~jnp.isnan(x)
        deviation = jnp.broadcast_to(self.deviation, x.shape)
        score = jnp.where(observed, x - self.mean, 0) / deviation
        each = -0.5 * score**2 - jnp.log(deviation) - 0.5 * jnp.log(2 * jnp.pi)
        return jnp.where(observed, each, 0).sum()


def fit_mean(observations: np.ndarray) -> MeanObservation:
    """The mean of some observations, entry by entry, with one deviation a channel about it.

    An entry that was never observed (the later part of a course) gets its channel's mean, and
    a channel that does not vary between observations its own variation within them.

    **Arguments:** `observations` `(n, *shape)` in the user's units, NaN = not observed; the
    last axis is the channels.
    """
    x = np.asarray(observations, np.float64)
    inner = tuple(range(x.ndim - 1))
    seen = ~np.isnan(x)
    count = np.maximum(seen.sum(axis=inner), 1)
    channel = np.where(seen, x, 0).sum(axis=inner) / count
    often = seen.sum(axis=0)
    mean = np.where(seen, x, 0).sum(axis=0) / np.maximum(often, 1)
    mean = np.where(often > 0, mean, channel)
    about = np.sqrt(np.where(seen, (x - mean) ** 2, 0).sum(axis=inner) / count)
    within = np.sqrt(np.where(seen, (x - channel) ** 2, 0).sum(axis=inner) / count)
    deviation = np.where(about > 0, about, within)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return MeanObservation(
        latents=Latents((), (), ()),
        mean=jnp.asarray(mean, jnp.float32),
        deviation=jnp.asarray(deviation, jnp.float32),
    )
