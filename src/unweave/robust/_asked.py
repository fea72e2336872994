"""What is attacked: a goal with its inputs, in chunks, checked at the door."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._budgets import AbstractBudget, Neighbourhood, neighbourhood
from ._game import Game
from ._goal import AbstractGoal, Misclassify, Move, Rows, Through

#: What a classifier is attacked in.
CLASS = "the true class"


def words_for(goal: AbstractGoal) -> str:
    inner = goal.goal if isinstance(goal, Through) else goal
    return inner.target.name if isinstance(inner, Move) else CLASS


def sign_of(goal: AbstractGoal) -> float:
    """-1 where a higher reading is the worse one."""
    inner = goal.goal if isinstance(goal, Through) else goal
    return -1.0 if isinstance(inner, Move) and inner.up else 1.0


class Asked(eqx.Module):
    """A goal with its games, chunk by chunk; the last one repeats its last row."""

    goal: AbstractGoal
    games: tuple[Game, ...]
    x: np.ndarray
    n: int
    chunk: int

    @classmethod
    def of(
        cls, goal: AbstractGoal, x: np.ndarray, budget: AbstractBudget, answers: Any,
        conditions: Any, valid: Any, scale: Sequence[float], chunk: int,
    ) -> "Asked":  # fmt: skip
        """From what `attack` was given."""
        if valid is None and x.dtype == np.uint8:
            valid = (0.0, 255.0)
        x = x.astype(np.float64 if jax.config.read("jax_enable_x64") else np.float32)
        _check_rows(goal, x, answers, valid, scale)
        rest, inputs = None, x
        if isinstance(goal, Through):
            rest = np.asarray(jax.vmap(goal.latents.to_normal)(jnp.asarray(x)))
            inputs = rest[:, list(goal.at)]
        labels = None if answers is None else np.asarray(answers).astype(np.int32)
        gaps = bool(np.isnan(inputs).any())
        known: Any = {"answer": labels, "condition": conditions, "rest": rest}
        size = max(1, min(chunk, len(x)))
        games = []
        for start in range(0, len(x), size):
            take = np.minimum(np.arange(start, start + size), len(x) - 1)
            rows = jax.tree.map(lambda part, take=take: jnp.asarray(np.asarray(part)[take]),
                                known)  # fmt: skip
            near = jnp.asarray(inputs[take])
            around = neighbourhood(near, budget, valid, tuple(scale), gaps=gaps)
            games.append(Game(goal, around, Rows(**rows)))
        return cls(goal, tuple(games), x, len(x), size)

    def against(self, goal: AbstractGoal) -> "Asked":
        """The same inputs, another goal."""
        games = tuple(Game(goal, game.around, game.rows) for game in self.games)
        return Asked(goal, games, self.x, self.n, self.chunk)

    def within(self, radius: float) -> "Asked":
        """The same with another radius."""
        games = tuple(_widened(game, radius) for game in self.games)
        return Asked(self.goal, games, self.x, self.n, self.chunk)

    def readings(self, at: list[Any] | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The model's reading, margin and the inputs at these perturbations, or as they are."""
        parts = [
            _read(game, game.around.none() if at is None else at[i])
            for i, game in enumerate(self.games)
        ]
        joined = [np.concatenate([np.asarray(p[i]) for p in parts])[: self.n] for i in range(3)]
        return joined[0], joined[1], joined[2]


def _widened(game: Game, radius: float) -> Game:
    """The same game with another radius."""
    around = game.around
    budget = around.budget.with_radius(jnp.asarray(radius, around.x.dtype))
    wider = Neighbourhood(
        around.x, budget, around.low, around.high, around.scale, around.gaps, around.scaled,
        around.ranged,
    )  # fmt: skip
    return Game(game.goal, wider, game.rows)


@eqx.filter_jit
def _read(game: Game, s: Any) -> tuple[Any, Any, Any]:
    outputs = game.outputs(s)
    # once more, for a sum that was rounded beyond an end of the range
    moved = jnp.clip(game.around.at(s), game.around.low, game.around.high)
    if isinstance(game.goal, Through):
        moved = game.goal.values(moved, game.rows)
    margin = game.goal.margins(outputs, game.rows).min(-1)
    return game.goal.reading(outputs, game.rows), margin, moved


def _check_rows(
    goal: AbstractGoal, x: np.ndarray, answers: Any, valid: Any, scale: Sequence[float]
) -> None:
    if x.ndim < 2 or not len(x):
        raise ValueError(
            f"x has shape {x.shape}; give at least one input, the first axis counting them."
        )
    if isinstance(goal, Misclassify):
        if answers is None:
            raise ValueError("an attack on a classifier needs the true classes; give answers=.")
        labels = np.asarray(answers)
        if labels.shape != (len(x),) or labels.dtype.kind not in "iu":
            raise ValueError(
                f"answers has shape {labels.shape} and type {labels.dtype} for {len(x)} inputs; "
                "give the index of a class, a whole number, for each."
            )
        names = len(goal.model.names)
        if labels.min() < 0 or labels.max() >= names:
            raise ValueError(f"answers run to {labels.max()}; the classes are 0 to {names - 1}.")
    if valid is not None:
        low, high = valid
        if not low < high:
            raise ValueError(f"the valid range {low} to {high} is empty; give the lower end first.")
        if np.nanmin(x) < low or np.nanmax(x) > high:
            raise ValueError(
                f"the inputs run from {np.nanmin(x):.4g} to {np.nanmax(x):.4g}, out of the valid "
                f"range {low:g} to {high:g}; give the range that they are in."
            )
    if scale and (len(scale) != x.shape[-1] or not all(part > 0 for part in scale)):
        raise ValueError(
            f"scale has {len(scale)} numbers for {x.shape[-1]} entries of the last axis; give a "
            "positive one for each."
        )
