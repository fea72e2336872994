r"""Nets $F(u, n, c)$ of a diffusion model: flat numbers of variance one, a quarter of the logarithm
of their level of noise, and the code of what is known beside them.

Each ends in zeros at the start, where $D$ is then the best denoiser of white noise.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._model import (
    Key,
    Latent,
    Scalar,
)
from .._conv import Conv, ConvTranspose
from .._mlp import MLP
from ..flows._fields import ChannelNet
from ..schemes import GroupNorm

# a quarter of the logarithm of a level goes from -1.6 to 1.1: waves of periods from 4 to 1/2
_RATES = tuple(0.5 * math.pi * 2.0**i for i in range(4))
# how many numbers tell the level
_TOLD = 1 + 2 * len(_RATES)
# an axis shorter than this is not halved once more
_SMALLEST_HALVED = 8

Code = Float[Array, " code"]
Maps = Float[Array, "*size channel"]


def _told(noise: Scalar, code: Code) -> Float[Array, " told"]:
    """The level and the code as a net takes them."""
    phases = jnp.asarray(_RATES, noise.dtype) * noise
    return jnp.concatenate([noise[None], jnp.sin(phases), jnp.cos(phases), code])


class DenseNet(eqx.Module):
    """A multilayer perceptron of all of it, for observations without an order to use."""

    net: MLP

    def __init__(self, size: int, code: int, widths: tuple[int, ...], *, key: Key):
        self.net = MLP(
            size + _TOLD + code, size, widths, activation=jax.nn.silu, zero_last=True, key=key
        )

    def __call__(self, u: Latent, noise: Scalar, code: Code) -> Latent:
        """$F$ at one point."""
        return self.net(jnp.concatenate([u, _told(noise, code)]))


class CourseNet(eqx.Module):
    """The transformer over channels of a flow's `ChannelField`, for series `(time, channel)`;
    `clock` embeds level and code."""

    net: ChannelNet
    clock: MLP
    shape: tuple[int, int] = eqx.field(static=True)

    def __init__(self, shape: tuple[int, int], code: int, width: int, depth: int, *, key: Key):
        net_key, clock_key = jax.random.split(key)
        self.net = ChannelNet(shape, width, depth, key=net_key)
        self.clock = MLP(_TOLD + code, width, (width,), activation=jax.nn.silu, key=clock_key)
        self.shape = shape

    def __call__(self, u: Latent, noise: Scalar, code: Code) -> Latent:
        """$F$ at one point."""
        return self.net(u.reshape(self.shape).T, self.clock(_told(noise, code))).T.reshape(-1)


class NoisedBlock(eqx.Module):
    r"""$x + W_2 * a(N(W_1 * a(N(x)))\,(1 + \gamma) + \beta)$ on maps of features, $\gamma$ and
    $\beta$ told by the embedded level: the residual block of Ho et al. (2020), its level told as
    Dhariwal and Nichol (2021, section 3) do. Where the channels change, the way around is a
    matrix."""

    before: GroupNorm
    inner: Conv
    between: GroupNorm
    tell: MLP
    outer: Conv
    around: Conv | None

    def __init__(self, dims: int, channels: int, out: int, width: int, *, key: Key):
        inner, tell, outer, around = jax.random.split(key, 4)
        self.before, self.between = GroupNorm(channels), GroupNorm(out)
        self.inner = _same(dims, channels, out, 3, inner)
        self.outer = _from_zero(_same(dims, out, out, 3, outer))
        self.tell = MLP(width, 2 * out, (), zero_last=True, key=tell)
        self.around = None if channels == out else _same(dims, channels, out, 1, around)

    def __call__(self, x: Maps, now: Float[Array, " width"]) -> Float[Array, "*size out"]:
        """The maps after the block."""
        h = self.between(self.inner(jax.nn.silu(self.before(x))))
        more, shift = (jnp.broadcast_to(part, h.shape) for part in jnp.split(self.tell(now), 2))
        h = self.outer(jax.nn.silu(h * (1 + more) + shift))
        return h + (x if self.around is None else self.around(x))


class UNet(eqx.Module):
    """A small convolutional net that goes down to a coarse map and up again, with bridges between
    maps of one size (Ronneberger et al. 2015; Ho et al. 2020, appendix B, without attention), for
    images `(row, column, channel)`.

    **Arguments:** `channels` of the maps from fine to coarse; an axis of fewer than 8 places is
    not halved.
    """

    clock: MLP
    enter: Conv
    down: tuple[tuple[NoisedBlock, Conv | None], ...]
    middle: NoisedBlock
    up: tuple[tuple[ConvTranspose | None, NoisedBlock], ...]
    norm: GroupNorm
    leave: Conv
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, shape: tuple[int, ...], code: int, channels: tuple[int, ...], *, key: Key):
        if len(shape) < 2 or min(shape) < 1 or not channels:
            raise ValueError(
                f"a net for images was asked for observations of shape {shape} with maps of "
                f"{channels} channels; give (row, column, channel) and at least one width."
            )
        dims, width = len(shape) - 1, 4 * channels[0]
        keys = iter(jax.random.split(key, 4 * len(channels) + 4))
        self.clock = MLP(_TOLD + code, width, (width,), activation=jax.nn.silu, key=next(keys))
        self.enter = _same(dims, shape[-1], channels[0], 3, next(keys))
        sizes, down, up = [shape[:-1]], [], []
        for here, there in zip(channels, (*channels[1:], 0), strict=True):
            halved = there and min(sizes[-1]) >= _SMALLEST_HALVED
            block = NoisedBlock(dims, here, here, width, key=next(keys))
            lower = Conv(dims, here, there, key=next(keys)) if halved else None
            raised = NoisedBlock(dims, 2 * here, here, width, key=next(keys))
            back = _doubled(dims, there, here, sizes[-1], next(keys)) if halved else None
            down, up = [*down, (block, lower)], [(back, raised), *up]
            if not halved:
                break
            sizes.append(tuple(size // 2 for size in sizes[-1]))
        deepest = channels[len(down) - 1]
        self.middle = NoisedBlock(dims, deepest, deepest, width, key=next(keys))
        self.down, self.up = tuple(down), tuple(up)
        self.norm = GroupNorm(channels[0])
        self.leave = _from_zero(_same(dims, channels[0], shape[-1], 3, next(keys)))
        self.shape = shape

    def __call__(self, u: Latent, noise: Scalar, code: Code) -> Latent:
        """$F$ at one point."""
        now = jax.nn.silu(self.clock(_told(noise, code)))
        x, bridges = self.enter(u.reshape(self.shape)), []
        for block, lower in self.down:
            x = block(x, now)
            bridges.append(x)
            x = x if lower is None else lower(x)
        x = self.middle(x, now)
        for back, block in self.up:
            x = x if back is None else back(x)
            x = block(jnp.concatenate([x, bridges.pop()], axis=-1), now)
        return self.leave(jax.nn.silu(self.norm(x))).reshape(-1)


def _same(dims: int, channels: int, out: int, kernel: int, key: Key) -> Conv:
    """A convolution that keeps the size of its maps."""
    return Conv(dims, channels, out, kernel=kernel, stride=1, padding=kernel // 2, key=key)


def _doubled(dims: int, channels: int, out: int, size: tuple[int, ...], key: Key) -> ConvTranspose:
    """A transposed convolution back to maps of this size."""
    odd = tuple(n % 2 for n in size)  # an odd size was rounded down on the way in
    return ConvTranspose(dims, channels, out, output_padding=odd, key=key)


def _from_zero(conv: Conv) -> Conv:
    zeros = (jnp.zeros_like(conv.weight), jnp.zeros_like(conv.bias))
    return eqx.tree_at(lambda c: (c.weight, c.bias), conv, zeros)
