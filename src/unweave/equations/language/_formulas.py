"""Expressions of the grammar as SymPy's, with every name looked up and every number checked."""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from ._evaluate import compile_expressions
from ._functions import CONDITIONS, FUNCTIONS, MARK, is_network
from ._meaning import NetworkCall
from ._nodes import Call, Comparison, Logic, Name, Node, Number, Power, Product, Sum
from ._syntax import meant
from ._tokens import EquationError, Place
from ._typeset import plain

MAX_EXPONENT = 1e4
MAX_OPERATIONS = 20_000
MAX_DEPTH = 60
# constants outside this range become floating-point numbers, never fractions of huge integers
_EXACT = (1e-12, 1e12)
_NO_NUMBER = (sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I)


@dataclass(frozen=True)
class Formula:
    """A SymPy expression, and its value where it is a constant.

    `degree` bounds the product of the constant exponents in it, `operations` and `depth` its
    size with all definitions written out.
    """

    expression: Any  # of numbers an Expr, of conditions a Boolean
    value: float | None = None
    degree: float = 1.0
    operations: int = 1
    depth: int = 1


class Scope:
    """The names of a text and what they stand for.

    **Arguments:** `symbols`, by the label that the text uses; `definitions`, labels that stand
    for expressions, each looked up when it is first needed.
    """

    def __init__(self, symbols: dict[str, sp.Symbol], definitions: dict[str, Node]):
        self.symbols = symbols
        self.definitions = definitions
        self.operations = 0
        self.networks: list[NetworkCall] = []
        self._known: dict[str, Formula] = {}
        self._open: list[str] = []
        self._marks: list[sp.Symbol] | None = None

    def whole(self, node: Node) -> Formula:
        """A number that stands by itself in the text, checked as a whole."""
        formula = self._number(node)
        self.operations += formula.operations
        if self.operations > MAX_OPERATIONS:
            raise EquationError(
                f"with the definitions written out there are more than {MAX_OPERATIONS} "
                "operations up to here.",
                mend="Make the equation smaller.",
                place=node.place,
            )
        _check_real(formula.expression, node.place)
        return formula

    def constant(self, node: Node) -> float:
        """A number that depends on nothing."""
        value = self.whole(node).value
        if value is None:
            raise EquationError(
                "a number is needed here, and this depends on others.",
                mend="Write the number itself, as in k in (0, 5)",
                place=node.place,
            )
        return value

    def jump(self, node: Node) -> tuple[Formula, tuple[sp.Symbol, ...]]:
        """The size of a jump, in which `normal(mean, std)` may be drawn, and its draws."""
        self._marks = []
        try:
            formula = self.whole(node)
            return formula, tuple(self._marks)
        finally:
            self._marks = None

    def signed(self, node: Node) -> Any:
        """A number that is positive where a condition holds and zero at its border."""
        if isinstance(node, Logic):
            parts = [self.signed(part) for part in node.parts]
            if node.word == "not":
                return -parts[0]
            join = sp.Min if node.word == "and" else sp.Max
            return join(*parts, evaluate=False)
        assert isinstance(node, Comparison)
        left, right = self.whole(node.left).expression, self.whole(node.right).expression
        return right - left if node.relation in ("<", "<=") else left - right

    def find(self, name: Name) -> Formula:
        """What a name stands for."""
        label = name.label
        if label in self.symbols:
            return Formula(self.symbols[label])
        if label == "pi":
            return Formula(sp.pi, math.pi)
        if label in self._known:
            return self._known[label]
        if label not in self.definitions:
            raise self._unknown(name)
        if label in self._open:
            circle = " -> ".join([*self._open[self._open.index(label) :], label])
            raise EquationError(
                f"'{label}' is defined by itself: {circle}.",
                mend=f"Give one of them without the others, or its rate of change: {label}' = ...",
                place=name.place,
            )
        marks, self._marks = self._marks, None
        self._open.append(label)
        self._known[label] = self._number(self.definitions[label])
        self._open.pop()
        self._marks = marks
        return self._known[label]

    def _unknown(self, name: Name) -> EquationError:
        label = name.label
        known = [*self.symbols, *self.definitions]
        bare = name.name.rstrip("'")
        if name.initial and name.name in known:
            reason = f"'{name.name}' has no start: only a state has, and it must be given."
            mend = f"Add a line: {label} in (0, 1)"
        elif bare in known and bare != name.name:
            reason = f"'{name.name}' is no state, since '{bare}' has no equation of higher order."
            mend = f"Name the rate: rate = ..., then {bare}' = rate, and use rate."
        elif name.name in FUNCTIONS:
            reason, mend = f"'{name.name}' is a function.", f"Write {name.name}(...)"
        else:
            reason = f"no '{label}' is declared.{meant(label, [*known, *FUNCTIONS])}"
            mend = f"Add a line: {label} in (0, 1)"
        return EquationError(reason, mend=mend, place=name.place)

    def _number(self, node: Node) -> Formula:
        match node:
            case Number():
                return Formula(_exact(node), node.value)
            case Name():
                return self.find(node)
            case Sum():
                return self._sum(node)
            case Product():
                return self._product(node)
            case Power():
                return self._power(node)
            case Call():
                return self._call(node)
            case _:
                return self._condition(node)

    def _condition(self, node: Comparison | Logic) -> Formula:
        if isinstance(node, Comparison):
            word, nodes = node.relation, (node.left, node.right)
        else:
            word, nodes = node.word, node.parts
        parts = [self._number(part) for part in nodes]
        expression = CONDITIONS[word](*[part.expression for part in parts])
        return _joined(node, expression, None, parts)

    def _sum(self, node: Sum) -> Formula:
        parts = [self._number(term) for _, term in node.terms]
        signs = [-1 if less else 1 for less, _ in node.terms]
        value = None
        if (numbers := _values(parts)) is not None:
            value = _finite(sum(s * v for s, v in zip(signs, numbers, strict=True)), node.place)
        terms = [s * part.expression for s, part in zip(signs, parts, strict=True)]
        return _joined(node, _kept(value, lambda: sp.Add(*terms)), value, parts)

    def _product(self, node: Product) -> Formula:
        parts = [self._number(factor) for _, factor in node.factors]
        for (under, factor), part in zip(node.factors, parts, strict=True):
            if under and part.value == 0:
                raise EquationError(
                    "this divides by zero.", mend="Divide by another number.", place=factor.place
                )
        value = None
        if (numbers := _values(parts)) is not None:
            value = 1.0
            for (under, _), one in zip(node.factors, numbers, strict=True):
                value = value / one if under else value * one
            value = _finite(value, node.place)
        factors = [
            1 / part.expression if under else part.expression
            for (under, _), part in zip(node.factors, parts, strict=True)
        ]
        return _joined(node, _kept(value, lambda: sp.Mul(*factors)), value, parts)

    def _power(self, node: Power) -> Formula:
        base, exponent = self._number(node.base), self._number(node.exponent)
        degree = base.degree * max(1.0, abs(exponent.value or 0.0))
        if degree > MAX_EXPONENT:
            raise EquationError(
                f"the exponent is beyond {MAX_EXPONENT:g}.",
                mend="Use a smaller exponent, or exp(...).",
                place=node.exponent.place,
            )
        value = None
        if (numbers := _values([base, exponent])) is not None:
            with np.errstate(all="ignore"):
                value = _finite(float(np.power(np.float64(numbers[0]), numbers[1])), node.place)
        raised = _kept(value, lambda: sp.Pow(base.expression, exponent.expression))
        return _joined(node, raised, value, [base, exponent], degree=degree)

    def _call(self, node: Call) -> Formula:
        name = node.function
        if is_network(name) and name not in self.symbols and name not in self.definitions:
            return self._network(node)
        if name not in FUNCTIONS:
            raise self._no_function(node)
        arity, given = FUNCTIONS[name].arity, len(node.arguments)
        if given != arity and not (arity < 0 and given >= 2):
            wants = "2 or more arguments" if arity < 0 else _count(arity)
            raise EquationError(
                f"{name} takes {wants}, and {given} {'was' if given == 1 else 'were'} given.",
                mend=f"Write {_SHAPES.get(name, f'{name}(x)')}",
                place=node.place,
            )
        parts = [self._number(part) for part in node.arguments]
        expressions = [part.expression for part in parts]
        if name == MARK:
            expressions.append(self._mark(node))
        value, numbers = None, _values(parts)
        if numbers is not None and name != MARK:
            value = _finite(_compute(name, tuple(numbers)), node.place)
            return _joined(node, sp.Float(value), value, parts)
        function = FUNCTIONS[name]
        return _joined(node, function.build(*expressions), None, parts, copies=function.copies)

    def _network(self, node: Call) -> Formula:
        """A symbol for what a network gives here; a definition is read more than once."""
        parts = [self._number(part) for part in node.arguments]
        if not any(part.expression.free_symbols for part in parts):
            raise EquationError(
                f"{node.function} learns a function, and nothing that changes is given to it.",
                mend=f"Name what it depends on: {node.function}(x)",
                place=node.place,
            )
        call = next((call for call in self.networks if call.place == node.place), None)
        if call is None:
            call = self._called(node, [part.expression for part in parts])
            self.networks.append(call)
        return _joined(node, call.symbol, None, parts)

    def _called(self, node: Call, arguments: list[Any]) -> NetworkCall:
        name, before = node.function, self.networks
        same = next((c for c in before if c.label.startswith(f"{name}(")), None)
        if same is not None and name != "net" and len(same.arguments) != len(arguments):
            raise EquationError(
                f"{name} takes {_count(len(same.arguments))} in line {same.place.line} and "
                f"{_count(len(arguments))} here; a named network is the same everywhere.",
                mend="Give it as many, or another name.",
                place=node.place,
            )
        fresh = 1 + max((call.network for call in before), default=-1)
        return NetworkCall(
            network=fresh if same is None or name == "net" else same.network,
            label=plain(node),
            symbol=sp.Symbol(f"network {len(before) + 1}", real=True),
            arguments=tuple(arguments),
            words=tuple(plain(part) for part in node.arguments),
            place=node.place,
        )

    def _no_function(self, node: Call) -> EquationError:
        name = node.function
        if name in self.symbols or name in self.definitions:
            reason, mend = f"'{name}' is no function.", f"For a product write {name}*(...)"
        else:
            reason = f"there is no function '{name}'.{meant(name, FUNCTIONS)}"
            mend = f"The functions are {', '.join(sorted(set(FUNCTIONS) - {MARK}))}."
        return EquationError(reason, mend=mend, place=node.place)

    def _mark(self, node: Call) -> sp.Symbol:
        if self._marks is None:
            raise EquationError(
                f"{MARK}(mean, std) is drawn at a jump alone.",
                mend="Write it in a term with dN, as in S*(exp(normal(m, s)) - 1) dN(lam)",
                place=node.place,
            )
        self._marks.append(sp.Symbol(f"draw {len(self._marks) + 1}", real=True))
        return self._marks[-1]


