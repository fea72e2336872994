r"""Critics as energies: an unnormalised density, and ways to draw from one.

A critic that is higher where data are is the log of a density that is not normalised, $\log p(x) =
D(x) + \text{const}$; the energy of physics is $-D$.
"""

import math
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._families import AbstractAdversarial, AbstractInformed
from ..._latents import Latents
from ..._model import (
    AbstractDecoder,
    AbstractDensity,
    Condition,
    DensityKind,
    Key,
    Latent,
    Observation,
    Scalar,
)
from ...data import Scale
from .._observe import network_input
from .._real import real


class EnergyGAN(AbstractInformed, AbstractDensity):
    r"""An energy with a generator that draws from it (maximum-entropy generator, Kumar et al.
    2019): $\log p(x) = D(x) - |x|^2 / 2 r^2 + \text{const}$ in scaled units, the second term so
    that it ends somewhere.

    **Arguments:** `latents`, `generator`, `scale` as of `GAN`; `critic`, $D$, from a scaled
    observation to an array of one number; `statistic`, from an observation and latents laid end to
    end to one number, which estimates what the generated tell of their latents; `reach`, $r$.
    """

    density_kind: ClassVar[DensityKind] = "unnormalised"

    latents: Latents
    generator: Callable
    critic: Callable
    statistic: Callable
    scale: Scale
    reach: float = eqx.field(static=True, default=10.0)

    def coordinates(self, x: Observation) -> Observation:
        """`x` scaled, 0 where nothing was observed."""
        return network_input(x, self.scale)

    def draft(self, z: Latent, condition: Condition = None) -> Observation:
        """The generator's output, scaled."""
        return self.generator(self.latents.to_normal(z))

    def judge(self, x: Observation, condition: Condition = None) -> Scalar:
        """The negative energy of a scaled observation."""
        return self.critic(x)[0] - 0.5 * (x**2).sum() / self.reach**2

    def untold(self, condition: Condition, away: Array) -> Condition:
        """The condition as it is: nothing is told."""
        return condition

    def information(self, x: Observation, z: Latent, other: Latent) -> Scalar:
        r"""The Jensen–Shannon estimate $-\text{softplus}(-T(x, z)) - \text{softplus}(T(x, z'))$ of
        what `x` tells of `z` (Hjelm et al. 2019, equation 4; Kumar et al. 2019, equation 5)."""
        own, strange = (
            self.statistic(jnp.concatenate([x.reshape(-1), part]))[0] for part in (z, other)
        )
        return -jax.nn.softplus(-own) - jax.nn.softplus(strange)

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """What the generator makes of `z`, in the user's units; it has no noise to add."""
        return self.scale.undo(self.draft(z))

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        """The negative energy, in nats up to a constant; what was not observed counts as the
        mean."""
        return self.judge(self.coordinates(x)) - self.scale.log_volume(real(x))


class Energy(AbstractDensity):
    r"""The critic of a generative adversarial model read as an energy, $\log p(x) = D(x) +
    \text{const}$: how real an observation looks to it."""

    density_kind: ClassVar[DensityKind] = "unnormalised"

    model: AbstractAdversarial

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        """The critic's score, up to a constant."""
        return self.model.judge(self.model.coordinates(x), condition)


def langevin(
    log_density: Callable[[Array], Array],
    start: Float[Array, "..."],
    *,
    step: float,
    steps: int,
    key: Key,
) -> tuple[Float[Array, "..."], Scalar]:
    r"""A chain whose distribution is that of an unnormalised `log_density`, and the share of its
    moves that were taken.

    $x' = x + \tfrac{\epsilon}{2} \nabla \log p(x) + \sqrt{\epsilon}\, n$, $\epsilon$ the `step`,
    taken or refused by Metropolis' rule, so that no step is too long to be right (Roberts and
    Tweedie 1996, section 1.4.1).
    """
    if step <= 0 or steps < 1:
        raise ValueError(
            f"a chain of {steps} steps of {step:g} goes nowhere; give a positive step and at least "
            "one of them."
        )
    slope = jax.value_and_grad(log_density)

    def proposed(x: Array, gradient: Array, to: Array) -> Array:
        """log q(to | x) up to a constant."""
        return -0.5 * ((to - x - 0.5 * step * gradient) ** 2).sum() / step

    def move(carry: tuple, key: Key) -> tuple[tuple, Array]:
        x, value, gradient = carry
        noise_key, chance_key = jax.random.split(key)
        noise = math.sqrt(step) * jax.random.normal(noise_key, x.shape, x.dtype)
        to = x + 0.5 * step * gradient + noise
        new, new_gradient = slope(to)
        ratio = new - value + proposed(to, new_gradient, x) - proposed(x, gradient, to)
        taken = jnp.log(jax.random.uniform(chance_key, dtype=x.dtype)) < ratio
        kept = [
            jnp.where(jnp.broadcast_to(taken, a.shape), b, a)
            for a, b in ((x, to), (value, new), (gradient, new_gradient))
        ]
        return tuple(kept), taken

    carry, taken = jax.lax.scan(move, (start, *slope(start)), jax.random.split(key, steps))
    return carry[0], taken.astype(start.dtype).mean()


def latent_langevin(
    model: AbstractDecoder,
    log_density: Callable[[Observation], Scalar],
    *,
    step: float,
    steps: int,
    key: Key,
) -> Latent:
    r"""Latents of a chain through the generator, from $p(z) \propto p_0(z)\, e^{D(G(z))}$ with
    $p_0$ the prior (Che et al. 2020, equation 8; Kumar et al. 2019, section 3.2): the samples that
    the critic finds wanting are moved or left out."""
    start_key, chain_key = jax.random.split(key)

    def density(white: Latent) -> Scalar:
        z = model.latents.from_white(white)
        return -0.5 * (white**2).sum() + log_density(model.decode(z))

    start = jax.random.normal(start_key, (model.latents.size,))
    white, _ = langevin(density, start, step=step, steps=steps, key=chain_key)
    return model.latents.from_white(white)
