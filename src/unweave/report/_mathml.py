"""Formulas on the page: LaTeX's mathematics read and written as MathML, which needs no script.

Only the signs in the tables below are known, so that a formula which was read holds nothing
but mathematics: the article prints it as it stands, and everything else as text.
"""

import re
from collections.abc import Callable

from markupsafe import Markup, escape

_MOST = 20_000
_DEEPEST = 60
_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|\d+(?:\.\d*)?|\s+|.", re.DOTALL)

#: Greek letters by what LaTeX calls them.
GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ϵ", "varepsilon": "ε",
    "zeta": "ζ", "eta": "η", "theta": "θ", "vartheta": "ϑ", "iota": "ι", "kappa": "κ",
    "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "upsilon": "υ", "phi": "ϕ", "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
    "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π",
    "Sigma": "Σ", "Upsilon": "Υ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
_OPERATORS = {
    "cdot": "·", "times": "×", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠",
    "neq": "≠", "neg": "¬", "lnot": "¬", "lor": "∨", "vee": "∨", "land": "∧", "wedge": "∧",
    "sim": "∼", "approx": "≈", "to": "→", "mapsto": "↦", "leftarrow": "←", "in": "∈", "pm": "±",
    "infty": "∞", "partial": "∂", "circ": "∘", "backslash": "\\", "lfloor": "⌊", "rfloor": "⌋",
    "lceil": "⌈", "rceil": "⌉", "langle": "⟨", "rangle": "⟩", "bmod": "mod", "mid": "|",
    "{": "{", "}": "}", "_": "_", "%": "%", "#": "#", "&": "&", "$": "$", "|": "‖", "ldots": "…",
    "dots": "…", "quad": "\u2003", "qquad": "\u2003\u2003", ",": "\u2009", ";": "\u2005",
    ":": "\u2005", " ": "\u00a0", "!": "",
}  # fmt: skip
_FUNCTIONS = (
    "arccos", "arcsin", "arctan", "cos", "cosh", "cot", "coth", "det", "exp", "lim", "ln", "log",
    "max", "min", "sec", "sin", "sinh", "tan", "tanh",
)  # fmt: skip
_ACCENTS = {"dot": "˙", "ddot": "¨", "dddot": "⃛", "bar": "¯", "hat": "^", "tilde": "~"}
_TABLES = ("aligned", "align*", "align", "gathered", "cases")


class _NotMathematics(Exception):
    """The text holds what is not in the tables."""


def mathml(latex: str) -> Markup | None:
    """A formula of LaTeX's mathematics as a MathML element; None where it holds anything else,
    or nothing."""
    if not latex.strip():
        return None
    reader = _Reader(latex)
    try:
        body = reader.row(lambda token: token == "")
    except _NotMathematics:
        return None
    return Markup(f'<math display="block">{body}</math>')


