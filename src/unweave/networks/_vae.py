r"""The variational autoencoder, and the autoencoder without the prior.

Kingma and Welling (2014): $z \sim \mathcal{N}(0, I)$, $x \sim p(x \mid z)$ given by a decoder
and a noise, and a Gaussian $q(z \mid x)$ given by an encoder. How either net looks, and which
objective fits them, is said elsewhere: the model is what is left.
"""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._latents import Latents
from .._model import (
    AbstractAutoencoder,
    AbstractDensity,
    AbstractPosterior,
    Condition,
    DensityKind,
    Key,
    Latent,
    Observation,
    Scalar,
)
from .._noise import AbstractNoise
from ..data import Scale
from ._observe import bounded, emit, evidence_bound, network_input, observation_log_likelihood


class AbstractVAE(AbstractPosterior, AbstractDensity):
    r"""A posterior by one net and a likelihood by another, with the evidence lower bound of both:
    what `VAE` is, and what adds something to it has in common."""

    density_kind: ClassVar[DensityKind] = "bound"

    latents: eqx.AbstractVar[Latents]
    encoder: eqx.AbstractVar[Callable]
    decoder: eqx.AbstractVar[Callable]
    noise: eqx.AbstractVar[AbstractNoise]
    scale: eqx.AbstractVar[Scale]
    draws: eqx.AbstractVar[int]

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
        r"""The evidence lower bound, $\mathbb{E}_{q(z|x)} \log p(x \mid z) -
        \mathrm{KL}(q(z \mid x) \,\|\, p(z)) \le \log p(x)$ (Kingma and Welling, eq. 3)."""
        return evidence_bound(self, x, condition, draws=self.draws, key=key)


class VAE(AbstractVAE):
    r"""A variational autoencoder.

    **Arguments:** `latents`, all standard normal; `encoder`, from a scaled observation to
    `2 * latents.size` numbers, the mean and the log standard deviation of $q(z \mid x)$;
    `decoder`, from latents to the natural parameter of `noise` at every entry; `scale`, from
    the user's units to the nets' and back; `draws`, how many samples of $z$ estimate the
    bound in `log_density`.
    """

    latents: Latents
    encoder: Callable
    decoder: Callable
    noise: AbstractNoise
    scale: Scale
    draws: int = eqx.field(static=True, default=8)

    def __check_init__(self):
        if not self.latents.are_standard:
            raise ValueError(
                "a VAE's latents are standard normal; make them with Latents.standard(n)."
            )


class Autoencoder(AbstractAutoencoder):
    r"""Two nets with a bottleneck and no prior of their own.

    Its code $c$ has whatever scale training left it with, so `latents` are the code made
    white, $c = m + L z$ with the mean $m$ and the Cholesky factor $L$ of the training codes:
    sampling is then sampling the Gaussian that fits the codes, and one step of a latent is one
    standard deviation. `whitened` sets the two.
    """

    latents: Latents
    encoder: Callable
    decoder: Callable
    noise: AbstractNoise
    scale: Scale
    code_mean: tuple[float, ...] = eqx.field(static=True)
    code_cholesky: tuple[tuple[float, ...], ...] = eqx.field(static=True)

    def code(self, x: Observation) -> Latent:
        """The code as the encoder gives it."""
        return self.encoder(network_input(x, self.scale))

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """The whitened code of `x`."""
        code = self.code(x)
        mean, cholesky = self._affine(code)
        return jax.scipy.linalg.solve_triangular(cholesky, code - mean, lower=True)

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """The observation whose whitened code is `z`."""
        mean, cholesky = self._affine(z)
        return emit(self.decoder(mean + cholesky @ z), self.noise, self.scale, key)

    def log_likelihood(self, x: Observation, z: Latent, condition: Condition = None) -> Scalar:
        r"""$\log p(x \mid z)$ in nats."""
        mean, cholesky = self._affine(z)
        return observation_log_likelihood(
            x, self.decoder(mean + cholesky @ z), self.noise, self.scale
        )

    def whitened(self, observations: Observation) -> "Autoencoder":
        """The same nets with latents made white over `observations` `(n, ...)`."""
        codes = jax.lax.map(self.code, observations, batch_size=256)
        covariance = jnp.cov(codes, rowvar=False).reshape(self.latents.size, -1)
        # a code that never varies still needs a direction to be turned in
        ridge = 1e-6 * jnp.trace(covariance) / self.latents.size + 1e-12
        cholesky = jnp.linalg.cholesky(covariance + ridge * jnp.eye(self.latents.size))
        return Autoencoder(
            self.latents,
            self.encoder,
            self.decoder,
            self.noise,
            self.scale,
            tuple(codes.mean(0).tolist()),
            tuple(tuple(row) for row in cholesky.tolist()),
        )

    def _affine(self, like: Latent) -> tuple[Latent, Float[Array, "latent latent"]]:
        return (
            jnp.asarray(self.code_mean, like.dtype),
            jnp.asarray(self.code_cholesky, like.dtype),
        )
