r"""A recurrent network as a model of series: each sample given those before it."""

import math
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._latents import Latents
from ..._model import (
    AbstractDecoder,
    AbstractDensity,
    AbstractEncoder,
    Condition,
    DensityKind,
    Key,
    Latent,
    Observation,
    Scalar,
)
from ...data import Scale
from .._mlp import MLP
from .._real import real
from ._cells import AbstractCell
from ._times import times_of, widths_of

Channels = Float[Array, " channel"]
# e^-6 < std < e^6 of a channel's own: beyond, a sample that is foretold exactly would drive the
# likelihood to infinity
_LOG_STD = 6.0


class Recurrent(AbstractDecoder, AbstractEncoder, AbstractDensity):
    r"""$x_t \sim \mathcal{N}(\mu(h_t, x_{t-1}), \sigma(h_t)^2)$ with a state $h_t$ that a
    recurrent cell carries past all earlier samples.

    $\mu = a \odot x_{t-1} + m(h_t)$ for each channel on its own: the net corrects persistence. Its
    latents are the innovations $e_t = (x_t - \mu_t) / \sigma_t$, as many as there are numbers, so
    that it is an exact flow, one triangular step for each sample (Papamakarios et al. 2017). A
    sample that was not observed is replaced by what is expected of it, and the state goes on from
    there (Cao et al. 2018, equation 4): what `decode(encode(x))` says of it is the forecast from
    what came before it.

    **Arguments:** `cell`; `head`, from what is read of a state to mean and log standard deviation
    of each channel; `persistence` $a$ and `log_std`, which the head adds to; `first` `(2,
    channel)`, mean and log standard deviation of the first sample; `scale`; `times`, where an
    observation has none of its own, counted in `unit`.
    """

    density_kind: ClassVar[DensityKind] = "exact"

    latents: Latents
    cell: AbstractCell
    head: MLP
    persistence: Channels
    log_std: Channels
    first: Float[Array, "moment channel"]
    scale: Scale
    times: tuple[float, ...] = eqx.field(static=True)
    unit: float = eqx.field(static=True, default=1.0)

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """The series that these innovations drive; nothing is left to be drawn."""

        def sample(mean: Channels, std: Channels, e: Channels) -> tuple[Channels, Channels]:
            x = mean + std * e
            return x, x

        e = z.reshape(-1, len(self.persistence))
        return self.scale.undo(self._through(sample, e, condition))

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """The innovations of `x`: 0 where it was not observed, or with a key a draw."""
        scaled = self.scale.apply(real(x))
        draws = jnp.zeros_like(scaled)
        if key is not None:
            draws = jax.random.normal(key, scaled.shape, scaled.dtype)

        def innovation(mean: Channels, std: Channels, at: Array) -> tuple[Channels, Channels]:
            x, drawn = at
            e = jnp.where(jnp.isnan(x), drawn, (x - mean) / std)
            return jnp.where(jnp.isnan(x), mean + std * drawn, x), e

        return self._through(innovation, jnp.stack([scaled, draws], 1), condition).reshape(-1)

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""$\sum_t \log p(x_t \mid x_{<t})$ over the observed entries. With gaps it is the density
        of this model, which goes on from what it expected there, and no integral over them."""
        scaled = self.scale.apply(real(x))

        def score(mean: Channels, std: Channels, x: Channels) -> tuple[Channels, Channels]:
            e = (jnp.where(jnp.isnan(x), mean, x) - mean) / std
            log_p = -0.5 * (e**2 + math.log(2 * math.pi)) - jnp.log(std)
            return mean + std * e, jnp.where(jnp.isnan(x), 0, log_p)

        return self._through(score, scaled, condition).sum() - self.scale.log_volume(real(x))

    def _through(self, at_each: Any, given: Array, condition: Condition) -> Array:
        """Walks along the series: `at_each(mean, std, given)` says what the sample is and what is
        wanted of it."""
        dtype = self.persistence.dtype
        times = times_of(condition, self.times, self.persistence)
        widths = widths_of(times, self.unit)
        begins = jnp.arange(len(times)) == 0
        nothing = jnp.zeros_like(self.persistence)

        def step(carry: tuple[Any, Channels], at: tuple[Array, Array, Array]):
            (state, last), (part, width, begins) = carry, at
            more, log_std = jnp.split(self.head(self.cell.read(state)), 2)
            later = jnp.stack([self.persistence * last + more, self.log_std + log_std])
            mean, log_std = jnp.where(begins, self.first, later)
            std = jnp.exp(jnp.clip(log_std, -_LOG_STD, _LOG_STD))
            x, wanted = at_each(mean, std, part)
            return (self.cell.step(state, last, x, width), x), wanted

        start = (self.cell.begin(), nothing)
        return jax.lax.scan(step, start, (given.astype(dtype), widths, begins))[1]
