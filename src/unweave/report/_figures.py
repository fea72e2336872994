"""The report's figures as inline SVG, and the numbers behind its sliders."""

import base64
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from .. import plots
from .._schema import Schema
from ._answers import Answer
from ._content import ReportContent
from ._equation_figures import equation_figures

#: The colours of the figures that follow the page from light to dark.
_VARIABLES = {
    plots.INK: "var(--ink)",
    plots.MUTED: "var(--muted)",
    plots.FAINT: "var(--faint)",
    plots.RULE: "var(--rule)",
    plots.ACCENT: "var(--accent)",
}
# how many numbers the sliders may send: a megabyte as text
_MOST_NUMBERS = 400_000
_MOST_SLIDERS = 16


def figures(content: ReportContent) -> dict[str, Markup]:
    """Inline SVG by name, for each figure that the content has arrays for."""
    schema = content.schema
    drawn = {} if content.equation is None else equation_figures(content.equation)
    if any("train_loss" in row for row in content.rows):
        drawn["curves"] = plots.curves(content.rows), "Loss against epoch"
    if content.kl is not None:
        drawn["kl"] = plots.kl_bars(content.kl, content.latents), "Nats carried by each latent"
    if content.x is not None and content.xhat is not None:
        drawn["reconstructions"] = (
            plots.reconstructions(content.x, content.xhat, schema),
            "Test observations and their reconstructions",
        )
    if content.traversal is not None:
        figure = plots.traversal(
            content.traversal, schema, names=content.latents, activity=content.kl,
            low=content.low, high=content.high,
        )  # fmt: skip
        drawn["traversal"] = figure, "What each latent changes"
    if content.samples is not None:
        drawn["samples"] = plots.samples(content.samples, schema), "Draws from the model"
    return {
        name: Markup(inline(plots.svg(figure), name, label))
        for name, (figure, label) in drawn.items()
    }


def answer_figures(answer: Answer) -> list[tuple[Markup, str]]:
    """The figures that were kept with an answer, as inline SVG, each with what it shows."""
    return [
        (Markup(inline(one.svg, f"{answer.name}-{number}", one.label)), one.label)
        for number, one in enumerate(answer.pictures, 1)
    ]


def is_image(schema: Schema) -> bool:
    """Whether an observation is a picture."""
    return not schema.is_series and len(schema.shape) == 3


def inline(svg: str, name: str, label: str) -> str:
    """An SVG file as an element of a page: ids of its own, the page's colours and fonts."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # several figures share one page, so ids must differ
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    # a tenth of a point is enough for a reader, and half of the bytes
    svg = re.sub(r' d="[^"]*"', _rounded, svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", svg)
    for colour, variable in _VARIABLES.items():
        # the scale of a traversal is one ramp, which is left as it is
        if not (name == "traversal" and colour == plots.ACCENT):
            svg = svg.replace(colour, variable)
    return re.sub(
        r'<svg [^>]*?height="([\d.]+)pt"[^>]*?viewBox="([^"]*)"[^>]*?width="([\d.]+)pt"[^>]*>'
        r'|<svg [^>]*?width="([\d.]+)pt"[^>]*?height="([\d.]+)pt"[^>]*?viewBox="([^"]*)"[^>]*>',
        lambda found: _opening(found, label), svg, count=1,
    )  # fmt: skip


def _rounded(path: re.Match[str]) -> str:
    numbers = re.sub(r"-?\d+\.\d+", lambda n: f"{float(n[0]):.1f}", path[0])
    return " ".join(numbers.split()).join((" ", ""))


def _opening(found: re.Match[str], label: str) -> str:
    box, width = (found[2], found[3]) if found[2] else (found[6], found[4])
    pixels = float(width) * 96 / 72
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'role="img" aria-label="{escape(label)}" viewBox="{box}" '
        f'style="width:{pixels:.0f}px;min-width:{0.85 * pixels:.0f}px">'
    )


def sliders(content: ReportContent) -> dict[str, Any] | None:
    """What the page decodes with: the observation at the prior's centre, and each latent's
    deviations from it, as 16-bit integers in base64 with one scale per channel."""
    if content.traversal is None:
        return None
    turned = content.turned[:_MOST_SLIDERS]
    frames = np.asarray(content.traversal, dtype=float)[list(turned)]
    frames, stride = _thinned(frames, content.schema.is_series)
    turned = turned[: len(frames)]
    flat = frames.reshape(*frames.shape[:2], -1, frames.shape[-1])
    centre = _at_zero(flat[0], content.low, content.high)
    away = np.nan_to_num(flat - centre[None, None])
    reach = np.abs(away).max(axis=(0, 1, 2))
    whole = np.rint(32767 * away / np.where(reach > 0, reach, 1)).astype("<i2")
    schema = content.schema
    return {
        "image": is_image(schema),
        "shape": list(frames.shape[2:]),
        "steps": frames.shape[1],
        "low": content.low,
        "high": content.high,
        "latents": [_slider(content, i) for i in turned],
        "channels": _channels(schema.channels, schema.units, flat, schema.is_series),
        "origin": schema.origin,
        "step": schema.step * stride,
        "xLabel": f"{schema.axes[0]} ({schema.time_unit})".replace(" ()", ""),
        "centre": base64.b64encode(centre.astype("<f4").tobytes()).decode(),
        "reach": [float(f"{r:.6g}") for r in reach],
        "away": base64.b64encode(whole.tobytes()).decode(),
    }


def _slider(content: ReportContent, i: int) -> Mapping[str, str]:
    note = "" if content.kl is None else f"{content.kl[i]:.2f} nats"
    return {"name": content.latents[i], "note": note}


def _thinned(frames: np.ndarray, is_series: bool) -> tuple[np.ndarray, int]:
    """Fewer times of a signal, fewer latents of an image, until the page is small enough."""
    if frames.size <= _MOST_NUMBERS:
        return frames, 1
    if is_series:
        stride = -(-frames.size // _MOST_NUMBERS)
        return frames[:, :, ::stride], stride
    return frames[: max(1, _MOST_NUMBERS // frames[0].size)], 1


def _at_zero(walk: np.ndarray, low: float, high: float) -> np.ndarray:
    """The frame at score 0, between the two nearest where no step falls on it."""
    place = -low / (high - low) * (len(walk) - 1)
    before = min(int(place), len(walk) - 2)
    return walk[before] + (place - before) * (walk[before + 1] - walk[before])


def _channels(
    names: tuple[str, ...], units: tuple[str, ...], flat: np.ndarray, is_series: bool
) -> list[dict[str, Any]]:
    """A name, a unit and the lowest and highest value of each channel."""
    rows = []
    for c, (name, unit) in enumerate(zip(names, units, strict=True)):
        finite = flat[..., c][np.isfinite(flat[..., c])]
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
        margin = 0.08 * (high - low) if is_series else 0.0
        rows.append(
            {
                "name": name,
                "unit": unit,
                "low": float(f"{low - margin:.4g}"),
                "high": float(f"{high + margin:.4g}"),
            }
        )
    return rows
