"""One number read off a model, against the capability that it is read off."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import fitted, small_beats
from unweave import Inverted, Schema, targets
from unweave.data import dataset, split_at_random
from unweave.equations import zoo_model
from unweave.recipes import resnet
from unweave.run import fit


def two_clouds(n=64):
    x = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    labels = np.arange(n) % 2
    schema = Schema("points", ("coordinate",), (2,), ("x", "y"), ("", ""))
    return dataset(x + labels[:, None], schema, labels=labels, label_names=("left", "right"))


@pytest.fixture(scope="module")
def pca():
    return fitted("pca").model


@pytest.fixture(scope="module")
def beat():
    return jnp.asarray(small_beats().test.observations[0], jnp.float32)


@pytest.fixture(scope="module")
def classifier():
    return fit(resnet(epochs=1, width=8, hidden=8), split_at_random(two_clouds()), quiet=True).model


def test_surprise_is_minus_the_log_density(pca, beat):
    target = targets.surprise(pca)
    assert target(beat) == pytest.approx(-float(pca.log_density(beat)), rel=1e-6)
    assert (target.unit, target.of) == ("nat", "observation")


def test_misfit_is_the_mean_square_over_what_was_observed(pca, beat):
    gappy = beat.at[3:7].set(jnp.nan)
    expected = np.asarray(pca.decode(pca.encode(gappy)))
    left = (np.asarray(gappy) - expected)[~np.isnan(gappy)]
    assert targets.misfit(pca)(gappy) == pytest.approx((left**2).mean(), rel=1e-5)
    assert targets.misfit(pca, scale=(2.0,))(gappy) == pytest.approx((left**2).mean() / 4, rel=1e-5)
    assert jnp.isfinite(jax.grad(targets.misfit(pca))(gappy)[~np.isnan(gappy)]).all()


def test_a_latent_goes_by_its_name(pca, beat):
    name = pca.latents.names[1]
    assert targets.latent(pca, name)(beat) == pca.encode(beat)[1]
    assert targets.latent(pca, 1)(beat) == pca.encode(beat)[1]


def test_log_odds_are_the_difference_of_two_raw_answers(classifier):
    x = jnp.asarray([0.3, -0.2], jnp.float32)
    raw = classifier.net.answers(x[None])[0]
    first = classifier.names[0]
    assert targets.class_logit(classifier, first)(x) == pytest.approx(
        float(raw[0] - raw[1]), rel=1e-4
    )
    assert targets.class_log_probability(classifier, first)(x) == pytest.approx(
        float(classifier.encode(x)[0]), rel=1e-6
    )


def test_the_gradient_of_an_output_is_the_equations_sensitivity():
    with jax.enable_x64(True):
        model = zoo_model("logistic")
        z = model.latents.from_normal(jnp.zeros(model.latents.size))
        target = targets.output(model, (5, 0))
        assert target.of == "latents"
        slope, step = jax.grad(target)(z), 1e-6
        for i in range(len(z)):
            moved = [target(z.at[i].add(sign * step)) for sign in (1, -1)]
            assert slope[i] == pytest.approx(float(moved[0] - moved[1]) / 2 / step, rel=1e-5)


def test_a_forecast_does_not_look_ahead(pca, beat):
    target = targets.forecast(pca, (20, 0), 10)
    changed = beat.at[10:].add(1.0)
    assert target(beat) == target(changed)
    assert target(beat) != target(beat.at[9].add(1.0))
    slope = jax.grad(target)(beat)
    assert (slope[10:] == 0).all()
    assert (slope[:10] != 0).any()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("surprise", "surprise"), ("misfit", "misfit"), ("output:4,0", "x[4, 0]"),
        ("forecast:9,0,4", "forecast of x[9, 0]"),
    ],
)  # fmt: skip
def test_a_word_stands_for_a_target(pca, text, name):
    assert targets.read_target(text, pca).name == name


def test_words_for_names(pca, classifier):
    assert targets.read_target(f"latent:{pca.latents.names[0]}", pca).name == pca.latents.names[0]
    name = classifier.names[1]
    assert targets.read_target(f"class:{name}", classifier).name == f"log-odds of {name}"


@pytest.mark.parametrize("text", ["", "surprise:1", "latent", "output:a", "forecast:3", "anger"])
def test_other_words_are_refused(pca, text):
    with pytest.raises(ValueError, match="is no target; give surprise"):
        targets.read_target(text, pca)


def test_what_a_model_cannot_be_asked_is_said(pca, classifier, beat):
    with pytest.raises(TypeError, match="surprise needs a model with a density"):
        targets.read_target("surprise", classifier)
    with pytest.raises(TypeError, match="needs a model with an encoder"):
        targets.misfit(zoo_model("logistic"))
    assert targets.misfit(Inverted(zoo_model("logistic"))).name == "misfit"
    with pytest.raises(TypeError, match="a class is asked of a classifier"):
        targets.class_logit(pca, "a")
    with pytest.raises(ValueError, match="there is no latent nobody; there are: "):
        targets.latent(pca, "nobody")
    with pytest.raises(ValueError, match="there is no class 7; there are 2, from 0"):
        targets.class_logit(classifier, 7)
    with pytest.raises(ValueError, match="which has no entry"):
        targets.output(pca, (99, 0))(jnp.zeros(2))
    with pytest.raises(ValueError, match="to be foretold from the first 9"):
        targets.forecast(pca, (5, 0), 9)
    with pytest.raises(ValueError, match="are not all positive"):
        targets.misfit(pca, scale=(0.0,))
