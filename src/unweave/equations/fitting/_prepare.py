"""Recordings made ready for an equation: what is observed, when, what drives it, what is known."""

from collections.abc import Mapping

import numpy as np

from ..._course import Course
from ..._noise import AbstractCurveNoise
from ...data import Dataset
from .._system import AbstractSystem
from ..solving._choose import HostSystem, medians


class FitError(ValueError):
    """An equation that cannot be fitted to these data, with what would mend it."""


def courses(system: AbstractSystem, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Times `(record, time)` and inputs `(record, time, input)` in float64."""
    n = len(data)
    if not data.schema.is_series:
        raise FitError(
            f"an equation is fitted to courses in time, and these observations are "
            f"{data.schema.kind}; read them with --kind trajectories."
        )
    channels, wanted = data.schema.channels, tuple(v.name for v in system.observables)
    if len(channels) != len(wanted):
        raise FitError(
            f"the equation is observed as {', '.join(wanted)}, and the data have "
            f"{len(channels)} channel(s): {', '.join(channels)}. Choose as many columns, in that "
            "order, with --columns, or say what is observed with a line such as "
            f"'observe {wanted[0]}'."
        )
    if set(channels) == set(wanted) and channels != wanted:
        raise FitError(
            f"the columns come as {', '.join(channels)} and the equation as {', '.join(wanted)}; "
            f"give --columns {','.join(wanted)}."
        )
    condition = data.conditions
    course = condition if isinstance(condition, Course) else Course(None, None)
    times = course.times if course.times is not None else np.tile(data.schema.times, (n, 1))
    inputs = course.inputs if course.inputs is not None else np.zeros((n, times.shape[1], 0))
    if inputs.shape[2] != len(system.inputs):
        names = ", ".join(v.name for v in system.inputs) or "none"
        raise FitError(
            f"the equation's inputs are {names}, and the data give {inputs.shape[2]}; name the "
            "columns that drive it with --inputs, in that order."
        )
    return np.asarray(times, np.float64), np.asarray(inputs, np.float64)


def prepared(
    system: AbstractSystem,
    data: Dataset,
    times: np.ndarray,
    kind: AbstractCurveNoise,
    fixed: Mapping[str, float],
    place: Mapping[int, int],
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The observations, what each record pins, and notes of what was set aside; `place` says
    which latent is the initial value of which state."""
    x = np.array(data.observations, dtype=np.float64)
    latents, notes = system.latents, []
    pinned = np.full((len(x), latents.size), np.nan)
    for name, value in fixed.items():
        latent, _, record = name.partition("@")
        rows = np.ones(len(x), dtype=bool) if not record else data.records.astype(str) == record
        if not rows.any():
            raise FitError(
                f"'{name}' is fixed in a record that is not there; there are "
                f"{', '.join(sorted(set(data.records.astype(str))))}."
            )
        pinned[rows, latents.index(latent)] = value
    for record, state in _absent(system, x, times, place):
        channel = system.observables[state].name
        pinned[record, place[state]] = 0.0
        x[record, :, state] = np.nan
        notes.append(
            f"{channel} is 0 throughout record {data.records[record]}: it is absent there."
        )
    notes += _never_seen(system, x, pinned, data, place)
    if kind.is_log and kind.has_scale and np.nanmin(x) <= 0:
        r, i, c = np.argwhere(x <= 0)[0]
        raise FitError(
            f"log-normal noise needs positive numbers, and {system.observables[c].name} is "
            f"{x[r, i, c]:g} at {times[r, i]:g} {data.schema.time_unit} of record "
            f"{data.records[r]}; use --noise gaussian, or leave that number empty."
        )
    if not kind.has_scale and np.nanmin(x) < 0:
        raise FitError("Poisson noise counts, and some of the data are negative.")
    seen = int((~np.isnan(x)).sum())
    free = int(np.isnan(pinned)[:, ~np.asarray(system.is_own)].any(0).sum())
    free += int(np.isnan(pinned)[:, np.asarray(system.is_own)].sum())
    if seen <= free:
        raise FitError(
            f"{seen} numbers were observed and {free} latents are free; fix some of them, such as "
            f"--fix {latents.names[0]}=1, or give more data."
        )
    return x, pinned, notes


def _absent(
    system: AbstractSystem, x: np.ndarray, times: np.ndarray, place: Mapping[int, int]
) -> list[tuple[int, int]]:
    """Records and states that are observed as 0 throughout, where 0 stays 0: no one is there."""
    z = medians(system.latents)
    host, found = HostSystem(system), []
    for state in place:
        if state >= x.shape[2] or system.observables[state].name != system.states[state].name:
            continue
        ones = np.ones(len(system.states))
        ones[state] = 0.0
        if host.rates(z)(float(times[0, 0]), ones)[state] != 0:
            continue
        for record in range(len(x)):
            column = x[record, :, state]
            if np.isfinite(column).any() and np.all(column[np.isfinite(column)] == 0):
                found.append((record, state))
    return found


def _never_seen(
    system: AbstractSystem,
    x: np.ndarray,
    pinned: np.ndarray,
    data: Dataset,
    place: Mapping[int, int],
) -> list[str]:
    """A note for each start that is fitted although its state was never observed there."""
    notes = []
    for state, j in place.items():
        if state >= x.shape[2] or not system.is_own[j] or len(x) == 1:
            continue
        name, latent = system.observables[state].name, system.latents.names[j]
        for record in np.flatnonzero(np.isnan(x[:, :, state]).all(axis=1)):
            if np.isnan(pinned[record, j]):
                at = f"{latent}@{data.records[record]}"
                notes.append(
                    f"{name} was never observed in record {data.records[record]}, and its start "
                    f"is fitted all the same; if it was absent, add --fix '{at}=0'."
                )
    return notes
