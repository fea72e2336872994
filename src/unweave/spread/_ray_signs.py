"""Signs of life of tasks on a Ray cluster: Ray sees that a machine is lost, not that one of its
workers is stopped or hangs."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ._signs import spent

# seconds between two signs of life of a task, of silence after which it is looked at, and of a look
_BEAT, _SILENCE, _LOOK = 2.0, 30.0, 3.0


class Heard:
    """When each task was last heard of, and where it is; an actor of Ray."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[float, str, int]] = {}

    def beat(self, task: str, node: str, process: int) -> None:
        """The task lives."""
        self._tasks[task] = (time.monotonic(), node, process)

    def over(self, task: str) -> None:
        """The task has ended."""
        self._tasks.pop(task, None)

    def silent(self, seconds: float) -> list[tuple[str, int]]:
        """The node and the process of those that have said nothing for so long."""
        last = time.monotonic() - seconds
        return [(node, process) for at, node, process in self._tasks.values() if at < last]


class Watch:
    """Ends the processes of tasks that have fallen silent; that they have ended Ray tells."""

    def __init__(self, ray: Any):
        self._ray = ray
        self.heard = ray.remote(num_cpus=0)(Heard).remote()
        self._look = ray.remote(num_cpus=0, max_retries=0)(_end_if_still)
        self._asked: dict[tuple[str, int], float] = {}

    def wait(self, tasks: list[Any]) -> Any:
        """The task that ends first."""
        while True:
            done, _ = self._ray.wait(tasks, timeout=_BEAT)
            if done:
                return done[0]
            # an answer that does not come, or a node that has gone, is for Ray to tell
            with suppress(self._ray.exceptions.RayError):
                self._look_after(self._ray.get(self.heard.silent.remote(_SILENCE), timeout=_BEAT))

    def _look_after(self, silent: list[tuple[str, int]]) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        for node, process in silent:
            last = self._asked.get((node, process))
            if last is not None and time.monotonic() - last < _SILENCE / 2:
                continue
            self._asked[node, process] = time.monotonic()
            there = NodeAffinitySchedulingStrategy(node, soft=False)
            self._look.options(scheduling_strategy=there).remote(process, _LOOK)


@contextmanager
def heard(by: Any, task: str) -> Iterator[None]:
    """Within it, this process tells the actor `by` that its task lives."""
    import ray

    node, over = ray.get_runtime_context().get_node_id(), threading.Event()

    def beat() -> None:
        while True:
            by.beat.remote(task, node, os.getpid())
            if over.wait(_BEAT):
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        by.over.remote(task)


def _end_if_still(process: int, seconds: float) -> None:
    """Kills a process of this machine that has no time of the processor meanwhile: what holds
    Python's lock, such as a long call of a library in C, says nothing and yet works."""
    before = spent(process)
    time.sleep(seconds)
    if before is not None and spent(process) == before:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
