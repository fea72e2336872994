"""The rows of the card, in order. A new one is a file beside these and an entry here."""

from ._curve import CURVE
from ._density import DENSITY
from ._error import ERROR
from ._explained import EXPLAINED
from ._left_over import LEFT_OVER
from ._parameters import PARAMETERS
from ._repeated import REPEATED
from ._row import Row
from ._seconds import SECONDS

ROWS: tuple[Row, ...] = (REPEATED, ERROR, EXPLAINED, DENSITY, SECONDS, PARAMETERS, CURVE, LEFT_OVER)
