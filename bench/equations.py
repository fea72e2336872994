"""Equations fitted and solved beside SciPy, pyPESTO and torchdiffeq, in one run.

python bench/equations.py --python /path/to/python/with/pypesto/fides/torchdiffeq

Repetitions alternate between the sides, so that what else the machine does meets all of them;
ratios are taken within a repetition. Writes `EQUATIONS.md` and `equations.json` beside this
file; `--only` runs some of the parts.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import problems
from equations_page import page
from machine import busy_seconds, own_seconds
from peers import Peers

from unweave import Latents
from unweave.data import Dataset, Signal, trajectories
from unweave.equations import Adaptive, Best, Grid, parse, search, system
from unweave.equations.solving._choose import HostSystem, grid_path, reference, starting_points
from unweave.equations.solving._drive import drive

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE / "peers_equations.py"
FIT_PEERS = (
    "SciPy, LSODA, 2-point",
    "SciPy, LSODA, sensitivities",
    "SciPy, RK45, sensitivities",
    "SciPy, odeint, sensitivities",
    "pyPESTO, L-BFGS-B",
    "pyPESTO, fides",
)
COMMAND_PEERS = ("SciPy, LSODA, sensitivities", "SciPy, odeint, sensitivities", "pyPESTO, fides")
#: the method that is asked for, then the best other one with automatic steps and without
VDP_PEERS = ("dopri5", "dopri8", "rk4")
#: the same data read through a sum, so that no start can be matched to their slopes
SUMMED = problems.COMPETITION + "observe x1\nobserve total = x1 + x2\n"


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def timed(function: Callable, *arguments: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return time.perf_counter() - began, result


def courses(times: np.ndarray, values: np.ndarray, channels: tuple[str, ...]) -> Dataset:
    """One recording, as `unweave fit` would read it."""
    none = ("",) * len(channels)
    return trajectories([Signal("one", "one", values, times, channels, none)])


def fits(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """Warm fits of FitzHugh–Nagumo: seconds of each side, and what every start reached."""
    known = parse(problems.FHN)
    data = courses(*problems.read_table(folder / "fhn.csv"), ("v", "w"))
    np.save(folder / "starts.npy", starting_points(known.latents, options.starts))
    counts = {"unweave": options.starts, "many": options.many, "one": 1}
    times = {name: [] for name in (*counts, *FIT_PEERS)}
    found: dict[str, dict] = {}
    with Peers(options.python, SCRIPT, folder) as peers:
        for name, starts in counts.items():
            best = search(known, data, starts=starts)  # compiles
            found[name] = {
                "starts": starts,
                "reached": round(best.agree),
                "failed": best.failed,
                "best": best.z[0].tolist(),
            }
        sure = search(known, data, starts=options.starts).certainty()
        for i in range(options.repetitions):
            for name, starts in counts.items():
                times[name].append(timed(lambda n=starts: search(known, data, starts=n).z)[0])
            for name in FIT_PEERS:
                answer = peers.ask(name)
                times[name].append(answer["seconds"])
                found[name] = {"starts": options.starts, **answer}
            say(f"fits {i + 1}, s: " + ", ".join(f"{n} {v[-1]:.3f}" for n, v in times.items()))
        versions = peers.versions
    # all peers minimise the same sum of squares, so the best of any of them is everyone's
    lowest = min(min(found[name]["objectives"]) for name in FIT_PEERS)
    for name in FIT_PEERS:
        objectives = np.asarray(found[name].pop("objectives"), float)
        found[name]["reached"] = int((objectives < lowest + 0.01).sum())
        found[name]["failed"] = int((~np.isfinite(objectives)).sum())
        z = np.asarray(found[name]["best"])
        off = np.log(z, where=sure.is_log, out=z.copy()) - sure.phi
        found[name]["off"] = float(np.abs(off / sure.errors).max())
    return {"times": times, "found": found, "versions": versions}


def commands(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """Seconds of the whole command: unweave with an empty compilation cache and with the one
    that it left, the peers' scripts on the same file."""
    times = {name: [] for name in ("unweave", "unweave again", *COMMAND_PEERS)}
    program = "import sys; from unweave.cli import main; sys.exit(main())"
    starts = str(options.starts)
    for i in range(options.command_repetitions):
        for name in ("unweave", "unweave again"):
            arguments = [
                sys.executable, "-c", program, "fit", str(folder / "fhn.ode"),
                str(folder / "fhn.csv"), "--time", "t", "--starts", starts,
                "--out", str(folder / f"{name}{i}"), "--no-report", "--quiet",
            ]  # fmt: skip
            cache = {"UNWEAVE_CACHE": str(folder / f"cache{i}")}
            times[name].append(whole(arguments, {**os.environ, **cache}))
        for name in COMMAND_PEERS:
            arguments = [options.python, str(SCRIPT), "command", name, str(folder), starts]
            times[name].append(whole(arguments, None))
        say(f"command {i + 1}, s: " + ", ".join(f"{n} {v[-1]:.1f}" for n, v in times.items()))
    return {"times": times, "starts": options.starts}


