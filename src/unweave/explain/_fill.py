"""What takes the place of entries that are hidden from a model, and which are hidden together."""

import abc
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from .._model import AbstractDecoder, AbstractEncoder, Condition, Key, Observation, require
from ..evaluate import observed_mean


class AbstractFill(eqx.Module):
    """What stands in the place of what is hidden."""

    @abc.abstractmethod
    def __call__(
        self, x: Observation, hidden: Bool[Array, "..."], condition: Condition, key: Key
    ) -> Observation:
        """One input with something else where it is `hidden`, and as it is elsewhere."""


class Value(AbstractFill):
    """A neutral value, one number or one for each entry."""

    value: Array

    def __call__(
        self, x: Observation, hidden: Bool[Array, "..."], condition: Condition, key: Key
    ) -> Observation:
        """The value where it is `hidden`."""
        return jnp.where(hidden, jnp.broadcast_to(self.value.astype(x.dtype), x.shape), x)


class Noise(AbstractFill):
    r"""Draws from $\mathcal{N}(\mu_i, \sigma_i^2)$, for each entry by itself."""

    mean: Array
    spread: Array

    def __call__(
        self, x: Observation, hidden: Bool[Array, "..."], condition: Condition, key: Key
    ) -> Observation:
        """Noise where it is `hidden`."""
        noise = jax.random.normal(key, x.shape, x.dtype)
        drawn = self.mean.astype(x.dtype) + self.spread.astype(x.dtype) * noise
        return jnp.where(hidden, drawn, x)


class Rebuilt(AbstractFill):
    """What a generative model expects there, from the rest: what is hidden is not observed, the
    rest is encoded, and its code decoded (Chang et al. 2019)."""

    model: eqx.Module

    def __check_init__(self):
        require(self.model, "encoder", "decoder", tool="Rebuilt")

    def __call__(
        self, x: Observation, hidden: Bool[Array, "..."], condition: Condition, key: Key
    ) -> Observation:
        """The reconstruction where it is `hidden`."""
        assert isinstance(self.model, AbstractEncoder)
        assert isinstance(self.model, AbstractDecoder)
        z = self.model.encode(jnp.where(hidden, jnp.nan, x), condition)
        return jnp.where(hidden, self.model.decode(z, condition).astype(x.dtype), x)


def neutral(value: float | np.ndarray | Array = 0.0) -> Value:
    """One number, or one for each entry, in the place of what is hidden."""
    return Value(jnp.asarray(value, jnp.result_type(float)))


def mean_of(data: np.ndarray) -> Value:
    """The mean of each entry over `data` `(n, *input)`."""
    return neutral(_known(observed_mean(np.asarray(data, np.float64), 0)[0]))


def noise_of(data: np.ndarray) -> Noise:
    """Noise with the mean and the deviation of each entry over `data` `(n, *input)`."""
    data = np.asarray(data, np.float64)
    mean = observed_mean(data, 0)[0]
    square = observed_mean((data - mean) ** 2, 0)[0]
    kind = jnp.result_type(float)
    return Noise(jnp.asarray(_known(mean), kind), jnp.asarray(np.sqrt(_known(square)), kind))


def _known(mean: np.ndarray) -> np.ndarray:
    """The mean over all where an entry was never observed."""
    return np.where(np.isnan(mean), np.nanmean(mean), mean)


def segments(shape: tuple[int, ...], window: Sequence[int] | None = None) -> Int[np.ndarray, "..."]:
    """The number of the segment that each entry of an input belongs to, from 0.

    Segments are boxes of the sizes `window`, one for each axis, the last ones perhaps smaller.
    Without it: of a series a sixteenth of its length in each channel, of an image a seventh along
    each axis with all channels, of anything else every entry by itself.
    """
    sizes = window_for(shape, window)
    numbers, count = np.zeros(shape, int), 1
    for axis, (n, size) in enumerate(zip(shape, sizes, strict=True)):
        place = np.arange(n) // size
        numbers = numbers * (place[-1] + 1) + place.reshape(-1, *(1,) * (len(shape) - axis - 1))
        count *= place[-1] + 1
    return numbers


def window_for(shape: tuple[int, ...], window: Sequence[int] | None) -> tuple[int, ...]:
    """A window's sizes, those of `segments` where None.

    Raises `ValueError` for sizes that fit no input of this shape.
    """
    if window is None:
        if len(shape) == 3:
            return (-(-shape[0] // 7), -(-shape[1] // 7), shape[2])
        return (-(-shape[0] // 16), 1) if len(shape) == 2 else (1,) * len(shape)
    sizes = tuple(int(size) for size in window)
    fits = len(sizes) == len(shape) and all(
        1 <= size <= n for size, n in zip(sizes, shape, strict=False)
    )
    if not fits:
        raise ValueError(
            f"a window of {sizes} fits no input of shape {shape}; give one size for each axis, "
            "from 1 to its length."
        )
    return sizes