_SHAPES = {
    "atan2": "atan2(y, x)",
    "hill": "hill(x, K, n)",
    "max": "max(a, b)",
    "min": "min(a, b)",
    "mod": "mod(a, b)",
    "where": "where(x > 0, a, b)",
    MARK: f"{MARK}(mean, std)",
}


def _count(arity: int) -> str:
    return "1 argument" if arity == 1 else f"{arity} arguments"


def _exact(node: Number) -> sp.Expr:
    whole = node.text.isdecimal() and node.value <= _EXACT[1]
    return sp.Integer(int(node.text)) if whole else sp.Float(node.value)


def _kept(value: float | None, build: Callable[[], sp.Expr]) -> sp.Expr:
    """The formula that `build` makes, or the number alone where it is a constant too large or
    too small for a fraction of integers."""
    if value is None or _EXACT[0] <= abs(value) <= _EXACT[1]:
        return build()
    return sp.Float(value) if value else sp.S.Zero


def _values(parts: Sequence[Formula]) -> list[float] | None:
    """The values of the parts, if all are constants."""
    values = [part.value for part in parts if part.value is not None]
    return values if len(values) == len(parts) else None


@functools.lru_cache(maxsize=256)
def _compute(name: str, numbers: tuple[float, ...]) -> float:
    symbols = sp.symbols(f"a0:{len(numbers)}", real=True)
    program = compile_expressions([FUNCTIONS[name].build(*symbols)], symbols)
    return float(program.compute([np.float64(one) for one in numbers])[0])


