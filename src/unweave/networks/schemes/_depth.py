r"""The way through the depth of a network: many steps of a scheme, or an adaptive solve.

A whole batch goes through at once. The gradients that are written by hand (undone steps, an
adjoint equation, replayed steps) sum over the batch inside each step; under `jax.vmap` every
observation would have a gradient of all weights of its own.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..._model import Key, Layers
from ..._replay import Account, Tolerance, solve_batch
from ._field import over_batch
from ._memory import AbstractMemory, Direct, Walk
from ._scheme import AbstractScheme, Field, Reversible, RungeKutta


class AbstractDepth(eqx.Module):
    """What carries a batch of features from depth 0 to depth 1."""

    @abc.abstractmethod
    def through(
        self, x: Float[Array, "batch ..."], *, key: Key | None = None
    ) -> Float[Array, "batch ..."]:
        """The features at depth 1; with a key as in training, where chance has a part."""

    @abc.abstractmethod
    def path(self, x: Float[Array, "batch ..."]) -> Float[Array, "point batch ..."]:
        """The features at the beginnings of the steps, or at even depths, from 0 to before 1."""

    @abc.abstractmethod
    def rates(self, points: Float[Array, "point batch ..."]) -> Float[Array, "point batch ..."]:
        r"""$f$ at the points of a `path`."""

    @abc.abstractmethod
    def layers(self) -> Layers:
        """The steps as layers, where each has weights of its own; raises `TypeError` elsewhere."""

    @abc.abstractmethod
    def with_weights(self, weights: Any) -> "AbstractDepth":
        """The same way with other weights in its `layers()`."""

    @abc.abstractmethod
    def refined(self, factor: int) -> "AbstractDepth":
        """The same field with steps `factor` times as fine, or a tolerance as much smaller."""

    @abc.abstractmethod
    def evaluations(self, x: Float[Array, "batch ..."]) -> Int[Array, ""]:
        """How often the field is asked on the way."""


class Stepped(AbstractDepth):
    r"""Equal steps of one scheme: the residual architectures.

    **Fields:** `field`, one for all depths, or with `blocks` the stacked fields of as many
    blocks, each array with a leading axis, read as a field that is constant over its block;
    `steps` in all; `memory`, how the gradient is formed; `drop`, the probability with which the
    last block is skipped in training, growing linearly from 0 at the first (stochastic depth,
    Huang et al. 2016).
    """

    scheme: AbstractScheme
    field: Field
    steps: int = eqx.field(static=True)
    blocks: int | None = eqx.field(static=True, default=None)
    memory: AbstractMemory = eqx.field(default_factory=Direct)
    drop: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        if self.steps < 1 or self.steps % (self.blocks or 1):
            raise ValueError(
                f"{self.steps} steps do not go through {self.blocks or 1} blocks; give a multiple "
                "of the number of blocks."
            )
        if not 0 <= self.drop < 1:
            raise ValueError(f"drop is {self.drop}; a probability is from 0 to below 1.")

    def through(
        self, x: Float[Array, "batch ..."], *, key: Key | None = None
    ) -> Float[Array, "batch ..."]:
        """The features at depth 1."""
        walk, arrays = self._walk(key)
        return self.scheme.end(self.memory.fold(walk, arrays, self.scheme.begin(x)))

    def path(self, x: Float[Array, "batch ..."]) -> Float[Array, "point batch ..."]:
        """The features at the beginning of every step."""
        walk, arrays = self._walk(None)

        def body(carry: Any, n: Array) -> tuple[Any, Array]:
            return walk.step(arrays, n, carry), self.scheme.end(carry)

        return jax.lax.scan(body, self.scheme.begin(x), jnp.arange(self.steps))[1]

    def rates(self, points: Float[Array, "point batch ..."]) -> Float[Array, "point batch ..."]:
        r"""$f$ at the beginning of every step."""
        walk, arrays = self._walk(None)

        def at(n: Array, x: Array) -> Array:
            return walk.field(arrays, n)(walk.at(n)[0], x)

        return jax.lax.map(lambda of: at(*of), (jnp.arange(self.steps), points))

    def layers(self) -> Layers:
        """The blocks; raises `TypeError` where they share weights, or a step needs another."""
        walk, arrays = self._walk(None)
        if self.blocks is None or not isinstance(self.scheme, RungeKutta | Reversible):
            what = "shares its weights" if self.blocks is None else "remembers a step before"
            raise TypeError(
                f"a network that {what} has no layers to be moved one by one; give each block its "
                "own weights and a one-step scheme, such as EULER, or train it by Descend."
            )
        per_block = self.steps // self.blocks

        def apply(part: Any, n: Array, x: Array) -> Array:
            field, carry = walk.whole(part), walk.scheme.begin(x)
            for i in range(per_block):
                carry = walk.scheme.step(field, *walk.at(n * per_block + i), carry)
            return walk.scheme.end(carry)

        return Layers(arrays, apply, self.blocks)

    def with_weights(self, weights: Any) -> "Stepped":
        """The same steps of the field with these arrays."""
        static = eqx.filter(self.field, eqx.is_inexact_array, inverse=True)
        return eqx.tree_at(lambda depth: depth.field, self, eqx.combine(weights, static))

    def refined(self, factor: int) -> "Stepped":
        """The same field on `factor` times as many steps."""
        blocks = self.blocks
        return Stepped(self.scheme, self.field, factor * self.steps, blocks, self.memory, self.drop)

    def evaluations(self, x: Float[Array, "batch ..."]) -> Int[Array, ""]:
        """Steps times the stages of each."""
        return jnp.asarray(self.steps * self.scheme.evaluations)

    def _walk(self, key: Key | None) -> tuple[Walk, Any]:
        arrays, static = eqx.partition(self.field, eqx.is_inexact_array)
        per_block = None if self.blocks is None else self.steps // self.blocks
        return Walk(self.scheme, static, self.steps, per_block, self.drop, key), arrays


class Continuous(AbstractDepth):
    r"""The neural ODE (Chen et al. 2018): $\dot x = f(t, x)$ from 0 to 1 by steps as wide as their
    error allows, the gradient by replaying them.

    With `steer` the end is drawn from $1 \pm$ `steer` in training (Ghosh et al. 2020), so that no
    stiffness can hide just before it.
    """

    field: Field
    tolerance: Tolerance = eqx.field(static=True, default=Tolerance(1e-3, 1e-4))
    steer: float = eqx.field(static=True, default=0.0)

    def through(
        self, x: Float[Array, "batch ..."], *, key: Key | None = None
    ) -> Float[Array, "batch ..."]:
        """The features at depth 1."""
        end = jnp.ones((), x.dtype)
        if key is not None and self.steer:
            end += jax.random.uniform(key, (), x.dtype, -self.steer, self.steer)
        return self._solve(x, jnp.stack([jnp.zeros_like(end), end]))[0][-1]

    def path(self, x: Float[Array, "batch ..."]) -> Float[Array, "point batch ..."]:
        """The features at eight even depths."""
        return self._solve(x, jnp.linspace(0, 1, _POINTS + 1, dtype=x.dtype))[0][:-1]

    def rates(self, points: Float[Array, "point batch ..."]) -> Float[Array, "point batch ..."]:
        r"""$f$ at the same depths."""
        depths = jnp.linspace(0, 1, _POINTS + 1, dtype=points.dtype)[:-1]
        return jax.vmap(over_batch(self.field))(depths, points)

    def layers(self) -> Layers:
        """Raises `TypeError`: one field goes all the way."""
        raise TypeError(
            "a neural ODE has one field for all depths and so no layers to be moved one by one; "
            "train it by Descend, or use a Stepped net with weights of its own in each block."
        )

    def with_weights(self, weights: Any) -> "Continuous":
        """The same solve with another field's arrays."""
        static = eqx.filter(self.field, eqx.is_inexact_array, inverse=True)
        return eqx.tree_at(lambda depth: depth.field, self, eqx.combine(weights, static))

    def refined(self, factor: int) -> "Continuous":
        """The same field, the tolerances divided by `factor` to the power of 5, the order, but
        for what rounding hides."""
        now = self.tolerance
        closer = min(factor**5, max(1.0, now.relative / _FINEST))
        finer = Tolerance(now.relative / closer, now.absolute / closer, factor * now.most_steps)
        return Continuous(self.field, finer, self.steer)

    def evaluations(self, x: Float[Array, "batch ..."]) -> Int[Array, ""]:
        """How often the field was asked, for this batch."""
        return self._solve(x, jnp.asarray([0, 1], x.dtype))[1].evaluations

    def _solve(self, x: Array, times: Array) -> tuple[Array, Account]:
        arrays, static = eqx.partition(self.field, eqx.is_inexact_array)

        def rates(arrays: Any, t: Array, x: Array) -> Array:
            return over_batch(eqx.combine(arrays, static))(t, x)

        return solve_batch(rates, arrays, x, times, self.tolerance)


#: At how many depths a continuous path is looked at.
_POINTS = 8
#: The smallest relative tolerance that steps in single precision can tell from their rounding.
_FINEST = 1e-6
