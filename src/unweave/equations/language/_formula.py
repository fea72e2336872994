"""A formula of one unknown, as text, to a function of one number."""

import re
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from ._functions import FUNCTIONS
from ._text import parse
from ._tokens import EquationError

_WORDS = {"pi", "and", "or", "not"}


def formula(text: str) -> tuple[Callable[[Array], Array], str]:
    """The function that a formula such as `x**3 - 2*x - 5`, or an equation such as `cos(x) = x`
    (then its left side less its right), is of its only unknown, and the unknown's name.

    **Raises:** `EquationError` where it cannot be read, or has no unknown or several.
    """
    left, equals, right = text.partition("=")
    if equals and (right.startswith("=") or "=" in right or left[-1:] in "<>!"):
        raise EquationError("the formula has more than one '='.", mend="Write it as: cos(x) = x")
    whole = f"({left.strip()}) - ({right.strip()})" if equals else text.strip()
    names = dict.fromkeys(re.findall(r"[^\W\d]\w*", re.sub(r"\d[\w.]*([eE][+-]?\d+)?", "0", whole)))
    unknown = [name for name in names if name not in FUNCTIONS and name not in _WORDS]
    if len(unknown) != 1:
        found = ", ".join(unknown) or "none"
        raise EquationError(
            f"a formula has one unknown, and in '{text.strip()}' there are: {found}.",
            mend='Put numbers in place of the others: unweave roots "x**3 - 2*x - 5"',
        )
    name = unknown[0]
    if name == "t":  # in an equation t is the time, and here it is the unknown
        system = parse(f"unknown' = {whole}\nunknown(0) = 0")
        return lambda t: system.rates(t, jnp.zeros(1, t.dtype), jnp.zeros(0, t.dtype),
                                      jnp.zeros(0, t.dtype))[0], name  # fmt: skip
    system = parse(f"{name}' = {whole}\n{name}(0) = 0")
    return lambda x: system.rates(jnp.zeros((), x.dtype), x[None], jnp.zeros(0, x.dtype),
                                  jnp.zeros(0, x.dtype))[0], name  # fmt: skip
