r"""Exact transition densities: $p(x_{t+h} \mid x_t)$ of the stochastic equations that have one.

Each is its parameters and four formulas about one state: the log-density, the mean and the
variance of the state after a time $h$, and a draw of it. No step size enters, so that a gap in
a record costs nothing but the time that it lasts.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import gammainc, gammaln, logsumexp, xlogy

from ..._model import Key, Scalar
from ._bessel import log_bessel_scaled

#: So many jumps in one step, less one, are counted; see `JumpDiffusion.left_out`.
JUMPS = 40


class AbstractTransition(eqx.Module):
    r"""The law of $x_{t+h}$ given $x_t = x$, for one state and any $h > 0$."""

    @abc.abstractmethod
    def log_density(self, later: Scalar, x: Scalar, h: Scalar) -> Scalar:
        """The log-density of `later` in nats, a time `h` after `x`; -inf where it cannot be."""

    @abc.abstractmethod
    def mean(self, x: Scalar, h: Scalar) -> Scalar:
        r"""$\mathbb{E}[x_{t+h} \mid x_t = x]$."""

    @abc.abstractmethod
    def variance(self, x: Scalar, h: Scalar) -> Scalar:
        r"""$\mathrm{Var}[x_{t+h} \mid x_t = x]$."""

    @abc.abstractmethod
    def draw(self, x: Scalar, h: Scalar, *, key: Key) -> Scalar:
        r"""A draw of $x_{t+h}$ given $x_t = x$."""


class ArithmeticBrownian(AbstractTransition):
    r"""$dx = \mu\,dt + \sigma\,dW$: $x_{t+h} \sim \mathcal{N}(x + \mu h, \sigma^2 h)$ (Bachelier
    1900)."""

    drift: Scalar
    volatility: Scalar

    def log_density(self, later: Scalar, x: Scalar, h: Scalar) -> Scalar:
        """The normal log-density."""
        return _log_normal(later, self.mean(x, h), self.variance(x, h))

    def mean(self, x: Scalar, h: Scalar) -> Scalar:
        r"""$x + \mu h$."""
        return x + self.drift * h

    def variance(self, x: Scalar, h: Scalar) -> Scalar:
        r"""$\sigma^2 h$."""
        return self.volatility**2 * h

    def draw(self, x: Scalar, h: Scalar, *, key: Key) -> Scalar:
        """A normal draw."""
        return _draw_normal(self.mean(x, h), self.variance(x, h), key)


class OrnsteinUhlenbeck(AbstractTransition):
    r"""$dx = (a - b x)\,dt + \sigma\,dW$, with the level $a / b$ (Uhlenbeck and Ornstein 1930,
    Phys. Rev. 36:823; Vasicek 1977).

    $x_{t+h} \sim \mathcal{N}\big(x e^{-bh} + a h \phi(bh),\ \sigma^2 h\,\phi(2bh)\big)$ with
    $\phi(y) = (1 - e^{-y}) / y$, for any sign of $b$, and for $b = 0$ too.
    """

    intercept: Scalar
    reversion: Scalar
    volatility: Scalar

    def log_density(self, later: Scalar, x: Scalar, h: Scalar) -> Scalar:
        """The normal log-density."""
        return _log_normal(later, self.mean(x, h), self.variance(x, h))

    def mean(self, x: Scalar, h: Scalar) -> Scalar:
        r"""$x e^{-bh} + a h \phi(bh)$."""
        return _reverted(x, self.intercept, self.reversion, h)

    def variance(self, x: Scalar, h: Scalar) -> Scalar:
        r"""$\sigma^2 h\,\phi(2bh)$."""
        return self.volatility**2 * h * _phi(2 * self.reversion * h)

    def draw(self, x: Scalar, h: Scalar, *, key: Key) -> Scalar:
        """A normal draw."""
        return _draw_normal(self.mean(x, h), self.variance(x, h), key)


class GeometricBrownian(AbstractTransition):
    r"""$dx = \mu x\,dt + \sigma x\,dW$: $\log x$ is an arithmetic Brownian motion of drift $\mu -
    \sigma^2 / 2$ (Samuelson 1965; Black and Scholes 1973)."""

    drift: Scalar
    volatility: Scalar

    @property
    def of_log(self) -> ArithmeticBrownian:
        r"""The motion of $\log x$."""
        return ArithmeticBrownian(self.drift - 0.5 * self.volatility**2, self.volatility)

    def log_density(self, later: Scalar, x: Scalar, h: Scalar) -> Scalar:
        """The log-normal log-density."""
        return _density_through_log(self.of_log, later, x, h)

    def mean(self, x: Scalar, h: Scalar) -> Scalar:
        r"""$x e^{\mu h}$."""
        return x * jnp.exp(self.drift * h)

    def variance(self, x: Scalar, h: Scalar) -> Scalar:
        r"""$x^2 e^{2 \mu h} (e^{\sigma^2 h} - 1)$."""
        return self.mean(x, h) ** 2 * jnp.expm1(self.volatility**2 * h)

    def draw(self, x: Scalar, h: Scalar, *, key: Key) -> Scalar:
        """A log-normal draw."""
        return x * jnp.exp(self.of_log.draw(jnp.zeros_like(x), h, key=key))


class CIR(AbstractTransition):
    r"""$dx = (a - b x)\,dt + \sigma \sqrt x\,dW$ with $a > 0$ (Feller 1951; Cox, Ingersoll and
    Ross 1985, Econometrica 53:385).

    $2 c\,x_{t+h}$ is noncentral chi-square with $2(q + 1)$ degrees of freedom and noncentrality
    $2u$, where $c = 2 / (\sigma^2 h\,\phi(bh))$, $u = c x e^{-bh}$ and $q = 2a / \sigma^2 - 1$:
    with $v = c\,x_{t+h}$, $p = c\,e^{-u - v} (v/u)^{q/2} I_q(2 \sqrt{uv})$. The process reaches
    zero where $q < 0$, and is reflected there.
    """

    intercept: Scalar
    reversion: Scalar
    volatility: Scalar

    def log_density(self, later: Scalar, x: Scalar, h: Scalar) -> Scalar:
        r"""$\log c - (\sqrt u - \sqrt v)^2 + q \log v + \log\big((z/2)^{-q} e^{-z} I_q(z)\big)$
        with $z = 2 \sqrt{uv}$: no two large numbers cancel, and nothing overflows."""
        scale, order = self._scale(h), self._order()
        possible = (later > 0) & (x >= 0) & (order > -1)
        order = jnp.where(possible, order, 0.0)
        v = scale * jnp.where(possible, later, 1.0)
        u = scale * jnp.where(possible, x, 1.0) * jnp.exp(-self.reversion * h)
        # the root's slope at u = 0 is infinite and belongs to a product that is zero there
        roots = jnp.where(u > 0, jnp.sqrt(jnp.where(u > 0, u, 1.0)), 0.0), jnp.sqrt(v)
        bessel = log_bessel_scaled(order, 2 * roots[0] * roots[1])
        value = jnp.log(scale) - (roots[0] - roots[1]) ** 2 + order * jnp.log(v) + bessel
        return jnp.where(possible, value, -jnp.inf)

    def mean(self, x: Scalar, h: Scalar) -> Scalar:
        r"""$x e^{-bh} + a h \phi(bh)$."""
        return _reverted(x, self.intercept, self.reversion, h)

    def variance(self, x: Scalar, h: Scalar) -> Scalar:
        r"""$\sigma^2 h\,\phi(bh) \big(x e^{-bh} + \tfrac12 a h\,\phi(bh)\big)$."""
        y = self.reversion * h
        half = 0.5 * self.intercept * h * _phi(y)
        return self.volatility**2 * h * _phi(y) * (x * jnp.exp(-y) + half)

    def draw(self, x: Scalar, h: Scalar, *, key: Key) -> Scalar:
        r"""$x_{t+h} = G / c$ with $G$ of the gamma law of shape $q + 1 + N$, $N$ of Poisson's law
        of mean $u$: the noncentral chi-square as a mixture."""
        count_key, gamma_key = jax.random.split(key)
        u = self._scale(h) * x * jnp.exp(-self.reversion * h)
        shape = self._order() + 1 + poisson(u, key=count_key)
        return jax.random.gamma(gamma_key, shape, dtype=shape.dtype) / self._scale(h)

    def _scale(self, h: Scalar) -> Scalar:
        return 2 / (self.volatility**2 * h * _phi(self.reversion * h))

    def _order(self) -> Scalar:
        return 2 * self.intercept / self.volatility**2 - 1


class JumpDiffusion(AbstractTransition):
    r"""$dx = \mu\,dt + \sigma\,dW + J\,dN$: an arithmetic Brownian motion that jumps, $\lambda$
    times in a unit of time, by $J \sim \mathcal{N}(m, s^2)$: Merton's law of the log-price.

    $p = \sum_k e^{-\lambda h} (\lambda h)^k / k!\ \mathcal{N}(x_{t+h};\ x + \mu h + k m,\
    \sigma^2 h + k s^2)$, of which the terms with fewer than 40 jumps are summed. What they leave
    out is `left_out`, a probability: 7e-16 for 8 jumps expected in a step, 5e-5 for 20. The
    density is too small by it and never too large, so that no fit runs away there.
    """

    drift: Scalar
    volatility: Scalar
    rate: Scalar
    mark_mean: Scalar
    mark_std: Scalar

    def log_density(self, later: Scalar, x: Scalar, h: Scalar) -> Scalar:
        """The log-density of the mixture."""
        k = jnp.arange(JUMPS, dtype=x.dtype)
        mean = self.drift * h + k * self.mark_mean
        variance = self.volatility**2 * h + k * self.mark_std**2
        return logsumexp(log_counts(self.rate * h, k) + _log_normal(later - x, mean, variance))

    def left_out(self, h: Scalar) -> Scalar:
        """The probability of as many jumps within `h` as are not counted."""
        return gammainc(jnp.asarray(JUMPS, h.dtype), self.rate * h)

    def cumulants(self, h: Scalar) -> tuple[Scalar, Scalar, Scalar, Scalar]:
        r"""The first four cumulants of $x_{t+h} - x_t$: those of the normal part, plus $\lambda
        h\,\mathbb{E}[J^n]$. The excess kurtosis is the fourth over the second squared."""
        n, m, v = self.rate * h, self.mark_mean, self.mark_std**2
        first = self.drift * h + n * m
        second = self.volatility**2 * h + n * (m**2 + v)
        return first, second, n * (m**3 + 3 * m * v), n * (m**4 + 6 * m**2 * v + 3 * v**2)

    def mean(self, x: Scalar, h: Scalar) -> Scalar:
        r"""$x + (\mu + \lambda m) h$."""
        return x + self.cumulants(h)[0]

    def variance(self, x: Scalar, h: Scalar) -> Scalar:
        r"""$\big(\sigma^2 + \lambda (m^2 + s^2)\big) h$."""
        return self.cumulants(h)[1]

    def draw(self, x: Scalar, h: Scalar, *, key: Key) -> Scalar:
        """How many jumps, then a normal draw."""
        count_key, normal_key = jax.random.split(key)
        k = poisson(self.rate * h, key=count_key)
        variance = self.volatility**2 * h + k * self.mark_std**2
        return _draw_normal(x + self.drift * h + k * self.mark_mean, variance, normal_key)


class Merton(AbstractTransition):
    r"""$dx = \mu x\,dt + \sigma x\,dW + x (e^J - 1)\,dN$ with $J \sim \mathcal{N}(m, s^2)$ and
    $\lambda$ jumps in a unit of time: $\log x$ is a `JumpDiffusion` of drift $\mu - \sigma^2/2$
    (Merton 1976, J. Financial Economics 3:125). The drift is not compensated for the jumps."""

    drift: Scalar
    volatility: Scalar
    rate: Scalar
    mark_mean: Scalar
    mark_std: Scalar

    @property
    def of_log(self) -> JumpDiffusion:
        r"""The motion of $\log x$."""
        drift = self.drift - 0.5 * self.volatility**2
        return JumpDiffusion(drift, self.volatility, self.rate, self.mark_mean, self.mark_std)

    def log_density(self, later: Scalar, x: Scalar, h: Scalar) -> Scalar:
        """The log-density of the mixture, in the price."""
        return _density_through_log(self.of_log, later, x, h)

    def mean(self, x: Scalar, h: Scalar) -> Scalar:
        r"""$x \exp\big((\mu + \lambda (e^{m + s^2/2} - 1)) h\big)$."""
        return x * jnp.exp(self._growth(1, h))

    def variance(self, x: Scalar, h: Scalar) -> Scalar:
        r"""$\mathbb{E}[x_{t+h}^2] - \mathbb{E}[x_{t+h}]^2$, the second moment from the
        characteristic exponent of the log-price."""
        excess = self._growth(2, h) - 2 * self._growth(1, h)
        return self.mean(x, h) ** 2 * jnp.expm1(excess)

    def draw(self, x: Scalar, h: Scalar, *, key: Key) -> Scalar:
        """The exponential of a draw of the log-price."""
        return x * jnp.exp(self.of_log.draw(jnp.zeros_like(x), h, key=key))

    def _growth(self, n: int, h: Scalar) -> Scalar:
        r"""$\log \mathbb{E}[(x_{t+h} / x)^n]$."""
        jump = jnp.expm1(n * self.mark_mean + 0.5 * (n * self.mark_std) ** 2)
        smooth = n * self.drift + 0.5 * n * (n - 1) * self.volatility**2
        return (smooth + self.rate * jump) * h


def poisson(mean: Scalar, *, key: Key) -> Scalar:
    """A draw of Poisson's law, as a float; of a key of any kind, where JAX's own takes one."""
    plain = jax.random.wrap_key_data(jax.random.bits(key, (2,), jnp.uint32), impl="threefry2x32")
    return jax.random.poisson(plain, mean, dtype=jnp.int32).astype(mean.dtype)


def log_counts(expected: Scalar, k: jax.Array) -> jax.Array:
    """The log-probabilities of `k` jumps where so many are `expected`."""
    return xlogy(k, expected) - expected - gammaln(k + 1)


def _phi(y: Scalar) -> Scalar:
    r"""$(1 - e^{-y}) / y$, and 1 at 0, with its derivatives."""
    near = jnp.abs(y) < 1e-3
    far = jnp.where(near, 1.0, y)
    return jnp.where(near, 1 - y / 2 + y**2 / 6 - y**3 / 24, -jnp.expm1(-far) / far)


def _reverted(x: Scalar, intercept: Scalar, reversion: Scalar, h: Scalar) -> Scalar:
    """The mean of a state with the drift `intercept - reversion * x`."""
    y = reversion * h
    return x * jnp.exp(-y) + intercept * h * _phi(y)


def _log_normal(x: jax.Array, mean: jax.Array, variance: jax.Array) -> jax.Array:
    return -0.5 * ((x - mean) ** 2 / variance + jnp.log(2 * jnp.pi * variance))


def _draw_normal(mean: Scalar, variance: Scalar, key: Key) -> Scalar:
    return mean + jnp.sqrt(variance) * jax.random.normal(key, mean.shape, mean.dtype)


def _density_through_log(of_log: AbstractTransition, later: Scalar, x: Scalar, h: Scalar) -> Scalar:
    """The density of a state whose logarithm moves by `of_log`; none below zero."""
    possible = (later > 0) & (x > 0)
    log_later = jnp.log(jnp.where(possible, later, 1.0))
    log_x = jnp.log(jnp.where(possible, x, 1.0))
    return jnp.where(possible, of_log.log_density(log_later, log_x, h) - log_later, -jnp.inf)
