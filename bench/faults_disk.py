"""What is left where a file cannot be written: counts, and exit code 1 if any is not as it should.

    python bench/faults_disk.py --each 20 [--page]

A run, a comparison, a page and a table are written while the disk is full, read-only, over its
quota or broken, from the n-th thing on that is done with a file of one kind: made, written (half
of it comes through), flushed or moved into place. The verb must end with status 2 and one sentence
that names the fault; every file must be as it was before or as it is without a fault; and once the
fault is gone the same command, or `--resume`, must end in the same bytes as without.
"""

import argparse
import builtins
import contextlib
import errno
import io
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator

os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import numpy as np

from unweave._tensors import read_tensors
from unweave.cli import main as unweave_main

FAULTS = {
    "disk full": errno.ENOSPC,
    "read-only": errno.EROFS,
    "quota": errno.EDQUOT,
    "I/O error": errno.EIO,
}
FIT = (
    "fit", "vae", "heartbeats", "--most", "60", "--samples", "16", "--latents", "2", "--widths",
    "8", "--batch", "8", "--epochs", "4", "--checkpoint-every", "0", "--quiet", "--json",
)  # fmt: skip
COMPARE = (
    "compare", "heartbeats", "vae:latents=2,widths=8,epochs=1", "--most", "60", "--samples", "16",
    "--seeds", "1", "--shares", "1", "--rows", "parameters", "--quiet", "--json",
)  # fmt: skip
_NEVER, _TRIES = "the fault did not come", 5
_REAL = "A file system that is really full"
#: What a path is, by the first of these words that is in it.
KINDS = {
    ".lock": "lock", ".holder": "lock", "run.toml": "run.toml", "metrics": "metrics.jsonl",
    "checkpoint": "checkpoint", "/samples/": "picture", "model.safe": "model",
    "examples": "examples", "result.json": "result", "report": "report page",
    "memory": "a cell's memory", "parts": "a cell's parts", "readings": "a cell's readings",
    "figures": "the card's figures", "card": "the card", "table": "table",
}  # fmt: skip


class Disk:
    """The writes under one folder, counted, and made to fail from one of them on."""

    def __init__(self, folder: pathlib.Path):
        self.folder = str(folder)
        self.counts: Counter[str] = Counter()
        self.kind, self.left, self.code, self.broken = "", 0, 0, False

    def arm(self, kind: str, left: int, code: int) -> None:
        """From the `left`-th thing on that is done with a file of that kind."""
        self.counts.clear()
        self.kind, self.left, self.code, self.broken = kind, left, code, False

    def fails(self, path: str) -> bool:
        """Whether what is about to be done fails."""
        kind = next((kind for word, kind in KINDS.items() if word in path), "folder")
        self.counts[kind] += 1
        if not self.code:
            return False
        # one sector that is broken, and everything where there is no room
        lasting = self.broken and self.code != errno.EIO
        hit = not self.broken and kind == self.kind and self.counts[kind] == self.left
        self.broken |= hit
        return hit or lasting

    def check(self, path: object) -> None:
        """Fails as the system does where it is given a path."""
        if self.within(path) and self.fails(str(path)):
            raise OSError(self.code, os.strerror(self.code), str(path))

    def within(self, path: object) -> bool:
        """Whether a path is under the folder."""
        return isinstance(path, str | os.PathLike) and os.path.abspath(path).startswith(self.folder)


