"""What a browser may ask, each message a value that was checked at the door: identifiers that are
looked up, numbers within bounds, and nothing else. A path is never one of them."""

import json
import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ._explorer import Explorer
from ._subject import Subject

#: The longest frame or body that is read, in bytes.
MOST_BYTES = 64 * 1024
_MOST_NUMBER = 1e15
_MOST_COUNT = 2**31 - 1
#: What an export may be.
EXPORTS = ("figure.svg", "figure.png", "signals.csv", "latents.csv", "reproduce.py")


class Refused(ValueError):
    """A message that is not answered, with the sentence that says why."""


@dataclass(frozen=True, eq=False)
class Turn:
    """Decode these latents."""

    subject: Subject
    on: int | None
    told: int | None
    z: np.ndarray


@dataclass(frozen=True, eq=False)
class Encode:
    """Encode observation `on`, and decode what it is encoded to."""

    subject: Subject
    on: int
    told: int | None


@dataclass(frozen=True, eq=False)
class Between:
    """The latents a share `t` of the way from observation `a` to `b`."""

    subject: Subject
    on: int | None
    told: int | None
    a: int
    b: int
    t: float


@dataclass(frozen=True, eq=False)
class Swap:
    """These latents, but those at `places` as observation `b` has them."""

    subject: Subject
    on: int | None
    told: int | None
    z: np.ndarray
    b: int
    places: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Sample:
    """Latents drawn from their prior."""

    subject: Subject
    on: int | None
    told: int | None
    seed: int


@dataclass(frozen=True, eq=False)
class Codes:
    """The latents of every observation."""

    subject: Subject


@dataclass(frozen=True, eq=False)
class Strange:
    """How strange observation `on` is."""

    subject: Subject
    on: int


@dataclass(frozen=True, eq=False)
class Explain:
    """What the target is read off in observation `on`."""

    subject: Subject
    on: int
    target: str


@dataclass(frozen=True, eq=False)
class Attack:
    """What an adversary makes of observation `on` within a budget, as a share of the spread of
    the observations."""

    subject: Subject
    on: int
    target: str
    share: float


@dataclass(frozen=True, eq=False)
class Arrows:
    """The rates of an equation with two states over a box: `x0, x1, y0, y1`."""

    subject: Subject
    z: np.ndarray
    box: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Export:
    """The state as a file: the latents of each model, the observation, what else is shown."""

    kind: str
    on: int | None
    told: int | None
    points: dict[str, np.ndarray]


Message: TypeAlias = (
    Turn | Encode | Between | Swap | Sample | Codes | Strange | Explain | Attack | Arrows
)


def read(explorer: Explorer, text: str) -> tuple[str, int, Message]:
    """The kind of a frame, its number in the order of sending, and its message.

    **Raises:** `Refused` for all that is not exactly a message.
    """
    fields = _Fields(explorer, _object(text))
    kind = fields.text("ask")
    make = _KINDS.get(kind)
    if make is None:
        raise Refused(f"there is nothing called '{kind[:40]}' to ask.")
    number = fields.whole("seq", 0, 2**53)
    message = make(fields)
    fields.done()
    return kind, number, message


def read_export(explorer: Explorer, text: str) -> Export:
    """The body of a request for an export; raises `Refused` as `read`."""
    fields = _Fields(explorer, _object(text))
    kind = fields.text("kind")
    if kind not in EXPORTS:
        raise Refused(f"there is no export '{kind[:40]}'; there are {', '.join(EXPORTS)}.")
    points = fields.take("points")
    if not isinstance(points, dict) or not points:
        raise Refused("points are the latents of one model or several, by their identifiers.")
    found = {}
    for id, z in points.items():
        if id not in explorer.subjects:
            raise Refused("a model is named that is not here.")
        found[id] = _point(explorer.subjects[id], z)
    export = Export(kind, fields.maybe_on(), fields.maybe_told(None), found)
    fields.done()
    return export


