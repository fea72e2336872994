"""Which rows are taken where all would be too many."""

import numpy as np


def evenly(n: int, most: int) -> np.ndarray:
    """The places of at most `most` of `n` rows, evenly spread over all, both ends included."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(int)
