r"""The generative adversarial network: a decoder, and the critic that it was trained against.

Goodfellow et al. (2014): $z \sim p(z)$, $x = G(z)$. Which loss and which penalties trained the two
the model does not know; the critic stays with it, for it scores observations too.
"""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._families import AbstractAdversarial
from ..._latents import Latents
from ..._model import (
    Condition,
    Key,
    Latent,
    Observation,
    Scalar,
)
from ...data import Scale
from .._given import AbstractTold, Given
from .._observe import network_input


class GAN(AbstractAdversarial, AbstractTold):
    r"""A generator with its critic.

    **Arguments:** `latents`; `generator`, from latents, followed by the code of what is told if
    `given`, to an observation in scaled units; `critic`, a `Critic`; `scale`, from the user's units
    to the nets' and back; `given`, how a class or numbers are told to both, if they are.
    """

    latents: Latents
    generator: Callable
    critic: "Critic"
    scale: Scale
    given: Given | None = None

    def coordinates(self, x: Observation) -> Observation:
        """`x` scaled, 0 where nothing was observed."""
        return network_input(x, self.scale)

    def draft(self, z: Latent, condition: Condition = None) -> Observation:
        """The generator's output, scaled."""
        return self.generator(_with_code(self.latents.to_normal(z), self.given, condition))

    def judge(self, x: Observation, condition: Condition = None) -> Scalar:
        """The critic's score of a scaled observation."""
        return self.critic(x, None if self.given is None else self.given.code(condition))

    def untold(self, condition: Condition, away: Array) -> Condition:
        """The condition, or where `away` holds one that says nothing."""
        return condition if self.given is None else self.given.hidden(condition, away)

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """What the generator makes of `z`, in the user's units; it has no noise to add."""
        return self.scale.undo(self.draft(z, condition))


class Critic(eqx.Module):
    r"""A score of what it is shown, $f_0(x) + c^\top f_{1:}(x)$ with the code $c$ of what is told
    (a projection critic, Miyato and Koyama 2018, equation 3; of numbers also their squares, with
    which it is exact where they are normal given $x$).

    **Arguments:** `net`, from an observation to $1 + m$ numbers; $m$ = `critic_size(given)`.
    """

    net: Callable

    def __call__(self, x: Float[Array, "..."], code: Float[Array, " code"] | None) -> Scalar:
        """The score of `x`."""
        out = self.net(x)
        if code is None:
            return out[0]
        squares = (code**2)[: out.size - 1 - code.size]
        return out[0] + jnp.concatenate([code, squares]) @ out[1:]


def critic_size(given: Given | None) -> int:
    """How many numbers a critic's net gives beside the score of what is not told."""
    if given is None:
        return 0
    return given.size if given.of_classes else 2 * given.size


def _with_code(z: Latent, given: Given | None, condition: Condition) -> Float[Array, " in"]:
    return z if given is None else jnp.concatenate([z, given.code(condition).astype(z.dtype)])
