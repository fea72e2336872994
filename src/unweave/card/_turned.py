"""Latents turned one at a time: computed once for the rows of manipulation."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from .._model import AbstractDecoder
from ._error import spread_of
from ._row import Fitted
from ._subsets import is_within

_MOST, _SLOW, _MOST_LATENTS, _STEPS = 16, 4, 16, 5
# the part of its codes over the test data that a latent is led through
_MIDDLE = 0.9


class Turned(NamedTuple):
    """What comes of turning latents, those that vary at all.

    `asked` `(latent, step)`, the values that each was set to, and `returned` `(latent, observation,
    step, every latent)`, what was encoded of what was decoded, both in standard deviations of the
    codes over the test data; `places` `(latent,)`, which of the latents were turned. `monotone`
    `(latent, observation)`, whether the observation went one way along the main direction of its
    change; `moved` `(latent, observation)`, the root mean square change of its entries from end to
    end for each standard deviation of the latent.
    """

    asked: np.ndarray
    returned: np.ndarray
    places: np.ndarray
    monotone: np.ndarray
    moved: np.ndarray


@functools.lru_cache(maxsize=1)
def turned(fitted: Fitted) -> Turned | None:
    """At some test observations (16, or 4 where encoding is a search) each of the first 16 latents
    is set to 5 values, evenly across the middle 90 % of its codes over the test data, the others
    left as encoded; what is decoded is encoded again. None where there are no codes.
    """
    if fitted.codes is None:
        return None
    assert isinstance(fitted.model, AbstractDecoder)
    rows = fitted.some(_MOST, slow=_SLOW)
    rows = rows[np.isfinite(fitted.codes[rows]).all(axis=1)]
    known = fitted.codes[np.isfinite(fitted.codes).all(axis=1)].astype(np.float64)
    if not len(rows) or len(known) < 2:
        return None
    deviation = known.std(axis=0)
    places = np.flatnonzero(deviation > 0)[:_MOST_LATENTS]
    if not len(places):
        return None
    tails = (0.5 - _MIDDLE / 2, 0.5 + _MIDDLE / 2)
    low, high = np.quantile(known[:, places], tails, axis=0)
    wide = high > low
    places, low, high = places[wide], low[wide], high[wide]
    if not len(places):
        return None
    shown = (fitted.data.train if is_within(fitted.data) else fitted.data.test).take(rows)
    conditions = jax.tree.map(lambda part: np.repeat(part, _STEPS, axis=0), shown.conditions)
    spread = spread_of(fitted.x, fitted.data.test.schema)
    unit = np.where(deviation > 0, deviation, 1.0)
    asked = np.linspace(low, high, _STEPS, axis=1)
    returned, monotone, moved = [], [], []
    for place, values in zip(places, asked, strict=True):
        z = np.repeat(fitted.codes[rows].astype(np.float64), _STEPS, axis=0)
        z[:, place] = np.tile(values, len(rows))
        x = fitted.decode(z, conditions)
        again = fitted.encode(x, conditions).astype(np.float64)
        returned.append(again.reshape(len(rows), _STEPS, -1) / unit)
        courses = (x.astype(np.float64) / spread).reshape(len(rows), _STEPS, -1)
        monotone.append([goes_one_way(course) for course in courses])
        ends = np.sqrt(((courses[:, -1] - courses[:, 0]) ** 2).mean(axis=1))
        moved.append(ends / ((values[-1] - values[0]) / unit[place]))
    return Turned(
        asked / unit[places, None], np.stack(returned), places, np.asarray(monotone),
        np.stack(moved),
    )  # fmt: skip


def goes_one_way(course: np.ndarray) -> bool:
    """Whether a course `(step, size)` goes one way along the main direction of its change; not
    where it does not move."""
    centred = course - course.mean(axis=0)
    if not np.isfinite(centred).all() or not np.abs(centred).max() > 0:
        return False
    # of few steps and many entries: the left vectors say the same at less cost
    values, vectors = np.linalg.eigh(centred @ centred.T)
    steps = np.diff(vectors[:, -1] * np.sqrt(values[-1]))
    return bool((steps > 0).all() or (steps < 0).all())


def median_over_latents(fitted: Fitted, of_latent: Callable[[Turned, int], float]) -> float | None:
    """The median of a number of each latent that was turned; None without any."""
    found = turned(fitted)
    if found is None:
        return None
    values = [of_latent(found, i) for i in range(len(found.places))]
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else None
