"""Dense nets."""

from collections.abc import Callable

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
        sizes = (in_size, *widths, out_size)
        weights, biases = [], []
        for one, inputs, outputs in zip(
            jax.random.split(key, len(sizes) - 1), sizes[:-1], sizes[1:], strict=True
        ):
            weight_key, bias_key = jax.random.split(one)
            bound = inputs**-0.5
            weights.append(
                jax.random.uniform(weight_key, (outputs, inputs), minval=-bound, maxval=bound)
            )
            biases.append(jax.random.uniform(bias_key, (outputs,), minval=-bound, maxval=bound))
        if zero_last:
            weights[-1], biases[-1] = jnp.zeros_like(weights[-1]), jnp.zeros_like(biases[-1])
        self.weights, self.biases = tuple(weights), tuple(biases)
        self.activation = activation

    def __call__(self, x: Float[Array, " in"]) -> Float[Array, " out"]:
        """The output for one `x`."""
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = self.activation(weight @ x + bias)
        return self.weights[-1] @ x + self.biases[-1]


class Flat(eqx.Module):
    """A net on vectors, for arrays: ravels what comes in, shapes what goes out."""

    net: Callable
    shape: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The output for one `x`."""
        return self.net(jnp.ravel(x)).reshape(self.shape)
