r"""What an attack wants: how near each row of a batch is to falling, and losses to climb."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._latents import Latents
from .._model import AbstractPredictor
from ..targets import Target


class Rows(NamedTuple):
    """What is known beside each attacked input: the true class, a condition, the scores of
    latents that are left alone; None where there is none."""

    answer: Int[Array, " batch"] | None = None
    condition: Any = None
    rest: Float[Array, "batch latent"] | None = None


Outputs: TypeAlias = Float[Array, "batch output"]
PerRow: TypeAlias = Float[Array, " batch"]


class AbstractGoal(eqx.Module):
    r"""A model seen by an adversary. An input has fallen where a margin is below 0.

    `judges` says whether there is such a line at all.
    """

    judges: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def outputs(self, x: Float[Array, "batch ..."], rows: Rows) -> Outputs:
        """What the model says of a batch."""

    @abc.abstractmethod
    def margins(self, outputs: Outputs, rows: Rows) -> Outputs:
        """How far each way of falling is; infinite for what is none."""

    @abc.abstractmethod
    def surprise(self, outputs: Outputs, rows: Rows) -> PerRow:
        """The loss that the model was trained to make small, where it has one."""

    @abc.abstractmethod
    def ratio(self, outputs: Outputs, rows: Rows) -> PerRow:
        """A loss that does not change where all outputs are scaled."""

    @abc.abstractmethod
    def reading(self, outputs: Outputs, rows: Rows) -> PerRow:
        """The number that a table shows."""


class Misclassify(AbstractGoal):
    r"""Any class but the true one: the margins are $z_y - z_k$, of log-probabilities as of what
    the last layer gave, from which these differ by a constant."""

    model: AbstractPredictor
    judges: bool = eqx.field(static=True, default=True)

    def outputs(self, x: Float[Array, "batch ..."], rows: Rows) -> Outputs:
        """The code of every observation."""
        return self.model.predict(x, rows.condition)

    def margins(self, outputs: Outputs, rows: Rows) -> Outputs:
        """Infinite for the true class itself."""
        own = self._own(outputs, rows)
        gaps = _of(outputs, own) - outputs
        return jnp.where(own, jnp.inf, gaps)

    def surprise(self, outputs: Outputs, rows: Rows) -> PerRow:
        r"""$-\log p(y \mid x)$, cross-entropy."""
        own = self._own(outputs, rows)
        return -jnp.where(own, jax.nn.log_softmax(outputs), 0).sum(-1)

    def ratio(self, outputs: Outputs, rows: Rows) -> PerRow:
        r"""The difference of logits ratio, $-(z_y - \max_{k \ne y} z_k) / (z_{\pi_1} - z_{\pi_3})$
        (Croce and Hein 2020, equation 6); of two classes, where that is none, the margin."""
        margin = self.margins(outputs, rows).min(-1)
        if outputs.shape[-1] < 3:
            return -margin
        ordered = jnp.sort(outputs, axis=-1)
        return -margin / (ordered[:, -1] - ordered[:, -3] + 1e-12)

    def reading(self, outputs: Outputs, rows: Rows) -> PerRow:
        """The margin to the nearest other class, in nats."""
        return self.margins(outputs, rows).min(-1)

    def _own(self, outputs: Outputs, rows: Rows) -> Array:
        assert rows.answer is not None
        return rows.answer[:, None] == jnp.arange(outputs.shape[-1])[None]


class Move(AbstractGoal):
    r"""A number as far up, or down, as it goes: the margin is $\ell - f(x)$ up and $f(x) - \ell$
    down. Without a limit $\ell$ there is no line to cross, and the margin counts from 0."""

    target: Target
    limit: float | None
    up: bool = eqx.field(static=True)
    judges: bool = eqx.field(static=True)

    def outputs(self, x: Float[Array, "batch ..."], rows: Rows) -> Outputs:
        """The number of each input."""
        return jax.vmap(self.target)(x, rows.condition)[:, None]

    def margins(self, outputs: Outputs, rows: Rows) -> Outputs:
        """The one way to fall."""
        limit = 0.0 if self.limit is None else self.limit
        return limit - outputs if self.up else outputs - limit

    def surprise(self, outputs: Outputs, rows: Rows) -> PerRow:
        """The number, or minus it."""
        return outputs[:, 0] if self.up else -outputs[:, 0]

    def ratio(self, outputs: Outputs, rows: Rows) -> PerRow:
        """The same."""
        return outputs[:, 0] if self.up else -outputs[:, 0]

    def reading(self, outputs: Outputs, rows: Rows) -> PerRow:
        """The number."""
        return outputs[:, 0]


class Through(AbstractGoal):
    r"""A goal on latents, as an adversary of their standard scores sees it: $e \mapsto z = F^{-1}(
    \Phi(e))$. Those at the places `at` are attacked, and `rows.rest` holds all of them."""

    goal: AbstractGoal
    latents: Latents
    at: tuple[int, ...] = eqx.field(static=True)
    judges: bool = eqx.field(static=True)

    def outputs(self, x: Float[Array, "batch ..."], rows: Rows) -> Outputs:
        """The goal's, at the latents."""
        return self.goal.outputs(self.values(x, rows), rows)

    def values(self, x: Float[Array, "batch ..."], rows: Rows) -> Float[Array, "batch latent"]:
        """All latents of each row, in their own units."""
        assert rows.rest is not None
        scores = rows.rest.at[:, jnp.asarray(self.at)].set(x)
        return jax.vmap(self.latents.from_normal)(scores)

    def margins(self, outputs: Outputs, rows: Rows) -> Outputs:
        """The goal's."""
        return self.goal.margins(outputs, rows)

    def surprise(self, outputs: Outputs, rows: Rows) -> PerRow:
        """The goal's."""
        return self.goal.surprise(outputs, rows)

    def ratio(self, outputs: Outputs, rows: Rows) -> PerRow:
        """The goal's."""
        return self.goal.ratio(outputs, rows)

    def reading(self, outputs: Outputs, rows: Rows) -> PerRow:
        """The goal's."""
        return self.goal.reading(outputs, rows)


