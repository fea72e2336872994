"""The run folder: what is needed to repeat a run, to go on with it, and to read it."""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from .._files import flush, naming, sweep, write_whole
from .._save import ModelFile, load_leaves, load_model, save_leaves
from ..data import Dataset, Stored
from ._log import Log, Row
from ._loop import Progress


class RunFolderError(ValueError):
    """A run folder that cannot be used as it was asked for."""


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps its files; every one is written whole or not at all."""

    path: Path

    @property
    def settings_file(self) -> Path:
        """Enough to repeat the run."""
        return self.path / "run.toml"

    @property
    def model_file(self) -> Path:
        """The model that was kept."""
        return self.path / "model.safetensors"

    @property
    def checkpoint_file(self) -> Path:
        """Everything that training carries."""
        return self.path / "checkpoint.safetensors"

    @property
    def metrics_file(self) -> Path:
        """One JSON object an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def result_file(self) -> Path:
        """What `fit` reported."""
        return self.path / "result.json"

    @property
    def examples_file(self) -> Path:
        """A few held-out observations, for figures."""
        return self.path / "examples.safetensors"

    def samples_file(self, epoch: int) -> Path:
        """A picture of what the model generated after an epoch."""
        return self.path / "samples" / f"epoch-{epoch:05d}.png"

    def check_free(self, *, force: bool) -> None:
        """Refuses a file, and without `force` a folder that holds a run."""
        if self.settings_file.exists() and not force:
            raise RunFolderError(
                f"{self.path} already holds a run; go on with it by --resume {self.path}, choose "
                "another --out, or replace it with --force."
            )
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError(f"{self.path} is a file; a run needs a folder of its own.")

    def create(self, *, force: bool) -> None:
        """Makes the folder; one that holds a run is refused without `force`."""
        self.check_free(force=force)
        self.path.mkdir(parents=True, exist_ok=True)
        sweep(self.path)
        for file in (
            self.settings_file, self.model_file, self.checkpoint_file, self.metrics_file,
            self.result_file, self.examples_file,
        ):  # fmt: skip
            file.unlink(missing_ok=True)
        for picture in self.path.glob("samples/epoch-*.png"):
            picture.unlink()
        # what was asked of the model that was here
        for answer in self.path.glob("questions/*-*.*"):
            answer.unlink()

    def write_result(self, result: Mapping[str, Any]) -> None:
        """`result.json`."""
        write_whole(self.result_file, [(json.dumps(result, indent=1) + "\n").encode()])

    def read_result(self) -> tuple[dict[str, Any], ModelFile]:
        """What a finished run reported, and its model, checked against the hash written there."""
        result = json.loads(self.result_file.read_text())
        file = load_model(self.model_file)
        if file.digest != result["model_hash"]:
            raise RunFolderError(
                f"{self.model_file} is not the model that this run wrote (its hash differs); fit "
                "again, or put the original file back."
            )
        return result, file

    def write_settings(self, settings: dict[str, Any]) -> None:
        """`run.toml`, without the settings that are None."""
        write_whole(self.settings_file, [tomli_w.dumps(_without_none(settings)).encode()])

    def read_settings(self) -> dict[str, Any]:
        """What `write_settings` wrote."""
        if not self.settings_file.exists():
            raise RunFolderError(
                f"{self.path} holds no run: there is no {self.settings_file.name} in it."
            )
        try:
            return tomllib.loads(self.settings_file.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RunFolderError(f"{self.settings_file} cannot be read: {error}.") from None

    def cut_rows(self, epochs: int) -> None:
        """Leaves the rows of so many epochs in the log."""
        rows = islice(self._every_row(), epochs)
        write_whole(self.metrics_file, ((json.dumps(row) + "\n").encode() for row in rows))

    def add_row(self, row: Row) -> None:
        """One more row of the log."""
        with naming(self.metrics_file), self.metrics_file.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def read_rows(self, epochs: int | None = None) -> Log:
        """The log, or that of so many epochs; a row that a crash cut off is left out."""
        return Log(islice(self._every_row(), epochs))

    def _every_row(self) -> Iterator[Row]:
        if not self.metrics_file.exists():
            return
        with self.metrics_file.open() as file:
            for line in file:
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    return

    def save_progress(self, progress: Progress, fingerprint: str) -> None:
        """A checkpoint, tied to the data by their `fingerprint`."""
        # a checkpoint stands for the rows of its epochs, which are not written again
        if self.metrics_file.exists():
            with naming(self.metrics_file):
                flush(self.metrics_file)
        save_leaves(self.checkpoint_file, progress, {"data": fingerprint})

    def load_progress(self, like: Progress, fingerprint: str) -> Progress:
        """The checkpoint, or `like` where a run was stopped before its first one."""
        sweep(self.path)
        if not self.checkpoint_file.exists():
            return like
        progress, header = load_leaves(self.checkpoint_file, like)
        if header.get("data") != fingerprint:
            raise RunFolderError(
                f"the data are not those that {self.path} was trained on, so the run cannot go on "
                "with them; give the original data, or start a new run with another --out."
            )
        return progress


def fingerprint(*parts: Dataset | Stored) -> str:
    """A hash of the observations and their conditions, by which a resumed run knows its data; of
    those on the disk, that of their index."""
    digest = hashlib.sha256()
    for data in parts:
        if isinstance(data, Stored):
            digest.update(data.mark.encode())
            continue
        for array in (data.observations, data.times, data.inputs):
            if array is not None:
                digest.update(repr((array.shape, array.dtype)).encode())
                digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def as_toml(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings as `run.toml` gives them back: without those that are None, lists for
    tuples."""
    return tomllib.loads(tomli_w.dumps(_without_none(settings)))


def _without_none(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in settings.items()
        if value is not None
    }
