"""The explorer without server and browser: from a message to numbers, against what the models
themselves say."""

import csv
import io
import json
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unweave as uw
from models import fitted, small_beats
from unweave import explore
from unweave.explore._slider import prior_words, sliders_of
from unweave.networks import AbstractTold
from unweave.networks._given import Given
from unweave.recipes import gan


@pytest.fixture(scope="module")
def beats():
    """A VAE and principal components side by side, on 13 held-out beats."""
    return uw.explorer([fitted("vae"), fitted("pca")])


@pytest.fixture(scope="module")
def generator():
    """A generator, which has no encoder."""
    recipe = gan(latents=2, epochs=1, batch=8, widths=(8,), least_steps=2)
    run = uw.fit(recipe, small_beats(), quiet=True)
    return uw.explorer([run])


@pytest.fixture(scope="module")
def species():
    """An equation without data."""
    return uw.explorer(["zoo:lotka-volterra"])


def ask(explorer, what, model="m1", **fields):
    """The answer to a message, as a page would read it."""
    text = json.dumps({"ask": what, "seq": 3, "model": model, **fields})
    kind, seq, message = explore.read(explorer, text)
    frame = explore.packed(kind, seq, model, explore.answer(explorer, message))
    header, arrays = explore.unpacked(frame)
    assert (header["ask"], header["seq"], header["model"]) == (what, 3, model)
    return header, arrays


@pytest.mark.parametrize(
    ("which", "model"), [("beats", "m1"), ("beats", "m2"), ("generator", "m1")]
)
def test_turned_latents_are_decoded(which, model, request):
    explorer = request.getfixturevalue(which)
    z = np.asarray([0.5, -1.25])
    header, arrays = ask(explorer, "turn", model, z=z.tolist(), on=0)
    expected = explorer.subjects[model].model.decode(jnp.asarray(z, jnp.float32))
    np.testing.assert_allclose(arrays["x"], expected, atol=1e-5)
    np.testing.assert_allclose(arrays["times"], explorer.schema.times)
    assert header["z"] == z.tolist()
    assert header["score"] == pytest.approx(np.sqrt((z**2).mean()))


def test_an_equation_is_solved_at_many_times(species):
    model = species.subjects["m1"].model
    z = [0.8, 0.02, 0.9, 0.03, 30.0, 5.0]
    _, arrays = ask(species, "turn", z=z)
    with jax.enable_x64(True):
        grid = np.linspace(model.times[0], model.times[-1], 201)
        expected = model.decode(jnp.asarray(z), uw.Course(times=jnp.asarray(grid)))
    np.testing.assert_allclose(arrays["x"], expected, rtol=1e-9)
    np.testing.assert_allclose(arrays["times"], grid)
    # what the equation keeps: d x - c log x + b y - a log y
    x, y = arrays["x"].T
    kept = 0.03 * x - 0.9 * np.log(x) + 0.02 * y - 0.8 * np.log(y)
    np.testing.assert_allclose(kept, kept[0], atol=1e-4)


def test_sliders_say_unit_prior_and_reach(species, beats):
    names = [slider.name for slider in species.subjects["m1"].sliders()]
    assert names == ["a", "b", "c", "d", "x(0)", "y(0)"]
    a, b, *_ = species.subjects["m1"].sliders()
    assert (a.unit, a.low, a.high, a.logarithmic) == ("1/year", 0.2, 1.5, False)
    assert (b.unit, b.low, b.high, b.logarithmic) == ("1/(year thousand)", 0.005, 0.1, True)
    assert "even, 0.2 to 1.5" in a.prior
    assert prior_words(uw.truncated_normal(1.0, 0.5, 0.0, 2.0)) == "normal, 1 ± 0.5, cut to 0 to 2"
    header, arrays = ask(beats, "codes")
    codes = uw.codes(fitted("vae").model, beats.observations)
    np.testing.assert_allclose(arrays["codes"], codes, atol=1e-5)
    np.testing.assert_allclose(header["ranges"], np.stack([codes.min(0), codes.max(0)], 1))
    far = sliders_of(fitted("vae").model, np.asarray([[9.0, 0.0]]))
    assert (far[0].high, far[1].high) == (9.0, pytest.approx(3.0))


def test_a_fitted_parameter_can_be_turned_further_than_a_fit_left_open():
    latents = uw.latents(["k", "x0"], [uw.log_normal(0.0, 0.01), uw.normal(10.0, 0.1)])
    k, x0 = sliders_of(_Line(latents))
    assert (k.low, k.high) == (pytest.approx(0.5), pytest.approx(2.0))
    assert (x0.low, x0.high) == (pytest.approx(5.0), pytest.approx(15.0))
    assert k.middle == (pytest.approx(np.exp(-0.0196)), pytest.approx(np.exp(0.0196)))


