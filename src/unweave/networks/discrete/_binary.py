r"""The variational autoencoder with binary latents."""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..._families import AbstractBits, bernoulli_kl
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
from ...data import Dataset, Scale
from .._observe import emit, network_input, observation_log_likelihood
from .._start import start_pair
from ._choices import choice_latents, middle, whole

# up to as many bits every combination of them is decoded, and no draw is needed
_FEW = 6


class BinaryVAE(AbstractBits, AbstractDensity):
    r"""A variational autoencoder whose latents are bits, $b_i \sim \text{Bernoulli}(1/2)$, with
    independent $q(b_i = 1 \mid x) = \sigma(l_i(x))$.

    As a latent, a bit is uniform on $(0, 2)$: below 1 it is 0, above it is 1, and encoding gives
    $1/2$ or $3/2$. The nets read it as $-1$ or $1$.

    **Arguments:** `encoder`, from a scaled observation to the log odds $l$; `decoder`, from a
    number in $[-1, 1]$ for each bit to the natural parameter of `noise`; `draws`, how many estimate
    the bound in `log_density` where there are more than six bits.
    """

    density_kind: ClassVar[DensityKind] = "bound"
    shared: ClassVar[bool] = False

    latents: Latents
    encoder: Callable
    decoder: Callable
    noise: AbstractNoise
    scale: Scale
    draws: int = eqx.field(static=True, default=8)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Two values for each bit."""
        return (2,) * self.latents.size

    def logits(self, x: Observation, condition: Condition = None) -> Float[Array, " bit"]:
        r"""The log odds of $q(b_i = 1 \mid x)$, within what float32 resolves."""
        return jnp.clip(self.encoder(network_input(x, self.scale)), -15.0, 15.0)

    def choices(self, x: Observation, condition: Condition = None) -> Int[Array, " bit"]:
        """The more likely value of each bit."""
        return (self.logits(x) > 0).astype(jnp.int32)

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        r"""The more likely value of each bit, or with a key a draw from $q(b \mid x)$."""
        if key is None:
            return middle(self.choices(x))
        p = jax.nn.sigmoid(self.logits(x))
        return middle(jax.random.bernoulli(key, p).astype(jnp.int32))

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """The observation of the bits that `z` stands for."""
        return emit(self._eta(self._bits(z)), self.noise, self.scale, key)

    def log_likelihood_of(self, x: Observation, bits: Float[Array, " bit"]) -> Scalar:
        r"""$\log p(x \mid b)$ in nats, of bits between 0 and 1."""
        return observation_log_likelihood(x, self._eta(bits), self.noise, self.scale)

    def log_likelihood(self, x: Observation, z: Latent, condition: Condition = None) -> Scalar:
        r"""$\log p(x \mid z)$ in nats."""
        return self.log_likelihood_of(x, self._bits(z))

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""$\mathbb{E}_{q(b|x)} \log p(x \mid b) - \mathrm{KL}(q(b \mid x) \,\|\,
        \text{Bernoulli}(1/2)) \le \log p(x)$: the expectation over all combinations of up to six
        bits, by draws of more."""
        logits = self.logits(x)
        n = logits.size
        if n <= _FEW:
            every = np.array(np.meshgrid(*[[0.0, 1.0]] * n, indexing="ij")).reshape(n, -1).T
            bits = jnp.asarray(every, logits.dtype)
            weights = jnp.exp(_log_bernoulli(bits, logits))
        else:
            key = jax.random.key(0) if key is None else key
            p = jnp.broadcast_to(jax.nn.sigmoid(logits), (self.draws, n))
            bits = jax.random.bernoulli(key, p).astype(logits.dtype)
            weights = jnp.full(self.draws, 1 / self.draws, logits.dtype)
        each = jax.vmap(lambda bits: self.log_likelihood_of(x, bits))(bits)
        return (weights * each).sum() - bernoulli_kl(logits).sum()

    def _bits(self, z: Latent) -> Float[Array, " bit"]:
        return whole(z, self.sizes).astype(z.dtype)

    def _eta(self, bits: Float[Array, " bit"]) -> Observation:
        return self.decoder(2 * bits - 1)


def _log_bernoulli(bits: Float[Array, "n bit"], logits: Float[Array, " bit"]) -> Float[Array, " n"]:
    every = jnp.broadcast_to(logits, bits.shape)
    return (bits * jax.nn.log_sigmoid(every) + (1 - bits) * jax.nn.log_sigmoid(-every)).sum(1)


def start_binary_vae(
    data: Dataset,
    bits: int,
    *,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
    key: Key,
) -> BinaryVAE:
    """A model with the nets that suit the data."""
    pair = start_pair(
        data, bits, moments=1, widths=widths, convolutional=convolutional, noise=noise, key=key
    )
    return BinaryVAE(choice_latents([f"b{i + 1}" for i in range(bits)], (2,) * bits), *pair)
