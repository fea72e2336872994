r"""Convolutions as matrix products, for one observation with its channels last.

A kernel of size $k$ at stride $s$ reads $\lceil k / s \rceil$ neighbouring blocks of $s$
samples. So the samples of a block become channels, and a convolution is one matrix product
together with a walk over few neighbours: either the neighbours are gathered before the product
or its results are added up after it, whichever makes the smaller array. The product is a
single large one under `jax.vmap`, its gradients are products too, and all of it runs as fast
inside `jax.lax.scan` as outside, which XLA's own convolution on a CPU does not.

The walk goes along one axis after the other and is written with slices alone, so that forward
and reverse differentiation both work.
"""

import math
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray


class Conv(eqx.Module):
    r"""A convolution, $y_b = c + \sum_i W_i\, x_{s b + i - p}$, zeros outside.

    The output has $\lfloor (n + 2 p - k) / s \rfloor + 1$ samples along an axis of $n$.

    **Fields:** `weight` `(out, *kernel, in)`, `bias` `(out,)`; `stride` $s$ and `padding` $p$,
    one number for each axis.
    """

    weight: Float[Array, "channel_out *kernel channel_in"]
    bias: Float[Array, " channel_out"]
    stride: tuple[int, ...] = eqx.field(static=True)
    padding: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        dims: int,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 4,
        stride: int = 2,
        padding: int = 1,
        key: PRNGKeyArray,
    ):
        r"""Draws uniform weights within $1 / \sqrt{k^d\, \mathrm{in}}$, as PyTorch does.

        **Arguments:** `dims`, 1 for a series and 2 for an image; `kernel`, `stride` and
        `padding`, the same along every axis.
        """
        sizes = {"in_channels": in_channels, "out_channels": out_channels}
        _check(dims=dims, kernel=kernel, stride=stride, padding=padding, **sizes)
        shape = (out_channels, *(kernel,) * dims, in_channels)
        self.weight, self.bias = _draw(key, shape, fan_in=kernel**dims * in_channels)
        self.stride = (stride,) * dims
        self.padding = (padding,) * dims

    def __call__(self, x: Float[Array, "*size channel_in"]) -> Float[Array, "*new channel_out"]:
        """Convolves one observation `(*size, in)` to `(*size, out)`."""
        sizes, kernel = x.shape[:-1], self.weight.shape[1:-1]
        windows = zip(sizes, kernel, self.stride, self.padding, strict=True)
        outputs = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in windows)
        if min(outputs) < 1:
            raise ValueError(
                f"an observation of size {sizes} is too small for a kernel of {kernel} with "
                f"padding {self.padding}; use a smaller kernel or more padding."
            )
        taps, weight = _split_kernel(self.weight, self.stride)
        lengths = [(b + t - 1) * s for b, t, s in zip(outputs, taps, self.stride, strict=True)]
        blocks = _space_to_depth(_window(x, [-p for p in self.padding], lengths), self.stride)
        if weight[0].size <= blocks.shape[-1] + math.prod(taps) * len(weight):
            y = _gather_product(blocks, weight, taps)
        else:
            y = _product_overlap(blocks, weight, taps)
        return y + jnp.broadcast_to(self.bias, y.shape)


