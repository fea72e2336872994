"""The zoo: equations that are known by name, each a text with its units, ranges and facts.

A text of the zoo begins with a comment: what it is, after `Reference:` where it comes from, and
after `Known:` what is true of it, a sentence for each property. The facts stand there and nowhere
else; the table below says how long a course is typical, and how finely it is sampled.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from .._noise import Gaussian
from .language._syntax import meant
from .language._text import parse
from .solving._equation import Equation, equation
from .stochastic._equation import AbstractStochastic, stochastic_equation


@dataclass(frozen=True)
class ZooEntry:
    """An equation of the zoo.

    **Arguments:** `name`, by which it is asked for; a typical course ends at `until` and begins at
    `begin`, in the time unit of its text, and is observed at `samples` even times, both ends
    among them; `noise`, the standard deviation of its observation in the observable's unit, where
    the source names one.
    """

    name: str
    until: float
    samples: int
    begin: float = 0.0
    noise: float | None = None

    @property
    def text(self) -> str:
        """The equation as it is written."""
        return (
            files("unweave.equations")
            .joinpath("zoo", f"{self.name}.ode")
            .read_text(encoding="utf-8")
        )

    @property
    def title(self) -> str:
        """What it is, in a sentence without a full stop."""
        return _sentences(self._head()[0])[0].removesuffix(".")

    @property
    def reference(self) -> str:
        """Where it comes from: author, year, journal."""
        return self._head()[1].removesuffix(".")

    @property
    def properties(self) -> tuple[str, ...]:
        """What is known of it, a sentence each."""
        return _sentences(self._head()[2])

    def _head(self) -> tuple[str, str, str]:
        """The three paragraphs of the comment that the text begins with."""
        lines = []
        for line in self.text.splitlines():
            if not line.startswith("#"):
                break
            lines.append(line[1:].strip())
        title, rest = " ".join(lines).split("Reference:")
        reference, known = rest.split("Known:")
        return title.strip(), reference.strip(), known.strip()


_ENTRIES = (
    ZooEntry("logistic", until=15.0, samples=61),
    ZooEntry("competition", until=24.0, samples=97),
    ZooEntry("lotka-volterra", until=30.0, samples=121),
    ZooEntry("rosenzweig-macarthur", until=120.0, samples=241),
    ZooEntry("chemostat", until=48.0, samples=193),
    ZooEntry("sir", until=120.0, samples=121),
    ZooEntry("fitzhugh-nagumo", until=100.0, samples=401),
    ZooEntry("van-der-pol", until=30.0, samples=601),
    ZooEntry("lorenz", until=10.0, samples=401),
    ZooEntry("roessler", until=50.0, samples=501),
    ZooEntry("pendulum", until=10.0, samples=201),
    ZooEntry("double-pendulum", until=5.0, samples=201),
    ZooEntry("robertson", until=40.0, samples=41),
    # the samples of a beat that is cut from 0.25 s before R to 0.45 s past it, that end left out
    ZooEntry("ecg", until=0.45 - 0.7 / 256, samples=256, begin=-0.25, noise=0.015),
    ZooEntry("gbm", until=1.0, samples=253),
    ZooEntry("ou", until=10.0, samples=201),
    ZooEntry("cir", until=10.0, samples=201),
    ZooEntry("heston", until=1.0, samples=253),
    ZooEntry("merton", until=1.0, samples=253),
)

#: The equations of the zoo by their names.
ZOO: Mapping[str, ZooEntry] = {entry.name: entry for entry in _ENTRIES}


def zoo_entry(name: str) -> ZooEntry:
    """The entry of that name.

    **Raises:** `ValueError` where there is none; it proposes the nearest.
    """
    if name not in ZOO:
        raise ValueError(f"'{name}' is not in the zoo.{meant(name, ZOO)} It has {', '.join(ZOO)}.")
    return ZOO[name]


def zoo_text(name: str) -> str:
    """The text of an equation of the zoo, comments included.

    **Raises:** `ValueError` as `zoo_entry`.
    """
    return zoo_entry(name).text


def zoo_times(
    name: str, *, until: float | None = None, samples: int | None = None
) -> tuple[float, ...]:
    """The times of a typical course; with `until` or `samples` of another one.

    **Raises:** `ValueError` as `zoo_entry`, and for an end or a number of samples that make no
    course.
    """
    entry = zoo_entry(name)
    end = entry.until if until is None else float(until)
    count = entry.samples if samples is None else samples
    if not entry.begin < end < float("inf"):
        raise ValueError(
            f"{name} begins at {entry.begin:g} and cannot end at {end:g}; give a later end."
        )
    if count < 2:
        raise ValueError(f"{count} samples make no course; give at least 2.")
    step = (end - entry.begin) / (count - 1)
    return tuple(entry.begin + step * i for i in range(count))


def zoo_model(
    name: str, *, until: float | None = None, samples: int | None = None
) -> Equation | AbstractStochastic:
    """An equation of the zoo as a model, ready to be sampled and turned.

    **Arguments:** `name`; `until` and `samples`, the end and the number of observations of its
    course, where they shall not be the typical ones.

    **Raises:** `ValueError` as `zoo_times`.
    """
    entry, times = zoo_entry(name), zoo_times(name, until=until, samples=samples)
    system = parse(entry.text)
    if system.noises or system.jumps:
        return stochastic_equation(system, times=times)
    noise = None if entry.noise is None else Gaussian.fixed((entry.noise,))
    return equation(system, times=times, noise=noise)


def _sentences(paragraph: str) -> tuple[str, ...]:
    """A paragraph parted where a sentence ends and a capital letter begins the next."""
    return tuple(re.split(r"(?<=[A-Za-z0-9)|]\.) (?=[A-Z])", paragraph))
