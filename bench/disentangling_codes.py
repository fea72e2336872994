"""Codes of every autoencoding recipe, for the table of disentanglement: what takes long.

python bench/disentangling_codes.py [--seeds 5] [--recipes beta-vae qlae ...]

Goes on where it stopped: the codes of each fit are kept in `disentangling-codes/`, which is not
part of the repository; `disentangling.py` scores them.
"""

import argparse
import functools
import pathlib
import time
from collections.abc import Callable

import jax
import numpy as np

from unweave import Gaussian, Inverted
from unweave._many import many, real
from unweave.data import Dataset, Split, heartbeats, split_at_random
from unweave.equations import equation, parse, zoo_text
from unweave.evaluate import explained_variance, summarise
from unweave.recipes import RECIPES, beta_vae, dip_vae, latent_ode, qlae
from unweave.run import fit
from unweave.train import Recipe

#: What needs no training: the equation of the zoo, each beat's latents by least squares.
EQUATION = "equation, inverted"
CODES = pathlib.Path(__file__).resolve().parent / "disentangling-codes"
#: Beats that are fitted, beats that are scored, samples of a beat, latents.
FITTED, SCORED, SAMPLES, LATENTS = 4000, 3000, 128, 16
#: What the equation is told of the noise: the mean of the simulated beats', in mV.
NOISE = 0.0175

#: Every recipe that encodes a single beat into so many latents and decodes it, with its defaults.
KINDS: dict[str, Callable[..., Recipe]] = {
    name: RECIPES[name]
    for name in (
        "pca", "autoencoder", "vae", "beta-vae", "beta-tcvae", "factor-vae",
        "dip-vae", "info-vae", "qlae", "binary-vae", "cluster-vae", "aae", "vae-gan", "bigan",
        "vq-vae",
    )
}  # fmt: skip
KINDS |= {
    "dip-vae, of samples": functools.partial(dip_vae, of_samples=True),
    "beta-vae, 50 nats": functools.partial(beta_vae, capacity=50.0, epochs=100),
    "qlae, 30 values": functools.partial(qlae, values=30, epochs=200),
    # a net reads the latents of the equation of the zoo off a beat; that equation decodes them
    "latent-ode, zoo:ecg": functools.partial(
        latent_ode,
        equation="zoo:ecg",
        encoder="dense",
        hidden=128,
        hide=0.0,
        sleep=1.0,
        noise_level=NOISE,
        epochs=120,
        patience=120,
    ),
}


@functools.cache
def beats() -> Split:
    return split_at_random(heartbeats(FITTED, samples=SAMPLES, seed=0))


@functools.cache
def scored() -> Dataset:
    """Beats that no fit has seen."""
    return heartbeats(SCORED, samples=SAMPLES, seed=10_000)


def file_of(kind: str, seed: int) -> pathlib.Path:
    return CODES / f"{kind.replace(', ', '-').replace(' ', '-')}-{seed}.npz"


def invert() -> None:
    """The latents of `zoo:ecg` for each beat, the most likely under its priors and the mean noise
    of the simulated beats: the model that the beats come from, told what it is."""
    held, began = scored(), time.perf_counter()
    times = held.schema.origin + held.schema.step * np.arange(SAMPLES)
    with jax.enable_x64(True):
        model = equation(parse(zoo_text("ecg")), times=times, noise=Gaussian.fixed((NOISE,)))
    inverted = Inverted(decoder=model, starts=2, steps=32, with_prior=True)
    codes = many(inverted.encode, held.observations, chunk=32)
    rebuilt = many(model.decode, codes, chunk=32)
    explained = explained_variance(held.observations, rebuilt)
    np.savez(
        file_of(EQUATION, 0), codes=codes.astype(np.float32), explained=explained,
        seconds=time.perf_counter() - began, active=np.ones(codes.shape[1], bool),
    )  # fmt: skip


def make(kind: str, seed: int) -> None:
    began = time.perf_counter()
    run = fit(KINDS[kind](latents=LATENTS), beats(), quiet=True, seed=seed)
    seconds = time.perf_counter() - began
    held = scored()
    codes = many(run.model.encode, real(held.observations), held.conditions)
    told = summarise(run.model, held.thinned(1000))
    np.savez(
        file_of(kind, seed), codes=codes.astype(np.float32), seconds=seconds,
        explained=np.nan if told.explained_variance is None else told.explained_variance,
        active=[] if told.active is None else told.active,
    )  # fmt: skip
    print(f"{kind}, seed {seed}: {seconds:.0f} s, codes {codes.shape}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Codes of every autoencoding recipe.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--recipes", nargs="+", choices=tuple(KINDS), default=list(KINDS))
    options = parser.parse_args()
    CODES.mkdir(exist_ok=True)
    if not file_of(EQUATION, 0).exists():
        invert()
    for seed in range(options.seeds):
        for kind in options.recipes:
            if file_of(kind, seed).exists():
                continue
            jax.clear_caches()
            try:
                make(kind, seed)
            except (TypeError, ValueError, AttributeError) as error:
                print(f"{kind}: {error}", flush=True)


if __name__ == "__main__":
    main()
