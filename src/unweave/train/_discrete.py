r"""What models with discrete latents are fitted to: codes that are replaced by entries of a table,
and bits that a gradient passes straight through."""

from collections.abc import Callable
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from .._families import (
    AbstractBits,
    AbstractCodebook,
    AbstractQuantiser,
    bernoulli_kl,
)
from .._model import Key
from ._objectives import Batch, Metrics, Objective, Step
from ._steppers import FINAL_STEP, AbstractStepper, State, _descend, _start, _zero

#: Bits of a batch from their log odds and a key, with a way for the gradient.
Estimator: TypeAlias = Callable[[Float[Array, "batch bit"], Key], Float[Array, "batch bit"]]


def straight_through(value: Array, gradient: Array) -> Array:
    """`value`, whose gradient is passed on to `gradient` as if it were that (Bengio, Léonard and
    Courville 2013)."""
    return gradient + jax.lax.stop_gradient(value - gradient)


def quantised(quantise: float = 1.0, commit: float = 0.25) -> Objective:
    r"""$-\log p(x \mid e + \mathrm{sg}(c - e)) + a \sum \|\mathrm{sg}(e) - c\|^2 + b \sum \|e -
    \mathrm{sg}(c)\|^2$ with $e$ the encoder's vectors, $c$ the nearest entries, $a$ = `quantise`,
    $b$ = `commit`, and sg what no gradient passes (van den Oord et al. 2017, equation 3; with
    scalar entries of each latent's own Hsu et al. 2023, section 3)."""

    def objective(model: AbstractQuantiser, x: Batch, key: Key, step: Step):
        loss, metrics, _ = _quantised_terms(model, x, quantise, commit)
        return loss, metrics

    return objective


def _quantised_terms(
    model: AbstractQuantiser, x: Batch, quantise: float, commit: float
) -> tuple[Array, Metrics, tuple[Float[Array, "n place dim"], Int[Array, "n place"]]]:
    def one(x: Array) -> tuple[Array, Array, Array, Array, Array]:
        code = model.code(x)
        which = model.nearest(code)
        entries = model.entries(which)
        misfit = -model.log_likelihood_of(x, straight_through(entries, code))
        stop = jax.lax.stop_gradient
        own, other = ((stop(code) - entries) ** 2).sum(), ((code - stop(entries)) ** 2).sum()
        return misfit, own, other, code, which

    misfit, own, other, code, which = jax.vmap(one)(x)
    loss = misfit.mean() + quantise * own.mean() + commit * other.mean()
    metrics = {"reconstruction": misfit.mean(), "distance": other.mean()}
    return loss, metrics, (code, which)


class Moving(eqx.Module):
    """The moving averages that a codebook is made of: how often each code was chosen by a batch,
    and the sum of the vectors that chose it."""

    counts: Float[Array, " code"]
    sums: Float[Array, "code dim"]


class MovingCodebook(AbstractStepper):
    r"""Descent on the quantised objective, with a codebook that no gradient moves: each entry is
    the mean of the encoder's vectors that chose it,

    $$N_k \leftarrow \gamma N_k + (1 - \gamma) n_k, \quad m_k \leftarrow \gamma m_k + (1 - \gamma)
    \sum_{i: k_i = k} e_i, \quad c_k = m_k / N_k$$

    with $\gamma$ = `decay` (van den Oord et al. 2017, appendix A.1). An entry that is chosen less
    often than the share `dead` of the average starts anew as one of the batch's vectors (Dhariwal
    et al. 2020, section 3.1): so does every entry in the first step. The averages are the state's
    `rival`.
    """

    optimiser: optax.GradientTransformation = eqx.field(static=True)
    commit: float = eqx.field(static=True, default=0.25)
    decay: float = eqx.field(static=True, default=0.99)
    dead: float = eqx.field(static=True, default=0.1)

    def init(self, model: eqx.Module, *, key: Key) -> State:
        """Averages of nothing; raises `TypeError` for a model without a codebook."""
        if not isinstance(model, AbstractCodebook):
            raise TypeError(
                f"{type(model).__name__} has no codebook that a moving average could keep; use "
                "Descend(quantised()), or a VQVAE."
            )
        nothing = Moving(jnp.zeros(len(model.codebook)), jnp.zeros_like(model.codebook))
        return State(model, _start(self.optimiser, model), _zero(), rival=nothing)

    def step(self, state: State, x: Batch, key: Key) -> tuple[State, Metrics]:
        """One descent, and the codebook after it."""

        def loss(model: AbstractCodebook) -> tuple[Array, dict[str, Any]]:
            value, metrics, found = _quantised_terms(model, x, 0.0, self.commit)
            return value, {**metrics, "found": found}

        model, optimiser, metrics = _descend(loss, state.model, state.optimiser, self.optimiser)
        code, which = metrics.pop("found")
        flat = code.reshape(-1, code.shape[-1])
        moving = moved_codebook(state.rival, flat, which.ravel(), self.decay)
        moving = revived(moving, flat, self.dead, key)
        entries = moving.sums / jnp.maximum(moving.counts, 1e-12)[:, None]
        metrics |= usage(moving.counts, least=self.dead * len(flat) / len(moving.counts))
        state = State(model.with_codebook(entries), optimiser, state.step + 1, rival=moving)
        return state, metrics

    def evaluate(self, state: State, x: Batch, key: Key) -> Metrics:
        """The objective, and the use that held-out observations make of the codebook."""
        loss, metrics, (_, which) = _quantised_terms(state.model, x, 0.0, self.commit)
        chosen = jnp.bincount(which.ravel(), length=len(state.model.codebook))
        return {"loss": loss, **metrics, **usage(chosen.astype(jnp.float32))}


