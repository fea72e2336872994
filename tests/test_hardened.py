"""Training against an adversary: what it is where there is none, and what it is for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attacked import bent, inputs, linear
from unweave import Schema
from unweave._budgets import L2, LInf
from unweave.data import dataset, split_at_random
from unweave.recipes import resnet
from unweave.robust import APGD, attack
from unweave.run import fit
from unweave.train import Answered, adversarial, supervised, trades

FINAL = jnp.asarray(2**30)


@pytest.fixture(scope="module")
def batch():
    model = bent()
    x, y = inputs(model, n=16, shape=(8,))
    return model, Answered(jnp.asarray(x), jnp.asarray((y + 1) % 4, jnp.int32))


def value(objective, model, batch, step=FINAL):
    return float(objective(model, batch, jax.random.key(0), step)[0])


def test_with_no_radius_both_are_cross_entropy(batch):
    model, rows = batch
    plain = value(supervised(), model, rows)
    assert value(trades(LInf(0.0)), model, rows) == pytest.approx(plain, rel=1e-6)
    assert value(adversarial(LInf(0.0)), model, rows) == pytest.approx(plain, rel=1e-6)
    # and while the radius is still 0
    growing = adversarial(LInf(0.5), warm_up=10)
    assert value(growing, model, rows, jnp.asarray(0)) == pytest.approx(plain, rel=1e-6)


def test_the_inner_maximum_of_a_linear_model_is_exact():
    model = linear()
    x, y = inputs(model, n=16)
    rows = Answered(jnp.asarray(x), jnp.asarray(y, jnp.int32))
    slope = np.asarray(model.net.weight[0] - model.net.weight[1], np.float64)
    gap = x @ slope + float(model.net.bias[0] - model.net.bias[1])
    gap = np.where(y == 0, gap, -gap)
    for budget, dual in ((LInf(0.2), np.abs(slope).sum()), (L2(0.2), np.linalg.norm(slope))):
        worst = np.logaddexp(0, -(gap - 0.2 * dual)).mean()
        found = value(adversarial(budget, steps=20), model, rows)
        assert found == pytest.approx(worst, rel=1e-2)


def test_the_weights_have_a_slope_and_the_maximum_has_none(batch):
    model, rows = batch

    def loss(weights, objective):
        there = jax.tree.unflatten(jax.tree.structure(model), weights)
        return objective(there, rows, jax.random.key(0), FINAL)[0]

    weights = jax.tree.leaves(model)
    for objective in (adversarial(LInf(0.1), steps=3), trades(LInf(0.1), steps=3)):
        slope = jax.grad(loss)(weights, objective)
        assert all(jnp.isfinite(part).all() and jnp.abs(part).max() > 0 for part in slope)


def two_rings(n=400):
    """One feature that decides but is small, and one that helps a little and is large: a model
    that leans on the small one breaks at once."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    sign = 2.0 * y - 1
    small = 0.05 * sign + 0.001 * rng.normal(size=n)
    large = sign + 0.5 * rng.normal(size=n)
    x = np.stack([small, large], axis=1).astype(np.float32)
    schema = Schema("points", ("coordinate",), (2,), ("small", "large"), ("", ""))
    return split_at_random(dataset(x, schema, labels=y, label_names=("left", "right")))


@pytest.mark.parametrize("kind", ["pgd", "trades"])
def test_a_trained_adversary_is_withstood(kind):
    data = two_rings()
    settings = {"epochs": 10, "batch": 32, "width": 8, "hidden": 8, "blocks": 1}
    robust = []
    for more in ({}, {"adversarial": kind, "epsilon": 0.2, "attack_steps": 4}):
        model = fit(resnet(**settings, **more), data, quiet=True).model
        robust.append(
            attack(
                model, data.test.observations, budget=LInf(0.2), answers=data.test.labels,
                attacks=(APGD(steps=15),), checks=False, quiet=True,
            ).robust
        )  # fmt: skip
    assert robust[0] < 0.5 < 0.8 < robust[1]


def test_an_adversary_needs_a_budget():
    with pytest.raises(ValueError, match="--epsilon"):
        resnet(adversarial="pgd")
    with pytest.raises(ValueError, match="no adversary"):
        resnet(epsilon=0.1)
    with pytest.raises(ValueError, match="leaves no room"):
        resnet(adversarial="trades", epsilon=0.1, kinetic=1.0)
    with pytest.raises(ValueError, match="at least 1"):
        adversarial(LInf(0.1), steps=0)
