"""Models with latents that are choices: codes of a codebook, values, bits."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from .. import train
from .._model import Key
from .._noise import AbstractNoise
from ..data import Dataset
from ..networks import MLP, VAE
from ..networks.discrete import (
    QLAE,
    VQVAE,
    BinaryVAE,
    ClusterVAE,
    ContentStyleVAE,
    start_binary_vae,
    start_cluster_vae,
    start_content_style_vae,
    start_qlae,
    start_slots,
    start_vqvae,
)
from ..train import (
    AbstractStepper,
    Adversarial,
    Budget,
    Descend,
    MovingCodebook,
    Plan,
    Recipe,
)

# what a rival tells of a group: its number, or the rest of dividing it by this
_MOST_GROUPS = 64


def vq_vae(
    *,
    codes: int = 64,
    width: int = 16,
    latents: int | None = None,
    halvings: int = 2,
    channels: int = 64,
    commit: float = 0.25,
    epochs: int = 30,
    batch: int = 64,
    learning_rate: float = 1e-3,
    patience: int | None = None,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """The vector-quantised autoencoder (van den Oord et al. 2017): at each place one of `codes`
    vectors, kept by a moving average. Images and long series get a grid of places, all others
    `latents` in a row; how often each place has each code is counted on the training data."""
    options = locals()

    def build(data: Dataset, key: Key) -> VQVAE:
        return start_vqvae(
            data, codes=codes, width=width, places=latents, halvings=halvings, channels=channels,
            widths=widths, convolutional=convolutional, noise=noise, key=key,
        )  # fmt: skip

    def stepper(budget: Budget) -> MovingCodebook:
        return MovingCodebook(optax.adam(learning_rate), commit)

    def finish(model: eqx.Module, data: Dataset) -> eqx.Module:
        assert isinstance(model, VQVAE)
        return model.counted(jnp.asarray(data.observations))

    # until its codes are counted a draw of them means nothing
    return Recipe("vq-vae", options, build, Plan(stepper, epochs, batch, patience, looks=0), finish)


def qlae(
    *,
    latents: int = 10,
    values: int = 10,
    quantise: float = 0.01,
    commit: float = 0.01,
    decay: float = 0.1,
    epochs: int = 100,
    batch: int = 64,
    learning_rate: float = 1e-3,
    patience: int | None = None,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """The quantised-latent autoencoder (Hsu et al. 2023): each latent takes one of `values` of its
    own, and the weights of the nets shrink strongly (`decay`), so that a value means the same
    whatever the others are."""
    options = locals()

    def build(data: Dataset, key: Key) -> QLAE:
        return start_qlae(
            data, latents, values=values, widths=widths, convolutional=convolutional, noise=noise,
            key=key,
        )  # fmt: skip

    def stepper(budget: Budget) -> Descend:
        optimiser = optax.adamw(learning_rate, weight_decay=decay, mask=_weights)
        return Descend(train.quantised(quantise, commit), optimiser)

    def finish(model: eqx.Module, data: Dataset) -> eqx.Module:
        assert isinstance(model, QLAE)
        return model.in_order()

    return Recipe("qlae", options, build, Plan(stepper, epochs, batch, patience), finish)


def _weights(model: QLAE) -> QLAE:
    """What shrinks: the nets' arrays with two axes or more, and not the values or the noise."""
    no = jax.tree.map(lambda leaf: False, model)
    nets = jax.tree.map(lambda leaf: leaf.ndim > 1, (model.encoder, model.decoder))
    return eqx.tree_at(lambda model: (model.encoder, model.decoder), no, nets)


