"""Numbers as nets take them."""

import jax.numpy as jnp

from .._model import Observation


def real(x: Observation) -> Observation:
    """Floats as they are, whole numbers (the bytes of a picture) as float32."""
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
