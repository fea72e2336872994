"""One course of an equation, solved on the host in float64: where it fails is part of the answer.

The model itself is compiled and gives numbers that are not finite where a solve fails. Here is
the slow and careful way for one course: it says when, in which state and at which latents the
solve ended, and what to try.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from scipy.integrate import DOP853, LSODA, OdeSolver
from scipy.optimize import root_scalar

from ..._model import Condition
from ..._schema import Schema
from .._system import AbstractSystem
from ..language._events import Event
from ..language._text import TextSystem
from ._choose import HostSystem, Rates
from ._drive import Drive, course, drive
from ._equation import Equation, interpolations

# evaluations of the rates and happenings after which a course is given up
_MOST_CALLS = 400_000
_MOST_EVENTS = 10_000
_HUGE = 1e100
# two of the same event within this share of the course: the rebounds will never end
_CROWDED = 1e-7
_WHOLE_STEP = np.array([0.0, 1.0])
_CLOSER = np.concatenate([[0.0], 2.0 ** np.arange(-40, 1)])


@dataclass(frozen=True, eq=False)
class Solution:
    """A course at `times` `(time,)`: `states` `(time, state)` and what an instrument without
    noise would read, `readings` `(time, observable)`; NaN from where it ended.

    `ok` says whether the course is whole, up to the last time or to an event that ends it, and
    `sentence` how it went: of one that failed, when, in which state, at which latents, and what
    to try.
    """

    times: np.ndarray
    states: np.ndarray
    readings: np.ndarray
    ok: bool
    sentence: str


def solution(
    equation: Equation,
    z: np.ndarray | Array,
    condition: Condition = None,
    *,
    relative: float = 1e-9,
) -> Solution:
    """The course at the latents `z` `(latent,)` by LSODA (Petzold 1983), which turns implicit
    where the equation is stiff; events of the text reset the state or end the course. An
    event is seen where its condition has changed its sign from one step to the next.

    **Arguments:** `condition` as of `Equation`: the times, or a `Course` with times and inputs;
    `relative`, the tolerance of each step in proportion to the state.

    **Raises:** `ValueError` for latents that do not fit the equation, are not finite, or give no
    start; never for a course that fails.
    """
    point = np.asarray(z, dtype=np.float64)
    names = equation.latents.names
    if point.shape != (len(names),) or not np.isfinite(point).all():
        raise ValueError(
            f"the equation has {len(names)} latents ({', '.join(names)}), and {point.tolist()} was "
            "given; give one finite number for each."
        )
    with jax.enable_x64(True):
        times, inputs = course(equation.times, condition, jnp.asarray(point))
        driven = drive(times, inputs, interpolations(equation.system))
        solver = _Solver(equation, point, driven, relative)
        states, ended = solver.solve(np.asarray(times))
        readings = _readings(equation.system, np.asarray(times), states, solver)
    ok = not isinstance(ended, _Failure)
    sentence = _sentence(equation, point, ended) if isinstance(ended, _Failure) else ended
    return Solution(np.asarray(times), states, readings, ok, sentence)


def course_schema(system: AbstractSystem, times: np.ndarray | Sequence[float]) -> Schema:
    """What an observation of a system at these times is: its channels, units and times."""
    grid = np.asarray(times, dtype=np.float64)
    step = float(np.diff(grid).mean())
    even = np.allclose(np.diff(grid), step, rtol=1e-6, atol=0.0)
    channels = system.observables
    return Schema(
        kind="series",
        axes=("time", "channel"),
        shape=(len(grid), len(channels)),
        channels=tuple(variable.name for variable in channels),
        units=tuple(variable.unit for variable in channels),
        step=step,
        origin=float(grid[0]),
        time_unit=system.time_unit,
        instants=() if even else tuple(grid.tolist()),
    )


@dataclass(frozen=True, eq=False)
class _Failure:
    """Where a course could not go on, and why."""

    t: float
    x: np.ndarray
    reason: str
    remedy: str


class _Solver:
    """The equation at one point of its latents, as functions of time and state."""

    def __init__(self, equation: Equation, z: np.ndarray, driven: Drive, relative: float):
        system = equation.system
        self.z, self.driven, self.relative = z, driven, relative
        self.host = HostSystem(system)
        self.unit = system.time_unit
        self.events = system.events if isinstance(system, TextSystem) else ()
        self.conditions = [self._scalar(event) for event in self.events]
        self.calls = 0
        if not driven.kinds:
            constant = self.host.rates(z)
            self.rates: Rates = self._counted(constant)
        else:
            self.rates = self._counted(lambda t, x: self.host.rates(z, self.inputs(t))(t, x))

    def solve(self, times: np.ndarray) -> tuple[np.ndarray, "str | _Failure"]:
        """The states `(time, state)` at `times`, and how the course ended."""
        t, x = float(times[0]), self.host.start(self.z)
        states = np.full((len(times), len(x)), np.nan)
        happened, previous = 0, (-np.inf, None)
        while True:
            states[times == t] = x
            if t >= times[-1]:
                return states, self._whole(times, happened)
            found = self._stretch(t, x, times, states)
            if isinstance(found, _Failure):
                return states, found
            t, x, which = found
            if which is None:
                continue
            happened += 1
            event = self.events[which]
            if event.reset is None:
                return states, f"It ended at {_quantity(t, self.unit)}: {event.words}."
            near = t - previous[0] <= _CROWDED * (times[-1] - times[0])
            if (near and which == previous[1]) or happened > _MOST_EVENTS:
                reason = f"'{event.words}' happens again and again, {happened} times by then"
                return states, _Failure(t, x, reason, "Let it stop where it comes to rest.")
            previous = (t, which)
            x = np.asarray(event.reset(*self._arguments(t, x)))

    def _stretch(
        self, t: float, x: np.ndarray, times: np.ndarray, states: np.ndarray
    ) -> "tuple[float, np.ndarray, int | None] | _Failure":
        """Steps to the last time or the next event, which is the number in the answer; writes
        the states that lie on the way."""
        if not np.isfinite(self.rates(t, x)).all():
            return _Failure(t, x, "the rates are not finite there", _OTHER_LATENTS)
        solver, careful = self._begun(LSODA, t, x, times[-1]), False
        while solver.status == "running":
            before, last = float(solver.t), solver.y.copy()
            with np.errstate(all="ignore"):
                message = solver.step()
            if message or solver.t == before or not _sound(solver.y):
                if careful or self.calls > _MOST_CALLS:
                    return _Failure(before, last, *_reason(solver.y))
                # it steps back from where the rates are no numbers, which LSODA does not
                solver, careful = self._begun(DOP853, before, last, times[-1]), True
                continue
            if self.calls > _MOST_CALLS:
                reason = f"{_MOST_CALLS} evaluations of the rates led no further"
                return _Failure(before, last, reason, _EARLIER)
            path = solver.dense_output()
            # a rebound may be over before the first step is: it is looked at ever more closely
            parts = _CLOSER if before == t else _WHOLE_STEP
            steps = before + (float(solver.t) - before) * parts
            at, which = self._next_event(steps, path)
            inside = (times > before) & (times <= at)
            states[inside] = path(times[inside]).T
            if which is not None:
                return at, path(at), which
        return float(solver.t), solver.y, None

    def _begun(
        self, kind: type[LSODA] | type[DOP853], t: float, x: np.ndarray, end: float
    ) -> OdeSolver:
        absolute = self.relative * 1e-3 * max(1.0, float(np.abs(x).max(initial=0.0)))
        with np.errstate(all="ignore"):
            return kind(self.rates, t, x, end, rtol=self.relative, atol=absolute)

    def _next_event(
        self, steps: np.ndarray, path: Callable[[float], np.ndarray]
    ) -> tuple[float, int | None]:
        """The first time between two of `steps` at which a condition rises through zero, and
        which one; or the last of `steps`."""
        first, which = float(steps[-1]), None
        for i, condition in enumerate(self.conditions):

            def at(t: float, condition: Callable = condition) -> float:
                return condition(t, path(t))

            signs = np.sign([at(t) for t in steps])
            for k in np.flatnonzero((signs[:-1] < 0) & (signs[1:] >= 0))[:1]:
                ends = (steps[k], steps[k + 1])
                found = root_scalar(at, bracket=ends, method="brentq", xtol=_near(first))
                if found.root <= first:
                    first, which = float(found.root), i
        return first, which

    def _whole(self, times: np.ndarray, happened: int) -> str:
        text = f"Solved from {times[0]:g} to {_quantity(times[-1], self.unit)}."
        return f"{text} {happened} event(s) on the way." if happened else text

    def inputs(self, t: float) -> np.ndarray:
        """The inputs at one time."""
        if not self.driven.kinds:
            return np.zeros(0)
        return np.asarray(_driven(self.driven, jnp.asarray(t, jnp.float64)))

    def _arguments(self, t: float, x: np.ndarray) -> tuple[Array, Array, Array, Array]:
        return jnp.asarray(t), jnp.asarray(x), jnp.asarray(self.z), jnp.asarray(self.inputs(t))

    def _scalar(self, event: Event) -> Callable[[float, np.ndarray], float]:
        compiled = jax.jit(event.condition)
        return lambda t, x: float(compiled(*self._arguments(t, x)))

    def _counted(self, rates: Rates) -> Rates:
        def counted(t: float, x: np.ndarray) -> np.ndarray:
            self.calls += 1
            return rates(t, x)

        return counted


def _reason(x: np.ndarray) -> tuple[str, str]:
    if not _sound(x):
        return "the state grew without bound or became no number", _EARLIER
    return "no step is as small as the tolerance asks for: a singularity is near", _EARLIER


_EARLIER = "End earlier, or change the latents."
_OTHER_LATENTS = "Change the latents or the start: a root, a logarithm or a quotient has no value."


@eqx.filter_jit
def _driven(driven: Drive, t: Array) -> Array:
    return driven(t)


def _readings(
    system: AbstractSystem, times: np.ndarray, states: np.ndarray, solver: _Solver
) -> np.ndarray:
    """What is read of each state; nothing where there is none."""
    observe = _observer(system)
    readings = np.full((len(times), len(system.observables)), np.nan)
    for i in np.flatnonzero(np.isfinite(states).all(axis=1)):
        t, x = times[i], states[i]
        readings[i] = observe(t, x, solver.z, solver.inputs(t))
    return readings


def _observer(system: AbstractSystem) -> Callable[..., np.ndarray]:
    if isinstance(system, TextSystem):
        return system.numpy_observe()
    compiled = eqx.filter_jit(system.observe)

    def observe(*arguments: np.ndarray | float) -> np.ndarray:
        return np.asarray(compiled(*(jnp.asarray(a, jnp.float64) for a in arguments)))

    return observe


def _sentence(equation: Equation, z: np.ndarray, failure: _Failure) -> str:
    system, latents = equation.system, equation.latents
    state = _listed([v.name for v in system.states], failure.x, [v.unit for v in system.states])
    at = _listed(latents.names, z, latents.units)
    return (
        f"The course stopped at {_quantity(failure.t, system.time_unit)}, where {state}, with "
        f"{at or 'no latents'}: {failure.reason}. {failure.remedy}"
    )


def _listed(names: Sequence[str], values: np.ndarray, units: Sequence[str]) -> str:
    parts = zip(names, values, units, strict=True)
    return ", ".join(f"{name} = {_quantity(value, unit)}" for name, value, unit in parts)


def _quantity(value: float, unit: str) -> str:
    return f"{value:.6g} {unit}".strip()


def _near(t: float) -> float:
    return 1e-13 * max(1.0, abs(t))


def _sound(x: np.ndarray) -> bool:
    return bool(np.isfinite(x).all() and np.abs(x).max(initial=0.0) < _HUGE)
