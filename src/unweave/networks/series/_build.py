"""Models and readers of series for the data at hand."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..._keys import split_on_host
from ..._latents import Latents
from ..._model import Key
from ..._noise import AbstractNoise, Gaussian
from ...data import Dataset, Scale
from .._mlp import MLP
from .._start import Skip, single
from ._answer import SeriesNet
from ._cells import AbstractCell
from ._latent_ode import AbstractDynamics, LatentODE, NeuralDynamics
from ._readers import Reader, WholeReader
from ._recurrent import Recurrent

#: Makes a cell from the size of its input and a key.
CellMaker = Callable[[int, Key], AbstractCell]
#: Makes a reader from channels, how many numbers it gives, the unit of its times, and a key.
ReaderMaker = Callable[[int, int, float, Key], Callable]

# a neural field moves the state by about its own size in this part of the whole time
_SHARE_OF_TIME = 0.1
# steps of the solver, or fewer where there are fewer samples
_STEPS = 64
# a state that keeps all of the last sample leaves nothing to be drawn
_MOST_PERSISTENCE = 0.995


def start_recurrent(data: Dataset, cell: CellMaker, *, key: Key) -> Recurrent:
    """A `Recurrent` that begins as an autoregression of order 1 of each channel on its own."""
    check_series(data)
    length, channels = data.schema.shape
    cell_key, head_key = split_on_host(key, 2)
    made = cell(channels, cell_key)
    scale = Scale.standard(data.observations, data.moments)
    keep = _persistence(data.observations)
    return Recurrent(
        latents=Latents.standard(length * channels, prefix="e"),
        cell=made,
        head=MLP(made.size, 2 * channels, (), zero_last=True, key=head_key),
        persistence=jnp.asarray(keep, jnp.float32),
        log_std=jnp.asarray(0.5 * np.log(1 - keep**2), jnp.float32),
        first=jnp.zeros((2, channels), jnp.float32),
        scale=scale,
        times=data.schema.times,
        unit=spacing(data),
    )


def start_reader(data: Dataset, numbers: int, cell: CellMaker, *, key: Key) -> SeriesNet:
    """A net that reads a series from its beginning to its end."""
    return series_net(data, numbers, recurrent_reader(cell, backwards=False), key=key)


def series_net(data: Dataset, numbers: int, reader: ReaderMaker, *, key: Key) -> SeriesNet:
    """A net of any reader, for the scale and the times of `data`."""
    check_series(data)
    made = reader(data.schema.shape[1], numbers, spacing(data), key)
    return SeriesNet(made, Scale.standard(data.observations, data.moments), data.schema.times)


def recurrent_reader(cell: CellMaker, *, backwards: bool) -> ReaderMaker:
    """What makes a reader of a cell."""

    def make(channels: int, numbers: int, unit: float, key: Key) -> Reader:
        cell_key, head_key = split_on_host(key, 2)
        made = cell(2 * channels, cell_key)
        size = made.size + 2 * channels
        inner = MLP(size, numbers, (made.size,), zero_last=True, key=head_key)
        weight = jax.random.normal(head_key, (numbers, size)) / size
        head = Skip(weight, jnp.zeros(numbers), inner, (numbers,))
        return Reader(made, head, backwards, unit)

    return make


def start_latent_ode(
    data: Dataset,
    reader: ReaderMaker,
    *,
    latents: int = 10,
    widths: tuple[int, ...] = (64, 64),
    dynamics: AbstractDynamics | None = None,
    is_observation: bool = False,
    steps: int | None = None,
    noise: AbstractNoise | None = None,
    key: Key,
) -> LatentODE:
    """A `LatentODE` for `data`: of a network in `latents` dimensions, or of other `dynamics`, whose
    reading with `is_observation` is the observation in the user's units. `steps` are chosen by
    the times where none are given."""
    check_series(data)
    times, channels = _all_times(data), data.schema.shape[1]
    whole = float(times.max() - times.min()) or 1.0
    encoder_key, field_key, readout_key = split_on_host(key, 3)
    scale, unit = Scale.standard(data.observations, data.moments), spacing(data)
    start = None
    if dynamics is None:
        # every course is level at first, and training begins as if there were no time
        net = MLP(latents, latents, widths, activation=jnp.tanh, zero_last=True, key=field_key)
        dynamics = NeuralDynamics(net, latents, _SHARE_OF_TIME * whole)
        start = _levels(data.observations, scale, latents)
    encoder = reader(channels, 2 * dynamics.latents.size, unit, encoder_key)
    readout = None
    if not is_observation:
        inner = MLP(_features(dynamics), channels, widths[:1], zero_last=True, key=readout_key)
        weight = np.zeros((channels, _features(dynamics))) if start is None else start.loadings
        readout = Skip(single(weight), jnp.zeros(channels), inner, (channels,))
    if start is not None:
        encoder = _from_levels(encoder, start)
    return LatentODE(
        latents=dynamics.latents,
        encoder=encoder,
        dynamics=dynamics,
        readout=readout,
        noise=noise or Gaussian.learned((channels,)),
        scale=scale,
        times=data.schema.times,
        steps=steps or min(data.schema.shape[0] - 1, _STEPS),
    )


def whole_reader(data: Dataset, widths: tuple[int, ...]) -> ReaderMaker:
    """What makes a dense reader of series that all have the times of `data`.

    Raises `ValueError` where they have times of their own.
    """
    if data.times is not None and np.ptp(data.times, axis=0).any():
        raise ValueError(
            "observations have times of their own, and a dense encoder sees none; take another: "
            "encoder='ode-rnn'."
        )

    def make(channels: int, numbers: int, unit: float, key: Key) -> WholeReader:
        size = 2 * channels * data.schema.shape[0]
        return WholeReader(MLP(size, numbers, widths, zero_last=True, key=key))

    return make


class _Levels(NamedTuple):
    """The mean of each channel over an observation as probabilistic principal components: from
    latents to levels and back, and the log standard deviation of what is left."""

    loadings: np.ndarray
    to_code: np.ndarray
    log_std: np.ndarray


def _levels(observations: np.ndarray, scale: Scale, latents: int) -> _Levels:
    """Where there are more latents than channels, those that remain begin without a meaning."""
    x = (np.asarray(observations, np.float64) - scale.offset) / scale.spread
    count = (~np.isnan(x)).sum(1)
    levels = np.nansum(x, 1) / np.maximum(count, 1)
    within = np.nansum((x - levels[:, None]) ** 2, 1) / np.maximum(count, 1)
    noise = float(np.mean(within / np.maximum(count, 1))) + 1e-4
    _, strengths, axes = np.linalg.svd(levels, full_matrices=False)
    power = np.zeros(latents)
    kept = min(latents, len(strengths))
    power[:kept] = np.maximum(strengths[:kept] ** 2 / len(x) - noise, 0)
    turned = np.zeros((x.shape[2], latents))
    turned[:, :kept] = axes[:kept].T
    root = np.sqrt(power)
    return _Levels(
        turned * root, (turned * root / (power + noise)).T, 0.5 * np.log(noise / (power + noise))
    )


def _from_levels(encoder: Callable, start: _Levels) -> Callable:
    """The encoder with its linear path from the levels to the latents."""
    if not isinstance(encoder, Reader):
        return encoder
    latents, channels = start.to_code.shape
    weight = np.zeros((2 * latents, encoder.head.weight.shape[1]))
    weight[:latents, -2 * channels : -channels] = start.to_code
    bias = np.concatenate([np.zeros(latents), start.log_std])
    return eqx.tree_at(
        lambda e: (e.head.weight, e.head.bias), encoder, (single(weight), single(bias))
    )


def check_series(data: Dataset) -> None:
    """Raises `ValueError` for observations that are no series of at least two samples."""
    schema = data.schema
    if not schema.is_series or len(schema.shape) != 2 or schema.shape[0] < 2:
        raise ValueError(
            f"observations have axes {', '.join(schema.axes)} of shape {schema.shape}, and a model "
            "of series needs (time, channel) with at least 2 samples; fit vae or resnet to these."
        )


def spacing(data: Dataset) -> float:
    """What lies between two samples most often, in the user's unit of time."""
    widths = np.diff(_all_times(data), axis=1)
    widths = widths[widths > 0]
    return float(np.median(widths)) if len(widths) else 1.0


def _all_times(data: Dataset) -> np.ndarray:
    own = data.times
    return np.asarray(data.schema.times)[None] if own is None else own


def _features(dynamics: AbstractDynamics) -> int:
    z = jnp.zeros(dynamics.latents.size)
    z = dynamics.latents.from_normal(z)
    return dynamics.observe(jnp.zeros(()), dynamics.start(z), z).size


def _persistence(observations: np.ndarray) -> np.ndarray:
    """The correlation of each channel with its last sample, 0 where it never has two in a row."""
    x = observations - np.asarray(Scale.standard(observations).offset)
    before, now = x[:, :-1], x[:, 1:]
    both = ~np.isnan(before) & ~np.isnan(now)
    product = np.where(both, before * now, 0).sum((0, 1))
    power = np.sqrt(
        np.where(both, before**2, 0).sum((0, 1)) * np.where(both, now**2, 0).sum((0, 1))
    )
    keep = np.divide(product, power, out=np.zeros_like(product), where=power > 0)
    return np.clip(keep, 0.0, _MOST_PERSISTENCE)
