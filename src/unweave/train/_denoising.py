r"""What denoisers are fitted to: the mean squared error at levels of noise, drawn and weighed.

$$L = \mathbb{E}_{y, \sigma, e}\; w(\sigma)\, \tfrac1d\, |D(y + \sigma e; \sigma) - y|^2$$

With the score $s = (D - y)/\sigma^2$ and the noise $\epsilon = (y - D)/\sigma$ that a denoiser
stands for, score matching and noise prediction are this loss under other weights; only how the
levels are drawn, and how they weigh, tells one published objective from another.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._families import AbstractDenoiser
from .._model import Key
from .._noising import AbstractNoising
from ._flow_objectives import _coordinates
from ._objectives import Objective, Rows, Step, parts

Levels: TypeAlias = Float[Array, " batch"]
#: So many levels of noise, drawn by a key for a model.
DrawLevels: TypeAlias = Callable[[Key, int, AbstractDenoiser], Levels]
#: What the squared error at each level counts, for a model.
WeighLevels: TypeAlias = Callable[[Levels, AbstractDenoiser], Levels]

# Karras et al. (2022), table 1: mean and deviation of the logarithm of the level over 2 sigma_data
_MEAN, _STD = -1.2, 1.2
# Song et al. (2021), appendix C: before this time there is too little noise to divide by
_EARLIEST = 1e-5


def denoising(levels: DrawLevels, weight: WeighLevels, *, hide: float = 0.0) -> Objective:
    r"""$\mathbb{E}\, w(\sigma)\, |D(y + \sigma e; \sigma) - y|^2 / d$ at levels that `levels` draws
    and `weight` weighs (Karras et al. 2022, equation 2); of a share `hide` of the observations the
    condition is hidden (Ho and Salimans 2022, algorithm 1)."""
    if not 0 <= hide < 1:
        raise ValueError(f"a share of {hide} was to be hidden; give one from 0 to below 1.")

    def objective(model: AbstractDenoiser, batch: Rows, key: Key, step: Step):
        x, conditions = parts(batch)
        fill_key, level_key, noise_key, hide_key = jax.random.split(key, 4)
        y = _coordinates(model, x, fill_key)
        sigma = levels(level_key, len(y), model)
        noised = y + sigma[:, None] * jax.random.normal(noise_key, y.shape, y.dtype)
        if hide and conditions is not None:
            away = jax.random.bernoulli(hide_key, hide, (len(y),))
            conditions = jax.vmap(model.hidden)(conditions, away)
        error = (jax.vmap(model.denoise)(noised, sigma, conditions) - y) ** 2
        return (weight(sigma, model) * error.mean(-1)).mean(), {}

    return objective


def edm(*, mean: float = _MEAN, std: float = _STD, hide: float = 0.1) -> Objective:
    r"""Levels with $\ln(\sigma / 2 \sigma_d)$ normal and the weight $\lambda = (\sigma^2 +
    \sigma_d^2) / (\sigma \sigma_d)^2$, under which the net's own error counts alike at all levels
    (Karras et al. 2022, equation 8 and table 1, whose numbers are for $\sigma_d = \tfrac12$)."""

    def levels(key: Key, n: int, model: AbstractDenoiser) -> Levels:
        scores = jax.scipy.special.ndtri(_even(key, n))
        return 2 * model.sigma_data * jnp.exp(mean + std * scores)

    def weight(sigma: Levels, model: AbstractDenoiser) -> Levels:
        return 1 / sigma**2 + 1 / model.sigma_data**2

    return denoising(levels, weight, hide=hide)


def denoising_score_matching(sigma: float) -> Objective:
    r"""$\tfrac12 \mathbb{E}\, |s(y + \sigma e) + e / \sigma|^2 / d$ at one level (Vincent 2011,
    equation 9): the weight $1 / (2 \sigma^4)$."""
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}; it must be positive.")
    return denoising(lambda key, n, model: jnp.full(n, sigma), lambda s, model: 0.5 / s**4)


def annealed_score_matching(levels: int = 32, *, hide: float = 0.0) -> Objective:
    r"""Denoising score matching at one of so many levels, in even ratios from the model's largest
    to its smallest, each weighed by $\sigma^2$ (Song and Ermon 2019, equations 5 and 6)."""
    if levels < 2:
        raise ValueError(
            f"{levels} levels were asked for; noise falls from one to the next, give 2."
        )

    def draw(key: Key, n: int, model: AbstractDenoiser) -> Levels:
        step = math.log(model.sigma_max / model.sigma_min) / (levels - 1)
        which = jax.random.randint(key, (n,), 0, levels).astype(jnp.float32)
        return model.sigma_min * jnp.exp(step * which)

    return denoising(draw, lambda sigma, model: 0.5 / sigma**2, hide=hide)


def noise_prediction(noising: AbstractNoising, *, hide: float = 0.0) -> Objective:
    r"""$\mathbb{E}\, |\epsilon(x_t, t) - e|^2 / d$ at even times (Ho et al. 2020, equation 14, in
    continuous time): the weight $1 / \sigma^2$. It is the score matching of Song et al. (2021,
    equation 7) with $\lambda(t) = (s \sigma)^2$."""

    def levels(key: Key, n: int, model: AbstractDenoiser) -> Levels:
        return jax.vmap(noising.sigma)(_EARLIEST + (1 - _EARLIEST) * _even(key, n))

    return denoising(levels, lambda sigma, model: 1 / sigma**2, hide=hide)


def _even(key: Key, n: int) -> Levels:
    """Numbers between 0 and 1, each uniform, and together evenly spread (Kingma et al. 2021,
    appendix I.1): the loss of a batch then varies less with its levels."""
    # an offset within its cell, so that neither 0 nor 1 is met
    offset = jax.random.uniform(key, (), minval=1e-4, maxval=1 - 1e-4)
    return (jnp.arange(n, dtype=jnp.float32) + offset) / n
