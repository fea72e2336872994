r"""The variational autoencoder with a cluster: a Gaussian mixture for its prior."""

from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..._families import AbstractClustered, categorical_kl
from ..._keys import split_on_host
from ..._latents import Latents, normal
from ..._model import (
    AbstractDensity,
    Condition,
    DensityKind,
    Key,
    Latent,
    Observation,
    Scalar,
    gaussian_kl,
)
from ..._noise import AbstractNoise
from ...data import Dataset, Scale
from .._mlp import MLP, Flat
from .._nets import Stack, conv_encoder
from .._observe import (
    bounded,
    emit,
    fixed_draws,
    network_input,
    observation_log_likelihood,
)
from .._start import start_pair
from ._choices import choice_latents, middle, whole
from ._views import AbstractView, view_of


class ClusterVAE(AbstractClustered, AbstractDensity):
    r"""A variational autoencoder whose prior is a Gaussian mixture (Jiang et al. 2017):

    $$y \sim \text{uniform}, \quad z \sim \mathcal{N}(0, I), \quad w = m_y + s_y \odot z, \quad
    x \sim p(x \mid w),$$

    with independent $q(y \mid x)$, a net of its own, and $q(w \mid x)$, Gaussian. The latents are
    the cluster $y$, a choice, and $z$: what varies within any cluster, in its own standard
    deviations. To sample a cluster, decode it with a $z$ of standard normal numbers.

    **Arguments:** `assigner`, from a scaled observation to the logarithms of $q(y \mid x)$;
    `encoder`, to mean and log standard deviation of $q(w \mid x)$; `decoder`, from $w$ to the
    natural parameter of `noise`; `means` and `log_stds` `(cluster, dim)` of the mixture; `moved`,
    how an observation may move and stay in its cluster; `draws`, how many of $w$ estimate the bound
    in `log_density`.
    """

    density_kind: ClassVar[DensityKind] = "bound"
    shared: ClassVar[bool] = False

    latents: Latents
    assigner: Callable
    encoder: Callable
    decoder: Callable
    noise: AbstractNoise
    scale: Scale
    means: Float[Array, "cluster dim"]
    log_stds: Float[Array, "cluster dim"]
    moved: AbstractView
    draws: int = eqx.field(static=True, default=8)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many clusters there are."""
        return (len(self.means),)

    def logits(self, x: Observation, condition: Condition = None) -> Float[Array, " cluster"]:
        r"""$q(y \mid x)$ up to a constant, in logarithms."""
        return self.assigner(network_input(x, self.scale))

    def choices(self, x: Observation, condition: Condition = None) -> Int[Array, " 1"]:
        """The most likely cluster."""
        return jnp.argmax(self.logits(x), keepdims=True)

    def posterior_of(self, x: Observation) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
        r"""Mean and log standard deviation of $q(w \mid x)$."""
        mean, log_std = jnp.split(self.encoder(network_input(x, self.scale)), 2)
        return mean, bounded(log_std)

    def divergences(
        self, mean: Float[Array, " dim"], log_std: Float[Array, " dim"]
    ) -> Float[Array, " cluster"]:
        r"""$\mathrm{KL}(q(w \mid x) \,\|\, \mathcal{N}(m_y, s_y^2))$ of each cluster in nats."""
        stds = bounded(self.log_stds)
        return gaussian_kl((mean[None] - self.means) * jnp.exp(-stds), log_std[None] - stds).sum(1)

    def log_likelihood_of(self, x: Observation, w: Float[Array, " dim"]) -> Scalar:
        r"""$\log p(x \mid w)$ in nats."""
        return observation_log_likelihood(x, self.decoder(w), self.noise, self.scale)

    def view(self, x: Observation, key: Key) -> Observation:
        """`x` moved a little, as which it should stay in its cluster."""
        return self.scale.undo(self.moved(network_input(x, self.scale), key))

    def encode(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Latent:
        r"""The most likely cluster and the mean of $z$ in it, or with a key a draw of both."""
        logits = self.logits(x)
        w, log_std = self.posterior_of(x)
        which = jnp.argmax(logits)
        if key is not None:
            which_key, place_key = jax.random.split(key)
            which = jax.random.categorical(which_key, logits)
            w = w + jnp.exp(log_std) * jax.random.normal(place_key, w.shape, w.dtype)
        z = (w - self.means[which]) * jnp.exp(-bounded(self.log_stds[which]))
        return jnp.concatenate([middle(which[None]).astype(z.dtype), z])

    def decode(
        self, z: Latent, condition: Condition = None, *, key: Key | None = None
    ) -> Observation:
        """The observation of a cluster and of the place within it."""
        return emit(self.decoder(self._place(z)), self.noise, self.scale, key)

    def log_likelihood(self, x: Observation, z: Latent, condition: Condition = None) -> Scalar:
        r"""$\log p(x \mid y, z)$ in nats."""
        return self.log_likelihood_of(x, self._place(z))

    def log_density(
        self, x: Observation, condition: Condition = None, *, key: Key | None = None
    ) -> Scalar:
        r"""The bound of Jiang et al. (2017), $\mathbb{E}_{q(w|x)} \log p(x \mid w) - \sum_y
        q(y \mid x)\, \mathrm{KL}(q(w \mid x) \,\|\, p(w \mid y)) - \mathrm{KL}(q(y \mid x) \,\|\,
        p(y)) \le \log p(x)$."""
        mean, log_std = self.posterior_of(x)
        logits = self.logits(x)
        if key is None:
            e = jnp.asarray(fixed_draws(self.draws, mean.size), mean.dtype)
        else:
            e = jax.random.normal(key, (self.draws, mean.size), mean.dtype)
        w = mean[None] + jnp.exp(log_std)[None] * e
        likelihood = jax.vmap(lambda w: self.log_likelihood_of(x, w))(w).mean()
        within = jax.nn.softmax(logits) @ self.divergences(mean, log_std)
        return likelihood - within - categorical_kl(logits)

    def _place(self, z: Latent) -> Float[Array, " dim"]:
        which = whole(z[:1], self.sizes)[0]
        return self.means[which] + jnp.exp(bounded(self.log_stds[which])) * z[1:]


def start_cluster_vae(
    data: Dataset,
    clusters: int,
    latents: int,
    *,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
    key: Key,
) -> ClusterVAE:
    """A model whose mixture is that of standard normal means and unit deviations."""
    pair_key, assigner_key, means_key = split_on_host(key, 3)
    pair = start_pair(
        data, latents, widths=widths, convolutional=convolutional, noise=noise, key=pair_key
    )
    shape = data.schema.shape
    if isinstance(pair.encoder, Stack):
        assigner: Callable = conv_encoder(
            shape, clusters, channels=(32, 64), widths=widths[:1], key=assigner_key
        )
    else:
        net = MLP(data.schema.size, clusters, widths, key=assigner_key)
        assigner = Flat(net, (clusters,))
    choice = choice_latents(["cluster"], [clusters])
    names = ("cluster", *(f"z{i + 1}" for i in range(latents)))
    return ClusterVAE(
        Latents(names, ("",) * len(names), (*choice.priors, *(normal(),) * latents)),
        assigner,
        *pair,
        jax.random.normal(means_key, (clusters, latents)),
        jnp.zeros((clusters, latents)),
        view_of(data.schema),
    )
