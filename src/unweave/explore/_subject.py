"""A model that is explored: a run's, or an equation's that nothing was fitted to."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import show
from .._adapt import Inverted
from .._course import Course
from .._families import AbstractSplit
from .._marginal import Marginal
from .._model import AbstractDecoder, AbstractEncoder, require
from .._schema import Schema
from ..equations import Equation, course_schema, find_equation
from ..networks import AbstractTold
from ..run import Run, load_run
from ._slider import Slider, sliders_of, support_of

# a decoder without an encoder is fitted to an observation by so many starts and steps
_STARTS, _STEPS = 4, 48
# the curve of an equation is drawn at so many times
SAMPLES = 201


@dataclass(frozen=True, eq=False)
class Subject:
    """A model with what turning it needs.

    `id` is what a browser calls it by, `name` what a reader does; `lines` are the Python lines
    that make `model`, `run` where they make a run. `told` are the classes that it may be told.
    """

    id: str
    name: str
    recipe: str
    model: AbstractDecoder
    schema: Schema
    lines: tuple[str, ...]
    run: Run | None = None
    told: tuple[str, ...] = ()

    def sliders(self, codes: np.ndarray | None = None) -> tuple[Slider, ...]:
        """A slider for each latent, which reaches the `codes` of data."""
        return sliders_of(self.model, codes)

    @cached_property
    def supports(self) -> tuple[tuple[float, float], ...]:
        """The ends of what each latent's prior allows."""
        return tuple(support_of(prior) for prior in self.model.latents.priors)

    @property
    def content(self) -> int | None:
        """How many of the first latents are content and not style, where they are parted so."""
        return self.model.content if isinstance(self.model, AbstractSplit) else None

    @property
    def nats(self) -> list[float] | None:
        """How much each latent carries, where the run measured it."""
        found = None if self.run is None else self.run.result.get("kl_per_latent")
        return None if found is None else [float(nats) for nats in found]

    @cached_property
    def encoder(self) -> Any:
        """The model, with an encoder by least squares where it has none."""
        if isinstance(self.model, AbstractEncoder):
            return self.model
        return Inverted(decoder=self.model, starts=_STARTS, steps=_STEPS)  # pyright: ignore[reportCallIssue]

    @property
    def slow(self) -> bool:
        """Whether encoding is a fit."""
        return isinstance(self.encoder, Inverted | Marginal)

    @property
    def wrapped(self) -> bool:
        """Whether the encoder was added here."""
        return self.encoder is not self.model

    @cached_property
    def equation(self) -> Equation | None:
        """The equation within the model, where there is one whose courses have times of their
        own."""
        found = find_equation(self.model)
        return found if isinstance(found, Equation) else None

    def decode(self, z: np.ndarray, condition: Any) -> np.ndarray:
        """The observation that latents `(latent,)` stand for."""
        return show.decode(self.model, z[None], condition=condition)[0]

    def times(self, condition: Any) -> np.ndarray | None:
        """The times of an observation under a condition, None for what is no series."""
        if not self.schema.is_series:
            return None
        if isinstance(condition, Course) and condition.times is not None:
            return np.asarray(condition.times, np.float64)
        return np.asarray(self.schema.times, np.float64)


def subject_of(source: str, id: str) -> Subject:
    """The model that a run folder holds, or an equation: `FILE.ode`, `zoo:NAME`, its text.

    **Raises:** `TypeError` where the model has no latents to turn, and what `load_run` and
    `source_text` raise.
    """
    if Path(source).is_dir():
        return subject_of_run(load_run(source), id)
    return _of_equation(source, id)


def subject_of_run(run: Run, id: str, *, name: str = "") -> Subject:
    """The model of a run that is there already."""
    require(run.model, "decoder", tool="explore")
    folder = name or (run.folder.name if run.folder is not None else run.result["recipe"])
    lines = () if run.folder is None else (f"run = uw.load_run({str(run.folder)!r})",)
    return Subject(
        id, folder, str(run.result["recipe"]), run.model, run.schema, (*lines, "model = run.model"),
        run, _classes(run.model),
    )  # fmt: skip


def _classes(model: Any) -> tuple[str, ...]:
    """The classes that a model may be told."""
    given = model.given if isinstance(model, AbstractTold) else None
    return given.names if given is not None and given.of_classes else ()


def _of_equation(source: str, id: str) -> Subject:
    from ..equations import equation, parse, source_name, source_text, stochastic_equation
    from ..equations import zoo_model as of_zoo  # and with them SymPy

    word = source_name(source)
    if source.startswith("zoo:"):
        name = source.removeprefix("zoo:")
        model, lines = of_zoo(name), (f"model = uw.zoo_model({name!r})",)
    else:
        text = source_text(source)
        system = parse(text)
        random = bool(system.noises or system.jumps)
        times = np.linspace(0.0, 10.0, SAMPLES)
        model = stochastic_equation(system, times=times) if random else equation(system)
        made = f"uw.parse({text!r})" if word == "equation" else f"uw.read_equation({source!r})"
        how = "stochastic_equation" if random else "equation"
        at = ", times=np.linspace(0.0, 10.0, 201)" if random else ""
        lines = (f"model = uw.{how}({made}{at})",)
    schema = course_schema(model.system, np.asarray(model.times))
    return Subject(id, Path(word).stem.removeprefix("zoo:"), "equation", model, schema, lines)
