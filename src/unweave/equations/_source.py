"""Where the text of an equation comes from: a file, the zoo, or itself."""

from pathlib import Path

from ._zoo import zoo_text
from .language._text import read_equation


def source_text(source: str) -> str:
    """The text that `source` names: a path that ends in .ode, `zoo:NAME`, or the text itself.

    **Raises:** `EquationError` where there is no such file or it cannot be read.
    """
    if source.startswith("zoo:"):
        return zoo_text(source.removeprefix("zoo:"))
    if "\n" not in source and source.strip().endswith(".ode"):
        return read_equation(Path(source)).text
    return source
