"""Records in the WFDB format of PhysioNet, from files or over the network, into signals."""

import math
import re
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, final

import numpy as np

from ._dataset import Signal
from ._guard import DataError, check_size, closest, existing, listed, parsing, quoted
from ._wfdb import wfdb

#: Bytes that a sample takes in each signal format; the compressed (FLAC) ones take any number.
_SAMPLE_BYTES = {
    "8": 1.0, "16": 2.0, "24": 3.0, "32": 4.0, "61": 2.0, "80": 1.0, "160": 2.0, "212": 1.5,
    "310": 4 / 3, "311": 4 / 3, "508": 0.0, "516": 0.0, "524": 0.0,
}  # fmt: skip
#: The annotation codes of heartbeats; all others are rhythm, noise and comments.
_BEATS = frozenset("NLRaVFJASEj/QB?!enfr")
MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "v": 1e3}
#: "patient165", "subject id: 12" or "Patient no. a7", but not "patient 65 years old"
_PATIENT = re.compile(
    r"(?:patient|subject)[\s_-]*(?:id|no\.?|number)?[\s:=#]*([a-z]{0,3}\d+)\b(?!\s*(?:y|mo))",
    re.I,
)
_FOLDER = re.compile(r"patient\d+", re.I)
_REMOTE = re.compile(r"physionet:((?:[\w-][\w.-]*/)+)([\w-]+)")
_HEADER_LIMIT = 2**20
_MOST_SIGNALS = 1000


@final
@dataclass(frozen=True)
class Plain:
    """Where samples lie in a file of signed 16-bit numbers, all signals side by side, and the gain
    and the zero of each."""

    file: str
    offset: int
    gains: tuple[float, ...]
    zeros: tuple[int, ...]


@final
@dataclass(frozen=True, eq=False)
class Record:
    """A record whose header has been read: its name, where it is (a folder, or a database
    folder of PhysioNet), its sampling rate, its channels' names and units as written there,
    how many samples it has, if the header says so, and how they lie, where that is plain."""

    name: str
    folder: Path | None
    remote: str | None
    rate: float
    channels: tuple[str, ...]
    comments: tuple[str, ...]
    units: tuple[str, ...]
    length: int | None
    plain: Plain | None

    @property
    def path(self) -> Path:
        """The record's path without an ending."""
        return (self.folder or Path(self.remote or "")) / self.name


def records_at(path: str) -> tuple[str, ...]:
    """The records, without their endings, that a path stands for; none if it is something else.

    A path is a record, one of its files, or a folder of records (or of folders of records).
    """
    if path.startswith("physionet:"):
        return (path,)
    place = Path(path)
    if place.is_dir():
        headers = sorted(place.glob("*.hea")) or sorted(place.glob("*/*.hea"))
        return tuple(str(header.with_suffix("")) for header in headers)
    if place.suffix == ".hea":
        return (str(place.with_suffix("")),)
    if place.name and not place.is_file() and place.with_name(place.name + ".hea").is_file():
        return (str(place),)
    if place.suffix in (".dat", ".mat", ".atr", ".qrs", ".xyz"):
        return (str(place.with_suffix("")),) if place.with_suffix(".hea").is_file() else ()
    return ()


def read_records(paths: Sequence[str], columns: tuple[str, ...] | None) -> tuple[Signal, ...]:
    """Signals in millivolts and seconds; without `columns` those that all records share."""
    remote = "physionet:"
    records = [_remote(p) if p.startswith(remote) else local_record(p) for p in paths]
    wanted = wanted_channels(records, columns)
    return tuple(_signal(record, wanted) for record in records)


def wanted_channels(records: Sequence[Record], columns: Sequence[str] | None) -> tuple[str, ...]:
    """The channels to read: those that were named, or else those that all records share."""
    if columns is not None:
        return tuple(column.lower() for column in columns)
    shared = set.intersection(*(set(record.channels) for record in records))
    wanted = tuple(name for name in records[0].channels if name in shared)
    if not wanted:
        raise DataError(
            f"the {len(records)} records share no channel (the first has "
            f"{listed(records[0].channels)}); name columns, or read fewer records."
        )
    return wanted


def places_of(record: Record, wanted: Sequence[str]) -> list[int]:
    """The numbers of some channels of a record; one that it has not is a `DataError`."""
    for name in wanted:
        if name not in record.channels:
            raise DataError(
                f"record {quoted(record.name)} has no channel {quoted(name)} (it has "
                f"{listed(record.channels)}){closest(name, record.channels) or '.'}"
            )
    return [record.channels.index(name) for name in wanted]


