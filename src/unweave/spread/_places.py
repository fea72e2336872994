"""The places where things are done."""

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Here:
    """This process, which does one thing after the other."""


@dataclass(frozen=True)
class Processes:
    """So many `workers`, processes of this machine; whichever is free takes what is next."""

    workers: int

    def __post_init__(self):
        _check_workers(self.workers)


@dataclass(frozen=True)
class OnRay:
    """A Ray cluster: the one at `address` or in the environment's RAY_ADDRESS, or one that is
    started on this machine and ended again.

    At most `workers` things are done at once, or as many as the cluster has cores. Its machines
    need unweave, and to see the folder that this process is in.
    """

    workers: int | None = None
    address: str | None = None

    def __post_init__(self):
        if self.workers is not None:
            _check_workers(self.workers)


#: Where things are done.
Place: TypeAlias = Here | Processes | OnRay

#: This process.
HERE = Here()


def _check_workers(workers: int) -> None:
    if workers < 1:
        raise ValueError(f"{workers} workers were asked for; give at least 1.")
