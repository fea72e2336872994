"""What `unweave detect` judges, what it takes for normal, and which labels it knows."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import detect
from ..data import Dataset, Stored
from ..detect import Score
from ..run import Run
from ..sources import Source, open_stored_source, read_source, split_source
from ._fit import given_source

#: Observations on disk that detectors learn from where nothing is said to be normal.
MOST_LEARNED = 2048
_NOT_KNOWN = (
    "Nothing was said to be normal, so every observation is judged by the others: a low p "
    "means rare. Say --normal FILES for more."
)
_OVERLAPPING = (
    "Windows overlap, so p-values are by those of the held-out ones that do not; "
    "neighbours are not exchangeable, and flags come in runs."
)


@dataclass(frozen=True)
class SampleMeasures:
    """Of the score of every sample, the mean over the recordings that have both kinds."""

    roc: float
    pr: float
    auroc: float


@dataclass(frozen=True, eq=False)
class Watched:
    """The observations to judge, `data`; those that detectors learn from, `normal`; those that
    scores are calibrated by, `held`, of which `apart` share no sample.

    `known` says whether anything is known to be normal, and not only rare. `truth` `(n,)` are
    labels of observations, `samples` `(n, time)` those of their samples.
    """

    data: Dataset
    normal: Dataset
    held: Dataset | None
    apart: np.ndarray | slice
    known: bool
    truth: np.ndarray | None
    samples: np.ndarray | None
    notes: tuple[str, ...]

    def volume(self, scores: np.ndarray) -> SampleMeasures:
        """VUS and AUROC of every sample's score, which is the mean of the windows over it."""
        found = []
        for rows, begin, total in self.recordings():
            length = self.data.schema.shape[0]
            assert self.samples is not None
            truth = np.zeros(total, bool)
            for row, start in zip(rows, begin, strict=True):
                truth[start : start + length] |= self.samples[row]
            by_sample = detect.over_samples(scores[rows], begin, length, total)
            seen = np.isfinite(by_sample)
            if 0 < truth[seen].sum() < seen.sum():
                volume = detect.volume(by_sample[seen], truth[seen], longest=length,
                                       step=max(1, length // 20))  # fmt: skip
                found.append((volume.roc, volume.pr, detect.auroc(by_sample[seen], truth[seen])))
        if not found:
            return SampleMeasures(*(float("nan"),) * 3)
        return SampleMeasures(*(float(part) for part in np.mean(found, axis=0)))

    def usual_part(self, score: Score) -> float:
        """What a sample's score is at most in most normal observations, those that the detector
        has not seen where there are any."""
        usual = self.normal if self.held is None else self.held
        return float(np.quantile(score.by_sample(usual.observations, usual.conditions), 0.95))

    def recordings(self) -> list[tuple[np.ndarray, np.ndarray, int]]:
        """Of each recording its rows, the sample that each begins at, and how many samples."""
        parts, schema = [], self.data.schema
        for record in dict.fromkeys(self.data.records.tolist()):
            rows = np.flatnonzero(self.data.records == record)
            begin = self.data.spans[rows, 0]
            places = np.round((begin - begin.min()) / schema.step).astype(int)
            parts.append((rows, places, int(places.max()) + schema.shape[0]))
        return parts


def watched_settings(options: argparse.Namespace, run: Run | None) -> dict[str, Any]:
    """How the data are read: as the run's own, but for what was said."""
    settings = given_source(options)
    if run is not None:
        settings = {**run.settings["data"], **settings}
    on_disk = settings.get("kind") is None and Source.from_settings(settings).streamed
    windows = settings.get("kind") == "windows" or on_disk
    if windows and "step" not in settings and "length" in settings:
        # windows overlap, so that a sample is judged by several
        settings["step"] = max(1, int(settings["length"]) // 8)
    return settings


def read_watched(
    options: argparse.Namespace, settings: Mapping[str, Any], run: Run | None
) -> Watched:
    """Reads the data, and what is normal: of `--normal`, else of the run's own, else nothing."""
    data, samples = _labelled(settings, options.labels)
    truth, notes = _truth(data, samples, options), list(data.notes)
    if run is None and not options.normal:
        every = slice(None)
        return Watched(data, data, data, every, False, truth, samples, (*notes, _NOT_KNOWN))
    normal, held, more = read_normal(options, run, settings)
    apart = _apart(held)
    if len(held.observations[apart]) < len(held):
        more += (_OVERLAPPING,)
    return Watched(data, normal, held, apart, True, truth, samples, (*notes, *more))


def watched_on_disk(
    options: argparse.Namespace, run: Run | None, settings: Mapping[str, Any]
) -> tuple[Stored, Watched]:
    """Data that stay on the disk, and samples of what is normal, or of all where nothing is known
    to be; `data` of what is watched is empty until something is drawn."""
    for name, word in (("labels", "--labels"), ("normal_class", "--normal-class")):
        if getattr(options, name) is not None:
            raise ValueError(
                f"{word} is not read from data on the disk; leave it out, or give --most 5000."
            )
    data = open_stored_source(Source.from_settings(settings))
    none = data.read(np.empty(0, np.int64))
    if run is None and not options.normal:
        notes = (*data.notes, _NOT_KNOWN)
        some = data.sample(MOST_LEARNED)
        return data, Watched(none, some, None, slice(None), False, None, None, notes)
    normal, held, more = read_normal(options, run, settings)
    apart = _apart(held)
    if len(held.observations[apart]) < len(held):
        more += (_OVERLAPPING,)
    notes = (*data.notes, *more)
    return data, Watched(none, normal, held, apart, True, None, None, notes)


def read_normal(
    options: argparse.Namespace, run: Run | None, settings: Mapping[str, Any]
) -> tuple[Dataset, Dataset, tuple[str, ...]]:
    """What is normal, in a part to learn from and one that was held out, and notes."""
    notes: tuple[str, ...] = ()
    if options.normal:
        settings = {**settings, "paths": list(options.normal)}
        source = Source.from_settings(settings)
        source = replace(source, test=max(source.test, 0.25))
        seed = options.seed
    else:
        assert run is not None
        settings, seed = run.settings["data"], int(run.settings["seed"])
        source = Source.from_settings(settings)
    marks = None
    if source.on_disk:
        pool: Dataset | Stored = open_stored_source(source)
    else:
        pool, marks = _labelled(settings, options.labels if options.normal else None)
        wrong = _truth(pool, marks, options)
        if wrong is not None:
            pool = pool.take(np.flatnonzero(~wrong))
            notes = (f"{int(wrong.sum())} observations of --normal are not normal and left out.",)
    split = split_source(source, pool, seed=seed)
    return split.train, split.test, notes


def _labelled(settings: Mapping[str, Any], column: str | None) -> tuple[Dataset, np.ndarray | None]:
    """The observations without the column of labels, and that column `(n, time)`."""
    source = Source.from_settings(settings)
    if column is None:
        return read_source(source), None
    if source.columns is not None and column not in source.columns:
        source = replace(source, columns=(*source.columns, column))
    both = read_source(source)
    if column not in both.schema.channels:
        raise ValueError(
            f"there is no column {column} of labels; there are {', '.join(both.schema.channels)}."
        )
    # a transform of prices or shapes means nothing for labels
    levels = (
        both if source.transform == "level" else read_source(replace(source, transform="level"))
    )
    place = both.schema.channels.index(column)
    marks = levels.observations[:, -both.schema.shape[0] :, place]
    kept = [i for i in range(len(both.schema.channels)) if i != place]
    schema = replace(
        both.schema, shape=(*both.schema.shape[:-1], len(kept)),
        channels=tuple(both.schema.channels[i] for i in kept),
        units=tuple(both.schema.units[i] for i in kept),
    )  # fmt: skip
    references = None if both.references is None else both.references[:, kept]
    data = replace(
        both, observations=both.observations[..., kept], schema=schema, references=references
    )
    return data, np.nan_to_num(marks) > 0


def _truth(
    data: Dataset, samples: np.ndarray | None, options: argparse.Namespace
) -> np.ndarray | None:
    """Which observations are labelled anomalous."""
    if samples is not None:
        return np.asarray(samples.any(axis=1))
    if options.normal_class is None:
        return None
    if data.labels is None:
        raise ValueError("--normal-class needs data with labels, and these have none.")
    if options.normal_class not in data.label_names:
        raise ValueError(
            f"there is no class {options.normal_class}; there are {', '.join(data.label_names)}."
        )
    return np.not_equal(data.labels, data.label_names.index(options.normal_class))


def _apart(data: Dataset) -> np.ndarray | slice:
    """Rows that share no sample: in each recording the next one that begins after the last."""
    kept: list[int] = []
    if not data.spans.any():
        return slice(None)
    for record in dict.fromkeys(data.records.tolist()):
        rows = np.flatnonzero(data.records == record)
        end = -np.inf
        for row in rows[np.argsort(data.spans[rows, 0], kind="stable")]:
            if data.spans[row, 0] > end:
                kept.append(int(row))
                end = data.spans[row, 1]
    return np.asarray(kept)
