r"""Schemes: how one block of a network carries its features on, as a step of $\dot x = f(t, x)$.

A residual network $x_{n+1} = x_n + h f(t_n, x_n)$ is Euler's method (E 2017; Haber and Ruthotto
2017), and other architectures are other schemes over the same field (Lu, Zhong, Li and Dong
2018, table 1). So the scheme is a dial: what a network can represent is the field's, what it
computes is the scheme's.
"""

import abc
from collections.abc import Callable
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._field import Halves, SplitField

#: The rates at a time: `field(t, x)`, of the shape of `x`.
Field: TypeAlias = Callable[[Float[Array, ""], Float[Array, "*state"]], Float[Array, "*state"]]
State: TypeAlias = Float[Array, "*state"]
Time: TypeAlias = Float[Array, ""]


class AbstractScheme(eqx.Module):
    """A step of a differential equation, from a carry to a carry; one step is one block.

    `order` is that of its convergence.
    """

    order: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def evaluations(self) -> int:
        """How often a step asks the field."""

    @abc.abstractmethod
    def begin(self, x: State) -> Any:
        """The carry before the first step."""

    @abc.abstractmethod
    def step(self, field: Field, t: Time, h: Time, carry: Any) -> Any:
        """The carry one step of width `h` later."""

    @abc.abstractmethod
    def end(self, carry: Any) -> State:
        """The state of a carry."""


class RungeKutta(AbstractScheme):
    r"""An explicit Runge–Kutta method given by its tableau:
    $k_i = f(t + c_i h,\, x + h \sum_{j<i} a_{ij} k_j)$, $x \leftarrow x + h \sum_i b_i k_i$, with
    $c_i = \sum_j a_{ij}$ (Hairer, Nørsett and Wanner 1993, section II.1)."""

    name: str = eqx.field(static=True)
    order: int = eqx.field(static=True)
    a: tuple[tuple[float, ...], ...] = eqx.field(static=True)
    b: tuple[float, ...] = eqx.field(static=True)

    def __check_init__(self):
        if [len(row) for row in self.a] != list(range(1, len(self.b))):
            raise ValueError(
                f"the tableau of {self.name} has {len(self.b)} weights and rows of "
                f"{[len(row) for row in self.a]} entries; row i of an explicit method has i."
            )

    @property
    def evaluations(self) -> int:
        """How often a step asks the field: once a stage."""
        return len(self.b)

    def begin(self, x: State) -> State:
        """The state itself."""
        return x

    def step(self, field: Field, t: Time, h: Time, carry: State) -> State:
        """One step."""
        rates = [field(t, carry)]
        for row in self.a:
            rates.append(field(t + sum(row) * h, carry + h * _sum(row, rates)))
        return carry + h * _sum(self.b, rates)

    def end(self, carry: State) -> State:
        """The state itself."""
        return carry


def _sum(weights: tuple[float, ...], rates: list[State]) -> State:
    terms = [w * k for w, k in zip(weights, rates, strict=True) if w]
    return sum(terms[1:], terms[0])


