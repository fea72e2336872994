"""Splits into training, validation and test data that share no patient and no window."""

from dataclasses import replace

import numpy as np

from ._dataset import Dataset, Split
from ._shares import (
    ENOUGH,
    by_time_words,
    check_counts,
    check_fractions,
    check_gap,
    hold_out_groups,
    unit_word,
)
from ._split_stored import (
    in_memory,
    part,
    part_at_random,
    part_by_group,
    part_by_time,
    part_whole,
)
from ._stored import Stored

# fewer whole recordings than this are too few to hold some of them out
_FEW = 5
# kinds whose observations are whole recordings
_WHOLE = ("series", "trajectories")


def split(
    data: Dataset | Stored,
    *,
    test: float = 0.2,
    validation: float = 0.1,
    gap: float | None = None,
    seed: int = 0,
) -> Split:
    """The default: by group, by time, at random or within, whichever keeps the parts apart.

    Within each course where the observations are fewer than five whole recordings. By group
    where there are three groups or more and some have several observations; otherwise by time
    where records have several windows; at random where each observation is its own record and
    group. `gap` is `split_by_time`'s.

    Data on disk are parted on their index, by whole records where an observation would be drawn in
    memory; nothing but samples of the parts is read.

    **Raises:** `ValueError` where that leaves a part empty.
    """
    if isinstance(data, Stored):
        return in_memory(part(data, test=test, validation=validation, gap=gap, seed=seed))
    if data.schema.kind in _WHOLE and len(data) < _FEW:
        parts = split_within(data, test=test, validation=validation)
        return replace(parts, how=f"{parts.how} Fewer than {_FEW} are too few to hold out whole.")
    groups = len(np.unique(data.groups))
    if 3 <= groups < len(data):
        return split_by_group(data, test=test, validation=validation, seed=seed)
    if _has_several(data.records):
        return split_by_time(data, test=test, validation=validation, gap=gap)
    if groups == 2:
        return split_by_group(data, test=test, validation=validation, seed=seed)
    return split_at_random(data, test=test, validation=validation, seed=seed)


def split_by_group(
    data: Dataset | Stored, *, test: float = 0.2, validation: float = 0.1, seed: int = 0
) -> Split:
    """Holds out whole groups (patients), drawn with `seed`; no group is on two sides.

    The fractions count groups, and at least one tests. Where fewer than four groups remain
    beside the test, none can be spared: validation is then cut from the end of each training
    record, so that a model for few patients can still be stopped early.

    **Raises:** `ValueError` for fewer than two groups, and where a part is left empty.
    """
    if isinstance(data, Stored):
        return in_memory(part_by_group(data, test=test, validation=validation, seed=seed))
    check_fractions(test, validation)
    held = hold_out_groups(data.groups, test, validation, seed)
    inside, test_rows = (
        np.flatnonzero(np.isin(data.groups, names)) for names in (held.train, held.test)
    )
    if len(held.validation):
        check = np.flatnonzero(np.isin(data.groups, held.validation))
        return _parts(data, inside, check, test_rows, f"By group: {held.words()}")
    # validation is a fraction of all the data, as elsewhere, taken here from what is left
    share = min(0.5, validation / (1 - test))
    train_rows, validation_rows, words = _cut_validation(data, inside, share, seed)
    how = f"By group: {held.words()} Validation: {words}."
    return _parts(data, train_rows, validation_rows, test_rows, how)


def split_by_time(
    data: Dataset | Stored, *, test: float = 0.2, validation: float = 0.1, gap: float | None = None
) -> Split:
    """In each record the first part trains, the next validates, and the last tests.

    Between two parts lie at least `gap` units of time, so windows near a border are dropped. A
    record of fewer than five windows trains only.

    **Arguments:** `gap` in the records' unit of time; without it the longest window's length.

    **Raises:** `ValueError` where `gap` is shorter than a window, and where a part is empty.
    """
    if isinstance(data, Stored):
        return in_memory(part_by_time(data, test=test, validation=validation, gap=gap))
    check_fractions(test, validation)
    gap = _gap(data, gap)
    parts = [_in_time(data.spans, rows, test, validation, gap) for rows in _by_record(data.records)]
    train, check, tests = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    how = by_time_words(len(parts), gap, unit_word(data.schema))
    return _parts(data, train, check, tests, how)


