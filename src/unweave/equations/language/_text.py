r"""An equation written as text, as light as paper.

    time in day
    x1' = r1*x1*(1 - x1/N1) - a1*x1*x2            # dx1/dt
    theta'' = -(g/l)*sin(theta) - b*theta'        # the states theta and theta'
    dx = mu*x dt + sigma*x dW                     # stochastic (Itô); equal names, equal noise
    dS = m*S dt + S*(exp(normal(a, b)) - 1) dN(k) # jumps of rate k, a mark drawn at each
    growth = r1*(1 - x1/N1)                       # a definition
    g = 9.81 m/s^2                                # a constant with its unit
    r1, r2 in (0, 5) 1/day                        # latents: range and unit
    a1 ~ normal(0.01, 0.005) in (0, 0.1) 1/volume # a prior
    k > 0 1/day per record                        # positive; each record has its own
    x1(0), x2(0) in (0.1, 50) volume              # where a state starts: a latent
    v(0) = 0                                      # or a number, or a formula of latents
    input u(t) linear degC                        # a column of the data drives it
    observe y = log(x1) nat                       # what is measured; without it every state
    noise log-normal                              # how
    when x < 0: v = -0.9*v, x = 0                 # an event that resets
    when x > 100: stop                            # an event that ends the course
    y' = c*y + net(x, y)                          # a term that a network learns from data

`#` begins a comment, a line goes on while a parenthesis is open, a unit may stand in brackets.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import sympy as sp
from jaxtyping import Array, Float

from ..._latents import Latents
from .._system import AbstractSystem, Variable
from ._evaluate import Program, compile_expressions
from ._events import Event, FieldFunction, Jumps
from ._layout import latex_of, plain_statement
from ._meaning import Expressions, JumpFormulas, Meaning, NetworkCall
from ._statements import Definition, Interpolation, NoiseName
from ._tokens import MAX_CHARACTERS, EquationError
from ._understand import understand

#: A function (t, x, z, u) of NumPy's numbers.
NumpyFunction: TypeAlias = Callable[..., np.ndarray]


@dataclass(frozen=True)
class _Compiled:
    """The meaning of a text and its functions."""

    meaning: Meaning
    rates: Program
    diffusion: Program
    start: Program
    observed: Program
    networks: tuple[Program, ...]


@functools.lru_cache(maxsize=128)
def _compiled(text: str) -> _Compiled:
    try:
        return _compile(text)
    except RecursionError:
        # how deep a text may go depends on how deep its caller is
        raise EquationError(
            "the equation is nested too deeply.",
            mend="Name a part of it on a line of its own: part = ...",
        ) from None


def _compile(text: str) -> _Compiled:
    meaning = understand(text)
    formulas = meaning.expressions
    everything = formulas.arguments
    diffusion = [entry for row in formulas.diffusion for entry in row]
    return _Compiled(
        meaning=meaning,
        rates=compile_expressions(formulas.drift, everything),
        diffusion=compile_expressions(diffusion, everything),
        start=compile_expressions(formulas.start, formulas.latents),
        observed=compile_expressions(formulas.observed, everything),
        networks=tuple(compile_expressions(c.arguments, everything) for c in meaning.networks),
    )


@final
class TextSystem(AbstractSystem):
    r"""$\dot x = f(t, x, z, u)$ as its text says; see `parse`.

    Two with the same text are equal, and the text is all that a file has to keep. Latents are
    the parameters in the order in which they are declared, then the initial states in the order
    of the states, named `x1(0)`.

    **Arguments:** `text`.

    **Raises:** `EquationError` at the character that has no meaning.
    """

    text: str = eqx.field(static=True)

    def __check_init__(self):
        _compiled(self.text)

    @property
    def _meaning(self) -> Meaning:
        return _compiled(self.text).meaning

    @property
    def latents(self) -> Latents:
        """The parameters, then the initial states that are no fixed numbers."""
        return self._meaning.latents

    @property
    def is_own(self) -> tuple[bool, ...]:
        """Initial states are each record's own, parameters shared, unless the text says else."""
        return self._meaning.is_own

    @property
    def states(self) -> tuple[Variable, ...]:
        """In the order of their equations; `theta''` makes `theta` and `theta'`."""
        return self._meaning.states

    @property
    def inputs(self) -> tuple[Variable, ...]:
        """In the order of their `input` lines."""
        return self._meaning.inputs

    @property
    def observables(self) -> tuple[Variable, ...]:
        """In the order of the `observe` lines; all states where there are none."""
        return self._meaning.observables

    @property
    def time_unit(self) -> str:
        """What `time in` says."""
        return self._meaning.time_unit

    @property
    def noises(self) -> int:
        """How many different dW there are."""
        return len(self._meaning.wiener)

    @property
    def interpolations(self) -> tuple[Interpolation, ...]:
        """For each input how it is read between its samples: linear, previous or cubic."""
        return self._meaning.interpolations

    @property
    def noise_name(self) -> NoiseName | None:
        """What the `noise` line says: gaussian, log-normal, student-t or poisson."""
        return self._meaning.noise_name

    @property
    def definitions(self) -> tuple[Definition, ...]:
        """The auxiliary definitions and constants, in the order of the text."""
        return tuple(s for s in self._meaning.statements if isinstance(s, Definition))

    @property
    def expressions(self) -> Expressions:
        """The formulas in SymPy, definitions written out."""
        return self._meaning.expressions

    @property
    def events(self) -> tuple[Event, ...]:
        """The `when` lines."""
        return _events(self.text)

    @property
    def jumps(self) -> tuple[Jumps, ...]:
        """The Poisson processes dN."""
        return _jumps(self.text)

    @property
    def networks(self) -> tuple[NetworkCall, ...]:
        """The calls of `net(...)`, in the order in which they are computed."""
        return self._meaning.networks

    @property
    def _known(self) -> _Compiled:
        """The functions of a text without networks."""
        if self.networks:
            call = self.networks[0]
            raise EquationError(
                f"{call.label} is a network: what it gives is learned from data, and the text "
                "alone does not say it.",
                mend="Learn it: unweave fit hybrid FILE.ode DATA, or HybridSystem(text, networks)",
                place=call.place,
            )
        return _compiled(self.text)

    def rates(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, " state"]:
        r"""$f(t, x, z, u)$, for a stochastic equation its drift; of the dtype of `x`."""
        return self._known.rates.trace([t, *x, *z, *u], x.dtype)

    def diffuse(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, "state noise"]:
        """A row for each state, a column for each different dW."""
        entries = _compiled(self.text).diffusion.trace([t, *x, *z, *u], x.dtype)
        return entries.reshape(len(self.states), self.noises)

    def start(self, z: Float[Array, " latent"]) -> Float[Array, " state"]:
        """The state at the first time, as the `x(0)` lines say."""
        return _compiled(self.text).start.trace([*z], z.dtype)

    def observe(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, " observable"]:
        """What the `observe` lines say."""
        return self._known.observed.trace([t, *x, *z, *u], x.dtype)

    def numpy_rates(self) -> NumpyFunction:
        """`rates` over NumPy in float64: a function (t, x, z, u) for SciPy.

        `x` is `(state,)`, or `(state, n)` for n states at once, with `t` one number or `(n,)` and
        `z` `(latent,)` or `(latent, n)`; `z` and `u` may be left out where there are none.
        """
        return _numpy(self._known.rates)

    def float_rates(self) -> Callable[..., list[float]]:
        """`rates` over plain floats, for one state: a function of lists (t, x, z, u)."""
        program = self._known.rates
        return lambda t, x, z, u: program.compute_one([t, *x, *z, *u])

    def numpy_observe(self) -> NumpyFunction:
        """`observe` over NumPy in float64, as `numpy_rates`."""
        return _numpy(self._known.observed)

    def numpy_start(self) -> Callable[[Sequence[float] | np.ndarray], np.ndarray]:
        """`start` over NumPy in float64: a function of `z`."""
        program = _compiled(self.text).start
        return lambda z=(): program.compute([*np.asarray(z, dtype=np.float64)])

    def latex(self) -> str:
        """An `aligned` block of amsmath: equations, definitions, start, observations, events."""
        return latex_of(self._meaning)

    def pretty(self) -> str:
        """The text, one statement a line, evenly spaced, without comments; it reads back as the
        same equation."""
        return "".join(plain_statement(line) + "\n" for line in self._meaning.statements)


