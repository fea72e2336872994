"""Where fits run: the same numbers everywhere, and what is left when a worker is killed."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from heartbeats import beat_schema
from unweave import OnRay, Processes
from unweave.card import compare
from unweave.card._parameters import PARAMETERS
from unweave.data import dataset, split_at_random
from unweave.networks import fit_mean
from unweave.spread import HERE, Here, Lost, spread
from unweave.train import Recipe

POOL = Processes(2)
PLACES = [
    HERE,
    POOL,
    pytest.param(
        OnRay(2),
        marks=pytest.mark.skipif(
            importlib.util.find_spec("ray") is None,
            reason="ray is not installed; get it by: pip install 'unweave[ray]'",
        ),
    ),
]


def drawn(seed):
    """Courses of two latents and a little noise, in mV."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2)) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(40, 6))
    return split_at_random(dataset(x[..., None].astype(np.float32), beat_schema(1, 6)), seed=seed)


# the call


@pytest.mark.parametrize("place", PLACES)
def test_every_item_has_its_result_in_its_place_and_is_told_of_once(place):
    begun, done = [], {}
    scale = 3.0  # a closure

    def call(item):
        return scale * item, os.getpid(), jax.config.jax_numpy_dtype_promotion

    found = spread(call, range(5), on=place, begun=begun.append, done=done.__setitem__)
    assert [value for value, *_ in found] == [0.0, 3.0, 6.0, 9.0, 12.0]
    assert sorted(begun) == [0, 1, 2, 3, 4]
    assert done == dict(enumerate(found))
    # the tests' own settings of JAX hold there too
    assert {promotion for *_, promotion in found} == {"strict"}
    processes = {pid for _, pid, _ in found}
    assert (processes == {os.getpid()}) == isinstance(place, Here)
    assert spread(call, [], on=place) == []


@pytest.mark.parametrize("place", PLACES)
def test_what_the_call_raises_is_raised_here(place):
    def call(item):
        if item == 1:
            raise ZeroDivisionError("too little for this")
        return item

    with pytest.raises(ZeroDivisionError, match="too little for this"):
        spread(call, range(3), on=place)


class Stubborn(Exception):
    """An error that cannot be made again from what it holds."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def test_an_error_that_cannot_be_sent_is_told():
    def call(item):
        raise Stubborn("this", "that")

    with pytest.raises(RuntimeError, match="Stubborn: this and that"):
        spread(call, [0], on=POOL)


@pytest.mark.parametrize("place", PLACES[1:])
def test_a_killed_worker_costs_its_item_only_and_that_not_the_first_time(place, tmp_path):
    def call(item):
        mark = tmp_path / str(item)
        if item == 1 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    done = []
    found = spread(call, range(4), on=place, done=lambda i, result: done.append(i))
    assert found[:2] == [0, 1]
    assert found[3] == 3
    assert sorted(done) == [0, 1, 2, 3]
    assert isinstance(found[2], Lost)
    assert "was killed" in found[2].sentence
    assert "--workers 1" in found[2].sentence
    if isinstance(place, Processes):
        assert "SIGKILL" in found[2].sentence


class Unread:
    """What dies where it is unpacked."""

    def __call__(self, item):
        return item

    def __reduce__(self):
        return os._exit, (7,)


def test_workers_that_cannot_begin_are_an_error_and_no_loop():
    with pytest.raises(ChildProcessError, match=r"no worker could begin: .*exit status 7"):
        spread(Unread(), range(3), on=POOL)


@pytest.mark.parametrize("make", [Processes, OnRay])
def test_no_workers_are_refused(make):
    with pytest.raises(ValueError, match="0 workers were asked for"):
        make(0)


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="ray is installed")
def test_without_ray_the_line_that_installs_it_is_said():
    with pytest.raises(ValueError, match=r"pip install 'unweave\[ray\]'"):
        spread(abs, [1], on=OnRay())


# comparisons


# in a program of its own: here the functions of recipes are wrapped, to check shapes, and the
# wrappers cannot be sent
SAME = """
import importlib.util, json, sys
from dataclasses import replace
from pathlib import Path
import numpy as np
import unweave as uw
from unweave.networks import fit_mean

folder = Path(sys.argv[1])
rng = np.random.default_rng(0)
# convolutions and linear algebra are what other numbers of threads give other bits of
x = rng.normal(size=(240, 3)) @ rng.normal(size=(3, 64)) + 0.1 * rng.normal(size=(240, 64))
schema = uw.Schema("beats", ("time", "lead"), (64, 1), ("ii",), ("mV",), 0.01)
data = uw.data.dataset(x[..., None].astype(np.float32), schema)
recipes = {
    "pca": uw.pca(latents=2), "pca again": uw.pca(latents=2),
    "mean again": uw.Recipe("again", {}, lambda data, key: fit_mean(data.observations)),
    "vae": uw.vae(latents=2, epochs=1), "gaussian-mixture": uw.gaussian_mixture(latents=2),
}

def numbers(on, name):
    card = uw.compare(
        lambda seed: uw.data.split_at_random(data, seed=seed), recipes, seeds=2, shares=[0.5, 1.0],
        out=folder / name, on=on, quiet=True,
    )
    assert card.runs["pca"] == card.runs["pca again"]
    assert all((folder / name / run / "result.json").exists() for run in card.runs.values())
    # a clock's lines, and what is said of them, are all that may differ
    lines = tuple(line for line in card.lines if line.name not in ("seconds", "memory"))
    said = tuple(s for s in card.verdict if "cheapest" not in s)
    return repr(replace(card, lines=lines, verdict=said))

