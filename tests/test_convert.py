"""Datasets to pandas and xarray and back, equal."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unweave._schema import Schema
from unweave.data import (
    LOG_RETURN,
    Dataset,
    Signal,
    digits,
    from_pandas,
    from_xarray,
    heartbeats,
    schema_for,
    to_pandas,
    to_xarray,
    trajectories,
    windows,
)

xr = pytest.importorskip("xarray")
ARRAYS = (
    "observations", "records", "groups", "spans", "labels", "factors", "references", "times",
    "inputs",
)  # fmt: skip


def assert_same(one, other):
    assert one.schema == other.schema
    for name in ARRAYS:
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None), name
        if a is not None:
            np.testing.assert_array_equal(a, b, err_msg=name)
            assert a.dtype.kind == b.dtype.kind, name
    assert one.observations.dtype == other.observations.dtype
    assert one.label_names == other.label_names
    assert one.factor_names == other.factor_names
    assert one.input_names == other.input_names
    assert one.input_units == other.input_units
    assert one.notes == other.notes


def prices():
    values = np.exp(np.random.default_rng(0).normal(0, 0.1, (60, 2)).cumsum(axis=0))
    signal = Signal("a", "g", values, np.arange(60.0), ("open", "close"), ("USD", "EUR"), "min")
    data = windows([signal], length=7, transform=LOG_RETURN)
    schema = schema_for(data)
    return Dataset(data.observations, schema, data.records, data.groups, data.spans,
                   references=data.references, notes=("a note",))  # fmt: skip


def courses(*, inputs=(), own=False):
    """Two recordings at uneven times, alike or of their own, the second one shorter."""
    times = np.cumsum(np.random.default_rng(1).uniform(0.1, 2, 9))
    values = np.random.default_rng(2).normal(size=(9, 3))
    other = times[:4] + 0.05 if own else times[:4]
    names, units = ("algae", "rotifers", "medium"), ("1/ml", "1/ml", "uM")
    signals = [Signal("a", "a", values, times, names, units, "day"),
               Signal("b", "b", values[:4], other, names, units, "day")]  # fmt: skip
    return trajectories(signals, inputs=inputs)


WORLDS = {
    "shared instants": courses,
    "own times": lambda: courses(inputs=("medium",), own=True),
    "own times, two inputs": lambda: courses(inputs=("medium", "algae")),
    "heartbeats": lambda: heartbeats(3, samples=16),
    "digits": lambda: digits().take(slice(0, 4)),
    "prices": prices,
}


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS.keys())
def test_both_ways_and_back(world):
    data = world()
    assert_same(from_pandas(to_pandas(data)), data)
    assert_same(from_xarray(to_xarray(data)), data)


names = st.text("abcxyz é", min_size=1, max_size=5)


@st.composite
def contents(draw):
    """What a dataset is made of; made in the test, since the checks of types draw at random."""
    n, t, c = (draw(st.integers(1, high)) for high in (4, 5, 3))
    words = [st.lists(names, min_size=size, max_size=size) for size in (n, c)]
    number = st.floats(-1e6, 1e6)
    dtype = draw(st.sampled_from([np.float64, np.float32, np.int64]))
    return {
        "values": draw(hnp.arrays(dtype, (n, t, c))),
        "records": draw(words[0]),
        "groups": draw(words[0]),
        "units": draw(words[1]),
        "step": draw(st.floats(1e-6, 1e6)),
        "origin": draw(number),
        "spans": draw(hnp.arrays(np.float64, (n, 2), elements=number)),
        "factors": draw(st.none() | hnp.arrays(np.float64, (n, 2))),
        "steps": draw(st.none() | hnp.arrays(np.float64, (n, t), elements=st.floats(0, 1e3))),
        "inputs": draw(st.none() | hnp.arrays(np.float64, (n, t, 2), elements=number)),
    }


def build(parts):
    values, factors = parts["values"], parts["factors"]
    n, t, c = values.shape
    schema = Schema(
        kind="windows",
        axes=("time", "channel"),
        shape=(t, c),
        channels=tuple(f"channel {i}" for i in range(c)),
        units=tuple(parts["units"]),
        step=parts["step"],
        origin=parts["origin"],
        time_unit="h",
    )
    return Dataset(
        values,
        schema,
        np.asarray(parts["records"]),
        np.asarray(parts["groups"]),
        parts["spans"],
        labels=None if factors is None else np.arange(n),
        label_names=() if factors is None else tuple(f"label {i}" for i in range(n)),
        factors=factors,
        factor_names=() if factors is None else ("heart rate (1/min)", "noise"),
        times=None if parts["steps"] is None else parts["steps"].cumsum(axis=1),
        inputs=parts["inputs"],
        input_names=() if parts["inputs"] is None else ("light", "temperature é"),
        input_units=() if parts["inputs"] is None else ("", "K"),
    )


@given(parts=contents())
@settings(max_examples=60, deadline=None)
def test_any_dataset_comes_back(parts):
    data = build(parts)
    assert_same(from_pandas(to_pandas(data)), data)
    assert_same(from_xarray(to_xarray(data)), data)


def test_the_table_is_long_and_in_units():
    data = heartbeats(2, samples=4)
    table = to_pandas(data)
    assert len(table) == 8
    row = table[(table["observation"] == 1) & (table.index % 4 == 2)]
    assert row["ii"].item() == data.observations[1, 2, 0]
    assert row["time"].item() == data.schema.times[2]
    assert row["factor: heart rate (1/min)"].item() == data.factors[1, 0]


def test_xarray_selects_by_name_and_time():
    data = prices()
    arrays = to_xarray(data)
    close = arrays["observations"].sel(channel="close", time=3.0)
    np.testing.assert_array_equal(close, data.observations[:, 3, 1])
    assert arrays["time"].attrs["units"] == "min"
    # a part of it is a dataset too, with times and channels that fit
    part = from_xarray(arrays.sel(channel=["close"], time=slice(2, 4)))
    np.testing.assert_array_equal(part.observations, data.observations[:, 2:5, 1:])
    np.testing.assert_array_equal(part.references, data.references[:, 1:])
    assert part.schema.units == ("EUR",)
    assert part.schema.times == (2, 3, 4)


def test_the_table_of_courses_has_their_own_times():
    data = courses(inputs=("medium",), own=True)
    table = to_pandas(data)
    np.testing.assert_array_equal(table["time"], data.times.ravel())
    np.testing.assert_array_equal(table["input: medium"], data.inputs.ravel())
    # a stretch of shared instants keeps those that are left
    part = from_xarray(to_xarray(courses()).isel(time=slice(2, 5)))
    assert part.schema.instants == courses().schema.instants[2:5]


def test_files_keep_everything(tmp_path):
    data = prices()
    pytest.importorskip("pyarrow")
    to_pandas(data).to_parquet(tmp_path / "data.parquet")
    assert_same(from_pandas(pd.read_parquet(tmp_path / "data.parquet")), data)


def test_a_table_made_elsewhere():
    table = pd.DataFrame(
        {
            "observation": [5, 5, 9, 9],
            "time": [0.0, 0.5, 0.0, 0.5],
            "x": [1.0, 2.0, 3.0, np.nan],
        }
    )
    data = from_pandas(table)
    np.testing.assert_array_equal(data.observations[..., 0], [[1, 2], [3, np.nan]])
    assert data.schema.step == 0.5
    assert data.schema.channels == ("x",)
    assert len(set(data.records)) == 2


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"time": [0, 1], "x": [1, 2]}, "no column 'observation'"),
        ({"observation": [0, 0], "x": [1, 2]}, "no column 'row'"),
        ({"observation": [0, 0], "time": [0, 1]}, "no column for a channel"),
        ({"observation": [0, 0], "time": [0, 1], "x": ["a", "b"]}, "no numbers"),
        ({"observation": [0, 0, 1], "time": [0, 1, 0], "x": [1, 2, 3]}, "not the same"),
        ({"observation": [0, 0], "time": [1, 0], "x": [1, 2]}, "not in order"),
        ({"observation": [0, 0, 0], "time": [0, 1, 5], "x": [1, 2, 3]}, "not evenly"),
    ],
)
def test_tables_that_do_not_fit_are_refused(columns, sentence):
    with pytest.raises(ValueError, match=sentence):
        from_pandas(pd.DataFrame(columns))


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="no variable 'observations'"):
        from_xarray(xr.Dataset({"x": ("time", np.zeros(3))}))
    broken = to_xarray(heartbeats(1, samples=4)).assign_attrs(unweave="{")
    with pytest.raises(ValueError, match="delete it"):
        from_xarray(broken)
