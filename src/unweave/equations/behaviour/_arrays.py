"""How a field behaves, as plain arrays: what the analysis finds and the figures draw."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

Kind: TypeAlias = Literal[
    "stable node",
    "stable focus",
    "unstable node",
    "unstable focus",
    "saddle",
    "saddle focus",
    "centre",
    "line of equilibria",
    "degenerate",
]


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """A state at which nothing changes.

    **Arguments:** `x` `(state,)`; `jacobian` `(state, state)` and its `eigenvalues` `(state,)`
    there, the largest real part first; `kind` in words; `unstable`, along how many directions
    neighbours leave. A real part of at most `tolerance` counts as zero, as does an imaginary
    part; `residual`, the largest rate at `x` over its typical size in the box.

    A centre is one of the linearised field: of the field itself it may be a weak focus.
    """

    x: np.ndarray
    jacobian: np.ndarray
    eigenvalues: np.ndarray
    kind: Kind
    unstable: int
    tolerance: float
    residual: float

    @property
    def is_stable(self) -> bool:
        """Whether all neighbours come back, by the linearised field."""
        return self.kind in ("stable node", "stable focus")


@dataclass(frozen=True, eq=False)
class Portrait:
    """What a phase portrait is drawn from, in the units of the state.

    **Arguments:** `low`, `high` `(2,)`, the box; `points` and `vectors` `(row, column, 2)`, the
    field on a grid; `nullclines`, for each component the curves `(point, 2)` on which its rate
    is zero; `streamlines`, orbits `(point, 2)` in the direction of time; `equilibria` in the
    box; `separatrices`, the two halves of the stable manifold of every saddle, towards it.
    """

    low: np.ndarray
    high: np.ndarray
    points: np.ndarray
    vectors: np.ndarray
    nullclines: tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]
    streamlines: tuple[np.ndarray, ...]
    equilibria: tuple[Equilibrium, ...]
    separatrices: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Basins:
    """Where each start of a grid in a plane ends.

    **Arguments:** `axes`, the two components of the state that the grid spans; `x` `(column,)`
    and `y` `(row,)`, their values; `label` `(row, column)`, a place in `ends`; `ends`, a word
    for each end: the attractors in the order given, then cycles, then "leaves the box" and
    "undecided"; `shares` `(end,)`, the share of starts that end there; `cycles`, for each cycle
    its curve `(point, state)`.
    """

    axes: tuple[int, int]
    x: np.ndarray
    y: np.ndarray
    label: np.ndarray
    ends: tuple[str, ...]
    shares: np.ndarray
    cycles: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Special:
    """A point at which a branch changes: a fold, a Hopf point or a branch point.

    **Arguments:** `a`, the parameter; `x` `(state,)`; `frequency`, of a Hopf point, $\\omega$ in
    radians per time, NaN otherwise.
    """

    kind: Literal["fold", "Hopf", "branch point"]
    a: float
    x: np.ndarray
    frequency: float


@dataclass(frozen=True, eq=False)
class Branch:
    """Equilibria along one curve, in order.

    **Arguments:** `a` `(point,)`; `x` `(point, state)`; `eigenvalues` `(point, state)`;
    `stable` `(point,)`, whether all real parts are negative; `unstable` `(point,)`, how many
    are positive; `special`, what happens along it.
    """

    a: np.ndarray
    x: np.ndarray
    eigenvalues: np.ndarray
    stable: np.ndarray
    unstable: np.ndarray
    special: tuple[Special, ...]


@dataclass(frozen=True, eq=False)
class Branches:
    """All branches that were found, their special points once each, and sentences."""

    branches: tuple[Branch, ...]
    special: tuple[Special, ...]
    notes: tuple[str, ...]
