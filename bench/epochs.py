"""Whether memory grows with epochs: a hundred thousand small ones, into a run folder.

    python bench/epochs.py [--epochs 100000]

The run has a process of its own, whose resident memory is read as it goes. Writes `EPOCHS.md`.
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

import psutil

HERE = pathlib.Path(__file__).resolve().parent
RUN = """
import sys
import unweave as uw
data = uw.split_at_random(uw.data.competition_cloud(200), seed=0)
recipe = uw.recipes.vae(latents=2, widths=(16,), batch=64, epochs=int(sys.argv[1]), patience=None)
uw.fit(recipe, data, out=sys.argv[2], quiet=True, checkpoint_every=10)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Whether memory grows with epochs.")
    parser.add_argument("--epochs", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "run"
        began = time.monotonic()
        child = subprocess.Popen([sys.executable, "-c", RUN, str(options.epochs), str(out)])
        log, rows, done, size = out / "metrics.jsonl", [], 0, 0
        while child.poll() is None:
            time.sleep(0.2)
            if not log.exists() or log.stat().st_size == size:
                continue
            with log.open("rb") as file:
                file.seek(size)
                more = file.read()
            done, size = done + more.count(b"\n"), size + len(more)
            try:
                rows.append((done, psutil.Process(child.pid).memory_info().rss / 1e6))
            except psutil.NoSuchProcess:
                break
        assert child.wait() == 0
        seconds = time.monotonic() - began
        result = json.loads((out / "result.json").read_text())
    while_training = [(n, mb) for n, mb in rows if 100 <= n < options.epochs]
    first = while_training[0]
    points = [options.epochs * share // 100 for share in (1, 10, 25, 50, 75, 99)]
    shown = [first, *(min(while_training, key=lambda row, p=p: abs(row[0] - p)) for p in points)]
    most = max(mb for _, mb in while_training)
    import jax

    lines = [
        "# Memory and epochs", "",
        f"Written by `bench/epochs.py`. {datetime.date.today().isoformat()}, {os.cpu_count()} "
        f"cores, {platform.machine()}, Python {platform.python_version()}, jax {jax.__version__}. "
        f"{result['epochs']:,} epochs of a small VAE into a run folder with checkpoints, in "
        f"{seconds:.0f} s. Resident memory after the first hundred epochs {first[1]:.1f} MB, at "
        f"most {most:.1f} MB until the last: {100 * (most / first[1] - 1):+.2f} %. Of "
        "the log at most 2,048 rows are in memory; the folder has all.", "",
        "| epoch | resident MB | beside the first |", "|---|---|---|",
        *(f"| {n:,} | {mb:.1f} | {100 * (mb / first[1] - 1):+.2f} % |" for n, mb in shown),
    ]  # fmt: skip
    (HERE / "EPOCHS.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
