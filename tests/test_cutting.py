"""Beats, windows and whole recordings cut from signals, and transforms undone."""

import glob
import math
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unweave.data import (
    LEVEL,
    LOG_RETURN,
    TRANSFORMS,
    Z_SCORE,
    Signal,
    beats,
    heartbeat_signals,
    restore,
    schema_for,
    series,
    windows,
)
from unweave.data._wfdb import wfdb

LEADS = ["i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6"]


def signal(values, times=None, **fields):
    values = np.asarray(values, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    n = values.shape[1]
    base = Signal(
        record="a",
        group="a",
        values=values,
        times=np.arange(len(values), dtype=np.float64) if times is None else np.asarray(times),
        channels=tuple(f"c{i}" for i in range(n)),
        units=("",) * n,
    )
    return replace(base, **fields)


def wfdb_signal(path, leads=None, *, annotated=False):
    record = wfdb().rdrecord(str(path), channel_names=leads)
    events, labels = None, ()
    if annotated:
        with warnings.catch_warnings():
            # wfdb still passes what the newest pandas deprecates
            warnings.simplefilter("ignore")
            annotation = wfdb().rdann(str(path), "atr")
        events, labels = annotation.sample, tuple(annotation.symbol)
    return Signal(
        record=record.record_name,
        group=record.record_name,
        values=record.p_signal,
        times=np.arange(record.sig_len) / record.fs,
        channels=tuple(record.sig_name),
        units=tuple(record.units),
        events=events,
        event_labels=labels,
    )


# windows


def test_windows_are_slices_of_the_signal():
    x = np.random.default_rng(0).standard_normal((50, 2))
    data = windows([signal(x)], length=8, step=3)
    assert len(data) == (50 - 8) // 3 + 1
    for i, (window, span) in enumerate(zip(data.observations, data.spans, strict=True)):
        np.testing.assert_array_equal(window, x[3 * i : 3 * i + 8])
        assert tuple(span) == (3 * i, 3 * i + 7)


def test_a_long_gap_breaks_windows_and_a_short_one_is_not_observed():
    times = np.array([0, 1, 2, 4, 5, 6, 7, 20, 21, 22, 23, 24, 25, 26], dtype=np.float64)
    data = windows([signal(times, times)], length=4, step=1)
    for window, (first, last) in zip(data.observations[..., 0], data.spans, strict=True):
        assert last - first == 3
        expected = np.arange(first, last + 1)
        expected[expected == 3] = np.nan
        np.testing.assert_array_equal(window, expected)
    assert len(data) == 5 + 4
    unbridged = windows([signal(times, times)], length=4, step=1, max_gap=1)
    assert not np.isnan(unbridged.observations).any()
    assert len(unbridged) == 1 + 4


def test_rounded_times_do_not_drift():
    times = np.round(np.arange(3600) / 360, 3)
    data = windows([signal(np.arange(3600), times)], length=360)
    assert len(data) == 10
    assert not np.isnan(data.observations).any()
    assert data.schema.step == pytest.approx(1 / 360, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"length": 1}, "at least 2"),
        ({"length": 5, "step": 0}, "move on"),
        ({"length": 500}, "smaller length"),
        ({"length": 5, "max_gap": 0}, "max_gap is 0"),
    ],
)
def test_windows_refuse(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        windows([signal(np.arange(20))], **change)


def test_signals_must_be_alike():
    x = signal(np.arange(20))
    with pytest.raises(ValueError, match="no signal"):
        windows([], length=5)
    with pytest.raises(ValueError, match="has the channels"):
        windows([x, replace(x, channels=("other",))], length=5)
    with pytest.raises(ValueError, match="convert one"):
        windows([x, replace(x, units=("mV",))], length=5)
    with pytest.raises(ValueError, match="resample one"):
        windows([x, replace(x, times=2 * x.times)], length=5)


def test_uneven_times_are_refused():
    times = np.cumsum(np.random.default_rng(0).exponential(size=200) + 1e-3)
    with pytest.raises(ValueError, match="not evenly spaced"):
        windows([signal(np.arange(200), times)], length=5)


def test_a_year_of_minutes_with_its_gaps(real_data):
    files = sorted(glob.glob(str(real_data / "btc" / "*1min*.csv.gz")))
    table = pd.concat([pd.read_csv(file) for file in files])
    prices = signal(
        table["close"].to_numpy(),
        table["timestamp"].to_numpy(dtype=np.float64),
        channels=("close",),
        units=("USD",),
    )
    data = windows([prices], length=180, transform=LOG_RETURN)
    assert 2_750 <= len(data) <= 2_900
    assert np.all(np.diff(data.spans, axis=1) == 180 * 60)
    assert np.all(data.spans[1:, 0] >= data.spans[:-1, 1])
    # each window, undone, is the table's own price at each of its minutes
    by_time = table.set_index("timestamp")["close"]
    back = restore(data.observations, data.schema, references=data.references)
    for row in (0, 700, len(data) - 1):
        minutes = data.spans[row, 0] + 60 * np.arange(1, 181)
        expected = by_time.reindex(np.append(data.spans[row, 0], minutes)).ffill()[1:]
        np.testing.assert_allclose(back[row, :, 0], expected, rtol=1e-12)


# transforms


observed = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 3), st.integers(3, 8), st.integers(1, 2)),
    elements=st.one_of(st.floats(0.01, 1e4), st.just(math.nan)),
)


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS.keys())
@given(x=observed)
@settings(max_examples=50, deadline=None)
def test_transforms_are_undone_wherever_something_was_observed(transform, x):
    values, reference = transform.apply(x)
    np.testing.assert_allclose(
        transform.undo(values, reference), x[:, transform.past :], rtol=1e-9, atol=1e-7
    )