class _Line(uw.AbstractDecoder):
    latents: uw.Latents

    def decode(self, z, condition=None, *, key=None):
        return z[:, None]


class _Told(uw.AbstractDecoder, AbstractTold):
    latents: uw.Latents
    given: Given | None

    def decode(self, z, condition=None, *, key=None):
        level = jnp.zeros(()) if condition is None else jnp.asarray(condition, float)
        return z[:, None] + level


def test_a_model_is_told_its_class_and_samples_come_back_in_the_users_units():
    schema = uw.Schema(
        "windows", ("time", "channel"), (2, 1), ("price",), ("$",), transform="log-return",
        reference=((100.0,),),
    )  # fmt: skip
    model = _Told(uw.Latents.standard(2), Given(("calm", "wild")))
    run = uw.Run(model, schema, {"recipe": "told"}, [], np.zeros((0, 2, 1)), {"data": {}})
    found = uw.explorer([run])
    _, arrays = ask(found, "turn", z=[0.1, 0.2])
    np.testing.assert_allclose(arrays["x"][:, 0], 100 * np.exp([0.1, 0.3]), rtol=1e-6)
    _, arrays = ask(found, "turn", z=[0.1, 0.2], told=1)
    np.testing.assert_allclose(arrays["x"][:, 0], 100 * np.exp([1.1, 2.3]), rtol=1e-6)
    lines = export(found, "reproduce.py", points={"m1": [0.1, 0.2]}, told=1).decode()
    assert "condition = np.asarray(1)" in lines
    assert "uw.restore(x, run.schema)" in lines
    assert explore.described(found)["models"][0]["told"] == ["calm", "wild"]
    with pytest.raises(explore.Refused, match="'told' is no whole number from 0 to 1"):
        ask(found, "turn", z=[0.1, 0.2], told=2)


def test_encode_interpolate_swap_and_sample(beats, generator):
    codes = uw.codes(fitted("pca").model, beats.observations).astype(float)
    header, arrays = ask(beats, "encode", "m2", on=4)
    np.testing.assert_allclose(header["z"], codes[4], atol=1e-5)
    rebuilt = uw.reconstruct(fitted("pca").model, beats.observations)
    np.testing.assert_allclose(arrays["x"], rebuilt[4], atol=1e-5)
    header, _ = ask(beats, "between", "m2", on=4, a=4, b=7, t=0.25)
    np.testing.assert_allclose(header["z"], 0.75 * codes[4] + 0.25 * codes[7], atol=1e-5)
    header, _ = ask(beats, "swap", "m2", on=4, b=7, z=codes[4].tolist(), places=[1])
    np.testing.assert_allclose(header["z"], [codes[4, 0], codes[7, 1]], atol=1e-5)
    draws = np.stack([ask(generator, "sample", seed=i)[0]["z"] for i in range(64)])
    assert abs(draws.mean()) < 0.3
    assert draws.std() == pytest.approx(1, abs=0.25)
    assert ask(generator, "sample", seed=5)[0]["z"] == draws[5].tolist()
    assert ask(generator, "codes")[0]["known"] is False


def test_a_generator_is_fitted_to_an_observation(generator):
    subject = generator.subjects["m1"]
    z = np.asarray([0.4, -0.7])
    made = subject.decode(z, None)
    assert subject.slow
    assert subject.wrapped
    found = uw.codes(subject.encoder, made[None])[0]
    np.testing.assert_allclose(subject.decode(found, None), made, atol=1e-3)


def test_how_strange_an_observation_is(beats):
    header, arrays = ask(beats, "strange", "m2", on=3)
    left = beats.observations - uw.reconstruct(fitted("pca").model, beats.observations)
    scores = ((left / np.sqrt((left**2).mean((0, 1)))) ** 2).mean((1, 2))
    assert header["value"] == pytest.approx(scores[3], rel=1e-4)
    rest = np.delete(scores, 3)
    assert header["median"] == pytest.approx(np.median(rest), rel=1e-4)
    assert header["share"] == pytest.approx((1 + (rest >= scores[3]).sum()) / 13)
    assert arrays["parts"].mean() == pytest.approx(scores[3], rel=1e-4)


