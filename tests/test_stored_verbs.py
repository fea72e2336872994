"""The command line on data larger than memory: the usual verbs, piece by piece."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import unweave as uw
from unweave import data, show
from unweave.cli import _pieces, main
from unweave.run import load_run
from unweave.sources import Source, open_source

pytest.importorskip("zarr")
pytestmark = pytest.mark.usefixtures("own_folder")

LENGTH = 16


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch):
    monkeypatch.setattr(_pieces, "_MOST_ROWS", 32)
    monkeypatch.setattr(_pieces, "_ROWS", 32)


@pytest.fixture
def run(own_folder) -> Path:
    """A PCA of a store of recordings of six patients."""
    rng = np.random.default_rng(0)
    times = np.arange(320) / 100
    signals = [
        uw.Signal(f"r{i}", f"p{i}", np.cumsum(rng.normal(size=(320, 2)), axis=0), times,
                  ("a", "b"), ("mV", "mV"))
        for i in range(6)
    ]  # fmt: skip
    uw.store(signals, "s.zarr")
    told = ("--length", str(LENGTH), "--step", "4", "--out", "run", "--no-report", "--quiet")
    assert main(["fit", "pca", "s.zarr", "--latents", "3", *told]) == 0
    return Path("run")


def said(capsys, *words: str) -> dict:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_store_is_looked_at_without_a_pass(own_folder, run, capsys, monkeypatch):
    def never(self):
        raise AssertionError("all data were read")

    monkeypatch.setattr(data.Stored, "_measured", never)
    told = said(capsys, "look", "s.zarr", "--length", str(LENGTH), "--split", "time")
    assert told["streamed"]
    assert (told["kind"], told["records"], told["groups"]) == ("windows", 6, 6)
    assert told["n"] == 6 * 20
    assert told["split"].startswith("By time in each of 6 records")


def test_the_settings_of_a_run_open_its_data_again(run):
    fitted = load_run(run)
    source = Source.from_settings(fitted.settings["data"])
    assert source.streamed
    assert not source.stream
    parts = open_source(source, seed=0)
    assert parts.stored is not None
    assert fitted.result["split"] == parts.how
    assert Source.from_settings(Source(("t.parquet",), stream=True).settings()).stream


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "npy", "npz", "zarr"])
def test_codes_are_written_in_pieces(run, ending, capsys):
    fitted = load_run(run)
    stored = uw.open_stored("s.zarr", length=LENGTH, step=4)
    every = stored.read(np.arange(len(stored)))
    wanted = show.codes(fitted.model, every.observations)
    path = f"codes.{ending}"
    assert said(capsys, "encode", "run", "-o", path)["n"] == len(stored) > 3 * 32
    if ending in ("csv", "tsv", "parquet"):
        table = pd.read_parquet(path) if ending == "parquet" else pd.read_csv(
            path, sep="\t" if ending == "tsv" else ",")  # fmt: skip
        assert table["record"].tolist() == every.records.tolist()
        np.testing.assert_allclose(table["start"], every.spans[:, 0])
        found = table[["pc1", "pc2", "pc3"]].to_numpy()
    elif ending == "zarr":
        import zarr

        found = np.asarray(zarr.open_array(path, mode="r"))
    else:
        found = np.load(path)
        found = found["x"] if ending == "npz" else found
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ending", ["csv", "npy", "zarr"])
def test_samples_are_the_same_however_they_are_written(run, ending, capsys):
    for n in (100, 40):
        said(capsys, "sample", "run", "-n", str(n), "-o", f"{n}.npy")
    said(capsys, "sample", "run", "-n", "100", "-o", f"x.{ending}", "--force")
    drawn = np.load("100.npy")
    assert drawn.shape == (100, LENGTH, 2)
    assert len(np.unique(drawn[:, 0, 0])) == 100
    np.testing.assert_array_equal(np.load("40.npy")[:32], drawn[:32])
    if ending == "csv":
        table = pd.read_csv("x.csv")
        assert table["sample"].tolist() == np.repeat(np.arange(100), LENGTH).tolist()
        found = table[["a", "b"]].to_numpy().reshape(drawn.shape)
    elif ending == "zarr":
        stored = uw.open_stored("x.zarr")
        assert stored.schema.channels == ("a", "b")
        found = stored.read(np.arange(100)).observations
    else:
        found = np.load("x.npy")
    np.testing.assert_allclose(found, drawn, rtol=1e-5)


@pytest.mark.parametrize("ending", ["csv", "parquet", "npy", "npz", "zarr"])
def test_what_is_unfinished_never_takes_the_name(run, ending, capsys, monkeypatch):
    path, calls = Path(f"codes.{ending}"), []
    own = show.codes

    def fails(*args, **more):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", "disk")
        return own(*args, **more)

    before = sorted(Path().iterdir())
    monkeypatch.setattr(show, "codes", fails)
    assert main(["encode", "run", "-o", str(path)]) == 2
    assert "No space left" in capsys.readouterr().err
    assert sorted(Path().iterdir()) == before
    assert main(["encode", "run", "-o", str(path)]) == 0
    calls.clear()
    (whole,) = (file for file in [path] if file.exists())
    size = sum(f.stat().st_size for f in [whole, *whole.rglob("*")])
    assert main(["encode", "run", "-o", str(path), "--force"]) == 2
    assert sum(f.stat().st_size for f in [whole, *whole.rglob("*")]) == size
    assert main(["encode", "run", "-o", str(path), "--force"]) == 0
    assert not list(Path().glob(".*.part"))


def test_detect_judges_every_window(run, capsys):
    told = said(capsys, "detect", "s.zarr", "run", "mean", "--length", str(LENGTH), "--step", "4",
                "--false-alarms", "0.2", "-o", "strange.csv")  # fmt: skip
    stored = uw.open_stored("s.zarr", length=LENGTH, step=4)
    table = pd.read_csv("strange.csv")
    assert told["n"] == len(table) == len(stored)
    assert told["known"]
    every = stored.read(np.arange(len(stored)))
    parts = open_source(Source.from_settings(load_run(run).settings["data"]))
    score = uw.detect.distance_to_mean().fit(parts.train.observations)
    np.testing.assert_allclose(table["mean score"], score(every.observations), rtol=1e-5)
    flagged = table["mean flagged"].to_numpy()
    assert flagged.sum() == told["detectors"]["mean"]["flagged"] > 0
    assert table["mean from"].notna().tolist() == flagged.tolist()
    assert table["record"].tolist() == every.records.tolist()


def test_what_is_rare_is_found_among_the_others(own_folder, capsys):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4000, 1))
    values[2000:2020] += 9.0
    values[100:140] = np.nan
    signal = uw.Signal("r", "r", values, np.arange(4000) / 10, ("a",), ("mV",))
    uw.store([signal], "one.zarr")
    told = said(capsys, "detect", "one.zarr", "sub-pca", "--length", "20", "--step", "10",
                "-o", "rare.csv")  # fmt: skip
    table = pd.read_csv("rare.csv")
    assert not told["known"]
    assert 1 <= told["detectors"]["sub-pca"]["flagged"] <= 6
    assert abs(table.loc[table["sub-pca score"].idxmax(), "start"] - 200) <= 1
    # nothing was observed there, and nothing is said of it
    silent = table["start"].between(10, 12)
    assert table.loc[silent, "sub-pca score"].isna().all()
    assert not table.loc[silent, "sub-pca flagged"].any()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("fit", "pca", "s.zarr", "--kind", "beats"), "beats are not cut from data on the disk"),
        (("fit", "pca", "s.zarr", "--kind", "windows"), "give --length"),
        (("fit", "pca", "s.zarr", "--kind", "rows"), "holds series, not rows"),
        (("fit", "pca", "s.zarr", "--length", "16", "--split", "within"), "use split_by_time"),
        (("fit", "pca", "s.zarr", "--length", "16", "--channel", "x"), "--channel"),
        (("fit", "pca", "heartbeats", "--stream"), "no file or folder"),
        (("compare", "s.zarr", "pca", "--length", "16"), "--most 5000"),
        (("detect", "s.zarr", "mean", "--length", "16", "--labels", "a"), "--labels is not read"),
        (("encode", "run", "-o", "codes.foo"), "'.foo' is no format"),
    ],
)
def test_what_is_not_done_yet_says_so(run, words, sentence, capsys):
    assert main([*words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_sample_of_a_store_is_read_into_memory(run, capsys):
    told = said(capsys, "fit", "pca", "s.zarr", "--length", "16", "--most", "50", "--latents", "2",
                "--no-report", "--out", "some")  # fmt: skip
    assert told["n_train"] + told["n_validation"] + told["n_test"] == 50


_MEASURED = """
import pathlib, sys
from unweave.cli import main
assert main(["encode", "wide", "big.zarr", "-o", "codes.npy"]) == 0
status = pathlib.Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) / 2**20)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say")
def test_scoring_takes_a_bounded_part_of_the_memory(run):
    """A store of 1 GB, of which nothing but its size is on the disk."""
    told = ("--length", "64", "--out", "wide", "--no-report", "--quiet")
    assert main(["fit", "pca", "s.zarr", "--latents", "3", *told]) == 0
    size, about = 2**27, data.described(load_run("wide").schema)
    data.make_array(Path("big.zarr"), "only", (size, 2), np.zeros((1, 2), "f4"), about)
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", _MEASURED], env=settings, capture_output=True,
                         text=True, check=False)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert len(np.load("codes.npy", mmap_mode="r")) == size // 64
    assert float(ran.stdout.split()[-1]) < 0.9
