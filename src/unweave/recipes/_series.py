"""The recipes of models of series: recurrent networks, and differential equations in latents."""

from typing import Any, Literal

import equinox as eqx
import numpy as np
import optax

from .. import train
from .._model import Key
from .._noise import Gaussian
from ..data import PLANTS, SPAN, Dataset, Scale, planted
from ..networks import series
from ..networks.series import CDE, GRU, LSTM, ODERNN, AbstractCell, CellMaker
from ..train import Answered, Budget, Descend, Plan, Recipe
from ._predict import predictor

# gradients through many samples are cut to this length
_LONGEST = 5.0
# the divergence has its whole weight after this part of the training
_WARM_UP = 20
# the learning rate of a span reader rises over the first of as many parts of the training
_WARM = 10


def gru(
    *,
    hidden: int = 64,
    answers: bool = False,
    epochs: int = 200,
    batch: int = 64,
    learning_rate: float = 3e-3,
    patience: int = 20,
) -> Recipe:
    """A gated recurrent network (Cho et al. 2014): each sample given those before it. With
    `answers` it predicts the labels, or the factors, of a series instead."""
    return _recurrent("gru", locals(), lambda inputs, key: GRU(inputs, hidden, key=key))


def lstm(
    *,
    hidden: int = 64,
    answers: bool = False,
    epochs: int = 200,
    batch: int = 64,
    learning_rate: float = 3e-3,
    patience: int = 20,
) -> Recipe:
    """Long short-term memory (Hochreiter and Schmidhuber 1997): each sample given those before it.
    With `answers` it predicts the labels, or the factors, of a series instead."""
    return _recurrent("lstm", locals(), lambda inputs, key: LSTM(inputs, hidden, key=key))


def ode_rnn(
    *,
    hidden: int = 64,
    widths: tuple[int, ...] = (64,),
    answers: bool = False,
    epochs: int = 200,
    batch: int = 64,
    learning_rate: float = 3e-3,
    patience: int = 20,
) -> Recipe:
    """A gated unit at the samples and a neural field between them (Rubanova et al. 2019), for
    uneven times. With `answers` it predicts the labels, or the factors, of a series instead."""
    return _recurrent(
        "ode-rnn", locals(), lambda inputs, key: ODERNN(inputs, hidden, widths=widths, key=key)
    )


def neural_cde(
    *,
    hidden: int = 32,
    widths: tuple[int, ...] = (64,),
    answers: bool = False,
    epochs: int = 200,
    batch: int = 64,
    learning_rate: float = 3e-3,
    patience: int = 20,
) -> Recipe:
    """A differential equation that the samples drive (Kidger et al. 2020): each sample given the
    path so far. With `answers` it predicts the labels, or the factors, of a series instead."""
    return _recurrent(
        "neural-cde", locals(), lambda inputs, key: CDE(inputs, hidden, widths=widths, key=key)
    )


def dgcnn(
    *,
    width: int = 32,
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16),
    epochs: int = 60,
    batch: int = 32,
    learning_rate: float = 2e-3,
    patience: int | None = None,
    adversarial: Literal["none", "pgd", "trades"] = "none",
    epsilon: float = 0.0,
    smooth: float = 0.0,
    attack_steps: int = 7,
) -> Recipe:
    """Dilated gated convolutions with attention, which predict the labels of a series, or its
    factors where it has no labels; what they attend to can be looked at."""
    options = locals()

    def reader(channels: int, numbers: int, unit: float, key: Key) -> series.GatedConvolutions:
        return series.GatedConvolutions(
            channels, numbers, width=width, dilations=dilations, unit=unit, key=key
        )

    def net(data: Dataset, numbers: int, key: Key) -> series.SeriesNet:
        return series.series_net(data, numbers, reader, key=key)

    return predictor("dgcnn", options, net)


