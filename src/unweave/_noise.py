r"""Observation noise: how a measurement scatters about what the model says.

A model gives a natural parameter `eta` for every entry of the observation: the location of a
Gaussian, Laplace or Student-t, the logit of a Bernoulli, the log rate of a Poisson. NaN in the
observation means "not observed" and counts for nothing; that is settled here, once, so no
model has a second path for gappy data.
"""

import abc
import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float, PRNGKeyArray

from ._libraries import default_promotion


class AbstractNoise(eqx.Module):
    """A family of independent distributions, one for each entry of an observation.

    `is_discrete` says whether `log_prob` is a probability and not a density.
    """

    is_discrete: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def log_prob_each(
        self, x: Float[Array, "*shape"], eta: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        r"""$\log p(x_i \mid \eta_i)$ of every entry, in nats."""

    @abc.abstractmethod
    def mean(self, eta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The expected observation."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, eta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """A draw of the observation."""

    def log_prob(self, x: Float[Array, "*shape"], eta: Float[Array, "*shape"]) -> Float[Array, ""]:
        r"""$\sum \log p(x_i \mid \eta_i)$ over the observed entries, in nats."""
        observed = ~jnp.isnan(x)
        # zero lies in every support here; masking x first keeps NaN out of the gradient
        each = self.log_prob_each(jnp.where(observed, x, 0), eta)
        return jnp.where(observed, each, 0).sum()


class AbstractLibraryNoise(AbstractNoise):
    """A noise that is one of numpyro's distributions."""

    @abc.abstractmethod
    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """The distribution of the observation given `eta`."""

    def log_prob_each(
        self, x: Float[Array, "*shape"], eta: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        r"""$\log p(x_i \mid \eta_i)$ of every entry, in nats."""
        with default_promotion():
            return jnp.asarray(self.distribution(eta).log_prob(x))

    def mean(self, eta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The expected observation."""
        with default_promotion():
            return jnp.broadcast_to(jnp.asarray(self.distribution(eta).mean), eta.shape)

    def sample(self, key: PRNGKeyArray, eta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """A draw of the observation."""
        with default_promotion():
            return jnp.asarray(self.distribution(eta).sample(key)).astype(eta.dtype)


class AbstractScaledNoise(AbstractLibraryNoise):
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

    is_discrete: ClassVar[bool] = False

    log_scale: float | Float[Array, "..."]

    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """Normal about `eta`."""
        return dist.Normal(eta, self.scale)


class Laplace(AbstractScaledNoise):
    r"""$p(x) \propto e^{-|x - \eta| / b}$: absolute residuals, tolerant of single outliers."""

    is_discrete: ClassVar[bool] = False

    log_scale: float | Float[Array, "..."]

    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """Laplace about `eta`."""
        return dist.Laplace(eta, self.scale)


class StudentT(AbstractScaledNoise):
    r"""Student's t about `eta` with fixed degrees of freedom $\nu$: heavy tails."""

    is_discrete: ClassVar[bool] = False

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
    r"""$x \in \{0, 1\}$ with $P(x = 1) = 1 / (1 + e^{-\eta})$.

    Grey values between 0 and 1 count by the cross-entropy, $x \eta - \log(1 + e^\eta)$, as is
    usual for images; numpyro's Bernoulli refuses them.
    """

    is_discrete: ClassVar[bool] = True

    def log_prob_each(
        self, x: Float[Array, "*shape"], eta: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        r"""$x \eta - \log(1 + e^\eta)$."""
        return x * eta - jax.nn.softplus(eta)

    def mean(self, eta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        r"""$P(x = 1)$."""
        return jax.nn.sigmoid(eta)

    def sample(self, key: PRNGKeyArray, eta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Zeros and ones."""
        return jax.random.bernoulli(key, jax.nn.sigmoid(eta)).astype(eta.dtype)


class Poisson(AbstractLibraryNoise):
    r"""Counts with rate $e^{\eta}$."""

    is_discrete: ClassVar[bool] = True

    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """Poisson with log rate `eta`."""
        # exp(15) is three million: beyond any count that float32 resolves in a likelihood
        return dist.Poisson(jnp.exp(jnp.clip(eta, -15.0, 15.0)))
