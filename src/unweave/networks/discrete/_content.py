r"""The variational autoencoder that parts what a group of observations shares from what each has
of its own."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._families import AbstractSplit
from ..._keys import split_on_host
from ..._latents import Latents, normal
from ..._model import Key
from ..._noise import AbstractNoise
from ...data import Dataset, Scale
from .._mlp import MLP, Flat
from .._nets import Stack, conv_encoder
from .._start import start_pair
from .._vae import AbstractVAE


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
    """The picture with its centre of mass in the middle, and its median where it ended before."""
    ground = jax.lax.stop_gradient(jnp.median(x))
    mass = jax.lax.stop_gradient((x - ground) ** 2).sum(-1) + 1e-12
    moved = x - ground
    for axis in (0, 1):
        size = x.shape[axis]
        place = jnp.arange(size, dtype=x.dtype)
        shift = (mass.sum(1 - axis) @ place) / mass.sum() - 0.5 * (size - 1)
        # row i of the new picture is read at i + shift of the old one
        away = jnp.abs(place[:, None] + shift - place[None])
        weights = jnp.maximum(1 - away, 0)
        moved = jnp.moveaxis(jnp.tensordot(weights, moved, axes=(1, axis)), 0, axis)
    return moved + ground


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
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
    key: Key,
) -> ContentStyleVAE:
    """A model with the nets that suit the data.

    Of pictures, content has a net of its own that sees them centred: what a group shares is seldom
    where in the picture it is.
    """
    size = content + style
    pair_key, content_key, style_key = split_on_host(key, 3)
    pair = start_pair(
        data, size, widths=widths, convolutional=convolutional, noise=noise, key=pair_key
    )
    shape = data.schema.shape
    if len(shape) == 3:
        seen = Flat(MLP(data.schema.size, 2 * content, widths, key=content_key), (2 * content,))
        if isinstance(pair.encoder, Stack):
            own: Callable = conv_encoder(shape, 2 * style, widths=widths, key=style_key)
        else:
            own = Flat(MLP(data.schema.size, 2 * style, widths, key=style_key), (2 * style,))
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
