r"""Observation noise: how a measurement scatters about what the model says.

A model gives a natural parameter `eta` for every entry of the observation: the location of a
Gaussian, Laplace or Student-t, the logit of a Bernoulli, the log rate of a Poisson. NaN in the
observation means "not observed" and counts for nothing; that is settled here, once, so no
model has a second path for gappy data.
"""

import abc
import math
from typing import ClassVar, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float, PRNGKeyArray

from ._libraries import default_promotion
from ._programs import AbstractNumbered, Given

LogScale: TypeAlias = float | tuple[float, ...] | Given | Float[Array, "..."]


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
        # one lies in every support here; masking x first keeps NaN out of the gradient
        each = self.log_prob_each(jnp.where(observed, x, 1), eta)
        return jnp.where(observed, each, 0).sum()


class AbstractCurveNoise(AbstractNoise):
    r"""Noise about a curve that least squares can fit.

    With $y$ what an instrument without noise would read, $\eta$ = `link(y)` and a scale $s$ for
    each channel, $-\log p(x \mid y) = \tfrac12 \rho^2 + \log s$ up to a constant (without
    $\log s$ where there is no scale), with $\rho$ the deviance residual (McCullagh and Nelder,
    Generalized Linear Models, 1989, section 2.4.3): the sum of their squares is the deviance.
    """

    has_scale: eqx.AbstractClassVar[bool]
    is_log: eqx.AbstractClassVar[bool]

    def link(self, y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        r"""$\eta$ for a noiseless reading `y`: $y$, or $\log y$ where `is_log`."""
        return _log(y) if self.is_log else y

    def unlink(self, eta: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The inverse of `link`."""
        return jnp.exp(eta) if self.is_log else eta

    @abc.abstractmethod
    def residual(
        self, x: Float[Array, "*shape"], eta: Float[Array, "*shape"], scale: Float[Array, "..."]
    ) -> Float[Array, "*shape"]:
        r"""The deviance residual $\rho$ of every entry."""

    @abc.abstractmethod
    def information(
        self, eta: Float[Array, "*shape"], scale: Float[Array, "..."]
    ) -> Float[Array, "*shape"]:
        r"""Fisher's information of one entry about its $\eta$."""

    @abc.abstractmethod
    def best_scale(
        self, x: Float[Array, "*row channel"], eta: Float[Array, "*row channel"]
    ) -> Float[Array, " channel"]:
        """The scale of each channel that makes `x` (NaN = not observed) most likely."""

    @abc.abstractmethod
    def with_scale(self, scale: tuple[float, ...]) -> "AbstractCurveNoise":
        """The same noise with a known scale for each channel."""


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


class AbstractScaledNoise(AbstractLibraryNoise, AbstractNumbered):
    """Noise with a scale: Python numbers, or `Given` ones, stay as they are, an array is learned.

    An array's shape broadcasts against the observation's, such as `(channel,)`.
    """

    log_scale: eqx.AbstractVar[LogScale]

    @classmethod
    def fixed(cls, scale: float | tuple[float, ...]):
        """Noise of a known scale, or one for each channel, which training leaves alone."""
        scales = scale if isinstance(scale, tuple) else (scale,)
        if not all(part > 0 for part in scales):
            raise ValueError(f"the noise's scale is {scale}; it must be positive.")
        logs = tuple(math.log(part) for part in scales)
        return cls(logs if isinstance(scale, tuple) else logs[0])  # pyright: ignore[reportCallIssue]

    @classmethod
    def learned(cls, shape: tuple[int, ...] = (), *, start: float = 1.0):
        """Noise whose scale is fitted; with `shape` `(channel,)` each channel has its own."""
        return cls(jnp.full(shape, math.log(start), dtype=float))  # pyright: ignore[reportCallIssue]

    @property
    def scale(self) -> Float[Array, "..."]:
        """The scale, in the units of what the model was given."""
        if isinstance(self.log_scale, Given):
            return jnp.exp(self.log_scale.numbers)
        if isinstance(self.log_scale, float | tuple):
            return jnp.exp(jnp.asarray(self.log_scale))
        # a learned scale is bounded: one entry that is reconstructed perfectly would otherwise
        # drive it to zero and the likelihood to infinity
        return jnp.exp(jnp.clip(self.log_scale, -7.0, 7.0))

    def _scale_like(self, eta: Float[Array, "*shape"]) -> Float[Array, "..."]:
        """The scale, one for each channel or for all, as it broadcasts against `eta`."""
        scale = self.scale.astype(eta.dtype)
        is_of_channels = isinstance(self.log_scale, tuple | Given) and scale.ndim == 1
        return jnp.broadcast_to(scale, eta.shape) if is_of_channels else scale

    def as_arguments(self) -> "AbstractScaledNoise":
        """Itself with its numbers `Given`, for a compiled program."""
        if self.log_scale is not None and not isinstance(self.log_scale, float | tuple):
            return self
        # of a known noise an optimiser has no numbers where the model has some
        given = Given.of(self.log_scale) if jax.tree.leaves(self.log_scale) else Given.none()
        return eqx.tree_at(
            lambda noise: noise.log_scale, self, given,
            is_leaf=lambda node: node is None or node is self.log_scale,
        )  # fmt: skip


class AbstractNormalNoise(AbstractScaledNoise, AbstractCurveNoise):
    r"""Normal about $\eta$ once linked: $\mathrm{link}(x) \sim \mathcal{N}(\eta, \sigma^2)$."""

    def residual(
        self, x: Float[Array, "*shape"], eta: Float[Array, "*shape"], scale: Float[Array, "..."]
    ) -> Float[Array, "*shape"]:
        r"""$(\mathrm{link}(x) - \eta) / \sigma$."""
        return (self.link(x) - eta) / _spread_over(scale, x)

    def information(
        self, eta: Float[Array, "*shape"], scale: Float[Array, "..."]
    ) -> Float[Array, "*shape"]:
        r"""$1 / \sigma^2$."""
        return jnp.broadcast_to(_spread_over(scale, eta) ** -2, eta.shape)

    def best_scale(
        self, x: Float[Array, "*row channel"], eta: Float[Array, "*row channel"]
    ) -> Float[Array, " channel"]:
        """The root mean square of the residuals of the linked values."""
        return jnp.sqrt(_observed_mean((self.link(x) - eta) ** 2))

    def with_scale(self, scale: tuple[float, ...]) -> AbstractCurveNoise:
        """The same noise with these standard deviations of the linked values."""
        return type(self).fixed(scale)


class Gaussian(AbstractNormalNoise):
    r"""$x \sim \mathcal{N}(\eta, \sigma^2)$; `Gaussian.fixed(0.1)` or `Gaussian.learned()`."""

    is_discrete: ClassVar[bool] = False
    has_scale: ClassVar[bool] = True
    is_log: ClassVar[bool] = False

    log_scale: LogScale

    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """Normal about `eta`."""
        return dist.Normal(eta, self._scale_like(eta))


class LogNormal(AbstractNormalNoise):
    r"""$\log x \sim \mathcal{N}(\eta, \sigma^2)$: errors in proportion, $e^\eta$ the median."""

    is_discrete: ClassVar[bool] = False
    has_scale: ClassVar[bool] = True
    is_log: ClassVar[bool] = True

    log_scale: LogScale

    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """Log-normal with median exp(`eta`)."""
        return dist.LogNormal(eta, self._scale_like(eta))


class Laplace(AbstractScaledNoise):
    r"""$p(x) \propto e^{-|x - \eta| / b}$: absolute residuals, tolerant of single outliers."""

    is_discrete: ClassVar[bool] = False

    log_scale: LogScale

    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """Laplace about `eta`."""
        return dist.Laplace(eta, self._scale_like(eta))


class StudentT(AbstractScaledNoise, AbstractCurveNoise):
    r"""Student's t about `eta` with fixed degrees of freedom $\nu$: heavy tails."""

    is_discrete: ClassVar[bool] = False
    has_scale: ClassVar[bool] = True
    is_log: ClassVar[bool] = False

    log_scale: LogScale
    degrees: float = eqx.field(static=True, default=4.0)

    def __check_init__(self):
        if not self.degrees > 2:
            raise ValueError(
                f"{self.degrees} degrees of freedom leave the variance infinite; give more than 2."
            )

    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """Student's t about `eta`."""
        return dist.StudentT(self.degrees, eta, self._scale_like(eta))

    def residual(
        self, x: Float[Array, "*shape"], eta: Float[Array, "*shape"], scale: Float[Array, "..."]
    ) -> Float[Array, "*shape"]:
        r"""$\mathrm{sign}(r) \sqrt{(\nu + 1) \log(1 + r^2 / \nu)}$ with $r = (x - \eta) / s$."""
        r = (x - eta) / _spread_over(scale, x)
        # log(1 + q) / q is smooth at 0, so the square root can be taken of it there
        q = jnp.maximum(r**2 / self.degrees, 1e-12)
        return r * jnp.sqrt((self.degrees + 1) / self.degrees * jnp.log1p(q) / q)

    def information(
        self, eta: Float[Array, "*shape"], scale: Float[Array, "..."]
    ) -> Float[Array, "*shape"]:
        r"""$(\nu + 1) / ((\nu + 3) s^2)$ (Lange, Little and Taylor 1989, appendix B)."""
        share = (self.degrees + 1) / (self.degrees + 3)
        return jnp.broadcast_to(share * _spread_over(scale, eta) ** -2, eta.shape)

    def best_scale(
        self, x: Float[Array, "*row channel"], eta: Float[Array, "*row channel"]
    ) -> Float[Array, " channel"]:
        r"""Expectation-maximisation, $s^2 \leftarrow \mathrm{mean}\,(\nu + 1) r^2 / (\nu + r^2 /
        s^2)$ (Lange, Little and Taylor 1989, section 3)."""
        square, tiny = (x - eta) ** 2, jnp.finfo(eta.dtype).tiny
        variance = _observed_mean(square)
        for _ in range(16):
            size = _spread_over(variance + tiny, square)
            weight = (self.degrees + 1) / (self.degrees + square / size)
            variance = _observed_mean(weight * square)
        return jnp.sqrt(variance)

    def with_scale(self, scale: tuple[float, ...]) -> "StudentT":
        """Student's t noise with these scales."""
        return StudentT(StudentT.fixed(scale).log_scale, self.degrees)


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


class Poisson(AbstractLibraryNoise, AbstractCurveNoise):
    r"""Counts with rate $e^{\eta}$."""

    is_discrete: ClassVar[bool] = True
    has_scale: ClassVar[bool] = False
    is_log: ClassVar[bool] = True

    def distribution(self, eta: Float[Array, "*shape"]) -> dist.Distribution:
        """Poisson with log rate `eta`."""
        # exp(15) is three million: beyond any count that float32 resolves in a likelihood
        return dist.Poisson(jnp.exp(jnp.clip(eta, -15.0, 15.0)))

    def residual(
        self, x: Float[Array, "*shape"], eta: Float[Array, "*shape"], scale: Float[Array, "..."]
    ) -> Float[Array, "*shape"]:
        r"""$\mathrm{sign}(x - \lambda) \sqrt{2 (x \log(x / \lambda) - x + \lambda)}$."""
        rate = jnp.exp(eta)
        logs = jnp.where(x > 0, x * (_log(x) - eta), 0.0)
        deviance = 2 * (logs - x + rate)
        # where the two agree the square root has no slope: there the deviance is its Taylor term
        near = jnp.abs(x - rate) < 1e-3 * jnp.sqrt(rate)
        root = jnp.sqrt(jnp.where(near, 1.0, jnp.maximum(deviance, 1e-12)))
        return jnp.where(near, (x - rate) / jnp.sqrt(rate), jnp.sign(x - rate) * root)

    def information(
        self, eta: Float[Array, "*shape"], scale: Float[Array, "..."]
    ) -> Float[Array, "*shape"]:
        r"""$\lambda = e^\eta$."""
        return jnp.exp(eta)

    def best_scale(
        self, x: Float[Array, "*row channel"], eta: Float[Array, "*row channel"]
    ) -> Float[Array, " channel"]:
        """Ones: the rate is all there is."""
        return jnp.ones(x.shape[-1], eta.dtype)

    def with_scale(self, scale: tuple[float, ...]) -> "Poisson":
        """Itself."""
        return self


def _log(y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The logarithm, steep but finite where a curve touches or crosses zero."""
    return jnp.log(jnp.maximum(y, jnp.finfo(y.dtype).tiny ** 0.5))


def _spread_over(scale: Array, like: Array) -> Array:
    """The scale with as many axes as the observation, in its type."""
    return jnp.broadcast_to(scale.astype(like.dtype), like.shape)


def _observed_mean(each: Float[Array, "*row channel"]) -> Float[Array, " channel"]:
    """The mean over all axes but the channels, of what was observed."""
    observed = ~jnp.isnan(each)
    axes = tuple(range(each.ndim - 1))
    total = jnp.where(observed, each, 0.0).sum(axis=axes)
    return total / jnp.maximum(observed.sum(axis=axes), 1).astype(each.dtype)
