"""How much each recipe gains from more data: one panel."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from ._style import ACCENT, INK, MUTED, plain, single_axes, styled

# hues that differ for every kind of colour vision and in a grey print; the markers differ too
_COLOURS = (ACCENT, "#e06c23", "#2f8f6b", "#8a5fb0", "#b08d00", "#c2476f")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_FINE = (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
_DASHES = ((4, 2), (1.5, 1.5), (6, 2, 1.5, 2))


@styled
def learning_curves(
    sizes: Sequence[int],
    errors: Mapping[str, np.ndarray],
    *,
    baselines: Collection[str] = (),
    label: str = "held-out error",
    unit: str = "",
    size_noun: str = "training observations",
    logarithmic: bool = True,
    axes: Axes | None = None,
) -> Figure:
    """Held-out error, or what `label` says, against the size of the training data, both axes
    logarithmic; where not `logarithmic`, for what may be negative, the sizes alone.

    **Arguments:** `sizes` `(share,)`; `errors`, by name of the recipe, median, smallest and
    largest `(3, share)`, NaN where there is none; `baselines`, the names that are drawn grey
    and dashed; `unit` of the errors.

    **Raises:** `ValueError` where a curve has not three numbers for every size.
    """
    for name, curve in errors.items():
        if np.shape(curve) != (3, len(sizes)):
            raise ValueError(
                f"the errors of '{plain(name)}' have shape {np.shape(curve)}; give median, "
                f"smallest and largest for each of {len(sizes)} sizes: (3, {len(sizes)})."
            )
    axes, figure = single_axes(axes, 7.2, 3.4)
    drawn, ends = {False: 0, True: 0}, []
    for name, curve in errors.items():
        trivial = name in baselines
        number, drawn[trivial] = drawn[trivial], drawn[trivial] + 1
        curve = np.asarray(curve, float)
        middle, low, high = np.where(curve > 0, curve, np.nan) if logarithmic else curve
        if np.isnan(middle).all():
            continue
        colour = MUTED if trivial else _COLOURS[number % len(_COLOURS)]
        style = {"color": colour, "linewidth": 1.0 if trivial else 1.6, "markersize": 4.5}
        if trivial:
            style |= {"dashes": _DASHES[number % len(_DASHES)], "markersize": 0}
        axes.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(sizes, middle, marker=_MARKERS[number % len(_MARKERS)], **style)
        last = np.flatnonzero(~np.isnan(middle))[-1]
        ends.append((float(middle[last]), sizes[last], plain(name, 24), colour))
    _scales(axes, sizes, max((len(name) for _, _, name, _ in ends), default=0))
    if logarithmic:
        _logarithmic(axes)
    _labels(axes, ends, logarithmic=logarithmic)
    axes.grid(axis="y")
    axes.set_xlabel(size_noun)
    axes.set_ylabel(f"{plain(label)} ({plain(unit)})" if unit else plain(label))
    return figure


def _scales(axes: Axes, sizes: Sequence[int], letters: int) -> None:
    axes.set_xscale("log")
    # the names stand to the right of the last size, inside the axes
    reach = max(np.log(max(sizes) / min(sizes)), 1.0)
    room = min(0.5, 0.03 + 0.0095 * letters)
    right = max(sizes) * np.exp(reach * room / (1 - room))
    axes.set_xlim(min(sizes) * np.exp(-0.04 * reach), right)
    axes.set_xticks(list(sizes), [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 1.5 * low:
        low, high = low / 1.2, high * 1.2
        axes.set_ylim(low, high)
    # at least two numbers on the axis, however little the curves differ
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 5 * low else _FINE))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _labels(axes: Axes, ends: list[tuple[float, int, str, str]], *, logarithmic: bool) -> None:
    """Names at the curves' ends, moved apart where they would lie on each other."""
    there, back = (np.log, np.exp) if logarithmic else (np.asarray, float)
    low, high = there(axes.get_ylim())
    apart = 0.065 * (high - low)
    ends = sorted(ends)
    last = max((size for _, size, _, _ in ends), default=1)
    places = there([end[0] for end in ends])
    for _ in range(200):
        gaps = np.diff(places)
        short = np.clip(apart - gaps, 0, None) / 2
        if not (short > 1e-3 * apart).any():
            break
        places[:-1] -= short
        places[1:] += short
        places = np.clip(places, low + apart / 2, high)
    for place, (_, _, name, colour) in zip(places, ends, strict=True):
        axes.annotate(
            name, (last, float(back(place))), xytext=(8, 0), textcoords="offset points",
            va="center", fontsize=8, color=INK if colour == MUTED else colour,
            annotation_clip=False, parse_math=False,
        )  # fmt: skip
