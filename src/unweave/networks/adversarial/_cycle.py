"""CycleGAN: two ways between two domains of which no pair is known."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._families import AbstractTranslator
from ..._model import (
    AbstractEncoder,
    Condition,
    Key,
    Latent,
    Observation,
    Scalar,
)
from ...data import Scale
from .._conv import Conv, ConvTranspose
from .._observe import network_input


class Translator(eqx.Module):
    """A net from a domain to another, $x + f(x)$: it begins as the identity where `net` begins
    at zero.

    **Arguments:** `net`, from a scaled observation to one of the same shape; `bounded`, whether the
    result is kept within -1 and 1, as pixels are.
    """

    net: Callable
    bounded: bool = eqx.field(static=True, default=False)

    def __call__(self, x: Array) -> Array:
        """`x` as an observation of the other domain."""
        y = x + self.net(x)
        return jnp.clip(y, -1, 1) if self.bounded else y


class ConvTranslator(eqx.Module):
    """A net that gives back the shape it was given: a convolution that halves every axis, one at
    that size, and one that doubles it, with what entered beside it to the end.

    **Arguments:** `shape` of an observation; `channels` between.
    """

    down: Conv
    middle: Conv
    up: ConvTranspose
    out: Conv

    def __init__(self, shape: tuple[int, ...], channels: int, *, key: Key):
        keys = jax.random.split(key, 4)
        dims, last = len(shape) - 1, shape[-1]
        odd = tuple(side % 2 for side in shape[:-1])
        self.down = Conv(dims, last, channels, kernel=4, stride=2, padding=1, key=keys[0])
        self.middle = Conv(dims, channels, channels, kernel=3, stride=1, padding=1, key=keys[1])
        self.up = ConvTranspose(
            dims, channels, channels, kernel=4, stride=2, padding=1, output_padding=odd,
            key=keys[2],
        )  # fmt: skip
        out = Conv(dims, channels + last, last, kernel=3, stride=1, padding=1, key=keys[3])
        # the identity to begin with
        self.out = eqx.tree_at(lambda c: c.weight, out, 0 * out.weight)

    def __call__(self, x: Array) -> Array:
        """What is to be added to `x`."""
        h = jax.nn.relu(self.down(x))
        h = h + jax.nn.relu(self.middle(h))
        wide = jax.nn.relu(self.up(h))
        return self.out(jnp.concatenate([wide, x], axis=-1))


class CycleGAN(AbstractTranslator, AbstractEncoder):
    """Two translators, each the other's check, with a critic for either domain (Zhu et al. 2017).

    As an encoder it gives an observation of the first domain as one of the second, laid out flat;
    under the condition 1 one of the second domain as one of the first.

    **Arguments:** `forth` and `home`, the translators; `critic`, the pair of critics of the first
    and the second domain, each from a scaled observation to an array of one number; `scale`, of
    both domains; `shape` of an observation; `names` of the domains.
    """

    forth: Callable
    home: Callable
    critic: tuple[Callable, Callable]
    scale: Scale
    shape: tuple[int, ...] = eqx.field(static=True)
    names: tuple[str, str] = eqx.field(static=True, default=("A", "B"))

    def coordinates(self, x: Observation) -> Observation:
        """`x` scaled, 0 where nothing was observed."""
        return network_input(x, self.scale)

    def there(self, a: Observation) -> Observation:
        """An observation of the first domain as one of the second, both scaled."""
        return self.forth(a)

    def back(self, b: Observation) -> Observation:
        """An observation of the second domain as one of the first, both scaled."""
        return self.home(b)

    def judge(self, x: tuple[Any, Any], condition: Condition = None) -> Scalar:
        """The sum of both critics' scores, of an observation of each domain."""
        return self.critic[0](x[0])[0] + self.critic[1](x[1])[0]

    def translate(self, x: Observation, condition: Condition = None) -> Observation:
        """`x` as an observation of the other domain, in the user's units; `condition` is the index
        of its own, 0 if none."""
        scaled = self.coordinates(x)
        if condition is None:
            return self.scale.undo(self.there(scaled))
        own = jnp.broadcast_to(jnp.asarray(condition) == 0, self.shape)
        return self.scale.undo(jnp.where(own, self.there(scaled), self.back(scaled)))

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """`translate`, laid out flat."""
        return self.translate(x, condition).reshape(int(np.prod(self.shape)))
