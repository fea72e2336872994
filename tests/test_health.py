"""What the monitor of a training says, of models that are made to fail and of sound ones."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import small_beats
from unweave._latents import Latents
from unweave._model import AbstractDecoder, AbstractSampler
from unweave.recipes import gan, vae
from unweave.run import fit
from unweave.train import Look, Monitor, alarms, health_words

KEY = jax.random.key(0)


class Replay(AbstractSampler):
    """Gives back what it has seen, with a little noise."""

    seen: jax.Array
    noise: float = eqx.field(static=True, default=0.0)

    def sample(self, key, condition=None):
        which, chance = jax.random.split(key)
        x = self.seen[jax.random.randint(which, (), 0, len(self.seen))]
        return x + self.noise * jax.random.normal(chance, x.shape)


class Cloud(AbstractDecoder):
    """A Gaussian with one latent that does nothing."""

    latents: Latents
    spread: float = eqx.field(static=True)

    def decode(self, z, condition=None, *, key=None):
        return self.spread * z[:2]


def plane(n, seed):
    return np.random.default_rng(seed).standard_normal((n, 2)).astype(np.float32)


def look(model, train=None, held=None):
    monitor = Monitor(plane(600, 0) if train is None else train,
                      plane(200, 1) if held is None else held, KEY)  # fmt: skip
    return monitor.look(model, monitor.draw(model))


def rows(found, wins=0.5, epochs=10):
    told = {f"look_{name}": value for name, value in found._asdict().items()}
    return [{"epoch": e + 1, "held_out_critic_wins": wins, **told} for e in range(epochs)]


def test_a_sound_model_raises_no_alarm():
    found = look(Cloud(Latents.standard(3), 1.0))
    assert found.spread == pytest.approx(1, abs=0.15)
    assert found.coverage == pytest.approx(1, abs=0.1)
    assert abs(found.copied) < 0.15
    assert found.nearness == pytest.approx(1, abs=0.25)
    assert found.unused == pytest.approx(1 / 3)
    assert abs(found.distance) < 0.03
    assert alarms(rows(found), 10) == {}
    words = " ".join(health_words(rows(found), 10))
    assert words.startswith("No alarm")
    assert "33% of the latents change nothing" in words
    assert "do not say when to stop" in words


def test_a_copy_of_training_is_told():
    found = look(Replay(jnp.asarray(plane(600, 0)), 1e-3))
    assert found.copied > 0.9
    assert found.nearness < 0.1
    assert set(alarms(rows(found), 10)) == {"memorising"}
    assert "Memorising since epoch 2" in health_words(rows(found), 10)[0]


def test_a_fresh_sample_is_not_a_copy():
    found = look(Replay(jnp.asarray(plane(600, 7))))
    assert abs(found.copied) < 0.2
    assert alarms(rows(found), 10) == {}
    assert np.isnan(found.unused)  # a sampler has no latents to turn


def test_a_collapse_is_told():
    found = look(Cloud(Latents.standard(2), 0.02))
    assert found.spread < 0.01
    assert set(alarms(rows(found), 10)) == {"collapsed"}


def test_kinds_that_are_left_out_are_told():
    rng = np.random.default_rng(0)
    centres = 10 * rng.standard_normal((10, 2))[::-1]

    def clouds(n, some, seed):
        rng = np.random.default_rng(seed)
        return (centres[rng.integers(some, size=n)] + rng.standard_normal((n, 2))).astype("f4")

    model = Replay(jnp.asarray(clouds(4000, 3, 5)))
    found = look(model, clouds(1000, 10, 0), clouds(300, 10, 1))
    assert found.coverage < 0.4
    assert found.spread > 0.1
    assert "leaving out" in alarms(rows(found), 10)


def test_a_critic_that_always_wins_is_told_after_the_beginning_only():
    found = look(Cloud(Latents.standard(3), 1.0))
    assert alarms(rows(found, wins=0.995), 10) == {"critic saturated": 2}
    assert alarms(rows(found, wins=0.995)[:1], 10) == {}
    told = rows(found, wins=0.995)
    told[-1]["held_out_critic_wins"] = 0.7  # it has recovered
    assert alarms(told, 10) == {}


def test_where_held_out_data_are_of_others_no_kinds_are_missed():
    # other patients: held-out observations lie where no training observation does
    found = look(Cloud(Latents.standard(3), 1.0), held=plane(200, 1) + np.float32(40))
    assert found.alike == 0
    assert found.coverage == pytest.approx(1, abs=0.15)
    assert found.floor > 10
    told = health_words(rows(found), 10)
    assert alarms(rows(found), 10) == {}
    assert any("not like those of training" in sentence for sentence in told)


def test_the_distance_is_the_energy_distance():
    import scipy.stats

    rng = np.random.default_rng(0)
    held = rng.standard_normal((200, 1)).astype(np.float32)
    train = rng.standard_normal((400, 1)).astype(np.float32)
    monitor = Monitor(train, held, KEY)
    drawn = (0.5 + rng.standard_normal((256, 1))).astype(np.float32)
    found = monitor.look(Replay(jnp.asarray(drawn)), drawn)
    a, b = ((part[:, 0] / monitor.unit).astype(float) for part in (drawn, held))
    within = sum(
        np.abs(x[:, None] - x[None]).sum() * (1 / (len(x) * (len(x) - 1)) - 1 / len(x) ** 2)
        for x in (a, b)
    )
    expected = scipy.stats.energy_distance(a, b) ** 2 - within
    assert found.distance == pytest.approx(expected, rel=1e-2)


def test_gaps_and_conditions_are_no_hindrance():
    train = plane(100, 0)
    train[::3, 1] = np.nan
    assert np.isfinite(look(Cloud(Latents.standard(2), 1.0), train=train)[:5]).all()


def test_a_run_tells_and_keeps_pictures(tmp_path):
    recipe = gan(latents=2, epochs=5, batch=8, least_steps=1, widths=(8,))
    data = small_beats()
    run = fit(recipe, data, out=tmp_path / "run", quiet=True)
    assert sorted(p.name for p in (tmp_path / "run" / "samples").iterdir()) == [
        f"epoch-{e:05d}.png" for e in range(1, 6)
    ]
    # six held-out observations tell nothing
    assert run.result["health"] == []


def test_looks_do_not_change_a_training():
    from dataclasses import replace

    recipe = vae(latents=2, epochs=3, batch=8, widths=(8,))
    data = small_beats()
    blind = replace(recipe, plan=replace(recipe.plan, looks=0))
    one, other = (fit(r, data, quiet=True).model for r in (recipe, blind))
    assert eqx.tree_equal(one, other)


def test_a_look_is_plain_numbers():
    assert all(isinstance(value, float) for value in look(Cloud(Latents.standard(2), 1.0)))
    assert Look._fields[:3] == ("spread", "coverage", "copied")
