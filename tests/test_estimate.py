"""What a fit is said to take before it is begun, beside what it took."""

import json

import equinox as eqx
import jax
import pytest

import unweave as uw
from models import small_beats

SMALL = {"latents": 2, "widths": (16,), "batch": 16, "epochs": 4, "patience": 4}


@pytest.fixture(scope="module")
def split():
    return small_beats()


def test_the_numbers_are_those_of_the_fit(split):
    told = uw.estimate(uw.vae(**SMALL), split)
    run = uw.fit(uw.vae(**SMALL), split, quiet=True)
    weights = jax.tree.leaves(eqx.filter(run.model, eqx.is_inexact_array))
    assert told.parameters == sum(part.size for part in weights)
    assert told.steps == run.rows[-1]["step"]
    assert told.observations == len(split.train)
    assert told.seconds > told.compiling > 0
    # weights, their two moments, and the best model so far, in float32, and the data
    least = 4 * 4 * told.parameters + split.train.observations.astype("f4").nbytes
    assert least / 1e6 < told.megabytes < 1000
    assert "fewer where the held-out loss has not fallen for 4 epochs" in told.sentence


def test_a_longer_fit_takes_longer_and_a_trial_changes_nothing(split):
    short, long = (
        uw.estimate(uw.vae(**{**SMALL, "epochs": n, "patience": n}), split) for n in (4, 400)
    )
    assert long.steps == 100 * short.steps
    assert long.seconds - long.compiling > 10 * (short.seconds - short.compiling)
    before = uw.fit(uw.vae(**SMALL), split, quiet=True, seed=1)
    uw.estimate(uw.vae(**SMALL), split, seed=1)
    after = uw.fit(uw.vae(**SMALL), split, quiet=True, seed=1)
    assert eqx.tree_equal(before.model, after.model)


def test_what_is_not_known_before_is_said(split):
    closed = uw.estimate(uw.pca(latents=2), split)
    assert (closed.sentence, closed.seconds) == ("a closed form: it is fitted at once", None)
    formula = uw.equation("x' = -k*x\nk in (0.1, 3)\nx(0) in (0, 2)", times=[0.0, 1.0])
    assert formula.latents.size == 2
    search = uw.estimate(uw.recipes.equation("x' = -k*x\nk in (0.1, 3)\nx(0) in (0, 2)"), split)
    assert search.sentence.startswith("a search from many starts")
    assert search.parameters is None


def test_a_dry_run_begins_nothing(unweave, tmp_path):
    words = ("fit", "vae", "heartbeats", "--samples", "32", "--latents", "2", "--widths", "16",
             "--epochs", "3", "--dry-run")  # fmt: skip
    told = json.loads(unweave(*words, "--json"))
    assert (told["recipe"], told["steps"] % 3) == ("vae", 0)
    text = unweave(*words)
    assert f"parameters: {told['parameters']:,}" in text
    assert "time: at most" in text
    assert not list(tmp_path.iterdir())
