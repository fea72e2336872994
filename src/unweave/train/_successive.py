r"""Training as optimal control: successive approximations of Pontryagin's maximum principle.

A layer's weights are a control, the features a state, and the gradient of the loss by the features
is, up to its sign, the costate. The principle asks each layer's weights to maximise a Hamiltonian
of its own, so that layers are moved by themselves and at the same time.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from .._libraries import default_promotion
from .._model import (
    AbstractLayered,
    Key,
    Layers,
)
from ._objectives import Loss, Metrics
from ._steppers import AbstractStepper, State, _zero
from ._supervised import Answered, supervised

# at an optimum rounding alone refuses steps, and rho would grow until it is infinite
_RHO = (1e-6, 1e6)


class SuccessiveApproximations(AbstractStepper):
    r"""The extended method of successive approximations (Li, Chen, Tai and E 2018, algorithm 2),
    of a model that is a chain of layers with weights of their own.

    Forward, the states $x_{n+1} = g_n(x_n, \theta_n)$; backward, the costates $p_n =
    (\partial g_n / \partial x)^\top p_{n+1}$ from $p_N = -\partial \Phi / \partial x$, of every
    observation; then each $\theta_n$, by itself, ascends from where it is the augmented Hamiltonian

    $$p_{n+1} \cdot g_n(x_n, \theta) - \tfrac{\rho}{2h} \| x_{n+1} - g_n(x_n, \theta) \|^2
    - \tfrac{\rho}{2h} \| p_n - (\partial g_n / \partial x)^\top p_{n+1} \|^2,$$

    averaged over the batch, $h = 1/N$ in a row of $N$ layers: the paper's, stepped by Euler's
    method. $\Phi$ is the misfit with the last layer in it, whose Hamiltonian is $-\Phi$. What
    $\rho$ multiplies is zero at the old weights and so is its gradient: a single iteration of
    `optax.sgd(rate)` is gradient descent at that rate, whatever $\rho$ is. More of them trust the
    states and costates for longer, and $\rho$ says how far. How large it must be depends on the
    problem, so it is found here as a trust region is: where a step would raise the loss of its
    batch it is not taken and $\rho$ grows, and after a step that was taken it shrinks a little.

    **Fields:** `rho` at the beginning; `iterations` of `ascent`, an optax optimiser that starts
    anew in every step, L-BFGS where it is None; `growth` of $\rho$, with 1 for the paper's
    algorithm, which takes every step. Needs an `AbstractLayered` model and `Answered` rows.
    """

    rho: float = eqx.field(static=True, default=1.0)
    iterations: int = eqx.field(static=True, default=5)
    ascent: optax.GradientTransformation | None = eqx.field(static=True, default=None)
    growth: float = eqx.field(static=True, default=2.0)

    def __check_init__(self):
        if self.rho < 0 or (self.rho == 0 and self.growth > 1):
            raise ValueError(
                f"rho is {self.rho}; give a number above 0, or 0 with growth=1, the method without "
                "its extension."
            )
        if self.iterations < 1:
            raise ValueError(f"{self.iterations} iterations were asked of a step; give at least 1.")
        if self.growth < 1:
            raise ValueError(f"growth is {self.growth}; give 1, or more for a rho that is found.")

    def init(self, model: eqx.Module, *, key: Key) -> State:
        """The model and rho; raises `TypeError` where there are no layers."""
        if not isinstance(model, AbstractLayered):
            raise TypeError(
                f"successive approximations move a model layer by layer, and "
                f"{type(model).__name__} has no layers; train it by Descend."
            )
        model.layers()
        return State(model, jnp.asarray(np.float32(self.rho)), _zero())

    def step(self, state: State, x: Answered, key: Key) -> tuple[State, Metrics]:
        """One pass forward, one backward, and every layer's ascent."""
        model, rho = state.model, state.optimiser
        chain = _ending_in_value(model, x.answer)
        seen, value = _there_and_back(chain, x.x)
        moved = model.with_weights(
            tuple(self._ascend(row, rho, part) for row, part in zip(chain, seen, strict=True))
        )
        loss = -value.mean()
        if self.growth > 1:
            after, _ = supervised()(moved, x, key, state.step)
            better = after <= loss
            moved = jax.tree.map(
                lambda new, old: jnp.where(better, new, old) if eqx.is_array(new) else new,
                moved, model,
            )  # fmt: skip
            # as fast down as up where one step in five is refused
            factor = jnp.where(better, self.growth**-0.25, self.growth)
            rho = jnp.clip(rho * factor, *_RHO)
        state = State(moved, rho, state.step + 1)
        return state, {"loss": loss, "misfit": loss, "rho": rho}

    def evaluate(self, state: State, x: Answered, key: Key) -> Metrics:
        """The misfit of the predictions."""
        loss, metrics = supervised()(state.model, x, key, state.step)
        return {"loss": loss, **metrics}

    def _ascend(self, layers: Layers, rho: Array, seen: "_Seen") -> Any:
        """The new weights of a row, each layer's found by itself."""
        ascent = optax.with_extra_args_support(self.ascent or optax.lbfgs())

        def one(weights: Any, seen: _Seen) -> Any:
            def loss(weights: Any) -> Loss:
                return -_augmented(layers, rho, weights, seen)

            def body(i: Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
                weights, state = carry
                value, gradient = jax.value_and_grad(loss)(weights)
                updates, state = ascent.update(
                    gradient, state, weights, value=value, grad=gradient, value_fn=loss
                )
                return optax.apply_updates(weights, updates), state

            with default_promotion():
                carry = weights, ascent.init(weights)
                return jax.lax.fori_loop(0, self.iterations, body, carry)[0]

        return jax.vmap(one)(layers.weights, seen)


class _Seen(NamedTuple):
    """What one layer, or each of a row, saw: its number, the states at either end and the
    costates. The data have no costate that matters; the value at the end is no state."""

    n: Int[Array, "*row"]
    before: Array
    after: Array | None
    costate_before: Array | None
    costate_after: Array


def _augmented(layers: Layers, rho: Array, weights: Any, seen: _Seen) -> Float[Array, ""]:
    """The augmented Hamiltonian of one layer, averaged over the batch."""

    def through(x: Array) -> Array:
        return layers.apply(weights, seen.n, x)

    if seen.costate_before is None:
        y, errors = through(seen.before), 0.0
    else:
        y, pull = jax.vjp(through, seen.before)
        errors = ((seen.costate_before - pull(seen.costate_after)[0]) ** 2).sum()
    if seen.after is not None:
        errors += ((seen.after - y) ** 2).sum()
    total = (seen.costate_after * y).sum() - 0.5 * rho * layers.depth * errors
    return total / len(seen.before)


def _there_and_back(chain: Sequence[Layers], x: Array) -> tuple[list[_Seen], Array]:
    """What every layer saw on the way forward and back, and the value at the end."""
    states: list[tuple[Array, Array]] = []
    for layers in chain:
        states.append(_forward(layers, x))
        x = states[-1][1][-1]
    costate = jnp.ones_like(x)
    seen: list[_Seen] = []
    for place in reversed(range(len(chain))):
        layers, (before, after) = chain[place], states[place]
        given, found = costate[None], None
        if place:
            given, found = _backward(layers, before, costate)
            costate = found[0]
        is_value = place == len(chain) - 1
        row = jnp.arange(layers.depth)
        seen.append(_Seen(row, before, None if is_value else after, found, given))
    return seen[::-1], x


def _forward(layers: Layers, x: Array) -> tuple[Array, Array]:
    """The states before each layer of a row, and after each."""
    if layers.depth == 1:
        return x[None], layers.apply(_first(layers.weights), jnp.asarray(0), x)[None]

    def body(x: Array, at: tuple[Any, Array]) -> tuple[Array, tuple[Array, Array]]:
        after = layers.apply(*at, x)
        return after, (x, after)

    return jax.lax.scan(body, x, (layers.weights, jnp.arange(layers.depth)))[1]


def _backward(layers: Layers, before: Array, costate: Array) -> tuple[Array, Array]:
    """The costates after each layer of a row, and before each."""

    def back(costate: Array, at: tuple[Any, Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        weights, n, x = at
        _, pull = jax.vjp(lambda x: layers.apply(weights, n, x), x)
        (found,) = pull(costate)
        return found, (costate, found)

    if layers.depth == 1:
        _, (given, found) = back(costate, (_first(layers.weights), jnp.asarray(0), before[0]))
        return given[None], found[None]
    row = (layers.weights, jnp.arange(layers.depth), before)
    return jax.lax.scan(back, costate, row, reverse=True)[1]


def _first(weights: Any) -> Any:
    return jax.tree.map(lambda a: a[0], weights)


def _ending_in_value(model: AbstractLayered, answer: Array) -> list[Layers]:
    """The chain of a model, minus the misfit of each observation in its last layer."""
    *rest, last = model.layers()

    def apply(weights: Any, n: Array, x: Array) -> Array:
        return -jax.vmap(model.misfit)(last.apply(weights, n, x), answer)

    return [*rest, Layers(last.weights, apply, last.depth)]
