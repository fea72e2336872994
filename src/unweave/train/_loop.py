r"""The one training loop, over any stepper.

Many steps run inside one compiled call. What a step does depends on its number alone (its key
is folded from it, its rows are those of a permutation folded from the epoch's), so a run that
was interrupted and resumed ends in the same bits as one that was not.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Num

from .._keys import split_on_host
from .._model import AbstractSampler, Key
from .._rows import evenly
from ._health import Monitor
from ._objectives import Rows
from ._recipe import Budget, Plan
from ._steppers import AbstractStepper, State

# rows of one compiled call: enough that its start costs nothing, few enough to stop soon
_MOST_STEPS = 512
# how long one call should last: the bar moves, and a signal is answered
_CALL_SECONDS = 0.4
# held-out observations that are looked at after each epoch
_MOST_HELD_OUT = 512


#: One line of the log: the epoch and its numbers.
Row: TypeAlias = dict[str, float | int]


class Progress(eqx.Module):
    """Everything that training carries: a checkpoint is this and nothing else."""

    state: State
    best: Any
    best_loss: float
    best_epoch: int
    epoch: int
    taken: int
    sums: dict[str, Array]


class Trained(NamedTuple):
    """The model that is kept, the log, and why training ended."""

    model: eqx.Module
    rows: list[Row]
    epochs: int
    stopped: str


class TrainingFailed(ValueError):
    """The loss was not finite. `model` is the last good one."""

    def __init__(self, message: str, model: eqx.Module):
        super().__init__(message)
        self.model = model


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop and has saved what it had."""


class Watch(NamedTuple):
    """What the loop tells the outside: all optional, none changes the result.

    `tick(steps done, steps in all, latest metrics)` after each compiled call; `row(metrics)`
    after each epoch; `seen(epoch, observations that the model generated)` after those whose picture
    is kept; `save(progress)` when a checkpoint is due; `stop()` says whether to end now.
    """

    tick: Callable[[int, int, Row], None] = lambda done, total, metrics: None
    row: Callable[[Row], None] = lambda metrics: None
    seen: Callable[[int, np.ndarray], None] = lambda epoch, observations: None
    save: Callable[[Progress], None] = lambda progress: None
    stop: Callable[[], bool] = lambda: False
    every: float = 60.0


class Trial(NamedTuple):
    """What training takes, tried out: seconds to compile, of a step and of a look at held-out
    data, and the bytes that a call takes, its data included."""

    compiling: float
    step: float
    look: float
    bytes: int


