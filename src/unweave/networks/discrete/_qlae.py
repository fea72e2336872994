r"""The autoencoder with quantised latents: each takes one of a few values of its own."""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..._families import AbstractQuantiser
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
from .._start import Skip, start_pair
from ._choices import choice_latents, middle, whole


class QLAE(AbstractQuantiser, AbstractDensity):
    r"""A quantised-latent autoencoder (Hsu, Dorrell, Whittington, Wu and Finn 2023).

    Latent $j$ takes one of its own `values` $v_{j1}, \dots, v_{jV}$: the one that is nearest to
    what the encoder gives. All latents share the few values that there are with the decoder in
    every combination, and strong weight decay leaves them no room to mean something else in each;
    that is what makes them interpretable (section 3).

    As a latent, value $k$ of $V$ is the interval from $k$ to $k + 1$, and encoding gives $k +
    1/2$. Training moves the values, so their order may come to differ from that of their size;
    `in_order` sorts them.

    **Arguments:** `encoder`, from a scaled observation to a number for each latent; `decoder`,
    from one value for each to the natural parameter of `noise`; `values` `(latent, value)`.
    """

    density_kind: ClassVar[DensityKind] = "bound"
    shared: ClassVar[bool] = False

    latents: Latents
    encoder: Callable
    decoder: Callable
    noise: AbstractNoise
    scale: Scale
    values: Float[Array, "place value"]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each latent has."""
        return (self.values.shape[1],) * self.latents.size

    def in_order(self) -> "QLAE":
        """The same model with each latent's values from low to high."""
        return eqx.tree_at(lambda model: model.values, self, jnp.sort(self.values, axis=1))

    def code(self, x: Observation, condition: Condition = None) -> Float[Array, "place 1"]:
        """The encoder's number for each latent."""
        return self.encoder(network_input(x, self.scale))[:, None]

    def nearest(self, code: Float[Array, "place 1"]) -> Int[Array, " place"]:
        """The value that is nearest, of each latent."""
        return jnp.argmin(jnp.abs(jnp.broadcast_to(code, self.values.shape) - self.values), axis=1)

    def entries(self, which: Int[Array, " place"]) -> Float[Array, "place 1"]:
        """The values themselves."""
        return self.values[jnp.arange(len(which)), which][:, None]

    def choices(self, x: Observation, condition: Condition = None) -> Int[Array, " place"]:
        """The value that each latent takes."""
        return self.nearest(self.code(x))

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """The middle of the interval of each latent's value; there is no chance in it."""
        return middle(self.choices(x))

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """The observation of the values that `z` stands for."""
        values = self.entries(whole(z, self.sizes))
        return emit(self.decoder(values[:, 0]), self.noise, self.scale, key)

    def log_likelihood_of(self, x: Observation, code: Float[Array, "place 1"]) -> Scalar:
        r"""$\log p(x \mid \text{code})$ in nats."""
        return observation_log_likelihood(x, self.decoder(code[:, 0]), self.noise, self.scale)

    def log_likelihood(self, x: Observation, z: Latent, condition: Condition = None) -> Scalar:
        r"""$\log p(x \mid z)$ in nats."""
        return self.log_likelihood_of(x, self.entries(whole(z, self.sizes)))

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""$\log p(x \mid v) - n \log V \le \log p(x)$ at the values of `x`, all of which are
        equally likely before: the evidence bound of a posterior that is sure."""
        likelihood = self.log_likelihood_of(x, self.entries(self.choices(x)))
        return likelihood - len(self.values) * jnp.log(float(self.values.shape[1]))


def start_qlae(
    data: Dataset,
    latents: int,
    *,
    values: int = 10,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
    key: Key,
) -> QLAE:
    """A model whose values are spread evenly over $[-1/2, 1/2]$, or
    over two standard deviations to either side where the nets start as principal axes."""
    pair = start_pair(
        data, latents, moments=1, widths=widths, convolutional=convolutional, noise=noise,
        key=key,
    )  # fmt: skip
    reach = 2.0 if isinstance(pair.encoder, Skip) else 0.5
    row = jnp.linspace(-reach, reach, values)
    names = [f"z{i + 1}" for i in range(latents)]
    return QLAE(choice_latents(names, (values,) * latents), *pair, jnp.tile(row, (latents, 1)))
