"""Data larger than memory: what is read a part at a time is what would be in memory."""

import dataclasses
import threading
import warnings
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import unweave as uw
from unweave import data
from unweave.data import _index, _zarr
from unweave.data._index import AbstractReader, Lines
from unweave.data._plain import plain
from unweave.data._stored import Shelf, stored_windows

pytest.importorskip("zarr")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNWEAVE_CACHE", str(tmp_path / "cache"))


def signals_of(seed: int, n: int = 5, *, gaps: float = 0.05, least: int = 60) -> list[uw.Signal]:
    """Recordings of two patients or more with missing samples, long gaps and missing values."""
    rng, found = np.random.default_rng(seed), []
    for i in range(n):
        size = int(rng.integers(least, 6 * least))
        times = 0.25 * np.arange(size) + i
        kept = rng.random(size) > gaps
        kept[[0, -1]] = True
        if i % 2 and gaps:
            kept[size // 3 : size // 3 + 9] = False
        values = 1e3 + rng.normal(size=(size, 2))
        values[rng.random(values.shape) < gaps] = np.nan
        found.append(
            uw.Signal(f"r{i}", f"p{i // 2}", values[kept], times[kept], ("a", "b"), ("mV", "mV"))
        )
    return found


def everything(stored: data.Stored) -> uw.Dataset:
    return stored.read(np.arange(len(stored)))


def same(found: uw.Dataset, wanted: uw.Dataset) -> None:
    """The same observations of the same records, those aside in which nothing was observed."""
    found, wanted = (
        part.take(~np.isnan(part.observations).reshape(len(part), -1).all(1))
        for part in (found, wanted)
    )
    np.testing.assert_allclose(found.observations, wanted.observations, rtol=1e-12)
    assert found.records.tolist() == wanted.records.tolist()
    assert found.groups.tolist() == wanted.groups.tolist()
    np.testing.assert_allclose(found.spans, wanted.spans, rtol=1e-9, atol=1e-9)
    assert found.schema == wanted.schema
    if wanted.references is not None:
        np.testing.assert_allclose(found.references, wanted.references, rtol=1e-9)


TRANSFORMS = st.sampled_from(list(data.TRANSFORMS.values()))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**6), length=st.integers(2, 40), step=st.integers(1, 50),
    gaps=st.sampled_from([0.0, 0.05, 0.3]), transform=TRANSFORMS,
)  # fmt: skip
def test_windows_are_those_in_memory(tmp_path_factory, seed, length, step, gaps, transform):
    signals = signals_of(seed, gaps=gaps)
    path = tmp_path_factory.mktemp("zarr") / "s.zarr"
    uw.store(signals, path, dtype=np.float64)
    try:
        wanted = uw.windows(signals, length=length, step=step, transform=transform)
    except ValueError:
        with pytest.raises(ValueError, match="no window"):
            uw.open_stored(path, length=length, step=step, transform=transform)
        return
    stored = uw.open_stored(path, length=length, step=step, transform=transform)
    found = everything(stored)
    same(found, wanted)
    rows = np.random.default_rng(seed).integers(0, len(stored), 20)
    some = stored.read(rows)
    np.testing.assert_array_equal(some.observations, found.observations[rows])
    assert some.records.tolist() == found.records[rows].tolist()
    parts = np.concatenate([part.observations for part in stored.parts(7)])
    np.testing.assert_array_equal(parts, found.observations)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 10**10), min_size=1, max_size=9), length=st.integers(2, 10**4),
    step=st.integers(1, 10**4), data_=st.data(),
)  # fmt: skip
def test_a_billion_windows_have_an_index_of_lines(lengths, length, step, data_):
    """Any row of any number of windows is found, and a cut of rows by bounds keeps their places."""

    class Counting(AbstractReader):
        def read(self, recording: int, first: int, end: int) -> np.ndarray:
            assert 0 <= first < end <= lengths[recording]
            return np.arange(first, end, dtype=float)[:, None] + 1e11 * recording

    n = len(lengths)
    names = np.asarray([f"r{i}" for i in range(n)])
    arrays = {"records": names, "groups": names, "starts": np.zeros(n),
              "lengths": np.asarray(lengths)}  # fmt: skip
    facts = {"item": [1], "channels": ["x"], "units": [""], "step": 1.0, "time_unit": "",
             "together": 64, "dtype": "<f8"}  # fmt: skip
    counts = [max(0, (size - length) // step + 1) for size in lengths]
    shelf = Shelf(Lines(arrays, facts), Counting(), "key")
    if not sum(counts):
        with pytest.raises(ValueError, match="smaller length"):
            stored_windows(shelf, length=length, step=step)
        return
    stored = stored_windows(shelf, length=length, step=step)
    assert len(stored) == sum(counts)
    row = data_.draw(st.integers(0, len(stored) - 1))
    record = int(np.searchsorted(np.cumsum(counts), row, side="right"))
    start = (row - sum(counts[:record])) * step
    found = stored.read(np.asarray([row])).observations[0, :, 0]
    np.testing.assert_array_equal(found, 1e11 * record + start + np.arange(length))
    ends = sorted(data_.draw(st.lists(st.integers(0, len(stored)), min_size=4, max_size=4)))
    taken = stored.take(np.reshape(ends, (2, 2)))
    assert len(taken) == ends[1] - ends[0] + ends[3] - ends[2]
    if len(taken):
        at = data_.draw(st.integers(0, len(taken) - 1))
        of = ends[0] + at if at < ends[1] - ends[0] else ends[2] + at - (ends[1] - ends[0])
        mine, its = (s.read(np.asarray([i])) for s, i in ((taken, at), (stored, of)))
        np.testing.assert_array_equal(mine.observations, its.observations)


@pytest.mark.parametrize("how", [uw.split, uw.split_by_group, uw.split_by_time])
@pytest.mark.parametrize(("patients", "step"), [(7, 16), (7, 5), (12, 16)])
def test_splits_are_those_in_memory(tmp_path, how, patients, step):
    signals = signals_of(3, patients, gaps=0.0)
    path = uw.store(signals, tmp_path / "s.zarr", dtype=np.float64)
    wanted = how(uw.windows(signals, length=16, step=step))
    found = how(uw.open_stored(path, length=16, step=step))
    assert found.how == wanted.how
    for part in ("train", "validation", "test"):
        same(getattr(found, part), getattr(wanted, part))
    assert found.stored is not None
    same(everything(found.stored), wanted.train)
    sides = [set(getattr(found, part).groups) for part in ("train", "test")]
    assert how is uw.split_by_time or not sides[0] & sides[1]


def test_training_is_told_the_moments_of_all(tmp_path, monkeypatch):
    monkeypatch.setattr("unweave.data._split_stored._MOST_ROWS", 10)
    path = uw.store(signals_of(0), tmp_path / "s.zarr", dtype=np.float64)
    parts = uw.split(uw.open_stored(path, length=16))
    stored = parts.stored
    assert stored is not None
    assert len(parts.train) == 10 < len(stored)
    assert "10 of" in " ".join(parts.train.notes)
    every, moments = everything(stored).observations, parts.train.moments
    assert moments is not None
    for name, number in (("mean", np.nanmean), ("deviation", np.nanstd), ("smallest", np.nanmin),
                         ("largest", np.nanmax)):  # fmt: skip
        np.testing.assert_allclose(getattr(moments, name), number(every, axis=(0, 1)))
    assert parts.train.take([0, 1]).moments is None
    key = jax.random.key(0)
    for recipe in (uw.recipes.beta_vae(latents=2), uw.recipes.pca(latents=2), uw.recipes.flow()):
        scale = recipe.build(parts.train, key).scale
        np.testing.assert_allclose(scale.offset, moments.mean)
        np.testing.assert_allclose(scale.spread, moments.deviation)
    unit = uw.Scale.unit(parts.train.observations, moments)
    np.testing.assert_allclose(unit.offset, min(moments.smallest))


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10**6), sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    middle=st.sampled_from([0.0, 1e3, -1e9]), missing=st.sampled_from([0.0, 0.4]),
    kind=st.sampled_from([np.float64, np.float32]),
)  # fmt: skip
def test_moments_are_those_of_numpy(seed, sizes, middle, missing, kind):
    rng = np.random.default_rng(seed)
    x = (middle + rng.normal(size=(1 + sum(sizes), 3, 2))).astype(kind)
    x[rng.random(x.shape) < missing] = np.nan
    parts = np.split(x, 1 + np.cumsum(sizes)[:-1])
    found = data.Moments.of(part for part in parts if len(part))
    count = (~np.isnan(x)).sum((0, 1))
    assert found.count == tuple(count)
    for c in range(2):
        own = x[..., c].astype(np.float64)
        if count[c]:
            assert np.isclose(found.mean[c], np.nanmean(own), rtol=1e-12)
            assert np.isclose(found.deviation[c], np.nanstd(own), rtol=1e-6, atol=1e-12)
            assert (found.smallest[c], found.largest[c]) == (np.nanmin(own), np.nanmax(own))
        else:
            assert np.isnan(found.mean[c])