#: The residual network (He et al. 2016): $x + h f(x)$.
EULER = RungeKutta(name="euler", order=1, a=(), b=(1.0,))
#: Runge's method of order 2: $x + h f(x + \tfrac h2 f(x))$.
MIDPOINT = RungeKutta(name="midpoint", order=2, a=((0.5,),), b=(0.0, 1.0))
#: The classical method of order 4 (Kutta 1901).
RK4 = RungeKutta(
    name="rk4",
    order=4,
    a=((0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
)
#: FractalNet of two columns, the shallow path $x$ and the deep path of two blocks joined by their
#: mean, $\tfrac12 x + \tfrac12[(x + h f(x)) + h f(x + h f(x))]$: Heun's method of order 2
#: (Larsson et al. 2017, read as in Lu et al. 2018, equation 5).
FRACTALNET = RungeKutta(name="fractalnet", order=2, a=((1.0,),), b=(0.5, 0.5))


def polynet(terms: int = 2) -> RungeKutta:
    r"""PolyNet (Zhang et al. 2017): backward Euler $x_{n+1} = (I - h f)^{-1} x_n$ with the series
    cut after `terms`.

    $x^{(0)} = x$, $x^{(i+1)} = x + h f(t + h, x^{(i)})$: of a linear field this is
    $I + h f + (h f)^2 + \dots$, the poly-`terms` block (Lu et al. 2018, equations 3 and 4), and of
    any other field it still converges with order 1. Raises `ValueError` below one term.
    """
    if terms < 1:
        raise ValueError(f"{terms} terms were asked of a PolyNet; give at least 1.")
    rows = tuple(tuple(float(j == i) for j in range(i + 1)) for i in range(terms - 1))
    weights = tuple(float(i == terms - 1) for i in range(terms))
    return RungeKutta(name="polynet", order=1, a=rows, b=weights)


class TwoStep(AbstractScheme):
    r"""LM-ResNet (Lu et al. 2018, equation 8), a linear two-step method with a learned weight
    $k = \tanh \kappa$:

    $$x_{n+1} = (1 - k)\, x_n + k\, x_{n-1} + (1 + k)\, h f(x_n).$$

    The factor $1 + k$, which the paper leaves to the field, makes the scheme consistent whatever
    $k$ is, and $|k| < 1$ zero-stable; $k = 0$ is Euler's method and $k \to 1$ the leapfrog. The
    first step is Euler's.
    """

    kappa: Float[Array, ""] = eqx.field(default_factory=lambda: jnp.asarray(np.zeros((), "f4")))
    order: int = eqx.field(static=True, default=1)

    @property
    def evaluations(self) -> int:
        """Once."""
        return 1

    def begin(self, x: State) -> tuple[State, State, Array]:
        """The state, the one before, and that there is none before."""
        return x, x, jnp.zeros((), bool)

    def step(
        self, field: Field, t: Time, h: Time, carry: tuple[State, State, Array]
    ) -> tuple[State, State, Array]:
        """One step."""
        x, before, has_past = carry
        k = jnp.where(has_past, jnp.tanh(self.kappa).astype(x.dtype), 0)
        return (1 - k) * x + k * before + (1 + k) * h * field(t, x), x, jnp.ones((), bool)

    def end(self, carry: tuple[State, State, Array]) -> State:
        """The newest state."""
        return carry[0]


class Reversible(AbstractScheme):
    r"""RevNet (Gomez et al. 2017, equations 6 and 7): the two halves of the state in turn,

    $$a \leftarrow a + h f_1(t, b), \qquad b \leftarrow b + h f_2(t, a),$$

    the symplectic Euler method of the partitioned field. A step is undone exactly, so that the
    reverse pass need keep nothing. Its field is a `SplitField`.
    """

    order: int = eqx.field(static=True, default=1)

    @property
    def evaluations(self) -> int:
        """Once: each half of the field."""
        return 1

    def begin(self, x: State) -> State:
        """The state itself."""
        return x

    def step(self, field: Field, t: Time, h: Time, carry: State) -> State:
        """One step."""
        first, second = _halves(field)
        a, b = jnp.split(carry, 2, axis=-1)
        a = a + h * first(t, b)
        return jnp.concatenate([a, b + h * second(t, a)], axis=-1)

    def undo(self, field: Field, t: Time, h: Time, carry: State) -> State:
        """The carry that `step` made this one from."""
        first, second = _halves(field)
        a, b = jnp.split(carry, 2, axis=-1)
        b = b - h * second(t, a)
        return jnp.concatenate([a - h * first(t, b), b], axis=-1)

    def end(self, carry: State) -> State:
        """The state itself."""
        return carry


def _halves(field: Field) -> tuple[Callable, Callable]:
    if not isinstance(field, SplitField | Halves):
        raise TypeError(
            f"a coupling steps a field of two halves, and {type(field).__name__} has none; make "
            "it with SplitField(first, second)."
        )
    return field.first, field.second


def integrate(
    scheme: AbstractScheme, field: Field, x: State, steps: int, *, until: float = 1.0
) -> State:
    r"""The state at `until` after equal steps from 0, by the plain loop: what the orders of
    convergence are measured on."""
    h = jnp.asarray(until / steps, x.dtype)

    def body(carry: Any, n: Array) -> tuple[Any, None]:
        return scheme.step(field, n.astype(x.dtype) * h, h, carry), None

    carry, _ = jax.lax.scan(body, scheme.begin(x), jnp.arange(steps))
    return scheme.end(carry)
