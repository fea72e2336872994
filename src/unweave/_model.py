r"""The protocol: what a model can be asked for.

*A model maps named latents to an observation; some models can also go back, and some can say
how likely an observation is.* The parameters and the initial state of an equation are its
latents just as z is a VAE's, so each tool is written once, against one of the four
capabilities below, and never asks what kind of model it was given.

Every method takes **one** observation; `jax.vmap` outside makes it many. An observation is an
array of any shape, most often `(time, channel)`, in the user's units, in which NaN means "not
observed". A `condition` is whatever is known beside it: sampling times, an input, a label.
"""

import abc
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num, PRNGKeyArray

from ._latents import Latents

Condition: TypeAlias = Any
Observation: TypeAlias = Num[Array, "..."]
Latent: TypeAlias = Float[Array, " latent"]
Scalar: TypeAlias = Float[Array, ""]
Key: TypeAlias = PRNGKeyArray
DensityKind: TypeAlias = Literal["exact", "bound", "estimate", "unnormalised"]


class AbstractSampler(eqx.Module):
    """A model that can draw observations."""

    @abc.abstractmethod
    def sample(self, key: Key, condition: Condition = None) -> Observation:
        r"""Draws one observation, $x \sim p(x)$, its noise included."""


class AbstractDecoder(AbstractSampler):
    """A model that turns named latents into an observation."""

    latents: eqx.AbstractVar[Latents]

    @abc.abstractmethod
    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        r"""The observation that the latents `z` stand for.

        Without a key the expected observation $\mathbb{E}[x \mid z]$; with one a draw from
        $p(x \mid z)$, observation noise included.
        """

    def sample(self, key: Key, condition: Condition = None) -> Observation:
        r"""Draws $z$ from its prior, then $x \sim p(x \mid z)$."""
        latent_key, noise_key = jax.random.split(key)
        return self.decode(self.latents.sample(latent_key), condition, key=noise_key)


class AbstractEncoder(eqx.Module):
    """A model that turns an observation into latents."""

    @abc.abstractmethod
    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        r"""The latents of `x`: without a key the model's best estimate, with one a draw from
        $p(z \mid x)$ or the model's approximation of it."""


class AbstractDensity(eqx.Module):
    """A model that says how likely an observation is.

    `density_kind` says what the number is; two kinds never share a column without it.
    """

    density_kind: eqx.AbstractClassVar[DensityKind]

    @abc.abstractmethod
    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""$\log p(x)$ in nats, over the observed (not NaN) entries, in the units of `x`.

        Where the value is a Monte Carlo estimate, `key` draws it; without one they are
        fixed, so that the same `x` gives the same number.
        """


class AbstractLikelihood(AbstractDecoder):
    r"""What training needs of a decoder beside the protocol: $\log p(x \mid z)$."""

    @abc.abstractmethod
    def log_likelihood(self, x: Observation, z: Latent, condition: Condition = None) -> Scalar:
        r"""$\log p(x \mid z)$ in nats, over the observed entries, in the units of `x`."""


class AbstractCurve(AbstractLikelihood):
    r"""A decoder whose observations scatter about a curve, so that least squares fit it:
    $-\log p(x \mid z) = \tfrac12 \sum_i \rho_i^2$ up to a constant."""

    @abc.abstractmethod
    def residuals(self, x: Observation, z: Latent, condition: Condition = None) -> Observation:
        r"""The deviance residual $\rho_i$ of every entry, 0 where nothing was observed."""


class AbstractAutoencoder(AbstractLikelihood, AbstractEncoder):
    """What training needs of an encoder and a decoder fitted together."""


class Regularity(NamedTuple):
    r"""How regular a network that is read as a differential equation is, as averages over depth:
    `kinetic` $\|f\|^2$ and `jacobian` $\|\partial f / \partial x\|_F^2$, each by feature (Finlay et
    al. 2020, equations 5 and 6)."""

    kinetic: Scalar
    jacobian: Scalar


class AbstractPredictor(AbstractEncoder):
    """An encoder trained against known answers: its code has one number for each of `names`."""

    names: eqx.AbstractVar[tuple[str, ...]]

    @abc.abstractmethod
    def predict(
        self,
        x: Num[Array, "batch ..."],
        condition: Condition = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "batch answer"]:
        """The codes of a batch, whose conditions have a leading axis too; with a key as in
        training, where chance has a part."""

    @abc.abstractmethod
    def misfit(self, code: Latent, answer: Num[Array, "..."]) -> Scalar:
        """What training makes small: how badly the code of one observation meets its answer, the
        index of a class or known numbers (NaN = unknown)."""

    @abc.abstractmethod
    def regularity(self, x: Num[Array, "batch ..."], key: Key) -> Regularity:
        """Of a batch; `key` draws the direction that estimates the Jacobian's norm."""


