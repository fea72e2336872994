r"""How the gradient through many steps is formed, and what it keeps meanwhile.

Each class folds the same steps and gives the same answer forward; they differ in what the
reverse pass remembers of $N$ steps: all of them, $\sqrt N$, or none.
"""

import abc
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from ..._model import Key
from ._field import over_batch
from ._scheme import AbstractScheme, Field, Reversible, RungeKutta


class Walk(NamedTuple):
    """The steps to be made, without the arrays that they depend on: `static` is the rest of the
    field, `shared` whether every step has the same one, `per_block` steps in a block."""

    scheme: AbstractScheme
    static: Any
    steps: int
    per_block: int | None
    drop: float = 0.0
    key: Key | None = None

    def field(self, arrays: Any, n: Int[Array, ""]) -> Field:
        """The field of step `n`, over a batch."""
        return self.whole(self.part(arrays, n))

    def whole(self, part: Any) -> Field:
        """The field of one step's arrays, over a batch."""
        return over_batch(eqx.combine(part, self.static))

    def part(self, arrays: Any, n: Int[Array, ""]) -> Any:
        """The arrays of step `n`."""
        per_block = self.per_block
        return arrays if per_block is None else jax.tree.map(lambda a: a[n // per_block], arrays)

    def at(self, n: Int[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Where step `n` begins and how wide it is; 0 for one that is skipped."""
        h = 1 / self.steps
        width = jnp.asarray(h, jnp.float32)
        if self.key is not None and self.drop:
            # one draw for the whole batch: a step is made or it is not
            survives = 1 - self.drop * n.astype(jnp.float32) / max(1, self.steps - 1)
            made = jax.random.bernoulli(jax.random.fold_in(self.key, n), survives)
            width = jnp.where(made, width / survives, 0)
        return n.astype(jnp.float32) * h, width

    def step(self, arrays: Any, n: Int[Array, ""], carry: Any) -> Any:
        """The carry after step `n`."""
        return self.scheme.step(self.field(arrays, n), *self.at(n), carry)


class AbstractMemory(eqx.Module):
    """A way to differentiate a walk."""

    @abc.abstractmethod
    def fold(self, walk: Walk, arrays: Any, carry: Any) -> Any:
        """The carry after all steps."""


class Direct(AbstractMemory):
    """Backpropagation through every step: memory grows with their number."""

    def fold(self, walk: Walk, arrays: Any, carry: Any) -> Any:
        """The carry after all steps."""

        def body(carry: Any, n: Array) -> tuple[Any, None]:
            return walk.step(arrays, n, carry), None

        return jax.lax.scan(body, carry, jnp.arange(walk.steps))[0]


class Checkpointed(AbstractMemory):
    r"""Keeps every $\sqrt N$-th carry and makes the steps between them again (Griewank 1992):
    memory grows with $\sqrt N$, for one more pass forward."""

    def fold(self, walk: Walk, arrays: Any, carry: Any) -> Any:
        """The carry after all steps."""
        stride = math.isqrt(walk.steps)

        def body(carry: Any, n: Array) -> tuple[Any, None]:
            return walk.step(arrays, n, carry), None

        @jax.checkpoint
        def stretch(carry: Any, numbers: Array) -> tuple[Any, None]:
            return jax.lax.scan(body, carry, numbers)[0], None

        whole = stride * (walk.steps // stride)
        carry, _ = jax.lax.scan(stretch, carry, jnp.arange(whole).reshape(-1, stride))
        return jax.lax.scan(body, carry, jnp.arange(whole, walk.steps))[0]


class Undone(AbstractMemory):
    """Keeps nothing: the reverse pass undoes each step to have what it began from (Gomez et al.
    2017), which a `Reversible` alone can."""

    def fold(self, walk: Walk, arrays: Any, carry: Any) -> Any:
        """The carry after all steps."""
        scheme = walk.scheme
        if not isinstance(scheme, Reversible):
            raise TypeError(
                f"{type(scheme).__name__} cannot be undone; use the Reversible scheme, or another "
                "memory: Direct(), Checkpointed(), Backsolve()."
            )

        def back(arrays: Any, n: Array, after: Array, cotangent: Array) -> tuple:
            before = scheme.undo(walk.field(arrays, n), *walk.at(n), after)
            _, pull = jax.vjp(
                lambda part, x: scheme.step(walk.whole(part), *walk.at(n), x),
                walk.part(arrays, n), before,
            )  # fmt: skip
            return before, *pull(cotangent)

        return _keeping_nothing(walk, back, arrays, carry)


class Backsolve(AbstractMemory):
    r"""Keeps nothing: solves $\dot a = -a^\top \partial f / \partial x$ beside the state, backward
    in depth (Pontryagin; Chen et al. 2018, equation 4), by the same scheme. The gradient is that
    of the differential equation and not of the steps: it differs from the exact one by the error
    of the scheme."""

    def fold(self, walk: Walk, arrays: Any, carry: Any) -> Any:
        """The carry after all steps."""
        scheme = walk.scheme
        if not isinstance(scheme, RungeKutta):
            raise TypeError(
                f"{type(scheme).__name__} has no adjoint equation here; use a Runge–Kutta scheme, "
                "or another memory: Direct(), Checkpointed()."
            )

        def back(arrays: Any, n: Array, after: Array, cotangent: Array) -> tuple:
            part = walk.part(arrays, n)
            t, h = walk.at(n)
            zero, unravel = ravel_pytree(part)
            size = after.size

            def adjoint(t: Array, flat: Array) -> Array:
                x, a = flat[:size].reshape(after.shape), flat[size : 2 * size].reshape(after.shape)
                rates, pull = jax.vjp(lambda part, x: walk.whole(part)(t, x), part, x)
                of_part, of_state = pull(-a)
                gathered, _ = ravel_pytree(of_part)
                return jnp.concatenate([rates.ravel(), of_state.ravel(), gathered])

            flat = jnp.concatenate([after.ravel(), cotangent.ravel(), 0 * zero])
            flat = scheme.step(adjoint, t + h, -h, flat)
            x, a = flat[:size].reshape(after.shape), flat[size : 2 * size].reshape(after.shape)
            return x, unravel(flat[2 * size :]), a

        return _keeping_nothing(walk, back, arrays, carry)


def _keeping_nothing(walk: Walk, back: Any, arrays: Any, carry: Array) -> Array:
    """Folds the walk with a reverse pass that starts from the last carry alone:
    `back(arrays, n, after, cotangent) -> (before, cotangent of the arrays of n, of before)`."""

    @jax.custom_vjp
    def folded(arrays: Any, carry: Array) -> Array:
        return Direct().fold(walk, arrays, carry)

    def forward(arrays: Any, carry: Array) -> tuple[Array, tuple]:
        end = folded(arrays, carry)
        return end, (arrays, end)

    def backward(residual: tuple, cotangent: Array) -> tuple:
        arrays, end = residual

        def body(i: Array, state: tuple) -> tuple:
            after, cotangent, total = state
            n = walk.steps - 1 - i
            before, more, cotangent = back(arrays, n, after, cotangent)
            if walk.per_block is None:
                total = jax.tree.map(jnp.add, total, more)
            else:
                block = n // walk.per_block
                total = jax.tree.map(lambda a, m: a.at[block].add(m), total, more)
            return before, cotangent, total

        state = (end, cotangent, jax.tree.map(jnp.zeros_like, arrays))
        _, cotangent, total = jax.lax.fori_loop(0, walk.steps, body, state)
        return total, cotangent

    folded.defvjp(forward, backward)
    return folded(arrays, carry)
