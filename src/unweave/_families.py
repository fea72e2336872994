"""What the training of one family of models needs beside the protocol."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ._model import (
    AbstractAutoencoder,
    AbstractDecoder,
    AbstractEncoder,
    AbstractPosterior,
    Condition,
    Key,
    Latent,
    Observation,
    Scalar,
)


class AbstractJudged(eqx.Module):
    """What training needs of a model with a critic, which it moves apart from all else."""

    critic: eqx.AbstractVar[Any]

    @abc.abstractmethod
    def judge(self, x: Any, condition: Condition = None) -> Scalar:
        """The critic's score of what it is shown, higher the more real it looks."""


class AbstractAdversarial(AbstractDecoder, AbstractJudged):
    """What adversarial training needs of a generator, in the scaled coordinates that the critic
    reads."""

    @abc.abstractmethod
    def coordinates(self, x: Observation) -> Observation:
        """`x` as the critic reads it, 0 where nothing was observed."""

    @abc.abstractmethod
    def draft(self, z: Latent, condition: Condition = None) -> Observation:
        """What the latents `z` stand for, as the critic reads it."""

    @abc.abstractmethod
    def untold(self, condition: Condition, away: Array) -> Condition:
        """The condition, or where `away` holds one that says nothing."""


class AbstractInformed(AbstractAdversarial):
    """A generator with a net that learns to read latents off what was generated from them."""

    @abc.abstractmethod
    def information(self, x: Observation, z: Latent, other: Latent) -> Scalar:
        """A lower bound, for one generated `x`, on what it tells of its latents `z`, in nats and
        up to a constant; `other` are the latents of another one."""


class AbstractCompared(AbstractAdversarial, AbstractPosterior):
    """An autoencoder with a critic, which shows what it sees in an observation."""

    @abc.abstractmethod
    def features(self, x: Observation) -> Float[Array, " feature"]:
        """What the critic makes of `x`, in its own coordinates, before it scores it."""


class AbstractTranslator(AbstractJudged):
    """Two ways between two domains, in the scaled coordinates that its critics read."""

    @abc.abstractmethod
    def coordinates(self, x: Observation) -> Observation:
        """`x` as the critics read it, 0 where nothing was observed."""

    @abc.abstractmethod
    def there(self, a: Observation) -> Observation:
        """An observation of the first domain as one of the second."""

    @abc.abstractmethod
    def back(self, b: Observation) -> Observation:
        """An observation of the second domain as one of the first."""


class AbstractCoordinates(eqx.Module):
    """What training needs of a model of flat scaled numbers."""

    @abc.abstractmethod
    def coordinates(self, x: Observation, *, key: Key | None = None) -> Latent:
        """`x` scaled and laid out flat; with a key its gaps are filled by a draw."""


class AbstractDiscrete(AbstractEncoder):
    """An encoder with latents that are choices among a few values each.

    A choice among `K` values is a real latent with the prior `uniform(0, K)` of which `decode`
    reads the whole part, so it has a name, a prior and a traversal as any other. `shared` says
    whether all choose from one table.
    """

    shared: eqx.AbstractClassVar[bool]

    @property
    @abc.abstractmethod
    def sizes(self) -> tuple[int, ...]:
        """How many values each choice is among."""

    @abc.abstractmethod
    def choices(self, x: Observation, condition: Condition = None) -> Int[Array, " choice"]:
        """Which value of each `x` is encoded to."""


class AbstractQuantiser(AbstractAutoencoder, AbstractDiscrete):
    """What training needs of an autoencoder whose code is replaced by the nearest entries of a
    table: at each place one of several vectors."""

    @abc.abstractmethod
    def code(self, x: Observation, condition: Condition = None) -> Float[Array, "place dim"]:
        """What the encoder gives, before it is replaced."""

    @abc.abstractmethod
    def nearest(self, code: Float[Array, "place dim"]) -> Int[Array, " place"]:
        """Which entry is nearest at each place."""

    @abc.abstractmethod
    def entries(self, which: Int[Array, " place"]) -> Float[Array, "place dim"]:
        """The entries themselves."""

    @abc.abstractmethod
    def log_likelihood_of(self, x: Observation, code: Float[Array, "place dim"]) -> Scalar:
        r"""$\log p(x \mid \text{code})$ in nats, of vectors that need not be entries."""


class AbstractCodebook(AbstractQuantiser):
    """A quantiser whose places choose from one table, which a moving average keeps."""

    codebook: eqx.AbstractVar[Float[Array, "code dim"]]

    @abc.abstractmethod
    def with_codebook(self, codebook: Float[Array, "code dim"]) -> "AbstractCodebook":
        """The model with this table instead."""


