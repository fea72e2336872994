"""Ctrl-C and SIGTERM as a wish that the loop is asked about, and not as a blow."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stop_on_signals(*, enabled: bool) -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second signal ends the process as usual."""
    stop = threading.Event()
    if not enabled or threading.current_thread() is not threading.main_thread():
        yield stop
        return
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.getsignal(kind) for kind in kinds}

    def restore() -> None:
        for kind, handler in before.items():
            signal.signal(kind, handler)

    def ask(number: int, frame: Any) -> None:
        stop.set()
        restore()

    for kind in kinds:
        signal.signal(kind, ask)
    try:
        yield stop
    finally:
        restore()
