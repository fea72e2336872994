"""Recordings at their own times: long tables, courses, and the conditions that models see."""

import csv
import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from small_files import outcome
from unweave import show
from unweave._course import Course
from unweave._latents import Latents
from unweave._model import AbstractDecoder, AbstractDensity, AbstractEncoder
from unweave._schema import Schema
from unweave.data import (
    COMPETITION_FACTORS,
    DataError,
    Signal,
    competition_cloud,
    dataset,
    read_signals,
    split_none,
    split_within,
    trajectories,
)
from unweave.evaluate import summarise
from unweave.measure import baselines
from unweave.recipes import pca
from unweave.run import fit, load_run
from unweave.sources import Source, open_source, read_source


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


# --- long tables


@st.composite
def long_tables(draw):
    """Rows (who, when, what, value) of recordings in which each time is measured once, in the
    order of their times, the recordings and their channels shuffled into each other."""
    recordings = draw(st.integers(1, 4))
    rows = []
    for who in range(recordings):
        for what in range(2):
            times = draw(st.lists(st.integers(0, 30), min_size=1, max_size=8, unique=True))
            number = st.floats(-1e3, 1e3).map(lambda x: round(x, 4))
            rows += [(who, time, what, draw(number)) for time in sorted(times)]
    order = draw(st.permutations(range(len(rows))))
    return [rows[i] for i in order], draw(st.sampled_from(["{}", "{}.5", "dish {}"]))


@given(table=long_tables())
@settings(max_examples=60, deadline=None)
def test_long_tables_agree_with_a_grouping_by_hand(table, tmp_path_factory):
    rows, name = table
    path = tmp_path_factory.mktemp("long") / "t.csv"
    lines = [f"{name.format(who)},{when},species {what},{x}" for who, when, what, x in rows]
    write(path, "\n".join(["dish,day,species,volume", *lines]))
    signals = read_signals(path, time="day", by="dish", channel="species", columns="volume")
    kinds = list(dict.fromkeys(what for _, _, what, _ in rows))
    assert signals[0].channels == tuple(f"species {what}" for what in kinds)
    order = list(dict.fromkeys(who for who, *_ in rows))
    assert [signal.record for signal in signals] == [name.format(who) for who in order]
    for who, signal in zip(order, signals, strict=True):
        found = {(when, what): x for own, when, what, x in rows if own == who}
        assert signal.times.tolist() == sorted({when for when, _ in found})
        expected = [[found.get((when, what), np.nan) for what in kinds] for when in signal.times]
        np.testing.assert_array_equal(signal.values, expected)


@given(table=long_tables())
@settings(max_examples=40, deadline=None)
def test_records_by_two_columns_agree_with_a_grouping_by_hand(table, tmp_path_factory):
    rows, name = table
    path = tmp_path_factory.mktemp("long") / "t.csv"
    # each recording's own rows in the order of time, wherever they stand
    rows = sorted(rows, key=lambda row: row[1])
    lines = [f"{name.format(who)},{when},{what},{x}" for who, when, what, x in rows]
    write(path, "\n".join(["dish,day,species,volume", *lines]))
    signals = read_signals(path, time="day", by=("dish", "species"))
    parts = {}
    for who, when, what, x in rows:
        parts.setdefault(f"{name.format(who)} {what}", []).append((when, x))
    assert [signal.record for signal in signals] == list(parts)
    for signal, part in zip(signals, parts.values(), strict=True):
        assert signal.channels == ("volume",)
        np.testing.assert_array_equal(np.c_[signal.times, signal.values], part)


def test_without_times_rows_count_anew_in_each_recording(tmp_path):
    path = write(tmp_path / "t.csv", "run,x\na,1\nb,5\na,2\nb,6\na,3\n")
    one, other = read_signals(path, by="run", rate=2.0)
    np.testing.assert_array_equal(one.times, [0, 0.5, 1])
    np.testing.assert_array_equal(other.values[:, 0], [5, 6])


