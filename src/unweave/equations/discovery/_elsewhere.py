"""Whether a candidate is plausible where there are no data: courses from other starts."""

from collections.abc import Sequence

import numpy as np

from ._candidate import Candidate
from ._records import Record
from ._shooting import step

_ELSEWHERE, _NEAR = 10, 4
_STEPS = 160
# a course from elsewhere that goes so many times further than the data explodes
_FAR = 20.0
EXPLODES, LEAVES = 15.0, 8.0


class Elsewhere:
    """Other starts, in and around the box that the data were seen in and close to their own start,
    and what would be strange there: to explode, and to turn negative what was always positive."""

    def __init__(self, records: Sequence[Record]):
        x = np.concatenate([record.x for record in records])
        low, high = x.min(axis=0), x.max(axis=0)
        room = 0.3 * (high - low)
        bottom = np.where(low > 0, np.maximum(low - room, 0.3 * low), low - room)
        top = np.where(high < 0, np.minimum(high + room, 0.3 * high), high + room)
        random = np.random.default_rng(0)
        around = random.uniform(bottom, top, (_ELSEWHERE, x.shape[1]))
        near = records[0].x[0] + 0.1 * random.uniform(-room, room, (_NEAR, x.shape[1]))
        self.starts = np.concatenate([near, around])
        self.size, self.low, self.high = np.abs(x).max(axis=0), low, high
        times = records[0].times
        self.duration = float(times[-1] - times[0])

    def price(self, candidate: Candidate, theta: np.ndarray, substeps: int) -> float:
        """What the criterion asks for strange behaviour elsewhere."""
        paths = self.paths(candidate, theta, substeps)
        with np.errstate(all="ignore"):
            far = ~np.isfinite(paths).all(axis=(1, 2))
            far |= (np.abs(paths) > _FAR * self.size).any(axis=(1, 2))
            out = (self.low > 0) & (paths < -0.02 * self.size)
            out |= (self.high < 0) & (paths > 0.02 * self.size)
            strange = out.any(axis=(1, 2)) & ~far
        near = far[:_NEAR].mean()
        return float(EXPLODES * (near + far[_NEAR:].mean()) + LEAVES * strange.mean())

    def paths(self, candidate: Candidate, theta: np.ndarray, substeps: int) -> np.ndarray:
        """Courses `(start, time, state)` from the other starts, over the first record's
        duration."""
        steps = _STEPS * max(1, substeps)
        x, h, kept = self.starts.T[None], self.duration / steps, []
        rates = candidate.field(theta[None])
        with np.errstate(all="ignore"):
            for k in range(steps):
                x = step(rates, x, h)
                if k % max(1, substeps) == 0:
                    kept.append(x[0])
        return np.stack(kept).transpose(2, 0, 1)
