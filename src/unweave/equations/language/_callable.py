"""An equation that is a plain function: as welcome as text."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._latents import Latents
from .._system import AbstractSystem, Variable
from ._events import Event

#: A function (t, x, z), or (t, x, z, u) where there are inputs.
Field: TypeAlias = Callable[..., Array]


@final
class CallableSystem(AbstractSystem):
    r"""$\dot x = f(t, x, z, u)$ with $f$ a Python function over JAX's arrays; made by `system`.

    A function that is itself an `equinox.Module` keeps its arrays among this one's leaves, so
    that a trained network is a field like any other.
    """

    _rates: Field
    _diffuse: Field | None
    _start: Callable[[Array], Array] | None
    _observe: Field | None
    _latents: Latents
    _is_own: tuple[bool, ...] = eqx.field(static=True)
    _states: tuple[Variable, ...] = eqx.field(static=True)
    _inputs: tuple[Variable, ...] = eqx.field(static=True)
    _observables: tuple[Variable, ...] = eqx.field(static=True)
    _time_unit: str = eqx.field(static=True)
    _noises: int = eqx.field(static=True)
    events: tuple[Event, ...] = eqx.field(static=True)

    @property
    def latents(self) -> Latents:
        """As given to `system`."""
        return self._latents

    @property
    def is_own(self) -> tuple[bool, ...]:
        """As given to `system`."""
        return self._is_own

    @property
    def states(self) -> tuple[Variable, ...]:
        """As given to `system`."""
        return self._states

    @property
    def inputs(self) -> tuple[Variable, ...]:
        """As given to `system`."""
        return self._inputs

    @property
    def observables(self) -> tuple[Variable, ...]:
        """As given to `system`; the states where no function observes."""
        return self._observables

    @property
    def time_unit(self) -> str:
        """As given to `system`."""
        return self._time_unit

    @property
    def noises(self) -> int:
        """How many columns the diffusion has."""
        return self._noises

    def rates(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, " state"]:
        r"""$f(t, x, z, u)$."""
        return self._rates(*self._given(t, x, z, u))

    def diffuse(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, "state noise"]:
        r"""$g(t, x, z, u)$; no columns for an ordinary equation."""
        if self._diffuse is None:
            return jnp.zeros((x.shape[0], 0), x.dtype)
        return self._diffuse(*self._given(t, x, z, u))

    def start(self, z: Float[Array, " latent"]) -> Float[Array, " state"]:
        """What the function given says, or the latents named `x(0)`."""
        if self._start is not None:
            return self._start(z)
        return z[jnp.asarray([self._latents.index(f"{s.name}(0)") for s in self._states])]

    def observe(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, " observable"]:
        """What the function given says, or the state."""
        return x if self._observe is None else self._observe(*self._given(t, x, z, u))

    def _given(self, t: Array, x: Array, z: Array, u: Array) -> tuple[Array, ...]:
        return (t, x, z, u) if self._inputs else (t, x, z)


def system(
    rates: Field,
    *,
    states: Sequence[str | Variable],
    latents: Latents,
    start: Callable[[Array], Array] | None = None,
    observe: Field | None = None,
    observables: Sequence[str | Variable] = (),
    diffuse: Field | None = None,
    inputs: Sequence[str | Variable] = (),
    own: Sequence[str] | None = None,
    time_unit: str = "",
    events: Sequence[Event] = (),
) -> CallableSystem:
    r"""$\dot x = f(t, x, z)$ from Python functions over JAX's arrays.

    Every function takes `(t, x, z)`, or `(t, x, z, u)` where there are `inputs`: time `()`,
    state `(state,)`, latents `(latent,)`, inputs `(input,)`; `start` takes `z` alone.

    **Arguments:** `rates`, $f$, gives `(state,)`. `states`, `inputs`, `observables`: names, or
    `Variable`s with their units. `latents`, parameters and initial states. `start` gives the
    state at the first time; without it each state starts at the latent named `x(0)`. `observe`
    gives `(observable,)`, and then `observables` names them; without it every state is
    observed. `diffuse`, the matrix `(state, noise)` of a stochastic equation. `own`, the names
    of the latents that each record has for itself; without it the initial states.

    **Raises:** `ValueError` where names are missing or a function gives another shape than that.
    """
    named = _variables(states)
    driving = _variables(inputs)
    if not named:
        raise ValueError("states is empty; name at least one, as in states=('x',).")
    twice = [v.name for v in named if [w.name for w in named].count(v.name) > 1]
    if twice:
        raise ValueError(f"two states are called '{twice[0]}'; names must differ.")
    _check_names(named, latents, start=start, observe=observe, observables=observables, own=own)
    made = CallableSystem(
        rates,
        diffuse,
        start,
        observe,
        latents,
        tuple(name.endswith("(0)") if own is None else name in own for name in latents.names),
        named,
        driving,
        named if observe is None else _variables(observables),
        time_unit,
        0 if diffuse is None else _columns(diffuse, len(named), latents.size, len(driving)),
        tuple(events),
    )
    _check_shapes(made)
    return made


def _variables(given: Sequence[str | Variable]) -> tuple[Variable, ...]:
    return tuple(Variable(one) if isinstance(one, str) else one for one in given)


def _check_names(
    states: tuple[Variable, ...],
    latents: Latents,
    *,
    start: Callable[[Array], Array] | None,
    observe: Field | None,
    observables: Sequence[str | Variable],
    own: Sequence[str] | None,
) -> None:
    if (observe is None) != (not observables):
        missing = "observe" if observe is None else "observables"
        raise ValueError(
            f"{missing} is missing: a function that observes and the names of what it gives "
            "belong together, as in observe=f, observables=('y',)."
        )
    for name in own or ():
        latents.index(name)
    missing = [f"{s.name}(0)" for s in states if f"{s.name}(0)" not in latents.names]
    if start is None and missing:
        raise ValueError(
            f"nothing says where '{missing[0][:-3]}' starts: name a latent '{missing[0]}', or "
            "give start=lambda z: ..."
        )


def _shapes(states: int, latents: int, inputs: int) -> tuple[Any, ...]:
    """The shapes of a function's arguments, in JAX's default dtype."""
    dtype = jnp.zeros(0).dtype
    sizes = [(), (states,), (latents,), *([(inputs,)] if inputs else [])]
    return tuple(jax.ShapeDtypeStruct(size, dtype) for size in sizes)


def _columns(diffuse: Field, states: int, latents: int, inputs: int) -> int:
    given = eqx.filter_eval_shape(diffuse, *_shapes(states, latents, inputs))
    if len(given.shape) != 2 or given.shape[0] != states:
        raise ValueError(
            f"diffuse gives the shape {given.shape}; for {states} states it must be "
            f"({states}, noises), one column for each Wiener process."
        )
    return given.shape[1]


def _check_shapes(made: CallableSystem) -> None:
    """Each function's result has the shape that its names say."""
    shapes = _shapes(len(made.states), made.latents.size, len(made.inputs))
    checks = [("rates", made._rates, shapes, len(made.states))]
    if made._start is not None:
        checks.append(("start", made._start, shapes[2:3], len(made.states)))
    if made._observe is not None:
        checks.append(("observe", made._observe, shapes, len(made.observables)))
    for word, function, arguments, size in checks:
        given = eqx.filter_eval_shape(function, *arguments)
        shape = getattr(given, "shape", None)
        if shape != (size,):
            raise ValueError(
                f"{word} gives {'no array' if shape is None else f'the shape {shape}'}; it must "
                f"be ({size},), one number for each name. Stack them: jnp.stack([...])"
            )
