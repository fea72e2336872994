"""Dense nets."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._model import Key


class MLP(eqx.Module):
    r"""A multilayer perceptron, $x \mapsto W_L\, a(\dots a(W_1 x + b_1) \dots) + b_L$.

    **Arguments:** sizes of input and output, `widths` of the hidden layers, and with
    `zero_last` an output that is zero at the start, for a net that corrects something. Weights
    start uniform in $\pm 1/\sqrt{\text{inputs}}$.
    """

    weights: tuple[Float[Array, "out in"], ...]
    biases: tuple[Float[Array, " out"], ...]
    activation: Callable[[Array], Array]

    def __init__(
        self,
        in_size: int,
        out_size: int,
        widths: tuple[int, ...],
        *,
        activation: Callable[[Array], Array] = jax.nn.relu,
        zero_last: bool = False,
        key: Key,
    ):
        self.weights, self.biases = _draw((in_size, *widths, out_size), zero_last, key)
        self.activation = activation

    def __call__(self, x: Float[Array, " in"]) -> Float[Array, " out"]:
        """The output for one `x`."""
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = self.activation(weight @ x + bias)
        return self.weights[-1] @ x + self.biases[-1]


@partial(jax.jit, static_argnums=(0, 1))
def _draw(
    sizes: tuple[int, ...], zero_last: bool, key: Key
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """All weights and biases from one draw: one program to compile instead of two a layer."""
    layers = list(pairwise(sizes))
    flat = jax.random.uniform(key, (sum(o * (i + 1) for i, o in layers),), minval=-1.0)
    weights, biases, start = [], [], 0
    for number, (inputs, outputs) in enumerate(layers):
        last = number == len(layers) - 1
        end = start + outputs * (inputs + 1)
        part = flat[start:end] * (0.0 if last and zero_last else inputs**-0.5)
        weights.append(part[:-outputs].reshape(outputs, inputs))
        biases.append(part[-outputs:])
        start = end
    return tuple(weights), tuple(biases)


class Flat(eqx.Module):
    """A net on vectors, for arrays: ravels what comes in, shapes what goes out."""

    net: Callable
    shape: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The output for one `x`."""
        return self.net(jnp.ravel(x)).reshape(self.shape)
