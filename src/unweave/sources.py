"""From what a user names (a file, a folder, a built-in set) to a split dataset, in one value
that a run can write down and read again."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from . import data
from .data import Dataset, Parted, Signal, Split, Stored

#: Built-in data, by name: rows that are ready, or signals that are cut as a file's would be.
BUILT_IN_ROWS: Mapping[str, Callable[[], Dataset]] = {
    "digits": data.digits,
    "competition": lambda: data.competition_cloud(2000),
    "known-heartbeats": lambda: data.heartbeats(4000, samples=128),
}
BUILT_IN_SIGNALS: Mapping[str, Callable[[], tuple[Signal, ...]]] = {
    "heartbeats": lambda: data.heartbeat_signals(60, seconds=25.0),
    "hare-lynx": lambda: (data.hare_lynx(),),
}
KINDS = ("beats", "windows", "series", "trajectories", "rows", "images")
SPLITS = ("group", "time", "random", "within", "none")


@dataclass(frozen=True)
class Source:
    """Where observations come from and how they are cut and parted.

    `paths` are files, folders, `physionet:` addresses or one built-in name; `kind` one of
    `KINDS`, guessed from the files and the other fields when None. These are the arguments of
    the function that they are handed to: `read_signals` (`time`, `columns`, `rate`, `by`,
    `channel`), `trajectories` (`inputs`), `same_group` (`same_patient`, each entry the names of
    records, joined by commas), `beats` (`before` and `after` in seconds, `samples`), `windows`
    (`length`, `step` in samples, `transform`) and the split (`split` one of `SPLITS`, `test`,
    `validation`, `gap`). Of more than `most` observations so many are kept, evenly spread over all.
    With `by_file` each path is read on its own, and its name is the label of
    its observations. With `stream` the data stay on the disk (`open_stored`), as those of a Zarr
    store always do.
    """

    paths: tuple[str, ...]
    kind: str | None = None
    time: str | None = None
    columns: tuple[str, ...] | None = None
    rate: float | None = None
    unit: str = ""
    same_patient: tuple[str, ...] = ()
    before: float = 0.25
    after: float = 0.45
    samples: int = 256
    length: int | None = None
    step: int | None = None
    transform: str = "level"
    split: str | None = None
    test: float = 0.2
    validation: float = 0.1
    gap: float | None = None
    by: tuple[str, ...] | None = None
    channel: str | None = None
    inputs: tuple[str, ...] | None = None
    by_file: bool = False
    most: int | None = None
    stream: bool = False

    def __post_init__(self):
        if not self.paths:
            names = ", ".join([*BUILT_IN_ROWS, *BUILT_IN_SIGNALS])
            raise ValueError(f"no data were named; give a file, a folder, or one of {names}.")
        _one_of("kind", self.kind, KINDS)
        _one_of("split", self.split, SPLITS)
        _one_of("transform", self.transform, tuple(data.TRANSFORMS))
        if self.most is not None and self.most < 1:
            raise ValueError(f"at most {self.most} observations leave none; give 1 or more.")
        for name in ("test", "validation"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; give a share between 0 and 1, such as 0.2."
                )

    @property
    def streamed(self) -> bool:
        """Whether the data stay on the disk."""
        return self.stream or any(data.is_zarr(path) for path in self.paths)

    @property
    def on_disk(self) -> bool:
        """Whether the observations stay there: with `most` so many of them are read."""
        return self.streamed and self.most is None

    def settings(self) -> dict[str, Any]:
        """As plain values, for `run.toml`."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Source":
        """The inverse of `settings`."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(settings) - known)
        if unknown:
            raise ValueError(f"'{unknown[0]}' is no setting of data; there are {sorted(known)}.")
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()
        }
        return cls(**values)


def open_source(source: Source, *, seed: int = 0) -> Split:
    """Reads, cuts and splits; `seed` draws what a split by group or at random draws."""
    return split_source(source, read_observations(source), seed=seed)


def read_observations(source: Source) -> Dataset | Stored:
    """The observations before any split: in memory, or on the disk where they stay there."""
    return open_stored_source(source) if source.on_disk else read_source(source)


def part_source(source: Source, observations: Stored, *, seed: int = 0) -> Parted:
    """Observations on disk parted as `source` says; nothing is read."""
    shares = {"test": source.test, "validation": source.validation}
    if source.split == "group":
        return data.part_by_group(observations, **shares, seed=seed)
    if source.split == "time":
        return data.part_by_time(observations, **shares, gap=source.gap)
    if source.split == "random":
        return data.part_at_random(observations, **shares, seed=seed)
    if source.split == "within":
        data.split_within(observations)  # which says that it is not done
    if source.split == "none":
        return data.part_whole(observations)
    return data.part(observations, **shares, gap=source.gap, seed=seed)


def split_source(source: Source, observations: Dataset | Stored, *, seed: int = 0) -> Split:
    """The observations parted as `source` says."""
    if isinstance(observations, Stored):
        return data.in_memory(part_source(source, observations, seed=seed))
    shares = {"test": source.test, "validation": source.validation}
    if source.split == "group":
        return data.split_by_group(observations, **shares, seed=seed)
    if source.split == "time":
        return data.split_by_time(observations, **shares, gap=source.gap)
    if source.split == "random":
        return data.split_at_random(observations, **shares, seed=seed)
    if source.split == "within":
        return data.split_within(observations, **shares)
    if source.split == "none":
        return data.split_none(observations)
    return data.split(observations, **shares, gap=source.gap, seed=seed)


def read_some(source: Source, most: int) -> Dataset:
    """At most so many observations, evenly spread over all, wherever these are."""
    found = read_observations(source)
    return found.sample(most) if isinstance(found, Stored) else found.thinned(most)


def open_stored_source(source: Source) -> Stored:
    """The observations of data that stay on the disk.

    **Raises:** `ValueError` for what is not done with such data.
    """
    for field, word in (("channel", "--channel"), ("inputs", "--inputs"), ("by_file", "by_file")):
        if getattr(source, field):
            raise ValueError(
                f"data on the disk are not read with {word}; leave it out, or read the data into "
                "memory (without --stream, or --most 5000)."
            )
    ready = source.kind in ("rows", "images")
    if source.kind not in (None, "windows", "series", "rows", "images"):
        raise ValueError(
            f"{source.kind} are not cut from data on the disk; use --kind windows --length SAMPLES "
            "or --kind series."
        )
    if source.kind == "windows" and source.length is None:
        raise ValueError("windows need a length in samples; give --length, such as 256.")
    found = data.open_stored(
        source.paths,
        length=None if source.kind == "series" or ready else source.length,
        step=source.step,
        transform=data.TRANSFORMS[source.transform],
        time=source.time,
        columns=source.columns,
        rate=source.rate,
        by=source.by or (),
        same_patient=[
            [name.strip() for name in records.split(",")] for records in source.same_patient
        ],
    )
    if source.kind is not None and ready != (found.schema.kind in ("rows", "images")):
        raise ValueError(
            f"{source.paths[0]} holds {found.schema.kind}, not {source.kind}; leave --kind out."
        )
    return found


def read_source(source: Source) -> Dataset:
    """The observations, all of them or `most`, before any split.

    **Raises:** `ValueError` where all of them are asked for and stay on the disk, and where they
    might not fit into memory.
    """
    if source.most is not None:
        return read_some(replace(source, most=None), source.most)
    if source.streamed:
        raise ValueError(
            f"the data of {source.paths[0]} stay on the disk, and this needs them in memory; give "
            "--most 5000, which reads so many, evenly spread over all."
        )
    if source.by_file:
        return _labelled_by_file(source)
    name = source.paths[0] if len(source.paths) == 1 else ""
    if name in BUILT_IN_ROWS:
        return BUILT_IN_ROWS[name]()
    if name in BUILT_IN_SIGNALS:
        signals = BUILT_IN_SIGNALS[name]()
        kind = source.kind or ("beats" if name == "heartbeats" else "series")
    else:
        kind = source.kind or _kind_of(source)
        if kind in ("rows", "images"):
            return data.read_rows(source.paths, unit=source.unit)
        if kind in ("windows", "series") and (large := data.too_large(source.paths)):
            raise ValueError(large)
        signals = data.read_signals(
            source.paths,
            time=source.time,
            columns=_with_inputs(source),
            rate=source.rate,
            by=source.by or (),
            channel=source.channel,
        )
    for records in source.same_patient:
        signals = data.same_group(signals, [name.strip() for name in records.split(",")])
    if kind == "beats":
        cut = data.beats(signals, before=source.before, after=source.after, samples=source.samples)
        names = data.unnamed_patients([s.record for s in signals], [s.group for s in signals])
        return replace(cut, notes=cut.notes + names)
    if kind == "windows":
        if source.length is None:
            raise ValueError(
                "windows need a length in samples; give --length, such as 180, or --kind "
                "trajectories for whole recordings."
            )
        transform = data.TRANSFORMS[source.transform]
        return data.windows(signals, length=source.length, step=source.step, transform=transform)
    if kind == "trajectories":
        return data.trajectories(signals, inputs=source.inputs or ())
    return data.series(signals)


def _labelled_by_file(source: Source) -> Dataset:
    """The observations of each path, the path being their label."""
    parts = [read_source(replace(source, paths=(p,), by_file=False)) for p in source.paths]
    first = parts[0]
    for path, part in zip(source.paths, parts, strict=True):
        if part.schema.shape != first.schema.shape:
            raise ValueError(
                f"{path} has observations of shape {part.schema.shape}, {source.paths[0]} of shape "
                f"{first.schema.shape}; cut them alike."
            )
    rows = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("observations", "records", "groups", "spans")
    }
    # a record of one file is not that of another; a patient may be the same
    rows["records"] = np.concatenate(
        [
            [f"{Path(path).stem} {word}" for word in part.records]
            for path, part in zip(source.paths, parts, strict=True)
        ]
    )
    labels = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    names = tuple(Path(path).stem for path in source.paths)
    return Dataset(
        rows["observations"], first.schema, rows["records"], rows["groups"], rows["spans"],
        labels=labels, label_names=names, notes=first.notes,
    )  # fmt: skip


def for_courses(source: Source) -> Source:
    """The source for models of whole courses, such as equations: a table is read as trajectories
    where nothing else was asked for."""
    built_in = source.paths[0] in (*BUILT_IN_ROWS, *BUILT_IN_SIGNALS) if source.paths else True
    if built_in or source.by_file or source.kind or source.length is not None:
        return source
    return replace(source, kind="trajectories") if _kind_of(source) == "windows" else source


def _kind_of(source: Source) -> str:
    """The kind where none was given: what parts a table into courses, or drives an equation,
    asks for trajectories."""
    courses = source.by or source.channel or source.inputs
    return "trajectories" if courses else data.guess_kind(source.paths)


def _with_inputs(source: Source) -> tuple[str, ...] | None:
    """The columns to read: those that were chosen, and those of the inputs."""
    if source.columns is None or source.channel is not None:
        return source.columns
    more = (name for name in source.inputs or () if name not in source.columns)
    return (*source.columns, *more)


def _one_of(name: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise ValueError(f"'{value}' is no {name}; there are {', '.join(choices)}.")
