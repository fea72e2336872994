"""A text's statements written out: as a plain line, and all of them as one block of LaTeX."""

import re

from ..._latents import Prior
from ._meaning import Meaning
from ._nodes import Name
from ._statements import (
    Declared,
    Definition,
    Differential,
    Input,
    Noise,
    Observe,
    Rate,
    Start,
    Statement,
    Stochastic,
    TimeUnit,
    When,
)
from ._typeset import (
    bracketed,
    latex,
    latex_name,
    latex_number,
    latex_unit,
    plain,
    strong_latex,
    strong_plain,
)

_PRIORS = {
    "normal": r"\mathcal{{N}}({0}, {1}^2)",
    "log-normal": r"\mathrm{{LogN}}({0}, {1}^2)",
    "uniform": r"\mathcal{{U}}({0}, {1})",
    "log-uniform": r"\mathrm{{LogU}}({0}, {1})",
    "truncated-normal": r"\mathcal{{N}}_{{({2}, {3})}}({0}, {1}^2)",
}


def plain_statement(line: Statement) -> str:
    """A statement as a line that reads back as the same statement."""
    match line:
        case TimeUnit(unit):
            return f"time in{_bare(unit)}"
        case Rate(name, order, value):
            return f"{name}{chr(39) * order} = {plain(value)}"
        case Stochastic(name, terms):
            return f"d{name} = {_plain_terms(terms)}"
        case Definition(name, value, unit):
            return f"{name} = {plain(value)}{_unit(unit)}"
        case Start(name, value, unit):
            return f"{name.label} = {plain(value)}{_unit(unit)}"
        case Declared():
            return _plain_declared(line)
        case Input(names, interpolation, unit):
            listed = ", ".join(f"{name.name}(t)" for name in names)
            return f"input {listed} {interpolation}{_bare(unit)}"
        case Observe(names, value, unit):
            given = "" if value is None else f" = {plain(value)}"
            return f"observe {_labels(names)}{given}{_unit(unit)}"
        case Noise(name):
            return f"noise {name}"
        case When(condition, assignments):
            then = ", ".join(f"{name.label} = {plain(value)}" for name, value in assignments)
            return f"when {plain(condition)}: {then or 'stop'}"


def _unit(unit: str) -> str:
    return f" [{unit}]" if unit else ""


def _bare(unit: str) -> str:
    """A unit after which the line ends, without brackets where it is clear."""
    clear = re.fullmatch(r"[\w/^][\w/^ ]*(\([\w/^ ]+\))?", unit)
    return f" {unit}" if clear and unit.split()[-1] not in ("shared", "record") else _unit(unit)


def _labels(names: tuple[Name, ...]) -> str:
    return ", ".join(name.label for name in names)


def _plain_declared(line: Declared) -> str:
    bounds = ""
    if line.bounds is not None:
        bounds = f" in ({plain(line.bounds[0])}, {plain(line.bounds[1])})"
    if line.family == "in":
        said = bounds
    elif line.family == ">":
        said = " > 0"
    else:
        said = f" ~ {line.family}({', '.join(map(plain, line.parameters))}){bounds}"
    whose = {None: "", True: " per record", False: " shared"}[line.own]
    return _labels(line.names) + said + _bare(line.unit) + whose


def _plain_terms(terms: tuple[Differential, ...]) -> str:
    text = ""
    for index, term in enumerate(terms):
        sign = "-" if term.negative else "+"
        text += ("-" if term.negative else "") if index == 0 else f" {sign} "
        text += "" if term.coefficient is None else strong_plain(term.coefficient) + " "
        text += term.process + ("" if term.rate is None else f"({plain(term.rate)})")
    return text


def latex_of(meaning: Meaning) -> str:
    """One `aligned` block: equations, definitions, start, observations, events."""
    lines = [_latex_equation(s) for s in meaning.statements if isinstance(s, Rate | Stochastic)]
    for line in meaning.statements:
        if isinstance(line, Definition):
            lines.append(f"{latex_name(line.name)} &= {latex(line.value)}{_latex_unit(line.unit)}")
    lines += _latex_starts(meaning)
    for line in meaning.statements:
        if isinstance(line, Observe) and line.value is not None:
            name = latex_name(line.names[0].label)
            lines.append(f"{name} &= {latex(line.value)}{_latex_unit(line.unit)}")
    lines += [_latex_event(event.statement) for event in meaning.events]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _latex_unit(unit: str) -> str:
    return rf"\ {latex_unit(unit)}" if unit else ""


def _latex_equation(line: Rate | Stochastic) -> str:
    if isinstance(line, Rate):
        return f"{latex_name(line.name + chr(39) * line.order)} &= {latex(line.value)}"
    right = ""
    for index, term in enumerate(line.terms):
        sign = "-" if term.negative else "+"
        right += ("-" if term.negative else "") if index == 0 else f" {sign} "
        if term.coefficient is not None:
            right += strong_latex(term.coefficient) + r"\,"
        right += _latex_process(term)
    return rf"\mathrm{{d}}{latex_name(line.name)} &= {right}"


def _latex_process(term: Differential) -> str:
    letter, number = term.process[1], term.process[2:]
    index = f"_{{{number}}}" if number else ""
    rate = "" if term.rate is None else bracketed(latex(term.rate))
    return rf"\mathrm{{d}}{letter}{index}{rate}"


def _latex_starts(meaning: Meaning) -> list[str]:
    lines = []
    for line in meaning.statements:
        if isinstance(line, Start):
            name = latex_name(line.name.label)
            lines.append(f"{name} &= {latex(line.value)}{_latex_unit(line.unit)}")
    latents = meaning.latents
    for name, prior, unit in zip(latents.names, latents.priors, latents.units, strict=True):
        if name.endswith("(0)"):
            lines.append(rf"{latex_name(name)} &\sim {latex_prior(prior)}{_latex_unit(unit)}")
    return lines


def latex_prior(prior: Prior) -> str:
    """A prior in LaTeX's mathematics."""
    numbers = [latex_number(f"{number:.6g}") for number in prior.parameters]
    return _PRIORS[prior.family].format(*numbers)


def _latex_event(line: When) -> str:
    then = r",\ ".join(
        rf"{latex_name(name.label)} \leftarrow {latex(value)}" for name, value in line.assignments
    )
    then = then or r"\text{stop}"
    return rf"& \text{{when }} {latex(line.condition)}\colon\ {then}"
