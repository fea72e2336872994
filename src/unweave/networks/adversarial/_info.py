r"""InfoGAN: a generator some of whose latents are read off what it makes.

Chen et al. (2016): beside noise the generator takes codes, and a reader $Q$ learns to tell them;
both make $\mathbb{E} \log Q(c \mid G(z, c))$ large, a lower bound of their mutual information with
what is generated, so that each code comes to mean something that can be seen.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._families import AbstractInformed
from ..._latents import Latents, normal, uniform
from ..._model import (
    AbstractEncoder,
    Condition,
    Key,
    Latent,
    Observation,
    Scalar,
)
from ...data import Scale
from .._observe import network_input
from ._gan import Critic

# the spread that the reader allows a code, of a range from -1 to 1
_SPREAD = 0.5


class InfoGAN(AbstractInformed, AbstractEncoder):
    r"""A generator with a critic and a reader of its codes.

    Its latents are a category of `categories` values if there are any (a number from 0 to their
    count, of which the generator sees the whole part), `codes` numbers between -1 and 1, and noise.

    **Arguments:** `latents` as `info_latents` makes them; `generator`, from one place for each
    category, the codes and the noise; `critic`; `reader`, from a scaled observation to a logit for
    each category and the codes; `scale`.
    """

    latents: Latents
    generator: Callable
    critic: Critic
    reader: Callable
    scale: Scale
    categories: int = eqx.field(static=True)
    codes: int = eqx.field(static=True)

    def coordinates(self, x: Observation) -> Observation:
        """`x` scaled, 0 where nothing was observed."""
        return network_input(x, self.scale)

    def draft(self, z: Latent, condition: Condition = None) -> Observation:
        """The generator's output, scaled."""
        category, codes, noise = self._parts(z)
        one_hot = jax.nn.one_hot(category, self.categories, dtype=z.dtype)
        return self.generator(jnp.concatenate([one_hot, codes, noise]))

    def judge(self, x: Observation, condition: Condition = None) -> Scalar:
        """The critic's score of a scaled observation."""
        return self.critic(x, None)

    def untold(self, condition: Condition, away: Array) -> Condition:
        """The condition as it is: nothing is told."""
        return condition

    def information(self, x: Observation, z: Latent, other: Latent) -> Scalar:
        r"""$\log Q(c \mid x)$ (Chen et al. 2016, equation 5): of the category in nats, of the codes
        with a normal of fixed spread."""
        category, codes, _ = self._parts(z)
        logits, read = self._read(x)
        told = -0.5 * (((codes - read) / _SPREAD) ** 2).sum()
        if not self.categories:
            return told
        return told + jax.nn.log_softmax(logits)[category]

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """What the generator makes of `z`, in the user's units; it has no noise to add."""
        return self.scale.undo(self.draft(z))

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        """What the reader reads: the likeliest category, in the middle of its range, and the codes;
        the noise, which nothing reads, at its centre, or with a key a draw."""
        logits, codes = self._read(self.coordinates(x))
        noise = jnp.zeros(self.latents.size - self.codes - bool(self.categories), codes.dtype)
        if key is not None:
            noise = jax.random.normal(key, noise.shape, noise.dtype)
        parts = [jnp.clip(codes, -0.999, 0.999), noise]
        if self.categories:
            parts = [jnp.argmax(logits)[None].astype(codes.dtype) + 0.5, *parts]
        return jnp.concatenate(parts)

    def _parts(self, z: Latent) -> tuple[Array, Array, Array]:
        start = int(bool(self.categories))
        category = jnp.clip(jnp.floor(z[0]), 0, max(self.categories - 1, 0)).astype(jnp.int32)
        return category, z[start : start + self.codes], z[start + self.codes :]

    def _read(self, x: Observation) -> tuple[Array, Array]:
        out = self.reader(x)
        return out[: self.categories], out[self.categories :]


def info_latents(categories: int, codes: int, noise: int) -> Latents:
    """The latents of an InfoGAN: `category`, `c1` and on, and `z1` and on."""
    if categories == 1 or min(categories, codes, noise) < 0 or not categories + codes:
        raise ValueError(
            f"{categories} categories and {codes} codes were asked for; give at least 2 categories "
            "or a code, for a reader needs something to read."
        )
    names = ("category",) if categories else ()
    priors = (uniform(0.0, float(categories)),) if categories else ()
    names += tuple(f"c{i + 1}" for i in range(codes)) + tuple(f"z{i + 1}" for i in range(noise))
    priors += (uniform(-1.0, 1.0),) * codes + (normal(),) * noise
    return Latents(names, ("",) * len(names), priors)
