"""Answers as bytes: a header of JSON and the arrays behind it, as a page reads them at once."""

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._answer import Answer


def packed(ask: str, seq: int, model: str, answer: Answer) -> bytes:
    """The length of the header (4 bytes, little endian), the header, padded to eights, and
    each array in float64 in the header's order."""
    arrays = {name: np.ascontiguousarray(array, "<f8") for name, array in answer.arrays.items()}
    header = {
        "ask": ask, "seq": seq, "model": model, **plain(answer.plain),
        "arrays": [[name, list(array.shape)] for name, array in arrays.items()],
    }  # fmt: skip
    text = json.dumps(header, allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % 8)
    return b"".join([struct.pack("<I", len(text)), text, *(a.tobytes() for a in arrays.values())])


def unpacked(frame: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The header and the arrays of a packed answer."""
    (size,) = struct.unpack("<I", frame[:4])
    header, place, arrays = json.loads(frame[4 : 4 + size]), 4 + size, {}
    for name, shape in header.pop("arrays"):
        count = math.prod(shape)
        arrays[name] = np.frombuffer(frame, "<f8", count, place).reshape(shape)
        place += 8 * count
    return header, arrays


def plain(values: Any) -> Any:
    """What JSON can hold: what is not finite becomes null."""
    if isinstance(values, float):
        return values if math.isfinite(values) else None
    if isinstance(values, Mapping):
        return {key: plain(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [plain(value) for value in values]
    return values
