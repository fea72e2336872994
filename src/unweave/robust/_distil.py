r"""Surrogates that are distilled: small models trained on what the attacked one answers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._budgets import AbstractBudget, ascend, neighbourhood
from .._keys import split_on_host
from .._many import many, real
from .._model import AbstractClassifier, AbstractPredictor, Key
from ..data import Dataset
from ..targets import Target
from ..train import (
    AbstractStepper,
    Answered,
    Budget,
    Descend,
    Plan,
    Recipe,
    Trainer,
    Watch,
    distillation,
)

# of the observations as many parts, one of which is kept apart to see how far the two agree
_PARTS = 5
# how many rows are moved at once
_CHUNK = 256


@dataclass(frozen=True)
class Distillation:
    """How far a surrogate answers as the model does, and what that took: `agreement`, the share of
    the `n` held-out observations that both give the same class, or of the variance of the model's
    numbers that the surrogate explains (`kind`); `queries`, how often the model was asked in
    all."""

    kind: str
    agreement: float
    queries: int
    n: int

    def sentence(self) -> str:
        """The same in words."""
        share = f"{100 * self.agreement:.1f} %"
        same = (
            f"gives {share} of {self.n} held-out observations the model's own class"
            if self.kind == "agreement"
            else f"explains {share} of the variance of the model's numbers on {self.n} held-out "
            "observations"
        )
        return f"A surrogate that asked the model {self.queries} times {same}."


def distilled(
    victim: AbstractPredictor | Target,
    data: Dataset,
    *,
    recipe: Recipe,
    budget: AbstractBudget | None = None,
    rounds: int = 0,
    seed: int = 0,
) -> tuple[AbstractPredictor, Distillation]:
    r"""A surrogate trained on what `victim` answers, its probabilities (Hinton et al. 2015) or its
    numbers, for a `Transfer` from it; the labels of `data` are not looked at.

    **Arguments:** `victim`, a predictor, or a target of observations, such as
    `targets.surprise(model)`, whose number the surrogate then answers; `data`, observations that
    an adversary has, of which a fifth are held out; `recipe`, of a predictor, such as
    `unweave.resnet(width=16)`, which says what the surrogate is and how it is trained. In each of
    `rounds` every observation so far is moved within `budget` to where the surrogate's answer
    changes most, the model is asked there too, and training begins again from the surrogate so far
    (the augmentation by slopes of Papernot et al. 2017, section 4): `rounds` of 2 ask four times
    as often. Several seeds or recipes give an ensemble, `Transfer((first, second))`.

    Raises `ValueError` for a target of latents, fewer than ten observations, rounds without a
    budget and a recipe of what is no predictor.
    """
    _check(victim, data, budget, rounds)
    ask = _ask(victim)
    order = np.random.default_rng(seed).permutation(len(data))
    valid = (0.0, 255.0) if data.observations.dtype == np.uint8 else None
    data = replace(data, observations=real(data.observations).astype(np.float32))
    apart, kept = data.take(order[: len(data) // _PARTS]), data.take(order[len(data) // _PARTS :])
    rows, held = (
        Answered(part.observations, ask(part.observations, part.conditions), part.conditions)
        for part in (kept, apart)
    )
    build_key, train_key, move_key = split_on_host(jax.random.key(seed), 3)
    model = _predictor(recipe.build(_told(kept, rows.answer, victim), build_key), recipe)
    plan = _plan(recipe)
    for n in range(rounds + 1):
        if n:
            assert budget is not None
            rows = _grown(model, rows, ask, budget, valid, jax.random.fold_in(move_key, n))
        trainer = Trainer(model, rows, held, plan, key=jax.random.fold_in(train_key, n))
        model = _predictor(trainer.run(trainer.start(), [], Watch()).model, recipe)
    return model, _account(model, held, len(rows.x) + len(held.x))


def _check(
    victim: AbstractPredictor | Target, data: Dataset, budget: AbstractBudget | None, rounds: int
) -> None:
    if isinstance(victim, Target) and victim.of != "observation":
        raise ValueError(
            f"{victim.name} is a number of {victim.of}, and a surrogate reads observations; give a "
            "target of these, such as targets.surprise(model)."
        )
    if len(data) < 2 * _PARTS:
        raise ValueError(
            f"a surrogate was to learn from {len(data)} observations; give at least {2 * _PARTS}."
        )
    if rounds < 0 or (rounds and budget is None):
        raise ValueError(
            f"{rounds} rounds were asked for; give 0, or more with a budget= within which "
            "observations are moved."
        )


def _ask(victim: AbstractPredictor | Target) -> Callable[[np.ndarray, Any], np.ndarray]:
    """The probabilities or numbers of many observations, `(n, answer)`."""
    target = isinstance(victim, Target)
    ask = victim if target else victim.encode

    def answers(x: np.ndarray, conditions: Any) -> np.ndarray:
        codes = many(ask, x, conditions)
        told = np.exp(codes) if isinstance(victim, AbstractClassifier) else codes
        return np.asarray(told[:, None] if target else told, np.float32)

    return answers


def _told(data: Dataset, answers: np.ndarray, victim: AbstractPredictor | Target) -> Dataset:
    """The observations with the model's answers for labels or factors, as a recipe builds from."""
    names = (victim.name,) if isinstance(victim, Target) else victim.names
    plain = replace(data, labels=None, label_names=(), factors=None, factor_names=())
    if isinstance(victim, AbstractClassifier):
        return replace(plain, labels=answers.argmax(1), label_names=names)
    return replace(plain, factors=answers, factor_names=names)