def span_reader(
    *,
    width: int = 32,
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16),
    kinds: tuple[str, ...] = tuple(PLANTS),
    share: float = 0.75,
    copies: int = 8,
    epochs: int = 40,
    batch: int = 64,
    learning_rate: float = 4e-3,
    patience: int | None = None,
    plant_seed: int = 0,
) -> Recipe:
    """Dilated gated convolutions that say from which sample to which a series is strange. Where
    data name no spans (factors `span start` and `span end`), anomalies of these `kinds` are planted
    into a `share` of `copies` of every normal series, at known places, to learn from."""
    options = locals()

    def build(data: Dataset, key: Key) -> series.SpanReader:
        return series.start_span_reader(data, width=width, dilations=dilations, key=key)

    def rows(data: Dataset) -> Answered:
        if data.factor_names != SPAN:
            data = planted(data, kinds=kinds, share=share, copies=copies, seed=plant_seed)
        return train.with_factors(data)

    def stepper(budget: Budget) -> Descend:
        steps = max(_WARM, budget.steps)
        rate = optax.warmup_cosine_decay_schedule(0.0, learning_rate, steps // _WARM, steps)
        return Descend(train.supervised(), _adam(rate))

    return Recipe("span-reader", options, build, Plan(stepper, epochs, batch, patience, rows=rows))


def latent_ode(
    *,
    latents: int = 10,
    hidden: int = 64,
    widths: tuple[int, ...] = (64, 64),
    encoder: Literal["ode-rnn", "gru", "cde", "dense"] = "ode-rnn",
    equation: str | None = None,
    hide: float = 0.3,
    sleep: float = 0.0,
    noise_level: float | None = None,
    epochs: int = 300,
    batch: int = 64,
    learning_rate: float = 1e-3,
    patience: int = 20,
) -> Recipe:
    """A variational autoencoder whose decoder solves a differential equation (Rubanova et al.
    2019): of a network, or with `equation` (a file that ends in .ode, or zoo:NAME) of a formula
    whose parameters and initial state are then the latents. In training the encoder is not shown
    the share `hide` of the entries; a dense one, of four times the `hidden` units, is the quickest
    where all series have the same times. For the share `sleep` of all steps the encoder learns from
    what the model draws itself (Hinton et al. 1995), which makes the latents of an equation mean
    what they are called. `noise_level`, the standard deviation of the noise in the data's unit, is
    learned where it is not known."""
    options = locals()
    for name, share in (("hide", hide), ("sleep", sleep)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is {share}; give a share, from 0 to 1.")
    if noise_level is not None and not noise_level > 0:
        raise ValueError(f"noise_level is {noise_level}; give a positive one, or None to learn it.")
    text = None
    if equation is not None:
        from ..equations import parse, source_text  # SymPy and diffrax: not for all

        text = source_text(equation)
        parse(text)
        options["equation"] = text

    def build(data: Dataset, key: Key) -> series.LatentODE:
        if encoder == "dense":
            reader = series.whole_reader(data, (4 * hidden,) * 2)
        else:
            reader = series.recurrent_reader(_cell(encoder, hidden), backwards=True)
        noise = None
        if noise_level is not None:
            spread = np.asarray(Scale.standard(data.observations, data.moments).spread, np.float64)
            known = np.broadcast_to(noise_level / spread, data.schema.shape[-1:])
            noise = Gaussian.fixed(tuple(float(level) for level in known))
        if text is None:
            return series.start_latent_ode(
                data, reader, latents=latents, widths=widths, noise=noise, key=key
            )
        from ..hybrid import system_dynamics

        chosen = system_dynamics(text, data)
        return series.start_latent_ode(
            data, reader, widths=widths, dynamics=chosen.dynamics,
            is_observation=chosen.is_observation, steps=chosen.steps, noise=noise, key=key,
        )  # fmt: skip

    def stepper(budget: Budget) -> Descend:
        if sleep:
            objective = train.wake_sleep(round(sleep * budget.steps), hidden=hide)
            # draws never end: to the last step a slower one gains from them
            rate = optax.cosine_decay_schedule(learning_rate, max(1, budget.steps))
            return Descend(objective, _adam(rate))
        objective = train.elbo(warm_up=budget.steps // _WARM_UP, hidden=hide)
        return Descend(objective, _adam(learning_rate))

    plan = Plan(stepper, epochs, batch, patience, rows=train.conditioned, looks=5)
    return Recipe("latent-ode", options, build, plan)


def _cell(name: str, hidden: int) -> CellMaker:
    def make(inputs: int, key: Key) -> AbstractCell:
        if name == "cde":
            return CDE(inputs, hidden // 2, key=key)
        return (GRU if name == "gru" else ODERNN)(inputs, hidden, key=key)

    return make


def _recurrent(name: str, options: dict[str, Any], cell: CellMaker) -> Recipe:
    """The series itself by maximum likelihood, or its answers."""

    def build(data: Dataset, key: Key) -> eqx.Module:
        return series.start_recurrent(data, cell, key=key)

    def net(data: Dataset, numbers: int, key: Key) -> series.SeriesNet:
        return series.start_reader(data, numbers, cell, key=key)

    if options["answers"]:
        return predictor(name, options, net)
    rate, epochs, batch, patience = (
        options[word] for word in ("learning_rate", "epochs", "batch", "patience")
    )

    def stepper(budget: Budget) -> Descend:
        return Descend(train.likelihood(), _adam(rate))

    plan = Plan(stepper, epochs, batch, patience, train.conditioned, looks=5)
    return Recipe(name, options, build, plan)


def _adam(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(_LONGEST), optax.adam(learning_rate))
