r"""The two scores of TimeGAN (Yoon, Jarrett and van der Schaar 2019, section 5), for comparison
with published figures alone.

What is wrong with them: a recurrent net of half as many units as channels judges, of which there
are none for a single channel; the score depends on the seed of its training; and on sines the
predictive score of a constant is as good as any. `two_sample` and `mmd` are what to read.
"""

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from .._libraries import default_promotion
from .._model import Key, Scalar
from ._samples import checked

VERSION = "legacy TimeGAN 1"
# steps of the two judges and their batch, from the code of the paper's authors
_DISCRIMINATIVE_STEPS, _PREDICTIVE_STEPS, _BATCH = 2000, 5000, 128
# the share of windows that train the discriminating judge
_TRAIN = 0.8

Windows = Float[Array | np.ndarray, "n time channel"]


@dataclass(frozen=True)
class LegacyScore:
    """One `value` of a score whose `name` says which; `n` windows of either kind, one `seed`."""

    name: str
    value: float
    n: int
    seed: int
    version: str = VERSION

    def sentence(self) -> str:
        """The same in words."""
        return f"{self.name} {self.value:.3f} ({self.version}, n = {self.n:,}, seed {self.seed})"


class _Judge(eqx.Module):
    """A recurrent net and a linear layer on its state; its answers `(time,)`."""

    cell: eqx.nn.GRUCell
    last: eqx.nn.Linear

    def __init__(self, channels: int, units: int, *, key: Key):
        cell_key, last_key = jax.random.split(key)
        self.cell = eqx.nn.GRUCell(channels, units, key=cell_key)
        self.last = eqx.nn.Linear(units, "scalar", key=last_key)

    def __call__(self, x: Float[Array, "time channel"]) -> Float[Array, " time"]:
        def step(state: Array, now: Array) -> tuple[Array, Scalar]:
            state = self.cell(now, state)
            return state, self.last(state)

        return jax.lax.scan(step, jnp.zeros(self.cell.hidden_size), x)[1]


def legacy_timegan_discriminative(
    real: np.ndarray, drawn: np.ndarray, *, steps: int = _DISCRIMINATIVE_STEPS, seed: int = 0
) -> LegacyScore:
    r"""$|\frac12 - \text{accuracy}|$ of a recurrent net that tells drawn windows from real ones; 0
    is best and 0.5 worst. See the module for what is wrong with it.

    **Arguments:** `real`, `drawn`: windows `(n, time, channel)` with at least two channels.

    **Raises:** `ValueError` where shapes differ, a number is missing, or there are too few.
    """
    real, drawn = _scaled(real, drawn)
    n = min(len(real), len(drawn))
    units = real.shape[2] // 2
    rng = np.random.default_rng(seed)
    cut = int(_TRAIN * n)
    (known, new), (like, other) = (
        (x[order[:cut]], x[order[cut:n]])
        for x, order in ((real, rng.permutation(len(real))), (drawn, rng.permutation(len(drawn))))
    )
    start_key, key = jax.random.split(jax.random.key(seed))
    judge = _Judge(real.shape[2], units, key=start_key)
    judge = _trained(judge, _cross_entropy, (known, like), steps, key)
    logits = [np.asarray(_answers(judge, x))[:, -1] for x in (new, other)]
    right = np.concatenate([logits[0] > 0, logits[1] <= 0])
    return LegacyScore("discriminative score", abs(0.5 - float(right.mean())), n, seed)


def legacy_timegan_predictive(
    real: np.ndarray, drawn: np.ndarray, *, steps: int = _PREDICTIVE_STEPS, seed: int = 0
) -> LegacyScore:
    """The mean absolute error, on real windows, of a recurrent net that was trained on drawn ones
    to tell the last channel's next sample from the other channels; entries are scaled to 0 and 1 by
    the real ones. See the module for what is wrong with it.

    **Arguments:** `real`, `drawn`: windows `(n, time, channel)` with at least two channels.

    **Raises:** `ValueError` where shapes differ, a number is missing, or there are too few.
    """
    real, drawn = _scaled(real, drawn)
    units = real.shape[2] // 2
    start_key, key = jax.random.split(jax.random.key(seed))
    judge = _Judge(real.shape[2] - 1, units, key=start_key)
    judge = _trained(judge, _absolute_error, (drawn,), steps, key)
    told = jax.nn.sigmoid(_answers(judge, real[:, :-1, :-1]))
    error = np.abs(np.asarray(told) - real[:, 1:, -1]).mean(dtype=np.float64)
    return LegacyScore("predictive score", float(error), len(real), seed)


def _scaled(real: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with the smallest and largest real sample of each channel at 0 and 1, as the paper's."""
    real, drawn = checked(real, drawn, least=10)
    if real.ndim != 3 or real.shape[2] < 2 or real.shape[1] < 2:
        raise ValueError(
            f"these scores are for windows (n, time, channel) of two channels or more, and these "
            f"have shape {real.shape}; use two_sample, which takes any."
        )
    low, high = real.min((0, 1)), real.max((0, 1))
    width = np.where(high > low, high - low, 1.0)
    pair = (((x - low) / width).astype(np.float32) for x in (real, drawn))
    first, second = pair
    return first, second


def _cross_entropy(judge: _Judge, x: Array, y: Array) -> Scalar:
    """Of the answers after the last sample."""
    told = jax.vmap(judge)(x)[:, -1], jax.vmap(judge)(y)[:, -1]
    return -(jax.nn.log_sigmoid(told[0]) + jax.nn.log_sigmoid(-told[1])).mean()


def _absolute_error(judge: _Judge, x: Array) -> Scalar:
    told = jax.nn.sigmoid(jax.vmap(judge)(x[:, :-1, :-1]))
    return jnp.abs(told - x[:, 1:, -1]).mean()


@eqx.filter_jit
@default_promotion()
def _trained(
    judge: _Judge, loss: Callable, windows: tuple[Windows, ...], steps: int, key: Key
) -> _Judge:
    """The judge after `steps` of Adam on batches drawn anew."""
    own, rest = eqx.partition(judge, eqx.is_inexact_array)
    optimiser = optax.adam(1e-3)

    def step(state: tuple, key: Key) -> tuple[tuple, None]:
        own, moments = state
        keys = jax.random.split(key, len(windows))
        batches = [
            jnp.asarray(x)[jax.random.randint(k, (_BATCH,), 0, len(x))]
            for x, k in zip(windows, keys, strict=True)
        ]
        slope = jax.grad(lambda own: loss(eqx.combine(own, rest), *batches))(own)
        updates, moments = optimiser.update(slope, moments)
        return (optax.apply_updates(own, updates), moments), None

    keys = jax.random.split(key, steps)
    (own, _), _ = jax.lax.scan(step, (own, optimiser.init(own)), keys)
    return eqx.combine(own, rest)


@eqx.filter_jit
def _answers(judge: _Judge, x: Windows) -> Float[Array, "n time"]:
    return jax.vmap(judge)(jnp.asarray(x))
