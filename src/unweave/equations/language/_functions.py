"""The functions that an equation may use, each with its formula in SymPy and in LaTeX.

What is not in this table cannot be called. A formula is made of what SymPy can differentiate, so
that other code may do so; `_evaluate` turns it into numbers.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import sympy as sp

#: The name of a mark that is drawn at each jump: `normal(mean, std)`.
MARK = "normal"


@dataclass(frozen=True)
class Function:
    """A function of the language.

    `build` makes the formula of as many arguments as `arity` says (-1: two or more); `latex` is
    a pattern of the arguments {0}, {1}, ..., or a command that is followed by them in brackets.
    `copies` is how often the formula repeats an argument.
    """

    arity: int
    build: Callable[..., Any]
    latex: str
    copies: int = 1


def _unevaluated(kind: Any, *parts: Any) -> Any:
    # SymPy would solve inequalities to make these simpler, which may take for ever
    return kind(*parts, evaluate=False)


def _floor(x: sp.Expr) -> Any:
    return _unevaluated(sp.floor, x)


@final
class Conditional(sp.Function):
    """`where` with a condition that depends on another `where`.

    SymPy's Piecewise would fold the two into one, with a piece for each combination of theirs.
    """

    nargs = 3

    def _eval_is_real(self) -> bool:
        return True

    def _eval_derivative(self, s: sp.Symbol) -> Any:
        condition, value, other = self.args
        return Conditional(condition, sp.diff(value, s), sp.diff(other, s))


def _where(condition: Any, value: Any, other: Any) -> Any:
    if condition.has(sp.Piecewise, Conditional):
        return Conditional(condition, value, other)
    return _unevaluated(sp.Piecewise, (value, condition), (other, True))


def _modulo(a: sp.Expr, b: sp.Expr) -> sp.Expr:
    return a - b * _floor(a / b)


def _wrap(a: sp.Expr) -> sp.Expr:
    return a - 2 * sp.pi * _floor((a + sp.pi) / (2 * sp.pi))


def _hill(x: sp.Expr, scale: sp.Expr, exponent: sp.Expr) -> sp.Expr:
    # of the ratio, so that large powers of large numbers do not overflow
    ratio = (x / scale) ** exponent
    return ratio / (1 + ratio)


def _sigmoid(x: sp.Expr) -> sp.Expr:
    # the same function as 1 / (1 + exp(-x)), whose gradient overflows
    return (1 + sp.tanh(x / 2)) / 2


FUNCTIONS: dict[str, Function] = {
    "exp": Function(1, sp.exp, r"\mathrm{{e}}^{{{0}}}"),
    "log": Function(1, sp.log, r"\log"),
    "ln": Function(1, sp.log, r"\ln"),
    "log10": Function(1, lambda x: sp.log(x) / sp.log(10), r"\log_{10}"),
    "log2": Function(1, lambda x: sp.log(x) / sp.log(2), r"\log_{2}"),
    "sqrt": Function(1, sp.sqrt, r"\sqrt{{{0}}}"),
    "abs": Function(1, sp.Abs, r"\left|{0}\right|"),
    "sign": Function(1, sp.sign, r"\operatorname{sign}"),
    "sin": Function(1, sp.sin, r"\sin"),
    "cos": Function(1, sp.cos, r"\cos"),
    "tan": Function(1, sp.tan, r"\tan"),
    "cot": Function(1, lambda x: sp.cos(x) / sp.sin(x), r"\cot", copies=2),
    "asin": Function(1, sp.asin, r"\arcsin"),
    "acos": Function(1, sp.acos, r"\arccos"),
    "atan": Function(1, sp.atan, r"\arctan"),
    "atan2": Function(2, sp.atan2, r"\operatorname{atan2}"),
    "sinh": Function(1, sp.sinh, r"\sinh"),
    "cosh": Function(1, sp.cosh, r"\cosh"),
    "tanh": Function(1, sp.tanh, r"\tanh"),
    "erf": Function(1, sp.erf, r"\operatorname{erf}"),
    "floor": Function(1, _floor, r"\left\lfloor {0} \right\rfloor"),
    "ceil": Function(1, lambda x: _unevaluated(sp.ceiling, x), r"\left\lceil {0} \right\rceil"),
    "min": Function(-1, lambda *a: _unevaluated(sp.Min, *a), r"\min"),
    "max": Function(-1, lambda *a: _unevaluated(sp.Max, *a), r"\max"),
    "mod": Function(2, _modulo, r"{0} \bmod {1}", copies=2),
    "sigmoid": Function(1, _sigmoid, r"\operatorname{sigmoid}"),
    "heaviside": Function(1, lambda x: _where(_unevaluated(sp.Gt, x, 0), 1, 0), r"\Theta"),
    "hill": Function(3, _hill, r"\frac{{{0}^{{{2}}}}}{{{1}^{{{2}}} + {0}^{{{2}}}}}", copies=2),
    "wrap": Function(1, _wrap, r"\operatorname{wrap}", copies=2),
    "where": Function(
        3, _where, r"\begin{{cases}} {1} & \text{{if }} {0} \\ {2} & \text{{else}} \end{{cases}}"
    ),
    MARK: Function(2, lambda mean, std, draw: mean + std * draw, r"\mathcal{{N}}({0}, {1}^2)"),
}


def is_network(name: str) -> bool:
    """Whether a function of this name is learned from data: `net`, `net1`, `net_grazing`."""
    return re.fullmatch(r"net(\d+|_\w+)?", name) is not None


CONDITIONS: dict[str, Callable[..., Any]] = {
    "<": lambda a, b: _unevaluated(sp.Lt, a, b),
    "<=": lambda a, b: _unevaluated(sp.Le, a, b),
    ">": lambda a, b: _unevaluated(sp.Gt, a, b),
    ">=": lambda a, b: _unevaluated(sp.Ge, a, b),
    "and": lambda *parts: _unevaluated(sp.And, *parts),
    "or": lambda *parts: _unevaluated(sp.Or, *parts),
    "not": lambda part: _unevaluated(sp.Not, part),
}
