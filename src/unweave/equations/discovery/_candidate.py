"""A candidate equation: which terms each state's rate has, and its numbers."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ._library import FACTORS, Term

# a step of a difference quotient
_NUDGE = 1e-6


@dataclass(frozen=True)
class Candidate:
    """Terms `rows[i]` of every state's rate. Numbers `theta` are all coefficients, state after
    state, then the inner numbers of the terms that have any; a term that several rates share
    has its inner numbers once."""

    rows: tuple[tuple[Term, ...], ...]

    @functools.cached_property
    def terms(self) -> tuple[Term, ...]:
        """The different terms."""
        return tuple(dict.fromkeys(term for row in self.rows for term in row))

    @functools.cached_property
    def coefficients(self) -> int:
        """How many coefficients there are."""
        return sum(len(row) for row in self.rows)

    @property
    def inner(self) -> np.ndarray:
        """The inner numbers with which the terms were chosen."""
        return np.array([value for term in self.terms for value in term.inner])

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.coefficients + len(self.inner)

    @functools.cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """Of every coefficient the state whose rate it is in, and the term's number."""
        number = {term: j for j, term in enumerate(self.terms)}
        pairs = [(i, number[term]) for i, row in enumerate(self.rows) for term in row]
        return np.array([i for i, _ in pairs], dtype=int), np.array(
            [j for _, j in pairs], dtype=int
        )

    def matrix(self, theta: Float[np.ndarray, "lane number"]) -> np.ndarray:
        """The coefficients `(lane, state, term)`."""
        made = np.zeros((len(theta), len(self.rows), len(self.terms)))
        made[:, self._places[0], self._places[1]] = theta[:, : self.coefficients]
        return made

    def field(self, theta: Float[np.ndarray, "lane number"]) -> Callable[[np.ndarray], np.ndarray]:
        """The rates `(lane, state, n)` as a function of states `(lane, state, n)`, each lane with
        numbers of its own."""
        matrix, at = self.matrix(theta), self.coefficients
        recipes = []
        for term in self.terms:
            n = len(term.inner)
            recipes.append((term, tuple(theta[:, at + j, None] for j in range(n))))
            at += n
        count = len(recipes)

        def rates(x: np.ndarray) -> np.ndarray:
            values = np.empty((x.shape[0], count, x.shape[2]))
            states = [x[:, i] for i in range(x.shape[1])]
            for j, (term, inner) in enumerate(recipes):
                value = term.of_states(states, inner)
                values[:, j] = 1.0 if value is None else value
            return matrix @ values

        return rates

    def without(self, place: int) -> "Candidate":
        """The candidate without one of its coefficients' terms."""
        rows, k = [], 0
        for row in self.rows:
            rows.append(tuple(term for j, term in enumerate(row) if k + j != place))
            k += len(row)
        return Candidate(tuple(rows))

    def with_row(self, state: int, row: Sequence[Term]) -> "Candidate":
        """The candidate with another right side for one state."""
        rows = list(self.rows)
        rows[state] = tuple(row)
        return Candidate(tuple(rows))

    def positive(self) -> np.ndarray:
        """Which inner numbers must stay positive."""
        signs: list[bool] = []
        for term in self.terms:
            if term.inner:
                signs += [True, False][: FACTORS[term.name].inner]
        return np.array(signs, dtype=bool)


def nudges(theta: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Steps of difference quotients for numbers of a typical `size`."""
    return _NUDGE * np.maximum(np.abs(theta), size)
