r"""The vector-quantised autoencoder: at every place of a grid one of a few vectors."""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..._families import AbstractCodebook
from ..._keys import split_on_host
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
from .._mlp import MLP, Flat
from .._observe import emit, network_input, observation_log_likelihood
from .._start import observation_noise
from ._choices import choice_latents
from ._grids import grid_decoder, grid_encoder, grid_of

# training observations on which the prior is counted: float32 resolves that many intervals
_MOST_COUNTED = 2**16


class VQVAE(AbstractCodebook, AbstractDensity):
    r"""A vector-quantised autoencoder (van den Oord, Vinyals and Kavukcuoglu 2017).

    The encoder gives a vector $e_i$ at each place $i$, of which the nearest entry of the codebook
    takes the place, $k_i = \arg\min_k \|e_i - c_k\|$ (equation 1); the decoder reads the entries.

    The prior is an independent distribution over the codes at each place, $p(k_i = k) = (n_{ik} +
    1) / (n + K)$, counted on the training data by `counted` (the paper fits an autoregressive one,
    section 3.3). The latent of a place is uniform on $(0, K)$ and read through that distribution:
    code $k$ has the interval of length $K p(k_i = k)$, and encoding gives its middle. So a step
    of a latent means the same amount of probability, and sampling draws codes as often as the data
    had them at that place. Before `counted` all codes are equally likely and code $k$ stands at $k
    + 1/2$.

    **Arguments:** `encoder`, from a scaled observation to `(*grid, dim)`; `decoder`, from that to
    the natural parameter of `noise`; `codebook` `(code, dim)`; `counts` `(place, code)`; `grid`,
    the places' shape.
    """

    density_kind: ClassVar[DensityKind] = "bound"
    shared: ClassVar[bool] = True

    latents: Latents
    encoder: Callable
    decoder: Callable
    noise: AbstractNoise
    scale: Scale
    codebook: Float[Array, "code dim"]
    counts: Int[Array, "place code"]
    grid: tuple[int, ...] = eqx.field(static=True)

    def __check_init__(self):
        places, codes = int(np.prod(self.grid)), len(self.codebook)
        if (self.latents.size, *self.counts.shape) != (places, places, codes):
            raise ValueError(
                f"{self.latents.size} latents and counts of shape {self.counts.shape} do not fit "
                f"a grid of {places} places and {codes} codes; give one latent for each place."
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """The size of the codebook, for each place."""
        return (len(self.codebook),) * self.latents.size

    def code(self, x: Observation, condition: Condition = None) -> Float[Array, "place dim"]:
        """The encoder's vector at each place."""
        return self.encoder(network_input(x, self.scale)).reshape(self.latents.size, -1)

    def nearest(self, code: Float[Array, "place dim"]) -> Int[Array, " place"]:
        r"""$\arg\min_k \|e_i - c_k\|^2$, the square written out so that it is a product."""
        # the square of the vector itself is the same for every entry
        lengths = jnp.broadcast_to((self.codebook**2).sum(1), (len(code), len(self.codebook)))
        return jnp.argmin(lengths - 2 * code @ self.codebook.T, axis=1)

    def entries(self, which: Int[Array, " place"]) -> Float[Array, "place dim"]:
        """The entries of the codebook."""
        return self.codebook[which]

    def choices(self, x: Observation, condition: Condition = None) -> Int[Array, " place"]:
        """The code at each place."""
        return self.nearest(self.code(x))

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """The middle of the interval of each place's code; there is no chance in it."""
        which = self.choices(x)
        upper = jnp.cumsum(self.counts + 1, axis=1)
        at = jnp.arange(len(which))
        width = (self.counts + 1)[at, which]
        middle = upper[at, which].astype(jnp.float32) - 0.5 * width.astype(jnp.float32)
        return middle * (len(self.codebook) / upper[:, -1].astype(jnp.float32))

    def read(self, z: Latent) -> Int[Array, " place"]:
        """The code that each latent stands for."""
        upper = jnp.cumsum(self.counts + 1, axis=1)
        share = z / len(self.codebook) * upper[:, -1].astype(jnp.float32)
        return (upper[:, :-1].astype(jnp.float32) <= share[:, None]).sum(1)

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """The observation of the codes that `z` stands for."""
        eta = self._eta(self.entries(self.read(z)))
        return emit(eta, self.noise, self.scale, key)

    def log_likelihood_of(self, x: Observation, code: Float[Array, "place dim"]) -> Scalar:
        r"""$\log p(x \mid \text{code})$ in nats."""
        return observation_log_likelihood(x, self._eta(code), self.noise, self.scale)

    def log_likelihood(self, x: Observation, z: Latent, condition: Condition = None) -> Scalar:
        r"""$\log p(x \mid z)$ in nats."""
        return self.log_likelihood_of(x, self.entries(self.read(z)))

    def log_prior(self, which: Int[Array, " place"]) -> Scalar:
        r"""$\sum_i \log p(k_i)$ in nats."""
        chosen = (self.counts + 1)[jnp.arange(len(which)), which].astype(jnp.float32)
        return jnp.log(chosen / (self.counts + 1).sum(1).astype(jnp.float32)).sum()

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""$\log p(x \mid k) + \log p(k) \le \log p(x)$ at the codes of `x`: the evidence bound
        of a posterior that is sure (van den Oord et al. 2017, section 3.3)."""
        which = self.choices(x)
        return self.log_likelihood_of(x, self.entries(which)) + self.log_prior(which)

    def with_codebook(self, codebook: Float[Array, "code dim"]) -> "VQVAE":
        """The model with this codebook instead."""
        return eqx.tree_at(lambda model: model.codebook, self, codebook)

    def counted(self, observations: Observation) -> "VQVAE":
        """The model whose prior is that of the codes of `observations` `(n, ...)`."""
        step = max(1, len(observations) // _MOST_COUNTED)
        which = jax.lax.map(self.choices, observations[::step], batch_size=256)
        counts = jax.nn.one_hot(which, len(self.codebook), dtype=jnp.int32).sum(0)
        return eqx.tree_at(lambda model: model.counts, self, counts)

    def _eta(self, code: Float[Array, "place dim"]) -> Observation:
        return self.decoder(code.reshape(*self.grid, -1))


def start_vqvae(
    data: Dataset,
    *,
    codes: int = 64,
    width: int = 16,
    places: int | None = None,
    halvings: int = 2,
    channels: int = 64,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
    key: Key,
) -> VQVAE:
    """A model whose codebook the first step of training will fill.

    Observations with at least 16 samples along every axis are convolved to a grid, each axis
    halved as often as `halvings` says; all others are raveled and get `places` codes in a row.
    """
    if convolutional is None:
        convolutional = places is None and min(data.schema.shape[:-1], default=0) >= 16
    if convolutional and places is not None:
        raise ValueError(
            f"{places} places were asked for, but a convolution's grid follows from its halvings; "
            "leave places out, or ask for no convolution."
        )
    noise, scale = observation_noise(data, noise)
    encoder_key, decoder_key, code_key = split_on_host(key, 3)
    shape = data.schema.shape
    if convolutional:
        encoder: Callable = grid_encoder(shape, width, halvings, channels, key=encoder_key)
        decoder: Callable = grid_decoder(shape, width, halvings, channels, key=decoder_key)
        grid = grid_of(shape, halvings)
    else:
        grid = (16 if places is None else places,)
        size = grid[0] * width
        encoder = Flat(MLP(data.schema.size, size, widths, key=encoder_key), (*grid, width))
        decoder = Flat(MLP(size, data.schema.size, widths[::-1], key=decoder_key), shape)
    count = int(np.prod(grid))
    return VQVAE(
        latents=choice_latents(_names(grid), (codes,) * count),
        encoder=encoder,
        decoder=decoder,
        noise=noise,
        scale=scale,
        codebook=jax.random.normal(code_key, (codes, width)),
        counts=jnp.zeros((count, codes), jnp.int32),
        grid=grid,
    )


def _names(grid: tuple[int, ...]) -> list[str]:
    """One for each place: `k3`, or `k3,5` on a grid with rows."""
    return ["k" + ",".join(str(i + 1) for i in place) for place in np.ndindex(*grid)]
