r"""Paths of a stochastic equation $dx = f\,dt + g\,dW + \sum_j \ell_j\,dN_j$ in Itô's sense.

Between two times of an observation equal steps are taken: Euler–Maruyama (Maruyama 1955), or
Milstein (1975) where one state has one noise. Jumps come at the end of a step, as many as
Poisson's law says. A state under a square root may be pushed below zero by a step; it stays
there, and $f$ and $g$ see zero (full truncation: Lord, Koekkoek and van Dijk 2010, Quantitative
Finance 10:177), and so does who reads the path.
"""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import sympy as sp
from jaxtyping import Array, Float

from ..._model import Key, Latent
from .._system import AbstractSystem
from ..language._events import Jumps
from ..language._text import TextSystem
from ..solving._drive import Drive
from ..solving._solve import refined, runge_kutta
from ._transitions import poisson

State = Float[Array, " state"]
Input = Float[Array, " input"]
Time = Float[Array, ""]

# the mean over a normal mark: exact for polynomials up to the 21st degree
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(11)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class Dynamics(eqx.Module):
    """A system at some latents; `positive` says which states are read as no less than zero."""

    system: AbstractSystem
    z: Latent
    positive: tuple[bool, ...] = eqx.field(static=True)

    def kept(self, x: State) -> State:
        """The state as the equation and the reader see it."""
        if not any(self.positive):
            return x
        # not zero itself, where the slope of a root is infinite
        least = jnp.finfo(x.dtype).eps
        return jnp.where(jnp.asarray(self.positive), jnp.maximum(x, least), x)

    def start(self) -> State:
        """The state at the first time."""
        return self.system.start(self.z)

    def drift(self, t: Time, x: State, u: Input) -> State:
        """$f$, without the jumps."""
        return self.system.rates(t, self.kept(x), self.z, u)

    def diffusion(self, t: Time, x: State, u: Input) -> Float[Array, "state noise"]:
        """$g$."""
        return self.system.diffuse(t, self.kept(x), self.z, u)

    def rate(self, jumps: Jumps, t: Time, x: State, u: Input) -> Time:
        """How many jumps of a process are expected in a unit of time."""
        return jnp.maximum(jumps.rate(t, self.kept(x), self.z, u), 0.0)

    def leap_moments(
        self, jumps: Jumps, t: Time, x: State, u: Input
    ) -> tuple[State, Float[Array, "state state"]]:
        """Mean and covariance of one leap, by Gauss–Hermite quadrature over its marks."""
        grid = list(itertools.product(_NODES, repeat=jumps.marks))
        shares = [np.prod(w) for w in itertools.product(_WEIGHTS, repeat=jumps.marks)]
        marks = jnp.asarray(np.reshape(grid, (-1, jumps.marks)), x.dtype)
        weights = jnp.asarray(shares, x.dtype)
        leaps = jax.vmap(lambda e: jumps.leap(t, self.kept(x), self.z, u, e))(marks)
        mean = weights @ leaps
        off = leaps - mean[None, :]
        return mean, (off * weights[:, None]).T @ off


def jumps_of(system: AbstractSystem) -> tuple[Jumps, ...]:
    """The Poisson processes of a system."""
    return system.jumps if isinstance(system, TextSystem) else ()


def states_under_a_root(system: AbstractSystem) -> tuple[bool, ...]:
    """For each state of a text, whether the diffusion takes a root of it."""
    if not isinstance(system, TextSystem):
        return (False,) * len(system.states)
    formulas = system.expressions
    roots = [
        power
        for row in formulas.diffusion
        for entry in row
        for power in entry.atoms(sp.Pow)
        if not power.exp.is_integer
    ]
    return tuple(any(power.base.has(state) for power in roots) for state in formulas.states)


def euler_step(
    of: Dynamics, t: Time, x: State, u: Input, h: Time, dw: Float[Array, " noise"]
) -> State:
    r"""$x + f h + g\,\Delta W$: strong order 1/2, weak order 1."""
    return x + of.drift(t, x, u) * h + of.diffusion(t, x, u) @ dw


def milstein_step(
    of: Dynamics, t: Time, x: State, u: Input, h: Time, dw: Float[Array, " noise"]
) -> State:
    r"""Euler's step plus $\tfrac12 g g' (\Delta W^2 - h)$, for one state and one noise: strong
    order 1."""
    size, slope = jax.jvp(lambda x: of.diffusion(t, x, u)[:, 0], (x,), (jnp.ones_like(x),))
    return euler_step(of, t, x, u, h, dw) + 0.5 * size * slope * (dw**2 - h)


def simulate(
    of: Dynamics, times: Float[Array, " time"], drive: Drive, substeps: int, *, key: Key
) -> Float[Array, "time state"]:
    """A random path at `times`, each interval in `substeps` steps."""
    fine = refined(times, substeps)
    h = jnp.diff(fine)
    begin = jax.vmap(drive)(fine[:-1])
    noise_key, jump_key = jax.random.split(key)
    noises = of.system.noises
    dw = jnp.sqrt(h)[:, None] * jax.random.normal(noise_key, (h.size, noises), h.dtype)
    scalar = noises == 1 and len(of.system.states) == 1
    one_step = milstein_step if scalar else euler_step
    processes = jumps_of(of.system)

    def step(x: State, at: tuple[Array, ...]) -> tuple[State, State]:
        t, h, u, dw, i = at
        x = one_step(of, t, x, u, h, dw)
        for j, process in enumerate(processes):
            key = jax.random.fold_in(jax.random.fold_in(jump_key, i), j)
            x = _jump(of, process, t + h, x, u, h, key)
        return x, x

    start = of.start()
    steps = (fine[:-1], h, begin, dw, jnp.arange(h.size))
    _, later = jax.lax.scan(step, start, steps)
    path = jnp.concatenate([start[None], later])[::substeps]
    return jax.vmap(of.kept)(path)


def _jump(of: Dynamics, jumps: Jumps, t: Time, x: State, u: Input, h: Time, key: Key) -> State:
    """The state after the jumps of one step, one after the other."""
    count_key, mark_key = jax.random.split(key)
    count = poisson(of.rate(jumps, t, x, u) * h, key=count_key).astype(jnp.int32)

    def leap(i: Array, x: State) -> State:
        e = jax.random.normal(jax.random.fold_in(mark_key, i), (jumps.marks,), x.dtype)
        return x + jumps.leap(t, of.kept(x), of.z, u, e)

    return jax.lax.fori_loop(0, count, leap, x)


def expected(
    of: Dynamics, times: Float[Array, " time"], drive: Drive, substeps: int
) -> Float[Array, "time state"]:
    r"""The path without chance, $\dot x = f + \sum_j \lambda_j \mathbb{E}[\ell_j]$: the mean
    where this is linear in the state. The classical Runge–Kutta method."""
    fine = refined(times, substeps)
    processes = jumps_of(of.system)

    def rates(t: Time, x: State, u: Input) -> State:
        total = of.drift(t, x, u)
        for jumps in processes:
            total = total + of.rate(jumps, t, x, u) * of.leap_moments(jumps, t, x, u)[0]
        return total

    start = of.start()
    _, later = jax.lax.scan(
        runge_kutta(rates), start, (fine[:-1], jnp.diff(fine), *drive.over(fine))
    )
    path = jnp.concatenate([start[None], later])[::substeps]
    return jax.vmap(of.kept)(path)
