"""The row of the error that an equation's solver makes."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._model import AbstractCurve
from ._error import mean_squares, spread_of, unit_of_error
from ._fitted import shown_of
from ._row import Fitted, Reading, Row

_MOST = 32
# how much finer the tolerance is; of a scheme of order 4 with equal steps these are as many times
# more, which is finer still
_FINER, _MORE_STEPS = 100.0, 4


def solver_error(fitted: Fitted) -> Reading | None:
    """The root mean square difference between test observations decoded as the model does it and
    with a hundredth of its solver's tolerance (four times the steps, where they are equal), in the
    unit of the error. None of models that solve no equation."""
    curve = AbstractCurve
    parts = jax.tree.leaves(fitted.model, is_leaf=lambda part: isinstance(part, curve))
    if fitted.codes is None or not any(isinstance(part, curve) for part in parts):
        return None
    finer = _refined(fitted.model)
    if finer is None:
        return None
    rows = fitted.some(_MOST)
    rows = rows[np.isfinite(fitted.codes[rows]).all(axis=1)]
    if not len(rows):
        return None
    z = fitted.codes[rows].astype(np.float64)
    conditions = shown_of(fitted.data).take(rows).conditions
    as_it_is = fitted.decode(z, conditions)
    other = Fitted(finer, fitted.recipe, fitted.data, None).decode(z, conditions)
    spread = spread_of(fitted.x, fitted.data.test.schema)
    return Reading(float(np.sqrt(mean_squares(as_it_is, other, spread).mean())))


def _refined(model: eqx.Module) -> Any:
    """The model with a finer solver; None where it has none that can be made finer."""
    from ..equations.solving._solve import AbstractMethod, Adaptive, Grid  # diffrax: not for all

    def finer(part: Any) -> Any:
        if isinstance(part, Adaptive):
            return Adaptive(
                part.stiff, part.relative / _FINER, part.absolute / _FINER, 4 * part.most_steps
            )
        return Grid(_MORE_STEPS * part.substeps) if isinstance(part, Grid) else part

    def is_method(part: Any) -> bool:
        return isinstance(part, AbstractMethod)

    if not any(map(is_method, jax.tree.leaves(model, is_leaf=is_method))):
        return None
    return jax.tree.map(finer, model, is_leaf=is_method)


SOLVER_ERROR = Row(
    "solver_error", "error of the solver", solver_error, "lower", unit_of_error, group="guarantee"
)
