"""Which method solves an equation: decided once, on the host, against SciPy's LSODA.

Nothing is compiled here, so that a model is there at once; a `Grid` is taken where it agrees
with a solve of automatic steps at the centre of the priors and at a few draws of them.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.integrate import ODEintWarning, odeint, solve_ivp

from ..._latents import Latents
from ..._programs import program
from .._system import AbstractSystem
from ..language._text import TextSystem
from ._drive import Drive
from ._segments import MOST
from ._solve import AbstractMethod, Adaptive, Grid

#: A path on a grid agrees where it differs by no more than this share of the state's range.
AGREES = 1e-4
_DRAWS = 4
_MOST_SUBSTEPS = 8
# evaluations of the rates: what LSODA needs for ten thousand steps
_MOST_CALLS = 40_000

Rates = Callable[[float, np.ndarray], np.ndarray]
ManyRates = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Choice:
    """The method, and the range of each observable at the priors' centre."""

    method: AbstractMethod
    ranges: np.ndarray


class HostSystem(eqx.Module):
    """A system as functions of NumPy arrays in float64, for SciPy."""

    system: AbstractSystem

    def rates(self, z: np.ndarray, u: np.ndarray | None = None) -> Rates:
        """$(t, x) \\mapsto f(t, x, z, u)$ for these latents and constant inputs."""
        inputs = np.zeros(len(self.system.inputs)) if u is None else u
        if isinstance(self.system, TextSystem):
            function, z_list, u_list = self.system.float_rates(), z.tolist(), inputs.tolist()
            return lambda t, x: np.asarray(function(float(t), x.tolist(), z_list, u_list), float)
        return lambda t, x: _double(_rates, self.system, t, x, z, inputs)

    def many_rates(self, z: np.ndarray) -> ManyRates:
        """The same for many states `(state, n)` at once, each at a time of its own `(n,)`."""
        inputs = np.zeros(len(self.system.inputs))
        if isinstance(self.system, TextSystem):
            function = self.system.numpy_rates()
            return lambda t, x: function(t, x, z, inputs)
        return lambda t, x: _double(_many_rates, self.system, t, x.T, z, inputs).T

    def start(self, z: np.ndarray) -> np.ndarray:
        """The state at the first time."""
        if isinstance(self.system, TextSystem):
            return np.asarray(self.system.numpy_start()(z), dtype=np.float64)
        return _double(_start, self.system, z)

    def readings(self, times: np.ndarray, path: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The noiseless readings `(time, observable)` of a path `(time, state)`."""
        inputs = np.zeros(len(self.system.inputs))
        if not isinstance(self.system, TextSystem):
            return _double(_many_readings, self.system, times, path, z, inputs)
        return np.asarray(self.system.numpy_observe()(times, path.T, z, inputs)).T

    def observe(self, t: float, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The noiseless reading of one state."""
        if isinstance(self.system, TextSystem):
            inputs = np.zeros(len(self.system.inputs))
            return np.asarray(self.system.numpy_observe()(t, x, z, inputs), dtype=np.float64)
        return _double(_observe, self.system, t, x, z, np.zeros(len(self.system.inputs)))


def suited(system: AbstractSystem, latents: Latents, times: np.ndarray) -> Choice:
    """The cheapest method that is right at the centre of the priors and at a few of their draws.

    **Raises:** `ValueError` where no solve from the centre reaches the last time.
    """
    if isinstance(system, TextSystem) and system.events:
        return _with_events(system, latents, times)
    host = HostSystem(system)
    points = starting_points(latents, _DRAWS + 1)
    solved = [(z, reference(host, z, times)) for z in points]
    z, centre = solved[0]
    reached = [(z, path) for z, path in solved if path is not None]
    if centre is None and not reached:
        raise ValueError(
            f"the equation cannot be solved from {times[0]:g} to {times[-1]:g} at the centre of "
            "its priors, nor at any of a few draws: it explodes, or its rates are not finite "
            "there. Narrow the ranges, or end earlier with until=."
        )
    z, centre = reached[0]
    some = np.linspace(0, len(times) - 1, min(len(times), 50)).astype(int)
    readings = np.stack([host.observe(float(times[i]), centre[i], z) for i in some])
    ranges = np.ptp(readings, axis=0)
    size = np.where(ranges > 0, ranges, np.maximum(np.abs(readings).max(axis=0), 1e-12))
    return Choice(_method(host, reached, times), size)


def _with_events(system: TextSystem, latents: Latents, times: np.ndarray) -> Choice:
    """Events cut steps short, which no fixed grid can."""
    method = Adaptive()
    with jax.enable_x64(True):
        z = latents.from_normal(jnp.zeros(latents.size))
        at = jnp.asarray(times)
        u = Drive(at, jnp.zeros((len(times), len(system.inputs))), system.interpolations)
        path = method.path(system, at, z, u)
        y = np.asarray(jax.vmap(lambda t, x: system.observe(t, x, z, u(t)))(at, path))
    if not np.isfinite(y).all():
        raise ValueError(
            "the equation cannot be solved to the last time at the centre of its priors: it "
            f"explodes, or has more than {MOST} events. Narrow the ranges, or end earlier."
        )
    ranges = np.ptp(y, axis=0)
    return Choice(method, np.where(ranges > 0, ranges, 1.0))


def starting_points(latents: Latents, n: int, *, seed: int = 0) -> np.ndarray:
    """The priors' medians, then points spread evenly over the priors `(n, latent)`: a scrambled
    Sobol sequence (Owen 1998) through the priors' quantiles."""
    from scipy.stats import norm, qmc

    power = max(1, int(np.ceil(np.log2(max(n - 1, 1)))))
    shares = qmc.Sobol(latents.size, rng=np.random.default_rng(seed)).random_base2(power)
    scores = norm.ppf(np.clip(shares[: n - 1], 1e-3, 1 - 1e-3))
    scores = np.concatenate([np.zeros((1, latents.size)), scores])
    return quantiles(latents, scores)


def quantiles(latents: Latents, scores: np.ndarray) -> Float[np.ndarray, "point latent"]:
    """Latents at standard normal scores `(point, latent)`, in float64 and in one program."""
    with jax.enable_x64(True):
        return np.asarray(_quantiles(latents, jnp.asarray(scores, jnp.float64)))


@program
def _quantiles(latents: Latents, scores: Array) -> Array:
    return jax.vmap(latents.from_normal)(scores)


def medians(latents: Latents) -> Float[np.ndarray, " latent"]:
    """The priors' medians."""
    return quantiles(latents, np.zeros((1, latents.size)))[0]


def reference(host: HostSystem, z: np.ndarray, times: np.ndarray) -> np.ndarray | None:
    """The states `(time, state)` by LSODA (Petzold 1983) with tight tolerances, or None."""
    rates, start = _counted(host.rates(z)), host.start(z)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", ODEintWarning)
            path, told = odeint(
                rates, start, times, tfirst=True, rtol=1e-9, full_output=True, mxstep=5000,
                atol=1e-11 * max(1.0, float(np.abs(start).max())),
            )  # fmt: skip
    except (_TooMany, ValueError, OverflowError, ZeroDivisionError):
        return None
    good = told["message"] == "Integration successful." and bool(np.isfinite(path).all())
    return path if good else None


def grid_path(
    host: HostSystem, z: Float[np.ndarray, "*point latent"], times: np.ndarray, substeps: int
) -> Float[np.ndarray, "time *point state"]:
    """What `Grid(substeps)` gives, in NumPy, for one point or for many at once."""
    points = z if z.ndim == 2 else z[None]
    rates = _each(host, points)
    x = np.stack([host.start(point) for point in points], axis=-1)
    path = [x]
    with np.errstate(all="ignore"):
        for t, width in zip(times[:-1], np.diff(times), strict=True):
            h = width / substeps
            for i in range(substeps):
                k1 = rates(t + i * h, x)
                k2 = rates(t + (i + 0.5) * h, x + 0.5 * h * k1)
                k3 = rates(t + (i + 0.5) * h, x + 0.5 * h * k2)
                x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + rates(t + (i + 1) * h, x + h * k3))
            path.append(x)
    every = np.moveaxis(np.stack(path), 1, 2)
    return every if z.ndim == 2 else every[:, 0]