def test_recordings_of_several_files_keep_their_names_apart(tmp_path):
    paths = [write(tmp_path / f"{n}.csv", "run,t,x\n1,0,1\n1,1,2\n2,0,3\n2,1,4\n") for n in "ab"]
    assert [s.record for s in read_signals(paths, time="t", by="run")] == [
        "a 1", "a 2", "b 1", "b 2",
    ]  # fmt: skip
    # values that would be joined to one name
    path = write(tmp_path / "c.csv", "p,q,x\na b,c,1\na b,c,2\na,b c,3\na,b c,4\n")
    assert [s.record for s in read_signals(path, by=("p", "q"))] == ["a b c", "a b c-2"]


LONG = "treatment,species,day,volume,count\nA,P,1,1,5\nA,P,2,2,6\nB,P,1,3,7\nB,P,2,4,8\n"


def test_several_columns_beside_a_channel(tmp_path):
    path = write(tmp_path / "t.csv", LONG)
    (one, _) = read_signals(path, time="day", by="treatment", channel="species")
    assert one.channels == ("P volume", "P count")
    np.testing.assert_array_equal(one.values, [[1, 5], [2, 6]])


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        (LONG, {"time": "day"}, r"row 4 \('2', then '1'\); treatment .* use --by treatment\."),
        (
            "a,b,t,x\n1,1.5,0,1\n1,1.5,1,2\n1,2,0,3\n1,2,1,4\n2,1.5,0,5\n2,1.5,1,6\n",
            {"time": "t"}, "use --by a,b",
        ),
        (
            "a,b,t,x\n1,1.5,0,1\n1,1.5,1,2\n1,2,0,3\n1,2,1,4\n2,1.5,0,5\n2,1.5,1,6\n",
            {"time": "t", "by": "b"}, "recording '1.5' of .* use --by b,a",
        ),
        ("s,t,x\nP,0,1\nP,1,2\nQ,0,3\nQ,1,4\n", {"time": "t"}, "use --by s, or --channel s if"),
        # a channel of few values is none that tells recordings apart
        ("t,x\n0,1\n1,2\n0,1\n1,2\n", {"time": "t"}, "separate recordings in separate files"),
        (LONG, {"time": "day", "channel": "species"}, "row 4 .* second value .* time 1"),
        (LONG, {"channel": "species"}, "name the column of times"),
        (LONG, {"time": "day", "by": "treatmnt"}, "did you mean 'treatment'"),
        (LONG, {"time": "day", "by": ("treatment", "treatment")}, "once"),
        ("run,t,x\na,0,1\n,1,2\n", {"time": "t", "by": "run"}, "row 3 .* nothing in column 'run'"),
        ("run,t,x\na,0,1\nb,1,\n", {"time": "t", "by": "run"}, "recording 'b' .* no number"),
        ("run,t,x\na,0,1\na,,2\n", {"time": "t", "by": "run"}, "row 3 .* no time"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_long_table_is_said(tmp_path, text, options, sentence):
    with pytest.raises(DataError, match=sentence) as caught:
        read_signals(write(tmp_path / "t.csv", text), **options)
    assert len(str(caught.value).splitlines()) == 1


@given(
    cuts=st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=3)), min_size=1, max_size=4),
    options=st.sampled_from(
        [{"by": "treatment"}, {"by": ("treatment", "species")}, {"channel": "species"}, {}]
    ),
)
@settings(max_examples=150, deadline=None)
def test_a_damaged_long_table_is_read_or_refused_in_a_line(cuts, options, tmp_path_factory):
    data = LONG.encode()
    for place, some in cuts:
        data = data[:place] + some + data[place + len(some) :]
    path = tmp_path_factory.mktemp("long") / "t.csv"
    path.write_bytes(data)
    outcome(lambda: read_signals(path, time="day", **options))


def test_a_table_that_would_swell_is_refused(tmp_path):
    rows = "\n".join(f"{i},c{i},1" for i in range(12_000))
    path = write(tmp_path / "t.csv", f"t,c,x\n{rows}\n")
    with pytest.raises(DataError, match="as channels side by side"):
        read_signals(path, time="t", channel="c", columns="x")


