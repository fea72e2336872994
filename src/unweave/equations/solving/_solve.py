r"""From latents to the state at the times of an observation.

Two ways, chosen for an equation by `suited` and never inside a compiled program: `Grid`, the
classical Runge–Kutta method on the observation's own times, each interval in equal steps, which
costs the same whatever the latents are; and `Adaptive`, whose steps follow the error, explicit
(Tsitouras 2011) or, for a stiff equation, implicit (Kværnø 2004, of diffrax).
"""

import abc
from collections.abc import Callable

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Float

from ..._explicit import explicit_path
from .._system import AbstractSystem
from ..language._text import TextSystem
from ._drive import Drive
from ._segments import path_with_events, vector_field


class AbstractMethod(eqx.Module):
    """How an equation is solved. Its numbers are static: another method, another program."""

    @abc.abstractmethod
    def path(
        self,
        system: AbstractSystem,
        times: Float[Array, " time"],
        z: Float[Array, " latent"],
        u: Drive,
    ) -> Float[Array, "time state"]:
        """The state at each of `times`; not finite from where the solution fails."""


class Grid(AbstractMethod):
    """The classical Runge–Kutta method (Kutta 1901), order 4, in `substeps` equal steps between
    each two times of the observation."""

    substeps: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        if self.substeps < 1:
            raise ValueError(f"{self.substeps} substeps were asked for; give at least 1.")

    def path(
        self,
        system: AbstractSystem,
        times: Float[Array, " time"],
        z: Float[Array, " latent"],
        u: Drive,
    ) -> Float[Array, "time state"]:
        """One flat scan over all steps."""
        fine = refined(times, self.substeps)
        steps = (fine[:-1], jnp.diff(fine), *u.over(fine))

        step = runge_kutta(lambda t, x, u: system.rates(t, x, z, u))
        start = system.start(z)
        _, later = jax.lax.scan(step, start, steps)
        every = jnp.concatenate([start[None], later])
        return every[:: self.substeps]


class Adaptive(AbstractMethod):
    """Steps chosen by their error, with tolerances relative to the state and absolute.

    In float32 the tolerances are no smaller than 1e-5 and 1e-7, below which rounding rules. A
    course is given up after `most_steps`, which explicit steps round up to whole rounds.
    """

    stiff: bool = eqx.field(static=True, default=False)
    relative: float = eqx.field(static=True, default=1e-8)
    absolute: float = eqx.field(static=True, default=1e-10)
    most_steps: int = eqx.field(static=True, default=16_384)

    def path(
        self,
        system: AbstractSystem,
        times: Float[Array, " time"],
        z: Float[Array, " latent"],
        u: Drive,
    ) -> Float[Array, "time state"]:
        """Differentiable forward and backward, with events forward alone."""
        events = system.events if isinstance(system, TextSystem) else ()
        if events:
            return path_with_events(
                system,
                events,
                self._solver(times),
                self._control(times),
                times,
                z,
                u,
                self.most_steps,
            )
        if self.stiff:
            return self._implicit_path(system, times, z, u)
        return explicit_path(
            lambda t, x: system.rates(t, x, z, u(t)),
            times,
            system.start(z),
            *self._tolerances(times),
            self.most_steps,
        )

    def _solver(self, times: Float[Array, " time"]) -> diffrax.AbstractSolver:
        if not self.stiff:
            return diffrax.Tsit5()
        if times.dtype == jnp.float32:
            # the step's own tolerance is below what float32 can say of the implicit equations
            return diffrax.Kvaerno5(root_finder=optx.Newton(1e-4, 1e-5))
        return diffrax.Kvaerno5()

    def _tolerances(self, times: Float[Array, " time"]) -> tuple[float, float]:
        if times.dtype == jnp.float32:
            return max(self.relative, 1e-5), max(self.absolute, 1e-7)
        return self.relative, self.absolute

    def _control(self, times: Float[Array, " time"]) -> diffrax.PIDController:
        relative, absolute = self._tolerances(times)
        return diffrax.PIDController(rtol=relative, atol=absolute)

    def _implicit_path(
        self,
        system: AbstractSystem,
        times: Float[Array, " time"],
        z: Float[Array, " latent"],
        u: Drive,
    ) -> Float[Array, "time state"]:
        solved = diffrax.diffeqsolve(
            diffrax.ODETerm(vector_field(system)),
            self._solver(times),
            times[0],
            times[-1],
            None,
            system.start(z),
            (z, u),
            saveat=diffrax.SaveAt(ts=times),
            stepsize_controller=self._control(times),
            # both forward and reverse mode pass through it
            adjoint=diffrax.DirectAdjoint(),
            max_steps=self.most_steps,
            throw=False,
        )
        assert solved.ys is not None
        return solved.ys


def refined(times: Float[Array, " time"], substeps: int) -> Float[Array, " fine"]:
    """Each interval parted into `substeps` equal ones, both ends kept."""
    if substeps == 1:
        return times
    share = jnp.arange(substeps, dtype=times.dtype) / substeps
    inner = times[:-1, None] + share[None, :] * jnp.diff(times)[:, None]
    return jnp.concatenate([inner.reshape(-1), times[-1:]])


def runge_kutta(rates: Callable[[Array, Array, Array], Array]) -> Callable:
    """A step of the classical method for `scan`, from (time, width, inputs at its beginning,
    middle and end)."""

    def step(x: Array, at: tuple[Array, ...]) -> tuple[Array, Array]:
        t, h, u0, u1, u2 = at
        k1 = rates(t, x, u0)
        k2 = rates(t + 0.5 * h, x + 0.5 * h * k1, u1)
        k3 = rates(t + 0.5 * h, x + 0.5 * h * k2, u1)
        k4 = rates(t + h, x + h * k3, u2)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return x, x

    return step
