"""Splits: no patient on two sides, no window near another part's, nothing lost silently."""

import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from unweave._schema import Schema
from unweave.data import (
    Dataset,
    dataset,
    digits,
    split,
    split_at_random,
    split_by_group,
    split_by_time,
    split_none,
    split_within,
)

SCHEMA = Schema("windows", ("time", "channel"), (2, 1), ("x",), ("",), time_unit="s")


def recordings(counts, groups, *, step=1.0, length=1.0):
    """Records of so many windows, one every `step` seconds; each observation holds its row."""
    n = sum(counts)
    starts = np.concatenate([step * np.arange(count) for count in counts])
    return Dataset(
        observations=np.broadcast_to(np.arange(float(n))[:, None, None], (n, 2, 1)).copy(),
        schema=SCHEMA,
        records=np.repeat([f"r{i}" for i in range(len(counts))], counts),
        groups=np.repeat([f"g{g}" for g in groups], counts),
        spans=np.stack([starts, starts + length], axis=1),
    )


def rows(data):
    return set(data.observations[:, 0, 0].astype(int).tolist())


def check_nothing_is_lost_silently(data, parts):
    train, validation, test = (rows(p) for p in (parts.train, parts.validation, parts.test))
    assert train
    assert validation
    assert test
    assert not train & validation
    assert not train & test
    assert not validation & test
    told = re.search(r"(\d+) observations in the gaps are left out", parts.how)
    kept = len(train) + len(validation) + len(test)
    assert len(data) - kept == (int(told[1]) if told else 0)


def nearest(one, other):
    """The smallest time between a window of `one` and one of `other` in the same record."""
    least = np.inf
    for name in set(one.records) & set(other.records):
        a, b = one.spans[one.records == name], other.spans[other.records == name]
        between = np.maximum(b[:, 0][None] - a[:, 1][:, None], a[:, 0][:, None] - b[:, 1][None])
        least = min(least, between.min())
    return least


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    step=st.sampled_from([0.25, 0.5, 1.0, 1.5]),
    extra=st.sampled_from([None, 1.0, 2.5]),
    test=st.floats(0.05, 0.45),
    validation=st.floats(0.05, 0.45),
)
@settings(max_examples=150, deadline=None)
def test_by_time_leaves_a_gap(counts, step, extra, test, validation):
    data = recordings(counts, range(len(counts)), step=step)
    try:
        parts = split_by_time(data, test=test, validation=validation, gap=extra)
    except ValueError:
        parts = None
    # it fails only where the two gaps take all that the other parts leave
    left = max(counts) * (1 - test - validation)
    assert parts or left <= 2 * (1 + (extra or 1.0)) / step + 3
    assume(parts)
    check_nothing_is_lost_silently(data, parts)
    gap = extra or 1.0
    assert nearest(parts.train, parts.test) >= gap
    assert nearest(parts.train, parts.validation) >= gap
    assert nearest(parts.validation, parts.test) >= gap
    for name in set(parts.test.records):
        last = parts.train.spans[parts.train.records == name].max(initial=-1.0)
        assert last < parts.test.spans[parts.test.records == name].min()


@given(
    counts=st.lists(st.integers(1, 12), min_size=2, max_size=12),
    n_groups=st.integers(2, 12),
    seed=st.integers(0, 100),
)
@settings(max_examples=150, deadline=None)
def test_by_group_keeps_groups_whole(counts, n_groups, seed):
    groups = [i % n_groups for i in range(len(counts))]
    data = recordings(counts, groups)
    present = len(set(groups))
    try:
        parts = split_by_group(data, seed=seed)
    except ValueError:
        # validation was to be cut by time from records that are too short for it
        assert present <= 5
        assume(False)
    check_nothing_is_lost_silently(data, parts)
    tested = set(parts.test.groups)
    assert not tested & set(parts.train.groups)
    assert not tested & set(parts.validation.groups)
    if set(parts.validation.groups) & set(parts.train.groups):
        assert present - len(tested) < 4
        assert nearest(parts.train, parts.validation) >= 1.0 or "random" in parts.how


def test_three_patients_leave_validation_from_the_end_of_the_training_records():
    data = recordings([50, 160, 150, 110, 60], [1, 1, 2, 3, 3])
    parts = split_by_group(data, seed=0)
    check_nothing_is_lost_silently(data, parts)
    assert len(set(parts.test.groups)) == 1
    assert len(set(parts.train.groups)) == 2
    assert set(parts.validation.records) == set(parts.train.records)
    assert "By group: g" in parts.how


def test_the_seed_decides_and_repeats():
    data = recordings([10] * 12, range(12))
    first, again, other = (split_by_group(data, seed=s) for s in (1, 1, 2))
    assert rows(first.test) == rows(again.test)
    assert rows(first.test) != rows(other.test)
    assert len(set(first.test.groups)) == 2


def test_at_random_is_a_partition_with_the_fractions_asked_for():
    data = digits()
    parts = split_at_random(data, test=0.2, validation=0.1, seed=3)
    names = [set(part.records) for part in (parts.train, parts.validation, parts.test)]
    assert len(set.union(*names)) == len(data) == sum(len(part) for part in names)
    assert len(parts.test) == round(0.2 * 1797)
    assert len(parts.validation) == round(0.1 * 1797)


