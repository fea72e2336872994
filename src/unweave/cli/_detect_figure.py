"""What `unweave detect` draws: a scored recording, or the strangest observations."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import detect
from ..data import Dataset, restore
from ..detect import Calibrated, Score
from ._detect_data import Watched

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# more samples of a recording than this are not told apart on a page
_MOST = 20_000


def draw_strange(
    score: Score,
    scores: np.ndarray,
    watched: Watched,
    calibrated: Calibrated | None,
    rate: float,
) -> tuple["Figure", str, dict[str, Any]] | None:
    """The figure, what it shows, and its numbers; None for observations that are no series."""
    from .. import plots  # Matplotlib is only loaded where something is drawn

    data = watched.data
    if not data.schema.is_series:
        return None
    threshold = None if calibrated is None else calibrated.threshold(rate)
    if data.schema.kind == "windows" and len(data) > 1:
        return _recording(plots, score, scores, watched, threshold)
    return _observations(plots, score, scores, watched, calibrated)


def _recording(plots, score: Score, scores: np.ndarray, watched: Watched, threshold):
    """The recording with the strangest window, around it where it is long."""
    data, length = watched.data, watched.data.schema.shape[0]
    strangest = data.records[int(np.argmax(scores))]
    rows, begin, total = next(
        part for part in watched.recordings() if data.records[part[0][0]] == strangest
    )
    by_sample = detect.over_samples(scores[rows], begin, length, total)
    values, truth = np.full(total, np.nan), np.zeros(total, bool)
    x = _restored(data.take(rows))
    for row, start in enumerate(begin):
        values[start : start + length] = x[row, :, 0]
        if watched.samples is not None:
            truth[start : start + length] |= watched.samples[rows[row]]
    middle = int(begin[int(np.argmax(scores[rows]))])
    first = int(np.clip(middle - _MOST // 2, 0, max(total - _MOST, 0)))
    part = slice(first, min(first + _MOST, total))
    times = data.spans[rows, 0].min() + data.schema.step * np.arange(total)
    unit = data.schema.units[0]
    name = data.schema.channels[0] + (f" ({unit})" if unit else "")
    figure = plots.scored_series(
        times[part], values[part], by_sample[part], threshold=threshold,
        truth=None if watched.samples is None else truth[part], names=(name, score.name),
        time_unit=data.schema.time_unit,
    )  # fmt: skip
    columns = {"time": times[part], name: values[part], score.name: by_sample[part]}
    if watched.samples is not None:
        columns["labelled"] = truth[part]
    return figure, f"{strangest} around its strangest window, and its score.", columns


def _observations(plots, score: Score, scores: np.ndarray, watched: Watched, calibrated):
    """The strangest observations, each with its strangest stretch."""
    data = watched.data
    most = np.argsort(-scores, kind="stable")[:6]
    x = data.observations[most]
    spans = np.tile([0, data.schema.shape[0]], (len(most), 1))
    if score.within is not None:
        beside = detect.take(data.conditions, most)
        level = watched.usual_part(score)
        parts = score.by_sample(x, beside)
        spans = np.array([detect.largest_span(row, level)[:2] for row in parts])
    titles = [f"{data.records[i]}" for i in most]
    if calibrated is not None:
        p = calibrated.p_values(scores[most])
        titles = [f"{name}: p = {value:.2g}" for name, value in zip(titles, p, strict=True)]
    usual = np.nanmean(_restored(watched.normal), axis=0)
    x = _restored(data.take(most))
    figure = plots.strangest(x, usual, data.schema, spans=spans, titles=titles)
    time = data.schema.axes[0]
    columns: dict[str, Any] = {time: np.asarray(data.schema.times)}
    for c, channel in enumerate(data.schema.channels):
        columns[f"{channel}, usual"] = usual[:, c]
        columns |= {f"{channel}, {i + 1}: {t}": x[i, :, c] for i, t in enumerate(titles)}
    return figure, "The strangest observations, each over the mean normal one.", columns


def _restored(data: Dataset) -> np.ndarray:
    """The observations in the user's units, each where it was."""
    return restore(data.observations, data.schema, references=data.references)
