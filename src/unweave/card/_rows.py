"""The rows of the card, in order. A new one is a file beside these and an entry here."""

from collections.abc import Sequence

from ._agreement import AGREEMENT
from ._arrives import ARRIVES
from ._covered import COVERED
from ._curve import CURVE, DENSITY_CURVE
from ._density import DENSITY
from ._disentangled import DISENTANGLED
from ._error import ERROR
from ._explained import EXPLAINED
from ._identified import IDENTIFIED
from ._imputation import IMPUTATION
from ._interval import INTERVAL
from ._labels import LABELS
from ._left_over import LEFT_OVER
from ._memorised import MEMORISED
from ._memory import MEMORY
from ._monotone import MONOTONE
from ._moves import MOVES
from ._parameters import PARAMETERS
from ._repeated import REPEATED
from ._reuse import REUSE
from ._row import Row
from ._seconds import SECONDS
from ._solver_error import SOLVER_ERROR
from ._stays import STAYS
from ._told_apart import TOLD_APART
from ._worst_case import WORST_CASE

ROWS: tuple[Row, ...] = (
    REPEATED, ERROR, EXPLAINED, DENSITY, IMPUTATION, CURVE, DENSITY_CURVE, LEFT_OVER,
    IDENTIFIED, DISENTANGLED, AGREEMENT, LABELS, REUSE,
    TOLD_APART, COVERED, MEMORISED,
    ARRIVES, STAYS, MONOTONE, MOVES,
    INTERVAL, SOLVER_ERROR, WORST_CASE,
    SECONDS, MEMORY, PARAMETERS,
)  # fmt: skip


def rows_named(words: Sequence[str], rows: Sequence[Row] = ROWS) -> tuple[Row, ...]:
    """The rows that words name, each by its own name or its group's, in the card's order.

    **Raises:** `ValueError` for a word that is neither.
    """
    chosen = set()
    for word in words:
        named = {row.name for row in rows if word in (row.name, row.group.replace(" ", "-"))}
        if not named:
            groups = dict.fromkeys(row.group.replace(" ", "-") for row in rows)
            raise ValueError(
                f"'{word}' is no row of the card and no group of them; the groups are "
                f"{', '.join(groups)}, and the rows {', '.join(row.name for row in rows)}."
            )
        chosen |= named
    return tuple(row for row in rows if row.name in chosen)
