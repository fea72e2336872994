"""`unweave detect`: baselines and runs in one call, on beats, windows and rows."""

import json

import numpy as np
import pandas as pd
import pytest

from unweave import detect


@pytest.fixture
def rows(tmp_path):
    """Files of series, one a row, with a class: 1 = normal."""
    rng = np.random.default_rng(0)
    wave = np.sin(np.linspace(0, 2 * np.pi, 24))

    def file(name, classes):
        x = wave * (1 + 0.1 * rng.normal(size=(len(classes), 1)))
        x = x + 0.05 * rng.normal(size=(len(classes), 24))
        x[classes == 2, 10:14] += 1.0
        table = np.column_stack([classes, x])
        np.savetxt(tmp_path / name, table, delimiter="\t", fmt=["%d"] + ["%.5f"] * 24)
        return tmp_path / name

    train = file("known.tsv", np.r_[np.ones(200, int), np.full(10, 2)])
    return train, file("new.tsv", np.r_[np.ones(80, int), np.full(20, 2)])


def test_rows_are_judged_by_what_is_normal(rows, unweave, tmp_path):
    train, new = rows
    words = (
        "detect", new, "sub-pca", "together", "isolation-forest", "--normal", train,
        "--normal-class", "1", "--false-alarms", "0.05", "-o", tmp_path / "found.csv",
    )  # fmt: skip
    result = json.loads(unweave(*words, "--json"))
    assert (result["n"], result["known"]) == (100, True)
    for name in ("sub-pca", "together"):
        account = result["detectors"][name]
        assert account["auroc"] > 0.99
        assert 18 <= account["flagged"] <= 35
        low, high = account["achieved"]
        assert low < 0.05 < high
    table = pd.read_csv(tmp_path / "found.csv")
    truth = np.r_[np.zeros(80, bool), np.ones(20, bool)]
    scores = table["sub-pca score"].to_numpy()
    assert result["detectors"]["sub-pca"]["auroc"] == pytest.approx(detect.auroc(scores, truth))
    where = table.loc[truth, ["sub-pca from", "sub-pca to"]].median().tolist()
    assert where == [10, 13]
    assert (table["sub-pca flagged"] == (table["sub-pca p"] <= 0.05)).all()
    assert "isolation-forest from" not in table
    assert (tmp_path / "found.svg").stat().st_size > 1000
    text = unweave(*words[:-1], tmp_path / "again.csv")
    assert "flagged at 5 % false alarms" in text
    assert "AUROC" in text


def test_a_series_is_judged_by_its_windows_with_nothing_known(unweave, tmp_path):
    rng = np.random.default_rng(0)
    time = np.arange(3000)
    value = np.sin(2 * np.pi * time / 30) + 0.1 * rng.normal(size=3000)
    odd = np.zeros(3000, int)
    for start in (700, 1900):
        value[start : start + 20] += 1.5
        odd[start : start + 20] = 1
    file = tmp_path / "wave.csv"
    pd.DataFrame({"second": time, "value": value, "odd": odd}).to_csv(file, index=False)
    result = json.loads(unweave(
        "detect", file, "sub-pca", "neighbours", "--kind", "windows", "--length", "30", "--time",
        "second", "--labels", "odd", "--json",
    ))  # fmt: skip
    assert not result["known"]
    assert "Nothing was said to be normal" in result["notes"][-1]
    assert result["detectors"]["sub-pca"]["vus_pr"] > 0.8
    assert result["detectors"]["sub-pca"]["sample_auroc"] > 0.95
    table = pd.read_csv(result["output"])
    assert {"record", "start", "end", "sub-pca score", "neighbours p"} <= set(table)
    strangest = table.sort_values("sub-pca score").tail(5)
    assert all(np.min(np.abs(s - np.array([700, 1900]))) < 40 for s in strangest["start"])


def test_a_run_is_judged_beside_a_baseline(unweave, tmp_path):
    unweave("fit", "pca", "heartbeats", "--latents", "3", "--samples", "48", "--out",
            tmp_path / "run", "--no-report", "--quiet")  # fmt: skip
    run = str(tmp_path / "run")
    result = json.loads(unweave(
        "detect", "heartbeats", run, f"{run}:joint", "sub-pca", "--false-alarms", "0.05", "--json",
        "--no-report",
    ))  # fmt: skip
    table = pd.read_csv(result["output"])
    assert {f"{run} latent", f"{run} moved", f"{run}:joint p", "sub-pca score"} <= set(table)
    assert set(table[f"{run} latent"]) <= {"pc1", "pc2", "pc3"}
    share = result["detectors"][run]["flagged"] / result["n"]
    assert share < 0.15


def test_what_cannot_be_judged_is_said(rows, refused):
    train, new = rows
    assert "neither the folder of a run nor a detector" in refused("detect", new, "wavelets")
    assert "there is no class 9" in refused(
        "detect", new, "mean", "--normal", train, "--normal-class", "9"
    )
    assert "no column odd" in refused("detect", new, "mean", "--labels", "odd")
    assert "at least 9999" in refused(
        "detect", new, "mean", "--normal", train, "--normal-class", "1", "--false-alarms", "0.0001"
    )
