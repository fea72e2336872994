"""The verb: attacks on a batch of inputs, and the verdict over all of them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from .._budgets import L2, AbstractBudget, LInf, Smooth
from .._many import precision
from .._model import AbstractPredictor, Key
from ._asked import Asked, sign_of, words_for
from ._game import AbstractAttack, Game, State, play
from ._goal import AbstractGoal, committee, misclassify
from ._gradient import APGD, Noise, apgd_dlr
from ._square import Square
from ._verdict import Found, Robustness, suspicions, wilson

# how much wider the budget is made to see that more room does more harm
_WIDER = 4.0
_NOISE = Noise(steps=20)


@dataclass(frozen=True)
class Transfer:
    """An attack on other models that is then shown to the one in question, which is asked once.

    `surrogates` were trained on the same data, or on what the model answers; of
    several, the mean of their answers is attacked (Liu et al. 2017). They are classifiers or goals.
    """

    surrogates: tuple[Any, ...]
    attack: AbstractAttack = APGD()  # noqa: RUF009 - a frozen value
    name: str = "transfer"


def standard(budget: AbstractBudget) -> tuple[AbstractAttack, ...]:
    """The attacks where none are named: APGD with both losses, and Square, which needs no gradient
    (as in AutoAttack, Croce and Hein 2020)."""
    flat = budget.ball if isinstance(budget, Smooth) else budget
    gradients = (APGD(), apgd_dlr())
    return (*gradients, Square()) if isinstance(flat, LInf | L2) else gradients


def attack(
    victim: AbstractPredictor | AbstractGoal,
    x: np.ndarray,
    *,
    budget: AbstractBudget,
    answers: np.ndarray | None = None,
    conditions: Any = None,
    attacks: Sequence[AbstractAttack | Transfer] | None = None,
    valid: tuple[float, float] | None = None,
    scale: Sequence[float] = (),
    checks: bool = True,
    early_stop: bool = False,
    chunk: int = 512,
    quiet: bool = False,
    seed: int = 0,
) -> Robustness:
    r"""Attacks inputs `x` `(n, ...)` within `budget`, and says what withstood the strongest.

    `victim` is a classifier, whose true classes `answers` `(n,)` are, or a goal, such as
    `move(targets.surprise(model))`. `attacks` are `standard(budget)` where none are given. Inputs
    stay in the range `valid`, by themselves 0 to 255 where `x` holds bytes; the budget counts in
    units of `scale`, one for each entry of the last axis, 1 where there is none. With `checks`
    random points are tried too, and the first gradient attack again with four times the budget and
    without any, to warn where an evaluation is broken. With `early_stop` an input that has fallen
    to an attack is left where it fell: shares are the same and sooner there, but readings are no
    longer the worst within the budget. The same `seed` gives the same result.

    Raises `ValueError` where rows, answers or range do not fit, and for an attack that cannot play.
    """
    goal = victim if isinstance(victim, AbstractGoal) else misclassify(victim)
    chosen = tuple(standard(budget) if attacks is None else attacks)
    with precision(goal):
        asked = Asked.of(goal, np.asarray(x), budget, answers, conditions, valid, scale, chunk)
        _check(asked, chosen)
        before = asked.readings(None)
        right = before[1] >= 0
        tried = [*chosen, *([_NOISE] if checks else [])]
        key = jax.random.key(seed)
        found = []
        with tqdm(total=len(tried) + 2 * checks, unit="attack", disable=quiet, leave=False) as bar:
            for i, one in enumerate(tried):
                bar.set_postfix_str(one.name)
                found.append(_found(asked, one, jax.random.fold_in(key, i), right, early_stop))
                bar.update()
            noise = found.pop() if checks else None
            beyond = _beyond(asked, chosen, key, right, bar) if checks and goal.judges else None
    return _verdict(asked, before, tuple(found), noise, beyond, seed)


def curve(
    victim: AbstractPredictor | AbstractGoal,
    x: np.ndarray,
    *,
    budget: AbstractBudget,
    radii: Sequence[float],
    answers: np.ndarray | None = None,
    conditions: Any = None,
    attacks: Sequence[AbstractAttack | Transfer] | None = None,
    valid: tuple[float, float] | None = None,
    scale: Sequence[float] = (),
    chunk: int = 512,
    quiet: bool = False,
    seed: int = 0,
) -> tuple[Robustness, ...]:
    """The verdict of `attack` at each of the `radii`, increasing, without its checks.

    What falls within a smaller budget falls within a larger one, and is counted so. Raises what
    `attack` raises, and `ValueError` for radii that do not increase.
    """
    if not radii or any(a >= b for a, b in itertools.pairwise(radii)):
        raise ValueError(f"the radii {[*radii]} do not increase; give each once, in order.")
    goal = victim if isinstance(victim, AbstractGoal) else misclassify(victim)
    verdicts: list[Robustness] = []
    for radius in tqdm(radii, unit="radius", disable=quiet, leave=False):
        verdict = attack(
            goal, x, budget=budget.with_radius(radius), answers=answers, conditions=conditions,
            attacks=attacks, valid=valid, scale=scale, checks=False, chunk=chunk, quiet=True,
            seed=seed,
        )  # fmt: skip
        verdicts.append(_no_better(verdict, verdicts[-1], sign_of(goal)) if verdicts else verdict)
    return tuple(verdicts)


def _found(
    asked: Asked, one: AbstractAttack | Transfer, key: Key, right: np.ndarray,
    early_stop: bool = False,
) -> Found:  # fmt: skip
    """What one attack finds, over all chunks and restarts, on rows of which some are `right`."""
    if isinstance(one, Transfer):
        goals = tuple(
            goal if isinstance(goal, AbstractGoal) else misclassify(goal) for goal in one.surrogates
        )
        # what has fallen by the surrogates may yet stand
        played, attack, stop = asked.against(committee(goals)), one.attack, False
    else:
        played, attack, stop = asked, one, early_stop or one.settles
    states, traces = [], []
    for number, game in enumerate(played.games):
        state, trace = _with_restarts(attack, game, jax.random.fold_in(key, number), stop)
        states.append(state)
        traces.append(trace)
    weights = np.full(len(states), float(asked.chunk))
    weights[-1] = asked.n - asked.chunk * (len(states) - 1)
    reading, margin, moved = asked.readings([state.best for state in states])
    sizes = np.concatenate(
        [np.asarray(game.around.sizes(state.best))
         for game, state in zip(asked.games, states, strict=True)]
    )[: asked.n]  # fmt: skip
    radius = float(asked.games[0].around.budget.radius)
    fell = margin < 0
    standing = right & ~(fell & (sizes <= radius * (1 + 1e-5) + 1e-12))
    judged = asked.goal.judges
    transfer = isinstance(one, Transfer)
    kind = "transfer" if transfer else "white-box" if attack.sees_gradients else "black-box"
    spent = [np.concatenate([np.asarray(getattr(s, what)) for s in states])[: asked.n].mean()
             for what in ("gradients", "queries", "flat")]  # fmt: skip
    return Found(
        one.name, kind, float(standing.mean()) if judged else None,
        standing if judged else None, reading, moved, sizes,
        0.0 if transfer else float(spent[0]), 1.0 if transfer else float(spent[1]),
        np.average(np.stack(traces), axis=0, weights=weights), float(spent[2]),
        None if attack.within_budget else np.where(fell, sizes, np.inf),
    )  # fmt: skip


def _with_restarts(
    attack: AbstractAttack, game: Game, key: Key, stop: bool
) -> tuple[State, np.ndarray]:
    """Of each row the worst over the restarts, and the last one's trace."""
    kept, trace = play(attack, game, key, early_stop=stop)
    for number in range(1, attack.restarts):
        state, trace = play(attack, game, jax.random.fold_in(key, number), early_stop=stop)
        better = np.asarray(state.margin < kept.margin)
        shape = (-1,) + (1,) * (np.ndim(state.best) - 1)
        kept = state._replace(
            best=jnp.where(jnp.broadcast_to(better.reshape(shape), state.best.shape),
                           state.best, kept.best),
            margin=jnp.where(better, state.margin, kept.margin),
            gradients=state.gradients + kept.gradients, queries=state.queries + kept.queries,
            flat=state.flat & kept.flat,
        )  # fmt: skip
    return kept, trace


