"""Recipes side by side on the same data: what each is worth, and what is chance."""

from ._card import Card as Card
from ._card import Line as Line
from ._compare import compare as compare
from ._row import Fitted as Fitted
from ._row import Reading as Reading
from ._row import Row as Row
from ._rows import ROWS as ROWS
from ._rows import rows_named as rows_named
from ._text import markdown as markdown
from ._text import table as table
from ._trial import Entry as Entry
from ._write import write_card as write_card
from ._write import write_card_article as write_card_article
