"""One fit on several devices and in several processes ends where one device does."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from test_training import Point, distance
from unweave import ProcessesError, join, load_run
from unweave.cli import main
from unweave.data import competition_cloud, split_at_random
from unweave.recipes import gan, vae
from unweave.run import fit
from unweave.train import (
    Descend,
    DevicesError,
    Plan,
    RunFolderError,
    Trainer,
    in_bfloat16,
    placement,
)

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-c", "import sys; from unweave.cli import main; sys.exit(main())"]
SMALL = ["competition", "--epochs", "2", "--widths", "16", "--latents", "2", "--batch", "64",
         "--most", "400", "--no-report"]  # fmt: skip


@pytest.fixture(scope="module")
def eight():
    """What a process finds whose CPU counts as eight devices."""
    done = subprocess.run(
        [sys.executable, str(HERE / "on_devices.py")], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["vae", "gan", "flow"])
def test_devices_share_a_batch_and_end_where_one_does(eight, name):
    found = eight["recipes"][name]
    assert found["of 4"] < 1e-4
    assert found["of 8"] < 1e-4
    assert found["again"]


def test_a_stopped_fit_goes_on_on_the_same_devices_bit_for_bit_and_on_others(eight):
    assert eight["stopped"]["the same"] == 0
    assert eight["stopped"]["others"] < 1e-5
    assert eight["stopped"]["one"] < 1e-5


def test_devices_that_there_are_not_are_refused():
    there = jax.device_count()
    with pytest.raises(DevicesError, match=f"{there + 1} devices were asked for and there are"):
        placement(there + 1)
    with pytest.raises(DevicesError, match="0 devices"):
        placement(0)


def test_a_batch_that_cannot_be_shared_names_its_neighbours():
    class Three:
        devices = 4

    from unweave.train import Placement

    with pytest.raises(DevicesError, match="a batch of 8 or 12"):
        Placement.check(Three, 10)  # pyright: ignore


# processes


def run(*words, check=True, **more):
    done = subprocess.run([*COMMAND, *map(str, words)], capture_output=True, text=True,
                          timeout=300, **more)  # fmt: skip
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "run"
    assert main(["fit", "vae", *SMALL, "--quiet", "--out", str(out)]) == 0
    return load_run(out)


def numbers(run):
    return [np.asarray(x) for x in jax.tree.leaves(eqx.filter(run.model, eqx.is_inexact_array))]


def test_two_processes_end_where_one_does_and_tell_one_result(alone, tmp_path):
    done = run("fit", "vae", *SMALL, "--processes", 2, "--out", tmp_path / "run", "--json")
    told = json.loads(done.stdout)
    assert (told["processes"], told["devices"]) == (2, 2)
    together = load_run(tmp_path / "run")
    for a, b in zip(numbers(alone), numbers(together), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * max(np.abs(a).max(), 1e-6))
    assert [row["epoch"] for row in together.rows] == [1, 2]


def test_a_lost_process_ends_all_and_one_process_goes_on(tmp_path):
    out, words = tmp_path / "run", ["--epochs", "4000", "--checkpoint-every", "0"]
    fit_words = ["fit", "vae", *SMALL, *words, "--out", str(out), "--processes", "2"]
    first = subprocess.Popen([*COMMAND, *fit_words], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not (out / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    (lost,) = [pid for pid in children(first.pid) if "--process 1 " in command(pid)]
    os.kill(lost, signal.SIGKILL)
    began = time.monotonic()
    _, told = first.communicate(timeout=60)
    assert first.returncode != 0
    assert "--resume" in told
    assert time.monotonic() - began < 60
    before = (out / "metrics.jsonl").read_text().count("\n")
    after = subprocess.Popen([*COMMAND, "fit", "--resume", str(out), "--no-report"])
    while (out / "metrics.jsonl").read_text().count("\n") < before + 5:
        assert after.poll() is None
        time.sleep(0.1)
    after.send_signal(signal.SIGTERM)
    assert after.wait(60) == 130


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"processes": 0}, "0 processes"),
        ({"processes": 2, "process": 0}, "its number and where the first one listens"),
        ({"processes": 2, "process": 2, "coordinator": "localhost:1"}, "counted from 0 to 1"),
    ],
)
def test_processes_that_make_no_sense_are_refused(given, why):
    with pytest.raises(ProcessesError, match=why):
        join(**given)


def test_a_launcher_that_started_another_number_is_an_error(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "3")
    with pytest.raises(ProcessesError, match="SLURM has started 3 processes and 2 were asked for"):
        join(2)


def test_a_process_that_no_launcher_has_started_says_how_to_start_it():
    words = ["-c", "import unweave; unweave.join(2)"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "no launcher says which of 2 processes this is" in done.stderr


def test_to_join_late_is_an_error():
    jnp.zeros(1).block_until_ready()
    with pytest.raises(ProcessesError, match="computed in this process before join was called"):
        join(2, process=0, coordinator="127.0.0.1:1")


def by_slurm(i):
    return {"SLURM_JOB_ID": str(os.getpid()), "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2",
            "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i),
            "SLURM_STEP_NODELIST": "localhost"}  # fmt: skip


def by_open_mpi(i):
    return {"OMPI_MCA_orte_hnp_uri": f"{os.getpid()}.0;tcp://127.0.0.1:34911",
            "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": str(i),
            "OMPI_COMM_WORLD_LOCAL_RANK": str(i)}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [by_slurm, by_open_mpi])
def test_what_a_launcher_says_brings_processes_together(alone, tmp_path, launcher):
    words = ["fit", "vae", *SMALL, "--processes", "2", "--out", str(tmp_path / "run"), "--json"]
    crew = [
        subprocess.Popen([*COMMAND, *words], env={**os.environ, **launcher(i)}, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for i in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=300) for process in crew]
    assert [process.returncode for process in crew] == [0, 0], said
    assert json.loads(said[0][0])["processes"] == 2
    for a, b in zip(numbers(alone), numbers(load_run(tmp_path / "run")), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * max(np.abs(a).max(), 1e-6))


@pytest.mark.slow
def test_actors_of_a_ray_cluster_end_where_local_processes_do(tmp_path):
    pytest.importorskip("ray", reason="Ray is an extra: pip install 'unweave[ray]'")
    told = run("fit", "vae", *SMALL, "--processes", 2, "--on", "ray", "--out", tmp_path / "far",
               "--json", env={**os.environ, "NPROC": "1"})  # fmt: skip
    assert json.loads(told.stdout)["processes"] == 2
    run("fit", "vae", *SMALL, "--processes", 2, "--out", tmp_path / "near")
    far, near = (load_run(tmp_path / name) for name in ("far", "near"))
    assert all(map(np.array_equal, numbers(far), numbers(near)))


# bfloat16


def test_bfloat16_rounds_the_loss_and_not_what_is_fitted():
    plan = Plan(lambda budget: in_bfloat16(Descend(distance, optax.sgd(0.05))), 3, 5)
    rows = np.full(20, 10.0, np.float32)
    trainer = Trainer(Point(jnp.asarray(0.0)), rows, rows[:4], plan, key=jax.random.key(0))
    at = trainer.run(trainer.start(), [], lambda_watch()).model.at
    assert at.dtype == jnp.float32
    np.testing.assert_allclose(float(at), 10 - 10 * 0.9**12, rtol=2e-2)
    assert float(at) != pytest.approx(10 - 10 * 0.9**12, rel=1e-6)


def lambda_watch():
    from unweave.train import Watch

    return Watch()


def test_a_run_goes_on_in_the_precision_that_it_was_begun_in(unweave, tmp_path):
    out = tmp_path / "run"
    unweave("fit", "vae", *SMALL, "--bfloat16", "--quiet", "--out", str(out))
    kept = [(out / name).read_bytes() for name in ("model.safetensors", "metrics.jsonl")]
    (out / "result.json").unlink()
    unweave("fit", "--resume", str(out), "--no-report", "--quiet")
    again = [(out / name).read_bytes() for name in ("model.safetensors", "metrics.jsonl")]
    assert kept == again
    data = split_at_random(competition_cloud(400), seed=0)
    with pytest.raises(RunFolderError, match="begun with bfloat16 True, not False"):
        fit(vae(latents=2, widths=(16,), batch=64, epochs=2), data, out=out, resume=True)


def test_a_model_trained_in_bfloat16_is_nearly_as_good_and_a_game_is_refused():
    data = split_at_random(competition_cloud(400), seed=0)
    small = {"latents": 2, "widths": (16,), "batch": 32}
    full = fit(vae(epochs=20, **small), data, quiet=True)
    short = fit(vae(epochs=20, **small), data, quiet=True, bfloat16=True)
    assert {x.dtype for x in numbers(short)} == {np.dtype(np.float32)}
    assert short.rows[-1]["held_out_loss"] != full.rows[-1]["held_out_loss"]
    spread = abs(full.rows[0]["held_out_loss"] - full.rows[-1]["held_out_loss"])
    assert abs(short.rows[-1]["held_out_loss"] - full.rows[-1]["held_out_loss"]) < 0.2 * spread
    with pytest.raises(ValueError, match="bfloat16 is for models that descend"):
        fit(gan(epochs=1, **small), data, quiet=True, bfloat16=True)
