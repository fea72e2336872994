r"""Neural fields: networks read as the rates of change of their input, $\dot x = f(t, x)$."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._model import Key
from .._conv import Conv
from .._mlp import MLP
from ._norm import GroupNorm


class MLPField(eqx.Module):
    r"""$f(t, x) = \mathrm{MLP}(x)$, or $\mathrm{MLP}(x, t)$ where time is told.

    **Arguments:** `size` of the state, `widths` of the hidden layers.
    """

    net: MLP
    timed: bool = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        widths: tuple[int, ...],
        *,
        timed: bool = False,
        activation: Callable[[Array], Array] = jax.nn.tanh,
        key: Key,
    ):
        self.net = MLP(size + timed, size, widths, activation=activation, key=key)
        self.timed = timed

    def __call__(self, t: Float[Array, ""], x: Float[Array, " state"]) -> Float[Array, " state"]:
        """The rates at `x`."""
        if self.timed:
            x = jnp.concatenate([x, jnp.asarray(t, x.dtype)[None]])
        return self.net(x)


class ConvField(eqx.Module):
    r"""$f(x) = W_2 * a(N_2(W_1 * a(N_1(x))))$ on feature maps `(row, column, channel)` or
    `(time, channel)`, both convolutions of kernel 3 as matrix products, so that a solve on a CPU
    runs them at full speed. The block of a residual network with the activation first (He et al.
    2016b), its batch normalisation replaced by a `GroupNorm` $N$: a field must not depend on the
    batch, and without any normalisation the steps are too small to learn from. The activation is
    smooth, because the order of a scheme is that of a smooth field: to the same tolerance a
    rectified one takes twice as many steps or more.

    **Arguments:** `dims`, 1 or 2; `channels` of the state and `hidden` ones.
    """

    before: GroupNorm
    inner: Conv
    between: GroupNorm
    outer: Conv
    activation: Callable[[Array], Array]

    def __init__(
        self,
        dims: int,
        channels: int,
        hidden: int,
        *,
        activation: Callable[[Array], Array] = jax.nn.silu,
        key: Key,
    ):
        inner, outer = jax.random.split(key)
        self.before, self.between = GroupNorm(channels), GroupNorm(hidden)
        self.inner = Conv(dims, channels, hidden, kernel=3, stride=1, padding=1, key=inner)
        self.outer = Conv(dims, hidden, channels, kernel=3, stride=1, padding=1, key=outer)
        self.activation = activation

    def __call__(self, t: Float[Array, ""], x: Float[Array, "*state"]) -> Float[Array, "*state"]:
        """The rates at `x`."""
        hidden = self.inner(self.activation(self.before(x)))
        return self.outer(self.activation(self.between(hidden)))


class SplitField(eqx.Module):
    r"""$\dot a = f_1(t, b)$, $\dot b = f_2(t, a)$ on the two halves of the last axis: a field
    that every scheme can step, and a `Reversible` can undo."""

    first: Callable
    second: Callable

    def __call__(self, t: Float[Array, ""], x: Float[Array, "*state"]) -> Float[Array, "*state"]:
        """The rates at `x`."""
        a, b = jnp.split(x, 2, axis=-1)
        return jnp.concatenate([self.first(t, b), self.second(t, a)], axis=-1)


class Halves(NamedTuple):
    """The two halves of a split field, each on a batch."""

    first: Callable
    second: Callable

    def __call__(self, t: Float[Array, ""], x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The rates of a batch."""
        a, b = jnp.split(x, 2, axis=-1)
        return jnp.concatenate([self.first(t, b), self.second(t, a)], axis=-1)


def over_batch(field: Callable) -> Callable:
    """The field on a batch of states, a split field still split."""
    if isinstance(field, SplitField):
        return Halves(over_batch(field.first), over_batch(field.second))
    return jax.vmap(field, in_axes=(None, 0))
