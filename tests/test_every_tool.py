"""Every tool asked of every model that ships: it answers, or says in a sentence what it needs."""

import dataclasses
import functools
import inspect
import re

import jax
import jaxtyping
import numpy as np
import pytest

from unweave import detect, edit, explain, robust, show, targets
from unweave._families import AbstractAdversarial, AbstractCompared, AbstractSplit
from unweave._model import (
    AbstractClassifier,
    AbstractDecoder,
    AbstractDensity,
    AbstractEncoder,
    AbstractSampler,
)
from unweave.data import digits, heartbeats
from unweave.equations import zoo_model
from unweave.recipes import RECIPES

KEY = jax.random.key(0)
N = 3

#: Options that keep a net small, for the recipes that have them.
SMALL = {
    "latents": 2, "widths": (4,), "critic_widths": (4,), "rival_widths": (4,), "width": 4,
    "hidden": 4, "blocks": 1, "dilations": (1, 2), "channels": (2, 2), "values": 3, "clusters": 2,
    "layers": 2, "steps": 3, "levels": 3, "objects": 2, "content": 2, "style": 2, "components": 2,
}  # fmt: skip
#: Where an option's word means another thing.
OTHERS = {"vq-vae": {"channels": 4}, "latent-ode": {"encoder": "gru"}}
PICTURES = ("slots", "dcgan")
#: Fitted rather than built, and tested where they are: a solved equation stands for them.
FITTED = ("equation", "hybrid", "neural-ode", "rnn-solver")


@functools.cache
def beats():
    made = heartbeats(20, samples=16)
    return dataclasses.replace(made, labels=np.arange(20) % 2, label_names=("quiet", "racing"))


@functools.cache
def model_and_data(name):
    """The model as built, with no training, and some observations."""
    if name == "equation":
        model = zoo_model("logistic")
        return model, np.asarray(show.draw(model, N, key=KEY)), None
    make, data = RECIPES[name], digits().take(slice(20)) if name in PICTURES else beats()
    there = inspect.signature(make).parameters
    options = {k: v for k, v in (SMALL | OTHERS.get(name, {})).items() if k in there}
    if name == "on-latents":
        options["of"] = model_and_data("pca")[0]
    recipe = make(**options)
    model = recipe.finish(recipe.build(data, KEY), data)
    x = data.observations[:N]
    return model, x.astype(np.float32) if x.dtype == np.uint8 else x, data.conditions


MODELS = (*(name for name in RECIPES if name not in FITTED), "equation")
#: One of each set of capabilities; the others are walked with the slow tests.
QUICK = ("vae", "pca", "gan", "bigan", "cyclegan", "meg", "fractalnet", "gaussian-mixture",
         "lm-resnet", "equation")  # fmt: skip
WALKED = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]


def both(model):
    return isinstance(model, AbstractEncoder) and isinstance(model, AbstractDecoder)


def has(kind):
    return lambda model: isinstance(model, kind)


def judged(model):
    return isinstance(model, AbstractAdversarial) and not isinstance(model, AbstractCompared)


def read(make):
    """A number read off each observation."""
    return lambda model, x: detect.of_target(make(model))(x)


#: Tools that need no more than a capability: what they need, and how they are asked.
TOOLS = {
    "surprise": (has(AbstractDensity), read(targets.surprise)),
    "misfit": (both, read(targets.misfit)),
    "latent": (has(AbstractEncoder), read(lambda model: targets.latent(model, 0))),
    "class": (has(AbstractClassifier), read(lambda model: targets.class_logit(model, 0))),
    "output": (
        has(AbstractDecoder),
        lambda model, x: explain.saliency(
            targets.output(model, (0,) * x[0].ndim), np.zeros((1, model.latents.size))
        ).values,
    ),
    "forecast": (
        both,
        lambda model, x: read(
            lambda model: targets.forecast(model, (x[0].shape[0] - 1, *(0,) * (x[0].ndim - 1)), 4)
        )(model, x),
    ),
    "draw": (has(AbstractSampler), lambda model, x: show.draw(model, 2, key=KEY)),
    "traverse": (has(AbstractDecoder), lambda model, x: show.traverse(model, steps=2)),
    "reconstruct": (both, lambda model, x: show.reconstruct(model, x)),
    "codes": (has(AbstractEncoder), lambda model, x: show.codes(model, x)),
    "swap": (has(AbstractSplit), lambda model, x: show.swap(model, x, x[::-1])),
    "combine": (both, lambda model, x: edit.combine(model, [x[0], x[1]], [x[2]])),
    "detect reconstruction": (both, lambda model, x: detect.reconstruction(model, x)(x)),
    "detect latents": (has(AbstractEncoder), lambda model, x: detect.latent_surprise(model, x)(x)),
    "detect critic": (judged, lambda model, x: detect.critic(model)(x)),
    "detect energy": (has(AbstractClassifier), lambda model, x: detect.energy(model)(x)),
    "moved latents": (has(AbstractEncoder), lambda model, x: detect.moved_latents(model, x, x)),
    "sensitivity": (has(AbstractDecoder), lambda model, x: explain.sensitivity(model).slopes),
}  # fmt: skip


def answer(ask, model, x):
    """What a tool says: numbers, or the sentence with which it refuses."""
    try:
        return np.asarray(ask(model, x))
    except (TypeError, ValueError) as error:
        return str(error)


@pytest.fixture
def as_users_have_it():
    """Without the checks of types that these tests run under: users meet the sentences instead."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.parametrize("name", WALKED)
def test_a_tool_answers_or_says_what_it_needs(name):
    model, x, _ = model_and_data(name)
    for tool, (needs, ask) in TOOLS.items():
        found = answer(ask, model, x)
        if needs(model):
            assert not isinstance(found, str), f"{tool}: {found}"
        else:
            assert isinstance(found, str), f"{tool} answers {name}, which has not what it needs"
            assert re.search(r"needs|is asked|give|fit ", found), f"{tool}: {found}"
            assert found.endswith("."), f"{tool}: {found}"


def first_target(model):
    """Something that a model says of an observation, or of latents."""
    if isinstance(model, AbstractClassifier):
        return targets.class_logit(model, 0)
    if isinstance(model, AbstractDensity):
        return targets.surprise(model)
    if isinstance(model, AbstractEncoder):
        return targets.latent(model, 0)
    if isinstance(model, AbstractDecoder):
        return targets.output(model, (0,) * len(model.decode(model.latents.from_normal(
            np.zeros(model.latents.size, np.float32))).shape))  # fmt: skip
    return None


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.parametrize("name", WALKED)
def test_a_number_of_any_model_has_slopes_and_can_be_attacked(name):
    model, x, _ = model_and_data(name)
    target = first_target(model)
    if target is None:
        pytest.skip("says nothing of an observation, and has no latents")
    latents = None
    if target.of == "latents":
        x, latents = np.full((N, model.latents.size), 0.1), model.latents
    assert np.isfinite(explain.saliency(target, x).values).all()
    found = robust.attack(
        robust.move(target, latents=latents), x, budget=robust.LInf(0.01),
        attacks=(robust.fgsm(),), checks=False, quiet=True,
    )  # fmt: skip
    assert np.isfinite(found.after).all()
    assert (found.after >= found.before).all()
