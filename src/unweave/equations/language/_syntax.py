"""The grammar that reads expressions.

From the weakest to the strongest binding: `or`, `and`, `not`, one comparison or a chain of them,
sums, products, the sign, powers (from the right). Nothing of it is ever given to Python to run.
"""

import difflib
import math
from collections.abc import Iterable
from typing import NoReturn

from ._functions import FUNCTIONS, is_network
from ._nodes import (
    Call,
    Comparison,
    Logic,
    Name,
    Node,
    Number,
    Power,
    Product,
    Sum,
    is_condition,
)
from ._tokens import MAX_NESTING, EquationError, Kind, Place, Token

COMPARISONS = ("<", "<=", ">", ">=")
WORDS = ("and", "or", "not", "in", "if", "else")


def meant(word: str, known: Iterable[str]) -> str:
    """A question that names the known word most like `word`; empty where none is like it."""
    close = difflib.get_close_matches(word, sorted(set(known)), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


class Reader:
    """A place in the tokens of one statement, and the grammar of expressions from there on."""

    def __init__(self, tokens: list[Token]):
        self.tokens = tokens
        self.index = 0
        self.depth = 0

    @property
    def now(self) -> Token:
        """The token that comes next."""
        return self.tokens[self.index]

    def ahead(self, steps: int = 1) -> Token:
        """The token `steps` after the next one."""
        return self.tokens[min(self.index + steps, len(self.tokens) - 1)]

    def at(self, *texts: str, kind: Kind | None = None) -> bool:
        """Whether the next token is one of `texts` (any, without), and of `kind` where given."""
        token = self.now
        right_kind = token.kind == kind if kind else token.kind in ("symbol", "name")
        return right_kind and (not texts or token.text in texts)

    def take(self) -> Token:
        """The next token, and one step on."""
        token = self.now
        self.index = min(self.index + 1, len(self.tokens) - 1)
        return token

    def accept(self, *texts: str) -> Token | None:
        """The next token and one step on, if it is one of `texts`."""
        return self.take() if self.at(*texts) else None

    def expect(self, text: str, *, after: str, mend: str) -> Token:
        """The next token, which has to be `text`."""
        token = self.accept(text)
        if token is None:
            self.refuse(f"'{text}' was expected {after}, {self.found()}.", mend)
        return token

    def found(self) -> str:
        """What stands where something else was expected."""
        return "and the line ends" if self.now.kind == "end" else f"not '{self.now.text}'"

    def refuse(self, reason: str, mend: str, *, at: Place | None = None) -> NoReturn:
        """Raises the error at a place, the next token without one."""
        raise EquationError(reason, mend=mend, place=at or self.now.place)

    def expression(self) -> Node:
        """A number."""
        node = self._sum()
        if self.at(*COMPARISONS, "and", "or"):
            self.refuse(
                f"'{self.now.text}' makes a condition, and a number is needed here.",
                "Turn the condition into a number: where(x > 0, 1, 0)",
            )
        return self._number(node)

    def condition(self) -> Node:
        """A condition."""
        start = self.now.place
        node = self._any_of()
        if not is_condition(node):
            self.refuse(
                "this is a number, and a condition is needed here.",
                "Compare it: x > 0",
                at=start,
            )
        return node

    def _number(self, node: Node) -> Node:
        if is_condition(node):
            self.refuse(
                "this is a condition, and a number is needed here.",
                "Turn the condition into a number: where(x > 0, 1, 0)",
                at=node.place,
            )
        return node

    def _any_of(self) -> Node:
        """Conditions joined by `or` of conditions joined by `and`; or a number in parentheses."""
        either = [self._all_of()]
        while self.at("or"):
            self._joined(either, "or", self._all_of)
        return either[0] if len(either) == 1 else Logic("or", tuple(either), either[0].place)

    def _all_of(self) -> Node:
        both = [self._compared()]
        while self.at("and"):
            self._joined(both, "and", self._compared)
        return both[0] if len(both) == 1 else Logic("and", tuple(both), both[0].place)

    def _joined(self, parts: list[Node], word: str, read) -> None:
        token = self.take()
        if len(parts) == 1 and not is_condition(parts[0]):
            self._no_condition(word, parts[0].place)
        start = self.now.place if self.now.kind != "end" else token.place
        parts.append(read())
        if not is_condition(parts[-1]):
            self._no_condition(word, start)

    def _no_condition(self, word: str, at: Place) -> NoReturn:
        self.refuse(f"'{word}' joins conditions, and this is a number.", "Compare it: x > 0", at=at)

    def _compared(self) -> Node:
        """`not` a condition, or a chain of comparisons: 0 < x < 1 is 0 < x and x < 1."""
        if self.at("not"):
            token = self.take()
            with self._deeper(token.place):
                part = self._compared()
            if not is_condition(part):
                self._no_condition("not", part.place)
            return Logic("not", (part,), token.place)
        first = self._sum()
        links: list[Node] = []
        while self.at(*COMPARISONS):
            left, token = self._number(first), self.take()
            first = self._number(self._sum())
            links.append(Comparison(token.text, left, first, left.place))
        if not links:
            return first
        return links[0] if len(links) == 1 else Logic("and", tuple(links), links[0].place)

    def _sum(self) -> Node:
        place = self.now.place
        negative = bool(self.at("+", "-")) and self.take().text == "-"
        terms = [(negative, self.product())]
        while self.at("+", "-"):
            sign = self.take()
            terms.append((sign.text == "-", self._number(self.product())))
        if len(terms) == 1 and not negative:
            return terms[0][1]
        self._number(terms[0][1])
        return Sum(tuple(terms), place)

    def product(self) -> Node:
        """A term: factors, up to a sum's sign or a differential."""
        factors = [(False, self._signed())]
        while self.at("*", "/") and not (self.at("*") and is_differential(self.ahead())):
            operator = self.take()
            factors.append((operator.text == "/", self._number(self._signed())))
        if len(factors) == 1:
            return factors[0][1]
        return Product(tuple(factors), self._number(factors[0][1]).place)

    def _signed(self) -> Node:
        if not self.at("+", "-"):
            return self._power()
        token = self.take()
        with self._deeper(token.place):
            node = self._number(self._signed())
        return Sum(((True, node),), token.place) if token.text == "-" else node

    def _power(self) -> Node:
        base = self._atom()
        if not self.at("^", "**"):
            return base
        token = self.take()
        with self._deeper(token.place):
            exponent = self._number(self._signed())
        return Power(self._number(base), exponent, base.place)

    def _atom(self) -> Node:
        token = self.now
        if token.kind == "number":
            return self._literal()
        if self.at("("):
            self.take()
            with self._deeper(token.place):
                node = self._any_of()
            self._close()
            return node
        if self._at_name():
            return self._named()
        if token.kind == "end":
            self.refuse("the line ends where a number or a name is needed.", "Finish the line.")
        self.refuse(
            f"'{token.text}' is out of place: a number or a name is needed here.",
            "An equation is made of names, numbers, functions and + - * / ^, as in r*x*(1 - x/N).",
        )

    def _at_name(self) -> bool:
        return self.now.kind == "name" and self.now.text not in WORDS

    def _literal(self) -> Number:
        token = self.take()
        if not math.isfinite(float(token.text)):
            self.refuse(
                f"{token.text} is too large for a number.",
                "The largest is about 1.8e308; choose other units.",
                at=token.place,
            )
        after = self.now
        if not after.spaced and (after.kind in ("name", "number") or self.at("(")):
            self.refuse(
                f"a '*' is missing between {token.text} and '{after.text}'.",
                f"Write {token.text}*{after.text}",
            )
        return Number(token.text, token.place)

    def _named(self) -> Node:
        token = self.take()
        name = token.text + self.primes()
        if not self.at("("):
            return Name(name, token.place)
        # x(0) is where x starts, u(t) is u
        argument = self.ahead().text
        is_function = name in FUNCTIONS or is_network(name)
        if not is_function and argument in ("0", "t") and self.ahead(2).text == ")":
            self.index += 3
            return Name(name, token.place, initial=argument == "0")
        self.take()
        with self._deeper(token.place):
            arguments = self._arguments(name, token.place)
        self._close()
        return Call("where" if name == "piecewise" else name, arguments, token.place)

    def primes(self) -> str:
        """The primes that follow a name."""
        count = 0
        while self.at("'") and not self.now.spaced:
            self.take()
            count += 1
        return "'" * count

    def _arguments(self, name: str, place: Place) -> tuple[Node, ...]:
        if name == "piecewise":
            return self._pieces(place)
        if self.at(")"):
            return ()
        arguments = [self.condition() if name == "where" else self.expression()]
        while self.accept(","):
            arguments.append(self.expression())
        return tuple(arguments)

    def _pieces(self, place: Place) -> tuple[Node, ...]:
        """`a if c1, b if c2, else d` as the arguments of nested `where`s."""
        pieces: list[tuple[Node, Node]] = []
        while not self.accept("else"):
            value = self.expression()
            mend = "Write piecewise(a if x < 1, b if x < 2, else c)"
            self.expect("if", after="after a piece's value", mend=mend)
            pieces.append((self.condition(), value))
            self.expect(",", after="after a piece", mend=mend)
            if len(pieces) > MAX_NESTING:
                self.refuse(f"there are more than {MAX_NESTING} pieces.", "Use fewer pieces.")
        last = self.expression()
        if not pieces:
            self.refuse("piecewise has no condition.", "Write the last value alone.", at=place)
        for condition, value in pieces[:0:-1]:
            last = Call("where", (condition, value, last), place)
        return (*pieces[0], last)

    def _close(self) -> None:
        token = self.now
        if self.accept(")"):
            return
        if token.kind == "number" or self.at("(") or self._at_name():
            self.refuse(f"a '*' or a ',' is missing before '{token.text}'.", f"Write *{token.text}")
        self.refuse(f"')' was expected, {self.found()}.", "Close the parenthesis before it.")

    def _deeper(self, place: Place) -> "_Depth":
        return _Depth(self, place)


class _Depth:
    """Counts how deep the grammar is, so that no text exhausts Python's stack."""

    def __init__(self, reader: Reader, place: Place):
        self.reader = reader
        self.place = place

    def __enter__(self) -> None:
        self.reader.depth += 1
        if self.reader.depth > MAX_NESTING:
            raise EquationError(
                f"this is nested more than {MAX_NESTING} deep.",
                mend="Name a part of it on a line of its own: part = ...",
                place=self.place,
            )

    def __exit__(self, *_: object) -> None:
        self.reader.depth -= 1


def is_differential(token: Token) -> bool:
    """Whether a token is dt, dW, dW1, ..., dN, dN1, ..."""
    tail = token.text[2:]
    return token.kind == "name" and (
        token.text == "dt" or (token.text[:2] in ("dW", "dN") and (not tail or tail.isdecimal()))
    )
