"""What an expression is made of; each part knows the character at which it begins."""

from dataclasses import dataclass, field
from typing import TypeAlias

from ._tokens import Place


@dataclass(frozen=True)
class Number:
    """A literal number, as it was written."""

    text: str
    place: Place = field(compare=False, repr=False)

    @property
    def value(self) -> float:
        """The number itself."""
        return float(self.text)


@dataclass(frozen=True)
class Name:
    """A name with its primes, `theta'`; with `initial` its value at the first time."""

    name: str
    place: Place = field(compare=False, repr=False)
    initial: bool = False

    @property
    def label(self) -> str:
        """The name as it is written."""
        return f"{self.name}(0)" if self.initial else self.name


@dataclass(frozen=True)
class Call:
    """A function of arguments; `where` has a condition first."""

    function: str
    arguments: tuple["Node", ...]
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Sum:
    """Terms, each with whether it is subtracted; a single subtracted one is a negative."""

    terms: tuple[tuple[bool, "Node"], ...]
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Product:
    """Factors, each with whether it divides."""

    factors: tuple[tuple[bool, "Node"], ...]
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Power:
    """A base to an exponent."""

    base: "Node"
    exponent: "Node"
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Comparison:
    """`left < right`, or another of `COMPARISONS`; a condition."""

    relation: str
    left: "Node"
    right: "Node"
    place: Place = field(compare=False, repr=False)


@dataclass(frozen=True)
class Logic:
    """Conditions joined by "and" or "or", or one turned round by "not"; a condition."""

    word: str
    parts: tuple["Node", ...]
    place: Place = field(compare=False, repr=False)


Node: TypeAlias = Number | Name | Call | Sum | Product | Power | Comparison | Logic


def is_condition(node: Node) -> bool:
    """Whether a node is true or false rather than a number."""
    return isinstance(node, Comparison | Logic)