def test_attribution_adds_up_and_an_attack_keeps_its_budget(beats):
    header, arrays = ask(beats, "explain", "m2", on=2, target="latent:pc1")
    code = uw.codes(fitted("pca").model, beats.observations).astype(float)
    mean = uw.codes(fitted("pca").model, beats.observations.mean(0)[None])[0, 0]
    assert header["value"] == pytest.approx(code[2, 0], abs=1e-4)
    assert arrays["values"].sum() == pytest.approx(code[2, 0] - mean, abs=1e-3)
    header, arrays = ask(beats, "attack", "m2", on=2, target="latent:pc1", share=0.1)
    moved = arrays["x"] - beats.observations[2]
    assert header["radius"] == pytest.approx(0.1 * beats.observations.std(), rel=1e-5)
    assert np.abs(moved).max() <= header["radius"] * (1 + 1e-5)
    assert header["after"] > header["before"] == pytest.approx(code[2, 0], abs=1e-4)
    still, _ = ask(beats, "attack", "m2", on=2, target="latent:pc1", share=0.0)
    assert still["after"] == still["before"]


def test_arrows_are_the_equations_own(species):
    z = [0.8, 0.02, 0.9, 0.03, 30.0, 5.0]
    header, arrays = ask(species, "arrows", z=z, box=[0.0, 100.0, 10.0, 60.0])
    x, y = np.meshgrid(np.linspace(0, 100, 33), np.linspace(10, 60, 33))
    expected = np.stack([0.8 * x - 0.02 * x * y, 0.03 * x * y - 0.9 * y])
    np.testing.assert_allclose(arrays["rates"], expected, atol=1e-9)
    assert header["box"] == [0.0, 100.0, 10.0, 60.0]


def export(explorer, kind, **fields):
    """The bytes of an export, as text."""
    made = explore.exported(
        explorer, explore.read_export(explorer, json.dumps({"kind": kind, **fields}))
    )
    assert made.name == kind
    return made.content


def table(content):
    """The rows of a CSV file, each by its columns."""
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_tables_hold_what_is_shown(beats):
    points = {"m1": [0.1, 0.2], "m2": [1.0, -1.0]}
    rows = list(
        csv.DictReader(io.StringIO(export(beats, "signals.csv", on=1, points=points).decode()))
    )
    assert set(rows[0]) == {"series", "time (s)", "channel", "value", "unit"}
    for name, model in (("vae", "m1"), ("pca", "m2")):
        _, arrays = ask(beats, "turn", model, z=points[model], on=1)
        values = [float(row["value"]) for row in rows if row["series"] == name]
        np.testing.assert_allclose(values, arrays["x"].ravel())
    seen = [float(row["value"]) for row in rows if row["series"] == "observation"]
    np.testing.assert_allclose(seen, beats.observations[1].ravel())
    rows = table(export(beats, "latents.csv", points=points))
    assert [(row["model"], row["latent"], float(row["value"])) for row in rows] == [
        ("vae", "z1", 0.1), ("vae", "z2", 0.2), ("pca", "pc1", 1.0), ("pca", "pc2", -1.0),
    ]  # fmt: skip


def test_figures_are_drawn(beats, species):
    points = {"m1": [0.1, 0.2], "m2": [1.0, -1.0]}
    picture = export(beats, "figure.svg", on=1, points=points).decode()
    assert picture.startswith("<?xml")
    assert all(f">{word}<" in picture for word in ("observation", "vae", "pca", "time (s)"))
    assert picture.encode() == export(beats, "figure.svg", on=1, points=points)
    point = {"m1": [0.8, 0.02, 0.9, 0.03, 30.0, 5.0]}
    assert export(species, "figure.png", points=point)[:4] == b"\x89PNG"


