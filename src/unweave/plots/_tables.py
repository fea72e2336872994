"""A table of shares as a picture: which latent goes with which factor."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from ._style import ACCENT, INK, MUTED, plain, single_axes, styled

# from nothing, which is the page, to all
_SHARES = LinearSegmentedColormap.from_list("shares", ["#1d6fb600", ACCENT])
# above this share ink does not show on the cell
_DARK = 0.6
# so many cells have their number in them
_MOST_NUMBERS = 400
# a longer name would leave no room for the cells
_LONGEST = 28
# the width of a letter, and the least of a figure, in inches
_LETTER, _NARROW = 0.07, 3.2


@styled
def shares(
    values: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str = "",
    axes: Axes | None = None,
) -> Figure:
    """Shares `(row, column)` from 0 to 1 as shaded cells with their numbers; less than 0 is drawn
    as 0, NaN as nothing.

    Raises `ValueError` where the names do not fit.
    """
    values = np.asarray(values, float)
    if values.shape != (len(rows), len(columns)):
        raise ValueError(
            f"shares of shape {values.shape} were given with {len(rows)} rows and {len(columns)} "
            "columns named; give a name for each."
        )
    height, width = values.shape
    down, across = ([plain(name, _LONGEST) for name in names] for names in (rows, columns))
    # room for the names, which stand on the left and, slanting, below, and for the title
    left, below = (
        max(least, _LETTER * max((len(name) for name in names), default=0))
        for names, least in ((down, 0.6), (across, 0.6))
    )
    wide = max(_NARROW, left + 0.36 * width)
    lines = textwrap.wrap(plain(title, 120), max(12, int((wide - left) / _LETTER)))
    axes, figure = single_axes(axes, 0.4 + wide, 0.7 + below + 0.22 * height + 0.15 * len(lines))
    axes.imshow(
        np.clip(np.nan_to_num(values), 0, 1), cmap=_SHARES, vmin=0, vmax=1, aspect="auto",
        interpolation="none",
    )  # fmt: skip
    axes.set_xticks(np.arange(width), across, rotation=60, ha="right")
    axes.set_yticks(np.arange(height), down)
    axes.tick_params(length=0, labelcolor=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if values.size <= _MOST_NUMBERS:
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value) and value >= 0.05:
                colour = "white" if value > _DARK else MUTED
                axes.text(j, i, f"{value:.2f}".lstrip("0"), ha="center", va="center",
                          color=colour, fontsize=6)  # fmt: skip
    if lines:
        axes.set_title("\n".join(lines))
    return figure
