r"""An encoder that first learns from what the model draws itself, whose latents are known."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._model import AbstractPosterior, Condition, Key, gaussian_kl
from ._objectives import Loss, Metrics, Objective, Rows, Step, parts


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
        x, conditions = parts(batch)
        sleeps = step < asleep
        awake_key, hide_key, sleep_key = jax.random.split(key, 3)
        shown = x
        if hidden:
            shown = jnp.where(jax.random.bernoulli(hide_key, hidden, x.shape), jnp.nan, x)
        e = jax.random.normal(awake_key, (len(x), model.latents.size))

        def bound(x: Array, shown: Array, e: Array, condition: Condition) -> tuple[Array, Array]:
            found = model.posterior(shown, condition)
            mean, log_std = (jnp.where(sleeps, jax.lax.stop_gradient(part), part) for part in found)
            z = model.latents.from_white(mean + jnp.exp(log_std) * e)
            return -model.log_likelihood(x, z, condition), gaussian_kl(mean, log_std)

        misfit, kl = jax.vmap(bound)(x, shown, e, conditions)
        misfit, kl = misfit.mean(), kl.sum(1).mean()

        def dreamt() -> Array:
            keys = jax.random.split(sleep_key, (len(x), draws))
            one = jax.vmap(lambda condition, key: _dream(model, condition, key), (None, 0))
            return jax.vmap(one)(conditions, keys).mean()

        told = jax.lax.cond(sleeps, dreamt, lambda: jnp.zeros_like(misfit))
        # it moves, and does not count: held-out data are judged by the bound
        loss = misfit + kl + told - jax.lax.stop_gradient(told)
        metrics = {"elbo": -misfit - kl, "reconstruction": misfit, "kl": kl, "sleep": told}
        return loss, metrics

    return objective


def _dream(model: AbstractPosterior, condition: Condition, key: Key) -> Array:
    r"""$-\log q(e \mid x)$ of the standard scores $e$ that a drawn observation has, in nats."""
    latent_key, noise_key = jax.random.split(key)
    e = jax.random.normal(latent_key, (model.latents.size,))
    drawn = model.decode(model.latents.from_white(e), condition, key=noise_key)
    mean, log_std = model.posterior(jax.lax.stop_gradient(drawn), condition)
    square = ((e - mean) * jnp.exp(-log_std)) ** 2
    return (0.5 * (square + jnp.log(2 * jnp.pi)) + log_std).sum()
