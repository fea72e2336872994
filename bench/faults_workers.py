"""What fits that are spread over processes lose with a worker: counts, and exit code 1 if any.

    python bench/faults_workers.py --workers 30 [--page]

Half of so many workers are killed (SIGKILL) and half frozen (SIGSTOP), each at a random moment of
an item. Every item must have its result, equal bit for bit to that of this process, and be told of
once. How long the only worker's freeze holds up its item is told.
"""

import argparse
import os
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time

os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# every fit is of the same programs: they are compiled once, and kept for all workers
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{tempfile.gettempdir()}/unweave-faults")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

from unweave.data import heartbeats, split_at_random
from unweave.recipes import vae
from unweave.run import fit
from unweave.spread import HERE, Lost, Place, Processes, spread

#: The longest that a frozen worker may hold up its item, in seconds.
LONGEST = 60.0


def fitted(seed: int, folder: pathlib.Path) -> bytes:
    """A small fit that says when it began, and in which process; the bytes of its model."""
    began = folder / f"{seed} {os.getpid()} {time.monotonic_ns()}"
    began.touch()
    data = split_at_random(heartbeats(60, samples=16))
    recipe = vae(latents=2, widths=(8,), epochs=3, batch=8)
    with tempfile.TemporaryDirectory() as out:
        fit(recipe, data, seed=seed, quiet=True, out=out)
        return (pathlib.Path(out) / "model.safetensors").read_bytes()


class Hunter(threading.Thread):
    """Strikes at workers in the middle of an item, at each item once at most."""

    def __init__(self, folder: pathlib.Path, most: int, within: float, seed: int):
        super().__init__(daemon=True)
        self.folder, self.most, self.within = folder, most, within
        self.rng = random.Random(seed)
        self.struck: dict[int, signal.Signals] = {}
        self.over = False

    def run(self) -> None:
        kinds = (signal.SIGKILL, signal.SIGSTOP)
        while not self.over and len(self.struck) < self.most:
            time.sleep(self.rng.uniform(0, self.within))
            for item, process, _ in begun(self.folder):
                if item in self.struck or (self.folder / f"done {item}").exists():
                    continue
                kind = kinds[len(self.struck) % 2]
                try:
                    os.kill(process, kind)
                except ProcessLookupError:
                    continue
                self.struck[item] = kind
                break


def begun(folder: pathlib.Path) -> list[tuple[int, int, float]]:
    """Which item began in which process, and when, the last first."""
    names = [file.name.split() for file in folder.glob("[0-9]* *")]
    return sorted(
        ((int(item), int(process), int(at) / 1e9) for item, process, at in names),
        key=lambda begin: -begin[2],
    )


def hunted(items: int, most: int, on: Place, seed: int, within: float) -> tuple[str, int]:
    """The counts in a sentence, and how many things went wrong."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        alone = spread(lambda item: fitted(item, folder), range(items), on=HERE)
    with tempfile.TemporaryDirectory() as name:
        folder, told = pathlib.Path(name), []

        def done(item: int, result: bytes | Lost) -> None:
            told.append(item)
            (folder / f"done {item}").touch()

        hunter = Hunter(folder, most, within, seed)
        began = time.monotonic()
        hunter.start()
        found = spread(lambda item: fitted(item, folder), range(items), on=on, done=done)
        hunter.over = True
        hunter.join()
        took = time.monotonic() - began
    lost = sum(isinstance(result, Lost) for result in found)
    equal = sum(a == b for a, b in zip(alone, found, strict=True))
    killed = sum(kind == signal.SIGKILL for kind in hunter.struck.values())
    frozen = len(hunter.struck) - killed
    once = sum(told.count(item) == 1 for item in range(items))
    sentence = (
        f"{items} fits in processes, of whose workers {killed} were killed and {frozen} "
        f"frozen in the middle of one: {equal} of {items} models byte-equal to those of one "
        f"process, {once} of {items} told of once, {lost} lost; all in {took:.0f} s"
    )
    return sentence, (items - equal) + (items - once) + lost + (killed + frozen < most)


def main(arguments: list[str] | None = None) -> int:
    """Strikes, counts, tells."""
    parser = argparse.ArgumentParser(description="Kills and freezes workers, and counts.")
    parser.add_argument("--workers", type=int, default=30, help="how many are struck")
    parser.add_argument("--items", type=int, help="fits (so many and six more)")
    parser.add_argument("--within", type=float, default=1.0, help="seconds between two looks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true", help="write the counts into FAULTS.md")
    options = parser.parse_args(arguments)
    items = options.items or options.workers + 6
    told, bad = hunted(items, options.workers, Processes(3), options.seed, options.within)
    seconds, slow = alone_frozen()
    lines = [
        f"{told}.", "",
        f"One worker alone, frozen in the middle of its only item: the item began again after "
        f"{seconds:.0f} s.",
    ]  # fmt: skip
    if options.page:
        from faults_keep import keep

        keep("workers", lines)
    else:
        print("\n".join(lines))
    return 1 if bad + slow else 0


def alone_frozen() -> tuple[float, int]:
    """Seconds from the freeze of the only worker to its item's second beginning."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)

        def call(item: int) -> float:
            now = time.monotonic()
            first = folder / "first"
            if not first.exists():
                first.write_text(str(now))
                os.kill(os.getpid(), signal.SIGSTOP)
            return now - float(first.read_text())

        (seconds,) = spread(call, [0], on=Processes(1))
    if isinstance(seconds, Lost):
        return float("inf"), 1
    return seconds, int(seconds > LONGEST)


if __name__ == "__main__":
    sys.exit(main())
