r"""How data are noised over a time, and what a denoiser says of that course.

$x_t = s(t)\,(y + \sigma(t)\, e)$ with $e$ standard normal. A denoiser $D(y; \sigma)$ knows the
level of noise alone, so the published families of diffusion models are one model read in several
ways (Karras et al. 2022, table 1): the scale $s$ and the time are only how a level is reached.
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp

from ._families import AbstractDenoiser
from ._model import (
    Condition,
    Latent,
    Scalar,
)


class AbstractNoising(eqx.Module):
    """The level of noise and the scale of the data over a time from 0 to 1."""

    @abc.abstractmethod
    def sigma(self, t: Scalar) -> Scalar:
        r"""$\sigma(t)$, the deviation of the noise where the data are not scaled."""

    @abc.abstractmethod
    def scale(self, t: Scalar) -> Scalar:
        """$s(t)$, what data and noise are multiplied by."""

    @abc.abstractmethod
    def time(self, sigma: Scalar) -> Scalar:
        r"""The $t$ with this $\sigma(t)$."""


class VP(AbstractNoising):
    r"""The variance-preserving course of DDPM in continuous time: $\beta(t) = \beta_{min} + (
    \beta_{max} - \beta_{min})\, t$ and $s = \exp(-\tfrac12 \int_0^t \beta) = 1/\sqrt{1 + \sigma^2}$
    (Ho et al. 2020; Song et al. 2021, equation 32)."""

    beta_min: float = eqx.field(static=True, default=0.1)
    beta_max: float = eqx.field(static=True, default=20.0)

    def __check_init__(self):
        if not 0 < self.beta_min < self.beta_max:
            raise ValueError(
                f"beta goes from {self.beta_min} to {self.beta_max}; it must begin above 0 and "
                "grow, as from 0.1 to 20."
            )

    def sigma(self, t: Scalar) -> Scalar:
        r"""$\sqrt{e^{\int_0^t \beta} - 1}$."""
        return jnp.sqrt(jnp.expm1(self.beta_min * t + 0.5 * self._growth * t**2))

    def scale(self, t: Scalar) -> Scalar:
        r"""$1 / \sqrt{1 + \sigma(t)^2}$."""
        return jnp.exp(-0.5 * (self.beta_min * t + 0.5 * self._growth * t**2))

    def time(self, sigma: Scalar) -> Scalar:
        r"""The $t$ with this $\sigma(t)$."""
        grown = 2 * self._growth * jnp.log1p(sigma**2)
        # the difference of a root and what it begins with, where nothing cancels
        return grown / (jnp.sqrt(self.beta_min**2 + grown) + self.beta_min) / self._growth

    @property
    def _growth(self) -> float:
        return self.beta_max - self.beta_min


class VE(AbstractNoising):
    r"""The variance-exploding course: $\sigma(t) = \sigma_{min} (\sigma_{max} / \sigma_{min})^t$
    and $s = 1$, the levels of annealed score matching in continuous time (Song and Ermon 2019;
    Song et al. 2021, equation 31)."""

    sigma_min: float = eqx.field(static=True, default=0.01)
    sigma_max: float = eqx.field(static=True, default=50.0)

    def __check_init__(self):
        if not 0 < self.sigma_min < self.sigma_max:
            raise ValueError(
                f"sigma goes from {self.sigma_min} to {self.sigma_max}; it must begin above 0 and "
                "grow, as from 0.01 to 50."
            )

    def sigma(self, t: Scalar) -> Scalar:
        r"""$\sigma_{min} (\sigma_{max} / \sigma_{min})^t$."""
        return self.sigma_min * jnp.exp(self._octaves * t)

    def scale(self, t: Scalar) -> Scalar:
        """1."""
        return jnp.ones_like(t)

    def time(self, sigma: Scalar) -> Scalar:
        r"""The $t$ with this $\sigma(t)$."""
        return jnp.log(sigma / self.sigma_min) / self._octaves

    @property
    def _octaves(self) -> float:
        return math.log(self.sigma_max / self.sigma_min)


def noise_within(
    model: AbstractDenoiser,
    noising: AbstractNoising,
    x: Latent,
    t: Scalar,
    condition: Condition = None,
) -> Latent:
    r"""$\epsilon(x_t, t) = (x_t / s - D(x_t / s; \sigma)) / \sigma$, what DDPM's net predicts (Ho
    et al. 2020, equation 12)."""
    y, sigma = x / noising.scale(t), noising.sigma(t)
    return (y - model.denoise(y, sigma, condition)) / sigma


def score(
    model: AbstractDenoiser,
    noising: AbstractNoising,
    x: Latent,
    t: Scalar,
    condition: Condition = None,
) -> Latent:
    r"""$\nabla \log p_t(x_t) = -\epsilon(x_t, t) / (s \sigma)$ (Song et al. 2021, section 3.3)."""
    spread = noising.scale(t) * noising.sigma(t)
    return -noise_within(model, noising, x, t, condition) / spread


def drift(
    model: AbstractDenoiser,
    noising: AbstractNoising,
    x: Latent,
    t: Scalar,
    condition: Condition = None,
) -> Latent:
    r"""$\frac{dx}{dt} = \frac{\dot s}{s} x - s^2 \dot\sigma \sigma \nabla \log p$, the
    probability-flow equation of any course (Karras et al. 2022, equation 4)."""
    one = jnp.ones_like(t)
    scale, scale_rate = jax.jvp(noising.scale, (t,), (one,))
    _, sigma_rate = jax.jvp(noising.sigma, (t,), (one,))
    noise = noise_within(model, noising, x, t, condition)
    return scale_rate / scale * x + scale * sigma_rate * noise