class Trainer:
    """Data, plan and key bound together; `start` makes a `Progress`, `run` carries it on."""

    def __init__(
        self,
        model: eqx.Module,
        train: Rows,
        held_out: Rows,
        plan: Plan,
        *,
        key: Key,
    ):
        self.plan = plan
        self.size = _count(train)
        self.batch = min(plan.batch, self.size)
        self.per_epoch = self.size // self.batch
        self.epochs = max(plan.epochs, -(-plan.least_steps // self.per_epoch))
        self.total = self.per_epoch * self.epochs
        self.stepper = plan.stepper(Budget(self.size, self.total))
        self.data = _on_device(train)
        count = _count(held_out)
        some = evenly(count, _MOST_HELD_OUT)
        self.held_out = _on_device(jax.tree.map(lambda part: part[some], held_out))
        self.model = model
        self.init_key, order_key, self.step_key, self.judge_key = split_on_host(key, 4)
        self.monitor = None
        if plan.looks and isinstance(model, AbstractSampler):
            self.monitor = Monitor(train, held_out, self.judge_key)
        # the order of the rows is settled on the host, where nothing has to be compiled
        self.order = np.asarray(jax.random.key_data(order_key)).tolist()
        # how many steps the next call takes: found out as it goes, and no matter to the result
        self.count = 8

    def start(self) -> Progress:
        """The state before the first step."""
        state = self.stepper.init(self.model, key=self.init_key)
        one = jax.eval_shape(lambda: _take(self.data, slice(self.batch)))
        _, metrics = eqx.filter_eval_shape(self.stepper.step, state, one, self.step_key)
        return Progress(
            state=state,
            best=state.model,
            best_loss=math.inf,
            best_epoch=0,
            epoch=0,
            taken=0,
            sums=_zeros(sorted(metrics)),
        )

    def trial(self, *, least: float = 0.3) -> Trial:
        """Compiles, and takes steps for `least` seconds, whose result is thrown away."""
        now = self.start()
        rows = jnp.asarray(np.arange(_MOST_STEPS * self.batch).reshape(_MOST_STEPS, -1) % self.size)
        given = self.stepper, now.state, now.sums, self.data, rows.astype(jnp.int32)
        began = time.monotonic()
        held_out = self.stepper, now.state, self.held_out, self.judge_key
        call = _compiled(_steps, *given, jnp.asarray(1), self.step_key)
        judge = _compiled(_evaluate, *held_out)
        compiling, count = time.monotonic() - began, 1
        memory = call.compiled.memory_analysis()
        while True:
            step = _seconds(lambda n=count: call(*given, jnp.asarray(n), self.step_key)) / count
            if step * count >= least or count == _MOST_STEPS:
                break
            count = min(4 * count, _MOST_STEPS)
        look = _seconds(lambda: judge(*held_out))
        parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
        return Trial(compiling, step, look, sum(getattr(memory, part) for part in parts))

    def run(self, progress: Progress, rows: list[Row], watch: Watch) -> Trained:
        """Trains to the end of the plan, or until patience runs out.

        `rows` is the log so far; it grows by one row an epoch. Raises `TrainingFailed` when the
        loss is not finite, `Interrupted` when `watch.stop()` says so.
        """
        rows, saved = list(rows), time.monotonic()
        while progress.epoch < self.epochs and not self._patience_is_over(progress):
            for now in self._epoch(progress, watch):
                progress = now
                if watch.stop():
                    watch.save(progress)
                    raise Interrupted(f"stopped in epoch {progress.epoch + 1}")
                if time.monotonic() - saved > watch.every:
                    watch.save(progress)
                    saved = time.monotonic()
            progress, row = self._judge(progress)
            row |= self._look(progress, watch)
            rows.append(row)
            watch.row(row)
        watch.save(progress)
        return Trained(self._kept(progress), rows, progress.epoch, self._why(progress))

    def _epoch(self, progress: Progress, watch: Watch) -> Iterator[Progress]:
        """The calls of one epoch, each followed by the progress it made."""
        order = np.random.default_rng([*self.order, progress.epoch]).permutation(self.size)
        while progress.taken < self.per_epoch:
            count = min(self.count, _MOST_STEPS, self.per_epoch - progress.taken)
            first = progress.taken * self.batch
            rows = np.zeros((_MOST_STEPS, self.batch), np.int32)
            rows[:count] = order[first : first + count * self.batch].reshape(count, self.batch)
            began = time.monotonic()
            state, sums, bad = _steps(
                self.stepper,
                progress.state,
                progress.sums,
                self.data,
                jnp.asarray(rows),
                jnp.asarray(count),
                self.step_key,
            )
            self._check(int(bad), progress)
            progress = replace(progress, state=state, sums=sums, taken=progress.taken + count)
            seconds = max(time.monotonic() - began, 1e-6)
            done = progress.epoch * self.per_epoch + progress.taken
            watch.tick(done, self.total, _means(sums, progress.taken))
            yield progress
            self.count = max(1, int(count * min(_CALL_SECONDS / seconds, 8.0)))

    def _check(self, bad: int, before: Progress) -> None:
        if bad < 0:
            return
        # the last update of a call has not been judged by a loss yet
        unjudged = bad == int(before.state.step) + 1
        good = before.best if unjudged else before.state.model
        raise TrainingFailed(self._what_failed(f"at step {bad}", bad), good)

    def _judge(self, progress: Progress) -> tuple[Progress, Row]:
        """Ends an epoch: the held-out loss, the best model so far, one row of the log."""
        judged = jax.device_get(
            _evaluate(self.stepper, progress.state, self.held_out, self.judge_key)
        )
        epoch, loss = progress.epoch + 1, float(judged["loss"])
        if not math.isfinite(loss):
            what = self._what_failed("on held-out data", epoch * self.per_epoch)
            raise TrainingFailed(what, progress.best)
        row = {"epoch": epoch, "step": epoch * self.per_epoch}
        row |= {f"train_{k}": v for k, v in _means(progress.sums, self.per_epoch).items()}
        row |= {f"held_out_{k}": float(v) for k, v in sorted(judged.items())}
        if loss < progress.best_loss:
            best = progress.state.model
            progress = replace(progress, best=best, best_loss=loss, best_epoch=epoch)
        return replace(progress, epoch=epoch, taken=0, sums=_zeros(progress.sums)), row

    def _look(self, progress: Progress, watch: Watch) -> Row:
        """What the monitor sees, in the epochs in which it looks; and a picture in some."""
        if self.monitor is None:
            return {}
        looks = self.monitor.can_tell and self._is_time(progress.epoch, self.plan.looks)
        shows = self._is_time(progress.epoch, self.plan.pictures)
        if not looks and not shows:
            return {}
        drawn = self.monitor.draw(progress.state.model)
        if shows:
            watch.seen(progress.epoch, drawn)
        if not looks:
            return {}
        look = self.monitor.look(progress.state.model, drawn)
        return {f"look_{name}": value for name, value in look._asdict().items()}

    def _is_time(self, epoch: int, times: int) -> bool:
        """Whether `epoch` is one of so many, evenly over all, the last among them."""
        if not times:
            return False
        return epoch * times // self.epochs > (epoch - 1) * times // self.epochs

    def _patience_is_over(self, progress: Progress) -> bool:
        waited = progress.epoch - progress.best_epoch
        return self.plan.patience is not None and waited >= self.plan.patience

    def _kept(self, progress: Progress) -> eqx.Module:
        keep_best = self.plan.patience is not None and progress.best_epoch > 0
        return progress.best if keep_best else progress.state.model

    def _why(self, progress: Progress) -> str:
        epoch, best = progress.epoch, progress.best_epoch
        if self.plan.patience is None:
            return f"all {epoch} epochs were run; the last model is kept"
        if epoch < self.epochs:
            return (
                f"the held-out loss has not fallen since epoch {best}, so training stopped after "
                f"{epoch} of at most {self.epochs} epochs; the model of epoch {best} is kept"
            )
        return f"all {epoch} epochs were run; the model of epoch {best}, the best, is kept"

    def _what_failed(self, where: str, step: int) -> str:
        epoch = (step - 1) // self.per_epoch + 1
        return (
            f"the loss was not finite {where} (epoch {epoch}); the last good model is kept. Try a "
            "learning rate ten times smaller, or look for extreme values in the data."
        )


@eqx.filter_jit
def _steps(
    stepper: AbstractStepper,
    state: State,
    sums: dict[str, Array],
    data: Rows,
    rows: Int[Array, "most batch"],
    count: Int[Array, ""],
    key: Key,
) -> tuple[State, dict[str, Array], Int[Array, ""]]:
    """`count` steps in one compiled loop; also the first step whose loss was not finite."""
    arrays, static = eqx.partition(state, eqx.is_array)

    def body(i: Array, carry: tuple) -> tuple:
        arrays, sums, bad = carry
        state = eqx.combine(arrays, static)
        key_now = jax.random.fold_in(key, state.step)
        state, metrics = stepper.step(state, _take(data, rows[i]), key_now)
        sums = {name: sums[name] + metrics[name] for name in sums}
        bad = jnp.where((bad < 0) & ~jnp.isfinite(metrics["loss"]), state.step, bad)
        return eqx.filter(state, eqx.is_array), sums, bad

    carry = (arrays, sums, jnp.asarray(-1))
    arrays, sums, bad = jax.lax.fori_loop(0, count, body, carry)
    return eqx.combine(arrays, static), sums, bad


@eqx.filter_jit
def _evaluate(stepper: AbstractStepper, state: State, x: Rows, key: Key) -> dict[str, Array]:
    return stepper.evaluate(state, x, key)


def _compiled(program: Any, *args: Any) -> Any:
    return program.lower(*args).compile()


def _seconds(call: Callable[[], Any]) -> float:
    """Of the second of two calls."""
    jax.block_until_ready(jax.tree.leaves(eqx.filter(call(), eqx.is_array)))
    began = time.monotonic()
    jax.block_until_ready(jax.tree.leaves(eqx.filter(call(), eqx.is_array)))
    return time.monotonic() - began


def _means(sums: dict[str, Array], count: int) -> Row:
    return {name: float(value) / count for name, value in sorted(sums.items())}


def _zeros(names: Iterable[str]) -> dict[str, Array]:
    # through NumPy: jnp.zeros would be one more program to compile
    return {name: jnp.asarray(np.zeros((), np.float32)) for name in names}


def _on_device(rows: Rows) -> Rows:
    # networks train in float32; integers stay small, and become real one batch at a time
    def put(part: np.ndarray) -> Num[Array, "n ..."]:
        return jnp.asarray(part.astype(np.float32) if part.dtype.kind == "f" else part)

    return jax.tree.map(put, rows)


def _take(rows: Rows, which: Array | slice) -> Rows:
    return jax.tree.map(lambda part: part[which], rows)


def _count(rows: Rows) -> int:
    return len(jax.tree.leaves(rows)[0])
