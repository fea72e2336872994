"""The layers of a model, as functions of one observation."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._adapt import Inverted
from .._marginal import Marginal
from .._model import Condition
from ..networks import (
    MLP,
    Autoencoder,
    Classifier,
    DeepNet,
    Flat,
    GatedConvolutions,
    Regressor,
    SeriesNet,
    Skip,
    Stack,
    Stepped,
)
from ..networks._observe import network_input
from ..networks._real import real
from ..networks._vae import AbstractVAE
from ..networks.series._times import times_of


class Layer(eqx.Module):
    """A place in a model: `reach` takes an observation and its condition to what is there, and
    `leave`, where the rest of the model is known, that to the model's code."""

    name: str = eqx.field(static=True)
    reach: Callable[[Array, Condition], Array]
    leave: Callable[[Array], Array] | None = None


def layers_of(model: eqx.Module) -> tuple[Layer, ...]:
    """The layers that a model can be looked at in, from the observation to its code.

    Of classifiers and regressors the features that enter, those after every block, and what is
    read from a series; of autoencoders those of the encoder.

    Raises `TypeError` where a model has none that are known.
    """
    if isinstance(model, Inverted | Marginal):
        model = model.decoder if isinstance(model, Inverted) else model.model
    if isinstance(model, Classifier | Regressor):
        net = model.net
        if isinstance(net, DeepNet):
            return _of_depth(model, net)
        if isinstance(net, SeriesNet) and isinstance(net.reader, GatedConvolutions):
            return (Layer("gated convolutions", _Reads(net), _Attends(model, net)),)
    if isinstance(model, AbstractVAE | Autoencoder):
        return _of_encoder(model)
    raise TypeError(
        f"the layers of {type(model).__name__} are not known; give the model of a network that "
        "answers, such as resnet, or of an autoencoder."
    )


def maps_of(model: eqx.Module) -> tuple[Layer, ...]:
    """Those layers that are maps `(*place, channel)`, with the rest of the model known.

    Raises `TypeError` where there are none.
    """
    found = tuple(layer for layer in layers_of(model) if layer.leave and _is_map(model, layer))
    if not found:
        raise TypeError(
            f"{type(model).__name__} has no layer with features at places of the input; grad_cam "
            "needs a convolutional network, such as: unweave fit resnet DATA --convolutional."
        )
    return found


def _is_map(model: eqx.Module, layer: Layer) -> bool:
    """Whether convolutions made the layer: then it has a place in the input."""
    if isinstance(layer.reach, _Enters):
        return isinstance(layer.reach.net.lift, Stack)
    if isinstance(layer.reach, _Encodes):
        return layer.reach.number < len(layer.reach.net.layers) - 1
    return isinstance(layer.reach, _Reads)


def _of_depth(model: Classifier | Regressor, net: DeepNet) -> tuple[Layer, ...]:
    blocks = net.depth.blocks if isinstance(net.depth, Stepped) else None
    try:
        steps = net.depth.layers().depth if blocks else 0
    except TypeError:  # a scheme that remembers a step before: only its ends are looked at
        steps = 0
    stops = [*range(steps), None] if steps else [0, None]
    names = ["lift", *(f"block {n}" for n in range(1, steps)), "last block"]
    return tuple(
        Layer(name, _Enters(net, stop), _Answers(model, net, stop))
        for name, stop in zip(names, stops, strict=True)
    )


def _of_encoder(model: Any) -> tuple[Layer, ...]:
    net = model.encoder
    if isinstance(net, Stack) and len(net.layers) > 1:
        return tuple(
            Layer(f"convolution {i + 1}", _Encodes(model, net, i), _Decides(model, net, i))
            for i in range(len(net.layers) - 1)
        )
    inner = net.net if isinstance(net, Skip | Flat) else net
    if isinstance(inner, MLP) and len(inner.weights) > 1:
        return tuple(
            Layer(f"hidden {i + 1}", _Hides(model, inner, i)) for i in range(len(inner.weights) - 1)
        )
    raise TypeError(
        f"the encoder of {type(model).__name__} is a {type(net).__name__}, whose layers are not "
        "known; give an autoencoder with dense or convolutional nets."
    )


class _Enters(eqx.Module):
    """The features after so many blocks, of all where None."""

    net: DeepNet
    blocks: int | None = eqx.field(static=True)

    def __call__(self, x: Array, condition: Condition) -> Array:
        features = self.net.features(x[None])
        if self.blocks is None:
            return self.net.depth.through(features)[0]
        return _through(self.net, features, 0, self.blocks)[0]


class _Answers(eqx.Module):
    """From the features after so many blocks to the code."""

    model: Any
    net: DeepNet
    blocks: int | None = eqx.field(static=True)

    def __call__(self, features: Array) -> Array:
        if self.blocks is None:
            return _code(self.model, self.net.head(features))
        if not isinstance(self.net.depth, Stepped) or self.net.depth.blocks is None:
            return _code(self.model, self.net.read(features[None])[0])
        last = self.net.depth.blocks
        return _code(
            self.model, self.net.head(_through(self.net, features[None], self.blocks, last)[0])
        )


def _through(net: DeepNet, features: Array, first: int, last: int) -> Array:
    if first == last:
        return features
    layers = net.depth.layers()
    for n in range(first, last):
        weights = jax.tree.map(lambda part, n=n: part[n], layers.weights)
        features = layers.apply(weights, jnp.asarray(n), features)
    return features


class _Reads(eqx.Module):
    net: SeriesNet

    def __call__(self, x: Array, condition: Condition) -> Array:
        scaled = self.net.scale.apply(real(x))
        assert isinstance(self.net.reader, GatedConvolutions)
        return self.net.reader.features(scaled, times_of(condition, self.net.times, scaled))


class _Attends(eqx.Module):
    model: Any
    net: SeriesNet

    def __call__(self, features: Array) -> Array:
        assert isinstance(self.net.reader, GatedConvolutions)
        return _code(self.model, self.net.reader.read(features))


class _Encodes(eqx.Module):
    """What a convolution gives, after its activation."""

    model: Any
    net: Stack
    number: int = eqx.field(static=True)

    def __call__(self, x: Array, condition: Condition) -> Array:
        x = network_input(x, self.model.scale)
        for layer in self.net.layers[: self.number + 1]:
            x = self.net.activation(layer(x))
        return x


class _Decides(eqx.Module):
    model: Any
    net: Stack
    number: int = eqx.field(static=True)

    def __call__(self, features: Array) -> Array:
        later = self.net.layers[self.number + 1 :]
        for layer in later[:-1]:
            features = self.net.activation(layer(features))
        return _code(self.model, later[-1](features))


class _Hides(eqx.Module):
    """What a hidden layer gives, after its activation."""

    model: Any
    net: MLP
    number: int = eqx.field(static=True)

    def __call__(self, x: Array, condition: Condition) -> Array:
        x = jnp.ravel(network_input(x, self.model.scale))
        layers = zip(self.net.weights, self.net.biases, strict=True)
        for weight, bias in list(layers)[: self.number + 1]:
            x = self.net.activation(weight @ x + bias)
        return x


def _code(model: Any, numbers: Array) -> Array:
    """A model's code, from what its last layer gives."""
    if isinstance(model, Classifier):
        return jax.nn.log_softmax(numbers / model.temperature)
    if isinstance(model, Regressor):
        return model.answer_scale.undo(numbers)
    if isinstance(model, Autoencoder):
        mean, cholesky = model._affine(numbers)
        return jax.scipy.linalg.solve_triangular(cholesky, numbers - mean, lower=True)
    return jnp.split(numbers, 2)[0]
