"""Convolutional nets for images and series of any size."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
from jaxtyping import Array, Float

from .._model import Key
from ._conv import Conv, ConvTranspose
from ._mlp import MLP, Flat

# an axis shorter than this is left to the dense layers
_SMALLEST_HALVED = 8


class Stack(eqx.Module):
    r"""Layers one after the other, $x \mapsto f_L(a(\dots a(f_1(x)) \dots))$.

    **Arguments:** `layers`, and the `activation` between each two of them.
    """

    layers: tuple[Callable, ...]
    activation: Callable[[Array], Array] = jax.nn.relu

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The output for one `x`."""
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


def conv_encoder(
    shape: tuple[int, ...],
    out_size: int,
    *,
    channels: tuple[int, ...] = (32, 32, 32, 32),
    widths: tuple[int, ...] = (256, 256),
    activation: Callable[[Array], Array] = jax.nn.relu,
    key: Key,
) -> Stack:
    """A net from an observation of this shape to `out_size` numbers.

    Convolutions of kernel 4 halve every axis while its length is at least 8, at most
    `len(channels)` times; dense layers of `widths` follow. With 64 x 64 pixels this is the
    encoder of Burgess et al. (2018).

    **Arguments:** `shape`, `(row, column, channel)` of an image or `(time, channel)` of a
    series; `channels` after each convolution.
    """
    sizes = halved(shape, len(channels))
    ins = (shape[-1], *channels)
    *keys, dense_key = jax.random.split(key, len(sizes))
    layers = [
        Conv(len(shape) - 1, *ins[i : i + 2], kernel=4, stride=2, padding=1, key=keys[i])
        for i in range(len(sizes) - 1)
    ]
    flat = math.prod(sizes[-1]) * ins[len(layers)]
    dense = MLP(flat, out_size, widths, activation=activation, key=dense_key)
    return Stack((*layers, Flat(dense, (out_size,))), activation)


def conv_decoder(
    shape: tuple[int, ...],
    in_size: int,
    *,
    channels: tuple[int, ...] = (32, 32, 32, 32),
    widths: tuple[int, ...] = (256, 256),
    activation: Callable[[Array], Array] = jax.nn.relu,
    key: Key,
) -> Stack:
    """A net from `in_size` numbers to an observation of this shape: `conv_encoder` mirrored,
    with the same arguments in the same order."""
    sizes = halved(shape, len(channels))
    outs = (shape[-1], *channels)
    *keys, dense_key = jax.random.split(key, len(sizes))
    start = (*sizes[-1], outs[len(sizes) - 1])
    dense = MLP(in_size, math.prod(start), widths[::-1], activation=activation, key=dense_key)
    layers = [
        ConvTranspose(
            len(shape) - 1,
            outs[i + 1],
            outs[i],
            kernel=4,
            stride=2,
            padding=1,
            # an odd size was rounded down on the way in
            output_padding=tuple(size % 2 for size in sizes[i]),
            key=keys[i],
        )
        for i in reversed(range(len(sizes) - 1))
    ]
    return Stack((Flat(dense, start), *layers), activation)


def halved(shape: tuple[int, ...], most: int) -> list[tuple[int, ...]]:
    """The sizes of the axes before each convolution and after the last."""
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(
            f"an observation of shape {shape} has no axis to convolve over; give "
            "(time, channel) or (row, column, channel)."
        )
    sizes = [shape[:-1]]
    while min(sizes[-1]) >= _SMALLEST_HALVED and len(sizes) <= most:
        sizes.append(tuple(size // 2 for size in sizes[-1]))
    return sizes
