"""Datasets to and from the tables and labelled arrays of pandas and xarray.

Both carry everything that a dataset holds, and come back equal. What describes the whole, units
and transform and names, is text in the attribute `unweave`, so that it survives Parquet and
netCDF; data made elsewhere need not have it.
"""

import math
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ._dataset import Dataset
from ._describe import (
    ATTRIBUTE,
    FACTOR,
    INPUT,
    REFERENCE,
    assemble,
    coordinates,
    describe,
    read_description,
)

if TYPE_CHECKING:
    import xarray


def to_pandas(data: Dataset) -> pd.DataFrame:
    """A long table: a row for each point of each observation, a column for each channel.

    The columns are observation, record, group, start and end, then label, factors and
    references where there are some, then a column for each axis (time, or row and column), for
    each input and for each channel. Where observations have times of their own, these are the
    times.
    """
    about = {
        "observation": np.arange(len(data)),
        "record": data.records,
        "group": data.groups,
        "start": data.spans[:, 0],
        "end": data.spans[:, 1],
    }
    if data.labels is not None:
        about["label"] = data.labels
    if data.factors is not None:
        for name, column in zip(data.factor_names, data.factors.T, strict=True):
            about[FACTOR + name] = column
    if data.references is not None:
        for c, channel in enumerate(data.schema.channels):
            for k in range(data.references.shape[2]):
                about[f"{REFERENCE}{channel} {k}"] = data.references[:, c, k]
    axes = coordinates(data.schema)
    inputs = [INPUT + name for name in data.input_names]
    columns = [*about, *axes, *inputs, *data.schema.channels]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise ValueError(f"two columns would be called '{twice[0]}'; rename the channel.")
    points = math.prod(data.schema.shape[:-1])
    grid = np.meshgrid(*axes.values(), indexing="ij")
    table = {name: np.repeat(column, points) for name, column in about.items()}
    table |= {name: np.tile(part.ravel(), len(data)) for name, part in zip(axes, grid, strict=True)}
    if data.times is not None:
        table["time"] = data.times.ravel()
    if data.inputs is not None:
        flat = data.inputs.reshape(-1, len(inputs))
        table |= {name: flat[:, k] for k, name in enumerate(inputs)}
    values = data.observations.reshape(-1, data.schema.shape[-1])
    table |= {name: values[:, c] for c, name in enumerate(data.schema.channels)}
    frame = pd.DataFrame(table)
    frame.attrs[ATTRIBUTE] = describe(data)
    return frame


def from_pandas(frame: pd.DataFrame) -> Dataset:
    """The dataset of a long table such as `to_pandas` makes; the inverse of it.

    A table made elsewhere needs a column "observation", a column "time", or "row" and "column",
    with the same points for every observation in the same order, and a column of numbers for
    each channel; the other columns that `to_pandas` writes may be missing.

    **Raises:** `ValueError` where the table is not of that form.
    """
    axes = ["time"] if "time" in frame.columns else ["row", "column"]
    lacking = [name for name in ("observation", *axes) if name not in frame.columns]
    if lacking:
        raise ValueError(
            f"the table has no column '{lacking[0]}'; it needs observation, and time or row "
            "and column."
        )
    known = ("observation", "record", "group", "start", "end", "label", *axes)
    channels = [
        str(name)
        for name in frame.columns
        if name not in known and not str(name).startswith((FACTOR, REFERENCE, INPUT))
    ]
    inputs = [str(name) for name in frame.columns if str(name).startswith(INPUT)]
    if not channels or frame.empty:
        raise ValueError("the table has no rows, or no column for a channel.")
    text = [name for name in channels + inputs if not pd.api.types.is_numeric_dtype(frame[name])]
    if text:
        raise ValueError(f"the column '{text[0]}' holds no numbers; leave it out.")
    first = frame.drop_duplicates("observation")
    saved = read_description(frame.attrs)
    own = bool(saved.get("own_times", False)) and axes == ["time"]
    points, grid = _grid(frame, axes, len(first), own=own)
    form = (len(first), *points)
    return assemble(
        frame[channels].to_numpy().reshape(*form, len(channels)),
        tuple(channels),
        _shared(saved, points[0]) if own else grid,
        saved,
        {str(name): first[name].to_numpy() for name in first.columns},
        times=frame["time"].to_numpy(np.float64).reshape(form) if own else None,
        inputs=frame[inputs].to_numpy(np.float64).reshape(*form, -1) if inputs else None,
        input_names=tuple(name.removeprefix(INPUT) for name in inputs),
    )


