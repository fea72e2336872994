"""A variational autoencoder with a critic: of its codes, of its samples, or of both at once."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._families import AbstractCompared
from ..._latents import Latents
from ..._model import (
    Condition,
    Latent,
    Observation,
    Scalar,
)
from ..._noise import AbstractNoise
from ...data import Scale
from .._observe import network_input
from .._vae import AbstractVAE


class FeatureCritic(eqx.Module):
    """A score of an observation, of latents, or of both: `head` of what `body` makes of the
    observation, followed by the latents.

    **Arguments:** `body`, from a scaled observation to features, None for a critic of latents
    alone; `head`, from features and latents to one number.
    """

    body: Callable | None
    head: Callable

    def features(self, x: Float[Array, "..."]) -> Float[Array, " feature"]:
        """What `body` makes of `x`."""
        return jnp.zeros(0) if self.body is None else self.body(x)

    def __call__(self, shown: tuple[Any, Any]) -> Scalar:
        """The score of an observation and latents, either of which may be None."""
        x, z = shown
        seen = [] if x is None else [self.features(x)]
        return self.head(jnp.concatenate(seen + ([] if z is None else [z])))[0]


class AdversarialAutoencoder(AbstractVAE, AbstractCompared):
    r"""A VAE with a critic beside it: the adversarial autoencoder (Makhzani et al. 2016) where the
    critic judges codes, the VAE-GAN (Larsen et al. 2016) where it judges observations, and the
    bidirectional GAN (Donahue et al. 2017; Dumoulin et al. 2017) where it judges pairs of both.

    **Arguments:** those of `VAE`, and `critic`.
    """

    latents: Latents
    encoder: Callable
    decoder: Callable
    critic: FeatureCritic
    noise: AbstractNoise
    scale: Scale
    draws: int = eqx.field(static=True, default=8)

    def __check_init__(self):
        if not self.latents.are_standard:
            raise ValueError(
                "an autoencoder's latents are standard normal; make them with Latents.standard(n)."
            )

    def coordinates(self, x: Observation) -> Observation:
        """`x` scaled, 0 where nothing was observed."""
        return network_input(x, self.scale)

    def draft(self, z: Latent, condition: Condition = None) -> Observation:
        r"""$\mathbb{E}[x \mid z]$, scaled."""
        return self.noise.mean(self.decoder(z))

    def judge(self, x: tuple[Any, Any], condition: Condition = None) -> Scalar:
        """The critic's score of a scaled observation and latents, either of which may be None."""
        return self.critic(x)

    def features(self, x: Observation) -> Float[Array, " feature"]:
        """What the critic makes of `x`, in its own coordinates, before it scores it."""
        return self.critic.features(x)

    def untold(self, condition: Condition, away: Array) -> Condition:
        """The condition as it is: nothing is told."""
        return condition
