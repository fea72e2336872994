"""Statements: what the lines of a text can say."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from ._nodes import Name, Node
from ._tokens import Place

Interpolation: TypeAlias = Literal["linear", "previous", "cubic"]
NoiseName: TypeAlias = Literal["gaussian", "log-normal", "student-t", "poisson"]
Family: TypeAlias = Literal["in", ">", "normal", "log-normal", "uniform", "log-uniform"]

INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)
NOISES: tuple[NoiseName, ...] = get_args(NoiseName)
PRIORS = ("normal", "log-normal", "uniform", "log-uniform")


@dataclass(frozen=True)
class TimeUnit:
    """`time in day`."""

    unit: str
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Declared:
    """Latents with a range or a prior; `own` is None where the text does not say whose they are."""

    names: tuple[Name, ...]
    family: Family
    parameters: tuple[Node, ...]
    bounds: tuple[Node, Node] | None
    unit: str
    own: bool | None
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Rate:
    """`theta'' = ...`: the name without its primes, how many there are, the right side."""

    name: str
    order: int
    value: Node
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Differential:
    """A term of a stochastic equation; the coefficient is None for 1, the rate only dN has."""

    negative: bool
    coefficient: Node | None
    process: str
    rate: Node | None
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Stochastic:
    """`dx = ... dt + ... dW`."""

    name: str
    terms: tuple[Differential, ...]
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Definition:
    """`growth = ...`."""

    name: str
    value: Node
    unit: str
    place: Place = field(compare=False, repr=False)
    unit_place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Start:
    """`v(0) = 0`."""

    name: Name
    value: Node
    unit: str
    place: Place = field(compare=False, repr=False)
    unit_place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Input:
    """`input u(t) linear degC`."""

    names: tuple[Name, ...]
    interpolation: Interpolation
    unit: str
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Observe:
    """`observe y = ...` with a value; `observe x1, x2` without."""

    names: tuple[Name, ...]
    value: Node | None
    unit: str
    place: Place = field(compare=False, repr=False)
    unit_place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Noise:
    """`noise log-normal`."""

    name: NoiseName
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class When:
    """`when x < 0: v = -v`; without assignments it stops."""

    condition: Node
    assignments: tuple[tuple[Name, Node], ...]
    place: Place = field(compare=False, repr=False)


Statement: TypeAlias = (
    TimeUnit | Declared | Rate | Stochastic | Definition | Start | Input | Observe | Noise | When
)
