"""NumPy's npy and npz files into observations, checked before anything is allocated."""

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, final

import numpy as np

from ._guard import DataError, check_size, existing, listed, parsing, quoted

#: A file opened for bytes, on the disc or in an archive; the two share no nominal type.
_Stream: TypeAlias = Any
_OBSERVATIONS: Final = ("x", "X", "imgs", "images", "data")
_LABELS: Final = ("y", "Y", "labels", "label", "target")
#: The columns of the arrays `latents_values` and `latents_classes` of dSprites.
_SPRITE_FACTORS: Final = ("color", "shape", "scale", "orientation", "position x", "position y")
_COLOURS: Final = {
    1: ("grey",),
    3: ("red", "green", "blue"),
    4: ("red", "green", "blue", "alpha"),
}


@final
@dataclass(frozen=True, eq=False)
class Rows:
    """Observations as read from one file, `(n, ...)`, with raw labels and factors if any."""

    observations: np.ndarray
    labels: np.ndarray | None = None
    factors: np.ndarray | None = None
    factor_names: tuple[str, ...] = ()


def read_npy(path: Path) -> Rows:
    """The observations of an npy file: `(n, time)`, `(n, time, channel)` or images in bytes."""
    size = existing(path).stat().st_size
    with parsing(path, "an npy file"), path.open("rb") as file:
        array = _read_array(path, file, size, size)
    return Rows(observations(path, array))


def read_npz(path: Path) -> Rows:
    """The observations of an npz file, with labels (`y`) and the factors of dSprites."""
    existing(path)
    with parsing(path, "an npz file"), zipfile.ZipFile(path) as archive:
        shapes = {name: _peek(path, archive, name)[0] for name in _members(archive)}
        chosen = _choose(path, shapes)
        array = _member(path, archive, chosen)
        n = len(array)
        labels = next((key for key in _LABELS if shapes.get(key, ())[:1] == (n,)), None)
        factors = next(
            (
                key
                for key in ("latents_values", "latents_classes")
                if len(shapes.get(key, ())) == 2 and shapes[key][0] == n
            ),
            None,
        )
        raw_labels = None if labels is None else _member(path, archive, labels)
        values = None if factors is None else _member(path, archive, factors)
    if raw_labels is not None and raw_labels.ndim != 1:
        raise DataError(
            f"{quoted(path)} has labels of shape {raw_labels.shape}; one is needed a row."
        )
    if raw_labels is not None and raw_labels.dtype.kind == "f" and np.isnan(raw_labels).any():
        raise DataError(f"{quoted(path)} has labels that are NaN; give every row one.")
    if values is None or values.dtype.kind == "U":
        return Rows(observations(path, array), raw_labels)
    count = values.shape[1]
    names = _SPRITE_FACTORS if count == 6 else tuple(f"factor {i + 1}" for i in range(count))
    return Rows(observations(path, array), raw_labels, values.astype(np.float64), names)


def peek_array(path: Path) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of the observations in an npy or npz file, without reading them."""
    existing(path)
    with parsing(path, "a NumPy file"):
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                return _header(path, file)[:2]
        with zipfile.ZipFile(path) as archive:
            shapes = {name: _peek(path, archive, name)[0] for name in _members(archive)}
            return _peek(path, archive, _choose(path, shapes))


def observations(path: Path, array: np.ndarray) -> np.ndarray:
    """An array as observations: bytes of pictures stay, everything else becomes floats.

    Pictures get a channel axis, `(n, row, column, channel)`; series too, `(n, time, channel)`.
    """
    if array.dtype.kind == "U":
        raise DataError(f"{quoted(path)} holds text for observations; numbers are needed.")
    if array.ndim < 2 or array.size == 0:
        raise DataError(
            f"{quoted(path)} has an array of shape {array.shape}; one of at least two axes, "
            "(n, time), and no empty axis is needed."
        )
    if is_pictures(array.shape, array.dtype):
        array = array[..., None] if array.ndim == 3 else array
        if array.ndim != 4 or array.shape[-1] not in _COLOURS:
            raise DataError(
                f"{quoted(path)} has pictures of shape {array.shape[1:]}; (row, column) or "
                "(row, column, channel) with 1, 3 or 4 channels is needed."
            )
    elif array.ndim > 3:
        raise DataError(f"{quoted(path)} has an array of {array.ndim} axes; at most 4 are read.")
    else:
        array = array[..., None] if array.ndim == 2 else array
    if array.dtype == np.uint8 and array.ndim == 4:
        return array
    array = array.astype(_float_type(array.dtype), copy=False)
    if np.isinf(array).any():
        raise DataError(f"{quoted(path)} has infinite numbers in it; mend them or make them NaN.")
    if np.isnan(array).all():
        raise DataError(f"{quoted(path)} has no number in it; every entry is NaN.")
    return array


def _float_type(dtype: np.dtype) -> type[np.floating]:
    """The float type, of this machine's byte order, that holds all numbers of a type."""
    return np.float32 if dtype.itemsize <= (4 if dtype.kind == "f" else 2) else np.float64