def test_python_lines_give_the_same_numbers(species, own_folder, tmp_path):
    run = uw.fit(uw.pca(latents=2), small_beats(), out=tmp_path / "beats", quiet=True)
    found = uw.explorer([run.folder])
    z = {"m1": [0.123456789, -1.5]}
    _, arrays = ask(found, "turn", z=z["m1"], on=0)
    lines = export(found, "reproduce.py", on=0, points=z).decode()
    assert "# pc1" in lines
    other = {"m1": [0.8, 0.02, 0.9, 0.03, 30.0, 5.0]}
    _, course = ask(species, "turn", z=other["m1"])
    more = export(species, "reproduce.py", points=other).decode()
    program = "\n".join([lines, "first = x", more, "np.savez('found', a=first, b=x)"])
    cache = {"JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir)}
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ | cache, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    with np.load(tmp_path / "found.npz") as made:
        np.testing.assert_allclose(made["a"], arrays["x"], rtol=1e-6)
        np.testing.assert_allclose(made["b"], course["x"], rtol=1e-9)


def test_a_page_is_told_everything_once(beats, species):
    told = explore.described(beats)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert [model["name"] for model in told["models"]] == ["vae", "pca"]
    assert told["n"] == len(told["observations"]) == len(told["places"]) == 13
    assert told["models"][0]["targets"] == ["surprise", "misfit", "latent:z1", "latent:z2"]
    places = np.asarray(told["places"])
    flat = beats.observations.reshape(13, -1)
    mean = flat - flat.mean(0)
    first = np.linalg.eigh(mean.T @ mean)[1][:, -1]
    assert abs(np.corrcoef(places[:, 0], mean @ first)[0, 1]) == pytest.approx(1)
    alone = explore.described(species)
    assert (alone["n"], alone["places"], alone["models"][0]["plane"]) == (0, None, True)


TURN = {"ask": "turn", "seq": 1, "model": "m1", "z": [0.0, 0.0], "on": 0}
MALFORMED = [
    "", "{", "null", "[]", "3", '"turn"', "{}", "[" * 5000, '{"a":' * 3000,
    '{"ask": "turn", "seq": 1, "model": "m1", "z": [NaN, 0]}',
    '{"ask": "turn", "seq": 1, "model": "m1", "z": [1e999, 0]}',
    '{"ask": "turn", "seq": 1, "model": "m1", "z": [' + "9" * 5000 + ", 0]}",
    json.dumps({**TURN, "ask": "run"}), json.dumps({**TURN, "ask": ["turn"]}),
    json.dumps({**TURN, "model": "m9"}), json.dumps({**TURN, "model": "../../etc/passwd"}),
    json.dumps({**TURN, "model": {"id": "m1"}}), json.dumps({**TURN, "model": None}),
    json.dumps({**TURN, "seq": -1}), json.dumps({**TURN, "seq": 1.5}),
    json.dumps({**TURN, "seq": True}), json.dumps({**TURN, "seq": 2**60}),
    json.dumps({**TURN, "z": [0.0]}), json.dumps({**TURN, "z": [0.0, "1"]}),
    json.dumps({**TURN, "z": [0.0, None]}), json.dumps({**TURN, "z": [0.0, True]}),
    json.dumps({**TURN, "z": [0.0, 1e300]}), json.dumps({**TURN, "z": {"0": 0.0}}),
    json.dumps({**TURN, "z": [[0.0, 0.0]]}), json.dumps({**TURN, "on": 13}),
    json.dumps({**TURN, "on": -1}), json.dumps({**TURN, "on": "0"}),
    json.dumps({**TURN, "told": 0}), json.dumps({**TURN, "path": "/etc/passwd"}),
    json.dumps({k: v for k, v in TURN.items() if k != "z"}),
    json.dumps({**TURN, "more": "x" * 70_000}),
    json.dumps({"ask": "explain", "seq": 1, "model": "m1", "on": 0, "target": "__import__"}),
    json.dumps({"ask": "attack", "seq": 1, "model": "m1", "on": 0, "target": "misfit", "share": 2}),
    json.dumps({"ask": "between", "seq": 1, "model": "m1", "a": 0, "b": 1, "t": 1.01}),
    json.dumps({"ask": "swap", "seq": 1, "model": "m1", "z": [0, 0], "b": 1, "places": [0, 0]}),
    json.dumps({"ask": "swap", "seq": 1, "model": "m1", "z": [0, 0], "b": 1, "places": [2]}),
    json.dumps({"ask": "sample", "seq": 1, "model": "m1", "seed": 2**40}),
    json.dumps({"ask": "arrows", "seq": 1, "model": "m1", "z": [0, 0], "box": [1, 0, 0, 1]}),
]  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_no_message_is_refused_with_a_sentence(beats, text):
    with pytest.raises(explore.Refused) as refusal:
        explore.read(beats, text)
    assert re.fullmatch(r".{10,200}\.", str(refusal.value))
    # the state is the message's own: the same question has the same answer as before
    _, arrays = ask(beats, "turn", z=[0.0, 0.0], on=0)
    assert np.isfinite(arrays["x"]).all()


def test_latents_outside_of_their_support_are_refused(species):
    with pytest.raises(explore.Refused, match=r"a is 7, outside of 0\.2 to 1\.5"):
        ask(species, "turn", z=[7.0, 0.02, 0.9, 0.03, 30.0, 5.0])
    with pytest.raises(explore.Refused, match="no observations here"):
        ask(species, "encode", on=0)


def test_models_of_different_observations_are_not_shown_together(own_folder):
    with pytest.raises(ValueError, match="models of the same observations"):
        uw.explorer([fitted("vae"), "zoo:lotka-volterra"])
    with pytest.raises(ValueError, match="nothing was named"):
        uw.explorer([])
    with pytest.raises(TypeError, match="explore needs a model with a decoder"):
        uw.explorer([fitted("gaussian-mixture")])
