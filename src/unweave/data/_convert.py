"""Datasets to and from the tables and labelled arrays of pandas and xarray.

Both carry everything that a dataset holds, and come back equal. What describes the whole, units
and transform and names, is text in the attribute `unweave`, so that it survives Parquet and
netCDF; data made elsewhere need not have it.
"""

import math
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ._dataset import Dataset
from ._describe import (
    ATTRIBUTE,
    FACTOR,
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
    references where there are some, then a column for each axis (time, or row and column) and
    for each channel.
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
    columns = [*about, *axes, *data.schema.channels]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise ValueError(f"two columns would be called '{twice[0]}'; rename the channel.")
    points = math.prod(data.schema.shape[:-1])
    grid = np.meshgrid(*axes.values(), indexing="ij")
    table = {name: np.repeat(column, points) for name, column in about.items()}
    table |= {name: np.tile(part.ravel(), len(data)) for name, part in zip(axes, grid, strict=True)}
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
        if name not in known and not str(name).startswith((FACTOR, REFERENCE))
    ]
    if not channels or frame.empty:
        raise ValueError("the table has no rows, or no column for a channel.")
    text = [name for name in channels if not pd.api.types.is_numeric_dtype(frame[name])]
    if text:
        raise ValueError(f"the column '{text[0]}' holds no numbers; leave it out.")
    first = frame.drop_duplicates("observation")
    points, grid = _grid(frame, axes, len(first))
    shape = (*points, len(channels))
    saved = read_description(frame.attrs)
    return assemble(
        frame[channels].to_numpy().reshape(len(first), *shape),
        tuple(channels),
        grid,
        saved,
        {str(name): first[name].to_numpy() for name in first.columns},
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
    return assemble(array.to_numpy(), channels, grid, saved, about)


def _grid(
    frame: pd.DataFrame, axes: list[str], n: int
) -> tuple[tuple[int, ...], dict[str, np.ndarray]]:
    """The number of points on each axis, and their coordinates."""
    points = len(frame) // n
    form = (n, points)
    grid = {axis: np.unique(frame[axis].to_numpy()) for axis in axes}
    size = tuple(len(part) for part in grid.values())
    if n * points != len(frame) or math.prod(size) != points:
        raise ValueError(
            f"the {len(frame)} rows are not the same {' by '.join(axes)} points for each of "
            f"{n} observations; fill in what is missing with empty values."
        )
    numbers = frame["observation"].to_numpy().reshape(form)
    coordinates = [frame[axis].to_numpy().reshape(form) for axis in axes]
    wanted = np.meshgrid(*grid.values(), indexing="ij")
    same = all(
        np.array_equal(part, np.broadcast_to(want.ravel(), form))
        for part, want in zip(coordinates, wanted, strict=True)
    )
    if not same or not np.array_equal(numbers, np.broadcast_to(numbers[:, :1], form)):
        raise ValueError(
            f"the rows are not in order; sort the table by observation, {', '.join(axes)}."
        )
    return size, grid


def _xarray() -> ModuleType:
    try:
        import xarray
    except ImportError as error:
        raise ImportError(
            "xarray is not installed; pip install 'unweave[xarray]' brings it."
        ) from error
    return xarray