def test_the_default_chooses_what_keeps_parts_apart():
    assert split(recordings([20] * 5, [0, 1, 2, 3, 4])).how.startswith("By group")
    assert split(recordings([20] * 2, [0, 1])).how.startswith("By time")
    assert split(recordings([100], [0])).how.startswith("By time")
    assert split(digits()).how.startswith("At random")
    # each observation its own record: two patients, or one
    assert split(recordings([1] * 20, [0, 1] * 10)).how.startswith("By group")
    assert split(recordings([1] * 20, [0] * 20)).how.startswith("At random")


def course(seen, kind="trajectories"):
    """Recordings `(n, time)` in which 1 was observed, as whole observations."""
    values = np.where(np.asarray(seen, bool), 1.0, np.nan)[..., None]
    n, time = values.shape[:2]
    schema = Schema(kind, ("time", "channel"), (time, 1), ("x",), ("",), time_unit="s")
    return dataset(values * np.arange(1.0, n * time + 1).reshape(n, time, 1), schema)


@given(
    seen=st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=5),
    test=st.floats(0.05, 0.45),
    validation=st.floats(0.05, 0.45),
)
@settings(max_examples=150, deadline=None)
def test_within_gives_each_sample_to_one_part_in_the_order_of_time(seen, test, validation):
    data = course(seen)
    counts = np.sum(seen, axis=1)
    if counts.max() < 3:
        with pytest.raises(ValueError, match=r"leaves no (training|validation) data"):
            split_within(data, test=test, validation=validation)
        return
    parts = split_within(data, test=test, validation=validation)
    values = [part.observations for part in (parts.train, parts.validation, parts.test)]
    # together they are the data, and no sample is in two
    assert np.sum([~np.isnan(v) for v in values], axis=0).max() == 1
    np.testing.assert_array_equal(np.nansum(values, axis=0), np.nan_to_num(data.observations))
    for row, count in enumerate(counts):
        places = [np.flatnonzero(~np.isnan(v[row, :, 0])) for v in values]
        if count < 3:
            assert len(places[0]) == count
            continue
        assert all(len(place) for place in places)
        assert places[0].max() < places[1].min()
        assert places[1].max() < places[2].min()
        assert abs(len(places[2]) - test * count) <= 1
        assert list(parts.test.records) == list(data.records)


def test_few_whole_recordings_are_split_within_and_many_are_not():
    parts = split(course([[1] * 10] * 4, kind="series"))
    assert parts.how.startswith("Within each of 4 records: the first 70 %")
    assert parts.how.endswith("Fewer than 5 are too few to hold out whole.")
    assert split(course([[1] * 10] * 5)).how.startswith("At random")


def test_nothing_held_out_is_said():
    data = course([[1] * 4] * 2)
    parts = split_none(data)
    assert parts.train is parts.validation is parts.test is data
    assert parts.how.startswith("Nothing was held out: the same 2 observations")


def test_fractions_hold_in_time():
    parts = split_by_time(recordings([200], [0]), test=0.2, validation=0.1)
    assert len(parts.test) == 40
    assert len(parts.validation) == 20
    # windows that touch end to end: one is lost at each border
    assert len(parts.train) == 200 - 60 - 2


def test_splits_refuse():
    one = recordings([100], [0])
    with pytest.raises(ValueError, match="at least 2 groups"):
        split_by_group(one)
    with pytest.raises(ValueError, match="both sides"):
        split_at_random(one)
    with pytest.raises(ValueError, match="2 groups, which"):
        split_at_random(recordings([1] * 20, [0, 1] * 10))
    with pytest.raises(ValueError, match="shorter than a window"):
        split_by_time(one, gap=0.5)
    with pytest.raises(ValueError, match="pieces of 1 records"):
        split_within(one)
    with pytest.raises(ValueError, match="no time to be split within"):
        split_within(digits())
    with pytest.raises(ValueError, match="no observations"):
        split_none(one.take(slice(0, 0)))
    with pytest.raises(ValueError, match="no times"):
        split_by_time(digits())
    with pytest.raises(ValueError, match="leave something"):
        split_by_time(one, test=0.7, validation=0.5)
    with pytest.raises(ValueError, match="leaves no"):
        split_by_time(recordings([2, 2], [0, 1]))
    with pytest.raises(ValueError, match="leaves no"):
        split_at_random(dataset(np.zeros((2, 2, 1)), SCHEMA))


def test_at_most_so_many_observations_are_kept_evenly():
    from unweave.sources import Source, read_source

    every = read_source(Source(("digits",)))
    some = read_source(Source(("digits",), most=50))
    assert len(some) == 50
    assert some.records[0] == every.records[0]
    assert some.records[-1] == every.records[-1]
    assert len(read_source(Source(("digits",), most=10**6))) == len(every)
    with pytest.raises(ValueError, match="at most 0 observations leave none; give 1 or more"):
        Source(("digits",), most=0)
