"""Denoising models against what is known exactly, and beside a plain PyTorch loop, in one run.

python bench/denoising.py --python /path/to/python/with/torch

Writes `DENOISING.md` and `denoising.json` beside this file; `--only` runs some of the parts, and
`--resume` goes on with the seeds of the first two of them that were trained for as many steps.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import sys
import tempfile
import time
from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from denoising_page import page
from machine import busy_seconds, own_seconds
from peers import Peers
from scipy.optimize import linear_sum_assignment
from scipy.stats import multivariate_normal

from unweave import train
from unweave._schema import Schema
from unweave.data import dataset
from unweave.networks import DenseNet, Diffusion, start_denoising_density, start_diffusion
from unweave.recipes import dde
from unweave.train import Averaged, Plan, Trainer, Watch

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE / "peers_denoising.py"
THREADS = (1, os.cpu_count() or 1)
#: Seconds in which the threads of either side's pool fall asleep.
_PAUSE = 0.3
ROWS = Schema("rows", ("entry",), (2,), ("a", "b"), ("", ""))
#: A mixture of three unequal Gaussians of mean zero: weights, means, standard deviations.
WEIGHTS = np.array([0.5, 0.3, 0.2])
MEANS = np.array([[-1.0, 0.2], [0.6, 0.8], [1.6, -1.7]])
DEVIATIONS = np.array([0.4, 0.3, 0.5])
#: Six points of one number.
POINTS = np.array([-1.5, -0.7, -0.5, 0.3, 1.1, 1.3])


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def mixture(n: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    which = random.choice(3, n, p=WEIGHTS)
    return MEANS[which] + DEVIATIONS[which, None] * random.normal(size=(n, 2))


def mixture_log_density(x: np.ndarray) -> np.ndarray:
    squares = ((x[:, None] - MEANS) ** 2).sum(-1) / DEVIATIONS**2
    each = np.log(WEIGHTS) - 0.5 * squares - np.log(2 * np.pi * DEVIATIONS**2)
    return np.logaddexp.reduce(each, axis=1)


def mixture_score(y: np.ndarray, sigma: float, model: Diffusion) -> np.ndarray:
    """Of noised points in the model's scaled units."""
    offset, spread = np.asarray(model.scale.offset), np.asarray(model.scale.spread)
    means, variance = (MEANS - offset) / spread, (DEVIATIONS[:, None] / spread) ** 2 + sigma**2
    squares = (y[:, None] - means) ** 2 / variance
    each = np.log(WEIGHTS) - 0.5 * (squares + np.log(variance)).sum(-1)
    share = np.exp(each - np.logaddexp.reduce(each, axis=1, keepdims=True))
    return (share[..., None] * (means - y[:, None]) / variance).sum(1)


class BestNet(eqx.Module):
    """The net of the best denoiser of the mixture, as a model of this scale needs it."""

    model: Diffusion

    def __call__(self, u: jax.Array, noise: jax.Array, code: jax.Array) -> jax.Array:
        sigma, deviation = jnp.exp(4 * noise), self.model.sigma_data
        spread = jnp.sqrt(sigma**2 + deviation**2)
        units = np.asarray(self.model.scale.spread)
        means = jnp.asarray((MEANS - np.asarray(self.model.scale.offset)) / units, jnp.float32)
        variance = jnp.asarray((DEVIATIONS[:, None] / units) ** 2, jnp.float32) + sigma**2

        def log_density(y: jax.Array) -> jax.Array:
            each = ((y[None] - means) ** 2 / variance + jnp.log(variance)).sum(-1)
            return jax.nn.logsumexp(jnp.log(jnp.asarray(WEIGHTS, jnp.float32)) - 0.5 * each)

        return sigma / deviation * (u + spread * jax.grad(log_density)(spread * u))


def trained(model: eqx.Module, plan: Plan, rows: np.ndarray, seed: int) -> tuple[eqx.Module, float]:
    rows = rows.astype(np.float32)
    trainer = Trainer(model, rows, rows[:256], plan, key=jax.random.key(seed))
    began = time.perf_counter()
    return trainer.run(trainer.start(), [], Watch()).model, time.perf_counter() - began


def falling(objective: train.Objective, rate: float, epochs: int, batch: int) -> Plan:
    """Adam whose rate falls to nothing as a cosine."""

    def stepper(budget: train.Budget) -> Averaged:
        return Averaged(objective, optax.adam(optax.cosine_decay_schedule(rate, budget.steps)))

    return Plan(stepper, epochs, batch)