class ConvTranspose(eqx.Module):
    r"""A transposed convolution, $y_{s a + i - p} \mathrel{+}= W_i\, x_a$, plus a bias.

    The output has $(n - 1) s - 2 p + k + o$ samples along an axis of $n$; the output padding
    $o$ tells apart the sizes that a convolution of the same stride brings to one $n$.

    **Fields:** `weight` `(out, *kernel, in)`, `bias` `(out,)`; `stride` $s$, `padding` $p$ and
    `output_padding` $o$, one number for each axis.
    """

    weight: Float[Array, "channel_out *kernel channel_in"]
    bias: Float[Array, " channel_out"]
    stride: tuple[int, ...] = eqx.field(static=True)
    padding: tuple[int, ...] = eqx.field(static=True)
    output_padding: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        dims: int,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 4,
        stride: int = 2,
        padding: int = 1,
        output_padding: tuple[int, ...] | None = None,
        key: PRNGKeyArray,
    ):
        r"""Draws uniform weights within $1 / \sqrt{k^d\, \mathrm{out}}$, as PyTorch does.

        **Arguments:** `dims`, 1 for a series and 2 for an image; `kernel`, `stride` and
        `padding`, the same along every axis; `output_padding`, one number for each axis, each
        less than the stride.
        """
        sizes = {"in_channels": in_channels, "out_channels": out_channels}
        _check(dims=dims, kernel=kernel, stride=stride, padding=padding, **sizes)
        extra = (0,) * dims if output_padding is None else output_padding
        if len(extra) != dims or not all(0 <= o < stride for o in extra):
            raise ValueError(
                f"the output padding is {extra}; give {dims} numbers from 0 to {stride - 1}."
            )
        shape = (out_channels, *(kernel,) * dims, in_channels)
        self.weight, self.bias = _draw(key, shape, fan_in=kernel**dims * out_channels)
        self.stride = (stride,) * dims
        self.padding = (padding,) * dims
        self.output_padding = extra

    def __call__(self, x: Float[Array, "*size channel_in"]) -> Float[Array, "*new channel_out"]:
        """Spreads one observation `(*size, in)` to `(*size, out)`."""
        sizes, kernel = x.shape[:-1], self.weight.shape[1:-1]
        windows = zip(sizes, kernel, self.stride, self.padding, self.output_padding, strict=True)
        outputs = [(n - 1) * s - 2 * p + k + o for n, k, s, p, o in windows]
        if min(outputs) < 1:
            raise ValueError(
                f"padding {self.padding} leaves nothing of an observation of size {sizes} "
                f"under a kernel of {kernel}; use less padding or a larger kernel."
            )
        taps, weight = _split_kernel(self.weight, self.stride)
        # block b of the output is the sum of tap t of block b - t: taps run backwards
        weight = jnp.flip(weight, range(1, 1 + len(taps)))
        dims = len(taps)
        order = (*range(1 + dims, 1 + 2 * dims), 0, *range(1, 1 + dims), 1 + 2 * dims)
        weight = weight.transpose(order)
        weight = weight.reshape(-1, *taps, *(1,) * dims, x.shape[-1])
        spread = [n + 2 * (t - 1) for n, t in zip(sizes, taps, strict=True)]
        blocks = _window(x, [1 - t for t in taps], spread)
        if math.prod(taps) * len(weight) <= math.prod(taps) * x.shape[-1] + len(weight):
            y = _product_overlap(blocks, weight, taps)
        else:
            y = _gather_product(blocks, weight, taps)
        y = _window(_depth_to_space(y, self.stride), self.padding, outputs)
        return y + jnp.broadcast_to(self.bias, y.shape)


def _check(*, padding: int, **sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} of a convolution is {size}; it must be at least 1.")
    if padding < 0:
        raise ValueError(f"padding of a convolution is {padding}; it must be at least 0.")


@partial(jax.jit, static_argnames=("shape", "fan_in"))
def _draw(key: PRNGKeyArray, shape: tuple[int, ...], *, fan_in: int) -> tuple[Array, Array]:
    """A weight of this shape and a bias for its first axis, uniform within 1 / √fan_in."""
    bound = 1 / math.sqrt(fan_in)
    weight_key, bias_key = jax.random.split(key)
    weight = jax.random.uniform(weight_key, shape, jnp.float32, -bound, bound)
    return weight, jax.random.uniform(bias_key, shape[:1], jnp.float32, -bound, bound)


