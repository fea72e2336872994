"""Normalisation within one observation, so that a field stays a field of one state."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# groups of channels where the number of channels allows
_GROUPS = 4
# a map of features that is constant has no variance to divide by
_EPSILON = 1e-5


class GroupNorm(eqx.Module):
    r"""$y_c = \gamma_c\, (x_c - \mu_g) / \sqrt{\sigma_g^2 + \epsilon} + \beta_c$, with mean and
    variance over all places and the channels of the group $g$ of $c$ (Wu and He 2018, equations
    1 and 2). Nothing is taken over a batch: the answer to one observation is its own.

    **Arguments:** `channels`, in 4 groups, or 2 or 1 where 4 does not divide them.
    """

    gain: Float[Array, " channel"]
    shift: Float[Array, " channel"]
    groups: int = eqx.field(static=True)

    def __init__(self, channels: int):
        self.gain = jnp.asarray(np.ones(channels, np.float32))
        self.shift = jnp.asarray(np.zeros(channels, np.float32))
        self.groups = math.gcd(channels, _GROUPS)

    def __call__(self, x: Float[Array, "*size channel"]) -> Float[Array, "*size channel"]:
        """The same map of features, normalised."""
        grouped = x.reshape(-1, self.groups, x.shape[-1] // self.groups)
        centred = grouped - grouped.mean((0, 2), keepdims=True)
        variance = (centred**2).mean((0, 2), keepdims=True)
        y = (centred * jax.lax.rsqrt(variance + _EPSILON)).reshape(x.shape)
        return y * jnp.broadcast_to(self.gain, y.shape) + jnp.broadcast_to(self.shift, y.shape)
