"""Predictors of series: a reader whose numbers are the answers."""

from collections.abc import Callable

import equinox as eqx
import jax
from jaxtyping import Array, Float, Num

from ..._model import Condition, Key
from ...data import Scale
from .._real import real
from ..schemes import AbstractNet
from ._times import times_of


class SeriesNet(AbstractNet):
    """The answers that a reader gives of a series, at its own times or the net's.

    **Fields:** `reader`, from scaled observation and times to numbers; `scale`, from the user's
    units; `times`, where an observation has none of its own.
    """

    reader: Callable
    scale: Scale
    times: tuple[float, ...] = eqx.field(static=True)

    def answers(
        self,
        x: Num[Array, "batch ..."],
        condition: Condition = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "batch answer"]:
        """The answers for a batch; chance has no part."""

        def one(x: Array, condition: Condition) -> Array:
            scaled = self.scale.apply(real(x))
            return self.reader(scaled, times_of(condition, self.times, scaled))

        return jax.vmap(one)(x, condition)
