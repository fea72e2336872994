"""Lines of text read into statements."""

from typing import TypeVar

from ._functions import FUNCTIONS
from ._nodes import Name, Node
from ._statements import (
    INTERPOLATIONS,
    NOISES,
    PRIORS,
    Declared,
    Definition,
    Differential,
    Family,
    Input,
    Interpolation,
    Noise,
    Observe,
    Rate,
    Start,
    Statement,
    Stochastic,
    TimeUnit,
    When,
)
from ._syntax import WORDS, Reader, is_differential, meant
from ._tokens import EquationError, Place, Token, statements

_S = TypeVar("_S")

RESERVED = {*FUNCTIONS, *WORDS, "piecewise", "pi", "t", "dt", "when", "observe", "input"}

_UNIT_SYMBOLS = ("/", "*", "**", "^", "(", ")", "-")
_MAX_UNIT = 60


def read_statements(text: str) -> tuple[Statement, ...]:
    """The statements of a text, in its order.

    **Raises:** `EquationError` at the first character that does not fit.
    """
    return tuple(_StatementReader(tokens).statement() for tokens in statements(text))


class _StatementReader(Reader):
    """Reads one statement."""

    def statement(self) -> Statement:
        first, second = self.now, self.ahead()
        if first.text == "time" and second.text == "in" and self.ahead(2).text != "(":
            return self._time()
        keywords = {"input": self._input, "observe": self._observe, "when": self._when}
        if first.kind == "name" and first.text in keywords:
            self.take()
            return keywords[first.text](first.place)
        if first.text == "noise" and second.kind in ("name", "end") and second.text != "in":
            return self._noise()
        return self._about_names()

    def _time(self) -> TimeUnit:
        place = self.take().place
        self.take()
        unit, _, _ = self._unit()
        return self._done(TimeUnit(unit, place))

    def _about_names(self) -> Statement:
        place = self.now.place
        names = self._targets()
        if self.at("in", "~", ">", ">="):
            return self._declared(names, place)
        if not self.at("="):
            self._no_statement(names)
        name, *others = names
        if others:
            self.refuse(
                "two names have one '='.",
                f"Write a line for each: {name.label} = ...",
                at=others[0].place,
            )
        self.take()
        return self._equation(name, place)

    def _no_statement(self, names: tuple[Name, ...]) -> None:
        label = names[0].label
        words = ("time", "noise", "input", "observe", "when")
        if self.now.kind == "end":
            reason = f"'{label}' alone says nothing."
        elif self.at("<", "<="):
            reason = "a latent is given a range, both ends of it."
        else:
            hint = meant(label, words) if len(names) == 1 else ""
            reason = f"'=', 'in', '~' or '>' was expected, {self.found()}.{hint}"
        self.refuse(
            reason, f"Write {label}' = ..., {label} = ..., {label} in (0, 1) or {label}(0) = ..."
        )

    def _targets(self) -> tuple[Name, ...]:
        names = [self._target()]
        while self.accept(","):
            names.append(self._target())
        return tuple(names)

    def _target(self) -> Name:
        token = self.now
        if token.kind != "name":
            self.refuse(
                f"a name was expected, {self.found()}.",
                "A line begins with a name, as in x' = -k*x or k in (0, 1).",
            )
        if token.text in RESERVED:
            self.refuse(
                f"'{token.text}' has a meaning of its own and cannot be given another.",
                f"Choose another name, such as {token.text}_1",
            )
        self.take()
        name = token.text + self.primes()
        if not self.accept("("):
            return Name(name, token.place)
        mend = f"Write {name}(0) for where it starts, {name}' for how fast it changes."
        if self.now.text != "0":
            self.refuse(f"a line can be about {name}(0) alone, {self.found()}.", mend)
        self.take()
        self.expect(")", after="after the 0", mend=mend)
        return Name(name, token.place, initial=True)

    def _equation(self, name: Name, place: Place) -> Statement:
        if name.initial:
            value, unit, where = self._value()
            return self._done(Start(name, value, unit, place, where))
        if name.name.endswith("'"):
            value = self.expression()
            bare = name.name.rstrip("'")
            self._no_more()
            return Rate(bare, len(name.name) - len(bare), value, place)
        rest = self.tokens[self.index :]
        if len(name.name) > 1 and name.name[0] == "d" and any(map(is_differential, rest)):
            return self._stochastic(name.name[1:], place)
        value, unit, where = self._value()
        return self._done(Definition(name.name, value, unit, place, where))

    def _value(self) -> tuple[Node, str, Place | None]:
        """An expression and the unit that may follow it."""
        value = self.expression()
        if self.now.kind == "end":
            return value, "", None
        if self.now.kind != "unit" and not self.now.spaced:
            self._no_more()
        where = None if self.now.kind == "unit" else self.now.place
        unit, _, _ = self._unit()
        return value, unit, where

    def _no_more(self) -> None:
        """An equation's right side has no unit after it: what follows is a mistake."""
        token = self.now
        if token.kind == "end":
            return
        if token.kind in ("name", "number") or token.text == "(":
            self.refuse(f"a '*' is missing before '{token.text}'.", f"Write *{token.text}")
        self.refuse(
            f"'{token.text}' is out of place.", "An expression ends here; take away what follows."
        )

    def _stochastic(self, name: str, place: Place) -> Stochastic:
        terms = []
        while not terms or self.now.kind != "end":
            negative = False
            if terms and not self.at("+", "-"):
                self.refuse(f"'+' or '-' was expected, {self.found()}.", "Join the terms by +.")
            if self.at("+", "-"):
                negative = self.take().text == "-"
            terms.append(self._differential(negative))
        return Stochastic(name, tuple(terms), place)

    def _differential(self, negative: bool) -> Differential:
        place = self.now.place
        coefficient = None if is_differential(self.now) else self._number(self.product())
        self.accept("*")
        token = self.now
        if not is_differential(token):
            self.refuse(
                f"this term has no dt, dW or dN: one was expected, {self.found()}.",
                "Write (a + b) dt for a sum, as in dx = (a - b*x) dt + s dW",
            )
        self.take()
        rate = None
        if token.text.startswith("dN"):
            mend = f"Give the rate of the jumps: {token.text}(0.1)"
            self.expect("(", after=f"after {token.text}", mend=mend)
            rate = self.expression()
            self._close()
        return Differential(negative, coefficient, token.text, rate, place)

    def _declared(self, names: tuple[Name, ...], place: Place) -> Declared:
        relation = self.take()
        family, parameters, bounds = "in", (), None
        if relation.text == "in":
            bounds = self._interval()
        elif relation.text == "~":
            family, parameters = self._prior()
            bounds = self._interval() if self.accept("in") else None
        else:
            family = ">"
            if not (self.now.kind == "number" and float(self.now.text) == 0):
                self.refuse("'>' says that a latent is positive; 0 follows it.", "Write k > 0")
            self.take()
        unit, _, own = self._unit(optional=True)
        found = Declared(names, family, parameters, bounds, unit, own, place)
        return self._done(found)

    def _interval(self) -> tuple[Node, Node]:
        mend = "Give both ends: in (0, 1)"
        self.expect("(", after="after 'in'", mend=mend)
        low = self.expression()
        self.expect(",", after="after the lower end", mend=mend)
        high = self.expression()
        self.expect(")", after="after the upper end", mend=mend)
        return low, high

    def _prior(self) -> tuple[Family, tuple[Node, ...]]:
        token = self.now
        word = self._hyphenated()
        for family in PRIORS:
            if word == family:
                mend = f"Write {family}(a, b)"
                self.expect("(", after=f"after '{family}'", mend=mend)
                first = self.expression()
                self.expect(",", after=f"in '{family}'", mend=mend)
                second = self.expression()
                self.expect(")", after="after two numbers", mend=mend)
                return family, (first, second)
        self.refuse(
            f"'{word}' is no family of priors.{meant(word, PRIORS)}",
            f"There are {', '.join(PRIORS)}.",
            at=token.place,
        )

    def _hyphenated(self) -> str:
        """A word that may have a hyphen in it."""
        word = self.take().text
        while self.at("-") and not self.now.spaced and self.ahead().kind == "name":
            self.take()
            word += "-" + self.take().text
        return word

    def _unit(self, *, optional: bool = False) -> tuple[str, Place, bool | None]:
        """The unit that goes on to the end of the line, and whose a latent is."""
        place = self.now.place
        rest = self.tokens[self.index : -1]
        own = None
        texts = [token.text for token in rest]
        if texts[-2:] == ["per", "record"]:
            own, rest = True, rest[:-2]
        elif texts[-1:] == ["shared"]:
            own, rest = False, rest[:-1]
        if own is not None and not optional:
            raise EquationError(
                "only latents are shared or per record.", mend="Take the words away.", place=place
            )
        if not rest and not optional:
            self.refuse("a unit was expected, and the line ends.", "Write time in day")
        unit = _unit_text(rest)
        self.index = len(self.tokens) - 1
        return unit, place, own

    def _input(self, place: Place) -> Input:
        names = []
        while not names or self.accept(","):
            token = self.now
            if token.kind != "name" or token.text in RESERVED:
                self.refuse(
                    f"the name of an input was expected, {self.found()}.",
                    "Name the column of the data: input u(t) linear degC",
                )
            names.append(Name(self.take().text, token.place))
            if self.accept("("):
                mend = f"Write input {token.text}(t)"
                self.expect("t", after="in an input's parentheses", mend=mend)
                self.expect(")", after="after 't'", mend=mend)
        interpolation: Interpolation = "linear"
        for word in INTERPOLATIONS:
            if self.accept(word):
                interpolation = word
                break
        unit = self._unit()[0] if self.now.kind != "end" else ""
        return self._done(Input(tuple(names), interpolation, unit, place))

    def _observe(self, place: Place) -> Observe:
        if self.now.kind != "name" or self.now.text in RESERVED or self.ahead().text == "(":
            self.refuse("what is observed has a name.", "Give it one: observe y = log(x1)")
        names = self._targets()
        if len(names) == 1 and self.accept("="):
            value, unit, where = self._value()
            return self._done(Observe(names, value, unit, place, where))
        if self.at("+", "-", "*", "/", "^", "**"):
            self.refuse("what is observed has a name.", "Give it one: observe y = x1 + x2")
        unit = self._unit()[0] if self.now.kind != "end" else ""
        return self._done(Observe(names, None, unit, place))

    def _noise(self) -> Noise:
        place = self.take().place
        token = self.now
        word = self._hyphenated()
        for name in NOISES:
            if word == name:
                return self._done(Noise(name, place))
        self.refuse(
            f"'{word}' is no noise.{meant(word, NOISES)}",
            f"There are {', '.join(NOISES)}.",
            at=token.place,
        )

    def _when(self, place: Place) -> When:
        condition = self.condition()
        mend = "Write when x < 0: v = -v, or when x > 100: stop"
        self.expect(":", after="after the condition", mend=mend)
        if self.at("stop") and self.ahead().kind == "end":
            self.take()
            return When(condition, (), place)
        assignments = []
        while not assignments or self.accept(","):
            name = self._target()
            self.expect("=", after="after the name of a state", mend=mend)
            assignments.append((name, self.expression()))
        self._no_more()
        return When(condition, tuple(assignments), place)

    def _done(self, statement: _S) -> _S:
        if self.now.kind != "end":
            self._no_more()
        return statement


def _unit_text(tokens: list[Token]) -> str:
    """A unit as it is written; in brackets it may hold anything."""
    if len(tokens) == 1 and tokens[0].kind == "unit":
        return tokens[0].text
    for token in tokens:
        strange = token.kind == "other" and token.text not in "%°$€£‰²³¹⁻"
        symbol = token.kind == "symbol" and token.text not in _UNIT_SYMBOLS
        if strange or symbol or token.kind == "unit":
            raise EquationError(
                f"'{token.text}' cannot be part of a unit.",
                mend="A product needs '*'; a unit that looks unusual goes in brackets: [a unit]",
                place=token.place,
            )
    if not tokens:
        return ""
    first, last = tokens[0], tokens[-1]
    unit = " ".join(first.place.text[first.place.column - 1 : last.end].split())
    if first.place.line != last.place.line or len(unit) > _MAX_UNIT:
        raise EquationError(
            f"a unit has at most {_MAX_UNIT} characters, on one line.",
            mend="Shorten it.",
            place=first.place,
        )
    return unit
