"""What a text means: its variables, latents, formulas, events and jumps."""

from dataclasses import dataclass

import sympy as sp

from ..._latents import Latents
from .._system import Variable
from ._nodes import Node
from ._statements import Interpolation, NoiseName, Statement, When


@dataclass(frozen=True)
class Expressions:
    """The formulas of an equation in SymPy, definitions written out; all symbols are real.

    `drift` is one for each state, `diffusion` a row for each state and a column for each Wiener
    process, `start` one for each state, of `latents` alone; `observed` one for each observable.
    """

    time: sp.Symbol
    states: tuple[sp.Symbol, ...]
    latents: tuple[sp.Symbol, ...]
    inputs: tuple[sp.Symbol, ...]
    drift: tuple[sp.Expr, ...]
    diffusion: tuple[tuple[sp.Expr, ...], ...]
    start: tuple[sp.Expr, ...]
    observed: tuple[sp.Expr, ...]

    @property
    def arguments(self) -> tuple[sp.Symbol, ...]:
        """Time, states, latents, inputs, in the order in which functions take them."""
        return (self.time, *self.states, *self.latents, *self.inputs)


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
