"""Gradients along a path with the affine part of a function taken out, against plain ones."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unweave import explain
from unweave.explain._attribution import CHUNK_NUMBERS, most_rows, rows_of
from unweave.explain._straight import Column, Replaced, path_slope
from unweave.networks import MLP
from unweave.targets import Target

NET = MLP(6, 1, (32, 32), key=jax.random.key(0))
WEIGHTS = jnp.asarray(np.random.default_rng(0).normal(size=(6, 6)), jnp.float32)
KERNEL = WEIGHTS[:3, :2].reshape(3, 1, 2)
START, END = (
    jnp.asarray(np.random.default_rng(seed).normal(size=6), jnp.float32) for seed in (1, 2)
)
PLACES, SHARES = jnp.linspace(0.1, 0.9, 50), jnp.full(50, 0.02)


def _convolved(x):
    return jax.lax.conv_general_dilated(x[None, :, None], KERNEL, (1,), "VALID",
                                        dimension_numbers=("NWC", "WIO", "NWC"))  # fmt: skip


def _counted(x):
    return jax.lax.scan(lambda sum_, v: (sum_ + jnp.sin(v), None), jnp.zeros(()), 2 * x)[0]


FUNCTIONS = {
    "net": lambda x: NET(x)[0],
    "net that minds gaps": lambda x: NET(jnp.where(jnp.isnan(x), 0, x))[0],
    "bent at once": lambda x: (x @ WEIGHTS * x).sum(),
    "straight throughout": lambda x: (WEIGHTS @ x)[2],
    "constant": lambda x: jnp.ones(()),
    "convolution": lambda x: jnp.tanh(_convolved(x)).sum(),
    "units and choices": lambda x: jnp.exp(jnp.flip(x)[jnp.asarray([0, 3])] / 3 - 1).sum(),
    "bent and straight": lambda x: jnp.sum(WEIGHTS @ x + jnp.sin(x)) ** 2,
    "jit": lambda x: jax.jit(lambda v: jnp.sin(v).sum() + v[0])(x[:3].reshape(3, 1)[:, 0])[()],
    "scan": _counted,
    "drawn": lambda x: jnp.cos(x + jax.random.normal(jax.random.key(0), (6,))).sum(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_mean_gradient_is_that_of_autodiff(name):
    function = FUNCTIONS[name]
    found = jax.jit(lambda a, b: path_slope(function, a, b, PLACES, SHARES))(START, END)
    points = START[None] + PLACES[:, None] * (END - START)[None]
    plain = (SHARES[:, None] * jax.vmap(jax.grad(function))(points)).sum(0)
    assert found == pytest.approx(np.asarray(plain), rel=1e-5, abs=1e-6)


def test_what_is_not_observed_stays_so():
    def function(known):
        x = known.at[1].set(jnp.nan)
        return NET(jnp.where(jnp.isnan(x), 0, x))[0]

    found = path_slope(function, START, END, PLACES, SHARES)
    points = START[None] + PLACES[:, None] * (END - START)[None]
    plain = jax.vmap(jax.grad(function))(points).mean(0)
    assert found == pytest.approx(np.asarray(plain), rel=1e-5, abs=1e-6)
    assert found[1] == 0


def test_the_first_layer_is_not_asked_at_every_node():
    wide = MLP(512, 1, (32, 32), key=jax.random.key(0))
    start, end = jnp.zeros(512), jnp.ones(512)
    call = jax.jit(lambda a, b: path_slope(lambda x: wide(x)[0], a, b, PLACES, SHARES))
    flops = call.lower(start, end).compile().cost_analysis()["flops"]
    # forward at both ends and back once; the other layers forward and back at each node
    layers = 2 * 512 * 32 * 3 + 2 * (32 * 32 + 32) * 2 * len(PLACES)
    assert flops < 1.5 * layers < 2 * 512 * 32 * 2 * len(PLACES)


class First(eqx.Module):
    net: MLP

    def __call__(self, x, condition):
        return self.net(x)[0] + (0.0 if condition is None else condition)


def test_one_baseline_for_all_is_as_good_as_one_for_each():
    target = Target(First(NET), "net")
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    base = np.linspace(-1, 1, 6, dtype=np.float32)
    for method in (explain.gradient_times_input, explain.integrated_gradients):
        for baseline in (base, 0.5):
            one = method(target, x, baseline=baseline)
            each = method(target, x, baseline=np.broadcast_to(baseline, x.shape).copy())
            assert one.values == pytest.approx(each.values, abs=1e-6)
            assert one.at_baseline == pytest.approx(each.at_baseline, abs=1e-6)
            assert one.output == pytest.approx(each.output, abs=1e-6)
        # a condition moves the target at the baseline too, by as much for each row
        conditions = np.arange(5, dtype=np.float32)
        moved = method(target, x, baseline=base, conditions=conditions)
        assert moved.at_baseline == pytest.approx(
            method(target, x, baseline=base).at_baseline + conditions, abs=1e-5
        )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_windows_that_are_replaced_in_the_affine_part_are_those_of_the_input(name):
    function, entries = FUNCTIONS[name], np.asarray([[0, 1], [2, 3], [1, 5]])
    value = jnp.linspace(-1, 1, 6)
    columns = jax.vmap(Column(function))(jnp.eye(6))
    found = Replaced(function, value, jnp.asarray(entries), columns[entries])(START)
    for one, window in zip(found, entries, strict=True):
        assert one == pytest.approx(float(function(START.at[window].set(value[window]))), abs=1e-5)


class Moving(eqx.Module):
    """A net of what was observed, and of an offset."""

    net: MLP

    def __call__(self, x, condition):
        x = jnp.ravel(jnp.where(jnp.isnan(x), 0.5, x))
        return self.net(x)[0] + (0.0 if condition is None else condition)


@pytest.mark.parametrize("kind", ["plain", "condition", "gaps", "few"])
def test_occlusion_is_the_same_with_and_without_the_affine_part(kind):
    target = Target(Moving(MLP(24, 1, (32, 32), key=jax.random.key(3))), "net")
    n = 2 if kind == "few" else 40
    x = np.random.default_rng(4).normal(size=(n, 8, 3)).astype(np.float32)
    if kind == "gaps":
        x[3, 2, 1] = np.nan
    conditions = np.arange(n, dtype=np.float32) if kind == "condition" else None
    fill = np.linspace(-1, 1, 24).reshape(8, 3).astype(np.float32)
    found = explain.occlusion(
        target, x, window=(3, 2), stride=(2, 1), fill=explain.neutral(fill), conditions=conditions
    )
    ask = jax.jit(jax.vmap(target))

    def told(x):
        return np.asarray(ask(jnp.asarray(x, jnp.float32), conditions))

    whole, cover = np.zeros((n, 8, 3)), np.zeros((8, 3))
    for i in (0, 2, 4, 5):
        for j in (0, 1):
            at = (slice(i, i + 3), slice(j, j + 2))
            hidden = x.copy()
            hidden[:, *at] = np.where(np.isnan(x[:, *at]), np.nan, fill[at])
            whole[:, *at] += (told(x) - told(hidden))[:, None, None] / 6
            cover[at] += 1
    assert found.values == pytest.approx(np.where(np.isnan(x), 0, whole / cover), abs=2e-6)
    assert found.output == pytest.approx(told(x), abs=1e-5)
    assert found.at_baseline == pytest.approx(told(np.where(np.isnan(x), x, fill)), abs=1e-5)


def test_no_chunk_is_padded():
    x = np.zeros((64, 784), np.float32)
    assert most_rows(x, 50) == CHUNK_NUMBERS // (50 * 784) == 53
    assert rows_of(x, 50) == 32
    assert rows_of(x) == 64
    assert rows_of(np.zeros((257, 3))) == 129
