"""Activation maximisation: the input for which a target is highest, near what inputs look like."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from .._libraries import default_promotion
from .._many import precision
from .._model import AbstractDecoder, Condition, Latent, Scalar, require
from ..targets import Target


@dataclass(frozen=True)
class Regulariser:
    r"""What keeps an input like a signal: `level` times the mean square of $(x - s) / \sigma$ with
    the start $s$ and its `spread`, `variation` times the mean size of steps between neighbors
    along every axis but the last, and `frequency` times the mean square of what a moving average
    over three neighbors takes away (all in units of the spread)."""

    level: float = 0.1
    variation: float = 0.0
    frequency: float = 0.0

    def __call__(self, score: Array) -> Scalar:
        """The penalty, of an input in units of its spread."""
        total = self.level * (score**2).mean()
        for axis in range(max(1, score.ndim - 1)):
            step = jnp.diff(score, axis=axis)
            total = total + self.variation * jnp.abs(step).mean()
            if score.shape[axis] > 2:
                bend = jnp.diff(step, axis=axis) / 3
                total = total + self.frequency * (bend**2).mean()
        return total


@dataclass(frozen=True, eq=False)
class Maximised:
    """The input found, `x` `(*input)`, with the target there, at the `start`, and after every step
    `course` `(step,)`; `z`, its latents where a generator was the prior."""

    x: np.ndarray
    value: float
    start: float
    course: np.ndarray
    z: np.ndarray | None = None


def maximise(
    target: Target,
    start: np.ndarray | Array,
    *,
    spread: float = 1.0,
    regulariser: Regulariser | None = None,
    steps: int = 256,
    rate: float = 0.05,
    condition: Any = None,
) -> Maximised:
    r"""The input with the highest $f(x)$ less the penalty of the `regulariser` (Simonyan et al.
    2014, section 2), by Adam from `start` `(*input)`, in units of `spread`, such as the deviation
    of the data; nothing is drawn.

    Raises `ValueError` where the start has NaN in it.
    """
    penalty = regulariser or Regulariser()
    with precision(target) as double:
        x = jnp.asarray(start, jnp.float64 if double else jnp.float32)
        if bool(jnp.isnan(x).any()):
            raise ValueError("the start has NaN in it; begin at a mean observation, or at zeros.")
        score, course = _climb(_FromStart(target, x, spread, penalty), jnp.zeros_like(x), condition,
                               steps, rate)  # fmt: skip
        best = x + spread * score
        value, before = (float(target(one, condition)) for one in (best, x))
    return Maximised(np.asarray(best), value, before, np.asarray(course))


def maximise_through(
    target: Target,
    generator: eqx.Module,
    *,
    level: float = 0.01,
    steps: int = 256,
    rate: float = 0.05,
    condition: Any = None,
) -> Maximised:
    r"""The same among what a `generator` can make (Nguyen et al. 2016): $f(\text{decode}(z))$ less
    `level` times the square of the independent scores that stand for $z$, from the prior's
    median.

    Raises `TypeError` if the generator cannot decode.
    """
    require(generator, "decoder", tool="maximise_through")
    assert isinstance(generator, AbstractDecoder)
    with precision((target, generator)) as double:
        e = jnp.zeros(generator.latents.size, jnp.float64 if double else jnp.float32)
        through = _Through(target, generator, level)
        best, course = _climb(through, e, condition, steps, rate)
        latents = [generator.latents.from_white(one) for one in (best, e)]
        x = [generator.decode(z, condition) for z in latents]
        value, before = (float(target(one, condition)) for one in x)
    return Maximised(np.asarray(x[0]), value, before, np.asarray(course), np.asarray(latents[0]))


class _FromStart(eqx.Module):
    target: Target
    start: Array
    spread: float = eqx.field(static=True)
    penalty: Regulariser = eqx.field(static=True)

    def __call__(self, score: Array, condition: Condition) -> tuple[Scalar, Scalar]:
        value = self.target(self.start + self.spread * score, condition)
        return value - self.penalty(score), value


class _Through(eqx.Module):
    target: Target
    generator: AbstractDecoder
    level: float = eqx.field(static=True)

    def __call__(self, e: Latent, condition: Condition) -> tuple[Scalar, Scalar]:
        z = self.generator.latents.from_white(e)
        value = self.target(self.generator.decode(z, condition), condition)
        return value - self.level * (e @ e), value


@eqx.filter_jit
def _climb(
    function: Any, point: Array, condition: Condition, steps: int, rate: float
) -> tuple[Array, Array]:
    """Adam upwards, and the target on the way."""
    adam = optax.adam(rate)
    up = jax.value_and_grad(lambda p: function(p, condition), has_aux=True)

    def step(carry: tuple[Array, Any], _: None) -> tuple[tuple[Array, Any], Array]:
        point, state = carry
        (_, value), slope = up(point)
        with default_promotion():
            change, state = adam.update(-slope, state)
        return (jnp.asarray(optax.apply_updates(point, change)), state), value

    (point, _), course = jax.lax.scan(step, (point, adam.init(point)), None, length=steps)
    return point, course
