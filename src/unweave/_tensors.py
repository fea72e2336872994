"""A file of named tensors in which any change shows: safetensors, with a hash for every part.

The layout is that of safetensors: eight bytes that give the length of a JSON header, the
header, the bytes of the tensors. The header's `__metadata__` holds our own JSON, a SHA-256 for
each tensor (over its name, type, shape and bytes), and a SHA-256 over all that. The header is
written in one canonical way, so the same content always gives the same bytes, and reading
compares what it understood, written again, with what it found: spaces, order, offsets and
everything else that no hash covers must match to the bit.
"""

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from ._files import write_whole

_DTYPES: dict[str, np.dtype] = {
    "BOOL": np.dtype(bool),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}

_LENGTH_BYTES = 8
_MAX_HEADER = 16 * 2**20  # a few hundred times what a deep network needs
_REMEDY = "use another copy of it or make it again"


class ModelFileError(ValueError):
    """A model file or checkpoint that cannot be trusted, understood or written."""


def write_tensors(path: str | os.PathLike, tensors: dict[str, np.ndarray], header: dict) -> str:
    """Writes `tensors` and `header` and returns the SHA-256 of the file, in hexadecimal.

    The file appears whole or not at all (see `write_whole`).

    **Arguments:** `tensors`, of any shape, Booleans, integers or real numbers (bfloat16 too);
    `header`, plain JSON values without NaN or infinity.
    """
    arrays = {name: _plain(name, tensors[name]) for name in sorted(tensors)}
    layout = {name: (_CODES[array.dtype], array.shape) for name, array in arrays.items()}
    hashes = {name: _tensor_hash(name, array) for name, array in arrays.items()}
    blob = _encode(layout, hashes, header)
    if len(blob) > _MAX_HEADER:
        raise ModelFileError(
            f"{path} would have a header of {len(blob)} bytes, and the most is {_MAX_HEADER}; "
            "keep large notes in a file of their own."
        )
    pieces = [blob, *(_flat(arrays[name]) for name in _order(layout))]
    write_whole(Path(path), pieces)
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def read_tensors(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict]:
    """The tensors and the header of a file of `write_tensors`, every hash checked.

    Nothing larger than the file itself is ever allocated.

    **Raises:** `ModelFileError` for any file that is not to the bit what was written, and
    `OSError` where there is no such file.
    """
    tensors, header, _ = read_with_digest(path)
    return tensors, header


def read_with_digest(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict, str]:
    """As `read_tensors`, with the SHA-256 of the file."""
    with open(path, "rb") as file:
        left = os.fstat(file.fileno()).st_size
        blob = _read_header(file, path, left)
        layout, hashes, header = _decode(blob, path)
        left -= len(blob)
        size = sum(_byte_size(*entry) for entry in layout.values())
        if size != left:
            raise ModelFileError(
                f"{path} was cut or extended after it was written: its header speaks of {size} "
                f"bytes of tensors, and there are {left}; {_REMEDY}."
            )
        digest = hashlib.sha256(blob)
        tensors = {}
        for name in _order(layout):
            code, shape = layout[name]
            array = np.empty(shape, _DTYPES[code])
            flat = _flat(array)
            file.readinto(flat)
            digest.update(flat)
            if _tensor_hash(name, array) != hashes[name]:
                raise ModelFileError(
                    f"{path} was changed after it was written: tensor '{name}' does not match "
                    f"its hash; {_REMEDY}."
                )
            tensors[name] = array
    return {name: tensors[name] for name in sorted(tensors)}, header, digest.hexdigest()


def canonical_json(value: Any) -> str:
    """JSON in one way only: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(name: str, array: np.ndarray) -> np.ndarray:
    little = array.dtype.newbyteorder("<")
    if little not in _CODES:
        raise ModelFileError(
            f"tensor '{name}' is of type {array.dtype}, which a model file cannot hold; "
            "convert it to real numbers, integers or Booleans."
        )
    return np.asarray(array, dtype=little, order="C")


def _flat(array: np.ndarray) -> memoryview:
    """The bytes of a contiguous array, without a copy."""
    return array.reshape(-1).view(np.uint8).data


def _tensor_hash(name: str, array: np.ndarray) -> str:
    about = canonical_json([name, _CODES[array.dtype], list(array.shape)])
    digest = hashlib.sha256(about.encode() + b"\n")
    digest.update(_flat(array))
    return digest.hexdigest()


#: The code of the type and the shape of each tensor.
_Layout = dict[str, tuple[str, tuple[int, ...]]]


def _byte_size(code: str, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * _DTYPES[code].itemsize


def _order(layout: _Layout) -> list[str]:
    """Widest types first, so that every tensor is aligned, and then by name."""
    return sorted(layout, key=lambda name: (-_DTYPES[layout[name][0]].itemsize, name))


def _encode(layout: _Layout, hashes: dict[str, str], header: dict) -> bytes:
    """The length and the header, padded so that the tensors begin at a multiple of eight."""
    content = canonical_json({"header": header, "sha256": hashes})
    entries: dict[str, Any] = {
        "__metadata__": {
            "sha256": hashlib.sha256(content.encode()).hexdigest(),
            "unweave": content,
        }
    }
    begin = 0
    for name in _order(layout):
        code, shape = layout[name]
        end = begin + _byte_size(code, shape)
        entries[name] = {"dtype": code, "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    text = canonical_json(entries).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _read_header(file: BinaryIO, path: str | os.PathLike, size: int) -> bytes:
    prefix = file.read(_LENGTH_BYTES)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < _LENGTH_BYTES or length > min(size - _LENGTH_BYTES, _MAX_HEADER):
        raise ModelFileError(
            f"{path} is no model file, or was cut: it has {size} bytes and claims a header of "
            f"{length}; {_REMEDY}."
        )
    return prefix + file.read(length)


def _decode(blob: bytes, path: str | os.PathLike) -> tuple[_Layout, dict[str, str], dict]:
    """What the header says, once it is sure that it says it as `_encode` would."""
    try:
        entries = json.loads(blob[_LENGTH_BYTES:])
        metadata = entries.pop("__metadata__")
        content = json.loads(metadata["unweave"])
        layout = {
            str(name): (str(entry["dtype"]), tuple(int(n) for n in entry["shape"]))
            for name, entry in entries.items()
        }
        hashes, header = content["sha256"], content["header"]
        same = (
            hashes.keys() == layout.keys()
            and all(_is_shape(shape) for _, shape in layout.values())
            and _encode(layout, hashes, header) == blob
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        # whatever a stranger's bytes may be as JSON, they are not what `_encode` writes
        raise ModelFileError(
            f"{path} is no file of unweave, or its header was changed; {_REMEDY}."
        ) from None
    if not same:
        raise ModelFileError(
            f"{path} was changed after it was written: its header does not match its hash; "
            f"{_REMEDY}."
        )
    return layout, hashes, header


def _is_shape(shape: tuple[int, ...]) -> bool:
    return len(shape) <= 32 and all(0 <= n < 2**40 for n in shape)
