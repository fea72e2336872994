r"""Turning a model's latents and looking at what comes out.

Every function takes a capability of the protocol and many observations or latents at once. The
result is a NumPy array in the user's units: the work is compiled for one chunk of bounded size
and repeated, so neither ten thousand observations nor a long recording has to fit at once.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num, PRNGKeyArray, PyTree

from ._families import AbstractSplit
from ._many import many, numbers_of
from ._model import (
    AbstractDecoder,
    AbstractEncoder,
    AbstractSampler,
    Condition,
    require,
)

#: How many numbers a chunk of observations may hold (8 MB in float32), and how many rows.
CHUNK_NUMBERS = 2**21
CHUNK_ROWS = 512


def traverse(
    model: AbstractDecoder,
    *,
    around: Float[Array | np.ndarray, " latent"] | None = None,
    steps: int = 7,
    low: float = -3.0,
    high: float = 3.0,
    condition: Condition = None,
) -> Num[np.ndarray, "latent step ..."]:
    r"""What each latent does on its own: `(latent, step, *observation)`.

    Latent $i$ goes through $F_i^{-1}(\Phi(e))$ for `steps` standard normal scores $e$ from
    `low` to `high`, so one step means as much for the rate of an equation as for a network's
    z, while the others stay at `around` (without it, at the centre of their priors, $e = 0$).

    Raises `TypeError` if the model cannot decode, `ValueError` for a range or point that is
    none.
    """
    require(model, "decoder", tool="traverse")
    scores = _scores(steps, low, high)
    size = model.latents.size
    if around is None:
        centre = model.latents.from_normal(jnp.zeros(size))
    else:
        centre = _point(around, size, "around")
    walks = jax.vmap(model.latents.from_normal)(jnp.broadcast_to(scores[:, None], (steps, size)))
    turned = jnp.broadcast_to(jnp.eye(size, dtype=bool)[:, None, :], (size, steps, size))
    z = jnp.where(turned, walks[None, :, :], centre[None, None, :])
    x = _in_chunks(eqx.Partial(_decode, model, condition), z.reshape(size * steps, size))
    return x.reshape(size, steps, *x.shape[1:])


def interpolate(
    model: AbstractDecoder,
    z0: Float[Array | np.ndarray, " latent"],
    z1: Float[Array | np.ndarray, " latent"],
    *,
    steps: int = 7,
    condition: Condition = None,
) -> Num[np.ndarray, "step ..."]:
    r"""Observations along the straight line $(1 - t) z_0 + t z_1$, both ends included.

    Raises `TypeError` if the model cannot decode, `ValueError` for a point that does not fit.
    """
    require(model, "decoder", tool="interpolate")
    start = _point(z0, model.latents.size, "z0")
    end = _point(z1, model.latents.size, "z1")
    t = _scores(steps, 0.0, 1.0)[:, None]
    z = (1 - t) * start[None, :] + t * end[None, :]
    return _in_chunks(eqx.Partial(_decode, model, condition), z)


def interpolate_spherically(
    model: AbstractDecoder,
    z0: Float[Array | np.ndarray, " latent"],
    z1: Float[Array | np.ndarray, " latent"],
    *,
    steps: int = 7,
    condition: Condition = None,
) -> Num[np.ndarray, "step ..."]:
    r"""Observations along the arc from $z_0$ to $z_1$, for standard normal latents.

    $z(t) = \frac{\sin((1 - t)\omega)}{\sin\omega} z_0 + \frac{\sin(t\omega)}{\sin\omega} z_1$
    with $\omega$ the angle between them (White, 2016, arXiv:1609.04468, section 2.1). In many
    dimensions almost all of a normal's mass lies on a shell, which a straight line leaves.

    Raises `TypeError` if the model cannot decode; `ValueError` if the priors are not standard
    normal, or if the two points have no single arc between them.
    """
    require(model, "decoder", tool="interpolate_spherically")
    if not model.latents.are_standard:
        raise ValueError(
            "an arc is meant for standard normal latents, and this model has other priors; "
            "use interpolate."
        )
    start = _point(z0, model.latents.size, "z0")
    end = _point(z1, model.latents.size, "z1")
    angle = _angle(start, end)
    t = _scores(steps, 0.0, 1.0)[:, None]
    if angle < 1e-3:
        # the arc is the line to within float32, and sin(angle) divides badly
        first, second = 1 - t, t
    else:
        first = jnp.sin((1 - t) * angle) / np.sin(angle)
        second = jnp.sin(t * angle) / np.sin(angle)
    z = first * start[None, :] + second * end[None, :]
    return _in_chunks(eqx.Partial(_decode, model, condition), z)


def decode(
    model: AbstractDecoder,
    zs: Float[Array | np.ndarray, "n latent"],
    *,
    condition: Condition = None,
) -> Num[np.ndarray, "n ..."]:
    r"""The observations that latents stand for, $\mathbb{E}[x \mid z]$: `(n, *observation)`.

    `condition` holds for all of them. Raises `TypeError` if the model cannot decode, `ValueError`
    for latents that do not fit it.
    """
    require(model, "decoder", tool="decode")
    # not an array of JAX's: an equation takes all of float64
    z = np.asarray(zs, np.float64)
    size = model.latents.size
    if z.ndim != 2 or z.shape[1] != size or not len(z):
        raise ValueError(
            f"latents of shape {z.shape} were given to a model with {size}; give (n, {size}), one "
            "row for each observation."
        )
    if not np.isfinite(z).all():
        raise ValueError("a latent is not finite; give finite numbers.")
    return _in_chunks(eqx.Partial(_decode, model, condition), z)


def codes(
    model: AbstractEncoder,
    xs: Num[Array | np.ndarray, "n ..."],
    *,
    conditions: PyTree = None,
) -> Float[np.ndarray, "n latent"]:
    """The model's best estimate of the latents of each observation: `(n, latent)`.

    `conditions` is a tree of arrays with one row per observation. Raises `TypeError` if the
    model cannot encode.
    """
    require(model, "encoder", tool="codes")
    return _each(model.encode, xs, conditions)


def reconstruct(
    model: Any,
    xs: Num[Array | np.ndarray, "n ..."],
    *,
    conditions: PyTree = None,
) -> Num[np.ndarray, "n ..."]:
    r"""Each observation encoded and decoded, $\mathbb{E}[x \mid \hat z(x)]$, shaped as `xs`.

    `conditions` is a tree of arrays with one row per observation. Raises `TypeError` if the
    model cannot encode or cannot decode.
    """
    require(model, "encoder", "decoder", tool="reconstruct")
    # two programs, of which each serves elsewhere too: to fit an equation takes long to compile
    z = _each(model.encode, xs, conditions)
    return _in_chunks(model.decode, z, conditions)


def draw(
    model: AbstractSampler,
    n: int,
    *,
    condition: Condition = None,
    conditions: PyTree = None,
    noise: bool = True,
    key: PRNGKeyArray,
) -> Num[np.ndarray, "n ..."]:
    """`n` observations drawn from the model: `(n, *observation)`.

    `condition` holds for all draws; or `conditions` is a tree of arrays with one row for each,
    such as the `conditions` of a dataset, from whose first row it begins anew where there are
    fewer. With `noise=False` the observation noise is left out, and the same key draws the same
    latents. Raises `TypeError` if the model cannot sample, or without noise cannot decode.
    """
    require(model, "sampler" if noise else "decoder", tool="draw")
    if n < 1:
        raise ValueError(f"{n} samples were asked for; ask for at least one.")
    if condition is not None and conditions is not None:
        raise ValueError("both a condition and conditions were given; give one of them.")
    keys = jax.random.split(key, n)
    function = _sample if noise else _expect
    one = eqx.Partial(_with_key, function, model, condition, str(jax.random.key_impl(keys)))
    rows = jax.tree.map(lambda part: np.resize(part, (n, *part.shape[1:])), conditions)
    return _in_chunks(one, np.asarray(jax.random.key_data(keys)), rows)


# What is done to one row. The model comes first and is an argument of the compiled program.


def _decode(model: AbstractDecoder, condition: Condition, z: Array) -> Array:
    return model.decode(z, condition)


def _sample(model: AbstractSampler, condition: Condition, key: PRNGKeyArray) -> Array:
    return model.sample(key, condition)


def _expect(model: AbstractDecoder, condition: Condition, key: PRNGKeyArray) -> Array:
    latent_key, _ = jax.random.split(key)  # as AbstractDecoder.sample splits it
    return model.decode(model.latents.sample(latent_key), condition)


def _with_key(
    function: Callable[..., Array],
    model: Any,
    condition: Condition,
    kind: str,
    data: Array,
    own: Condition,
) -> Array:
    key = jax.random.wrap_key_data(data, impl=kind)
    return function(model, condition if own is None else own, key)


def swap(
    model: AbstractSplit,
    content_of: Array | np.ndarray,
    style_of: Array | np.ndarray,
) -> np.ndarray:
    r"""Observations `(n, *observation)` with the content of the first and the style of the second
    of each pair, in the user's units: $\mathbb{E}[x \mid c(x_1), s(x_2)]$.

    **Arguments:** `content_of` and `style_of`, `(n, *observation)` each.

    **Raises:** `TypeError` for a model whose latents are not parted so, `ValueError` for other
    numbers of observations.
    """
    if not isinstance(model, AbstractSplit):
        raise TypeError(
            f"swap needs a model with content and style, and {type(model).__name__} has latents of "
            "one kind; fit the recipe content-style."
        )
    if len(content_of) != len(style_of):
        raise ValueError(
            f"{len(content_of)} observations were given for the content and {len(style_of)} for "
            "the style; give as many of both."
        )
    styles = jnp.asarray(np.asarray(style_of, dtype=jax.dtypes.canonicalize_dtype(float)))
    return _each(eqx.Partial(_swapped, model), content_of, styles)


def _swapped(model: AbstractSplit, x: Array, other: Array) -> Array:
    z = jnp.concatenate([model.encode(x)[: model.content], model.encode(other)[model.content :]])
    return model.decode(z)


def _each(function: Callable[..., Array], xs: Array | np.ndarray, conditions: PyTree) -> np.ndarray:
    """`function` of each observation with its own condition."""
    # the pixels of an image are integers until here
    xs = np.asarray(xs, dtype=jax.dtypes.canonicalize_dtype(float))
    if any(len(leaf) != len(xs) for leaf in jax.tree.leaves(conditions)):
        raise ValueError(f"there are {len(xs)} observations; give as many conditions.")
    if len(xs) == 0:
        raise ValueError("no observation was given; give at least one.")
    return _in_chunks(function, xs, conditions)


def _in_chunks(one: Callable[..., Array], *rows: PyTree) -> np.ndarray:
    """`one` of each row, in chunks of which neither side exceeds `CHUNK_NUMBERS`."""
    if len(rows[0]) == 1:
        return many(one, *rows, chunk=1)
    widest = numbers_of(one, *jax.tree.map(lambda row: row[:1], rows))
    return many(one, *rows, chunk=max(1, min(CHUNK_ROWS, CHUNK_NUMBERS // max(widest, 1))))


def _scores(steps: int, low: float, high: float) -> Float[Array, " step"]:
    if steps < 2:
        raise ValueError(f"{steps} steps make no walk; ask for at least 2.")
    if not low < high:
        raise ValueError(f"a walk from {low:g} to {high:g} goes nowhere; low must be below high.")
    return jnp.linspace(low, high, steps)


def _point(z: Array | np.ndarray, size: int, name: str) -> Float[Array, " latent"]:
    point = jnp.asarray(z, dtype=float)
    if point.shape != (size,):
        raise ValueError(
            f"{name} has shape {point.shape}, and this model has {size} latents; "
            f"give an array of shape ({size},)."
        )
    if not bool(jnp.isfinite(point).all()):
        raise ValueError(f"{name} holds numbers that are not finite; give a finite point.")
    return point


def _angle(start: Array, end: Array) -> float:
    lengths = float(jnp.linalg.norm(start) * jnp.linalg.norm(end))
    if lengths == 0:
        raise ValueError("the origin has no direction to turn from; use interpolate.")
    angle = float(np.arccos(np.clip(float(start @ end) / lengths, -1.0, 1.0)))
    if angle > np.pi - 1e-3:
        raise ValueError("the two points are opposite: many arcs join them; use interpolate.")
    return angle
