"""How much memory something takes at its peak, beyond what was held before."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# where Linux says how many pages a process holds in memory; other systems have no such file
_STATM = Path("/proc/self/statm")
# seconds between two looks
_EVERY = 0.01


class Peak:
    """The most that was held in memory since this was made, less what was held then."""

    def __init__(self) -> None:
        self.before = self.most = _resident()

    def look(self) -> None:
        """One look at what is held now."""
        now = _resident()
        if now is not None and self.most is not None:
            self.most = max(self.most, now)

    @property
    def megabytes(self) -> float | None:
        """In MB of $10^6$ bytes; None where the system does not say."""
        if self.before is None or self.most is None:
            return None
        return (self.most - self.before) / 1e6


@contextmanager
def watched() -> Iterator[Peak]:
    """Looks a hundred times a second at what this process holds, while the block runs."""
    peak, done = Peak(), threading.Event()

    def look() -> None:
        while not done.wait(_EVERY):
            peak.look()

    watcher = threading.Thread(target=look, daemon=True)
    if peak.before is not None:
        watcher.start()
    try:
        yield peak
    finally:
        done.set()
        if watcher.is_alive():
            watcher.join()
        peak.look()


def _resident() -> int | None:
    """Bytes in memory now."""
    if not _STATM.exists():
        return None
    pages = int(_STATM.read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