def split_at_random(
    data: Dataset | Stored, *, test: float = 0.2, validation: float = 0.1, seed: int = 0
) -> Split:
    """Draws observations that are independent of each other, with `seed`; of data on disk records.

    **Raises:** `ValueError` where several observations come from one record or from one of
    several groups, which would be on both sides, and where a part is left empty.
    """
    if isinstance(data, Stored):
        return in_memory(part_at_random(data, test=test, validation=validation, seed=seed))
    check_fractions(test, validation)
    groups = len(np.unique(data.groups))
    if 1 < groups < len(data):
        raise ValueError(
            f"the {len(data)} observations come from {groups} groups, which a random split "
            "would put on both sides; use split_by_group."
        )
    if _has_several(data.records):
        raise ValueError(
            f"the {len(data)} observations come from {len(np.unique(data.records))} records, "
            "so a random split would put neighbours on both sides; use split_by_time or "
            "split_by_group."
        )
    order = np.random.default_rng(seed).permutation(len(data))
    n_test = max(1, round(test * len(data)))
    n_validation = max(1, round(validation * len(data)))
    cut = (n_test, n_test + n_validation)
    how = f"At random: {len(data)} independent observations, seed {seed}."
    return _parts(data, order[cut[1] :], order[cut[0] : cut[1]], order[: cut[0]], how)


def split_within(data: Dataset | Stored, *, test: float = 0.2, validation: float = 0.1) -> Split:
    """In each observation the first part of its time trains, the next validates, the last tests.

    For whole recordings, which are single observations. Every part holds all of them in the same
    order and shape; what belongs to the other parts is NaN (not observed). The fractions count
    the instants at which something was observed; a course with fewer than three trains only. No
    gap is left, so the first instants of the test are close to what was trained on: it asks
    whether a model can tell how a course goes on.

    **Raises:** `ValueError` where observations have no axis of time, where several come from one
    record, where they are on disk, and where a part is left empty.
    """
    if isinstance(data, Stored):
        raise ValueError(
            "data on disk are not split within each recording; use split_by_time, split_by_group "
            "or split_at_random."
        )
    check_fractions(test, validation)
    if not data.schema.is_series:
        raise ValueError(
            f"{data.schema.kind} with axes {', '.join(data.schema.axes)} have no time to be "
            "split within; use split_at_random."
        )
    if _has_several(data.records):
        raise ValueError(
            f"the {len(data)} observations are pieces of {len(np.unique(data.records))} records, "
            "which may share samples; use split_by_time."
        )
    observations = np.asarray(data.observations, np.result_type(data.observations, np.float32))
    seen = np.asarray(~np.isnan(observations).all(axis=tuple(range(2, observations.ndim))))
    part = np.stack([_within(row, test, validation) for row in seen])
    for number, name in enumerate(("training", "validation", "test")):
        if not np.any(seen[part == number]):
            raise ValueError(
                f"the split leaves no {name} data: the longest of {len(data)} recordings has "
                f"{int(seen.sum(axis=1).max())} instants; give more data or other fractions."
            )
    wide = part.reshape(*part.shape, *(1 for _ in observations.shape[2:]))
    parts = (np.where(wide == number, observations, np.nan) for number in range(3))
    each = "the record" if len(data) == 1 else f"each of {len(data)} records"
    how = (
        f"Within {each}: the first {100 * (1 - test - validation):.3g} % of its "
        f"instants train, the next {100 * validation:.3g} % validate, the last {100 * test:.3g} % "
        "test."
    )
    return Split(
        *(replace(data, observations=x.astype(observations.dtype), moments=None) for x in parts),
        how=how,
    )


def split_none(data: Dataset | Stored) -> Split:
    """Nothing held out: training, validation and test are all of the data.

    What is then measured says how closely the data are described, and nothing of new data.

    **Raises:** `ValueError` where there are no observations.
    """
    if not len(data):
        raise ValueError("there are no observations; give at least one.")
    if isinstance(data, Stored):
        return in_memory(part_whole(data))
    how = (
        f"Nothing was held out: the same {len(data)} observations train, validate and test, so "
        "measures say how closely these are described and nothing of new ones."
    )
    return Split(data, data, data, how=how)


