"""The loop: one seed, one model; stopped and resumed, the same bits; failures with a sentence."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from models import ALL_RECIPES, fitted, small_beats
from unweave._check import check_model
from unweave._model import AbstractDecoder, AbstractDensity, AbstractEncoder
from unweave._save import load_model, save_model
from unweave._schema import Schema
from unweave.data import dataset, digits, split_at_random
from unweave.recipes import OF_COURSES, RECIPES, vae
from unweave.run import fit
from unweave.train import Descend, Interrupted, Plan, Trainer, TrainingFailed, Watch


class Point(eqx.Module):
    """A model that is one number."""

    at: jax.Array


def distance(model, x, key, step):
    """Mean squared distance from the point to the observations."""
    loss = ((model.at - x) ** 2).mean()
    return loss, {"at": model.at}


def point_trainer(train, held_out, *, rate=0.05, batch=5, **plan):
    return Trainer(
        Point(jnp.asarray(0.0)),
        np.asarray(train, np.float32),
        np.asarray(held_out, np.float32),
        Plan(lambda budget: Descend(distance, optax.sgd(rate)), batch=batch, **plan),
        key=jax.random.key(0),
    )


def run(trainer):
    return trainer.run(trainer.start(), [], Watch())


def test_descent_follows_its_closed_form():
    # the gradient of (p - 10)^2 shrinks the distance to 10 by 1 - 2 rate at every step
    trained = run(point_trainer(np.full(20, 10.0), np.full(4, 10.0), epochs=3))
    steps = np.arange(1, 13)
    p = 10 - 10 * 0.9**steps
    np.testing.assert_allclose(float(trained.model.at), p[-1], rtol=1e-5)
    for epoch, row in enumerate(trained.rows, start=1):
        assert (row["epoch"], row["step"]) == (epoch, 4 * epoch)
        before = np.concatenate([[0.0], p])[4 * epoch - 4 : 4 * epoch]
        np.testing.assert_allclose(row["train_loss"], ((before - 10) ** 2).mean(), rtol=1e-4)
        np.testing.assert_allclose(row["held_out_loss"], (p[4 * epoch - 1] - 10) ** 2, rtol=1e-3)


def test_patience_keeps_the_best_epoch():
    # training pulls to 10, held-out data lie at 6: the best epoch is the one closest to 6
    trained = run(point_trainer(np.full(20, 10.0), np.full(4, 6.0), epochs=50, patience=3))
    ends = 10 - 10 * 0.9 ** (4 * np.arange(1, 51))
    best = int(np.argmin((ends - 6) ** 2)) + 1
    assert trained.epochs == best + 3
    np.testing.assert_allclose(float(trained.model.at), ends[best - 1], rtol=1e-5)
    assert f"the model of epoch {best} is kept" in trained.stopped


def test_without_patience_the_last_is_kept():
    trained = run(point_trainer(np.full(20, 10.0), np.full(4, 6.0), epochs=50))
    assert trained.epochs == 50
    np.testing.assert_allclose(float(trained.model.at), 10.0, rtol=1e-4)
    assert trained.stopped == "all 50 epochs were run; the last model is kept"


def test_each_epoch_sees_every_observation_once():
    seen = []

    def note(model, x, key, step):
        jax.debug.callback(lambda x: seen.extend(x.tolist()), x, ordered=True)
        return model.at * 0, {}

    plan = Plan(lambda budget: Descend(note, optax.sgd(0.1)), epochs=2, batch=4)
    rows = np.arange(12, dtype=np.float32)
    trainer = Trainer(Point(jnp.asarray(0.0)), rows, rows[:1], plan, key=jax.random.key(0))
    run(trainer)
    jax.effects_barrier()
    # one held-out observation is looked at after each epoch
    first, second = seen[:12], seen[13:25]
    assert sorted(first) == sorted(second) == rows.tolist()
    assert first != second


def test_a_batch_larger_than_the_data_is_all_of_them():
    trainer = point_trainer(np.full(7, 10.0), np.full(4, 10.0), batch=1000, epochs=2)
    trained = run(trainer)
    assert (trainer.batch, trainer.per_epoch, trained.rows[-1]["step"]) == (7, 1, 2)
    np.testing.assert_allclose(float(trained.model.at), 10 - 10 * 0.9**2, rtol=1e-5)


def test_integers_train_as_they_are():
    model = Point(jnp.asarray(0.0))
    plan = Plan(lambda budget: Descend(real_distance, optax.sgd(0.05)), 1, 4)
    rows = np.full(8, 3, np.uint8)
    trainer = Trainer(model, rows, rows, plan, key=jax.random.key(0))
    assert trainer.feed.data.dtype == jnp.uint8
    np.testing.assert_allclose(float(run(trainer).model.at), 3 - 3 * 0.9**2, rtol=1e-5)


def real_distance(model, x, key, step):
    return distance(model, x.astype(jnp.float32), key, step)


@pytest.mark.parametrize("calls", [1, 2, 4])
def test_stopped_and_resumed_ends_in_the_same_bits(calls):
    """The state carries on from wherever it was, in the midst of an epoch too."""
    data = np.random.default_rng(0).normal(size=87)
    trainer = point_trainer(data, data[:9], batch=4, epochs=4)
    whole = run(trainer)
    # a new one, which has yet to find out how many steps a call takes
    trainer = point_trainer(data, data[:9], batch=4, epochs=4)
    kept, rows, asked = [], [], iter(range(1, 100))
    watch = Watch(row=rows.append, save=kept.append, stop=lambda: next(asked) == calls)
    with pytest.raises(Interrupted):
        trainer.run(trainer.start(), [], watch)
    assert int(kept[-1].state.step) < trainer.total
    resumed = trainer.run(kept[-1], rows, Watch())
    assert eqx.tree_equal(resumed.model, whole.model)
    assert resumed.rows == whole.rows


def growing(model, x, key, step):
    """A loss that leaves the numbers there are at step 30."""
    return jnp.where(step < 30, model.at, jnp.inf), {}


def test_a_loss_that_is_not_finite_stops_with_the_last_good_model():
    plan = Plan(lambda budget: Descend(growing, optax.sgd(1.0)), epochs=9, batch=1)
    rows = np.zeros(10, np.float32)
    trainer = Trainer(Point(jnp.asarray(0.0)), rows, rows, plan, key=jax.random.key(0))
    with pytest.raises(TrainingFailed, match=r"on held-out data \(epoch 1\)"):
        run(trainer)  # held-out data are judged at the end of every schedule
    one = np.zeros(40, np.float32)
    trainer = Trainer(Point(jnp.asarray(0.0)), one, one, plan, key=jax.random.key(0))
    with pytest.raises(TrainingFailed, match=r"not finite at step 31 \(epoch 1\)") as caught:
        run(trainer)
    message = str(caught.value)
    assert "learning rate ten times smaller" in message
    # each good step moved the point by one; those since the call began are given up
    at = float(caught.value.model.at)
    assert -30 <= at <= 0
    assert at == round(at)


def test_an_update_that_no_loss_has_judged_is_not_the_last_good_model():
    # one step a call: the step that ruins the model still has a finite loss of its own
    def blow(model, x, key, step):
        return jnp.where(jnp.isfinite(model.at), model.at * 1e30, jnp.nan), {}

    plan = Plan(lambda budget: Descend(blow, optax.sgd(1e30)), epochs=2, batch=8)
    rows = np.zeros(8, np.float32)
    trainer = Trainer(Point(jnp.asarray(0.0)), rows, rows, plan, key=jax.random.key(0))
    with pytest.raises(TrainingFailed) as caught:
        run(trainer)
    assert float(caught.value.model.at) == 0.0


def test_both_players_of_an_adversarial_fit_move():
    recipe = ALL_RECIPES["factor-vae"]()
    data = small_beats().train
    model = recipe.build(data, jax.random.key(0))
    trainer = Trainer(
        model, data.observations, data.observations[:5], recipe.plan, key=jax.random.key(1)
    )
    before, kept = trainer.start(), []
    trainer.run(before, [], Watch(save=kept.append))
    for player in ("model", "rival"):
        old = jax.tree.leaves(eqx.filter(getattr(before.state, player), eqx.is_array))
        new = jax.tree.leaves(eqx.filter(getattr(kept[-1].state, player), eqx.is_array))
        assert old
        assert any(not jnp.array_equal(a, b) for a, b in zip(old, new, strict=True))


def test_the_table_holds_every_recipe():
    # equations are fitted to courses and not to these beats: tests/test_fit_equation.py and
    # test_hybrid.py; flows have as many latents as numbers: tests/test_flows.py; networks that
    # answer need labels: tests/test_schemes.py
    flows = {"flow", "ffjord", "coupling-flow"}
    deep = {"resnet", "revnet", "polynet", "fractalnet", "lm-resnet", "rk-net", "ode-net", "dgcnn"}
    # reads another model's latents: tests/test_on_latents.py
    deep |= {"on-latents"}
    # recurrent networks and latent ODEs: tests/test_series.py
    # what reads spans: tests/test_spans.py
    series = {"span-reader", "gru", "lstm", "ode-rnn", "neural-cde", "latent-ode"}
    # generators with a critic: tests/test_adversarial.py
    games = {"gan", "dcgan", "cgan", "infogan", "aae", "vae-gan", "bigan", "cyclegan", "meg"}
    # so have denoising models: tests/test_denoising.py
    denoising = {"diffusion", "ncsn", "dde"}
    # of groups that share something, and of pictures: tests/test_discrete.py
    grouped = {"content-style", "slots"}
    others = set(OF_COURSES) | flows | denoising | deep | series | games | grouped
    assert {name.split(",")[0] for name in ALL_RECIPES} == set(RECIPES) - others
    for name, make in ALL_RECIPES.items():
        assert make().name == name.split(",")[0]


# a mixture has no codes to reconstruct from, an autoencoder no density
_LACKS = {"explained_variance": "gaussian-mixture", "log_density": "autoencoder"}


# objectives of their own over one model, which the tests of objectives hold; and what the tests of
# discrete latents fit
ELSEWHERE = ("beta-tcvae", "dip-vae", "dip-vae, of samples", "info-vae", "cluster-vae", "vq-vae")
EACH = [pytest.param(n, marks=pytest.mark.slow) if n in ELSEWHERE else n for n in ALL_RECIPES]


@pytest.mark.parametrize("name", EACH)
def test_every_recipe_fits_and_conforms(name):
    run = fitted(name)
    assert run.result["latents"] == 2
    for measure in ("explained_variance", "log_density"):
        value = run.result[measure]
        assert value is None if name == _LACKS[measure] else np.isfinite(value)
    report = check_model(
        run.model, x=jnp.asarray(run.examples[0], jnp.float32), key=jax.random.key(0)
    )
    assert report.ok, str(report)


@pytest.mark.parametrize("name", EACH)
def test_every_fitted_model_survives_its_file(name, tmp_path):
    run = fitted(name)
    save_model(tmp_path / "model.safetensors", run.model, schema=run.schema)
    file = load_model(tmp_path / "model.safetensors")
    assert file.schema == run.schema
    x = jnp.asarray(run.examples[0], jnp.float32)
    for before, after in zip(answers(run.model, x), answers(file.model, x), strict=True):
        np.testing.assert_array_equal(before, after)


def answers(model, x):
    yield model.sample(jax.random.key(3))
    if isinstance(model, AbstractEncoder):
        yield model.encode(x)
    if isinstance(model, AbstractDecoder):
        yield model.decode(model.latents.sample(jax.random.key(4)))
    if isinstance(model, AbstractDensity):
        yield model.log_density(x)


def test_one_seed_one_model():
    recipe = ALL_RECIPES["vae"]()
    again = fit(recipe, small_beats(), quiet=True, seed=1)
    assert eqx.tree_equal(again.model, fitted("vae").model)
    assert again.rows == fitted("vae").rows
    other = fit(recipe, small_beats(), quiet=True, seed=2)
    assert not eqx.tree_equal(other.model, fitted("vae").model)


@pytest.mark.slow
def test_images_are_convolved():
    # the digits at twice their size, as the smallest images that are convolved
    pixels = np.kron(digits().observations[:80, :, :, 0], np.ones((1, 2, 2), np.uint8))
    schema = Schema("images", ("row", "column", "channel"), (16, 16, 1), ("grey",), ("",))
    data = split_at_random(dataset(pixels[..., None], schema))
    run = fit(vae(latents=3, epochs=1, batch=16), data, quiet=True)
    assert "Conv" in repr(type(run.model.encoder)) + repr(run.model.encoder)
    x = run.model.decode(jnp.zeros(3))
    assert x.shape == (16, 16, 1)
    assert 0 <= float(x.min()) < float(x.max()) <= 16
    assert np.isfinite(run.rows[0]["held_out_loss"])


def with_value(data, part, value):
    """The split with one number of one part replaced."""
    observations = getattr(data, part).observations.copy()
    observations[0, 0, 0] = value
    return replace(data, **{part: replace(getattr(data, part), observations=observations)})


@pytest.mark.parametrize("cause", ["learning rate", "held-out data"])
def test_a_fit_that_diverges_says_so_and_leaves_a_good_model(cause, tmp_path):
    data, rate = small_beats(), 1e9
    if cause == "held-out data":
        data, rate = with_value(data, "validation", 1e30), 1e-3
    recipe = vae(latents=2, epochs=2, batch=8, widths=(16,), learning_rate=rate)
    with pytest.raises(TrainingFailed, match=r"the loss was not finite .* Try a learning rate"):
        fit(recipe, data, out=tmp_path / "run", quiet=True)
    model = load_model(tmp_path / "run" / "model.safetensors").model
    assert all(jnp.isfinite(a).all() for a in jax.tree.leaves(eqx.filter(model, eqx.is_array)))


def test_infinite_and_missing_data_are_refused_at_the_door():
    data = small_beats()
    with pytest.raises(ValueError, match="train part holds infinite values"):
        fit(vae(), with_value(data, "train", np.inf))
    with pytest.raises(ValueError, match="validation part is empty"):
        fit(vae(), replace(data, validation=data.validation.take(slice(0))))
