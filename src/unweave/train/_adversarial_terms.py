r"""What critics are shown beside observations, and what generators descend beside the game."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._families import (
    AbstractAdversarial,
    AbstractCompared,
    AbstractInformed,
    AbstractTranslator,
)
from .._model import (
    Condition,
    Key,
    gaussian_kl,
)
from ..data import Dataset
from ._adversarial import Extra, Points, energy_distance
from ._objectives import Loss, Metrics, Objective, Step


def codes_shown(
    model: AbstractCompared, x: Array, conditions: Condition, key: Key
) -> tuple[Points, Points]:
    """Draws from the prior, as real, and codes of observations (Makhzani et al. 2016, section
    2)."""
    z = jax.vmap(model.latents.sample)(jax.random.split(key, len(x)))
    return (None, z), (None, _codes(model, x, conditions, key)[0])


def pairs_shown(
    model: AbstractCompared, x: Array, conditions: Condition, key: Key
) -> tuple[Points, Points]:
    """Observations with their codes, as real, and latents with what they stand for (Dumoulin et
    al. 2017, equation 2; Donahue et al. 2017, equation 2)."""
    real = jax.vmap(model.coordinates)(x)
    z = jax.vmap(model.latents.sample)(jax.random.split(key, len(x)))
    fake = jnp.where(jnp.isnan(x), 0, jax.vmap(model.draft)(z, conditions))
    return (real, _codes(model, x, conditions, key)[0]), (fake, z)


def decoded_shown(
    model: AbstractCompared, x: Array, conditions: Condition, key: Key
) -> tuple[Points, Points]:
    """Observations, and what is decoded: of a prior draw or, of every other one, of an
    observation's code (Larsen et al. 2016, algorithm 1)."""
    real = jax.vmap(model.coordinates)(x)
    z = jax.vmap(model.latents.sample)(jax.random.split(key, len(x)))
    codes = _codes(model, x, conditions, key)[0]
    # what the critic says of reconstructions is for the decoder, not for the encoder (section 3)
    odd = jnp.broadcast_to((jnp.arange(len(x)) % 2 == 1)[:, None], z.shape)
    fake = jax.vmap(model.draft)(jnp.where(odd, jax.lax.stop_gradient(codes), z), conditions)
    return (real, None), (jnp.where(jnp.isnan(x), 0, fake), None)


def reconstruction(weight: float = 1.0) -> Extra:
    r"""`weight` $\cdot -\log p(x \mid z)$ at a draw of $q(z \mid x)$, nats per observation."""

    def extra(
        model: AbstractCompared, x: Array, conditions: Condition, key: Key
    ) -> tuple[Loss, Metrics]:
        z = _codes(model, x, conditions, key)[0]
        value = -jax.vmap(model.log_likelihood)(x, z, conditions).mean()
        return weight * value, {"reconstruction": value}

    return extra


def code_divergence(beta: float = 1.0) -> Extra:
    r"""$\beta\,\mathrm{KL}(q(z \mid x) \,\|\, p(z))$, nats per observation."""

    def extra(
        model: AbstractCompared, x: Array, conditions: Condition, key: Key
    ) -> tuple[Loss, Metrics]:
        _, mean, log_std = _codes(model, x, conditions, key)
        value = gaussian_kl(mean, log_std).sum(-1).mean()
        return beta * value, {"kl": value}

    return extra


def likeness(weight: float) -> Extra:
    r"""`weight` $\cdot\, \tfrac12 \|f(x) - f(G(z))\|^2$ with what the critic sees in an observation
    and in its reconstruction (Larsen et al. 2016, equation 7)."""

    def extra(
        model: AbstractCompared, x: Array, conditions: Condition, key: Key
    ) -> tuple[Loss, Metrics]:
        z = _codes(model, x, conditions, key)[0]
        real = jax.vmap(model.coordinates)(x)
        again = jnp.where(jnp.isnan(x), 0, jax.vmap(model.draft)(z, conditions))
        seen, seen_again = (jax.vmap(model.features)(points) for points in (real, again))
        value = 0.5 * ((seen - seen_again) ** 2).sum(-1).mean()
        return weight * value, {"likeness": value}

    return extra


def information_gain(weight: float) -> Extra:
    """`weight` times the negative bound on what generated observations tell of their latents
    (Chen et al. 2016, equation 6; Kumar et al. 2019, equation 5)."""

    def extra(
        model: AbstractInformed, x: Array, conditions: Condition, key: Key
    ) -> tuple[Loss, Metrics]:
        # as `observations_shown` draws them, so that nothing is generated twice
        z = jax.vmap(model.latents.sample)(jax.random.split(key, len(x)))
        fake = jax.vmap(model.draft)(z, conditions)
        value = jax.vmap(model.information)(fake, z, jnp.roll(z, 1, axis=0)).mean()
        return -weight * value, {"information": value}

    return extra


