"""Several models' versions of one observation in one figure."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from .._schema import Schema
from ._mosaic import draw_mosaic
from ._style import FAINT, INK, new_figure, plain, styled

#: Colours of models in order, far apart for every kind of colour vision, with a dash for each.
COLOURS = ("#1d6fb6", "#d1550c", "#0d7d6c", "#7a4ab8", "#9a6700", "#b3266b")
_DASHES = ("solid", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)), (0, (8, 3)), (0, (1, 1)))
_MOST_CHANNELS = 12
# fewer samples than this are drawn as the dots that they are
_FEW_SAMPLES = 60


@styled
def compared(shown: Mapping[str, tuple[np.ndarray, np.ndarray | None]], schema: Schema) -> Figure:
    """Versions of one observation, in the schema's units.

    **Arguments:** `shown`, by its name an observation `(time, channel)`, or `(row, column,
    channel)` of an image, and its times `(time,)`, None for an image; the one called
    `observation` is drawn as what it is, measured.

    **Raises:** `ValueError` where nothing is given.
    """
    if not shown:
        raise ValueError("nothing was given to draw; give at least one observation.")
    if not schema.is_series:
        names = tuple(plain(name, 18) for name in shown)
        return draw_mosaic(np.stack([x for x, _ in shown.values()])[None], columns=names)
    channels = min(schema.shape[-1], _MOST_CHANNELS)
    columns = 1 if channels <= 4 else 2
    rows = -(-channels // columns)
    figure = new_figure(7.2, 0.9 + rows * (2.6 if rows == 1 else 1.5))
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for c, panel in enumerate(panels.flat):
        if c >= channels:
            panel.set_visible(False)
            continue
        _panel(panel, shown, c)
        name, unit = plain(schema.channels[c], 16), plain(schema.units[c], 12)
        panel.set_ylabel(f"{name} ({unit})" if unit else name)
    unit = plain(schema.time_unit, 12)
    figure.supxlabel(f"time ({unit})" if unit else "time", fontsize=8.5)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4, fontsize=7.5)
    return figure


def _panel(panel, shown: Mapping[str, tuple[np.ndarray, np.ndarray | None]], c: int) -> None:
    models = 0
    for name, (x, times) in shown.items():
        at = np.arange(len(x)) if times is None else times
        if name != "observation":
            place = models % len(COLOURS)
            models += 1
            panel.plot(at, x[:, c], color=COLOURS[place], linestyle=_DASHES[place],
                       linewidth=1.3, label=plain(name, 24))  # fmt: skip
        elif len(x) < _FEW_SAMPLES:
            panel.plot(at, x[:, c], "o", color=INK, markersize=3.2, label=name)
        else:
            panel.plot(at, x[:, c], color=FAINT, linewidth=3.0, label=name)
