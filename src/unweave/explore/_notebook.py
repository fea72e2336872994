"""The explorer in a notebook, an extra."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..run import Run
from ._explorer import explorer
from ._extras import check_packages

if TYPE_CHECKING:
    from ._widget import ExplorerWidget

_NEEDED = ("anywidget", "plotly")


def widget(
    sources: Sequence[str | Path | Run],
    *,
    data: str | None = None,
    names: Sequence[str | None] | None = None,
    height: int = 900,
) -> "ExplorerWidget":
    """The explorer as the output of a cell: sliders for the latents of the models of `sources`,
    side by side on the same observations (see `explorer`), in a frame of that `height` in pixels.
    What is shown can be read off it: its `latents` by the names of the models.

    **Raises:** `ValueError` where a package is missing, with the line that installs it, and as
    `explorer` does.
    """
    check_packages("the explorer in a notebook", _NEEDED, "notebook")
    from ._widget import ExplorerWidget

    return ExplorerWidget(explorer(sources, data=data, names=names), height=height)