def is_pictures(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """Whether an array of this shape and type is one of pictures rather than of series."""
    return len(shape) == 4 or (len(shape) == 3 and dtype == np.uint8)


def colours(path: Path, channels: int) -> tuple[str, ...]:
    """The names of a picture's channels."""
    if channels not in _COLOURS:
        raise DataError(f"{quoted(path)} has pictures of {channels} channels; 1, 3 or 4 are read.")
    return _COLOURS[channels]


def _members(archive: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _choose(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """The array of observations: by its name, or the only one with rows of several numbers."""
    for name in _OBSERVATIONS:
        if name in shapes:
            return name
    several = [name for name, shape in shapes.items() if len(shape) >= 2 and "latents" not in name]
    if len(several) == 1:
        return several[0]
    raise DataError(
        f"{quoted(path)} has the arrays {listed(shapes) or 'none'}; name the one of the "
        "observations x."
    )


def _peek(path: Path, archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of a member; one of Python objects, never chosen, has the shape ()."""
    with archive.open(f"{name}.npy") as stream:
        try:
            return _header(path, stream)[:2]
        except DataError:
            return (), np.dtype(np.float64)


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    info = archive.getinfo(f"{name}.npy")
    held = min(info.compress_size, path.stat().st_size)
    check_size(path, info.file_size, held, what=f"array {quoted(name)}")
    with archive.open(info) as stream:
        return _read_array(path, stream, info.file_size, held)


def _header(path: Path, stream: _Stream) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape, type and order that an npy header declares; Python objects are refused."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise DataError(f"{quoted(path)} has an npy header of version {version[0]}; save it anew.")
    if dtype.hasobject:
        raise DataError(f"{quoted(path)} holds Python objects, which are never loaded.")
    if any(isinstance(length, bool) or length < 0 for length in shape):
        raise DataError(f"{quoted(path)} declares an array of shape {quoted(shape)}.")
    return shape, dtype, fortran


def _read_array(path: Path, stream: _Stream, size: int, held: int) -> np.ndarray:
    """An array of numbers or labels whose declared size is exactly what the file has left."""
    shape, dtype, fortran = _header(path, stream)
    if dtype.kind not in "biufU" or dtype.itemsize == 0:
        raise DataError(f"{quoted(path)} holds values of type {dtype}; numbers are needed.")
    wanted, left = math.prod(shape) * dtype.itemsize, size - stream.tell()
    if wanted != left:
        raise DataError(
            f"{quoted(path)} declares an array of shape {quoted(shape)}, {wanted:,} bytes, but "
            f"has {left:,} bytes of it; it is damaged or cut."
        )
    check_size(path, wanted, held, what="array")
    flat = np.frombuffer(_exactly(path, stream, wanted), dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _exactly(path: Path, stream: _Stream, wanted: int) -> bytes:
    buffer = io.BytesIO()
    while chunk := stream.read(min(2**20, wanted - buffer.tell()) or 1):
        buffer.write(chunk)
    if buffer.tell() != wanted:
        raise DataError(f"{quoted(path)} ends before its array does; it is damaged or cut.")
    return buffer.getvalue()
