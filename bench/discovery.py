"""Equations found from data, on the ODEBench systems, beside pysindy.

    python bench/discovery.py --python /path/to/python/with/pysindy --data odebench.json.gz

Each system is found from its first course alone and judged on that course and on a second one
from another start, which nothing has seen. Noise is multiplicative as in ODEFormer (d'Ascoli et
al. 2024): x_i (1 + sigma xi). R² is ODEFormer's: weighted by the variance of the dimensions, a
course that cannot be solved is a miss. Both sides get the same noisy numbers and are solved from
the true starts. Writes `DISCOVERY.md` and `discovery.json` beside this file; `--part` runs one
side, and courses that are in `discovery.json` already are not run again.
"""

import argparse
import datetime
import gzip
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
from discovery_page import page

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "discovery.json"
NOISES = (0.0, 0.01, 0.05, 0.1)


def systems(path: pathlib.Path) -> list[dict]:
    with gzip.open(path) as file:
        return json.load(file)


def jobs(data: list[dict], noises: list[float], seeds: int) -> list[tuple[dict, float, int]]:
    """Every system at every noise, the first seed of all before the second."""
    return [
        (one, noise, seed)
        for seed in range(seeds)
        for noise in noises
        for one in data
        if noise or not seed
    ]


def arrays(job: tuple[dict, float, int]) -> dict[str, np.ndarray]:
    """The times, the noisy first course, the same without noise, and the second course."""
    system, noise, seed = job
    first, second = system["solutions"][0]
    clean = np.array(first["y"]).T
    random = np.random.default_rng(1000 * seed + system["id"])
    given = clean * (1 + noise * random.standard_normal(clean.shape))
    return {
        "times": np.array(first["t"]), "given": given, "clean": clean,
        "other": np.array(second["y"]).T,
    }  # fmt: skip


def r2(y: np.ndarray, path: np.ndarray | None) -> float | None:
    if path is None or not np.isfinite(path).all():
        return None
    return float(1 - ((y - path) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum())


def course(text: str, start: np.ndarray, times: np.ndarray) -> np.ndarray | None:
    """The text solved by the package itself from another start than its own."""
    import unweave as uw
    from unweave.equations import solution

    made = uw.equation(text, times=times)
    z = centre(made)
    for i, variable in enumerate(made.system.states):
        z[made.latents.index(f"{variable.name}(0)")] = start[i]
    found = solution(made, z, times, relative=1e-7)
    return found.states if found.ok else None


def centre(made) -> np.ndarray:
    from unweave.equations import centre_of

    return np.array(centre_of(made.latents))


def ours(job: tuple[dict, float, int]) -> dict:
    from unweave.data import Signal, trajectories
    from unweave.equations import discover

    made = arrays(job)
    names = tuple(f"x{i}" for i in range(made["given"].shape[1]))
    blank = ("",) * len(names)
    began = time.perf_counter()
    data = trajectories([Signal("one", "one", made["given"], made["times"], names, blank)])
    found = discover(data)
    seconds = time.perf_counter() - began
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        both = {
            "reconstruction": r2(
                made["clean"], course(found.text, made["clean"][0], made["times"])
            ),
            "generalisation": r2(
                made["other"], course(found.text, made["other"][0], made["times"])
            ),
        }
    fitted = None if found.courses[0] is None else r2(made["clean"], found.courses[0])
    return both | {"fitted_start": fitted, "seconds": seconds, "text": found.text}


def run_ours(todo: list, kept: dict) -> None:
    results = kept.setdefault("unweave", {})
    for i, job in enumerate(todo):
        key = f"{job[0]['id']}/{job[1]}/{job[2]}"
        if key in results:
            continue
        try:
            results[key] = ours(job)
        except ValueError as error:
            results[key] = {"reconstruction": None, "generalisation": None, "text": str(error),
                            "fitted_start": None, "seconds": None}  # fmt: skip
        one = results[key]
        print(f"unweave {i + 1}/{len(todo)} {key}: {one['reconstruction']} "
              f"{one['generalisation']} {one['seconds']}", file=sys.stderr, flush=True)  # fmt: skip
        keep({"unweave": results})


def run_peers(todo: list, python: str, kept: dict) -> None:
    flat: dict[str, np.ndarray] = {"count": np.array(len(todo))}
    for i, job in enumerate(todo):
        flat |= {f"{i}_{name}": array for name, array in arrays(job).items()}
    with tempfile.TemporaryDirectory() as folder:
        given, out = pathlib.Path(folder) / "jobs.npz", pathlib.Path(folder) / "out.json"
        np.savez(given, **flat)
        script = str(HERE / "peers_discovery.py")
        subprocess.run([python, script, str(given), str(out)], check=True)
        told = json.loads(out.read_text())
    keys = [f"{job[0]['id']}/{job[1]}/{job[2]}" for job in todo]
    keep({
        "pysindy": dict(zip(keys, told["results"], strict=True)),
        "pysindy_version": told["version"],
    })  # fmt: skip


def load() -> dict:
    return json.loads(OUT.read_text()) if OUT.exists() else {}


def keep(part: dict) -> None:
    """Writes one side's results beside what the other has left there."""
    whole = load() | part
    whole["machine"] = (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    whole["date"] = datetime.date.today().isoformat()
    partial = OUT.with_suffix(f".{os.getpid()}.part")
    partial.write_text(json.dumps(whole, indent=1))
    os.replace(partial, OUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", help="an interpreter that has pysindy")
    default = HERE.parent.parent / "shared/data/odebench/odebench_part_a.json.gz"
    parser.add_argument("--data", type=pathlib.Path, default=default)
    parser.add_argument("--noise", type=float, nargs="+", default=list(NOISES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--part", choices=("ours", "peers", "page"), nargs="+",
                        default=["ours", "peers", "page"])  # fmt: skip
    options = parser.parse_args()
    todo = jobs(systems(options.data), options.noise, options.seeds)
    if "peers" in options.part:
        if options.python is None:
            parser.error("name an interpreter that has pysindy: --python")
        run_peers(todo, options.python, load())
    if "ours" in options.part:
        run_ours(todo, load())
    if "page" in options.part:
        (HERE / "DISCOVERY.md").write_text(page(load()))


if __name__ == "__main__":
    main()