def _predictor(model: eqx.Module, recipe: Recipe) -> AbstractPredictor:
    if not isinstance(model, AbstractPredictor):
        raise ValueError(
            f"a surrogate answers, and {recipe.name} makes a {type(model).__name__}, which does "
            "not; give the recipe of a predictor, such as unweave.resnet(width=16)."
        )
    return model


def _plan(recipe: Recipe) -> Plan:
    """The recipe's own training, on answers."""
    plan = recipe.plan
    if plan is None:
        raise ValueError(f"{recipe.name} is not trained by steps; give resnet, say.")

    def stepper(budget: Budget) -> AbstractStepper:
        own = plan.stepper(budget)
        if not isinstance(own, Descend):
            raise ValueError(
                f"{recipe.name} is trained by {type(own).__name__}, and a surrogate by gradients; "
                "leave its option of another training out."
            )
        return Descend(distillation(), own.optimiser)

    return replace(plan, stepper=stepper)


def _grown(
    model: AbstractPredictor,
    rows: Answered,
    ask: Callable[[np.ndarray, Any], np.ndarray],
    budget: AbstractBudget,
    valid: tuple[float, float] | None,
    key: Key,
) -> Answered:
    """As many rows again, each moved one radius up the surrogate's slope, with what the model
    answers there."""
    n, size = len(rows.x), min(_CHUNK, len(rows.x))
    gaps, parts = bool(np.isnan(rows.x).any()), []
    for start in range(0, n, size):
        take = np.minimum(np.arange(start, start + size), n - 1)
        some = jax.tree.map(lambda part, take=take: jnp.asarray(part[take]), rows)
        moved = _moved(model, some, budget, valid, gaps, jax.random.fold_in(key, start))
        parts.append(np.asarray(moved)[: n - start])
    more = np.concatenate(parts)
    both = Answered(more, ask(more, rows.condition), rows.condition)
    return jax.tree.map(lambda *pair: np.concatenate(pair), rows, both)


@eqx.filter_jit
def _moved(
    model: AbstractPredictor, rows: Answered, budget: AbstractBudget,
    valid: tuple[float, float] | None, gaps: bool, key: Key,
) -> Any:  # fmt: skip
    """Each row where the class that was answered is less likely, or the numbers are others."""
    signs = jax.random.rademacher(key, rows.answer.shape, rows.answer.dtype)

    def loss(x: Any) -> Any:
        codes = model.predict(x, rows.condition)
        if not isinstance(model, AbstractClassifier):
            return (signs * codes).sum(1)
        return -jnp.take_along_axis(codes, rows.answer.argmax(1)[:, None], 1)[:, 0]

    around = neighbourhood(rows.x, budget, valid, gaps=gaps)
    return around.at(ascend(loss, around, around.none(), steps=1, step=1.0))


def _account(model: AbstractPredictor, held: Answered, queries: int) -> Distillation:
    codes = many(model.encode, held.x, held.condition)
    if isinstance(model, AbstractClassifier):
        same = float(np.mean(codes.argmax(1) == held.answer.argmax(1)))
        return Distillation("agreement", same, queries, len(codes))
    spread = ((held.answer - held.answer.mean(0)) ** 2).sum(0)
    left = ((held.answer - codes) ** 2).sum(0)
    explained = float(np.mean(1 - left / np.where(spread > 0, spread, 1)))
    return Distillation("explained variance", explained, queries, len(codes))
