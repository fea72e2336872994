r"""Layers whose matrices are divided by their largest singular value."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# power iterations at the start; afterwards one a step, which follows weights that move slowly
_FIRST = 30


class Spectral(eqx.Module):
    r"""A layer or net with every weight $W$ replaced by $W / \sigma(W)$, so that each layer
    stretches no direction (Miyato et al. 2018, equation 8).

    $\sigma$ is estimated by power iteration, $v \leftarrow W^\top u / \|\cdot\|$, $u \leftarrow W v
    / \|\cdot\|$, $\sigma = u^\top W v$; a kernel counts as the matrix from inputs to outputs.

    **Arguments:** `layer`, whose weights have the outputs first, as all of this package's do.
    **Fields:** `directions`, the present $u$ of each; `refreshed` moves them.
    """

    layer: Any
    directions: tuple[Float[Array, " out"], ...]

    def __init__(self, layer: Any):
        matrices = [w for w in jax.tree.leaves(layer) if _is_matrix(w)]
        if not matrices:
            raise ValueError(
                f"{type(layer).__name__} has no weight matrix to normalise; wrap a layer that has."
            )
        self.layer = layer
        start = [np.random.default_rng(0).standard_normal(len(w)) for w in matrices]
        self.directions = tuple(
            _iterate(w, jnp.asarray(u, w.dtype), _FIRST)
            for w, u in zip(matrices, start, strict=True)
        )

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The output of the normalised layer for one `x`."""
        return self.normalised()(x)

    def normalised(self) -> Any:
        """The layer with its weights divided."""
        moving = iter(jax.lax.stop_gradient(self.directions))

        def divided(leaf: Any) -> Any:
            if not _is_matrix(leaf):
                return leaf
            flat, u = leaf.reshape(len(leaf), -1), next(moving)
            v = jax.lax.stop_gradient(_unit(flat.T @ u))
            return leaf / jnp.broadcast_to(u @ flat @ v, leaf.shape)

        return jax.tree.map(divided, self.layer)

    def refreshed(self) -> "Spectral":
        """The same layer after one more power iteration."""
        matrices = [w for w in jax.tree.leaves(self.layer) if _is_matrix(w)]
        directions = tuple(
            _iterate(w, u, 1) for w, u in zip(matrices, self.directions, strict=True)
        )
        return eqx.tree_at(lambda layer: layer.directions, self, directions)


def refresh_spectra(net: Any) -> Any:
    """Every `Spectral` layer of a net after one more power iteration: what training does after
    each step."""

    def one(part: Any) -> Any:
        return part.refreshed() if isinstance(part, Spectral) else part

    return jax.tree.map(one, net, is_leaf=lambda part: isinstance(part, Spectral))


def _is_matrix(leaf: Any) -> bool:
    return eqx.is_inexact_array(leaf) and leaf.ndim >= 2


def _iterate(weight: Array, u: Array, times: int) -> Array:
    flat = weight.reshape(len(weight), -1)
    for _ in range(times):
        u = _unit(flat @ _unit(flat.T @ u))
    return u


def _unit(v: Array) -> Array:
    return v / jnp.maximum(jnp.linalg.norm(v), 1e-12)
