r"""Denoising density estimators: a density learned from noise alone, and a generator by it.

A scalar net $s$ whose slope denoises best is the logarithm of the density of the data smoothed by
that noise, up to a constant (Bigdeli et al. 2020, proposition 1):

$$\min_s \mathbb{E}\, |\sigma \nabla s(y + \sigma e) + e|^2 \quad \Rightarrow \quad s = \log\,(p *
\mathcal{N}(0, \sigma^2 I)) + c .$$
"""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import numpy as np
import scipy.linalg

from ..._families import AbstractSmoothed
from ..._keys import split_on_host
from ..._latents import Latents
from ..._model import (
    AbstractDensity,
    Condition,
    DensityKind,
    Key,
    Latent,
    Observation,
    Scalar,
)
from ...data import Dataset, Scale
from .._mlp import MLP
from .._pca import PCA
from .._real import real
from .._start import Skip, single
from ..flows._gaps import fit_reference, flat_coordinates, log_density_with_gaps


class LogDensity(eqx.Module):
    r"""$s(y) = -|y|^2 / 2 v + \text{net}(y)$, up to a constant: beside the net stands the white
    Gaussian of `variance` $v$, which is right far from all data; the net is smooth, since its
    slope is what learns."""

    net: MLP
    variance: float = eqx.field(static=True)

    def __init__(self, size: int, widths: tuple[int, ...], variance: float, *, key: Key):
        self.net = MLP(size, 1, widths, activation=jax.nn.silu, zero_last=True, key=key)
        self.variance = variance

    def __call__(self, y: Latent) -> Scalar:
        """$s$ at one point."""
        return self.net(y)[0] - 0.5 * (y @ y) / self.variance


class DenoisingDensity(AbstractDensity, AbstractSmoothed):
    r"""A density learned by denoising and the generator that was trained by it. The density is that
    of the data with noise of deviation `sigma` (in scaled units) on top and lacks a constant; the
    generator draws the data without the noise.

    **Arguments:** `latents`, standard normal; `density`, $s$ of flat scaled observations;
    `generator`, from latents to these; `scale`, from the user's units and back; `reference`, the
    Gaussian that stands in for what was not observed; `shape` of an observation; `sigma`; `draws`,
    how many estimate a density with gaps.
    """

    density_kind: ClassVar[DensityKind] = "unnormalised"

    latents: Latents
    density: Callable
    generator: Callable
    scale: Scale
    reference: PCA
    shape: tuple[int, ...] = eqx.field(static=True)
    sigma: float = eqx.field(static=True, default=0.2)
    draws: int = eqx.field(static=True, default=32)

    def __check_init__(self):
        if not self.sigma > 0 or not self.latents.are_standard:
            raise ValueError(
                f"sigma is {self.sigma} and the latents are standard normal: "
                f"{self.latents.are_standard}; give a positive sigma and Latents.standard(...)."
            )

    def coordinates(self, x: Observation, *, key: Key | None = None) -> Latent:
        """`x` scaled and laid out flat, its gaps filled in by the reference."""
        return flat_coordinates(self.reference, self.scale, x, key)

    def log_smoothed(self, y: Latent) -> Scalar:
        """$s(y)$, in scaled units."""
        return self.density(y)

    def generate(self, z: Latent) -> Latent:
        """What the generator makes of `z`, in scaled units."""
        return self.generator(z)

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """What the generator makes of `z`, without noise."""
        return self.scale.undo(self.generator(z).reshape(self.shape))

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""$\log\,(p * \mathcal{N}(0, \sigma^2 I))(x)$ up to a constant; where something was not
        observed it is integrated out by importance sampling."""

        def density(x: Observation) -> Scalar:
            return self.density(self.scale.apply(x).reshape(-1)) - self.scale.log_volume(x)

        chance = jax.random.key(0) if key is None else key
        return log_density_with_gaps(density, self.reference, real(x), self.draws, chance)


def start_denoising_density(
    data: Dataset,
    *,
    latents: int = 10,
    sigma: float = 0.2,
    widths: tuple[int, ...] = (256, 256),
    key: Key,
) -> DenoisingDensity:
    """A density and a generator of `widths`, which begin as Gaussians: the density white, the
    generator that of the data's leading principal axes, as many as there are `latents` if they have
    so many."""
    scale, size = Scale.standard(data.observations, data.moments), data.schema.size
    reference = fit_reference(data.observations, scale)
    density_key, generator_key = split_on_host(key, 2)
    loadings = _loadings(reference)[:, :latents]
    count = loadings.shape[1]
    net = MLP(count, size, widths, activation=jax.nn.silu, zero_last=True, key=generator_key)
    return DenoisingDensity(
        latents=Latents.standard(count),
        density=LogDensity(size, widths, 1 + sigma**2, key=density_key),
        generator=Skip(single(loadings), reference.mean, net, (size,)),
        scale=scale,
        reference=reference,
        shape=data.schema.shape,
        sigma=sigma,
    )


def _loadings(reference: PCA) -> np.ndarray:
    """The columns that make a Gaussian of the reference's covariance, where it has one axis less
    than there are numbers; else of its axes alone."""
    loadings, noise = np.asarray(reference.loadings, np.float64), float(reference.noise_variance)
    lengths = np.linalg.norm(loadings, axis=0)
    directions = loadings / np.where(lengths > 0, lengths, 1)
    columns = directions * np.sqrt(lengths**2 + noise)
    if loadings.shape[0] - loadings.shape[1] == 1:
        last = scipy.linalg.null_space(directions.T)[:, :1]
        columns = np.concatenate([columns, np.sqrt(noise) * last], axis=1)
    return columns
