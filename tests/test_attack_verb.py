"""`unweave attack`, as a user runs it, and its figures."""

import json
import pathlib

import numpy as np
import pytest

from models import small_beats
from unweave import Schema, plots


@pytest.fixture
def beats_run(unweave):
    """A run of a small classifier of series, from a file as UCR has them."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(60):
        wave = np.sin(np.linspace(0, 6, 24)) * (1 + i % 2) + 0.1 * rng.normal(size=24)
        rows.append(" ".join([str(i % 2), *(f"{v:.4f}" for v in wave)]))
    pathlib.Path("waves.txt").write_text("\n".join(rows) + "\n")
    unweave(
        "fit", "resnet", "waves.txt", "--out", "run", "--epochs", 3, "--width", 4, "--blocks", 1,
        "--quiet", "--no-report", "--convolutional",
    )  # fmt: skip
    return "run"


def test_a_classifier_is_attacked_within_a_smooth_budget(unweave, refused, beats_run):
    words = ("--epsilon", 2, "--attacks", "fgsm,pgd", "-n", 12, "--json", "--no-report")
    found = json.loads(unweave("attack", beats_run, *words))
    assert found["budget"] == "L∞ 2, smooth over 4 samples"
    assert found["n"] == 12
    assert 0 <= found["robust"] <= found["clean"] <= 1
    low, high = found["interval"]
    assert low <= found["robust"] <= high
    shares = [one["robust"] for one in found["curve"]]
    assert shares == sorted(shares, reverse=True)
    for file in found["figures"]:
        assert "<svg" in pathlib.Path(file).read_text()
    assert "is no attack" in refused("attack", beats_run, "--attacks", "magic")
    assert "of a number" in refused("attack", beats_run, "--down")
    assert "positive" in refused("attack", beats_run, "--epsilon", 0)


def test_surrogates_are_distilled_from_what_the_run_answers(unweave, beats_run):
    words = ("--epsilon", 2, "--attacks", "fgsm", "-n", 12, "--surrogates", "distilled")
    found = json.loads(unweave("attack", beats_run, *words, "--json"))
    assert list(found["attacks"]) == ["FGSM", "transfer from distilled"]
    (told,) = found["distilled"]
    assert told["kind"] == "agreement"
    assert told["agreement"] > 0.5


def test_figures_refuse_what_does_not_fit():
    beats = small_beats().test
    with pytest.raises(ValueError, match="one for each"):
        plots.attacked(beats.observations, beats.observations[:2], beats.schema)
    with pytest.raises(ValueError, match="one share"):
        plots.withstood(np.arange(3), np.ones(2), np.ones(3), np.ones(3))


def test_pictures_have_a_row_of_what_was_changed():
    schema = Schema("images", ("row", "column", "channel"), (8, 8, 1), ("grey",), ("",))
    x = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 1))
    text = plots.svg(plots.attacked(x, np.clip(x + 9, 0, 255), schema, titles=("1 → 7", "2", "3")))
    assert "change" in text
    assert "1 → 7" in text
