"""A line on the terminal that says what is being done, once it takes long."""

import argparse
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from tqdm import tqdm

# nothing is said of what is done sooner, and the line is then written anew at this pace
_PATIENCE, _PACE = 2.0, 0.5
_WIDTH = 100


def is_silent(options: argparse.Namespace) -> bool:
    """Whether nothing is to be said of progress: asked for, or nobody watches."""
    return options.quiet or options.json or not sys.stderr.isatty()


@contextmanager
def progress(
    options: argparse.Namespace, doing: str, *, patience: float = _PATIENCE, pace: float = _PACE
) -> Iterator[Callable[[str], None]]:
    """Shows what is being done and for how long, on one line that is wiped away in the end.

    Gives the function that is told what is done next. While a tool shows a bar of its own, that
    bar is kept up to date and no line is written.
    """
    stream = sys.stderr
    if is_silent(options):
        yield lambda step: None
        return
    now = [doing]
    began, over, drawn = monotonic(), threading.Event(), [False]

    def wipe() -> None:
        if drawn[0]:
            stream.write("\r\x1b[K")
            stream.flush()
            drawn[0] = False

    def watch() -> None:
        wait = patience
        while not over.wait(wait):
            wait = pace
            # tqdm offers no other way to the bars that are shown
            bars = list(getattr(tqdm, "_instances", ()))
            if bars:
                wipe()
                for bar in bars:
                    bar.refresh()
                continue
            line = f"{now[0][:_WIDTH]} … {monotonic() - began:.0f} s"
            stream.write(f"\r{line}\x1b[K")
            stream.flush()
            drawn[0] = True

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda step: now.__setitem__(0, step)
    finally:
        over.set()
        thread.join()
        wipe()
