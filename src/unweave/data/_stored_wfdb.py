"""Folders of WFDB records, as many as PTB-XL's: headers are read once, samples when asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from ._guard import DataError, listed, quoted
from ._index import AbstractReader, Lines, files_under, fingerprint, kept_lines, shown
from ._read_wfdb import (
    MILLIVOLTS,
    Plain,
    Record,
    group_of,
    local_record,
    places_of,
    records_at,
    unnamed_patients,
    wanted_channels,
)
from ._stored import Shelf
from ._wfdb import wfdb

# samples that are read as fast as one is: opening a record takes as long
_TOGETHER = 4096
# what stands for a sample that is missing
_MISSING = -(2**15)


def wfdb_shelf(paths: Sequence[Path], *, columns: Sequence[str] | None) -> Shelf:
    """The records in folders, and in the folders in these.

    **Raises:** `DataError` where a record is damaged, or differs from the others in sampling rate
    or units, or has none of their channels.
    """
    found = [record for path in paths for record in _records(path)]
    files = (file for path in paths for file in _files(path))
    key = fingerprint(files, "wfdb", columns, [str(path) for path in found[:1]])
    lines = kept_lines(key, lambda: _lines(found, columns))
    wfdb()  # imported by the thread that may say so, not by one that reads
    return Shelf(lines, WFDBReader(dict(lines.arrays)), key)


@final
@dataclass(frozen=True, eq=False)
class WFDBReader(AbstractReader):
    """Reads the channels at `places[i]` of the record at `paths[i]`, times `scales[i]`.

    Where its samples lie plainly, in `files[i]` from byte `offsets[i]` on among `widths[i]`
    signals, they are read from there, `(x - zeros[i]) / gains[i]`; all else wfdb reads, which
    takes milliseconds to begin.
    """

    arrays: dict[str, np.ndarray]

    def read(self, recording: int, first: int, end: int) -> np.ndarray:
        """See `AbstractReader`."""
        a, path = self.arrays, str(self.arrays["paths"][recording])
        if a["files"][recording]:
            return self._plain(recording, first, end) * a["scales"][recording]
        try:
            found: Any = wfdb().rdrecord(
                path, sampfrom=first, sampto=end, channels=a["places"][recording].tolist(),
                return_res=32,
            )  # fmt: skip
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise DataError(
                f"{quoted(path)} cannot be read as a WFDB record from sample {first} to {end}: "
                f"{str(error)[:160]}."
            ) from None
        return np.asarray(found.p_signal, np.float32) * a["scales"][recording]

    def _plain(self, recording: int, first: int, end: int) -> np.ndarray:
        a, width = self.arrays, int(self.arrays["widths"][recording])
        path = Path(str(a["files"][recording]))
        begin = int(a["offsets"][recording]) + 2 * width * first
        raw = np.fromfile(path, "<i2", (end - first) * width, offset=begin)
        if len(raw) < (end - first) * width:
            raise DataError(f"{quoted(path)} ends before sample {end} of its record.")
        x = raw.reshape(-1, width)[:, a["places"][recording]]
        values = (x.astype(np.float32) - a["zeros"][recording]) / a["gains"][recording]
        return np.where(x == _MISSING, np.float32(np.nan), values)


def _records(path: Path) -> list[str]:
    if not path.is_dir():
        return list(records_at(str(path)))
    return [str(file.with_suffix("")) for file in files_under(path) if file.suffix == ".hea"]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return list(files_under(path))
    return sorted(path.parent.glob(f"{path.with_suffix('').name}.*"))


def _lines(found: Sequence[str], columns: Sequence[str] | None) -> Lines:
    # two rates are seen before thousands of headers have been read
    records: list[Record] = []
    for path in shown(found, "reading headers"):
        record = local_record(path)
        _check_rate(record, records[0] if records else record)
        records.append(record)
    wanted = wanted_channels(records, columns)
    places = np.asarray([places_of(record, wanted) for record in records], np.int64)
    units = [
        tuple(_unit(record.units[i]) for i in row)
        for record, row in zip(records, places.tolist(), strict=True)
    ]
    for record, one in zip(records, units, strict=True):
        if one != units[0]:
            raise DataError(
                f"record {quoted(record.name)} is in {listed(one)} and {quoted(records[0].name)} "
                f"in {listed(units[0])}; read them one by one."
            )
    names, groups = _names(records), [group_of(record) for record in records]
    return Lines(
        {
            "records": np.asarray(names), "groups": np.asarray(groups),
            "lengths": np.asarray([_length(record) for record in records], np.int64),
            "starts": np.zeros(len(records)), "places": places,
            "paths": np.asarray([str(record.path) for record in records]),
            "scales": np.asarray(
                [[MILLIVOLTS.get(record.units[i].lower(), 1.0) for i in row]
                 for record, row in zip(records, places.tolist(), strict=True)], np.float32,
            ),
            **_plainly(records, places),
        },
        {
            "item": [len(wanted)], "channels": list(wanted), "units": list(units[0]),
            "step": 1 / records[0].rate, "time_unit": "s", "together": _TOGETHER,
            "dtype": "<f4", "notes": list(unnamed_patients(names, groups)),
        },
    )  # fmt: skip


def _plainly(records: Sequence[Record], places: np.ndarray) -> dict[str, np.ndarray]:
    """Where the samples of each record lie; of those that do not lie plainly the file is ""."""
    plain = [record.plain or Plain("", 0, (), ()) for record in records]
    folders = [record.path.parent for record in records]
    files = [str(f / p.file) if p.file else "" for f, p in zip(folders, plain, strict=True)]
    gains, zeros = np.ones(places.shape, np.float32), np.zeros(places.shape, np.float32)
    for i, one in enumerate(plain):
        if one.file:
            gains[i] = np.asarray(one.gains)[places[i]]
            zeros[i] = np.asarray(one.zeros)[places[i]]
    return {
        "files": np.asarray(files), "gains": gains, "zeros": zeros,
        "offsets": np.asarray([one.offset for one in plain], np.int64),
        "widths": np.asarray([len(one.gains) for one in plain], np.int64),
    }  # fmt: skip


def _check_rate(record: Record, first: Record) -> None:
    if abs(record.rate - first.rate) > 0.01 * first.rate:
        raise DataError(
            f"record {quoted(record.path)} has {record.rate:g} samples a second and "
            f"{quoted(first.path)} {first.rate:g}; give the folder of one rate, such as "
            f"{first.path.parent}."
        )


def _length(record: Record) -> int:
    if record.length is None:
        raise DataError(
            f"the header of {quoted(record.path)} does not say how many samples there are; write "
            "the number behind the sampling rate in its first line."
        )
    return record.length


def _names(records: Sequence[Record]) -> list[str]:
    """Each record's name, with its folder where two are called the same."""
    names = [record.name for record in records]
    if len(set(names)) == len(names):
        return names
    return [str(record.path) for record in records]


def _unit(unit: str) -> str:
    return "mV" if unit.lower() in MILLIVOLTS else unit