def unnamed_patients(records: Sequence[str], groups: Sequence[str]) -> tuple[str, ...]:
    """A note where records may share a patient without anyone knowing."""
    often = Counter(groups)
    unnamed = [r for r, group in zip(records, groups, strict=True) if r == group]
    unnamed = [record for record in unnamed if often[record] == 1]
    if len(records) < 2 or not unnamed:
        return ()
    return (
        f"Nothing names the patient of {', '.join(unnamed[:6])}{' …' if unnamed[6:] else ''}, so "
        "each counts as a patient of its own. If some share one, a split by group leaks: say "
        "--same-patient A,B.",
    )


def local_record(path: str) -> Record:
    folder, name = Path(path).absolute().parent, Path(path).name
    header = existing(folder / f"{name}.hea")
    if header.stat().st_size > _HEADER_LIMIT:
        raise DataError(f"{quoted(header)} is too large to be a WFDB header.")
    _check_text(header)
    with parsing(header, "a WFDB header"):
        fields = wfdb().rdheader(str(folder / name))
        _check_header(header, fields)
        _check_files(header, fields)
    return _record(name, folder, None, fields)


def _record(name: str, folder: Path | None, remote: str | None, fields: Any) -> Record:
    return Record(
        name=name,
        folder=folder,
        remote=remote,
        rate=float(fields.fs),
        channels=_names(fields.sig_name),
        comments=tuple(fields.comments),
        units=tuple(unit or "mV" for unit in fields.units),
        length=fields.sig_len,
        plain=_plain(fields),
    )


def _plain(fields: Any) -> Plain | None:
    """How the samples lie, of the commonest format alone: one file of 16 bits, one rate."""
    one = len(set(fields.file_name)) == 1 and set(fields.fmt) == {"16"}
    if not one or any(n not in (None, 1) for n in fields.samps_per_frame) or any(fields.skew):
        return None
    return Plain(
        file=fields.file_name[0],
        offset=int(fields.byte_offset[0] or 0),
        gains=tuple(float(gain) for gain in fields.adc_gain),
        zeros=tuple(int(zero) for zero in fields.baseline),
    )


def _names(given: Sequence[str | None]) -> tuple[str, ...]:
    """Lower-case channel names; one that is missing or repeated gets a number."""
    names: list[str] = []
    for i, name in enumerate(given):
        plain = (name or "").strip().lower() or f"c{i + 1}"
        names.append(plain if plain not in names else f"{plain}-{i + 1}")
    return tuple(names)


def _check_text(header: Path) -> None:
    """Refuses a header that is not text, or whose signals lie outside of its folder."""
    raw = header.read_bytes()
    if b"\0" in raw:
        raise DataError(f"{quoted(header)} is not a WFDB header: it contains NUL bytes.")
    lines = [line for line in raw.decode("utf-8", "replace").splitlines() if line.strip()]
    body = [line for line in lines if not line.lstrip().startswith("#")]
    if len(body) > _MOST_SIGNALS + 1:
        raise DataError(
            f"{quoted(header)} lists {len(body) - 1:,} signals; {_MOST_SIGNALS} are the most."
        )
    for line in body[1:]:
        file = line.split()[0]
        if "/" in file or "\\" in file or file.startswith(".."):
            raise DataError(
                f"{quoted(header)} points outside of its folder, to {quoted(file)}; a record's "
                "files must lie beside its header."
            )


def _check_header(header: Path, fields: Any) -> None:
    where = quoted(header)
    if isinstance(fields, wfdb().MultiRecord):
        raise DataError(
            f"{where} is a record of several segments, which are not joined; give the "
            "segments' own records."
        )
    if not fields.n_sig or len(fields.file_name or ()) != fields.n_sig:
        raise DataError(
            f"{where} declares {fields.n_sig or 0} signals and describes "
            f"{len(fields.file_name or ())}; give one line to each of at least one signal."
        )
    if not (fields.fs and math.isfinite(fields.fs) and fields.fs > 0):
        raise DataError(f"{where} gives the sampling rate {fields.fs}; it must be positive.")
    if not all(math.isfinite(gain) and gain != 0 for gain in fields.adc_gain):
        raise DataError(f"{where} gives a gain that is zero or infinite.")
    if unknown := set(fields.fmt) - set(_SAMPLE_BYTES):
        raise DataError(f"{where} names the signal format {quoted(min(unknown))}, unknown to WFDB.")