def _finite(value: float, place: Place) -> float:
    if not math.isfinite(value):
        raise EquationError(
            "this is no finite number.", mend="Give a number that can be computed.", place=place
        )
    return value


def _joined(
    node: Node,
    expression: Any,
    value: float | None,
    parts: Iterable[Formula],
    *,
    degree: float = 1.0,
    copies: int = 1,
) -> Formula:
    """A formula of parts, with its size."""
    parts = list(parts)
    depth = 1 + max(part.depth for part in parts)
    operations = 1 + copies * sum(part.operations for part in parts)
    if depth > MAX_DEPTH:
        raise _too_deep(node.place)
    if operations > MAX_OPERATIONS:
        raise EquationError(
            f"with its definitions written out this has more than {MAX_OPERATIONS} operations.",
            mend="Make the equation smaller.",
            place=node.place,
        )
    if expression in _NO_NUMBER:
        _check_real(expression, node.place)
    degree = max([degree, *[part.degree for part in parts]])
    return Formula(expression, value, degree, operations, depth)


def _too_deep(place: Place) -> EquationError:
    return EquationError(
        "with its definitions written out this is nested too deeply.",
        mend="Make the equation simpler.",
        place=place,
    )


def _check_real(expression: Any, place: Place) -> None:
    if expression.has(*_NO_NUMBER) or not all(map(_fits, expression.atoms(sp.Number))):
        raise EquationError(
            "this has no finite real value.",
            mend="Look for a division by zero or the root of a negative number.",
            place=place,
        )


def _fits(value: sp.Number) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
