"""The recipes of generators with a critic."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from .. import train
from .._latents import Latents
from .._model import Key
from ..data import Dataset
from ..networks import given_factors, given_labels
from ..networks.adversarial import (
    refresh_spectra,
    start_energy_gan,
    start_gan,
    start_info_gan,
)
from ..train import AdversarialLoss, Budget, MinMax, Penalty, Plan, Recipe


class Game(NamedTuple):
    """A loss with what its authors train it with: penalties, steps of the critic for each of the
    generator's, how the critic's weights are confined, and the rate at which both learn."""

    loss: AdversarialLoss
    penalties: tuple[Penalty, ...] = ()
    critic_steps: int = 1
    clip: float = 0.0
    spectral: bool = False
    rate: float = 2e-3


# Gulrajani et al. (2017) give 10 for images and 0.1 for points in the plane. Until the critic's gap
# is twice this, a slope of the wrong sign cannot turn, and the generator runs away from the data:
# on 25 Gaussians 10 reaches no mode, 1 reaches 18 and 0.1 reaches 3
_ONE_CENTRED = 1.0

#: What the command line calls each game.
GAMES: dict[str, Callable[[], Game]] = {
    "rsgan": lambda: Game(train.relativistic()),
    "ragan": lambda: Game(train.relativistic_average()),
    "rals": lambda: Game(train.relativistic_least_squares()),
    "minimax": lambda: Game(train.minimax()),
    "non-saturating": lambda: Game(train.non_saturating()),
    "least-squares": lambda: Game(train.least_squares()),
    "hinge": lambda: Game(train.hinge(), spectral=True),
    "wgan": lambda: Game(train.wasserstein(), critic_steps=5, clip=0.01),
    "wgan-gp": lambda: Game(
        train.wasserstein(), (train.one_centred(_ONE_CENTRED),), critic_steps=5, rate=5e-4
    ),
}
GameName: TypeAlias = Literal[
    "rsgan", "ragan", "rals", "minimax", "non-saturating", "least-squares", "hinge", "wgan",
    "wgan-gp",
]  # fmt: skip
#: What a generator may be told of each observation.
Given: TypeAlias = Literal["none", "label", "factors"]
#: The games that the default penalties on the slope at both ends are added to.
_PENALISED = ("rsgan", "ragan", "rals")
#: Steps of the generator that a game takes at least, however few the data.
LEAST_STEPS = 4000


def gan(
    *,
    loss: GameName = "rsgan",
    r1: float | None = None,
    r2: float | None = None,
    given: Given = "none",
    latents: int = 10,
    epochs: int = 100,
    least_steps: int = LEAST_STEPS,
    batch: int = 128,
    learning_rate: float | None = None,
    critic_learning_rate: float | None = None,
    critic_steps: int | None = None,
    decay: float = 0.999,
    widths: tuple[int, ...] = (128, 128, 128),
    convolutional: bool | None = None,
) -> Recipe:
    """A generator against a critic, by default with the paired relativistic loss and its slope
    kept small at real and at generated points, R1 and R2 (Huang et al. 2024)."""
    options = locals()
    game = game_of(loss, r1, r2)
    told = _told(given)

    def build(data: Dataset, key: Key) -> eqx.Module:
        return start_gan(
            data, Latents.standard(latents), widths=widths, convolutional=convolutional,
            spectral=game.spectral, given=None if told is None else told.given(data), key=key,
        )  # fmt: skip

    steps = critic_steps or game.critic_steps
    plan = play(
        game, learning_rate or game.rate, critic_learning_rate, steps, decay, epochs=epochs,
        batch=batch,
        least_steps=least_steps, rows=train.observations if told is None else told.rows,
        hidden=0.0 if told is None else 0.1,
    )  # fmt: skip
    return Recipe("gan", options, build, plan)


#: How many times in a training a picture of generated observations is kept.
PICTURES = 5


class _Told(NamedTuple):
    given: Callable
    rows: Callable


def _told(given: Given) -> _Told | None:
    ways = {
        "none": None,
        "label": _Told(given_labels, train.labelled),
        "factors": _Told(given_factors, train.with_factors),
    }
    if given not in ways:
        raise ValueError(
            f"'{given}' is nothing that a generator can be told; give one of {', '.join(ways)}."
        )
    return ways[given]


def game_of(loss: GameName, r1: float | None, r2: float | None) -> Game:
    """The game of this name, with weights of R1 and R2 of its own or the usual ones."""
    if loss not in GAMES:
        raise ValueError(f"'{loss}' is no loss of a game; there are {', '.join(GAMES)}.")
    game, usual = GAMES[loss](), 0.1 if loss in _PENALISED else 0.0
    weights = [usual if weight is None else weight for weight in (r1, r2)]
    if min(weights) < 0:
        raise ValueError(f"R1 and R2 have the weights {weights}; give none below 0.")
    more = [
        make(weight)
        for make, weight in zip((train.r1, train.r2), weights, strict=True)
        if weight > 0
    ]
    return game._replace(penalties=(*game.penalties, *more))


def plain_game(loss: GameName) -> Game:
    """The game of this name for a critic whose weights nothing confines."""
    game = game_of(loss, None, None)
    if game.spectral:
        raise ValueError(
            f"'{loss}' needs a critic of spectral weights, which only gan and cgan have; leave "
            "--loss out, or give one of the others, such as rsgan."
        )
    return game


def play(
    game: Game,
    learning_rate: float,
    critic_learning_rate: float | None,
    critic_steps: int,
    decay: float,
    *,
    epochs: int,
    batch: int,
    least_steps: int,
    rows: Callable[[Dataset], train.Rows] = train.observations,
    hidden: float = 0.0,
    extras: tuple[train.Extra, ...] = (),
    critic_extras: tuple[train.Extra, ...] = (),
    shown: train.Shown = train.observations_shown,
    both: bool = False,
    weight: float = 1.0,
    judge: train.Objective | None = None,
    average_critic: bool = False,
) -> Plan:
    """How a game is trained: Adam for both, without momentum, fading to nothing; `batch` for each
    step of the critic."""

    def make(budget: Budget) -> MinMax:
        def adam(rate: float) -> optax.GradientTransformation:
            # a momentum of the past's slopes is wrong where the other player has moved since
            fading = optax.cosine_decay_schedule(rate, budget.steps)
            return optax.adam(fading, b1=0.0, b2=0.99)

        confine: dict[str, Callable] = {}
        if game.clip:
            confine = {"confine": partial(clipped, most=game.clip)}
        elif game.spectral:
            confine = {"confine": refresh_spectra}
        return MinMax(
            objective=train.generator_objective(
                game.loss, *extras, shown=shown, both=both, weight=weight, hidden=hidden
            ),
            critic_objective=train.critic_objective(
                game.loss, *game.penalties, extras=critic_extras, shown=shown, hidden=hidden
            ),
            judge=judge or train.held_out_distance(),
            optimiser=adam(learning_rate),
            critic_optimiser=adam(critic_learning_rate or learning_rate),
            critic_steps=critic_steps,
            decay=decay,
            average_critic=average_critic,
            **confine,
        )

    return Plan(
        make, epochs, batch * critic_steps, rows=rows, least_steps=least_steps, pictures=PICTURES
    )


def clipped(critic: eqx.Module, most: float) -> eqx.Module:
    """A critic with every weight within `most` of zero (Arjovsky et al. 2017, algorithm 1)."""

    def clip(leaf: Any) -> Any:
        return jnp.clip(leaf, -most, most) if eqx.is_inexact_array(leaf) else leaf

    return jax.tree.map(clip, critic)


def dcgan(
    *,
    latents: int = 64,
    epochs: int = 50,
    least_steps: int = LEAST_STEPS,
    batch: int = 64,
    learning_rate: float = 5e-4,
    decay: float = 0.999,
) -> Recipe:
    """Convolutions for generator and critic (Radford et al. 2016), in the game that `gan` plays."""
    made = gan(
        latents=latents, epochs=epochs, least_steps=least_steps, batch=batch,
        learning_rate=learning_rate, decay=decay, r1=1.0, r2=1.0, convolutional=True,
    )  # fmt: skip
    options = {
        "latents": latents, "epochs": epochs, "least_steps": least_steps, "batch": batch,
        "learning_rate": learning_rate, "decay": decay,
    }  # fmt: skip
    return Recipe("dcgan", options, made.build, made.plan)


def cgan(
    *,
    loss: GameName = "rsgan",
    given: Given = "label",
    latents: int = 10,
    epochs: int = 100,
    least_steps: int = LEAST_STEPS,
    batch: int = 128,
    learning_rate: float | None = None,
    decay: float = 0.999,
    widths: tuple[int, ...] = (128, 128, 128),
    convolutional: bool | None = None,
) -> Recipe:
    """A generator that is told the class, or known numbers (Mirza and Osindero 2014), with a
    projection critic (Miyato and Koyama 2018). Asked without, it speaks for all of them."""
    options = locals()
    made = gan(
        loss=loss, given=given, latents=latents, epochs=epochs, least_steps=least_steps,
        batch=batch, learning_rate=learning_rate, decay=decay, widths=widths,
        convolutional=convolutional,
    )  # fmt: skip
    return Recipe("cgan", options, made.build, made.plan)


def infogan(
    *,
    categories: int = 0,
    codes: int = 2,
    noise: int = 10,
    information: float = 1.0,
    loss: GameName = "rsgan",
    epochs: int = 100,
    least_steps: int = LEAST_STEPS,
    batch: int = 128,
    learning_rate: float = 1e-3,
    decay: float = 0.999,
    widths: tuple[int, ...] = (128, 128, 128),
    convolutional: bool | None = None,
) -> Recipe:
    """InfoGAN (Chen et al. 2016): `codes` numbers and one of so many `categories` can be read off
    what is generated, so that each comes to mean something; the weight `information` says how
    much that counts."""
    options = locals()
    game = plain_game(loss)

    def build(data: Dataset, key: Key) -> eqx.Module:
        return start_info_gan(
            data, categories=categories, codes=codes, noise=noise, widths=widths,
            convolutional=convolutional, key=key,
        )  # fmt: skip

    plan = play(
        game, learning_rate, None, game.critic_steps, decay,
        extras=(train.information_gain(information),),
        epochs=epochs, batch=batch, least_steps=least_steps,
    )  # fmt: skip
    return Recipe("infogan", options, build, plan)


def meg(
    *,
    latents: int = 10,
    information: float = 0.3,
    sigma: float = 0.15,
    matching: float = 1.0,
    penalty: float = 0.0,
    epochs: int = 100,
    least_steps: int = LEAST_STEPS,
    batch: int = 128,
    learning_rate: float = 2e-3,
    critic_learning_rate: float | None = 4e-3,
    decay: float = 0.999,
    widths: tuple[int, ...] = (128, 128, 128),
) -> Recipe:
    """A maximum-entropy generator (Kumar et al. 2019): an energy that is low where data are, and a
    generator that draws from it, spread out by the weight `information`. By the weight `matching`
    the energy's slope is held to that of the data smoothed by noise of deviation `sigma`; its
    authors keep the slope at the data small instead, by the weight `penalty`."""
    options = locals()
    for name in ("matching", "penalty"):
        if options[name] < 0:
            raise ValueError(f"{name} is {options[name]}; give a weight of 0 or more.")
    game = Game(train.wasserstein(), (train.r1(2 * penalty),) if penalty else ())
    matched = (train.score_matching(sigma, matching),) if matching else ()

    def build(data: Dataset, key: Key) -> eqx.Module:
        return start_energy_gan(data, latents, widths=widths, key=key)

    plan = play(
        game, learning_rate, critic_learning_rate, 1, decay,
        extras=(train.information_gain(information),),
        critic_extras=matched,
        average_critic=True,
        epochs=epochs, batch=batch, least_steps=least_steps,
    )  # fmt: skip
    return Recipe("meg", options, build, plan)
