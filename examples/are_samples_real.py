"""Can what a model draws be told from real observations? Simulated heartbeats, four makers.

    python examples/are_samples_real.py

Two tests of every maker on the same held-out beats: how often a classifier tells drawn from real,
and a distance between the two with its p-value. Beside them what real beats themselves would score,
and white noise: without the two a score says little. Writes drawn.svg, a few beats of each.
"""

import os
from collections.abc import Callable

import jax
import numpy as np
from matplotlib.figure import Figure

import unweave as uw

TOY = bool(os.environ.get("UNWEAVE_TOY"))
BEATS, KERNELS, SHOWN = (400, 100, 3) if TOY else (4000, 500, 6)


def copies(train: np.ndarray, n: int) -> np.ndarray:
    """Training beats themselves: what a model that only remembers would draw."""
    return train[np.random.default_rng(0).integers(len(train), size=n)]


def independent(train: np.ndarray, n: int) -> np.ndarray:
    """Each sample from some beat: right at every time by itself, wrong between any two."""
    rng = np.random.default_rng(0)
    which = rng.integers(len(train), size=(n, *train.shape[1:]))
    return np.take_along_axis(train, which, axis=0)


def gaussian(train: np.ndarray, n: int) -> np.ndarray:
    """The principal axes and noise."""
    return uw.draw(uw.fit_pca(train, 20), n, key=jax.random.key(0))


def mixture(train: np.ndarray, n: int) -> np.ndarray:
    """A mixture of Gaussians in the principal axes."""
    return uw.draw(uw.fit_gaussian_mixture(train, 20), n, key=jax.random.key(0))


MAKERS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "copies": copies, "independent samples": independent, "PCA": gaussian, "mixture": mixture,
}  # fmt: skip


def draw_figure(real: np.ndarray, drawn: dict[str, np.ndarray]) -> Figure:
    """A few real beats, and as many of each maker."""
    figure = Figure(figsize=(10, 2.2), layout="constrained")
    axes = figure.subplots(1, 1 + len(drawn), sharey=True)
    for ax, (name, x) in zip(axes, {"real": real, **drawn}.items(), strict=True):
        ax.plot(x[:SHOWN, :, 0].T, lw=0.8, color="#33415c")
        ax.set_title(name, fontsize=9)
        ax.axis("off")
    return figure


def main() -> None:
    """Draws from every maker and tests what was drawn."""
    data = uw.split_at_random(uw.heartbeats(BEATS, seed=0), test=0.4)
    train, real = data.train.observations, data.test.observations
    drawn = {name: make(train, len(real)) for name, make in MAKERS.items()}
    for name, x in drawn.items():
        print(f"{name}: {uw.two_sample(real, x, others=train, kernels=KERNELS).sentence()}")
        print(f"{name}: {uw.mmd(real, x, others=train).sentence()}")
    uw.plots.save(draw_figure(real, drawn), "drawn.svg")
    print("wrote drawn.svg")


if __name__ == "__main__":
    main()
