r"""Unsupervised disentanglement ranking: do fits from other seeds find the same latents?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from ._disentangle_information import active_latents


@dataclass(frozen=True, eq=False)
class UDR:
    """How alike the latents of several fits are, up to order, sign and scale. `each` `(fit,)` is
    the median of a fit's likeness to all others, `pairs` `(fit, fit)` all of them, NaN with itself;
    `value` the median of `each`. `null` and `null_high` are the median and the 95 % point where the
    rows of each fit are permuted; n observations."""

    value: float
    each: np.ndarray
    pairs: np.ndarray
    estimator: str
    n: int
    null: float
    null_high: float
    permutations: int
    seed: int

    @property
    def sentence(self) -> str:
        """The score beside what unrelated codes would reach."""
        low, high = self.each.min(), self.each.max()
        return (
            f"UDR {self.value:.3f} ({low:.3f} to {high:.3f} over {len(self.each)} fits, "
            f"n = {self.n}; unrelated codes reach {self.null:.3f})"
        )


def udr(
    codes: Sequence[np.ndarray],
    *,
    informative: Sequence[np.ndarray] | None = None,
    permutations: int = 20,
    seed: int = 0,
) -> UDR:
    r"""Unsupervised disentanglement ranking of fits that differ in their seeds (Duan et al. 2020,
    equation 2, with Spearman's correlation).

    With $R_{ab}$ the size of the rank correlation of latent $a$ of one fit and $b$ of another,
    $r_a = \max_b R_{ab}$ and $I$ whether a latent is informative,

    $$\mathrm{UDR} = \frac{1}{d_a + d_b} \Big[ \sum_b \frac{r_b^2 I_b}{\sum_a R_{ab}} + \sum_a
    \frac{r_a^2 I_a}{\sum_b R_{ab}} \Big]$$

    $d$ the numbers of informative latents, the sums within the brackets over these. It asks for no
    factors; two fits that are entangled in the same way are alike as well.

    **Arguments:** `codes`, of each fit `(n, latent)` on the same observations; `informative`, of
    each fit `(latent,)`, such as those with a divergence above 0.01 nats: without it the latents
    whose range is over a twentieth of the widest one's.

    **Raises:** `ValueError` for fewer than two fits or observations that differ in number.
    """
    if len(codes) < 2 or len({len(z) for z in codes}) != 1:
        raise ValueError(
            f"codes of {[z.shape for z in codes]} were given; give those of two or more fits on "
            "the same observations."
        )
    kept = [
        active_latents(z) if informative is None else informative[i] for i, z in enumerate(codes)
    ]
    if not all(np.any(k) for k in kept):
        raise ValueError("a fit has no informative latent at all; leave it out.")
    ranks = [_standard_ranks(z[:, k]) for z, k in zip(codes, kept, strict=True)]
    pairs = _pairs(ranks)
    rng = np.random.default_rng(seed)
    null = [
        np.nanmedian(_pairs([r[rng.permutation(len(r))] for r in ranks]))
        for _ in range(permutations)
    ]
    middle, high = np.quantile(null, (0.5, 0.95)) if permutations else (np.nan, np.nan)
    each = np.nanmedian(pairs, axis=1)
    return UDR(
        float(np.median(each)), each, pairs, "Spearman's correlation", len(codes[0]), float(middle),
        float(high), permutations, seed,
    )  # fmt: skip


def _standard_ranks(codes: np.ndarray) -> np.ndarray:
    ranks = rankdata(codes, axis=0)
    ranks -= ranks.mean(0)
    norm = np.sqrt((ranks**2).sum(0))
    return ranks / np.where(norm > 0, norm, 1)


def _pairs(ranks: list[np.ndarray]) -> np.ndarray:
    table = np.full((len(ranks), len(ranks)), np.nan)
    for i, one in enumerate(ranks):
        for j, other in enumerate(ranks[:i]):
            table[i, j] = table[j, i] = _likeness(np.abs(one.T @ other))
    return table


def _likeness(r: np.ndarray) -> float:
    """Equation 2 for the similarities `(latent, latent)` of informative latents."""
    total = sum(_one_sided(r, axis) for axis in (0, 1))
    return float(total / sum(r.shape))


def _one_sided(r: np.ndarray, axis: int) -> float:
    whole = r.sum(axis)
    return float((r.max(axis) ** 2 / np.where(whole > 0, whole, 1)).sum())
