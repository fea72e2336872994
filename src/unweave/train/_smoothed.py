r"""What a denoising density estimator and its generator are fitted to (Bigdeli et al. 2020)."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._model import AbstractSmoothed, Key
from ._flow_objectives import _coordinates
from ._objectives import Batch, Loss, Objective, PairObjective, Step


def denoising_density() -> Objective:
    r"""$\mathbb{E}\, |\sigma \nabla s(y + \sigma e) + e|^2 / d$ (Bigdeli et al. 2020, equation 5,
    times $\sigma^2$), which is least where $s$ is the logarithm of the data's density smoothed by
    the noise, up to a constant."""

    def objective(model: AbstractSmoothed, x: Batch, key: Key, step: Step):
        fill_key, noise_key = jax.random.split(key)
        y = _coordinates(model, x, fill_key)
        return _misfit(model.log_smoothed, y, model.sigma, noise_key), {}

    return objective


def density_and_generator(begin: int) -> PairObjective:
    r"""`denoising_density`, and from step `begin` on the divergence of what is generated from the
    data, both smoothed alike,

    $$\mathrm{KL} = \mathbb{E}\, [\log q_\sigma - \log p_\sigma](G(z) + \sigma e),$$

    by the density of the data and that of what is generated, which the rival knows and which both
    are held fixed here (algorithm 1). Each lacks a constant, and so does the divergence.
    """
    own_objective = denoising_density()

    def objective(model: AbstractSmoothed, rival: Any, x: Batch, key: Key, step: Step):
        draw_key, noise_key = jax.random.split(jax.random.fold_in(key, 1))
        misfit, _ = own_objective(model, x, key, step)
        data, own = _held(model), _held(rival)

        def apart() -> Loss:
            y = _generated(model, len(x), draw_key)
            points = y + model.sigma * jax.random.normal(noise_key, y.shape, y.dtype)
            return jax.vmap(lambda y: own(y) - data.log_smoothed(y))(points).mean()

        divergence = jax.lax.cond(step >= begin, apart, lambda: jnp.zeros_like(misfit))
        return misfit + divergence, {"misfit": misfit, "divergence": divergence}

    return objective


def generated_density() -> PairObjective:
    r"""The rival's part: the same misfit of its own $s$, of what the model generates."""

    def objective(rival: Any, model: AbstractSmoothed, x: Batch, key: Key, step: Step):
        noise_key, draw_key = jax.random.split(key)
        y = _generated(_held(model), len(x), draw_key)
        return _misfit(rival, y, model.sigma, noise_key), {}

    return objective


def _misfit(log_density: Callable[[Array], Array], y: Array, sigma: float, key: Key) -> Loss:
    e = jax.random.normal(key, y.shape, y.dtype)
    slopes = jax.vmap(jax.grad(log_density))(y + sigma * e)
    return ((sigma * slopes + e) ** 2).mean()


def _generated(model: AbstractSmoothed, n: int, key: Key) -> Array:
    z = jax.vmap(model.latents.sample)(jax.random.split(key, n))
    return jax.vmap(model.generate)(z)


def _held(module: Any) -> Any:
    """The module as a constant."""
    return jax.tree.map(lambda a: jax.lax.stop_gradient(a) if eqx.is_array(a) else a, module)
