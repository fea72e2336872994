"""What feeds the loop: each row once an epoch, the same order again, the same bits after a stop."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test_training import Point, distance
from unweave.data import Dataset, Signal, open_stored, store
from unweave.train import (
    Descend,
    FromDisk,
    InMemory,
    Interrupted,
    Log,
    Placement,
    Plan,
    Trainer,
    Watch,
)
from unweave.train._feed import Shuffle, _lanes
from unweave.train._log import MOST_ROWS


@settings(deadline=None, max_examples=60)
@given(
    size=st.integers(1, 400), block=st.integers(1, 90), together=st.integers(1, 7),
    epoch=st.integers(0, 3), data=st.data(),
)  # fmt: skip
def test_an_epoch_has_each_row_once_and_begins_anywhere(size, block, together, epoch, data):
    order = Shuffle(size, block, together, (1, 2), epoch)
    whole = np.concatenate(list(order.stretches(0)))
    assert sorted(whole.tolist()) == list(range(size))
    first = data.draw(st.integers(0, size - 1))
    np.testing.assert_array_equal(np.concatenate(list(order.stretches(first))), whole[first:])
    # a stretch is of few blocks, which is what bounds memory
    for stretch in order.stretches(0):
        assert len(np.unique(stretch // block)) <= together


@settings(deadline=None, max_examples=40)
@given(
    batch=st.sampled_from([2, 6, 8, 24]), block=st.integers(1, 40), size=st.integers(1, 900),
    most=st.integers(1, 500),
)  # fmt: skip
def test_lanes_have_blocks_of_their_own_and_miss_nothing(batch, block, size, most):
    lanes, even, together = _lanes(batch, block, most)
    width = batch // lanes
    assert lanes * width == batch
    assert together * even <= max(most, block)
    order = Shuffle(size, even, together, (1,), 0, lanes, width)
    whole = np.concatenate(list(order.stretches(0)))
    assert sorted(whole.tolist()) == list(range(size))
    mixture = together * even
    for first in range(0, size - mixture + 1, mixture):
        mixed = whole[first : first + mixture]
        if lanes == 1 or len(np.unique(mixed // even)) < together:
            continue
        lane = np.arange(first, first + mixture) % batch // width
        of = [set((mixed[lane == k] // even).tolist()) for k in range(lanes)]
        if len(set().union(*of)) * even == mixture and max(mixed) // even * even + even <= size:
            assert sum(map(len, of)) == together


def test_processes_read_their_own_part_of_the_same_batches(numbers):
    class First(Placement):
        def columns(self, batch):
            return 0, batch // 2

        def shared(self, tree, axis):
            return tree

    class Then(First):
        def columns(self, batch):
            return batch // 2, batch

    def calls(place):
        feed = FromDisk(numbers, rows_of)
        feed.begin([3], 8, place)
        return fed(feed, 0, 12, 8)

    whole, first, then = map(calls, (Placement(), First(), Then()))
    np.testing.assert_array_equal(first + then, whole)
    assert (first.any(axis=(1, 2)).sum(), then.any(axis=(1, 2)).sum()) == (48, 48)


def test_epochs_and_seeds_differ():
    def drawn(seed, epoch):
        return np.concatenate(list(Shuffle(300, 7, 5, (seed,), epoch).stretches(0))).tolist()

    assert drawn(0, 0) == drawn(0, 0)
    assert len({tuple(drawn(s, e)) for s in (0, 1) for e in (0, 1)}) == 4


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """A store whose window k holds the numbers 4 k to 4 k + 3, 103 windows in three recordings."""
    signals, begin = [], 0
    for name, windows in (("a", 40), ("b", 50), ("c", 13)):
        values = np.arange(begin, begin + 4 * windows, dtype=np.float32)[:, None]
        times = np.arange(len(values)) / 10
        signals.append(Signal(name, name, values, times, ("value",), ("mV",)))
        begin += 4 * windows
    path = tmp_path_factory.mktemp("store") / "numbers.zarr"
    store(signals, path)
    return open_stored(path, length=4)


def fed(feed, epoch, per_epoch, batch):
    """All observations of an epoch as the loop is given them."""
    taken, found = 0, []
    while taken < per_epoch:
        call, count = feed.call(epoch, taken, 8)
        data = np.asarray(jax.tree.leaves(call.data)[0])
        for i in range(count):
            found.append(data[i] if call.rows is None else data[np.asarray(call.rows)[i]])
            assert len(found[-1]) == batch
        taken += count
    feed.end()
    return np.concatenate(found)


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_both_feeds_give_each_observation_at_most_once(numbers, kind):
    everything = np.concatenate([part.observations for part in numbers.parts(50)])
    feed = FromDisk(numbers, rows_of) if kind == "disk" else InMemory(everything)
    feed.begin([3], 10, Placement())
    found = fed(feed, 0, 10, 10)[:, 0, 0].astype(int)
    assert len(set(found.tolist())) == 100
    assert set(found.tolist()) <= set(range(0, 4 * 103, 4))
    np.testing.assert_array_equal(fed(feed, 0, 10, 10)[:, 0, 0], found)
    assert fed(feed, 1, 10, 10)[:, 0, 0].astype(int).tolist() != found.tolist()


def rows_of(data: Dataset):
    return data.observations


def test_what_a_reader_raises_ends_training(numbers):
    def fails(data: Dataset):
        if len(data) > 1:
            raise OSError("the disk has gone")
        return data.observations

    feed = FromDisk(numbers, fails)
    feed.begin([3], 10, Placement())
    with pytest.raises(OSError, match="the disk has gone"):
        feed.call(0, 0, 8)


def trainer(numbers):
    plan = Plan(lambda budget: Descend(distance, optax.sgd(0.001)), epochs=3, batch=8)
    held = np.zeros((4, 4, 1), np.float32)
    return Trainer(Point(jnp.asarray(0.0)), FromDisk(numbers, rows_of), held, plan,
                   key=jax.random.key(1))  # fmt: skip


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_from_the_disk_too_a_stop_changes_nothing(numbers, calls, monkeypatch):
    from unweave.train import _feed

    # five steps a call, so that a stop falls into the midst of an epoch
    monkeypatch.setattr(_feed, "_CALL_BYTES", 5 * 8 * 16)
    monkeypatch.setattr(_feed, "_MIXED_BYTES", 600)
    whole = trainer(numbers).run(trainer(numbers).start(), [], Watch())
    kept, asked = [], iter(range(1000))
    watch = Watch(save=kept.append, stop=lambda: next(asked) >= calls)
    with pytest.raises(Interrupted):
        trainer(numbers).run(trainer(numbers).start(), [], watch)
    again = trainer(numbers).run(kept[-1], whole.rows[: kept[-1].epoch], Watch())
    assert eqx.tree_equal(again.model, whole.model)
    assert list(again.rows) == list(whole.rows)


ROW = st.dictionaries(
    st.sampled_from(["train_loss", "held_out_loss", "look_spread"]), st.floats(allow_nan=False)
)


@given(st.lists(ROW))
def test_a_log_gives_back_its_rows(rows):
    rows = [{"epoch": i, "step": 3 * i, **row} for i, row in enumerate(rows, start=1)]
    log = Log(rows)
    assert list(log) == rows
    assert log == rows
    assert log[1:3] == rows[1:3]
    with pytest.raises(IndexError):
        log[len(rows)]


@pytest.mark.parametrize("epochs", [MOST_ROWS, MOST_ROWS + 1, 10_007, 100_000])
def test_a_log_of_very_many_epochs_is_thinned_and_keeps_the_last_and_those_looked_at(epochs):
    log, looked = Log(), [7, epochs // 3, epochs // 2 + 1]
    for epoch in range(1, epochs + 1):
        log.append({"epoch": epoch} | ({"look_spread": 0.5} if epoch in looked else {}))
        assert log[-1]["epoch"] == epoch
    assert MOST_ROWS // 2 <= len(log) <= MOST_ROWS
    found = [row["epoch"] for row in log]
    assert found == sorted(set(found))
    assert {row["epoch"] for row in log if "look_spread" in row} == set(looked)
    even = [epoch for epoch in found[:-1] if epoch not in looked]
    assert len(set(np.diff(even))) <= 2
    # the same as of rows that were read again
    assert Log({"epoch": e} | ({"look_spread": 0.5} if e in looked else {})
               for e in range(1, epochs + 1)) == log  # fmt: skip
