"""Logs for other programs: TensorBoard and MLflow, each an extra that is imported when asked
for."""

import abc
import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any


class AbstractTracker(abc.ABC):
    """Something that wants every row of the log."""

    @abc.abstractmethod
    def log(self, row: Mapping[str, float | int]) -> None:
        """Takes the numbers of one epoch."""

    @abc.abstractmethod
    def close(self) -> None:
        """Ends the log."""


class TensorBoard(AbstractTracker):
    """Event files that TensorBoard reads, in `folder`."""

    def __init__(self, folder: Path):
        self._writer: Any = _extra("tensorboardX", "tensorboard").SummaryWriter(str(folder))

    def log(self, row: Mapping[str, float | int]) -> None:
        """One scalar for each number, at the row's step."""
        for name, value in row.items():
            self._writer.add_scalar(name, value, int(row["step"]))

    def close(self) -> None:
        """Flushes the file."""
        self._writer.close()


class MLflow(AbstractTracker):
    """A run of MLflow, where its own environment variables say."""

    def __init__(self, name: str):
        self._mlflow: Any = _extra("mlflow", "mlflow")
        self._mlflow.start_run(run_name=name)

    def log(self, row: Mapping[str, float | int]) -> None:
        """One metric for each number, at the row's step."""
        self._mlflow.log_metrics(dict(row), step=int(row["step"]))

    def close(self) -> None:
        """Ends MLflow's run."""
        self._mlflow.end_run()


def _extra(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ValueError(
            f"{module} is not installed; get it by: pip install 'unweave[{extra}]'"
        ) from None
