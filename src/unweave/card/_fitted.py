"""A fitted model with all that a row may look at, and what several rows need computed once."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .. import show
from .._adapt import Inverted
from .._families import AbstractDenoiser, AbstractVelocity
from .._many import many
from .._model import AbstractDecoder, AbstractEncoder
from .._rows import evenly
from ..data import Dataset, Split
from ..train import Recipe
from ._subsets import is_within

# rows that are asked at a time, whatever their number, so that every row of the card meets the
# same compiled program; fewer where each is a search of its own, for the batch waits for the last
_AT_ONCE, _SLOW_AT_ONCE = 64, 16
# test observations that are moved to see what is copied, and how far, in standard deviations
_PROBED, _STEP = 64, 1e-2


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted model with what it was fitted to: all that a row may look at.

    `recipe` is the recipe's name; `data` the split whose training part was used; `seconds` None
    where the fit was interrupted and nobody knows how long the whole of it took; `seed`, the
    seed of the fit, from which a row draws what it needs; `elsewhere`, other data of the same
    kind to which it was not fitted, where there are some; `memory`, in MB, what the fit took at
    its peak, None where that is not known; `made_by`, the recipe itself; `account`, what a
    fitted equation says of itself.
    """

    model: eqx.Module
    recipe: str
    data: Split
    seconds: float | None
    seed: int = 0
    elsewhere: Split | None = None
    memory: float | None = None
    made_by: Recipe | None = None
    account: Mapping[str, Any] | None = None

    @functools.cached_property
    def x(self) -> np.ndarray:
        """The test observations `(n, *shape)`."""
        return np.asarray(self.data.test.observations, np.float64)

    @property
    def goes_back(self) -> bool:
        """Whether the model encodes and decodes."""
        return isinstance(self.model, AbstractEncoder) and isinstance(self.model, AbstractDecoder)

    @functools.cached_property
    def codes(self) -> np.ndarray | None:
        """The latents `(n, latent)` of the test observations; None where the model cannot go back
        and forth, or could only copy.

        Of a split within time they are those of the training part of each course. A model with
        as many latents as an observation has numbers hands every observation back, which
        measures nothing; its forecast does.
        """
        return self._codes_of(self.data)

    @functools.cached_property
    def x_hat(self) -> np.ndarray | None:
        """What the model makes of the test observations, its `codes` decoded; of a split within
        time a forecast. None where there are no codes."""
        return self._decoded(self.codes, self.data)

    @functools.cached_property
    def copied(self) -> float | None:
        r"""How much of an observation's own noise `x_hat` takes over: with $m$ numbers observed,
        $\frac1m \operatorname{tr} \partial\hat x / \partial x$, in the mean of up to `_PROBED` test
        observations.

        These are the degrees of freedom (Ye 1998, JASA 93:120) per number: $k/m$ for a
        projection on $k$ axes. The trace is that of a random probe of signs (Hutchinson 1989).
        A forecast sees nothing of what it is judged by, and copies none.
        """
        if self.x_hat is None:
            return None
        if is_within(self.data):
            return 0.0
        rows = self.some(_PROBED)
        x, x_hat = self.x[rows], self.x_hat[rows]
        step = _STEP * np.nanstd(self.x, axis=tuple(range(x.ndim - 1)))
        step = np.where(step > 0, step, _STEP)
        signs = np.random.default_rng(self.seed).choice([-1.0, 1.0], size=x.shape)
        conditions = jax.tree.map(lambda leaf: leaf[rows], self.data.test.conditions)
        moved = self.decode(self.encode(x + step * signs, conditions), conditions)
        slopes = signs * (moved.astype(np.float64) - x_hat) / step
        seen = ~np.isnan(x) & np.isfinite(slopes)
        return float(np.clip(slopes[seen].sum() / max(seen.sum(), 1), 0.0, 1.0))

    def reconstructed(self, data: Split) -> np.ndarray | None:
        """`x_hat` of the test part of other data."""
        return self._decoded(self._codes_of(data), data)

    @functools.cached_property
    def is_slow(self) -> bool:
        """Whether going back is a search or an integral for each observation, so that rows ask
        of fewer."""
        slow = Inverted | AbstractVelocity | AbstractDenoiser
        parts = jax.tree.leaves(self.model, is_leaf=lambda part: isinstance(part, slow))
        return any(isinstance(part, slow) for part in parts)

    def encode(self, x: np.ndarray, conditions: Any = None) -> np.ndarray:
        """The latents `(n, latent)` of observations, each with its own condition."""
        assert isinstance(self.model, AbstractEncoder)
        return self._many(self.model.encode, x, conditions)

    def decode(self, z: np.ndarray, conditions: Any = None) -> np.ndarray:
        """The observations that latents stand for, each with its own condition."""
        assert isinstance(self.model, AbstractDecoder)
        return self._many(self.model.decode, z, conditions)

    def some(self, most: int, *, slow: int | None = None) -> np.ndarray:
        """The places of at most so many test observations, evenly spread over all; of `slow` many
        where going back is slow."""
        n = len(self.data.test)
        most = slow if slow is not None and self.is_slow else most
        return evenly(n, most)

    def at(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Numbers of some test observations as numbers of all `(n,)`, NaN for the others."""
        each = np.full(len(self.data.test), np.nan)
        each[rows] = values
        return each

    def _codes_of(self, data: Split) -> np.ndarray | None:
        model, within = self.model, is_within(data)
        if not (isinstance(model, AbstractEncoder) and isinstance(model, AbstractDecoder)):
            return None
        if not within and model.latents.size >= data.test.schema.size:
            return None
        shown = shown_of(data)
        return self.encode(shown.observations, shown.conditions)

    def _decoded(self, codes: np.ndarray | None, data: Split) -> np.ndarray | None:
        if codes is None:
            return None
        return self.decode(codes, shown_of(data).conditions).astype(np.float64)

    def _many(self, function: Any, rows: np.ndarray, conditions: Any) -> np.ndarray:
        size = self.data.test.schema.size
        most = _SLOW_AT_ONCE if self.is_slow else _AT_ONCE
        chunk = max(1, min(most, show.CHUNK_NUMBERS // size))
        n = len(rows)
        # fewer rows than that are filled up: to compile anew costs more than to ask again
        place = np.minimum(np.arange(max(n, chunk)), n - 1)
        asked = jax.tree.map(lambda part: np.asarray(part)[place], (rows, conditions))
        # the model's own precision is chosen where it is asked, so nothing is lost before
        return many(function, np.asarray(asked[0], np.float64), asked[1], chunk=chunk)[:n]


def shown_of(data: Split) -> Dataset:
    """What a model is shown of the test observations: of a split within time the training part
    of each course, else themselves."""
    return data.train if is_within(data) else data.test
