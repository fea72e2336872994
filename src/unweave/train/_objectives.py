r"""What a variational model is fitted to: pure functions of model, batch, key and step.

Each factory returns an objective. With $-\log p(x|z)$ summed over the entries of an
observation and averaged over the batch, and the KL divergence summed over latents and averaged
over the batch, every loss is in nats per observation.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from .._model import (
    AbstractAutoencoder,
    AbstractEncoder,
    AbstractPosterior,
    Condition,
    Key,
    gaussian_kl,
)
from ..data import Dataset

Batch: TypeAlias = Num[Array, "batch ..."]
#: A tree of arrays with one row for each observation; a batch has some of the rows.
Rows: TypeAlias = Any
Step: TypeAlias = Int[Array, ""]
Loss: TypeAlias = Float[Array, ""]
Metrics: TypeAlias = dict[str, Array]
#: A loss to descend and numbers to log, of a model, a batch (what the plan's `rows` gives of
#: some observations), a key and the step's number.
Objective: TypeAlias = Callable[[Any, Rows, Key, Step], tuple[Loss, Metrics]]
#: The same of two players, the one that is moved first.
PairObjective: TypeAlias = Callable[[Any, Any, Rows, Key, Step], tuple[Loss, Metrics]]
Codes: TypeAlias = Float[Array, "batch latent"]


class Conditioned(NamedTuple):
    """Observations with what is known beside each, such as times of its own, or None."""

    x: Any
    condition: Any


def conditioned(data: Dataset) -> Conditioned:
    """The rows of an objective that needs the conditions too."""
    return Conditioned(data.observations, data.conditions)


def parts(batch: Rows) -> tuple[Batch, Condition]:
    """Observations and conditions of a batch that may have none."""
    return batch if isinstance(batch, Conditioned) else (batch, None)


class Terms(NamedTuple):
    """The parts of which every variational objective is made."""

    reconstruction: Float[Array, ""]  # -log p(x|z), nats per observation
    kl: Float[Array, " latent"]  # nats per observation
    z: Codes
    mean: Codes
    log_std: Codes


def variational_terms(
    model: AbstractPosterior,
    batch: Rows,
    key: Key,
    *,
    hidden: float = 0.0,
    still: Bool[Array, ""] | bool = False,
) -> Terms:
    r"""One reparameterised draw $z = \mu(x) + \sigma(x) e$ for each observation; the posterior
    does not see a share `hidden` of the entries, drawn anew each time, and where it stands `still`
    no gradient moves it."""
    x, conditions = parts(batch)
    e = jax.random.normal(key, (len(x), model.latents.size))
    shown = x
    if hidden:
        away = jax.random.bernoulli(jax.random.fold_in(key, 1), hidden, x.shape)
        shown = jnp.where(away, jnp.nan, x)

    def one(
        x: Array, shown: Array, e: Array, condition: Condition
    ) -> tuple[Array, Array, Array, Array]:
        mean, log_std = model.posterior(shown, condition)
        if still is not False:
            mean, log_std = (
                jnp.where(still, jax.lax.stop_gradient(part), part) for part in (mean, log_std)
            )
        z = mean + jnp.exp(log_std) * e
        misfit = -model.log_likelihood(x, model.latents.from_white(z), condition)
        return misfit, z, mean, log_std

    reconstruction, z, mean, log_std = jax.vmap(one)(x, shown, e, conditions)
    kl = gaussian_kl(mean, log_std).mean(0)
    return Terms(reconstruction.mean(), kl, z, mean, log_std)


def _metrics(terms: Terms, **more: Array) -> Metrics:
    """What is logged of the parts, with the bound that they make."""
    kl = terms.kl.sum()
    bound = -terms.reconstruction - kl
    return {"elbo": bound, "reconstruction": terms.reconstruction, "kl": kl, **more}


def elbo(beta: float = 1.0, *, warm_up: int = 0, hidden: float = 0.0) -> Objective:
    r"""$-\log p(x|z) + \beta\, \mathrm{KL}$: the evidence lower bound at $\beta = 1$ (Kingma and
    Welling 2014, eq. 3), the β-VAE above (Higgins et al. 2017, eq. 4). The weight of the divergence
    grows to $\beta$ over the first `warm_up` steps (Bowman et al. 2016, section 3.1), so that the
    latents are used before they are drawn to their prior. The posterior is not shown a share
    `hidden` of the entries, of held-out data either, which the likelihood counts as all others: a
    bound too, and the posterior learns to do with what there is."""

    def objective(model: AbstractPosterior, batch: Rows, key: Key, step: Step):
        terms = variational_terms(model, batch, key, hidden=hidden)
        share = beta * jnp.clip((step.astype(jnp.float32) + 1) / max(warm_up, 1), 0, 1)
        return terms.reconstruction + share * terms.kl.sum(), _metrics(terms)

    return objective


def capacity(nats: float, gamma: float, steps: int) -> Objective:
    r"""$-\log p(x|z) + \gamma\, |\mathrm{KL} - C|$ with $C$ growing from 0 to `nats` over the
    first `steps` steps (Burgess et al. 2018, eq. 8). Steps, not epochs."""

    def objective(model: AbstractPosterior, x: Batch, key: Key, step: Step):
        terms = variational_terms(model, x, key)
        now = nats * jnp.clip(step.astype(jnp.float32) / max(steps, 1), 0, 1)
        loss = terms.reconstruction + gamma * jnp.abs(terms.kl.sum() - now)
        return loss, _metrics(terms, capacity=now)

    return objective


def total_correlation(beta: float, size: int) -> Objective:
    r"""β-TCVAE: index-code mutual information + $\beta$ total correlation + dimension-wise KL
    (Chen et al. 2018, eq. 4), $q(z)$ estimated by minibatch-weighted sampling (eq. 5) from a
    training set of `size` observations."""

    def objective(model: AbstractPosterior, x: Batch, key: Key, step: Step):
        terms = variational_terms(model, x, key)
        log_joint = log_normal(terms.z, terms.mean, terms.log_std).sum(-1)
        pairs = log_normal(terms.z[:, None], terms.mean[None], terms.log_std[None])
        weight = jnp.log(float(len(x) * size))
        log_q = jax.nn.logsumexp(pairs.sum(-1), axis=1) - weight
        log_marginals = (jax.nn.logsumexp(pairs, axis=1) - weight).sum(-1)
        log_prior = log_normal(terms.z, jnp.zeros(()), jnp.zeros(())).sum(-1)
        information = (log_joint - log_q).mean()
        correlation = (log_q - log_marginals).mean()
        dimensions = (log_marginals - log_prior).mean()
        loss = terms.reconstruction + information + beta * correlation + dimensions
        return loss, _metrics(terms, total_correlation=correlation)

    return objective


def log_normal(z: Array, mean: Array, log_std: Array) -> Array:
    """The log-density of normal variables in nats, entry by entry."""
    return -0.5 * (((z - mean) * jnp.exp(-log_std)) ** 2 + jnp.log(2 * jnp.pi)) - log_std


def disentangled_prior(off_diagonal: float, diagonal: float, *, of_samples: bool) -> Objective:
    r"""DIP-VAE: the bound + $\lambda_{od} \sum_{i \ne j} C_{ij}^2 + \lambda_d \sum_i (C_{ii} -
    1)^2$ (Kumar et al. 2018, eqs. 6 and 7). $C$ is the covariance of the posterior means
    (DIP-VAE-I) or, with `of_samples`, of samples, $\mathbb{E}[\Sigma] + \mathrm{Cov}[\mu]$
    (DIP-VAE-II)."""

    def objective(model: AbstractPosterior, x: Batch, key: Key, step: Step):
        terms = variational_terms(model, x, key)
        centred = terms.mean - terms.mean.mean(0, keepdims=True)
        covariance = centred.T @ centred / len(x)
        if of_samples:
            covariance = covariance + jnp.diag(jnp.exp(2 * terms.log_std).mean(0))
        own = jnp.diag(covariance)
        off = (covariance**2).sum() - (own**2).sum()
        penalty = off_diagonal * off + diagonal * ((own - 1) ** 2).sum()
        loss = terms.reconstruction + terms.kl.sum() + penalty
        return loss, _metrics(terms, penalty=penalty)

    return objective


def information(alpha: float, weight: float) -> Objective:
    r"""InfoVAE: $-\log p(x|z) + (1 - \alpha)\,\mathrm{KL} + (\alpha + \lambda - 1)\,
    \mathrm{MMD}(q(z), p(z))$ with $\lambda$ the `weight` (Zhao et al. 2019, eq. 6)."""

    def objective(model: AbstractPosterior, x: Batch, key: Key, step: Step):
        z_key, prior_key = jax.random.split(key)
        terms = variational_terms(model, x, z_key)
        prior = jax.random.normal(prior_key, terms.z.shape)
        mmd = maximum_mean_discrepancy(terms.z, prior)
        loss = terms.reconstruction + (1 - alpha) * terms.kl.sum()
        return loss + (alpha + weight - 1) * mmd, _metrics(terms, mmd=mmd)

    return objective


def maximum_mean_discrepancy(a: Codes, b: Codes) -> Float[Array, ""]:
    r"""The unbiased estimate of $\mathrm{MMD}^2$ (Gretton et al. 2012, eq. 3) with the inverse
    multiquadratic kernel $k(u, v) = 2d / (2d + |u - v|^2)$ (Tolstikhin et al. 2018, section 4),
    which suits samples of a standard normal in $d$ dimensions."""

    def kernel(u: Array, v: Array) -> Array:
        squared = ((u[:, None] - v[None]) ** 2).sum(-1)
        return 2 * u.shape[-1] / (2 * u.shape[-1] + squared)

    def within(u: Array) -> Array:
        n = len(u)
        return (kernel(u, u).sum() - n) / (n * (n - 1))

    return within(a) + within(b) - 2 * kernel(a, b).mean()


def factor(gamma: float) -> PairObjective:
    r"""FactorVAE: the bound less $\gamma$ times the total correlation, which a critic $D$ (the
    log odds that a code is from $q(z)$ and not from $\prod_j q(z_j)$) estimates as
    $\mathbb{E}[D(z)]$ (Kim and Mnih 2018, eqs. 2 and 3), on the first half of the batch."""

    def objective(model: AbstractPosterior, critic: Any, x: Batch, key: Key, step: Step):
        terms = variational_terms(model, x[: (len(x) + 1) // 2], key)
        correlation = jax.vmap(critic)(terms.z).mean()
        loss = terms.reconstruction + terms.kl.sum() + gamma * correlation
        return loss, _metrics(terms, total_correlation=correlation)

    return objective


def factor_critic() -> PairObjective:
    """FactorVAE's critic: cross-entropy between codes of the second half of the batch and the
    same codes permuted (Kim and Mnih 2018, algorithm 2)."""

    def objective(critic: Any, model: AbstractEncoder, x: Batch, key: Key, step: Step):
        code_key, order_key = jax.random.split(key)
        x = x[len(x) // 2 :]
        keys = jax.random.split(code_key, len(x))
        real = jax.vmap(lambda x, key: model.encode(x, key=key))(x, keys)
        fake = permute_codes(real, order_key)
        odds_real, odds_fake = jax.vmap(critic)(real), jax.vmap(critic)(fake)
        loss = 0.5 * (jax.nn.softplus(-odds_real) + jax.nn.softplus(odds_fake)).mean()
        return loss, {}

    return objective


def permute_codes(z: Codes, key: Key) -> Codes:
    r"""Each column permuted on its own: samples of $\prod_j q(z_j)$ (Kim and Mnih 2018,
    algorithm 1)."""
    keys = jax.random.split(key, z.shape[1])
    return jax.vmap(jax.random.permutation, in_axes=(0, 1), out_axes=1)(keys, z)


def autoencode() -> Objective:
    r"""$-\log p(x \mid z)$ at the code of `x`: an autoencoder, without a prior or a bound."""

    def objective(model: AbstractAutoencoder, x: Batch, key: Key, step: Step):
        loss = jax.vmap(lambda x: -model.log_likelihood(x, model.encode(x)))(x).mean()
        return loss, {"reconstruction": loss}

    return objective
