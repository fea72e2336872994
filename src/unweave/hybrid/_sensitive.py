r"""Readings and their derivatives by many latents and weights at once.

Differentiating a step of Runge and Kutta's method is the same step of the variational equation
$\dot S = \partial_x f\, S + \partial_z f$, $S = \partial x / \partial z$. With few states and many
weights $\partial_x f$ and $\partial_z f$ are a few rows, from as many passes backwards through the
networks, where one pass forwards for each weight would cost as many passes as there are weights.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..equations._system import AbstractSystem
from ..equations.solving._drive import Drive, drive
from ..equations.solving._solve import refined, runge_kutta


class SensitiveCurve(eqx.Module):
    """The noiseless reading of one record, whose derivatives are those of the variational
    equation; on the record's own times, each interval in `substeps` steps."""

    system: AbstractSystem
    substeps: int = eqx.field(static=True)
    kinds: tuple[str, ...] = eqx.field(static=True)

    def __call__(
        self, z: Float[Array, " latent"], condition: tuple[Array, Array]
    ) -> Float[Array, "time observable"]:
        """The reading at every time of the record."""
        times, inputs = condition
        u = drive(times, inputs if self.kinds else None, self.kinds)
        return _reading(z, curve=self, times=times, u=u)


class SensitiveSlopes(eqx.Module):
    """The rates at points of a record, `(time, state)`, whose derivatives come from as many passes
    backwards as there are states."""

    system: AbstractSystem

    def __call__(
        self, z: Float[Array, " latent"], condition: tuple[Array, Array, Array]
    ) -> Float[Array, "time state"]:
        """The rates at the times, states and inputs of `condition`."""
        times, states, inputs = condition
        return _rates(z, system=self.system, times=times, states=states, inputs=inputs)


@eqx.filter_custom_jvp
def _rates(z: Array, *, system: AbstractSystem, times: Array, states: Array, inputs: Array):
    return jax.vmap(lambda t, x, u: system.rates(t, x, z, u))(times, states, inputs)


@_rates.def_jvp
def _rates_jvp(primals, tangents, *, system, times, states, inputs):
    (z,), (direction,) = primals, tangents

    def one(t: Array, x: Array, u: Array) -> tuple[Array, Array]:
        y, pull = jax.vjp(lambda z: system.rates(t, x, z, u), z)
        return y, jax.vmap(pull)(jnp.eye(y.size, dtype=y.dtype))[0]

    y, slopes = jax.vmap(one)(times, states, inputs)
    return y, slopes @ (jnp.zeros_like(z) if direction is None else direction)


@eqx.filter_custom_jvp
def _reading(z: Array, *, curve: SensitiveCurve, times: Array, u: Drive) -> Array:
    return _with_slopes(curve, z, times, u, derivatives=False)[0]


@_reading.def_jvp
def _reading_jvp(primals, tangents, *, curve: SensitiveCurve, times: Array, u: Drive):
    (z,), (direction,) = primals, tangents
    y, slopes = _with_slopes(curve, z, times, u, derivatives=True)
    return y, slopes @ (jnp.zeros_like(z) if direction is None else direction)


def _with_slopes(
    curve: SensitiveCurve, z: Array, times: Array, u: Drive, *, derivatives: bool
) -> tuple[Float[Array, "time observable"], Float[Array, "time observable latent"]]:
    """Readings, and their derivatives by `z` (no columns without `derivatives`)."""
    system = curve.system
    columns = z.size if derivatives else 0

    def pushed(function, x: Array, s: Array) -> Array:
        """A function of (x, z) and its derivative along S, side by side."""
        if not derivatives:
            return function(x, z)[:, None]
        y, pull = jax.vjp(function, x, z)
        by_x, by_z = jax.vmap(pull)(jnp.eye(y.size, dtype=y.dtype))
        return jnp.concatenate([y[:, None], by_x @ s + by_z], axis=1)

    def rates(t: Array, both: Array, inputs: Array) -> Array:
        return pushed(lambda x, z: system.rates(t, x, z, inputs), both[:, 0], both[:, 1:])

    def read(t: Array, both: Array) -> Array:
        return pushed(lambda x, z: system.observe(t, x, z, u(t)), both[:, 0], both[:, 1:])

    start = system.start(z)
    by_z = jax.jacrev(system.start)(z) if derivatives else jnp.zeros((start.size, 0), z.dtype)
    first = jnp.concatenate([start[:, None], by_z], axis=1)
    fine = refined(times, curve.substeps)
    _, later = jax.lax.scan(runge_kutta(rates), first, (fine[:-1], jnp.diff(fine), *u.over(fine)))
    path = jnp.concatenate([first[None], later])[:: curve.substeps]
    y = jax.vmap(read)(times, path)
    return y[..., 0], y[..., 1 : columns + 1]
