"""The numbers behind the page's figures, as columns of one length by their names."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .._schema import Schema
from ..plots._observations import drawn_rows
from ._content import ReportContent
from ._equation import EquationContent

Columns = Mapping[str, Sequence[Any] | np.ndarray]


def numbers_of(content: ReportContent) -> dict[str, Columns]:
    """For each figure of the page its numbers, in the user's units: of reconstructions those that
    are drawn, of latents and draws all. A figure that was given ready, as a phase portrait is, has
    none."""
    schema = content.schema
    found = {} if content.equation is None else _of_equation(content.equation)
    if any("train_loss" in row for row in content.rows):
        losses = [row for row in content.rows if "epoch" in row]
        found["curves"] = {
            name: [row.get(name, "") for row in losses]
            for name in ("epoch", "train_loss", "held_out_loss")
        }
    if content.kl is not None:
        found["kl"] = {"latent": content.latents, "nats": content.kl}
    if content.x is not None and content.xhat is not None:
        rows = drawn_rows(len(content.x), schema)
        parts = {"data": content.x[rows], "model": content.xhat[rows]}
        found["reconstructions"] = _wide(parts, schema, {"observation": rows + 1})
    if content.traversal is not None:
        latents, steps = content.traversal.shape[:2]
        scores = np.linspace(content.low, content.high, steps)
        parts = {"": content.traversal.reshape(latents * steps, *schema.shape)}
        places = {"latent": np.repeat(content.latents, steps), "score": np.tile(scores, latents)}
        found["traversal"] = _wide(parts, schema, places)
    if content.samples is not None:
        draws = np.arange(1, len(content.samples) + 1)
        found["samples"] = _wide({"": content.samples}, schema, {"draw": draws})
    return found


def as_csv(columns: Columns) -> str:
    """Columns as a file, to eight digits; what is not a number is left empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    parts = (c.tolist() if isinstance(c, np.ndarray) else c for c in columns.values())
    writer.writerows([_told(value) for value in row] for row in zip(*parts, strict=True))
    return out.getvalue()


def _told(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.8g}" if np.isfinite(value) else ""
    return value


def _wide(parts: Mapping[str, np.ndarray], schema: Schema, places: Columns) -> dict[str, Any]:
    """A row for each place of each observation, and for each of `parts` a column a channel."""
    axes, shape = schema.axes[:-1], schema.shape[:-1]
    inner = np.indices(shape).reshape(len(shape), -1)
    n, size = len(next(iter(parts.values()))), inner.shape[1]
    columns = {name: np.repeat(np.asarray(place), size) for name, place in places.items()}
    for axis, index in zip(axes, inner, strict=True):
        if axis == "time":
            columns[_with_unit("time", schema.time_unit)] = np.tile(np.asarray(schema.times), n)
        else:
            columns[axis] = np.tile(index, n)
    for part, values in parts.items():
        flat = np.asarray(values, float).reshape(n * size, -1)
        for name, unit, column in zip(schema.channels, schema.units, flat.T, strict=True):
            columns[f"{part} {_with_unit(name, unit)}".strip()] = column
    return columns


def _of_equation(content: EquationContent) -> dict[str, Columns]:
    account, arrays = content.account, content.arrays
    heads = [
        _with_unit(*pair)
        for pair in zip(account["noise"]["channels"], account["noise"]["units"], strict=True)
    ]
    time = _with_unit("time", account["time_unit"])
    found: dict[str, Columns] = {}
    if "observed" in arrays:
        kinds = ("curve", "curve_low", "curve_high", "data_low", "data_high")
        parts = [("observed", arrays["times"], arrays["observed"])]
        parts += [(k, arrays["curve_times"], arrays[k]) for k in kinds if k in arrays]
        found["fit"] = _courses(content, time, heads, parts)
    if "residuals" in arrays:
        parts = [("residual", arrays["times"], arrays["residuals"])]
        found["residuals"] = _courses(content, time, account["noise"]["channels"], parts)
    if arrays.get("objectives", np.empty(0)).size > 1:
        ended = arrays["objectives"]
        found["waterfall"] = {"start": np.arange(1, len(ended) + 1), "objective": ended}
    if account["profiles"] and "profile_values" in arrays:
        values = arrays["profile_values"]
        names = [_with_unit(row["name"], row["unit"]) for row in account["profiles"]]
        found["profiles"] = {
            "latent": np.repeat(names, values.shape[1]),
            "value": values.ravel(),
            "objective": arrays["profile_objectives"].ravel(),
        }
    shared = [row for row in account["latents"] if row["record"] is None]
    shared = [row for row in shared if row["status"] != "fixed"]
    if len(shared) > 1:
        keys = ("name", "unit", "low", "estimate", "high")
        found["estimates"] = {key: [_empty(row[key]) for row in shared] for key in keys}
    names, matrix = account["correlation"]["names"], account["correlation"]["matrix"]
    if len(names) > 1:
        rows = [[_empty(value) for value in row] for row in matrix]
        found["correlation"] = {"latent": names, **_columns(names, rows)}
    calls = account.get("hybrid", {}).get("calls", [])
    if calls and "found_values" in arrays:
        found["found"] = _calls(calls, arrays)
    return found


def _courses(
    content: EquationContent,
    time: str,
    heads: Sequence[str],
    parts: Iterable[tuple[str, np.ndarray, np.ndarray]],
) -> Columns:
    """A row for each time of each record, part after part."""
    rows = [
        (record, float(at), kind, *map(float, values))
        for kind, times, courses in parts
        for record, instants, course in zip(content.records, times, courses, strict=True)
        for at, values in zip(instants, course, strict=True)
    ]
    return _columns(("record", time, "what", *heads), rows)


def _calls(calls: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray]) -> Columns:
    """What each network answered where the fitted courses went; calls differ in arguments."""
    given = [arrays[f"found_arguments_{k}"] for k in range(len(calls))]
    most = max(part.shape[1] for part in given)
    rows = [
        (call["label"], *map(float, point), *[""] * (most - len(point)), float(value))
        for k, (call, points) in enumerate(zip(calls, given, strict=True))
        for point, value in zip(points, arrays["found_values"][:, k], strict=True)
    ]
    names = ("network", *(f"argument {a + 1}" for a in range(most)), "value")
    return _columns(names, rows)


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Columns:
    # as lists: an array of words and numbers would be one of words
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}


def _with_unit(name: str, unit: str) -> str:
    return f"{name} ({unit})" if unit else name


def _empty(value: Any) -> Any:
    """JSON has null for what is not known."""
    return "" if value is None else value
