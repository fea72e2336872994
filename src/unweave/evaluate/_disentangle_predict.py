r"""Scores of disentanglement by how well factors are predicted from latents."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LassoCV, LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from ._disentangle_score import DisentanglementScore, checked, held_third, kinds_of, scored


class AbstractProbe(abc.ABC):
    """What predicts a factor from all latents and says how much each matters."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What it is, in words that a table can hold."""

    @abc.abstractmethod
    def importance(
        self,
        train: tuple[np.ndarray, np.ndarray],
        test: tuple[np.ndarray, np.ndarray],
        *,
        discrete: bool,
        seed: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The importance of each latent `(latent,)`, at least 0, after fitting the first codes and
        factor, and what is predicted of the second."""


@dataclass(frozen=True)
class Forest(AbstractProbe):
    """A random forest; importance is the impurity that splits by a latent take away."""

    trees: int = 50
    leaf: int = 5

    @property
    def name(self) -> str:
        return f"random forest of {self.trees} trees"

    def importance(
        self,
        train: tuple[np.ndarray, np.ndarray],
        test: tuple[np.ndarray, np.ndarray],
        *,
        discrete: bool,
        seed: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        # every split sees every latent (as a regressor's does by default): what is drawn at random
        # instead shares importance out among latents that know nothing
        if discrete:
            made = RandomForestClassifier(
                self.trees, min_samples_leaf=self.leaf, max_features=train[0].shape[1],
                random_state=seed,
            )  # fmt: skip
        else:
            made = RandomForestRegressor(
                self.trees, min_samples_leaf=self.leaf, random_state=seed
            )  # fmt: skip
        made.fit(*train)
        return np.asarray(made.feature_importances_), np.asarray(made.predict(test[0]))


@dataclass(frozen=True)
class Boosting(AbstractProbe):
    """Gradient-boosted trees; importance is the impurity that splits by a latent take away."""

    trees: int = 100
    depth: int = 3

    @property
    def name(self) -> str:
        return f"{self.trees} gradient-boosted trees of depth {self.depth}"

    def importance(
        self,
        train: tuple[np.ndarray, np.ndarray],
        test: tuple[np.ndarray, np.ndarray],
        *,
        discrete: bool,
        seed: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        kind = GradientBoostingClassifier if discrete else GradientBoostingRegressor
        made = kind(n_estimators=self.trees, max_depth=self.depth, random_state=seed).fit(*train)
        return np.asarray(made.feature_importances_), np.asarray(made.predict(test[0]))


@dataclass(frozen=True)
class Lasso(AbstractProbe):
    """A linear model with an L1 penalty, chosen by cross-validation of a continuous factor; of a
    discrete one a logistic regression with that of C = 1. Importance is the size of a coefficient
    of the latent's standard score. It sees no relation that is not linear."""

    @property
    def name(self) -> str:
        return "lasso"

    def importance(
        self,
        train: tuple[np.ndarray, np.ndarray],
        test: tuple[np.ndarray, np.ndarray],
        *,
        discrete: bool,
        seed: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        scale = StandardScaler().fit(train[0])
        x, held = scale.transform(train[0]), scale.transform(test[0])
        if discrete:
            made = LogisticRegression(
                l1_ratio=1.0, solver="saga", max_iter=2000, tol=1e-3, random_state=seed
            ).fit(x, train[1])  # fmt: skip
            return np.abs(made.coef_).mean(0), made.predict(held)
        spread = train[1].std()
        made = LassoCV(cv=5, alphas=30, random_state=seed).fit(x, train[1] / spread)
        return np.abs(made.coef_), made.predict(held) * spread


@dataclass(frozen=True, eq=False)
class DCI:
    """Disentanglement, completeness and informativeness; `importance` `(latent, factor)`, whose
    columns each sum to 1, is what the first two are made of."""

    disentanglement: DisentanglementScore
    completeness: DisentanglementScore
    informativeness: DisentanglementScore
    importance: np.ndarray


def dci(
    codes: np.ndarray,
    factors: np.ndarray,
    *,
    probe: AbstractProbe | None = None,
    discrete: Sequence[bool] | None = None,
    permutations: int = 5,
    seed: int = 0,
    quiet: bool = True,
) -> DCI:
    r"""Disentanglement, completeness and informativeness (Eastwood and Williams 2018, section 2).

    From the importance $R_{ji}$ of latent $j$ for factor $i$: $D_j = 1 - H_K(R_{j\cdot} / \sum_i
    R_{ji})$, the entropy to the base of the number of factors, averaged over latents by their share
    of all importance; $C_i = 1 - H_J(R_{\cdot i} / \sum_j R_{ji})$ averaged over factors.
    Informativeness of a continuous factor is the share of variance that is explained of held-out
    rows (a third), of a discrete one by how much fewer are wrong than by always naming the most
    frequent value; at least 0. (The authors give the error itself.)

    **Arguments:** codes `(n, latent)` and factors `(n, factor)`; `probe` predicts (without one
    `Forest()`); `discrete`, `permutations`, `seed` and `quiet` as of `mig`, `seed` also of the
    probe.

    **Raises:** `ValueError` where shapes do not fit, numbers are missing or a factor is constant.
    """
    codes, factors = checked(codes, factors)
    if factors.shape[1] < 2 or codes.shape[1] < 2:
        raise ValueError(
            f"{codes.shape[1]} latents and {factors.shape[1]} factors were given; DCI asks how "
            "each is shared out among the others, which takes two of both."
        )
    kinds, by = kinds_of(factors, discrete), probe or Forest()
    tables = []

    def measure(z: np.ndarray, v: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
        r, informed = _importance(z, v, kinds, by, seed)
        tables.append(r)
        apart, whole = 1 - _entropy_of_rows(r), 1 - _entropy_of_rows(r.T)
        weight = r.sum(1) / max(r.sum(), 1e-300)
        return {
            "DCI disentanglement": (float((weight * apart).sum()), apart),
            "DCI completeness": (float(whole.mean()), whole),
            "DCI informativeness": (float(informed.mean()), informed),
        }

    made = scored(
        measure,
        codes,
        factors,
        estimator=by.name,
        permutations=permutations,
        seed=seed,
        name="DCI",
        quiet=quiet,
    )
    apart, whole, informed = made.values()
    # the first is that of the codes as they are
    return DCI(apart, whole, informed, tables[0])


def sap(
    codes: np.ndarray,
    factors: np.ndarray,
    *,
    discrete: Sequence[bool] | None = None,
    permutations: int = 20,
    seed: int = 0,
    quiet: bool = True,
) -> DisentanglementScore:
    r"""Separated attribute predictability: by how much the latent that predicts a factor best is
    ahead of the next, averaged over factors (Kumar et al. 2018, section 3).

    A latent alone predicts a continuous factor by a line, worth $R^2$; a discrete one by thresholds
    (a tree with as many leaves as values), worth the balanced accuracy on held-out rows, a
    third, scaled so that a guess is worth 0. Arguments and errors as `mig`.
    """
    codes, factors = checked(codes, factors)
    kinds = kinds_of(factors, discrete)

    def measure(z: np.ndarray, v: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
        worth = np.stack(
            [_worth(z, column, kind) for column, kind in zip(v.T, kinds, strict=True)], axis=1
        )
        ordered = np.sort(worth, axis=0)
        each = ordered[-1] - (ordered[-2] if len(ordered) > 1 else 0.0)
        return {"SAP": (float(each.mean()), each)}

    estimator = "R² of a line, balanced accuracy of thresholds"
    return scored(
        measure, codes, factors, estimator=estimator, permutations=permutations, seed=seed,
        name="SAP", quiet=quiet,
    )["SAP"]  # fmt: skip


def _importance(
    codes: np.ndarray,
    factors: np.ndarray,
    kinds: tuple[bool, ...],
    probe: AbstractProbe,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    held = held_third(len(codes))
    columns, informed = [], []
    for factor, discrete in zip(factors.T, kinds, strict=True):
        target = np.unique(factor, return_inverse=True)[1].ravel() if discrete else factor
        if discrete and len(np.unique(target[~held])) < 2:
            raise ValueError(
                "a discrete factor has one value in all rows that are fitted; shuffle the rows."
            )
        found, guess = probe.importance(
            (codes[~held], target[~held]), (codes[held], target[held]), discrete=discrete, seed=seed
        )
        total = found.sum()
        columns.append(found / total if total > 0 else np.zeros_like(found))
        informed.append(_skill(target, held, guess, discrete))
    return np.stack(columns, axis=1), np.array(informed)


def _skill(target: np.ndarray, held: np.ndarray, guess: np.ndarray, discrete: bool) -> float:
    true = target[held]
    if discrete:
        common = np.bincount(target[~held]).argmax()
        error, guessing = (true != guess).mean(), (true != common).mean()
    else:
        error, guessing = ((true - guess) ** 2).sum(), ((true - target[~held].mean()) ** 2).sum()
    return max(0.0, float(1 - error / guessing)) if guessing > 0 else 0.0


def _entropy_of_rows(r: np.ndarray) -> np.ndarray:
    """Of each row's shares, to the base of how many there are; 1 for a row of zeros."""
    total = r.sum(1, keepdims=True)
    p = np.where(total > 0, r / np.where(total > 0, total, 1), 1 / r.shape[1])
    return -(p * np.log(np.maximum(p, 1e-300))).sum(1) / np.log(r.shape[1])


def _worth(codes: np.ndarray, factor: np.ndarray, discrete: bool) -> np.ndarray:
    """How well each latent alone predicts a factor: `(latent,)`."""
    if not discrete:
        z = codes - codes.mean(0)
        v = factor - factor.mean()
        spread = (z**2).sum(0) * (v**2).sum()
        return np.where(
            spread > 0, (z * v[:, None]).sum(0) ** 2 / np.where(spread > 0, spread, 1), 0
        )
    target = np.unique(factor, return_inverse=True)[1].ravel()
    held, classes = held_third(len(codes)), int(target.max()) + 1
    worth = []
    for z in codes.T:
        tree = DecisionTreeClassifier(
            max_leaf_nodes=classes, class_weight="balanced", random_state=0
        )
        right = tree.fit(z[~held, None], target[~held]).predict(z[held, None]) == target[held]
        present = np.unique(target[held])
        balanced = np.mean([right[target[held] == c].mean() for c in present])
        worth.append(max(0.0, (balanced - 1 / classes) / (1 - 1 / classes)))
    return np.array(worth)
