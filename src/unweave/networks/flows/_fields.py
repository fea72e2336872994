r"""Velocity fields $v(y, t)$ of flat scaled observations."""

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
from .._mlp import MLP

_FREQUENCIES = 16


class VectorField(eqx.Module):
    """A multilayer perceptron of the coordinates and the time, `net` from `size + 1` numbers to
    `size`: for observations without an order to use."""

    net: MLP

    def __call__(self, y: Latent, t: Scalar) -> Latent:
        """The velocity at one point and time."""
        return self.net(jnp.concatenate([y, t[None].astype(y.dtype)]))


class ChannelBlock(eqx.Module):
    """One round of a `ChannelField`: the channels look at each other, then each at itself.

    `time` gives shift, scale and gate of both parts; the gates start at zero (Peebles and Xie
    2023, section 3.2), and with them the block as the identity. `query_key_value` and `back` are
    those of the attention over channels (Vaswani et al. 2017), None for a single channel.
    """

    time: MLP
    query_key_value: MLP | None
    back: MLP | None
    own: MLP
    heads: int = eqx.field(static=True)

    def __init__(self, width: int, channels: int, *, heads: int = 4, key: Key):
        keys = jax.random.split(key, 4)
        self.time = MLP(width, 6 * width, (), zero_last=True, key=keys[0])
        several = channels > 1
        self.query_key_value = MLP(width, 3 * width, (), key=keys[1]) if several else None
        self.back = MLP(width, width, (), key=keys[2]) if several else None
        self.own = MLP(width, width, (2 * width,), activation=jax.nn.gelu, key=keys[3])
        self.heads = heads if width % heads == 0 else 1

    def __call__(
        self, tokens: Float[Array, "channel width"], now: Float[Array, " width"]
    ) -> Float[Array, "channel width"]:
        """The tokens after one round, `now` being the embedded time."""
        parts = jnp.split(self.time(jax.nn.silu(now)), 6)
        shift, scale, gate, own_shift, own_scale, own_gate = (part[None] for part in parts)
        if self.query_key_value is not None and self.back is not None:
            seen = (1 + scale) * _normalised(tokens) + shift
            mixed = _attention(jax.vmap(self.query_key_value)(seen), self.heads)
            tokens = tokens + gate * jax.vmap(self.back)(mixed)
        seen = (1 + own_scale) * _normalised(tokens) + own_shift
        return tokens + own_gate * jax.vmap(self.own)(seen)


class ChannelNet(eqx.Module):
    """A small transformer over channels, for courses `(channel, time)`: each token is a channel's
    whole course through one linear layer that all share, plus what is learned of the channel;
    `blocks` mix them, and a linear layer, zero at the start, leads back."""

    enter: MLP
    leave: MLP
    channels: Float[Array, "channel width"]
    blocks: tuple[ChannelBlock, ...]

    def __init__(self, shape: tuple[int, int], width: int, depth: int, *, key: Key):
        time, channel = shape
        keys = jax.random.split(key, 4)
        self.enter = MLP(time, width, (), key=keys[0])
        self.leave = MLP(width, time, (), zero_last=True, key=keys[1])
        self.channels = 0.02 * jax.random.normal(keys[2], (channel, width))
        self.blocks = tuple(
            ChannelBlock(width, channel, key=k) for k in jax.random.split(keys[3], depth)
        )

    def __call__(
        self, courses: Float[Array, "channel time"], now: Float[Array, " width"]
    ) -> Float[Array, "channel time"]:
        """What the blocks make of the courses, `now` being the embedded time."""
        tokens = jax.vmap(self.enter)(courses) + self.channels
        for block in self.blocks:
            tokens = block(tokens, now)
        return jax.vmap(self.leave)(_normalised(tokens))


class ChannelField(eqx.Module):
    r"""The transformer `net` over the channels of a series `(time, channel)` as a field.

    Beside it stands $\frac{2t - 1}{t^2 + (1 - t)^2} y$, the best field where the data are white
    noise: the net has to learn only what is not. `clock` embeds the time.
    """

    net: ChannelNet
    clock: MLP
    shape: tuple[int, int] = eqx.field(static=True)

    def __init__(self, shape: tuple[int, int], width: int, depth: int, *, key: Key):
        net_key, clock_key = jax.random.split(key)
        self.net = ChannelNet(shape, width, depth, key=net_key)
        self.clock = MLP(2 * _FREQUENCIES, width, (width,), activation=jax.nn.silu, key=clock_key)
        self.shape = shape

    def __call__(self, y: Latent, t: Scalar) -> Latent:
        """The velocity at one point and time."""
        t = t.astype(y.dtype)
        courses = y.reshape(self.shape).T
        moved = self.net(courses, self.clock(_waves(t)))
        alone = (2 * t - 1) / (t**2 + (1 - t) ** 2)
        return (alone * courses + moved).T.reshape(-1)


def _waves(t: Scalar) -> Float[Array, " wave"]:
    """The time as sines and cosines of a period from 4 to 1/8, in even ratios."""
    rates = 0.5 * math.pi * 2 ** jnp.linspace(0.0, 5.0, _FREQUENCIES, dtype=t.dtype)
    return jnp.concatenate([jnp.sin(rates * t), jnp.cos(rates * t)])


def _normalised(tokens: Float[Array, "channel width"]) -> Float[Array, "channel width"]:
    """Each token with mean 0 and variance 1 (Ba et al. 2016)."""
    centred = tokens - tokens.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


def _attention(
    query_key_value: Float[Array, "channel three_widths"], heads: int
) -> Float[Array, "channel width"]:
    """Every channel's mean of all values, weighted by how well query and key agree."""
    parts = jnp.split(query_key_value, 3, axis=-1)
    query, key, value = (part.reshape(len(part), heads, -1) for part in parts)
    agree = jnp.einsum("chw,dhw->hcd", query, key) / math.sqrt(query.shape[-1])
    return jnp.einsum("hcd,dhw->chw", jax.nn.softmax(agree), value).reshape(len(value), -1)
