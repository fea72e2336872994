"""Which rows are taken where all would be too many."""

import numpy as np

# what processors and XLA read at once
_LINE = 64


def evenly(n: int, most: int) -> np.ndarray:
    """The places of at most `most` of `n` rows, evenly spread over all, both ends included."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(int)


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An empty array that begins at a multiple of 64 bytes, so that JAX on a processor takes it as
    it is and not as a copy."""
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(size + _LINE, np.uint8)
    first = -raw.ctypes.data % _LINE
    return raw[first : first + size].view(dtype).reshape(shape)
