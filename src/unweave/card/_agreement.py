"""The row of the agreement of seeds: do fits of one recipe find the same latents?"""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .._model import AbstractDecoder
from ..evaluate import udr
from ._fitted import shown_of
from ._row import Fitted, Reading, Row
from ._subsets import is_within, names_of

_MOST, _LEAST = 128, 16


def agreement(fitted: Fitted) -> Reading | None:
    """The codes of observations that the fits of all seeds have in common.

    Where each seed draws its own test part, no test observation need be in all of them. So those
    of training, validation and test part are put together and the first ones taken in the order
    of a hash of their names (record and place in it), which is the same for every seed; of a split
    within time every course is there. Training observations among them are no unfair advantage:
    what is asked is whether fits agree, not whether they are right.
    """
    model = fitted.model
    if fitted.codes is None or fitted.codes.shape[1] == 0:
        return None
    assert isinstance(model, AbstractDecoder)
    data = fitted.data
    # (a split within time has the same courses in all parts)
    parts = [shown_of(data)] if is_within(data) else [data.train, data.validation, data.test]
    marked = [_marks(tuple(names_of(part).tolist())) for part in parts]
    last = np.sort(np.concatenate(marked))[:_MOST][-1]
    marks, codes = [], []
    for part, mark in zip(parts, marked, strict=True):
        rows = np.flatnonzero(mark <= last)
        if len(rows):
            some = part.take(rows)
            marks.append(mark[rows])
            codes.append(fitted.encode(some.observations, some.conditions))
    z = np.concatenate(codes).astype(np.float64)
    kept = np.isfinite(z).all(axis=1)
    if not kept.any():
        return None
    z, mark = z[kept], np.concatenate(marks)[kept]
    if not model.latents.are_standard:
        # latents with units of their own have no range in common
        z = z / np.where(z.std(axis=0) > 0, z.std(axis=0), 1.0)
    return Reading(float(len(z)), parts=np.column_stack([mark, z]))


def alike(readings: Sequence[Reading]) -> list[Reading]:
    """Of every seed the median likeness of its latents to those of the others (`evaluate.udr`),
    by ranks on what all of them encoded; NaN where there are no two to compare."""
    tables = [reading.parts for reading in readings if reading.parts is not None]
    common = functools.reduce(np.intersect1d, [table[:, 0] for table in tables])
    codes = [_rows_of(table, common) for table in tables]
    moving = [len(z) >= _LEAST and bool(np.ptp(z, axis=0).max() > 0) for z in codes]
    values = np.full(len(readings), np.nan)
    if sum(moving) > 1:
        chosen = [z for z, moves in zip(codes, moving, strict=True) if moves]
        values[np.flatnonzero(moving)] = udr(chosen, permutations=0).each
    return [
        replace(reading, value=float(value), parts=None)
        for reading, value in zip(readings, values, strict=True)
    ]


def _rows_of(table: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """The codes of the observations with these marks, in their order."""
    _, first = np.unique(table[:, 0], return_index=True)
    table = table[first]
    return table[np.searchsorted(table[:, 0], marks), 1:]


@functools.lru_cache(maxsize=16)
def _marks(names: tuple[str, ...]) -> np.ndarray:
    """A number for each name, as if drawn, that is the same everywhere."""
    digests = (hashlib.sha256(name.encode()).digest() for name in names)
    # six bytes: as many as a float holds exactly
    return np.asarray([int.from_bytes(digest[:6], "big") for digest in digests], np.float64)


AGREEMENT = Row(
    "agreement", "agreement of seeds (UDR)", agreement, "higher", across=alike,
    group="interpretable",
)  # fmt: skip
