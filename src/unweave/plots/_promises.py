"""What answers are worth: whether a confidence is true, and the limits of errors."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._style import ACCENT, FAINT, INK, MUTED, new_figure, plain, single_axes, styled

# answers in rows of so many panels, and no more panels than this
_ACROSS, _MOST = 3, 12
_BINS = 30


@styled
def reliability(
    confidence: np.ndarray, right: np.ndarray, count: np.ndarray, *, axes: Axes | None = None
) -> Figure:
    """A reliability diagram (Niculescu-Mizil and Caruana 2005): of each bin the share of answers
    that is `right` against the mean `confidence`, as `calibration_error` has them; a dot's area
    goes with the `count`. On the line confidence is true.

    Raises `ValueError` where the shapes differ.
    """
    confidence, right, count = (np.asarray(a, float) for a in (confidence, right, count))
    if not confidence.shape == right.shape == count.shape or confidence.ndim != 1:
        raise ValueError(
            f"confidence, right and count have shapes {confidence.shape}, {right.shape} and "
            f"{count.shape}; give one of each for every bin."
        )
    axes, figure = single_axes(axes, 3.6, 3.4)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.0)
    full = count > 0
    sizes = 20 + 180 * count[full] / max(count.max(), 1)
    axes.vlines(confidence[full], confidence[full], right[full], color=MUTED, linewidth=0.8)
    axes.scatter(confidence[full], right[full], s=sizes, color=ACCENT, alpha=0.75, linewidths=0)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="share that is right")
    return figure


@styled
def limits(found: Mapping[str, tuple[np.ndarray, float]], *, confidence: float) -> Figure:
    """How large held-out errors were, `found` by the name of what was in error, beside the limit
    that a share `confidence` of them was promised to keep.

    Raises `ValueError` where there is nothing to draw.
    """
    if not found:
        raise ValueError("no errors were given; give at least one name with its errors and limit.")
    shown = list(found.items())[:_MOST]
    across = min(_ACROSS, len(shown))
    down = -(-len(shown) // across)
    figure = new_figure(max(3.6, 2.5 * across), 0.6 + 1.8 * down)
    panels = figure.subplots(down, across, squeeze=False).flat
    for (name, (errors, limit)), panel in zip(shown, panels, strict=False):
        errors = np.asarray(errors, float)
        errors = errors[np.isfinite(errors)]
        # a few that are far out would leave no room for the others
        end = max(1.3 * limit, float(np.quantile(errors, 0.98)) if len(errors) else 0.0)
        panel.hist(np.minimum(errors, end), bins=_BINS, range=(0, end), color=MUTED)
        panel.axvline(limit, color=ACCENT, linewidth=1.4)
        panel.set_title(plain(name, 30), fontsize=8, color=INK)
        panel.set_yticks([])
    for panel in list(panels):
        panel.set_visible(False)
    figure.supxlabel(f"held-out error; the line is to hold {confidence:.0%} of them", fontsize=8)
    return figure