def test_names_in_a_line_of_comment(tmp_path):
    rows = "\n".join(f"0 {0.1 * i} {i} {2 * i} 7" for i in range(5))
    named = write(tmp_path / "a.txt", f"% x v\n{rows}\n")
    assert read_signals(named, time="time", by="trial")[0].channels == ("x", "v", "c5")
    for line in ("% made on a Monday", "%", "% x x"):
        path = write(tmp_path / "b.txt", f"{line}\n{rows}\n")
        assert read_signals(path)[0].channels == ("c1", "c2", "c3", "c4", "c5")
    every = write(tmp_path / "c.txt", f"% a b c d e\n{rows}\n")
    assert read_signals(every, time="b")[0].channels == ("a", "c", "d", "e")


# --- courses


def recording(name, times, *, channels=("x", "y"), values=None):
    times = np.asarray(times, float)
    values = (
        np.stack([10 * times + i for i in range(len(channels))], 1) if values is None else values
    )
    return Signal(name, name, values, times, channels, ("mV",) * len(channels), "day")


def test_shared_times_are_the_schemas_instants():
    data = trajectories([recording("a", [0, 1, 4]), recording("b", [0, 1, 4])])
    assert (data.schema.kind, data.schema.times) == ("trajectories", (0, 1, 4))
    assert (data.times, data.conditions) == (None, None)
    np.testing.assert_array_equal(data.spans, [[0, 4]] * 2)
    assert data.schema.step == 2


def test_times_that_nearly_agree_are_one_grid_with_gaps():
    data = trajectories([recording("a", [0, 1, 4]), recording("b", [1, 2, 5])])
    assert data.schema.instants == (0, 1, 2, 4, 5)
    np.testing.assert_array_equal(data.observations[1, :, 0], [np.nan, 10, 20, np.nan, 50])
    np.testing.assert_array_equal(data.spans, [[0, 4], [1, 5]])
    assert "differ in their times" in data.notes[0]


def test_times_that_do_not_are_each_recordings_own():
    parts = [recording(str(i), np.arange(3 - i // 2) + 0.1 * i) for i in range(3)]
    data = trajectories(parts)
    np.testing.assert_allclose(data.times, [[0, 1, 2], [0.1, 1.1, 2.1], [0.2, 1.2, 1.2]])
    np.testing.assert_allclose(data.observations[2, :, 0], [2, 12, np.nan])
    np.testing.assert_allclose(data.spans[2], [0.2, 1.2])
    assert data.schema.instants == ()
    assert data.conditions == Course(data.times, None)
    np.testing.assert_array_equal(data.take([2, 0]).conditions.times, data.times[[2, 0]])
    assert len(data.thinned(2).conditions.times) == 2


def test_inputs_are_no_part_of_the_observation():
    values = np.array([[1.0, 7.0, 0], [2, np.nan, 0], [3, 9, 0], [4, np.nan, 0]])
    one = recording("a", [0, 1, 2, 4], channels=("x", "u", "y"), values=values)
    data = trajectories([one], inputs=["u"])
    assert (data.schema.channels, data.input_names, data.input_units) == (
        ("x", "y"),
        ("u",),
        ("mV",),
    )
    np.testing.assert_array_equal(data.inputs[0, :, 0], [7, 8, 9, 9])
    assert data.notes == ("2 missing values of inputs are filled in linearly.",)
    assert data.times is None
    # recordings that are driven are never put on the times of others
    short = recording("b", [0, 1], channels=("x", "u", "y"), values=values[:2])
    both = trajectories([one, short], inputs="u")
    np.testing.assert_array_equal(both.times, [[0, 1, 2, 4], [0, 1, 1, 1]])
    np.testing.assert_array_equal(both.conditions.inputs[1, :, 0], [7, 7, 7, 7])


@pytest.mark.parametrize(
    ("signals", "inputs", "sentence"),
    [
        ([], (), "no signal"),
        ([recording("a", [0, 1]), recording("b", [0], channels=("x",))], (), "keep those"),
        ([recording("a", [0, 1])], ("z",), "no channel is called 'z'"),
        ([recording("a", [0, 1])], ("x", "y"), "leave no channel"),
        ([recording("a", [0], values=np.array([[1, np.nan]]))], ("y",), "no value at all"),
        ([recording("a", [])], (), "no samples"),
    ],
)
def test_courses_refuse(signals, inputs, sentence):
    with pytest.raises(ValueError, match=sentence):
        trajectories(signals, inputs=inputs)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"times": np.zeros((2, 2))}, r"times of shape \(2, 2\)"),
        ({"times": np.array([[0.0, 2, 1]] * 2)}, "go back"),
        ({"times": np.array([[0.0, np.nan, 1]] * 2)}, "go back"),
        ({"inputs": np.zeros((2, 3, 1))}, "0 input names"),
        ({"input_names": ("u",), "input_units": ("",)}, "inputs of shape None"),
        (
            {"inputs": np.full((2, 3, 1), np.nan), "input_names": ("u",), "input_units": ("",)},
            "must be known",
        ),
    ],
)
def test_times_and_inputs_that_do_not_fit_are_refused(change, sentence):
    data = trajectories([recording("a", [0, 1, 4]), recording("b", [0, 1, 4])])
    with pytest.raises(ValueError, match=sentence):
        replace(data, **change)


