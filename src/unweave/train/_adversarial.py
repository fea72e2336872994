r"""What a generator and its critic are fitted to: losses of scores, and penalties on slopes.

A critic gives a score $D$ to a point, higher the more real it looks. Every loss below is a pure
function of the scores of real and of generated points, every penalty of the critic's slope at
some points; `critic_objective` and `generator_objective` put them together.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._families import AbstractAdversarial
from .._model import Condition, Key
from ._objectives import Loss, Metrics, Objective, Rows, Step, parts
from ._supervised import Answered

Scores: TypeAlias = Float[Array, " batch"]
#: Points that a critic may be shown, with a leading axis: arrays or trees of them.
Points: TypeAlias = PyTree[Float[Array, "batch ..."]]
#: Real and generated points of a model, a batch, what is known beside it, and a key.
Shown: TypeAlias = Callable[[Any, Any, Condition, Key], tuple[Points, Points]]


class AdversarialLoss(NamedTuple):
    """Two functions of `(real, fake)` scores `(batch,)`: what the critic descends, and what the
    generator does."""

    critic: Callable[[Scores, Scores], Loss]
    generator: Callable[[Scores, Scores], Loss]


def minimax() -> AdversarialLoss:
    r"""$-\log \sigma(D(x)) - \log(1 - \sigma(D(g)))$, and the generator descends its negative
    (Goodfellow et al. 2014, equation 1)."""
    return AdversarialLoss(_cross_entropy, lambda real, fake: -_softplus(fake))


def non_saturating() -> AdversarialLoss:
    r"""The critic of `minimax`; the generator descends $-\log \sigma(D(g))$ (Goodfellow et al.
    2014, section 3)."""
    return AdversarialLoss(_cross_entropy, lambda real, fake: _softplus(-fake))


def least_squares() -> AdversarialLoss:
    r"""$\tfrac12 (D(x) - 1)^2 + \tfrac12 D(g)^2$, and $\tfrac12 (D(g) - 1)^2$ (Mao et al. 2017,
    equation 9)."""
    return AdversarialLoss(
        lambda real, fake: 0.5 * (((real - 1) ** 2).mean() + (fake**2).mean()),
        lambda real, fake: 0.5 * ((fake - 1) ** 2).mean(),
    )


def wasserstein() -> AdversarialLoss:
    r"""$D(g) - D(x)$, whose negative is at most the 1-Wasserstein distance where $|\nabla D| \le
    1$, and $-D(g)$ (Arjovsky et al. 2017, equations 2 and 3)."""
    return AdversarialLoss(
        lambda real, fake: fake.mean() - real.mean(), lambda real, fake: -fake.mean()
    )


def hinge() -> AdversarialLoss:
    r"""$\max(0, 1 - D(x)) + \max(0, 1 + D(g))$, and $-D(g)$ (Lim and Ye 2017, equation 10)."""
    return AdversarialLoss(
        lambda real, fake: jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean(),
        lambda real, fake: -fake.mean(),
    )


def relativistic() -> AdversarialLoss:
    r"""RSGAN: $-\log \sigma(D(x) - D(g))$ over pairs, and with the parts changed over
    (Jolicoeur-Martineau 2019, equations 4 and 5)."""
    return AdversarialLoss(
        lambda real, fake: _softplus(fake - real), lambda real, fake: _softplus(real - fake)
    )


def relativistic_average() -> AdversarialLoss:
    r"""RaGAN: each score against the mean of the other kind, $-\log \sigma(D(x) - \bar D(g)) -
    \log(1 - \sigma(D(g) - \bar D(x)))$ (Jolicoeur-Martineau 2019, equations 8 and 9)."""

    def critic(real: Scores, fake: Scores) -> Loss:
        return _softplus(fake.mean() - real) + _softplus(fake - real.mean())

    return AdversarialLoss(critic, lambda real, fake: critic(fake, real))


def relativistic_least_squares() -> AdversarialLoss:
    r"""RaLS: $(D(x) - \bar D(g) - 1)^2 + (D(g) - \bar D(x) + 1)^2$, and with the parts changed
    over (Jolicoeur-Martineau 2019, appendix C)."""

    def critic(real: Scores, fake: Scores) -> Loss:
        return ((real - fake.mean() - 1) ** 2).mean() + ((fake - real.mean() + 1) ** 2).mean()

    return AdversarialLoss(critic, lambda real, fake: critic(fake, real))


def _softplus(scores: Scores) -> Loss:
    return jax.nn.softplus(scores).mean()


def _cross_entropy(real: Scores, fake: Scores) -> Loss:
    return _softplus(-real) + _softplus(fake)


class Penalty(NamedTuple):
    r"""`weight` $\cdot\, \mathbb{E} (\|\nabla D\| - c)^2$ with $c$ the `centre`, at the points
    `where(real, fake, key)`."""

    where: Callable[[Points, Points, Key], Points]
    centre: float
    weight: float


def r1(gamma: float) -> Penalty:
    r"""$\tfrac{\gamma}{2} \mathbb{E} \|\nabla D\|^2$ at real points (Mescheder et al. 2018,
    equation 9)."""
    return Penalty(_at_real, 0.0, gamma / 2)


def r2(gamma: float) -> Penalty:
    r"""$\tfrac{\gamma}{2} \mathbb{E} \|\nabla D\|^2$ at generated points (Mescheder et al. 2018,
    equation 10)."""
    return Penalty(_at_fake, 0.0, gamma / 2)


def zero_centred(weight: float) -> Penalty:
    r"""`weight` $\cdot\, \mathbb{E} \|\nabla D\|^2$ between real and generated points
    (Thanh-Tung et al. 2019, equation 6)."""
    return Penalty(_between, 0.0, weight)


def one_centred(weight: float) -> Penalty:
    r"""WGAN-GP: `weight` $\cdot\, \mathbb{E} (\|\nabla D\| - 1)^2$ between real and generated
    points (Gulrajani et al. 2017, equation 3)."""
    return Penalty(_between, 1.0, weight)


def _at_real(real: Points, fake: Points, key: Key) -> Points:
    return real


def _at_fake(real: Points, fake: Points, key: Key) -> Points:
    return fake


def _between(real: Points, fake: Points, key: Key) -> Points:
    """A place on the line from each real point to a generated one, the same for all its parts."""
    share = jax.random.uniform(key, (len(jax.tree.leaves(real)[0]),))

    def mix(a: Array, b: Array) -> Array:
        e = share.reshape(-1, *[1] * (a.ndim - 1)).astype(a.dtype)
        return jnp.broadcast_to(e, a.shape) * (b - a) + a

    return jax.tree.map(mix, real, fake)


def slope_penalty(
    judge: Callable[[Any, Condition], Array],
    points: Points,
    conditions: Condition,
    centre: float,
) -> Loss:
    r"""$\mathbb{E} (\|\nabla D\| - c)^2$ over `points` of a critic of one point."""
    slopes = jax.vmap(jax.grad(judge))(points, conditions)
    squares = [(s.reshape(len(s), -1) ** 2).sum(1) for s in jax.tree.leaves(slopes)]
    squared = jnp.stack(squares).sum(0)
    if centre == 0:
        return squared.mean()
    # the root has no slope at zero
    return ((jnp.sqrt(squared + 1e-12) - centre) ** 2).mean()


def observations_shown(
    model: AbstractAdversarial, x: Array, conditions: Condition, key: Key
) -> tuple[Points, Points]:
    """Observations, and what the generator makes of draws from the prior under the same
    conditions. Where an observation has a gap, so has its counterpart: the critic cannot tell the
    two by what is missing (Bora et al. 2018)."""
    real = jax.vmap(model.coordinates)(x)
    z = jax.vmap(model.latents.sample)(jax.random.split(key, len(x)))
    fake = jax.vmap(model.draft)(z, conditions)
    return real, jnp.where(jnp.isnan(x), 0, fake)


#: A further term that a player descends: of model, batch, conditions and the key that drew
#: what was shown.
Extra: TypeAlias = Callable[[Any, Any, Condition, Key], tuple[Loss, Metrics]]


def critic_objective(
    loss: AdversarialLoss,
    *penalties: Penalty,
    extras: tuple[Extra, ...] = (),
    shown: Shown = observations_shown,
    hidden: float = 0.0,
) -> Objective:
    """The critic's loss, penalties and `extras`. A share `hidden` of what is told of an observation
    is kept from both sides, so that they know what to do untold."""

    def objective(
        model: AbstractAdversarial, batch: Rows, key: Key, step: Step
    ) -> tuple[Loss, Metrics]:
        draw_key, place_key = jax.random.split(key)
        x, conditions = told(model, batch, draw_key, hidden)
        real, fake = jax.lax.stop_gradient(shown(model, x, conditions, draw_key))
        scores = [jax.vmap(model.judge)(points, conditions) for points in (real, fake)]
        value = loss.critic(*scores)
        metrics = {"gap": scores[0].mean() - scores[1].mean()}
        metrics["wins"] = (scores[0] > scores[1]).astype(value.dtype).mean()
        slope = jnp.zeros(())
        for penalty in penalties:
            where = penalty.where(real, fake, place_key)
            size = slope_penalty(model.judge, where, conditions, penalty.centre)
            slope = slope + penalty.weight * size
        for extra in extras:
            more, named = extra(model, x, conditions, place_key)
            value, metrics = value + more, metrics | named
        return value + slope, {**metrics, "penalty": slope}

    return objective


def generator_objective(
    loss: AdversarialLoss,
    *extras: Extra,
    shown: Shown = observations_shown,
    both: bool = False,
    weight: float = 1.0,
    hidden: float = 0.0,
) -> Objective:
    """`weight` times the generator's loss, plus `extras`. With `both` the real side has weights
    of the generator's too (an encoder), and it descends the critic's loss with the parts changed
    over (Dumoulin et al. 2017, equation 2)."""

    def objective(
        model: AbstractAdversarial, batch: Rows, key: Key, step: Step
    ) -> tuple[Loss, Metrics]:
        x, conditions = told(model, batch, key, hidden)
        real, fake = shown(model, x, conditions, key)
        scores = [jax.vmap(model.judge)(points, conditions) for points in (real, fake)]
        value = weight * (loss.critic(*scores[::-1]) if both else loss.generator(*scores))
        metrics = {}
        for extra in extras:
            more, named = extra(model, x, conditions, key)
            value, metrics = value + more, metrics | named
        return value, metrics

    return objective


def told(
    model: AbstractAdversarial, batch: Rows, key: Key, hidden: float
) -> tuple[Array, Condition]:
    """A batch's observations, and what the model is told of them."""
    if not isinstance(batch, Answered):
        return parts(batch)
    away = jax.random.bernoulli(jax.random.fold_in(key, 7), hidden, (len(batch.x),))
    return batch.x, jax.vmap(model.untold)(batch.answer, away)