def test_the_index_is_kept_and_made_again_when_a_file_changes(tmp_path, monkeypatch):
    path, built = tmp_path / "s.zarr", []
    uw.store(signals_of(0), path)
    own = _zarr._lines
    monkeypatch.setattr(_zarr, "_lines", lambda *args: built.append(1) or own(*args))
    first = uw.open_stored(path, length=8)
    assert len(uw.open_stored(path, length=12)) < len(first)
    assert len(built) == 1
    assert first.moments == uw.open_stored(path, length=8).moments
    kept = sorted((tmp_path / "cache" / "indices").iterdir())
    assert len(kept) == 2
    for file in kept:  # cut off, as a full disk would leave it
        file.write_bytes(file.read_bytes()[:-30])
    again = uw.open_stored(path, length=8)
    assert len(built) == 2
    assert again.moments == first.moments
    for file in kept:  # and whole again
        Lines.from_bytes(file.read_bytes())
    chunk = next(file for file in path.rglob("*") if "c" in file.parts and file.is_file())
    chunk.write_bytes(chunk.read_bytes())
    uw.open_stored(path, length=8)
    assert len(built) == 3
    monkeypatch.setenv("UNWEAVE_CACHE", "")
    assert len(uw.open_stored(path, length=8)) == len(first)


def test_several_threads_read_the_same(tmp_path):
    path = uw.store(signals_of(1, 8), tmp_path / "s.zarr")
    stored = uw.open_stored(path, length=16, step=3)
    wanted, wrong = everything(stored).observations, []

    def read(seed: int) -> None:
        for _ in range(10):
            rows = np.random.default_rng(seed).permutation(len(stored))[:30]
            if not np.array_equal(stored.read(rows).observations, wanted[rows], equal_nan=True):
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("noisy", [True, False])
def test_what_does_not_shrink_is_not_packed_and_chunks_are_about_equal(tmp_path, noisy):
    random = np.random.default_rng(0)
    y = random.normal(size=(70_000, 12)) if noisy else random.integers(-9, 9, (70_000, 12)) / 8
    leads = tuple("abcdefghijkl")
    signal = uw.Signal("a", "a", y, np.arange(70_000) / 500, leads, ("mV",) * 12)
    uw.store([signal], tmp_path / "a.zarr")
    array = _zarr.zarr().open_array(tmp_path / "a.zarr", path="0000000", mode="r")
    assert bool(array.compressors) != noisy
    # four of a megabyte, the last one no emptier than the others
    assert array.chunks == (17_500, 12)
    assert np.array_equal(array[:], y.astype(np.float32))


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3), rows=st.integers(1, 4),
    kind=st.sampled_from(["<f4", "<f8", "<i2", "<u1", ">f4"]), seed=st.integers(0, 99),
    columns=st.booleans(),
)  # fmt: skip
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_plain_chunks_are_read_as_zarr_reads_them(tmp_path, shape, rows, kind, seed, columns):
    random = np.random.default_rng(seed)
    x = random.integers(0, 99, shape).astype(kind)
    chunks = (min(rows, shape[0]), *(1 if columns else size for size in shape[1:]))
    array = _zarr.zarr().create_array(
        tmp_path / "a.zarr", shape=shape, dtype=x.dtype, chunks=chunks, compressors=None,
        fill_value=7, overwrite=True,
    )  # fmt: skip
    # a part that is never written
    written = np.arange(shape[0]) // chunks[0] != seed % 3
    for row in np.flatnonzero(written):
        array[row] = x[row]
    array = _zarr.zarr().open_array(tmp_path / "a.zarr", mode="r")
    got = plain(tmp_path / "a.zarr")
    assert (got is None) == (chunks[1:] != tuple(shape[1:]) or array.dtype.byteorder == ">")
    first, end = np.sort(random.integers(0, shape[0] + 1, 2)).tolist()
    if got is not None:
        np.testing.assert_array_equal(got[first:end], array[first:end], strict=True)


