"""Workers of a Ray cluster."""

import importlib
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

import cloudpickle

from ._places import OnRay
from ._ray_signs import Watch, heard
from ._workers import ALONE, AbstractWorkers, Answer, Died, Letter, answer, take_settings

# seconds in which a cluster must answer
_KNOCK = 10.0


class RayTasks(AbstractWorkers):
    """Tasks of Ray, one for each item."""

    def __init__(self, letter: Letter, on: OnRay):
        self._ray, self._own = ray, _ = connected(on)
        # a convolution's gradient has other bits with another number of XLA's threads
        cores = os.environ.get("NPROC", str(_cores()))
        self._task = ray.remote(
            num_cpus=1, max_retries=0, runtime_env={"env_vars": {**ALONE, "NPROC": cores}}
        )(_far)
        self._letter, self._folder = ray.put(letter), os.getcwd()
        self._most = on.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._given: dict[Any, int] = {}
        self._watch, self._count = Watch(ray), 0

    @property
    def free(self) -> bool:
        """Whether another may be given."""
        return len(self._given) < self._most

    def give(self, i: int, item: bytes) -> None:
        """Ray finds who does it."""
        self._count += 1
        task = self._task.remote(
            self._letter, item, self._folder, self._watch.heard, str(self._count)
        )
        self._given[task] = i

    def take(self) -> tuple[int, Answer]:
        """From whichever is the first."""
        reference = self._watch.wait(list(self._given))
        i = self._given.pop(reference)
        try:
            return i, cloudpickle.loads(self._ray.get(reference))
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:
            # an answer that was on a machine when that was lost is lost with it
            lost = self._ray.exceptions.NodeDiedError, self._ray.exceptions.ObjectLostError
            return i, Died(type(error).__name__, machine=isinstance(error, lost))

    def end(self, *, at_once: bool) -> None:
        """Ends what was begun here, and the cluster where it was."""
        if at_once:
            for reference in self._given:
                self._ray.cancel(reference, force=True)
        if self._own:
            self._ray.shutdown()


def connected(on: OnRay) -> tuple[Any, bool]:
    """Ray's library, connected to a cluster; and whether this was done here, so that whoever asked
    is to end it by `shutdown`.

    **Raises:** `ValueError` where Ray is missing, or no cluster answers at the address.
    """
    ray = _library()
    if ray.is_initialized():
        return ray, False
    # what is started here tells nobody that it was
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # what somebody waits for is no work in the background, as which Ray begins it
    os.environ.setdefault("RAY_worker_niceness", "0")
    local = on.address is None and "RAY_ADDRESS" not in os.environ
    more = {"include_dashboard": False, "num_cpus": on.workers or _cores()} if local else {}
    _join(ray, on.address, more)
    return ray, True


def _far(letter: Letter, item: bytes, folder: str, by: Any, task: str) -> bytes:
    """What a worker of Ray does, in the folder that paths are seen from; the actor `by` hears that
    it lives."""
    os.chdir(folder)
    with heard(by, task):
        take_settings(letter.settings)
        return answer(cloudpickle.loads(letter.call), item)


def _join(ray: Any, address: str | None, more: Mapping[str, Any]) -> None:
    """Becomes a client of the cluster at `address` or in RAY_ADDRESS, or starts one here."""
    where = address or os.environ.get("RAY_ADDRESS")
    try:
        _knock(where)
        ray.init(address=address, log_to_driver=False, logging_level="error", **more)
    except (OSError, ImportError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())[:200]
        raise ConnectionError(
            f"no Ray cluster answers at {where or 'this machine'} ({why}); start one by 'ray start "
            "--head', and on every other machine of it by 'ray start --address=HOST:6379'; where "
            "it asks for a token set RAY_AUTH_MODE=token; from outside of the cluster give "
            "ray://HOST:10001, which needs: pip install 'ray[client]'."
        ) from error


def _knock(address: str | None) -> None:
    """Raises `OSError` where nobody listens, which Ray itself finds out after minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK).close()


def _library() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise ValueError("ray is not installed; get it by: pip install 'unweave[ray]'") from None


def _cores() -> int:
    """How many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
