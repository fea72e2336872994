"""Whether the packages of an extra are there."""

from collections.abc import Sequence
from importlib.util import find_spec


def check_packages(what: str, needed: Sequence[str], extra: str) -> None:
    """Raises `ValueError` where a package that `what` needs is missing, with the line that
    installs the extra."""
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise ValueError(
            f"{what} needs {', '.join(missing)}, not installed here; install it with: "
            f"pip install 'unweave[{extra}]'"
        )
