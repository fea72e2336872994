r"""The pair of nets that an autoencoding model begins with, chosen by the data.

A series gets a linear path with a net beside it. A net that must first discover the linear part
of the data spends its training on it, and on few data never reaches what a closed form gives at
once; so the linear path starts as the maximum-likelihood solution of probabilistic PCA, the net
beside it starts as zero, and training begins at the optimum of the linear model.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._keys import split_on_host
from .._model import Key
from .._noise import AbstractNoise, AbstractScaledNoise, Bernoulli, Gaussian
from ..data import Dataset, Scale
from ._axes import principal_axes
from ._mlp import MLP, Flat
from ._nets import conv_decoder, conv_encoder
from ._pca import scaled_rows

# images smaller than this have nothing to convolve over
_SMALLEST_CONVOLVED = 16


class Skip(eqx.Module):
    r"""$y = W x + b + \text{net}(x)$ between arrays of any shapes, raveled.

    **Arguments:** `weight` `(out, in)`, `bias` `(out,)`, `net` from `(in,)` to `(out,)`, and
    `shape`, that of the output.
    """

    weight: Float[Array, "out in"]
    bias: Float[Array, " out"]
    net: Callable
    shape: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The output for one `x`."""
        flat = jnp.ravel(x)
        return (self.weight @ flat + self.bias + self.net(flat)).reshape(self.shape)


class Pair(NamedTuple):
    """An encoder and a decoder with the noise and the scale they were made for."""

    encoder: Callable
    decoder: Callable
    noise: AbstractNoise
    scale: Scale


def start_pair(
    data: Dataset,
    latents: int,
    *,
    moments: int = 2,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
    key: Key,
) -> Pair:
    """Nets for `data`: convolutional for images, a linear path and an MLP for series.

    The encoder gives `moments` numbers for each latent: the mean, or the mean and the log
    standard deviation. Without `noise` integers in a small range (images) are Bernoulli on
    [0, 1] and everything else Gaussian, its scale learned for each channel.
    """
    schema = data.schema
    is_image = not schema.is_series
    noise = _of_pictures(data, noise)
    scale = _scale_for(data, noise)
    if convolutional is None:
        # rows of numbers have channels alone, and no place
        places = schema.shape[:-1]
        convolutional = is_image and bool(places) and min(places) >= _SMALLEST_CONVOLVED
    encoder_key, decoder_key = split_on_host(key, 2)
    if convolutional:
        encoder: Callable = conv_encoder(schema.shape, moments * latents, key=encoder_key)
        decoder: Callable = conv_decoder(schema.shape, latents, key=decoder_key)
    elif noise is None or isinstance(noise, AbstractScaledNoise):
        return _from_principal_axes(data, latents, moments, widths, noise, scale, key)
    else:
        inner = MLP(schema.size, moments * latents, widths, key=encoder_key)
        encoder = Flat(inner, (moments * latents,))
        outer = MLP(latents, schema.size, widths[::-1], key=decoder_key)
        decoder = Flat(outer, schema.shape)
    return Pair(encoder, decoder, noise or Gaussian.learned(schema.shape[-1:]), scale)


def observation_noise(data: Dataset, noise: AbstractNoise | None) -> tuple[AbstractNoise, Scale]:
    """The noise that suits `data` where none is given, and the scale that goes with it."""
    noise = _of_pictures(data, noise)
    scale = _scale_for(data, noise)
    return noise or Gaussian.learned(data.schema.shape[-1:]), scale


def _of_pictures(data: Dataset, noise: AbstractNoise | None) -> AbstractNoise | None:
    if noise is None and not data.schema.is_series and data.observations.dtype.kind in "bu":
        return Bernoulli()
    return noise


def _scale_for(data: Dataset, noise: AbstractNoise | None) -> Scale:
    if noise is None or isinstance(noise, AbstractScaledNoise):
        return Scale.standard(data.observations, data.moments)
    if isinstance(noise, Bernoulli):
        return Scale.unit(data.observations, data.moments)
    channels = data.schema.shape[-1]
    return Scale((0.0,) * channels, (1.0,) * channels)  # counts are what they are


def _from_principal_axes(
    data: Dataset,
    latents: int,
    moments: int,
    widths: tuple[int, ...],
    noise: AbstractNoise | None,
    scale: Scale,
    key: Key,
) -> Pair:
    r"""Nets that start as probabilistic PCA.

    Decoder and encoder are $W z + \mu$ and $M^{-1} W^\top (x - \mu)$ with the posterior
    covariance $\sigma^2 M^{-1}$, $M = W^\top W + \sigma^2 I$ (Tipping and Bishop 1999, eqs. 6 to
    9). The columns of $W$ are orthogonal there, so $M$ is diagonal, $q(z|x)$ is the exact
    posterior and the bound equals the exact log-likelihood.
    """
    schema, size = data.schema, data.schema.size
    linear = principal_axes(scaled_rows(data.observations, scale), latents)
    # a start without noise is a start without room to move
    variance = max(linear.noise_variance, 1e-4)
    precision = linear.strengths**2 + variance
    to_code = (linear.loadings / precision).T
    log_std = 0.5 * np.log(variance / precision)
    weight = np.concatenate([to_code] + [np.zeros_like(to_code)] * (moments - 1))
    bias = np.concatenate([-to_code @ linear.mean] + [log_std] * (moments - 1))
    encoder_key, decoder_key = split_on_host(key, 2)
    inner = MLP(size, len(bias), widths, zero_last=True, key=encoder_key)
    outer = MLP(latents, size, widths[::-1], zero_last=True, key=decoder_key)
    return Pair(
        Skip(single(weight), single(bias), inner, (len(bias),)),
        Skip(single(linear.loadings), single(linear.mean), outer, schema.shape),
        noise or Gaussian.learned(schema.shape[-1:], start=math.sqrt(variance)),
        scale,
    )


def single(array: np.ndarray) -> Array:
    """The numbers in float32, as networks are kept."""
    return jnp.asarray(array, jnp.float32)
