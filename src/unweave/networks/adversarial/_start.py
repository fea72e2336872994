"""The generator and critic that training begins with, chosen by the data."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._keys import split_on_host
from ..._latents import Latents
from ..._model import Key
from ..._noise import AbstractNoise
from ...data import Dataset, Scale
from .._axes import principal_axes
from .._given import Given
from .._mlp import MLP, Flat
from .._nets import conv_decoder, conv_encoder
from .._pca import scaled_rows
from .._start import _SMALLEST_CONVOLVED, Skip, single, start_pair
from ._autoencoder import AdversarialAutoencoder, FeatureCritic
from ._cycle import ConvTranslator, CycleGAN, Translator
from ._energy import EnergyGAN
from ._gan import GAN, Critic, critic_size
from ._info import InfoGAN, info_latents
from ._spectral import Spectral


class Bounded(eqx.Module):
    """A net whose output is kept within -1 and 1 by a hyperbolic tangent: pixels have an end."""

    net: Callable

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The output for one `x`."""
        return jnp.tanh(self.net(x))


def start_gan(
    data: Dataset,
    latents: Latents,
    *,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    spectral: bool = False,
    given: Given | None = None,
    key: Key,
) -> GAN:
    """A generator and a critic for `data`: convolutional for images, dense for all else, with the
    critic's weights normalised if `spectral`."""
    generator_key, critic_key = split_on_host(key, 2)
    scale = scale_for(data)
    generator = start_generator(
        data, scale, latents.size, widths=widths, convolutional=convolutional, given=given,
        key=generator_key,
    )  # fmt: skip
    net = start_critic(
        data, 1 + critic_size(given), widths=widths, convolutional=convolutional, key=critic_key
    )
    critic = Critic(Spectral(net) if spectral else net)
    return GAN(latents=latents, generator=generator, critic=critic, scale=scale, given=given)


def start_generator(
    data: Dataset,
    scale: Scale,
    latents: int,
    *,
    widths: tuple[int, ...],
    convolutional: bool | None,
    given: Given | None,
    key: Key,
) -> Callable:
    """A net from latents, and the code of what is told, to a scaled observation. For series it
    begins at their principal components, as an autoencoder's decoder does."""
    schema, told = data.schema, 0 if given is None else given.size
    if is_convolved(data, convolutional):
        net = conv_decoder(schema.shape, latents + told, activation=jax.nn.relu, key=key)
        return Bounded(net) if _are_pixels(data) else net
    begins_linear = schema.is_series and latents < min(schema.size, len(data.observations))
    inner = MLP(
        latents + told, schema.size, widths[::-1], activation=jax.nn.relu,
        zero_last=begins_linear, key=key,
    )  # fmt: skip
    if begins_linear:
        linear = principal_axes(scaled_rows(data.observations, scale), latents)
        weight = np.concatenate([linear.loadings, np.zeros((schema.size, told))], axis=1)
        return Skip(single(weight), single(linear.mean), inner, schema.shape)
    net = Flat(inner, schema.shape)
    return Bounded(net) if _are_pixels(data) else net


def start_critic(
    data: Dataset,
    outputs: int,
    *,
    widths: tuple[int, ...],
    convolutional: bool | None,
    key: Key,
) -> Callable:
    """A net from a scaled observation to so many numbers."""
    schema = data.schema
    if is_convolved(data, convolutional):
        return conv_encoder(schema.shape, outputs, activation=jax.nn.leaky_relu, key=key)
    inner = MLP(schema.size, outputs, widths, activation=jax.nn.leaky_relu, key=key)
    return Flat(inner, (outputs,))


def scale_for(data: Dataset) -> Scale:
    """Pixels onto -1 to 1, all else to mean 0 and deviation 1."""
    if not _are_pixels(data):
        return Scale.standard(data.observations, data.moments)
    unit = Scale.unit(data.observations, data.moments)
    half = tuple(spread / 2 for spread in unit.spread)
    return Scale(tuple(o + h for o, h in zip(unit.offset, half, strict=True)), half)


def is_convolved(data: Dataset, convolutional: bool | None) -> bool:
    """Whether the nets convolve: as asked, or else for images of at least 16 rows and columns."""
    if convolutional is not None:
        return convolutional
    sides = data.schema.shape[:-1]
    return not data.schema.is_series and math.prod(sides) > 1 and min(sides) >= _SMALLEST_CONVOLVED