class _Reader:
    """Reads tokens in order; every method returns MathML and leaves what follows it."""

    def __init__(self, latex: str):
        self.tokens = _TOKEN.findall(latex[: _MOST + 1])
        self.place = 0
        self.depth = 0
        self.is_long = len(latex) > _MOST

    def row(self, ends: Callable[[str], bool]) -> str:
        """Everything up to a token that `ends` it, which is left to be read."""
        self.depth += 1
        if self.depth > _DEEPEST or self.is_long:
            raise _NotMathematics
        parts: list[str] = []
        while not ends(self._peek()):
            if self._peek() == "":
                raise _NotMathematics
            part = self._scripted()
            # a minus after a relation is a sign, and stands close to its number
            before = parts[-1] if parts else ""
            if part == "<mo>−</mo>" and before.startswith("<mo") and "postfix" not in before:
                part = '<mo form="prefix">−</mo>'
            parts.append(part)
        self.depth -= 1
        return f"<mrow>{''.join(parts)}</mrow>"

    def _peek(self) -> str:
        while self.place < len(self.tokens) and self.tokens[self.place].isspace():
            self.place += 1
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def _take(self, *allowed: str) -> str:
        token = self._peek()
        if token == "" or (allowed and token not in allowed):
            raise _NotMathematics
        self.place += 1
        return token

    def _scripted(self) -> str:
        base, below, above = self._single(), "", ""
        while self._peek() in ("_", "^", "'"):
            sign = self._take()
            if (below if sign == "_" else above) != "":
                raise _NotMathematics
            if sign == "_":
                below = self._single()
            else:
                above = "<mo>′</mo>" if sign == "'" else self._single()
        if below and above:
            return f"<msubsup>{base}{below}{above}</msubsup>"
        if below or above:
            kind = "msub" if below else "msup"
            return f"<{kind}>{base}{below or above}</{kind}>"
        return base

    def _single(self) -> str:
        token = self._take()
        if token == "{":
            return self._rest_of_group()
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token.startswith("\\"):
            return self._command(token[1:])
        if token.isalpha():
            return f"<mi>{escape(token)}</mi>"
        if token in "}&_^~#$%":
            raise _NotMathematics
        if token in "()[]":
            # without a form these would stand apart like operators
            form = "prefix" if token in "([" else "postfix"
            return f'<mo form="{form}" stretchy="false">{token}</mo>'
        return f"<mo>{escape({'-': '−', '*': '∗'}.get(token, token))}</mo>"

    def _rest_of_group(self) -> str:
        body = self.row(lambda token: token == "}")
        self._take("}")
        return body

    def _group(self) -> str:
        self._take("{")
        return self._rest_of_group()

    def _command(self, name: str) -> str:
        if name in GREEK:
            upright = ' mathvariant="normal"' if name[0].isupper() else ""
            return f"<mi{upright}>{GREEK[name]}</mi>"
        if name in _OPERATORS:
            sign = _OPERATORS[name]
            if not sign.strip():
                return f"<mtext>{sign}</mtext>"
            # at the beginning of a cell this one would touch what follows it
            space = ' lspace="0.28em" rspace="0.28em"' if sign == "∼" else ""
            return f"<mo{space}>{escape(sign)}</mo>"
        if name in _FUNCTIONS:
            return f"<mi>{name}</mi>"
        if name in _ACCENTS:
            return f'<mover accent="true">{self._single()}<mo>{_ACCENTS[name]}</mo></mover>'
        if name == "frac":
            return f"<mfrac>{self._group()}{self._group()}</mfrac>"
        if name == "sqrt":
            return f"<msqrt>{self._group()}</msqrt>"
        if name == "left":
            return self._fenced()
        if name == "begin":
            return self._table()
        return self._words(name)

    def _fenced(self) -> str:
        opening = self._fence()
        body = self.row(lambda token: token == r"\right")
        self._take(r"\right")
        return f"<mrow>{opening}{body}{self._fence()}</mrow>"

    def _fence(self) -> str:
        token = self._take()
        sign = _OPERATORS.get(token[1:], "") if token.startswith("\\") else token
        if sign == ".":
            return ""
        if sign not in tuple("()[]|{}⌊⌋⌈⌉⟨⟩‖"):
            raise _NotMathematics
        return f'<mo fence="true" stretchy="true">{sign}</mo>'

    def _table(self) -> str:
        name = self._raw()
        if name not in _TABLES:
            raise _NotMathematics
        rows = [[self._cell()]]
        while (token := self._take("&", "\\\\", r"\end")) != r"\end":
            if token == "&":
                rows[-1].append(self._cell())
            else:
                rows.append([self._cell()])
        if self._raw() != name:
            raise _NotMathematics
        cells = ("".join(f"<mtd>{cell}</mtd>" for cell in row) for row in rows)
        table = f"<mtable>{''.join(f'<mtr>{row}</mtr>' for row in cells)}</mtable>"
        if name != "cases":
            return f'<mrow class="{name.rstrip("*")}">{table}</mrow>'
        return f'<mrow class="cases"><mo fence="true" stretchy="true">{{</mo>{table}</mrow>'

    def _cell(self) -> str:
        return self.row(lambda token: token in ("&", "\\\\", r"\end"))

    def _words(self, name: str) -> str:
        if name not in ("mathrm", "operatorname", "text", "mathcal"):
            raise _NotMathematics
        words = self._raw()
        if name == "mathcal":
            # the script capitals of Unicode, of which these few lie elsewhere
            if len(words) != 1 or words not in "ACDGJKNOPQSTUVWXYZ":
                raise _NotMathematics
            return f"<mi>{chr(0x1D49C + ord(words) - ord('A'))}</mi>"
        if name == "text":
            # ordinary spaces at the ends of a text would be dropped
            return f"<mtext>{escape(words.replace(' ', chr(0xA0)))}</mtext>"
        return f'<mi mathvariant="normal">{escape(words)}</mi>'

    def _raw(self) -> str:
        """The words of a group, in which only the escaped signs of names and units may stand."""
        self._take("{")
        words = ""
        while self.place < len(self.tokens) and self.tokens[self.place] != "}":
            token = self.tokens[self.place]
            self.place += 1
            name = token.removeprefix("\\")
            if token.startswith("\\") and name not in _OPERATORS and name not in GREEK:
                raise _NotMathematics
            if token in tuple("{&_^~#$%"):
                raise _NotMathematics
            signs = token.startswith("\\")
            words += (_OPERATORS.get(name) or GREEK.get(name, "")) if signs else token
        self._take("}")
        return words
