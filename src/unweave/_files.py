"""Files that appear whole or not at all."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def made_whole(path: Path) -> Iterator[Path]:
    """A place for a file or a folder, which becomes `path` at the end, flushed to the disk, and not
    before.

    A writer that fails or is killed leaves `path` as it was; one that is killed also leaves its
    unfinished `.<name>.<process>.part` beside it, which `sweep` removes.

    **Raises:** `OSError` that names `path`, where the disk is full, say.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with naming(path):
        try:
            yield part
            if part.is_file():
                flush(part)
            if part.is_dir() and path.is_dir():
                # a folder is not replaced in one step: the old one stands aside meanwhile
                old = part.with_suffix(".old")
                os.replace(path, old)
                os.replace(part, path)
                shutil.rmtree(old)
            else:
                os.replace(part, path)
        finally:
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)
        _sync(path.parent)


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which becomes `path` at the end and not before (see `made_whole`)."""
    with made_whole(path) as part, part.open("wb") as file:
        yield file


def write_whole(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Writes a file in pieces, whole or not at all (see `written_whole`)."""
    with written_whole(path) as file:
        for piece in pieces:
            file.write(piece)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Lets errors of the operating system say which file they are about: the system itself does
    so where a file is opened, and not where it is written or flushed."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def flush(path: Path) -> None:
    """Sends to the disk what was written into a file."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Removes what writers that were killed have left unfinished in `folder`."""
    for part in folder.glob(".*.part"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
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
