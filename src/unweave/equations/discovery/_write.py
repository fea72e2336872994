"""A candidate as text in our language, and its terms as a table."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from ..fitting._evidence import CONFIDENCE
from ..language._functions import FUNCTIONS
from ..language._text import parse
from ..language._tokens import EquationError
from ._candidate import Candidate
from ._shooting import Shot

# a range this wide in the estimate keeps the estimate in its middle: a factor of ten would be
# read as an unknown magnitude
_NARROW, _WIDE = 0.5, 1.1


@dataclass(frozen=True)
class FoundTerm:
    """One term of a state's rate: its coefficient's name, value and interval, and in which share
    of resampled data it was chosen (NaN where that was not asked)."""

    channel: str
    term: str
    name: str
    coefficient: float
    low: float
    high: float
    inclusion: float


def state_names(channels: Sequence[str]) -> tuple[str, ...]:
    """Names for states that the language takes, as near to the channels' as can be."""
    made: list[str] = []
    for channel in channels:
        name = re.sub(r"\W+", "_", channel, flags=re.ASCII).strip("_") or "x"
        name = name if name[0].isalpha() else f"x{name}"
        if (
            name in FUNCTIONS
            or re.fullmatch(r"[ck]\d+|t|d\w?", name)
            or not _parses(f"{name}' = {name}\n{name}(0) = 1")
        ):
            name = f"{name}_state"
        while name in made:
            name += "_"
        made.append(name)
    return tuple(made)


def _parses(text: str) -> bool:
    try:
        parse(text)
    except EquationError:
        return False
    return True


def deviations(shot: Shot) -> np.ndarray:
    """Standard errors of a candidate's numbers, by the information of its fit and what is left."""
    n = float(shot.count.sum()) - len(shot.theta)
    inflate = shot.chi / max(n, 1.0)
    covariance = np.linalg.pinv(shot.information, rcond=1e-14, hermitian=True) * inflate
    return np.sqrt(np.maximum(np.diag(covariance), 0.0))


def written(
    shot: Shot, names: Sequence[str], starts: np.ndarray, spread: np.ndarray,
    *, units: Sequence[str] = (), time_unit: str = "",
) -> str:  # fmt: skip
    """The text of a fitted candidate, each number a latent whose range has its estimate in the
    middle."""
    lines = (
        [f"time in {time_unit}"]
        if time_unit and _parses(f"time in {time_unit}\nx' = x\nx(0) = 1")
        else []
    )
    lines += right_sides(shot.candidate, names)
    error = deviations(shot)
    for name, value, sigma in zip(_numbers(shot.candidate), shot.theta, error, strict=True):
        lines.append(f"{name} in {_range(value, 5 * sigma)}")
    units = units or [""] * len(names)
    for name, value, width, unit in zip(names, starts, spread, units, strict=True):
        line = f"{name}(0) in {_range(value, 0.25 * width)}"
        known = unit and _parses(f"{name}' = {name}\n{line} {unit}")
        lines.append(f"{line} {unit}" if known else line)
    return "\n".join(lines) + "\n"


def _numbers(candidate: Candidate) -> list[str]:
    k = candidate.coefficients
    return [f"c{j + 1}" for j in range(k)] + [f"k{j + 1}" for j in range(len(candidate.inner))]


def right_sides(candidate: Candidate, names: Sequence[str]) -> list[str]:
    """A line `x' = c1*x + c2*x*y` for every state."""
    inner = _inner_names(candidate)
    lines, k = [], 0
    for name, row in zip(names, candidate.rows, strict=True):
        parts = []
        for term in row:
            k += 1
            text = term.write(names, inner[term])
            parts.append(f"c{k}" if text == "1" else _product(f"c{k}", text))
        lines.append(f"{name}' = {' + '.join(parts)}")
    return lines


def _product(number: str, text: str) -> str:
    return number + text[1:] if text.startswith("1/") else f"{number}*{text}"


def _inner_names(candidate: Candidate) -> dict:
    made, at = {}, 0
    for term in candidate.terms:
        made[term] = [f"k{at + j + 1}" for j in range(len(term.inner))]
        at += len(term.inner)
    return made


def _range(value: float, half: float) -> str:
    size = abs(value)
    if half <= _NARROW * size:
        half = _NARROW * size
    elif half < _WIDE * size:
        half = _WIDE * size
    half = half or 1.0
    digits = max(7, int(np.ceil(np.log10(max(half, size) / half + 1))) + 7)
    return f"({value - half:.{digits}g}, {value + half:.{digits}g})"


def table_of(
    shot: Shot, names: Sequence[str], inclusion: Sequence[Sequence[float]]
) -> tuple[FoundTerm, ...]:
    """Every term with its coefficient, interval and inclusion."""
    inner, error = _inner_names(shot.candidate), deviations(shot)
    reach = float(ndtri(0.5 + CONFIDENCE / 2))
    rows, k = [], 0
    for name, row, shares in zip(names, shot.candidate.rows, inclusion, strict=True):
        for term, share in zip(row, shares, strict=True):
            value, width = float(shot.theta[k]), reach * float(error[k])
            k += 1
            rows.append(
                FoundTerm(
                    name, term.write(names, inner[term]), f"c{k}", value, value - width,
                    value + width, share,
                )
            )  # fmt: skip
    return tuple(rows)


def in_numbers(shot: Shot, names: Sequence[str], digits: int = 4) -> list[str]:
    """The right sides with numbers in the place of names, as one reads them."""
    theta, k = shot.theta, 0
    inner, at = {}, shot.candidate.coefficients
    for term in shot.candidate.terms:
        inner[term] = [f"{v:.{digits}g}" for v in theta[at : at + len(term.inner)]]
        at += len(term.inner)
    lines = []
    for name, row in zip(names, shot.candidate.rows, strict=True):
        pairs = []
        for term in row:
            pairs.append((float(theta[k]), term.write(names, inner[term])))
            k += 1
        lines.append(f"{name}' = {sum_of(pairs, digits)}")
    return lines


def sum_of(pairs: Sequence[tuple[float, str]], digits: int) -> str:
    """A sum of numbers times terms: `2*x - 0.5*x*y`."""
    text = ""
    for value, term in pairs:
        sign = ("-" if value < 0 else "") if not text else (" - " if value < 0 else " + ")
        number = f"{abs(value):.{digits}g}"
        text += sign + (number if term == "1" else _product(number, term))
    return text or "0"
