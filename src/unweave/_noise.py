r"""Observation noise: how a measurement scatters about what the model says.

A model gives a natural parameter `eta` for every entry of the observation: the location of a
Gaussian, Laplace or Student-t, the logit of a Bernoulli, the log rate of a Poisson. NaN in the
observation means "not observed" and counts for nothing; that is settled here, once, so no
model has a second path for gappy data.
"""

import abc
import math

import equinox as eqx
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float, Num, PRNGKeyArray

from ._libraries import default_promotion


class AbstractNoise(eqx.Module):
    """A family of independent distributions, one for each entry of an observation."""

    @abc.abstractmethod
    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """The distribution of the observation given `eta`."""

    def log_prob(self, x: Num[Array, "*shape"], eta: Float[Array, "*shape"]) -> Float[Array, ""]:
        r"""$\sum \log p(x_i \mid \eta_i)$ over the observed entries, in nats."""
        observed = ~jnp.isnan(x)
        # zero lies in every support here; masking x first keeps NaN out of the gradient
        filled = jnp.where(observed, x, 0)
        with default_promotion():
            each = self.distribution(eta).log_prob(filled)
        return jnp.where(observed, each, 0).sum()

    def mean(self, eta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The expected observation."""
        with default_promotion():
            mean = jnp.asarray(self.distribution(eta).mean)
        return jnp.broadcast_to(mean, eta.shape)

    def sample(self, key: PRNGKeyArray, eta: Float[Array, "*shape"]) -> Num[Array, "*shape"]:
        """A draw of the observation."""
        with default_promotion():
            return jnp.asarray(self.distribution(eta).sample(key))

    @property
    def is_discrete(self) -> bool:
        """Whether `log_prob` is a probability and not a density."""
        return bool(self.distribution(jnp.zeros(())).is_discrete)


class AbstractScaledNoise(AbstractNoise):
    """Noise with a scale: a Python number stays as it was given, an array is learned.

    An array's shape broadcasts against the observation's, such as `(channel,)`.
    """

    log_scale: eqx.AbstractVar[float | Float[Array, "..."]]

    @classmethod
    def fixed(cls, scale: float):
        """Noise of a known scale, which training leaves alone."""
        if not scale > 0:
            raise ValueError(f"the noise's scale is {scale}; it must be positive.")
        return cls(math.log(scale))  # pyright: ignore[reportCallIssue]

    @classmethod
    def learned(cls, shape: tuple[int, ...] = (), *, start: float = 1.0):
        """Noise whose scale is fitted; with `shape` `(channel,)` each channel has its own."""
        return cls(jnp.full(shape, math.log(start), dtype=float))  # pyright: ignore[reportCallIssue]

    @property
    def scale(self) -> Float[Array, "..."]:
        """The scale, in the units of what the model was given."""
        if isinstance(self.log_scale, float):
            return jnp.asarray(math.exp(self.log_scale))
        # a learned scale is bounded: one entry that is reconstructed perfectly would otherwise
        # drive it to zero and the likelihood to infinity
        return jnp.exp(jnp.clip(self.log_scale, -7.0, 7.0))


class Gaussian(AbstractScaledNoise):
    r"""$x \sim \mathcal{N}(\eta, \sigma^2)$; `Gaussian.fixed(0.1)` or `Gaussian.learned()`."""

    log_scale: float | Float[Array, "..."]

    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """Normal about `eta`."""
        return dist.Normal(eta, self.scale)


class Laplace(AbstractScaledNoise):
    r"""$p(x) \propto e^{-|x - \eta| / b}$: absolute residuals, tolerant of single outliers."""

    log_scale: float | Float[Array, "..."]

    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """Laplace about `eta`."""
        return dist.Laplace(eta, self.scale)


class StudentT(AbstractScaledNoise):
    r"""Student's t about `eta` with fixed degrees of freedom $\nu$: heavy tails."""

    log_scale: float | Float[Array, "..."]
    degrees: float = eqx.field(static=True, default=4.0)

    def __check_init__(self):
        if not self.degrees > 2:
            raise ValueError(
                f"{self.degrees} degrees of freedom leave the variance infinite; give more than 2."
            )

    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """Student's t about `eta`."""
        return dist.StudentT(self.degrees, eta, self.scale)


class Bernoulli(AbstractNoise):
    r"""$x \in \{0, 1\}$ with $P(x = 1) = 1 / (1 + e^{-\eta})$; grey values count as in Burgess
    et al. (2018), by the cross-entropy."""

    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """Bernoulli with logit `eta`."""
        return dist.BernoulliLogits(eta)


class Poisson(AbstractNoise):
    r"""Counts with rate $e^{\eta}$."""

    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """Poisson with log rate `eta`."""
        # exp(15) is three million: beyond any count that float32 resolves in a likelihood
        return dist.Poisson(jnp.exp(jnp.clip(eta, -15.0, 15.0)))