def score_matching(sigma: float, weight: float = 1.0) -> Extra:
    r"""`weight` $\cdot\, \mathbb{E}\, |\sigma \nabla D(y + \sigma e) + e|^2$ of the critic, at
    observations $y$ in the model's own scale and standard normal $e$: least where $D = \log\,(p *
    \mathcal{N}(0, \sigma^2 I)) + c$ (Vincent 2011, equation 9, times $2 \sigma^2$). What was not
    observed has no noise, and does not count."""
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}; give the noise that smooths the data, such as 0.15.")

    def extra(
        model: AbstractAdversarial, x: Array, conditions: Condition, key: Key
    ) -> tuple[Loss, Metrics]:
        y, seen = jax.vmap(model.coordinates)(x), ~jnp.isnan(x)
        e = jnp.where(seen, jax.random.normal(key, y.shape, y.dtype), 0)
        slopes = jax.vmap(jax.grad(model.judge))(y + sigma * e, conditions)
        squares = jnp.where(seen, (sigma * slopes + e) ** 2, 0)
        value = squares.reshape(len(y), -1).sum(1).mean()
        return weight * value, {"misfit": value}

    return extra


def _codes(
    model: AbstractCompared, x: Array, conditions: Condition, key: Key
) -> tuple[Array, Array, Array]:
    """A draw from each posterior, with its mean and log standard deviation."""
    mean, log_std = jax.vmap(model.posterior)(x, conditions)
    e = jax.random.normal(jax.random.fold_in(key, 3), mean.shape, mean.dtype)
    return mean + jnp.exp(log_std) * e, mean, log_std


class Unpaired(NamedTuple):
    """Observations of two domains; that two stand side by side means nothing."""

    a: Any
    b: Any


def unpaired(data: Dataset) -> Unpaired:
    """The observations with the first label and those with the second, the fewer ones repeated;
    raises `ValueError` where there are not two labels."""
    if data.labels is None or len(data.label_names) != 2:
        raise ValueError(
            f"a translation is between two domains, and these data have {len(data.label_names)} "
            "labels; give data with two of them, or two files."
        )
    rng = np.random.default_rng(0)
    parts = [data.observations[data.labels == label] for label in (0, 1)]
    if min(len(part) for part in parts) < 1:
        raise ValueError("one of the two domains has no observation; give some of each.")
    size = max(len(part) for part in parts)
    # in an order of their own, for neighbours in a file may belong together
    a, b = (np.resize(rng.permutation(len(part)), size) for part in parts)
    return Unpaired(parts[0][a], parts[1][b])


def translations_shown(
    model: AbstractTranslator, x: Unpaired, conditions: Condition, key: Key
) -> tuple[Points, Points]:
    """Observations of both domains, and what each is translated to."""
    a, b = (jax.vmap(model.coordinates)(part) for part in x)
    return (a, b), (jax.vmap(model.back)(b), jax.vmap(model.there)(a))


def cycle(weight: float, identity: float = 0.0) -> Extra:
    r"""`weight` times the mean absolute error of there and back again, of both domains (Zhu et al.
    2017, equation 2), and `identity` times that of observations translated to the domain that they
    are of (section 5.2)."""

    def extra(
        model: AbstractTranslator, x: Unpaired, conditions: Condition, key: Key
    ) -> tuple[Loss, Metrics]:
        a, b = (jax.vmap(model.coordinates)(part) for part in x)
        there, back = jax.vmap(model.there), jax.vmap(model.back)
        error = jnp.abs(back(there(a)) - a).mean() + jnp.abs(there(back(b)) - b).mean()
        value = weight * error
        if identity:
            value = value + identity * (jnp.abs(there(b) - b).mean() + jnp.abs(back(a) - a).mean())
        return value, {"cycle": error}

    return extra


def translation_distance() -> Objective:
    """How far translations are from the domain they are to be of, by the energy distance, summed
    over both ways."""

    def objective(
        model: AbstractTranslator, x: Unpaired, key: Key, step: Step
    ) -> tuple[Loss, Metrics]:
        (a, b), (of_b, of_a) = translations_shown(model, x, None, key)
        size = len(a)
        value = energy_distance(of_a.reshape(size, -1), b.reshape(size, -1))
        value = value + energy_distance(of_b.reshape(size, -1), a.reshape(size, -1))
        _, named = cycle(1.0)(model, x, None, key)
        return value, {"energy_distance": value, **named}

    return objective
