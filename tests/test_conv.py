"""Convolutions and the nets made of them, against XLA's, Equinox's and a plain sum."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unweave.networks import Conv, ConvTranspose, conv_decoder, conv_encoder

# kernel, stride, padding, then channels in and out: more channels in than out, and fewer, take
# different orders of product and sum; then the size of an observation
CASES = [
    ((4, 2, 1), (1, 8), (8, 8)),
    ((4, 2, 1), (8, 1), (9, 12)),
    ((4, 2, 1), (4, 4), (16,)),
    ((3, 1, 1), (4, 4), (7, 8)),
    ((3, 1, 1), (8, 1), (9,)),
    ((3, 2, 1), (3, 4), (9,)),
    ((5, 3, 0), (3, 4), (11,)),
    ((2, 3, 1), (4, 4), (8,)),
    ((4, 2, 3), (4, 4), (9,)),
    ((1, 1, 0), (2, 3), (5,)),
]


def _normal(seed: int, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def _with_bias(y: jax.Array, bias: jax.Array) -> jax.Array:
    return y + jnp.broadcast_to(bias, y.shape)


def _layout(dims: int) -> tuple[str, str, str]:
    space = "HW"[:dims]
    return f"N{space}C", f"O{space}I", f"N{space}C"


def _lax_conv(layer: Conv, x: jax.Array) -> jax.Array:
    dims = len(layer.stride)
    y = jax.lax.conv_general_dilated(
        x[None],
        layer.weight,
        layer.stride,
        [(p, p) for p in layer.padding],
        dimension_numbers=_layout(dims),
        precision="highest",
    )
    return _with_bias(y[0], layer.bias)


def _lax_transpose(layer: ConvTranspose, x: jax.Array) -> jax.Array:
    dims = len(layer.stride)
    kernel = layer.weight.shape[1:-1]
    edges = [
        (k - 1 - p, k - 1 - p + o)
        for k, p, o in zip(kernel, layer.padding, layer.output_padding, strict=True)
    ]
    y = jax.lax.conv_transpose(
        x[None],
        jnp.flip(layer.weight, range(1, 1 + dims)),
        layer.stride,
        edges,
        dimension_numbers=_layout(dims),
        precision="highest",
    )
    return _with_bias(y[0], layer.bias)


def _agree(layer, oracle, x: jax.Array) -> None:
    """Value, gradients and directional derivative of `layer` are those of `oracle`."""
    target = _normal(9, jax.eval_shape(oracle, layer, x).shape)
    tangent = _normal(8, x.shape)

    def all_of(function, layer, x):
        def loss(layer, x):
            y = jax.vmap(function, (None, 0))(layer, jnp.stack([x, 2 * x]))
            return (y * target[None]).sum()

        derivative = jax.jvp(lambda x: function(layer, x), (x,), (tangent,))[1]
        return function(layer, x), derivative, jax.grad(loss, (0, 1))(layer, x)

    ours = eqx.filter_jit(all_of)(lambda layer, x: layer(x), layer, x)
    theirs = eqx.filter_jit(all_of)(oracle, layer, x)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(("window", "channels", "size"), CASES)
def test_conv_is_the_convolution_of_xla(window, channels, size):
    kernel, stride, padding = window
    key = jax.random.key(0)
    layer = Conv(len(size), *channels, kernel=kernel, stride=stride, padding=padding, key=key)
    _agree(layer, _lax_conv, _normal(1, (*size, channels[0])))


@pytest.mark.parametrize(("window", "channels", "size"), CASES)
def test_conv_transpose_is_the_transposed_convolution_of_xla(window, channels, size):
    kernel, stride, padding = window
    layer = ConvTranspose(
        len(size),
        *channels,
        kernel=kernel,
        stride=stride,
        padding=padding,
        output_padding=tuple(i % stride for i in range(1, 1 + len(size))),
        key=jax.random.key(0),
    )
    _agree(layer, _lax_transpose, _normal(1, (*size, channels[0])))


@pytest.mark.parametrize("window", [(4, 2, 1), (3, 1, 1)])
def test_conv_is_equinox_conv(window):
    kernel, stride, padding = window
    key = jax.random.key(0)
    ours = Conv(2, 3, 4, kernel=kernel, stride=stride, padding=padding, key=key)
    theirs = eqx.nn.Conv(2, 3, 4, kernel, stride, padding, key=key)
    weight = jnp.moveaxis(ours.weight, -1, 1)
    bias = ours.bias.reshape(-1, 1, 1)
    theirs = eqx.tree_at(lambda layer: (layer.weight, layer.bias), theirs, (weight, bias))
    x = _normal(2, (8, 11, 3))
    with jax.numpy_rank_promotion("allow"):
        y = theirs(jnp.moveaxis(x, -1, 0))
    np.testing.assert_allclose(eqx.filter_jit(ours)(x), jnp.moveaxis(y, 0, -1), atol=1e-5)


def test_both_are_the_sums_in_their_documentation():
    x = np.arange(1.0, 6.0, dtype=np.float32)  # 1 2 3 4 5
    conv = Conv(1, 1, 1, key=jax.random.key(0))
    spread = ConvTranspose(1, 1, 1, key=jax.random.key(1))
    w, c = np.asarray(conv.weight)[0, :, 0], float(conv.bias[0])
    padded = np.array([0, *x, 0], np.float32)
    by_hand = [padded[0:4] @ w + c, padded[2:6] @ w + c]
    np.testing.assert_allclose(conv(jnp.asarray(x)[:, None])[:, 0], by_hand, atol=1e-5)
    w, c = np.asarray(spread.weight)[0, :, 0], float(spread.bias[0])
    full = np.zeros(2 * 4 + 4, np.float32)
    for a, value in enumerate(x):
        full[2 * a : 2 * a + 4] += value * w
    np.testing.assert_allclose(spread(jnp.asarray(x)[:, None])[:, 0], full[1:-1] + c, atol=1e-5)


def test_a_batch_is_one_product_and_not_one_for_each_example():
    layer = Conv(2, 32, 32, key=jax.random.key(0))

    def loss(layer, x):
        return (jax.vmap(layer)(x) ** 2).sum()

    text = jax.jit(jax.grad(loss, (0, 1))).lower(layer, _normal(0, (4, 8, 8, 32))).as_text()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    assert len(products) == 3  # forward, and the gradients of weight and input
    assert not any("batching_dims" in line for line in products)


def test_layers_start_within_the_bounds_of_pytorch():
    conv = Conv(2, 8, 4, key=jax.random.key(0))
    spread = ConvTranspose(2, 8, 4, key=jax.random.key(0))
    assert conv.weight.shape == spread.weight.shape == (4, 4, 4, 8)
    for layer, fan_in in ((conv, 8 * 16), (spread, 4 * 16)):
        bound = fan_in**-0.5
        assert 0.95 * bound < float(jnp.abs(layer.weight).max()) <= bound
        assert float(jnp.abs(layer.bias).max()) <= bound


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"kernel": 0}, "kernel of a convolution is 0"),
        ({"stride": 0}, "stride of a convolution is 0"),
        ({"padding": -1}, "padding of a convolution is -1"),
        ({"output_padding": (2,)}, "output padding is"),
        ({"output_padding": (0, 0)}, "output padding is"),
    ],
)
def test_impossible_layers_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        ConvTranspose(1, 1, 1, **arguments, key=jax.random.key(0))


def test_too_small_an_observation_is_refused():
    with pytest.raises(ValueError, match="too small for a kernel"):
        Conv(1, 1, 1, kernel=7, padding=0, key=jax.random.key(0))(jnp.zeros((5, 1)))
    with pytest.raises(ValueError, match="leaves nothing"):
        ConvTranspose(1, 1, 1, padding=2, key=jax.random.key(0))(jnp.zeros((1, 1)))


SHAPES = [
    (64, 64, 1), (28, 28, 1), (8, 8, 1), (5, 7, 2), (33, 50, 3),
    (140, 1), (180, 2), (256, 12), (96, 1), (7, 1), (101, 3),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_nets_fit_any_size(shape):
    small = {"channels": (4, 4, 4, 4), "widths": (8,), "key": jax.random.key(0)}

    def there_and_back():
        code = conv_encoder(shape, 6, **small)(jnp.zeros(shape))
        return code, conv_decoder(shape, 6, **small)(code)

    code, back = jax.eval_shape(there_and_back)
    assert code.shape == (6,)
    assert back.shape == shape


def test_the_net_for_64_pixels_is_that_of_burgess():
    encoder = conv_encoder((64, 64, 1), 20, key=jax.random.key(0))
    decoder = conv_decoder((64, 64, 1), 10, key=jax.random.key(0))
    count = lambda net: sum(a.size for a in jax.tree.leaves(eqx.filter(net, eqx.is_array)))  # noqa: E731
    convolutions = 16 * 32 + 32 + 3 * (16 * 32 * 32 + 32)
    assert count(encoder) == convolutions + 512 * 256 + 256 + 256 * 256 + 256 + 256 * 20 + 20
    spread = 3 * (16 * 32 * 32 + 32) + 16 * 32 + 1
    assert count(decoder) == spread + 10 * 256 + 256 + 256 * 256 + 256 + 256 * 512 + 512
    assert [type(layer).__name__ for layer in encoder.layers] == ["Conv"] * 4 + ["Flat"]
    assert [type(layer).__name__ for layer in decoder.layers] == ["Flat"] + ["ConvTranspose"] * 4


def test_an_observation_without_an_axis_is_refused():
    with pytest.raises(ValueError, match="no axis to convolve over"):
        conv_encoder((5,), 2, key=jax.random.key(0))
