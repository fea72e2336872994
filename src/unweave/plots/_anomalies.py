"""Figures of what does not fit: the strangest observations, and a series with its score."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from .._schema import Schema
from ._style import ACCENT, FAINT, INK, MUTED, new_figure, plain, styled

# the other end of the diverging colours: what is strange
_STRANGE = "#e06c23"
_MOST, _COLUMNS = 6, 3


@styled
def strangest(
    observations: np.ndarray,
    usual: np.ndarray,
    schema: Schema,
    *,
    spans: np.ndarray,
    titles: Sequence[str],
) -> Figure:
    """Series `(n, time, channel)`, the first six of them, on the mean normal one `usual`, the
    strangest stretch `spans` `(n, 2)` of each in another colour. Of several channels the one that
    departs most in that stretch is drawn."""
    shown = min(len(observations), _MOST)
    rows = -(-shown // _COLUMNS)
    figure = new_figure(7.2, 0.5 + 1.6 * rows)
    grid = figure.subplots(rows, min(shown, _COLUMNS), squeeze=False, sharex=True).ravel()
    times = np.asarray(schema.times)
    for axes in grid[shown:]:
        axes.set_visible(False)
    for i, axes in enumerate(grid[:shown]):
        start, end = (int(place) for place in spans[i])
        away = np.nan_to_num(observations[i] - usual)[start:end]
        channel = int(np.argmax((away**2).sum(0)))
        values = observations[i][:, channel]
        axes.plot(times, usual[:, channel], color=FAINT, linewidth=2.2)
        axes.plot(times, values, color=ACCENT, linewidth=1.0)
        axes.plot(times[start:end], values[start:end], color=_STRANGE, linewidth=1.8)
        axes.set_title(plain(titles[i], 40))
        unit = schema.units[channel]
        axes.set_ylabel(plain(f"{schema.channels[channel]}" + (f" ({unit})" if unit else ""), 20))
    word = f"time ({schema.time_unit})" if schema.time_unit else "time"
    key = "grey: the mean normal one; orange: where it is strangest"
    figure.supxlabel(f"{word} · {key}", fontsize=8.5, color=INK)
    return figure


@styled
def scored_series(
    times: np.ndarray,
    values: np.ndarray,
    scores: np.ndarray,
    *,
    threshold: float | None,
    truth: np.ndarray | None = None,
    names: Sequence[str] = ("", ""),
    time_unit: str = "",
) -> Figure:
    """A series `values` `(time,)` above its score of every sample; what the score puts above
    `threshold` is in another colour, and what is labelled anomalous, `truth`, is marked below.

    `names` are those of the series and of the score.
    """
    figure = new_figure(7.2, 3.4)
    upper, lower = figure.subplots(2, 1, sharex=True)
    above = np.zeros(len(scores), bool) if threshold is None else scores > threshold
    upper.plot(times, values, color=ACCENT, linewidth=0.7)
    upper.plot(times, np.where(above, values, np.nan), color=_STRANGE, linewidth=1.0)
    upper.set_ylabel(plain(names[0], 24))
    lower.plot(times, scores, color=INK, linewidth=0.7)
    if threshold is not None:
        lower.axhline(threshold, color=_STRANGE, linewidth=0.8, linestyle="--")
    if truth is not None and truth.any():
        bottom = np.nanmin(scores) - 0.06 * float(np.ptp(scores[np.isfinite(scores)]) or 1)
        marks = np.where(truth, bottom, np.nan)
        lower.plot(times, marks, color=MUTED, linewidth=3, solid_capstyle="butt")
        lower.text(0.01, 0.98, "grey: labelled anomalous", transform=lower.transAxes, va="top",
                   color=MUTED, fontsize=7.5)  # fmt: skip
    lower.set_ylabel(plain(names[1], 24))
    lower.set_xlabel(f"time ({time_unit})" if time_unit else "time")
    return figure
