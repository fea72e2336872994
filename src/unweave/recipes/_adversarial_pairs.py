"""The recipes of autoencoders with a critic, and of translators between two domains."""

from dataclasses import replace

import equinox as eqx

from .. import train
from .._model import Key
from .._noise import AbstractNoise
from ..data import Dataset
from ..networks.adversarial import start_adversarial_autoencoder, start_cycle_gan
from ..train import Recipe
from ._adversarial import LEAST_STEPS, GameName, plain_game, play


def aae(
    *,
    latents: int = 10,
    weight: float = 10.0,
    loss: GameName = "rsgan",
    epochs: int = 100,
    least_steps: int = LEAST_STEPS,
    batch: int = 128,
    learning_rate: float = 1e-3,
    decay: float = 0.999,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """The adversarial autoencoder (Makhzani et al. 2016): instead of a divergence, a critic of the
    codes draws them to the prior, with this `weight` beside the reconstruction in nats."""
    options = locals()
    game = plain_game(loss)

    def build(data: Dataset, key: Key) -> eqx.Module:
        return start_adversarial_autoencoder(
            data, latents, sees=False, reads=True, widths=widths, convolutional=convolutional,
            noise=noise, key=key,
        )  # fmt: skip

    plan = play(
        game, learning_rate, None, game.critic_steps, decay,
        extras=(train.reconstruction(),),
        shown=train.codes_shown, weight=weight,
        epochs=epochs, batch=batch, least_steps=least_steps,
    )  # fmt: skip
    return Recipe("aae", options, build, plan)


def vae_gan(
    *,
    latents: int = 10,
    weight: float = 10.0,
    likeness: float = 1.0,
    loss: GameName = "rsgan",
    epochs: int = 100,
    least_steps: int = LEAST_STEPS,
    batch: int = 128,
    learning_rate: float = 1e-3,
    decay: float = 0.999,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """A VAE whose samples a critic judges (Larsen et al. 2016), with this `weight` beside the bound
    in nats; its reconstructions are also to look alike to the critic, with the weight
    `likeness`."""
    options = locals()
    game = plain_game(loss)

    def build(data: Dataset, key: Key) -> eqx.Module:
        return start_adversarial_autoencoder(
            data, latents, sees=True, reads=False, widths=widths, convolutional=convolutional,
            noise=noise, key=key,
        )  # fmt: skip

    plan = play(
        game, learning_rate, None, game.critic_steps, decay,
        extras=(train.reconstruction(), train.code_divergence(), train.likeness(likeness)),
        shown=train.decoded_shown, weight=weight,
        epochs=epochs, batch=batch, least_steps=least_steps,
    )  # fmt: skip
    return Recipe("vae-gan", options, build, plan)


def bigan(
    *,
    latents: int = 10,
    reconstruction: float = 0.0,
    loss: GameName = "rsgan",
    epochs: int = 100,
    least_steps: int = LEAST_STEPS,
    batch: int = 128,
    learning_rate: float = 1e-3,
    decay: float = 0.999,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
    noise: AbstractNoise | None = None,
) -> Recipe:
    """The bidirectional GAN (Donahue et al. 2017; Dumoulin et al. 2017): the critic judges pairs of
    an observation and its latents, so that encoder and generator become each other's inverse."""
    options = locals()
    game = plain_game(loss)

    def build(data: Dataset, key: Key) -> eqx.Module:
        return start_adversarial_autoencoder(
            data, latents, sees=True, reads=True, widths=widths, convolutional=convolutional,
            noise=noise, key=key,
        )  # fmt: skip

    plan = play(
        game, learning_rate, None, game.critic_steps, decay,
        shown=train.pairs_shown, both=True,
        extras=(train.reconstruction(reconstruction),),
        epochs=epochs, batch=batch, least_steps=least_steps,
    )  # fmt: skip
    return Recipe("bigan", options, build, plan)


def cyclegan(
    *,
    cycle: float = 10.0,
    identity: float = 0.0,
    loss: GameName = "rsgan",
    epochs: int = 100,
    least_steps: int = LEAST_STEPS,
    batch: int = 64,
    learning_rate: float = 1e-3,
    decay: float = 0.999,
    widths: tuple[int, ...] = (256, 256),
    convolutional: bool | None = None,
) -> Recipe:
    """Two translators between the domains of two labels, or of two files, of which no pair is known
    (Zhu et al. 2017): there and back again must be what it was."""
    options = locals()
    game = plain_game(loss)

    def build(data: Dataset, key: Key) -> eqx.Module:
        return start_cycle_gan(data, widths=widths, convolutional=convolutional, key=key)

    plan = play(
        game, learning_rate, None, game.critic_steps, decay,
        extras=(train.cycle(cycle, identity),), shown=train.translations_shown,
        judge=train.translation_distance(),
        epochs=epochs, batch=batch, least_steps=least_steps, rows=train.unpaired,
    )  # fmt: skip
    return Recipe("cyclegan", options, build, replace(plan, whole=True))
