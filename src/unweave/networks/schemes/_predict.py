r"""Networks that answer: a lift into features, a way through depth, a head that reads them."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from ..._model import (
    AbstractClassifier,
    AbstractLayered,
    Condition,
    Key,
    Latent,
    Layers,
    Observation,
    Regularity,
    Scalar,
)
from ...data import Scale
from .._real import real
from ._depth import AbstractDepth


class AbstractNet(eqx.Module):
    """What answers for a batch of observations."""

    @abc.abstractmethod
    def answers(
        self,
        x: Num[Array, "batch ..."],
        condition: Condition = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "batch answer"]:
        """The answers; with a key as in training, where chance has a part."""


class DeepNet(AbstractNet):
    r"""$x \mapsto \text{head}(\Phi(\text{lift}(x)))$, where $\Phi$ is the way through depth.

    **Fields:** `lift` and `head`, of one observation; `depth`, of a batch; `scale`, from the
    user's units. What was not observed enters as the scaled mean, zero.
    """

    lift: Callable
    depth: AbstractDepth
    head: Callable
    scale: Scale

    def features(self, x: Num[Array, "batch ..."]) -> Float[Array, "batch ..."]:
        """What enters at depth 0."""
        scaled = self.scale.apply(real(x))
        return jax.vmap(self.lift)(jnp.where(jnp.isnan(scaled), 0, scaled))

    def read(
        self, features: Float[Array, "batch ..."], *, key: Key | None = None
    ) -> Float[Array, "batch answer"]:
        """The answers, from the features at depth 0."""
        return jax.vmap(self.head)(self.depth.through(features, key=key))

    def answers(
        self,
        x: Num[Array, "batch ..."],
        condition: Condition = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "batch answer"]:
        """The answers for a batch."""
        return self.read(self.features(x), key=key)

    def layers(self, end: Callable[[Array], Array]) -> tuple[Layers, ...]:
        """The lift, the blocks, and the head with `end`, of a batch, after it."""

        def enter(lift: Callable, x: Array) -> Array:
            return eqx.tree_at(lambda net: net.lift, self, lift).features(x)

        def leave(head: Callable, x: Array) -> Array:
            return end(jax.vmap(head)(x))

        return _single(self.lift, enter), self.depth.layers(), _single(self.head, leave)

    def with_weights(self, weights: tuple[Any, ...]) -> "DeepNet":
        """The network whose `layers` have these weights instead."""
        lift, blocks, head = weights
        return eqx.tree_at(
            lambda net: (net.lift, net.depth, net.head), self,
            (_only(self.lift, lift), self.depth.with_weights(blocks), _only(self.head, head)),
        )  # fmt: skip

    def regularity(self, x: Num[Array, "batch ..."], key: Key) -> Regularity:
        """Averages over the way, the Jacobian's norm by one random direction at each point
        (Hutchinson 1990)."""
        points = self.depth.path(self.features(x))
        rates, pull = jax.vjp(self.depth.rates, points)
        direction = jax.random.rademacher(key, points.shape, points.dtype)
        (moved,) = pull(direction)
        return Regularity((rates**2).mean(), (moved**2).mean())


def _single(part: Callable, of_batch: Callable[[Callable, Array], Array]) -> Layers:
    """One layer: what `of_batch` does with a part of the network."""
    arrays = jax.tree.map(lambda a: a[None], eqx.filter(part, eqx.is_inexact_array))

    def apply(weights: Any, n: Array, x: Array) -> Array:
        return of_batch(_merged(part, weights), x)

    return Layers(arrays, apply, 1)


def _only(part: Callable, weights: Any) -> Callable:
    return _merged(part, jax.tree.map(lambda a: a[0], weights))


def _merged(part: Callable, weights: Any) -> Callable:
    return eqx.combine(weights, eqx.filter(part, eqx.is_inexact_array, inverse=True))


class Classifier(AbstractLayered, AbstractClassifier):
    r"""$\log p(\text{class} \mid x)$, the log-softmax of a network's answers over $T$.

    Its code has one number for each class, in the order of `names`. The `temperature` $T$ is a
    number that training leaves at 1; `explain.calibrated` sets it.
    """

    net: AbstractNet
    names: tuple[str, ...] = eqx.field(static=True)
    temperature: float = eqx.field(static=True, default=1.0)

    def __check_init__(self):
        if not 0 < self.temperature < float("inf"):
            raise ValueError(
                f"the temperature is {self.temperature}; give a positive number, 1 for none."
            )

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """The log-probability of every class; nothing is drawn."""
        return self.predict(x[None], jax.tree.map(lambda part: part[None], condition))[0]

    def predict(
        self,
        x: Num[Array, "batch ..."],
        condition: Condition = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "batch answer"]:
        """Log-probabilities for a batch."""
        return jax.nn.log_softmax(self.logits(x, condition, key=key) / self.temperature)

    def logits(
        self,
        x: Num[Array, "batch ..."],
        condition: Condition = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "batch answer"]:
        """The network's answers themselves, whatever the temperature is."""
        return self.net.answers(x, condition, key=key)

    def misfit(self, code: Latent, answer: Num[Array, "..."]) -> Scalar:
        r"""$-\log p(\text{answer} \mid x)$ in nats."""
        return -code[answer]

    def regularity(self, x: Num[Array, "batch ..."], key: Key) -> Regularity:
        """Of the way through depth."""
        return way_through(self).regularity(x, key)

    def layers(self) -> tuple[Layers, ...]:
        """Of the network."""
        return way_through(self).layers(lambda x: jax.nn.log_softmax(x / self.temperature))

    def with_weights(self, weights: tuple[Any, ...]) -> "Classifier":
        """The same answers from other weights."""
        return eqx.tree_at(lambda model: model.net, self, way_through(self).with_weights(weights))


