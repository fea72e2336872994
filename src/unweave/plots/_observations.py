"""Figures of observations: what latents do, what a model rebuilds, what it draws."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from .._rows import evenly
from .._schema import Schema
from ._grid import Grid, Pen, draw_grid, fill
from ._mosaic import draw_mosaic
from ._style import ACCENT, FAINT, plain, score_colours, signed, styled

MOST_LATENTS = 12
MOST_CHANNELS = 12
MOST_STEPS = 9
DATA = Pen(FAINT, 3.0, "data")
MODEL = Pen(ACCENT, 1.1, "model")


@styled
def traversal(
    frames: np.ndarray,
    schema: Schema,
    *,
    names: Sequence[str] = (),
    activity: np.ndarray | None = None,
    low: float = -3.0,
    high: float = 3.0,
) -> Figure:
    """What each latent does to an observation, others held still, in the schema's units.

    **Arguments:** `frames` `(latent, step, *observation)` as `traverse` gives them, from `low`
    to `high` in standard normal scores; `activity` `(latent,)`, nats carried by each, puts the
    most telling first. Of more than twelve latents, or twelve channels, those that change most
    are drawn.

    A signal of one channel has a panel per latent, one of several a row per latent and a
    column per channel; an image a row of pictures per latent. Each latent has a scale of its
    own where all channels share a unit.
    """
    frames = _finite(frames)
    _check(frames[0], schema, "frames")
    names = tuple(plain(n, 16) for n in names) or tuple(f"z{i + 1}" for i in range(len(frames)))
    if len(names) != len(frames) or (activity is not None and len(activity) != len(frames)):
        raise ValueError(f"give names and activities for all of the {len(frames)} latents.")
    order = _order(frames, activity)[:MOST_LATENTS]
    steps = _even(frames.shape[1], MOST_STEPS)
    scores = np.linspace(low, high, frames.shape[1])[steps]
    shown = frames[order][:, steps]
    rows = tuple(names[i] for i in order)
    notes = tuple("" if activity is None else f"{activity[i]:.2f} nats" for i in order)
    if _is_image(schema):
        both = (f"{name}\n{note}".strip() for name, note in zip(rows, notes, strict=True))
        return draw_mosaic(shown, rows=tuple(both), columns=tuple(map(signed, scores)))
    pens = tuple(
        Pen(colour, 1.1, signed(score))
        for colour, score in zip(score_colours(scores), scores, strict=True)
    )
    legend = "latent at (standard normal score)"
    grid = _series_grid(shown, schema, pens, rows, notes, legend)
    # latents differ tenfold in what they move: on one scale the small ones would be flat lines
    return draw_grid(replace(grid, own_scales=len(set(schema.units)) == 1))


@styled
def reconstructions(x: np.ndarray, xhat: np.ndarray, schema: Schema) -> Figure:
    """Observations `x` `(n, *observation)` and what the model rebuilds of each, `xhat`.

    A few are drawn, evenly spread over the rows: six signals of one channel, four of several,
    ten images.
    """
    x, xhat = _finite(x), _finite(xhat)
    _check(x, schema, "x")
    if x.shape != xhat.shape:
        raise ValueError(
            f"x has shape {x.shape} and xhat {xhat.shape}; give one reconstruction for each."
        )
    pick = drawn_rows(len(x), schema)
    if _is_image(schema):
        return draw_mosaic(np.stack([x[pick], xhat[pick]]), rows=("data", "model"))
    pairs = np.stack([x[pick], xhat[pick]], axis=1)
    titles = tuple(f"observation {i + 1}" for i in pick)
    return draw_grid(_series_grid(pairs, schema, (DATA, MODEL), titles, ("",) * len(pick), ""))


def drawn_rows(n: int, schema: Schema) -> np.ndarray:
    """Which of `n` observations a figure of reconstructions draws."""
    return evenly(n, _how_many(schema))


@styled
def samples(xs: np.ndarray, schema: Schema) -> Figure:
    """Draws `(n, *observation)` from a model, the first few of them."""
    xs = _finite(xs)
    _check(xs, schema, "samples")
    if _is_image(schema):
        columns = min(len(xs), 10)
        rows = min(max(len(xs) // columns, 1), 5)
        shown = xs[: rows * columns].reshape(rows, columns, *xs.shape[1:])
        return draw_mosaic(shown)
    most = 9 if len(_channels(schema)) == 1 else 4
    shown = xs[:most][:, None]
    titles = tuple(f"draw {i + 1}" for i in range(len(shown)))
    pen = Pen(ACCENT, 1.1, "")
    return draw_grid(_series_grid(shown, schema, (pen,), titles, ("",) * len(shown), ""))


def _series_grid(
    curves: np.ndarray,
    schema: Schema,
    pens: tuple[Pen, ...],
    rows: tuple[str, ...],
    notes: tuple[str, ...],
    legend: str,
) -> Grid:
    """Curves `(row, pen, time, channel)` as panels."""
    curves = np.moveaxis(curves.reshape(*curves.shape[:2], -1, len(_channels(schema))), -1, 1)
    x, x_label = _abscissa(schema)
    channels = _channels(schema)
    if len(channels) == 1:
        columns = 3 if len(pens) <= 2 and len(rows) > 4 else min(2, len(rows))
        return Grid(
            x, fill(list(curves[:, 0]), columns), pens, x_label,
            units=(_quantity(schema),) * columns,
            titles=_in_rows(rows, columns), notes=_in_rows(notes, columns), one_scale=True,
            legend_title=legend,
        )  # fmt: skip
    pick = np.sort(np.argsort(-_effect(np.moveaxis(curves, 1, 0)), kind="stable")[:MOST_CHANNELS])
    left_out = len(channels) - len(pick)
    if left_out:
        x_label += f"; the {left_out} channels that change least are not drawn"
    return Grid(
        x, curves[:, pick], pens, x_label, tuple(plain(schema.units[c], 8) for c in pick),
        rows=rows, row_notes=notes if any(notes) else (),
        columns=tuple(channels[c] for c in pick), legend_title=legend,
    )  # fmt: skip


def _order(frames: np.ndarray, activity: np.ndarray | None) -> np.ndarray:
    """The most telling latents first; without activities as they are, the weakest dropped."""
    if activity is not None:
        return np.argsort(-np.nan_to_num(activity), kind="stable")
    return np.sort(np.argsort(-_effect(frames), kind="stable")[:MOST_LATENTS])


def _effect(curves: np.ndarray) -> np.ndarray:
    """How far the curves of each row depart from the first of them, root mean square."""
    flat = curves.reshape(*curves.shape[:2], -1)
    return np.sqrt(np.square(np.nan_to_num(flat - flat[:, :1])).mean(axis=(1, 2)))


def _even(n: int, most: int) -> np.ndarray:
    """At most `most` of `n` indices in equal steps with both ends, as far as `n` allows."""
    for stride in range(-(-n // most), max(n // 4, 2)):
        if (n - 1) % stride == 0:
            return np.arange(0, n, stride)
    return evenly(n, most)


def _in_rows(words: tuple[str, ...], columns: int) -> tuple[tuple[str, ...], ...]:
    full = words + ("",) * (-len(words) % columns)
    return tuple(full[i : i + columns] for i in range(0, len(full), columns))


def _is_image(schema: Schema) -> bool:
    return not schema.is_series and len(schema.shape) == 3


def _channels(schema: Schema) -> tuple[str, ...]:
    """What has a column of its own: the channels of a signal; a plain vector is one curve."""
    return tuple(plain(c, 16) for c in schema.channels) if schema.is_series else ("",)


def _abscissa(schema: Schema) -> tuple[np.ndarray, str]:
    if not schema.is_series:
        return np.arange(float(schema.size)), schema.axes[-1]
    unit = plain(schema.time_unit, 12)
    return np.asarray(schema.times), f"time ({unit})" if unit else "time"


def _quantity(schema: Schema) -> str:
    if not schema.is_series:
        return "value"
    name, unit = plain(schema.channels[0], 24), plain(schema.units[0], 12)
    return f"{name} ({unit})" if unit else name


def _how_many(schema: Schema) -> int:
    if _is_image(schema):
        return 10
    return 6 if len(_channels(schema)) == 1 else 4


def _finite(xs: np.ndarray) -> np.ndarray:
    """As floats, with NaN for what is infinite: a model may have diverged there."""
    xs = np.asarray(xs, dtype=float)
    return np.where(np.isfinite(xs), xs, np.nan)


def _check(xs: np.ndarray, schema: Schema, name: str) -> None:
    if xs.shape[1:] != schema.shape or len(xs) == 0:
        raise ValueError(
            f"{name} hold observations of shape {xs.shape[1:]}, and the schema describes "
            f"{schema.shape}; give at least one of that shape."
        )
