"""An answer of a tool as a section of the article."""

import re
from pathlib import Path

from .._files import write_whole
from . import _tex as tex
from ._answers import HEAD, Answer

_COLUMNS = r"p{0.27\textwidth}rrrp{0.33\textwidth}"


def answer_section(folder: Path, answer: Answer) -> str:
    """What was asked and found, with its table and its figures, which are written into `folder`."""
    parts = [rf"\section*{{{tex.escape(answer.question)}}}"]
    parts += [tex.escape(" ".join([*answer.sentences, *answer.warnings]))]
    for number, one in enumerate(answer.pictures, 1):
        if not one.pdf:
            continue
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        file = f"figures/{answer.name}-{number}.pdf"
        write_whole(folder / file, [one.pdf])
        parts.append(tex.picture(file, one.label, width=rf"{_share(one.svg):.2f}\textwidth"))
    if answer.rows:
        parts.append(tex.table(_COLUMNS, HEAD, answer.rows))
    return "\n\n".join(parts)


def _share(svg: str) -> float:
    """How much of the text's width a figure takes; one of 7.2 inches takes all of it."""
    found = re.search(r'<svg [^>]*\bwidth="([\d.]+)pt"', svg)
    return 1.0 if found is None else min(float(found[1]) / 72 / 7.2, 1.0)
