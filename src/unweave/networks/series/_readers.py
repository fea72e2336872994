r"""Readers: nets that take in a whole series, gaps and uneven times included, and give numbers.

They are the encoders of latent-variable models and the bodies of predictors. A reader sees scaled
observations `(time, channel)` with NaN where nothing was observed, and the times.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._keys import split_on_host
from ..._model import Key
from .._mlp import MLP
from .._start import Skip
from ._cells import AbstractCell, unroll
from ._times import interpolated, widths_of


class Reader(eqx.Module):
    r"""A recurrent cell over the samples, and a net that reads its last state.

    A cell of gates sees each sample with zeros for what was not observed, and which that is. A
    differential equation that is driven by the path sees straight lines between what was
    observed, and how much was observed so far (Kidger et al. 2020, appendix D).

    **Arguments:** `cell`, of twice as many inputs as channels; `head`; `backwards`, from the last
    sample to the first, so that the state is one of the beginning; `unit` of the times.
    """

    cell: AbstractCell
    head: Skip
    backwards: bool = eqx.field(static=True)
    unit: float = eqx.field(static=True)

    def __call__(
        self, x: Float[Array, "time channel"], times: Float[Array, " time"]
    ) -> Float[Array, " number"]:
        """The numbers read."""
        observed = ~jnp.isnan(x)
        if self.cell.is_driven:
            seen = jnp.cumsum(observed, 0).astype(x.dtype) / len(x)
            inputs = jnp.concatenate([interpolated(x, times), seen], axis=1)
        else:
            inputs = jnp.concatenate([jnp.where(observed, x, 0), observed.astype(x.dtype)], axis=1)
        if self.backwards:
            inputs, times = inputs[::-1], times[::-1]
        last = unroll(self.cell, inputs, widths_of(times, self.unit))
        count = observed.sum(0).astype(x.dtype)
        mean = jnp.where(observed, x, 0).sum(0) / jnp.maximum(count, 1)
        return self.head(jnp.concatenate([last, mean, count / len(x)]))


class WholeReader(eqx.Module):
    """A dense net that sees all samples at once, with zeros for what was not observed, and which
    that is: for series that all have the same times, which it is not told."""

    net: MLP

    def __call__(
        self, x: Float[Array, "time channel"], times: Float[Array, " time"]
    ) -> Float[Array, " number"]:
        """The numbers read."""
        observed = ~jnp.isnan(x)
        told = jnp.concatenate([jnp.where(observed, x, 0), observed.astype(x.dtype)])
        return self.net(told.reshape(-1))


class GatedLayer(eqx.Module):
    r"""$x \leftarrow (1 - g)\, x + g\, (W * x)$ with the gate $g = \sigma(V * x)$, both
    convolutions of three samples that lie `dilation` apart (after Dauphin et al. 2017, equation
    1, with a gated path past it as in Srivastava et al. 2015)."""

    weight: Float[Array, "both taps"]
    bias: Float[Array, " both"]
    dilation: int = eqx.field(static=True)

    def __init__(self, width: int, dilation: int, *, key: Key):
        bound = (3 * width) ** -0.5
        shape = (2 * width, 3 * width)
        self.weight = jax.random.uniform(key, shape, minval=-bound, maxval=bound)
        self.bias = jnp.zeros(2 * width)
        self.dilation = dilation

    def __call__(self, x: Float[Array, "time width"]) -> Float[Array, "time width"]:
        """The features one layer on."""
        d, n = self.dilation, len(x)
        wide = jnp.pad(x, ((d, d), (0, 0)))
        taps = jnp.concatenate([wide[:n], x, wide[2 * d :]], axis=1)
        new, gate = jnp.split(taps @ self.weight.T + self.bias[None, :], 2, axis=1)
        gate = jax.nn.sigmoid(gate)
        return (1 - gate) * x + gate * new


class GatedConvolutions(eqx.Module):
    r"""Dilated gated convolutions with attention: layers whose reach doubles, then
    $\sum_t a_t x_t$ with $a = \mathrm{softmax}_t\, w \cdot \tanh(U x_t)$ (Bahdanau et al. 2015,
    with a learned question), then a net. Which samples count can be looked at: `attention`.
    """

    lift: MLP
    layers: tuple[GatedLayer, ...]
    question: MLP
    head: MLP
    unit: float = eqx.field(static=True)

    def __init__(
        self,
        channels: int,
        numbers: int,
        *,
        width: int = 32,
        dilations: tuple[int, ...] = (1, 2, 4, 8, 16),
        unit: float = 1.0,
        key: Key,
    ):
        if not dilations or min(dilations) < 1:
            raise ValueError(f"dilations are {dilations}; give whole numbers from 1 on.")
        lift, layers, question, head = split_on_host(key, 4)
        self.lift = MLP(2 * channels + 1, width, (), key=lift)
        keys = split_on_host(layers, len(dilations))
        self.layers = tuple(
            GatedLayer(width, d, key=key) for d, key in zip(dilations, keys, strict=True)
        )
        self.question = MLP(width, 1, (width,), activation=jnp.tanh, key=question)
        self.head = MLP(width, numbers, (width,), key=head)
        self.unit = unit

    def __call__(
        self, x: Float[Array, "time channel"], times: Float[Array, " time"]
    ) -> Float[Array, " number"]:
        """The numbers read."""
        return self.read(self.features(x, times))

    def read(self, features: Float[Array, "time width"]) -> Float[Array, " number"]:
        """The numbers, from what the layers make of each sample."""
        return self.head(self._weights(features) @ features)

    def attention(
        self, x: Float[Array, "time channel"], times: Float[Array, " time"]
    ) -> Float[Array, " time"]:
        """How much each sample counts; the numbers sum to one."""
        return self._weights(self.features(x, times))

    def features(
        self, x: Float[Array, "time channel"], times: Float[Array, " time"]
    ) -> Float[Array, "time width"]:
        """What the layers make of each sample."""
        observed = ~jnp.isnan(x)
        widths = widths_of(times, self.unit)[:, None]
        told = [jnp.where(observed, x, 0), observed.astype(x.dtype), widths]
        features = jax.vmap(self.lift)(jnp.concatenate(told, axis=1))
        for layer in self.layers:
            features = layer(features)
        return features

    def _weights(self, features: Float[Array, "time width"]) -> Float[Array, " time"]:
        return jax.nn.softmax(jax.vmap(self.question)(features)[:, 0])
