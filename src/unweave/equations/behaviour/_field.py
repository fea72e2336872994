"""What the analysis takes: plain functions of the state, checked once at the door."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

#: An autonomous field, state `(state,)` to rates `(state,)`.
Field: TypeAlias = Callable[[Array], Array]
#: A field with one parameter: `family(x, a)`.
Family: TypeAlias = Callable[[Array, Array], Array]
#: An end of a box: one number for each component of the state.
Corner: TypeAlias = Sequence[float | int] | np.ndarray | Float[Array, " state"]


def check_box(low: Corner, high: Corner) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of a box in float64 `(state,)`; raises `ValueError` if it is none."""
    a, b = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or a.size == 0:
        raise ValueError(
            f"the box has ends of shapes {a.shape} and {b.shape}; give one number for each "
            "component of the state at either end, such as [0, 0] and [100, 80]."
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all() and (a < b).all()):
        raise ValueError(
            f"the box from {a.tolist()} to {b.tolist()} is empty or not finite; give the lower "
            "end first, in every component."
        )
    return a, b


def check_field(field: Field, state: int) -> None:
    """Raises `ValueError` unless `field` takes `(state,)` to `(state,)` in float64."""
    with jax.enable_x64(True):
        out = jax.eval_shape(field, jax.ShapeDtypeStruct((state,), jnp.float64))
    check_rates(out, state)


def check_family(family: Family, state: int) -> None:
    """Raises `ValueError` unless `family` takes `(state,)` and a number to `(state,)`."""
    with jax.enable_x64(True):
        x = jax.ShapeDtypeStruct((state,), jnp.float64)
        out = jax.eval_shape(family, x, jax.ShapeDtypeStruct((), jnp.float64))
    check_rates(out, state)


def check_rates(out: object, state: int) -> None:
    """Raises `ValueError` unless `out` stands for `state` rates in float64."""
    if not isinstance(out, jax.ShapeDtypeStruct) or out.shape != (state,):
        shape = out.shape if isinstance(out, jax.ShapeDtypeStruct) else type(out).__name__
        raise ValueError(
            f"the field gives {shape} for a state of {state} numbers; return one array with "
            f"{state} rates, such as jnp.stack([...])."
        )
    if out.dtype != jnp.float64:
        raise ValueError(
            f"the field computes in {out.dtype}, and equilibria need float64; keep its "
            "constants as plain numbers or cast them to the dtype of the state."
        )


def spread_points(n: int, dimension: int) -> np.ndarray:
    r"""`n` points `(n, dimension)` that fill the unit cube evenly, the same each time.

    $p_k = (1/2 + k\alpha) \bmod 1$ with $\alpha_i = \phi^{-i}$ and $\phi$ the root of
    $\phi^{d+1} = \phi + 1$ (Roberts 2018, an additive recurrence).
    """
    phi = 2.0
    for _ in range(60):
        phi = (1 + phi) ** (1 / (dimension + 1))
    steps = phi ** -np.arange(1, dimension + 1)
    return (0.5 + np.arange(1, n + 1)[:, None] * steps) % 1.0


def small_inverse(m: Float[Array, "state state"]) -> Float[Array, "state state"]:
    """The inverse, up to two rows by its formula: many small factorisations are slow."""
    if m.shape[0] == 1:
        return 1 / m
    if m.shape[0] != 2:
        return jnp.linalg.inv(m)
    a, b, c, d = m[0, 0], m[0, 1], m[1, 0], m[1, 1]
    return jnp.stack([jnp.stack([d, -b]), jnp.stack([-c, a])]) / (a * d - b * c)
