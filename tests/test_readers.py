"""Readers against independent readings of the same bytes: NumPy, SciPy, csv, struct."""

import csv
import gzip
import os
import struct
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
from PIL import Image

from unweave.data import DataError, guess_kind, read_rows, read_signals


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# --- tables


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", "   "])
@pytest.mark.parametrize("ending", ["csv", "txt", "csv.gz"])
def test_a_table_reads_the_same_whatever_its_separator(tmp_path, separator, ending):
    values = np.random.default_rng(0).normal(size=(50, 3))
    lines = [separator.join(["a", "b", "c"])]
    lines += [separator.join(repr(float(v)) for v in row) for row in values]
    path = tmp_path / f"t.{ending}"
    data = "\n".join(lines).encode()
    path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    (signal,) = read_signals(path, rate=10.0)
    np.testing.assert_array_equal(signal.values, values)
    np.testing.assert_allclose(signal.times, np.arange(50) / 10)
    assert signal.channels == ("a", "b", "c")
    assert (signal.record, signal.group, signal.time_unit) == ("t", "t", "s")


def test_line_ends_marks_and_quotes(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbf"the time","a, b"\r\n0,"1.5"\r\n1,\r\n2,2.5\r\n\r\n')
    (signal,) = read_signals(path, time="the time")
    assert signal.channels == ("a, b",)
    np.testing.assert_array_equal(signal.values[:, 0], [1.5, np.nan, 2.5])


def test_decimal_commas_between_semicolons(tmp_path):
    (signal,) = read_signals(write(tmp_path / "t.csv", "t;a\n0,5;1,25\n1,5;2,5\n"), time="t")
    np.testing.assert_array_equal(signal.times, [0.5, 1.5])
    np.testing.assert_array_equal(signal.values[:, 0], [1.25, 2.5])


def test_a_table_without_a_header(tmp_path):
    (signal,) = read_signals(write(tmp_path / "t.csv", "1,2\n3,4\n5,6\n"))
    assert signal.channels == ("c1", "c2")
    np.testing.assert_array_equal(signal.values, [[1, 2], [3, 4], [5, 6]])
    (signal,) = read_signals(write(tmp_path / "u.csv", "2017-01-01,2\n2017-01-02,4\n"), time="c1")
    assert signal.channels == ("c2",)
    assert np.diff(signal.times) == 86400


@pytest.mark.parametrize(
    ("written", "seconds", "unit"),
    [
        (["2017-01-01 00:00:00", "2017-01-01 00:00:30"], 1483228800, "s"),
        (["2017-01-01T01:00:00+01:00", "2017-01-01T01:00:30+01:00"], 1483228800, "s"),
        (["1483228800", "1483228830"], 1483228800, "s"),
        (["1483228800000", "1483228830000"], 1483228800, "s"),
        (["12.5", "42.5"], 12.5, ""),
        (["1900", "1930"], 1900, ""),
    ],
)
def test_times(tmp_path, written, seconds, unit):
    path = write(tmp_path / "t.csv", f"when,a\n{written[0]},1\n{written[1]},2\n")
    (signal,) = read_signals(path, time="when")
    np.testing.assert_allclose(signal.times, [seconds, seconds + 30])
    assert signal.time_unit == unit


def test_columns_are_chosen_in_order_and_text_is_left_out(tmp_path):
    path = write(tmp_path / "t.csv", "t,a,name,b\n0,1,x,2\n1,3,y,4\n")
    assert read_signals(path, time="t")[0].channels == ("a", "b")
    (signal,) = read_signals(path, time="t", columns=["b", "a"])
    np.testing.assert_array_equal(signal.values, [[2, 1], [4, 3]])


def test_files_that_continue_each_other_are_joined(tmp_path):
    late = write(tmp_path / "late.csv", "t,a\n3,4\n4,5\n")
    early = write(tmp_path / "early.csv", "t,a\n0,1\n1,2\n")
    (signal,) = read_signals([late, early], time="t")
    np.testing.assert_array_equal(signal.times, [0, 1, 3, 4])
    np.testing.assert_array_equal(signal.values[:, 0], [1, 2, 4, 5])
    overlapping = write(tmp_path / "over.csv", "t,a\n1,1\n2,2\n")
    signals = read_signals([early, overlapping], time="t")
    assert [signal.group for signal in signals] == ["early", "over"]
    assert len(read_signals([late, early])) == 2


def test_parquet_agrees_with_csv(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {
            "when": pd.date_range("2020-01-01", periods=30, freq="h"),
            "a": np.arange(30) * 0.5,
            "b": np.arange(30),
            "word": ["x"] * 30,
        }
    )
    frame.loc[3, "a"] = np.nan
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    (left,) = read_signals(tmp_path / "t.parquet", time="when")
    (right,) = read_signals(tmp_path / "t.csv", time="when")
    assert left.channels == right.channels == ("a", "b")
    np.testing.assert_array_equal(left.values, right.values)
    np.testing.assert_array_equal(left.times, right.times)
    assert left.times[0] == 1577836800


def test_a_year_of_minutes_in_seconds(real_data):
    paths = sorted((real_data / "btc").glob("*1min*"))
    start = time.perf_counter()
    (signal,) = read_signals(paths, time="timestamp", columns=["close"])
    assert time.perf_counter() - start < 10
    assert signal.values.shape == (505_209, 1)
    assert round(signal.values.min()) == 744
    assert round(signal.values.max()) == 19_891
    assert (signal.time_unit, signal.times[0]) == ("s", 1483228800)


def test_real_tables_agree_with_the_csv_module(real_data):
    for name, at in (
        ("populations/hare_lynx_1900_1920.csv", "year"),
        ("ett/ETTh1.csv", "date"),
    ):
        with (real_data / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        (signal,) = read_signals(real_data / name, time=at)
        assert signal.channels == tuple(key for key in rows[0] if key != at)
        expected = np.asarray([[float(row[c]) for c in signal.channels] for row in rows])
        np.testing.assert_array_equal(signal.values, expected)


def test_gaps_in_real_populations_are_nan(real_data):
    (signal,) = read_signals(real_data / "populations/blasius2020_rotifer_algae_C1.csv", time="day")
    assert np.isnan(signal.values[0, signal.channels.index("rotifers")])
    assert len(read_signals(sorted((real_data / "populations").glob("blasius*")), time="day")) == 4


# --- WFDB


def test_ptb_record_agrees_with_its_raw_samples(real_data):
    (signal,) = read_signals(real_data / "ecg_ptb" / "s0010_re")
    raw = np.fromfile(real_data / "ecg_ptb" / "s0010_re.dat", "<i2").reshape(-1, 12)
    np.testing.assert_allclose(signal.values[:, :12], raw / 2000)
    assert signal.channels[:4] == ("i", "ii", "iii", "avr")
    assert signal.channels[12:] == ("vx", "vy", "vz")
    assert set(signal.units) == {"mV"}
    assert signal.times[1] == 0.001


def test_a_folder_of_records_has_the_channels_that_all_share(real_data):
    signals = read_signals(real_data / "ecg_ptb")
    assert len(signals) == 5
    assert {len(signal.channels) for signal in signals} == {12}
    assert [signal.group for signal in signals][3:] == ["patient165", "patient165"]
    chosen = read_signals(real_data / "ecg_ptb", columns=["V6", "II"])
    assert chosen[0].channels == ("v6", "ii")
    np.testing.assert_array_equal(chosen[0].values[:, 1], signals[0].values[:, 1])


def test_annotated_beats_of_mitbih(real_data):
    (signal,) = read_signals(real_data / "ecg_mitbih" / "100.hea")
    assert signal.events is not None
    assert len(signal.events) == len(signal.event_labels) == 2273
    assert [signal.event_labels.count(label) for label in "NAV"] == [2239, 33, 1]
    # format 212: two samples of 12 bits in three bytes
    packed = np.fromfile(real_data / "ecg_mitbih" / "100.dat", np.uint8).astype(int)
    first = packed[0::3] + ((packed[1::3] & 15) << 8)
    first = np.where(first > 2047, first - 4096, first)
    np.testing.assert_allclose(signal.values[:, 0], (first - 1024) / 200)


def test_ptbxl_records_agree_with_scipy(real_data):
    signals = read_signals(real_data / "ecg_ptbxl")
    assert len(signals) == 6
    expected = scipy.io.loadmat(real_data / "ecg_ptbxl" / "HR00001.mat")["val"].T / 1000
    np.testing.assert_allclose(signals[0].values, expected)
    assert signals[0].units == ("mV",) * 12


def test_units_patients_and_repeated_names(tmp_path):
    folder = tmp_path / "patient042"
    folder.mkdir()
    raw = np.random.default_rng(0).integers(-1000, 1000, (100, 2)).astype("<i2")
    (folder / "r.dat").write_bytes(raw.tobytes())
    write(
        folder / "r.hea",
        "r 2 100 100\nr.dat 16 10(5)/uV 16 0 0 0 0 ECG\nr.dat 16 4/mmHg 16 0 0 0 0 ECG\n",
    )
    (signal,) = read_signals(tmp_path)
    assert signal.channels == ("ecg", "ecg-2")
    assert signal.units == ("mV", "mmHg")
    assert signal.group == "patient042"
    np.testing.assert_allclose(signal.values, (raw - [5, 0]) / [10_000, 4])


def test_no_network_is_said_in_one_sentence(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("unreachable")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(OSError, match=r"^[^\n]+ does not answer\. [^\n]+$") as caught:
        read_signals("physionet:ptbdb/patient001/s0010_re")
    assert caught.value.__cause__ is None
    with pytest.raises(DataError, match="does not name a record"):
        read_signals("physionet:../x")


# --- rows


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i4", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_series(tmp_path, dtype, order):
    array = np.asarray(np.random.default_rng(0).normal(size=(7, 20)) * 9, dtype, order=order)
    np.save(tmp_path / "x.npy", array)
    data = read_rows(tmp_path / "x.npy", unit="mV")
    np.testing.assert_allclose(data.observations[..., 0], array.astype(float))
    assert data.schema.axes == ("time", "channel")
    assert (data.schema.kind, data.schema.units) == ("rows", ("mV",))
    np.save(tmp_path / "y.npy", array.reshape(7, 10, 2))
    assert read_rows(tmp_path / "y.npy").observations.shape == (7, 10, 2)


def test_npz_of_real_beats(real_data):
    path = real_data / "ecg5000" / "ECG5000_TEST_part_a.npz"
    data = read_rows(path)
    with np.load(path) as raw:
        np.testing.assert_array_equal(data.observations[..., 0], raw["x"])
        assert data.labels is not None
        found = [int(data.label_names[i]) for i in data.labels]
        np.testing.assert_array_equal(found, raw["y"])


def test_dsprites_factors(real_data):
    path = real_data / "dsprites" / "dsprites_grid_3x6x10x16x16.npz"
    data = read_rows(path)
    assert data.observations.shape == (46080, 64, 64, 1)
    assert data.observations.dtype == np.uint8
    assert data.schema.kind == "images"
    assert data.factor_names[1] == "shape"
    assert data.factors is not None
    assert len(np.unique(data.factors[:, 1])) == 3


def test_ucr_text_agrees_with_loadtxt(real_data):
    paths = [real_data / "ucr" / f"ECG200_{part}.tsv" for part in ("TRAIN", "TEST")]
    data = read_rows(paths)
    expected = np.concatenate([np.loadtxt(path) for path in paths])
    np.testing.assert_array_equal(data.observations[..., 0], expected[:, 1:])
    assert data.label_names == ("-1", "1")
    assert data.labels is not None
    np.testing.assert_array_equal(data.labels * 2 - 1, expected[:, 0])


def test_a_label_at_the_end_of_a_row(real_data):
    data = read_rows(real_data / "ecg_heartbeat_csv" / "mitbih_test_first999_normal.csv.gz")
    assert data.observations.shape == (999, 187, 1)
    assert data.label_names == ("0",)


def test_ts_files(tmp_path):
    text = "#c\n@problemName p\n@classLabel true up down\n@data\n1,2,3:4,5,6:up\n1,?:2,3:down\n"
    path = tmp_path / "p.ts.gz"
    path.write_bytes(gzip.compress(text.encode()))
    data = read_rows(path)
    assert data.observations.shape == (2, 3, 2)
    np.testing.assert_array_equal(data.observations[0, :, 1], [4, 5, 6])
    np.testing.assert_array_equal(data.observations[1, :, 0], [1, np.nan, np.nan])
    assert data.label_names == ("down", "up")
    assert data.schema.channels == ("c1", "c2")


def test_idx_files(real_data):
    path = real_data / "mnist" / "mnist8000-images-idx3-ubyte.gz"
    data = read_rows(path)
    raw = gzip.decompress(path.read_bytes())
    assert struct.unpack(">4i", raw[:16])[1:] == (8000, 28, 28)
    np.testing.assert_array_equal(data.observations.ravel()[-784:], list(raw[-784:]))
    labels = gzip.decompress((path.parent / "mnist8000-labels-idx1-ubyte.gz").read_bytes())[8:]
    assert data.labels is not None
    np.testing.assert_array_equal(data.labels, list(labels))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_image_folders(tmp_path, mode):
    rng = np.random.default_rng(0)
    shape = (5, 4) if mode == "L" else (5, 4, 3)
    pictures = rng.integers(0, 256, (4, *shape)).astype(np.uint8)
    for i, label in enumerate("abab"):
        (tmp_path / label).mkdir(exist_ok=True)
        Image.fromarray(pictures[i]).save(tmp_path / label / f"{i}.png")
    data = read_rows(tmp_path)
    assert data.observations.shape == (4, 5, 4, 1 if mode == "L" else 3)
    np.testing.assert_array_equal(data.observations.reshape(4, *shape), pictures[[0, 2, 1, 3]])
    assert data.schema.channels == (("grey",) if mode == "L" else ("red", "green", "blue"))
    assert data.label_names == ("a", "b")
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 1, 1]


def test_the_kind_is_guessed(real_data, tmp_path):
    expected = {
        "ecg_ptb": "beats",
        "ecg_mitbih/100": "beats",
        "ecg_ptbxl/HR00001.mat": "beats",
        "btc/bitfinex_BTCUSD_1h_2017.csv": "windows",
        "ett/ETTh1.csv": "windows",
        "ucr_anomaly/135_UCR_Anomaly_InternalBleeding16_1200_4187_4199.txt": "windows",
        "ucr/ECG200_TRAIN.tsv": "rows",
        "ecg5000/ECG5000_TRAIN.txt.gz": "rows",
        "ecg5000/ECG5000_TEST_part_a.npz": "rows",
        "ecg_heartbeat_csv/mitbih_test_first999_normal.csv.gz": "rows",
        "mnist/mnist8000-images-idx3-ubyte.gz": "images",
        "usps/usps_train.npz": "images",
        "dsprites/dsprites_grid_3x6x10x16x16.npz": "images",
    }
    assert {name: guess_kind(real_data / name) for name in expected} == expected
    assert guess_kind("physionet:mitdb/100") == "beats"
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    assert guess_kind(tmp_path) == "images"


def test_rows_of_different_shapes_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 4)))
    np.save(tmp_path / "b.npy", np.ones((3, 5)))
    with pytest.raises(DataError, match="one by one"):
        read_rows([tmp_path / "a.npy", tmp_path / "b.npy"])


def test_wrong_combinations_of_options(tmp_path, real_data):
    path = write(tmp_path / "t.csv", "t,a\n0,1\n1,2\n")
    record = real_data / "ecg_mitbih" / "100"
    for paths, options in (
        ([], {}),
        (path, {"rate": -1.0}),
        (path, {"rate": 1.0, "time": "t"}),
        (path, {"columns": ["a", "a"]}),
        (record, {"rate": 360.0}),
        ([record, path], {}),
    ):
        with pytest.raises(DataError, match=r"^[^\n]+$"):
            read_signals(paths, **options)
    assert read_signals(path, columns="a")[0].channels == ("a",)


def test_a_folder_without_data_says_so(tmp_path):
    os.symlink(tmp_path, tmp_path / "loop")
    with pytest.raises(DataError, match="no tables"):
        read_signals(tmp_path)
    with pytest.raises(DataError, match="no png or jpg"):
        read_rows(tmp_path)
