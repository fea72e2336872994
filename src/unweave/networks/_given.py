r"""What a generative model may be told of an observation: its class, or known numbers beside it.

The `condition` of such a model is the index of a class, or an array of the numbers. None says
nothing: the model then speaks for all of its data, and what a net reads in its place is zeros.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._course import Course
from .._model import Condition
from ..data import Dataset


class Given(eqx.Module):
    """How a condition enters a net: a class as one of `size` places, numbers standardised, each
    with a place that says whether it is known.

    **Arguments:** `names` of the classes or of the numbers; `mean` and `std` of the numbers in
    training data, both empty for classes. Made by `given_labels` and `given_factors`.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    mean: tuple[float, ...] = eqx.field(static=True, default=())
    std: tuple[float, ...] = eqx.field(static=True, default=())

    @property
    def of_classes(self) -> bool:
        """Whether a class is told, not numbers."""
        return not self.mean

    @property
    def size(self) -> int:
        """How many places the code has."""
        return len(self.names) * (1 if self.of_classes else 2)

    def code(self, condition: Condition) -> Float[Array, " size"]:
        """The places of a condition: the index of a class (-1 = unknown) or numbers (NaN =
        unknown); zeros for None."""
        if condition is None or isinstance(condition, Course):
            return jnp.zeros(self.size)
        if self.of_classes:
            return jax.nn.one_hot(jnp.asarray(condition), len(self.names))
        numbers = jnp.asarray(condition)
        mean, std = (jnp.asarray(part, numbers.dtype) for part in (self.mean, self.std))
        known = ~jnp.isnan(numbers)
        scores = jnp.where(known, (numbers - mean) / std, 0)
        return jnp.concatenate([scores, known.astype(scores.dtype)])

    def hidden(self, condition: Condition, away: Array) -> Condition:
        """The condition, or where `away` holds one that says nothing."""
        nothing = -1 if self.of_classes else jnp.nan
        return jnp.where(away, nothing, condition)

    def read(self, words: str) -> Condition:
        """The condition that a word, the name of a class, or numbers with commas between stand
        for; an empty place is a number that is not known."""
        if self.of_classes:
            if words not in self.names:
                raise ValueError(
                    f"'{words}' is no class that this model was told; there are "
                    f"{', '.join(self.names)}."
                )
            return jnp.asarray(self.names.index(words))
        parts = [part.strip() for part in words.split(",")]
        if len(parts) != len(self.names):
            raise ValueError(
                f"'{words}' are {len(parts)} numbers, and this model was told {len(self.names)}: "
                f"{', '.join(self.names)}. Leave a place empty where a number is not known."
            )
        try:
            return jnp.asarray([float(part) if part else jnp.nan for part in parts])
        except ValueError:
            raise ValueError(
                f"'{words}' are not numbers; give one for each of {', '.join(self.names)}."
            ) from None


class AbstractTold(eqx.Module):
    """A model that may be told something of an observation: `given`, None where it is not."""

    given: eqx.AbstractVar[Given | None]


def given_labels(data: Dataset) -> Given:
    """Models are told the class; raises `ValueError` where the data have fewer than two."""
    if data.labels is None or len(data.label_names) < 2:
        raise ValueError(
            f"a model that is told a class needs data with labels of at least two, and these have "
            f"{len(data.label_names)}; give a file with a column of labels."
        )
    return Given(tuple(data.label_names))


def given_factors(data: Dataset) -> Given:
    """Models are told known numbers; raises `ValueError` where the data have none."""
    if data.factors is None:
        raise ValueError(
            "a model that is told numbers needs known factors beside each observation, and these "
            "data have none; give a file with them, or tell it the class."
        )
    mean, std = np.nanmean(data.factors, axis=0), np.nanstd(data.factors, axis=0)
    return Given(
        tuple(data.factor_names), tuple(mean.tolist()), tuple(np.where(std > 0, std, 1).tolist())
    )