class File(io.FileIO):
    """A file whose writes may fail, half done."""

    disk: Disk
    cut = False

    def write(self, data) -> int:  # type: ignore[override]
        if self.cut:
            # a file that is written, and not opened, has no name in the system's words
            raise OSError(self.disk.code, os.strerror(self.disk.code))
        if not self.disk.fails(str(self.name)):
            return super().write(data)
        self.cut = True
        return super().write(bytes(data)[: len(data) // 2]) or self.write(data)


@contextlib.contextmanager
def watched(disk: Disk) -> Iterator[None]:
    """Everything that this process writes goes by the disk."""
    real = io.open, os.open, os.fsync, os.replace, os.mkdir, os.unlink

    def opened(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True,
               opener=None):  # fmt: skip
        if not disk.within(file) or not set(mode) & set("wax"):
            return real[0](file, mode, buffering, encoding, errors, newline, closefd, opener)
        disk.check(file)
        raw = File(os.fspath(file), mode.replace("b", "").replace("t", "").replace("+", ""))
        raw.disk = disk
        buffered = io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline)

    def flushed(handle):
        path = os.readlink(f"/proc/self/fd/{handle}")
        if disk.within(path) and disk.fails(path):
            raise OSError(disk.code, os.strerror(disk.code))
        return real[2](handle)

    def by_path(call: Callable, which: int, when: Callable[[tuple], bool]) -> Callable:
        def checked(*given, **named):
            if when(given):
                disk.check(given[which])
            return call(*given, **named)

        return checked

    builtins.open = io.open = opened
    os.open = by_path(real[1], 0, lambda given: len(given) > 1 and given[1] & os.O_CREAT)
    os.fsync = flushed
    os.replace = by_path(real[3], 1, lambda given: True)
    os.mkdir = by_path(real[4], 0, lambda given: True)
    # what is full can be emptied
    os.unlink = by_path(real[5], 0, lambda given: disk.broken and disk.code == errno.EROFS)
    try:
        yield
    finally:
        builtins.open = io.open = real[0]
        os.open, os.fsync, os.replace, os.mkdir, os.unlink = real[1:]


class Scenario:
    """One verb: how it is begun, how it goes on, and what it writes without a fault."""

    def __init__(self, name: str, first: Callable, again: Callable, before: Callable):
        self.name, self.first, self.again, self.before = name, first, again, before
        self.old: dict[str, bytes] = {}
        self.new: dict[str, bytes] = {}
        self.counts: Counter[str] = Counter()

    def settle(self, folder: pathlib.Path, disk: Disk) -> None:
        """Twice without a fault: what comes out the same is compared with, the rest is read."""
        for _ in range(2):
            empty(folder)
            self.before(folder)
            self.old = contents(folder)
            disk.arm("", 0, 0)
            with watched(disk):
                expect(self.first(folder), 0)
            now = contents(folder)
            self.counts = Counter(disk.counts)
            # a page says how long it took
            same = {n: b for n, b in now.items() if not n.endswith((".html", "result.json"))}
            self.new = {n: b for n, b in same.items() if self.new.get(n, b) == b}

    def broken(self, folder: pathlib.Path, disk: Disk, kind: str, left: int, code: int) -> str:
        """One fault; the empty text where all is as it should be."""
        empty(folder)
        self.before(folder)
        disk.arm(kind, left, code)
        with watched(disk):
            status, said = run(self.first(folder))
        if not disk.broken:
            return f"{_NEVER}: {status} {said}"
        if status == 0:
            # what it could do without, such as making a folder that is there
            lacks = unreadable(folder) or lacking(folder, self.new)
            return f"succeeded without {lacks}" if lacks else ""
        if status != 2 or len(said.splitlines()) != 1 or "Traceback" in said:
            return f"status {status}: {said[-300:]}"
        if os.strerror(code) not in said or not disk.within(said.split(" ", 1)[1]):
            return f"says neither what nor where: {said}"
        wrong = unreadable(folder) or differing(folder, self.old, self.new)
        if wrong:
            return f"left {wrong}"
        status, said = run(self.again(folder))
        if status:
            return f"did not go on: {said[-300:]}"
        lacks = lacking(folder, self.new)
        return f"went on, and differs in {lacks}" if lacks else ""


def run(words: tuple[str, ...]) -> tuple[int, str]:
    """A verb's exit status, and what it said."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = unweave_main([str(word) for word in words])
    return status, err.getvalue()


def expect(words: tuple[str, ...], status: int) -> None:
    found, said = run(words)
    if found != status:
        raise RuntimeError(f"{words} ended with status {found}: {said}")


def empty(folder: pathlib.Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """Every file that a reader would look at, by its path."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.name.startswith(".")
    }


