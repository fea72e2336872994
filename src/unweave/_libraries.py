"""How code of other libraries is called."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax


@contextmanager
def default_promotion() -> Iterator[None]:
    """JAX's default promotion of dtypes and ranks, whatever the caller has set.

    unweave's own code runs with both forbidden; numpyro's Bernoulli and optax's step counts
    do not.
    """
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