def test_log_returns_are_differences_of_logs():
    prices = np.array([[10.0], [11.0], [9.0], [9.0]])
    returns, reference = LOG_RETURN.apply(prices)
    np.testing.assert_allclose(returns, np.diff(np.log(prices), axis=0))
    np.testing.assert_array_equal(reference, [[10.0]])


def test_log_returns_need_positive_values():
    with pytest.raises(ValueError, match="positive"):
        windows([signal([1.0, 2.0, 0.0, 3.0])], length=2, transform=LOG_RETURN)


def test_z_scores_have_mean_0_and_deviation_1_and_survive_constants():
    x = np.random.default_rng(0).normal(5, 3, (4, 30, 2))
    x[0, :, 1] = 7.0
    values, _ = Z_SCORE.apply(x)
    np.testing.assert_allclose(values.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(values[1:].std(axis=1), 1)
    np.testing.assert_array_equal(values[0, :, 1], 0)


def test_samples_of_log_returns_start_from_the_last_training_price():
    prices = np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.1, 101)))
    data = windows([signal(prices)], length=10, transform=LOG_RETURN)
    train = data.take(slice(0, 5))
    schema = schema_for(train)
    assert schema.reference == ((pytest.approx(prices[50]),),)
    paths = restore(np.zeros((3, 10, 1)), schema)
    np.testing.assert_allclose(paths, prices[50])
    with pytest.raises(ValueError, match="schema_for"):
        restore(data.observations, data.schema)


def test_samples_of_z_scores_get_the_typical_mean_and_deviation():
    x = np.random.default_rng(2).normal(50, 4, 2000)
    data = windows([signal(x)], length=100, transform=Z_SCORE)
    back = restore(np.array([[-1.0], [1.0]] * 50), schema_for(data))
    assert back.mean() == pytest.approx(50, abs=1)
    assert back.std() == pytest.approx(4, abs=0.5)


def test_level_needs_no_reference():
    data = windows([signal(np.arange(20))], length=5, transform=LEVEL)
    assert data.references is None
    assert schema_for(data) == data.schema
    np.testing.assert_array_equal(restore(data.observations, data.schema), data.observations)


