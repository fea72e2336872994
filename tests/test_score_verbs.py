"""`unweave disentangle`, `dictionary` and `bound`, as a user runs them."""

import json

import numpy as np
import pandas as pd
import pytest

from unweave.data import heartbeats, split_at_random
from unweave.recipes import pca
from unweave.run import fit

pytestmark = pytest.mark.usefixtures("own_folder")
SMALL = ("--epochs", "2", "--widths", "16", "--latents", "3", "--quiet", "--no-report")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    source = {"paths": ["known-heartbeats"]}
    beats = split_at_random(heartbeats(4000, samples=128))
    for seed in (0, 1):
        fit(pca(latents=3 + seed), beats, out=folder / f"pca-{seed}", source=source, quiet=True)
    return folder


def answer(unweave, *words, page=("--no-report",)):
    return json.loads(unweave(*map(str, words), *page, "--json"))


def test_scores_of_two_runs_and_their_likeness(unweave, runs):
    found = answer(
        unweave, "disentangle", runs / "pca-0", runs / "pca-1", "--permutations", "1"
    )  # fmt: skip
    names = {s["name"] for s in found["runs"][0]["scores"]}
    assert {"MIG", "SAP", "DCI disentanglement", "InfoM", "modularity"} <= names
    assert len(found["factors"]) == 17
    assert found["runs"][1]["latents"] == ["pc1", "pc2", "pc3", "pc4"]
    assert (runs / "pca-0" / "disentanglement.svg").exists()
    # the first three components are the same
    assert found["udr"]["value"] > 0.6


def test_factors_of_a_table(unweave, runs):
    table = pd.DataFrame({"rate": heartbeats(4000, samples=128).factors[:, 0]})
    table.to_csv("factors.csv", index=False)
    found = answer(
        unweave, "disentangle", runs / "pca-0", "--factors", "factors.csv", "--permutations", "1"
    )  # fmt: skip
    assert found["factors"] == ["rate"]
    assert {s["name"] for s in found["runs"][0]["scores"]} == {"MIG", "SAP"}


def test_a_table_of_another_length(refused, runs):
    pd.DataFrame({"a": [1.0]}).to_csv("short.csv", index=False)
    line = refused("disentangle", str(runs / "pca-0"), "--factors", "short.csv")
    assert "1 rows for 4000" in line


def test_a_dictionary_needs_an_equation(refused, runs):
    line = refused("dictionary", str(runs / "pca-0"), str(runs / "pca-1"))
    assert "no equation" in line


def test_bounds_of_numbers(unweave, refused):
    found = answer(unweave, "bound", "--n", "1000", "--models", "1000")
    assert found["error"] == pytest.approx(np.sqrt(np.log(2 * 1000 / 0.05) / 2000))
    found = answer(unweave, "bound", "--error", "0.1", "--confidence", "0.9")
    assert found["n"] == int(np.ceil(np.log(20) / 0.02))
    found = answer(unweave, "bound", "--n", "100", "--error", "0.1")
    assert found["misleading"] == pytest.approx(2 * np.exp(-2))
    assert "nothing was given" in refused("bound")
    assert "a run alone" in refused("bound", "--n", "100", "-o", "bound.svg")


def test_what_is_promised_of_a_run_that_rebuilds(unweave, runs):
    found = answer(unweave, "bound", runs / "pca-0", "--confidence", "0.9")
    assert found["coverage"] == pytest.approx(0.9, abs=0.05)
    assert found["low"] < found["coverage"] < found["high"]
    assert found["figure"].endswith("bound.svg")


def test_what_is_promised_of_a_classifier(unweave):
    unweave("fit", "resnet", "digits", "--epochs", "3", "--quiet", "--no-report", "--out", "digits")
    found = answer(unweave, "bound", "digits")
    assert found["interval"][0] < found["error"] < found["interval"][1]
    assert found["hoeffding_of_all_networks"] > 1
    assert found["conformal_coverage"] == pytest.approx(0.95, abs=0.05)
    assert found["calibration_floor"] < 0.1


@pytest.mark.slow
def test_a_dictionary_of_an_equation_and_a_network(unweave, tmp_path):
    t = np.linspace(0, 4, 40)
    rng = np.random.default_rng(0)
    rates, heights = rng.uniform(0.3, 2, 120), rng.uniform(1, 3, 120)
    rows = [
        pd.DataFrame({"time": t, "who": i, "x": a * np.exp(-k * t) + rng.normal(0, 0.02, 40)})
        for i, (k, a) in enumerate(zip(rates, heights, strict=True))
    ]
    pd.concat(rows).to_csv("decay.csv", index=False)
    text = "time in s\nx' = -k*x\nx(0) in (0.5, 4)  per record\nk in (0.1, 4) per record\n"
    (tmp_path / "decay.ode").write_text(text)
    data = ("decay.csv", "--time", "time", "--by", "who", "--quiet", "--no-report")
    unweave("fit", tmp_path / "decay.ode", *data, "--out", "law")
    unweave("fit", "pca", *data, "--split", "random", "--latents", "3", "--out", "net")
    found = answer(unweave, "dictionary", "law", "net", page=())
    # both were asked, and both pages say so
    for folder, page in zip(("net", "law"), found["reports"], strict=True):
        text = (tmp_path / page).read_text()
        assert page == f"{folder}/report.html"
        assert "Which latents of net carry which parameter of law?" in text
        assert "spearman1910" in text
    unweave("report", "law", "--latex", "article")
    assert r"\cite{spearman1910,brown1910}" in (tmp_path / "article" / "article.tex").read_text()
    assert len(list((tmp_path / "article" / "figures").glob("dictionary-*.pdf"))) == 1
    assert min(found["together"]) > 0.95
    assert min(found["ceiling"]) > 0.95