def test_a_plain_chunk_that_was_cut_off_is_named(tmp_path):
    y = np.random.default_rng(0).normal(size=(400, 2))
    signal = uw.Signal("a", "a", y, np.arange(400) / 100, ("a", "b"), ("mV", "mV"))
    uw.store([signal], tmp_path / "a.zarr")
    chunk = tmp_path / "a.zarr/0000000/c/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-8])
    stored = uw.open_stored(tmp_path / "a.zarr", length=100)
    assert len(stored.read(np.arange(3))) == 3
    with pytest.raises(data.DataError, match=r"rows 0 and 400: .*8 bytes too early"):
        stored.read(np.arange(4))


def test_ready_observations_are_rows(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 6, 2))
    schema = uw.Schema("rows", ("time", "channel"), (6, 2), ("a", "b"), ("mV", "V"), 0.5)
    made = uw.dataset(x, schema)
    made = dataclasses.replace(made, groups=np.asarray([f"p{i // 5}" for i in range(50)]))
    path = uw.store(made, tmp_path / "rows.zarr", dtype=np.float64)
    stored = uw.open_stored(path)
    found = everything(stored)
    np.testing.assert_array_equal(found.observations, x)
    assert found.records.tolist() == made.records.tolist()
    assert (found.schema, found.groups.tolist()) == (schema, made.groups.tolist())
    parts, wanted = uw.split(stored), uw.split(made)
    assert parts.how == wanted.how
    np.testing.assert_array_equal(parts.test.observations, wanted.test.observations)
    bare = data.make_array(tmp_path / "bare.zarr", None, (50, 6), x[..., 0].astype("f4"), {})
    bare[:] = x[..., 0]
    alone = uw.open_stored(tmp_path / "bare.zarr")
    assert alone.schema.shape == (6, 1)
    assert uw.split(alone).how.startswith("At random: 50 independent records")


