"""What is sent to workers and what they answer, wherever they are."""

import traceback
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

# A recipe holds functions that were made within functions, which the standard library's pickle
# cannot send to another process. What is sent never becomes a file.
import cloudpickle
import threadpoolctl

# linear algebra on several threads gives other bits on another number of cores, and the threads of
# several workers wait for each other
ALONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Value:
    """What `call` gave."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """What `call` raised."""

    error: Exception


@dataclass(frozen=True)
class Died:
    """How a worker ended that was to give an answer; `before` it had the item in hand, or because
    its whole `machine` was lost."""

    how: str
    before: bool = False
    machine: bool = False


Answer: TypeAlias = Value | Raised | Died


@dataclass(frozen=True)
class Letter:
    """What every worker is sent: the call, and how JAX is set here."""

    call: bytes
    settings: Mapping[str, Any]


class AbstractWorkers(ABC):
    """Workers that are given items by number, and whose answers are waited for."""

    @property
    @abstractmethod
    def free(self) -> bool:
        """Whether one more item can be given."""

    @abstractmethod
    def give(self, i: int, item: bytes) -> None:
        """Gives a free worker an item."""

    @abstractmethod
    def take(self) -> tuple[int, Answer]:
        """The answer that comes next."""

    @abstractmethod
    def end(self, *, at_once: bool) -> None:
        """Ends all workers; those that are busy too where it is `at_once`."""


def answer(call: Callable[[Any], Any], item: bytes) -> bytes:
    """The answer of a worker, as it is sent."""
    try:
        with threadpoolctl.threadpool_limits(1):
            value = call(cloudpickle.loads(item))
        return cloudpickle.dumps(Value(value))
    except Exception as error:
        error.add_note(f"in a worker:\n{traceback.format_exc()}")
        try:
            sent = cloudpickle.dumps(Raised(error))
            cloudpickle.loads(sent)
        except Exception:  # some errors cannot be made again from what they hold
            sent = cloudpickle.dumps(Raised(RuntimeError(f"{type(error).__name__}: {error}")))
        return sent


def settings_here() -> dict[str, Any]:
    import jax  # a worker imports this file, and says how many threads there are before JAX

    plain = (bool, int, float, str, type(None))
    return {name: v for name, v in jax.config.values.items() if isinstance(v, plain)}


def take_settings(settings: Mapping[str, Any]) -> None:
    import jax

    for name, value in settings.items():
        if jax.config.values.get(name, value) != value:
            jax.config.update(name, value)
    # another worker may be writing the program that this one looks for, which it then compiles
    warnings.filterwarnings("ignore", "Error reading persistent compilation cache entry")
