r"""An equation of which a part is written down and a part is learned.

$\dot x = f(t, x, z, u, n)$ with $n_k = \mathrm{net}_k(a_k(t, x, z, u))$: the text says $f$ and the
arguments $a_k$, and networks say the rest (universal differential equations; Rackauckas et al.
2020, arXiv:2001.04385).
"""

import dataclasses
from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._latents import Latents
from .._system import AbstractSystem, Variable
from ._functions import is_network
from ._layout import plain_statement
from ._nodes import Call, Number
from ._text import TextSystem, _compiled
from ._tokens import EquationError

#: A network: its arguments `(argument,)` to one number.
Network = Callable[[Float[Array, " argument"]], Float[Array, ""]]


@final
class HybridSystem(AbstractSystem):
    """A text with networks in it, and the networks; their weights are this module's leaves.

    Latents, inputs and observables are the text's. The networks compute in the dtype of the
    state, whatever their weights are kept in.

    **Arguments:** `formula`, the text; `networks`, one for each that it names, in the order of
    `formula.networks`, each from `(argument,)` to one number.

    **Raises:** `ValueError` where there are more or fewer networks than the text has.
    """

    formula: TextSystem
    networks: tuple[Network, ...]

    def __check_init__(self):
        wanted = 1 + max((call.network for call in self.formula.networks), default=-1)
        if wanted != len(self.networks):
            raise ValueError(
                f"the text has {wanted} network(s), and {len(self.networks)} were given; give one "
                "for each net(...) of the text, in its order."
            )

    @property
    def latents(self) -> Latents:
        """Those of the text."""
        return self.formula.latents

    @property
    def is_own(self) -> tuple[bool, ...]:
        """As the text says."""
        return self.formula.is_own

    @property
    def states(self) -> tuple[Variable, ...]:
        """Those of the text."""
        return self.formula.states

    @property
    def inputs(self) -> tuple[Variable, ...]:
        """Those of the text."""
        return self.formula.inputs

    @property
    def observables(self) -> tuple[Variable, ...]:
        """Those of the text."""
        return self.formula.observables

    @property
    def time_unit(self) -> str:
        """That of the text."""
        return self.formula.time_unit

    @property
    def noises(self) -> int:
        """None: a network is learned in an ordinary equation."""
        return 0

    def arguments(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> tuple[Float[Array, " argument"], ...]:
        """What every call of a network is given."""
        return self._calls(t, x, z, u)[0]

    def found(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, " call"]:
        """What every call of a network gives."""
        return self._calls(t, x, z, u)[1]

    def rates(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, " state"]:
        r"""$f(t, x, z, u, n)$."""
        return self.rates_given(t, x, z, u, self.found(t, x, z, u))

    def rates_given(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
        n: Float[Array, " call"],
    ) -> Float[Array, " state"]:
        r"""The same where the networks give `n`; with zeros, what the text alone says."""
        return _compiled(self.formula.text).rates.trace([t, *x, *z, *u, *n], x.dtype)

    def diffuse(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, "state noise"]:
        """No columns."""
        return jnp.zeros((x.shape[0], 0), x.dtype)

    def start(self, z: Float[Array, " latent"]) -> Float[Array, " state"]:
        """The state at the first time, as the text says."""
        return self.formula.start(z)

    def observe(
        self,
        t: Float[Array, ""],
        x: Float[Array, " state"],
        z: Float[Array, " latent"],
        u: Float[Array, " input"],
    ) -> Float[Array, " observable"]:
        """What the `observe` lines say."""
        n = self.found(t, x, z, u)
        return _compiled(self.formula.text).observed.trace([t, *x, *z, *u, *n], x.dtype)

    def _calls(
        self, t: Array, x: Array, z: Array, u: Array
    ) -> tuple[tuple[Array, ...], Float[Array, " call"]]:
        """Arguments and values of the calls, each of which may use those before it."""
        nets = jax.tree.map(lambda leaf: _cast(leaf, x.dtype), self.networks)
        given: list[Array] = []
        values: list[Array] = []
        programs = _compiled(self.formula.text).networks
        for call, program in zip(self.formula.networks, programs, strict=True):
            later = [jnp.zeros((), x.dtype)] * (len(programs) - len(values))
            given.append(program.trace([t, *x, *z, *u, *values, *later], x.dtype))
            values.append(jnp.reshape(nets[call.network](given[-1]), ()))
        return tuple(given), jnp.stack(values) if values else jnp.zeros(0, x.dtype)


def _cast(leaf: Any, dtype: Any) -> Any:
    return jnp.asarray(leaf, dtype) if eqx.is_inexact_array(leaf) else leaf


def formula_of(system: AbstractSystem) -> TextSystem | None:
    """The text of a system, if it has one."""
    if isinstance(system, HybridSystem):
        return system.formula
    return system if isinstance(system, TextSystem) else None


def without_networks(formula: TextSystem) -> TextSystem | None:
    """The text with 0 for every network, or None where that says nothing, as 1/net(x) does."""
    lines = [plain_statement(_silenced(line)) for line in formula._meaning.statements]
    try:
        return TextSystem("\n".join(lines) + "\n")
    except EquationError:
        return None


def _silenced(node: Any) -> Any:
    if isinstance(node, Call) and is_network(node.function):
        return Number("0", node.place)
    if isinstance(node, tuple):
        return tuple(_silenced(part) for part in node)
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        fields = {f.name: _silenced(getattr(node, f.name)) for f in dataclasses.fields(node)}
        return type(node)(**fields)
    return node
