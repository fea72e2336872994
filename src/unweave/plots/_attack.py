"""Figures of attacks: what was changed, and how much withstands how much."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .._schema import Schema
from ._grid import Pen, draw_grid
from ._mosaic import draw_mosaic
from ._observations import _check, _finite, _how_many, _is_image, _series_grid
from ._style import ACCENT, FAINT, MUTED, plain, single_axes, styled

_BEFORE, _AFTER = Pen(FAINT, 2.4, "as it was"), Pen(ACCENT, 1.1, "attacked")


@styled
def attacked(
    x: np.ndarray, perturbed: np.ndarray, schema: Schema, *, titles: Sequence[str] = ()
) -> Figure:
    """Observations `x` `(n, *observation)` and what an attack made of each, `perturbed`; of images
    also what was changed, grey where nothing was.

    The first few are drawn: six signals of one channel, four of several, ten images. `titles` say
    what became of each, such as "normal → abnormal".
    """
    x, perturbed = _finite(x), _finite(perturbed)
    _check(x, schema, "x")
    if x.shape != perturbed.shape:
        raise ValueError(
            f"x has shape {x.shape} and perturbed {perturbed.shape}; give one for each."
        )
    shown = min(len(x), _how_many(schema))
    x, perturbed = x[:shown], perturbed[:shown]
    names = tuple(plain(title, 28) for title in titles[:shown])
    if _is_image(schema):
        low, high = float(np.nanmin(x)), float(np.nanmax(x))
        change = np.clip((low + high) / 2 + (perturbed - x), low, high)
        tiles = np.stack([x, perturbed, change])
        return draw_mosaic(tiles, rows=("as it was", "attacked", "change"), columns=names)
    names = names or tuple(f"observation {i + 1}" for i in range(shown))
    pairs = np.stack([x, perturbed], axis=1)
    return draw_grid(_series_grid(pairs, schema, (_BEFORE, _AFTER), names, ("",) * shown, ""))


@styled
def withstood(
    radii: np.ndarray,
    shares: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    budget: str = "",
    label: str = "share that stands",
    axes: Axes | None = None,
) -> Figure:
    """The share that stands against the budget's radius, `(radius,)` each, with the band from `low`
    to `high`; of a number its median, with `label` saying so."""
    parts = [np.asarray(part, float) for part in (radii, shares, low, high)]
    if len({part.shape for part in parts}) != 1 or parts[0].ndim != 1:
        raise ValueError("give one share, and the ends of its band, for every radius.")
    at, middle, lower, upper = parts
    axes, figure = single_axes(axes, 4.6, 2.5)
    axes.fill_between(at, lower, upper, color=ACCENT, alpha=0.18, linewidth=0)
    axes.plot(at, middle, "o-", color=ACCENT, linewidth=1.4, markersize=3.5)
    axes.grid(axis="y")
    if np.nanmin(lower) >= 0 and np.nanmax(upper) <= 1:
        axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(left=0)
    axes.set_ylabel(plain(label, 40))
    axes.set_xlabel(plain(budget, 60))
    axes.tick_params(labelcolor=MUTED)
    return figure