def _split_kernel(weight: Array, stride: tuple[int, ...]) -> tuple[tuple[int, ...], Array]:
    """Cuts the kernel into blocks of one stride: `(out, *taps, *stride, in)`, and the taps."""
    kernel, dims = weight.shape[1:-1], len(stride)
    taps = tuple(-(-k // s) for k, s in zip(kernel, stride, strict=True))
    lengths = [t * s for t, s in zip(taps, stride, strict=True)]
    # zeros where the stride does not divide the kernel
    rest = [(0, length - k) for length, k in zip(lengths, kernel, strict=True)]
    weight = jnp.pad(weight, [(0, 0), *rest, (0, 0)])
    pairs = [n for pair in zip(taps, stride, strict=True) for n in pair]
    weight = weight.reshape(len(weight), *pairs, weight.shape[-1])
    order = (0, *range(1, 2 * dims, 2), *range(2, 2 * dims + 1, 2), 2 * dims + 1)
    return taps, weight.transpose(order)


def _window(x: Array, starts: list[int] | tuple[int, ...], lengths: list[int]) -> Array:
    """The samples from `starts` on, `lengths` of them: crops inside `x`, zeros outside."""
    edges = [
        (-start, start + length - n, 0)
        for start, length, n in zip(starts, lengths, x.shape[:-1], strict=True)
    ]
    return lax.pad(x, jnp.zeros((), x.dtype), [*edges, (0, 0, 0)])


def _space_to_depth(x: Array, stride: tuple[int, ...]) -> Array:
    """Blocks of one stride become channels: `(n s, m s, c)` to `(n, m, s s c)`."""
    dims = len(stride)
    counts = [n // s for n, s in zip(x.shape[:-1], stride, strict=True)]
    pairs = [n for pair in zip(counts, stride, strict=True) for n in pair]
    order = (*range(0, 2 * dims, 2), *range(1, 2 * dims, 2), 2 * dims)
    return x.reshape(*pairs, x.shape[-1]).transpose(order).reshape(*counts, -1)


def _depth_to_space(x: Array, stride: tuple[int, ...]) -> Array:
    """The inverse of `_space_to_depth`."""
    dims = len(stride)
    order = (*(i for axis in range(dims) for i in (axis, dims + axis)), 2 * dims)
    sizes = [n * s for n, s in zip(x.shape[:-1], stride, strict=True)]
    x = x.reshape(*x.shape[:-1], *stride, x.shape[-1] // math.prod(stride))
    return x.transpose(order).reshape(*sizes, -1)


def _gather_product(x: Array, weight: Array, taps: tuple[int, ...]) -> Array:
    """Gathers the neighbours of each block, then multiplies by `(out, *taps, ...)`."""
    for axis, count in enumerate(taps):
        length = x.shape[axis] - count + 1
        parts = [lax.slice_in_dim(x, t, t + length, axis=axis) for t in range(count)]
        x = jnp.stack(parts, axis=len(taps)).reshape(*parts[0].shape[:-1], -1)
    # the last axis was gathered last, so its taps vary slowest
    dims = len(taps)
    order = (0, *range(dims, 0, -1), *range(dims + 1, weight.ndim))
    return _product(x, weight.transpose(order).reshape(len(weight), -1))


def _product_overlap(x: Array, weight: Array, taps: tuple[int, ...]) -> Array:
    """Multiplies each block by `(out, *taps, ...)`, then adds up what falls on one place."""
    dims = len(taps)
    order = (*range(1, dims + 1), 0, *range(dims + 1, weight.ndim))
    y = _product(x, weight.transpose(order).reshape(math.prod(taps) * len(weight), -1))
    for axis, count in enumerate(taps):
        length = y.shape[axis] - count + 1
        y = y.reshape(*y.shape[:dims], count, -1)
        parts = [lax.slice_in_dim(y[..., t, :], t, t + length, axis=axis) for t in range(count)]
        y = sum(parts[1:], start=parts[0])
    return y


def _product(x: Array, weight: Array) -> Array:
    """Channels times `(out, in)`: rows by rows, the order in which XLA need not transpose."""
    return lax.dot_general(x, weight, (((x.ndim - 1,), (1,)), ((), ())))
