r"""A reader of spans: for every sample the probability that what is strange begins, or ends, there.

As extractive question answering marks an answer in a text (Devlin et al. 2019, section 4.2 and, for
texts that hold none, 4.3), here over features of dilated gated convolutions.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

from ..._keys import split_on_host
from ..._model import AbstractPredictor, Condition, Key, Latent, Observation, Regularity, Scalar
from ...data import Dataset, Scale
from .._mlp import MLP
from .._real import real
from ._build import check_series, spacing
from ._readers import GatedConvolutions
from ._times import times_of


class SpanReader(AbstractPredictor):
    r"""$\log p(\text{start} = t \mid x)$ and $\log p(\text{end} = t \mid x)$ of the first and last
    sample of one span, each a softmax over the samples and over *nothing*.

    Its code has $2 (T + 1)$ numbers, the starts and then the ends, *nothing* the first of each; the
    `names` say which. **Fields:** `reader`, whose features of each sample `ends` turns into two
    numbers, and which itself, by attention, answers for nothing; `scale`, from the user's units;
    `times` of the samples.
    """

    reader: GatedConvolutions
    ends: MLP
    scale: Scale
    times: tuple[float, ...] = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """The log-probabilities; nothing is drawn."""
        scaled = self.scale.apply(real(x))
        times = times_of(condition, self.times, scaled)
        features = self.reader.features(scaled, times)
        places = jax.vmap(self.ends)(features)
        both = jnp.concatenate([self.reader.read(features)[None], places])
        return jax.nn.log_softmax(both, axis=0).T.reshape(-1)

    def predict(
        self,
        x: Num[Array, "batch ..."],
        condition: Condition = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "batch answer"]:
        """Log-probabilities for a batch."""
        return jax.vmap(self.encode)(x, condition)

    def misfit(self, code: Latent, answer: Num[Array, "..."]) -> Scalar:
        r"""$-\log p(\text{start}) - \log p(\text{end})$ in nats of a span as `data.SPAN` gives it:
        its first sample and the one after its last, NaN for nothing."""
        starts, ends = code.reshape(2, -1)
        known = ~jnp.isnan(answer).any()
        first, after = jnp.where(known, answer, 0.0).astype(jnp.int32)
        return -starts[jnp.where(known, first + 1, 0)] - ends[jnp.where(known, after, 0)]

    def regularity(self, x: Num[Array, "batch ..."], key: Key) -> Regularity:
        """It has no way through depth: raises `TypeError`."""
        raise TypeError("a span reader has no way through depth that could be regular.")


def start_span_reader(
    data: Dataset, *, width: int = 32, dilations: tuple[int, ...] = (1, 2, 4, 8, 16), key: Key
) -> SpanReader:
    """A `SpanReader` for the scale and the times of `data`."""
    check_series(data)
    reader_key, ends_key = split_on_host(key, 2)
    reader = GatedConvolutions(
        data.schema.shape[1], 2, width=width, dilations=dilations, unit=spacing(data),
        key=reader_key,
    )  # fmt: skip
    ends = MLP(width, 2, (width,), key=ends_key)
    places = ("nowhere", *range(data.schema.shape[0]))
    return SpanReader(
        reader=reader,
        ends=ends,
        scale=Scale.standard(data.observations, data.moments),
        times=data.schema.times,
        names=tuple(f"{end} {at}" for end in ("start", "end") for at in places),
    )


def likeliest_span(code: Latent) -> Int[Array, "2"]:
    r"""$\arg\max_{i \le j} p(\text{start} = i)\, p(\text{end} = j)$ as $(i, j + 1)$, whether there
    is one or none, by dynamic programming: of every end the best start before it is a running
    maximum."""
    starts, ends = code.reshape(2, -1)[:, 1:]
    last = jnp.argmax(jax.lax.cummax(starts) + ends)
    before = jnp.where(jnp.arange(len(starts)) <= last, starts, -jnp.inf)
    return jnp.stack([jnp.argmax(before), last + 1])


def span_log_odds(code: Latent) -> Scalar:
    r"""$\log \sum_{i \le j} p_s(i)\, p_e(j) - \log p_s(\text{nowhere})\, p_e(\text{nowhere})$ in
    nats: that there is a span, rather than none."""
    (none, starts), (nor, ends) = ((part[0], part[1:]) for part in code.reshape(2, -1))
    return jax.nn.logsumexp(jax.lax.cumlogsumexp(starts) + ends) - none - nor


def span_membership(code: Latent) -> Float[Array, " time"]:
    r"""The probability of each sample to lie in a span,
    $\sum_{i \le t \le j} p_s(i)\, p_e(j) / Z$, $Z$ over all $i \le j$ and nothing."""
    (none, starts), (nor, ends) = ((part[0], part[1:]) for part in code.reshape(2, -1))
    before = jax.lax.cumlogsumexp(starts)
    after = jax.lax.cumlogsumexp(ends, reverse=True)
    whole = jnp.logaddexp(jax.nn.logsumexp(before + ends), none + nor)
    return jnp.exp(before + after - whole)


def span_overlap(
    found: Num[np.ndarray, "n 2"], known: Num[np.ndarray, "n 2"]
) -> Float[np.ndarray, " n"]:
    """Intersection over union of spans `[start, end)`, pair by pair."""
    shared = np.minimum(found[:, 1], known[:, 1]) - np.maximum(found[:, 0], known[:, 0])
    shared = np.maximum(shared, 0)
    whole = (found[:, 1] - found[:, 0]) + (known[:, 1] - known[:, 0]) - shared
    return np.asarray(shared / whole, np.float64)
