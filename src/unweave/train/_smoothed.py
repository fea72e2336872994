r"""What a denoising density estimator and its generator are fitted to (Bigdeli et al. 2020)."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from .._families import AbstractSmoothed
from .._model import Key
from ._flow_objectives import _coordinates
from ._objectives import Batch, Loss, Metrics, Objective, Step
from ._steppers import FINAL_STEP, AbstractStepper, State, _descend, _start, _zero


def denoising_density() -> Objective:
    r"""$\mathbb{E}\, |\sigma \nabla s(y + \sigma e) + e|^2 / d$ (Bigdeli et al. 2020, equation 5,
    times $\sigma^2$), which is least where $s$ is the logarithm of the data's density smoothed by
    the noise, up to a constant."""

    def objective(model: AbstractSmoothed, x: Batch, key: Key, step: Step):
        fill_key, noise_key = jax.random.split(key)
        y = _coordinates(model, x, fill_key)
        return _misfit(model.log_smoothed, y, model.sigma, noise_key), {}

    return objective


def divergence(model: AbstractSmoothed, own: AbstractSmoothed, n: int, key: Key) -> Loss:
    r"""$\mathrm{KL}(q_\sigma \| p_\sigma) = \mathbb{E}\, [\log q_\sigma - \log p_\sigma](G(z) +
    \sigma e)$ of what is generated from the data, both smoothed alike, by `n` draws (Bigdeli et al.
    2020, algorithm 1). $\log p_\sigma$ is the model's and $\log q_\sigma$ that of `own`, both held
    fixed; each lacks a constant, and so does the divergence."""
    draw_key, noise_key = jax.random.split(key)
    y = _generated(model, n, draw_key)
    points = y + model.sigma * jax.random.normal(noise_key, y.shape, y.dtype)
    data, own = _held(model), _held(own)
    return jax.vmap(lambda y: own.log_smoothed(y) - data.log_smoothed(y))(points).mean()


class Followed(AbstractStepper):
    r"""Descent on `denoising_density` of the data, and from step `begin` on of the generator on its
    `divergence`. What is generated has a density of its own, which follows it by
    `rival_optimiser`: the state's `rival`, which begins as the model."""

    begin: int = eqx.field(static=True)
    optimiser: optax.GradientTransformation = eqx.field(static=True)
    rival_optimiser: optax.GradientTransformation = eqx.field(static=True)

    def init(self, model: eqx.Module, *, key: Key) -> State:
        """Both players' starts."""
        own, other = _start(self.optimiser, model), _start(self.rival_optimiser, model)
        return State(model, own, _zero(), model, other)

    def step(self, state: State, x: Batch, key: Key) -> tuple[State, Metrics]:
        """One step of the model, and one of the density that follows its generator."""
        data_key, apart_key, own_key, draw_key = jax.random.split(key, 4)
        begun = state.step >= self.begin

        def loss(model: AbstractSmoothed):
            misfit, _ = denoising_density()(model, x, data_key, state.step)

            def apart() -> Loss:
                return divergence(model, state.rival, len(x), apart_key)

            far = jax.lax.cond(begun, apart, lambda: jnp.zeros_like(misfit))
            return misfit + far, {"misfit": misfit, "divergence": far}

        def rival_loss(rival: AbstractSmoothed):
            y = _held(_generated(state.model, len(x), draw_key))
            return _misfit(rival.log_smoothed, y, rival.sigma, own_key), {}

        model, optimiser, metrics = _descend(loss, state.model, state.optimiser, self.optimiser)
        rival, rival_optimiser, of_rival = _descend(
            rival_loss, state.rival, state.rival_optimiser, self.rival_optimiser
        )
        state = State(model, optimiser, state.step + 1, rival, rival_optimiser)
        return state, {**metrics, "rival": of_rival["loss"]}

    def evaluate(self, state: State, x: Batch, key: Key) -> Metrics:
        """How well the density denoises; the divergence, which lacks a constant, does not judge."""
        loss, _ = denoising_density()(state.model, x, key, jnp.asarray(FINAL_STEP))
        return {"loss": loss}


def _misfit(log_density: Callable[[Array], Array], y: Array, sigma: float, key: Key) -> Loss:
    e = jax.random.normal(key, y.shape, y.dtype)
    slopes = jax.vmap(jax.grad(log_density))(y + sigma * e)
    return ((sigma * slopes + e) ** 2).mean()


def _generated(model: AbstractSmoothed, n: int, key: Key) -> Array:
    z = jax.vmap(model.latents.sample)(jax.random.split(key, n))
    return jax.vmap(model.generate)(z)


def _held(tree: Any) -> Any:
    """The arrays as constants."""
    return jax.tree.map(lambda a: jax.lax.stop_gradient(a) if eqx.is_array(a) else a, tree)
