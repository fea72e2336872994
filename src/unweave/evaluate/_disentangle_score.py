"""What every score of disentanglement is: a number with its estimator, its n and its null."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ._information import is_discrete
from ._progress import shown


@dataclass(frozen=True, eq=False)
class DisentanglementScore:
    """A score of codes against factors, most often from 0 to 1.

    `each` are the parts that it is the mean of, one for each factor or latent. `null` is the median
    over `permutations` of the rows, which leave codes and factors as they are but unrelated, and
    `null_high` what one of twenty of these exceeds; NaN without permutations.
    """

    name: str
    value: float
    each: np.ndarray
    estimator: str
    n: int
    null: float
    null_high: float
    permutations: int
    seed: int

    @property
    def sentence(self) -> str:
        """The score beside what unrelated codes would reach."""
        beside = ""
        if self.permutations:
            beside = f"; unrelated codes reach {self.null:.3f}, one of twenty {self.null_high:.3f}"
        return f"{self.name} {self.value:.3f} (n = {self.n}{beside})"


#: From codes and factors to the scores' parts by name.
Measure = Callable[[np.ndarray, np.ndarray], dict[str, tuple[float, np.ndarray]]]


def scored(
    measure: Measure,
    codes: np.ndarray,
    factors: np.ndarray,
    *,
    estimator: str,
    permutations: int,
    seed: int,
    name: str,
    quiet: bool,
) -> dict[str, DisentanglementScore]:
    """Every score of `measure`, beside the same of codes whose rows are permuted; `name` stands
    before the bar."""
    rng = np.random.default_rng(seed)
    # the first time as they are
    every = [
        measure(codes if k == 0 else codes[rng.permutation(len(codes))], factors)
        for k in shown(range(1 + permutations), name, quiet=quiet)
    ]
    found, null = every[0], every[1:]
    scores = {}
    for name, (value, each) in found.items():
        by_chance = np.array([one[name][0] for one in null])
        middle, high = np.quantile(by_chance, (0.5, 0.95)) if permutations else (np.nan, np.nan)
        scores[name] = DisentanglementScore(
            name, float(value), each, estimator, len(codes), float(middle), float(high),
            permutations, seed,
        )  # fmt: skip
    return scores


def checked(codes: np.ndarray, factors: np.ndarray, *, least: int = 50) -> tuple[np.ndarray, ...]:
    """Both as float64 `(n, latent)` and `(n, factor)`.

    **Raises:** `ValueError` where the shapes do not fit, numbers are missing, there are fewer than
    `least` observations, or a factor never changes.
    """
    codes, factors = np.asarray(codes, np.float64), np.asarray(factors, np.float64)
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors):
        raise ValueError(
            f"codes of shape {codes.shape} and factors of shape {factors.shape} were given; give "
            "(n, latent) and (n, factor) of the same n observations."
        )
    if len(codes) < least:
        raise ValueError(
            f"{len(codes)} observations are too few to score codes by; give at least {least}."
        )
    if not (np.isfinite(codes).all() and np.isfinite(factors).all()):
        raise ValueError(
            "codes or factors have numbers that are missing or infinite; leave those rows out."
        )
    still = np.flatnonzero(np.ptp(factors, axis=0) == 0)
    if len(still):
        raise ValueError(
            f"factor {still[0]} has the same value in all rows; leave it out, such as "
            "factors[:, np.ptp(factors, axis=0) > 0]."
        )
    return codes, factors


def kinds_of(factors: np.ndarray, discrete: Sequence[bool] | None) -> tuple[bool, ...]:
    """Whether each factor is discrete: as given, or those with few values."""
    if discrete is None:
        return tuple(is_discrete(column) for column in factors.T)
    if len(discrete) != factors.shape[1]:
        raise ValueError(
            f"discrete says {len(discrete)} things of {factors.shape[1]} factors; give one for "
            "each."
        )
    return tuple(bool(d) for d in discrete)


def held_third(n: int) -> np.ndarray:
    """Which rows `(n,)` judge what was fitted to the others: a third, the same for the same n, and
    drawn, since the rows of a grid come in an order."""
    held = np.zeros(n, bool)
    held[np.random.default_rng(0).permutation(n)[: n // 3]] = True
    return held
