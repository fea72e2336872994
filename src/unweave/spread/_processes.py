"""Workers that are processes of this machine."""

import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from types import ModuleType

import cloudpickle

from ._signs import spent
from ._workers import ALONE, AbstractWorkers, Answer, Died, Letter, answer, take_settings

# a worker that is to end has so many seconds to save what it does
_PATIENCE = 5.0
# seconds between two signs of life of a worker, and of silence after which it is ended
_BEAT, _SILENCE = 1.0, 30.0
# without contents: from a worker it says that it lives, to a worker that it is to end
_EMPTY = b""
# workers in a row that end before they could begin, where others have begun
_FALSE_STARTS = 20


class _Worker:
    """A process, which is `ready` once it has said so, and the item that it has, if any.

    One thread writes to it and one reads, so that a process which is stopped in the middle of a
    message stops nothing here; what is read goes into `heard`, beside the worker, and None is
    its end.
    """

    def __init__(self, letter: Letter, heard: "queue.SimpleQueue[tuple[_Worker, bytes | None]]"):
        self.item: int | None = None
        self.ready = False
        self.silent, self.ended = 0.0, ""
        self.spent: str | None = None
        self._heard, self._out = heard, queue.SimpleQueue[bytes | None]()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,))
        with _without_main():
            self.process.start()
        theirs.close()
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()
        threading.Thread(target=self._read, daemon=True).start()
        self.send(cloudpickle.dumps(letter))

    def send(self, message: bytes) -> None:
        """Sends it; that a worker has died is seen where its answer is waited for."""
        self._out.put(message)

    def is_frozen(self, seconds: float) -> bool:
        """Whether it has been silent for too long, now that so many more seconds have passed.

        What holds Python's lock, such as a long call of a library in C, keeps a worker from
        saying anything: but that takes time of the processor, and one that is stopped does not.
        """
        self.silent += seconds
        if self.silent < _SILENCE:
            return False
        before, self.spent = self.spent, spent(self.process.pid)
        if before is not None and before == self.spent:
            return True
        # it was busy, or is asked for the first time: once more in a while
        self.silent = _SILENCE - 5 * _BEAT
        return False

    def kill(self) -> None:
        """Ends it at once; that it has ended is heard."""
        self.ended = f"it gave no sign of life for {_SILENCE:.0f} s and was ended"
        self.process.kill()

    def died(self) -> Died:
        """How it ended."""
        self.process.join()
        return Died(self.ended or _how(self.process.exitcode or 0), before=not self.ready)

    def _write(self) -> None:
        with suppress(OSError):
            while (message := self._out.get()) is not None:
                self._pipe.send_bytes(message)

    def _read(self) -> None:
        with suppress(EOFError, OSError):
            while True:
                self._heard.put((self, self._pipe.recv_bytes()))
        # nobody may write into what another pipe is called by then
        self._out.put(None)
        self._writer.join()
        self._pipe.close()
        self._heard.put((self, None))


class Crew(AbstractWorkers):
    """Processes of this machine, begun when they are first needed."""

    def __init__(self, letter: Letter, most: int):
        self._letter, self._most = letter, most
        self._workers: list[_Worker] = []
        self._heard = queue.SimpleQueue[tuple[_Worker, bytes | None]]()
        self._begun, self._false_starts = False, 0

    @property
    def free(self) -> bool:
        """Whether one has nothing to do, or there may be another."""
        busy = sum(worker.item is not None for worker in self._workers)
        return busy < self._most

    def give(self, i: int, item: bytes) -> None:
        """To one that is there, or to a new one."""
        worker = next((worker for worker in self._workers if worker.item is None), None)
        if worker is None:
            worker = _Worker(self._letter, self._heard)
            self._workers.append(worker)
        worker.item, worker.silent, worker.spent = i, 0.0, None
        worker.send(item)

    def take(self) -> tuple[int, Answer]:
        """From whichever is the first."""
        while True:
            worker, message = self._listen()
            if message is None:
                self._workers.remove(worker)
                died = worker.died()
                if worker.item is None:  # it had nothing to do
                    continue
                self._fewer(died)
                return worker.item, died
            if message == _EMPTY:
                continue
            answer = cloudpickle.loads(message)
            if answer is None:
                worker.ready = self._begun = True
                self._false_starts = 0
                continue
            i, worker.item = worker.item, None
            assert i is not None
            return i, answer

    def _listen(self) -> tuple[_Worker, bytes | None]:
        """What is heard next, while those that have fallen silent are ended."""
        while True:
            began = time.monotonic()
            with suppress(queue.Empty):
                worker, message = self._heard.get(timeout=_BEAT)
                worker.silent, worker.spent = 0.0, None
                self._watch(began)
                return worker, message
            self._watch(began)

    def _watch(self, began: float) -> None:
        # where this process, or the machine, was itself stopped, its workers were not silent
        seconds = min(time.monotonic() - began, 2 * _BEAT)
        for worker in self._workers:
            if worker.item is not None and not worker.ended and worker.is_frozen(seconds):
                worker.kill()

    def _fewer(self, died: Died) -> None:
        """One that could not even begin, perhaps for want of memory, is not replaced while there
        are others."""
        if not died.before:
            return
        self._false_starts += 1
        self._most -= 1
        if self._most or (self._begun and self._false_starts < _FALSE_STARTS):
            self._most = max(self._most, 1)
            return
        raise ChildProcessError(
            f"no worker could begin: the last one ended before it had anything to do "
            f"({died.how}); see what it printed, or do everything in this process (--workers "
            "1)."
        )

    def end(self, *, at_once: bool) -> None:
        """Tells idle workers to end, and others by SIGTERM, on which a fit saves; those that are
        slow to end are killed."""
        try:
            for worker in self._workers:
                worker.send(_EMPTY)
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
    one_at_a_time = threading.Lock()

    def say(message: bytes) -> None:
        with one_at_a_time:
            pipe.send_bytes(message)

    def beat() -> None:
        with suppress(OSError):
            while True:
                say(_EMPTY)
                time.sleep(_BEAT)

    for life in (_end_with_parent, beat):
        threading.Thread(target=life, daemon=True).start()
    os.environ.update(ALONE)
    # the pipe is closed, or the wish to end has come in the middle of a fit
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        letter = cloudpickle.loads(pipe.recv_bytes())
        take_settings(letter.settings)
        call = cloudpickle.loads(letter.call)
        say(cloudpickle.dumps(None))
        while (item := pipe.recv_bytes()) != _EMPTY:
            say(answer(call, item))


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
