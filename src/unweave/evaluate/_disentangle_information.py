r"""Scores of disentanglement by the information that each latent has of each factor."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from ._disentangle_score import DisentanglementScore, checked, held_third, kinds_of, scored
from ._information import AbstractInformation, Neighbours, is_discrete

# Hsu et al. (2023), as published with the paper: a latent is active whose range is more than this
# share of the widest one's
_ACTIVE = 1 / 20
# the penalty's inverse of a logistic regression: enough that classes which are parted have one
_INVERSE_PENALTY = 100.0


@dataclass(frozen=True, eq=False)
class InfoMEC:
    """How modular, compact and explicit codes are. `information` `(latent, factor)` is each
    latent's mutual information as a share of the factor's entropy, `active` `(latent,)` which
    latents move."""

    modularity: DisentanglementScore
    compactness: DisentanglementScore
    explicitness: DisentanglementScore
    information: np.ndarray
    active: np.ndarray


def mig(
    codes: np.ndarray,
    factors: np.ndarray,
    *,
    information: AbstractInformation | None = None,
    discrete: Sequence[bool] | None = None,
    permutations: int = 20,
    seed: int = 0,
    quiet: bool = True,
) -> DisentanglementScore:
    r"""The mutual information gap: $\frac1K \sum_i \frac{1}{H(v_i)} (I(z_{(1)}; v_i) -
    I(z_{(2)}; v_i))$, how much more of a factor the first latent knows than the second (Chen et al.
    2018, equation 6).

    **Arguments:** codes `(n, latent)` and factors `(n, factor)`; the estimator of `information`
    (without one `Neighbours()`), `discrete`, whether each factor is (without: those with few
    values); `permutations` and `seed` of the null; with `quiet` false a bar on stderr once it
    takes long.

    **Raises:** `ValueError` where shapes do not fit, numbers are missing or a factor is constant.
    """
    codes, factors = checked(codes, factors)
    kinds, by = kinds_of(factors, discrete), information or Neighbours()
    most = by.most(factors, kinds)

    def measure(z: np.ndarray, v: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
        each = _first_and_second(by.matrix(z, v, kinds)) / most
        return {"MIG": (float(each.mean()), each)}

    return scored(
        measure, codes, factors, estimator=by.name, permutations=permutations, seed=seed,
        name="MIG", quiet=quiet,
    )["MIG"]  # fmt: skip


def modularity(
    codes: np.ndarray,
    factors: np.ndarray,
    *,
    information: AbstractInformation | None = None,
    discrete: Sequence[bool] | None = None,
    permutations: int = 20,
    seed: int = 0,
    quiet: bool = True,
) -> DisentanglementScore:
    r"""Whether each latent knows of one factor only: the mean over latents of $1 - \sum_{i \neq
    i^*} I_{ji}^2 / ((K - 1) I_{ji^*}^2)$, $i^*$ the factor it knows best (Ridgeway and Mozer 2018,
    section 2.1).

    A latent that knows nothing has 0. Arguments and errors as `mig`; there must be two factors.
    """
    codes, factors = checked(codes, factors)
    _check_several(factors)
    kinds, by = kinds_of(factors, discrete), information or Neighbours()

    def measure(z: np.ndarray, v: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
        squares = by.matrix(z, v, kinds) ** 2
        top = squares.max(1)
        rest = (squares.sum(1) - top) / np.where(top > 0, top, 1) / (squares.shape[1] - 1)
        each = np.where(top > 0, 1 - rest, 0.0)
        return {"modularity": (float(each.mean()), each)}

    return scored(
        measure, codes, factors, estimator=by.name, permutations=permutations, seed=seed,
        name="modularity", quiet=quiet,
    )["modularity"]  # fmt: skip


def infomec(
    codes: np.ndarray,
    factors: np.ndarray,
    *,
    information: AbstractInformation | None = None,
    discrete: Sequence[bool] | None = None,
    active: Sequence[bool] | None = None,
    permutations: int = 20,
    seed: int = 0,
    quiet: bool = True,
) -> InfoMEC:
    r"""InfoM, InfoC and InfoE (Hsu et al. 2023, section 4).

    With $n_{ij} = I(z_j; v_i) / H(v_i)$ over the active latents, modularity is the mean over
    latents of $\max_i n_{ij} / \sum_i n_{ij}$ and compactness that over factors of $\max_j n_{ij}
    / \sum_j n_{ij}$, each scaled so that equal shares give 0. Explicitness is the share of a
    factor's entropy that a logistic regression on all latents (a discrete latent's values as
    indicators) takes away, of a continuous factor the share of variance that a linear regression
    explains; both of held-out rows, a third. (The authors judge by the rows that were fitted, and
    know no continuous factors.) A latent is active whose range is over a twentieth of the widest,
    or that is discrete and moves at all;
    latents in units of their own cannot be compared so, and `active` says which are.

    Arguments and errors as `mig`; there must be two factors. Without `information` it is
    `Neighbours(k=10)`, the authors' choice.
    """
    codes, factors = checked(codes, factors)
    _check_several(factors)
    kinds, by = kinds_of(factors, discrete), information or Neighbours(k=10)
    most = by.most(factors, kinds)
    moving = active_latents(codes) if active is None else np.asarray(active, bool)
    if moving.shape != (codes.shape[1],) or not moving.any():
        raise ValueError(
            f"active says {moving.tolist()} of {codes.shape[1]} latents; give one for each, and "
            "one at least that is."
        )

    def measure(z: np.ndarray, v: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
        share = by.matrix(z[:, moving], v, kinds) / most
        found = {"InfoM": _largest_share(share), "InfoC": _largest_share(share.T)}
        explicit = np.array(
            [_explicit(z, column, kind) for column, kind in zip(v.T, kinds, strict=True)]
        )
        return {n: (float(e.mean()), e) for n, e in (found | {"InfoE": explicit}).items()}

    made = scored(
        measure,
        codes,
        factors,
        estimator=by.name,
        permutations=permutations,
        seed=seed,
        name="InfoMEC",
        quiet=quiet,
    )
    table = by.matrix(codes, factors, kinds) / most
    return InfoMEC(made["InfoM"], made["InfoC"], made["InfoE"], table, moving)


def active_latents(codes: np.ndarray) -> np.ndarray:
    """Which latents `(latent,)` move: those whose range is over a twentieth of the widest, and
    discrete ones that move at all."""
    width = np.ptp(codes, axis=0)
    least = np.array([0.0 if is_discrete(z) else _ACTIVE * width.max() for z in codes.T])
    active = width > least
    # where nothing moves all are as active as each other
    return active if active.any() else np.ones(len(active), bool)


def _first_and_second(table: np.ndarray) -> np.ndarray:
    """By how much the largest of each column is ahead of the next."""
    if len(table) == 1:
        return table[0]
    ordered = np.sort(table, axis=0)
    return ordered[-1] - ordered[-2]


def _largest_share(table: np.ndarray) -> np.ndarray:
    """Of each row the share of its largest entry, from 0 (all alike) to 1 (the only one)."""
    width, total = table.shape[1], table.sum(1)
    if width == 1:
        return np.ones(len(table))
    share = np.where(total > 0, table.max(1) / np.where(total > 0, total, 1), 1 / width)
    return (share - 1 / width) / (1 - 1 / width)


def _explicit(codes: np.ndarray, factor: np.ndarray, discrete: bool) -> float:
    """The share of what is to be known of a factor that a linear model knows, at least 0."""
    x = _linear_view(codes)
    held = held_third(len(x))
    if not discrete:
        fitted = LinearRegression().fit(x[~held], factor[~held])
        rest = factor[held] - fitted.predict(x[held])
        return max(0.0, float(1 - (rest**2).sum() / ((factor[held] - factor.mean()) ** 2).sum()))
    # a factor of few values may be any numbers; a classifier takes classes
    factor = np.unique(factor, return_inverse=True)[1]
    values, counts = np.unique(factor[~held], return_counts=True)
    known = held & np.isin(factor, values)
    if len(values) < 2 or not known.any():
        return 0.0
    model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=500).fit(x[~held], factor[~held])
    prior = np.broadcast_to(counts / counts.sum(), (int(known.sum()), len(values)))
    before = log_loss(factor[known], prior, labels=values)
    after = log_loss(factor[known], model.predict_proba(x[known]), labels=values)
    return max(0.0, float(1 - after / before))


def _linear_view(codes: np.ndarray) -> np.ndarray:
    """Continuous latents as standard scores, the values of discrete ones as indicators."""
    few = np.array([is_discrete(z) for z in codes.T])
    parts = []
    if (~few).any():
        parts.append(StandardScaler().fit_transform(codes[:, ~few]))
    if few.any():
        parts.append(OneHotEncoder(drop="first", sparse_output=False).fit_transform(codes[:, few]))
    return np.concatenate(parts, axis=1)


def _check_several(factors: np.ndarray) -> None:
    if factors.shape[1] < 2:
        raise ValueError(
            "one factor was given, and whether latents keep factors apart is asked of two or more; "
            "mig and sap take one."
        )