def energy_distance(a: Float[Array, "n size"], b: Float[Array, "m size"]) -> Float[Array, ""]:
    r"""$2\,\mathbb{E}\|A - B\| - \mathbb{E}\|A - A'\| - \mathbb{E}\|B - B'\|$ of two samples,
    unbiased: around 0 where both are of one distribution (Székely and Rizzo 2013, equation 1)."""

    def distances(u: Array, v: Array) -> Array:
        squared = (u**2).sum(1)[:, None] + (v**2).sum(1)[None] - 2 * u @ v.T
        return jnp.sqrt(jnp.maximum(squared, 0))

    def within(u: Array) -> Array:
        n = len(u)
        off = jnp.where(jnp.eye(n, dtype=bool), 0, distances(u, u))
        return off.sum() / max(n * (n - 1), 1)

    return 2 * distances(a, b).mean() - within(a) - within(b)


def held_out_distance() -> Objective:
    """The energy distance between the observations of a batch and as many generated ones, in the
    model's own scale: what tells how a generator fares, where the losses of the game do not."""

    def objective(
        model: AbstractAdversarial, batch: Rows, key: Key, step: Step
    ) -> tuple[Loss, Metrics]:
        x, conditions = told(model, batch, key, 0.0)
        real, fake = observations_shown(model, x, conditions, key)
        distance = energy_distance(real.reshape(len(x), -1), fake.reshape(len(x), -1))
        return distance, {"energy_distance": distance}

    return objective