def _each(host: HostSystem, points: np.ndarray) -> Rates:
    """The rates of many points, one after the other."""
    functions = [host.rates(point) for point in points]

    def rates(t: float, x: np.ndarray) -> np.ndarray:
        parts = zip(functions, x.T, strict=True)
        return np.stack([one(t, np.ascontiguousarray(part)) for one, part in parts], axis=-1)

    return rates


def enough_substeps(
    host: HostSystem,
    solved: list[tuple[np.ndarray, np.ndarray]],
    times: np.ndarray,
    *,
    most: int = _MOST_SUBSTEPS,
    agrees: float = AGREES,
) -> int | None:
    """The fewest substeps with which the grid agrees with every solved path, or None."""
    substeps, points = 1, np.stack([z for z, _ in solved])
    while substeps <= most:
        grid = grid_path(host, points, times, substeps)
        if all(_agree(grid[:, i], path, agrees) for i, (_, path) in enumerate(solved)):
            return substeps
        substeps *= 2
    return None


def _method(
    host: HostSystem, solved: list[tuple[np.ndarray, np.ndarray]], times: np.ndarray
) -> AbstractMethod:
    substeps = enough_substeps(host, solved, times)
    if substeps is not None:
        return Grid(substeps)
    return Adaptive(stiff=any(_is_stiff(host, z, times) for z, _ in solved))


