r"""The variational autoencoder that parts what a group of observations shares from what each has
of its own."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._families import AbstractSplit
from ..._keys import split_on_host
from ..._latents import Latents, normal
from ..._many import many
from ..._model import Key
from ..._noise import AbstractNoise
from ...data import Dataset, Scale
from .._mlp import MLP, Flat
from .._nets import Stack, conv_encoder
from .._observe import network_input
from .._start import Pair, single, start_pair
from .._vae import AbstractVAE

# the log standard deviation with which the place of an object is known at the start, in standard
# deviations of places
_SURE = -3.0
# the least standard deviation of places, in rows or columns
_LEAST_SPREAD = 0.25


class ContentStyleVAE(AbstractVAE, AbstractSplit):
    r"""A variational autoencoder with latents of content and of style (Bouchacourt, Tomioka and
    Nowozin 2018): $c$, which the observations of a group share, and $s$, which each has of its own;
    both standard normal, and $x \sim p(x \mid c, s)$.

    Groups are needed for training alone: one observation is encoded to its own $q(c, s \mid x)$.

    **Arguments:** as `VAE`; `content`, how many of the latents, the first ones, are content.
    """

    latents: Latents
    encoder: Callable
    decoder: Callable
    noise: AbstractNoise
    scale: Scale
    content: int = eqx.field(static=True)
    draws: int = eqx.field(static=True, default=8)

    def __check_init__(self):
        if not 0 < self.content < self.latents.size:
            raise ValueError(
                f"{self.content} of {self.latents.size} latents are content; leave at least one "
                "to content and one to style."
            )


class CentredNet(eqx.Module):
    """A net that sees a picture with its object in the middle, wherever it was: moved, with linear
    interpolation, so that the centre of mass of the squared differences from the median is there.
    """

    net: Callable

    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, " out"]:
        """The numbers of one picture."""
        return self.net(centred(x))


def centred(x: Float[Array, "row column channel"]) -> Float[Array, "row column channel"]:
    """The picture with its centre of mass in the middle."""
    return moved(x, -whereabouts(x))


def whereabouts(x: Float[Array, "row column channel"]) -> Float[Array, " axis"]:
    """How many rows and columns the centre of mass of the squared differences from the median is
    from the middle. No gradient passes."""
    ground = jnp.median(x)
    mass = ((x - ground) ** 2).sum(-1) + 1e-12
    centre = [mass.sum(1 - axis) @ jnp.arange(x.shape[axis], dtype=x.dtype) for axis in (0, 1)]
    middle = jnp.asarray([0.5 * (size - 1) for size in x.shape[:2]], x.dtype)
    return jax.lax.stop_gradient(jnp.stack(centre) / mass.sum() - middle)


def moved(
    x: Float[Array, "row column channel"], by: Float[Array, " axis"]
) -> Float[Array, "row column channel"]:
    """The picture moved down and to the right by so many rows and columns, whole or not: linearly
    interpolated, its edges drawn out where it ended before."""
    for axis in (0, 1):
        size = x.shape[axis]
        place = jnp.arange(size, dtype=x.dtype)
        # row i of the new picture is read at i - by of the old one
        read = jnp.clip(place - by[axis], 0, size - 1)
        weights = jnp.maximum(1 - jnp.abs(read[:, None] - place[None]), 0)
        x = jnp.moveaxis(jnp.tensordot(weights, x, axes=(1, axis)), 0, axis)
    return x


class PlacedDecoder(eqx.Module):
    r"""A picture that is drawn in the middle and then moved by $m + P z$ rows and columns, so that
    its net need not learn to draw the same object anew at each place (as in Bepler et al. 2019,
    where the coordinates are moved).

    **Arguments:** the `net` that draws, `middle` $m$ `(2,)` and `place` $P$ `(2, latent)`.
    """

    net: Callable
    middle: Float[Array, " axis"]
    place: Float[Array, "axis latent"]

    def __call__(self, z: Float[Array, " latent"]) -> Float[Array, "row column channel"]:
        """The picture for one `z`."""
        return moved(self.net(z), self.middle + self.place @ z)


class PlacedEncoder(eqx.Module):
    r"""The style of a picture by a net that sees it both as it is and centred, as channels: where
    its object is, $(p - m) / d$, is added to the means of the first two latents.

    **Arguments:** the `net`; `middle` $m$ and `spread` $d$ of the places in the training data.
    """

    net: Callable
    middle: tuple[float, ...] = eqx.field(static=True)
    spread: tuple[float, ...] = eqx.field(static=True)

    def __call__(self, x: Float[Array, "row column channel"]) -> Float[Array, " twice"]:
        """Means, then log standard deviations."""
        place = whereabouts(x)
        mean, log_std = jnp.split(self.net(jnp.concatenate([x, moved(x, -place)], axis=-1)), 2)
        middle, spread = (jnp.asarray(each, x.dtype) for each in (self.middle, self.spread))
        known = (place - middle) / spread
        return jnp.concatenate([mean.at[:2].add(known), log_std.at[:2].add(_SURE)])


class SplitEncoder(eqx.Module):
    """Two nets side by side, each with means and then log standard deviations of its latents, as
    one net with all means first."""

    content: Callable
    style: Callable

    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, " twice"]:
        """Means of content and style, then their log standard deviations."""
        halves = [jnp.split(net(x), 2) for net in (self.content, self.style)]
        return jnp.concatenate([half[i] for i in (0, 1) for half in halves])


def start_content_style_vae(
    data: Dataset,
    content: int,
    style: int,
    *,
    widths: tuple[int, ...] = (256, 256),
    placed: bool = True,
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
    key: Key,
) -> ContentStyleVAE:
    """A model with the nets that suit the data.

    Of pictures, content has a net of its own that sees them centred: what a group shares is seldom
    where in the picture it is. Where they are `placed` and style has two latents or more, the
    first two begin as where the object is, and the decoder draws in the middle what it then moves
    there.
    """
    size = content + style
    pair_key, split_key = split_on_host(key, 2)
    pair = start_pair(
        data, size, widths=widths, convolutional=convolutional, noise=noise, key=pair_key
    )
    if len(data.schema.shape) == 3:
        content_key, style_key = split_on_host(split_key, 2)
        seen = Flat(MLP(data.schema.size, 2 * content, widths, key=content_key), (2 * content,))
        if placed and style > 1:
            own, decoder = _placed(pair, data, content, style, widths, style_key)
            pair = pair._replace(decoder=decoder)
        else:
            own = _style_net(pair, data.schema.shape, style, widths, style_key)
        pair = pair._replace(encoder=SplitEncoder(CentredNet(seen), own))
    names = [f"content{i + 1}" for i in range(content)] + [f"style{i + 1}" for i in range(style)]
    latents = Latents(tuple(names), ("",) * size, (normal(),) * size)
    return ContentStyleVAE(
        latents=latents,
        encoder=pair.encoder,
        decoder=pair.decoder,
        noise=pair.noise,
        scale=pair.scale,
        content=content,
    )


def _placed(
    pair: Pair, data: Dataset, content: int, style: int, widths: tuple[int, ...], key: Key
) -> tuple[PlacedEncoder, PlacedDecoder]:
    """A net of style that knows where the object is, and a decoder that moves what it draws."""
    found = many(lambda x: whereabouts(network_input(x, pair.scale)), data.observations)
    middle, spread = found.mean(0), np.maximum(found.std(0), _LEAST_SPREAD)
    *places, channels = data.schema.shape
    net = _style_net(pair, (*places, 2 * channels), style, widths, key)
    place = np.zeros((2, content + style))
    place[[0, 1], [content, content + 1]] = spread
    return (
        PlacedEncoder(net, tuple(middle.tolist()), tuple(spread.tolist())),
        PlacedDecoder(pair.decoder, single(middle), single(place)),
    )


def _style_net(
    pair: Pair, shape: tuple[int, ...], style: int, widths: tuple[int, ...], key: Key
) -> Callable:
    if isinstance(pair.encoder, Stack):
        return conv_encoder(shape, 2 * style, widths=widths, key=key)
    return Flat(MLP(math.prod(shape), 2 * style, widths, key=key), (2 * style,))