def test_instants_must_be_those_of_the_samples():
    words = {"channels": ("x",), "units": ("",)}
    with pytest.raises(ValueError, match="2 instants were given"):
        Schema("series", ("time", "channel"), (3, 1), instants=(0.0, 1.0), **words)
    with pytest.raises(ValueError, match="do not increase"):
        Schema("series", ("time", "channel"), (3, 1), instants=(0.0, 2.0, 2.0), **words)


# --- what models see


class Slope(AbstractDecoder, AbstractEncoder, AbstractDensity):
    """x(t) = z t + u(t) at each observation's own times."""

    density_kind = "exact"
    latents: Latents = Latents.standard(1)

    def decode(self, z, condition=None, *, key=None):
        return (z * condition.times)[:, None] + condition.inputs

    def encode(self, x, condition=None, *, key=None):
        t, rest = condition.times, (x - condition.inputs)[:, 0]
        return jnp.nansum(t * rest)[None] / jnp.where(jnp.isnan(rest), 0, t**2).sum()

    def log_density(self, x, condition=None, *, key=None):
        left = x - self.decode(self.encode(x, condition), condition)
        return -jnp.nansum(left**2)


def driven(n):
    """Courses of different lengths at times of their own, 2 t + u, 3 t + u, ..."""
    parts = []
    for i in range(n):
        times = np.arange(1.0, 5 + i % 3) + 0.01 * i
        u = np.sin(times + i)
        values = np.stack([(2 + i) * times + u, u], axis=1)
        parts.append(recording(f"r{i}", times, channels=("x", "u"), values=values))
    return trajectories(parts, inputs=("u",))


def test_each_observation_is_seen_with_its_own_condition():
    # more than one chunk, so that rows and conditions must stay together
    data, model = driven(300), Slope()
    assert data.times is not None
    codes = show.codes(model, data.observations, conditions=data.conditions)
    np.testing.assert_allclose(codes[:, 0], 2 + np.arange(300), rtol=1e-5)
    rebuilt = show.reconstruct(model, data.observations, conditions=data.conditions)
    seen = ~np.isnan(data.observations)
    np.testing.assert_allclose(rebuilt[seen], data.observations[seen], rtol=1e-4)
    summary = summarise(model, data)
    assert summary.explained_variance == pytest.approx(1, abs=1e-8)
    assert summary.log_density == pytest.approx(0, abs=1e-3)
    drawn = show.draw(model, 450, conditions=data.conditions, key=jax.random.key(0))
    moves = drawn[:, :, 0] - np.resize(data.inputs[..., 0], (450, data.schema.shape[0]))
    ratio = moves / np.resize(data.times, (450, data.schema.shape[0]))
    np.testing.assert_allclose(ratio - ratio[:, :1], 0, atol=1e-5)
    assert ratio[:, 0].std() == pytest.approx(1, abs=0.15)
    with pytest.raises(ValueError, match="give one of them"):
        show.draw(model, 2, condition=1, conditions=data.conditions, key=jax.random.key(0))