alone = numbers(uw.spread.HERE, "here")
found = {"processes": numbers(uw.Processes(2), "processes") == alone}
if importlib.util.find_spec("ray") is not None:
    found["ray"] = numbers(uw.OnRay(2), "ray") == alone
found["sent"] = uw.spread.spread(
    lambda recipe: recipe.name, [uw.on_latents(of=fit_mean(data.observations))],
    on=uw.Processes(1),
)
print(json.dumps(found))
"""


def test_the_card_is_the_same_bit_for_bit_wherever_it_is_made(tmp_path):
    (tmp_path / "same.py").write_text(SAME)
    # all of them compile into one cache, and take from it
    cached = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    told = subprocess.run(
        [sys.executable, tmp_path / "same.py", tmp_path], stdout=subprocess.PIPE, check=True,
        env=cached,
    ).stdout  # fmt: skip
    found = json.loads(told)
    assert found.pop("sent") == ["on-latents"]
    assert found == dict.fromkeys(found, True)


def test_a_fit_that_is_killed_is_a_note_and_is_tried_again(tmp_path):
    mark = tmp_path / "mark"

    def dies(data, key):
        if not mark.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return fit_mean(data.observations)

    recipes = {"dies": Recipe("dies", {}, dies)}
    more = {"seeds": 1, "shares": (1.0,), "out": tmp_path, "rows": (PARAMETERS,), "quiet": True}
    card = compare(drawn, recipes, on=POOL, **more)
    assert any("Failed in 1 of 1 fits, dies" in n and "SIGKILL" in n for n in card.notes)
    assert card.measures[0].entries["mean"] is not None
    mark.touch()
    assert compare(drawn, recipes, **more).notes == ()


def test_what_cannot_be_sent_is_told():
    lock = threading.Lock()
    with pytest.raises(TypeError, match=r"a worker cannot be sent .*lock.* \(--workers 1\)"):
        spread(lambda item: lock, [0], on=POOL)


# a program that is stopped, and goes on

SCRIPT = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
import unweave as uw
from unweave.networks import fit_mean

folder = Path(sys.argv[1])

def slow(data, key):
    (folder / f"begun-{os.getpid()}").touch()
    while not (folder / "go").exists():
        time.sleep(0.05)
    return fit_mean(data.observations)

# where the tests run behind a shell that ignores Ctrl-C, so would this program
signal.signal(signal.SIGINT, signal.default_int_handler)
# no guard around what follows: workers do not run it again
x = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
axes = uw.Schema("rows", ("channel",), (6,), tuple("abcdef"), ("",) * 6)
data = uw.data.split_at_random(uw.data.dataset(x, axes), seed=0)
recipes = {"pca": uw.pca(latents=2), "slow": uw.Recipe("slow", {}, slow),
           "slow too": uw.Recipe("slow too", {}, slow)}
try:
    rows = [row for row in uw.card.ROWS if row.name == "parameters"]
    card = uw.compare(data, recipes, seeds=1, rows=rows, shares=[1], out=folder, on=uw.Processes(2))
except uw.Interrupted as stop:
    print(stop)
    sys.exit(130)
print(len(card.runs))
"""


def start(folder):
    (folder / "script.py").write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, folder / "script.py", folder], stdout=subprocess.PIPE, text=True
    )


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"


def until(true, seconds=60.0):
    last = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < last, "that took too long"
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which processes live")
@pytest.mark.parametrize(
    "blow", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)]
)
def test_a_stopped_comparison_leaves_no_worker_and_goes_on(blow, tmp_path):
    first = start(tmp_path)
    until(lambda: len(list(tmp_path.glob("begun-*"))) == 2)
    workers = [int(file.name.removeprefix("begun-")) for file in tmp_path.glob("begun-*")]
    assert all(map(alive, workers))
    finished = {file: file.stat().st_mtime_ns for file in tmp_path.glob("fits/*/readings.json")}
    assert len(finished) >= 1
    os.kill(first.pid, blow)
    told, _ = first.communicate(timeout=120)
    until(lambda: not any(map(alive, workers)), 10.0)
    if blow == signal.SIGINT:
        assert first.returncode == 130
        assert "goes on from there" in told
    (tmp_path / "go").touch()
    second = start(tmp_path)
    told, _ = second.communicate(timeout=120)
    assert told == "4\n"
    assert finished == {file: file.stat().st_mtime_ns for file in finished}


def test_the_command_line_takes_workers(unweave, refused, tmp_path):
    np.save(tmp_path / "rows.npy", drawn(0).train.observations[..., 0])
    words = ("compare", "rows.npy", "pca:latents=2", "--seeds", "1", "--kind", "rows")
    result = json.loads(unweave(*words, "--shares", "1", "--workers", "2", "--json"))
    assert result["explore"] == "unweave explore runs/compare-rows"
    run = tmp_path / result["output"] / result["runs"]["pca:latents=2"]
    assert (run / "model.safetensors").exists()
    assert "0 workers were asked for" in refused(*words, "--workers", "0")
