r"""A bound on the error of a network whose weights are drawn anew for every answer.

A network itself is one of too many to be bounded by counting them. With Gaussian noise on its
weights it is a distribution $Q$ over networks, and how far that lies from a distribution $P$ that
was fixed before the data were seen bounds its error (Dziugaite and Roy 2017).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from .._model import Key, Scalar
from ._bounds import kl_inverse, maurer
from ._progress import shown

# Dziugaite and Roy (2017), section 3: the prior's deviation is one of c exp(-j / b), c = 1
_STEPS = 100
# the share of what may go wrong that is left to the draws
_OF_DRAWS = 0.2
#: Deviations that are tried of the noise on the weights.
DEVIATIONS: tuple[float, ...] = tuple(10.0**e for e in (-3.0, -2.5, -2.0, -1.75, -1.5, -1.25, -1.0))


@dataclass(frozen=True)
class PACBayes:
    """With probability `confidence` the network whose weights have noise of `deviation` errs on new
    observations in at most a share `bound` of cases; on the `n` given ones it was `error`, a mean
    over `draws`. `divergence` in nats from a prior of `prior_deviation` about weights that are
    `distance` away (Euclidean, all weights)."""

    bound: float
    error: float
    divergence: float
    deviation: float
    prior_deviation: float
    distance: float
    weights: int
    n: int
    draws: int
    confidence: float

    @property
    def sentence(self) -> str:
        """The same in words."""
        if self.bound >= 1:
            return (
                f"PAC-Bayes promises nothing: {self.divergence:,.0f} nats from the prior are too "
                f"many for {self.n:,} observations."
            )
        return (
            f"with noise of {self.deviation:.2g} on its {self.weights:,} weights it errs in at "
            f"most {self.bound:.1%} of new cases ({self.confidence:.0%} sure; {self.error:.1%} on "
            f"the {self.n:,} given, {self.divergence:,.0f} nats from the prior)."
        )


def pac_bayes(
    wrong: Callable[[eqx.Module], Scalar],
    model: eqx.Module,
    prior: eqx.Module,
    *,
    n: int,
    deviations: Sequence[float] = DEVIATIONS,
    draws: int = 100,
    confidence: float = 0.95,
    quiet: bool = True,
    key: Key,
) -> PACBayes:
    r"""The smallest of Maurer's bounds over the noise on the weights.

    $Q = \mathcal{N}(w, \sigma^2 I)$ about the weights of `model`, $P = \mathcal{N}(w_0, \lambda^2
    I)$ about those of `prior`, so that for $d$ weights

    $$\mathrm{KL}(Q \| P) = \tfrac{d}{2} \Big( \tfrac{\sigma^2}{\lambda^2} - 1 - \log
    \tfrac{\sigma^2}{\lambda^2} \Big) + \tfrac{\|w - w_0\|^2}{2 \lambda^2}$$

    $\lambda$ is the best of $e^{-j/100}$, which costs $\log(\pi^2 j^2 / 6)$ nats (a union bound),
    and a fifth of the probability that the bound fails is left to the mean over the draws.

    **Arguments:** `wrong`, from a model to the share of the `n` observations that it gets wrong, a
    function that can be compiled; `prior`, a model of the same shape whose weights do not depend on
    these observations: those before training, or those that other observations led to;
    `deviations` $\sigma$ that are tried; with `quiet` false a bar on stderr once it takes long;
    `key` draws the noise.

    **Raises:** `ValueError` where the models' weights differ in shape or a deviation is not
    positive.
    """
    (w, of), (w0, _) = _flat(model), _flat(prior)
    if w.shape != w0.shape:
        raise ValueError(
            f"the model has {w.size} weights and the prior {w0.size}; give the same network before "
            "training, or one fitted to other data."
        )
    if not deviations or min(deviations) <= 0:
        raise ValueError(f"the deviations {tuple(deviations)} are not all positive.")
    failing = 1 - confidence
    distance = float(jnp.linalg.norm(w - w0))
    each = failing * _OF_DRAWS / len(deviations)

    @eqx.filter_jit
    def errors(sigma: jax.Array, keys: jax.Array) -> jax.Array:
        return jax.lax.map(
            lambda k: wrong(of(w + sigma * jax.random.normal(k, w.shape, w.dtype))), keys
        )

    best: PACBayes | None = None
    keys = jax.random.split(key, len(deviations))
    for sigma, own in shown(list(zip(deviations, keys, strict=True)), "deviations", quiet=quiet):
        seen = float(
            np.mean(errors(jnp.asarray(sigma, w.dtype), jax.random.split(own, draws)), dtype=float)
        )
        # a mean over draws is itself known up to a bound (Langford and Caruana 2001)
        error = kl_inverse(min(max(seen, 0.0), 1.0), math.log(2 / each) / draws)
        lam, divergence, paid = _prior(sigma, distance, w.size)
        sure = 1 - failing * (1 - _OF_DRAWS)
        bound = maurer(error, divergence + paid, n, confidence=sure)
        found = PACBayes(
            bound, seen, divergence, sigma, lam, distance, w.size, n, draws, confidence
        )  # fmt: skip
        if best is None or found.bound < best.bound:
            best = found
    assert best is not None
    return best


def gaussian_divergence(sigma: float, prior: float, distance: float, weights: int) -> float:
    """The divergence in nats of isotropic Gaussians so far apart, of these deviations."""
    ratio = (sigma / prior) ** 2
    return 0.5 * weights * (ratio - 1 - math.log(ratio)) + 0.5 * (distance / prior) ** 2


def _prior(sigma: float, distance: float, weights: int) -> tuple[float, float, float]:
    """The prior's deviation that suits best, the divergence from it and what the choice costs."""
    ideal = math.sqrt(sigma**2 + distance**2 / weights)
    j = max(1, round(-_STEPS * math.log(min(ideal, 1.0))))
    lam = math.exp(-j / _STEPS)
    return lam, gaussian_divergence(sigma, lam, distance, weights), math.log(math.pi**2 * j**2 / 6)


def _flat(model: eqx.Module) -> tuple[jax.Array, Callable[[jax.Array], eqx.Module]]:
    """A model's weights in a row, and the model that such a row makes."""
    weights, rest = eqx.partition(model, eqx.is_inexact_array)
    row, back = ravel_pytree(weights)
    return row, lambda row: eqx.combine(back(row), rest)
