"""How many training observations a recipe needs for nearly all that it gets from all of them."""

import numpy as np

from ._repeated import REPEATED
from ._trial import Entry, Trial

#: The part of the whole gain that counts as nearly all.
NEARLY = 0.9
#: What the gain is counted from.
NOTHING = "mean"


def needed(trial: Trial, name: str) -> Entry | None:
    r"""The least $N$ of the learning curve from which on
    $E_0 - E(N) \ge 0.9\,(E_0 - E(N_\text{all}))$, $E$ being the held-out error and $E_0$ that of
    the mean observation with all of the data; for each seed, as an entry.

    None where there is no curve, or where a recipe is no better than the mean for some seed: it
    has no gain that fewer data could reach. The true number lies between the next smaller part
    and this one.
    """
    shares = sorted(trial.sizes)
    if len(shares) < 2 or name == NOTHING or NOTHING not in trial.names:
        return None
    nothing = _errors(trial, NOTHING, shares[-1])
    curve = np.stack([_errors(trial, name, share) for share in shares])
    gain = nothing - curve
    if not np.isfinite(gain[-1]).all() or not (gain[-1] > 0).all():
        return None
    reached = gain >= NEARLY * gain[-1]
    # from there on: a single lucky small part does not count
    lasting = np.logical_and.accumulate(reached[::-1], axis=0)[::-1]
    sizes = [trial.sizes[share] for share in shares]
    values = tuple(float(sizes[int(np.argmax(column))]) for column in lasting.T)
    middle = float(np.median(values))
    return Entry(middle, min(values), max(values), len(values), trial.n_test, "", values)


def _errors(trial: Trial, name: str, share: float) -> np.ndarray:
    """The error of each seed; NaN where there is none."""
    found = trial.readings(name, REPEATED, share)
    return np.asarray([np.nan if reading is None else reading.value for reading in found])
