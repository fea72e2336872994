"""Curves in rows and columns of panels: real axes while there are few, else small multiples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ._style import INK, MUTED, RULE, new_figure

#: More panels than this and each is too small for an axis of its own.
FEW_PANELS = 24


@dataclass(frozen=True, eq=False)
class Pen:
    """How the k-th curve of every panel is drawn, and its entry in the legend."""

    colour: str
    width: float
    label: str


@dataclass(frozen=True, eq=False)
class Grid:
    """Curves `(row, column, pen, time)` at `x` `(time,)`; NaN leaves a gap.

    `titles` and `notes` `[row][column]` stand above a panel, at its left and its right; without
    them rows and columns have headings. `units` has one entry for each column, which shares a
    scale down the page; where all columns show one quantity (`one_scale`), so does the whole.
    With `own_scales` each panel, or in small multiples each row, has a scale of its own: what is
    small beside its neighbour is still seen.
    A row may end early: panels whose curves are all NaN are left out.
    """

    x: np.ndarray
    curves: np.ndarray
    pens: tuple[Pen, ...]
    x_label: str
    units: tuple[str, ...]
    rows: tuple[str, ...] = ()
    row_notes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    titles: tuple[tuple[str, ...], ...] = ()
    notes: tuple[tuple[str, ...], ...] = ()
    one_scale: bool = False
    own_scales: bool = False
    legend_title: str = ""


def draw_grid(grid: Grid) -> Figure:
    """The grid as a figure."""
    rows, columns = grid.curves.shape[:2]
    figure = _axes(grid) if rows * columns <= FEW_PANELS and columns <= 4 else _dense(grid)
    named = [pen for pen in grid.pens if pen.label]
    if named:
        figure.legend(
            [Line2D([], [], color=pen.colour, linewidth=1.8) for pen in named],
            [pen.label for pen in named], loc="outside upper left", ncols=len(named),
            title=grid.legend_title or None, alignment="left",
            handlelength=1.3, columnspacing=1.2, fontsize=7.5, title_fontsize=7.5,
        )  # fmt: skip
    return figure


def _axes(grid: Grid) -> Figure:
    """Every panel with axes of its own."""
    rows, columns = grid.curves.shape[:2]
    figure = new_figure(7.2, 0.75 + rows * (1.15 if rows > 1 else 1.9))
    share = "none" if grid.own_scales else "all" if grid.one_scale else "col"
    panels = figure.subplots(rows, columns, sharex=True, sharey=share, squeeze=False)
    for r in range(rows):
        for c in range(columns):
            _panel(panels[r, c], grid, r, c)
    figure.supxlabel(grid.x_label, fontsize=8.5)
    if grid.one_scale and grid.units[0]:
        figure.supylabel(grid.units[0], fontsize=8.5)
    return figure


def _panel(axes: Axes, grid: Grid, r: int, c: int) -> None:
    curves = grid.curves[r, c]
    if not np.isfinite(curves).any():
        axes.set_axis_off()
        return
    if grid.x[0] < 0 < grid.x[-1]:
        axes.axvline(0, color=RULE, linewidth=0.8)
    for pen, curve in zip(grid.pens, curves, strict=True):
        axes.plot(grid.x, curve, color=pen.colour, linewidth=pen.width)
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.tick_params(labelbottom=r == grid.curves.shape[0] - 1)
    if grid.titles:
        axes.set_title(grid.titles[r][c], loc="left", pad=3)
        axes.set_title(
            grid.notes[r][c] if grid.notes else "",
            loc="right", pad=3, color=MUTED, fontsize=7.5,
        )  # fmt: skip
        return
    if r == 0:
        unit = grid.units[c]
        axes.set_title(f"{grid.columns[c]} ({unit})" if unit else grid.columns[c], pad=4)
    if c == 0 and grid.rows:
        note = f"\n{grid.row_notes[r]}" if grid.row_notes else ""
        axes.set_ylabel(grid.rows[r] + note)


def _dense(grid: Grid) -> Figure:
    """Small multiples within one pair of axes, a scale for each column and scale bars."""
    rows, columns = grid.curves.shape[:2]
    figure = new_figure(max(7.2, 0.9 + 0.98 * columns), 1.0 + 0.62 * rows)
    axes = figure.subplots()
    axes.set_axis_off()
    # the names of the rows need as many inches however many columns there are
    margin = 0.85 * columns / (figure.get_figwidth() - 0.95)
    axes.set_xlim(-margin, columns + (0.8 * margin if grid.own_scales else 0))
    axes.set_ylim(rows + 0.62, -0.34)
    across = 0.92 * (grid.x - grid.x[0]) / max(grid.x[-1] - grid.x[0], 1e-12)
    centre = float(np.interp(0.0, grid.x, across)) if grid.x[0] < 0 < grid.x[-1] else None
    for c in range(columns):
        axes.text(c, -0.14, grid.columns[c], ha="left", va="bottom", fontsize=9)
        if centre is not None:
            axes.plot([c + centre] * 2, [0, rows - 0.06], color=RULE, linewidth=0.6)
        for r in range(rows):
            low, reach = _range(grid.curves[_sharing(grid, r, c)])
            for pen, curve in zip(grid.pens, grid.curves[r, c], strict=True):
                up = r + 0.92 * (1 - (curve - low) / reach)
                axes.plot(c + across, up, color=pen.colour, linewidth=0.75 * pen.width)
        if not grid.own_scales:
            reach = _range(grid.curves[_sharing(grid, 0, c)])[1]
            _scale_bar(axes, (float(c), rows + 0.12), reach, grid.units[c])
    for r in range(rows):
        if grid.own_scales:
            reach = _range(grid.curves[_sharing(grid, r, 0)])[1]
            _scale_bar(axes, (columns + 0.04, r + 0.04), reach, grid.units[0])
        axes.text(-0.12, r + 0.42, grid.rows[r], ha="right", va="bottom", fontsize=9)
        if grid.row_notes:
            note = grid.row_notes[r]
            axes.text(-0.12, r + 0.5, note, ha="right", va="top", fontsize=7, color=MUTED)
    figure.supxlabel(f"each panel: {grid.x_label}, {_span(grid.x)}", fontsize=8, color=MUTED)
    return figure


def _sharing(grid: Grid, r: int, c: int) -> tuple[slice | int, ...]:
    """Which curves share the scale of a small multiple."""
    if grid.own_scales:
        return (r,)
    return () if grid.one_scale else (slice(None), c)


def _range(curves: np.ndarray) -> tuple[float, float]:
    finite = curves[np.isfinite(curves)]
    if finite.size == 0:
        return 0.0, 1.0
    return float(finite.min()), max(float(np.ptp(finite)), 1e-12)


def _scale_bar(axes: Axes, place: tuple[float, float], reach: float, unit: str) -> None:
    """A vertical bar of a round number of units, in the scale of the column above it."""
    number = round_below(0.5 * reach)
    height = 0.92 * number / reach
    axes.plot([place[0]] * 2, [place[1], place[1] + height], color=INK, linewidth=1.2)
    axes.text(
        place[0] + 0.05, place[1], f"{number:g} {unit}".strip(),
        va="top", fontsize=7, color=MUTED,
    )  # fmt: skip


def round_below(number: float) -> float:
    """The largest of 1, 2 or 5 times a power of ten that is not above `number`."""
    power = 10.0 ** np.floor(np.log10(number))
    return float(max(m * power for m in (1, 2, 5) if m * power <= number * (1 + 1e-9)))


def _span(x: np.ndarray) -> str:
    return f"{x[0]:.3g} to {x[-1]:.3g}".replace("-", "−")


def several(count: int, columns: int) -> int:
    """How many rows hold `count` panels."""
    return -(-count // columns)


def fill(panels: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Panels `(pen, time)` in reading order to `(row, column, pen, time)`, the rest NaN."""
    rows = several(len(panels), columns)
    out = np.full((rows * columns, *panels[0].shape), np.nan)
    out[: len(panels)] = np.stack(panels)
    return out.reshape(rows, columns, *panels[0].shape)
