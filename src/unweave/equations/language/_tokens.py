"""The text of an equation cut into tokens, and the error that points at a character."""

import unicodedata
from dataclasses import dataclass, field
from typing import Literal

MAX_CHARACTERS = 100_000
MAX_NESTING = 40
_MAX_NAME = 60
_SHOWN = 96

Kind = Literal["number", "name", "symbol", "unit", "other", "end"]

_SYMBOLS = ("**", "<=", ">=", *"+-*/^()=,~:<>'")
# what a keyboard, a word processor or a paper writes for the same thing
_SAME = {"−": "-", "·": "*", "×": "*", "’": "'", "′": "'", "≤": "<=", "≥": ">="}


@dataclass(frozen=True)
class Place:
    """A character of the text: the number of its line and its column, both from 1, and the
    line itself."""

    line: int
    column: int
    text: str = field(repr=False)


class EquationError(ValueError):
    """A text that is no equation: the line, a caret under the character, why, and what mends it.

    `place` is the character, or None where the whole text or its file is at fault; `reason` and
    `mend` are the two sentences.
    """

    def __init__(self, reason: str, *, mend: str, place: Place | None = None, file: str = ""):
        self.reason = reason
        self.mend = mend
        self.place = place
        self.file = file
        super().__init__(_message(reason, mend, place, file))

    def within(self, file: str) -> "EquationError":
        """The same error, naming the file that the text came from."""
        return EquationError(self.reason, mend=self.mend, place=self.place, file=file)


def _message(reason: str, mend: str, place: Place | None, file: str) -> str:
    if place is None:
        return f"{file}: {reason} {mend}" if file else f"{reason} {mend}"
    # a long line is shown around its character
    first = max(0, min(place.column - _SHOWN // 2, len(place.text) - _SHOWN))
    shown = "".join(c if c.isprintable() else " " for c in place.text[first : first + _SHOWN])
    caret = " " * (place.column - 1 - first) + "^"
    where = f"{file}, line {place.line}" if file else f"line {place.line}"
    return f"{where}: {reason}\n    {shown}\n    {caret}\n{mend}"


@dataclass(frozen=True)
class Token:
    """A piece of one line; `spaced` where a blank stands before it."""

    kind: Kind
    text: str
    place: Place
    end: int
    spaced: bool


def statements(text: str) -> list[list[Token]]:
    """The tokens of each statement, an "end" last: one statement a line, and a line goes on
    while a parenthesis is open.

    **Raises:** `EquationError` for a text that is too long, nested too deeply, or whose
    parentheses do not close.
    """
    if len(text) > MAX_CHARACTERS:
        raise EquationError(
            f"the text has {len(text)} characters; an equation has at most {MAX_CHARACTERS}.",
            mend="Give the equation alone; data belong in a table of their own.",
        )
    found: list[list[Token]] = []
    current: list[Token] = []
    opened: list[Token] = []
    for number, line in enumerate(text.splitlines(), start=1):
        for token in _line_tokens(line, number):
            current.append(token)
            _follow(token, opened)
        if current and not opened:
            found.append([*current, _end_of(current[-1])])
            current = []
    if opened:
        raise EquationError(
            "this parenthesis is never closed.", mend="Close it with ')'.", place=opened[-1].place
        )
    return found


def _follow(token: Token, opened: list[Token]) -> None:
    if token.kind != "symbol":
        return
    if token.text == "(":
        opened.append(token)
        if len(opened) > MAX_NESTING:
            raise EquationError(
                f"parentheses are nested more than {MAX_NESTING} deep.",
                mend="Name a part of it on a line of its own: part = ...",
                place=token.place,
            )
    elif token.text == ")":
        if not opened:
            raise EquationError(
                "this parenthesis was never opened.",
                mend="Take the ')' away, or open it with '('.",
                place=token.place,
            )
        opened.pop()


def _end_of(last: Token) -> Token:
    place = Place(last.place.line, last.end + 1, last.place.text)
    return Token("end", "", place, last.end, spaced=True)


def _line_tokens(line: str, number: int) -> list[Token]:
    tokens: list[Token] = []
    start, spaced = 0, True
    while start < len(line) and line[start] != "#":
        if line[start].isspace():
            start, spaced = start + 1, True
            continue
        place = Place(number, start + 1, line)
        kind, text, end = _cut(line, start, place)
        tokens.append(Token(kind, text, place, end, spaced))
        start, spaced = end, False
    return tokens


def _cut(line: str, start: int, place: Place) -> tuple[Kind, str, int]:
    """The kind and the text of the token at `start`, and where it ends."""
    first = line[start]
    if first.isidentifier():
        end = start + 1
        while end < len(line) and ("a" + line[end]).isidentifier() and line[end] not in _SAME:
            end += 1
        if end - start > _MAX_NAME:
            raise EquationError(
                f"this name has {end - start} characters; a name has at most {_MAX_NAME}.",
                mend="Give it a shorter name.",
                place=place,
            )
        return "name", unicodedata.normalize("NFKC", line[start:end]), end
    if first in "0123456789" or (first == "." and line[start + 1 : start + 2].isdecimal()):
        end = _number_end(line, start)
        return "number", line[start:end], end
    if first == "[":
        end = line.find("]", start)
        if end < 0:
            raise EquationError(
                "this unit in brackets is never closed.", mend="Close it with ']'.", place=place
            )
        return "unit", line[start + 1 : end].strip(), end + 1
    for symbol in _SYMBOLS:
        if line.startswith(symbol, start):
            return "symbol", symbol, start + len(symbol)
    if first in _SAME:
        return "symbol", _SAME[first], start + 1
    return "other", first, start + 1


def _number_end(line: str, start: int) -> int:
    def digits(at: int) -> int:
        while at < len(line) and line[at] in "0123456789":
            at += 1
        return at

    end = digits(start)
    if line[end : end + 1] == ".":
        end = digits(end + 1)
    if line[end : end + 1] in ("e", "E"):
        sign = end + 2 if line[end + 1 : end + 2] in ("+", "-") else end + 1
        if digits(sign) > sign:
            end = digits(sign)
    return end
