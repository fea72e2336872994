"""One command that becomes several processes, which fit one model together."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from .._join import join

# those that are left once one has failed end by themselves in so many seconds, or are ended
_PATIENCE = 10.0
_COMMAND = "import sys; from unweave.cli import main; sys.exit(main())"


def comes_together(options: argparse.Namespace) -> bool:
    """Whether this command is to start the processes, and not to be one of them."""
    return (
        options.processes is not None
        and options.processes > 1
        and options.process is None
        and not _launched()
    )


def join_others(options: argparse.Namespace) -> None:
    """Makes this process one of several, where there are to be several."""
    if options.processes is None:
        if options.process is not None or options.coordinator is not None:
            raise ValueError("--process and --coordinator need --processes, how many there are.")
        return
    join(options.processes, process=options.process, coordinator=options.coordinator)


def start_together(words: Sequence[str], options: argparse.Namespace) -> int:
    """Runs the command as so many processes, of this machine or of a Ray cluster, and gives the
    exit status of the first that failed, or 0."""
    if options.on is not None:
        from ._together_ray import start_on_ray

        return start_on_ray(words, options)
    address = f"127.0.0.1:{free_port()}"
    # the first one's words are the command's; what others say is shown where they fail
    crew: list[tuple[subprocess.Popen, IO[str] | None]] = []
    for i in range(options.processes):
        kept = None if i == 0 else tempfile.TemporaryFile("w+")  # noqa: SIM115
        own = ["--process", str(i), "--coordinator", address]
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND, *words, *own], stdout=kept, stderr=kept
        )
        crew.append((process, kept))
    # Ctrl-C reaches the whole group; SIGTERM only this process, which hands it on
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    after = signal.signal(signal.SIGTERM, lambda *_: _tell(crew, signal.SIGTERM))
    try:
        return _wait(crew)
    finally:
        for process, kept in crew:
            process.kill()
            if kept is not None:
                kept.close()
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, after)


def _wait(crew: list[tuple[subprocess.Popen, IO[str] | None]]) -> int:
    failed_at, status = None, 0
    while None in [process.poll() for process, _ in crew]:
        time.sleep(0.05)
        ended = [(p, kept) for p, kept in crew if p.returncode not in (None, 0)]
        if ended and failed_at is None:
            failed_at, status = time.monotonic(), ended[0][0].returncode
            if ended[0][1] is not None:
                ended[0][1].seek(0)
                sys.stderr.write(ended[0][1].read())
        if failed_at is not None and time.monotonic() - failed_at > _PATIENCE:
            _tell(crew, signal.SIGKILL)
    failed = [process.returncode for process, _ in crew if process.returncode]
    return status or (failed[0] if failed else 0)


def _tell(crew: list[tuple[subprocess.Popen, IO[str] | None]], number: int) -> None:
    for process, _ in crew:
        with suppress(ProcessLookupError):
            process.send_signal(number)


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as found:
        found.bind(("", 0))
        return found.getsockname()[1]


def _launched() -> bool:
    """Whether a launcher that JAX knows has started this process as one of several."""
    return any(name in os.environ for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"))