def _within(seen: np.ndarray, test: float, validation: float) -> np.ndarray:
    """The part, 0 to 2, of each instant of one course of which those `seen` `(time,)` count."""
    count = int(seen.sum())
    if count < 3:
        return np.zeros(len(seen), dtype=np.int64)
    n_test = max(1, min(round(test * count), count - 2))
    n_validation = max(1, min(round(validation * count), count - n_test - 1))
    rank = np.cumsum(seen)
    border = count - n_test - n_validation
    return (rank > border).astype(np.int64) + (rank > count - n_test)


def _in_time(
    spans: np.ndarray, rows: np.ndarray, test: float, validation: float, gap: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of one record in training, validation and test; the rest lies in the gaps."""
    none = rows[:0]
    if len(rows) < ENOUGH:
        return rows, none, none
    before, tests = _last(spans, rows, max(1, round(test * len(rows))), gap)
    train, check = _last(spans, before, max(1, round(validation * len(rows))), gap)
    # a record all of whose past the gaps take would test what no part of it trained
    return (train, check, tests) if len(train) else (rows, none, none)


def _last(
    spans: np.ndarray, rows: np.ndarray, count: int, gap: float
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that end `gap` before the last `count` (in time) begin, and those last rows."""
    if not len(rows):
        return rows, rows
    rows = rows[np.argsort(spans[rows, 0], kind="stable")]
    border = spans[rows[-min(count, len(rows))], 0]
    late = spans[rows, 0] >= border
    early = spans[rows, 1] + gap <= border
    return rows[early], rows[late]


def _cut_validation(
    data: Dataset, rows: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray, str]:
    """Training and validation rows among `rows`, and how they were parted."""
    if not _has_several(data.records[rows]):
        order = np.random.default_rng(seed).permutation(rows)
        count = max(1, round(share * len(rows)))
        return order[count:], order[:count], "drawn at random from the training groups"
    gap = _gap(data, None)
    parts = []
    for place in _by_record(data.records[rows]):
        record = rows[place]
        enough = len(record) >= ENOUGH
        count = max(1, round(share * len(record)))
        cut = _last(data.spans, record, count, gap) if enough else (record, record[:0])
        parts.append(cut if len(cut[0]) else (record, record[:0]))
    train, check = (np.concatenate(part) for part in zip(*parts, strict=True))
    words = f"the end of each training record, after a gap of {gap:g}{unit_word(data.schema)}"
    return train, check, words


def _gap(data: Dataset, gap: float | None) -> float:
    """The gap between two parts, at least the length of the longest window."""
    longest = float((data.spans[:, 1] - data.spans[:, 0]).max(initial=0.0))
    if not np.ptp(data.spans[:, 0]) > 0:
        raise ValueError(
            f"the {len(data)} observations have no times in their records, so they cannot be "
            "split by time; use split_by_group or split_at_random."
        )
    return check_gap(gap, longest, unit_word(data.schema))


def _parts(
    data: Dataset, train: np.ndarray, validation: np.ndarray, test: np.ndarray, how: str
) -> Split:
    """The split of these rows, in the data's order, once each part is found to hold some."""
    counts = {"training": len(train), "validation": len(validation), "test": len(test)}
    check_counts(counts, len(data), len(np.unique(data.records)))
    lost = len(data) - sum(counts.values())
    if lost:
        how += f" {lost} observations in the gaps are left out."
    rows = (np.sort(train), np.sort(validation), np.sort(test))
    return Split(*(data.take(part) for part in rows), how=how)


def _by_record(records: np.ndarray) -> list[np.ndarray]:
    """Row numbers of each record, in the order of first appearance."""
    _, first, index = np.unique(records, return_index=True, return_inverse=True)
    rows = np.argsort(index, kind="stable")
    parts = np.split(rows, np.cumsum(np.bincount(index))[:-1])
    return [parts[i] for i in np.argsort(first)]


def _has_several(records: np.ndarray) -> bool:
    return len(np.unique(records)) < len(records)