def _check_files(header: Path, fields: Any) -> None:
    """Refuses a header that declares more samples than its signal files hold."""
    for name in dict.fromkeys(fields.file_name):
        file = existing(header.parent / name)
        mine = [i for i, other in enumerate(fields.file_name) if other == name]
        size, length = file.stat().st_size, fields.sig_len
        frame = sum(fields.samps_per_frame[i] or 1 for i in mine)
        start = fields.byte_offset[mine[0]] or 0
        late = max(fields.skew[i] or 0 for i in mine)
        each = _SAMPLE_BYTES[fields.fmt[mine[0]]]
        if length is None:
            length = int((size - start) / (each * frame)) if each else 0
        if length < 1 or frame < 1:
            raise DataError(f"{quoted(header)} declares no samples.")
        if late >= length:
            raise DataError(f"{quoted(header)} shifts a signal by more than its own length.")
        needed = math.ceil(length * frame * each) + (start if each else 0)
        if needed > size:
            raise DataError(
                f"{quoted(header)} declares {length:,} samples of {len(mine)} signals in "
                f"{quoted(name)}, which takes {needed:,} bytes, but the file has {size:,}."
            )
        check_size(header, 8 * length * frame, size, what=f"samples in {name}")


def _signal(record: Record, wanted: tuple[str, ...]) -> Signal:
    places = places_of(record, wanted)
    with parsing(record.path, "a WFDB record"):
        read: Any = wfdb().rdrecord(
            record.name if record.remote else str(record.path),
            channels=places,
            pn_dir=record.remote,
        )
    values = np.asarray(read.p_signal, np.float64)
    if values.size == 0 or np.isnan(values).all():
        raise DataError(f"record {quoted(record.name)} has no valid sample in {listed(wanted)}.")
    scales = [MILLIVOLTS.get((unit or "mV").lower()) for unit in read.units]
    events, labels = _beats(record, len(values))
    return Signal(
        record=record.name,
        group=group_of(record),
        values=values * np.asarray([scale or 1.0 for scale in scales]),
        times=np.arange(len(values)) / record.rate,
        channels=wanted,
        units=tuple(
            "mV" if scale else str(unit) for unit, scale in zip(read.units, scales, strict=True)
        ),
        time_unit="s",
        events=events,
        event_labels=labels,
    )


def _beats(record: Record, length: int) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """The annotated beats: sample indices in order, and WFDB's symbol of each."""
    for kind in ("atr", "qrs"):
        file = record.path.with_name(f"{record.name}.{kind}")
        if record.remote is not None:
            try:
                read = wfdb().rdann(record.name, kind, pn_dir=record.remote)
            except Exception:  # a database without annotations answers in several ways
                continue
        elif not file.is_file():
            continue
        else:
            # an annotation takes two bytes, most often; a text beside it 256 at most
            if file.stat().st_size > 2**16 + 4 * length:
                raise DataError(f"{quoted(file)} is too large for a record of {length:,} samples.")
            with parsing(file, "WFDB annotations"):
                read = wfdb().rdann(str(record.path), kind)
        found = sorted(
            (int(sample), str(symbol))
            for sample, symbol in zip(read.sample, read.symbol or (), strict=True)
            if symbol in _BEATS and 0 <= sample < length
        )
        return np.asarray([at for at, _ in found], np.int64), tuple(s for _, s in found)
    return None, ()


def group_of(record: Record) -> str:
    """The patient: from the header, else from a folder named so, else the record itself."""
    for comment in record.comments:
        if match := _PATIENT.match(comment):
            return f"patient{match[1].lower()}"
    for part in reversed(PurePosixPath(record.path.as_posix()).parts[:-1]):
        if _FOLDER.fullmatch(part):
            return part.lower()
    return record.name


def _remote(path: str) -> Record:
    match = _REMOTE.fullmatch(path)
    if match is None:
        raise DataError(
            f"{quoted(path)} does not name a record of PhysioNet; write database, folders and "
            "record, such as physionet:ptbdb/patient001/s0010_re."
        )
    remote, name = match[1].rstrip("/"), match[2]
    try:
        # wfdb waits without a limit, so ask first whether anybody answers
        urllib.request.urlopen("https://physionet.org/", timeout=8).close()
    except urllib.error.HTTPError:
        pass
    except (OSError, ValueError):
        raise ConnectionError(
            f"{quoted(path)} cannot be fetched: physionet.org does not answer. Check the "
            "network, or download the record and give its path."
        ) from None
    try:
        fields = wfdb().rdheader(name, pn_dir=remote)
    except Exception as error:
        raise ConnectionError(
            f"{quoted(path)} cannot be fetched from physionet.org ({quoted(error)}); check the "
            "names of the database, the folder and the record."
        ) from None
    header = Path(remote) / f"{name}.hea"
    _check_header(header, fields)
    return _record(name, None, remote, fields)
