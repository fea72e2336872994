"""One number of several recipes, with each seed: dots and ranges."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ._style import ACCENT, FAINT, INK, MUTED, plain, single_axes, styled

# numbers that differ by more than this are drawn on a logarithmic axis
_FAR = 10


@styled
def over_seeds(
    values: Mapping[str, Sequence[float] | np.ndarray],
    *,
    baselines: Collection[str] = (),
    label: str = "",
    unit: str = "",
    reference: float | None = None,
    axes: Axes | None = None,
) -> Figure:
    """A row for each recipe: its seeds as points, a line from the smallest to the largest, and a
    stroke at the median.

    The axis is logarithmic where all numbers are above zero and the largest is more than ten
    times the smallest.

    **Arguments:** `values` `(seed,)` by name of the recipe, what is not finite being left out;
    `baselines`, the names that are drawn grey; `label` of the number and its `unit`;
    `reference`, a number to be compared with, drawn as a dashed line.

    **Raises:** `ValueError` where a recipe's numbers are not one-dimensional.
    """
    seeds = {name: np.asarray(value, float) for name, value in values.items()}
    for name, value in seeds.items():
        if value.ndim != 1:
            raise ValueError(
                f"the values of '{plain(name)}' have shape {value.shape}; give one number for "
                "each seed: (seed,)."
            )
    axes, figure = single_axes(axes, 7.2, 0.75 + 0.3 * max(len(seeds), 1))
    for place, (name, value) in enumerate(seeds.items()):
        found = value[np.isfinite(value)]
        if not found.size:
            continue
        colour = MUTED if name in baselines else ACCENT
        rows = np.full(found.size, float(place))
        axes.plot([found.min(), found.max()], rows[[0, 0]], color=colour, linewidth=1.2, alpha=0.6)
        axes.plot(
            found, rows, "o", color=colour, markersize=5, markerfacecolor="none", markeredgewidth=1
        )
        axes.plot([np.median(found)], rows[:1], "|", color=colour, markersize=13, markeredgewidth=2)
    axes.set_yticks(range(len(seeds)), [plain(name, 32) for name in seeds])
    axes.set_ylim(max(len(seeds), 1) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelsize=8, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    _scale(axes, np.concatenate([*seeds.values(), [] if reference is None else [reference]]))
    if reference is not None:
        axes.axvline(reference, color=FAINT, linewidth=1, dashes=(4, 3), zorder=0)
    axes.grid(axis="x")
    axes.set_xlabel(f"{plain(label)} ({plain(unit)})" if unit else plain(label))
    return figure


def _scale(axes: Axes, values: np.ndarray) -> None:
    found = values[np.isfinite(values)]
    if found.size and found.min() > 0 and found.max() > _FAR * found.min():
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
