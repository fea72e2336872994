r"""Text for LaTeX: whatever comes from data is escaped, and only known mathematics is kept.

What a plain LaTeX has no letter for is named by its number in Unicode, so that every name can
be printed with Debian's `texlive-latex-base` alone.
"""

import re
import unicodedata
from collections.abc import Sequence

from ._mathml import GREEK, mathml

_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": "$<$",
    ">": "$>$", "|": "$|$", '"': "''", "`": r"\textasciigrave{}", "\u00a0": "~",
    "\u2003": r"\quad{}", "\u2009": r"\,", "–": "--", "—": "---", "‘": "`", "’": "'",
    "“": "``", "”": "''", "„": ",,",
    "…": r"\dots{}", "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$", "÷": r"$\div$",
    "≤": r"$\le$", "≥": r"$\ge$", "≈": r"$\approx$", "≠": r"$\ne$", "∼": r"$\sim$",
    "→": r"$\to$", "∞": r"$\infty$", "√": r"$\surd$", "∂": r"$\partial$", "∑": r"$\sum$",
    "∫": r"$\int$", "∈": r"$\in$", "°": r"$^{\circ}$", "µ": r"$\mu$", "′": "$'$", "″": "$''$",
    "★": r"$\star$", "↓": r"$\downarrow$", "↑": r"$\uparrow$",
    # after the end of a row these two would be read as its options
    "[": "{[}", "*": "{*}",
    "ß": r"{\ss}", "æ": r"{\ae}", "Æ": r"{\AE}", "œ": r"{\oe}", "Œ": r"{\OE}", "ø": r"{\o}",
    "Ø": r"{\O}", "ł": r"{\l}", "Ł": r"{\L}", "ı": r"{\i}", "§": r"\S{}", "©": r"\copyright{}",
}  # fmt: skip
_NAMES = {letter: name for name, letter in GREEK.items()}
_SIGNS |= {letter: rf"$\{name}$" for name, letter in GREEK.items()}
# Unicode writes powers and indices as letters of their own
_SMALL = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺₀₁₂₃₄₅₆₇₈₉", [*"0123456789-+", *"0123456789"], strict=True))
_ACCENTS = {
    "\u0300": r"\`", "\u0301": r"\'", "\u0302": r"\^", "\u0303": r"\~", "\u0304": r"\=",
    "\u0306": r"\u", "\u0307": r"\.", "\u0308": r"\"", "\u030a": r"\r", "\u030b": r"\H",
    "\u030c": r"\v", "\u0327": r"\c",
}  # fmt: skip
_ARTICLE = r"""\documentclass[11pt,a4paper]{article}
\usepackage[margin=2.6cm]{geometry}
\usepackage{amsmath,array,graphicx,longtable}
\IfFileExists{booktabs.sty}{\usepackage{booktabs}}
  {\let\toprule\hline\let\midrule\hline\let\bottomrule\hline}
\usepackage[hidelinks]{hyperref}
\allowdisplaybreaks
\setlength{\parindent}{0pt}
\setlength{\parskip}{0.6em}
\renewcommand{\arraystretch}{1.15}
"""


def escape(text: str) -> str:
    """Any text as LaTeX that prints it, on one line."""
    return " ".join(_letters(text).split())


def _letters(text: str) -> str:
    letters, before = [], ""
    for c in unicodedata.normalize("NFC", text):
        # two of these in a row would be printed as one dash or one quote
        letters.append("{}" + c if c == before and c in "-'" else _sign(c))
        before = c
    return "".join(letters)


def _sign(c: str) -> str:
    if c in _SIGNS:
        return _SIGNS[c]
    if c in _SMALL:
        return f"${'_' if '₀' <= c <= '₉' else '^'}{{{_SMALL[c]}}}$"
    if c.isspace() or not c.isprintable():
        return " "
    if c.isascii():
        return c
    letter, *marks = unicodedata.normalize("NFD", c)
    if letter.isascii() and letter.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        return f"{_ACCENTS[marks[0]]}{{{letter}}}"
    return f"{{[}}U+{ord(c):04X}]"


def formula(latex: str, text: str) -> str:
    """The equations as displayed mathematics; where they hold anything that is not
    mathematics, or a letter that LaTeX lacks, their plain text."""
    ready = re.sub(
        "[" + "".join(GREEK.values()) + "]", lambda c: rf"{{\{_NAMES[c[0]]}}}", latex.strip()
    )
    if not ready or not ready.isascii() or mathml(ready) is None:
        return lines(text)
    head, tail = r"\begin{aligned}", r"\end{aligned}"
    inner = ready.removeprefix(head).removesuffix(tail)
    if ready.startswith(head) and ready.endswith(tail) and head not in inner:
        # unlike aligned, it may be parted at the foot of a page
        return rf"\begin{{align*}}{inner.rstrip()}" + "\n" + r"\end{align*}"
    return f"\\[\n{ready}\n\\]"


def lines(text: str) -> str:
    """Lines of typewriter text, as they are."""
    shown = (_letters(line).rstrip().replace("  ", "~~") for line in text.strip().splitlines())
    body = "\\\\\n".join(line or r"\strut" for line in shown)
    return f"\\begin{{quote}}\n\\ttfamily\\raggedright\n{body}\n\\end{{quote}}"


def table(columns: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that may run over pages; the cells are escaped."""
    return rules(columns, list(map(escape, head)), [list(map(escape, row)) for row in rows])


def rules(columns: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are LaTeX, with the rules of booktabs, or plain ones without it."""
    top = " & ".join(head)
    body = "\n".join(" & ".join(row) + r" \\" for row in rows)
    return (
        f"\\begin{{longtable}}{{{columns}}}\n\\toprule\n{top} \\\\\n\\midrule\n\\endhead\n"
        f"{body}\n\\bottomrule\n\\end{{longtable}}"
    )


def picture(file: str, caption: str, *, width: str = r"\textwidth") -> str:
    """A figure where it stands, with words below it; the words are escaped."""
    return (
        "\\par\\vspace{0.6em}\\begin{minipage}{\\textwidth}\\centering\n"
        f"\\includegraphics[width={width},height=0.8\\textheight,keepaspectratio]{{{file}}}\\\\[0.4em]\n"
        f"\\parbox{{0.92\\textwidth}}{{\\small {escape(caption)}}}\n"
        "\\end{minipage}"
    )


def article(title: str, parts: Sequence[str], *, references: str = "") -> str:
    """A whole article with its title, its parts and, from the file named so, its references."""
    ending = [f"\\bibliographystyle{{plain}}\n\\bibliography{{{references}}}"]
    body = "\n\n".join([*parts, *(ending if references else [])])
    return (
        f"{_ARTICLE}\\title{{{escape(title)}}}\n\\author{{}}\n\\date{{}}\n\n"
        f"\\begin{{document}}\n\\maketitle\n\n{body}\n\n\\end{{document}}\n"
    )
