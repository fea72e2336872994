"""What the monitor says of trainings that were made to fail, and of sound ones.

python bench/health.py [--runs 20]

Goes on where it stopped: each training is kept in `health.json`; writes `HEALTH.md`.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform

import jax
import numpy as np

from unweave._schema import Schema
from unweave.data import Split, dataset, split_at_random
from unweave.recipes import gan, vae
from unweave.run import fit
from unweave.train import Recipe, alarms

HERE = pathlib.Path(__file__).resolve().parent
SMALL = {"latents": 2, "widths": (64, 64), "batch": 64}


def plane(n: int, seed: int, modes: int = 8) -> np.ndarray:
    """Gaussians around a circle."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * rng.integers(modes, size=n) / modes
    centres = 2 * np.stack([np.cos(angle), np.sin(angle)], 1)
    return (centres + 0.2 * rng.standard_normal((n, 2))).astype(np.float32)


def parted(n: int, seed: int) -> Split:
    schema = Schema("rows", ("entry",), (2,), ("a", "b"), ("", ""))
    return split_at_random(dataset(plane(n, seed), schema))


def waves(n: int, seed: int) -> Split:
    """Sines of random phase and size, 24 samples."""
    rng = np.random.default_rng(seed)
    t, phase = np.arange(24) / 24, rng.uniform(0, 2 * np.pi, (n, 1))
    size = rng.uniform(0.5, 1.5, (n, 1))
    x = size * np.sin(2 * np.pi * t + phase) + 0.05 * rng.standard_normal((n, 24))
    schema = Schema("windows", ("time", "channel"), (24, 1), ("x",), ("",))
    return split_at_random(dataset(x[..., None].astype(np.float32), schema))


def collapsing(seed: int) -> tuple[Recipe, Split]:
    """A critic that learns a hundred times slower than the generator, which runs to where it is
    best liked."""
    recipe = gan(
        loss="non-saturating", r1=0.0, r2=0.0, epochs=30, least_steps=1, learning_rate=5e-3,
        critic_learning_rate=5e-5, decay=0.9, **SMALL,
    )  # fmt: skip
    return recipe, parted(1500, seed)


def memorising(seed: int) -> tuple[Recipe, Split]:
    """Twenty observations, and a critic whose slope is hardly held."""
    recipe = gan(
        r1=0.002, r2=0.002, epochs=1, least_steps=6000, learning_rate=2e-3, latents=2,
        widths=(128, 128), batch=20,
    )  # fmt: skip
    data = parted(100, seed)
    every = dataset(
        np.concatenate([part.observations for part in (data.train, data.validation, data.test)]),
        data.train.schema,
    )
    return recipe, Split(every.take(slice(20)), every.take(slice(20, 60)),
                         every.take(slice(60, 100)), "20 to train")  # fmt: skip


def saturating(seed: int) -> tuple[Recipe, Split]:
    """A critic that learns five hundred times faster than a generator with the minimax loss."""
    recipe = gan(
        loss="minimax", r1=0.0, r2=0.0, epochs=30, least_steps=1, learning_rate=1e-5,
        critic_learning_rate=5e-3, **SMALL,
    )  # fmt: skip
    return recipe, parted(1500, seed)


def sound(seed: int) -> tuple[Recipe, Split]:
    """The defaults: games in the plane and on waves, and VAEs."""
    if seed % 4 == 3:
        return vae(latents=2, epochs=40, widths=(64, 64)), waves(1500, seed)
    data = waves(1500, seed) if seed % 2 else parted(1500, seed)
    return gan(latents=2, epochs=60, least_steps=1, widths=(64, 64), batch=64), data


KINDS = {
    "collapsed": collapsing, "memorising": memorising, "critic saturated": saturating,
    "sound": sound,
}  # fmt: skip


def page(results: dict) -> str:
    lines = [
        "# What the monitor says",
        "",
        f"Written by `bench/health.py`. {results['date']}, {results['machine']}.",
        "",
        "Trainings made to fail, and sound ones; an alarm counts if it stands in the last epoch. A "
        "collapse is also told where the alarm is that kinds are left out: some spread remains.",
        "",
        "| made to be | trainings | said so | other alarms |",
        "|---|---|---|---|",
    ]
    for kind in KINDS:
        rows = [row for row in results["runs"] if row["kind"] == kind]
        if not rows:
            continue
        meant = {kind, "leaving out"} if kind == "collapsed" else {kind}
        hits = sum(bool(meant & set(row["alarms"])) for row in rows)
        others = sum(bool(set(row["alarms"]) - meant) for row in rows)
        said = "" if kind == "sound" else f"{hits} of {len(rows)}"
        lines.append(f"| {kind} | {len(rows)} | {said} | {others} |")
    lines += [
        "",
        *(f"- **{kind}**: {' '.join(make.__doc__.split())}" for kind, make in KINDS.items()),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Alarms of the monitor.")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--only", choices=tuple(KINDS))
    options = parser.parse_args()
    file = HERE / "health.json"
    results = json.loads(file.read_text()) if file.exists() else {"runs": []}
    results |= {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, jax {jax.__version__}",
    }
    done = {(row["kind"], row["seed"]) for row in results["runs"]}
    for seed in range(options.runs):
        for kind, make in KINDS.items():
            if (kind, seed) in done or options.only not in (None, kind):
                continue
            recipe, data = make(seed)
            run = fit(recipe, data, quiet=True, seed=seed)
            found = alarms(run.rows, run.result["epochs"])
            last = {k: v for k, v in run.rows[-1].items() if k.startswith(("look", "held"))}
            print(kind, seed, found, {k: round(v, 3) for k, v in last.items()}, flush=True)
            results["runs"].append({"kind": kind, "seed": seed, "alarms": found, "last": last})
            file.write_text(json.dumps(results, indent=1) + "\n")
            (HERE / "HEALTH.md").write_text(page(results))


if __name__ == "__main__":
    main()