class _Fields:
    """The fields of one message, each taken once; what is left over in the end is refused."""

    def __init__(self, explorer: Explorer, fields: dict[str, Any]):
        self.explorer = explorer
        self.fields = fields

    def take(self, name: str) -> Any:
        """The field of that name, whatever it is."""
        if name not in self.fields:
            raise Refused(f"the message lacks '{name}'.")
        return self.fields.pop(name)

    def done(self) -> None:
        """Refuses what is left over."""
        if self.fields:
            raise Refused("the message has fields that nobody asked for.")

    def text(self, name: str) -> str:
        """A short text."""
        value = self.take(name)
        if not isinstance(value, str) or len(value) > 200:
            raise Refused(f"'{name}' is no short text.")
        return value

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        value = self.take(name)
        if type(value) is not int or not low <= value <= high:
            raise Refused(f"'{name}' is no whole number from {low} to {high}.")
        return value

    def number(self, name: str, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        return _number(self.take(name), name, low, high)

    def subject(self) -> Subject:
        """The model that is named."""
        id = self.take("model")
        if not isinstance(id, str) or id not in self.explorer.subjects:
            raise Refused("a model is named that is not here.")
        return self.explorer.subjects[id]

    def on(self, name: str = "on") -> int:
        """The place of an observation."""
        n = len(self.explorer.observations)
        if not n:
            raise Refused("there are no observations here; name data with --data.")
        return self.whole(name, 0, n - 1)

    def maybe_on(self) -> int | None:
        """The place of an observation, or None where it is null or left out."""
        if self.fields.get("on") is None:
            self.fields.pop("on", None)
            return None
        return self.on()

    def maybe_told(self, subject: Subject | None) -> int | None:
        """The class that is told, or None where it is null or left out."""
        if self.fields.get("told") is None:
            self.fields.pop("told", None)
            return None
        most = _MOST_COUNT if subject is None else len(subject.told) - 1
        return self.whole("told", 0, most)

    def point(self, subject: Subject) -> np.ndarray:
        """Latents of a model."""
        return _point(subject, self.take("z"))


def _object(text: str) -> dict[str, Any]:
    if len(text.encode(errors="replace")) > MOST_BYTES:
        raise Refused(f"the message is longer than {MOST_BYTES} bytes.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("the message is no JSON.") from None
    if not isinstance(value, dict):
        raise Refused("the message is no JSON object.")
    return value


def _number(value: Any, name: str, low: float, high: float) -> float:
    # True is an int of Python, and no number of ours; a whole number may be too long for a float
    if type(value) not in (int, float) or abs(value) > _MOST_NUMBER or not math.isfinite(value):
        raise Refused(f"'{name}' is no finite number.")
    if not low <= value <= high:
        raise Refused(f"{name} is {value:g}, outside of {low:g} to {high:g}.")
    return float(value)


def _point(subject: Subject, z: Any) -> np.ndarray:
    names = subject.model.latents.names
    if not isinstance(z, list) or len(z) != len(names):
        raise Refused(f"the latents of {subject.name} are a list of {len(names)} numbers.")
    inside = zip(z, names, subject.supports, strict=True)
    return np.asarray([_number(v, name, *ends) for v, name, ends in inside], np.float64)


def _turn(fields: _Fields) -> Turn:
    subject = fields.subject()
    return Turn(subject, fields.maybe_on(), fields.maybe_told(subject), fields.point(subject))


def _encode(fields: _Fields) -> Encode:
    subject = fields.subject()
    return Encode(subject, fields.on(), fields.maybe_told(subject))


def _between(fields: _Fields) -> Between:
    subject = fields.subject()
    return Between(
        subject, fields.maybe_on(), fields.maybe_told(subject), fields.on("a"), fields.on("b"),
        fields.number("t", 0.0, 1.0),
    )  # fmt: skip


def _swap(fields: _Fields) -> Swap:
    subject = fields.subject()
    places = fields.take("places")
    size = subject.model.latents.size
    if (
        not isinstance(places, list)
        or len(set(map(str, places))) != len(places)
        or not all(type(p) is int and 0 <= p < size for p in places)
    ):
        raise Refused(f"'places' are different whole numbers below {size}.")
    where = fields.maybe_on(), fields.maybe_told(subject)
    return Swap(subject, *where, fields.point(subject), fields.on("b"), tuple(places))


def _sample(fields: _Fields) -> Sample:
    subject = fields.subject()
    where = fields.maybe_on(), fields.maybe_told(subject)
    return Sample(subject, *where, fields.whole("seed", 0, _MOST_COUNT))


def _codes(fields: _Fields) -> Codes:
    return Codes(fields.subject())


def _strange(fields: _Fields) -> Strange:
    return Strange(fields.subject(), fields.on())


def _target(fields: _Fields, subject: Subject) -> str:
    from ._ask import targets_of

    word = fields.text("target")
    if word not in targets_of(subject):
        raise Refused(f"{subject.name} has no such target.")
    return word


def _explain(fields: _Fields) -> Explain:
    subject = fields.subject()
    return Explain(subject, fields.on(), _target(fields, subject))


def _attack(fields: _Fields) -> Attack:
    subject = fields.subject()
    on, target = fields.on(), _target(fields, subject)
    return Attack(subject, on, target, fields.number("share", 0.0, 1.0))


def _arrows(fields: _Fields) -> Arrows:
    subject = fields.subject()
    box = fields.take("box")
    if not isinstance(box, list) or len(box) != 4:
        raise Refused("'box' is a list of four numbers.")
    ends = [_number(v, "box", -_MOST_NUMBER, _MOST_NUMBER) for v in box]
    if not (ends[0] < ends[1] and ends[2] < ends[3]):
        raise Refused("'box' is empty; give the lower ends first.")
    return Arrows(subject, fields.point(subject), (ends[0], ends[1], ends[2], ends[3]))


_KINDS: dict[str, Any] = {
    "turn": _turn, "encode": _encode, "between": _between, "swap": _swap, "sample": _sample,
    "codes": _codes, "strange": _strange, "explain": _explain, "attack": _attack,
    "arrows": _arrows,
}  # fmt: skip
