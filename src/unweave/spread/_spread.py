"""The call: everything is done, wherever that is, and whoever dies of it."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import cloudpickle
import threadpoolctl

from ._places import HERE, Here, Place, Processes
from ._processes import Crew
from ._ray import RayTasks
from ._workers import AbstractWorkers, Died, Letter, Raised, Value, settings_here

# machines that may be lost under one item, for which it is not to blame
_MACHINES = 20

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Lost:
    """What there is of an item whose worker died, and the next one too; `sentence` says how."""

    sentence: str


def spread(
    call: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    on: Place = HERE,
    begun: Callable[[int], None] | None = None,
    done: Callable[[int, Result | Lost], None] | None = None,
) -> list[Result | Lost]:
    """`call` of every item, in the order of the items, the same bits wherever it runs.

    `call` reaches each worker once, so what all items share belongs into it; both are sent
    whole, closures too. Settings of JAX are those of this process, linear algebra has one thread,
    and a compiled program that one worker keeps serves all, where JAX keeps them.

    **Arguments:** `on`, where; `begun(i)` and `done(i, result)` are called here, as items begin
    and end in whatever order. A worker that is killed, or a process that gives no sign of life for
    30 s, costs its item only, which is tried once more, last of all; when that worker dies too the
    result is `Lost`. Where a whole machine of a cluster is lost its items are tried again, up to 20
    times.

    **Raises:** what `call` raises, with the workers ended, as they are on Ctrl-C;
    `ChildProcessError` where no worker could begin; `TypeError` for what cannot be sent to one;
    `ValueError` where Ray is missing, `ConnectionError` where no cluster answers.
    """
    tell = _Tell(begun or (lambda i: None), done or (lambda i, result: None))
    if isinstance(on, Here) or not items:
        return [_here(call, item, i, tell) for i, item in enumerate(items)]
    letter = Letter(_sent(call), settings_here())
    workers = Crew(letter, on.workers) if isinstance(on, Processes) else RayTasks(letter, on)
    try:
        results = _by(workers, items, tell)
    except BaseException:
        workers.end(at_once=True)
        raise
    workers.end(at_once=False)
    return results


@dataclass(frozen=True)
class _Tell(Generic[Result]):
    """Who hears of items that begin and end."""

    begun: Callable[[int], None]
    done: Callable[[int, Result | Lost], None]


def _here(call: Callable[[Item], Result], item: Item, i: int, tell: _Tell[Result]) -> Result:
    tell.begun(i)
    with threadpoolctl.threadpool_limits(1):
        result = call(item)
    tell.done(i, result)
    return result


def _sent(what: Any) -> bytes:
    """As it is sent to a worker."""
    try:
        return cloudpickle.dumps(what)
    except Exception as error:  # whatever it holds has its own words for this
        raise TypeError(
            f"a worker cannot be sent all that this needs ({' '.join(str(error).split())}); leave "
            "out what cannot be copied, such as an open file, or do everything in this process "
            "(--workers 1)."
        ) from error


def _by(workers: AbstractWorkers, items: Sequence[Any], tell: _Tell) -> list[Any]:
    waiting, results = deque(range(len(items))), {}
    dead: set[int] = set()
    machines: Counter[int] = Counter()
    while len(results) < len(items):
        while waiting and workers.free:
            i = waiting.popleft()
            tell.begun(i)
            workers.give(i, _sent(items[i]))
        i, answer = workers.take()
        match answer:
            case Raised(error):
                raise error
            case Died(before=True):
                waiting.appendleft(i)
                continue
            case Died(machine=True) if machines[i] < _MACHINES:
                machines[i] += 1
                waiting.append(i)
                continue
            case Died(how, machine=True):
                results[i] = Lost(
                    f"the machines that worked on this were lost {machines[i] + 1} times ({how}); "
                    "use machines that stay, or do it on this one (--workers 1)."
                )
            case Died() if i not in dead:
                # last, when fewer others want memory
                dead.add(i)
                waiting.append(i)
                continue
            case Died(how):
                results[i] = Lost(
                    f"the worker was killed while it worked on this, and so was the next ({how}); "
                    "where memory ran out, do fewer things at once (--workers 1)."
                )
            case Value(value):
                results[i] = value
        tell.done(i, results[i])
    return [results[i] for i in range(len(items))]
