"""Signals and datasets written as Zarr stores, from which any part is read again."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .._schema import Schema
from ._dataset import Dataset, Signal
from ._guard import DataError, quoted
from ._runs import regular_runs, sampling_step
from ._windows import MAX_GAP
from ._zarr import GROUPS, OBSERVATIONS, RECORDS, zarr

# bytes of a chunk: reading one costs less than waiting for it
_CHUNK = 2**20
# what does not shrink below this share takes longer to unpack than to read
_PAYS = 0.8


def store(
    source: Dataset | Iterable[Signal],
    path: str | Path,
    *,
    dtype: type[np.floating] = np.float32,
    max_gap: int = MAX_GAP,
) -> Path:
    """Writes recordings, or observations, as a Zarr store that is then read a part at a time.

    Signals may come from a generator: one at a time is in memory. Each is put on an even grid,
    NaN where no sample was taken, and broken where `max_gap` steps and more are missing, as
    `windows` does. A dataset's observations are written as they are, with their records and
    groups. The store appears whole or not at all.

    **Arguments:** `source`; `path`, which must not exist; `dtype` of the numbers on the disk.

    **Raises:** `ValueError` where the path exists, the signals differ in channels, units or step,
    or there are none; `DataError` where zarr is missing.
    """
    path = Path(path)
    if path.exists():
        raise ValueError(f"{path} exists; give another path, or remove it.")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{path} has no folder to be in; make it: mkdir -p {path.parent}")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    zarr()
    try:
        if isinstance(source, Dataset):
            _write_dataset(source, part, dtype)
        else:
            _write_signals(source, part, dtype, max_gap)
        os.replace(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return path


def described(schema: Schema) -> dict[str, Any]:
    """The attributes by which a Zarr array of observations says what they are."""
    return {
        "channels": list(schema.channels), "units": list(schema.units), "step": schema.step,
        "origin": schema.origin, "time_unit": schema.time_unit,
    }  # fmt: skip


def make_array(
    path: Path, name: str | None, shape: tuple[int, ...], first: np.ndarray,
    attributes: dict[str, Any],
) -> Any:  # fmt: skip
    """An empty Zarr array, in chunks along its first axis that are about equally long: the store
    itself, or `name` in it. Of `first`, the first rows of it, are the type and whether it is
    compressed."""
    dtype, rows = first.dtype, max(1, shape[0])
    size = max(1, int(np.prod(shape[1:])) * dtype.itemsize)
    # whole chunks are written and read, so a last one that is half empty costs as much as a full
    chunk = -(-rows // min(rows, -(-rows * size // _CHUNK)))
    return zarr().create_array(
        str(path),
        name=name,
        shape=shape,
        dtype=dtype,
        chunks=(chunk, *shape[1:]),
        compressors=_compressor(first[:chunk]),
        fill_value=np.nan if dtype.kind == "f" else 0,
        attributes=attributes,
    )


def _compressor(first: np.ndarray) -> Any:
    """What packs arrays that begin like this, fast; None where that would not pay."""
    # comes with zarr, and takes long to load
    from numcodecs import Blosc

    packed = Blosc(cname="lz4", clevel=3, shuffle=Blosc.SHUFFLE).encode(np.ascontiguousarray(first))
    if len(packed) > _PAYS * first.nbytes:
        return None
    return zarr().codecs.BloscCodec(cname="lz4", clevel=3, shuffle="shuffle")


def _write_signals(
    signals: Iterable[Signal], part: Path, dtype: type[np.floating], max_gap: int
) -> None:
    group, first, number = zarr().open_group(str(part), mode="w"), None, 0
    for signal in signals:
        step = sampling_step(signal)
        if first is None:
            first = (signal, step)
            group.attrs.update(
                channels=list(signal.channels), units=list(signal.units), step=step,
                time_unit=signal.time_unit,
            )  # fmt: skip
        _check_alike(signal, step, *first)
        for run in regular_runs(signal, max_gap=max_gap):
            about = {
                "record": signal.record, "group": signal.group, "start": float(run.times[0])
            }  # fmt: skip
            values = run.values.astype(dtype)
            array = make_array(part, f"{number:07d}", values.shape, values, about)
            array[:] = values
            number += 1
    if first is None:
        raise ValueError("no signal was given; at least one is needed.")


def _check_alike(signal: Signal, step: float, first: Signal, first_step: float) -> None:
    mine = (signal.channels, signal.units, signal.time_unit)
    if mine != (first.channels, first.units, first.time_unit):
        raise ValueError(
            f"record '{signal.record}' has channels, units or a unit of time other than "
            f"'{first.record}' ({mine}); write them into stores of their own."
        )
    if abs(step - first_step) > 0.01 * first_step:
        raise ValueError(
            f"record '{signal.record}' has a sample every {step:g} {signal.time_unit} and "
            f"'{first.record}' every {first_step:g}; resample one, or write it elsewhere."
        )


def _write_dataset(data: Dataset, part: Path, dtype: type[np.floating]) -> None:
    schema, x = data.schema, data.observations
    if schema.transform != "level" or data.times is not None or data.inputs is not None:
        raise DataError(
            f"observations with the transform {schema.transform}, or with times or inputs of "
            f"their own, cannot be written as rows to {quoted(part.name)}; store the signals that "
            "they are cut from."
        )
    kind = np.dtype(dtype) if x.dtype.kind == "f" else x.dtype
    zarr().open_group(str(part), mode="w")
    x = x.astype(kind)
    make_array(part, OBSERVATIONS, x.shape, x, described(schema))[:] = x
    for name, words in ((RECORDS, data.records), (GROUPS, data.groups)):
        names, codes = np.unique(words.astype(str), return_inverse=True)
        codes = codes.astype(np.int32)
        make_array(part, name, (len(x),), codes, {"names": names.tolist()})[:] = codes
