"""One look for every figure: few colours, thin axes, text that stays text, the same bytes."""

import io
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure

from .._files import write_whole

INK = "#24292f"
MUTED = "#6e7781"
FAINT = "#a3acb6"
RULE = "#d8dee4"
ACCENT = "#1d6fb6"

#: Blue through grey to orange in equal steps of OKLab (Ottosson, 2020). The lightness rises
#: from end to end, so it survives a grey print; the middle is a grey that shows on black and
#: on white, where most diverging maps fade; the hues differ for every kind of colour vision.
DIVERGING = LinearSegmentedColormap.from_list(
    "unweave",
    [
        "#1d6fb6", "#4377ad", "#5e7fa3", "#768598", "#8e8b8c",
        "#a58678", "#ba7f62", "#cd7749", "#e06c23",
    ],
)  # fmt: skip

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.0,
    "axes.unicode_minus": True,
    "font.family": "sans-serif",
    "font.size": 8.5,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
    # a fifth of a pixel is below what a reader sees, and halves the file
    "path.simplify_threshold": 0.2,
    "svg.fonttype": "none",
    "svg.hashsalt": "unweave",
    "text.color": INK,
    # names come from data: "price ($)" is no formula
    "text.parse_math": False,
    "xtick.color": MUTED,
    "xtick.labelsize": 7.5,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.color": MUTED,
    "ytick.labelsize": 7.5,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.6,
}

styled = matplotlib.rc_context(STYLE)
"""Decorator: what the function draws has the one look."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, `width` by `height` inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.05, h_pad=0.05)  # pyright: ignore
    return figure


def single_axes(axes: Axes | None, width: float, height: float) -> tuple[Axes, Figure]:
    """The Axes to draw on and its root figure; a new one where none was given."""
    if axes is None:
        figure = new_figure(width, height)
        return figure.subplots(), figure
    root = axes.figure.figure if axes.figure is not None else None
    if not isinstance(root, Figure):
        raise ValueError("the Axes belong to no figure; make them with figure.subplots().")
    return axes, root


def svg(figure: Figure) -> str:
    """The figure as SVG on a transparent ground, the same text for the same figure."""
    out = io.StringIO()
    _write(figure, out, "svg", "none")
    return out.getvalue()


def pdf(figure: Figure) -> bytes:
    """The figure as PDF on white, the same bytes for the same figure."""
    out = io.BytesIO()
    _write(figure, out, "pdf", "white")
    return out.getvalue()


def save(figure: Figure, path: Path | str) -> Path:
    """Writes the figure as .svg, .png or .pdf, the same bytes for the same figure."""
    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("svg", "png", "pdf"):
        raise ValueError(
            f"a figure cannot be written as '{path.name}'; end the name in .svg, .png or .pdf."
        )
    write_whole(path, [encoded(figure, kind)])
    return path


def encoded(figure: Figure, kind: str) -> bytes:
    """The bytes of a file of that kind: svg, png or pdf."""
    out = io.StringIO() if kind == "svg" else io.BytesIO()
    _write(figure, out, kind, "white")
    value = out.getvalue()
    return value.encode() if isinstance(value, str) else value


def score_colours(scores: np.ndarray) -> list[str]:
    """One colour for each score, zero in the grey middle."""
    reach = max(float(np.abs(scores).max()), 1e-12)
    return [to_hex(DIVERGING(0.5 + 0.5 * float(score) / reach)) for score in scores]


def plain(text: str, most: int = 40) -> str:
    """A name as it may be drawn: on one line, of bounded length, without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def signed(score: float) -> str:
    """A score with its sign and a true minus."""
    number = f"{abs(score):.3g}"
    return number if float(number) == 0 else ("+" if score > 0 else "−") + number


def _write(figure: Figure, out: io.StringIO | io.BytesIO, kind: str, ground: str) -> None:
    no_date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        # a name in a script that the font lacks: the reader's own fonts draw it
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(out, format=kind, facecolor=ground, dpi=160, metadata=no_date)