class AbstractBits(AbstractAutoencoder, AbstractDiscrete):
    r"""What training needs of a model with binary latents: independent $q(b_i = 1 \mid x)$, and
    a likelihood that can be asked between zero and one."""

    @abc.abstractmethod
    def logits(self, x: Observation, condition: Condition = None) -> Float[Array, " bit"]:
        r"""The log odds of $q(b_i = 1 \mid x)$."""

    @abc.abstractmethod
    def log_likelihood_of(self, x: Observation, bits: Float[Array, " bit"]) -> Scalar:
        r"""$\log p(x \mid b)$ in nats, of bits that need not be whole."""


class AbstractClustered(AbstractAutoencoder, AbstractDiscrete):
    r"""What training needs of a model with a cluster and a Gaussian mixture over a latent vector
    $w$: independent $q(y \mid x)$ and $q(w \mid x)$, the mixture's parts $p(w \mid y)$ and the
    likelihood $p(x \mid w)$."""

    @abc.abstractmethod
    def logits(self, x: Observation, condition: Condition = None) -> Float[Array, " cluster"]:
        r"""$q(y \mid x)$ up to a constant, in logarithms."""

    @abc.abstractmethod
    def posterior_of(self, x: Observation) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        r"""Mean and log standard deviation of $q(w \mid x)$."""

    @abc.abstractmethod
    def divergences(
        self, mean: Float[Array, " dim"], log_std: Float[Array, " dim"]
    ) -> Float[Array, " cluster"]:
        r"""$\mathrm{KL}(q(w \mid x) \,\|\, p(w \mid y))$ of each cluster in nats."""

    @abc.abstractmethod
    def log_likelihood_of(self, x: Observation, w: Float[Array, " dim"]) -> Scalar:
        r"""$\log p(x \mid w)$ in nats."""

    @abc.abstractmethod
    def view(self, x: Observation, key: Key) -> Observation:
        """`x` moved a little, as which it should stay in its cluster."""


class AbstractSplit(AbstractPosterior):
    """A posterior whose first `content` latents are shared by a group of observations, and whose
    others, the style, are each observation's own."""

    content: eqx.AbstractVar[int]


class AbstractVelocity(AbstractCoordinates):
    r"""What training needs of a flow along a velocity field: $\frac{dy}{dt} = v(y, t)$ from a
    standard normal at $t = 0$ to the data's coordinates at $t = 1$."""

    @abc.abstractmethod
    def velocity(self, y: Latent, t: Scalar, condition: Condition = None) -> Latent:
        """$v(y, t)$ at one point and time."""


class AbstractDenoiser(AbstractCoordinates):
    r"""What training needs of a denoiser $D(y + \sigma e; \sigma) \approx \mathbb{E}[y \mid y +
    \sigma e]$ of data whose coordinates have the deviation `sigma_data`, for noise from
    `sigma_min` to `sigma_max`."""

    sigma_data: eqx.AbstractVar[float]
    sigma_min: eqx.AbstractVar[float]
    sigma_max: eqx.AbstractVar[float]

    @abc.abstractmethod
    def denoise(self, y: Latent, sigma: Scalar, condition: Condition = None) -> Latent:
        r"""$D(y; \sigma)$ at one point and level of noise."""

    @abc.abstractmethod
    def hidden(self, condition: Condition, away: Array) -> Condition:
        """The condition, or where `away` holds one that says nothing."""


class AbstractSmoothed(AbstractDecoder, AbstractCoordinates):
    r"""What training needs of a density known by its logarithm alone, of data that noise of
    deviation `sigma` has smoothed, with a generator of such data beside it."""

    sigma: eqx.AbstractVar[float]

    @abc.abstractmethod
    def log_smoothed(self, y: Latent) -> Scalar:
        r"""$s(y) = \log (p * \mathcal{N}(0, \sigma^2 I))(y)$ up to a constant."""

    @abc.abstractmethod
    def generate(self, z: Latent) -> Latent:
        """The coordinates that the generator makes of latents."""


def bernoulli_kl(logits: Float[Array, "... bit"]) -> Float[Array, "... bit"]:
    r"""$\mathrm{KL}(\text{Bernoulli}(p) \,\|\, \text{Bernoulli}(\tfrac12)) = \log 2 + p \log p +
    (1 - p) \log (1 - p)$ of each bit in nats, $p$ by its log odds."""
    p = jax.nn.sigmoid(logits)
    return jnp.log(2.0) + p * jax.nn.log_sigmoid(logits) + (1 - p) * jax.nn.log_sigmoid(-logits)


def categorical_kl(logits: Float[Array, "... value"]) -> Float[Array, "..."]:
    r"""$\mathrm{KL}(p \,\|\, \text{uniform}) = \log K + \sum_k p_k \log p_k$ in nats, $p$ the
    softmax of `logits`."""
    log_p = jax.nn.log_softmax(logits)
    return jnp.log(float(logits.shape[-1])) + (jnp.exp(log_p) * log_p).sum(-1)
