r"""Training against an adversary: the inner maximum by the same ascent as the attacks take."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._budgets import AbstractBudget, Neighbourhood, ascend, neighbourhood
from .._model import AbstractPredictor, Key
from ._objectives import Loss, Metrics, Objective, Step
from ._supervised import Answered

# TRADES begins so near to the input, in radii, where its divergence has no slope
_NEAR = 0.03
# the steps of an inner maximum go as many radii in all, so that it can reach the other side
_REACH = 2.5


def adversarial(
    budget: AbstractBudget,
    *,
    steps: int = 7,
    valid: tuple[float, float] | None = None,
    warm_up: int = 0,
) -> Objective:
    r"""PGD training (Madry et al. 2018, equation 2.1), $\min_\theta \mathbb{E} \max_{\delta \in B}
    \text{misfit}(f_\theta(x + \delta), y)$: of classes cross-entropy.

    The maximum is sought by `steps` of projected ascent from a random point. `valid` is the range
    of inputs, by itself 0 to 255 of bytes; the radius grows from 0 over the first `warm_up` steps
    of training. Raises `ValueError` for steps of 0.
    """
    _check(steps)

    def objective(
        model: AbstractPredictor, batch: Answered, key: Key, step: Step
    ) -> tuple[Loss, Metrics]:
        still = _still(model)

        def loss(x: Array) -> Array:
            return _misfits(still, x, batch)

        around = _around(batch, budget, valid, warm_up, step)
        start = around.draw(jax.random.fold_in(key, 2))
        worst = around.at(ascend(loss, around, start, steps=steps, step=_REACH / steps))
        misfit = _misfits(model, jax.lax.stop_gradient(worst), batch, key=key).mean()
        return misfit, {"misfit": misfit}

    return objective


def trades(
    budget: AbstractBudget,
    *,
    weight: float = 6.0,
    steps: int = 7,
    valid: tuple[float, float] | None = None,
    warm_up: int = 0,
) -> Objective:
    r"""TRADES (Zhang et al. 2019, equation 5), $\min_\theta \mathbb{E} [\text{misfit}(f_\theta(x),
    y) + \beta \max_{\delta \in B} D(f_\theta(x) \| f_\theta(x + \delta))]$, `weight` being $\beta$
    and $D$ the Kullback-Leibler divergence of classes, or of numbers the misfit of the one
    prediction against the other.

    The other arguments are those of `adversarial`, as is what it raises.
    """
    _check(steps)

    def objective(
        model: AbstractPredictor, batch: Answered, key: Key, step: Step
    ) -> tuple[Loss, Metrics]:
        around = _around(batch, budget, valid, warm_up, step)
        apart = _divergence(model, batch)
        still = _still(model)
        calm = still.predict(around.x, batch.condition)

        def away(x: Array) -> Array:
            return apart(calm, still.predict(x, batch.condition))

        start = _NEAR * around.draw(jax.random.fold_in(key, 2))
        worst = around.at(ascend(away, around, start, steps=steps, step=_REACH / steps))
        clean = model.predict(around.x, batch.condition, key=key)
        moved = model.predict(jax.lax.stop_gradient(worst), batch.condition, key=key)
        misfit = jax.vmap(model.misfit)(clean, batch.answer).mean()
        divergence = apart(clean, moved).mean()
        return misfit + weight * divergence, {"misfit": misfit, "divergence": divergence}

    return objective


def _around(
    batch: Answered,
    budget: AbstractBudget,
    valid: tuple[float, float] | None,
    warm_up: int,
    step: Step,
) -> Neighbourhood:
    """What the budget allows about a batch at this step of training."""
    if valid is None and batch.x.dtype == jnp.uint8:
        valid = (0.0, 255.0)
    gaps = bool(jnp.issubdtype(batch.x.dtype, jnp.floating))
    x = batch.x if gaps else batch.x.astype(jnp.float32)
    if warm_up:
        share = jnp.minimum(1.0, jnp.asarray(step, x.dtype) / warm_up)
        budget = budget.with_radius(share * budget.radius)
    return neighbourhood(x, budget, valid, gaps=gaps)


def _still(model: AbstractPredictor) -> AbstractPredictor:
    """The model as a constant: an inner maximum has no slope in the weights."""
    arrays, static = eqx.partition(model, eqx.is_inexact_array)
    return eqx.combine(jax.lax.stop_gradient(arrays), static)


def _misfits(
    model: AbstractPredictor, x: Array, batch: Answered, *, key: Key | None = None
) -> Float[Array, " batch"]:
    predicted = model.predict(x, batch.condition, key=key)
    return jax.vmap(model.misfit)(predicted, batch.answer)


def _divergence(
    model: AbstractPredictor, batch: Answered
) -> Callable[[Array, Array], Float[Array, " batch"]]:
    """How far one batch of codes is from another, of each row."""
    if jnp.issubdtype(batch.answer.dtype, jnp.integer):
        return lambda first, other: (jnp.exp(first) * (first - other)).sum(-1)
    return lambda first, other: jax.vmap(model.misfit)(other, first)


def _check(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"an adversary of {steps} steps does nothing; give at least 1.")
