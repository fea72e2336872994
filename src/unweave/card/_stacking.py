r"""How much of each model a mixture of them wants: stacking by held-out log-density.

The weights $w$ on the simplex are those of the mixture $\sum_k w_k p_k(x)$ that finds the held-out
observations most likely (Yao, Vehtari, Simpson and Gelman 2018, Bayesian Analysis 13:917, equation
4, with a test part in the place of leaving one out). A weight says what a model adds to the others,
and not how good it is by itself: of two models that say the same, one may get all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ._density import DENSITY
from ._paired import enough
from ._trial import Trial

_DRAWS = 200
_STEPS = 500


@dataclass(frozen=True)
class Stacking:
    """The weights by name of the recipe, with standard errors of a bootstrap over seeds and test
    observations; `gain`, by how many nats an observation the mixture is ahead of the best single
    model `best` on observations that its weights did not see, with the standard error; `kinds`
    of the densities."""

    weights: dict[str, tuple[float, float]]
    best: str
    gain: float
    gain_error: float
    kinds: tuple[str, ...]


def stacking(trial: Trial) -> Stacking | None:
    """The stacking of all recipes with a log-density for every seed and test observation.

    None where there are fewer than two, or too few seeds or observations to tell chance.
    Unnormalised densities take no part, nor do probabilities beside densities.
    """
    share = max(trial.sizes)
    names, parts = _comparable(trial, share)
    units = trial.every_unit
    if len(names) < 2 or not enough(trial.seeds, len(units)):
        return None
    tables = [np.stack([parts[name][seed] for name in names], 1) for seed in range(trial.seeds)]
    rows = np.concatenate(tables)
    codes = [np.searchsorted(units, unit) for unit in trial.units]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(_DRAWS):
        count = rng.multinomial(len(units), np.full(len(units), 1 / len(units)))
        seeds = rng.multinomial(trial.seeds, np.full(trial.seeds, 1 / trial.seeds))
        weight = np.concatenate([s * count[code] for s, code in zip(seeds, codes, strict=True)])
        drawn.append(weights_of(rows, weight) if weight.sum() else None)
    spread = np.std([w for w in drawn if w is not None], axis=0)
    whole = weights_of(rows, np.ones(len(rows)))
    best, gain, error = _gain(tables, codes, len(units), rng)
    kinds = sorted({_kind(trial, name, share) for name in names})
    return Stacking(
        {n: (float(w), float(s)) for n, w, s in zip(names, whole, spread, strict=True)},
        names[best], gain, error, tuple(kinds),
    )  # fmt: skip


def weights_of(log_densities: np.ndarray, counts: np.ndarray) -> np.ndarray:
    r"""The weights `(model,)` that maximise $\sum_i c_i \log \sum_k w_k p_{ik}$, by expectation
    maximisation, of `log_densities` `(n, model)` and `counts` `(n,)`."""
    seen = counts > 0
    counts = counts[seen] / counts[seen].sum()
    densities = log_densities[seen] - log_densities[seen].max(1, keepdims=True)
    densities = np.exp(densities)
    weights = np.full(densities.shape[1], 1 / densities.shape[1])
    for _ in range(_STEPS):
        shares = densities * weights
        shares /= shares.sum(1, keepdims=True)
        after = counts @ shares
        done = np.abs(after - weights).max() < 1e-6
        weights = after
        if done:
            break
    return weights


def _gain(
    tables: Sequence[np.ndarray], codes: Sequence[np.ndarray], units: int, rng: np.random.Generator
) -> tuple[int, float, float]:
    """The best single model, how far the mixture is ahead of it, and the standard error over
    units: each half of the units is judged by the weights of the other."""
    half = rng.permutation(units) % 2
    rows, code = np.concatenate(tables), np.concatenate(codes)
    mixed = np.empty(len(rows))
    for side in (0, 1):
        inside = half[code] == side
        weights = weights_of(rows[~inside], np.ones((~inside).sum()))
        top = rows[inside].max(1)
        mixed[inside] = top + np.log(np.exp(rows[inside] - top[:, None]) @ weights)
    best = int(np.argmax(rows.mean(0)))
    ahead = mixed - rows[:, best]
    count = np.bincount(code, minlength=units)
    means = np.bincount(code, ahead, units)[count > 0] / count[count > 0]
    error = float(np.std(means, ddof=1) / np.sqrt(len(means)))
    return best, float(ahead.mean()), error


def _comparable(trial: Trial, share: float) -> tuple[list[str], dict[str, list[np.ndarray]]]:
    """The recipes whose densities may be mixed, and the log-densities of each seed."""
    names, parts = [], {}
    for name in trial.names:
        found = trial.readings(name, DENSITY, share)
        each = [reading.each for reading in found if reading is not None]
        whole = [part for part in each if part is not None and np.isfinite(part).all()]
        if len(whole) == trial.seeds and "unnormalised" not in _kind(trial, name, share):
            names.append(name)
            parts[name] = whole
    discrete = [name for name in names if "probability" in _kind(trial, name, share)]
    if discrete and len(discrete) < len(names):
        names = [name for name in names if name not in discrete]
    return names, parts


def _kind(trial: Trial, name: str, share: float) -> str:
    entry = trial.entry(name, DENSITY, share)
    return "" if entry is None else entry.kind
