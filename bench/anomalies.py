"""What finds anomalies: every family beside baselines and PyOD, in beats and in series.

python bench/anomalies.py --data /path/to/data [--seeds 5] [--sets ...] [--python PEERS]

Goes on where it stopped: each fit is kept in `anomalies.json`; writes `ANOMALIES.md`. Labels are
seen by measures alone; every setting is the same for all data and was fixed before.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable

import jax
import numpy as np
from anomalies_page import page
from anomaly_sets import SETS, Task

from unweave import Inverted, detect
from unweave._schema import Schema
from unweave.data import dataset, split_at_random
from unweave.detect import Calibrated, Detector, Score
from unweave.equations import equation, parse
from unweave.recipes import autoencoder, diffusion, flow, gan, gaussian_mixture, pca, vae
from unweave.run import fit
from unweave.targets import surprise

HERE = pathlib.Path(__file__).resolve().parent
NET = {"epochs": 60, "batch": 32, "widths": (64, 64)}
SETTINGS = (
    "nets of two layers of 64, 60 epochs of batch 32, at most 2,000 windows to learn from; "
    "mixtures and principal axes with 4 latents"
)
#: Rates of false alarms that are asked for, and random halves of normal beats to try them on.
RATES, HALVES = (0.01, 0.05, 0.1), 20
PEERS = ("KNN", "LOF", "PCA", "OCSVM", "IForest", "ECOD", "COPOD", "HBOS", "AutoEncoder", "VAE",
         "DeepSVDD", "stumpy")  # fmt: skip
#: Peers in which nothing is drawn, and those that take all pairs of windows.
SURE = ("ECOD", "COPOD", "HBOS", "KNN", "LOF", "PCA", "OCSVM", "stumpy")
SLOW, FEW = ("KNN", "LOF", "OCSVM", "stumpy"), 20_000


def trained(recipe: Callable) -> Callable:
    def train(normal: np.ndarray, conditions: None, seed: int):
        units = Schema("windows", ("time", "channel"), normal.shape[1:], ("value",), ("",))
        data = split_at_random(dataset(normal.astype(np.float32), units), test=0.1, seed=seed)
        return fit(recipe(), data, quiet=True, seed=seed).model

    return train


def surprised(model, normal: np.ndarray, conditions: None) -> Score:
    return detect.of_target(surprise(model))


def by_sample(model, normal: np.ndarray, conditions: None) -> Score:
    return detect.reconstruction(model, normal, by_entry=True)


def net(name: str, recipe: Callable, score: Callable) -> tuple[str, str, Callable]:
    """The name, the model that scores of one fit share, and how one is made."""
    return name, recipe.__name__, score


def small_vae():
    return vae(latents=4, **NET)


def small_autoencoder():
    return autoencoder(latents=4, **NET)


def small_gan():
    return gan(latents=4, **NET)


def small_pca():
    return pca(latents=4)


def small_mixture():
    return gaussian_mixture(latents=4, components=5)


def small_flow():
    return flow(**(NET | {"widths": (64, 64, 64)}))


def small_diffusion():
    return diffusion(**(NET | {"widths": (64, 64, 64)}))


BASELINES: dict[str, Detector] = {
    "distance to the mean": detect.distance_to_mean(),
    "Sub-PCA": detect.sub_pca(),
    "nearest neighbour": detect.neighbours(),
    "nearest neighbour, z-normalised": detect.neighbours(normalised=True),
    "local outlier factor": detect.local_density(),
    "isolation forest": detect.isolation_forest(),
}
OURS = "ours: three together"
MODELS: dict[Callable, dict[str, Callable]] = {
    small_pca: {"PCA, density": surprised},
    small_mixture: {"mixture, density": surprised},
    small_autoencoder: {"autoencoder, reconstruction": detect.reconstruction},
    small_vae: {
        "VAE, reconstruction": detect.reconstruction,
        "VAE, deviation by sample": by_sample,
        "VAE, latents": detect.latent_surprise,
        "VAE, both at once": detect.joint_surprise,
        "VAE, density (bound)": surprised,
    },
    small_gan: {"GAN, critic": lambda model, normal, conditions: detect.critic(model)},
    small_flow: {"flow, density": surprised},
    small_diffusion: {"diffusion, density (estimate)": surprised},
}
#: A beat as five waves and a level, each wave with a height, a place and a width of its own (after
#: the five waves of McSharry et al. 2003), in shares of the beat.
WAVES, WAVE_WIDTH = 5, (0.01, 0.2)
EQUATION = {
    "equation of five waves, reconstruction": detect.reconstruction,
    "equation of five waves, latents": detect.latent_surprise,
    "equation of five waves, both at once": detect.joint_surprise,
}


def five_waves(normal: np.ndarray):
    """The equation, its latents of each beat the most likely ones about those of the mean normal
    beat, which are found first, from many starts."""
    mean = normal.astype(np.float64).mean(0)
    low, high = float(mean.min()), float(mean.max())
    reach = high - low
    wide = [
        (f"c{i} in ({max(i / WAVES - 0.1, 0):.3f}, {(i + 1) / WAVES + 0.1:.3f}) s per record",
         f"h{i} in ({-reach:.3f}, {reach:.3f}) per record",
         f"w{i} in ({WAVE_WIDTH[0]}, {WAVE_WIDTH[1]}) s per record")
        for i in range(WAVES)
    ]  # fmt: skip
    flat = f"level in ({low:.3f}, {high:.3f}) per record"
    first = Inverted(decoder=of_waves([*sum(wide, ()), flat], len(mean)), starts=48, steps=200)
    with jax.enable_x64(True):
        z = dict(zip(first.latents.names, np.asarray(first.encode(mean)), strict=True))
        left = float(np.std(mean - np.asarray(first.decode(np.array([*z.values()])))))
    near = [
        line
        for i in range(WAVES)
        for line in (
            f"c{i} ~ normal({z[f'c{i}']:.5f}, 0.03) s per record",
            f"h{i} ~ normal({z[f'h{i}']:.5f}, {0.15 * reach:.5f}) per record",
            f"w{i} ~ log-normal({z[f'w{i}']:.5f}, 0.3) s per record",
        )
    ]
    near.append(f"level ~ normal({z['level']:.5f}, {0.1 * reach:.5f}) per record")
    noise = max(left, 0.05 * reach)
    return Inverted(
        decoder=of_waves(near, len(mean)), starts=1, steps=60, scale=(noise,), with_prior=True
    )


def of_waves(latents: list[str], samples: int):
    waves = [f"h{i}*exp(-((phase - c{i})/w{i})^2/2)" for i in range(WAVES)]
    text = ["time in s", "phase' = 1", "phase(0) = 0", *latents,
            "observe value = level + " + " + ".join(waves)]  # fmt: skip
    with jax.enable_x64(True):
        return equation(parse("\n".join(text)), times=np.linspace(0, 1, samples))


def measured(scores: np.ndarray, task: Task) -> dict[str, float]:
    if task.begin is None:
        return {"auroc": detect.auroc(scores, task.truth), "aupr": detect.aupr(scores, task.truth)}
    by_sample = detect.over_samples(scores, task.begin, task.length, task.total)
    step = max(1, task.length // 20)
    volume = detect.volume(by_sample, task.truth, longest=task.length, step=step)
    return {
        "auroc": detect.auroc(by_sample, task.truth), "aupr": detect.aupr(by_sample, task.truth),
        "vus_roc": volume.roc, "vus_pr": volume.pr,
    }  # fmt: skip


def together() -> Detector:
    """What is chosen where it is known what is normal: a subspace, a distance, a density."""
    return detect.together(
        [detect.sub_pca(), detect.neighbours(), detect.local_density()], name=OURS
    )


def chosen(task: Task) -> tuple[Detector, list[str]]:
    """What is chosen without a label, and its members: where nothing is known to be normal, the
    three baselines that agree most with all."""
    if task.known:
        return together(), ["Sub-PCA", "nearest neighbour", "local outlier factor"]
    found = detect.agreeing(list(BASELINES.values()), task.train)
    return found.best, [list(BASELINES)[i] for i in found.kept]


def alarms(task: Task) -> list[dict]:
    """The rate of false alarms on normal beats that neither trained nor calibrated."""
    normal, rows = task.x[~task.truth], []
    for name, detector in (*BASELINES.items(), (OURS, together())):
        scores = detector.fit(task.train)(normal)
        for rate in RATES:
            found = []
            for seed in range(HALVES):
                order = np.random.default_rng(seed).permutation(len(scores))
                held, new = np.array_split(scores[order], 2)
                found.append(float(Calibrated(held).flags(new, rate).mean()))
            rows.append({"detector": name, "rate": rate, "found": found, "n": len(scores) // 2})
    return rows


def peer(python: str, task: Task, name: str, seed: int) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        given, out = pathlib.Path(folder) / "in.npz", pathlib.Path(folder) / "out.npy"
        np.savez(given, train=task.train, x=task.x)
        words = [python, str(HERE / "peers_anomalies.py"), str(given), name, str(seed), str(out)]
        subprocess.run(words, check=True, capture_output=True, timeout=900)
        return np.load(out)


class Kept:
    """The rows found so far, written after each."""

    def __init__(self, file: pathlib.Path):
        self.file = file
        self.results = json.loads(file.read_text()) if file.exists() else {"fits": [], "alarms": []}

    def has(self, name: str, method: str, seed: int) -> bool:
        key = [name, method, seed]
        return any([r["set"], r["method"], r["seed"]] == key for r in self.results["fits"])

    def add(self, name: str, method: str, seed: int, seconds: float, found: dict) -> None:
        row = {"set": name, "method": method, "seed": seed, "seconds": round(seconds, 2), **found}
        print(row, flush=True)
        self.results["fits"].append(row)
        self.write()

    def write(self) -> None:
        self.results |= {
            "settings": SETTINGS, "ours": OURS, "date": datetime.date.today().isoformat(),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
            f"{platform.python_version()}, jax {jax.__version__}",
        }  # fmt: skip
        self.file.write_text(json.dumps(self.results, indent=1) + "\n")
        (HERE / "ANOMALIES.md").write_text(page(self.results))


def run_baselines(kept: Kept, name: str, task: Task, seeds: int) -> None:
    best, members = chosen(task)
    kept.results.setdefault("members", {})[name] = members
    drawn = seeds if "isolation forest" in members else 1
    for method, detector in (*BASELINES.items(), (OURS, best)):
        count = drawn if method == OURS else seeds if "forest" in method else 1
        for seed in range(count):
            if not kept.has(name, method, seed):
                began = time.perf_counter()
                scores = detector.fit(task.train, seed=seed)(task.x)
                kept.add(name, method, seed, time.perf_counter() - began, measured(scores, task))


def run_models(kept: Kept, name: str, task: Task, seeds: int) -> None:
    for recipe, scores in MODELS.items():
        closed = recipe in (small_pca,)
        for seed in range(1 if closed else seeds):
            if all(kept.has(name, method, seed) for method in scores):
                continue
            jax.clear_caches()
            began = time.perf_counter()
            model = trained(recipe)(task.train, None, seed)
            for method, score in scores.items():
                found = score(model, task.train.astype(np.float32), None)(task.x)
                seconds = time.perf_counter() - began
                kept.add(name, method, seed, seconds, measured(found, task))


def run_equation(kept: Kept, name: str, task: Task) -> None:
    """Of beats alone: a window of a series may begin anywhere in a beat."""
    if task.begin is not None or all(kept.has(name, method, 0) for method in EQUATION):
        return
    began = time.perf_counter()
    model, normal = five_waves(task.train), task.train.astype(np.float64)
    for method, score in EQUATION.items():
        found = score(model, normal)(task.x.astype(np.float64))
        kept.add(name, method, 0, time.perf_counter() - began, measured(found, task))


def run_peers(kept: Kept, name: str, task: Task, seeds: int, python: str) -> None:
    for method in PEERS:
        for seed in range(1 if method in SURE else seeds):
            called = "stumpy, matrix profile" if method == "stumpy" else f"PyOD {method}"
            if kept.has(name, called, seed) or (method in SLOW and len(task.x) > FEW):
                continue
            began = time.perf_counter()
            scores = peer(python, task, method, seed)
            kept.add(name, called, seed, time.perf_counter() - began, measured(scores, task))


def main() -> None:
    parser = argparse.ArgumentParser(description="What finds anomalies.")
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS))
    parser.add_argument("--python", help="an interpreter with PyOD, torch and stumpy")
    parser.add_argument("--without", nargs="+", default=[], choices=("models", "peers"))
    options = parser.parse_args()
    kept = Kept(HERE / "anomalies.json")
    for name in options.sets:
        task = SETS[name](options.data)
        kept.results.setdefault("how", {})[name] = task.how
        run_baselines(kept, name, task, options.seeds)
        if task.begin is None and not kept.results["alarms"]:
            kept.results["alarms"] = alarms(task)
            kept.write()
        if "models" not in options.without:
            run_equation(kept, name, task)
            run_models(kept, name, task, options.seeds)
        if options.python and "peers" not in options.without:
            run_peers(kept, name, task, options.seeds, options.python)
    kept.write()


if __name__ == "__main__":
    main()