def to_xarray(data: Dataset) -> "xarray.Dataset":
    """An `xarray.Dataset` whose variable `observations` has named axes, coordinates and units.

    **Raises:** `ImportError` where xarray is not installed.
    """
    xr = _xarray()
    axes = coordinates(data.schema)
    unit = {"units": data.schema.time_unit}
    coords: dict[str, Any] = {
        name: (name, part, unit if name == "time" else {}) for name, part in axes.items()
    }
    coords |= {
        "channel": ("channel", np.asarray(data.schema.channels)),
        "unit": ("channel", np.asarray(data.schema.units)),
        "record": ("observation", data.records),
        "group": ("observation", data.groups),
        "start": ("observation", data.spans[:, 0], unit),
        "end": ("observation", data.spans[:, 1], unit),
    }
    variables: dict[str, Any] = {
        "observations": (("observation", *data.schema.axes), data.observations)
    }
    if data.labels is not None:
        coords["label"] = ("observation", data.labels)
    if data.factors is not None:
        variables["factors"] = (("observation", "factor"), data.factors)
        coords["factor"] = ("factor", np.asarray(data.factor_names))
    if data.references is not None:
        variables["references"] = (("observation", "channel", "number"), data.references)
    if data.times is not None:
        variables["times"] = (("observation", "time"), data.times, unit)
    if data.inputs is not None:
        variables["inputs"] = (("observation", "time", "input"), data.inputs)
        coords["input"] = ("input", np.asarray(data.input_names))
        coords["input unit"] = ("input", np.asarray(data.input_units))
    return xr.Dataset(variables, coords, attrs={ATTRIBUTE: describe(data)})


def from_xarray(arrays: "xarray.Dataset") -> Dataset:
    """The dataset of an `xarray.Dataset` such as `to_xarray` makes; the inverse of it.

    One made elsewhere needs a variable "observations" whose first dimension is the observation
    and whose last is the channel.

    **Raises:** `ValueError` where it has no such variable.
    """
    if "observations" not in arrays or arrays["observations"].ndim < 3:
        raise ValueError(
            "the xarray dataset has no variable 'observations' with dimensions such as "
            "(observation, time, channel); rename or add it."
        )
    array = arrays["observations"]
    axes = [str(axis) for axis in array.dims[1:]]
    grid = {
        axis: array[axis].to_numpy() if axis in array.coords else np.arange(array.sizes[axis])
        for axis in axes
    }
    saved = read_description(arrays.attrs)
    channels = tuple(str(name) for name in grid.pop(axes[-1]))
    about = {
        name: arrays[name].to_numpy()
        for name in ("record", "group", "start", "end", "label")
        if name in arrays
    }
    if "factors" in arrays:
        columns = zip(arrays["factor"].to_numpy(), arrays["factors"].to_numpy().T, strict=True)
        about |= {f"{FACTOR}{name}": column for name, column in columns}
    if "references" in arrays:
        numbers = arrays["references"].to_numpy()
        about |= {
            f"{REFERENCE}{name} {k}": numbers[:, c, k]
            for c, name in enumerate(channels)
            for k in range(numbers.shape[2])
        }
    inputs = "inputs" in arrays
    return assemble(
        array.to_numpy(),
        channels,
        grid,
        saved,
        about,
        times=arrays["times"].to_numpy() if "times" in arrays else None,
        inputs=arrays["inputs"].to_numpy() if inputs else None,
        input_names=tuple(map(str, arrays["input"].to_numpy())) if inputs else (),
    )


def _grid(
    frame: pd.DataFrame, axes: list[str], n: int, *, own: bool
) -> tuple[tuple[int, ...], dict[str, np.ndarray]]:
    """The number of points on each axis, and their coordinates; where observations have their
    `own` times there are none that they share."""
    points = len(frame) // n
    form = (n, points)
    grid = {} if own else {axis: np.unique(frame[axis].to_numpy()) for axis in axes}
    size = (points,) if own else tuple(len(part) for part in grid.values())
    if n * points != len(frame) or math.prod(size) != points:
        raise ValueError(
            f"the {len(frame)} rows are not the same {' by '.join(axes)} points for each of "
            f"{n} observations; fill in what is missing with empty values."
        )
    numbers = frame["observation"].to_numpy().reshape(form)
    wanted = np.meshgrid(*grid.values(), indexing="ij")
    same = all(
        np.array_equal(frame[axis].to_numpy().reshape(form), np.broadcast_to(want.ravel(), form))
        for axis, want in zip(grid, wanted, strict=True)
    )
    if not same or not np.array_equal(numbers, np.broadcast_to(numbers[:, :1], form)):
        raise ValueError(
            f"the rows are not in order; sort the table by observation, {', '.join(axes)}."
        )
    return size, grid


def _shared(saved: Mapping[str, Any], points: int) -> dict[str, np.ndarray]:
    """The times of a schema whose observations have others of their own."""
    schema = saved.get("schema", {})
    if len(schema.get("instants", ())) == points:
        return {"time": np.asarray(schema["instants"])}
    origin, step = (schema.get(name, other) for name, other in (("origin", 0.0), ("step", 1.0)))
    return {"time": origin + step * np.arange(points)}


def _xarray() -> ModuleType:
    try:
        import xarray
    except ImportError as error:
        raise ImportError(
            "xarray is not installed; pip install 'unweave[xarray]' brings it."
        ) from error
    return xarray
