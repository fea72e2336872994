"""What a table or a labelled array says about the dataset in it, and the dataset again."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from .._schema import Schema
from ._dataset import Dataset

#: The attribute that holds what describes the whole, as JSON.
ATTRIBUTE = "unweave"
#: How the columns of factors, of references and of inputs begin.
FACTOR, REFERENCE, INPUT = "factor: ", "reference: ", "input: "


def coordinates(schema: Schema) -> dict[str, np.ndarray]:
    """The coordinates of each axis but the channels': times, or pixel numbers."""
    return {
        axis: np.asarray(schema.times) if axis == "time" else np.arange(size)
        for axis, size in zip(schema.axes[:-1], schema.shape[:-1], strict=True)
    }


def describe(data: Dataset) -> str:
    words = {"label_names": data.label_names, "notes": data.notes}
    inputs = {"input_names": data.input_names, "input_units": data.input_units}
    own = {"own_times": data.times is not None}
    return json.dumps({"schema": asdict(data.schema), **words, **inputs, **own})


def read_description(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """What `describe` wrote, or nothing."""
    text = attributes.get(ATTRIBUTE, "{}")
    try:
        saved = json.loads(text)
    except (TypeError, ValueError):
        saved = None
    if not isinstance(saved, dict) or not isinstance(saved.get("schema", {}), dict):
        raise ValueError(f"the attribute '{ATTRIBUTE}' is not what a dataset writes; delete it.")
    return saved


def assemble(
    observations: np.ndarray,
    channels: tuple[str, ...],
    grid: Mapping[str, np.ndarray],
    saved: Mapping[str, Any],
    about: Mapping[str, np.ndarray],
    *,
    times: np.ndarray | None,
    inputs: np.ndarray | None,
    input_names: tuple[str, ...],
) -> Dataset:
    """The dataset of `observations`, described by what was `saved` and the columns `about`, with
    each one's `times` and `inputs`."""
    n = len(observations)
    records = about.get("record", np.asarray([f"row {i}" for i in range(n)]))
    starts = about.get("start", np.zeros(n))
    factors = [name for name in about if name.startswith(FACTOR)]
    units = dict(zip(saved.get("input_names", ()), saved.get("input_units", ()), strict=True))
    return Dataset(
        observations=observations,
        schema=_schema(observations.shape[1:], channels, grid, saved.get("schema", {})),
        records=np.asarray(records, dtype=np.str_),
        groups=np.asarray(about.get("group", records), dtype=np.str_),
        spans=np.stack([starts, about.get("end", starts)], axis=1),
        labels=about.get("label"),
        label_names=tuple(saved.get("label_names", ())),
        factors=np.stack([about[name] for name in factors], axis=1) if factors else None,
        factor_names=tuple(name.removeprefix(FACTOR) for name in factors),
        references=_references(about, channels),
        notes=tuple(saved.get("notes", ())),
        times=times,
        inputs=inputs,
        input_names=input_names,
        input_units=tuple(units.get(name, "") for name in input_names),
    )


def _references(about: Mapping[str, np.ndarray], channels: tuple[str, ...]) -> np.ndarray | None:
    """References `(n, channel, k)` of the channels that are still there."""
    parts = []
    for channel in channels:
        count = sum(name.startswith(f"{REFERENCE}{channel} ") for name in about)
        columns = [f"{REFERENCE}{channel} {k}" for k in range(count)]
        parts.append([about[name] for name in columns if name in about])
    return np.moveaxis(np.asarray(parts), -1, 0) if parts[0] else None


def _schema(
    shape: tuple[int, ...],
    channels: tuple[str, ...],
    grid: Mapping[str, np.ndarray],
    saved: Mapping[str, Any],
) -> Schema:
    """The schema that was saved, as far as the data still agree with it."""
    units = dict(zip(saved.get("channels", ()), saved.get("units", ()), strict=True))
    numbers = dict(zip(saved.get("channels", ()), saved.get("reference", ()), strict=False))
    origin, step, instants = _timing(grid.get("time"), saved)
    return Schema(
        kind=saved.get("kind", "series" if "time" in grid else "images"),
        axes=(*grid, "channel"),
        shape=shape,
        channels=channels,
        units=tuple(units.get(name, "") for name in channels),
        step=step,
        origin=origin,
        time_unit=saved.get("time_unit", ""),
        transform=saved.get("transform", "level"),
        reference=tuple(tuple(numbers[name]) for name in channels if name in numbers),
        instants=instants,
    )


def _timing(
    times: np.ndarray | None, saved: Mapping[str, Any]
) -> tuple[float, float, tuple[float, ...]]:
    """Origin, step and instants: as saved where the times agree, otherwise as the times are."""
    origin, step = float(saved.get("origin", 0.0)), float(saved.get("step", 1.0))
    instants = tuple(float(time) for time in saved.get("instants", ()))
    if times is None:
        return origin, step, instants
    if instants:
        same = np.array_equal(times, instants)
        mean = step if same or len(times) < 2 else float(np.ptp(times)) / (len(times) - 1)
        return origin if same else float(times[0]), mean, tuple(times.tolist())
    expected = origin + step * np.arange(len(times))
    if np.allclose(times, expected, rtol=1e-9, atol=1e-9 * step):
        return origin, step, ()
    if len(times) < 2:
        return float(times[0]), step, ()
    steps = np.diff(times)
    if not np.allclose(steps, steps.mean(), rtol=1e-3) or steps.mean() <= 0:
        raise ValueError(
            "the times of an observation are not evenly spaced; resample it, or make signals of "
            "the table and call trajectories, which keeps uneven times."
        )
    return float(times[0]), float(steps.mean()), ()
