"""What a formula leaves over along time, and what is left once a network has explained its part."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._style import ACCENT, INK, plain, single_axes, styled


@styled
def missed(
    times: Sequence[float],
    before: Sequence[float],
    after: Sequence[float],
    *,
    names: tuple[str, str],
    span: tuple[float, float],
    unit: str = "",
    time_unit: str = "",
    axes: Axes | None = None,
) -> Figure:
    """Root mean squares at each of `times`: what the first of `names` leaves, `before`, and what
    is left `after` the second has explained its part; the `span` that holds half of it is shaded.

    **Raises:** `ValueError` where the three have not one length.
    """
    if not len(times) == len(before) == len(after):
        raise ValueError(
            f"{len(times)} times, {len(before)} and {len(after)} numbers were given; give as many "
            "of each."
        )
    axes, figure = single_axes(axes, 7.2, 2.8)
    axes.axvspan(*span, color=ACCENT, alpha=0.08, linewidth=0)
    axes.fill_between(times, after, before, color=ACCENT, alpha=0.25, linewidth=0)
    axes.plot(times, before, color=INK, linewidth=1.4, label=f"{plain(names[0], 30)} leaves")
    axes.plot(
        times, after, color=ACCENT, linewidth=1.4, dashes=(5, 2),
        label=f"after {plain(names[1], 30)}",
    )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"time ({plain(time_unit)})" if time_unit else "time")
    axes.set_ylabel(f"left over ({plain(unit)})" if unit else "left over")
    axes.legend(frameon=False, fontsize=8)
    return figure
