"""Networks as terms of an equation, and their weights as one vector."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._model import Key
from .._programs import AbstractNumbered, Given
from ..networks import MLP

Module = TypeVar("Module", bound=eqx.Module)


class ScaledNet(AbstractNumbered):
    r"""A network between quantities with units, $x \mapsto s\,\mathrm{net}((x - c) / w)$.

    `centre` $c$ and `width` $w$ `(argument,)` are where the data lie, and `size` $s$ `(out,)` is
    how large the output may be expected to be: static numbers, which no optimiser moves (or
    `given`, the three of them, to a compiled program). It computes in the dtype of `x`.
    """

    net: MLP
    centre: tuple[float, ...] = eqx.field(static=True)
    width: tuple[float, ...] = eqx.field(static=True)
    size: tuple[float, ...] = eqx.field(static=True)
    given: tuple[Given, Given, Given] | None = None

    def __call__(self, x: Float[Array, " argument"]) -> Float[Array, " out"]:
        """The output at one `x`."""
        net = in_precision(self.net, x)
        parts = (self.centre, self.width, self.size)
        if self.given is not None:
            parts = tuple(part.numbers for part in self.given)
        centre, width, size = (jnp.asarray(part, x.dtype) for part in parts)
        return size * net((x - centre) / width)

    def as_arguments(self) -> "ScaledNet":
        """Itself with its numbers `Given`, for a compiled program."""
        if self.given is not None:
            return self
        given = (Given.of(self.centre), Given.of(self.width), Given.of(self.size))
        return replace(self, centre=(), width=(), size=(), given=given)


def in_precision(module: Module, like: Array) -> Module:
    """The module with its arrays in the dtype of `like`."""
    return jax.tree.map(
        lambda leaf: jnp.asarray(leaf, like.dtype) if eqx.is_inexact_array(leaf) else leaf, module
    )


def scaled_net(
    centre: np.ndarray,
    width: np.ndarray,
    size: np.ndarray,
    widths: tuple[int, ...],
    *,
    activation: Callable[[Array], Array] = jax.nn.tanh,
    key: Key,
) -> ScaledNet:
    """A `ScaledNet` with hidden layers of these `widths`; tanh is smooth, so that a method of
    order four keeps its order."""
    net = MLP(len(centre), len(size), widths, activation=activation, key=key)
    c, w, s = (tuple(map(float, part)) for part in (centre, width, size))
    return ScaledNet(net, c, w, s)


def weights_of(module: eqx.Module) -> Float[np.ndarray, " weight"]:
    """Every trainable number of a module, in float64."""
    leaves = [np.asarray(leaf, np.float64).reshape(-1) for leaf in _leaves(module)]
    return np.concatenate([np.zeros(0), *leaves])


def with_weights(module: Module, weights: Float[Array | np.ndarray, " weight"]) -> Module:
    """The module with these numbers in their places, in the dtype of `weights`."""
    arrays, rest = eqx.partition(module, eqx.is_inexact_array)
    leaves, tree = jax.tree.flatten(arrays)
    placed, start = [], 0
    for leaf in leaves:
        placed.append(weights[start : start + leaf.size].reshape(leaf.shape))
        start += leaf.size
    return eqx.combine(jax.tree.unflatten(tree, placed), rest)


def settled(module: Module, weights: np.ndarray) -> Module:
    """The module with these numbers in float32, as networks are kept."""
    return with_weights(module, jnp.asarray(weights, jnp.float32))


def weight_widths(module: eqx.Module) -> Float[np.ndarray, " weight"]:
    r"""How large each weight may be expected to be: $1/\sqrt{\text{inputs}}$ of a matrix, 1 of a
    bias, so that a layer's output is about as large as its input."""
    widths = [
        np.full(leaf.size, leaf.shape[-1] ** -0.5 if leaf.ndim > 1 else 1.0)
        for leaf in _leaves(module)
    ]
    return np.concatenate([np.zeros(0), *widths])


def _leaves(module: eqx.Module) -> list[Array]:
    return jax.tree.leaves(eqx.filter(module, eqx.is_inexact_array))
