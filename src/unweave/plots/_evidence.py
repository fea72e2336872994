"""How sure a fit is: its starts, profiles, correlations and intervals."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from scipy.stats import chi2

from ._style import (
    ACCENT,
    DIVERGING,
    FAINT,
    INK,
    MUTED,
    RULE,
    new_figure,
    plain,
    single_axes,
    styled,
)

# nats: closer to the best than this, two starts ended in the same place
_SAME = 1e-3
_MOST_NAMES = 24


@styled
def waterfall(
    objectives: np.ndarray, *, agree: int | None = None, axes: Axes | None = None
) -> Figure:
    """How far above the best every start ended, the best first, in nats on a log scale.

    **Arguments:** `objectives` `(start,)`, minus the log-likelihood; starts that failed are
    infinite or NaN and stand as crosses at the right. `agree` starts reached the optimum: the
    plateau, in colour. Without it, those within 0.1 nats of the best.

    Raises `ValueError` where no start was given.
    """
    objectives = np.asarray(objectives, dtype=float).ravel()
    if not objectives.size:
        raise ValueError("a waterfall needs at least one start; objectives is empty.")
    ended = np.sort(objectives[np.isfinite(objectives)])
    failed = objectives.size - ended.size
    above = np.maximum(ended - ended[:1], _SAME)
    agree = int((above <= 0.1).sum()) if agree is None else min(agree, ended.size)
    axes, figure = single_axes(axes, 7.2, 2.4)
    axes.set_yscale("log")
    axes.set_ylim(0.5 * _SAME, max(10.0, 4 * float(above.max(initial=1.0))))
    place = np.arange(1, objectives.size + 1)
    if agree:
        axes.axvspan(0.5, agree + 0.5, color=ACCENT, alpha=0.1, linewidth=0)
    size = 4.5 if objectives.size <= 64 else 2.6
    for part, colour in ((slice(agree), ACCENT), (slice(agree, None), MUTED)):
        shown = above[part]
        axes.plot(
            place[: ended.size][part], shown, "o", color=colour, markersize=size,
            markeredgewidth=0, clip_on=False,
        )  # fmt: skip
    if failed:
        axes.plot(
            place[ended.size :], np.full(failed, 0.94), "x", color=MUTED, markersize=size,
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
    axes.set_xlim(0.5 - 0.01 * objectives.size, objectives.size + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.yaxis.set_major_locator(LogLocator(numticks=6))
    axes.yaxis.set_major_formatter(lambda nats, _: f"{nats:g}" if nats > _SAME else f"≤ {nats:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
    rest = ended.size - agree
    parts = (f"{agree} agree", f"{rest} ended elsewhere", f"{failed} failed")
    words = [part for part, n in zip(parts, (agree, rest, failed), strict=True) if n]
    axes.set_title(f"of {objectives.size} starts: " + ", ".join(words), pad=5)
    axes.set_xlabel("start, the best first")
    axes.set_ylabel("nats above the best")
    return figure


@styled
def profiles(
    values: np.ndarray,
    objectives: np.ndarray,
    names: Sequence[str],
    *,
    units: Sequence[str] = (),
    intervals: Sequence[tuple[float | None, float | None]] = (),
    confidence: float = 0.9,
) -> Figure:
    r"""Profile likelihoods: how much worse the best fit becomes with one latent held.

    The interval holds every value whose profile stays below $\chi^2_1(\text{confidence}) / 2$
    (Raue et al. 2009, Bioinformatics 25:1923).

    **Arguments:** `values` `(latent, point)` in `units`; `objectives` `(latent, point)` in nats
    above the minimum, NaN where the fit failed; `intervals` `(low, high)` for each latent, None
    or infinite where the profile never reaches the threshold. Raises `ValueError` where shapes
    and names do not fit each other.
    """
    values, objectives = np.asarray(values, dtype=float), np.asarray(objectives, dtype=float)
    if values.shape != objectives.shape or len(values) != len(names) or not len(names):
        raise ValueError(
            f"profile values {values.shape} and objectives {objectives.shape} do not fit "
            f"{len(names)} names; give (latent, point) for both, with a name for each latent."
        )
    units = tuple(units) or ("",) * len(names)
    ends = tuple(intervals) or ((None, None),) * len(names)
    count = min(len(names), _MOST_NAMES)
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = new_figure(7.2, 0.55 + 1.75 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    threshold = float(chi2.ppf(confidence, 1)) / 2
    for i, axes in enumerate(panels):
        if i >= count:
            axes.set_axis_off()
            continue
        _profile(axes, values[i], objectives[i], ends[i], threshold)
        unit = plain(units[i], 14)
        axes.set_xlabel(plain(names[i], 20) + (f" ({unit})" if unit else ""))
    panels[0].text(
        0.5, threshold, f"{100 * confidence:.3g} %", transform=panels[0].get_yaxis_transform(),
        ha="center", va="bottom", fontsize=7, color=MUTED,
    )  # fmt: skip
    figure.supylabel("nats above the best fit", fontsize=8.5)
    return figure


def _profile(
    axes: Axes,
    values: np.ndarray,
    objectives: np.ndarray,
    ends: tuple[float | None, float | None],
    threshold: float,
) -> None:
    seen = np.isfinite(values) & np.isfinite(objectives)
    order = np.argsort(values[seen], kind="stable")
    values, objectives = values[seen][order], objectives[seen][order]
    top = 3 * threshold
    axes.set_ylim(-0.04 * top, top)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.axhline(threshold, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
    if not values.size:
        return
    low, high = (
        edge if end is None or not np.isfinite(end) else end
        for end, edge in zip(ends, (values[0], values[-1]), strict=True)
    )
    axes.axvspan(low, high, color=ACCENT, alpha=0.12, linewidth=0)
    axes.plot(values, objectives, color=ACCENT, linewidth=1.4)
    best = int(np.argmin(objectives))
    axes.plot(values[best], objectives[best], "o", color=ACCENT, markersize=4, clip_on=False)
    inside = objectives <= top
    if inside.sum() > 1:
        reach = values[inside]
        around = 0.06 * max(float(np.ptp(reach)), 1e-12)
        axes.set_xlim(min(reach[0], low) - around, max(reach[-1], high) + around)


@styled
def correlation(matrix: np.ndarray, names: Sequence[str]) -> Figure:
    """Correlations of the estimates: below the diagonal as squares whose area is their size,
    above it as numbers.

    Blue squares are negative and orange ones positive; what exceeds 0.95 in size is bold: the
    data hardly tell the two latents apart.

    **Arguments:** `matrix` `(latent, latent)`, NaN where there is none. Of more than 24
    latents the first are drawn. Raises `ValueError` where matrix and names do not fit.
    """
    matrix = np.asarray(matrix, dtype=float)
    if matrix.shape != (len(names), len(names)):
        raise ValueError(
            f"a correlation matrix of shape {matrix.shape} does not fit {len(names)} names; "
            "give a square matrix with a name for each row."
        )
    count = min(len(names), _MOST_NAMES)
    cell = 0.46 if count <= 10 else 0.3
    figure = new_figure(1.4 + cell * count, 0.9 + cell * count)
    axes = figure.subplots()
    axes.set_aspect("equal")
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    for edge in np.arange(count + 1) - 0.5:
        axes.plot([edge, edge], [-0.5, count - 0.5], color=RULE, linewidth=0.5, clip_on=False)
        axes.plot([-0.5, count - 0.5], [edge, edge], color=RULE, linewidth=0.5, clip_on=False)
    for row in range(count):
        axes.plot(row, row, "o", color=FAINT, markersize=2.5)
        for column in range(row):
            value = float(matrix[row, column])
            if np.isfinite(value):
                _correlated(axes, row, column, value, 7.5 if count <= 10 else 5.5)
    shown = [plain(name, 14) for name in names[:count]]
    axes.set_yticks(np.arange(count), shown, parse_math=False)
    upright = count <= 10 and max(map(len, shown)) <= 5
    axes.set_xticks(np.arange(count), shown, parse_math=False, rotation=0 if upright else 90)
    axes.tick_params(length=0, labelcolor=INK, labeltop=True, labelbottom=False, labelsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure


def _correlated(axes: Axes, row: int, column: int, value: float, size: float) -> None:
    side = 0.86 * np.sqrt(min(abs(value), 1.0))
    colour = DIVERGING(1.0) if value > 0 else ACCENT
    corner = (column - side / 2, row - side / 2)
    axes.add_patch(Rectangle(corner, side, side, facecolor=colour, linewidth=0))
    axes.text(
        row, column, f"{value:.2f}".replace("-", "−").replace("−0.00", "0.00"),
        ha="center", va="center", fontsize=size, color=INK if abs(value) >= 0.5 else MUTED,
        weight="bold" if abs(value) > 0.95 else "normal",
    )  # fmt: skip


@styled
def estimates(
    names: Sequence[str],
    estimate: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    labels: Sequence[str] = (),
    determined: Sequence[bool] = (),
    confidence: float = 0.9,
) -> Figure:
    """Each latent's interval relative to its estimate, in percent of it.

    **Arguments:** `estimate`, `low` and `high` `(latent,)`, NaN or infinite where an end is
    open; `labels`, written at the right, such as "0.52 ± 0.03 1/day"; latents that are not
    `determined` are grey, with a bar for a dot. An interval that leaves the frame ends in an
    arrow; a latent whose estimate is 0 has no percentage and is left out. Raises `ValueError`
    where the numbers and names do not fit each other.
    """
    centre, low, high = (np.asarray(part, dtype=float) for part in (estimate, low, high))
    if not centre.shape == low.shape == high.shape == (len(names),):
        raise ValueError(
            f"{len(names)} names were given for estimates {centre.shape} with intervals "
            f"{low.shape} to {high.shape}; give one of each to every latent."
        )
    sure = tuple(determined) or (True,) * len(names)
    words = tuple(labels) or ("",) * len(names)
    usable = np.isfinite(centre) & (centre != 0)
    order = np.flatnonzero(usable)[:_MOST_NAMES]
    scale = 100 / np.abs(np.where(usable, centre, 1))
    below, above = (low - centre) * scale, (high - centre) * scale
    known = [s for i in order if sure[i] for s in (-below[i], above[i]) if np.isfinite(s)]
    reach = float(np.clip(1.25 * max(known, default=100.0), 1.0, 150.0))
    figure = new_figure(7.2, 0.75 + 0.25 * max(len(order), 1))
    axes = figure.subplots()
    axes.axvline(0, color=MUTED, linewidth=0.6)
    for place, i in enumerate(order):
        _interval(axes, place, float(below[i]), float(above[i]), reach, sure[i])
        axes.text(
            1.02, place, plain(words[i], 44), va="center", fontsize=7.5, color=MUTED,
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
    axes.set_xlim(-1.02 * reach, 1.02 * reach)
    axes.set_ylim(max(len(order), 1) - 0.4, -0.6)
    axes.set_yticks(
        np.arange(len(order)), [plain(str(names[i]), 20) for i in order], parse_math=False
    )
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel(f"{100 * confidence:.3g} % interval, in percent of the estimate")
    return figure


def _interval(axes: Axes, place: int, below: float, above: float, reach: float, sure: bool) -> None:
    colour = ACCENT if sure else MUTED
    left = below if below >= -reach else -reach
    right = above if above <= reach else reach
    axes.plot([left, right], [place, place], color=colour, linewidth=2.2 if sure else 1.2)
    for end, at, marker in ((below, -reach, "<"), (above, reach, ">")):
        # also where the end is open: NaN is beyond no frame
        if not abs(end) <= reach:
            axes.plot(at, place, marker, color=colour, markersize=5, clip_on=False)
    axes.plot(0, place, "o" if sure else "|", color=colour, markersize=5 if sure else 9)
