r"""Variational autoencoders and their relatives, the plain autoencoder, and closed forms."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from .. import train
from .._latents import Latents
from .._model import Key
from .._noise import AbstractNoise, Bernoulli, Gaussian, Laplace, Poisson, StudentT
from ..data import Dataset, Scale
from ..networks import MLP, VAE, Autoencoder, fit_gaussian_mixture, fit_pca, start_pair
from ..train import Adversarial, Budget, Descend, Plan, Recipe

#: What the command line calls each noise.
NOISES: dict[str, Callable[[], AbstractNoise]] = {
    "gaussian": Gaussian.learned,
    "laplace": Laplace.learned,
    "student-t": StudentT.learned,
    "bernoulli": Bernoulli,
    "poisson": Poisson,
}


def vae(
    *,
    latents: int = 10,
    epochs: int = 200,
    batch: int = 64,
    learning_rate: float = 1e-3,
    patience: int = 20,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """The variational autoencoder (Kingma and Welling 2014), stopped on held-out data."""
    options = locals()
    objective = train.elbo()
    plan = Plan(_descend(objective, learning_rate), epochs, batch, patience)
    return Recipe("vae", options, _vae_builder(latents, widths, convolutional, noise), plan)


def beta_vae(
    *,
    latents: int = 10,
    capacity: float = 25.0,
    gamma: float = 100.0,
    warm_up: float = 0.7,
    epochs: int = 50,
    batch: int = 64,
    learning_rate: float = 5e-4,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """The β-VAE with controlled capacity (Burgess et al. 2018): `capacity` nats pass the
    latents, reached after the share `warm_up` of all steps."""
    options = locals()

    def stepper(budget: Budget) -> Descend:
        steps = round(warm_up * budget.steps)
        # |KL - C| has a kink at its minimum: a step that does not shrink jumps to and fro over it
        fading = optax.linear_schedule(learning_rate, 0.0, budget.steps - steps, steps)
        return Descend(train.capacity(capacity, gamma, steps), optax.adam(fading))

    plan = Plan(stepper, epochs, batch)
    return Recipe("beta-vae", options, _vae_builder(latents, widths, convolutional, noise), plan)


def beta_tcvae(
    *,
    latents: int = 10,
    beta: float = 6.0,
    epochs: int = 100,
    batch: int = 64,
    learning_rate: float = 1e-3,
    patience: int = 20,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """The β-TCVAE (Chen et al. 2018): only the total correlation is weighted by `beta`."""
    options = locals()

    def stepper(budget: Budget) -> Descend:
        objective = train.total_correlation(beta, budget.observations)
        return Descend(objective, optax.adam(learning_rate))

    plan = Plan(stepper, epochs, batch, patience)
    return Recipe("beta-tcvae", options, _vae_builder(latents, widths, convolutional, noise), plan)


def factor_vae(
    *,
    latents: int = 10,
    gamma: float = 10.0,
    epochs: int = 100,
    batch: int = 128,
    learning_rate: float = 1e-3,
    critic_learning_rate: float = 1e-4,
    widths: tuple[int, ...] = (256, 256),
    critic_widths: tuple[int, ...] = (256, 256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """FactorVAE (Kim and Mnih 2018): a critic estimates the total correlation."""
    options = locals()

    def stepper(budget: Budget) -> Adversarial:
        return Adversarial(
            lambda key: _Critic(MLP(latents, 1, critic_widths, key=key)),
            train.factor(gamma),
            train.factor_critic(),
            optax.adam(learning_rate),
            optax.adam(critic_learning_rate, b1=0.5, b2=0.9),
        )

    plan = Plan(stepper, epochs, batch)
    return Recipe("factor-vae", options, _vae_builder(latents, widths, convolutional, noise), plan)


class _Critic(eqx.Module):
    net: MLP

    def __call__(self, z: jax.Array) -> jax.Array:
        return self.net(z)[0]


def dip_vae(
    *,
    latents: int = 10,
    off_diagonal: float = 10.0,
    diagonal: float = 100.0,
    of_samples: bool = False,
    epochs: int = 100,
    batch: int = 64,
    learning_rate: float = 1e-3,
    patience: int = 20,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """DIP-VAE-I, or DIP-VAE-II with `of_samples` (Kumar et al. 2018): the covariance of the
    codes is drawn to the identity."""
    options = locals()
    objective = train.disentangled_prior(off_diagonal, diagonal, of_samples=of_samples)
    plan = Plan(_descend(objective, learning_rate), epochs, batch, patience)
    return Recipe("dip-vae", options, _vae_builder(latents, widths, convolutional, noise), plan)


def info_vae(
    *,
    latents: int = 10,
    alpha: float = 0.5,
    weight: float = 100.0,
    epochs: int = 100,
    batch: int = 64,
    learning_rate: float = 1e-3,
    patience: int = 20,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """InfoVAE (Zhao et al. 2019): part of the KL is replaced by a maximum mean discrepancy;
    `alpha` 1 leaves the MMD alone."""
    options = locals()
    plan = Plan(_descend(train.information(alpha, weight), learning_rate), epochs, batch, patience)
    return Recipe("info-vae", options, _vae_builder(latents, widths, convolutional, noise), plan)


def autoencoder(
    *,
    latents: int = 10,
    epochs: int = 200,
    batch: int = 64,
    learning_rate: float = 1e-3,
    patience: int = 20,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """A plain autoencoder whose code is made white afterwards, so that it can be sampled."""
    options = locals()

    def build(data: Dataset, key: Key) -> Autoencoder:
        pair = start_pair(
            data, latents, moments=1, widths=widths, convolutional=convolutional, noise=noise,
            key=key,
        )  # fmt: skip
        eye = tuple(tuple(float(i == j) for j in range(latents)) for i in range(latents))
        return Autoencoder(Latents.standard(latents), *pair, (0.0,) * latents, eye)

    def finish(model: eqx.Module, data: Dataset) -> eqx.Module:
        assert isinstance(model, Autoencoder)
        return model.whitened(jnp.asarray(data.observations))

    # until its code is made white a draw of latents means nothing
    plan = Plan(_descend(train.autoencode(), learning_rate), epochs, batch, patience, looks=0)
    return Recipe("autoencoder", options, build, plan, finish)


def pca(*, latents: int = 10) -> Recipe:
    """Probabilistic principal components (Tipping and Bishop 1999), in closed form."""
    options = locals()

    return Recipe("pca", options, lambda data, key: fit_pca(
        data.observations, latents, scale=Scale.standard(data.observations, data.moments)
    ))  # fmt: skip


def gaussian_mixture(*, latents: int = 10, components: int | None = None) -> Recipe:
    """A mixture of Gaussians over the leading principal components; without `components`
    their number is chosen by BIC."""
    options = locals()

    def build(data: Dataset, key: Key) -> eqx.Module:
        seed = int(jax.random.randint(key, (), 0, 2**31 - 1))
        return fit_gaussian_mixture(
            data.observations, latents, components=components, seed=seed,
            scale=Scale.standard(data.observations, data.moments),
        )  # fmt: skip

    return Recipe("gaussian-mixture", options, build)


def _vae_builder(
    latents: int,
    widths: tuple[int, ...],
    convolutional: bool | None,
    noise: AbstractNoise | None,
) -> Callable[[Dataset, Key], VAE]:
    def build(data: Dataset, key: Key) -> VAE:
        pair = start_pair(
            data, latents, widths=widths, convolutional=convolutional, noise=noise, key=key
        )
        return VAE(Latents.standard(latents), *pair)

    return build


def _descend(objective: train.Objective, learning_rate: float) -> Callable[[Budget], Descend]:
    return lambda budget: Descend(objective, optax.adam(learning_rate))
