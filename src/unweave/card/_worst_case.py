"""The row of the error in the worst case within a small budget."""

from typing import Any

import jax
import numpy as np

from .. import targets
from .._latents import Latents
from .._model import AbstractDecoder, AbstractEncoder, Condition, Key, Latent, Observation
from ..robust import PGD, LInf, attack, move
from ._row import Fitted, Reading, Row
from ._subsets import is_within

# the budget, in standard deviations of each channel over the test data
_RADIUS = 0.1
_MOST, _SLOW, _STEPS, _SLOW_STEPS = 32, 4, 20, 8


class _Held(AbstractDecoder, AbstractEncoder):
    """A model whose codes count as constants where slopes are taken.

    Of a code that makes the error as small as it can be the error's slope is the same, by the
    envelope theorem, and no search has to be differentiated. With a prior it is so but for what
    the prior holds back; the attack then climbs a slope that is nearly right, and what it finds is
    measured as it is.
    """

    model: Any

    @property
    def latents(self) -> Latents:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The model's."""
        return self.model.latents

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """As the model does."""
        return self.model.decode(z, condition, key=key)

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """As the model does."""
        return self.model.encode(jax.lax.stop_gradient(x), condition, key=key)


def worst_case(fitted: Fitted) -> Reading | None:
    r"""The root mean square error of reconstruction after an attack over that before it: projected
    gradient descent (Madry et al. 2018) may change every entry of a test observation by a tenth of
    its channel's standard deviation, to make the error $x - \hat x(x)$ as large as it can.

    Of at most 32 test observations in 20 steps; of 4 in 8 where encoding is a search, whose answer
    then counts as a constant in the slope. An attack
    finds what is at least possible: the worst may be worse. None where there are no codes, and of
    splits within time, where the error is that of a forecast.
    """
    if fitted.codes is None or is_within(fitted.data):
        return None
    rows = fitted.some(_MOST, slow=_SLOW)
    x = fitted.x[rows]
    spread = np.nanstd(fitted.x, axis=tuple(range(fitted.x.ndim - 1)))
    scale = tuple(np.where(spread > 0, spread, 1.0).tolist())
    steps = _SLOW_STEPS if fitted.is_slow else _STEPS
    # from where the observation is: its error already has a slope
    model = fitted.model
    if fitted.is_slow:
        model = _Held(model=model)  # pyright: ignore[reportCallIssue]
    found = attack(
        move(targets.misfit(model, scale=scale)), x, budget=LInf(_RADIUS),
        conditions=fitted.data.test.take(rows).conditions,
        attacks=(PGD(steps=steps, random_start=False),), scale=scale, checks=False,
        quiet=True, seed=fitted.seed,
    )  # fmt: skip
    seen = np.isfinite(found.before) & np.isfinite(found.after)
    before, after = found.before[seen].mean(), found.after[seen].mean()
    return Reading(float(np.sqrt(after / before))) if seen.any() and before > 0 else None


WORST_CASE = Row(
    "worst_case", "error in the worst case, relative", worst_case, "lower", group="robustness"
)
