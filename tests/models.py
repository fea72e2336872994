"""Every recipe, each fitted once to a few small heartbeats; and a file of prices."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from unweave.data import Split, heartbeats, split_at_random
from unweave.recipes import (
    autoencoder,
    beta_tcvae,
    beta_vae,
    binary_vae,
    cluster_vae,
    dip_vae,
    factor_vae,
    gaussian_mixture,
    info_vae,
    pca,
    qlae,
    vae,
    vq_vae,
)
from unweave.run import Run, fit
from unweave.train import Recipe

_SMALL = {"latents": 2, "epochs": 2, "batch": 8, "widths": (16,)}

ALL_RECIPES: Mapping[str, Callable[..., Recipe]] = {
    "vae": functools.partial(vae, **_SMALL),
    "beta-vae": functools.partial(beta_vae, **_SMALL),
    "beta-tcvae": functools.partial(beta_tcvae, **_SMALL),
    "factor-vae": functools.partial(factor_vae, **_SMALL, critic_widths=(16,)),
    "dip-vae": functools.partial(dip_vae, **_SMALL),
    "dip-vae, of samples": functools.partial(dip_vae, **_SMALL, of_samples=True),
    "info-vae": functools.partial(info_vae, **_SMALL),
    "autoencoder": functools.partial(autoencoder, **_SMALL),
    "vq-vae": functools.partial(vq_vae, **_SMALL, codes=8, width=4),
    "qlae": functools.partial(qlae, **_SMALL, values=4),
    "binary-vae": functools.partial(binary_vae, **_SMALL),
    "cluster-vae": functools.partial(cluster_vae, **{**_SMALL, "latents": 1}, clusters=3),
    "pca": functools.partial(pca, latents=2),
    "gaussian-mixture": functools.partial(gaussian_mixture, latents=2, components=2),
}


@functools.cache
def small_beats() -> Split:
    """64 simulated heartbeats of 32 samples: 45 train, 6 validate, 13 test."""
    return split_at_random(heartbeats(64, samples=32))


@functools.cache
def fitted(name: str) -> Run:
    """The run of `ALL_RECIPES[name]` on `small_beats`, in memory."""
    return fit(ALL_RECIPES[name](), small_beats(), quiet=True, seed=1)


#: How the command line reads `prices_file`.
PRICES = (
    "--kind", "windows", "--time", "minute", "--column", "close", "--length", "20",
    "--transform", "log-return",
)  # fmt: skip


def prices_file(folder: Path) -> str:
    """A thousand minutes of a price near 30,000, beside a column that is not wanted."""
    walk = 30_000 * np.exp(np.cumsum(1e-3 * np.random.default_rng(0).normal(size=1000)))
    table = pd.DataFrame({"minute": np.arange(1000) * 60.0, "volume": 1.0, "close": walk})
    path = folder / "prices.csv"
    table.to_csv(path, index=False)
    return str(path)
