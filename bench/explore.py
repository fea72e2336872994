"""How long a slider of the explorer takes to move a curve, in a headless Chromium on this machine.

python bench/explore.py [--moves 100]

Needs chromium and chromedriver. From the slider's `input` event to the frame after the curve was
drawn, one move at a time, and then fifty moves at once. Writes `explore.json` and `EXPLORE.md`.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import sys
import tempfile
from collections.abc import Iterator

import jax
import numpy as np

import unweave as uw
from unweave import explore

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from browser import browser, opened, settled  # noqa: E402

AFTER = 25  # milliseconds between a drawn curve and the next move
MOVES = """
    const [moves, after, done] = arguments;
    const slider = document.querySelector("#sliders input[type=range]");
    const low = Number(slider.min), high = Number(slider.max);
    const times = [];
    function move() {
      const share = 0.5 + 0.45 * Math.sin(0.4 * times.length);
      slider.value = low + (high - low) * share;
      slider.dispatchEvent(new Event("input"));
    }
    document.addEventListener("unweave:drawn", function listen(event) {
      if (!Number.isFinite(event.detail.painted)) return;
      times.push([event.detail.drawn, event.detail.painted]);
      if (times.length < moves) setTimeout(move, after);
      else {
        document.removeEventListener("unweave:drawn", listen);
        done(times);
      }
    });
    move();"""
BURST = """
    const [done] = arguments;
    const slider = document.querySelector("#sliders input[type=range]");
    const low = Number(slider.min), high = Number(slider.max);
    const began = performance.now();
    let drawn = 0;
    document.addEventListener("unweave:drawn", function listen(event) {
      drawn += 1;
      const z = event.detail.z[Number(slider.id.slice(2))];
      if (Math.abs(z - last) < 1e-9) {
        document.removeEventListener("unweave:drawn", listen);
        done([performance.now() - began, drawn]);
      }
    });
    for (let i = 1; i <= 50; i += 1) {
      slider.value = low + (high - low) * (0.1 + 0.8 * i / 50);
      slider.dispatchEvent(new Event("input"));
    }
    const last = Number(slider.value);"""


def cases() -> Iterator[tuple[str, uw.Explorer, str]]:
    """What is shown, the explorer, and the view."""
    beats = uw.split_by_group(uw.heartbeats(400, samples=256))
    vae = uw.fit(uw.beta_vae(latents=8, epochs=10), beats, quiet=True)
    pca = uw.fit(uw.pca(latents=8), beats, quiet=True)
    yield "a VAE and principal components, heartbeats of 256 samples", uw.explorer([vae, pca]), ""
    species = uw.explorer(["zoo:lotka-volterra"])
    yield "an equation of two species, 201 times of two channels", species, "#view=time"
    yield "the same in its phase plane, with arrows and nullclines", species, "#view=phase"
    digits = uw.fit(uw.vae(epochs=5), uw.split_at_random(uw.digits()), quiet=True)
    yield "a VAE of pictures, 8 by 8", uw.explorer([digits]), ""


def measured(explorer: uw.Explorer, view: str, moves: int) -> dict:
    explore.warm(explorer)
    with (
        explore.served(explorer) as address,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        browser(pathlib.Path(folder)) as page,
    ):
        opened(page, address)
        if view:
            page.get("about:blank")
            opened(page, address.partition("?")[0] + view)
        page.execute_async_script(MOVES, 10, AFTER)
        load = os.getloadavg()[0]
        times = np.asarray(page.execute_async_script(MOVES, moves, AFTER))
        settled(page)
        burst, drawn = page.execute_async_script(BURST)
        return {
            "moves": len(times), "drawn": times[:, 0].tolist(), "painted": times[:, 1].tolist(),
            "burst_ms": burst, "burst_drawn": drawn, "load": load,
        }  # fmt: skip


def page_of(found: dict) -> str:
    """The page, of the numbers alone."""
    lines = [
        "# From a slider to a curve", "", f"Written by `bench/explore.py`. {found['machine']}.", "",
        "Milliseconds from a slider's `input` event to the first frame after the curve was",
        "drawn, one move at a time, in a headless Chromium on the machine that also computes; and",
        "fifty moves at once, until the last of them is drawn. *Load* is how many programs ran or",
        "waited for a core meanwhile (one minute's mean), browser and server among them.", "",
        "| what is shown | moves | median | 95th percentile | worst | 50 at once | curves drawn of "
        "them | load |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, row in found["cases"].items():
        painted = np.asarray(row["painted"])
        middle, late = np.percentile(painted, [50, 95])
        lines.append(
            f"| {name} | {row['moves']} | {middle:.0f} | {late:.0f} | {painted.max():.0f} | "
            f"{row['burst_ms']:.0f} | {row['burst_drawn']} | {row['load']:.1f} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=100)
    moves = parser.parse_args().moves
    machine = (
        f"{datetime.date.today()}, {os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, jax {jax.__version__}"
    )
    found = {"machine": machine, "cases": {}}
    for name, explorer, view in cases():
        found["cases"][name] = measured(explorer, view, moves)
        print(name, np.percentile(found["cases"][name]["painted"], [50, 95]))
    (HERE / "explore.json").write_text(json.dumps(found, indent=1) + "\n")
    (HERE / "EXPLORE.md").write_text(page_of(found))


if __name__ == "__main__":
    main()
