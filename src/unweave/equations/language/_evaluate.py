"""SymPy's expressions as functions of arrays, without a word of generated code.

Expressions become a tape once: one step for each different subexpression, so that what several
have in common is computed once. The tape runs over JAX's arrays, which traces it, or over NumPy's,
which gives numbers at once.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import jax.numpy as jnp
import jax.scipy.special
import numpy as np
import scipy.special
import sympy as sp
from jaxtyping import Array

from ._functions import Conditional

Step: TypeAlias = tuple[str, tuple[int, ...]]

_LARGEST_PRODUCT = 8
# what a guarded argument becomes where its branch is not taken: inside every domain below
_HARMLESS = 0.5
_GUARDED = {"log", "sqrt", "power", "divide", "exp", "sinh", "cosh", "arcsin", "arccos"}

_FUNCTIONS: dict[type, str] = {
    sp.exp: "exp",
    sp.log: "log",
    sp.sin: "sin",
    sp.cos: "cos",
    sp.tan: "tan",
    sp.asin: "arcsin",
    sp.acos: "arccos",
    sp.atan: "arctan",
    sp.atan2: "arctan2",
    sp.sinh: "sinh",
    sp.cosh: "cosh",
    sp.tanh: "tanh",
    sp.erf: "erf",
    sp.Abs: "abs",
    sp.sign: "sign",
    sp.floor: "floor",
    sp.ceiling: "ceil",
    sp.Max: "maximum",
    sp.Min: "minimum",
    sp.StrictLessThan: "less",
    sp.LessThan: "less_equal",
    sp.StrictGreaterThan: "greater",
    sp.GreaterThan: "greater_equal",
    sp.And: "logical_and",
    sp.Or: "logical_or",
    sp.Not: "logical_not",
}
_FOLDED = {"maximum", "minimum", "logical_and", "logical_or"}
_PLAIN: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "negative": operator.neg,
}


def _operations(library: ModuleType, erf: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    names = {*_FUNCTIONS.values(), "sqrt", "power", "where"} - {"erf"}
    return {**_PLAIN, "erf": erf, **{name: getattr(library, name) for name in names}}


_JAX = _operations(jnp, jax.scipy.special.erf)
_NUMPY = _operations(np, scipy.special.erf)
# plain floats are ten times as fast as NumPy's; what they refuse is left to NumPy's rules
_FLOAT: dict[str, Callable[..., Any]] = {
    **_NUMPY,
    **{name: getattr(math, name) for name in ("exp", "log", "sin", "cos", "tan", "sqrt")},
    **{name: getattr(math, name) for name in ("sinh", "cosh", "tanh", "erf")},
    "arctan": math.atan, "arctan2": math.atan2, "arcsin": math.asin, "arccos": math.acos,
    "power": math.pow, "abs": abs, "maximum": max, "minimum": min,
    "less": operator.lt, "less_equal": operator.le,
    "greater": operator.gt, "greater_equal": operator.ge,
    "where": lambda condition, a, b: a if condition else b,
}  # fmt: skip


@dataclass(frozen=True)
class Program:
    """Expressions of some arguments, ready to run.

    The slots hold the arguments, then `constants`, then the result of each of `steps`;
    `results` are the slots of the expressions.
    """

    arguments: int
    constants: tuple[float | bool, ...]
    steps: tuple[Step, ...]
    results: tuple[int, ...]

    def trace(self, values: Sequence[Any], dtype: Any) -> Array:
        """The expressions at `values`, JAX numbers of one dtype, as an array of that dtype."""
        found = self._run(values, _JAX)
        if not found:
            return jnp.zeros(0, dtype)
        return jnp.stack([jnp.asarray(one, dtype) for one in found])

    def compute(self, values: Sequence[Any], shape: tuple[int, ...] = ()) -> np.ndarray:
        """The expressions at `values`, NumPy numbers or arrays of `shape`, stacked, float64.

        What is not defined is NaN or infinite, without a warning.
        """
        with np.errstate(all="ignore"):
            found = self._run(values, _NUMPY)
        stacked = np.empty((len(found), *shape))
        for row, one in enumerate(found):
            stacked[row] = one
        return stacked

    def compute_one(self, values: Sequence[float]) -> list[float]:
        """The expressions at plain floats: for a solver that asks thousands of times."""
        try:
            return self._run(values, _FLOAT)
        except (ZeroDivisionError, OverflowError, ValueError):
            return self.compute([np.float64(value) for value in values]).tolist()

    def _run(self, values: Sequence[Any], operations: dict[str, Callable[..., Any]]) -> list[Any]:
        slots = [*values, *self.constants]
        for name, places in self.steps:
            slots.append(operations[name](*[slots[place] for place in places]))
        return [slots[place] for place in self.results]


def compile_expressions(expressions: Sequence[sp.Basic], arguments: Sequence[sp.Symbol]) -> Program:
    """A program for `expressions` of `arguments`.

    Inside a branch that a condition may not take, what could be undefined or overflow is given
    a harmless argument then, so that the gradient of the branch taken stays finite.

    **Raises:** `ValueError` for a symbol that is no argument, and for what has no number.
    """
    tape = _Tape(arguments)
    results = [tape.slot(sp.sympify(expression, strict=True), None) for expression in expressions]
    return tape.finish(results)


class _Tape:
    """The steps so far. Constants are numbered apart, as negatives, until their count is known."""

    def __init__(self, arguments: Sequence[sp.Symbol]):
        self.arguments = {symbol: slot for slot, symbol in enumerate(arguments)}
        self.constants: dict[tuple[type, float | bool], int] = {}
        self.steps: dict[Step, int] = {}
        self.known: dict[tuple[sp.Basic, int | None], int] = {}

    def finish(self, results: list[int]) -> Program:
        count = len(self.arguments)

        def final(slot: int) -> int:
            if slot < 0:
                return count - 1 - slot
            return slot if slot < count else slot + len(self.constants)

        return Program(
            arguments=count,
            constants=tuple(value for _, value in self.constants),
            steps=tuple((name, tuple(map(final, places))) for name, places in self.steps),
            results=tuple(map(final, results)),
        )

    def slot(self, expression: sp.Basic, guard: int | None) -> int:
        """The slot of an expression inside the branch that the condition `guard` takes."""
        key = (expression, guard)
        if key not in self.known:
            self.known[key] = self._make(expression, guard)
        return self.known[key]

    def _make(self, node: sp.Basic, guard: int | None) -> int:
        if isinstance(node, sp.Symbol):
            if node not in self.arguments:
                known = ", ".join(str(symbol) for symbol in self.arguments)
                raise ValueError(f"'{node}' is no argument of the expression; those are {known}.")
            return self.arguments[node]
        if node in (sp.true, sp.false):
            return self.constant(bool(node))
        if isinstance(node, sp.Expr) and node.is_number:
            return self.constant(number(node))
        if isinstance(node, sp.Add):
            return self._add(node, guard)
        if isinstance(node, sp.Mul):
            return self._multiply(node, guard)
        if isinstance(node, sp.Pow):
            return self._power(node, guard)
        if isinstance(node, sp.Piecewise):
            return self._choose(list(node.args), guard)
        if isinstance(node, Conditional):
            condition, value, other = node.args
            pieces = [sp.Tuple(value, condition), sp.Tuple(other, sp.true)]
            return self._choose(pieces, guard)
        if isinstance(node, sp.Heaviside):
            above = sp.Gt(node.args[0], 0, evaluate=False)
            return self._choose([sp.Tuple(sp.S.One, above), sp.Tuple(sp.S.Zero, sp.true)], guard)
        name = _FUNCTIONS.get(type(node))
        if name is None:
            raise ValueError(f"{type(node).__name__} in {node} has no function of numbers.")
        places = [self.slot(part, guard) for part in node.args]
        if name in _FOLDED:
            return self._fold(name, places)
        return self.step(name, *places, guard=guard)

    def constant(self, value: float | bool) -> int:
        # True == 1.0, and both are needed
        key = (type(value), value)
        if key not in self.constants:
            self.constants[key] = -1 - len(self.constants)
        return self.constants[key]

    def step(self, name: str, *places: int, guard: int | None = None) -> int:
        if guard is not None and name in _GUARDED:
            at = 1 if name == "divide" else 0
            if places[at] >= 0:  # a constant needs no guard
                safe = self.step("where", guard, places[at], self.constant(_HARMLESS))
                places = (*places[:at], safe, *places[at + 1 :])
        key = (name, places)
        if key not in self.steps:
            self.steps[key] = len(self.arguments) + len(self.steps)
        return self.steps[key]

    def _fold(self, name: str, places: list[int]) -> int:
        result = places[0]
        for place in places[1:]:
            result = self.step(name, result, place)
        return result

    def _add(self, node: sp.Add, guard: int | None) -> int:
        added, taken = [], []
        for term in node.args:
            negative = term.as_coeff_Mul()[0].is_negative
            (taken if negative else added).append(-term if negative else term)
        if not added:
            return self.step("negative", self._fold_all("add", taken, guard))
        result = self._fold_all("add", added, guard)
        for term in taken:
            result = self.step("subtract", result, self.slot(term, guard))
        return result

    def _multiply(self, node: sp.Mul, guard: int | None) -> int:
        above, below = [], []
        for factor in node.args:
            base, exponent = factor.as_base_exp()
            divides = exponent.is_number and exponent.is_negative and not factor.is_number
            (below if divides else above).append(base**-exponent if divides else factor)
        negative = bool(above) and above[0] is sp.S.NegativeOne
        above = above[1:] if negative else above
        result = self._fold_all("multiply", above, guard) if above else self.constant(1.0)
        if below:
            divisor = self._fold_all("multiply", below, guard)
            result = self.step("divide", result, divisor, guard=guard)
        return self.step("negative", result) if negative else result

    def _fold_all(self, name: str, parts: list[Any], guard: int | None) -> int:
        return self._fold(name, [self.slot(part, guard) for part in parts])

    def _power(self, node: sp.Pow, guard: int | None) -> int:
        base, exponent = node.args
        if exponent.is_number and exponent.is_negative:
            below = self.slot(sp.Pow(base, -exponent), guard)
            return self.step("divide", self.constant(1.0), below, guard=guard)
        if base is sp.E:
            return self.step("exp", self.slot(exponent, guard), guard=guard)
        place = self.slot(base, guard)
        if exponent == sp.S.Half:
            return self.step("sqrt", place, guard=guard)
        if exponent.is_Integer and int(exponent) <= _LARGEST_PRODUCT:
            return self._repeat(place, int(exponent))
        return self.step("power", place, self.slot(exponent, guard), guard=guard)

    def _repeat(self, place: int, times: int) -> int:
        if times == 1:
            return place
        half = self._repeat(place, times // 2)
        square = self.step("multiply", half, half)
        return self.step("multiply", square, place) if times % 2 else square

    def _choose(self, pieces: list[Any], guard: int | None) -> int:
        """Nested choices; each branch is guarded by its own condition and by those around it."""
        value, condition = pieces[0].args
        if condition == sp.true:
            return self.slot(value, guard)
        if len(pieces) == 1:
            other = self.constant(float("nan"))
            test = self.slot(condition, guard)
            return self.step("where", test, self.slot(value, self._both(guard, test)), other)
        test = self.slot(condition, guard)
        taken = self.slot(value, self._both(guard, test))
        refused = self.step("logical_not", test)
        other = self._choose(pieces[1:], self._both(guard, refused))
        return self.step("where", test, taken, other)

    def _both(self, guard: int | None, test: int) -> int:
        return test if guard is None else self.step("logical_and", guard, test)


def number(expression: Any) -> float:
    """The number that a constant expression is.

    **Raises:** `ValueError` where it is not a finite real number.
    """
    try:
        value = complex(expression)
    except (OverflowError, TypeError) as error:
        raise ValueError(f"{expression} is not a finite number.") from error
    if value.imag or not np.isfinite(value.real):
        raise ValueError(f"{expression} is not a finite real number.")
    return value.real