class Regressor(AbstractLayered):
    """Numbers read off an observation, each of `names` in its own unit of `units`, which
    `answer_scale` gives back."""

    net: AbstractNet
    names: tuple[str, ...] = eqx.field(static=True)
    answer_scale: Scale

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """The numbers in the user's units; nothing is drawn."""
        return self.predict(x[None], jax.tree.map(lambda part: part[None], condition))[0]

    def predict(
        self,
        x: Num[Array, "batch ..."],
        condition: Condition = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "batch answer"]:
        """The numbers for a batch, in the user's units."""
        return self.answer_scale.undo(self.net.answers(x, condition, key=key))

    def misfit(self, code: Latent, answer: Num[Array, "..."]) -> Scalar:
        """The mean square of the errors in units of the training answers' spread."""
        known = ~jnp.isnan(answer)
        error = self.answer_scale.apply(code) - self.answer_scale.apply(answer)
        count = jnp.maximum(known.sum(), 1).astype(error.dtype)
        return (jnp.where(known, error, 0) ** 2).sum() / count

    def regularity(self, x: Num[Array, "batch ..."], key: Key) -> Regularity:
        """Of the way through depth."""
        return way_through(self).regularity(x, key)

    def layers(self) -> tuple[Layers, ...]:
        """Of the network."""
        return way_through(self).layers(self.answer_scale.undo)

    def with_weights(self, weights: tuple[Any, ...]) -> "Regressor":
        """The same answers from other weights."""
        return eqx.tree_at(lambda model: model.net, self, way_through(self).with_weights(weights))


def way_through(model: Classifier | Regressor) -> DeepNet:
    """The network of a model that has a way through depth; `TypeError` for one that has none."""
    if not isinstance(model.net, DeepNet):
        raise TypeError(
            f"{type(model.net).__name__} has no way through depth that could be regular or "
            "refined; leave kinetic and jacobian at 0."
        )
    return model.net


def parameters(model: eqx.Module) -> int:
    """How many trainable numbers a model has."""
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))
