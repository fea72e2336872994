r"""How drawn observations lie among real ones: by distances to nearest neighbours."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu

from ._samples import channel_moments, checked, standardised, thinned

VERSION = "manifold 1"
#: Neighbours that make a ball, as in Naeem et al. (2020), section 4.3.
NEIGHBOURS = 5


@dataclass(frozen=True)
class Manifold:
    r"""Quality and variety of drawn observations, apart.

    `precision` is the share of drawn ones that lie in a real one's ball, and `recall` that of real
    ones in a drawn one's (Kynkäänniemi et al. 2019, equations 1 and 2); `density` counts how many
    balls a drawn one lies in, 1 for a perfect model and more where it keeps to what is common, and
    `coverage` is the share of real ones with a drawn one in their ball (Naeem et al. 2020,
    equations 3 and 4). `floors` has the same four, in this order, of other real ones in place of
    the drawn, `n` of each kind; a ball reaches to the `neighbours`-th neighbour.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    floors: tuple[float, float, float, float]
    n: int
    neighbours: int
    version: str = VERSION

    def sentence(self) -> str:
        """The same in words."""
        found = (self.precision, self.recall, self.density, self.coverage)
        words = ", ".join(
            f"{name} {value:.2f} (real ones {floor:.2f})"
            for name, value, floor in zip(
                ("precision", "recall", "density", "coverage"), found, self.floors, strict=True
            )
        )
        return f"{words} ({self.version}, {self.neighbours} neighbours, n = {self.n:,} each)"


def manifold(
    real: np.ndarray,
    drawn: np.ndarray,
    *,
    others: np.ndarray | None = None,
    neighbours: int = NEIGHBOURS,
    most: int = 2000,
) -> Manifold:
    """Precision, recall, density and coverage, of distances between entries that are scaled by the
    mean and deviation of each channel of `real`.

    **Arguments:** as `two_sample`'s; `others` set the floor. Of more than `most` observations every
    k-th is taken. For pictures give features in place of entries.

    **Raises:** `ValueError` where shapes differ, a number is missing, or there are no more
    observations than `neighbours`.
    """
    if neighbours < 1:
        raise ValueError(f"{neighbours} neighbours make no ball; give at least 1.")
    x = standardised(real, drawn, others, least=2 * (neighbours + 1))
    n = min(len(x.real), len(x.drawn), len(x.ground), len(x.others), most)
    real, drawn, ground, others = (thinned(part, n).reshape(n, -1) for part in x)
    return Manifold(
        *_lies(real, drawn, neighbours), _lies(ground, others, neighbours), n, neighbours
    )


def _lies(real: np.ndarray, drawn: np.ndarray, k: int) -> tuple[float, float, float, float]:
    between = cdist(real, drawn)
    real_radius, drawn_radius = _radius(real, k), _radius(drawn, k)
    inside = between < real_radius[:, None]
    return (
        float(inside.any(0).mean()),
        float((between < drawn_radius[None]).any(1).mean()),
        float(inside.sum(0).mean() / k),
        float(inside.any(1).mean()),
    )


def _radius(x: np.ndarray, k: int) -> np.ndarray:
    """The distance to the k-th neighbour, oneself not counted."""
    return np.partition(cdist(x, x), k, axis=1)[:, k]


@dataclass(frozen=True)
class Memorisation:
    r"""Whether drawn observations lie nearer to those that trained than held-out ones do.

    `nearer` is the probability that a drawn one does, 0.5 of a model that has not memorised, with
    the Mann–Whitney `p` of as much by chance; `ratio` that of the median distances, of drawn ones
    over held-out ones; `copies` the share of drawn ones nearer than every held-out one. `n` drawn,
    `n_held_out` held out and `n_train` that trained were looked at.
    """

    nearer: float
    p: float
    ratio: float
    copies: float
    n: int
    n_held_out: int
    n_train: int
    version: str = "memorisation 1"

    def sentence(self) -> str:
        """The same in words."""
        return (
            f"{self.nearer:.0%} of drawn ones lie nearer to a training observation than a held-out "
            f"one does (50 % if nothing is memorised, p = {self.p:.2g}); median distance "
            f"{self.ratio:.2f} of that; {self.copies:.1%} nearer than any "
            f"({self.version}, n = {self.n:,} drawn, {self.n_held_out:,} held out, "
            f"{self.n_train:,} training)"
        )


def memorisation(
    train: np.ndarray, held_out: np.ndarray, drawn: np.ndarray, *, most: int = 4000
) -> Memorisation:
    r"""Compares distances to the nearest training observation: $P(d(\text{drawn}) <
    d(\text{held out}))$ by the Mann–Whitney statistic (Meehan, Chaudhuri and Dasgupta 2020, section
    2.2, without their cells).

    Entries are scaled by the deviation of each channel of `train`. The held-out ones must come from
    the same distribution: where a series drifts they lie farther off by themselves, and every model
    seems to memorise.

    **Arguments:** observations `(n, ..., channel)` or rows; of more than `most` every k-th is
    taken.

    **Raises:** `ValueError` where shapes differ, a number is missing, or there are fewer than 4.
    """
    train, held_out = checked(train, held_out, least=4)
    _, drawn = checked(train, drawn, least=4)
    _, scale = channel_moments(train)
    parts = (thinned(x, min(len(x), most)) / scale for x in (train, held_out, drawn))
    seen, held, made = (x.reshape(len(x), -1) for x in parts)
    far_held, far_made = (cdist(x, seen).min(1) for x in (held, made))
    test = mannwhitneyu(far_made, far_held, alternative="less")
    # the statistic counts pairs in which a drawn one lies farther, ties half
    nearer = 1 - float(test.statistic) / (len(made) * len(held))
    middle = float(np.median(far_held))
    ratio = float(np.median(far_made)) / middle if middle > 0 else np.nan
    copies = float((far_made < far_held.min()).mean())
    return Memorisation(nearer, float(test.pvalue), ratio, copies, len(made), len(held), len(seen))
