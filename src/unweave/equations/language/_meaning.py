"""What a text means: its variables, latents, formulas, events and jumps."""

from dataclasses import dataclass

import sympy as sp

from ..._latents import Latents
from .._system import Variable
from ._nodes import Node
from ._statements import Interpolation, NoiseName, Statement, When
from ._tokens import Place


@dataclass(frozen=True)
class Expressions:
    """The formulas of an equation in SymPy, definitions written out; all symbols are real.

    `drift` is one for each state, `diffusion` a row for each state and a column for each Wiener
    process, `start` one for each state, of `latents` alone; `observed` one for each observable.
    `networks` are the symbols of what is learned, one for each call.
    """

    time: sp.Symbol
    states: tuple[sp.Symbol, ...]
    latents: tuple[sp.Symbol, ...]
    inputs: tuple[sp.Symbol, ...]
    drift: tuple[sp.Expr, ...]
    diffusion: tuple[tuple[sp.Expr, ...], ...]
    start: tuple[sp.Expr, ...]
    observed: tuple[sp.Expr, ...]
    networks: tuple[sp.Symbol, ...] = ()

    @property
    def arguments(self) -> tuple[sp.Symbol, ...]:
        """Time, states, latents, inputs, what networks give: the order in which functions take
        them."""
        return (self.time, *self.states, *self.latents, *self.inputs, *self.networks)


@dataclass(frozen=True)
class NetworkCall:
    """A place where a network stands in a formula: `symbol` is what it gives there.

    `network` counts the networks: each `net(...)` is one of its own, and a named one, such as
    `net_grazing(...)`, the same wherever it is called. `arguments` may hold the symbols of
    earlier calls; `label` and `words` are the call and its arguments as they are written.
    """

    network: int
    label: str
    symbol: sp.Symbol
    arguments: tuple[sp.Expr, ...]
    words: tuple[str, ...]
    place: Place


@dataclass(frozen=True)
class EventFormulas:
    """When an event happens, and the state after it, or None where the course ends."""

    condition: sp.Expr
    reset: tuple[sp.Expr, ...] | None
    statement: When


@dataclass(frozen=True)
class JumpFormulas:
    """How often a Poisson process jumps, and by how much each state does, given its `draws`."""

    process: str
    rate: sp.Expr
    leap: tuple[sp.Expr, ...]
    draws: tuple[sp.Symbol, ...]


@dataclass(frozen=True)
class Meaning:
    """Everything that a text says."""

    statements: tuple[Statement, ...]
    time_unit: str
    noise_name: NoiseName | None
    states: tuple[Variable, ...]
    inputs: tuple[Variable, ...]
    interpolations: tuple[Interpolation, ...]
    observables: tuple[Variable, ...]
    observed: tuple[Node, ...]
    latents: Latents
    is_own: tuple[bool, ...]
    wiener: tuple[str, ...]
    expressions: Expressions
    events: tuple[EventFormulas, ...]
    jumps: tuple[JumpFormulas, ...]
    networks: tuple[NetworkCall, ...] = ()
