r"""What models with a posterior share: how an observation enters a net and leaves it, and the
evidence lower bound."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._model import (
    AbstractPosterior,
    Condition,
    Key,
    Latent,
    Observation,
    Scalar,
    gaussian_kl,
)
from .._noise import AbstractNoise
from ..data import Scale
from ._real import real

# e^-8 < std < e^8: beyond, float32 no longer resolves the KL of a standard normal
_LOG_STD = 8.0


def bounded(log_std: Array) -> Array:
    """The log standard deviation of a posterior, within what float32 resolves."""
    return jnp.clip(log_std, -_LOG_STD, _LOG_STD)


def evidence_bound(
    model: AbstractPosterior, x: Observation, condition: Condition, *, draws: int, key: Key | None
) -> Scalar:
    r"""$\mathbb{E}_{q(z|x)} \log p(x \mid z) - \mathrm{KL}(q(z \mid x) \,\|\, p(z))$ (Kingma and
    Welling 2014, equation 3) by so many `draws`, fixed ones without a key."""
    mean, log_std = model.posterior(x, condition)
    if key is None:
        e = jnp.asarray(fixed_draws(draws, mean.size), mean.dtype)
    else:
        e = jax.random.normal(key, (draws, mean.size), mean.dtype)

    def at(e: Latent) -> Scalar:
        z = model.latents.from_white(mean + jnp.exp(log_std) * e)
        return model.log_likelihood(x, z, condition)

    return jax.vmap(at)(e).mean() - gaussian_kl(mean, log_std).sum()


def fixed_draws(draws: int, size: int) -> np.ndarray:
    """Normal draws in pairs of opposite sign, of variance one in each latent.

    With them the estimate is exact wherever the log-likelihood is quadratic in one latent at a
    time, so what error is left is not the same one for every observation.
    """
    half = np.random.default_rng(0).standard_normal((-(-draws // 2), size))
    half /= np.sqrt((half**2).mean(axis=0))
    return np.concatenate([half, -half])


def network_input(x: Observation, scale: Scale) -> Observation:
    """`x` as a net takes it."""
    scaled = scale.apply(real(x))
    # what was not observed enters as the scaled mean, zero
    return jnp.where(jnp.isnan(scaled), 0, scaled)


def emit(eta: Observation, noise: AbstractNoise, scale: Scale, key: Key | None) -> Observation:
    """What is expected of an observation, or with a key a draw, in the user's units."""
    scaled = noise.mean(eta) if key is None else noise.sample(key, eta)
    return scale.undo(scaled)


def observation_log_likelihood(
    x: Observation, eta: Observation, noise: AbstractNoise, scale: Scale
) -> Scalar:
    r"""$\log p(x \mid \eta)$ in nats, in the units of `x`."""
    log_prob = noise.log_prob(scale.apply(real(x)), eta)
    # a change of units changes a density, and leaves a probability as it is
    return log_prob if noise.is_discrete else log_prob - scale.log_volume(real(x))
