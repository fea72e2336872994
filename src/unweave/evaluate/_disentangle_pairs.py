r"""Scores of disentanglement that intervene: sets of observations that share one factor."""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from ._disentangle_score import DisentanglementScore

#: Codes `(set, observation, latent)` of so many sets of so many observations: within a set the
#: factor of that number has one value, drawn for the set, and all others are drawn anew.
SharedFactor = Callable[[int, int, int, np.random.Generator], np.ndarray]

# Kim and Mnih (2018), appendix: a latent that moves less than this share of the most is not asked
_COLLAPSED = 0.05


def sharing(codes: np.ndarray, factors: np.ndarray) -> SharedFactor:
    """The sampler of a table: observations whose factor has the same value, drawn from codes
    `(n, latent)` with factors `(n, factor)`, all of them discrete."""
    rows = []
    for column in factors.T:
        values = np.unique(column, return_inverse=True)[1].ravel()
        order = np.argsort(values, kind="stable")
        rows.append(np.split(order, np.cumsum(np.bincount(values))[:-1]))

    def drawn(factor: int, sets: int, size: int, rng: np.random.Generator) -> np.ndarray:
        groups = rows[factor]
        chosen = rng.integers(len(groups), size=sets)
        place = [groups[c][rng.integers(len(groups[c]), size=size)] for c in chosen]
        return codes[np.array(place)]

    return drawn


def beta_vae_score(
    shared: SharedFactor,
    factors: int,
    *,
    votes: int = 500,
    pairs: int = 64,
    permutations: int = 20,
    seed: int = 0,
) -> DisentanglementScore:
    r"""The accuracy with which a linear classifier says which factor `pairs` pairs of observations
    share, from the mean of $|z_1 - z_2|$ (Higgins et al. 2017, section 3): a guess is right in one
    of `factors` cases.

    **Arguments:** `shared` draws codes that share a factor; `votes` are fitted, as many judge.
    """
    _check(factors, votes)
    rng = np.random.default_rng(seed)
    label = rng.integers(factors, size=2 * votes)
    features = np.zeros((2 * votes, 0))
    for factor in range(factors):
        at = np.flatnonzero(label == factor)
        if not len(at):
            continue
        z = shared(factor, len(at) * pairs, 2, rng)
        apart = np.abs(z[:, 0] - z[:, 1]).reshape(len(at), pairs, -1).mean(1)
        if not features.shape[1]:
            features = np.zeros((2 * votes, apart.shape[1]))
        features[at] = apart
    spread = features[:votes].std(0)
    x = (features - features[:votes].mean(0)) / np.where(spread > 0, spread, 1)

    def right(told: np.ndarray) -> np.ndarray:
        made = LogisticRegression(C=100.0, max_iter=1000).fit(x[:votes], told[:votes])
        return made.predict(x[votes:]) == told[votes:]

    return _judged(
        "β-VAE score", right, label, votes, factors, permutations, rng, seed,
        f"logistic regression on {votes} means of {pairs} pairs",
    )  # fmt: skip


def factor_vae_score(
    shared: SharedFactor,
    factors: int,
    *,
    votes: int = 800,
    size: int = 64,
    permutations: int = 20,
    seed: int = 0,
) -> DisentanglementScore:
    r"""The accuracy with which the latent that varies least, relative to its variance over all
    data, says which factor `size` observations share, by a vote (Kim and Mnih 2018, section 4): a
    guess is right in one of `factors` cases.

    A latent whose deviation is less than a twentieth of the largest is not asked. **Arguments:**
    `shared` draws codes that share a factor; `votes` are counted, as many judge.
    """
    _check(factors, votes)
    rng = np.random.default_rng(seed)
    # sets of one observation share nothing with each other
    spread = np.concatenate(
        [shared(f, max(2, 4000 // factors), 1, rng)[:, 0] for f in range(factors)]
    ).std(0)
    kept = spread > _COLLAPSED * spread.max()
    label = rng.integers(factors, size=2 * votes)
    least = np.zeros(2 * votes, np.int64)
    for factor in range(factors):
        at = np.flatnonzero(label == factor)
        if len(at) and kept.any():
            z = shared(factor, len(at), size, rng)[..., kept] / spread[kept]
            least[at] = z.var(1).argmin(1)

    def right(told: np.ndarray) -> np.ndarray:
        counts = np.zeros((max(1, int(kept.sum())), factors))
        np.add.at(counts, (least[:votes], told[:votes]), 1)
        return counts.argmax(1)[least[votes:]] == told[votes:]

    return _judged(
        "FactorVAE score", right, label, votes, factors, permutations, rng, seed,
        f"majority of {votes} votes over {size} observations",
    )  # fmt: skip


def _judged(
    name: str,
    judge: Callable[[np.ndarray], np.ndarray],
    label: np.ndarray,
    votes: int,
    factors: int,
    permutations: int,
    rng: np.random.Generator,
    seed: int,
    estimator: str,
) -> DisentanglementScore:
    """The score, and the same where what is shared was told of other votes."""
    right = judge(label)
    each = np.array(
        [right[label[votes:] == f].mean() if (label[votes:] == f).any() else np.nan
         for f in range(factors)]
    )  # fmt: skip
    null = [judge(rng.permutation(label)).mean() for _ in range(permutations)]
    middle, high = np.quantile(null, (0.5, 0.95)) if permutations else (np.nan, np.nan)
    return DisentanglementScore(
        name, float(right.mean()), each, estimator, votes, float(middle), float(high),
        permutations, seed,
    )  # fmt: skip


def _check(factors: int, votes: int) -> None:
    if factors < 2 or votes < 10 * factors:
        raise ValueError(
            f"{factors} factors and {votes} votes were given; which one is shared is asked of two "
            "or more, with ten votes for each."
        )
