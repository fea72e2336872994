"""One observation's function, over many observations, in bounded memory."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import equinox as eqx
import jax
import numpy as np

from ._model import AbstractCurve
from ._programs import as_arguments

# Rows of an equation at once. What solves and fits one takes seconds to compile and little to
# run, so few and many rows share a program; and a row waits for the slowest of its chunk.
_SOLVED = 16
# chunks that are given to the device while one is waited for, so that it never waits
_AHEAD = 2


def many(function: Callable[..., Any], *batches: Any, chunk: int = 256) -> np.ndarray:
    """`function` of each row of the `batches`, stacked: compiled once, `chunk` rows at a time.

    A batch is an array, or a tree of arrays with one row each, such as the conditions of
    observations; the first one is an array. `function` may be an `eqx.Partial` or a bound method
    of a model, so that a model's arrays and the numbers of its priors are arguments of the
    compiled program and not constants in it.
    """
    with precision(function) as double:
        function = as_arguments(function)
        if double:
            batches = tuple(jax.tree.map(_double, batch) for batch in batches)
            chunk = min(chunk, _SOLVED)
        return _in_chunks(function, batches, chunk, padded=double and len(batches[0]) > 1)


def numbers_of(function: Callable[..., Any], *batches: Any) -> int:
    """How many numbers `function` takes or gives for one row, whichever is more; `batches` of one
    row. What was once looked at costs nothing the second time."""
    tree, arrays, rest = _apart(as_arguments(function))
    found = _program.eval_shape((tree, rest), arrays, batches)
    return max(math.prod(leaf.shape) for leaf in jax.tree.leaves((found, batches)))


@contextmanager
def precision(model: Any) -> Iterator[bool]:
    """float64 where `model` is, or holds, an equation; else what JAX is set to."""
    if not any(map(_is_equation, jax.tree.leaves(model, is_leaf=_is_equation))):
        yield False
        return
    with jax.enable_x64(True):
        yield True


def _is_equation(node: Any) -> bool:
    return _equations(type(node))


@cache
def _equations(kind: type) -> bool:
    # asked for every node of every model: what an abstract class answers slowly is kept
    return issubclass(kind, AbstractCurve)


def _double(array: Any) -> Any:
    kind = np.asarray(array).dtype.kind if not isinstance(array, jax.Array) else array.dtype.kind
    return np.asarray(array, np.float64) if kind == "f" else array


def _in_chunks(
    function: Callable[..., Any], batches: tuple[Any, ...], chunk: int, *, padded: bool
) -> np.ndarray:
    """Chunk by chunk; with `padded` also few rows take the program of a whole chunk."""
    n = len(batches[0])
    size = chunk if padded else max(1, min(chunk, n))
    if size == n:
        return np.asarray(_over(function, *batches))
    parts, coming = [], deque()
    for start in range(0, n, size):
        short = max(0, start + size - n)
        part = jax.tree.map(partial(_rows, start=start, size=size, short=short), batches)
        coming.append(_over(function, *part))
        if len(coming) > _AHEAD:
            parts.append(np.asarray(coming.popleft()))
    parts.extend(map(np.asarray, coming))
    return np.concatenate(parts)[:n]


def _rows(batch: Any, *, start: int, size: int, short: int) -> Any:
    """`size` rows; the last chunk repeats its last row, so that no second program is compiled."""
    rows = batch[start : start + size]
    return np.concatenate([rows, np.repeat(np.asarray(rows[-1:]), short, 0)]) if short else rows


def _over(function: Callable[..., Any], *batches: Any) -> Any:
    # eqx.filter_jit would do, and takes longer for itself than a small net for its answer
    tree, arrays, rest = _apart(function)
    return _program((tree, rest), arrays, batches)


def _apart(function: Callable[..., Any]) -> tuple[Any, list[Any], tuple[Any, ...]]:
    """A function as its tree, its arrays, and what else it holds."""
    leaves, tree = jax.tree.flatten(function)
    arrays = [leaf if eqx.is_array(leaf) else None for leaf in leaves]
    return tree, arrays, tuple(None if eqx.is_array(leaf) else leaf for leaf in leaves)


@partial(jax.jit, static_argnums=0)
def _program(static: tuple[Any, tuple[Any, ...]], arrays: list[Any], batches: Any) -> Any:
    tree, rest = static
    leaves = [b if a is None else a for a, b in zip(arrays, rest, strict=True)]
    return jax.vmap(jax.tree.unflatten(tree, leaves))(*batches)


def real(observations: np.ndarray) -> np.ndarray:
    """Floats as networks take them: float32."""
    if observations.dtype.kind == "f":
        return observations.astype(np.float32)
    return observations
