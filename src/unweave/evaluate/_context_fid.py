r"""A Fréchet distance between codes of windows (Context-FID: Jeha et al. 2022, section 4), for
comparison with published figures alone.

What is wrong with it: the code is a network's, trained anew for every set of data, so figures of
two programs, lengths or seeds do not compare; the codes have more numbers than many a test has
windows, so the distance falls as the windows grow in number; and it sees two moments. `two_sample`
and `mmd` are what to read.
"""

from dataclasses import dataclass
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from .._libraries import default_promotion
from .._many import many
from .._model import Key, Scalar
from ._samples import checked

VERSION = "legacy Context-FID 1 (TS2Vec)"
# the encoder of Yue et al. (2022) as Diffusion-TS (Yuan and Qiao 2024) trains it for this score
_WIDTH, _BLOCKS, _CODE, _BATCH, _RATE, _DROPPED = 64, 10, 320, 8, 1e-3, 0.1
# steps by how many numbers there are to train with
_FEW_NUMBERS, _FEW_STEPS, _STEPS = 100_000, 200, 600


@dataclass(frozen=True)
class ContextFID:
    """`value` between real and drawn windows, `floor` between real and other real ones, `seen`
    between these other ones and the drawn: where a model was trained with them, how published
    figures are made. All are 0 at best; `n` windows of each kind, one `seed`."""

    value: float
    floor: float
    seen: float
    n: int
    seed: int
    version: str = VERSION

    def sentence(self) -> str:
        """The same in words."""
        return (
            f"Context-FID {self.value:.3f}, of real windows {self.floor:.3f} "
            f"({self.version}, n = {self.n:,}, seed {self.seed})"
        )


