"""What a run that is killed and resumed ends in: counts, and exit code 1 if any run differs.

python bench/faults_run.py --runs 100

One run is left alone; every other is killed by SIGKILL at a random instant, uniform over the
time that it takes, and resumed, sometimes to be killed again. Its model file and its log must
equal those of the first to the byte. Processes are forked once unweave is imported and
before JAX has started, so that a run does not wait for its imports.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable

import unweave.cli._verbs  # noqa: F401, what a verb needs is imported before the first fork
from unweave._tensors import ModelFileError, read_tensors
from unweave.cli import main as unweave_main

ARGUMENTS = (
    "vae", "heartbeats", "--samples", "32", "--latents", "4", "--widths", "32", "--batch", "32",
    "--checkpoint-every", "0.05", "--quiet", "--no-report",
)  # fmt: skip
COMPARED = ("model.safetensors", "metrics.jsonl")
#: A resumed run is killed again this often.
AGAIN = 0.3
#: Instants are drawn from this many times the time of a run, and those past its end drawn
#: again: so they are uniform over a run on a machine that has become slower as well.
REACH = 1.5


def main(arguments: list[str] | None = None) -> int:
    """Runs, kills, resumes, compares."""
    parser = argparse.ArgumentParser(description="Kills runs, resumes them, compares.")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true", help="write the counts into FAULTS.md")
    options = parser.parse_args(arguments)
    settings = [*ARGUMENTS, "--epochs", str(options.epochs), "--patience", str(options.epochs)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.environ["UNWEAVE_CACHE"] = str(folder / "cache")
        seconds = uninterrupted(settings, folder)
        print(f"a run takes {seconds:.1f} s", flush=True)
        runs = range(options.runs)
        shares = [runs[worker :: options.jobs] for worker in range(options.jobs)]
        counts = Counter()
        for part in in_parallel(lambda n: kill_all(settings, folder, n, seconds, options.seed),
                                shares, folder):  # fmt: skip
            counts += Counter(part)
    told = (
        f"{options.runs} runs, {counts['kills']} kills: {counts['unbegun']} before run.toml, "
        f"{counts['unsaved']} before the first checkpoint, {counts['resumed']} resumed from a "
        f"checkpoint, of which {counts['unreadable']} could not be read and {counts['older']} were "
        f"older than one before; final model and log: {counts['equal']} byte-equal, "
        f"{counts['differing']} differing ({time.monotonic() - began:.0f} s)"
    )
    if options.page:
        from faults_keep import keep  # and with it JAX, which no fork of this process may share

        keep("run", [told])
    else:
        print(told)
    return 1 if counts["differing"] + counts["unreadable"] + counts["older"] else 0


def uninterrupted(settings: list[str], folder: pathlib.Path) -> float:
    """Leaves `folder / "whole"`, and gives the seconds that it took."""
    seconds = 0.0
    # the first compiles, the second takes as long as those that are killed
    for run in (folder / "compiling", folder / "whole"):
        began = time.monotonic()
        finish(start(settings, run, folder / "log"), folder / "log")
        seconds = time.monotonic() - began
    if compared(folder / "compiling") != compared(folder / "whole"):
        raise RuntimeError("two uninterrupted runs differ from each other")
    return seconds


def in_parallel(
    work: Callable[[range], Counter], shares: list[range], folder: pathlib.Path
) -> list[dict[str, int]]:
    """What `work` counts on each share, each in a fork of this process."""
    workers = {}
    for share in shares:
        result = folder / f"counts {share.start}.json"
        if worker := os.fork():
            workers[worker] = result
            continue
        status = 1
        try:
            result.write_text(json.dumps(work(share)))
            status = 0
        finally:
            os._exit(status)
    for worker in workers:
        os.waitpid(worker, 0)
    return [json.loads(result.read_text()) for result in workers.values()]


def kill_all(
    settings: list[str], folder: pathlib.Path, numbers: range, seconds: float, seed: int
) -> Counter:
    """Runs of these numbers, each killed, resumed and compared."""
    counts = Counter()
    bits = compared(folder / "whole")
    for number in numbers:
        run = folder / f"run {number}"
        kill_and_resume(
            settings, run, run.with_suffix(".log"), seconds, random.Random(f"{seed} {number}"),
            counts,
        )  # fmt: skip
        if compared(run) == bits:
            counts["equal"] += 1
        else:
            counts["differing"] += 1
            kept = shutil.copytree(run, f"differing-{number}", dirs_exist_ok=True)
            print(f"run {number} differs and is kept in {kept}", flush=True)
        shutil.rmtree(run)
    return counts


def kill_and_resume(
    settings: list[str],
    run: pathlib.Path,
    log: pathlib.Path,
    seconds: float,
    rng: random.Random,
    counts: Counter,
) -> None:
    """One run to its end, killed once or more often on the way."""
    kills, reached = 0, -1
    process = start(settings, run, log)
    while kills == 0 or rng.random() < AGAIN:
        if not killed(process, rng.uniform(0, REACH * seconds), log):
            if kills:
                counts["kills"] += kills
                return
            # it was faster than the kill: another draw
            shutil.rmtree(run)
            process = start(settings, run, log)
            continue
        kills += 1
        begun = (run / "run.toml").exists()
        if not begun:
            counts["unbegun"] += 1
            refused(settings, run, log)
        elif (run / "checkpoint.safetensors").exists():
            counts["resumed"] += 1
            epoch = epoch_of(run)
            counts["unreadable"] += epoch is None
            counts["older"] += epoch is not None and epoch < reached
            reached = reached if epoch is None else epoch
        else:
            counts["unsaved"] += 1
        process = start(settings, run, log, resume=begun)
    counts["kills"] += kills
    finish(process, log)


def epoch_of(run: pathlib.Path) -> int | None:
    """The epoch of the checkpoint; None where it cannot be read."""
    try:
        tensors, _ = read_tensors(run / "checkpoint.safetensors")
    except ModelFileError:
        return None
    return int(tensors[".epoch"])


def start(
    settings: list[str], run: pathlib.Path, log: pathlib.Path, *, resume: bool = False
) -> int:
    """Begins `unweave fit` in a process of its own and returns its id."""
    where = ["--resume" if resume else "--out", str(run)]
    process = os.fork()
    if process:
        return process
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    status = 1
    try:
        status = unweave_main(["fit", *settings, *where])
    finally:
        os._exit(status)


def killed(process: int, after: float, log: pathlib.Path) -> bool:
    """Kills the process `after` so many seconds; False if it had succeeded before."""
    end = time.monotonic() + after
    while (left := end - time.monotonic()) > 0:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            expect_success(status, log)
            return False
        time.sleep(min(left, 0.01))
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        return True
    expect_success(status, log)
    return False


def finish(process: int, log: pathlib.Path) -> None:
    """Waits for a run that must succeed."""
    _, status = os.waitpid(process, 0)
    expect_success(status, log)


def expect_success(status: int, log: pathlib.Path) -> None:
    if status:
        raise RuntimeError(f"unweave ended with status {status}:\n{log.read_text()}")


def refused(settings: list[str], run: pathlib.Path, log: pathlib.Path) -> None:
    """A run that was killed before it wrote its settings cannot go on, and says so."""
    _, status = os.waitpid(start(settings, run, log, resume=True), 0)
    words = log.read_text().splitlines()
    if os.waitstatus_to_exitcode(status) != 2 or len(words) != 1:
        raise RuntimeError(f"a run without settings was resumed: {words}")


def compared(run: pathlib.Path) -> list[bytes]:
    """The files that must not depend on interruptions."""
    return [(run / name).read_bytes() for name in COMPARED]


if __name__ == "__main__":
    sys.exit(main())
