"""Heartbeats by a formula, and a linear model of them whose every answer has a closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from unweave._latents import Latents
from unweave._model import AbstractDecoder, AbstractEncoder
from unweave._schema import Schema

LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")
# time of the peak (s), height (mV) and width (s) of the waves P, Q, R, S and T
WAVES = ((-0.17, 0.12, 0.022), (-0.028, -0.12, 0.009), (0.0, 1.1, 0.011), (0.03, -0.25, 0.01),
         (0.25, 0.3, 0.045))  # fmt: skip


class LinearModel(AbstractDecoder, AbstractEncoder):
    """x = W z + b with orthogonal columns of W, so z = (WᵀW)⁻¹ Wᵀ (x - b)."""

    latents: Latents
    weight: jax.Array
    bias: jax.Array
    deviation: float = eqx.field(static=True, default=0.1)

    def decode(self, z, condition=None, *, key=None):
        x = jnp.tensordot(z, self.weight, axes=1) + self.bias
        if condition is not None:
            x = x + condition
        if key is None:
            return x
        return x + self.deviation * jax.random.normal(key, x.shape)

    def encode(self, x, condition=None, *, key=None):
        flat = self.weight.reshape(len(self.weight), -1)
        return jnp.linalg.solve(flat @ flat.T, flat @ (x - self.bias).reshape(-1))


def beat_schema(channels=1, samples=64):
    return Schema(
        kind="beats", axes=("time", "channel"), shape=(samples, channels),
        channels=LEADS[:channels], units=("mV",) * channels,
        step=0.7 / samples, origin=-0.25, time_unit="s",
    )  # fmt: skip


def beat(times, gains, heights, shifts, widths):
    """One beat `(time, channel)`, each wave a Gaussian with a gain in each lead."""
    x = 0.0
    for (at, height, width), gain, h, s, w in zip(
        WAVES, gains, heights, shifts, widths, strict=True
    ):
        shape = np.exp(-0.5 * ((times - at - s) / (width * w)) ** 2)
        x = x + height * h * shape[:, None] * gain[None, :]
    return x


def beats(n, schema, seed=0):
    """`n` beats `(n, time, channel)` in which the waves change height, place and width."""
    rng = np.random.default_rng(seed)
    times = np.asarray(schema.times)
    leads = np.arange(schema.shape[1])
    gains = [0.9 + 0.5 * np.cos(0.55 * leads + 0.4 * i) for i in range(len(WAVES))]
    drawn = [
        beat(
            times, gains, 1 + 0.25 * rng.normal(size=5), 0.008 * rng.normal(size=5),
            np.exp(0.15 * rng.normal(size=5)),
        )
        for _ in range(n)
    ]  # fmt: skip
    return np.stack(drawn).astype(np.float32)


def beat_model(latents=10, channels=1, samples=64):
    """A linear model of beats: their principal components, as many as there are latents."""
    schema = beat_schema(channels, samples)
    data = beats(200, schema).astype(np.float64)
    mean = data.mean(axis=0)
    _, sizes, directions = np.linalg.svd((data - mean).reshape(200, -1), full_matrices=False)
    weight = (sizes[:latents, None] / np.sqrt(200)) * directions[:latents]
    weight = weight.reshape(latents, *schema.shape)
    return LinearModel(
        Latents.standard(latents), jnp.asarray(weight, float), jnp.asarray(mean, float), 0.01
    )
