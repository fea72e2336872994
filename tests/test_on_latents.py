"""What reads another model's latents, beside scikit-learn on the same codes."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from unweave import LInf, attack, check_model, fit, load_run, show, split_at_random, targets
from unweave.data import heartbeats
from unweave.explain import calibrated, integrated_gradients
from unweave.recipes import gaussian_mixture, on_latents, pca
from unweave.robust import fgsm

KEY = jax.random.key(0)


def labelled():
    """Simulated heartbeats, each called by whether its first factor is above the median."""
    beats = heartbeats(600, samples=32)
    first = beats.factors[:, 0]
    return replace(
        beats, labels=(first > np.median(first)).astype(np.int64), label_names=("low", "high")
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The split, the run of principal components, and what reads them."""
    data = split_at_random(labelled(), test=0.3)
    below = fit(pca(latents=6), data, out=tmp_path_factory.mktemp("of") / "pca", quiet=True)
    recipe = on_latents(of=str(below.folder))
    return data, below, fit(recipe, data, out=below.folder.parent / "reader", quiet=True)


def test_a_straight_line_on_latents_is_scikit_learns(both):
    data, below, run = both
    codes = {part: show.codes(below.model, getattr(data, part).observations)
             for part in ("train", "test")}  # fmt: skip
    spread = codes["train"].std(0)
    line = LogisticRegression().fit(codes["train"] / spread, data.train.labels)
    expected = line.score(codes["test"] / spread, data.test.labels)
    assert run.result["prediction"]["score"] == pytest.approx(expected, abs=0.0101)
    assert expected > run.result["prediction"]["most_frequent"] + 0.1
    assert eqx.tree_equal(run.model.net.encoder, below.model)


def test_numbers_are_read_as_by_least_squares(both):
    data, below, _ = both
    bare = [replace(part, labels=None, label_names=()) for part in
            (data.train, data.validation, data.test)]  # fmt: skip
    parts = replace(data, train=bare[0], validation=bare[1], test=bare[2])
    run = fit(on_latents(of=below.model, learning_rate=1e-2), parts, quiet=True)
    codes = [show.codes(below.model, part.observations) for part in (bare[0], bare[2])]
    line = LinearRegression().fit(codes[0], bare[0].factors)
    left = ((line.predict(codes[1]) - bare[2].factors) ** 2).mean(0)
    expected = (1 - left / bare[2].factors.var(0)).mean()
    assert run.result["prediction"]["score"] == pytest.approx(expected, abs=0.03)
    assert run.settings["options"]["of"] == "PCA"


def test_it_keeps_the_protocol_and_its_file(both):
    data, _, run = both
    x = jnp.asarray(data.test.observations[0], jnp.float32)
    check_model(run.model, x=x, key=KEY).raise_if_failed()
    again = load_run(run.folder)
    np.testing.assert_array_equal(again.model.encode(x), run.model.encode(x))
    assert again.model.names == ("low", "high")


def test_slopes_go_through_both(both):
    """By the chain rule: the head's slope, times that of the encoder."""
    data, below, run = both
    x = jnp.asarray(data.test.observations[0], jnp.float32)
    target = targets.class_logit(run.model, "high")
    found = jax.grad(lambda x: target(x))(x)
    net = run.model.net.net
    turn = np.asarray(net.head.weights[0][1] - net.head.weights[0][0]) / np.asarray(
        net.scale.spread
    )
    through = np.einsum("k,kij->ij", turn, np.asarray(jax.jacobian(below.model.encode)(x)))
    np.testing.assert_allclose(found, through, rtol=1e-3, atol=1e-5)


def test_tools_take_it_as_any_other(both):
    data, _, run = both
    x, y = data.test.observations[:40], data.test.labels[:40]
    fell = attack(run.model, x, answers=y, budget=LInf(0.3), attacks=(fgsm(),), checks=False,
                  quiet=True)  # fmt: skip
    assert fell.robust < fell.clean
    told = integrated_gradients(targets.class_logit(run.model, 1), x[:2])
    assert np.isfinite(np.asarray(told.values)).all()
    model, account = calibrated(run.model, data.validation)
    assert account.temperature == model.temperature > 0


def test_what_has_no_latents_is_refused(both, tmp_path):
    data, below, _ = both
    with pytest.raises(ValueError, match="--of RUN"):
        fit(on_latents(), data, quiet=True)
    with pytest.raises(ValueError, match="no finished run"):
        fit(on_latents(of=str(tmp_path)), data, quiet=True)
    other = split_at_random(replace(heartbeats(40, samples=16), labels=np.arange(40) % 2,
                                    label_names=("a", "b")))  # fmt: skip
    with pytest.raises(ValueError, match="have shape"):
        fit(on_latents(of=str(below.folder)), other, quiet=True)
    mixture = fit(gaussian_mixture(latents=2, components=2), data, quiet=True).model
    with pytest.raises(TypeError, match="encoder"):
        fit(on_latents(of=mixture), data, quiet=True)


def test_unweave_fit_on_latents(unweave, refused):
    unweave("fit", "pca", "digits", "--latents", 8, "--out", "pca", "--quiet", "--no-report")
    said = unweave("fit", "on-latents", "digits", "--of", "pca", "--epochs", 5, "--out", "read",
                   "--quiet")  # fmt: skip
    assert "test observations rightly" in said
    assert load_run("read").result["prediction"]["score"] > 0.6
    assert "no finished run" in refused("fit", "on-latents", "digits", "--of", "nowhere")
