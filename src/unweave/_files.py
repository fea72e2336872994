"""Files that appear whole or not at all."""

import os
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Writes a file beside `path`, flushes it to the disk and moves it into place.

    A writer that is killed leaves `path` as it was, and its unfinished file
    `.<name>.<process>.part` beside it, which `sweep` removes.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    _sync(path.parent)


def sweep(folder: Path) -> None:
    """Removes what writers that were killed have left unfinished in `folder`."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    # a name lasts through a loss of power once its folder is on the disk
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
