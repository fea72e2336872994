r"""Diffusion models: a denoiser of data at every level of noise, and the course that it sets.

The denoiser stands around a net $F$ whose input and target have variance one at every level,

$$D(y; \sigma) = \frac{\sigma_d^2}{r^2}\, y + \frac{\sigma \sigma_d}{r}\, F\!\left(\frac{y}{r},
\tfrac14 \ln \sigma\right), \qquad r^2 = \sigma^2 + \sigma_d^2$$

(Karras et al. 2022, equation 7 and table 1). The probability-flow equation $\frac{dy}{d\sigma} =
(y - D(y; \sigma)) / \sigma$ (equation 3) then reads, for $u = y / r$ and the angle $\theta =
\arctan(\sigma / \sigma_d)$,

$$\frac{du}{d\theta} = -F(u, \tfrac14 \ln \sigma),$$

since $\frac{dr}{d\sigma} = \sigma / r$ and $\frac{d\theta}{d\sigma} = \sigma_d / r^2$. So the
net is a velocity, points keep their size along the way, and where the data are white nothing moves
at all. Heun's method is taken in these coordinates: on the same levels its mean error is a third
of that in $y$ and $\sigma$.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from ..._course import Course
from ..._families import AbstractDenoiser
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
from ..._transport import MOST_EXACT, Motion, estimated_growth, exact_growth, transport
from ...data import Scale
from .._given import AbstractTold, Given
from .._pca import PCA
from .._real import real
from ..flows._gaps import flat_coordinates, log_density_with_gaps

#: What the net is told: one code, or two between which it is guided.
Codes: TypeAlias = tuple[Float[Array, " code"], ...]
# Karras et al. (2022), equation 5: how the levels crowd at the data's end
_RHO = 7.0


class Diffusion(AbstractDecoder, AbstractEncoder, AbstractDensity, AbstractDenoiser, AbstractTold):
    r"""A diffusion model. Latents times `sigma_max` are where the probability-flow equation begins;
    it ends at `sigma_min`, so observations, codes and densities are those of the data with noise
    of that deviation (in scaled units) on top.

    **Arguments:** `latents`, standard normal, as many as an observation has numbers; `net`, $F$
    `(u, noise, code)` of flat numbers, a quarter of the logarithm of the level, and what is known
    beside an observation; `scale`, from the user's units to the net's and back; `reference`, the
    Gaussian that stands in for what was not observed; `shape` of an observation; `given`, how a
    condition enters the net, if it may; `sigma_data`, $\sigma_d$, the deviation of scaled data;
    `steps` from noise to data; `churn`, $S_{churn}$, the noise that a draw adds on the way;
    `guidance`, $w$ of $D = D_{none} + w\,(D_{given} - D_{none})$ (Ho and Salimans 2022); and as
    for flows `tolerance`, `draws` and `probes`.
    """

    density_kind: ClassVar[DensityKind] = "estimate"

    latents: Latents
    net: Callable
    scale: Scale
    reference: PCA
    shape: tuple[int, ...] = eqx.field(static=True)
    given: Given | None = None
    sigma_data: float = eqx.field(static=True, default=1.0)
    sigma_min: float = eqx.field(static=True, default=0.002)
    sigma_max: float = eqx.field(static=True, default=80.0)
    steps: int = eqx.field(static=True, default=32)
    churn: float = eqx.field(static=True, default=0.0)
    guidance: float = eqx.field(static=True, default=1.0)
    tolerance: float = eqx.field(static=True, default=1e-5)
    draws: int = eqx.field(static=True, default=32)
    probes: int = eqx.field(static=True, default=8)

    def __check_init__(self):
        if not self.latents.are_standard or self.latents.size != math.prod(self.shape):
            raise ValueError(
                f"a diffusion model of observations of shape {self.shape} needs Latents.standard("
                f"{math.prod(self.shape)}), as many as an observation has numbers."
            )
        if not 0 < self.sigma_min < self.sigma_max or not self.sigma_data > 0:
            raise ValueError(
                f"noise goes from {self.sigma_min} to {self.sigma_max} for data of deviation "
                f"{self.sigma_data}; all must be positive, the first below the second."
            )
        if self.steps < 1 or self.churn < 0:
            raise ValueError(
                f"{self.steps} steps with a churn of {self.churn} were asked for; give at least 1 "
                "step and a churn of 0 or more."
            )

    def coordinates(self, x: Observation, *, key: Key | None = None) -> Latent:
        """`x` scaled and laid out flat, its gaps filled in by the reference."""
        return flat_coordinates(self.reference, self.scale, x, key)

    def hidden(self, condition: Condition, away: Array) -> Condition:
        """The condition, or where `away` holds one that says nothing."""
        return condition if self.given is None else self.given.hidden(condition, away)

    def denoise(self, y: Latent, sigma: Scalar, condition: Condition = None) -> Latent:
        r"""$D(y; \sigma)$ as it was trained, in scaled units."""
        return self._denoised(y, sigma, (self._code(condition),))

    def guided(self, y: Latent, sigma: Scalar, condition: Condition = None) -> Latent:
        r"""$D_{none} + w\,(D_{given} - D_{none})$, which samples, codes and densities follow."""
        return self._denoised(y, sigma, self._codes(condition))

    def score(self, y: Latent, sigma: Scalar, condition: Condition = None) -> Latent:
        r"""$\nabla \log p(y; \sigma) = (D(y; \sigma) - y) / \sigma^2$, in scaled units (Karras et
        al. 2022, equation 3)."""
        return (self.guided(y, sigma, condition) - y) / sigma**2

    def levels(self, steps: int) -> np.ndarray:
        r"""From `sigma_max` to `sigma_min`, the seventh roots evenly spaced (Karras et al. 2022,
        equation 5)."""
        roots = np.linspace(self.sigma_max ** (1 / _RHO), self.sigma_min ** (1 / _RHO), steps + 1)
        return roots**_RHO

    def sampling(
        self,
        *,
        steps: int | None = None,
        churn: float | None = None,
        guidance: float | None = None,
    ) -> "Diffusion":
        """The same model with another way to a sample; what is not given stays as it is."""
        changed = {"steps": steps, "churn": churn, "guidance": guidance}
        return replace(self, **{k: v for k, v in changed.items() if v is not None})

    # compiled here, so that a call outside any jit does not trace the solver anew
    @eqx.filter_jit
    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """The observation that `z` is carried to, by Heun's method on the levels; with a key and a
        churn the noise that is added on the way is drawn (Karras et al. 2022, algorithm 2)."""
        levels = jnp.asarray(self.levels(self.steps), z.dtype)
        codes, chance = self._codes(condition), key is not None and self.churn > 0
        more = min(self.churn / self.steps, math.sqrt(2) - 1) if chance else 0.0

        def step(y: Latent, here: tuple[Scalar, Scalar, Key]) -> tuple[Latent, None]:
            level, after, key = here
            raised = (1 + more) * level
            if chance:
                e = jax.random.normal(key, y.shape, y.dtype)
                y = y + jnp.sqrt(raised**2 - level**2) * e
            return self._heun(y, raised, after, codes), None

        keys = jax.random.split(jax.random.key(0) if key is None else key, self.steps)
        y, _ = jax.lax.scan(step, self.sigma_max * z, (levels[:-1], levels[1:], keys))
        return self.scale.undo(y.reshape(self.shape))

    @eqx.filter_jit
    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """The latents that are carried to `x`, by the same steps backwards; what was not observed
        is filled in by the reference, with a key by a draw."""
        y, codes = self.coordinates(x, key=key), self._codes(condition)
        levels = jnp.asarray(self.levels(self.steps)[::-1].copy(), y.dtype)

        def step(y: Latent, here: tuple[Scalar, Scalar]) -> tuple[Latent, None]:
            return self._heun(y, *here, codes), None

        return jax.lax.scan(step, y, (levels[:-1], levels[1:]))[0] / self.sigma_max

    @eqx.filter_jit
    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""$\log p(x; \sigma_{min})$ by the growth of volume along the way (Song et al. 2021,
        equation 39), exact in up to 64 numbers and estimated by random directions in more; where
        something was not observed, by importance sampling."""
        trace_key, draw_key = jax.random.split(jax.random.key(0) if key is None else key)

        def density(x: Observation) -> Scalar:
            return self._densities(x[None], condition, trace_key)[0]

        return log_density_with_gaps(density, self.reference, real(x), self.draws, draw_key)

    @eqx.filter_jit
    def log_densities(
        self, xs: Num[Array, "n ..."], condition: Condition = None, *, key: Key | None = None
    ) -> Float[Array, " n"]:
        """`log_density` of many whole observations under one condition, which share the solver's
        steps: several times faster. NaN for all if an entry was not observed."""
        chance = jax.random.key(0) if key is None else key
        return self._densities(real(xs), condition, jax.random.split(chance)[0])

    def _densities(
        self, xs: Float[Array, "n ..."], condition: Condition, key: Key
    ) -> Float[Array, " n"]:
        """Of whole observations."""
        low, high = (
            math.hypot(sigma, self.sigma_data) for sigma in (self.sigma_min, self.sigma_max)
        )
        y = jax.vmap(self.scale.apply)(xs).reshape(len(xs), -1)
        velocity = eqx.Partial(_velocity, self, self._codes(condition))
        begin, end = math.log(self.sigma_min), math.log(self.sigma_max)
        growth = eqx.Partial(_growth, self.probes, velocity, key)
        u, grown = transport(Motion(velocity, growth, begin, end, self.tolerance), y / low)
        z = u * (high / self.sigma_max)
        normal = -0.5 * (z**2 + math.log(2 * math.pi)).sum(-1)
        volume = self.latents.size * math.log(high / (self.sigma_max * low))
        return normal + grown + volume - jax.vmap(self.scale.log_volume)(xs)

    def _heun(self, y: Latent, level: Scalar, after: Scalar, codes: Codes) -> Latent:
        """One step from one level to another."""
        u = y / self._spread(level)
        width = jnp.arctan(after / self.sigma_data) - jnp.arctan(level / self.sigma_data)
        slope = -self._read(u, level, codes)
        end = -self._read(u + width * slope, after, codes)
        return self._spread(after) * (u + 0.5 * width * (slope + end))

    def _spread(self, sigma: Scalar) -> Scalar:
        return jnp.sqrt(sigma**2 + self.sigma_data**2)

    def _denoised(self, y: Latent, sigma: Scalar, codes: Codes) -> Latent:
        spread = self._spread(sigma)
        f = self._read(y / spread, sigma, codes)
        return (self.sigma_data / spread) ** 2 * y + sigma * self.sigma_data / spread * f

    def _read(self, u: Latent, sigma: Scalar, codes: Codes) -> Latent:
        """$F$ under a code, or with the guidance from one code to another: $D$ is affine in it."""
        noise = 0.25 * jnp.log(sigma)
        if len(codes) == 1:
            return self.net(u, noise, codes[0])
        alone, told = (self.net(u, noise, code) for code in codes)
        return alone + self.guidance * (told - alone)

    def _codes(self, condition: Condition) -> Codes:
        """What a condition tells the net, and before it, where there is guidance, what nothing
        does."""
        code = self._code(condition)
        if self.guidance == 1 or _says_nothing(condition):
            return (code,)
        return (self._code(None), code)

    def _code(self, condition: Condition) -> Float[Array, " code"]:
        if self.given is not None:
            return self.given.code(condition).astype(jnp.float32)
        if not _says_nothing(condition):
            raise ValueError(
                "this diffusion model was told nothing beside its observations, so it takes no "
                'condition; leave it out, or fit one with diffusion(given="label").'
            )
        return jnp.zeros(0)


def _says_nothing(condition: Condition) -> bool:
    # the times of a series are those of its schema, and nothing that the net is told of
    return condition is None or isinstance(condition, Course)


def _velocity(model: Diffusion, codes: Codes, u: Latent, t: Scalar) -> Latent:
    r"""$du / d \ln \sigma$, a time in which what happens is spread evenly."""
    sigma = jnp.exp(t)
    turn = sigma * model.sigma_data / (sigma**2 + model.sigma_data**2)
    return -turn * model._read(u, sigma, codes)


def _growth(probes: int, velocity: Callable, key: Key, u: Latent, t: Scalar) -> Scalar:
    """The trace of the velocity's slope, exact in few numbers."""
    if u.size <= MOST_EXACT:
        return exact_growth(velocity, u, t)
    return estimated_growth(velocity, jax.random.rademacher(key, (probes, u.size), u.dtype), u, t)
