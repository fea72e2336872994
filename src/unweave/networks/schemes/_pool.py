"""The head of a convolutional network."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._model import Key
from .._mlp import MLP
from ._norm import GroupNorm


class Pooled(eqx.Module):
    r"""Answers from a map of features: normalised, rectified, averaged over the cells of a grid,
    then one matrix, so that an answer may depend on where something is, to a cell.

    **Arguments:** `channels` of the map, `answers`, and the cells of the `grid` along each axis;
    `(1, 1)` is the mean over all places of an image.
    """

    norm: GroupNorm
    head: Callable
    grid: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, channels: int, answers: int, grid: tuple[int, ...], *, key: Key):
        self.norm = GroupNorm(channels)
        self.head = MLP(math.prod(grid) * channels, answers, (), key=key)
        self.grid = grid

    def __call__(self, x: Float[Array, "*size channel"]) -> Float[Array, " answer"]:
        """The answers for one map of features."""
        if any(cells > n for cells, n in zip(self.grid, x.shape[:-1], strict=True)):
            raise ValueError(
                f"a grid of {self.grid} cells is finer than a map of {x.shape[:-1]} places; give "
                "no more cells along an axis than it has places."
            )
        x = jax.nn.relu(self.norm(x))
        for axis, cells in enumerate(self.grid):
            means = _means(cells, x.shape[axis])
            x = jnp.moveaxis(jnp.tensordot(means, x, (1, axis)), 0, axis)
        return self.head(x.ravel())


def _means(cells: int, size: int) -> Array:
    """The matrix `(cells, size)` that averages over cells of lengths that differ by at most 1."""
    means = np.zeros((cells, size), np.float32)
    for cell, places in enumerate(np.array_split(np.arange(size), cells)):
        means[cell, places] = 1 / len(places)
    return jnp.asarray(means)
