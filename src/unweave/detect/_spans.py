r"""The score of what reads spans: that there is something strange, at which samples, and from where
to where."""

import equinox as eqx
import numpy as np
from jaxtyping import Array

from .._many import many
from .._model import Condition, Observation
from ..networks.series import SpanReader, likeliest_span, span_log_odds, span_membership
from ._detector import Conditions, Score


def spans(model: eqx.Module) -> Score:
    r"""The log-odds in nats that a series holds something strange, of a model that was trained to
    find it (`recipes.span_reader`); of each sample the probability to be part of it; and the
    likeliest span.

    Raises `TypeError` if the model reads no spans.
    """
    if not isinstance(model, SpanReader):
        raise TypeError(
            f"a span is read by a SpanReader, and {type(model).__name__} is none; fit one, such "
            "as: unweave fit span-reader DATA."
        )

    def of(x: np.ndarray, conditions: Conditions) -> np.ndarray:
        return many(_Odds(model), x, conditions)

    def within(x: np.ndarray, conditions: Conditions) -> np.ndarray:
        return many(_Membership(model), x, conditions)

    def places(x: np.ndarray, conditions: Conditions) -> np.ndarray:
        return many(_Places(model), x, conditions)

    return Score("a span that is strange", of, within, "nat", places)


class _Odds(eqx.Module):
    model: SpanReader

    def __call__(self, x: Observation, condition: Condition) -> Array:
        return span_log_odds(self.model.encode(x, condition))


class _Membership(eqx.Module):
    model: SpanReader

    def __call__(self, x: Observation, condition: Condition) -> Array:
        return span_membership(self.model.encode(x, condition))


class _Places(eqx.Module):
    model: SpanReader

    def __call__(self, x: Observation, condition: Condition) -> Array:
        return likeliest_span(self.model.encode(x, condition))
