r"""Recurrent cells: how a hidden state is carried from one sample of a series to the next.

Every cell is told the sample, the one before it and how long it is to the next one, so that
uneven times need no second path, and a cell may be a formula (gates), a differential equation
between the samples, or one that the samples drive.
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._keys import split_on_host
from ..._model import Key
from .._mlp import MLP
from ..schemes import MLPField
from ..schemes._scheme import EULER, MIDPOINT, AbstractScheme, integrate

Input = Float[Array, " input"]
Hidden = Float[Array, " hidden"]
Width = Float[Array, ""]


class AbstractCell(eqx.Module):
    """One step of a recurrent network, from a state to a state.

    `is_driven` says whether it is the way from sample to sample that moves it, and not the sample.
    """

    is_driven: eqx.AbstractClassVar[bool]

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """How many numbers are read of a state."""

    @abc.abstractmethod
    def begin(self) -> Any:
        """The state before the first sample."""

    @abc.abstractmethod
    def step(self, state: Any, before: Input, now: Input, width: Width) -> Any:
        """The state just before the next sample: `now` is the sample, `before` the one that came
        before it (zeros at the first), `width` the time until the next one."""

    @abc.abstractmethod
    def read(self, state: Any) -> Hidden:
        """What the rest of a network sees of a state."""


class Gates(eqx.Module):
    r"""$W u + V h + b$, cut into gates of the size of $h$."""

    inner: Float[Array, "gate input"]
    outer: Float[Array, "gate hidden"]
    bias: Float[Array, " gate"]

    def __init__(self, inputs: int, hidden: int, gates: int, *, key: Key):
        one, two = split_on_host(key, 2)
        bound = hidden**-0.5
        shape = (gates * hidden, inputs)
        self.inner = jax.random.uniform(one, shape, minval=-bound, maxval=bound)
        self.outer = jax.random.uniform(two, (gates * hidden, hidden), minval=-bound, maxval=bound)
        self.bias = jnp.zeros(gates * hidden)

    @property
    def hidden(self) -> int:
        """The size of $h$."""
        return self.outer.shape[1]


class GRU(AbstractCell):
    r"""The gated recurrent unit (Cho et al. 2014, equations 5 to 8, the reset gate applied after
    the product): $h \leftarrow (1 - z)\, n + z\, h$ with $n = \tanh(W_n u + r\,(V_n h + c))$. Its
    input $u$ is the sample and the time to the next one."""

    is_driven: ClassVar[bool] = False

    gates: Gates
    bias: Float[Array, " hidden"]

    def __init__(self, inputs: int, hidden: int, *, key: Key):
        self.gates = Gates(inputs + 1, hidden, 3, key=key)
        self.bias = jnp.zeros(hidden)

    @property
    def size(self) -> int:
        """The size of the hidden state."""
        return self.gates.hidden

    def begin(self) -> Hidden:
        """Zeros."""
        return jnp.zeros_like(self.bias)

    def step(self, state: Hidden, before: Input, now: Input, width: Width) -> Hidden:
        """One update."""
        inner = self.gates.inner @ jnp.append(now, width) + self.gates.bias
        outer = self.gates.outer @ state
        of_inner, of_outer = jnp.split(inner, 3), jnp.split(outer, 3)
        reset = jax.nn.sigmoid(of_inner[0] + of_outer[0])
        keep = jax.nn.sigmoid(of_inner[1] + of_outer[1])
        new = jnp.tanh(of_inner[2] + reset * (of_outer[2] + self.bias))
        return (1 - keep) * new + keep * state

    def read(self, state: Hidden) -> Hidden:
        """The state."""
        return state


class LSTM(AbstractCell):
    r"""Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et
    al. 2000, which begins open): $c \leftarrow f c + i \tanh g$, $h = o \tanh c$."""

    is_driven: ClassVar[bool] = False

    gates: Gates

    def __init__(self, inputs: int, hidden: int, *, key: Key):
        gates = Gates(inputs + 1, hidden, 4, key=key)
        # a memory that is kept from the start (Jozefowicz et al. 2015, section 2.2)
        bias = gates.bias.at[hidden : 2 * hidden].set(1.0)
        self.gates = eqx.tree_at(lambda gates: gates.bias, gates, bias)

    @property
    def size(self) -> int:
        """The size of the hidden state."""
        return self.gates.hidden

    def begin(self) -> tuple[Hidden, Hidden]:
        """Zeros, of the hidden state and the memory."""
        none = jnp.zeros(self.size, self.gates.bias.dtype)
        return none, none

    def step(
        self, state: tuple[Hidden, Hidden], before: Input, now: Input, width: Width
    ) -> tuple[Hidden, Hidden]:
        """One update."""
        h, c = state
        all_four = self.gates.inner @ jnp.append(now, width) + self.gates.outer @ h
        enter, forget, new, out = jnp.split(all_four + self.gates.bias, 4)
        c = jax.nn.sigmoid(forget) * c + jax.nn.sigmoid(enter) * jnp.tanh(new)
        return jax.nn.sigmoid(out) * jnp.tanh(c), c

    def read(self, state: tuple[Hidden, Hidden]) -> Hidden:
        """The hidden state."""
        return state[0]


class ODERNN(AbstractCell):
    r"""A gated unit at the samples and a differential equation between them: $\dot h = f(h)$ until
    the next sample (Rubanova et al. 2019, algorithm 1), by `substeps` steps of `scheme`."""

    is_driven: ClassVar[bool] = False

    unit: GRU
    field: MLPField
    scheme: AbstractScheme
    substeps: int = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        widths: tuple[int, ...] = (64,),
        scheme: AbstractScheme = MIDPOINT,
        substeps: int = 1,
        key: Key,
    ):
        one, two = split_on_host(key, 2)
        self.unit = GRU(inputs, hidden, key=one)
        self.field = MLPField(hidden, widths, key=two)
        self.scheme = scheme
        self.substeps = substeps

    @property
    def size(self) -> int:
        """The size of the hidden state."""
        return self.unit.size

    def begin(self) -> Hidden:
        """Zeros."""
        return self.unit.begin()

    def step(self, state: Hidden, before: Input, now: Input, width: Width) -> Hidden:
        """The update at the sample, and the way to the next one."""
        h = self.unit.step(state, before, now, width)
        return _carry(self.scheme, lambda t, h: width * self.field(t, h), h, self.substeps)

    def read(self, state: Hidden) -> Hidden:
        """The state."""
        return state


class CDE(AbstractCell):
    r"""A differential equation that the samples drive (Kidger et al. 2020, equation 4):
    $dh = G(h)\, dX$ along the straight line $X$ from one sample to the next, time being one of its
    coordinates. $G$ is a net with a last $\tanh$, so that a long series cannot blow the state
    up; the way begins at $X = 0$, so that the first sample counts."""

    is_driven: ClassVar[bool] = True

    net: MLP
    scheme: AbstractScheme
    substeps: int = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        hidden: int,
        *,
        widths: tuple[int, ...] = (64,),
        scheme: AbstractScheme = MIDPOINT,
        substeps: int = 1,
        key: Key,
    ):
        self.net = MLP(hidden, hidden * (inputs + 1), widths, activation=jnp.tanh, key=key)
        self.scheme = scheme
        self.substeps = substeps

    @property
    def size(self) -> int:
        """The size of the hidden state."""
        return self.net.weights[0].shape[1]

    def begin(self) -> Hidden:
        """Zeros."""
        return jnp.zeros(self.size, self.net.biases[0].dtype)

    def step(self, state: Hidden, before: Input, now: Input, width: Width) -> Hidden:
        """The way from the sample before to this one, with the time until the next."""
        along = jnp.append(now - before, width)

        def rates(t: Width, h: Hidden) -> Hidden:
            return jnp.tanh(self.net(h)).reshape(self.size, -1) @ along

        return _carry(self.scheme, rates, state, self.substeps)

    def read(self, state: Hidden) -> Hidden:
        r"""$\tanh h$: what is read may come back as the next sample, and must not grow on its way
        round."""
        return jnp.tanh(state)


class SolverUnit(AbstractCell):
    r"""Any field and any scheme as a recurrent cell: $\dot h = f(t, (h, u))$ with the sample $u$
    held until the next one. Euler's method of $f = \tanh(W u + V h) - h$ over unit time is the
    simple recurrent network of Elman (1990).

    **Arguments:** `field(t, hu)`, from state and sample to rates of the state; `hidden`, its
    size; `scheme`, taken `substeps` times between two samples.
    """

    is_driven: ClassVar[bool] = False

    field: Callable
    hidden: int = eqx.field(static=True)
    scheme: AbstractScheme = eqx.field(default_factory=lambda: EULER)
    substeps: int = eqx.field(static=True, default=1)

    @property
    def size(self) -> int:
        """The size of the state."""
        return self.hidden

    def begin(self) -> Hidden:
        """Zeros."""
        return jnp.zeros(self.hidden)

    def step(self, state: Hidden, before: Input, now: Input, width: Width) -> Hidden:
        """The way to the next sample."""

        def rates(t: Width, h: Hidden) -> Hidden:
            return width * self.field(t, jnp.concatenate([h, now]))

        return _carry(self.scheme, rates, state, self.substeps)

    def read(self, state: Hidden) -> Hidden:
        """The state."""
        return state


def unroll(
    cell: AbstractCell, inputs: Float[Array, "time input"], widths: Float[Array, " time"]
) -> Hidden:
    """What is read of the cell after all samples; `widths` are the times to the next one."""
    before = jnp.concatenate([jnp.zeros_like(inputs[:1]), inputs[:-1]])

    def step(state: Any, at: tuple[Array, Array, Array]) -> tuple[Any, None]:
        return cell.step(state, *at), None

    return cell.read(jax.lax.scan(step, cell.begin(), (before, inputs, widths))[0])


def _carry(scheme: AbstractScheme, rates: Callable, h: Hidden, substeps: int) -> Hidden:
    """From 0 to 1; a loop inside the loop over time only where there is something to loop over."""
    if substeps > 1:
        return integrate(scheme, rates, h, substeps)
    zero, one = jnp.zeros((), h.dtype), jnp.ones((), h.dtype)
    return scheme.end(scheme.step(rates, zero, one, scheme.begin(h)))