class Committee(AbstractGoal):
    """Several models at once, the mean of their outputs: what fools all of them is the more likely
    to fool another (Liu et al. 2017)."""

    goals: tuple[AbstractGoal, ...]
    judges: bool = eqx.field(static=True)

    def outputs(self, x: Float[Array, "batch ..."], rows: Rows) -> Outputs:
        """The mean over the goals."""
        every = [goal.outputs(x, rows) for goal in self.goals]
        return jnp.stack(every).mean(0)

    def margins(self, outputs: Outputs, rows: Rows) -> Outputs:
        """The first goal's."""
        return self.goals[0].margins(outputs, rows)

    def surprise(self, outputs: Outputs, rows: Rows) -> PerRow:
        """The first goal's."""
        return self.goals[0].surprise(outputs, rows)

    def ratio(self, outputs: Outputs, rows: Rows) -> PerRow:
        """The first goal's."""
        return self.goals[0].ratio(outputs, rows)

    def reading(self, outputs: Outputs, rows: Rows) -> PerRow:
        """The first goal's."""
        return self.goals[0].reading(outputs, rows)


#: A loss to climb, from what the model says to a number for each row.
Loss: TypeAlias = Callable[[AbstractGoal, Outputs, Rows], PerRow]


def cross_entropy(goal: AbstractGoal, outputs: Outputs, rows: Rows) -> PerRow:
    r"""$-\log p(y \mid x)$; of a continuous target the number."""
    return goal.surprise(outputs, rows)


def margin_loss(goal: AbstractGoal, outputs: Outputs, rows: Rows) -> PerRow:
    r"""$\max_{k \ne y} z_k - z_y$ (Carlini and Wagner 2017, $f_6$); of a continuous target the
    number."""
    return -goal.margins(outputs, rows).min(-1)


def logits_ratio(goal: AbstractGoal, outputs: Outputs, rows: Rows) -> PerRow:
    """The difference of logits ratio (Croce and Hein 2020); where it is undefined, for two classes
    and for a continuous target, the margin."""
    return goal.ratio(outputs, rows)


def misclassify(model: AbstractPredictor) -> Misclassify:
    """Any class but the true one. Raises `TypeError` for a model that names no classes."""
    if not isinstance(model, AbstractPredictor):
        raise TypeError(
            f"an attack on a class needs a classifier, and {type(model).__name__} is none; attack "
            "a number instead: move(targets.surprise(model))."
        )
    return Misclassify(model=model)


def move(
    target: Target,
    *,
    up: bool = True,
    limit: float | None = None,
    latents: Latents | None = None,
    among: tuple[str, ...] = (),
) -> Move | Through:
    """The number of `target` as far `up` as it goes, or down; an input has fallen where it is
    beyond `limit`.

    For a target of latents (`targets.output`, of an equation its parameters and initial state)
    give the model's `latents`: the budget then counts prior standard scores, and `among` names
    those that the adversary may turn, all where none is named.

    Raises `ValueError` where latents are missing, not wanted, or not called so.
    """
    line = None if limit is None else float(limit)
    goal = Move(target=target, limit=line, up=up, judges=limit is not None)
    if (latents is None) != (target.of != "latents"):
        needs = "needs latents=model.latents" if latents is None else "takes no latents"
        raise ValueError(f"{target.name} is a number of {target.of}; move(...) {needs}.")
    if latents is None:
        if among:
            raise ValueError(f"{target.name} is no number of latents; leave among out.")
        return goal
    names = among or latents.names
    at = tuple(latents.index(name) for name in names)
    return Through(goal=goal, latents=latents, at=at, judges=goal.judges)


def committee(goals: tuple[AbstractGoal, ...]) -> AbstractGoal:
    """One goal as it is, several as their mean. Raises `ValueError` for none."""
    if not goals:
        raise ValueError("a transfer attack needs a surrogate; give at least one.")
    return goals[0] if len(goals) == 1 else Committee(goals=goals, judges=goals[0].judges)


def _of(outputs: Outputs, own: Array) -> Array:
    return jnp.where(own, outputs, 0).sum(-1, keepdims=True) * jnp.ones_like(outputs)