def differing(folder: pathlib.Path, old: dict[str, bytes], new: dict[str, bytes]) -> str:
    """The first file that is neither as before nor as without a fault."""
    for name, found in contents(folder).items():
        if name in new and found != new[name] and found != old.get(name):
            # a log grows: what is there is the beginning, its last row perhaps cut
            if name.endswith("metrics.jsonl") and new[name].startswith(found):
                continue
            # every epoch has its checkpoint, which is read below
            if not name.endswith("checkpoint.safetensors"):
                return name
    return ""


def lacking(folder: pathlib.Path, new: dict[str, bytes]) -> str:
    """The first file that is not as without a fault."""
    now = contents(folder)
    return next((name for name in new if now.get(name) != new[name]), "")


def unreadable(folder: pathlib.Path) -> str:
    """The first file that is there and cannot be read."""
    for file in folder.rglob("*"):
        if not file.is_file() or file.name.startswith("."):
            continue
        try:
            if file.suffix == ".safetensors":
                read_tensors(file)
            elif file.suffix == ".json":
                json.loads(file.read_text())
            elif file.suffix == ".toml":
                tomllib.loads(file.read_text())
            elif file.suffix == ".npz":
                np.load(file, allow_pickle=False).close()
            elif file.suffix in (".html", ".svg"):
                assert file.read_text().rstrip().endswith(f"</{file.suffix[1:]}>")
        except (ValueError, AssertionError) as error:
            return f"{file.name}, unreadable ({error})"
    return ""


def scenarios(work: pathlib.Path) -> list[Scenario]:
    """A run with its page, a page that replaces one, a table that replaces one, a comparison."""
    expect((*FIT, "--out", work / "model", "--no-report"), 0)

    def fit(folder):
        return (*FIT, "--out", folder / "run")

    def resume(folder):
        begun = (folder / "run" / "run.toml").exists()
        return ("fit", "--resume", folder / "run", "--quiet", "--json") if begun else fit(folder)

    def copied(folder):
        shutil.copytree(work / "model", folder / "run")
        (folder / "run" / "report.html").write_text("<html>old</html>")

    def page(folder):
        return ("report", folder / "run", "--force", "--json")

    def with_old(folder):
        for ending in ("csv", "npy"):
            (folder / f"table.{ending}").write_text("old")

    def table(ending):
        def words(folder):
            output = folder / f"table.{ending}"
            return ("sample", work / "model", "-n", "300", "-o", output, "--force", "--json")

        return words

    def compare(folder):
        return (*COMPARE, "--out", folder / "comparison")

    def nothing(folder):
        pass

    return [
        Scenario("fit", fit, resume, nothing),
        Scenario("report", page, page, copied),
        Scenario("sample -o table.csv", table("csv"), table("csv"), with_old),
        Scenario("sample -o table.npy", table("npy"), table("npy"), with_old),
        Scenario("compare", compare, compare, nothing),
    ]


def faults(
    each: int, seed: int, only: str | None, told: Callable[[str, str], None]
) -> tuple[int, int]:
    """How many faults there were, and how many were not as they should be; `told` of the row of
    each verb as soon as there is one."""
    done = bad = 0
    with tempfile.TemporaryDirectory() as name:
        work, rng = pathlib.Path(name).resolve(), random.Random(seed)
        folder = work / "disk"
        disk = Disk(folder)
        for scenario in scenarios(work):
            if only is not None and scenario.name != only:
                continue
            began, cells, counted = time.monotonic(), [], Counter()
            scenario.settle(folder, disk)
            kinds = sorted(scenario.counts)
            for fault, code in FAULTS.items():
                good = 0
                for _ in range(each):
                    # every kind in turn, and everything that is done with one
                    kind = kinds[counted.total() % len(kinds)]
                    wrong, left = _NEVER, 0
                    for _ in range(_TRIES):
                        left = rng.randint(1, scenario.counts[kind])
                        wrong = scenario.broken(folder, disk, kind, left, code)
                        # a page that says how long it took is written in more pieces or fewer
                        if not wrong.startswith(_NEVER):
                            break
                    good += not wrong
                    counted[kind] += 1
                    if wrong:
                        place = f"{scenario.name}, {fault} at {kind} {left}"
                        print(f"{place}: {wrong}", file=sys.stderr, flush=True)
                bad += each - good
                cells.append(f"{good} of {each}")
            at = ", ".join(f"{kind} {n}" for kind, n in counted.items())
            told(scenario.name, f"| {scenario.name} | {' | '.join(cells)} | {at} |")
            done += counted.total()
            took = time.monotonic() - began
            print(f"{scenario.name}: {took:.0f} s", file=sys.stderr, flush=True)
    return done, bad


