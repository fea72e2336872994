"""What a row of the card is, and what it is measured on."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import equinox as eqx
import jax
import numpy as np

from .. import show
from .._model import AbstractDecoder, AbstractEncoder
from .._schema import Schema
from ..data import Split
from ._subsets import is_within

# test observations that are moved to see what is copied, and how far, in standard deviations
_PROBED, _STEP = 64, 1e-2

Better: TypeAlias = Literal["lower", "higher", "neither"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted model with what it was fitted to: all that a row may look at.

    `recipe` is the recipe's name; `data` the split whose training part was used; `seconds` None
    where the fit was interrupted and nobody knows how long the whole of it took; `seed`, the
    seed of the fit, from which a row draws what it needs; `elsewhere`, other data of the same
    kind to which it was not fitted, where there are some.
    """

    model: eqx.Module
    recipe: str
    data: Split
    seconds: float | None
    seed: int = 0
    elsewhere: Split | None = None

    @functools.cached_property
    def x(self) -> np.ndarray:
        """The test observations `(n, *shape)`."""
        return np.asarray(self.data.test.observations, np.float64)

    @functools.cached_property
    def x_hat(self) -> np.ndarray | None:
        """What the model makes of them; None where it cannot, or could only copy.

        It encodes and decodes the test observations. Of a split within time it encodes the
        training part of each course and decodes all of it: a forecast. A model with as many
        latents as an observation has numbers hands every observation back, which measures
        nothing; its forecast does.
        """
        model, within = self.model, is_within(self.data)
        if not (isinstance(model, AbstractEncoder) and isinstance(model, AbstractDecoder)):
            return None
        if not within and model.latents.size >= self.data.test.schema.size:
            return None
        shown = self.data.train if within else self.data.test
        x_hat = show.reconstruct(model, shown.observations, conditions=shown.conditions)
        return np.asarray(x_hat, np.float64)

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
        test = self.data.test
        rows = np.unique(np.linspace(0, len(test) - 1, min(len(test), _PROBED)).astype(int))
        x, x_hat = self.x[rows], self.x_hat[rows]
        step = _STEP * np.nanstd(self.x, axis=tuple(range(x.ndim - 1)))
        step = np.where(step > 0, step, _STEP)
        signs = np.random.default_rng(self.seed).choice([-1.0, 1.0], size=x.shape)
        conditions = jax.tree.map(lambda leaf: leaf[rows], test.conditions)
        moved = show.reconstruct(self.model, x + step * signs, conditions=conditions)
        slopes = signs * (np.asarray(moved, np.float64) - x_hat) / step
        seen = ~np.isnan(x) & np.isfinite(slopes)
        return float(np.clip(slopes[seen].sum() / max(seen.sum(), 1), 0.0, 1.0))


@dataclass(frozen=True, eq=False)
class Reading:
    """One number of one fitted model.

    `each` `(n,)` are the parts that belong to single test observations, of whose mean `value`
    is made, by which two models are compared in pairs; None where there are none. `kind` says
    what the number is where there are several kinds. `parts`, numbers of any shape from which
    the row makes its value of all seeds together (`Row.across`), or which a figure draws.
    """

    value: float
    each: np.ndarray | None = None
    kind: str = ""
    parts: np.ndarray | None = None


def _itself(mean: np.ndarray) -> np.ndarray:
    return mean


def _no_unit(schema: Schema) -> str:
    return ""


@dataclass(frozen=True)
class Row:
    """A row of the card: one measure, of every recipe.

    **Arguments:** `name`, one word, by which results are kept; `title`, what a reader sees;
    `measure(fitted)`, the `Reading` of one fitted model, or None where it has none; `better`,
    which direction is; `unit(schema)`; `of_mean`, what makes the value of the mean of `each`
    (a root, for a root mean square); `curve`, whether it is shown at every share of the
    training data; `everywhere`, whether it is measured at every share; `across(readings)`, the
    readings of all seeds made of each other, where one fit alone has no such number; `group`,
    the heading that it stands under; `hidden`, whether the card keeps it and does not show it;
    `version`, to be raised when the measure changes: numbers of two versions never meet in one
    row.
    """

    name: str
    title: str
    measure: Callable[[Fitted], Reading | None]
    better: Better = "neither"
    unit: Callable[[Schema], str] = _no_unit
    of_mean: Callable[[np.ndarray], np.ndarray] = _itself
    curve: bool = False
    everywhere: bool = False
    across: Callable[[Sequence[Reading]], Sequence[Reading]] | None = None
    group: str = "accuracy"
    hidden: bool = False
    version: int = 1

    @property
    def key(self) -> str:
        """The name by which readings are kept in a file."""
        return f"{self.name}/{self.version}"
