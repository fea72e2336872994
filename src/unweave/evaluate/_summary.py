r"""What a fitted model is worth on observations that it has not seen."""

from dataclasses import dataclass

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from .._families import AbstractDenoiser, AbstractVelocity
from .._many import many, real
from .._model import (
    AbstractDecoder,
    AbstractDensity,
    AbstractEncoder,
    AbstractPosterior,
    Condition,
    gaussian_kl,
)
from ..data import Dataset

# Burda, Grosse and Salakhutdinov (2016), section 5.2: the variance of a latent's posterior mean
# over the data, above which it is active
_ACTIVE = 0.01
# a model whose answers are integrals along a course is asked about so many observations, or so
# many numbers, where all would take longer than its training
_FEW, _FEW_NUMBERS = 200, 8192


@dataclass(frozen=True)
class Summary:
    """Measures on held-out data; None where the model lacks what a measure needs.

    `log_density` is the mean per observation in nats, and `density_kind` says what kind of
    number it is; `kl_per_latent` in nats; `active` tells for each latent whether it carries
    anything. `n` observations were asked about.
    """

    explained_variance: float | None
    log_density: float | None
    density_kind: str | None
    kl_per_latent: tuple[float, ...] | None
    active: tuple[bool, ...] | None
    n: int | None = None

    @property
    def active_latents(self) -> int | None:
        """How many latents are active."""
        return None if self.active is None else sum(self.active)


#: The summary of a model of which nothing was asked.
NOTHING = Summary(None, None, None, None, None)


def summarise(model: eqx.Module, data: Dataset) -> Summary:
    """The `Summary` of `model` on `data`, each measure where the model can be asked for it."""
    data = asked(model, data)
    x, conditions = real(data.observations), data.conditions
    encoded = many(model.encode, x, conditions) if isinstance(model, AbstractEncoder) else None
    explained = _score(model, data, encoded)
    log_density = kind = kl = active = None
    # the measure is one of standard scores: an equation's latents have units of their own
    standard = not isinstance(model, AbstractDecoder) or model.latents.are_standard
    if encoded is not None and standard:
        active = tuple((encoded.var(0) > _ACTIVE).tolist())
    if isinstance(model, AbstractPosterior):
        kl = tuple(many(_Divergence(model), x, conditions).mean(0).tolist())
    if isinstance(model, AbstractDensity):
        # a bound decodes several draws of each observation, so fewer go at a time
        each = many(model.log_density, x, conditions, chunk=64)
        log_density = float(each.mean(dtype=np.float64))
        kind = model.density_kind
    return Summary(explained, log_density, kind, kl, active, len(data))


class _Divergence(eqx.Module):
    model: AbstractPosterior

    def __call__(self, x: Array, condition: Condition) -> Float[Array, " latent"]:
        return gaussian_kl(*self.model.posterior(x, condition))


def reconstruction_score(model: eqx.Module, data: Dataset) -> float | None:
    """The explained variance of `data` by `model`; None if it cannot encode and decode."""
    if not isinstance(model, AbstractEncoder):
        return None
    data = asked(model, data)
    return _score(model, data, many(model.encode, real(data.observations), data.conditions))


def asked(model: eqx.Module, data: Dataset) -> Dataset:
    """The observations that a model is asked about: all, or some of them at even steps."""
    if not isinstance(model, AbstractVelocity | AbstractDenoiser):
        return data
    return data.thinned(max(_FEW, _FEW_NUMBERS // data.schema.size))


def _score(model: eqx.Module, data: Dataset, encoded: np.ndarray | None) -> float | None:
    """The explained variance where the observations' latents are known."""
    if encoded is None or not isinstance(model, AbstractDecoder):
        return None
    shared = len(set(data.schema.units)) == 1
    x_hat = many(model.decode, encoded, data.conditions)
    return explained_variance(real(data.observations), x_hat, pool_channels=shared)


def explained_variance(x: np.ndarray, x_hat: np.ndarray, *, pool_channels: bool = True) -> float:
    r"""$1 - \sum (x - \hat x)^2 / \sum (x - \bar x)^2$ over the observed entries.

    $\bar x$ is the mean of `x` `(n, ...)` over observations, entry by entry, so 0 is what the
    mean observation reaches; of a single observation it is the mean of each channel (the last
    axis). With `pool_channels` the sums run over all channels, which is right where they share
    a unit; without, each channel has its own ratio and the mean over channels is taken. NaN
    where an observed entry has no reconstruction.
    """
    x, x_hat = np.asarray(x, np.float64), np.asarray(x_hat, np.float64)
    if x.shape != x_hat.shape:
        raise ValueError(f"observations {x.shape} and reconstructions {x_hat.shape} must match.")
    axes = None if pool_channels else tuple(range(x.ndim - 1))
    over = 0 if len(x) > 1 else tuple(range(x.ndim - 1))
    residual = np.where(np.isnan(x), 0.0, (x - x_hat) ** 2).sum(axis=axes)
    total = np.nansum((x - observed_mean(x, over)) ** 2, axis=axes)
    ratio = np.divide(residual, total, out=np.ones_like(residual), where=total > 0)
    return float(1 - np.mean(ratio))


def observed_mean(x: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """The mean of the observed entries along an axis that stays, NaN where there are none."""
    seen = ~np.isnan(x)
    count = seen.sum(axis=axis, keepdims=True)
    total = np.where(seen, x, 0.0).sum(axis=axis, keepdims=True)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
