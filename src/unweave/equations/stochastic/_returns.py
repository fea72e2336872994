r"""A price's equation seen through log-returns, which is how windows of prices are compared."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._latents import Latents
from ..._model import (
    AbstractDecoder,
    AbstractDensity,
    Condition,
    DensityKind,
    Key,
    Latent,
    Observation,
    Scalar,
)
from .._system import AbstractSystem
from ..fitting._match import initial_latents
from ..solving._choose import medians
from ._equation import StochasticEquation

#: Units of time in seconds, by the names that texts and tables give them.
SECONDS = {
    "s": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0,
    "day": 86400.0, "week": 604800.0, "year": 31557600.0,
}  # fmt: skip
# the logarithm of the largest factor by which a price may move within a window
_MOST = 60.0


class Returns(AbstractDecoder, AbstractDensity):
    r"""Log-returns $r_i = \log S_i / S_{i-1}$ of a price that a stochastic equation moves.

    $$\log p(r) = \sum_i \log p(S_i \mid S_{i-1}, \hat z) + \log S_i, \qquad
      S_i = S_0 \exp(r_1 + \dots + r_i).$$

    **Arguments:** `equation` of the one price, whose times are one more than the returns; `z`
    `(latent,)`, the estimates, at which the density is taken; `start`, $S_0$, the same for every
    window: where the equation speaks of the price's level it is the level relative to this;
    `place`, which latent that is.
    """

    density_kind: ClassVar[DensityKind] = "exact"

    equation: StochasticEquation
    z: Float[Array, " latent"]
    start: float = eqx.field(static=True)
    place: int | None = eqx.field(static=True, default=None)

    @property
    def latents(self) -> Latents:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The equation's."""
        return self.equation.latents

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """The log-returns of the expected path, or with a key of a random one."""
        return jnp.diff(jnp.log(self.equation.decode(self._begun(z), key=key)), axis=0)

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        """In nats, at the estimates; a return that was not observed is bridged, and counts for
        nothing where the equation does."""
        x = jnp.asarray(x, self.z.dtype)
        seen = ~jnp.isnan(x)
        path = jnp.cumsum(jnp.where(seen, x, 0.0), axis=0)
        # a price that floats cannot hold; what is computed in its stead keeps the gradient finite
        held = (jnp.abs(path) < _MOST).all()
        prices = prices_of(jnp.where(held, x, 0.0), self.start)
        each = self.equation.log_likelihoods(prices, self._begun(self.z))[1:]
        total = jnp.where(seen[:, 0], each + jnp.log(prices[1:, 0]), 0.0).sum()
        return jnp.where(held, total, -jnp.inf)

    def _begun(self, z: Latent) -> Latent:
        """The latents with the start that every window has."""
        return z if self.place is None else z.at[self.place].set(self.start)


def prices_of(returns: Array, start: float) -> Array:
    """Prices `(..., time + 1, 1)` from log-returns `(..., time, 1)`; a return that was not
    observed leaves the price where it is."""
    path = jnp.cumsum(jnp.where(jnp.isnan(returns), 0.0, returns), axis=-2)
    first = jnp.zeros_like(path[..., :1, :])
    return start * jnp.exp(jnp.concatenate([first, path], axis=-2))


def as_prices(
    system: AbstractSystem, observations: np.ndarray, times: np.ndarray, time_unit: str
) -> tuple[np.ndarray, np.ndarray, float]:
    """Windows of log-returns as courses of the price: prices `(record, time + 1, 1)`, times
    `(time + 1,)` in the equation's unit, and the price before each window.

    That is the middle of the prior of the equation's start: the level of a price says nothing
    about its returns in the models that are made for them.
    """
    scale = 1.0
    if time_unit in SECONDS and system.time_unit in SECONDS:
        scale = SECONDS[time_unit] / SECONDS[system.time_unit]
    one = scale * times[0]
    steps = np.concatenate([[2 * one[0] - one[1]], one])
    z = medians(system.latents)
    place = initial_latents(system, system.latents)
    start = float(z[place[0]]) if 0 in place else float(np.asarray(system.start(jnp.asarray(z)))[0])
    with jax.enable_x64(True):
        prices = np.asarray(prices_of(jnp.asarray(observations, jnp.float64), start))
    return prices, steps, start
