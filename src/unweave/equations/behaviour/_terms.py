r"""The terms that an equation's rates are sums of, as its text has them, along a course."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import sympy as sp
from jaxtyping import Array, Float

from ..._model import Condition, Latent
from ..language._evaluate import Program, compile_expressions
from ..language._hybrid import HybridSystem, formula_of
from ..solving._drive import course, drive
from ..solving._equation import Equation, interpolations

#: Into how many parts each step between two times is cut, for the integrals.
_PARTS = 8


@dataclass(frozen=True, eq=False)
class Terms:
    r"""What each term of an equation's rates is worth along a course.

    `states` and `terms` name the state whose rate a term is part of, and the term, as many as
    there are terms. `rates` `(term, time)` are its values, in the state's unit for one unit of
    time; `contributions` `(term, time)` their integrals from the first time on, in the state's
    unit. `changes` `(term, time)` are $x_s(t) - x_s(t_0)$ of the term's state, which the
    contributions of all of its terms add up to, but for `error` `(state,)`, relative to the
    largest contribution to that state. `times` `(time,)`.
    """

    times: np.ndarray
    states: tuple[str, ...]
    terms: tuple[str, ...]
    rates: np.ndarray
    contributions: np.ndarray
    changes: np.ndarray
    error: np.ndarray

    def shares(self) -> np.ndarray:
        r"""How much of all that happens to its state a term does, $\int |c_k|\,dt$ over the sum of
        these of all terms of the state, `(term,)`."""
        size = np.trapezoid(np.abs(self.rates), self.times, axis=1)
        of_state = {s: size[[o == s for o in self.states]].sum() for s in self.states}
        return np.asarray([a / of_state[s] if of_state[s] > 0 else 0.0
                           for a, s in zip(size, self.states, strict=True)])  # fmt: skip


def terms_along(model: Equation, z: Latent | np.ndarray, condition: Condition = None) -> Terms:
    r"""Every term of the rates along the course of the latents `z`, and its integral, by
    Simpson's rule on eighths of the steps between the times of the observation.

    Raises `ValueError` for an equation without a text, or with events, across whose resets the
    rates do not add up to the change.
    """
    system = model.system
    formula = formula_of(system)
    if formula is None:
        raise ValueError(
            "the terms of an equation are those of its text, and this one was made of functions; "
            "write it as text: unweave.equations.parse(...)."
        )
    if formula.events:
        raise ValueError(
            "this equation has events that reset its states, and its terms alone do not say what "
            "becomes of them; take the 'when' lines away."
        )
    split = [sp.Add.make_args(rate) for rate in formula.expressions.drift]
    names = [v.name for v in formula.states]
    owner = np.repeat(np.arange(len(names)), [len(parts) for parts in split])
    every = [part for parts in split for part in parts]
    program = compile_expressions(every, formula.expressions.arguments)
    with jax.enable_x64(True):
        z = jnp.asarray(z, jnp.float64)
        times, x, rates = (np.asarray(a) for a in _along(model, program, z, condition))
    integrals = _integrals(times, rates.T)
    kept = slice(None, None, _PARTS)
    changes = (x - x[0]).T[owner][:, kept]
    contributions = integrals[:, kept]
    sums = np.zeros((len(names), contributions.shape[1]))
    np.add.at(sums, owner, contributions)
    largest = np.zeros(len(names))
    np.maximum.at(largest, owner, np.abs(contributions).max(1))
    error = np.abs(sums - (x - x[0]).T[:, kept]).max(1) / np.where(largest > 0, largest, 1)
    labels = dict(zip(formula.expressions.networks, formula.networks, strict=True))
    words = tuple(_words(part, labels) for part in every)
    return Terms(
        times[kept], tuple(names[i] for i in owner), words, rates.T[:, kept], contributions,
        changes, error,
    )  # fmt: skip


@eqx.filter_jit
def _along(
    model: Equation, program: Program, z: Latent, condition: Condition
) -> tuple[Float[Array, " fine"], Float[Array, "fine state"], Float[Array, "fine term"]]:
    """Fine times, the states at them, and every term."""
    times, u = course(model.times, condition, z)
    inputs = drive(times, u, interpolations(model.system))
    parts = jnp.linspace(0, 1, _PARTS, endpoint=False, dtype=times.dtype)
    fine = (times[:-1, None] + jnp.diff(times)[:, None] * parts[None]).ravel()
    fine = jnp.concatenate([fine, times[-1:]])
    x = model.method.path(model.system, fine, z, inputs)

    def at(t: Array, x: Array) -> Array:
        given = [t, *x, *z, *inputs(t)]
        if isinstance(model.system, HybridSystem):
            given += [*model.system.found(t, x, z, inputs(t))]
        return program.trace(given, x.dtype)

    return fine, x, jax.vmap(at)(fine, x)


def _integrals(times: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Integrals `(term, time)` from the first time on, by Simpson's rule on pairs of parts; at the
    odd times between, which nobody reads, by the trapezoid."""
    width = np.diff(times)
    trapezoids = 0.5 * width * (rates[:, 1:] + rates[:, :-1])
    total = np.zeros(rates.shape)
    pairs = (rates[:, :-2:2] + 4 * rates[:, 1:-1:2] + rates[:, 2::2]) * width[::2] / 3
    total[:, 2::2] = np.cumsum(pairs, axis=1)
    total[:, 1::2] = total[:, :-1:2] + trapezoids[:, ::2]
    return total


def _words(term: sp.Expr, networks: dict) -> str:
    """A term as an equation's text has it."""
    text = str(term.subs({symbol: sp.Symbol(call.label) for symbol, call in networks.items()}))
    return text.replace("**", "^")