def truth(options: argparse.Namespace, folder: pathlib.Path) -> Iterator[dict]:
    """Log-density and score of the best denoiser, and of trained ones, against the mixture's."""
    n, batch = 100_000, 1024
    data = dataset(mixture(n, 0).astype(np.float32), ROWS)
    x = mixture(1000, 5)
    exact = mixture_log_density(x)
    begin = start_diffusion(data, widths=(128,) * 3, key=jax.random.key(0))
    known = eqx.tree_at(lambda m: m.net, begin, BestNet(begin))
    fresh = multivariate_normal(data.observations.mean(0), np.cov(data.observations.T))
    done = options.done.get("rows", {}).get("trained", [])
    rows: dict[str, list[dict]] = {"best": [_judged(known, x, exact)], "trained": done}
    gaussian = float(np.abs(fresh.logpdf(x) - exact).mean())
    for seed in range(len(done), options.seeds):
        start = start_diffusion(data, widths=(128,) * 3, key=jax.random.key(seed))
        plan = falling(train.edm(), 2e-3, max(1, options.steps * batch // n), batch)
        model, seconds = trained(start, plan, data.observations, seed)
        rows["trained"].append({**_judged(model, x, exact), "seconds": seconds})
        say(f"truth, seed {seed}: {rows['trained'][-1]}")
        yield {"rows": rows, "gaussian": gaussian, "n": n, "batch": batch, "judged": len(x)}


def _judged(model: Diffusion, x: np.ndarray, exact: np.ndarray) -> dict:
    gap = np.asarray(model.log_densities(jnp.asarray(x, jnp.float32)), np.float64) - exact
    y = (x - np.asarray(model.scale.offset)) / np.asarray(model.scale.spread)
    score = {}
    for sigma in (0.1, 0.5, 2.0):
        noised = y + sigma * np.random.default_rng(1).normal(size=y.shape)
        ask = jax.vmap(eqx.Partial(_score, model, jnp.asarray(sigma)))
        got, best = (
            np.asarray(ask(jnp.asarray(noised, jnp.float32))),
            mixture_score(noised, sigma, model),
        )
        score[str(sigma)] = float(np.sqrt(((got - best) ** 2).mean() / (best**2).mean()))
    z = jax.random.normal(jax.random.key(3), (1000, 2))
    back = jax.vmap(model.encode)(jax.vmap(model.decode)(z))
    return {
        "absolute": float(np.abs(gap).mean()), "mean": float(gap.mean()), "score": score,
        "round_trip": float(jnp.abs(back - z).max()),
    }  # fmt: skip


def _score(model: Diffusion, sigma: jax.Array, y: jax.Array) -> jax.Array:
    return model.score(y, sigma)


def kernel(options: argparse.Namespace, folder: pathlib.Path) -> Iterator[dict]:
    """A denoising density estimator of six points against their kernel density estimate."""
    schema, sigma, batch = Schema("rows", ("entry",), (1,), ("a",), ("",)), 0.25, 512
    data = dataset(np.repeat(POINTS, 2000)[:, None].astype(np.float32), schema)
    grid = np.linspace(-5, 5, 2001)
    width, rows = grid[1] - grid[0], options.done.get("rows", [])
    for seed in range(len(rows), options.seeds):
        model = start_denoising_density(
            data, latents=1, sigma=sigma, widths=(64, 64), key=jax.random.key(seed)
        )
        epochs = max(1, options.steps * batch // len(data))
        plan = falling(train.denoising_density(), 3e-3, epochs, batch)
        model, seconds = trained(model, plan, data.observations, seed)
        bandwidth = sigma * model.scale.spread[0]
        exact = np.exp(-0.5 * ((grid[:, None] - POINTS) / bandwidth) ** 2).mean(1)
        exact /= np.sqrt(2 * np.pi) * bandwidth
        log = np.asarray(jax.vmap(model.log_density)(jnp.asarray(grid[:, None], jnp.float32)))
        found = np.exp(log.astype(np.float64) - log.max())
        found /= found.sum() * width
        likely = exact > 0.02 * exact.max()
        rows.append(
            {
                "variation": float(0.5 * np.abs(found - exact).sum() * width),
                "of_peak": float(np.abs(found - exact).max() / exact.max()),
                "relative": float(np.abs(found / exact - 1)[likely].max()),
                "seconds": seconds,
            }
        )
        say(f"kernel, seed {seed}: {rows[-1]}")
        yield {"rows": rows, "sigma": sigma, "batch": batch}


def moons(n: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    angle, side = np.pi * random.uniform(size=n), random.integers(0, 2, n)
    outer = np.stack([np.cos(angle), np.sin(angle)], 1)
    inner = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], 1)
    return np.where(side[:, None] == 0, outer, inner) + 0.08 * random.normal(size=(n, 2))


def generator(options: argparse.Namespace, folder: pathlib.Path) -> Iterator[dict]:
    """Two moons: what the generator of a density estimator, and a diffusion model, draw."""
    data = dataset(moons(4000, 0).astype(np.float32), ROWS)
    fresh, again, rows = moons(1000, 1), moons(1000, 2), {"dde": [], "diffusion": []}
    epochs = max(1, options.steps * 256 // len(data))
    for seed in range(options.seeds):
        recipe = dde(latents=2, epochs=epochs, batch=256, widths=(128, 128))
        assert recipe.plan is not None
        start = recipe.build(data, jax.random.key(seed))
        made, seconds = trained(start, recipe.plan, data.observations, seed)
        plan = falling(train.edm(), 2e-3, epochs, 256)
        begin = start_diffusion(data, widths=(128,) * 3, key=jax.random.key(seed))
        drawn, longer = trained(begin, plan, data.observations, seed)
        for name, model, took in (("dde", made, seconds), ("diffusion", drawn, longer)):
            keys = jax.random.split(jax.random.key(7), 1000)
            draws = np.asarray(jax.jit(jax.vmap(model.sample))(keys))
            rows[name].append({"distance": wasserstein(draws, fresh), "seconds": took})
            say(f"generator, seed {seed}, {name}: {rows[name][-1]}")
    reference = multivariate_normal(data.observations.mean(0), np.cov(data.observations.T))
    gaussian = wasserstein(reference.rvs(1000, random_state=0), fresh)
    yield {"rows": rows, "floor": wasserstein(again, fresh), "gaussian": gaussian}


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """The 2-Wasserstein distance between as many points."""
    cost = ((a[:, None].astype(np.float64) - b[None]) ** 2).sum(-1)
    return float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))


def speed(options: argparse.Namespace, folder: pathlib.Path) -> Iterator[dict]:
    """Seconds a step of training, of small and of wide nets, beside PyTorch's loop."""
    rows = mixture(256 * 200, 0).astype(np.float32)
    rows = (rows - rows.mean(0)) / rows.std(0)
    np.save(folder / "data.npy", rows)
    data, times, peer = dataset(rows, ROWS), {}, {}
    with Peers(options.python, SCRIPT, folder) as peers:
        for widths in ((64,) * 3, (256,) * 3):
            name = "-".join(map(str, widths))
            model = start_diffusion(data, widths=widths, key=jax.random.key(0))
            assert isinstance(model.net, DenseNet)
            plan = Plan(lambda b: Averaged(train.edm(), optax.adam(1e-3)), 10_000, 256)
            trainer = Trainer(model, rows, rows[:256], plan, key=jax.random.key(0))
            progress = trainer.start()
            times[name], peer[name] = [], {str(n): [] for n in THREADS}
            for i in range(-1, options.repetitions):  # the first round compiles and warms
                time.sleep(_PAUSE)
                began = time.perf_counter()
                *_, progress = trainer._epoch(progress, Watch())
                jax.block_until_ready(progress.state.model.net.net.weights)
                if i >= 0:
                    times[name].append((time.perf_counter() - began) / trainer.per_epoch)
                progress, _ = trainer._judge(progress)
                for n in THREADS:
                    time.sleep(_PAUSE)
                    answer = peers.ask(
                        f"train 0 {trainer.per_epoch} {n} {' '.join(map(str, widths))}"
                    )
                    if i >= 0:
                        peer[name][str(n)].append(answer["seconds"])
            theirs = {n: f"{1e3 * np.median(v):.3f}" for n, v in peer[name].items()}
            say(f"speed, {name}: {1e3 * np.median(times[name]):.3f} ms, PyTorch {theirs} ms")
        versions = peers.versions
    yield {"times": times, "peer": peer, "versions": versions}


#: Steps of training where none are asked for. A density wants more of them than samples do: ten
#: thousand leave 0.05 nats between a trained denoiser's and the true one.
STEPS = {"truth": 25_000, "kernel": 30_000, "generator": 8_000, "speed": 10_000}
PARTS = {"truth": truth, "kernel": kernel, "generator": generator, "speed": speed}


def main() -> None:
    parser = argparse.ArgumentParser(description="Denoising models beside what is known.")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with torch")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--steps", type=int, help="of each training; each part has its own")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "denoising.json"
    before = json.loads(file.read_text()) if file.exists() else {"parts": {}, "versions": {}}
    results: dict = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python "
        f"{platform.python_version()}, {jax.devices()[0].platform}",
        "versions": {**before["versions"], "jax": jax.__version__, "numpy": np.__version__},
        # parts that are not run again stay as they were
        "parts": before["parts"],
    }
    asked = options.steps
    for name in options.only:
        options.steps, old = asked or STEPS[name], results["parts"].get(name, {})
        options.done = old if options.resume and old.get("steps") == options.steps else {}
        with tempfile.TemporaryDirectory() as folder:
            began, busy, own = time.perf_counter(), busy_seconds(), own_seconds()
            for part in PARTS[name](options, pathlib.Path(folder)):
                others = busy_seconds() - busy - (own_seconds() - own)
                wall = (time.perf_counter() - began) * (os.cpu_count() or 1)
                results["versions"] |= part.pop("versions", {})
                told = {"others": others / wall, "steps": options.steps, "seeds": options.seeds}
                results["parts"][name] = {**part, **told}
                # each seed as soon as it is there
                file.write_text(json.dumps(results, indent=1) + "\n")
                (options.out / "DENOISING.md").write_text(page(results))
    say(page(results))


if __name__ == "__main__":
    main()
