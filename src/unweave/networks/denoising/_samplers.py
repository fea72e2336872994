r"""Ways to a sample that chance accompanies, beside the probability-flow equation of `decode`."""

import jax
import jax.numpy as jnp
import numpy as np

from ..._model import (
    Condition,
    Key,
    Latent,
    Observation,
    Scalar,
)
from ._diffusion import Diffusion


def ancestral(
    model: Diffusion, key: Key, condition: Condition = None, *, steps: int = 256
) -> Observation:
    r"""A sample by the reverse of the noising, level by level: with $\hat y = D(y_i; \sigma_i)$

    $$y_{i+1} \sim \mathcal{N}\!\left(\hat y + \frac{\sigma_{i+1}^2}{\sigma_i^2} (y_i - \hat y),
    \; \frac{\sigma_{i+1}^2 (\sigma_i^2 - \sigma_{i+1}^2)}{\sigma_i^2} I\right)$$

    the law of $y_{i+1}$ given $y_i$ if $\hat y$ were the observation (Ho et al. 2020, equations 6
    and 7, in the form of Song et al. 2021, equation 47, where the noise is added to unscaled data).

    **Arguments:** `steps`, how many levels are left behind; the result is in the user's units.
    """
    _at_least_one(steps=steps)
    start, step_key = jax.random.split(key)
    levels = jnp.asarray(model.levels(steps), jnp.float32)
    y = model.sigma_max * model.latents.sample(start)

    def step(y: Latent, here: tuple[Scalar, Scalar, Key]) -> tuple[Latent, None]:
        level, after, key = here
        expected = model.guided(y, level, condition)
        share = (after / level) ** 2
        e = jax.random.normal(key, y.shape, y.dtype)
        return expected + share * (y - expected) + after * jnp.sqrt(1 - share) * e, None

    keys = jax.random.split(step_key, steps)
    y, _ = jax.lax.scan(step, y, (levels[:-1], levels[1:], keys))
    return model.scale.undo(y.reshape(model.shape))


def annealed_langevin(
    model: Diffusion,
    key: Key,
    condition: Condition = None,
    *,
    levels: int = 32,
    steps: int = 50,
    rate: float = 0.2,
) -> Observation:
    r"""A sample by Langevin's dynamics at falling levels of noise,

    $$y \leftarrow y + \tfrac{\alpha_i}{2} \nabla \log p(y; \sigma_i) + \sqrt{\alpha_i}\, e, \qquad
    \alpha_i = \text{rate} \cdot \sigma_i^2$$

    (Song and Ermon 2019, algorithm 1, whose $\epsilon$ is `rate` times $\sigma_L^2$). How many
    draws fall to each of several modes is settled while the noise still joins them, so it takes
    many more steps than the other samplers.

    **Arguments:** `levels`, in even ratios from `sigma_max` to `sigma_min`; `steps` at each; the
    result is in the user's units.
    """
    _at_least_one(levels=levels, steps=steps)
    if not 0 < rate < 2:
        raise ValueError(f"a rate of {rate} does not settle; give one above 0 and below 2.")
    start, step_key = jax.random.split(key)
    sigmas = np.geomspace(model.sigma_max, model.sigma_min, levels).repeat(steps)
    y = model.sigma_max * model.latents.sample(start)

    def step(y: Latent, here: tuple[Scalar, Key]) -> tuple[Latent, None]:
        sigma, key = here
        width = rate * sigma**2
        e = jax.random.normal(key, y.shape, y.dtype)
        return y + 0.5 * width * model.score(y, sigma, condition) + jnp.sqrt(width) * e, None

    keys = jax.random.split(step_key, len(sigmas))
    y, _ = jax.lax.scan(step, y, (jnp.asarray(sigmas, jnp.float32), keys))
    return model.scale.undo(y.reshape(model.shape))


def _at_least_one(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} is {count}; give at least 1.")
