"""unweave's side of the benchmark: one function for each row, over the package's own loop."""

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable

import jax
import numpy as np
import optax

from unweave import train
from unweave._latents import Latents
from unweave._noise import Bernoulli, Gaussian
from unweave.data import Scale
from unweave.networks import MLP, VAE, Flat, conv_decoder, conv_encoder
from unweave.train import Descend, Plan, Trainer, Watch

LATENTS, BATCH, RATE, CAPACITY, GAMMA, WARM_UP = 10, 64, 5e-4, 25.0, 100.0, 3500
# a pass is one call of the function that a row's maker returns: seconds and steps
Pass = Callable[[], tuple[float, int]]


def unweave_mlp_step(beats: np.ndarray) -> Pass:
    """180-256-256-10 and back, Gaussian, capacity β-VAE."""
    one, two = jax.random.split(jax.random.key(0))
    size = beats.shape[1]
    encoder = Flat(MLP(size, 2 * LATENTS, (256, 256), key=one), (2 * LATENTS,))
    decoder = Flat(MLP(LATENTS, size, (256, 256), key=two), (size, 1))
    scale = Scale((0.0,), (1.0,))
    model = VAE(Latents.standard(LATENTS), encoder, decoder, Gaussian.learned((1,)), scale)
    return _pass(model, beats[..., None])


def unweave_conv_step(images: np.ndarray) -> Pass:
    """The network of Burgess et al. (2018), Bernoulli, capacity β-VAE."""
    one, two = jax.random.split(jax.random.key(0))
    shape = (*images.shape[1:], 1)
    encoder = conv_encoder(shape, 2 * LATENTS, key=one)
    decoder = conv_decoder(shape, LATENTS, key=two)
    scale = Scale((0.0,), (1.0,))
    model = VAE(Latents.standard(LATENTS), encoder, decoder, Bernoulli(), scale)
    return _pass(model, images[..., None])


def _pass(model: VAE, data: np.ndarray) -> Pass:
    # one epoch of the real loop: permutation, batches, steps, and a look at one held-out batch
    objective = train.capacity(CAPACITY, GAMMA, WARM_UP)
    plan = Plan(lambda budget: Descend(objective, optax.adam(RATE)), epochs=1, batch=BATCH)
    trainer = Trainer(model, data, data[:BATCH], plan, key=jax.random.key(1))
    steps = len(data) // BATCH

    def run() -> tuple[float, int]:
        progress = jax.block_until_ready(trainer.start())
        began = time.perf_counter()
        jax.block_until_ready(trainer.run(progress, [], Watch()).model)
        return time.perf_counter() - began, steps

    return run


def unweave_command(
    folder: pathlib.Path, *, epochs: int, cache: pathlib.Path, out: pathlib.Path
) -> tuple[float, int, int]:
    """The whole command: its seconds, and how many beats trained and how many judged."""
    program = "import sys; from unweave.cli import main; sys.exit(main())"
    arguments = [
        "fit", "beta-vae", str(folder / "beats.npy"), "--kind", "rows", "--out", str(out),
        "--epochs", str(epochs), "--latents", str(LATENTS), "--batch", str(BATCH),
        "--no-report", "--json",
    ]  # fmt: skip
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "UNWEAVE_CACHE": str(cache)},
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"unweave fit failed: {done.stderr[-2000:]}")
    result = json.loads(done.stdout)
    return seconds, result["n_train"], result["n_validation"]
