r"""A linear autoregression: what the last samples alone say about the next one.

$x_t = b + \sum_{k=1}^{p} A_k x_{t-k} + L e_t$ with $e_t \sim \mathcal{N}(0, I)$ (Lütkepohl 2005,
"New Introduction to Multiple Time Series Analysis", chapters 3 and 4). The innovations $e_t$ are
its latents: as many as there are samples, so its reconstruction is a copy, and only what was not
observed is a prediction.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Float

from .._latents import Latents
from .._model import (
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
from ..data import Scale

_MOST_ORDER = 10
# a direction in which the residuals do not vary at all gets this part of the samples' variance
_LEAST_NOISE = 1e-8


class _Step(NamedTuple):
    """How sample t follows from those before it, most recent first; the samples that lie before
    the first one have coefficients of zero."""

    weights: Float[Array, "channel lags"]
    offset: Float[Array, " channel"]
    factor: Float[Array, "channel channel"]


class Autoregression(AbstractDecoder, AbstractEncoder, AbstractDensity):
    r"""A vector autoregression of scaled samples; see `fit_autoregression`.

    **Arguments:** `latents`, the innovations, one for each entry of an observation;
    `coefficients`, for each order $q = 0 \dots p$ the $A_k$ `(q, channel,
    channel)`; `offsets` $b$ `(p + 1, channel)` and `factors` $L$ `(p + 1, channel, channel)` of
    each order, in units of $(x - \text{centre}) / \text{spread}$. Sample $t$ follows by order
    $\min(t, p)$: the first ones have a shorter past.
    """

    density_kind: ClassVar[DensityKind] = "exact"

    latents: Latents
    coefficients: tuple[Float[Array, "_ channel channel"], ...]
    offsets: Float[Array, "orders channel"]
    factors: Float[Array, "orders channel channel"]
    centre: Float[Array, " channel"]
    spread: Float[Array, " channel"]

    @property
    def length(self) -> int:
        """How many samples an observation has."""
        return self.latents.size // self.offsets.shape[1]

    @property
    def order(self) -> int:
        """How many samples of the past the next one depends on."""
        return len(self.coefficients) - 1

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """The course that these innovations drive; nothing is left to be drawn."""

        def step(past: Array, now: tuple[_Step, Array]) -> tuple[Array, Array]:
            how, e = now
            x = how.weights @ past + how.offset + how.factor @ e
            return _push(past, x), x

        innovations = z.reshape(self.length, -1)
        _, x = jax.lax.scan(step, self._before(), (self._steps(), innovations))
        return x * self.spread[None, :] + self.centre[None, :]

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """The innovations of `x`. A sample that was not observed takes what is expected of it
        given those before it, or with a key a draw of that: what follows the last observed
        sample is the forecast."""
        scaled = self._scaled(x)
        draws = jnp.zeros_like(scaled)
        if key is not None:
            draws = jax.random.normal(key, scaled.shape, scaled.dtype)

        def step(past: Array, now: tuple[_Step, Array, Array]) -> tuple[Array, Array]:
            how, x, e = now
            expected = how.weights @ past + how.offset
            guess = expected + how.factor @ e
            observed = ~jnp.isnan(x)
            left = jnp.where(observed, x - guess, 0)
            cov, root = _observed_part(how.factor @ how.factor.T, observed)
            filled = guess + cov @ jsl.cho_solve((root, True), left)
            filled = jnp.where(observed, x, filled)
            e = jsl.solve_triangular(how.factor, filled - expected, lower=True)
            return _push(past, filled), e

        _, innovations = jax.lax.scan(step, self._before(), (self._steps(), scaled, draws))
        return innovations.reshape(-1)

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""$\sum_t \log p(x_t \mid x_{<t})$ over the observed entries by the Kalman filter, whose
        state is the last $p$ samples: exact with gaps as without."""
        scaled = self._scaled(x)
        past = self._before()

        def step(state: tuple[Array, Array], now: tuple[_Step, Array]):
            (mean, cov), (how, x) = state, now
            noise = how.factor @ how.factor.T
            shared = how.weights @ cov
            expected = jnp.concatenate([how.weights @ mean + how.offset, mean])
            spread = jnp.block([[shared @ how.weights.T + noise, shared], [shared.T, cov]])
            size, observed = len(x), ~jnp.isnan(x)
            left = jnp.where(observed, x - expected[:size], 0)
            _, root = _observed_part(spread[:size, :size], observed)
            seen = jnp.where(observed[None, :], spread[:, :size], 0)
            gain = jsl.cho_solve((root, True), seen.T).T
            score = jsl.solve_triangular(root, left, lower=True)
            count = observed.sum(dtype=score.dtype)
            log_p = -0.5 * (score @ score + count * jnp.log(2 * jnp.pi))
            log_p = log_p - jnp.log(jnp.diagonal(root)).sum()
            # what was observed is known: rounding must leave no variance there
            unknown = jnp.concatenate([~observed, jnp.ones(len(mean), bool)])
            spread = jnp.where(unknown[:, None] & unknown[None, :], spread - gain @ seen.T, 0)
            kept = len(mean)
            return ((expected + gain @ left)[:kept], spread[:kept, :kept]), log_p

        start = (past, jnp.zeros((len(past), len(past)), past.dtype))
        _, log_p = jax.lax.scan(step, start, (self._steps(), scaled))
        observed = (~jnp.isnan(scaled)).sum(axis=0, dtype=scaled.dtype)
        return log_p.sum() - observed @ jnp.log(self.spread)

    def _scaled(self, x: Observation) -> Float[Array, "time channel"]:
        x = jnp.asarray(x, self.offsets.dtype)
        return (x - self.centre[None, :]) / self.spread[None, :]

    def _before(self) -> Float[Array, " lags"]:
        return jnp.zeros(self.order * self.offsets.shape[1], self.offsets.dtype)

    def _steps(self) -> _Step:
        """The `_Step` of every sample, stacked."""
        p = self.order
        wide = [jnp.pad(a, ((0, p - len(a)), (0, 0), (0, 0))) for a in self.coefficients]
        channels = self.offsets.shape[1]
        weights = jnp.stack(wide).transpose(0, 2, 1, 3).reshape(p + 1, channels, -1)
        which = np.minimum(np.arange(self.length), p)
        return _Step(weights[which], self.offsets[which], self.factors[which])