def _beyond(
    asked: Asked, attacks: Sequence[Any], key: Key, right: np.ndarray, bar: Any
) -> tuple[float, float] | None:
    """The shares that the first gradient attack within a budget leaves of four times the budget,
    and of none."""
    for one in attacks:
        if isinstance(one, AbstractAttack) and one.within_budget and one.sees_gradients:
            break
    else:
        return None
    around = asked.games[0].around
    radius, low, high = (float(v) for v in (around.budget.radius, around.low, around.high))
    x = np.concatenate([np.asarray(game.around.x) for game in asked.games])
    reach = high - low if np.isfinite(high - low) else 10 * float(np.nanmax(x) - np.nanmin(x))
    whole = max(_WIDER * radius, reach / float(around.scale.min()) * np.sqrt(x[0].size))
    shares = []
    for wider in (_WIDER * radius, whole):
        accuracy = _found(asked.within(wider), one, key, right).accuracy
        assert accuracy is not None
        shares.append(accuracy)
        bar.update()
    return shares[0], shares[1]


def _verdict(
    asked: Asked, before: tuple[np.ndarray, np.ndarray, np.ndarray], found: tuple[Found, ...],
    noise: Found | None, beyond: tuple[float, float] | None, seed: int,
) -> Robustness:  # fmt: skip
    """Of each row the worst that was found; what had fallen as it was stays so."""
    reading, margin, x = before
    goal, radius = asked.goal, float(asked.games[0].around.budget.radius)
    sign = sign_of(goal)
    # the lower the worse, for every goal; what lies out of the budget was not found within it
    scores = np.stack(
        [np.where(one.sizes <= radius * (1 + 1e-5) + 1e-12, sign * one.readings, np.inf)
         for one in found]
    )  # fmt: skip
    by = scores.argmin(0)
    rows = np.arange(asked.n)
    lower = scores[by, rows] < sign * reading
    by = np.where((margin < 0) & goal.judges | ~lower, -1, by)
    after, moved = reading.copy(), x.copy()
    for i, one in enumerate(found):
        mine = by == i
        after[mine], moved[mine] = one.readings[mine], one.perturbed[mine]
    standing = None
    if goal.judges:
        withstood = [one.standing for one in found if one.standing is not None]
        standing = np.all(withstood, axis=0) & (margin >= 0)
    clean = float((margin >= 0).mean()) if goal.judges else None
    return Robustness(
        words_for(goal), asked.games[0].around.budget.with_radius(radius), asked.n, clean,
        *_share(standing), standing, x, moved, reading, after, by, found,
        suspicions(found, noise, clean, reading, beyond), seed,
    )  # fmt: skip


