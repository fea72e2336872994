"""Zarr stores: recordings over time, or observations that lie ready, of which a part is read."""

import functools
import importlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from ._guard import DataError, closest, listed, parsing, quoted
from ._index import AbstractReader, Lines, files_under, fingerprint, kept_lines, shown
from ._plain import PlainArray, plain
from ._stored import Shelf

#: The array of a group whose rows are observations, and those that say what each belongs to.
OBSERVATIONS, RECORDS, GROUPS = "observations", "records", "groups"
# arrays that are kept open
_OPEN = 256
# and plain ones of which is known where their chunks lie
_KNOWN = 2**14
# ready observations without records are held out in so many blocks at most
_MOST_LINES = 100_000
_CODES_AT_ONCE = 2**20


def zarr() -> Any:
    """The library `zarr`, which is an extra."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("zarr")
    except ImportError:
        raise DataError("a Zarr store needs zarr: pip install 'unweave[zarr]'.") from None


def zarr_shelf(path: Path, *, columns: Sequence[str] | None, rate: float | None) -> Shelf:
    """The recordings, or the ready observations, of a store.

    **Raises:** `DataError` where it is no store or its arrays do not go together.
    """
    if not path.is_dir():
        raise DataError(f"there is no Zarr store {quoted(path)}; check the path.")
    zarr()
    key = fingerprint(files_under(path), "zarr", columns, rate)
    lines = kept_lines(key, lambda: _lines(path, columns, rate))
    facts = lines.facts
    reader = ZarrReader(
        str(path), key, lines.arrays["names"], lines.arrays["offsets"],
        None if facts["columns"] is None else tuple(facts["columns"]),
        1 + len(facts["item"]), np.dtype(facts["dtype"]),
    )  # fmt: skip
    return Shelf(lines, reader, key)


@final
@dataclass(frozen=True, eq=False)
class ZarrReader(AbstractReader):
    """Reads from the arrays `names` of the store at `path`, recording i from `offsets[i]` on."""

    path: str
    key: str
    names: np.ndarray
    offsets: np.ndarray
    columns: tuple[int, ...] | None
    dims: int
    dtype: np.dtype

    def read(self, recording: int, first: int, end: int) -> np.ndarray:
        """See `AbstractReader`. Only the chunks that hold these samples are read."""
        name, a, b = self._where(recording, first, end)
        with self._naming(name, a, b):
            array = _plain(self.path, name, self.key) or _opened(self.path, name, self.key)
            part = np.asarray(array[a:b])
        part = part[..., None] if part.ndim < self.dims else part
        part = part if self.columns is None else part[..., self.columns]
        return part.astype(self.dtype, copy=False)

    def read_into(self, recording: int, first: int, end: int, out: np.ndarray) -> None:
        """See `AbstractReader`. Chunks that are not packed are read straight into place."""
        name, a, b = self._where(recording, first, end)
        with self._naming(name, a, b):
            array = _plain(self.path, name, self.key)
            if array is not None and self.columns is None and array.dtype == out.dtype:
                array.read_into(a, b, out)
                return
        super().read_into(recording, first, end, out)

    def _where(self, recording: int, first: int, end: int) -> tuple[str, int, int]:
        offset = int(self.offsets[recording])
        return str(self.names[recording]), offset + first, offset + end

    @contextmanager
    def _naming(self, name: str, first: int, end: int) -> Iterator[None]:
        try:
            yield
        except (ValueError, RuntimeError, TypeError, KeyError) as error:
            raise DataError(
                f"the array {quoted(name)} of {quoted(self.path)} is damaged between rows "
                f"{first} and {end}: {str(error)[:160]}."
            ) from None


@functools.lru_cache(maxsize=_KNOWN)
def _plain(path: str, name: str, key: str) -> PlainArray | None:
    return plain(Path(path, name))


@functools.lru_cache(maxsize=_OPEN)
def _opened(path: str, name: str, key: str) -> Any:
    # the key is there so that a store that was written anew is opened anew
    return zarr().open_array(path, path=name, mode="r")


def _lines(path: Path, columns: Sequence[str] | None, rate: float | None) -> Lines:
    with parsing(path, "a Zarr store"):
        root = zarr().open(str(path), mode="r")
        if not isinstance(root, zarr().Group):
            return _ready(path, root, "", {}, {}, columns)
        members: dict[str, Any] = dict(root.members(max_depth=None))
        arrays = {n: a for n, a in members.items() if not isinstance(a, zarr().Group)}
        if OBSERVATIONS in arrays:
            above = dict(root.attrs)
            return _ready(path, arrays[OBSERVATIONS], OBSERVATIONS, above, arrays, columns)
        return _recordings(path, dict(root.attrs), arrays, columns, rate)


def _recordings(
    path: Path, above: Mapping[str, Any], arrays: Mapping[str, Any],
    columns: Sequence[str] | None, rate: float | None,
) -> Lines:  # fmt: skip
    """The arrays `(time, channel)` of a group; what an array does not say its group does."""
    if not arrays:
        raise DataError(
            f"{quoted(path)} holds no array; write one with unweave.data.store(signals, PATH)."
        )
    rows, first = [], None
    for name, array in shown(sorted(arrays.items()), "indexing"):
        about = {**above, **dict(array.attrs)}
        channels, units = _channels(path, about, array.shape[-1] if array.ndim == 2 else 1)
        step, unit = _step(path, about, rate)
        if array.ndim not in (1, 2) or array.dtype.kind not in "fiu":
            raise DataError(
                f"the array {quoted(name)} of {quoted(path)} has shape {array.shape} and type "
                f"{array.dtype}; a recording is (time, channel) of numbers."
            )
        same = (channels, units, step, unit)
        first = first or (name, same)
        if same != first[1]:
            raise DataError(
                f"the arrays {quoted(first[0])} and {quoted(name)} of {quoted(path)} differ in "
                f"channels, units or step ({first[1]} and {same}); put them in stores of their own."
            )
        patient, _, _ = name.rpartition("/")
        record = str(about.get("record", name))
        group = str(about.get("group", patient.rpartition("/")[2] or record))
        start = float(about.get("start", 0.0))
        rows.append((record, start, name, group, array.shape[0], array.chunks[0], array.dtype))
    assert first is not None
    # runs of one recording stand together, in the order of time
    place = {row[0]: i for i, row in reversed(list(enumerate(rows)))}
    rows.sort(key=lambda row: (place[row[0]], row[1]))
    records, starts, names, groups, lengths, chunks, kinds = zip(*rows, strict=True)
    channels, units, step, unit = first[1]
    chosen = _chosen(path, channels, columns)
    kept = range(len(channels)) if chosen is None else chosen
    return Lines(
        {
            "records": np.asarray(records), "groups": np.asarray(groups),
            "lengths": np.asarray(lengths, np.int64), "starts": np.asarray(starts, np.float64),
            "names": np.asarray(names), "offsets": np.zeros(len(names), np.int64),
        },
        {
            "item": [len(kept)], "channels": [channels[i] for i in kept],
            "units": [units[i] for i in kept], "step": step, "time_unit": unit,
            "together": int(max(chunks)), "columns": chosen, "ready": False,
            "dtype": _real(np.result_type(*kinds)).str,
        },
    )  # fmt: skip


def _ready(
    path: Path, array: Any, name: str, above: Mapping[str, Any], beside: Mapping[str, Any],
    columns: Sequence[str] | None,
) -> Lines:  # fmt: skip
    """The rows of one array, each an observation."""
    about = {**above, **dict(array.attrs)}
    if array.ndim not in (2, 3, 4) or array.dtype.kind not in "fiub" or not array.shape[0]:
        raise DataError(
            f"the array of {quoted(path)} has shape {array.shape} and type {array.dtype}; "
            "observations are (n, time), (n, time, channel) or (n, row, column, channel) of "
            "numbers, and a long recording lies in a group: unweave.data.store(signals, PATH)."
        )
    channels, units = _channels(path, about, 1 if array.ndim == 2 else array.shape[-1])
    chosen = _chosen(path, channels, columns)
    kept = range(len(channels)) if chosen is None else chosen
    shape = (*array.shape[1:], 1) if array.ndim == 2 else array.shape[1:]
    n = int(array.shape[0])
    bounds, records, groups = _runs(path, n, beside)
    pictures = len(shape) == 3 and array.dtype.kind in "bu"
    return Lines(
        {
            "records": records, "groups": groups, "lengths": np.diff(bounds),
            "starts": np.zeros(len(records)), "names": np.full(len(records), name),
            "offsets": bounds[:-1],
        },
        {
            "item": [*shape[:-1], len(kept)], "channels": [channels[i] for i in kept],
            "units": [units[i] for i in kept], "step": float(about.get("step", 1.0)),
            "origin": float(about.get("origin", 0.0)), "time_unit": str(about.get("time_unit", "")),
            "together": int(array.chunks[0]), "columns": chosen, "ready": True,
            "dtype": (array.dtype if pictures else _real(array.dtype)).str,
        },
    )  # fmt: skip


def _runs(
    path: Path, n: int, beside: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where stretches of rows of one record begin and end, and the names of these."""
    known = [name for name in (RECORDS, GROUPS) if name in beside]
    if not known:
        bounds = np.unique(np.linspace(0, n, min(n, _MOST_LINES) + 1).round().astype(np.int64))
        names = np.asarray(
            [f"row {a}" if b - a == 1 else f"rows {a} to {b - 1}"
             for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
        )  # fmt: skip
        return bounds, names, names
    for name in known:
        if beside[name].shape != (n,) or beside[name].dtype.kind not in "iu":
            raise DataError(
                f"the array {quoted(name)} of {quoted(path)} has shape {beside[name].shape} and "
                f"type {beside[name].dtype}; give one whole number to each of {n} observations."
            )
    begins, codes, last = [], [], None
    for first in range(0, n, _CODES_AT_ONCE):
        part = np.stack([beside[k][first : first + _CODES_AT_ONCE] for k in known], axis=1)
        new = np.any(part[1:] != part[:-1], axis=1)
        new = np.concatenate([[last is None or bool(np.any(part[0] != last))], new])
        begins.append(first + np.flatnonzero(new))
        codes.append(part[new])
        last = part[-1]
    bounds, found = np.append(np.concatenate(begins), n), np.concatenate(codes)
    names = {k: _names(beside[k], found[:, i]) for i, k in enumerate(known)}
    records, groups = names.get(RECORDS, names.get(GROUPS)), names.get(GROUPS, names.get(RECORDS))
    assert records is not None
    assert groups is not None
    return bounds, records, groups


def _names(array: Any, codes: np.ndarray) -> np.ndarray:
    names = array.attrs.get("names")
    return codes.astype(str) if names is None else np.asarray(names, str)[codes]


def _channels(
    path: Path, about: Mapping[str, Any], count: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    plain = ["value"] if count == 1 else [f"c{i + 1}" for i in range(count)]
    channels = tuple(str(name) for name in about.get("channels", plain))
    units = tuple(str(unit) for unit in about.get("units", [""] * count))
    if not len(channels) == len(units) == count:
        raise DataError(
            f"{quoted(path)} names {len(channels)} channels and {len(units)} units for {count} "
            "columns; give one of each to every column."
        )
    return channels, units


def _step(path: Path, about: Mapping[str, Any], rate: float | None) -> tuple[float, str]:
    if rate is not None:
        return 1 / rate, "s"
    step = float(about.get("step", 1.0))
    if not (np.isfinite(step) and step > 0):
        raise DataError(f"{quoted(path)} gives the step {step} between samples; it is positive.")
    return step, str(about.get("time_unit", ""))


def _chosen(path: Path, channels: Sequence[str], columns: Sequence[str] | None) -> list[int] | None:
    if columns is None:
        return None
    for name in columns:
        if name not in channels:
            raise DataError(
                f"{quoted(path)} has no channel {quoted(name)} (it has {listed(channels)})"
                f"{closest(name, channels) or '.'}"
            )
    return [list(channels).index(name) for name in columns]


def _real(dtype: np.dtype) -> np.dtype:
    """The floats that hold such numbers without loss; those of networks where these do."""
    small = dtype.itemsize <= (4 if dtype.kind == "f" else 2)
    return np.dtype(np.float32 if small else np.float64)
