"""A fitted equation over its data, and what it leaves over."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from .._rows import evenly
from ._style import ACCENT, FAINT, INK, MUTED, RULE, new_figure, plain, styled

#: Up to so many records have a column each; more become small multiples.
FEW_RECORDS = 4
MOST_PANELS = 24
MOST_CHANNELS = MOST_ROWS = 8
# more points than this are a line: as dots they would hide each other and the curve
_MOST_DOTS = 400
_MOST_LAGS = 20

Band = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class _Courses:
    """Every array of the figure `fit`, and its words."""

    times: np.ndarray
    observed: np.ndarray
    curve_times: np.ndarray
    curve: np.ndarray
    curve_band: Band | None
    data_band: Band | None
    channels: tuple[str, ...]
    time: str
    records: tuple[str, ...]


@styled
def fit(
    times: np.ndarray,
    observed: np.ndarray,
    curve_times: np.ndarray,
    curve: np.ndarray,
    *,
    channels: Sequence[str],
    units: Sequence[str] = (),
    time_unit: str = "",
    records: Sequence[str] = (),
    curve_band: Band | None = None,
    data_band: Band | None = None,
    confidence: float = 0.9,
) -> Figure:
    """Observations as points over the fitted curve with its band and, fainter, that of the data.

    **Arguments:** `times` `(record, time)`; `observed` `(record, time, channel)`, NaN where
    nothing was; `curve_times` `(record, fine)`; `curve` `(record, fine, channel)`; the bands
    `(low, high)` like `curve`: of the curve alone (`curve_band`) and with the noise
    (`data_band`), each of `confidence`. Times in `time_unit`, channels in `units`.

    Up to four records have a column each and a row for each channel; of more, small multiples
    are drawn, at most 24 panels, and the axis says how many were left out. Raises `ValueError`
    where shapes and names do not fit each other.
    """
    names = _with_units(channels, units)
    labels = _labels(records, len(times))
    time = _with_units(("time",), (time_unit,))[0]
    _check_courses(times, observed, curve_times, curve, len(names))
    drawn = _Courses(
        times, _finite(observed), curve_times, _finite(curve), _both(curve_band),
        _both(data_band), names, time, labels,
    )  # fmt: skip
    places = _places(len(times), len(names))
    left_out = len(times) * len(names) - int((places[..., 0] >= 0).sum())
    rows, columns = places.shape[:2]
    figure = new_figure(7.2, 0.85 + rows * (2.0 if rows == 1 else 1.5 if rows < 4 else 1.2))
    panels = figure.subplots(rows, columns, squeeze=False)
    for r in range(rows):
        for c in range(columns):
            _course(panels[r, c], drawn, *places[r, c].tolist())
    _share(panels, places, drawn)
    more = f"; {left_out} more panels are not drawn" if left_out else ""
    figure.supxlabel(time + more, fontsize=8.5)
    _legend(figure, drawn, confidence)
    return figure


def _places(records: int, channels: int) -> np.ndarray:
    """Which record and channel each panel shows, `(row, column, 2)`; -1 for none."""
    channels = min(channels, MOST_CHANNELS)
    if records == 1 and channels > 3:
        pairs, columns = [(0, c) for c in range(channels)], 2
    elif records <= FEW_RECORDS:
        pairs, columns = [(r, c) for c in range(channels) for r in range(records)], records
    elif channels == 1:
        pairs, columns = [(r, 0) for r in evenly(records, MOST_PANELS)], 4
    else:
        columns = min(channels, 4)
        kept = evenly(records, min(MOST_PANELS // columns, MOST_ROWS))
        pairs = [(r, c) for r in kept for c in range(columns)]
    pairs += [(-1, -1)] * (-len(pairs) % columns)
    return np.asarray(pairs).reshape(-1, columns, 2)


def _course(axes: Axes, drawn: _Courses, record: int, channel: int) -> None:
    if record < 0:
        axes.set_axis_off()
        return
    fine = drawn.curve_times[record]
    for band, opacity in ((drawn.data_band, 0.12), (drawn.curve_band, 0.28)):
        if band is not None:
            low, high = (side[record, :, channel] for side in band)
            axes.fill_between(fine, low, high, color=ACCENT, alpha=opacity, linewidth=0)
    seen = np.isfinite(drawn.observed[record, :, channel])
    at, values = drawn.times[record][seen], drawn.observed[record, seen, channel]
    if len(values) > _MOST_DOTS:
        axes.plot(at, values, color=FAINT, linewidth=2.0, zorder=1.5)
    else:
        size = 3.4 if len(values) <= 60 and len(drawn.records) <= FEW_RECORDS else 2.2
        axes.plot(at, values, "o", color=INK, markersize=size, markeredgewidth=0, zorder=2.5)
    axes.plot(fine, drawn.curve[record, :, channel], color=ACCENT, linewidth=1.4)
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))


def _share(panels: np.ndarray, places: np.ndarray, drawn: _Courses) -> None:
    """Scales, names and the tick labels that repeat their neighbour's."""
    rows, columns = places.shape[:2]
    records = len(drawn.records)
    one_clock = _alike([np.nanmin(t) for t in drawn.curve_times], drawn.curve_times) and _alike(
        [np.nanmax(t) for t in drawn.curve_times], drawn.curve_times
    )
    many = records > FEW_RECORDS
    for channel in np.unique(places[..., 1][places[..., 1] >= 0]).tolist():
        mine = [(r, c) for r in range(rows) for c in range(columns) if places[r, c, 1] == channel]
        limits = np.asarray([_limits(drawn, int(places[r, c, 0]), channel) for r, c in mine])
        reach = limits[:, 1] - limits[:, 0]
        shared = reach.max() <= 5 * reach.min()
        every = (limits[:, 0].min(), limits[:, 1].max())
        for (r, c), own in zip(mine, limits, strict=True):
            # a record in which nothing moves has no scale of its own
            still = own[1] - own[0] <= 1e-6 * reach.max()
            panels[r, c].set_ylim(*(every if shared or still else own))
            in_a_row = (not many and records > 1) or (many and len(drawn.channels) == 1)
            panels[r, c].tick_params(labelleft=not (shared and in_a_row and c > 0))
    for r in range(rows):
        for c in range(columns):
            record, channel = places[r, c].tolist()
            below = r + 1 < rows and places[r + 1, c, 0] >= 0
            if record >= 0:
                panels[r, c].tick_params(labelbottom=not (one_clock and below))
                _name(panels[r, c], drawn, record, channel, r, c)