def _is_stiff(host: HostSystem, z: np.ndarray, times: np.ndarray) -> bool:
    """Whether an explicit method needs far more evaluations than LSODA, which may be implicit."""
    counts = []
    for method, cap in (("LSODA", _MOST_CALLS), ("RK45", None)):
        most = cap if cap is not None else 10 * counts[0] + 1000
        rates = _counted(host.rates(z), most)
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                solve_ivp(rates, (times[0], times[-1]), host.start(z), method=method, rtol=1e-6,
                          atol=1e-9)  # fmt: skip
        except (_TooMany, ValueError):
            return method == "RK45"
        counts.append(rates.calls)
    return False


def _agree(path: np.ndarray, exact: np.ndarray, agrees: float) -> bool:
    size = np.maximum(np.ptp(exact, axis=0), 1e-9 * np.maximum(np.abs(exact).max(axis=0), 1e-300))
    with np.errstate(all="ignore"):
        return bool(np.all(np.abs(path - exact) <= agrees * size))


class _TooMany(Exception):
    pass


class _counted:
    """Rates that give up after so many calls: a hopeless point must not hold up the rest."""

    def __init__(self, rates: Rates, most: int = _MOST_CALLS):
        self.rates, self.most, self.calls = rates, most, 0

    def __call__(self, t: float, x: np.ndarray) -> np.ndarray:
        self.calls += 1
        if self.calls > self.most:
            raise _TooMany
        return self.rates(t, x)


# each compiled once for a system of some shape, whatever its numbers are
@program
def _rates(system: AbstractSystem, t: Array, x: Array, z: Array, u: Array) -> Array:
    return system.rates(t, x, z, u)


@program
def _many_rates(system: AbstractSystem, t: Array, x: Array, z: Array, u: Array) -> Array:
    return jax.vmap(lambda t, x: system.rates(t, x, z, u))(t, x)


@program
def _start(system: AbstractSystem, z: Array) -> Array:
    return system.start(z)


@program
def _observe(system: AbstractSystem, t: Array, x: Array, z: Array, u: Array) -> Array:
    return system.observe(t, x, z, u)


@program
def _many_readings(system: AbstractSystem, t: Array, x: Array, z: Array, u: Array) -> Array:
    return jax.vmap(lambda t, x: system.observe(t, x, z, u))(t, x)


def _double(
    function: Callable, system: AbstractSystem, *arguments: np.ndarray | float
) -> np.ndarray:
    """A function of a system and JAX arrays, in float64."""
    with jax.enable_x64(True):
        return np.asarray(function(system, *(np.asarray(a, np.float64) for a in arguments)))