def binary_vae(
    *,
    latents: int = 16,
    estimator: Literal["straight-through", "concrete"] = "straight-through",
    temperature: float = 0.5,
    beta: float = 1.0,
    epochs: int = 100,
    batch: int = 64,
    learning_rate: float = 1e-3,
    patience: int = 20,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """A variational autoencoder with bits for latents. Their gradient passes straight through
    (Bengio et al. 2013), or they are made concrete at a `temperature` (Maddison et al. 2017)."""
    options = locals()
    bits = train.concrete_bits(temperature) if estimator == "concrete" else train.sure_bits()

    def build(data: Dataset, key: Key) -> BinaryVAE:
        return start_binary_vae(
            data, latents, widths=widths, convolutional=convolutional, noise=noise, key=key
        )

    def stepper(budget: Budget) -> Descend:
        return Descend(train.binary_elbo(bits, beta), optax.adam(learning_rate))

    return Recipe("binary-vae", options, build, Plan(stepper, epochs, batch, patience))


def cluster_vae(
    *,
    clusters: int = 10,
    latents: int = 10,
    start: float = 0.35,
    information: float = 1.0,
    consistency: float = 1.0,
    epochs: int = 15,
    batch: int = 64,
    learning_rate: float = 1e-3,
    patience: int | None = None,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """A variational autoencoder with one of `clusters` clusters beside its latents, found without
    labels. Over the share `start` of all steps the assignment learns the clusters of a graph of
    neighbours; then it is freed, to stay the same where observations are moved a little and to say
    as much about them as it can."""
    options = locals()

    def build(data: Dataset, key: Key) -> ClusterVAE:
        return start_cluster_vae(
            data, clusters, latents, widths=widths, convolutional=convolutional, noise=noise,
            key=key,
        )  # fmt: skip

    def stepper(budget: Budget) -> Descend:
        objective = train.clustering(
            round(start * budget.steps), information=information, consistency=consistency
        )
        rate = optax.cosine_decay_schedule(learning_rate, budget.steps)
        return Descend(objective, optax.adam(rate))

    plan = Plan(stepper, epochs, batch, patience, rows=train.neighbourly(clusters), whole=True)
    return Recipe("cluster-vae", options, build, plan)


def content_style(
    *,
    content: int = 4,
    style: int = 8,
    alone: float = 0.5,
    tell: float = 10.0,
    beta: float = 1.0,
    adversary: float = 5.0,
    epochs: int = 50,
    batch: int = 64,
    learning_rate: float = 1e-3,
    patience: int | None = None,
    widths: tuple[int, ...] = (256, 256),
    rival_widths: tuple[int, ...] = (64, 64),
    placed: bool = True,
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """A variational autoencoder whose latents are parted into the content that a group shares (its
    label, or its patient) and the style of each observation (Bouchacourt et al. 2018). `tell` draws
    contents of one group together and those of others apart; a rival tries to tell the group by the
    style, which is drawn to leave it nothing, as strongly as `adversary` says (0: no rival).
    Of pictures, those that are `placed` are drawn in the middle and then moved to where two of the
    latents of style say; without, a place is only one more thing that the nets have to learn."""
    options = locals()

    def build(data: Dataset, key: Key) -> ContentStyleVAE:
        train.grouped(data)  # says what is wrong before anything is made
        return start_content_style_vae(
            data, content, style, widths=widths, placed=placed, convolutional=convolutional,
            noise=noise, key=key,
        )  # fmt: skip

    def stepper(budget: Budget) -> AbstractStepper:
        rate = optax.cosine_decay_schedule(learning_rate, budget.steps)
        if not adversary:
            return Descend(train.group_elbo(beta, alone, tell), optax.adam(rate))
        return Adversarial(
            lambda key: MLP(style, _MOST_GROUPS, rival_widths, key=key),
            train.group_adversary(adversary, beta, alone, tell),
            train.group_rival(),
            optax.adam(rate),
            optax.adam(learning_rate),
        )

    plan = Plan(stepper, epochs, batch, patience, rows=train.grouped, whole=True)
    return Recipe("content-style", options, build, plan)


def slots(
    *,
    objects: int = 4,
    latents: int = 8,
    beta: float = 1.0,
    warm_up: float = 0.2,
    width: int = 32,
    epochs: int = 60,
    batch: int = 32,
    learning_rate: float = 1e-3,
    patience: int | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """A β-VAE with `latents` latents for each of `objects` objects of a picture, or for what is
    behind them, which slot attention finds (Locatello et al. 2020) and a spatial broadcast decodes.
    The weight of the divergence grows over the share `warm_up` of all steps."""
    options = locals()

    def build(data: Dataset, key: Key) -> VAE:
        return start_slots(data, objects, latents, width=width, noise=noise, key=key)

    def stepper(budget: Budget) -> Descend:
        objective = train.elbo(beta, warm_up=round(warm_up * budget.steps))
        rate = optax.warmup_cosine_decay_schedule(
            0.0, learning_rate, budget.steps // 20, max(budget.steps, 20)
        )
        return Descend(objective, optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate)))

    return Recipe("slots", options, build, Plan(stepper, epochs, batch, patience))
