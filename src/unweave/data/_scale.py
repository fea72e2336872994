"""Scaling by numbers that were fitted on training data and travel with the model."""

import warnings

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from .._programs import AbstractNumbered, Given
from ._moments import Moments


class Scale(AbstractNumbered):
    r"""$x \mapsto (x - \text{offset}) / \text{spread}$ for each channel (the last axis).

    The numbers are static: no optimiser moves them (or `given`, both of them, to a compiled
    program). A model keeps its scale and undoes it on the way out, so everything that a model says
    is in the user's units.
    """

    offset: tuple[float, ...] = eqx.field(static=True)
    spread: tuple[float, ...] = eqx.field(static=True)
    given: tuple[Given, Given] | None = None

    def __check_init__(self):
        if len(self.offset) != len(self.spread):
            raise ValueError("a scale needs as many offsets as spreads.")
        if not all(spread > 0 for spread in self.spread):
            raise ValueError("a scale's spreads must be positive.")

    @classmethod
    def standard(cls, observations: np.ndarray, moments: Moments | None = None) -> "Scale":
        """Mean 0 and deviation 1 for each channel, over observations `(n, ..., channel)`, or over
        those that `moments` were taken of, of which the observations are then a sample."""
        if moments is None:
            axes = tuple(range(observations.ndim - 1))
            with warnings.catch_warnings():
                # a channel without a number stays as it is
                warnings.simplefilter("ignore", RuntimeWarning)
                mean = np.nanmean(observations, axis=axes, dtype=np.float64)
                deviation = np.nanstd(observations, axis=axes, dtype=np.float64)
        else:
            mean, deviation = np.asarray(moments.mean), np.asarray(moments.deviation)
        offset, spread = np.nan_to_num(mean), np.nan_to_num(deviation)
        # a constant channel has no spread to divide by
        spread = np.where(spread > 1e-12 * np.maximum(1, np.abs(offset)), spread, 1.0)
        return cls(tuple(np.atleast_1d(offset).tolist()), tuple(np.atleast_1d(spread).tolist()))

    @classmethod
    def unit(cls, observations: np.ndarray, moments: Moments | None = None) -> "Scale":
        """From the smallest to the largest value onto [0, 1], one range for all channels;
        `moments` as of `standard`."""
        ends = (observations, observations)
        if moments is not None:
            ends = np.asarray(moments.smallest), np.asarray(moments.largest)
        low, high = float(np.nanmin(ends[0])), float(np.nanmax(ends[1]))
        spread = high - low if high > low else 1.0
        channels = observations.shape[-1]
        return cls((low,) * channels, (spread,) * channels)

    def apply(self, x: Num[Array, "..."]) -> Num[Array, "..."]:
        """To the model's numbers."""
        offset, spread = self._numbers(x)
        return (x - offset) / spread

    def undo(self, x: Num[Array, "..."]) -> Num[Array, "..."]:
        """Back to the user's units."""
        offset, spread = self._numbers(x)
        return x * spread + offset

    def log_volume(self, x: Num[Array, "..."]) -> Num[Array, ""]:
        r"""$\sum \log \text{spread}$ over the observed entries of `x`: what a log-density of
        scaled data must lose to be one of the data itself."""
        return jnp.where(jnp.isnan(x), 0, jnp.log(self._numbers(x)[1])).sum()

    def as_arguments(self) -> "Scale":
        """Itself with its numbers `Given`, for a compiled program."""
        if self.given is not None:
            return self
        return Scale((), (), given=(Given.of(self.offset), Given.of(self.spread)))

    def _numbers(self, x: Num[Array, "..."]) -> tuple[Num[Array, "..."], Num[Array, "..."]]:
        """Offset and spread of every entry of `x`."""
        parts = self.offset, self.spread
        if self.given is not None:
            parts = tuple(part.numbers for part in self.given)
        offset, spread = (jnp.broadcast_to(jnp.asarray(n, x.dtype), x.shape) for n in parts)
        return offset, spread
