r"""Is it really a differential equation? Halve the step and see whether the answer stays.

A network that was trained with one step width may have learnt that width: refine it, and it
answers something else (Ott et al. 2021; Queiruga et al. 2020). Where the answers stay, the field
is the model, and the scheme and the number of steps may be chosen anew for every use.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import numpy as np

from ._predict import Classifier, Regressor, way_through

# refined answers that differ for less than this share of the observations are the same answers
_SAME = 0.01
# observations that are asked at once
_BATCH = 256


@dataclass(frozen=True)
class Refined:
    """What a network answers on steps `factor` times as fine: `evaluations` of the field for one
    observation; `moved`, how much the answers differ from those of the finest steps (of classes
    the share that changes, of numbers the root mean square over the answer's spread); `score`,
    accuracy or explained variance."""

    factor: int
    evaluations: int
    moved: float
    score: float


def refinements(
    model: Classifier | Regressor,
    x: np.ndarray,
    answers: np.ndarray,
    *,
    factors: Sequence[int] = (1, 2, 4, 8),
) -> tuple[Refined, ...]:
    """The same weights on finer and finer steps, over the observations `x` `(n, ...)` whose
    known answers are `answers`."""
    found = []
    depth = way_through(model).depth
    for factor in factors:
        finer = eqx.tree_at(lambda m: m.net.depth, model, depth.refined(factor))
        found.append((factor, *_ask(finer, x)))
    finest = found[-1][2]
    return tuple(
        Refined(factor, asked, moved_answers(model, code, finest), score(model, code, answers))
        for factor, asked, code in found
    )


def _ask(model: Classifier | Regressor, x: np.ndarray) -> tuple[int, np.ndarray]:
    """Evaluations of the field, the most that a batch took, and the answers."""

    @eqx.filter_jit
    def ask(model: Classifier | Regressor, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        net = way_through(model)
        return net.depth.evaluations(net.features(x)), model.predict(x)

    count = -(-len(x) // _BATCH)
    done = [ask(model, jax.numpy.asarray(part)) for part in np.array_split(x, count)]
    asked = max(int(of) for of, _ in done)
    return asked, np.concatenate([np.asarray(code) for _, code in done])


def moved_answers(model: Classifier | Regressor, one: np.ndarray, two: np.ndarray) -> float:
    """How far two sets of codes answer differently."""
    if isinstance(model, Classifier):
        return float((one.argmax(1) != two.argmax(1)).mean())
    spread = np.asarray(model.answer_scale.spread)
    return float(np.sqrt((((one - two) / spread) ** 2).mean()))


def score(model: Classifier | Regressor, code: np.ndarray, answers: np.ndarray) -> float:
    """Accuracy, or the mean over the answers of the variance that is explained."""
    if isinstance(model, Classifier):
        return float((code.argmax(1) == answers).mean())
    left = np.nanmean((code - answers) ** 2, axis=0)
    return float((1 - left / np.nanvar(answers, axis=0)).mean())


def verdict(model: Classifier | Regressor, found: Sequence[Refined]) -> str:
    """In a sentence, whether a network is a differential equation or its steps."""
    first, last = found[0], found[-1]
    what = "of the answers change" if isinstance(model, Classifier) else "of a spread"
    many = f"{last.evaluations / first.evaluations:.2g} times as many evaluations"
    moved = f"{100 * first.moved:.2g} % {what} with {many}"
    if first.moved <= _SAME:
        return f"It is a differential equation: {moved}, so its steps may be chosen anew."
    return (
        f"It is its steps, not a differential equation: {moved} (score {first.score:.3f}, then "
        f"{last.score:.3f}); use it with the steps that it was trained with."
    )
