"""Figures of attributions: an observation with what each entry has to do with a target."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .._schema import Schema
from ._observations import MOST_CHANNELS
from ._style import ACCENT, DIVERGING, FAINT, MUTED, RULE, new_figure, plain, styled

#: More latents than this, and the least telling are not drawn.
_MOST_BARS = 12


@styled
def attribution(x: np.ndarray, values: np.ndarray, schema: Schema, *, label: str) -> Figure:
    """One observation with the attribution of each of its entries, both `(*observation)`.

    A signal is a line that is coloured by it, above the attribution itself, a row for each channel
    (of more than twelve those with most); an image stands beside its heat map. `label` says what
    the values are, with their unit.
    """
    x, values = np.asarray(x, float), np.asarray(values, float)
    if x.shape != schema.shape or values.shape != schema.shape:
        raise ValueError(
            f"an observation of {x.shape} and values of {values.shape} were given, and the schema "
            f"describes {schema.shape}."
        )
    reach = max(float(np.abs(values).max()), 1e-300)
    colours = ScalarMappable(Normalize(-reach, reach), DIVERGING)
    if schema.is_series:
        return _signal(x, values, schema, colours, label)
    if len(schema.shape) == 3:
        return _image(x, values, colours, label)
    return _bars(values.ravel(), schema.channels, label)


@styled
def sensitivities(
    times: np.ndarray,
    slopes: np.ndarray,
    *,
    names: Sequence[str],
    time_label: str = "time",
    label: str = "",
    at: float | None = None,
) -> Figure:
    """How one channel depends on each latent at all times: `slopes` `(latent, time)`, a panel for
    each latent on one scale; `at` marks a time."""
    order = np.argsort(-np.abs(slopes).max(axis=1), kind="stable")[:_MOST_BARS]
    rows = -(-len(order) // 2)
    figure = new_figure(7.2, 0.7 + 1.15 * rows)
    panels = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, i in zip(panels, order.tolist(), strict=False):
        axes.axhline(0, color=RULE, linewidth=0.8)
        if at is not None:
            axes.axvline(at, color=MUTED, linewidth=0.8, linestyle=":")
        axes.plot(times, slopes[i], color=ACCENT, linewidth=1.2)
        axes.set_title(plain(names[int(i)], 24), loc="left", pad=3)
        axes.margins(x=0.01)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    for axes in panels[len(order) :]:
        axes.set_axis_off()
    figure.supxlabel(time_label, fontsize=8.5)
    figure.supylabel(label, fontsize=8.5)
    return figure


def _signal(
    x: np.ndarray, values: np.ndarray, schema: Schema, colours: ScalarMappable, label: str
) -> Figure:
    times = np.asarray(schema.times)
    most = np.argsort(-np.abs(values).sum(0), kind="stable")[:MOST_CHANNELS]
    pick = np.sort(most)
    figure = new_figure(7.2, 0.6 + (1.15 if len(pick) > 1 else 2.4) * len(pick))
    panels = figure.subplots(len(pick), 1, sharex=True, squeeze=False).ravel()
    low, high = colours.get_clim()
    for axes, c in zip(panels, pick, strict=True):
        _coloured_line(axes, times, x[:, c], values[:, c], colours)
        name, unit = plain(schema.channels[c], 16), plain(schema.units[c], 8)
        axes.set_ylabel(f"{name} ({unit})" if unit else name)
        under = axes.twinx()
        under.fill_between(times, 0, values[:, c], color=FAINT, alpha=0.45, linewidth=0)
        # in the lower third, so that the signal stays free
        under.set_ylim(low, 5 * high)
        under.set_axis_off()
    unit = plain(schema.time_unit, 12)
    panels[-1].set_xlabel(f"time ({unit})" if unit else "time")
    _bar(figure, panels, colours, label)
    return figure


def _coloured_line(
    axes: Axes, times: np.ndarray, x: np.ndarray, values: np.ndarray, colours: ScalarMappable
) -> None:
    points = np.stack([times, x], axis=1)
    pieces = np.stack([points[:-1], points[1:]], axis=1)
    seen = np.isfinite(pieces).all(axis=(1, 2))
    line = LineCollection(
        list(pieces[seen]), array=0.5 * (values[:-1] + values[1:])[seen], cmap=colours.cmap,
        norm=colours.norm, linewidths=2.0,
    )  # fmt: skip
    axes.add_collection(line)
    known = x[np.isfinite(x)]
    if known.size:
        room = 0.06 * max(float(np.ptp(known)), 1e-12)
        # below, room for the attribution
        axes.set_ylim(known.min() - 0.45 * np.ptp(known) - room, known.max() + room)
    axes.set_xlim(times[0], times[-1])


def _image(x: np.ndarray, values: np.ndarray, colours: ScalarMappable, label: str) -> Figure:
    figure = new_figure(6.4, 3.0)
    left, right = figure.subplots(1, 2)
    finite = x[np.isfinite(x)]
    span = (finite.min(), max(float(np.ptp(finite)), 1e-12)) if finite.size else (0.0, 1.0)
    grey = (x - span[0]) / span[1]
    shown = grey if x.shape[-1] == 3 else grey[..., 0]
    left.imshow(shown, cmap="gray", interpolation="none")
    right.imshow(values.sum(-1), cmap=colours.cmap, norm=colours.norm, interpolation="none")
    for axes in (left, right):
        axes.set_xticks([])
        axes.set_yticks([])
    left.set_title("observation")
    right.set_title("attribution")
    _bar(figure, [right], colours, label)
    return figure


def _bars(values: np.ndarray, names: Sequence[str], label: str) -> Figure:
    order = np.argsort(-np.abs(values), kind="stable")[:_MOST_BARS]
    figure = new_figure(5.6, 0.8 + 0.28 * len(order))
    axes = figure.subplots()
    axes.barh(range(len(order)), values[order], color=ACCENT, height=0.6)
    axes.set_yticks(range(len(order)), [plain(names[int(i)], 20) for i in order.tolist()])
    axes.invert_yaxis()
    axes.axvline(0, color=RULE, linewidth=0.8)
    axes.set_xlabel(label)
    return figure


def _bar(figure: Figure, panels: Any, colours: ScalarMappable, label: str) -> None:
    bar = figure.colorbar(colours, ax=list(panels), fraction=0.035, pad=0.02)
    bar.set_label(label, fontsize=8)
    bar.outline.set_visible(False)  # pyright: ignore
