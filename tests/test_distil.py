"""Surrogates distilled from a model's answers, and what goes over from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attacked import distances, inputs, linear
from unweave import Schema, targets
from unweave.data import dataset
from unweave.recipes import pca, resnet
from unweave.robust import LInf, Transfer, attack, distilled, fgsm, move
from unweave.train import Answered, distillation

ROWS = Schema("rows", ("entry",), (6,), tuple("abcdef"), ("",) * 6)
SMALL = {"width": 12, "blocks": 1, "epochs": 20, "batch": 32}


def table(x):
    return dataset(x, ROWS)


def test_the_objective_is_the_cross_entropy_of_soft_answers():
    model = linear(classes=3)
    x, _ = inputs(model, n=5)
    told = np.random.default_rng(0).dirichlet(np.ones(3), 5).astype(np.float32)
    loss, _ = distillation()(
        model,
        Answered(jnp.asarray(x), jnp.asarray(told)),
        jax.random.key(0),
        jnp.zeros((), jnp.int32),
    )
    codes = np.asarray(model.predict(jnp.asarray(x)))
    assert float(loss) == pytest.approx(float(-(told * codes).sum(1).mean()), rel=1e-5)


@pytest.mark.slow
def test_what_masks_its_gradients_is_attacked_through_what_it_answers():
    """A linear model that rounds its inputs has no slope, and its best attack is known."""
    masked = linear(classes=3, grid=0.05)
    x, y = inputs(masked, n=100)
    exact = (distances(linear(classes=3), x, y, lambda w: np.abs(w).sum()) > 0.3).mean()
    seen, _ = inputs(masked, n=500, seed=7)
    pair = [
        distilled(masked, table(seen), recipe=resnet(**SMALL), seed=seed, rounds=seed,
                  budget=LInf(0.3))
        for seed in (0, 1)
    ]  # fmt: skip
    for (_, told), queries in zip(pair, (500, 900), strict=True):
        assert (told.kind, told.n, told.queries) == ("agreement", 100, queries)
        assert told.agreement > 0.93
        assert f"asked the model {queries} times" in told.sentence()
    models = tuple(model for model, _ in pair)
    assert models[0].names == masked.names
    found = attack(
        masked, x, budget=LInf(0.3), answers=y, checks=False, quiet=True,
        attacks=(fgsm(), Transfer(models[:1], fgsm(), name="one"), Transfer(models, fgsm())),
    )  # fmt: skip
    slope, one, both = (each.accuracy for each in found.attacks)
    assert slope == 1.0
    assert max(one, both) < exact + 0.1
    assert [each.queries for each in found.attacks[1:]] == [1.0, 1.0]


def test_a_number_is_learned_and_driven_too():
    model = linear(classes=2)
    target = targets.class_logit(model, 0)
    seen, _ = inputs(model, n=300, seed=7)
    surrogate, told = distilled(target, table(seen), recipe=resnet(**SMALL), seed=2)
    assert told.kind == "explained variance"
    assert told.agreement > 0.9
    x, _ = inputs(model, n=20)
    goal = move(targets.latent(surrogate, target.name))
    found = attack(move(target), x, budget=LInf(0.2), attacks=(Transfer((goal,), fgsm()),),
                   checks=False, quiet=True)  # fmt: skip
    slope = np.asarray(model.net.weight)[0] - np.asarray(model.net.weight)[1]
    best = 0.2 * np.abs(slope).sum()
    assert np.median(found.after - found.before) > 0.8 * best
    assert np.max(found.after - found.before) <= best * (1 + 1e-4)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"rounds": 1}, "with a budget"),
        ({"n": 9}, "at least 10"),
        ({"recipe": pca(latents=2)}, "recipe of a predictor"),
        ({"recipe": resnet(training="successive-approximations")}, "by gradients"),
    ],
)
def test_what_cannot_be_distilled_is_said(more, sentence):
    x, _ = inputs(linear(), n=more.pop("n", 40))
    with pytest.raises(ValueError, match=sentence):
        distilled(linear(), table(x), **{"recipe": resnet(**SMALL), **more})
