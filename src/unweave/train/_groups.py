r"""What a model with content and style is fitted to: observations of which groups are known to
share their content."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .._families import AbstractSplit
from .._model import Key, gaussian_kl
from ..data import Dataset
from ._objectives import Loss, Metrics, Objective, PairObjective, Step
from ._supervised import Answered

# how near contents of one group should be, in standard deviations of their prior
_NEAR = 0.3


def grouped(data: Dataset) -> Answered:
    """The observations and the number of each one's group: its label, or what it must not be split
    from (a patient) where there are no labels.

    **Raises:** `ValueError` where every observation is a group of its own, or all are one.
    """
    named = data.groups if data.labels is None else data.labels
    _, number = np.unique(named, return_inverse=True)
    count = int(number.max()) + 1
    if not 1 < count < len(number):
        raise ValueError(
            f"content is what a group shares, and these {len(number)} observations are {count} "
            "groups; give a file with a column of labels, or with several beats or windows of each "
            "patient."
        )
    return Answered(data.observations, number.astype(np.int32))


def same_group(group: Int[Array, " batch"]) -> Bool[Array, "batch batch"]:
    """Whether two observations of a batch share their group."""
    return group[:, None] == group[None]


def group_posterior(
    mean: Float[Array, "batch content"],
    log_std: Float[Array, "batch content"],
    same: Bool[Array, "batch batch"],
) -> tuple[Float[Array, "batch content"], Float[Array, "batch content"]]:
    r"""Mean and log standard deviation of the product of a group's Gaussians, $q(c \mid G) \propto
    \prod_{i \in G} q(c \mid x_i)$, for each of its members (Bouchacourt et al. 2018, section 3)."""
    precision = jnp.exp(-2 * log_std)
    together = same.astype(mean.dtype) @ precision
    shared = same.astype(mean.dtype) @ (precision * mean) / together
    return shared, -0.5 * jnp.log(together)


def neighbours_in_group(
    content: Float[Array, "batch content"], same: Bool[Array, "batch batch"]
) -> Float[Array, ""]:
    r"""$-\log \sum_{j \in G_i} p_{ij}$ averaged over those $i$ that have a companion in the batch,
    with $p_{ij} \propto \exp(-\|c_i - c_j\|^2 / 2 h^2)$ over all $j \ne i$ and $h = 0.3$, which
    parts groups well within a standard normal: how badly the nearest contents tell the group
    (Goldberger et al. 2005)."""
    squares = ((content[:, None] - content[None]) ** 2).sum(-1) / (2 * _NEAR**2)
    others = ~jnp.eye(len(content), dtype=bool)
    every = jax.nn.logsumexp(jnp.where(others, -squares, -jnp.inf), axis=1)
    companions = others & same
    found = companions.any(1)
    # a group of one has no companion to be near to, and must not spoil the gradient
    own = jnp.where(companions | ~found[:, None], -squares, -jnp.inf)
    misses = jnp.where(found, every - jax.nn.logsumexp(own, axis=1), 0)
    return misses.sum() / jnp.maximum(found.sum(), 1).astype(misses.dtype)


def group_elbo(beta: float = 1.0, alone: float = 0.5, tell: float = 0.0) -> Objective:
    r"""ML-VAE: $-\log p(x_i \mid c_G, s_i) + \beta [\mathrm{KL}(q(c \mid G)) / |G| +
    \mathrm{KL}(q(s \mid x_i))]$, averaged over the batch, with one draw $c_G \sim q(c \mid G)$ of
    the product of the Gaussians of all members in the batch (Bouchacourt et al. 2018, section 3).

    `tell` times `neighbours_in_group` of a draw of each one's content is added, so that content
    comes to say what group it is of before style does. With a share `alone` of the batch drawn anew
    at each step the group's evidence is that of one other member instead: a single observation's
    content is then as good as the group's, and what it says of that member's style is of no use.
    """

    def objective(model: AbstractSplit, batch: Answered, key: Key, step: Step):
        loss, metrics, _ = _group_terms(model, batch, key, beta, alone, tell)
        return loss, metrics

    return objective


def _group_terms(
    model: AbstractSplit, batch: Answered, key: Key, beta: float, alone: float, tell: float
) -> tuple[Loss, Metrics, Float[Array, "batch style"]]:
    x, n = batch.x, model.content
    mean, log_std = jax.vmap(model.posterior)(x)
    same = same_group(batch.answer)
    shared, shared_log_std = group_posterior(mean[:, :n], log_std[:, :n], same)
    content_key, style_key, other_key, alone_key = jax.random.split(key, 4)
    noise = jax.random.normal(content_key, shared.shape)
    # one draw for each group: that of its first member in the batch
    of_group = shared + jnp.exp(shared_log_std) * noise[jnp.argmax(same, axis=1)]
    # a member drawn from each one's group
    member = jnp.argmax(jnp.where(same, jax.random.uniform(other_key, same.shape), -1.0), axis=1)
    drawn = mean[:, :n] + jnp.exp(log_std[:, :n]) * noise
    of_member = drawn[member]
    by_itself = jax.random.bernoulli(alone_key, alone, (len(x), 1))
    content = jnp.where(by_itself, of_member, of_group)
    style = mean[:, n:] + jnp.exp(log_std[:, n:]) * jax.random.normal(style_key, mean[:, n:].shape)
    z = jnp.concatenate([content, style], axis=1)
    misfit = -jax.vmap(model.log_likelihood)(x, z).mean()
    size = same.sum(1, keepdims=True).astype(mean.dtype)
    of_all = (gaussian_kl(shared, shared_log_std) / size).sum(1)
    of_one = gaussian_kl(mean[:, :n], log_std[:, :n]).sum(1)
    content_kl = jnp.where(by_itself[:, 0], of_one[member], of_all).mean()
    style_kl = gaussian_kl(mean[:, n:], log_std[:, n:]).sum(1).mean()
    told = neighbours_in_group(drawn, same)
    loss = misfit + beta * (content_kl + style_kl) + tell * told
    metrics = {
        "elbo": -misfit - content_kl - style_kl,
        "reconstruction": misfit,
        "kl_content": content_kl,
        "kl_style": style_kl,
        "told": told,
    }
    return loss, metrics, style


def group_adversary(
    weight: float, beta: float = 1.0, alone: float = 0.5, tell: float = 0.0
) -> PairObjective:
    r"""`group_elbo` and `weight` times $\mathrm{KL}(\overline{g} \,\|\, r(s))$, up to a constant.

    The rival $r$ tells the group by the style, and $\overline{g}$ are the shares of the groups in
    the batch: the style should leave the rival no more to tell than those. It tells the rest of
    dividing a group's number by how many outputs it has.
    """

    def objective(model: AbstractSplit, rival: Any, batch: Answered, key: Key, step: Step):
        loss, metrics, style = _group_terms(model, batch, key, beta, alone, tell)
        told = jax.nn.log_softmax(jax.vmap(rival)(style))
        shares = jax.nn.one_hot(batch.answer % told.shape[1], told.shape[1]).mean(0)
        hidden = -(told @ shares).mean()
        return loss + weight * hidden, {**metrics, "hidden": hidden}

    return objective


def group_rival() -> PairObjective:
    r"""The rival's cross-entropy $-\log r(g \mid s)$ of the group by a draw of the style."""

    def objective(rival: Any, model: AbstractSplit, batch: Answered, key: Key, step: Step):
        mean, log_std = jax.vmap(model.posterior)(batch.x)
        n = model.content
        noise = jax.random.normal(key, mean[:, n:].shape)
        style = mean[:, n:] + jnp.exp(log_std[:, n:]) * noise
        told = jax.nn.log_softmax(jax.vmap(rival)(style))
        group = (batch.answer % told.shape[1])[:, None]
        return -jnp.take_along_axis(told, group, axis=1).mean(), {}

    return objective