def _name(axes: Axes, drawn: _Courses, record: int, channel: int, r: int, c: int) -> None:
    """Channels at the left and records above, or the other way round in small multiples."""
    records, channels = drawn.records, drawn.channels
    if len(records) <= FEW_RECORDS:
        in_columns = len(records) == 1 and len(channels) > 3
        if c == 0 or in_columns:
            axes.set_ylabel(channels[channel])
        if r == 0 and len(records) > 1:
            axes.set_title(records[record], pad=4)
    elif len(channels) == 1:
        axes.set_title(records[record], pad=3, fontsize=8)
        if c == 0:
            axes.set_ylabel(channels[0])
    else:
        if r == 0:
            axes.set_title(channels[channel], pad=4)
        if c == 0:
            axes.set_ylabel(records[record])


def _limits(drawn: _Courses, record: int, channel: int) -> tuple[float, float]:
    """Room for the points and the curve, and for the bands as far as they leave those legible."""
    core = np.concatenate([drawn.observed[record, :, channel], drawn.curve[record, :, channel]])
    core = core[np.isfinite(core)]
    if not core.size:
        return 0.0, 1.0
    low, high = float(core.min()), float(core.max())
    reach = max(high - low, 1e-3 * max(abs(low), abs(high)), 1e-12)
    floor, top = low, high
    for band in (drawn.curve_band, drawn.data_band):
        if band is not None:
            sides = np.concatenate([side[record, :, channel] for side in band])
            sides = sides[np.isfinite(sides)]
            floor, top = min([floor, *sides]), max([top, *sides])
    margin = 0.05 * reach
    return max(floor, low - 0.35 * reach) - margin, min(top, high + 0.35 * reach) + margin


