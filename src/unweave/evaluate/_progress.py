"""The bar of what takes long."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

_T = TypeVar("_T")
# what is done sooner needs no bar
_PATIENCE = 2.0


def shown(rounds: Iterable[_T], what: str, *, quiet: bool) -> Iterator[_T]:
    """The `rounds`, with a bar on stderr once they take long, unless `quiet`."""
    yield from tqdm(
        rounds, desc=what, disable=quiet, leave=False, delay=_PATIENCE, dynamic_ncols=True
    )
