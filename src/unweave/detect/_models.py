r"""Scores from any model: what it cannot reconstruct, what its latents or its density find
unlikely, what its critic or its classes say. Each needs a capability and no kind of model."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from .._families import AbstractAdversarial, AbstractCompared
from .._many import many, real
from .._model import AbstractDecoder, AbstractPredictor, Condition, Observation, Scalar, require
from ..networks import Classifier
from ..targets import Target
from ._detector import Conditions, Score

# added to the variances of codes, as a share of their mean, so that a latent that says nothing
# has a density
_RIDGE = 1e-4


def of_target(target: Target) -> Score:
    """A target of an observation as a score: `targets.surprise(model)`, `targets.misfit(model)`.

    Raises `TypeError` for a target that reads latents.
    """
    if target.of != "observation":
        raise TypeError(
            f"{target.name} reads {target.of}, and a score reads observations; take another "
            "target, such as surprise(model)."
        )
    return Score(target.name, _over(target), unit=target.unit)


def reconstruction(
    model: eqx.Module,
    normal: Num[np.ndarray, "n ..."],
    conditions: Conditions = None,
    *,
    by_entry: bool = False,
) -> Score:
    r"""$\frac1d \sum_i ((x_i - \hat x_i) / s_i)^2$ over the observed entries, $\hat x$ decoded from
    what `x` is encoded to: about 1 for what is normal.

    $s$ is the root mean square of what the model leaves of `normal`: of each channel, or with
    `by_entry` of each entry, a deviation for every sample. Raises `TypeError` if the model cannot
    encode and decode.
    """
    require(model, "encoder", "decoder", tool="reconstruction")
    residual = _over(_Residual(model))
    scale = _root_mean_square(residual(normal, conditions), by_entry=by_entry)
    return _reconstruction(residual, scale, by_entry=by_entry)


def _reconstruction(residual: Callable, scale: np.ndarray, *, by_entry: bool) -> Score:
    def squares(x: np.ndarray, conditions: Conditions) -> np.ndarray:
        return (residual(x, conditions) / scale) ** 2

    def of(x: np.ndarray, conditions: Conditions) -> np.ndarray:
        return _mean_seen(squares(x, conditions).reshape(len(x), -1))

    def within(x: np.ndarray, conditions: Conditions) -> np.ndarray:
        return _mean_seen(squares(x, conditions).reshape(*x.shape[:2], -1))

    name = "reconstruction, deviation by sample" if by_entry else "reconstruction"
    return Score(name, of, within)


def latent_surprise(
    model: eqx.Module,
    normal: Num[np.ndarray, "n ..."] | None = None,
    conditions: Conditions = None,
    *,
    components: int = 1,
    seed: int = 0,
) -> Score:
    r"""$-\log p(z)$ in nats of $z$, what `x` is encoded to: under the model's prior, or, with
    `normal`, under so many Gaussians (1: one) fitted to the codes of these observations, which an
    encoder that strays from its prior needs.

    Raises `TypeError` if the model cannot encode, or has no prior where one is asked for.
    """
    require(model, "encoder", tool="latent_surprise")
    encode = _over(_Encode(model))
    if normal is None:
        require(model, "decoder", tool="latent_surprise under the prior")
        return Score("latents under the prior", _over(_Prior(model)), unit="nat")
    codes = encode(normal, conditions).astype(np.float64)
    spread = np.maximum(codes.std(0), 1e-12)
    # what nothing else here needs takes half a second to import
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(components, reg_covar=_RIDGE, random_state=seed)
    mixture.fit(codes / spread)

    def of(x: np.ndarray, conditions: Conditions) -> np.ndarray:
        found = encode(x, conditions).astype(np.float64) / spread
        return np.log(spread).sum() - mixture.score_samples(found)

    words = "a Gaussian" if components == 1 else f"{components} Gaussians"
    return Score(f"latents under {words}", of, unit="nat")


def joint_surprise(
    model: eqx.Module,
    normal: Num[np.ndarray, "n ..."],
    conditions: Conditions = None,
    *,
    components: int = 1,
    by_entry: bool = False,
    seed: int = 0,
) -> Score:
    r"""$-\log p(x \mid z) - \log p(z)$ in nats: reconstruction and latents at once, the first
    Gaussian with the deviations of `reconstruction`, the second `latent_surprise` with `normal`.

    Raises `TypeError` if the model cannot encode and decode.
    """
    require(model, "encoder", "decoder", tool="joint_surprise")
    residual = _over(_Residual(model))
    scale = _root_mean_square(residual(normal, conditions), by_entry=by_entry)
    codes = latent_surprise(model, normal, conditions, components=components, seed=seed)

    def of(x: np.ndarray, conditions: Conditions) -> np.ndarray:
        left = residual(x, conditions)
        nats = 0.5 * (left / scale) ** 2 + np.log(scale) + 0.5 * np.log(2 * np.pi)
        return np.nansum(nats.reshape(len(x), -1), axis=1) + codes(x, conditions)

    within = _reconstruction(residual, scale, by_entry=by_entry).within
    return Score("reconstruction and latents", of, within, "nat")


def critic(model: eqx.Module) -> Score:
    """What the critic of an adversarial model holds against an observation, with its sign turned.

    Raises `TypeError` if the model has no critic of observations.
    """
    if not isinstance(model, AbstractAdversarial) or isinstance(model, AbstractCompared):
        raise TypeError(
            f"a critic that judges observations alone is asked for, and {type(model).__name__} has "
            "none; fit a model with one, such as: unweave fit gan DATA."
        )
    return Score("critic", _over(_Critic(model)))


def confidence(model: eqx.Module) -> Score:
    r"""$1 - \max_c p(c \mid x)$ of a classifier (Hendrycks and Gimpel 2017).

    Raises `TypeError` if the model is no classifier.
    """
    return Score("lack of confidence", _over(_Unsure(_classifier(model))))


def entropy(model: eqx.Module) -> Score:
    r"""$-\sum_c p(c \mid x) \log p(c \mid x)$ of a classifier, in nats.

    Raises `TypeError` if the model is no classifier.
    """
    return Score("entropy of classes", _over(_Entropy(_classifier(model))), unit="nat")


def energy(model: eqx.Module) -> Score:
    r"""$-\log \sum_c \exp f_c(x)$, $f$ the answers of a classifier's network before they are
    normalised (Liu et al. 2020, equation 4, at temperature 1).

    Raises `TypeError` if the model is no classifier.
    """
    model = _classifier(model)
    assert isinstance(model, Classifier)
    return Score("energy of classes", _over(_Energy(model)), unit="nat")


def moved_latents(
    model: eqx.Module,
    x: Num[np.ndarray, "n ..."],
    normal: Num[np.ndarray, "m ..."],
    conditions: Conditions = None,
    *,
    normal_conditions: Conditions = None,
) -> Float[np.ndarray, "n latent"]:
    r"""Which latent moved: $(z_j - \mu_j) / \sigma_j$ of each code of `x`, mean and deviation
    those of the codes of `normal`; 0 where a latent is constant there and here.

    Raises `TypeError` if the model cannot encode.
    """
    require(model, "encoder", tool="moved_latents")
    encode = _over(_Encode(model))
    usual = encode(normal, normal_conditions).astype(np.float64)
    moved = encode(x, conditions).astype(np.float64) - usual.mean(0)
    spread = usual.std(0)
    away = np.where(moved == 0, 0, np.copysign(np.inf, moved))
    return np.divide(moved, spread, out=away, where=spread > 0)


def latent_names(model: eqx.Module, size: int = 0) -> tuple[str, ...]:
    """The names of a model's latents, or of what it answers; where it names nothing z1, z2, …, as
    many as `size`."""
    if isinstance(model, AbstractDecoder):
        return model.latents.names
    if isinstance(model, AbstractPredictor):
        return model.names
    return tuple(f"z{i + 1}" for i in range(size))


def attributed(target: Target, usual: Num[np.ndarray, "..."], *, steps: int = 32) -> Score:
    r"""The target as a score whose parts are integrated gradients from the observation `usual`
    (Sundararajan et al. 2017, equation 1): for a density, which leaves nothing to compare with,

    $$a_i = (x_i - u_i) \int_0^1 \partial_i f(u + \alpha (x - u)) \, d\alpha, \qquad \sum_i a_i =
    f(x) - f(u),$$

    by the midpoint rule in `steps` points, summed over the channels of a sample.
    """
    plain = of_target(target)
    parts = _over(_Path(target, jnp.asarray(real(np.asarray(usual))), steps))

    def within(x: np.ndarray, conditions: Conditions) -> np.ndarray:
        return parts(x, conditions).reshape(*x.shape[:2], -1).sum(-1)

    return Score(plain.name, plain.of, within, plain.unit)


class _Residual(eqx.Module):
    model: Any

    def __call__(self, x: Observation, condition: Condition) -> Observation:
        expected = self.model.decode(self.model.encode(x, condition), condition)
        return x.astype(expected.dtype) - expected


class _Encode(eqx.Module):
    model: Any

    def __call__(self, x: Observation, condition: Condition) -> Array:
        return self.model.encode(x, condition)


class _Prior(eqx.Module):
    model: Any

    def __call__(self, x: Observation, condition: Condition) -> Scalar:
        return -self.model.latents.log_prior(self.model.encode(x, condition))


class _Critic(eqx.Module):
    model: Any

    def __call__(self, x: Observation, condition: Condition) -> Scalar:
        return -self.model.judge(self.model.coordinates(x), condition)


class _Unsure(eqx.Module):
    model: Any

    def __call__(self, x: Observation, condition: Condition) -> Scalar:
        return -jnp.expm1(self.model.encode(x, condition).max())


class _Entropy(eqx.Module):
    model: Any

    def __call__(self, x: Observation, condition: Condition) -> Scalar:
        logs = self.model.encode(x, condition)
        return -jnp.sum(jnp.exp(logs) * logs)


class _Energy(eqx.Module):
    model: Any

    def __call__(self, x: Observation, condition: Condition) -> Scalar:
        one = jax.tree.map(lambda part: part[None], condition)
        return -jax.nn.logsumexp(self.model.net.answers(x[None], one)[0])


class _Path(eqx.Module):
    target: Target
    usual: Array
    steps: int = eqx.field(static=True)

    def __call__(self, x: Observation, condition: Condition) -> Observation:
        start = self.usual.astype(x.dtype)
        away = x - start
        slope = jax.grad(lambda at: self.target(at, condition).sum())
        places = (jnp.arange(self.steps, dtype=x.dtype) + 0.5) / self.steps
        total, _ = jax.lax.scan(
            lambda sum_, at: (sum_ + slope(start + at * away), None), jnp.zeros_like(x), places
        )
        return away * total / self.steps


def _over(function: Callable[..., Any]) -> Callable[[Any, Any], np.ndarray]:
    """`function` of one observation and its condition, over many."""

    def of(x: np.ndarray, conditions: Conditions) -> np.ndarray:
        return many(function, real(np.asarray(x)), conditions)

    return of


def _root_mean_square(residual: np.ndarray, *, by_entry: bool) -> np.ndarray:
    """Of each entry, or of each channel, never less than a millionth of the largest."""
    axes = 0 if by_entry else tuple(range(residual.ndim - 1))
    scale = np.sqrt(np.nanmean(np.asarray(residual, np.float64) ** 2, axis=axes))
    return np.maximum(np.nan_to_num(scale), 1e-6 * max(float(np.nanmax(scale)), 1e-300))


def _mean_seen(squares: np.ndarray) -> np.ndarray:
    """The mean over the last axis of what is no gap; 0 where all is."""
    seen = ~np.isnan(squares)
    return np.where(seen, squares, 0).sum(-1) / np.maximum(seen.sum(-1), 1)


def _classifier(model: eqx.Module) -> eqx.Module:
    if not isinstance(model, Classifier):
        raise TypeError(
            f"confidence, entropy and energy are asked of a classifier, and "
            f"{type(model).__name__} is none; fit one to data with labels, such as: unweave fit "
            "resnet DATA."
        )
    return model
