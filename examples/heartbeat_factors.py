"""Which latent follows which cause? Heartbeats that were simulated from known factors.

A β-VAE sees the beats alone. Afterwards its codes of held-out beats are correlated with the
factors that made them: heart rate, the heights, widths and angles of five waves, the ST level.
Run it: python examples/heartbeat_factors.py
"""

import os

import numpy as np

import unweave as uw

TOY = bool(os.environ.get("UNWEAVE_TOY"))


def correlations(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Pearson's r between every latent and every factor: `(latent, factor)`."""
    size = codes.shape[1]
    return np.corrcoef(codes, factors, rowvar=False)[:size, size:]


def print_table(r: np.ndarray, kl: np.ndarray, names: tuple[str, ...]) -> None:
    """For every latent, the most telling first, the two factors that it follows most."""
    print("latent   nats   follows")
    for i in np.argsort(-kl):
        best = np.argsort(-np.abs(r[i]))[:2]
        words = ", ".join(f"{names[j]} (r {r[i, j]:+.2f})" for j in best)
        print(f"z{i + 1:<6} {kl[i]:6.2f}   {words}")


def print_lost(r: np.ndarray, names: tuple[str, ...]) -> None:
    """The factors that no latent follows: what the model has not parted, or not kept."""
    best = np.abs(r).max(axis=0)
    lost = [name for name, value in zip(names, best, strict=True) if value < 0.5]
    print(f"followed by no latent (|r| below 0.5): {', '.join(lost) or 'none'}")


def chance(n: int, latents: int, factors: int) -> float:
    """The largest |r| that unrelated numbers reach among so many pairs."""
    random = np.random.default_rng(0)
    r = correlations(random.normal(size=(n, latents)), random.normal(size=(n, factors)))
    return float(np.abs(r).max())


def main() -> None:
    """Simulates, fits, correlates."""
    beats = uw.heartbeats(300 if TOY else 4000, seed=0)
    data = uw.split_at_random(beats)
    recipe = uw.beta_vae(latents=10, epochs=20 if TOY else 50)
    run = uw.fit(recipe, data, quiet=True)

    print(
        f"{run.result['explained_variance']:.4f} of the variance of {len(data.test)} held-out "
        f"beats is explained (PCA with as many latents: {run.result['baselines']['pca']:.4f})"
    )
    assert data.test.factors is not None
    codes = uw.codes(run.model, data.test.observations)
    r = correlations(codes, data.test.factors)
    print_table(r, np.asarray(run.result["kl_per_latent"]), data.test.factor_names)
    print_lost(r, data.test.factor_names)
    print(f"unrelated numbers would reach |r| {chance(len(codes), *r.shape):.2f}")


if __name__ == "__main__":
    main()
