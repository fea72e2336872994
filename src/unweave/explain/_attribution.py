"""What every attribution is, and how a target is asked about many observations at once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._many import many, precision
from .._model import Condition, Key, Scalar
from ..targets import Target

#: How many numbers the inputs of one call of a compiled program may hold (8 MB in float32).
CHUNK_NUMBERS = 2**21
#: A completeness error is not looked for below this share of the target itself, its rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Attribution:
    r"""What each entry of each of some inputs has to do with a target.

    `values` `(n, *input)`, 0 where nothing was observed. Of `contributions` they are in the
    target's `unit`, and their sum is to be $f(x) - f(b)$, `output` less `at_baseline`; else they
    are slopes, in that unit for one unit of the input. `x` are the inputs, `baseline` $b$ what an
    entry is compared with, None where there is none. `evaluations` counts how often the target, or
    its gradient, was asked for one input, on average; `drawn` says whether chance had a part.
    `reference` is `at_baseline`, or what gives it, for then it is asked for when it is needed.
    """

    method: str
    target: str
    unit: str
    values: np.ndarray
    x: np.ndarray
    output: np.ndarray
    contributions: bool
    evaluations: float
    baseline: np.ndarray | None = None
    reference: np.ndarray | Callable[[], np.ndarray] | None = None
    drawn: bool = False

    @cached_property
    def at_baseline(self) -> np.ndarray | None:
        """The target at the baseline of each input `(n,)`; None for slopes that have none."""
        return self.reference() if callable(self.reference) else self.reference

    @property
    def completeness(self) -> np.ndarray:
        r"""$|\sum_i a_i - (f(x) - f(b))| / |f(x) - f(b)|$ of each input `(n,)` (the axiom of
        Sundararajan et al. 2017, section 3); NaN for slopes, which promise nothing of the kind."""
        if not self.contributions or self.at_baseline is None:
            return np.full(len(self.values), np.nan)
        total = self.values.reshape(len(self.values), -1).sum(1, dtype=np.float64)
        gap = self.output.astype(np.float64) - self.at_baseline
        return np.abs(total - gap) / resolved(gap, self.output, self.at_baseline)

    @property
    def ranking(self) -> np.ndarray:
        r"""What orders the entries `(n, *input)`, the most telling first: contributions towards
        $f(x) - f(b)$ with their sign, slopes by their size."""
        if not self.contributions or self.at_baseline is None:
            return np.abs(self.values)
        way = np.where(self.output >= self.at_baseline, 1.0, -1.0)
        return self.values * way.reshape(-1, *(1,) * (self.values.ndim - 1))


#: An attribution: a target, inputs `(n, *input)`, and by keyword `conditions` and `key`.
Method: TypeAlias = Callable[..., Attribution]


def resolved(gap: np.ndarray, *levels: np.ndarray) -> np.ndarray:
    """The size of a difference, but no less than what rounding leaves of its two `levels`."""
    floor = _ROUNDING * np.max([np.abs(level) for level in levels], axis=0)
    return np.maximum(np.abs(gap), np.maximum(floor, np.finfo(np.float32).tiny))


def inputs(target: Target, x: np.ndarray | Array) -> np.ndarray:
    """The inputs `(n, *input)` as floats of the target's precision.

    Raises `ValueError` where there is none, or where they have no axis of their own.
    """
    x = np.asarray(x)
    if x.ndim < 2 or not len(x):
        raise ValueError(
            f"inputs of shape {x.shape} were given; give (n, *observation) with at least one row, "
            "of a single observation x[None]."
        )
    if x.dtype.kind not in "fiub":
        raise ValueError(f"inputs of type {x.dtype} are no numbers.")
    with precision(target) as double:
        return x.astype(np.float64 if double else np.float32)


def like(x: np.ndarray, baseline: np.ndarray | Array | float | None) -> np.ndarray:
    """A baseline for each input: zeros where None, one for all, or one for each.

    Raises `ValueError` where its shape fits no input, or where it holds a NaN.
    """
    given = np.asarray(0.0 if baseline is None else baseline).astype(x.dtype)
    if given.ndim and given.shape not in (x.shape, x.shape[1:]):
        raise ValueError(
            f"a baseline of shape {given.shape} fits no input of shape {x.shape[1:]}; give one "
            "number, one observation, or one for each input."
        )
    if np.isnan(given).any():
        raise ValueError("the baseline has NaN in it; give the mean of each entry, or zeros.")
    return np.broadcast_to(given, x.shape)


def hidden(base: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The baseline with what was not observed in `x` not observed either."""
    return np.where(np.isnan(x), np.nan, base).astype(x.dtype)


