"""Answers: from the models and one message to numbers; nothing is kept between two of them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import show
from ..data import restore
from . import _ask, _plane
from ._explorer import Explorer
from ._messages import (
    Arrows,
    Attack,
    Between,
    Codes,
    Encode,
    Explain,
    Message,
    Refused,
    Sample,
    Strange,
    Swap,
    Turn,
)
from ._scores import drawn, to_scores
from ._subject import Subject


@dataclass(frozen=True, eq=False)
class Answer:
    """Plain values, and arrays by their names."""

    plain: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


def answer(explorer: Explorer, message: Message) -> Answer:
    """What a message asks for. The same message has the same answer, whatever came before it."""
    match message:
        case Turn():
            return _turned(explorer, message, message.z)
        case Encode():
            return _turned(explorer, message, _encoded(explorer, message.subject, message.on))
        case Sample():
            return _turned(explorer, message, drawn(message.subject.model.latents, message.seed))
        case Between():
            a, b = (_encoded(explorer, message.subject, on) for on in (message.a, message.b))
            return _turned(explorer, message, (1 - message.t) * a + message.t * b)
        case Swap():
            z, places = message.z.copy(), list(message.places)
            z[places] = _encoded(explorer, message.subject, message.b)[places]
            return _turned(explorer, message, z)
        case Codes():
            return _codes(explorer, message.subject)
        case Strange():
            return Answer(*_ask.strange(explorer, message.subject, message.on))
        case Explain():
            return Answer(*_ask.explained(explorer, message.subject, message.on, message.target))
        case Attack():
            asked = message.subject, message.on, message.target, message.share
            return Answer(*_ask.attacked(explorer, *asked))
        case Arrows():
            rates = _plane.rates(message.subject, message.z, message.box)
            if rates is None:
                raise Refused(f"{message.subject.name} is no equation of two states.")
            return Answer({"box": list(message.box)}, {"rates": rates})


def slow(message: Message) -> bool:
    """Whether the answer takes so long that it must not stand in the way of a slider."""
    if isinstance(message, Encode | Between | Swap):
        return message.subject.slow
    return isinstance(message, Codes | Strange | Explain | Attack)


def decoded(
    explorer: Explorer, subject: Subject, z: np.ndarray, on: int | None, told: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """The observation that latents stand for, in the user's units, and its times."""
    condition = explorer.condition(subject, on, told)
    x = restore(subject.decode(z, condition), explorer.schema)
    return x, subject.times(condition) if subject.equation is not None else explorer.times(on or 0)


def _turned(explorer: Explorer, message: Any, z: np.ndarray) -> Answer:
    """What the latents decode to, its place among the observations, and the latents themselves."""
    subject: Subject = message.subject
    x, times = decoded(explorer, subject, z, message.on, message.told)
    if not np.isfinite(x).any():
        return Answer(
            {"z": z.tolist(), "failed": "at these latents the model gives no finite number."},
            {"x": np.full(explorer.schema.shape, np.nan)},
        )
    arrays = {"x": x}
    if times is not None:
        arrays["times"] = times
    plain: dict[str, Any] = {"z": z.tolist(), "score": _score(subject, z)}
    if len(explorer.observations) > 2 and x.shape == explorer.schema.shape:
        mean, directions, _ = explorer.plane
        plain["place"] = (directions @ (np.nan_to_num(x.reshape(-1)) - mean)).tolist()
    return Answer(plain, arrays)


def _encoded(explorer: Explorer, subject: Subject, on: int) -> np.ndarray:
    x, beside = explorer.row(subject, on)
    z = np.asarray(show.codes(subject.encoder, x, conditions=beside)[0], np.float64)
    if not np.isfinite(z).all():
        raise Refused(f"no latents of {subject.name} were found that explain observation {on}.")
    ends = np.asarray(subject.supports)
    return np.clip(z, ends[:, 0], ends[:, 1])


def _score(subject: Subject, z: np.ndarray) -> float | None:
    """The root mean square of the latents' standard scores: about 1 for a draw of the prior."""
    size = float(np.sqrt(np.mean(to_scores(subject.model.latents, z) ** 2)))
    return size if np.isfinite(size) else None


def _codes(explorer: Explorer, subject: Subject) -> Answer:
    found = explorer.codes(subject)
    if found is None:
        return Answer({"known": False})
    known = found[np.isfinite(found).all(1)]
    ranges = [[float(low), float(high)] for low, high in zip(known.min(0), known.max(0),
                                                             strict=True)]  # fmt: skip
    reach = [[slider.low, slider.high] for slider in subject.sliders(known)]
    return Answer({"known": True, "ranges": ranges, "reach": reach}, {"codes": found})
