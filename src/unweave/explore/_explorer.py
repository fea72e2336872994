"""What is explored: models side by side on the same observations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .. import show
from .._course import Course
from .._schema import Schema
from ..data import Dataset, restore
from ..run import Run
from ..sources import Source, read_some
from ._subject import SAMPLES, Subject, subject_of, subject_of_run

#: So many observations are shown, and of a model whose encoder is a fit so many are encoded.
MOST_OBSERVATIONS, MOST_FITS = 400, 12
# so many numbers of observations a page is given
_MOST_NUMBERS = 2_000_000


@dataclass(frozen=True, eq=False)
class Explorer:
    """Models of the same observations, by the identifiers that a browser knows them by.

    `observations` `(n, *shape)`, none where there are only equations without data, and their
    `conditions`; `own` says that they are those that the first run keeps.
    """

    subjects: dict[str, Subject]
    schema: Schema
    observations: np.ndarray
    conditions: Course | None
    own: bool = True

    @cached_property
    def shown(self) -> np.ndarray:
        """The observations in the user's units."""
        return restore(self.observations, self.schema)

    def condition(self, subject: Subject, on: int | None, told: int | None = None) -> Any:
        """What is known beside observation `on`: where a model may choose its times itself, many,
        so that its curve is smooth; `told` is the class that a model is told."""
        if subject.told:
            return None if told is None else np.asarray(told)
        known = self.known(on)
        if subject.equation is None or (known is not None and known.inputs is not None):
            return known
        times = subject.times(known)
        assert times is not None
        return Course(times=np.linspace(times[0], times[-1], max(SAMPLES, len(times))))

    def known(self, on: int | None) -> Course | None:
        """What is known beside observation `on`, the first where there is none."""
        return jax.tree.map(lambda part: part[on or 0], self.conditions)

    def row(self, subject: Subject, on: int) -> tuple[np.ndarray, Any]:
        """Observation `on` as the only row of many, and what a model is told beside it."""
        known = None if subject.told else self.known(on)
        beside = jax.tree.map(lambda part: np.asarray(part)[None], known)
        return self.observations[on : on + 1], beside

    def times(self, on: int) -> np.ndarray | None:
        """When observation `on` was sampled, None for what is no series."""
        return next(iter(self.subjects.values())).times(self.known(on))

    def codes(self, subject: Subject) -> np.ndarray | None:
        """The latents of every observation, NaN for those that are not encoded: where a model's
        encoder is a fit all but the first few, and None where it was added here."""
        n = len(self.observations)
        if not n or subject.wrapped:
            return None
        rows = np.arange(min(n, MOST_FITS) if subject.slow else n)
        found = np.full((n, subject.model.latents.size), np.nan)
        beside = None if subject.told else jax.tree.map(lambda part: part[rows], self.conditions)
        found[rows] = show.codes(subject.encoder, self.observations[rows], conditions=beside)
        return found

    @cached_property
    def plane(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The first two principal components of what is shown: mean, directions `(2, entry)`, and
        the place of every observation `(n, 2)`, in standard deviations of the first."""
        flat = np.nan_to_num(np.asarray(self.shown, np.float64).reshape(len(self.shown), -1))
        mean = flat.mean(0)
        _, sizes, directions = np.linalg.svd(flat - mean, full_matrices=False)
        unit = max(float(sizes[0]) / np.sqrt(len(flat)), 1e-300)
        two = directions[:2] / unit
        # the sign of a component is nobody's choice: its largest entry is positive
        largest = np.abs(two).argmax(1)
        two = two * np.sign(two[np.arange(len(two)), largest])[:, None]
        return mean, two, (flat - mean) @ two.T


def explorer(
    sources: Sequence[str | Path | Run],
    *,
    data: str | None = None,
    names: Sequence[str | None] | None = None,
) -> Explorer:
    """The models of `sources`, each a run folder, a run, or an equation (`FILE.ode`, `zoo:NAME`),
    side by side on the observations that the first run keeps, or on `data`, a file, a folder or a
    built-in set that is read as that run read its own. `names`, what a reader calls each, where
    that is not the name of its folder or equation.

    **Raises:** `ValueError` where there is none, or where they are of different observations;
    `TypeError` for a model that has no latents to turn.
    """
    if not sources:
        raise ValueError("nothing was named to explore; give at least one run or equation.")
    subjects = [
        subject_of_run(source, f"m{i + 1}") if isinstance(source, Run)
        else subject_of(str(source), f"m{i + 1}")
        for i, source in enumerate(sources)
    ]  # fmt: skip
    if names is not None:
        subjects = [
            replace(subject, name=name or subject.name)
            for subject, name in zip(subjects, names, strict=True)
        ]
    first = next((s for s in subjects if s.run is not None), subjects[0])
    if data is not None:
        found = _read(data, first)
        schema, x, conditions = found.schema, found.observations, found.conditions
    elif first.run is not None:
        schema, x, conditions = first.schema, first.run.examples, first.run.conditions
    else:
        schema, conditions = first.schema, None
        x = np.zeros((0, *schema.shape))
    _check_alike(subjects, schema)
    return Explorer(
        {subject.id: subject for subject in _named(subjects)}, schema, x, conditions, data is None
    )


def _read(data: str, first: Subject) -> Dataset:
    settings = {} if first.run is None else dict(first.run.settings["data"])
    dataset = read_some(Source.from_settings({**settings, "paths": [data]}), MOST_OBSERVATIONS)
    return dataset.thinned(max(1, _MOST_NUMBERS // dataset.schema.size))


def _check_alike(subjects: Sequence[Subject], schema: Schema) -> None:
    for subject in subjects:
        own = subject.schema
        # an equation is solved at whatever times there are
        same = own.shape[-1] == schema.shape[-1] and own.is_series == schema.is_series
        if not same or (subject.equation is None and own.shape != schema.shape):
            raise ValueError(
                f"{subject.name} is a model of observations of shape {own.shape} "
                f"({', '.join(own.channels)}), and those to be shown have shape {schema.shape} "
                f"({', '.join(schema.channels)}); explore models of the same observations together."
            )


def _named(subjects: Sequence[Subject]) -> list[Subject]:
    """The subjects with names that differ."""
    names = [subject.name for subject in subjects]
    return [
        subject if names.count(subject.name) == 1
        else replace(subject, name=f"{subject.name} ({subject.id})")
        for subject in subjects
    ]  # fmt: skip
