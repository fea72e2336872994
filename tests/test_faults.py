"""What survives what, in short; `make test-faults` counts it at length."""

import errno
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from conftest import ROOT, script_of
from models import small_beats
from unweave._files import write_whole, written_whole
from unweave._held import FolderInUse, held
from unweave.card import compare
from unweave.card._parameters import PARAMETERS
from unweave.recipes import pca
from unweave.run import fit, load_run
from unweave.spread import Lost, OnRay, Processes, spread
from unweave.spread import _processes as processes
from unweave.spread import _ray_signs as ray_signs
from unweave.spread import _spread as spreading
from unweave.spread._workers import AbstractWorkers, Died, Value

BENCH = ROOT / "bench"

# two runs and one folder

HOLDER = """
import sys, time
from pathlib import Path
from unweave._held import held

with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def elsewhere(folder):
    """Another process, which works in the folder."""
    words = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


FIT = ("fit", "pca", "heartbeats", "--samples", "16", "--quiet", "--no-report", "--out", "run")


@pytest.mark.parametrize(
    "words",
    [
        FIT,
        (*FIT, "--force"),
        ("fit", "--resume", "run", "--quiet", "--no-report"),
        ("compare", "heartbeats", "pca", "--samples", "16", "--seeds", "1", "--out", "run"),
    ],
)
def test_a_second_process_is_refused_and_a_killed_one_is_not_in_the_way(
    words, unweave, refused, tmp_path
):
    if "--resume" in words:
        unweave(*FIT)
    with elsewhere(tmp_path / "run") as other:
        told = refused(*words)
        assert f"run is in use by process {other.pid} on " in told
        assert "wait for it or end it, or work in another folder (--out)" in told
        if "--resume" in words:
            load_run(tmp_path / "run")  # reading is not refused
        other.kill()
        other.wait()
        if "compare" not in words:
            unweave(*words)


def test_a_folder_is_held_by_one_thread_and_by_that_as_often_as_it_likes(tmp_path):
    folder, refusals = tmp_path / "run", []

    def try_it():
        try:
            with held(folder, patience=0.1):
                refusals.append(None)
        except FolderInUse as error:
            refusals.append(error)

    with held(folder), held(folder):
        (folder / "file").touch()
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    assert isinstance(refusals[0], FolderInUse)
    assert refusals[1] is None
    # it leaves nothing but the lock, and no folder where nothing was put into it
    assert sorted(file.name for file in folder.iterdir()) == [".lock", "file"]
    with held(tmp_path / "empty"):
        pass
    assert not (tmp_path / "empty").exists()


def test_a_fit_of_a_comparison_that_another_process_does_is_no_note(tmp_path, monkeypatch):
    more = {"seeds": 1, "shares": (1.0,), "rows": (PARAMETERS,), "quiet": True}
    compare(small_beats(), {"pca": pca(latents=2)}, out=tmp_path / "c", **more)
    (cell, *_) = (tmp_path / "c" / "fits").iterdir()
    monkeypatch.setattr("unweave.card._cells._PATIENCE", 0.1)
    (cell / "readings.json").unlink()
    with elsewhere(cell), pytest.raises(FolderInUse, match="is in use by process"):
        compare(small_beats(), {"pca": pca(latents=2)}, out=tmp_path / "c", **more)
    assert not compare(small_beats(), {"pca": pca(latents=2)}, out=tmp_path / "c", **more).notes


# workers


def test_a_worker_that_is_frozen_is_ended_and_its_item_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_SILENCE", 4.0)

    def call(item):
        mark = tmp_path / str(item)
        if item == 0 or not mark.exists():
            mark.touch()
            if item < 2:
                os.kill(os.getpid(), signal.SIGSTOP)
        return item

    began = time.monotonic()
    found = spread(call, range(3), on=Processes(3))
    assert found[1:] == [1, 2]
    assert isinstance(found[0], Lost)
    assert "no sign of life for 4 s" in found[0].sentence
    assert time.monotonic() - began < 60


def test_a_worker_that_computes_without_a_word_is_left_alone(monkeypatch):
    monkeypatch.setattr(processes, "_SILENCE", 2.0)

    def call(item):
        # holds Python's lock for as long as it takes
        digits, seconds = 20_000, 0.0
        while seconds < 4.0:
            digits *= 2
            began = time.monotonic()
            int.__pow__(7, digits, 10**digits + 1)
            seconds = time.monotonic() - began
        return os.getpid() > 0

    assert spread(call, [0], on=Processes(1)) == [True]


# a cluster that is started here is a fork, and JAX has started here
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_a_task_of_ray_that_is_frozen_is_ended_and_one_that_computes_is_not(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="Ray is an extra: pip install 'unweave[ray]'")
    monkeypatch.setattr(ray_signs, "_SILENCE", 6.0)

    def call(item):
        mark = tmp_path / str(item)
        if item == 2:
            # holds Python's lock for longer than it may be silent
            digits, seconds = 20_000, 0.0
            while seconds < 9.0:
                digits *= 2
                began = time.monotonic()
                int.__pow__(7, digits, 10**digits + 1)
                seconds = time.monotonic() - began
        elif item == 0 or not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return item

    done = []
    found = spread(call, range(3), on=OnRay(3), done=lambda i, result: done.append(i))
    assert found[1:] == [1, 2]
    assert sorted(done) == [0, 1, 2]
    assert isinstance(found[0], Lost)
    assert "was killed while it worked on this, and so was the next" in found[0].sentence


def test_while_the_parent_is_stopped_nobody_is_silent():
    crew = object.__new__(processes.Crew)
    asked = []

    class Worker:
        item, ended = 0, ""

        def is_frozen(self, seconds):
            asked.append(seconds)
            return False

    crew._workers = [Worker()]
    # an hour passed between two looks: this process, or the whole machine, stood still
    crew._watch(time.monotonic() - 3600)
    assert asked == [2 * processes._BEAT]


class Cluster(AbstractWorkers):
    """Workers whose machines are lost as often as `losses` says, item by item."""

    def __init__(self, losses):
        self.losses, self.given = dict(losses), []

    @property
    def free(self):
        return len(self.given) < 2

    def give(self, i, item):
        self.given.append(i)

    def take(self):
        i = self.given.pop(0)
        if self.losses.get(i, 0):
            self.losses[i] -= 1
            return i, Died("NodeDiedError", machine=True)
        return i, Value(10 * i)

    def end(self, *, at_once):
        pass


def test_lost_machines_do_not_count_against_an_item_up_to_a_bound():
    told = []
    tell = spreading._Tell(lambda i: None, lambda i, result: told.append(i))
    found = spreading._by(Cluster({1: 20, 2: 21}), "abcd", tell)
    assert [found[i] for i in (0, 1, 3)] == [0, 10, 30]
    assert isinstance(found[2], Lost)
    assert "were lost 21 times (NodeDiedError)" in found[2].sentence
    assert sorted(told) == [0, 1, 2, 3]


needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason="ray is not installed; get it by: pip install 'unweave[ray]'",
)


@needs_ray
def test_a_cluster_that_is_not_there_is_told_at_once():
    began = time.monotonic()
    with pytest.raises(ConnectionError, match=r"no Ray cluster answers at 127\.0\.0\.1:9 .*--head"):
        spread(abs, [1], on=OnRay(address="127.0.0.1:9"))
    assert time.monotonic() - began < 30


@needs_ray
@pytest.mark.slow
def test_a_node_that_is_lost_loses_no_fit():
    told = in_short("faults_ray.py", "--fits", "4", "--kills", "1", "--within", "6")
    assert "killed 1 times: 4 of 4 models byte-equal" in told
    assert "4 of 4 told of once, 0 lost" in told


@pytest.mark.parametrize("address", ["here", "ray:///x:1", "host:", ":1", "ray://host:port"])
def test_places_that_are_no_cluster_are_refused(refused, address):
    told = refused("compare", "heartbeats", "pca", "--on", address)
    assert f"'{address}' is no place for fits; give ray, or the address of a Ray cluster" in told


# files that cannot be written


def test_an_error_of_the_disk_names_the_file_and_leaves_it(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(path, [b"new"])
    assert caught.value.filename == str(path)

    def stopped():
        with written_whole(path) as file:
            file.write(b"new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stopped()
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which file is flushed")
def test_a_full_disk_leaves_everything_whole_and_is_told():
    told = in_short("faults_disk.py", "--each", "2", "--real", "0", "--only", "sample -o table.csv")
    assert "| sample -o table.csv | 2 of 2 | 2 of 2 | 2 of 2 | 2 of 2 |" in told


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which file is flushed")
@pytest.mark.parametrize("verb", ["fit", "report", "compare"])
def test_so_does_one_while_a_run_or_a_comparison_is_written(verb):
    told = in_short("faults_disk.py", "--each", "3", "--real", "2", "--only", verb)
    assert f"| {verb} | 3 of 3 | 3 of 3 | 3 of 3 | 3 of 3 |" in told
    assert "skipped" in told or "2 of 2 runs" in told


# clocks and problems


def test_a_clock_that_jumps_changes_nothing():
    script = script_of(BENCH / "faults_problems.py")
    told, bad = script.jumping(1)
    assert bad == 0
    assert "1 of 1 byte-equal" in told


@pytest.mark.parametrize("name", ["vae, learning rate 1e6", "data with infinity"])
def test_what_blows_up_is_a_sentence_or_a_finite_model(name):
    script = script_of(BENCH / "faults_problems.py")
    said, good = script.of_network(*script.networks()[name])
    assert good, said
    assert said.startswith(("refused: ", "a finite model"))


def test_a_log_that_was_cut_off_in_the_middle_of_a_row_is_read(tmp_path):
    script = script_of(BENCH / "faults_problems.py")
    recipe, data = script.networks()["data that never change"]
    run = fit(recipe, data, out=tmp_path, quiet=True)
    log = tmp_path / "metrics.jsonl"
    whole = log.read_bytes()
    for cut in np.linspace(1, len(whole) - 1, 7).astype(int):
        log.write_bytes(whole[:cut])
        assert load_run(tmp_path).rows == run.rows[: whole[:cut].count(b"}")]


def in_short(script: str, *words: str) -> str:
    """What a script of `bench` prints where it succeeds."""
    done = subprocess.run(
        [sys.executable, str(BENCH / script), *words], capture_output=True, text=True, timeout=300,
        cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