def whole(arguments: list[str], environment: dict | None) -> float:
    began = time.perf_counter()
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments[:4])} … failed: {done.stderr[-2000:]}")
    return seconds


def competition(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """Many starts of the competition model, with nothing compiled and warm."""
    times, values = problems.read_table(folder / "competition.csv")
    cases = {
        "both species": (problems.COMPETITION, courses(times, values, ("x1", "x2"))),
        "one, and the sum of both": (
            SUMMED,
            courses(times, values @ np.array([[1.0, 1.0], [0.0, 1.0]]), ("x1", "total")),
        ),
    }
    systems = {name: parse(text) for name, (text, _) in cases.items()}
    results: dict[str, dict] = {name: {"cold": [], "warm": []} for name in cases}
    for i in range(options.command_repetitions):
        for name, (_, data) in cases.items():

            def run(name: str = name, data: Dataset = data) -> Best:
                return search(systems[name], data, starts=options.lanes)

            jax.clear_caches()
            for kind in ("cold", "warm"):
                seconds, best = timed(run)
                results[name][kind].append(seconds)
            results[name] |= {
                "reached": round(best.agree),
                "failed": best.failed,
                "method": repr(best.equation.method),
            }
            said = ", ".join(f"{k} {results[name][k][-1]:.2f}" for k in ("cold", "warm"))
            say(f"competition {i + 1}, {name}, s: {said}; {best.agree} reached")
    return {
        "cases": results,
        "starts": options.lanes,
        **rough_starts(systems["both species"], times, options.lanes),
    }


def rough_starts(known, times: np.ndarray, starts: int) -> dict:
    """How many starts explode before the last time where they begin, and for how many of the
    others one step a sample is too coarse: off by more than a tenth of the range."""
    host, exploding, coarse = HostSystem(known), 0, 0
    for z in starting_points(known.latents, starts):
        path = reference(host, z, times)
        if path is None:
            exploding += 1
            continue
        with np.errstate(all="ignore"):
            off = np.abs(grid_path(host, z, times, 1) - path).max(axis=0)
        coarse += not bool(np.all(off <= 0.1 * np.ptp(path, axis=0)))
    return {"exploding": exploding, "coarse": coarse}


def van_der_pol(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """Seconds and largest error of a batch of paths, in single and double precision."""
    known = np.load(folder / "vdp.npz")
    results = {}
    with Peers(options.python, SCRIPT, folder) as peers:
        for dtype in ("float32", "float64"):
            with jax.enable_x64(dtype == "float64"):
                starts = jnp.asarray(known["starts"], dtype)
                own = {name: jax.jit(f) for name, f in vdp_sides(jnp.dtype(dtype)).items()}
                rows: dict[str, dict] = {n: {"seconds": []} for n in (*own, *VDP_PEERS)}
                for i in range(-1, options.vdp_repetitions):
                    for name, function in own.items():
                        seconds, paths = timed(function, starts)
                        error = float(np.abs(np.asarray(paths) - known["paths"]).max())
                        rows[name]["error"] = error
                        if i >= 0:  # the first pass compiles
                            rows[name]["seconds"].append(seconds)
                    for name in VDP_PEERS:
                        answer = peers.ask(f"{name} {dtype}")
                        rows[name]["error"] = answer["error"]
                        if i >= 0:
                            rows[name]["seconds"].append(answer["seconds"])
            results[dtype] = rows
            said = ", ".join(f"{n} {1e3 * min(r['seconds']):.2f}" for n, r in rows.items())
            say(f"van der Pol, {dtype}, ms: {said}")
        versions = peers.versions
    return {"rows": results, "versions": versions}


def vdp_sides(dtype: jnp.dtype) -> dict[str, Callable]:
    """unweave's ways from starts `(batch, 2)` to paths `(batch, time, 2)`."""
    times = jnp.asarray(problems.VDP_TIMES, dtype)
    inputs = drive(times, None, ())
    adaptive = Adaptive(relative=problems.TOLERANCE, absolute=problems.TOLERANCE)

    def rates(t: jax.Array, x: jax.Array, z: jax.Array) -> jax.Array:
        position, speed = x.reshape(-1, 2).T
        slope = problems.MU * (1 - position**2) * speed - position
        return jnp.stack([speed, slope], axis=1).reshape(-1)

    def states(batch: int):
        names = [f"x{i}" for i in range(2 * batch)]
        return system(rates, states=names, latents=Latents.standard(len(names)), start=lambda z: z)

    single, joint = states(1), states(problems.BATCH)
    own_steps = jax.vmap(lambda z: adaptive.path(single, times, z, inputs))
    on_grid = jax.vmap(lambda z: Grid(1).path(single, times, z, inputs))

    def one_step(starts: jax.Array) -> jax.Array:
        path = adaptive.path(joint, times, starts.reshape(-1), inputs)
        return path.reshape(len(times), -1, 2).swapaxes(0, 1)

    return {"own steps": own_steps, "joint": one_step, "grid": on_grid}


PARTS = {
    "fits": fits,
    "commands": commands,
    "competition": competition,
    "van-der-pol": van_der_pol,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Equations beside their peers.")
    parser.add_argument(
        "--python", required=True, help="an interpreter with pypesto, fides and torchdiffeq"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--command-repetitions", type=int, default=3)
    parser.add_argument("--vdp-repetitions", type=int, default=15)
    parser.add_argument("--starts", type=int, default=16, help="starts of every side")
    parser.add_argument("--many", type=int, default=64, help="starts of unweave alone")
    parser.add_argument("--lanes", type=int, default=256, help="starts of the competition")
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    results: dict = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, {jax.devices()[0].platform}",
        "versions": {
            "jax": jax.__version__,
            "diffrax": diffrax.__version__,
            "numpy": np.__version__,
        },
        "repetitions": options.repetitions,
        "command_repetitions": options.command_repetitions,
        "vdp_repetitions": options.vdp_repetitions,
        "parts": {},
    }
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            problems.write_problems(pathlib.Path(folder))
            began, busy, own = time.perf_counter(), busy_seconds(), own_seconds()
            part = PARTS[name](options, pathlib.Path(folder))
        others = busy_seconds() - busy - (own_seconds() - own)
        part["others"] = others / ((time.perf_counter() - began) * (os.cpu_count() or 1))
        results["versions"] |= part.pop("versions", {})
        results["parts"][name] = part
    (options.out / "equations.json").write_text(json.dumps(results, indent=1) + "\n")
    (options.out / "EQUATIONS.md").write_text(page(results))
    say(page(results))


if __name__ == "__main__":
    main()