def legacy_context_fid(
    real: np.ndarray,
    drawn: np.ndarray,
    *,
    others: np.ndarray | None = None,
    steps: int | None = None,
    seed: int = 0,
) -> ContextFID:
    r"""The `frechet_distance` between codes of real and of drawn windows, a code being the largest
    over time of each output of an encoder that was trained by contrast (TS2Vec: Yue et al. 2022).

    See the module for what is wrong with it.

    **Arguments:** `real`, `drawn`: windows `(n, time, channel)`; `others`, real windows that train
    the encoder and set the floor, without them every other one of `real`; all are scaled to 0 and 1
    by the smallest and largest of `others`; `steps` of training, without it 200, and 600 from
    100,000 numbers on.

    **Raises:** `ValueError` where shapes differ, a number is missing, or there are too few.
    """
    real, drawn = checked(real, drawn, least=10)
    if others is None:
        real, ground = real[::2], real[1::2]
    else:
        real, ground = checked(real, others, least=10)
    if real.ndim != 3 or real.shape[1] < 4:
        raise ValueError(
            f"this score is for windows (n, time, channel) of 4 samples or more, and these have "
            f"shape {real.shape}; use two_sample, which takes any."
        )
    low, high = ground.min((0, 1)), ground.max((0, 1))
    width = np.where(high > low, high - low, 1.0)
    sets = [((x - low) / width).astype(np.float32) for x in (real, drawn, ground)]
    if steps is None:
        steps = _FEW_STEPS if ground.size <= _FEW_NUMBERS else _STEPS
    encoder = trained(sets[2], steps, jax.random.key(seed))
    n = min(map(len, sets))
    rng = np.random.default_rng(seed)
    first, second, third = (
        many(encoder.code, x[np.sort(rng.permutation(len(x))[:n])]) for x in sets
    )
    return ContextFID(
        frechet_distance(first, second), frechet_distance(first, third),
        frechet_distance(third, second), n, seed,
    )  # fmt: skip


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    r"""$|\mu_a - \mu_b|^2 + \operatorname{tr}\big(\Sigma_a + \Sigma_b - 2 (\Sigma_a^{1/2} \Sigma_b
    \Sigma_a^{1/2})^{1/2}\big)$ of the moments of two sets `(n, feature)`: the squared 2-Wasserstein
    distance of two normal distributions (Dowson and Landau 1982, equation 16)."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    covariance = [np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b)]
    values, vectors = np.linalg.eigh(covariance[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    inner = np.linalg.eigvalsh(root @ covariance[1] @ root).clip(0)
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    spread = np.trace(covariance[0]) + np.trace(covariance[1]) - 2 * np.sqrt(inner).sum()
    return float(apart + spread)


class _Dilated(eqx.Module):
    """A convolution with three taps `dilation` apart; where a series is no longer than that, the
    outer ones read nothing but the zeros around it and are left out."""

    weight: Float[Array, "tap channel out"]
    bias: Float[Array, " out"]
    dilation: int = eqx.field(static=True)

    def __init__(self, inside: int, out: int, dilation: int, length: int, *, key: Key):
        bound = (3 * inside) ** -0.5
        taps = 3 if dilation < length else 1
        self.weight, self.bias = _uniform(key, (taps, inside, out), bound)
        self.dilation = dilation

    def __call__(self, x: Float[Array, "time channel"]) -> Float[Array, "time out"]:
        if len(self.weight) == 1:
            return x @ self.weight[0] + self.bias[None]
        zeros = jnp.zeros((self.dilation, x.shape[1]), x.dtype)
        before = jnp.concatenate([zeros, x[: -self.dilation]])
        after = jnp.concatenate([x[self.dilation :], zeros])
        joined = jnp.concatenate([before, x, after], axis=1)
        return joined @ self.weight.reshape(-1, self.weight.shape[2]) + self.bias[None]


class _Block(eqx.Module):
    first: _Dilated
    second: _Dilated
    skip: _Dilated | None

    def __init__(self, inside: int, out: int, dilation: int, length: int, *, key: Key):
        keys = jax.random.split(key, 3)
        self.first = _Dilated(inside, out, dilation, length, key=keys[0])
        self.second = _Dilated(out, out, dilation, length, key=keys[1])
        weight, bias = _uniform(keys[2], (1, inside, out), inside**-0.5)
        skip = eqx.tree_at(
            lambda layer: (layer.weight, layer.bias),
            _Dilated(inside, out, length, length, key=keys[2]), (weight, bias),
        )  # fmt: skip
        self.skip = skip if inside != out else None

    def __call__(self, x: Array, inside: Float[Array, "time one"]) -> Array:
        hidden = self.first(_gelu(x) * inside)
        hidden = self.second(_gelu(hidden) * inside)
        return hidden + (x if self.skip is None else self.skip(x))


class Encoder(eqx.Module):
    """Residual blocks of dilated convolutions over a window (Yue et al. 2022, section 3.2)."""

    weight: Float[Array, "channel width"]
    bias: Float[Array, " width"]
    blocks: tuple[_Block, ...]

    def __init__(self, channels: int, length: int, *, key: Key):
        first, *keys = jax.random.split(key, _BLOCKS + 2)
        self.weight, self.bias = _uniform(first, (channels, _WIDTH), channels**-0.5)
        self.blocks = tuple(
            _Block(_WIDTH, _CODE if i == _BLOCKS else _WIDTH, 2**i, length, key=key)
            for i, key in enumerate(keys)
        )

    def __call__(
        self,
        x: Float[Array, "time channel"],
        inside: Bool[Array, " time"],
        seen: Bool[Array, " time"],
    ) -> Float[Array, "time code"]:
        """Of the part of a window that lies `inside`, the samples `seen` of it."""
        edge = inside[:, None].astype(x.dtype)
        hidden = (x @ self.weight + self.bias[None]) * (inside & seen)[:, None].astype(x.dtype)
        for block in self.blocks:
            hidden = block(hidden, edge)
        return hidden

    def code(self, x: Float[Array, "time channel"]) -> Float[Array, " code"]:
        """The largest of each output over time."""
        everything = jnp.ones(len(x), bool)
        return self(x, everything, everything).max(0)


class Crops(NamedTuple):
    """Two parts of one window that overlap: each starts at `starts` and has `lengths` samples, and
    `shared` samples are in both, from `ahead` on in the first and from 0 on in the second."""

    starts: Int[Array, "2 row"]
    lengths: Int[Array, " 2"]
    ahead: Int[Array, ""]
    shared: Int[Array, ""]


def crops(key: Key, rows: int, length: int) -> Crops:
    """Of one length for all rows and at a place of its own for each (Yue et al. 2022, section
    3.3)."""
    keys = jax.random.split(key, 5)
    shared = jax.random.randint(keys[0], (), 2, length + 1)
    left = jax.random.randint(keys[1], (), 0, length - shared + 1)
    right = left + shared
    begin = jax.random.randint(keys[2], (), 0, left + 1)
    end = jax.random.randint(keys[3], (), right, length + 1)
    offset = jax.random.randint(keys[4], (rows,), -begin, length - end + 1)
    starts = jnp.stack([offset + begin, offset + left])
    return Crops(starts, jnp.stack([right - begin, end - left]), left - begin, shared)


def contrast(
    a: Float[Array, "row time code"], b: Float[Array, "row time code"], shared: Int[Array, ""]
) -> Scalar:
    r"""The hierarchical contrastive loss (Yue et al. 2022, section 3.4) over the first `shared`
    samples; `time` is a power of 2.

    On each of the scales, halved by max-pooling while a sample is left, half of $-\log$ of the
    softmax share that a sample's other view has among all other rows at its time, and half of that
    among all other times of its row.
    """
    total, scales = jnp.zeros((), a.dtype), jnp.zeros((), a.dtype)
    while True:
        time = a.shape[1]
        inside = jnp.arange(time) < shared
        loss = 0.5 * _shares(a.swapaxes(0, 1), b.swapaxes(0, 1), None, inside[:, None])
        if time > 1:
            among = jnp.broadcast_to(inside[None], a.shape[:2])
            along = 0.5 * _shares(a, b, among, among)
            loss = loss + jnp.where(shared > 1, along, 0.0)
        here = shared >= 1
        total, scales = total + jnp.where(here, loss, 0.0), scales + here.astype(a.dtype)
        if time == 1:
            return total / scales
        a, b = (z.reshape(len(z), time // 2, 2, -1).max(2) for z in (a, b))
        shared = shared // 2


def _shares(
    a: Float[Array, "set item code"],
    b: Float[Array, "set item code"],
    among: Bool[Array, "set item"] | None,
    counted: Bool[Array, "set _"],
) -> Scalar:
    """The mean of minus the log-share of an item's other view, over the items that are counted."""
    items = a.shape[1]
    both = jnp.concatenate([a, b], axis=1)
    alike = jnp.einsum("sic,sjc->sij", both, both)
    barred = jnp.broadcast_to(jnp.eye(2 * items, dtype=bool)[None], alike.shape)
    if among is not None:
        barred = barred | ~jnp.concatenate([among, among], axis=1)[:, None, :]
    shares = jax.nn.log_softmax(jnp.where(barred, -1e30, alike), axis=-1)
    i = jnp.arange(items)
    each = -0.5 * (shares[:, i, items + i] + shares[:, items + i, i])
    weight = jnp.broadcast_to(counted, each.shape).astype(each.dtype)
    return (each * weight).sum() / jnp.maximum(weight.sum(), 1)


