"""Models whose best attack is known, and models that only seem to withstand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from unweave.networks.schemes import AbstractNet, Classifier


class Linear(AbstractNet):
    """Answers that are a matrix times the ravelled input; `sharp` multiplies them, and inputs are
    rounded to multiples of `grid`, where one is given."""

    weight: jax.Array
    bias: jax.Array
    sharp: float = 1.0
    grid: float = 0.0

    def answers(self, x, condition=None, *, key=None):
        if self.grid:
            x = jnp.round(x / self.grid) * self.grid
        flat = x.reshape(len(x), -1)
        plain = flat @ self.weight.T + jnp.broadcast_to(self.bias, (len(x), len(self.bias)))
        return self.sharp * plain


class Bent(AbstractNet):
    """One hidden layer of tanh."""

    weights: tuple[jax.Array, jax.Array]

    def answers(self, x, condition=None, *, key=None):
        return jnp.tanh(x.reshape(len(x), -1) @ self.weights[0].T) @ self.weights[1].T


def linear(classes=2, shape=(6,), seed=0, **more):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(classes, int(np.prod(shape)))).astype(np.float32)
    bias = rng.normal(size=classes).astype(np.float32)
    names = tuple(f"class {i}" for i in range(classes))
    net = Linear(jnp.asarray(weight), jnp.asarray(bias), **more)
    return Classifier(net=net, names=names)


def bent(classes=4, size=8, hidden=24, seed=0):
    rng = np.random.default_rng(seed)
    shapes = ((hidden, size), (classes, hidden))
    weights = tuple(jnp.asarray(rng.normal(size=s).astype(np.float32)) for s in shapes)
    return Classifier(net=Bent((weights[0], weights[1])), names=tuple("abcdefgh"[:classes]))


def inputs(model, n=60, shape=(6,), seed=1):
    """Inputs, and the classes that the model gives them."""
    x = np.random.default_rng(seed).normal(size=(n, *shape)).astype(np.float32)
    return x, np.asarray(model.predict(jnp.asarray(x))).argmax(1)


def distances(model, x, classes, dual):
    """How far each input is from the nearest plane where another class wins, in the norm whose dual
    is `dual`: of a linear model the smallest perturbation there is."""
    weight, bias = (np.asarray(part, np.float64) for part in (model.net.weight, model.net.bias))
    answers = x.reshape(len(x), -1).astype(np.float64) @ weight.T + bias
    rows = np.arange(len(x))
    gaps = answers[rows, classes][:, None] - answers
    lengths = np.stack([[dual(weight[c] - w) for w in weight] for c in classes])
    away = np.where(lengths > 0, gaps / np.where(lengths > 0, lengths, 1), np.inf)
    return away.min(1)


def conv_model(seed=0):
    """A classifier that asks XLA for a convolution."""

    class Convolved(AbstractNet):
        layer: eqx.nn.Conv1d
        head: jax.Array

        def answers(self, x, condition=None, *, key=None):
            def one(series):
                return self.head @ jnp.tanh(self.layer(series.T)).mean(1)

            return jax.vmap(one)(x)

    layer = eqx.nn.Conv1d(1, 4, 3, key=jax.random.key(seed))
    return Classifier(
        net=Convolved(layer, jax.random.normal(jax.random.key(1), (3, 4))), names=tuple("abc")
    )
