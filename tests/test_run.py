"""The run folder: what it holds, what it refuses, and that a crash leaves nothing to see."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from conftest import ROOT
from models import ALL_RECIPES, fitted, small_beats
from unweave import Schema
from unweave.data import dataset, split_at_random
from unweave.recipes import vae
from unweave.run import fit, load_run
from unweave.track import AbstractTracker
from unweave.train import Interrupted, RunFolderError

BITS = ("model.safetensors", "metrics.jsonl", "checkpoint.safetensors")


def bits(folder):
    return [(folder / name).read_bytes() for name in BITS]


class Signal(AbstractTracker):
    """Sends this process SIGTERM once so many epochs have passed."""

    def __init__(self, epochs):
        self.left = epochs

    def log(self, row):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGTERM)

    def close(self):
        pass


class Crash(Signal):
    """Ends the run without any warning, right after a row of the log was written."""

    def log(self, row):
        self.left -= 1
        if self.left == 0:
            raise ZeroDivisionError("crash")


# with 45 observations each epoch has 11 steps, of which the first compiled call takes 8
def recipe(name):
    options = {"latents": 2, "epochs": 4, "batch": 4, "widths": (16,)}
    return ALL_RECIPES[name](**options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Runs that were never interrupted, by the name of their recipe."""
    folder = tmp_path_factory.mktemp("whole")
    for name in ("vae", "factor-vae"):
        fit(recipe(name), small_beats(), out=folder / name, quiet=True)
    return folder