def _legend(figure: Figure, drawn: _Courses, confidence: float) -> None:
    dots = max(int(np.isfinite(drawn.observed).sum(axis=1).max(initial=0)), 0) <= _MOST_DOTS
    data = {"color": INK, "marker": "o", "linestyle": "", "markersize": 3.4}
    line = {"color": FAINT, "linewidth": 2.0}
    share = f"{100 * confidence:.3g} %"
    entries: list[tuple[Line2D | Patch, str]] = [
        (Line2D([], [], **(data if dots else line)), "data"),
        (Line2D([], [], color=ACCENT, linewidth=1.6), "fit"),
    ]
    if drawn.curve_band is not None:
        entries.append((Patch(color=ACCENT, alpha=0.4, linewidth=0), f"{share} of the curve"))
    if drawn.data_band is not None:
        entries.append((Patch(color=ACCENT, alpha=0.12, linewidth=0), f"{share} of the data"))
    figure.legend(
        [entry for entry, _ in entries], [label for _, label in entries],
        loc="outside upper left", ncols=len(entries), handlelength=1.4, columnspacing=1.4,
        fontsize=7.5,
    )  # fmt: skip


@styled
def residuals(
    times: np.ndarray,
    residuals: np.ndarray,
    *,
    channels: Sequence[str],
    time_unit: str = "",
    records: Sequence[str] = (),
) -> Figure:
    r"""Standardised residuals over time and, beside them, their autocorrelation.

    $r_k = \sum_i (e_i - \bar e)(e_{i+k} - \bar e) / \sum_i (e_i - \bar e)^2$, the observed ones
    of each record in a row and all records together, with the 95 % band of white noise
    $\pm 1.96 / \sqrt{n}$.

    **Arguments:** `times` `(record, time)` in `time_unit`; `residuals`
    `(record, time, channel)` in standard deviations of the noise, NaN where nothing was
    observed. One row for each of at most eight channels. Raises `ValueError` where shapes and
    names do not fit each other.
    """
    residuals = _finite(residuals)
    names, labels = _with_units(channels, ()), _labels(records, len(times))
    if residuals.shape != (*times.shape, len(names)):
        raise ValueError(
            f"residuals have shape {residuals.shape}, and {times.shape[0]} records of "
            f"{times.shape[1]} times with {len(names)} channels were named; give one residual "
            "for each, NaN where nothing was observed."
        )
    rows = min(len(names), MOST_CHANNELS)
    figure = new_figure(7.2, 0.55 + 1.55 * rows)
    panels = figure.subplots(rows, 2, squeeze=False, width_ratios=(1.7, 1), sharex="col")
    for channel in range(rows):
        _residual_course(panels[channel, 0], times, residuals[..., channel], names[channel])
        _autocorrelation(panels[channel, 1], residuals[..., channel])
    panels[0, 0].set_title("residuals (standard deviations of the noise)", pad=4)
    panels[0, 1].set_title("autocorrelation", pad=4)
    together = f", {len(labels)} records together" if len(labels) > 1 else ""
    panels[-1, 0].set_xlabel(_with_units(("time",), (time_unit,))[0] + together)
    panels[-1, 1].set_xlabel("lag (observations)")
    return figure


