"""A variational autoencoder with a critic: of its codes, of its samples, or of both at once."""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._families import AbstractCompared
from ..._latents import Latents
from ..._model import (
    AbstractDensity,
    Condition,
    DensityKind,
    Key,
    Latent,
    Observation,
    Scalar,
)
from ..._noise import AbstractNoise
from ...data import Scale
from .._observe import bounded, emit, evidence_bound, network_input, observation_log_likelihood


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


class AdversarialAutoencoder(AbstractCompared, AbstractDensity):
    r"""A VAE with a critic beside it: the adversarial autoencoder (Makhzani et al. 2016) where the
    critic judges codes, the VAE-GAN (Larsen et al. 2016) where it judges observations, and the
    bidirectional GAN (Donahue et al. 2017; Dumoulin et al. 2017) where it judges pairs of both.

    **Arguments:** those of `VAE`, and `critic`.
    """

    density_kind: ClassVar[DensityKind] = "bound"

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

    def posterior(self, x: Observation, condition: Condition = None) -> tuple[Latent, Latent]:
        r"""Mean and log standard deviation of $q(z \mid x)$."""
        mean, log_std = jnp.split(self.encoder(network_input(x, self.scale)), 2)
        return mean, bounded(log_std)

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        r"""The mean of $q(z \mid x)$, or with a key a draw from it."""
        mean, log_std = self.posterior(x, condition)
        if key is None:
            return mean
        return mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape, mean.dtype)

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        r"""$\mathbb{E}[x \mid z]$, or with a key a draw from $p(x \mid z)$."""
        return emit(self.decoder(z), self.noise, self.scale, key)

    def log_likelihood(self, x: Observation, z: Latent, condition: Condition = None) -> Scalar:
        r"""$\log p(x \mid z)$ in nats."""
        return observation_log_likelihood(x, self.decoder(z), self.noise, self.scale)

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""The evidence lower bound on $\log p(x)$ (Kingma and Welling 2014, equation 3)."""
        return evidence_bound(self, x, condition, draws=self.draws, key=key)