@pytest.mark.parametrize("name", ["vae", "factor-vae"])
@pytest.mark.parametrize("stops", [(1,), (3,), (1, 1, 1)])
def test_stopped_by_a_signal_and_resumed(name, stops, whole, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    for number, epochs in enumerate(stops):
        with pytest.raises(
            Interrupted, match=r"stopped in epoch .*; go on with it by: unweave fit --resume"
        ):
            fit(
                recipe(name), small_beats(), out=tmp_path, resume=number > 0, quiet=True,
                trackers=(Signal(epochs),),
            )  # fmt: skip
    assert signal.getsignal(signal.SIGTERM) == before
    fit(recipe(name), small_beats(), out=tmp_path, resume=True, quiet=True)
    assert bits(tmp_path) == bits(whole / name)


@pytest.mark.parametrize("every", [0.0, 1e9])
@pytest.mark.parametrize("epochs", [1, 2, 4])
def test_crashed_and_resumed(epochs, every, whole, tmp_path):
    """The checkpoint is older than the log, or there is none at all."""
    with pytest.raises(ZeroDivisionError):
        fit(
            recipe("vae"), small_beats(), out=tmp_path, quiet=True, checkpoint_every=every,
            trackers=(Crash(epochs),),
        )  # fmt: skip
    assert (tmp_path / "checkpoint.safetensors").exists() == (every == 0)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == epochs
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 9, "st')
    fit(recipe("vae"), small_beats(), out=tmp_path, resume=True, quiet=True)
    assert bits(tmp_path) == bits(whole / "vae")


def test_a_finished_run_resumed_stays_as_it_is(whole, tmp_path):
    run = shutil.copytree(whole / "vae", tmp_path / "run")
    again = fit(recipe("vae"), small_beats(), out=run, resume=True, quiet=True)
    assert again.result["epochs"] == 4
    assert bits(run) == bits(whole / "vae")


def test_a_folder_gives_back_the_run(whole):
    run = load_run(whole / "vae")
    direct = fit(recipe("vae"), small_beats(), quiet=True)
    assert eqx.tree_equal(run.model, direct.model)
    assert run.schema == direct.schema
    assert run.rows == direct.rows
    np.testing.assert_array_equal(run.examples, direct.examples)
    same = set(direct.result) - {"run", "seconds", "model_hash"}
    assert json.dumps({k: run.result[k] for k in same}) == json.dumps(
        {k: direct.result[k] for k in same}
    )
    assert run.result["run"] == str(whole / "vae")
    assert run.folder == whole / "vae"
    assert direct.folder is None
    assert direct.result["run"] is None


def test_settings_come_back(whole):
    settings = load_run(whole / "vae").settings
    assert (settings["recipe"], settings["seed"]) == ("vae", 0)
    assert settings["options"] == {
        "latents": 2, "epochs": 4, "batch": 4, "learning_rate": 1e-3, "patience": 20,
        "widths": [16],
    }  # fmt: skip
    assert vae(**{**settings["options"], "widths": (16,)}).options == recipe("vae").options


def test_a_closed_form_has_a_folder_too(tmp_path):
    run = fit(ALL_RECIPES["pca"](), small_beats(), out=tmp_path / "run", quiet=True)
    again = load_run(tmp_path / "run")
    assert eqx.tree_equal(run.model, again.model)
    assert (run.rows, run.result["epochs"]) == ([], 0)


def test_results_say_what_was_measured():
    result, data = fitted("pca").result, small_beats()
    assert (result["n_train"], result["n_validation"], result["n_test"]) == (45, 6, 13)
    x, train = data.test.observations[..., 0], data.train.observations[..., 0]
    # the mean of the training data as the model of everything
    left = ((x - train.mean(0)) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
    np.testing.assert_allclose(result["baselines"]["mean"], 1 - left, atol=1e-4)
    # and the two directions of its largest variance
    _, _, axes = np.linalg.svd(train - train.mean(0), full_matrices=False)
    codes = (x - train.mean(0)) @ axes[:2].T
    left = ((x - train.mean(0) - codes @ axes[:2]) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
    np.testing.assert_allclose(result["baselines"]["pca"], 1 - left, atol=0.02)
    np.testing.assert_allclose(result["explained_variance"], result["baselines"]["pca"])


def refused(words, **more):
    with pytest.raises(RunFolderError, match=words):
        fit(recipe("vae"), small_beats(), quiet=True, **more)


def test_a_run_is_not_overwritten_unless_forced(whole, tmp_path):
    run = shutil.copytree(whole / "vae", tmp_path / "run")
    refused("already holds a run", out=run)
    assert bits(run) == bits(whole / "vae")
    fit(recipe("vae"), small_beats(), out=run, force=True, quiet=True, seed=5)
    assert load_run(run).result["seed"] == 5
    assert bits(run) != bits(whole / "vae")
    (tmp_path / "file").write_text("mine")
    refused("is a file", out=tmp_path / "file", force=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_only_the_same_run_goes_on(whole, tmp_path):
    run = shutil.copytree(whole / "vae", tmp_path / "run")
    refused("needs out", resume=True)
    refused("holds no run", resume=True, out=tmp_path / "nothing")
    refused("begun with seed 0, not 1", resume=True, out=run, seed=1)
    with pytest.raises(RunFolderError, match="begun with epochs 4, not 9"):
        fit(ALL_RECIPES["vae"](batch=4, epochs=9), small_beats(), out=run, resume=True)
    with pytest.raises(RunFolderError, match="holds a run of vae, not of pca"):
        fit(ALL_RECIPES["pca"](), small_beats(), out=run, resume=True)


@pytest.mark.parametrize("part", ["train", "validation"])
def test_other_data_are_refused(part, whole, tmp_path):
    run = shutil.copytree(whole / "vae", tmp_path / "run")
    data = small_beats()
    observations = getattr(data, part).observations.copy()
    observations[0, 0, 0] += 1e-3
    other = replace(data, **{part: replace(getattr(data, part), observations=observations)})
    with pytest.raises(RunFolderError, match="the data are not those"):
        fit(recipe("vae"), other, out=run, resume=True, quiet=True)


def test_a_swapped_model_is_refused(whole, tmp_path):
    run = shutil.copytree(whole / "vae", tmp_path / "run")
    shutil.copy(whole / "factor-vae" / "model.safetensors", run / "model.safetensors")
    with pytest.raises(RunFolderError, match="is not the model that this run wrote"):
        load_run(run)


def test_what_is_not_a_finished_run_is_refused(whole, tmp_path):
    with pytest.raises(RunFolderError, match="holds no run"):
        load_run(tmp_path)
    run = shutil.copytree(whole / "vae", tmp_path / "run")
    (run / "result.json").unlink()
    with pytest.raises(RunFolderError, match="has not finished; go on with it by"):
        load_run(run)
    (run / "run.toml").write_text("recipe = ")
    with pytest.raises(RunFolderError, match="cannot be read"):
        load_run(run)


def test_a_recipe_that_does_not_fit_leaves_no_run(tmp_path):
    with pytest.raises(ValueError, match="0 principal axes were asked for"):
        fit(vae(latents=0), small_beats(), out=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


COMMAND = (
    "vae", "heartbeats", "--samples", "32", "--latents", "2", "--widths", "16", "--batch", "16",
    "--epochs", "60", "--patience", "60", "--no-report", "--quiet",
)  # fmt: skip


@pytest.mark.parametrize(
    "kind", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_saves_and_ends_with_130(kind, tmp_path, uninterrupted):
    run = tmp_path / "run"
    process = unweave("fit", *COMMAND, "--out", str(run))
    wait_for(lambda: len(lines(run / "metrics.jsonl")) >= 2, process)
    process.send_signal(kind)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 130
    assert words.splitlines() == [words.strip()]
    assert words.startswith("unweave: stopped in epoch ")
    assert not (run / "result.json").exists()
    resumed = unweave("fit", "--resume", str(run), "--quiet", "--no-report")
    _, words = resumed.communicate(timeout=120)
    assert (resumed.returncode, words) == (0, "")
    assert bits(run) == bits(uninterrupted)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    process = unweave("fit", *COMMAND, "--out", str(run))
    process.communicate(timeout=120)
    assert process.returncode == 0
    return run


def unweave(*words):
    program = "import sys; from unweave.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", program, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "UNWEAVE_CACHE": jax.config.jax_compilation_cache_dir},
    )


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def wait_for(condition, process):
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_and_resumed_ends_in_the_same_bytes():
    script = [sys.executable, str(ROOT / "bench" / "faults_run.py"), "--runs", "3"]
    done = subprocess.run(script, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "3 byte-equal, 0 differing" in done.stdout


def test_what_a_killed_writer_left_is_swept_away(tmp_path):
    left = tmp_path / ".model.safetensors.1.part"
    left.write_bytes(b"half a model")
    fit(recipe("vae"), small_beats(), out=tmp_path, quiet=True)
    assert not left.exists()
    left.write_bytes(b"half a checkpoint")
    fit(recipe("vae"), small_beats(), out=tmp_path, resume=True, quiet=True)
    assert not left.exists()


def test_rows_of_a_table_are_no_pictures():
    x = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    names = tuple("abcde")
    rows = dataset(x, Schema("rows", ("number",), (5,), names, ("",) * 5))
    run = fit(vae(latents=2, epochs=1, widths=(4,)), split_at_random(rows), quiet=True)
    assert run.model.decode(jnp.zeros(2)).shape == (5,)
