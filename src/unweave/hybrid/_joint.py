r"""Weights beside latents, so that one fit finds both.

What is written down and what is learned are estimated together: the weights of the networks
stand behind the latents as further ones, $w = \tau\,\sigma \odot v$ with $v \sim \mathcal{N}(0,
1)$ and $\sigma$ the size that each may be expected to have. The prior is the decay of weights in
nats: the smaller $\tau$, the more the networks must be worth before they take over what the
formula explains.
"""

from dataclasses import replace
from typing import final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._latents import Latents, Prior, log_normal, normal
from ..equations._system import AbstractSystem, Variable
from ..equations.fitting._match import support
from ..equations.fitting._problem import Problem
from ..equations.solving._equation import interpolations
from ..equations.solving._solve import Grid
from ._net import weight_widths, with_weights
from ._sensitive import SensitiveCurve


@final
class JointSystem(AbstractSystem):
    """A system whose latents are another's, called `known`, and then its weights in units of
    `widths` `(weight,)`."""

    inner: AbstractSystem
    known: Latents
    widths: Float[Array, " weight"]

    @property
    def latents(self) -> Latents:
        """The known latents, then the weights."""
        n = self.widths.size
        return Latents(
            (*self.known.names, *(f"weight {i + 1}" for i in range(n))),
            (*self.known.units, *("",) * n),
            (*self.known.priors, *(normal(),) * n),
        )

    @property
    def is_own(self) -> tuple[bool, ...]:
        """All records share the weights."""
        return (*self.inner.is_own, *(False,) * self.widths.size)

    @property
    def states(self) -> tuple[Variable, ...]:
        """The inner system's."""
        return self.inner.states

    @property
    def inputs(self) -> tuple[Variable, ...]:
        """The inner system's."""
        return self.inner.inputs

    @property
    def observables(self) -> tuple[Variable, ...]:
        """The inner system's."""
        return self.inner.observables

    @property
    def time_unit(self) -> str:
        """The inner system's."""
        return self.inner.time_unit

    @property
    def noises(self) -> int:
        """None."""
        return 0

    def rates(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, " state"]:
        """The rates with the weights that stand in `z`."""
        system, z = self.parted(z)
        return system.rates(t, x, z, u)

    def diffuse(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, "state noise"]:
        """No columns."""
        return jnp.zeros((x.shape[0], 0), x.dtype)

    def start(self, z: Float[Array, " latent"]) -> Float[Array, " state"]:
        """The inner system's."""
        return self.inner.start(z[: self.known.size])

    def observe(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, " observable"]:
        """The reading with the weights that stand in `z`."""
        system, z = self.parted(z)
        return system.observe(t, x, z, u)

    def parted(self, z: Float[Array, " latent"]) -> tuple[AbstractSystem, Float[Array, " known"]]:
        """The system with the weights that stand in `z`, and its own latents."""
        n = self.known.size
        return with_weights(self.inner, jnp.asarray(self.widths, z.dtype) * z[n:]), z[:n]


def joint(system: AbstractSystem, decay: float) -> JointSystem:
    r"""A system with its weights as latents; `decay` is $\tau$, the size allowed to them."""
    with jax.enable_x64(True):
        widths = jnp.asarray(decay * weight_widths(system), jnp.float64)
    return JointSystem(system, system.latents, widths)


def joined(problem: Problem, system: JointSystem, method: Grid) -> Problem:
    """The problem of the known latents alone, with the weights beside them."""
    free = jnp.full((problem.x.shape[0], system.widths.size), jnp.nan, problem.pinned.dtype)
    return replace(
        problem,
        curve=SensitiveCurve(system, method.substeps, interpolations(system)),
        latents=system.latents,
        pinned=jnp.concatenate([problem.pinned, free], axis=1),
        is_own=(*problem.is_own, *(False,) * system.widths.size),
    )


def free_starts(latents: Latents, place: dict[int, int], x: np.ndarray) -> Latents:
    """The latents with room for where a piece of a record begins: anywhere that a state gets to,
    and not only where a record does. `x` `(..., state)` are states that were met."""
    priors: list[Prior] = list(latents.priors)
    for state, j in place.items():
        seen = x[..., state]
        low = support(latents, j)[0]
        if low >= 0 and (seen > 0).all():
            centre = float(np.log(seen).mean())
            priors[j] = log_normal(centre, 10 * max(float(np.log(seen).std()), 0.5))
        else:
            priors[j] = normal(float(seen.mean()), 100 * max(float(seen.std()), 1e-6))
    return replace(latents, priors=tuple(priors))


def finite_information(fisher: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The information with nothing where a course broke off and its slopes are no numbers; of a
    weight at least what its prior knows, 1."""
    known = np.where(np.isfinite(fisher), fisher, 0.0)
    diagonal = np.diag_indices_from(known)
    known[diagonal] = np.where(weights, np.maximum(known[diagonal], 1.0), known[diagonal])
    return known