def trained(x: Float[np.ndarray, "n time channel"], steps: int, key: Key) -> Encoder:
    """The encoder, its weights the mean over the steps of AdamW."""
    start_key, order_key, key = jax.random.split(key, 3)
    batch = min(_BATCH, len(x))
    epochs = -(-steps // (len(x) // batch))
    orders = jax.vmap(lambda k: jax.random.permutation(k, len(x)))(
        jax.random.split(order_key, epochs)
    )
    rows = np.asarray(orders)[:, : len(x) // batch * batch].reshape(-1, batch)[:steps]
    encoder = Encoder(x.shape[2], x.shape[1], key=start_key)
    return _descended(encoder, jnp.asarray(x), jnp.asarray(rows), key)


@eqx.filter_jit
@default_promotion()
def _descended(
    encoder: Encoder, x: Float[Array, "n time channel"], rows: Int[Array, "step batch"], key: Key
) -> Encoder:
    own, rest = eqx.partition(encoder, eqx.is_inexact_array)
    optimiser = optax.adamw(_RATE, weight_decay=0.01)

    def step(state: tuple, given: tuple[Array, Key, Array]) -> tuple[tuple, None]:
        own, mean, moments = state
        which, key, count = given
        slope = jax.grad(lambda own: _loss(eqx.combine(own, rest), x[which], key))(own)
        updates, moments = optimiser.update(slope, moments, own)
        own = optax.apply_updates(own, updates)
        mean = jax.tree.map(lambda m, new: m + (new - m) / count, mean, own)
        return (own, mean, moments), None

    keys = jax.random.split(key, len(rows))
    # the weights at the start count as the first of the mean
    counts = jnp.arange(2, len(rows) + 2).astype(x.dtype)
    state = (own, own, optimiser.init(own))
    (_, mean, _), _ = jax.lax.scan(step, state, (rows, keys, counts))
    return eqx.combine(mean, rest)


def _loss(encoder: Encoder, x: Float[Array, "row time channel"], key: Key) -> Scalar:
    rows, length = x.shape[:2]
    crop_key, *keys = jax.random.split(key, 5)
    cut = crops(crop_key, rows, length)
    padded = 2 ** int(np.ceil(np.log2(length)))
    views = []
    for i, ahead in enumerate((cut.ahead, jnp.zeros_like(cut.ahead))):
        places = (cut.starts[i][:, None] + jnp.arange(length)[None]).clip(0, length - 1)
        part = jnp.take_along_axis(x, places[..., None], axis=1)
        inside = jnp.arange(length) < cut.lengths[i]
        seen = jax.random.bernoulli(keys[i], 0.5, (rows, length))
        out = jax.vmap(encoder, in_axes=(0, None, 0))(part, inside, seen)
        kept = jax.random.bernoulli(keys[2 + i], 1 - _DROPPED, out.shape)
        out = jnp.where(kept, out / (1 - _DROPPED), 0.0)
        out = jnp.roll(out, -ahead, axis=1)
        views.append(jnp.pad(out, ((0, 0), (0, padded - length), (0, 0))))
    return contrast(views[0], views[1], cut.shared)


def _uniform(key: Key, shape: tuple[int, ...], bound: float) -> tuple[Array, Array]:
    weight_key, bias_key = jax.random.split(key)
    draw = jax.random.uniform(weight_key, shape, minval=-bound, maxval=bound)
    return draw, jax.random.uniform(bias_key, shape[-1:], minval=-bound, maxval=bound)


def _gelu(x: Array) -> Array:
    return jax.nn.gelu(x, approximate=False)
