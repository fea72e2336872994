"""How an equation behaves: its phase portrait, and its equilibria against a parameter."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..equations.behaviour._arrays import Basins, Branch, Branches, Portrait
from ._style import ACCENT, FAINT, INK, MUTED, new_figure, plain, single_axes, styled

_ORANGE = "#e06c23"
#: Pale grounds for the first few ends of a map of basins; more of them share the last.
_GROUNDS = ("#d6e6f4", "#fae3d3", "#dcecd9", "#ece0f0", "#f4eecb", "#d9eeec")
_NOWHERE = "#f0f2f4"
#: Kind of equilibrium: marker, and whether it is filled, half filled or hollow.
_MARKERS: dict[str, tuple[str, str]] = {
    "stable node": ("o", "full"),
    "stable focus": ("D", "full"),
    "unstable node": ("o", "none"),
    "unstable focus": ("D", "none"),
    "saddle": ("s", "left"),
    "saddle focus": ("s", "left"),
    "centre": ("h", "none"),
    "line of equilibria": ("_", "full"),
    "degenerate": ("X", "none"),
}


@styled
def phase_portrait(
    portrait: Portrait,
    *,
    names: Sequence[str] = ("x1", "x2"),
    units: Sequence[str] = ("", ""),
    basins: Basins | None = None,
    axes: Axes | None = None,
) -> Figure:
    """Orbits, nullclines, separatrices and equilibria of a field in the plane.

    Every kind of equilibrium has a marker of its own, filled where it is stable. With `basins`
    the ground says where an orbit that begins there ends.

    **Raises:** `ValueError` unless there are two names and two units.
    """
    if len(names) != 2 or len(units) != 2:
        raise ValueError(
            f"{len(names)} names and {len(units)} units were given; a plane has two of each."
        )
    axes, figure = single_axes(axes, 7.2, 4.6)
    labels = [plain(name, 16) for name in names]
    entries: list[Artist] = [] if basins is None else _ground(axes, basins, labels)
    for line in portrait.streamlines:
        _orbit(axes, line, portrait)
    for curves, colour, label in zip(portrait.nullclines, (ACCENT, _ORANGE), labels, strict=True):
        for curve in curves:
            axes.plot(*curve.T, color=colour, linewidth=1.7, zorder=3)
        if curves:
            entries.append(
                Line2D([], [], color=colour, linewidth=1.7, label=f"nullcline of {label}")
            )
    for curve in portrait.separatrices:
        axes.plot(*curve.T, color=INK, linewidth=1.2, linestyle=(0, (5, 2)), zorder=4)
    if portrait.separatrices:
        dashes = Line2D([], [], color=INK, linewidth=1.2, linestyle=(0, (5, 2)), label="separatrix")
        entries.append(dashes)
    if basins is not None:
        for curve in basins.cycles:
            axes.plot(*curve[:, list(basins.axes)].T, color=INK, linewidth=2.0, zorder=4)
        if basins.cycles:
            entries.append(Line2D([], [], color=INK, linewidth=2.0, label="limit cycle"))
    entries += _equilibria(axes, portrait)
    for i, set_limits in enumerate((axes.set_xlim, axes.set_ylim)):
        margin = 0.02 * (portrait.high[i] - portrait.low[i])
        set_limits(portrait.low[i] - margin, portrait.high[i] + margin)
    axes.set_xlabel(_quantity(labels[0], units[0]))
    axes.set_ylabel(_quantity(labels[1], units[1]))
    figure.legend(handles=entries, loc="outside right upper", handlelength=1.8, fontsize=7.5)
    return figure


@styled
def bifurcation(
    branches: Branches,
    *,
    names: Sequence[str] = (),
    parameter: str = "a",
    unit: str = "",
) -> Figure:
    """Each component of the equilibria against the parameter, a panel for each.

    Stable stretches are solid, unstable ones dashed; folds, Hopf points and branch points are
    marked.

    **Raises:** `ValueError` where no branch was found, or a component has no name.
    """
    if not branches.branches:
        raise ValueError(
            "there is no branch to draw: no equilibrium was found; widen the box or the interval."
        )
    d = branches.branches[0].x.shape[1]
    names = tuple(names) or tuple(f"x{i + 1}" for i in range(d))
    if len(names) != d:
        raise ValueError(f"{len(names)} names were given for {d} components; give one for each.")
    figure = new_figure(7.2, 0.9 + (2.6 if d == 1 else 1.9) * d)
    panels = figure.subplots(d, 1, sharex=True, squeeze=False)[:, 0]
    for i, panel in enumerate(panels):
        for branch in branches.branches:
            _branch(panel, branch, i)
        for event in branches.special:
            marker, fill = _SPECIAL[event.kind]
            panel.plot(
                event.a, event.x[i], marker, color=INK, markersize=6, zorder=5,
                markerfacecolor=INK if fill else "white",
            )  # fmt: skip
        panel.set_ylabel(plain(names[i], 16))
        panel.margins(x=0.01)
    panels[-1].set_xlabel(_quantity(plain(parameter, 16), unit))
    figure.legend(handles=_bifurcation_legend(branches), loc="outside upper left", ncols=5)
    return figure


_SPECIAL = {"fold": ("v", True), "Hopf": ("D", False), "branch point": ("P", True)}


def _ground(axes: Axes, basins: Basins, names: Sequence[str]) -> list[Artist]:
    """The ends of orbits as pale grounds, and their entries in the legend, the shares in them."""
    n = len(basins.ends)
    nowhere = ("leaves the box", "undecided")
    grounds = [
        _NOWHERE if end in nowhere else _GROUNDS[min(i, len(_GROUNDS) - 1)]
        for i, end in enumerate(basins.ends)
    ]
    axes.pcolormesh(
        basins.x, basins.y, basins.label, cmap=ListedColormap(grounds),
        vmin=-0.5, vmax=n - 0.5, shading="nearest", rasterized=True, zorder=0,
    )  # fmt: skip
    return [
        Patch(color=ground, label=f"{end}: {100 * share:.0f} %")
        for ground, end, share in zip(grounds, basins.ends, basins.shares, strict=True)
        if share >= 0.005
    ]


def _orbit(axes: Axes, line: np.ndarray, portrait: Portrait) -> None:
    """A thin line with one arrowhead in its middle."""
    axes.plot(*line.T, color=FAINT, linewidth=0.7, zorder=1)
    middle = len(line) // 2
    ahead = min(middle + 2, len(line) - 1)
    axes.annotate(
        "", xy=tuple(line[ahead]), xytext=tuple(line[max(middle - 1, 0)]), zorder=2,
        arrowprops={
            "arrowstyle": "-|>,head_length=0.28,head_width=0.13", "color": MUTED,
            "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0,
        },
    )  # fmt: skip


def _equilibria(axes: Axes, portrait: Portrait) -> list[Line2D]:
    entries: dict[str, Line2D] = {}
    for e in portrait.equilibria:
        marker, fill = _MARKERS[e.kind]
        look = {
            "marker": marker, "fillstyle": fill, "markersize": 7.5, "linestyle": "none",
            "color": INK, "markerfacecoloralt": "white", "markeredgewidth": 1.1,
        }  # fmt: skip
        if fill == "none":
            # a hollow marker hides the lines beneath it, or it would not read as hollow
            look |= {"fillstyle": "full", "markerfacecolor": "white"}
        axes.plot(*e.x, **look, zorder=6, clip_on=False)
        entries.setdefault(e.kind, Line2D([], [], **look, label=e.kind))
    return list(entries.values())


def _branch(axes: Axes, branch: Branch, component: int) -> None:
    """A branch in stretches, solid where stable; each begins where the last one ended."""
    cuts = np.flatnonzero(np.diff(branch.stable.astype(int))) + 1
    starts, stops = [0, *cuts], [*cuts, len(branch.a)]
    for start, stop in zip(starts, stops, strict=True):
        rows = slice(max(start - 1, 0), stop)
        stable = bool(branch.stable[start])
        axes.plot(
            branch.a[rows], branch.x[rows, component],
            color=ACCENT if stable else MUTED, linewidth=1.8 if stable else 1.2,
            linestyle="-" if stable else (0, (4, 2)),
        )  # fmt: skip


def _bifurcation_legend(branches: Branches) -> list[Line2D]:
    stable = any(branch.stable.any() for branch in branches.branches)
    unstable = any(not branch.stable.all() for branch in branches.branches)
    entries = []
    if stable:
        entries.append(Line2D([], [], color=ACCENT, linewidth=1.8, label="stable"))
    if unstable:
        dashes = (0, (4, 2))
        entries.append(
            Line2D([], [], color=MUTED, linestyle=dashes, linewidth=1.2, label="unstable")
        )
    words = {"fold": "fold", "Hopf": "Hopf point", "branch point": "branch point"}
    for kind in dict.fromkeys(event.kind for event in branches.special):
        marker, fill = _SPECIAL[kind]
        entries.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker=marker,
                color=INK,
                markersize=6,
                markerfacecolor=INK if fill else "white",
                label=words[kind],
            )
        )
    return entries


def _quantity(name: str, unit: str) -> str:
    return f"{name} ({plain(unit, 16)})" if unit else name
