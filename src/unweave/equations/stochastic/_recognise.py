r"""Which stochastic equations have an exact transition density: found in their formulas.

The formulas of a text are matched in SymPy, whatever its names are; the parameters of the law
are then read off the system's own functions at the states 0 and 1, so that they follow the
latents.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import sympy as sp

from ..._model import Latent, Scalar
from .._system import AbstractSystem
from ..language._meaning import JumpFormulas
from ..language._text import TextSystem
from ..language._understand import understand
from ._transitions import (
    CIR,
    AbstractTransition,
    ArithmeticBrownian,
    GeometricBrownian,
    JumpDiffusion,
    Merton,
    OrnsteinUhlenbeck,
)

#: The laws by their class, in words.
LAWS: dict[type[AbstractTransition], str] = {
    ArithmeticBrownian: "arithmetic Brownian motion",
    GeometricBrownian: "geometric Brownian motion",
    OrnsteinUhlenbeck: "Ornstein–Uhlenbeck process",
    CIR: "Cox–Ingersoll–Ross process",
    JumpDiffusion: "Brownian motion with normal jumps",
    Merton: "Merton's jump diffusion",
}


def recognise(system: AbstractSystem) -> type[AbstractTransition] | None:
    """The law that a system obeys, one of `LAWS`, or None where none is known.

    Recognised is a text with one state, constant in time and without inputs, whose formulas
    match up to the names and the grouping of its parameters: `kappa*(theta - x)` and `a - b*x`
    are one drift.
    """
    return _law(system.text) if isinstance(system, TextSystem) else None


def transition(system: AbstractSystem, z: Latent) -> AbstractTransition:
    """The law of a recognised system at the latents `z`."""
    kind = recognise(system)
    assert kind is not None
    zero, one = jnp.zeros((), z.dtype), jnp.ones((), z.dtype)
    u = jnp.zeros(0, z.dtype)

    def drift(x: Scalar) -> Scalar:
        return system.rates(zero, x[None], z, u)[0]

    def volatility(x: Scalar) -> Scalar:
        row = system.diffuse(zero, x[None], z, u)[0]
        return row[0] if system.noises == 1 else jnp.sqrt((row**2).sum())

    if kind in (OrnsteinUhlenbeck, CIR):
        # a straight line: its value and slope at 0 are all of it
        intercept, slope = jax.jvp(drift, (zero,), (one,))
        return kind(intercept, -slope, volatility(zero if kind is OrnsteinUhlenbeck else one))
    if kind in (JumpDiffusion, Merton):
        return kind(drift(one), volatility(one), *_marks(system, kind, z))
    assert kind in (ArithmeticBrownian, GeometricBrownian)
    return kind(drift(one), volatility(one))


def _marks(
    system: AbstractSystem, kind: type[AbstractTransition], z: Latent
) -> tuple[Scalar, Scalar, Scalar]:
    """Rate, mean and standard deviation of the jumps, of the logarithm in Merton's law."""
    assert isinstance(system, TextSystem)
    (jumps,) = system.jumps
    zero, one, u = jnp.zeros((), z.dtype), jnp.ones(1, z.dtype), jnp.zeros(0, z.dtype)

    def mark(e: jax.Array) -> Scalar:
        leap = jumps.leap(zero, one, z, u, e)[0]
        return jnp.log1p(leap) if kind is Merton else leap

    middle = jnp.zeros(jumps.marks, z.dtype)
    slopes = jax.jacfwd(mark)(middle)
    spread = jnp.abs(slopes[0]) if jumps.marks == 1 else jnp.sqrt((slopes**2).sum())
    return jumps.rate(zero, one, z, u), mark(middle), spread


@functools.lru_cache(maxsize=128)
def _law(text: str) -> type[AbstractTransition] | None:
    meaning = understand(text)
    formulas = meaning.expressions
    if len(formulas.states) != 1 or formulas.inputs or meaning.events or not meaning.wiener:
        return None
    (x,), (drift,), (row,) = formulas.states, formulas.drift, formulas.diffusion
    variance = sp.Add(*[entry**2 for entry in row])
    never = {x, formulas.time}

    def constant(expression: sp.Expr, *besides: sp.Symbol) -> bool:
        return not sp.simplify(expression).free_symbols & {*never, *besides}

    linear = constant(sp.diff(drift, x)) and formulas.time not in drift.free_symbols
    additive = constant(variance)
    proportional = constant(variance / x**2) and constant(drift / x)
    if meaning.jumps:
        return _with_jumps(meaning.jumps, x, constant, additive and constant(drift), proportional)
    if proportional:
        return GeometricBrownian
    if additive and linear:
        return ArithmeticBrownian if constant(drift) else OrnsteinUhlenbeck
    inflow = sp.simplify(drift.subs(x, 0)) != 0
    return CIR if linear and inflow and constant(variance / x) else None


def _with_jumps(
    jumps: tuple[JumpFormulas, ...],
    x: sp.Symbol,
    constant: Callable[..., bool],
    additive: bool,
    proportional: bool,
) -> type[AbstractTransition] | None:
    """The law of a Brownian motion that jumps as one process says, or None."""
    jump = jumps[0]
    if len(jumps) > 1 or not jump.draws or not constant(jump.rate):
        return None
    (leap,) = jump.leap
    after = x + leap
    middle = [(draw, 0) for draw in jump.draws]
    # a normal mark moves the state, or its logarithm, in proportion to the draw
    if additive and constant(leap.subs(middle)):
        slopes = [sp.diff(leap, draw) for draw in jump.draws]
        return JumpDiffusion if all(constant(s, *jump.draws) for s in slopes) else None
    if proportional and constant(after.subs(middle) / x):
        slopes = [sp.diff(leap, draw) / after for draw in jump.draws]
        return Merton if all(constant(s, *jump.draws) for s in slopes) else None
    return None