def _share(standing: np.ndarray | None) -> tuple[float | None, tuple[float, float] | None]:
    if standing is None:
        return None, None
    return float(standing.mean()), wilson(int(standing.sum()), len(standing))


def _no_better(verdict: Robustness, before: Robustness, sign: float) -> Robustness:
    """The verdict, worse where a smaller budget did more harm."""
    worse = sign * before.after < sign * verdict.after
    wide = worse.reshape(-1, *(1,) * (verdict.x.ndim - 1))
    after = np.where(worse, before.after, verdict.after)
    moved = np.where(wide, before.perturbed, verdict.perturbed)
    by = np.where(worse, before.by, verdict.by)
    standing = verdict.standing
    if standing is not None and before.standing is not None:
        standing = standing & before.standing
    robust, interval = _share(standing)
    return replace(
        verdict, after=after, perturbed=moved, by=by, standing=standing, robust=robust,
        interval=interval,
    )  # fmt: skip


def _check(asked: Asked, attacks: Sequence[AbstractAttack | Transfer]) -> None:
    if not attacks:
        raise ValueError("no attack was given; leave attacks out for the usual ones.")
    names = [one.name for one in attacks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two attacks are called {twice[0]}; give each a name= of its own.")
    for one in attacks:
        player = one.attack if isinstance(one, Transfer) else one
        refused = player.refuse(asked.games[0])
        if refused:
            raise ValueError(f"{one.name} cannot be played: {refused}.")