class AbstractClassifier(AbstractPredictor):
    r"""A predictor whose code is the log-probability of each class, a log-softmax of its logits."""

    @abc.abstractmethod
    def logits(
        self,
        x: Num[Array, "batch ..."],
        condition: Condition = None,
        *,
        key: Key | None = None,
    ) -> Float[Array, "batch answer"]:
        """What the last layer gives for a batch, before it is normalised over the classes; its
        level, which the probabilities do not know, says how much of any class was seen."""


class Layers(NamedTuple):
    r"""Layers of one form in a row, $x_{n+1} = g_n(x_n, \theta_n)$: `weights`, whose arrays have a
    leading axis of `depth`, and `apply(weights of one, n, batch)`, a batch after layer `n`."""

    weights: Any
    apply: Callable[[Any, Int[Array, ""], Array], Array]
    depth: int


class AbstractLayered(AbstractPredictor):
    """A predictor that is a chain of layers, each with weights of its own: what training needs
    to move every layer by itself."""

    @abc.abstractmethod
    def layers(self) -> tuple[Layers, ...]:
        """The chain, from the observations to the codes; the first and the last are single."""

    @abc.abstractmethod
    def with_weights(self, weights: tuple[Any, ...]) -> "AbstractLayered":
        """The model whose `layers()` have these weights instead."""


class AbstractPosterior(AbstractAutoencoder):
    r"""What the variational objectives need: a diagonal Gaussian $q(z \mid x)$ over standard
    normal latents, or over the standard scores of others (`Latents.from_white` gives these their
    values). Training alone uses it."""

    @abc.abstractmethod
    def posterior(self, x: Observation, condition: Condition = None) -> tuple[Latent, Latent]:
        r"""Mean and log standard deviation of $q(z \mid x)$."""


def gaussian_kl(
    mean: Float[Array, "... latent"], log_std: Float[Array, "... latent"]
) -> Float[Array, "... latent"]:
    r"""$\mathrm{KL}(\mathcal{N}(\mu, \sigma^2) \,\|\, \mathcal{N}(0, 1))$ of each latent in nats
    (Kingma and Welling 2014, appendix B)."""
    return 0.5 * (mean**2 + jnp.exp(2 * log_std) - 1) - log_std


#: The capabilities by the word that tables and sentences use for them.
CAPABILITIES: dict[str, type[eqx.Module]] = {
    "sampler": AbstractSampler,
    "decoder": AbstractDecoder,
    "encoder": AbstractEncoder,
    "density": AbstractDensity,
}

_REMEDY: dict[str, str] = {
    "sampler": "none can be added from outside",
    "decoder": "none can be added from outside",
    "encoder": "wrap it in Inverted(model), which encodes by least squares",
    "density": "use a model with one, such as vae or pca",
}


def capabilities(model: eqx.Module) -> tuple[str, ...]:
    """The words of `CAPABILITIES` that hold for `model`, in order."""
    return tuple(word for word, kind in CAPABILITIES.items() if isinstance(model, kind))


def require(model: eqx.Module, *needed: str, tool: str) -> None:
    """Raises `TypeError` with a sentence if `model` lacks a capability that `tool` needs."""
    for word in needed:
        if not isinstance(model, CAPABILITIES[word]):
            has = ", ".join(capabilities(model)) or "none"
            raise TypeError(
                f"{tool} needs a model with {_article(word)} {word}, and {type(model).__name__} "
                f"has none (it has: {has}); {_REMEDY[word]}."
            )


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