def test_a_run_keeps_the_conditions_of_its_examples(tmp_path):
    data = driven(6)
    filled = replace(data, observations=np.nan_to_num(data.observations))
    run = fit(pca(latents=1), split_none(filled), out=tmp_path / "run", quiet=True)
    again = load_run(tmp_path / "run")
    for course in (run.conditions, again.conditions):
        np.testing.assert_array_equal(course.times, data.times)
        np.testing.assert_array_equal(course.inputs, data.inputs)
    assert run.result["split"].startswith("Nothing was held out")
    plain = dataset(filled.observations, data.schema)
    fit(pca(latents=1), split_none(plain), out=tmp_path / "plain", quiet=True)
    assert load_run(tmp_path / "plain").conditions is None


def test_baselines_of_what_training_never_saw_are_the_channels_mean():
    rng = np.random.default_rng(0)
    signals = [recording(n, np.arange(20), values=rng.normal(size=(20, 2))) for n in "ab"]
    parts = split_within(trajectories(signals))
    scores = baselines(parts, 1)
    assert set(scores) == {"mean"}
    x, train = parts.test.observations, parts.train.observations
    left = np.nansum((x - np.nanmean(train, axis=(0, 1))) ** 2)
    about = np.nansum((x[:, -4:] - x[:, -4:].mean(axis=0)) ** 2)
    np.testing.assert_allclose(scores["mean"], 1 - left / about, rtol=1e-5)
    # a single course is measured about its own mean, not about itself
    alone = baselines(split_within(trajectories(signals[:1])), 1)
    assert -1 < alone["mean"] < 0.1


# --- the competition of two species


