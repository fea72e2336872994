"""A folder that one process at a time works in; whoever only reads is not kept out."""

import datetime
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ._files import naming

# the lock is the operating system's and goes with the process that has it, however that ends; the
# file beside it only says who that is
_LOCK, _HOLDER = ".lock", ".holder"


class FolderInUse(OSError):
    """Another process works in the folder."""


@contextmanager
def held(folder: Path, *, patience: float = 1.0) -> Iterator[None]:
    """Keeps every other process, and every other thread of this one, from working in `folder`,
    which is made where it is missing, and removed again with the folders made for it if nothing was
    put into it.

    **Arguments:** `patience`, how many seconds one that is about to end is waited for.

    **Raises:** `FolderInUse`, which says who works there and what can be done.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    # one lock for all of a thread, so that it may hold a folder twice
    lock = FileLock(folder.resolve() / _LOCK, is_singleton=True)
    try:
        lock.acquire(timeout=patience, poll_interval=0.05)
    except Timeout:
        raise FolderInUse(
            f"{folder} is in use by {_holder(folder)}; wait for it or end it, or work in another "
            "folder (--out). Reading what is there goes on as before."
        ) from None
    first = lock.lock_counter == 1
    try:
        if first:
            now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
            who = f"process {os.getpid()} on {socket.gethostname()}, since {now}"
            with naming(folder / _HOLDER):
                (folder / _HOLDER).write_text(who)
        yield
    finally:
        with suppress(OSError):
            if first:
                (folder / _HOLDER).unlink(missing_ok=True)
            if first and made and [file.name for file in folder.iterdir()] == [_LOCK]:
                (folder / _LOCK).unlink()
                for place in made:
                    place.rmdir()
        lock.release()


def _holder(folder: Path) -> str:
    try:
        return (folder / _HOLDER).read_text() or "another process"
    except (OSError, UnicodeDecodeError):
        return "another process"
