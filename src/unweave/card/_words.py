"""Numbers as the card says them."""

import math
import re
from collections.abc import Sequence


def number(value: float, digits: int = 4) -> str:
    """So many significant digits, with a true minus and thousands parted."""
    if not math.isfinite(value):
        return "not finite"
    text = f"{value:.{digits}g}"
    if abs(value) >= 1e4 or float(value).is_integer():
        text = f"{value:,.0f}"
    elif "e+" in text:
        text = f"{float(text):,.0f}"
    return text.replace("-", "−")


def span(low: float, high: float) -> str:
    """Smallest and largest, or nothing where they are one number."""
    low_text, high_text = number(low), number(high)
    return "" if low_text == high_text else f"({low_text}–{high_text})"


def with_unit(text: str, unit: str) -> str:
    """The text and, where there is one, the unit."""
    return f"{text} {unit}" if unit else text


def listed(names: Sequence[str]) -> str:
    """Names as one says them: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def pieces(name: str) -> list[str]:
    """A recipe's name in pieces, behind any of which it may go on in the next line."""
    return re.split(r"(?<=[:,/])(?=[^\W\d])", name)