def test_courses_of_competition_agree_with_an_independent_solution():
    data = competition_cloud(12, noise=0.0, samples=9, seed=3)
    named = [factor.name for factor in COMPETITION_FACTORS]
    assert data.factor_names[2] == "N1 (volume)"
    for x, row in zip(data.observations, data.factors, strict=True):
        f = dict(zip(named, row, strict=True))

        def field(t, x, f=f):
            one, two = x
            return [
                f["r1"] * one * (1 - one / f["N1"]) - f["a1"] * one * two,
                f["r2"] * two * (1 - two / f["N2"]) - f["a2"] * one * two,
            ]

        start = [f["x1(0)"], f["x2(0)"]]
        solved = solve_ivp(field, (0, 24), start, "LSODA", data.schema.times, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(x, solved.y.T, rtol=1e-5, atol=1e-8)


def test_the_cloud_repeats_has_log_normal_noise_and_every_outcome():
    noisy, clean = competition_cloud(400, noise=0.1), competition_cloud(400, noise=0.0)
    assert (noisy.observations > 0).all()
    np.testing.assert_array_equal(noisy.factors, clean.factors)
    ratio = np.log(noisy.observations / clean.observations)
    assert ratio.std() == pytest.approx(0.1, rel=0.03)
    np.testing.assert_array_equal(
        competition_cloud(400, noise=0.1).observations, noisy.observations
    )
    low, high = (
        np.array([getattr(f, end) for f in COMPETITION_FACTORS]) for end in ("low", "high")
    )
    assert (noisy.factors > low).all()
    assert (noisy.factors < high).all()
    last = clean.observations[:, -1]
    shares = np.mean([last[:, 0] < 1, last[:, 1] < 1, (last > 5).all(axis=1)], axis=1)
    assert (shares > 0.1).all()
    for n, more in ((0, {}), (1, {"samples": 1}), (1, {"noise": -1.0}), (1, {"noise": np.nan})):
        with pytest.raises(ValueError, match="give"):
            competition_cloud(n, **more)


def test_the_cloud_is_built_in():
    parts = open_source(Source(("competition",)))
    assert (len(parts.train), parts.train.schema.kind) == (1400, "trajectories")
    assert parts.how.startswith("At random")


# --- real recordings, as the command line reads them

REAL = {
    "populations/hare_lynx_1900_1920.csv": ("--kind trajectories --time year", 1, [21, 2]),
    "populations/gause1934_paramecium_competition.csv": ("--by treatment --time day", 3, [24, 2]),
    "populations/gause1932_yeast_competition.csv": (
        "--by experiment,treatment --time time_h --channel species --columns volume", 12, [10, 1],
    ),
    "populations/gause1934_didinium_paramecium.csv": (
        "--kind trajectories --time day --columns paramecium,didinium", 1, [17, 2],
    ),
    **{
        f"populations/blasius2020_rotifer_algae_{name}.csv": (
            "--time day --columns algae,rotifers --inputs medium_N", 1, [rows, 2],
        )
        for name, rows in (("C1", 366), ("C5", 86), ("C6", 232), ("C9", 141))
    },
    "pendulum/schmidt_lipson_real_double_pend_h_1.txt": (
        "--by trial --time time --columns o1,o2", 2, [1520, 2],
    ),
    "pendulum/schmidt_lipson_real_linear_h_1.txt": ("--by trial --time time", 1, [870, 2]),
    "pendulum/schmidt_lipson_real_pend_h_1.txt": ("--by trial --time time", 1, [556, 2]),
    "pendulum/multiarm_single_free_swing_1kHz.csv.gz": (
        "--kind trajectories --time time_s", 1, None,
    ),
    "pendulum/multiarm_double_segments_a_250Hz.csv.gz": (
        "--by segment --time time_s", 26, [667, 4],
    ),
    **{
        f"pendulum/ibm_double_pendulum_{i}.csv.gz": ("--kind trajectories --rate 400", 1, None)
        for i in range(3)
    },
}  # fmt: skip


@pytest.fixture
def looked(unweave):
    return lambda *words: json.loads(unweave("look", *words, "--json"))


def test_every_real_file_is_in_the_table(real_data):
    files = {
        f"{folder}/{path.name}"
        for folder in ("populations", "pendulum")
        for path in (real_data / folder).iterdir()
    }
    assert files == set(REAL)


@pytest.mark.parametrize("name", REAL)
def test_real_recordings_are_read_by_the_command_line(name, real_data, looked):
    options, n, shape = REAL[name]
    result = looked(real_data / name, *options.split())
    assert (result["kind"], result["n"]) == ("trajectories", n)
    assert shape is None or result["shape"] == shape
    assert result["split"].startswith("Within" if n < 5 else "At random")
    assert result["n_test"] == (n if n < 5 else round(0.2 * n))


def test_the_splits_of_the_command_line(real_data, looked, refused):
    path = real_data / "populations/gause1932_yeast_competition.csv"
    words = (path, "--by", "experiment,treatment", "--time", "time_h", "--columns", "volume")
    assert looked(*words, "--split", "within")["n_train"] == 12
    assert looked(*words, "--split", "none")["split"].startswith("Nothing was held out")
    assert "use --by experiment,treatment" in refused("look", path, "--time", "time_h")


def test_gauses_table_agrees_with_the_csv_module(real_data):
    path = real_data / "populations/gause1934_paramecium_competition.csv"
    source = Source((str(path),), time="day", by=("treatment",))
    data = read_source(Source.from_settings(source.settings()))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name, x in zip(data.records, data.observations, strict=True):
        own = [row for row in rows if row["treatment"] == name]
        expected = [[float(row[c] or "nan") for c in data.schema.channels] for row in own]
        np.testing.assert_array_equal(x, expected)
    assert data.schema.instants == tuple(range(2, 26))