def real_disk(times: int) -> tuple[str, int]:
    """Runs on a file system that is too small for them, which then gets more room."""
    if os.geteuid() != 0:
        return "skipped, for only root can mount one.", 0
    good = 0
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name) / "small"
        place.mkdir()
        expect((*FIT, "--out", pathlib.Path(name) / "whole"), 0)
        whole = sum(len(content) for content in contents(pathlib.Path(name) / "whole").values())
        most = whole * 9 // 10 // 1024
        for n in range(times):
            # from too small for the first checkpoint to nearly enough for the page
            size = 8 + (most - 8) * n // times
            mount = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(place)]
            if subprocess.run(mount, capture_output=True).returncode:
                return "skipped, for none can be mounted.", 0
            try:
                status, said = run((*FIT, "--out", place / "run"))
                wrong = unreadable(place) if status == 2 else f"status {status}"
                more = ["mount", "-o", "remount,size=64m", str(place)]
                subprocess.run(more, check=True)
                begun = (place / "run" / "run.toml").exists()
                again = ("fit", "--resume", place / "run", "--quiet", "--json")
                status, more_said = run(again if begun else (*FIT, "--out", place / "run"))
                right = not wrong and not status and "No space left on device" in said
                good += right
                if not right:
                    print(f"{size} kB: {wrong} {said} {more_said}", file=sys.stderr, flush=True)
            finally:
                subprocess.run(["umount", str(place)], check=True)
    return f"of 8 to {most} kB, {good} of {times} runs.", times - good


def page(rows: dict[str, str]) -> list[str]:
    """The lines of the page, of what was counted for each verb."""
    table = [row for name, row in rows.items() if name != _REAL]
    return [
        "Each is a fault at something that is done with a file: made, written (half of it comes "
        "through), flushed or moved into place. Counted is where the verb ended with status 2 and "
        "one sentence that says what and where (or did without), each file was as before or as "
        "without the fault, and the verb ended in the same bytes once the fault was gone.",
        "",
        f"| verb | {' | '.join(FAULTS)} | at |",
        "|---|" + "---|" * (len(FAULTS) + 1),
        *table,
        *(["", rows[_REAL]] if _REAL in rows else []),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Breaks, counts, tells."""
    parser = argparse.ArgumentParser(description="Makes writes fail, and looks what is left.")
    parser.add_argument("--each", type=int, default=20, help="faults of each kind for each verb")
    parser.add_argument("--only", help="one verb")
    parser.add_argument("--real", type=int, default=20, help="runs on a small file system")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", action="store_true", help="write the counts into FAULTS.md")
    options = parser.parse_args(arguments)
    rows: dict[str, str] = {}

    def told(name: str, row: str) -> None:
        rows[name] = row
        if options.page:
            from faults_keep import keep, kept

            # verbs that were counted before stay, where one is counted by itself
            before = {line.split(" | ")[0][2:]: line for line in kept("disk") if line[:2] == "| "}
            before |= {line.split(":")[0]: line for line in kept("disk") if line.startswith(_REAL)}
            before.pop("verb", None)
            keep("disk", page(before | rows))

    with tempfile.TemporaryDirectory() as cache:
        os.environ["UNWEAVE_CACHE"] = cache
        done, bad = faults(options.each, options.seed, options.only, told)
        more = 0
        if options.real:
            sentence, more = real_disk(options.real)
            told(_REAL, f"{_REAL}: {sentence}")
    if not options.page:
        print("\n".join(page(rows)))
    print(f"{done} faults: {done - bad} as it should be", file=sys.stderr)
    return 1 if bad + more else 0


if __name__ == "__main__":
    sys.exit(main())
