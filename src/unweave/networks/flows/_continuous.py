r"""Continuous flows: latents carried to an observation along a velocity field.

$\frac{dy}{dt} = v(y, t)$ from $y(0) = z \sim \mathcal{N}(0, I)$ to the scaled observation
$y(1)$, and back for the code; $\log p(y(1)) = \log \mathcal{N}(z; 0, I) - \int_0^1
\operatorname{tr} \frac{\partial v}{\partial y} \, dt$ (Chen et al. 2018; Grathwohl et al. 2019).
How the field was fitted, by flow matching or by maximum likelihood, the model does not know.
"""

import abc
import math
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
from jaxtyping import Array, Float, Num

from ..._families import AbstractVelocity
from ..._latents import Latents
from ..._model import (
    AbstractDecoder,
    AbstractDensity,
    AbstractEncoder,
    Condition,
    DensityKind,
    Key,
    Latent,
    Observation,
    Scalar,
)
from ..._transport import Motion, carry, estimated_growth, exact_growth, transport
from ...data import Scale
from .._pca import PCA
from .._real import real
from ._gaps import flat_coordinates, log_density_with_gaps
from ._whitening import Whitening


class AbstractContinuousFlow(AbstractDecoder, AbstractEncoder, AbstractDensity, AbstractVelocity):
    r"""A flow along a velocity field; `ContinuousFlow` and `HutchinsonFlow` differ in the trace.

    **Arguments:** `latents`, standard normal, as many as an observation has numbers; `field`,
    $v$ `(y, t)` of flat scaled observations; `scale`, from the user's units to the field's and
    back; `reference`, the Gaussian that stands in for what was not observed; `shape` of an
    observation; `whitening`, the coordinates in which the field lives if they are not the scaled
    ones; `tolerance` of the solver, absolute and relative; `draws`, how many estimate a
    density with gaps; `probes`, how many directions estimate a trace.
    """

    latents: Latents
    field: Callable
    scale: Scale
    reference: PCA
    shape: tuple[int, ...] = eqx.field(static=True)
    whitening: Whitening | None = None
    tolerance: float = eqx.field(static=True, default=1e-5)
    draws: int = eqx.field(static=True, default=32)
    probes: int = eqx.field(static=True, default=8)

    def __check_init__(self):
        if not self.latents.are_standard or self.latents.size != math.prod(self.shape):
            raise ValueError(
                f"a flow of observations of shape {self.shape} needs Latents.standard("
                f"{math.prod(self.shape)}), as many as an observation has numbers."
            )

    @abc.abstractmethod
    def growth(self, y: Latent, t: Scalar, key: Key) -> Scalar:
        r"""$\operatorname{tr} \partial v / \partial y$ at `y` and `t`, or an estimate of it."""

    def coordinates(self, x: Observation, *, key: Key | None = None) -> Latent:
        """`x` scaled, laid out flat and whitened, its gaps filled in by the reference."""
        return self._white(flat_coordinates(self.reference, self.scale, x, key))

    def velocity(self, y: Latent, t: Scalar, condition: Condition = None) -> Latent:
        """$v(y, t)$, in scaled units."""
        return self.field(y, t)

    # compiled here, so that a call outside any jit does not trace the solver anew
    @eqx.filter_jit
    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """The observation that `z` is carried to; a flow has no noise to add to it."""
        y = carry(self._motion(0.0, 1.0), z)
        y = y if self.whitening is None else self.whitening.undo(y)
        return self.scale.undo(y.reshape(self.shape))

    @eqx.filter_jit
    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """The latents that are carried to `x`; what was not observed is filled in by the
        reference, with a key by a draw."""
        return carry(self._motion(1.0, 0.0), self.coordinates(x, key=key))

    @eqx.filter_jit
    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""$\log \mathcal{N}(z) - \int \operatorname{tr} (\partial v / \partial y) \, dt$; where
        something was not observed, an estimate by importance sampling."""
        trace_key, draw_key = jax.random.split(jax.random.key(0) if key is None else key)

        def density(x: Observation) -> Scalar:
            return self._densities(x[None], trace_key)[0]

        return log_density_with_gaps(density, self.reference, real(x), self.draws, draw_key)

    @eqx.filter_jit
    def log_densities(
        self, xs: Num[Array, "n ..."], condition: Condition = None, *, key: Key | None = None
    ) -> Float[Array, " n"]:
        """`log_density` of many whole observations, which share the solver's steps: several times
        faster. NaN for all if an entry was not observed."""
        chance = jax.random.key(0) if key is None else key
        return self._densities(real(xs), jax.random.split(chance)[0])

    def _densities(self, xs: Float[Array, "n ..."], key: Key) -> Float[Array, " n"]:
        """Of whole observations."""
        y = jax.vmap(self._white)(jax.vmap(self.scale.apply)(xs).reshape(len(xs), -1))
        z, grown = transport(self._motion(1.0, 0.0, key), y)
        normal = -0.5 * (z**2 + math.log(2 * math.pi)).sum(-1)
        # the way back counts the growth with the sign turned round
        white = 0.0 if self.whitening is None else self.whitening.log_volume()
        return normal + grown + white - jax.vmap(self.scale.log_volume)(xs)

    def _white(self, y: Latent) -> Latent:
        """Flat scaled numbers as the field takes them."""
        return y if self.whitening is None else self.whitening.apply(y)

    def _motion(self, begin: float, end: float, key: Key | None = None) -> Motion:
        growth = None if key is None else eqx.Partial(_growth, self, key)
        return Motion(eqx.Partial(_velocity, self), growth, begin, end, self.tolerance)


class ContinuousFlow(AbstractContinuousFlow):
    """A flow along a velocity field whose trace is exact: for observations of few numbers."""

    density_kind: ClassVar[DensityKind] = "exact"

    def growth(self, y: Latent, t: Scalar, key: Key) -> Scalar:
        r"""$\operatorname{tr} \partial v / \partial y$."""
        return exact_growth(self.velocity, y, t)


class HutchinsonFlow(AbstractContinuousFlow):
    """A flow along a velocity field whose trace is estimated: for observations of many
    numbers."""

    density_kind: ClassVar[DensityKind] = "estimate"

    def growth(self, y: Latent, t: Scalar, key: Key) -> Scalar:
        r"""$\tfrac1K \sum_k e_k^\top (\partial v / \partial y) e_k$ with signs $e_k$ drawn by
        `key`, the same all the way (Grathwohl et al. 2019, equation 8)."""
        signs = jax.random.rademacher(key, (self.probes, y.size), y.dtype)
        return estimated_growth(self.velocity, signs, y, t)


def _velocity(flow: AbstractContinuousFlow, y: Latent, t: Scalar) -> Latent:
    return flow.velocity(y, t)


def _growth(flow: AbstractContinuousFlow, key: Key, y: Latent, t: Scalar) -> Scalar:
    return flow.growth(y, t, key)
