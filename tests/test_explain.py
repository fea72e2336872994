"""Attributions and their checks, against closed forms, finite differences and planted evidence."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from conftest import ROOT, script_of
from models import fitted, small_beats
from unweave import Schema, explain, targets
from unweave.data import dataset, split_at_random
from unweave.equations import equation as equation_of
from unweave.equations import parse, terms_along, zoo_model
from unweave.evaluate import calibration_error
from unweave.networks import MLP, Classifier
from unweave.networks.schemes import AbstractNet
from unweave.recipes import dgcnn, resnet
from unweave.run import fit
from unweave.targets import Target

# the task is the benchmark's own
SCRIPT = script_of(ROOT / "bench" / "explain.py")


class Quadratic(eqx.Module):
    """$x^T A x + b^T x$, whose integrated gradients from 0 are known."""

    a: jax.Array
    b: jax.Array

    def __call__(self, x, condition):
        x = jnp.where(jnp.isnan(x), 0, x)
        return x @ self.a @ x + self.b @ x


class Net(eqx.Module):
    net: MLP

    def __call__(self, x, condition):
        return self.net(jnp.where(jnp.isnan(x), 0, x))[0]


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=size).astype(np.float32) for size in ((6, 6), 6, (5, 6)))


@pytest.fixture(scope="module")
def quadratic(numbers):
    a, b, _ = numbers
    return Target(Quadratic(jnp.asarray(a), jnp.asarray(b)), "quadratic", "mV")


@pytest.fixture(scope="module")
def kinked():
    return Target(Net(MLP(8, 1, (16, 16), key=jax.random.key(0))), "net")


def test_attributions_of_a_quadratic_are_the_closed_forms(numbers, quadratic):
    a, b, x = numbers
    slope = x @ (a + a.T) + b
    found = explain.saliency(quadratic, x)
    assert found.values == pytest.approx(slope, rel=1e-4)
    assert np.isnan(found.completeness).all()
    along = explain.integrated_gradients(quadratic, x, nodes=2)
    assert along.values == pytest.approx(x * (0.5 * x @ (a + a.T) + b), rel=1e-3, abs=1e-4)
    assert along.completeness.max() < 1e-4
    assert (along.unit, along.target) == ("mV", "quadratic")
    times = explain.gradient_times_input(quadratic, x, baseline=x[0])
    assert times.values == pytest.approx((x - x[:1]) * slope, rel=1e-4, abs=1e-5)


def test_integrated_gradients_are_complete_across_kinks(kinked):
    x = np.random.default_rng(1).normal(size=(12, 8)).astype(np.float32)
    few = explain.integrated_gradients(kinked, x, nodes=2, tolerance=np.inf)
    found = explain.integrated_gradients(kinked, x, nodes=8)
    assert found.completeness.max() <= 0.01
    assert few.completeness.max() > found.completeness.max()
    fine = explain.integrated_gradients(kinked, x, nodes=2000, tolerance=np.inf)
    close = explain.integrated_gradients(kinked, x, nodes=8, tolerance=1e-3)
    assert close.values == pytest.approx(fine.values, abs=float(0.02 * np.abs(fine.values).max()))


class Threshold(eqx.Module):
    """-1 below and 1 above, within a millionth of the way."""

    weight: jax.Array

    def __call__(self, x, condition):
        return jnp.tanh(3e5 * (x @ self.weight - 0.3))


def test_integrated_gradients_find_a_threshold_however_sharp():
    weight = np.linspace(0.2, 1.0, 8, dtype=np.float32)
    x = np.random.default_rng(1).uniform(0.1, 0.5, size=(12, 8)).astype(np.float32)
    found = explain.integrated_gradients(Target(Threshold(jnp.asarray(weight)), "side"), x)
    assert found.completeness.max() <= 0.01
    parts = x * weight
    assert found.values == pytest.approx(2 * parts / parts.sum(1, keepdims=True), rel=0.011)


def test_smooth_grad_has_noise_in_the_unit_of_each_entry(numbers, quadratic):
    a, b, x = numbers
    # the slope of a quadratic is straight, so that its mean misses it by the noise's own mean
    for size in (1e-3, np.logspace(-6, 0, 6)):
        found = explain.smooth_grad(quadratic, x, sigma=size, draws=2000)
        off = (found.values - (x @ (a + a.T) + b)) @ np.linalg.inv(a + a.T)
        assert (np.abs(off) < 4.5 * np.broadcast_to(size, 6) / np.sqrt(2000) + 2e-6).all()
        assert off.std(0) == pytest.approx(
            np.broadcast_to(size, 6) / np.sqrt(2000), rel=0.8, abs=2e-6
        )


def test_what_was_not_observed_has_nothing_to_do_with_it(quadratic, numbers):
    x = numbers[2].copy()
    x[:, 2] = np.nan
    for method in (
        explain.saliency, explain.gradient_times_input, explain.integrated_gradients,
        explain.smooth_grad, explain.occlusion, functools.partial(explain.lime, draws=100),
    ):  # fmt: skip
        found = method(quadratic, x)
        assert (found.values[:, 2] == 0).all()
        assert np.isfinite(found.values).all()


def test_smooth_grad_is_the_gradient_where_it_is_straight(numbers, quadratic):
    x = numbers[2]
    one = explain.smooth_grad(quadratic, x, draws=256, key=jax.random.key(1))
    again = explain.smooth_grad(quadratic, x, draws=256, key=jax.random.key(1))
    other = explain.smooth_grad(quadratic, x, draws=256, key=jax.random.key(2))
    assert (one.values == again.values).all()
    assert (one.values != other.values).any()
    assert one.values == pytest.approx(explain.saliency(quadratic, x).values, abs=0.5)


def test_occlusion_is_the_difference_shared_out(numbers, quadratic):
    x = numbers[2]
    found = explain.occlusion(quadratic, x, window=(2,), fill=explain.neutral(0.5))
    gone = x.copy()
    gone[:, 2:4] = 0.5
    here = [float(quadratic(jnp.asarray(row))) for row in x]
    there = [float(quadratic(jnp.asarray(row))) for row in gone]
    expected = (np.asarray(here) - there) / 2
    assert found.values[:, 2] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert found.values[:, 3] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    overlapping = explain.occlusion(quadratic, x, window=(2,), stride=(1,))
    assert overlapping.values.shape == x.shape


def test_lime_of_a_straight_line_is_the_line():
    b = np.arange(1.0, 7.0, dtype=np.float32)
    line = Target(Quadratic(jnp.zeros((6, 6)), jnp.asarray(b)), "line")
    x = np.ones((2, 6), np.float32)
    found, fit_of_it = explain.lime_fit(line, x, draws=200)
    assert found.values == pytest.approx(np.stack([b, b]), rel=1e-3)
    assert fit_of_it.r2.min() > 0.9999
    assert found.completeness.max() < 1e-3
    assert (explain.lime(line, x, draws=200).values == found.values).all()


def test_fills(numbers):
    data = numbers[2]
    key, hidden = jax.random.key(0), jnp.arange(6) < 3
    x = jnp.asarray(data[0])
    mean = explain.mean_of(data)(x, hidden, None, key)
    assert mean[:3] == pytest.approx(data.mean(0)[:3], rel=1e-5)
    assert (mean[3:] == x[3:]).all()
    fill = explain.noise_of(data)
    drawn = jax.vmap(lambda key: fill(x, hidden, None, key))(jax.random.split(key, 2000))
    assert drawn[:, 0].std() == pytest.approx(data[:, 0].std(), rel=0.1)
    model, beat = fitted("pca").model, jnp.asarray(small_beats().test.observations[0])
    hidden = jnp.broadcast_to((jnp.arange(32) < 8)[:, None], beat.shape)
    rebuilt = explain.Rebuilt(model)(beat, hidden, None, key)
    assert (rebuilt[8:] == beat[8:]).all()
    assert jnp.isfinite(rebuilt).all()
    with pytest.raises(TypeError, match="Rebuilt needs a model with an encoder"):
        explain.Rebuilt(zoo_model("logistic"))


def test_segments_cover_every_entry_once():
    assert (explain.segments((6, 2), (3, 1)) == [[0, 1]] * 3 + [[2, 3]] * 3).all()
    assert explain.segments((28, 28, 1)).max() == 48
    assert explain.segments((5,)).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match=r"a window of .* fits no input"):
        explain.segments((6, 2), (7, 1))


def test_deletion_in_the_right_order_beats_chance_and_in_the_wrong_one_does_not():
    b = np.arange(1.0, 13.0, dtype=np.float32)
    line = Target(Quadratic(jnp.zeros((12, 12)), jnp.asarray(b)), "line")
    x = np.ones((3, 12), np.float32)
    ranking = np.broadcast_to(b, x.shape)
    right = explain.deletion_insertion(line, x, ranking, steps=12, orders=50)
    assert right.deletion.beaten == 1
    assert right.insertion.beaten == 1
    # the sum of what is left, b from below, over its total
    left = np.concatenate([np.cumsum(b)[::-1], [0]]) / b.sum()
    assert right.deletion.area == pytest.approx(np.trapezoid(left) / 12, rel=1e-5)
    assert right.deletion.random.mean() == pytest.approx(0.5, abs=0.05)
    wrong = explain.deletion_insertion(line, x, -ranking, steps=12, orders=50)
    assert wrong.deletion.beaten == 0
    # of the negative of a target the same order is as good
    other = Target(Quadratic(jnp.zeros((12, 12)), jnp.asarray(-b)), "line")
    assert explain.deletion_insertion(other, x, ranking, steps=12, orders=5).deletion.area == (
        pytest.approx(right.deletion.area, rel=1e-5)
    )


def test_a_flat_top_is_said_to_be_saturated():
    class Flat(eqx.Module):
        def __call__(self, x, condition):
            return jnp.tanh(4 * x.sum())

    target = Target(Flat(), "flat")
    x = np.stack([np.full(4, 1.0), np.full(4, 0.02)]).astype(np.float32)
    assert explain.saturated(target, x).tolist() == [True, False]
    trust = explain.trusted(explain.saliency, target, x, orders=5)
    assert "saturated at 1 of 2" in trust.sentence()
    assert not len(trust.redrawn.rank)


def test_the_checks_of_a_net(kinked):
    x = np.random.default_rng(1).normal(size=(6, 8)).astype(np.float32)
    trust = explain.trusted(explain.integrated_gradients, kinked, x, orders=20)
    assert trust.completeness.max() <= 0.01
    assert trust.orders.deletion.beaten > 0.9
    assert trust.spread == 0
    assert len(trust.redrawn.rank) == 3
    assert "completeness error" in trust.sentence()
    drawn = explain.trusted(explain.smooth_grad, kinked, x, orders=2, redraws=0)
    assert drawn.spread > 0
    assert "spread over 3 keys" in drawn.sentence()
    other = explain.redrawn(kinked, jax.random.key(0))
    for old, new in zip(jax.tree.leaves(kinked), jax.tree.leaves(other), strict=True):
        assert np.sort(np.ravel(old)) == pytest.approx(np.sort(np.ravel(new)))


def test_sensitivities_of_an_equation_are_finite_differences_and_attributions_agree():
    model = zoo_model("logistic")
    found = explain.sensitivity(model)
    with jax.enable_x64(True):
        for i in range(len(found.z)):
            step = 1e-5 * found.z[i]
            moved = [np.asarray(model.decode(jnp.asarray(found.z).at[i].add(s * step)))
                     for s in (1, -1)]  # fmt: skip
            assert found.slopes[i] == pytest.approx(
                (moved[0] - moved[1]) / (2 * step), rel=1e-4, abs=1e-6
            )
    at = (20, 0)
    one = explain.saliency(targets.output(model, at), found.z[None])
    assert one.values[0] == pytest.approx(found.slopes[(slice(None), *at)], rel=1e-6)
    assert found.ranking[0][1] >= found.ranking[-1][1]
    with pytest.raises(ValueError, match="and the model has"):
        explain.sensitivity(model, np.zeros(9))
    with pytest.raises(TypeError, match="sensitivity needs a model with a decoder"):
        explain.sensitivity(Net(MLP(2, 1, (), key=jax.random.key(0))))


def test_terms_add_up_to_what_happens():
    model = equation_of(parse("x' = r*x - a*x^2 + 1\nr in (0, 2)\na in (0, 1)\nx(0) = 0.5"))
    z = np.asarray([1.0, 0.3])
    terms = terms_along(model, z)
    assert sorted(terms.terms) == ["-a*x^2", "1", "r*x"]
    assert terms.error.max() < 1e-6
    one = terms.terms.index("1")
    assert terms.contributions[one] == pytest.approx(terms.times - terms.times[0], abs=1e-9)
    assert terms.contributions.sum(0) == pytest.approx(terms.changes[0], abs=1e-5)
    assert terms.shares().sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="has events"):
        terms_along(equation_of(parse("x' = 1\nx(0) = 0\nwhen x > 3: x = 0")), np.zeros(0))


@pytest.fixture(scope="module")
def small_classifier():
    data = split_at_random(SCRIPT.loud(160))
    return fit(dgcnn(width=4, dilations=(1, 2), epochs=2), data, quiet=True).model, data


def test_grad_cam_is_its_formula(small_classifier):
    model, data = small_classifier
    x = data.test.observations[:2]
    target = targets.class_logit(model, "up")
    found = explain.grad_cam(target, x)
    (layer,) = explain.maps_of(model)
    features = layer.reach(jnp.asarray(x[0]), None)
    assert layer.leave(features) == pytest.approx(
        np.asarray(model.encode(jnp.asarray(x[0]))), rel=1e-4
    )

    def value(features):
        code = layer.leave(features)
        return code[1] - code[0]

    weights = jax.grad(value)(features).mean(0)
    expected = np.maximum(np.asarray(features @ weights), 0)
    assert found.values[0, :, 0] == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.slow
def test_layers_of_a_residual_network_lead_to_its_code():
    data = split_at_random(SCRIPT.loud(64))
    recipe = resnet(width=4, blocks=2, epochs=1, convolutional=True)
    model = fit(recipe, data, quiet=True).model
    x = jnp.asarray(data.test.observations[0])
    layers = explain.layers_of(model)
    assert [layer.name for layer in layers] == ["lift", "block 1", "last block"]
    for layer in layers:
        code = layer.leave(layer.reach(x, None))
        assert code == pytest.approx(np.asarray(model.encode(x)), rel=1e-3, abs=1e-4)
    assert explain.maps_of(model)[-1].name == "last block"
    ranks = explain.cascade(
        explain.saliency, targets.class_logit(model, 1), data.test.observations[:3],
        key=jax.random.key(0),
    )  # fmt: skip
    assert len(ranks) == 4
    assert all(-1 <= rank <= 1 for rank in ranks.values())


def test_a_model_without_layers_is_told_so():
    with pytest.raises(TypeError, match="the layers of PCA are not known"):
        explain.layers_of(fitted("pca").model)
    with pytest.raises(TypeError, match="has no layer with features at places"):
        explain.maps_of(fitted("vae").model)
    with pytest.raises(TypeError, match="the model behind the target 'line' is not known"):
        explain.grad_cam(Target(lambda x, c: x.sum(), "line"), np.ones((1, 3)))


class Odds(AbstractNet):
    """Logits of two classes whose difference is a multiple of x + y - 1."""

    times: float = eqx.field(static=True)

    def answers(self, x, condition=None, *, key=None):
        odds = self.times * (x.sum(1) - 1)
        return jnp.stack([jnp.zeros_like(odds), odds], axis=1)


def test_temperature_undoes_too_much_confidence():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=4000)
    x = (rng.normal(size=(4000, 2)) + labels[:, None]).astype(np.float32)
    schema = Schema("points", ("coordinate",), (2,), ("x", "y"), ("", ""))
    data = dataset(x, schema, labels=labels, label_names=("left", "right"))
    model, found = explain.calibrated(Classifier(Odds(4.0), ("left", "right")), data)
    # the true log-odds are x + y - 1, and these are four times as large
    assert found.temperature == pytest.approx(4, rel=0.1)
    assert found.error_after < 0.03 < found.error_before
    assert found.log_loss_after < found.log_loss_before
    assert "before" in found.sentence()
    point = jnp.asarray([0.4, 1.2])
    p = 1 / (1 + np.exp(-4 * 0.6 / model.temperature))
    assert targets.confidence(model)(point) == pytest.approx(p, rel=1e-4)
    entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
    assert targets.entropy(model)(point) == pytest.approx(entropy, rel=1e-4)
    assert targets.energy(model)(point) == pytest.approx(-np.log(1 + np.exp(2.4)), rel=1e-4)
    with pytest.raises(ValueError, match="none has one"):
        explain.calibrated(model, dataset(x, schema))
    with pytest.raises(ValueError, match="the temperature is 0"):
        Classifier(Odds(1.0), ("a", "b"), 0.0)
    with pytest.raises(TypeError, match="a class is asked of a classifier"):
        targets.energy(fitted("pca").model)


def test_calibration_error_by_hand():
    codes = np.log([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.45, 0.55]])
    labels = np.asarray([0, 1, 1, 1])
    # two bins of 15: 0.9 right half of the time; 0.6 and 0.55 always
    expected = (2 * abs(0.5 - 0.9) + abs(1 - 0.6) + abs(1 - 0.55)) / 4
    assert calibration_error(np.exp(codes), labels).value == pytest.approx(expected, abs=1e-9)


def test_probes_read_what_is_there(small_classifier):
    model, data = small_classifier
    (found,) = explain.probe(model, data.train, data.test)
    assert found.kind == "accuracy"
    assert 0.0 <= found.floor <= 1
    rows = [part.observations.mean(1) for part in (data.train, data.test)]
    (mean,) = explain.probe(model, data.train, data.test, answers=(rows[0], rows[1]))
    assert mean.linear > 0.9 > mean.floor
    (whole,) = explain.rebuild_from_layers(model, data.train, data.test)
    assert -1 < whole.explained <= 1
    layers = explain.layers_of(fitted("vae").model)
    assert [layer.name for layer in layers] == ["hidden 1"]


def test_activation_maximisation_climbs():
    b = np.asarray([1.0, -2.0], np.float32)
    line = Target(Quadratic(jnp.zeros((2, 2)), jnp.asarray(b)), "line")
    rule = explain.Regulariser(level=1.0)
    found = explain.maximise(line, np.zeros(2), regulariser=rule, steps=400, rate=0.1)
    # b x - mean(x^2) is highest at x = b
    assert found.x == pytest.approx(b, abs=0.05)
    assert found.value > found.start
    with pytest.raises(ValueError, match="the start has NaN"):
        explain.maximise(line, np.full(2, np.nan))
    pca = fitted("pca").model
    through = explain.maximise_through(targets.latent(pca, 0), pca, level=0.1, steps=100)
    assert through.value > through.start
    assert through.x.shape == pca.decode(jnp.zeros(2)).shape


def test_a_global_line_of_a_line(numbers):
    b = np.arange(1.0, 7.0, dtype=np.float32)
    line = Target(Quadratic(jnp.zeros((6, 6)), jnp.asarray(b)), "line")
    x = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    found = explain.global_surrogate(line, x)
    assert found.slopes == pytest.approx(b, rel=1e-3)
    assert found.r2 > 0.9999
    assert found.tree_r2 < found.r2


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda t: explain.saliency(t, np.ones(6)), "of a single observation x"),
        (lambda t: explain.integrated_gradients(t, np.ones((1, 6)), baseline=np.ones(5)),
         "a baseline of shape"),
        (lambda t: explain.integrated_gradients(t, np.ones((1, 6)), nodes=0), "at least one node"),
        (lambda t: explain.smooth_grad(t, np.ones((1, 6)), draws=0), "at least one"),
        (lambda t: explain.smooth_grad(t, np.ones((1, 6)), sigma=np.zeros(6)), "one positive"),
        (lambda t: explain.smooth_grad(t, np.ones((1, 6)), sigma=np.ones(5)), "for each entry"),
        (lambda t: explain.lime(t, np.ones((1, 6)), draws=3), "give more draws"),
        (lambda t: explain.occlusion(t, np.ones((1, 6)), window=(2,), stride=(3,)),
         "leaves something out"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(quadratic, call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(quadratic)


@pytest.mark.slow
def test_planted_evidence_is_found_and_lost_with_the_weights():
    found = SCRIPT.on_planted("words", 0, orders=20, redraws=5)
    assert found["score"] > 0.95
    for method, row in found["rows"].items():
        assert row["beaten"] >= 0.95, (method, row)
        assert row["left"] <= 0.5, (method, row)
