r"""What a model with a cluster is fitted to: its bound, and terms that make the cluster one of
the data's own."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._families import AbstractClustered, categorical_kl
from .._model import Key
from ..data import Dataset
from ._neighbours import neighbour_clusters
from ._objectives import Objective, Step
from ._supervised import Answered


def neighbourly(clusters: int) -> Callable[[Dataset], Answered]:
    """Rows with a cluster of each observation to begin with, by `neighbour_clusters`."""

    def rows(data: Dataset) -> Answered:
        return Answered(data.observations, neighbour_clusters(data.observations, clusters))

    return rows


def clustering(start: int, *, information: float = 1.0, consistency: float = 1.0) -> Objective:
    r"""With $q$ the assignment $q(y \mid x)$ of an observation and $q'$ that of the same one moved
    a little,

    $$-\mathbb{E}_{q(w|x)} \log p(x \mid w) + \sum_y \mathrm{sg}(q_y)\, \mathrm{KL}(q(w \mid x)
    \,\|\, p(w \mid y)) + \mathrm{sg}(\mathrm{KL}(q \,\|\, p(y))) + R,$$

    the bound that `ClusterVAE` has, in which no gradient moves the assignment, and $R$, which
    moves it alone: over the first `start` steps the cross-entropy $-\log q'_{s}$ to the cluster $s$
    that `neighbour_clusters` begins with, and then, no longer held to it,

    $$R = a\, \mathrm{KL}(\mathrm{sg}(q) \,\|\, q') - b\, [H(\overline{q}) - \overline{H(q)}],$$

    the consistency under movements, $a$, and less the mutual information of cluster and
    observation over the batch, $b$ (Krause, Perona and Gomes 2010; Hu et al. 2017, section 3).
    Held-out data are judged by the second form. Needs an `AbstractClustered` model and `Answered`
    rows.
    """

    def objective(model: AbstractClustered, batch: Answered, key: Key, step: Step):
        noise_key, view_key = jax.random.split(key)
        x = batch.x
        logits = jax.vmap(model.logits)(x)
        keys = jax.random.split(view_key, len(x))
        moved = jax.nn.log_softmax(
            jax.vmap(lambda x, key: model.logits(model.view(x, key)))(x, keys)
        )
        mean, log_std = jax.vmap(model.posterior_of)(x)
        w = mean + jnp.exp(log_std) * jax.random.normal(noise_key, mean.shape)
        misfit = -jax.vmap(model.log_likelihood_of)(x, w).mean()
        q = jax.nn.softmax(logits)
        within = (jax.lax.stop_gradient(q) * jax.vmap(model.divergences)(mean, log_std)).sum(1)
        kl = within.mean() + jax.lax.stop_gradient(categorical_kl(logits).mean())
        shared = mutual_information(logits)
        agreement = divergence(jax.lax.stop_gradient(logits), moved)
        own = consistency * agreement - information * shared
        begun = _cross_entropy(moved, batch.answer)
        loss = misfit + kl + jnp.where(step < start, begun, own)
        return loss, {
            "elbo": -misfit - kl,
            "reconstruction": misfit,
            "kl": kl,
            "information": shared,
            "consistency": agreement,
        }

    return objective


def _cross_entropy(
    log_q: Float[Array, "batch cluster"], answer: Int[Array, " batch"]
) -> Float[Array, ""]:
    """To the clusters that are known, in nats; -1 is unknown."""
    known = answer >= 0
    each = jnp.take_along_axis(log_q, jnp.maximum(answer, 0)[:, None], axis=1)[:, 0]
    return -jnp.where(known, each, 0).sum() / jnp.maximum(known.sum(), 1).astype(log_q.dtype)


def mutual_information(logits: Float[Array, "batch cluster"]) -> Float[Array, ""]:
    r"""$H(\overline{q}) - \overline{H(q)}$ in nats: of cluster and observation over a batch."""
    log_q = jax.nn.log_softmax(logits)
    q = jnp.exp(log_q)
    mean = q.mean(0)
    return (q * log_q).sum(1).mean() - (mean * jnp.log(jnp.maximum(mean, 1e-12))).sum()


def divergence(
    logits: Float[Array, "batch cluster"], log_q: Float[Array, "batch cluster"]
) -> Float[Array, ""]:
    r"""$\mathrm{KL}(p \,\|\, q)$ in nats, averaged over a batch."""
    log_p = jax.nn.log_softmax(logits)
    return (jnp.exp(log_p) * (log_p - log_q)).sum(1).mean()
