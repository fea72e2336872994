"""Latents and their standard scores in float64, each a program that is compiled once."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._latents import Latents


def from_scores(latents: Latents, scores: np.ndarray) -> np.ndarray:
    """The latents `(n, latent)` at standard scores `(n, latent)`."""
    with jax.enable_x64(True):
        return np.asarray(_from(latents, jnp.asarray(scores)))


def to_scores(latents: Latents, z: np.ndarray) -> np.ndarray:
    """The standard scores of latents `(latent,)`, infinite at the end of an interval."""
    with jax.enable_x64(True):
        return np.asarray(_to(latents, jnp.asarray(z)))


def drawn(latents: Latents, seed: int) -> np.ndarray:
    """Latents drawn from their prior `(latent,)`; the same seed draws the same."""
    with jax.enable_x64(True):
        return np.asarray(_drawn(latents, jnp.asarray(seed)))


@eqx.filter_jit
def _from(latents: Latents, scores: Array) -> Array:
    return jax.vmap(latents.from_normal)(scores)


@eqx.filter_jit
def _to(latents: Latents, z: Array) -> Array:
    return latents.to_normal(z)


@eqx.filter_jit
def _drawn(latents: Latents, seed: Array) -> Array:
    return latents.sample(jax.random.key(seed))
