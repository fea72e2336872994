"""One observation's function, over many observations, in bounded memory."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np


def many(function: Callable[..., Any], *batches: Any, chunk: int = 256) -> np.ndarray:
    """`function` of each row of the `batches`, stacked: compiled once, `chunk` rows at a time.

    `function` may be an `eqx.Partial` or a bound method of a model, so that a model's arrays
    are arguments of the compiled program and not constants in it.
    """
    n = len(batches[0])
    size = max(1, min(chunk, n))
    parts = []
    for start in range(0, n, size):
        part = [batch[start : start + size] for batch in batches]
        short = size - len(part[0])
        if short:
            # the last chunk repeats its last row, so that no second program is compiled
            part = [np.concatenate([p, np.repeat(np.asarray(p[-1:]), short, 0)]) for p in part]
        parts.append(np.asarray(_over(function, *part))[: size - short])
    return np.concatenate(parts)


@eqx.filter_jit
def _over(function: Callable[..., Any], *batches: Any) -> Any:
    return jax.vmap(function)(*batches)


def real(observations: np.ndarray) -> np.ndarray:
    """Floats as networks take them: float32."""
    if observations.dtype.kind == "f":
        return observations.astype(np.float32)
    return observations
