"""`unweave simulate`: courses of an equation, at chosen latents or at drawn ones."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .._course import Course
from .._latents import Latents
from .._noise import AbstractCurveNoise, Gaussian
from ..data import read_signals
from ._output import Result, check_free, write_observations

if TYPE_CHECKING:
    from ..equations.language._text import TextSystem

_ZOO = "zoo:"
# so many rows are printed of a course
_SHOWN = 11


@dataclass(frozen=True, eq=False)
class _Courses:
    """Readings `(n, time, observable)`, and a sentence for each course that is not whole."""

    readings: np.ndarray
    failures: dict[int, str]
    sentence: str = ""


def simulate_verb(options: argparse.Namespace) -> Result:
    """Reads the equation, solves it, adds noise where it was asked for, and writes the courses."""
    from ..equations.solving._solution import course_schema  # and with it SymPy

    path = None if options.output is None else Path(options.output)
    if path is not None:
        check_free(path, force=options.force)
    system = read_system(options.source)
    zs = _points(system.latents, options)
    times, inputs = _times(system, options)
    random = bool(system.noises or system.jumps)
    if random and options.noise:
        raise ValueError(
            "this equation is stochastic: its paths are drawn, and it says of no noise of a "
            "measurement beside; leave --noise away."
        )
    solve = _paths if random else _solved
    found = solve(system, zs, times, inputs, options)
    result = _result(system, zs, found, options)
    if path is None:
        result |= {"times": times.tolist(), "readings": found.readings.tolist()}
    else:
        write_observations(
            path, [found.readings], len(found.readings), course_schema(system, times)
        )
        result["output"] = str(path)
    return result, _words(system, zs, times, found, path)


def read_system(source: str) -> "TextSystem":
    """The equation that is named on the command line."""
    from ..equations import parse, source_text

    return parse(source_text(source))


def _points(latents: Latents, options: argparse.Namespace) -> np.ndarray:
    """The latents of every course `(n, latent)`: what was set, the rest at the medians of their
    priors, or with -n drawn."""
    if options.n is not None and options.n < 1:
        raise ValueError(f"{options.n} courses were asked for; give -n at least 1.")
    given = given_values(latents, options.set or [])
    with jax.enable_x64(True):
        if options.n is None:
            zs = latents.from_normal(jnp.zeros(latents.size))[None]
        else:
            keys = jax.random.split(jax.random.key(options.seed), options.n)
            zs = jax.vmap(latents.sample)(keys)
        points = np.array(zs)
    for name, value in given.items():
        points[:, latents.index(name)] = value
    return points


def given_values(latents: Latents, words: list[str]) -> dict[str, float]:
    """What `--set name=value` says."""
    from ..equations.language._syntax import meant

    given: dict[str, float] = {}
    for word in words:
        name, equals, text = (part.strip() for part in word.partition("="))
        if not equals:
            raise ValueError(f"'{word}' sets nothing; write it as --set NAME=VALUE.")
        if name not in latents.names:
            known = ", ".join(latents.names) or "none"
            raise ValueError(
                f"no latent is called '{name}'.{meant(name, latents.names)} There are {known}."
            )
        try:
            given[name] = float(text)
        except ValueError:
            given[name] = np.nan
        if not np.isfinite(given[name]):
            raise ValueError(f"'{text}' is no value of {name}; give a number.")
    return given


def _times(
    system: "TextSystem", options: argparse.Namespace
) -> tuple[np.ndarray, np.ndarray | None]:
    """The times of the courses, and the inputs at them."""
    from ..equations._zoo import zoo_times

    if system.inputs:
        return _driven(system, options)
    if options.inputs is not None:
        raise ValueError("the equation has no input; leave --inputs away.")
    if options.source.startswith(_ZOO):
        name = options.source.removeprefix(_ZOO)
        return np.asarray(zoo_times(name, until=options.until, samples=options.samples)), None
    until = 10.0 if options.until is None else options.until
    samples = 201 if options.samples is None else options.samples
    if not 0 < until < np.inf:
        raise ValueError(f"a course begins at 0 and cannot end at {until:g}; give a later --until.")
    if samples < 2:
        raise ValueError(f"{samples} samples make no course; give --samples at least 2.")
    return np.linspace(0.0, until, samples), None


def _driven(
    system: "TextSystem", options: argparse.Namespace
) -> tuple[np.ndarray, np.ndarray | None]:
    """The times and the inputs of the file that was named."""
    names = [variable.name for variable in system.inputs]
    if options.inputs is None:
        raise ValueError(
            f"the equation is driven by {', '.join(names)}; name a table with the times and "
            f"{'this column' if len(names) == 1 else 'these columns'}: --inputs FILE --time COLUMN."
        )
    if options.samples is not None:
        raise ValueError("with --inputs the times are those of its rows; leave --samples away.")
    signals = read_signals(options.inputs, columns=names, time=options.time)
    if len(signals) != 1:
        raise ValueError(f"{options.inputs} holds {len(signals)} records; give one of them.")
    signal = signals[0]
    kept = signal.times <= (np.inf if options.until is None else options.until)
    if kept.sum() < 2:
        raise ValueError(
            f"{options.inputs} has {kept.sum()} row(s) up to {options.until:g}, and a course needs "
            "at least two; give a later --until."
        )
    return signal.times[kept], signal.values[kept]


def _solved(
    system: "TextSystem",
    zs: np.ndarray,
    times: np.ndarray,
    inputs: np.ndarray | None,
    options: argparse.Namespace,
) -> _Courses:
    """Every course by itself, on the host, with noise where it was asked for."""
    from ..equations.solving._equation import Equation
    from ..equations.solving._solution import solution
    from ..equations.solving._solve import Adaptive

    # the noise of the model is not used: how large it is depends on the courses
    unit = Gaussian.fixed((1.0,) * len(system.observables))
    model = Equation(
        system=system,
        latents=system.latents,
        noise=unit,
        times=tuple(times.tolist()),
        method=Adaptive(),
    )
    solved = [solution(model, z, Course(times, inputs)) for z in zs]
    failures = {i: s.sentence for i, s in enumerate(solved) if not s.ok}
    readings = np.stack([s.readings for s in solved])
    if options.noise:
        noise = _noise(system, readings, options)
        with jax.enable_x64(True):
            y = jnp.asarray(readings)
            key = jax.random.fold_in(jax.random.key(options.seed), 1)
            readings = np.asarray(noise.sample(key, noise.link(y)))
    return _Courses(readings, failures, solved[0].sentence if len(solved) == 1 else "")


def _noise(
    system: "TextSystem", readings: np.ndarray, options: argparse.Namespace
) -> AbstractCurveNoise:
    """The zoo's noise where it has one, or 5 % of each channel's range in these courses."""
    from ..equations._zoo import zoo_entry
    from ..equations.solving._choose import Choice
    from ..equations.solving._equation import noise_like, noise_word
    from ..equations.solving._solve import Adaptive

    if options.source.startswith(_ZOO):
        known = zoo_entry(options.source.removeprefix(_ZOO)).noise
        if known is not None:
            return Gaussian.fixed((known,))
    rows = readings.reshape(-1, readings.shape[-1])
    rows = rows[np.isfinite(rows).all(axis=1)]
    if not len(rows):
        raise ValueError("no course has a reading that noise could be added to.")
    ranges = np.ptp(rows, axis=0)
    size = np.where(ranges > 0, ranges, np.maximum(np.abs(rows).max(axis=0), 1e-12))
    return noise_like(noise_word(system), Choice(Adaptive(), size))


def _paths(
    system: "TextSystem",
    zs: np.ndarray,
    times: np.ndarray,
    inputs: np.ndarray | None,
    options: argparse.Namespace,
) -> _Courses:
    """Random paths of a stochastic equation."""
    from ..equations.stochastic._equation import stochastic_equation

    model = stochastic_equation(system, times=times)
    with jax.enable_x64(True):
        condition = Course(jnp.asarray(times), None if inputs is None else jnp.asarray(inputs))
        keys = jax.random.split(jax.random.fold_in(jax.random.key(options.seed), 1), len(zs))
        draw = jax.jit(jax.vmap(lambda z, key: model.decode(z, condition, key=key)))
        readings = np.asarray(draw(jnp.asarray(zs), keys))
    broken = np.flatnonzero(~np.isfinite(readings).all(axis=(1, 2)))
    why = "The path did not stay finite. End earlier, or change the latents."
    return _Courses(readings, {int(i): why for i in broken}, "A random path.")


def _result(
    system: "TextSystem", zs: np.ndarray, found: _Courses, options: argparse.Namespace
) -> dict[str, Any]:
    names, channels = system.latents.names, system.observables
    return {
        "source": options.source,
        "n": len(zs),
        "seed": options.seed,
        "noise": options.noise,
        "ok": not found.failures,
        "failures": [{"course": i, "sentence": s} for i, s in found.failures.items()],
        "latents": [dict(zip(names, z.tolist(), strict=True)) for z in zs],
        "latent_units": dict(zip(names, system.latents.units, strict=True)),
        "channels": [variable.name for variable in channels],
        "units": [variable.unit for variable in channels],
        "time_unit": system.time_unit,
    }


def _words(
    system: "TextSystem", zs: np.ndarray, times: np.ndarray, found: _Courses, path: Path | None
) -> str:
    lines = []
    if len(zs) == 1:
        latents = zip(system.latents.names, zs[0], system.latents.units, strict=True)
        lines.append(", ".join(f"{name} = {z:.6g} {unit}".rstrip() for name, z, unit in latents))
        if path is None:
            lines += _table(system, times, found.readings[0])
        lines.append(found.sentence)
    else:
        whole = len(zs) - len(found.failures)
        lines.append(f"{whole} of {len(zs)} courses are whole.")
        lines += [f"course {i}: {s}" for i, s in list(found.failures.items())[:3]]
    if path is not None:
        lines.append(f"courses: {path}" if len(zs) > 1 else f"course: {path}")
    return "\n".join(line for line in lines if line)


def _table(system: "TextSystem", times: np.ndarray, readings: np.ndarray) -> list[str]:
    """A few rows of a course, spread over it."""
    names = [("time", system.time_unit), *((v.name, v.unit) for v in system.observables)]
    heads = [f"{name} ({unit})" if unit else name for name, unit in names]
    reached = np.flatnonzero(np.isfinite(readings).all(axis=1))
    rows = np.unique(np.linspace(0, max(reached, default=0), _SHOWN).astype(int))
    cells = [[f"{v:.6g}" for v in (times[i], *readings[i])] for i in rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    return ["  ".join(c.rjust(w) for c, w in zip(r, widths, strict=True)) for r in [heads, *cells]]
