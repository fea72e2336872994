r"""One number read off a model: what is explained, attacked, or watched.

A target is a function $x \mapsto f(x)$ of one input to a scalar, drawn from a capability, so that
attribution, attack and detection are written once and never ask what kind of model is behind it.
Most targets read an observation; `output` reads latents, which an equation's parameters are.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from ._model import (
    AbstractClassifier,
    AbstractDecoder,
    AbstractDensity,
    AbstractPredictor,
    Condition,
    Latent,
    Scalar,
    require,
)


class Target(eqx.Module):
    r"""A number $f(x)$ of one input, with what it is called and its unit.

    `function` takes the input and its condition; where it is an `eqx.Module`, the arrays of its
    model are arguments of what is compiled. `of` is `observation` or `latents`: what the input is.
    """

    function: Callable[[Any, Any], Any]
    name: str = eqx.field(static=True)
    unit: str = eqx.field(static=True, default="")
    of: str = eqx.field(static=True, default="observation")

    def __call__(self, x: Num[Array, "..."], condition: Condition = None) -> Scalar:
        """The number, for one input."""
        return self.function(x, condition)


def surprise(model: eqx.Module) -> Target:
    r"""$-\log p(x)$ in nats, of the kind that the model's density is.

    Raises `TypeError` if the model has no density.
    """
    require(model, "density", tool="surprise")
    assert isinstance(model, AbstractDensity)
    kind = "" if model.density_kind == "exact" else f" ({model.density_kind})"
    return Target(_Surprise(model), f"surprise{kind}", "nat")


def misfit(model: eqx.Module, *, scale: Sequence[float] = ()) -> Target:
    r"""The mean square of what reconstruction leaves, $\frac1n \sum_i ((x_i - \hat x_i) / s_i)^2$
    over the $n$ observed entries, $\hat x$ decoded from what `x` is encoded to.

    `scale` has one $s$ for each channel (the last axis), in its unit; without it $s = 1$. Raises
    `TypeError` if the model cannot encode and decode, `ValueError` for a scale that is none.
    """
    require(model, "encoder", "decoder", tool="misfit")
    if not all(spread > 0 for spread in scale):
        raise ValueError(f"the scales {tuple(scale)} are not all positive.")
    return Target(_Misfit(model, tuple(float(spread) for spread in scale)), "misfit")


def latent(model: eqx.Module, which: str | int) -> Target:
    """The latent, or answer, of that name that `x` is encoded to, in its own unit.

    Raises `TypeError` if the model cannot encode, `ValueError` for a name that it has not.
    """
    require(model, "encoder", tool="latent")
    names, units = _named(model)
    index = _found(which, names, "latent")
    name = names[index] if names else f"latent {index}"
    return Target(_Code(model, index), name, units[index] if units else "")


def class_logit(model: eqx.Module, which: str | int) -> Target:
    r"""The log-odds of a class, $\log p_c - \log \sum_{k \neq c} p_k$: of two classes the
    difference of what the last layer gives, and where $p_c$ saturates it does not.

    Raises `TypeError` if the model is no classifier, `ValueError` for a class that it has not.
    """
    names = _classes(model)
    index = _found(which, names, "class")
    return Target(_LogOdds(model, index), f"log-odds of {names[index]}", "nat")


def class_log_probability(model: eqx.Module, which: str | int) -> Target:
    r"""$\log p(\text{class} \mid x)$ in nats.

    Raises `TypeError` if the model is no classifier, `ValueError` for a class that it has not.
    """
    names = _classes(model)
    index = _found(which, names, "class")
    return Target(_Code(model, index), f"log-probability of {names[index]}", "nat")


def confidence(model: eqx.Module) -> Target:
    r"""$\max_c p(c \mid x)$, the probability of the class that is answered (Hendrycks and Gimpel
    2017); what it is worth, `explain.calibrated` says.

    Raises `TypeError` if the model is no classifier.
    """
    _classes(model)
    return Target(_Confidence(model), "confidence")


def entropy(model: eqx.Module) -> Target:
    r"""$-\sum_c p(c \mid x) \log p(c \mid x)$ in nats: 0 where one class is certain.

    Raises `TypeError` if the model is no classifier.
    """
    _classes(model)
    return Target(_Entropy(model), "entropy", "nat")


def energy(model: eqx.Module) -> Target:
    r"""$-\log \sum_c e^{f_c(x)}$ of the logits $f$: high where nothing of any class was seen (Liu
    et al. 2020, equation 4, at temperature 1).

    Raises `TypeError` if the model is no classifier.
    """
    _classes(model)
    return Target(_FreeEnergy(model), "energy", "nat")


def output(model: eqx.Module, at: Sequence[int], *, name: str = "", unit: str = "") -> Target:
    r"""Entry `at` of what the latents stand for, $z \mapsto x_{at}(z)$: of an equation the value at
    one time, whose gradient is its sensitivity to each parameter.

    `at` has one index for each axis of an observation. Raises `TypeError` if the model cannot
    decode.
    """
    require(model, "decoder", tool="output")
    place = tuple(int(i) for i in at)
    return Target(_Output(model, place), name or f"x{list(place)}", unit, "latents")


def forecast(
    model: eqx.Module, at: Sequence[int], known: int, *, name: str = "", unit: str = ""
) -> Target:
    r"""Entry `at` as the model expects it from the first `known` samples of `x` alone:
    $\hat x_{at}$ decoded from what $(x_1, \dots, x_{known}, \text{NaN}, \dots)$ is encoded to.

    Raises `TypeError` if the model cannot encode and decode, `ValueError` where what is asked for
    is among what is known.
    """
    require(model, "encoder", "decoder", tool="forecast")
    place = tuple(int(i) for i in at)
    if not 0 < known <= place[0]:
        raise ValueError(
            f"sample {place[0]} was to be foretold from the first {known}; give a known= of at "
            f"least 1 and at most {place[0]}."
        )
    return Target(_Forecast(model, place, known), name or f"forecast of x{list(place)}", unit)


def read_target(text: str, model: eqx.Module) -> Target:
    """The target that a word of the command line stands for: `surprise`, `misfit`, `latent:NAME`,
    `class:NAME`, `confidence`, `entropy`, `energy`, `output:TIME,CHANNEL` or
    `forecast:TIME,CHANNEL,KNOWN`, places counted from 0.

    Raises `ValueError` for other words, and what the target itself raises.
    """
    word, _, rest = text.partition(":")
    if word == "surprise" and not rest:
        return surprise(model)
    if word == "misfit" and not rest:
        return misfit(model)
    if word in _OF_CLASSIFIERS and not rest:
        return _OF_CLASSIFIERS[word](model)
    if word == "latent" and rest:
        return latent(model, rest)
    if word == "class" and rest:
        return class_logit(model, rest)
    numbers = rest.split(",")
    if word in {"output", "forecast"} and all(part.strip().isdecimal() for part in numbers):
        places = [int(part) for part in numbers]
        if word == "output":
            return output(model, places)
        if len(places) > 1:
            return forecast(model, places[:-1], places[-1])
    raise ValueError(
        f"{text} is no target; give surprise, misfit, latent:NAME, class:NAME, confidence, "
        "entropy, energy, output:TIME,CHANNEL or forecast:TIME,CHANNEL,KNOWN."
    )


_OF_CLASSIFIERS: dict[str, Callable[[eqx.Module], Target]] = {
    "confidence": confidence, "entropy": entropy, "energy": energy,
}  # fmt: skip


class _Surprise(eqx.Module):
    model: Any

    def __call__(self, x: Array, condition: Condition) -> Scalar:
        return -self.model.log_density(x, condition)


class _Misfit(eqx.Module):
    model: Any
    scale: tuple[float, ...] = eqx.field(static=True)

    def __call__(self, x: Array, condition: Condition) -> Scalar:
        expected = self.model.decode(self.model.encode(x, condition), condition)
        observed = ~jnp.isnan(x)
        left = jnp.where(observed, jnp.where(observed, x, 0).astype(expected.dtype) - expected, 0)
        if self.scale:
            left = left / jnp.broadcast_to(jnp.asarray(self.scale, left.dtype), left.shape)
        return (left**2).sum() / jnp.maximum(observed.sum(), 1).astype(left.dtype)


class _Code(eqx.Module):
    model: Any
    index: int = eqx.field(static=True)

    def __call__(self, x: Array, condition: Condition) -> Scalar:
        return self.model.encode(x, condition)[self.index]


class _LogOdds(eqx.Module):
    model: Any
    index: int = eqx.field(static=True)

    def __call__(self, x: Array, condition: Condition) -> Scalar:
        code = self.model.encode(x, condition)
        others = jnp.where(jnp.arange(len(code)) == self.index, -jnp.inf, code)
        return code[self.index] - jax.nn.logsumexp(others)


class _Confidence(eqx.Module):
    model: Any

    def __call__(self, x: Array, condition: Condition) -> Scalar:
        return jnp.exp(self.model.encode(x, condition).max())


class _Entropy(eqx.Module):
    model: Any

    def __call__(self, x: Array, condition: Condition) -> Scalar:
        code = self.model.encode(x, condition)
        # a probability of 0 adds nothing, and its logarithm would
        return -jnp.where(code > -jnp.inf, jnp.exp(code) * code, 0).sum()


class _FreeEnergy(eqx.Module):
    model: Any

    def __call__(self, x: Array, condition: Condition) -> Scalar:
        row = jax.tree.map(lambda part: part[None], condition)
        return -jax.nn.logsumexp(self.model.logits(x[None], row)[0])


class _Output(eqx.Module):
    model: Any
    at: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, z: Latent, condition: Condition) -> Scalar:
        return _entry(self.model.decode(z, condition), self.at)


class _Forecast(eqx.Module):
    model: Any
    at: tuple[int, ...] = eqx.field(static=True)
    known: int = eqx.field(static=True)

    def __call__(self, x: Array, condition: Condition) -> Scalar:
        seen = jnp.arange(len(x)).reshape(-1, *(1,) * (x.ndim - 1)) < self.known
        past = jnp.where(jnp.broadcast_to(seen, x.shape), x, jnp.nan)
        return _entry(self.model.decode(self.model.encode(past, condition), condition), self.at)


def _entry(x: Float[Array, "..."], at: tuple[int, ...]) -> Scalar:
    if len(at) != x.ndim or any(i >= size for i, size in zip(at, x.shape, strict=True)):
        raise ValueError(f"an observation is {x.shape}, which has no entry {at}.")
    return x[at]


def _named(model: eqx.Module) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if isinstance(model, AbstractDecoder):
        return model.latents.names, model.latents.units
    return (model.names, ()) if isinstance(model, AbstractPredictor) else ((), ())


def _classes(model: eqx.Module) -> tuple[str, ...]:
    if not isinstance(model, AbstractClassifier):
        raise TypeError(
            f"a class is asked of a classifier, and {type(model).__name__} is none; fit one, "
            "such as: unweave fit resnet DATA."
        )
    return model.names


def _found(which: str | int, names: tuple[str, ...], what: str) -> int:
    if isinstance(which, int):
        if names and not 0 <= which < len(names):
            raise ValueError(f"there is no {what} {which}; there are {len(names)}, from 0.")
        return which
    if which not in names:
        there = ", ".join(names) or "none has a name, so give its index"
        raise ValueError(f"there is no {what} {which}; there are: {there}.")
    return names.index(which)