# series


def test_series_pads_short_recordings_with_nan():
    one, two = signal(np.arange(6)), signal(np.arange(4), record="b", group="b")
    data = series([one, two])
    np.testing.assert_array_equal(data.observations[0, :, 0], np.arange(6))
    np.testing.assert_array_equal(data.observations[1, :, 0], [0, 1, 2, 3, np.nan, np.nan])
    assert data.records.tolist() == ["a", "b"]


def test_series_keeps_the_time_that_all_share():
    data = series([signal([1.0, 2.0, 4.0], [1900.0, 1901.0, 1903.0])])
    assert data.schema.times == (1900, 1901, 1902, 1903)
    np.testing.assert_array_equal(data.observations[0, :, 0], [1, 2, np.nan, 4])


def test_series_refuses_a_recording_that_is_nearly_all_gap():
    times = np.append(np.arange(10.0), 1e9)
    with pytest.raises(ValueError, match="nearly all gap"):
        series([signal(np.arange(11), times)])


# beats


def pulses(peaks, *, rate=1000, seconds=20.0, sign=1.0):
    """A recording of Gaussian R waves 25 ms wide at known times, on a wandering baseline."""
    times = np.arange(round(seconds * rate)) / rate
    waves = np.exp(-((times[:, None] - np.asarray(peaks)) ** 2) / (2 * 0.012**2)).sum(axis=1)
    wander = 0.3 * np.sin(2 * np.pi * 0.05 * times)
    noise = 0.005 * np.random.default_rng(0).standard_normal(len(times))
    return signal(sign * waves + wander + noise, times, channels=("ii",), units=("mV",))


@pytest.mark.parametrize("rate", [128, 250, 360, 1000])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_beats_lie_on_peaks_that_were_put_there(rate, sign):
    peaks = 0.9 + np.cumsum(np.random.default_rng(3).uniform(0.7, 0.9, 22))
    data = beats([pulses(peaks, rate=rate, sign=sign)])
    found = data.spans[:, 0] + 0.25
    # the detector spends the first beats on learning, so it may miss some of those
    assert len(found) >= len(peaks) - 2
    nearest = np.abs(found[:, None] - peaks).min(axis=1)
    assert nearest.max() <= 1.5 / rate + 0.002
    middle = np.asarray(data.schema.times)[np.argmax(sign * data.observations[:, :, 0], axis=1)]
    assert np.abs(middle).max() <= 1.5 / rate + 2 * data.schema.step
    # an R wave of 1 mV on wander of 0.3 mV comes out as one of 1 mV on none
    np.testing.assert_allclose(sign * data.observations.max(axis=1) if sign > 0 else
                               -data.observations.min(axis=1), 1, atol=0.12)  # fmt: skip


def test_a_beats_window_is_the_signal_at_its_times():
    (recording,) = heartbeat_signals(1, seconds=30.0, seed=1)
    smooth = replace(recording, values=np.sin(2 * np.pi * 7 * recording.times)[:, None])
    data = beats([smooth])
    times = data.spans[:, :1] + data.schema.step * np.arange(256)
    # away from the ends, where the filter settles
    inner = slice(3, -3)
    expected = np.sin(2 * np.pi * 7 * times)
    np.testing.assert_allclose(data.observations[inner, :, 0], expected[inner], atol=0.01)


def test_windows_of_beats_follow_the_convention():
    (recording,) = heartbeat_signals(1, seconds=20.0)
    data = beats([recording], before=0.2, after=0.3, samples=100)
    assert data.schema.origin == -0.2
    assert data.schema.step == pytest.approx(0.005)
    np.testing.assert_allclose(np.diff(data.spans, axis=1), 0.5 - 0.005)
    assert np.all(data.spans[:, 0] >= 0)
    assert np.all(data.spans[:, 1] <= recording.times[-1])


