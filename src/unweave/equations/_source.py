"""Where the text of an equation comes from: a file, the zoo, or itself."""

from pathlib import Path

from ._zoo import zoo_text
from .language._text import read_equation

_ZOO = "zoo:"


def source_name(source: str) -> str:
    """What the equation is called: as it was named, or 'equation' where it is the text itself."""
    return "equation" if _is_text(source) else source


def source_text(source: str) -> str:
    """The text that `source` names: `zoo:NAME`, a file, most often called `.ode`, or the text
    itself, which is what has an equals sign.

    **Raises:** `EquationError` where there is no such file or it cannot be read.
    """
    if source.startswith(_ZOO):
        return zoo_text(source.removeprefix(_ZOO))
    return source if _is_text(source) else read_equation(Path(source)).text


def _is_text(source: str) -> bool:
    return "=" in source and not source.strip().endswith(".ode")
