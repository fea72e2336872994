"""Several processes that fit one model, brought together."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

# a process that says nothing for so long has gone, and the others end too
_SILENT_SECONDS = 40
_STATUS = ("UNKNOWN:", "UNAVAILABLE:", "DEADLINE_EXCEEDED:", "INTERNAL:", "ABORTED:", "CANCELLED:")
# what SLURM says in each of the processes that it starts
_SLURM_COUNT, _SLURM_STEP = "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS"


class ProcessesError(ValueError):
    """Processes that did not come together as they were counted."""


def join(
    processes: int,
    *,
    process: int | None = None,
    coordinator: str | None = None,
    wait: float = 60.0,
) -> None:
    """Makes this process one of so many that `fit` one model together, as `jax.distributed` does.

    Call it before anything is computed, in each process alike.

    **Arguments:** `processes`, how many there are; `process`, the number of this one, from 0 on,
    and `coordinator`, the `host:port` where the first one listens and all can reach it. Without
    both a launcher that JAX knows says them (SLURM, Open MPI, Cloud TPU). `wait`, the seconds for
    all to come.

    **Raises:** `ProcessesError` where the count is not that of the launcher, where some do not
    come, or where they do not say the same.
    """
    if processes < 1:
        raise ProcessesError(f"{processes} processes were asked for; give at least 1.")
    if (process is None) != (coordinator is None):
        raise ProcessesError(
            "a process that is started by hand needs its number and where the first one listens: "
            "--process 0 --coordinator HOST:PORT."
        )
    if process is not None and not 0 <= process < processes:
        raise ProcessesError(
            f"this is process {process} of {processes}; they are counted from 0 to {processes - 1}."
        )
    launched = os.environ.get(_SLURM_STEP, os.environ.get(_SLURM_COUNT))
    if process is None and launched is not None and int(launched) != processes:
        raise ProcessesError(
            f"SLURM has started {launched} processes and {processes} were asked for; say "
            f"--processes {launched}, or srun --ntasks={processes}."
        )
    if processes == 1 and process is None:
        return
    import jax  # whoever asks for help alone does not wait for it

    # where one does not come, the library ends this process with a trace of its own
    print(f"waiting for {processes} processes, at most {wait:g} s", file=sys.stderr, flush=True)
    try:
        jax.distributed.initialize(
            coordinator, processes if process is not None else None, process,
            initialization_timeout=max(1, int(wait)), heartbeat_timeout_seconds=_SILENT_SECONDS,
        )  # fmt: skip
    except (RuntimeError, ValueError) as error:
        if process is None and isinstance(error, ValueError):
            raise ProcessesError(
                f"no launcher says which of {processes} processes this is ({_first(error)}); start "
                f"them by srun or mpirun, or by hand with --process 0 to {processes - 1} and "
                "--coordinator HOST:PORT."
            ) from error
        if "before any JAX" in str(error):
            raise ProcessesError(
                "something was computed in this process before join was called; call it first."
            ) from error
        raise ProcessesError(
            f"the {processes} processes did not come together within {wait:g} s "
            f"({_first(error)}); see that all of them were started, with the "
            "same --processes, and can reach the first one."
        ) from error
    if jax.process_count() != processes:
        raise ProcessesError(
            f"{processes} processes were asked for and {jax.process_count()} came together; start "
            "as many, or ask for that number."
        )
    from jax.experimental import multihost_utils

    try:
        with _stdout_as_stderr():
            said = np.asarray(multihost_utils.process_allgather(np.asarray([processes])))
    except jax.errors.JaxRuntimeError as error:
        raise ProcessesError(
            f"one of {processes} processes went before anything began ({_first(error)}); see what "
            "it printed, and start all of them with the same --processes."
        ) from error
    if (said != processes).any():
        raise ProcessesError(f"some processes were told that there are {said.max()}.")


@contextmanager
def _stdout_as_stderr() -> Iterator[None]:
    """The library that connects the processes writes of it to the file that results go to."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def tells_of_a_loss(error: BaseException) -> bool:
    """Whether an error is that of a connection to another process: it begins with a status of the
    library that connects them, which raises it as one of several kinds."""
    return str(error).startswith(_STATUS)


def _first(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