def moved_codebook(
    moving: Moving, code: Float[Array, "n dim"], which: Int[Array, " n"], decay: float
) -> Moving:
    """The averages after a batch of vectors and the codes that they chose."""
    chosen = jax.nn.one_hot(which, len(moving.counts), dtype=code.dtype)
    counts = decay * moving.counts + (1 - decay) * chosen.sum(0)
    return Moving(counts, decay * moving.sums + (1 - decay) * chosen.T @ code)


def revived(moving: Moving, code: Float[Array, "n dim"], dead: float, key: Key) -> Moving:
    """The averages with those codes that are chosen too seldom started anew at vectors of the
    batch, as if they had been chosen as often as the average code."""
    codes, share = len(moving.counts), len(code) / len(moving.counts)
    fresh = code[jax.random.choice(key, len(code), (codes,), replace=len(code) < codes)]
    again = moving.counts < dead * share
    return Moving(
        jnp.where(again, share, moving.counts),
        jnp.where(again[:, None], share * fresh, moving.sums),
    )


def usage(counts: Float[Array, " code"], *, least: float = 0.0) -> Metrics:
    r"""The share of codes with counts above `least`, and the perplexity $\exp(-\sum_k p_k \log
    p_k)$: how many codes it would take if all were used alike."""
    p = counts / jnp.maximum(counts.sum(), 1e-12)
    entropy = -jnp.where(p > 0, p * jnp.log(jnp.where(p > 0, p, 1)), 0).sum()
    return {"used": (counts > least).astype(jnp.float32).mean(), "perplexity": jnp.exp(entropy)}


def sure_bits() -> Estimator:
    r"""$b \sim \text{Bernoulli}(\sigma(l))$, its gradient that of $\sigma(l)$ (Bengio et al.
    2013)."""

    def estimator(logits: Array, key: Key) -> Array:
        p = jax.nn.sigmoid(logits)
        return straight_through(jax.random.bernoulli(key, p).astype(p.dtype), p)

    return estimator


def concrete_bits(temperature: float = 0.5) -> Estimator:
    r"""$b = \sigma((l + \log u - \log(1 - u)) / \tau)$ with uniform $u$: a binary concrete variable
    (Maddison, Mnih and Teh 2017, appendix B; Jang, Gu and Poole 2017), between 0 and 1, and a
    Bernoulli one as $\tau \to 0$."""
    if not temperature > 0:
        raise ValueError(f"the temperature is {temperature}; it must be positive, such as 0.5.")

    def estimator(logits: Array, key: Key) -> Array:
        noise = jax.random.logistic(key, logits.shape, logits.dtype)
        return jax.nn.sigmoid((logits + noise) / temperature)

    return estimator


def binary_elbo(estimator: Estimator, beta: float = 1.0, *, warm_up: int = 0) -> Objective:
    r"""$-\log p(x \mid b) + \beta\, \mathrm{KL}(q(b \mid x) \,\|\, \text{Bernoulli}(1/2))$ with one
    draw of the bits by `estimator` and the divergence exact. Its weight grows to `beta` over the
    first `warm_up` steps. Held-out data are judged by whole bits, whatever the estimator."""
    whole = sure_bits()

    def objective(model: AbstractBits, x: Batch, key: Key, step: Step):
        logits = jax.vmap(model.logits)(x)
        final = step >= FINAL_STEP
        bits = jnp.where(final, whole(logits, key), estimator(logits, key))
        misfit = -jax.vmap(model.log_likelihood_of)(x, bits).mean()
        kl = bernoulli_kl(logits).sum(-1).mean()
        share = beta * jnp.clip((step.astype(jnp.float32) + 1) / max(warm_up, 1), 0, 1)
        return misfit + share * kl, {"elbo": -misfit - kl, "reconstruction": misfit, "kl": kl}

    return objective
