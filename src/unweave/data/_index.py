"""What is kept of recordings on disk: one line for each, made once and kept in the user's cache."""

import abc
import hashlib
import io
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np
from tqdm import tqdm

from .._cache import cache_folder
from .._files import write_whole

# part of every name in the cache: what another version wrote is not read
_VERSION = 1
# nothing is shown of what is done sooner
_PATIENCE = 2.0
_FACTS = "facts"

Item = TypeVar("Item")


class AbstractReader(abc.ABC):
    """What reads recordings from a disk. It may be called from several threads at once."""

    @abc.abstractmethod
    def read(self, recording: int, first: int, end: int) -> np.ndarray:
        """The samples `first` to `end`, the last not included, of one recording:
        `(time, channel)`, or ready observations `(n, ...)`."""

    def read_into(self, recording: int, first: int, end: int, out: np.ndarray) -> None:
        """The same into `out`, which has its shape and lies in one piece."""
        out[...] = self.read(recording, first, end)


@final
@dataclass(frozen=True, eq=False)
class Lines:
    """The index of recordings: `arrays` with an entry for each of them, and `facts` about all.

    `records` and `groups` are names, `lengths` samples, `starts` the time of each one's first
    sample; other arrays are the reader's own.
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """As a file, which carries check sums."""
        file = io.BytesIO()
        facts = np.frombuffer(json.dumps(dict(self.facts)).encode(), np.uint8)
        np.savez_compressed(file, allow_pickle=False, **{**self.arrays, _FACTS: facts})
        return file.getvalue()

    @classmethod
    def from_bytes(cls, raw: bytes) -> "Lines":
        """The inverse of `to_bytes`; damage is a `ValueError`."""
        try:
            with np.load(io.BytesIO(raw), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            facts = json.loads(arrays.pop(_FACTS).tobytes())
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"the index is damaged: {error}") from None
        return cls(arrays, facts)


def fingerprint(files: Iterable[Path], *words: Any) -> str:
    """A name for these files as they are now, by path, size and time of change, and for how they
    are read."""
    mark = hashlib.sha256(repr((_VERSION, *words)).encode())
    for file in files:
        about = file.stat()
        mark.update(f"{file.absolute()}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return mark.hexdigest()[:32]


def files_under(folder: Path) -> Iterator[Path]:
    """Every file in a folder and the folders in it, in an order that does not change."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            yield from files_under(Path(entry.path))
        else:
            yield Path(entry.path)


def kept_lines(key: str, build: Callable[[], Lines]) -> Lines:
    """The index called `key` out of the cache, or built and kept there; one that is damaged is
    built again."""
    file = _file(f"{key}.npz")
    if file is not None and file.exists():
        try:
            return Lines.from_bytes(file.read_bytes())
        except (ValueError, OSError):
            pass  # whatever happened to it, it can be made again
    lines = build()
    _keep(file, lines.to_bytes())
    return lines


def shown(items: Iterable[Item], doing: str, *, total: int | None = None) -> Iterator[Item]:
    """The items, with a bar on the terminal once it takes long."""
    hidden = not sys.stderr.isatty()
    return iter(tqdm(items, doing, total, leave=False, delay=_PATIENCE, disable=hidden))


def _file(name: str) -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / "indices" / name


def _keep(file: Path | None, raw: bytes) -> None:
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, [raw])
    except OSError:
        pass  # a cache that cannot be written costs time, and nothing else
