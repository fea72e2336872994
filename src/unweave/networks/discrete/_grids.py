"""Nets between an observation and a grid of vectors: convolutions without a dense layer."""

import jax

from ..._model import Key
from .._conv import Conv, ConvTranspose
from .._nets import Stack, halved


def grid_of(shape: tuple[int, ...], halvings: int) -> tuple[int, ...]:
    """The places of an observation of this shape after so many halvings of every axis."""
    if halvings < 1:
        raise ValueError(f"halvings is {halvings}; give at least 1.")
    return halved(shape, halvings)[-1]


def grid_encoder(
    shape: tuple[int, ...], dim: int, halvings: int, channels: int, *, key: Key
) -> Stack:
    """A net from an observation to `(*grid, dim)`: kernels of 4 that halve every axis, one of 3
    that looks at neighbours, one of 1."""
    dims, steps = len(shape) - 1, len(halved(shape, halvings)) - 1
    keys = jax.random.split(key, steps + 2)
    ins = (shape[-1], *(channels,) * steps)
    layers = [
        Conv(dims, ins[i], channels, kernel=4, stride=2, padding=1, key=keys[i])
        for i in range(steps)
    ]
    near = Conv(dims, ins[-1], channels, kernel=3, stride=1, padding=1, key=keys[-2])
    last = Conv(dims, channels, dim, kernel=1, stride=1, padding=0, key=keys[-1])
    return Stack((*layers, near, last))


def grid_decoder(
    shape: tuple[int, ...], dim: int, halvings: int, channels: int, *, key: Key
) -> Stack:
    """A net from `(*grid, dim)` to an observation: `grid_encoder` mirrored."""
    sizes = halved(shape, halvings)
    dims, steps = len(shape) - 1, len(sizes) - 1
    keys = jax.random.split(key, steps + 2)
    outs = (shape[-1], *(channels,) * steps)
    first = Conv(dims, dim, channels, kernel=1, stride=1, padding=0, key=keys[-1])
    near = Conv(dims, channels, outs[-1], kernel=3, stride=1, padding=1, key=keys[-2])
    layers = [
        ConvTranspose(
            dims,
            outs[i + 1],
            outs[i],
            kernel=4,
            stride=2,
            padding=1,
            # an odd size was rounded down on the way in
            output_padding=tuple(size % 2 for size in sizes[i]),
            key=keys[i],
        )
        for i in reversed(range(steps))
    ]
    return Stack((first, near, *layers))