def parse(text: str) -> TextSystem:
    """The equation that a text says; the syntax is that of this module's docstring.

    **Raises:** `EquationError` with the line, a caret under the character, why, and what mends
    it. No text is ever run as code.
    """
    return TextSystem(text)


def read_equation(path: str | Path) -> TextSystem:
    """The equation in a file, most often called `.ode`, in UTF-8.

    **Raises:** `EquationError` where the file cannot be read, is no text, or is no equation; it
    names the file.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > 4 * MAX_CHARACTERS:
            raise EquationError(
                f"the file has {size} bytes, and an equation is short.",
                mend="Give a file of text such as x' = -k*x; data belong in a table.",
            )
        text = path.read_text(encoding="utf-8-sig")
    except EquationError as error:
        raise error.within(path.name) from None
    except OSError as error:
        reason = f"the file cannot be read ({error.strerror})."
        mend = f"Look whether {path} is there."
        raise EquationError(reason, mend=mend, file=path.name) from error
    except UnicodeDecodeError as error:
        raise EquationError(
            f"the file is no UTF-8 text (byte {error.start}).",
            mend="Save it as UTF-8.",
            file=path.name,
        ) from error
    try:
        return TextSystem(text)
    except EquationError as error:
        raise error.within(path.name) from None


def _numpy(program: Program) -> NumpyFunction:
    def function(
        t: float | np.ndarray,
        x: Sequence[float] | np.ndarray,
        z: Sequence[float] | np.ndarray = (),
        u: Sequence[float] | np.ndarray = (),
    ) -> np.ndarray:
        groups = [np.asarray(group, dtype=np.float64) for group in (x, z, u)]
        values = [np.asarray(t, np.float64)[()], *groups[0], *groups[1], *groups[2]]
        return program.compute(values, groups[0].shape[1:])

    return function


def _traced(formulas: Sequence[sp.Expr], arguments: Sequence[sp.Symbol]) -> FieldFunction:
    """A function (t, x, z, u) that gives an array `(len(formulas),)`."""
    program = compile_expressions(formulas, arguments)

    def function(t: Array, x: Array, z: Array, u: Array) -> Array:
        return program.trace([t, *x, *z, *u], x.dtype)

    return function


def _scalar(formula: sp.Expr, arguments: Sequence[sp.Symbol]) -> FieldFunction:
    function = _traced([formula], arguments)
    return lambda t, x, z, u: function(t, x, z, u)[0]


@functools.lru_cache(maxsize=128)
def _events(text: str) -> tuple[Event, ...]:
    meaning = _compiled(text).meaning
    arguments = meaning.expressions.arguments
    return tuple(
        Event(
            condition=_scalar(event.condition, arguments),
            reset=None if event.reset is None else _traced(event.reset, arguments),
            words=plain_statement(event.statement),
        )
        for event in meaning.events
    )


@functools.lru_cache(maxsize=128)
def _jumps(text: str) -> tuple[Jumps, ...]:
    meaning = _compiled(text).meaning
    arguments = meaning.expressions.arguments
    return tuple(
        Jumps(
            process=jump.process,
            rate=_scalar(jump.rate, arguments),
            leap=_leap(jump, arguments),
            marks=len(jump.draws),
        )
        for jump in meaning.jumps
    )


def _leap(
    jump: JumpFormulas, arguments: Sequence[sp.Symbol]
) -> Callable[[Array, Array, Array, Array, Array], Array]:
    program = compile_expressions(jump.leap, (*arguments, *jump.draws))

    def leap(t: Array, x: Array, z: Array, u: Array, e: Array) -> Array:
        return program.trace([t, *x, *z, *u, *jnp.atleast_1d(e)], x.dtype)

    return leap