def test_annotations_that_mark_no_beat_are_passed_over():
    (recording,) = heartbeat_signals(1, seconds=20.0)
    labels = ("+", "V", *recording.event_labels[2:])
    everything = beats([recording])
    some = beats([replace(recording, event_labels=labels)])
    assert len(some) in (len(everything), len(everything) - 1)
    assert some.label_names == ("N", "V")
    assert "+" not in some.label_names


def test_what_was_not_observed_stays_not_observed():
    (recording,) = heartbeat_signals(1, seconds=20.0)
    values = recording.values.copy()
    where = recording.events[5]
    values[where + 20 : where + 25] = np.nan
    data = beats([replace(recording, values=values)])
    whole = beats([recording])
    missing = np.isnan(data.observations[..., 0])
    assert missing.any(axis=1).sum() == 1
    seen = np.asarray(data.schema.times)[missing.any(axis=0)]
    assert seen.min() == pytest.approx(20 / 250, abs=0.03)
    assert seen.max() == pytest.approx(24 / 250, abs=0.03)
    np.testing.assert_allclose(data.observations[~missing], whole.observations[~missing], atol=0.05)


@pytest.mark.parametrize("kind", ["flat", "one", "short"])
def test_what_holds_no_heartbeat_is_refused_in_a_sentence(kind, capsys):
    x = {
        "flat": np.zeros(5000),
        "one": np.exp(-((np.arange(5000) - 2500.0) ** 2) / 18),
        "short": np.zeros(100),
    }[kind]
    with pytest.raises(ValueError, match="no heartbeat was found"):
        beats([signal(x, np.arange(len(x)) / 250)])
    assert capsys.readouterr().out == ""


def test_a_record_without_a_plausible_rate_is_left_out_and_named():
    good = pulses(np.arange(0.9, 19, 0.8))
    flat = replace(good, record="flat", values=np.zeros_like(good.values))
    data = beats([good, flat])
    assert set(data.records) == {"a"}
    assert any("flat" in note for note in data.notes)


def test_beats_refuse():
    good = pulses(np.arange(0.9, 19, 0.8))
    with pytest.raises(ValueError, match="no lead is called 'v9'"):
        beats([good], lead="v9")
    with pytest.raises(ValueError, match="convert the times"):
        beats([replace(good, time_unit="ms")])
    with pytest.raises(ValueError, match="holds no heartbeat"):
        beats([good], before=-1.0)


def test_beats_of_five_real_recordings(real_data, capsys):
    names = ("s0010_re", "s0014lre", "s0015lre", "s0322lre", "s0323lre")
    data = beats([wfdb_signal(real_data / "ecg_ptb" / name, LEADS) for name in names])
    assert 525 <= len(data) <= 545
    assert data.observations.shape[1:] == (256, 12)
    assert np.isfinite(data.observations).all()
    # Einthoven: lead II is the sum of I and III, which no linear step may break
    i, ii, iii = np.moveaxis(data.observations[..., :3], -1, 0)
    np.testing.assert_allclose(i + iii, ii, atol=0.01)
    # beats of one record are alike when their peaks are aligned
    for name in names:
        x = data.observations[data.records == name][..., 1]
        assert 1 - (x - x.mean(axis=0)).var() / x.var() > 0.95
    assert capsys.readouterr().out == ""


def test_annotated_and_found_beats_agree_on_a_real_recording(real_data):
    path = real_data / "ecg_mitbih" / "100"
    annotated, found = (beats([wfdb_signal(path, annotated=a)]) for a in (True, False))
    assert 2_265 <= len(annotated) <= 2_273
    assert annotated.label_names == ("A", "N", "V")
    assert np.bincount(annotated.labels)[[0, 2]].tolist() == [33, 1]
    gap = np.abs(annotated.spans[:, :1] - found.spans[:, 0]).min(axis=1)
    assert np.mean(gap <= 0.02) > 0.995