def fit_autoregression(observations: np.ndarray, *, most: int = _MOST_ORDER) -> Autoregression:
    r"""The least-squares autoregression of some courses, of the order with the lowest BIC.

    $\mathrm{BIC}(q) = n \log \det \hat\Sigma_q + k_q \log n$ over the same $n$ samples for every
    order (Schwarz 1978, Ann. Stat. 6:461), $k_q$ counting coefficients, offsets and the
    covariance $\hat\Sigma_q = L L^\top$ of the residuals.

    **Arguments:** `observations` `(n, time, channel)` on an even grid, NaN = not observed; only
    samples whose past is observed count. `most`, the highest order that is tried.

    **Raises:** `ValueError` where observations are no courses, or too few samples in a row are
    observed for order 1.
    """
    if observations.ndim != 3 or observations.shape[1] < 2:
        raise ValueError(
            f"observations of shape {observations.shape[1:]} have no course in time to regress "
            "on; give (n, time, channel) with at least 2 samples."
        )
    scale = Scale.standard(observations)
    x = (np.asarray(observations, np.float64) - scale.offset) / scale.spread
    table = _usable(x, most)
    n, channels = len(table), x.shape[2]
    # one triangle holds the regressions of every order: its first columns are that order's
    triangle = np.asarray(np.linalg.qr(table, mode="r"))
    orders = (table.shape[1] - 1) // channels
    power = float(np.mean(triangle[:, -channels:] ** 2)) * len(triangle) / n
    fits = [_regression(triangle, q, channels, n, power) for q in range(orders)]
    scores = [
        n * np.linalg.slogdet(cov)[1] + _numbers(q, channels) * np.log(n)
        for q, (_, _, cov) in enumerate(fits)
    ]
    chosen = fits[: 2 + int(np.argmin(scores[1:]))]
    factors = np.stack([np.linalg.cholesky(cov) for *_, cov in chosen])
    return Autoregression(
        latents=Latents.standard(x.shape[1] * channels, prefix="e"),
        coefficients=tuple(jnp.asarray(weights, jnp.float32) for weights, _, _ in chosen),
        offsets=jnp.asarray(np.stack([offset for _, offset, _ in chosen]), jnp.float32),
        factors=jnp.asarray(factors, jnp.float32),
        centre=jnp.asarray(scale.offset, jnp.float32),
        spread=jnp.asarray(scale.spread, jnp.float32),
    )


def _usable(x: np.ndarray, most: int) -> np.ndarray:
    """Rows of 1, the samples before (most recent first), and the sample: `(n, 1 + (order + 1)
    channel)`, for the highest order for which there are rows enough."""
    length, channels = x.shape[1:]
    for order in range(min(most, (length - 1) // 2 or 1), 0, -1):
        lags = [x[:, order - k : length - k] for k in (*range(1, order + 1), 0)]
        rows = np.concatenate(lags, axis=-1).reshape(-1, (order + 1) * channels)
        rows = rows[~np.isnan(rows).any(axis=1)]
        if len(rows) > 2 * (1 + order * channels):
            return np.column_stack([np.ones(len(rows)), rows])
    raise ValueError(
        f"an autoregression of {channels} channels needs more than {2 * (1 + channels)} pairs of "
        "samples in a row; give longer courses or more of them."
    )


def _regression(
    triangle: np.ndarray, order: int, channels: int, n: int, power: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients `(order, channel, channel)`, offset and covariance of the residuals."""
    used, target = triangle[:, : 1 + order * channels], triangle[:, -channels:]
    found = np.linalg.lstsq(used, target, rcond=None)[0]
    left = target - used @ found
    cov = left.T @ left / n + _LEAST_NOISE * power * np.eye(channels)
    weights = found[1:].reshape(order, channels, channels).transpose(0, 2, 1)
    return weights, found[0], cov


def _numbers(order: int, channels: int) -> float:
    return order * channels**2 + channels + channels * (channels + 1) / 2


def _push(past: Array, x: Array) -> Array:
    """The past with one more sample in front, and the oldest left out."""
    return jnp.concatenate([x, past])[: len(past)]


def _observed_part(cov: Array, observed: Array) -> tuple[Array, Array]:
    """The covariance's columns of what was observed, and the Cholesky factor of its block,
    which is the identity elsewhere."""
    both = observed[:, None] & observed[None, :]
    block = jnp.where(both, cov, jnp.eye(len(cov), dtype=cov.dtype))
    return jnp.where(observed[None, :], cov, 0), jnp.linalg.cholesky(block)
