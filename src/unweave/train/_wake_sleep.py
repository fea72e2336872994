r"""An encoder that first learns from what the model draws itself, whose latents are known."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._model import AbstractPosterior, Condition, Key
from ._objectives import (
    Loss,
    Metrics,
    Objective,
    Rows,
    Step,
    _metrics,
    log_normal,
    parts,
    variational_terms,
)


def wake_sleep(asleep: int, *, draws: int = 4, hidden: float = 0.0) -> Objective:
    r"""The evidence lower bound, reached in two parts. In the first `asleep` steps the posterior is
    moved by $-\log q(z \mid x)$ of draws of the model alone, $z \sim p(z)$, $x \sim p(x \mid z)$,
    `draws` for each observation (the sleep phase of Hinton et al. 1995; with an equation for a
    model, neural posterior estimation, Papamakarios and Murray 2016), and what decodes by the bound
    of the observations (the wake phase). After them both are moved by the bound.

    A posterior that is trained by the bound alone settles where some latents explain a little of
    everything; draws say of each what it is. The posterior is not shown a share `hidden` of the
    entries. The loss is minus the bound throughout.
    """

    def objective(
        model: AbstractPosterior, batch: Rows, key: Key, step: Step
    ) -> tuple[Loss, Metrics]:
        sleeps = step < asleep
        awake_key, _, sleep_key = jax.random.split(key, 3)
        terms = variational_terms(model, batch, awake_key, hidden=hidden, still=sleeps)
        x, conditions = parts(batch)

        def dreamt() -> Array:
            keys = jax.random.split(sleep_key, (len(x), draws))
            one = jax.vmap(lambda condition, key: _dream(model, condition, key), (None, 0))
            return jax.vmap(one)(conditions, keys).mean()

        told = jax.lax.cond(sleeps, dreamt, lambda: jnp.zeros_like(terms.reconstruction))
        # it moves, and does not count: held-out data are judged by the bound
        loss = terms.reconstruction + terms.kl.sum() + told - jax.lax.stop_gradient(told)
        return loss, _metrics(terms, sleep=told)

    return objective


def _dream(model: AbstractPosterior, condition: Condition, key: Key) -> Array:
    r"""$-\log q(e \mid x)$ of the standard scores $e$ that a drawn observation has, in nats."""
    latent_key, noise_key = jax.random.split(key)
    e = jax.random.normal(latent_key, (model.latents.size,))
    drawn = model.decode(model.latents.from_white(e), condition, key=noise_key)
    mean, log_std = model.posterior(jax.lax.stop_gradient(drawn), condition)
    return -log_normal(e, mean, log_std).sum()