def test_whole_recordings_end_in_gaps(tmp_path):
    signals = signals_of(2, 6, gaps=0.0)
    path = uw.store(signals, tmp_path / "s.zarr", dtype=np.float64)
    same(everything(uw.open_stored(path)), uw.series(signals))


@pytest.mark.parametrize("rows", [7, 64, 10_000])
@pytest.mark.parametrize("transform", list(data.TRANSFORMS.values()), ids=lambda t: t.name)
def test_parquet_is_read_by_row_groups(tmp_path, rows, transform):
    rng, parts = np.random.default_rng(0), []
    for name in ("b", "a"):
        for run in (1, 2):
            n = int(rng.integers(60, 200))
            kept = rng.random(n) > 0.1
            kept[n // 2 : n // 2 + 8] = False
            own = {"who": name, "run": run, "t": 60 * np.arange(n) + 1_483_228_800,
                   "x": rng.normal(size=n) + 9.0, "y": rng.integers(5, 90, n)}  # fmt: skip
            parts.append(pd.DataFrame(own)[kept])
    table, path = pd.concat(parts), tmp_path / "t.parquet"
    table.to_parquet(path, row_group_size=rows)
    how = {"time": "t", "columns": ["x", "y"], "by": ("who", "run")}
    stored = uw.open_stored(path, length=12, step=5, transform=transform, **how)
    wanted = uw.windows(uw.read_signals(path, **how), length=12, step=5, transform=transform)
    same(everything(stored), wanted)
    assert stored.notes == wanted.notes
    assert stored.shelf.lines.facts["together"] == min(rows, len(table))


def test_a_folder_of_files_and_dates(tmp_path):
    for day in (1, 2, 3):
        times = pd.date_range(f"2017-01-0{day}", periods=90, freq="s")
        table = pd.DataFrame({"t": times, "x": np.arange(90.0) * day})
        table.to_parquet(tmp_path / f"d{day}.parquet", row_group_size=32)
    stored = uw.open_stored(tmp_path, length=30, time="t")
    wanted = uw.windows(
        [s for day in (1, 2, 3) for s in uw.read_signals(tmp_path / f"d{day}.parquet", time="t")],
        length=30,
    )
    same(everything(stored), wanted)
    assert len(uw.open_stored(tmp_path, length=30, columns=["x"], rate=2.0)) == 9


@pytest.fixture(params=["16", "212"])
def records(tmp_path, request) -> Path:
    """WFDB records in nested folders, two of a patient."""
    from unweave.data._wfdb import wfdb

    rng = np.random.default_rng(0)
    for i in range(6):
        folder = tmp_path / "ecg" / f"{i // 2:05d}" / "hr"
        folder.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # wfdb 4.3 uses what pandas 3 deprecates
            wfdb().wrsamp(
                f"{i:05d}_hr", fs=100, units=["mV", "mV"], sig_name=["I", "II"],
                fmt=[request.param] * 2, p_signal=_gappy(rng, 250 + 10 * i),
                write_dir=str(folder), comments=[f"patient {i // 2}"],
            )  # fmt: skip
    return tmp_path / "ecg"


def _gappy(rng: np.random.Generator, n: int) -> np.ndarray:
    x = rng.normal(size=(n, 2))
    x[3:9] = np.nan
    return x


def test_folders_of_records(records):
    stored = uw.open_stored(records, length=50, step=20)
    paths = sorted(str(file.with_suffix("")) for file in records.rglob("*.hea"))
    wanted = uw.windows(uw.read_signals(paths), length=50, step=20)
    found = everything(stored)
    np.testing.assert_allclose(found.observations, wanted.observations, rtol=1e-5, atol=1e-5)
    assert found.records.tolist() == wanted.records.tolist()
    assert found.groups.tolist() == wanted.groups.tolist()
    assert found.schema == wanted.schema
    together = uw.open_stored(records, length=50, same_patient=[("00000_hr", "00005_hr")])
    assert len(np.unique(together.groups)) == 2
    one = uw.open_stored(records, length=50, columns=["ii"])
    assert one.schema.channels == ("ii",)


def test_what_cannot_be_stored_says_why(tmp_path):
    signals = signals_of(0)
    path = uw.store(signals, tmp_path / "s.zarr")
    with pytest.raises(ValueError, match="exists; give another path"):
        uw.store(signals, path)
    with pytest.raises(ValueError, match="no signal"):
        uw.store([], tmp_path / "none.zarr")
    with pytest.raises(ValueError, match="mkdir"):
        uw.store(signals, tmp_path / "no" / "s.zarr")
    other = dataclasses.replace(signals[0], units=("V", "V"), record="other")
    with pytest.raises(ValueError, match="record 'other' has channels"):
        uw.store([*signals, other], tmp_path / "mixed.zarr")
    slow = dataclasses.replace(signals[0], times=2 * signals[0].times, record="slow")
    with pytest.raises(ValueError, match="record 'slow' has a sample every"):
        uw.store([*signals, slow], tmp_path / "mixed.zarr")
    cut = uw.windows(signals, length=8, transform=uw.Z_SCORE)
    with pytest.raises(uw.DataError, match="store the signals"):
        uw.store(cut, tmp_path / "cut.zarr")
    # nothing is left of what did not come to its end
    assert [file.name for file in tmp_path.iterdir() if "cache" not in file.name] == ["s.zarr"]


def _array(path: Path, x: np.ndarray, **about) -> Path:
    data.make_array(path, None, x.shape, x, about)[:] = x
    return path


BAD = {
    "nothing there": (lambda p: p / "no.zarr", {}, "no file or folder"),
    "a table in text": (lambda p: _text(p / "t.csv"), {}, "store\\(signals"),
    "columns of a store": (lambda p: uw.store(signals_of(0), p / "s.zarr"), {"columns": ["aa"]},
                           "no channel 'aa'.*did you mean 'a'"),
    "a time of a store": (lambda p: uw.store(signals_of(0), p / "s.zarr"), {"time": "t"},
                          "leave out time and by"),
    "ready rows cut": (lambda p: _array(p / "r.zarr", np.zeros((9, 6), "f4")), {"length": 3},
                       "ready observations"),
    "one axis": (lambda p: _array(p / "r.zarr", np.zeros(9, "f4")), {}, "observations are \\(n"),
    "too few names": (lambda p: _array(p / "r.zarr", np.zeros((9, 6), "f4"), channels=["a", "b"]),
                      {}, "names 2 channels"),
    "an empty group": (lambda p: _group(p / "g.zarr"), {}, "holds no array"),
    "not increasing": (lambda p: _table(p, t=[0, 1, 2, 2, 3], x=[1.0] * 5), {"time": "t"},
                       "do not increase at row 4"),
    "uneven": (lambda p: _table(p, t=np.geomspace(1, 9, 120), x=np.ones(120)),
               {"time": "t"}, "not evenly spaced"),
    "no such column": (lambda p: _table(p, t=[0, 1], x=[1.0, 2.0]), {"time": "tt"},
                       "no column 'tt'.*did you mean 't'"),
    "no numbers": (lambda p: _table(p, t=[0, 1], x=["a", "b"]), {"columns": ["x"]}, "no numbers"),
    "no time": (lambda p: _table(p, t=[0, None, 2.0], x=[1.0, 2, 3]), {"time": "t"},
                "row 2 of .* has no time"),
    "parts apart": (lambda p: _table(p, t=[0, 1, 0, 1, 2, 3], w=list("aabbaa"), x=[1.0] * 6),
                    {"time": "t", "by": "w"}, "stands in several places.*sort the file"),
    "two of time": (lambda p: _table(p, t=[0, 1], x=[1.0, 2.0]), {"time": "t", "rate": 2.0},
                    "give one of them"),
    "too long": (lambda p: uw.store(signals_of(0), p / "s.zarr"), {"length": 10**6},
                 "smaller length"),
    "no length": (lambda p: uw.store(signals_of(0), p / "s.zarr"), {}, "broken by a long gap"),
}  # fmt: skip


def _text(path: Path) -> Path:
    path.write_text("t,x\n0,1\n1,2\n")
    return path


def _group(path: Path) -> Path:
    import zarr

    zarr.open_group(str(path), mode="w")
    return path


def _table(folder: Path, **columns) -> Path:
    pd.DataFrame(columns).to_parquet(folder / "t.parquet")
    return folder / "t.parquet"


@pytest.mark.parametrize("name", BAD)
def test_every_bad_input_has_its_sentence(tmp_path, name):
    make, how, sentence = BAD[name]
    with pytest.raises(ValueError, match=sentence):
        uw.open_stored(make(tmp_path), **how)


def test_rows_that_are_not_there_and_chunks_that_are_damaged(tmp_path):
    path = uw.store(signals_of(0, gaps=0.0), tmp_path / "s.zarr")
    stored = uw.open_stored(path, length=8)
    for rows in ([-1], [len(stored)], [[0]]):
        with pytest.raises(IndexError, match="rows of shape"):
            stored.read(np.asarray(rows))
    assert len(stored.read(np.asarray([], int))) == 0
    for chunk in path.rglob("c/*/*"):
        chunk.write_bytes(b"not a chunk")
    with pytest.raises(uw.DataError, match="is damaged between rows"):
        stored.read(np.asarray([0]))


def test_infinite_values_and_large_row_groups_are_refused(tmp_path, monkeypatch):
    x = np.ones((30, 6), "f4")
    x[7, 2] = np.inf
    with pytest.raises(ValueError, match="infinite values"):
        assert uw.open_stored(_array(tmp_path / "r.zarr", x)).moments
    monkeypatch.setattr("unweave.data._scan_parquet._MOST_BYTES", 100)
    with pytest.raises(uw.DataError, match="row_group_size"):
        uw.open_stored(_table(tmp_path, t=np.arange(90), x=np.ones(90)), time="t", length=8)


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    path = uw.store(signals_of(0), tmp_path / "s.zarr")
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(uw.DataError, match=r"pip install 'unweave\[zarr\]'"):
        uw.open_stored(path, length=8)


def test_files_that_fill_the_memory_are_told_apart(tmp_path, monkeypatch):
    path = _table(tmp_path, t=np.arange(90), x=np.ones(90))
    assert data.too_large([path]) == ""
    monkeypatch.setattr("unweave.data._open_stored._free_memory", lambda: 1000)
    assert "--stream" in data.too_large([path])
    with pytest.raises(ValueError, match="--stream"):
        uw.sources.read_source(uw.sources.Source((str(path),), kind="windows", length=8))
    assert data.too_large([_text(tmp_path / "t.csv")]) == ""


def test_indices_of_another_version_have_other_names(tmp_path, monkeypatch):
    file = _text(tmp_path / "t.csv")
    before = _index.fingerprint([file], "words")
    assert before == _index.fingerprint([file], "words") != _index.fingerprint([file], "others")
    monkeypatch.setattr(_index, "_VERSION", _index._VERSION + 1)
    assert _index.fingerprint([file], "words") != before