def _residual_course(axes: Axes, times: np.ndarray, residuals: np.ndarray, name: str) -> None:
    axes.axhspan(-1.96, 1.96, color=RULE, alpha=0.45, linewidth=0)
    axes.axhline(0, color=MUTED, linewidth=0.6)
    seen = np.isfinite(residuals)
    many = seen.sum() > _MOST_DOTS
    if many and len(residuals) == 1:
        axes.plot(times[seen], residuals[seen], color=ACCENT, linewidth=0.6)
    else:
        # a file of a page has no room for every point of a hundred records
        pick = np.flatnonzero(seen)[evenly(int(seen.sum()), 3 * _MOST_DOTS)]
        axes.plot(
            times.ravel()[pick], residuals.ravel()[pick], "o", color=ACCENT,
            markersize=1.8 if many else 2.6, markeredgewidth=0,
        )  # fmt: skip
    reach = max(3.0, float(np.abs(residuals[seen]).max(initial=0.0)) * 1.08)
    axes.set_ylim(-reach, reach)
    axes.margins(x=0.02)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.set_ylabel(name)


def _autocorrelation(axes: Axes, residuals: np.ndarray) -> None:
    values = autocorrelation(residuals)
    lags = np.arange(1, len(values) + 1)
    axes.axhline(0, color=MUTED, linewidth=0.6)
    if lags.size:
        bound = 1.96 / np.sqrt(np.isfinite(residuals).sum())
        axes.axhspan(-bound, bound, color=RULE, alpha=0.45, linewidth=0)
        outside = np.abs(values) > bound
        for mask, colour in ((outside, ACCENT), (~outside, MUTED)):
            axes.vlines(lags[mask], 0, values[mask], color=colour, linewidth=1.6)
            axes.plot(lags[mask], values[mask], "o", color=colour, markersize=3)
    axes.set_ylim(-1.05, 1.05)
    axes.set_xlim(0.3, max(lags.max(initial=0) + 0.7, 3.7))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))


def autocorrelation(residuals: np.ndarray) -> np.ndarray:
    """$r_1, r_2, …$ of residuals `(record, time)`, at most twenty lags and none for fewer than
    eight numbers."""
    series = [row[np.isfinite(row)] for row in residuals]
    n = sum(map(len, series))
    centred = [row - np.concatenate(series).mean() for row in series] if n else []
    power = sum(float(row @ row) for row in centred)
    if n < 8 or power <= 0:
        return np.empty(0)
    lags = range(1, min(_MOST_LAGS, max(map(len, series)) // 2) + 1)
    return np.asarray([sum(float(row[k:] @ row[:-k]) for row in centred) / power for k in lags])


def _alike(ends: list[float], times: np.ndarray) -> bool:
    return float(np.ptp(ends)) <= 0.02 * float(np.ptp(times)) if len(ends) > 1 else True


def _finite(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    return np.where(np.isfinite(values), values, np.nan)


def _both(band: Band | None) -> Band | None:
    return None if band is None else (_finite(band[0]), _finite(band[1]))


def _with_units(names: Sequence[str], units: Sequence[str]) -> tuple[str, ...]:
    units = tuple(units) or ("",) * len(names)
    if len(units) != len(names):
        raise ValueError(f"{len(names)} channels were given {len(units)} units; give one each.")
    shown = ((plain(name, 24), plain(unit, 14)) for name, unit in zip(names, units, strict=True))
    return tuple(f"{name} ({unit})" if unit else name for name, unit in shown)


def _labels(records: Sequence[str], count: int) -> tuple[str, ...]:
    if records and len(records) != count:
        raise ValueError(f"{len(records)} names were given for {count} records; give one each.")
    return tuple(plain(name, 24) for name in records) or tuple(
        f"record {i + 1}" for i in range(count)
    )


def _check_courses(
    times: np.ndarray,
    observed: np.ndarray,
    curve_times: np.ndarray,
    curve: np.ndarray,
    channels: int,
) -> None:
    fits = observed.shape == (*times.shape, channels)
    fits &= curve.shape == (*curve_times.shape, channels) and len(curve) == len(times) > 0
    if not fits:
        raise ValueError(
            f"times {times.shape}, observed {observed.shape}, curve_times {curve_times.shape} "
            f"and curve {curve.shape} do not fit {channels} channels; give (record, time) and "
            "(record, time, channel), with the same records."
        )