def values_of(target: Target, x: np.ndarray, conditions: Any = None) -> np.ndarray:
    """The target at each row `(n,)`, float64."""
    return over_rows(target, x, conditions).astype(np.float64)


def over_rows(function: Callable, x: np.ndarray, *others: Any) -> np.ndarray:
    """`function` of each row, in chunks of bounded memory; the programs are kept."""
    return many(function, x, *others, chunk=rows_of(x))


def in_buckets(
    function: Callable, x: np.ndarray, *others: Any, chunk: int = CHUNK_NUMBERS
) -> np.ndarray:
    """`function` of each row, where the number of rows changes from call to call: the last row is
    repeated up to a power of two, so that few programs are compiled."""
    n, chunk = len(x), 2 ** int(np.log2(min(chunk, most_rows(x))))
    size = min(2 ** int(np.ceil(np.log2(n))), -(-n // chunk) * chunk)
    row = np.minimum(np.arange(size), n - 1)
    return many(function, *(taken(part, row) for part in (x, *others)), chunk=chunk)[:n]


def taken(tree: Any, row: np.ndarray) -> Any:
    """These rows of every array."""
    return jax.tree.map(lambda part: np.asarray(part)[row], tree)


def key_rows(key: Key | None, n: int) -> np.ndarray:
    """A key for each of `n` rows as plain numbers, from `key`, or where None from the key 0."""
    keys = jax.random.split(jax.random.key(0) if key is None else key, n)
    return np.asarray(jax.random.key_data(keys))


def rows_of(x: np.ndarray, times: int = 1) -> int:
    """How many rows a chunk has, of which each is worked on `times` times at once."""
    return even(len(x), most_rows(x, times))


def even(n: int, most: int) -> int:
    """How many of `n` rows a chunk has where it may have `most`: all chunks the same, so that none
    is padded."""
    return -(-n // -(-n // most))


def most_rows(x: np.ndarray, times: int = 1) -> int:
    """How many rows a chunk may have."""
    return max(1, min(256, CHUNK_NUMBERS // max(1, times * int(np.prod(x.shape[1:])))))


def seen(value: Array, x: Array) -> Array:
    """`value` where `x` was observed, NaN elsewhere; no gradient comes back from there."""
    return jnp.where(jnp.isnan(x), jnp.nan, value)


def slope(target: Target, x: Array, condition: Condition) -> Array:
    r"""$\nabla f$ at one input, 0 where nothing was observed."""
    return jax.grad(at_known(target, x, condition))(known(x))


def values_and_baseline(
    target: Target, x: np.ndarray, base: np.ndarray, conditions: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """The target at each row and at its baseline, both `(n,)`, float64."""
    if not _is_shared(base, x, conditions):
        return values_of(target, x, conditions), at_baseline(target, x, base, conditions)
    values = values_of(target, np.concatenate([x, base[:1]]))
    return values[:-1], np.repeat(values[-1:], len(x))


def at_baseline(
    target: Target, x: np.ndarray, base: np.ndarray, conditions: Any = None
) -> np.ndarray:
    """The target at the baseline of each row `(n,)`, float64."""
    if _is_shared(base, x, conditions):
        return np.repeat(values_of(target, base[:1]), len(x))
    return values_of(target, hidden(base, x), conditions)


def _is_shared(base: np.ndarray, x: np.ndarray, conditions: Any) -> bool:
    """Whether the target is the same number at the baselines of all rows, so that it is asked for
    once."""
    return conditions is None and base.strides[0] == 0 and not np.isnan(x).any()


def values_and_slopes(
    target: Target, x: np.ndarray, conditions: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """The target at each row `(n,)`, float64, and its gradients `(n, *input)`."""
    rows = over_rows(jax.tree_util.Partial(_value_and_slope, target), x, conditions)
    return rows[:, 0].astype(np.float64), rows[:, 1:].reshape(x.shape)


def _value_and_slope(target: Target, x: Array, condition: Condition) -> Array:
    """Both in one row of numbers, so that one program gives them."""
    value, slope = jax.value_and_grad(at_known(target, x, condition))(known(x))
    return jnp.concatenate([value.astype(slope.dtype)[None], slope.reshape(-1)])


def at_known(target: Target, x: Array, condition: Condition) -> Callable[[Array], Scalar]:
    """The target as a function of what was observed."""
    return lambda known: target(seen(known, x), condition)


def known(x: Array) -> Array:
    """One input with 0 where nothing was observed."""
    return jnp.where(jnp.isnan(x), 0, x)


def filled(x: np.ndarray) -> np.ndarray:
    """The inputs with 0 where nothing was observed, for arithmetic with an attribution of 0."""
    return np.where(np.isnan(x), 0, x)
