"""`unweave explain`, on a closed form and on an equation."""

import json

import pytest

from unweave.recipes import RECIPES


@pytest.fixture
def run_folder(unweave):
    """Four principal components of a few heartbeats."""
    unweave("fit", "pca", "heartbeats", "--latents", "4", "--out", "pca", "--no-report", "--quiet")
    assert "pca" in RECIPES
    return "pca"


def test_explain_says_what_a_surprise_comes_from(unweave, refused, run_folder, tmp_path):
    text = unweave("explain", run_folder, "--orders", "5", "--quiet", "--no-report")
    assert "surprise = " in text
    assert "completeness error" in text
    assert "of 5 random orders" in text
    assert (tmp_path / "pca" / "explanation.svg").stat().st_size > 1000
    found = json.loads(
        unweave("explain", run_folder, "--target", "latent:pc1", "--method", "occlusion",
                "--orders", "3", "--json", "-o", "one.svg", "--no-report")
    )  # fmt: skip
    assert found["method"] == "occlusion"
    assert len(found["values"]) == 256
    assert len(found["deletion"]["random"]) == 3
    assert "there is no latent nobody" in refused(
        "explain", run_folder, "--target", "latent:nobody"
    )
    assert "out of range" in refused("explain", run_folder, "--row", "9999")
    assert "known" in refused("explain", run_folder, "--method", "grad-cam", "--orders", "2")


def test_explain_gives_the_sensitivity_of_an_output(unweave, run_folder, tmp_path):
    found = json.loads(
        unweave("explain", run_folder, "--target", "output:10,0", "--json", "--no-report")
    )
    assert set(found["slopes"]) == {"pc1", "pc2", "pc3", "pc4"}
    assert found["terms"] is None
    assert (tmp_path / "pca" / "explanation.svg").stat().st_size > 1000
