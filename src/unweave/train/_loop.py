r"""The one training loop, over any stepper.

Many steps run inside one compiled call. What a step does depends on its number alone (its key
is folded from it, its rows are those of a permutation folded from the epoch's), so a run that
was interrupted and resumed ends in the same bits as one that was not.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from .._keys import split_on_host
from .._model import AbstractSampler, Key
from .._programs import as_arguments, without_arguments
from .._rows import evenly
from ._feed import AbstractFeed, Call, InMemory, on_device
from ._health import Monitor
from ._log import Log, Row
from ._objectives import Rows
from ._placement import Placement, placement
from ._recipe import Budget, Plan, stepper_of
from ._steppers import AbstractStepper, State, for_program

# how long one call should last: the bar moves, and a signal is answered
_CALL_SECONDS = 0.4
# held-out observations that are looked at after each epoch
_MOST_HELD_OUT = 512


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
    rows: Sequence[Row]
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
    """Data, plan and key bound together; `start` makes a `Progress`, `run` carries it on.

    `train` are rows, or a feed that reads them as they are needed; `on`, the devices that share
    a batch. With many processes each calls `run` alike: the first tells and saves, and what it
    finds (how long a call took, whether to stop, the held-out loss) is what all go by.
    """

    def __init__(
        self,
        model: eqx.Module,
        train: Rows | AbstractFeed,
        held_out: Rows,
        plan: Plan,
        *,
        sample: Rows | None = None,
        on: Placement | None = None,
        key: Key,
    ):
        self.plan = plan
        self.feed = train if isinstance(train, AbstractFeed) else InMemory(train)
        self.on = placement() if on is None else on
        self.size = self.feed.size
        self.batch = min(plan.batch, self.size)
        self.on.check(self.batch)
        self.per_epoch = self.size // self.batch
        self.epochs = max(plan.epochs, -(-plan.least_steps // self.per_epoch))
        self.total = self.per_epoch * self.epochs
        self.stepper = stepper_of(plan.stepper, Budget(self.size, self.total))
        some = evenly(_count(held_out), _MOST_HELD_OUT)
        self.held_out = on_device(jax.tree.map(lambda part: part[some], held_out))
        self.model = model
        self.init_key, order_key, self.step_key, self.judge_key = split_on_host(key, 4)
        self.monitor = None
        seen = train if sample is None and not isinstance(train, AbstractFeed) else sample
        if plan.looks and isinstance(model, AbstractSampler) and seen is not None and self.on.first:
            self.monitor = Monitor(seen, held_out, self.judge_key)
        # the order of the rows is settled on the host, where nothing has to be compiled
        order = np.asarray(jax.random.key_data(order_key)).tolist()
        self.feed.begin(order, self.batch, self.on)
        # how many steps the next call takes: found out as it goes, and no matter to the result
        self.count = 8

    def start(self) -> Progress:
        """The state before the first step."""
        state = self.stepper.init(self.model, key=self.init_key)
        some = jax.tree.map(lambda part: np.resize(part, (self.batch, *part.shape[1:])),
                            self.held_out)  # fmt: skip
        _, metrics = eqx.filter_eval_shape(self.stepper.step, state, some, self.step_key)
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
        now, (fed, most) = self._spread_out(self.start()), self.feed.call(0, 0, self.per_epoch)
        began = time.monotonic()
        held_out = self.stepper, self.on.here(now.state), self.held_out, self.judge_key
        given = self._given(now, fed, 1)
        with self.on.known():
            call = _compiled(_steps, *given)
        judge = _compiled(_evaluate, *held_out)
        compiling, count = time.monotonic() - began, 1
        memory = call.compiled.memory_analysis()
        while True:
            given = self._given(now, fed, count)
            step = _seconds(lambda now=given: call(*now)) / count
            if step * count >= least or count == most:
                break
            count = min(4 * count, most)
        look = _seconds(lambda: judge(*held_out))
        self.feed.end()
        parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
        return Trial(compiling, step, look, sum(getattr(memory, part) for part in parts))

    def run(self, progress: Progress, rows: Iterable[Row], watch: Watch) -> Trained:
        """Trains to the end of the plan, or until patience runs out.

        `rows` is the log so far; it grows by one row an epoch. Raises `TrainingFailed` when the
        loss is not finite, `Interrupted` when `watch.stop()` says so.
        """
        log, saved = Log(rows), time.monotonic()
        progress = self._spread_out(progress)
        try:
            while progress.epoch < self.epochs and not self._patience_is_over(progress):
                for now in self._epoch(progress, watch):
                    progress = now
                    stop, due = self._agreed(watch, saved)
                    if stop:
                        self._save(progress, watch)
                        raise Interrupted(f"stopped in epoch {progress.epoch + 1}")
                    if due:
                        self._save(progress, watch)
                        saved = time.monotonic()
                progress, row = self._judge(progress)
                row |= self._look(progress, watch)
                log.append(row)
                if self.on.first:
                    watch.row(row)
        finally:
            self.feed.end()
        self._save(progress, watch)
        return Trained(self._model(self._kept(progress)), log, progress.epoch, self._why(progress))

    def _spread_out(self, progress: Progress) -> Progress:
        """The same progress on all devices, as a compiled program takes it."""
        self._like, put = progress, self.on.everywhere
        state, best = for_program(progress.state), as_arguments(progress.best)
        return replace(progress, state=put(state), best=put(best), sums=put(progress.sums))

    def _gathered(self, progress: Progress) -> Progress:
        """The way back: on a device of this process, as it is kept."""
        here = self.on.here
        state = without_arguments(here(progress.state), self._like.state)
        return replace(progress, state=state, best=self._model(progress.best),
                       sums=here(progress.sums))  # fmt: skip

    def _model(self, model: eqx.Module) -> eqx.Module:
        """A model as it is kept."""
        return without_arguments(self.on.here(model), self._like.best)

    def _given(self, progress: Progress, fed: Call, count: int) -> tuple[Any, ...]:
        """What the compiled loop takes."""
        number, key = self.on.everywhere((np.asarray(count, np.int32), self.step_key))
        return (self.stepper, progress.state, progress.sums, fed.data, fed.rows, number, key,
                self.on)  # fmt: skip

    def _epoch(self, progress: Progress, watch: Watch) -> Iterator[Progress]:
        """The calls of one epoch, each followed by the progress it made."""
        while progress.taken < self.per_epoch:
            fed, count = self.feed.call(progress.epoch, progress.taken, self.count)
            began = time.monotonic()
            with self.on.known():
                state, sums, bad = _steps(*self._given(progress, fed, count))
            self._check(int(bad), progress)
            progress = replace(progress, state=state, sums=sums, taken=progress.taken + count)
            self._seconds = max(time.monotonic() - began, 1e-6), count
            done = progress.epoch * self.per_epoch + progress.taken
            if self.on.first:
                watch.tick(done, self.total, _means(self.on.here(sums), progress.taken))
            yield progress

    def _agreed(self, watch: Watch, saved: float) -> tuple[bool, bool]:
        """Whether to stop and whether to save; and how many steps the next call takes."""
        due = time.monotonic() - saved > watch.every
        seconds, count = self._seconds
        said = np.asarray([float(watch.stop()), float(due), seconds])
        said = self.on.agreed(said)
        # any of them may be asked to stop; the clock is the first one's
        self.count = max(1, int(count * min(_CALL_SECONDS / said[0, 2], 8.0)))
        return bool(said[:, 0].any()), bool(said[0, 1])

    def _save(self, progress: Progress, watch: Watch) -> None:
        if self.on.first:
            watch.save(self._gathered(progress))

    def _check(self, bad: int, before: Progress) -> None:
        if bad < 0:
            return
        # the last update of a call has not been judged by a loss yet
        unjudged = bad == int(before.state.step) + 1
        good = before.best if unjudged else before.state.model
        raise TrainingFailed(self._what_failed(f"at step {bad}", bad), self._model(good))

    def _judge(self, progress: Progress) -> tuple[Progress, Row]:
        """Ends an epoch: the held-out loss, the best model so far, one row of the log."""
        state = self.on.here(progress.state)
        judged = jax.device_get(_evaluate(self.stepper, state, self.held_out, self.judge_key))
        names = sorted(judged)
        said = self.on.agreed(np.asarray([float(judged[name]) for name in names]))[0]
        judged = dict(zip(names, said.tolist(), strict=True))
        epoch, loss = progress.epoch + 1, judged["loss"]
        if not math.isfinite(loss):
            what = self._what_failed("on held-out data", epoch * self.per_epoch)
            raise TrainingFailed(what, self._model(progress.best))
        row = {"epoch": epoch, "step": epoch * self.per_epoch}
        sums = self.on.here(progress.sums)
        row |= {f"train_{k}": v for k, v in _means(sums, self.per_epoch).items()}
        row |= {f"held_out_{k}": v for k, v in judged.items()}
        if loss < progress.best_loss:
            best = progress.state.model
            progress = replace(progress, best=best, best_loss=loss, best_epoch=epoch)
        sums = self.on.everywhere(_zeros(progress.sums))
        return replace(progress, epoch=epoch, taken=0, sums=sums), row

    def _look(self, progress: Progress, watch: Watch) -> Row:
        """What the monitor sees, in the epochs in which it looks; and a picture in some."""
        if self.monitor is None:
            return {}
        looks = self.monitor.can_tell and self._is_time(progress.epoch, self.plan.looks)
        shows = self._is_time(progress.epoch, self.plan.pictures)
        if not looks and not shows:
            return {}
        model = self.on.here(progress.state.model)
        drawn = self.monitor.draw(model)
        if shows:
            watch.seen(progress.epoch, drawn)
        if not looks:
            return {}
        look = self.monitor.look(model, drawn)
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
    rows: Int[Array, "most batch"] | None,
    count: Int[Array, ""],
    key: Key,
    on: Placement,
) -> tuple[State, dict[str, Array], Int[Array, ""]]:
    """`count` steps in one compiled loop; also the first step whose loss was not finite."""
    arrays, static = eqx.partition(state, eqx.is_array)

    def body(i: Array, carry: tuple) -> tuple:
        arrays, sums, bad = carry
        state = eqx.combine(arrays, static)
        key_now = jax.random.fold_in(key, state.step)
        state, metrics = stepper.step(state, _take(data, i if rows is None else rows[i]), key_now)
        sums = {name: sums[name] + metrics[name] for name in sums}
        bad = jnp.where((bad < 0) & ~jnp.isfinite(metrics["loss"]), state.step, bad)
        return on.hold((eqx.filter(state, eqx.is_array), sums, bad))

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


def _take(rows: Rows, which: Array) -> Rows:
    return jax.tree.map(lambda part: part[which], rows)


def _count(rows: Rows) -> int:
    return len(jax.tree.leaves(rows)[0])
