"""Workers that are processes of this machine."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from types import ModuleType

import cloudpickle

from ._workers import ALONE, AbstractWorkers, Answer, Died, Letter, answer, take_settings

# a worker that is to end has so many seconds to save what it does
_PATIENCE = 5.0


class _Worker:
    """A process, which is `ready` once it has said so, and the item that it has, if any."""

    def __init__(self, letter: Letter):
        self.item: int | None = None
        self.ready = False
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,))
        with _without_main():
            self.process.start()
        theirs.close()
        self.send(cloudpickle.dumps(letter))

    def send(self, message: bytes) -> None:
        """Sends it; that a worker has died is seen where its answer is waited for."""
        with suppress(OSError):
            self.pipe.send_bytes(message)

    def take(self) -> Answer | None:
        """The answer that has come; None where the worker only says that it is ready."""
        try:
            answer = cloudpickle.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            self.process.join()
            return Died(_how(self.process.exitcode or 0), before=not self.ready)
        self.ready = True
        return answer


class Crew(AbstractWorkers):
    """Processes of this machine, begun when they are first needed."""

    def __init__(self, letter: Letter, most: int):
        self._letter, self._most = letter, most
        self._workers: list[_Worker] = []

    @property
    def free(self) -> bool:
        """Whether one has nothing to do, or there may be another."""
        busy = sum(worker.item is not None for worker in self._workers)
        return busy < self._most

    def give(self, i: int, item: bytes) -> None:
        """To one that is there, or to a new one."""
        worker = next((worker for worker in self._workers if worker.item is None), None)
        if worker is None:
            worker = _Worker(self._letter)
            self._workers.append(worker)
        worker.item = i
        worker.send(item)

    def take(self) -> tuple[int, Answer]:
        """From whichever is the first."""
        while True:
            busy = {worker.pipe: worker for worker in self._workers if worker.item is not None}
            worker = busy[wait(list(busy))[0]]  # pyright: ignore[reportArgumentType]
            answer = worker.take()
            if answer is None:
                continue
            i, worker.item = worker.item, None
            assert i is not None
            if isinstance(answer, Died):
                self._workers.remove(worker)
                worker.pipe.close()
                self._fewer(answer)
            return i, answer

    def _fewer(self, died: Died) -> None:
        """One that could not even begin, perhaps for want of memory, is not replaced."""
        self._most -= died.before
        if not self._most:
            raise ChildProcessError(
                f"no worker could begin: the last one ended before it had anything to do "
                f"({died.how}); see what it printed, or do everything in this process (--workers "
                "1)."
            )

    def end(self, *, at_once: bool) -> None:
        """Ends idle workers by closing their pipes, others by SIGTERM, on which a fit saves; those
        that are slow to end are killed."""
        try:
            for worker in self._workers:
                worker.pipe.close()
                if at_once:
                    worker.process.terminate()
            last = time.monotonic() + _PATIENCE
            for worker in self._workers:
                worker.process.join(max(0.0, last - time.monotonic()))
        finally:
            # a second Ctrl-C comes here at once
            for worker in self._workers:
                worker.process.kill()


def _work(pipe: Connection) -> None:
    """The life of a worker process."""
    if os.name == "posix":
        # Ctrl-C on a terminal reaches a whole group of processes: only the first one is to act
        os.setpgrp()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(ALONE)
    # the pipe is closed, or the wish to end has come in the middle of a fit
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        letter = cloudpickle.loads(pipe.recv_bytes())
        take_settings(letter.settings)
        call = cloudpickle.loads(letter.call)
        pipe.send_bytes(cloudpickle.dumps(None))
        while True:
            pipe.send_bytes(answer(call, pipe.recv_bytes()))


def _end_with_parent() -> None:
    """A worker whose parent was killed must not go on beside one that takes its place."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


@contextmanager
def _without_main() -> Iterator[None]:
    """A process that is spawned runs the caller's script again, up to where it would spawn
    others; workers need nothing of it, for what it defines is sent whole."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _how(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit status {code}"
    with suppress(ValueError):
        return f"by {signal.Signals(-code).name}"
    return f"by signal {-code}"
