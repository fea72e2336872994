"""Latents that are choices: a real latent of which the whole part is read."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..._latents import Latents, uniform


def choice_latents(names: Sequence[str], sizes: Sequence[int]) -> Latents:
    """Latents that choose among `sizes` values each: uniform from 0 to the number of values.

    **Raises:** `ValueError` for a choice among fewer than two.
    """
    for name, size in zip(names, sizes, strict=True):
        if size < 2:
            raise ValueError(
                f"'{name}' is a choice among {size}; there is nothing to choose below 2."
            )
    return Latents(
        tuple(names), ("",) * len(names), tuple(uniform(0.0, float(size)) for size in sizes)
    )


def whole(z: Float[Array, " choice"], sizes: tuple[int, ...]) -> Int[Array, " choice"]:
    """Which value each latent stands for: its whole part, within what there is."""
    most = jnp.asarray(np.asarray(sizes, np.int32) - 1)
    return jnp.clip(jnp.floor(z).astype(jnp.int32), 0, most)


def middle(which: Int[Array, " choice"]) -> Float[Array, " choice"]:
    """The latent in the middle of each value's interval, k + 1/2."""
    return which.astype(jnp.float32) + 0.5
