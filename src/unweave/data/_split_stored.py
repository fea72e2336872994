"""Splits of data on disk, made on their index: nothing is read but the samples that are kept."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ._dataset import Split
from ._shares import (
    ENOUGH,
    by_time_words,
    check_counts,
    check_fractions,
    check_gap,
    hold_out_groups,
    unit_word,
)
from ._stored import Stored

# rows of each part that are held in memory, and the numbers that they may have (16 MB)
_MOST_ROWS = 4096
_MOST_NUMBERS = 2**22


class Parted(NamedTuple):
    """Data on disk in three parts, of which nothing has been read, and how they were parted."""

    train: Stored
    validation: Stored
    test: Stored
    how: str


def part(data: Stored, *, test: float, validation: float, gap: float | None, seed: int) -> Parted:
    """The default, as `split` chooses it."""
    groups = len(np.unique(data.groups))
    if 3 <= groups < len(data):
        return part_by_group(data, test=test, validation=validation, seed=seed)
    if len(_by_record(data)) < len(data):
        return part_by_time(data, test=test, validation=validation, gap=gap)
    if groups == 2:
        return part_by_group(data, test=test, validation=validation, seed=seed)
    return part_at_random(data, test=test, validation=validation, seed=seed)


def part_by_group(data: Stored, *, test: float, validation: float, seed: int) -> Parted:
    """Whole groups, as `split_by_group` draws them."""
    check_fractions(test, validation)
    groups = data.groups
    held = hold_out_groups(groups, test, validation, seed)
    inside, tests = (_pieces(data, np.isin(groups, part)) for part in (held.train, held.test))
    if len(held.validation):
        validates = _pieces(data, np.isin(groups, held.validation))
        return _parts(data, inside, validates, tests, f"By group: {held.words()}")
    # validation is a fraction of all the data, taken here from what is left
    share = min(0.5, validation / (1 - test))
    train, check, words = _cut_validation(inside, share, seed)
    return _parts(data, train, check, tests, f"By group: {held.words()} Validation: {words}.")


def part_by_time(data: Stored, *, test: float, validation: float, gap: float | None) -> Parted:
    """The first part of each record trains, the next validates, the last tests."""
    check_fractions(test, validation)
    gap = _gap(data, gap)
    records = _by_record(data)
    size = np.diff(records, axis=1)[:, 0]
    enough = size >= ENOUGH
    before, tests = _last(data, records, test * size, gap, enough)
    enough &= before[:, 0] < before[:, 1]
    train, check = _last(data, before, validation * size, gap, enough)
    # a record all of whose past the gaps take would test what no part of it trained
    whole = (train[:, 0] == train[:, 1])[:, None]
    train = np.where(whole, records, train)
    check, tests = (np.where(whole, 0, part) for part in (check, tests))
    how = by_time_words(len(records), gap, unit_word(data.schema))
    return _parts(data, data.take(train), data.take(check), data.take(tests), how)


def part_at_random(data: Stored, *, test: float, validation: float, seed: int) -> Parted:
    """Draws whole records, which must be independent of each other.

    **Raises:** `ValueError` where several come from one group.
    """
    check_fractions(test, validation)
    records = _by_record(data)
    groups = len(np.unique(data.groups))
    if 1 < groups < len(records):
        raise ValueError(
            f"the {len(records)} records come from {groups} groups, which a random split "
            "would put on both sides; use split_by_group."
        )
    if len(records) < 3:
        raise ValueError(
            f"{len(records)} records are too few to draw some of them for a test; use "
            "split_by_time."
        )
    n = len(records)
    order = np.random.default_rng(seed).permutation(n)
    n_test, n_validation = max(1, round(test * n)), max(1, round(validation * n))
    cut = (n_test, n_test + n_validation)
    parts = (order[cut[1] :], order[: n_test + n_validation][n_test:], order[:n_test])
    train, check, tests = [data.take(records[np.sort(part)]) for part in parts]
    how = f"At random: {n} independent records, seed {seed}."
    return _parts(data, train, check, tests, how)


def part_whole(data: Stored) -> Parted:
    """Nothing held out."""
    how = (
        f"Nothing was held out: the same {len(data)} observations train, validate and test, so "
        "measures say how closely these are described and nothing of new ones."
    )
    return _parts(data, data, data, data, how, lost=False)


def in_memory(parted: Parted) -> Split:
    """The split that training takes: samples of the parts in memory, and all training data on
    disk. The samples are read, and the moments of the training data taken, now."""
    train = parted.train
    most = max(1, min(_MOST_ROWS, _MOST_NUMBERS // train.schema.size))
    counts = {"training": train, "validation": parted.validation, "test": parted.test}
    some = [f"{most:,} of {len(n):,} {name}" for name, n in counts.items() if len(n) > most]
    note = (
        f"The data stay on the disk: {', '.join(some)} observations, evenly spread, stand for all "
        "except in training by steps."
    )
    train = replace(train, notes=(*train.notes, note)) if some else train
    held_out = (part.sample(most) for part in (parted.validation, parted.test))
    return Split(train.thinned(most), *held_out, how=parted.how, stored=train)


def _parts(
    data: Stored, train: Stored, validation: Stored, test: Stored, how: str, *, lost: bool = True
) -> Parted:
    counts = {"training": len(train), "validation": len(validation), "test": len(test)}
    check_counts(counts, len(data), len(np.unique(data.records)))
    left = len(data) - sum(counts.values())
    if lost and left:
        how += f" {left} observations in the gaps are left out."
    return Parted(train, validation, test, how)


def _pieces(data: Stored, mask: np.ndarray) -> Stored:
    return replace(data, pieces=data.pieces.where(mask))


def _by_record(data: Stored) -> np.ndarray:
    """The rows of each record `(record, 2)`, the first and the one after the last."""
    names, count = data.records, data.pieces.many
    new = np.flatnonzero(np.concatenate([[True], names[1:] != names[:-1]]))
    ends = np.cumsum(count)
    first = (ends - count)[new]
    return np.stack([first, np.append(first[1:], ends[-1])], axis=1)


def _cut_validation(data: Stored, share: float, seed: int) -> tuple[Stored, Stored, str]:
    records = _by_record(data)
    n = len(records)
    if n == len(data):
        order = np.random.default_rng(seed).permutation(n)
        count = max(1, round(share * n))
        train, check = (
            data.take(records[np.sort(part)]) for part in (order[count:], order[:count])
        )
        return train, check, "drawn at random from the training groups"
    gap = _gap(data, None)
    size = np.diff(records, axis=1)[:, 0]
    train, check = _last(data, records, share * size, gap, size >= ENOUGH)
    whole = (train[:, 0] == train[:, 1])[:, None]
    train, check = np.where(whole, records, train), np.where(whole, 0, check)
    words = f"the end of each training record, after a gap of {gap:g}{unit_word(data.schema)}"
    return data.take(train), data.take(check), words


def _last(
    data: Stored, bounds: np.ndarray, count: np.ndarray, gap: float, cut: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of the rows between each of `bounds` the last `count`, and those that end `gap` before
    these begin; where `cut` says no, all of them and none."""
    first, end = bounds.T
    # rows of the last part: at least one, and no more than there are
    border = np.maximum(end - np.maximum(1, np.rint(count).astype(np.int64)), first)
    border = np.where(cut, border, end)
    some = np.flatnonzero(border < end)
    limit = np.full(len(bounds), np.inf)
    limit[some] = data.spans(border[some])[:, 0] - gap + 1e-6 * data.schema.step
    # the ends of a record's windows increase: the first that is too late is found by halving
    low, high = first.copy(), np.where(cut, border, first)
    while len(open_ := np.flatnonzero(low < high)):
        middle = (low[open_] + high[open_]) // 2
        early = data.spans(middle)[:, 1] <= limit[open_]
        low[open_] = np.where(early, middle + 1, low[open_])
        high[open_] = np.where(early, high[open_], middle)
    low = np.where(cut, low, end)
    return np.stack([first, low], axis=1), np.stack([border, end], axis=1)


def _gap(data: Stored, gap: float | None) -> float:
    if data.schema.kind != "windows":
        raise ValueError(
            f"the {len(data)} observations have no times in their records, so they cannot be "
            "split by time; use split_by_group or split_at_random, or keep whole recordings: "
            "store(signals, PATH)."
        )
    return check_gap(gap, data.schema.step * (data.size - 1), unit_word(data.schema))
