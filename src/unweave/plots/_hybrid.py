"""What networks found in place of a term of an equation."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._style import ACCENT, DIVERGING, FAINT, INK, MUTED, new_figure, styled

_MOST_PANELS = 12


@styled
def found(
    arguments: Sequence[Float[np.ndarray, "point argument"]],
    values: Float[np.ndarray, "point call"],
    *,
    labels: Sequence[str],
    words: Sequence[Sequence[str]],
    grids: Sequence[Float[np.ndarray, "row column 3"] | None] = (),
) -> Figure:
    """Each network over its arguments, where the fitted courses went.

    Of one argument a line; of two a map, with the courses on it; of more, the values against
    each argument. `labels` name the calls, `words` their arguments; `grids` hold both arguments
    and the value over a grid, NaN where no course went.
    """
    panels = [
        (k, a) for k, given in enumerate(arguments)
        for a in range(1 if given.shape[1] < 3 else given.shape[1])
    ][:_MOST_PANELS]  # fmt: skip
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(3.1 * columns, 2.5 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for at, (k, a) in zip(axes, panels, strict=False):
        given, value = arguments[k], values[:, k]
        grid = grids[k] if k < len(grids) else None
        if given.shape[1] == 2 and grid is not None:
            _map(figure, at, given, grid, words[k], labels[k])
        else:
            _line(at, given[:, a], value, words[k][a], labels[k], scattered=given.shape[1] > 1)
    for at in axes[len(panels) :]:
        at.set_visible(False)
    return figure


def _line(
    axes: Axes, x: np.ndarray, y: np.ndarray, word: str, label: str, *, scattered: bool
) -> None:
    order = np.argsort(x)
    axes.axhline(0.0, color=FAINT, linewidth=0.5, zorder=0)
    if scattered:
        axes.plot(x, y, ".", color=ACCENT, markersize=2.5, alpha=0.6)
    else:
        axes.plot(x[order], y[order], color=ACCENT, linewidth=1.4)
        low = axes.get_ylim()[0]
        axes.plot(x, np.full_like(x, low), "|", color=MUTED, markersize=5, clip_on=False)
    axes.set_xlabel(word)
    axes.set_title(label, color=INK)


def _map(
    figure: Figure,
    axes: Axes,
    given: np.ndarray,
    grid: np.ndarray,
    words: Sequence[str],
    label: str,
) -> None:
    value = grid[..., 2]
    reach = float(np.nanmax(np.abs(value))) if np.isfinite(value).any() else 1.0
    shown = axes.pcolormesh(
        grid[..., 0], grid[..., 1], value, cmap=DIVERGING, vmin=-reach, vmax=reach,
        shading="nearest", rasterized=True,
    )  # fmt: skip
    axes.plot(given[:, 0], given[:, 1], ".", color=INK, markersize=1.5, alpha=0.6)
    axes.set_xlabel(words[0])
    axes.set_ylabel(words[1])
    axes.set_title(label, color=INK)
    figure.colorbar(shown, ax=axes, shrink=0.9)