def _are_pixels(data: Dataset) -> bool:
    return not data.schema.is_series and data.observations.dtype.kind in "bu"


def start_info_gan(
    data: Dataset,
    *,
    categories: int,
    codes: int,
    noise: int,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    key: Key,
) -> InfoGAN:
    """A generator, a critic and a reader for `data`."""
    generator_key, critic_key, reader_key = split_on_host(key, 3)
    scale, nets = scale_for(data), {"widths": widths, "convolutional": convolutional}
    latents = info_latents(categories, codes, noise)
    generator = start_generator(
        data, scale, categories + codes + noise, **nets, given=None, key=generator_key
    )
    critic = Critic(start_critic(data, 1, **nets, key=critic_key))
    reader = start_critic(data, categories + codes, **nets, key=reader_key)
    return InfoGAN(
        latents=latents, generator=generator, critic=critic, reader=reader, scale=scale,
        categories=categories, codes=codes,
    )  # fmt: skip


def start_energy_gan(
    data: Dataset, latents: int, *, widths: tuple[int, ...] = (256, 256), key: Key
) -> EnergyGAN:
    """A generator, an energy and a statistic for `data`, all dense. The energy's net is smooth,
    since its slope is what learns and what chains follow."""
    generator_key, critic_key, own_key = split_on_host(key, 3)
    scale = scale_for(data)
    generator = start_generator(
        data, scale, latents, widths=widths, convolutional=False, given=None, key=generator_key
    )
    critic = MLP(data.schema.size, 1, widths, activation=jax.nn.silu, key=critic_key)
    statistic = MLP(
        data.schema.size + latents, 1, widths, activation=jax.nn.leaky_relu, key=own_key
    )
    return EnergyGAN(
        latents=Latents.standard(latents), generator=generator, critic=Flat(_lively(critic), (1,)),
        statistic=statistic, scale=scale,
    )  # fmt: skip


def _lively(net: MLP) -> MLP:
    """The net with inner weights of variance 2 / inputs (He et al. 2015, equation 10). As small as
    an `MLP` has them a smooth net is all but linear, and long in telling modes apart."""
    *inner, last = net.weights
    return eqx.tree_at(lambda n: n.weights, net, (*(math.sqrt(6) * w for w in inner), last))


def start_adversarial_autoencoder(
    data: Dataset,
    latents: int,
    *,
    sees: bool,
    reads: bool,
    features: int = 64,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
    key: Key,
) -> AdversarialAutoencoder:
    """A VAE's nets with a critic beside them that sees observations, reads latents, or both."""
    own_key, body_key, head_key = split_on_host(key, 3)
    pair = start_pair(
        data, latents, widths=widths, convolutional=convolutional, noise=noise, key=own_key
    )
    body = None
    if sees:
        body = start_critic(
            data, features, widths=widths, convolutional=convolutional, key=body_key
        )
    inputs = features * sees + latents * reads
    head = MLP(inputs, 1, widths[-1:], activation=jax.nn.leaky_relu, key=head_key)
    return AdversarialAutoencoder(
        latents=Latents.standard(latents), encoder=pair.encoder, decoder=pair.decoder,
        critic=FeatureCritic(body, head), noise=pair.noise, scale=pair.scale,
    )  # fmt: skip


def start_cycle_gan(
    data: Dataset,
    *,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    key: Key,
) -> CycleGAN:
    """Two translators that begin as the identity, and two critics, for `data` of two labels."""
    keys, schema, pixels = split_on_host(key, 4), data.schema, _are_pixels(data)

    def translator(key: Key) -> Translator:
        if is_convolved(data, convolutional):
            net: Callable = ConvTranslator(schema.shape, widths[0] // 8, key=key)
        else:
            inner = MLP(
                schema.size, schema.size, widths, activation=jax.nn.relu, zero_last=True, key=key
            )
            net = Flat(inner, schema.shape)
        return Translator(net, pixels)

    critics = [
        start_critic(data, 1, widths=widths, convolutional=convolutional, key=key)
        for key in keys[2:]
    ]
    names = (str(data.label_names[0]), str(data.label_names[1]))
    return CycleGAN(
        forth=translator(keys[0]), home=translator(keys[1]), critic=(critics[0], critics[1]),
        scale=scale_for(data), shape=schema.shape, names=names,
    )  # fmt: skip
