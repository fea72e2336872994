"""What a user waits for: each verb of the command line, in a process of its own.

    python bench/paths.py [--only WORD ...] [--repeats 3]

Cold: nothing compiled is kept from before. Warm: the same command again. Goes on from
`paths.json`, keeping what was measured before under another `--label`; writes `PATHS.md`.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
COMMAND = [sys.executable, "-c", "import sys; from unweave.cli import main; sys.exit(main())"]
#: The model and the equation that other verbs ask, made before.
BEFORE = [
    "fit beta-vae heartbeats --epochs 10 --out vae --quiet --no-report",
    "fit zoo:lotka-volterra hare-lynx --out equation --quiet --no-report",
]
PATHS = {
    "help": "--help",
    "look": "look heartbeats",
    "fit a VAE": "fit beta-vae heartbeats --epochs 10 --out {new} --quiet",
    "fit an equation": "fit zoo:lotka-volterra hare-lynx --out {new} --quiet",
    "fit PCA": "fit pca heartbeats --out {new} --quiet",
    "analyse a pendulum": "analyse zoo:pendulum -o {new}.svg --quiet",
    "simulate": "simulate zoo:lorenz -o {new}.csv",
    "discover": "discover hare-lynx --bags 0 --quiet",
    "sample": "sample vae -n 100 -o {new}.csv",
    "traverse": "traverse vae -o {new}.svg",
    "encode": "encode vae -o {new}.csv",
    "explain": "explain vae --target surprise --orders 20",
    "attack": "attack vae --epsilon 0.1 -n 8",
    "detect": "detect heartbeats vae sub-pca -o {new}.csv",
    "report": "report equation -o {new}.html",
}


def seconds(words: list[str], folder: pathlib.Path, cache: pathlib.Path) -> float:
    environment = {**os.environ, "UNWEAVE_CACHE": str(cache)}
    began = time.perf_counter()
    done = subprocess.run([*COMMAND, *words], cwd=folder, env=environment, capture_output=True,
                          text=True, timeout=900)  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr[-500:]}")
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="What a user waits for.")
    parser.add_argument("--only", nargs="+", default=list(PATHS), choices=list(PATHS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--label", default="now")
    options = parser.parse_args()
    file = HERE / "paths.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    rows = found.setdefault(options.label, {})
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        for words in BEFORE:
            seconds(shlex.split(words), folder, folder / "before")
        for n, name in enumerate(options.only):
            cold, warm = [], []
            for i in range(options.repeats):
                cache = folder / f"cache-{n}-{i}"
                for many, into in (("a", cold), ("b", warm)):
                    words = PATHS[name].format(new=f"new-{n}-{i}{many}")
                    into.append(seconds(shlex.split(words), folder, cache))
            rows[name] = {"cold": cold, "warm": warm}
            print(name, cold, warm, flush=True)
            file.write_text(json.dumps(found, indent=1) + "\n")
    import jax

    labels = list(found)
    lines = [
        "# What a user waits for", "",
        f"Written by `bench/paths.py`. {datetime.date.today().isoformat()}, {os.cpu_count()} "
        f"cores, {platform.machine()}, Python {platform.python_version()}, jax {jax.__version__}. "
        "Seconds of a command, start and end of Python included: median (smallest–largest, n). "
        "Cold: nothing compiled is kept; warm: the same command again.", "",
        "| path | " + " | ".join(f"{label}: cold | warm" for label in labels) + " |",
        "|---|" + "---|---|" * len(labels),
    ]  # fmt: skip
    for name in PATHS:
        cells = []
        for label in labels:
            row = found[label].get(name)
            for kind in ("cold", "warm"):
                cells.append("" if row is None else _cell(row[kind]))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    (HERE / "PATHS.md").write_text("\n".join(lines) + "\n")


def _cell(values: list[float]) -> str:
    low, high = min(values), max(values)
    return f"{statistics.median(values):.1f} ({low:.1f}–{high:.1f}, {len(values)})"


if __name__ == "__main__":
    main()
